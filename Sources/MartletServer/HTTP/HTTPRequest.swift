import MartletCore
import NIOHTTP1

/// One request as the routes see it, whatever version of HTTP it came by.
struct HTTPRequest: Sendable {
    var method: HTTPMethod
    /// Path segments, percent-decoded; `/` is none.
    var segments: [String]
    var query: [String: String]
    var headers: HTTPHeaders
    var isHTTP2: Bool
    /// The whole body; empty for a route that streams it.
    var body: [UInt8] = []
    /// The body as it arrives, for a route that streams it.
    var bodyStream: RequestBody?
    /// Who asked: tells when the client has gone.
    var client: ResponseWriter?
    /// Values of the pattern's `:name` segments, by name.
    var parameters: [String: String] = [:]
    /// The media type that the answer will have, chosen by the router.
    var accepted = ""

    init(head: HTTPRequestHead, isHTTP2: Bool) {
        method = head.method
        headers = head.headers
        self.isHTTP2 = isHTTP2
        (segments, query) = Self.target(head.uri)
    }

    /// Splits `/a/b%20c?x=1` into segments and query parameters.
    static func target(_ uri: String) -> (segments: [String], query: [String: String]) {
        var text = uri[...]
        // Absolute form, as proxies send it.
        if text.hasPrefix("http://"), let slash = text.dropFirst(7).firstIndex(of: "/") { text = text[slash...] }
        if let hash = text.firstIndex(of: "#") { text = text[..<hash] }
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let segments = parts[0].split(separator: "/").map { decoded($0, plusIsBlank: false) }
        var query: [String: String] = [:]
        if parts.count > 1 {
            for pair in parts[1].split(separator: "&") {
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                query[decoded(sides[0], plusIsBlank: true)] = sides.count > 1 ? decoded(sides[1], plusIsBlank: true) : ""
            }
        }
        return (segments, query)
    }

    /// Resolves `%xx`; a `%` without two digits stands for itself.
    private static func decoded(_ text: Substring, plusIsBlank: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || (plusIsBlank && $0 == UInt8(ascii: "+")) }) else { return String(text) }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count, let high = hex(bytes[i + 1]), let low = hex(bytes[i + 2]) {
                out.append(high << 4 | low)
                i += 3
                continue
            }
            out.append(plusIsBlank && bytes[i] == UInt8(ascii: "+") ? UInt8(ascii: " ") : bytes[i])
            i += 1
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Whether the client asks for a websocket in a way that can be granted (RFC 6455 §4.2.1).
    var isWebSocketUpgrade: Bool {
        !isHTTP2 && method == .GET && headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
            && headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && headers[canonicalForm: "sec-websocket-version"].first == "13" && headers["sec-websocket-key"].count == 1
    }

    /// A query parameter that is present without a value, or with `true`, counts as yes.
    func flag(_ name: String) -> Bool { query[name].map { $0.isEmpty || $0.lowercased() == "true" } ?? false }

    /// The body as a JSON object.
    /// - Throws: `.badRequest`.
    func jsonObject() throws(MartletError) -> JSONObject {
        guard let object = try JSONValue(parsing: body).objectValue else {
            throw MartletError(.badRequest, "the body of this request is a JSON object")
        }
        return object
    }
}
