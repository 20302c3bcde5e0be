import MartletCore

/// What a server says instead of an answer.
public struct ServerRefusal: Sendable {
    public var status: Int
    /// `{"@type": …, "error_code": …, "message": …}`; empty if the body is something else.
    public var body: JSONObject
    public var text: String

    init(status: Int, text: String) {
        self.status = status
        self.text = text
        body = (try? JSONValue(parsing: text))?.objectValue ?? JSONObject()
    }

    init(_ body: JSONObject) {
        status = (body["error_code"]?.intValue ?? 50000) / 100
        self.body = body
        text = JSONValue.object(body).description
    }

    public var errorCode: Int { body["error_code"]?.intValue ?? status * 100 }
}

/// Properties and variables that go with every request.
public struct SessionSettings: Sendable, Equatable {
    public var properties: [String: String] = [:]
    public var variables: [String: String] = [:]
    public init(properties: [String: String] = [:], variables: [String: String] = [:]) {
        self.properties = properties
        self.variables = variables
    }

    static func json(_ texts: [String: String]) -> JSONValue {
        .object(JSONObject(texts.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }))
    }
}

/// Speaks ksqlDB's REST API over HTTP/1.1 (ksqlDB, "REST API Reference"). Requests wait on the calling thread until an answer comes or Ctrl-C does.
///
/// One connection is kept open for statements; each query has one of its own.
public final class RestClient {
    public let address: ServerAddress
    let interrupts: Interrupts?
    private let trust: TLSTrust?
    private var idle: HTTPConnection?

    /// - `trust`: whose word counts for an address with https.
    public init(_ address: ServerAddress, interrupts: Interrupts? = nil, trust: TLSTrust? = nil) {
        self.address = address
        self.interrupts = interrupts
        self.trust = trust
    }

    private func open(interruptible: Bool = true, connectMs: Int32 = 10_000) throws(RestFailure) -> HTTPConnection {
        try HTTPConnection.open(
            address, interrupts: interruptible ? interrupts : nil, trust: address.isSecure ? try systemTrust() : nil, connectMs: connectMs)
    }

    private func systemTrust() throws(RestFailure) -> TLSTrust {
        if let trust { return trust }
        do throws(MartletError) { return try TLSTrust(authorities: nil) } catch { throw .transport(error) }
    }

    private static let json = "application/vnd.ksql.v1+json"
    private static let delimited = "application/vnd.ksqlapi.delimited.v1"

    /// `KsqlServerInfo` of `/info`.
    public func info() throws(RestFailure) -> JSONObject {
        let answer = try answer("GET", "/info", nil, .milliseconds(10_000))
        guard let info = (try? JSONValue(parsing: answer))?["KsqlServerInfo"]?.objectValue else {
            throw .transport(MartletError(.io, "what answers at \(address) is no SQL server", hint: "the SQL port of martlet dev is 8088"))
        }
        return info
    }

    /// Runs statements that are no queries.
    ///
    /// - Returns: the answer's text, and its entities.
    public func execute(_ sql: String, _ settings: SessionSettings) throws(RestFailure) -> (text: String, entities: [JSONObject]) {
        let body: JSONValue = [
            "ksql": .string(sql), "streamsProperties": SessionSettings.json(settings.properties), "sessionVariables": SessionSettings.json(settings.variables),
        ]
        let text = String(decoding: try answer("POST", "/ksql", body, .forever), as: UTF8.self)
        guard let entities = (try? JSONValue(parsing: text))?.arrayValue else {
            throw .transport(MartletError(.io, "the server's answer is no JSON array", detail: String(text.prefix(500))))
        }
        return (text, entities.compactMap(\.objectValue))
    }

    /// Starts SELECT or PRINT.
    public func query(_ sql: String, isPrint: Bool, _ settings: SessionSettings) throws(RestFailure) -> QueryStream {
        let body: JSONValue = [
            "sql": .string(sql), "properties": SessionSettings.json(settings.properties), "sessionVariables": SessionSettings.json(settings.variables),
        ]
        let connection = try open()
        try connection.send(request("POST", "/query-stream", body, accept: isPrint ? Self.delimited : Self.json))
        let head = try HTTPResponseHead.read(from: connection, .forever)
        let stream = HTTPBody(head, on: connection)
        guard head.status == 200 else { throw .refused(ServerRefusal(status: head.status, text: String(decoding: try stream.all(.forever), as: UTF8.self))) }
        return QueryStream(stream, isText: isPrint)
    }

    /// Ends a running query; waits two seconds at most and cannot be interrupted. The server may not know it any more.
    public func closeQuery(_ id: String) {
        guard let connection = try? open(interruptible: false, connectMs: 2000),
            (try? connection.send(request("POST", "/close-query", ["queryId": .string(id)], accept: Self.json))) != nil
        else { return }
        // What it answers makes no difference: closing the query's connection ends it too.
        _ = try? HTTPResponseHead.read(from: connection, .milliseconds(2000))
    }

    /// Sends a POST with a JSON body on a connection of its own; what is returned waits for the answer, whatever its status.
    public func post(_ path: String, _ body: JSONValue, accept: String, patienceMs: Int32) throws(RestFailure) -> () throws(RestFailure) -> (status: Int, bytes: [UInt8]) {
        let connection = try open()
        try connection.send(request("POST", path, body, accept: accept))
        return { () throws(RestFailure) in
            let head = try HTTPResponseHead.read(from: connection, .milliseconds(patienceMs))
            return (head.status, try HTTPBody(head, on: connection).all(.milliseconds(patienceMs)))
        }
    }

    // MARK: -

    private func answer(_ method: String, _ path: String, _ body: JSONValue?, _ wait: HTTPConnection.Wait) throws(RestFailure) -> [UInt8] {
        let connection: HTTPConnection
        if let idle, idle.isFresh { connection = idle } else { connection = try open() }
        idle = nil
        try connection.send(request(method, path, body, accept: Self.json))
        let head = try HTTPResponseHead.read(from: connection, wait)
        let stream = HTTPBody(head, on: connection)
        let bytes = try stream.all(wait)
        idle = stream.reusable
        guard head.status == 200 else { throw .refused(ServerRefusal(status: head.status, text: String(decoding: bytes, as: UTF8.self))) }
        return bytes
    }

    private func request(_ method: String, _ path: String, _ body: JSONValue?, accept: String) -> [UInt8] {
        var payload: [UInt8] = []
        body?.write(to: &payload)
        var head = "\(method) \(address.path)\(path) HTTP/1.1\r\nHost: \(address.authority)\r\nAccept: \(accept)\r\n"
        head += "User-Agent: martlet/\(MartletVersion.text)\r\n"
        if let authorization = address.authorization { head += "Authorization: \(authorization)\r\n" }
        if body != nil { head += "Content-Type: \(Self.json)\r\nContent-Length: \(payload.count)\r\n" }
        return Array((head + "\r\n").utf8) + payload
    }
}
