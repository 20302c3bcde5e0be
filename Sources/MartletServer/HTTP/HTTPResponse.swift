import MartletCore
import NIOHTTP1

/// What a route answers: a whole body, or one that is written as it comes into being.
struct HTTPResponse: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        /// Called once the status line is under way; its end is the body's end.
        case stream(@Sendable (ResponseWriter) async throws(ClientGone) -> Void)
        /// The connection becomes a websocket; it is closed when this returns. Only for requests of which `isWebSocketUpgrade` holds.
        case webSocket(@Sendable (WebSocketConnection) async -> Void)
    }

    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: Body

    init(status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    static func json(_ value: JSONValue, status: HTTPResponseStatus = .ok, type: String) -> HTTPResponse {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        return HTTPResponse(status: status, headers: ["content-type": type], body: .bytes(bytes))
    }

    static func text(_ text: String, status: HTTPResponseStatus = .ok, type: String = MediaType.text) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["content-type": type], body: .bytes(Array(text.utf8)))
    }

    static func stream(type: String, _ write: @escaping @Sendable (ResponseWriter) async throws(ClientGone) -> Void) -> HTTPResponse {
        HTTPResponse(headers: ["content-type": type], body: .stream(write))
    }
}
