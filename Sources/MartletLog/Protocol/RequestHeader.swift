import NIOCore

/// What stands before every request: which API in which version, and a number that the response repeats.
///
/// The client id keeps its two-byte length even in flexible versions, so that a broker can read any header (KIP-482).
struct RequestHeader: Sendable {
    var apiKey: Int16 = 0
    var version: Int16 = 0
    var correlationID: Int32 = 0
    var clientID: String?

    /// The part that every version has alike.
    mutating func codeFixedPart(_ wire: inout Wire) throws(WireError) {
        try wire.field(&apiKey)
        try wire.field(&version)
        try wire.field(&correlationID)
        try wire.field(&clientID)
    }
}

/// A whole frame, size included, as the pieces that follow each other on the wire.
struct FrameBytes: Sendable {
    private(set) var pieces: [ByteBuffer]
    private(set) var byteCount: Int

    init(pieces: [ByteBuffer], byteCount: Int) {
        self.pieces = pieces
        self.byteCount = byteCount
    }

    init(_ bytes: ByteBuffer) { self.init(pieces: [bytes], byteCount: bytes.readableBytes) }
}

/// Frames: `Int32` size, header, body.
enum Frame {
    /// Reads a request's header; the returned wire stands at its body. `wire.isReading`.
    /// - Throws: if the frame is too short for a header.
    static func openRequest(_ frame: ByteBuffer) throws(WireError) -> (header: RequestHeader, body: Wire, api: APIKey?) {
        var header = RequestHeader()
        var wire = Wire(reading: frame, version: 0, isFlexible: false)
        try header.codeFixedPart(&wire)
        guard let api = APIKey(rawValue: header.apiKey) else { return (header, wire, nil) }
        var body = wire.switched(toVersion: header.version, isFlexible: api.isFlexible(header.version))
        // A version of ApiVersions that we do not know is answered in version 0, whatever the rest of its header holds (KIP-511).
        if api.versions.contains(header.version) { try body.tags() }
        return (header, body, api)
    }

    /// A whole request frame, size included.
    static func request<Request: WireRequest>(_ request: Request, version: Int16, correlationID: Int32, clientID: String?)
        throws(WireError) -> FrameBytes
    {
        var header = RequestHeader(
            apiKey: Request.api.rawValue, version: version, correlationID: correlationID, clientID: clientID)
        var buffer = ByteBuffer()
        buffer.writeInteger(Int32(0))
        var wire = Wire(writingTo: buffer, version: 0, isFlexible: false)
        try header.codeFixedPart(&wire)
        var body = wire.switched(toVersion: version, isFlexible: Request.api.isFlexible(version))
        try body.tags()
        var copy = request
        try copy.code(&body)
        return try body.frame()
    }

    /// A whole response frame, size included.
    /// - `told`: called with each error that the response tells.
    static func response<Response: WireMessage>(
        _ response: Response, to api: APIKey, version: Int16, correlationID: Int32, told: (KafkaErrorCode) -> Void = { _ in }
    ) throws(WireError) -> FrameBytes {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(256)
        buffer.writeInteger(Int32(0))
        buffer.writeInteger(correlationID)
        // Moved, not copied: a second reference would make every write below copy the whole buffer.
        var body = Wire(writingTo: consume buffer, version: version, isFlexible: api.isFlexible(version))
        // ApiVersions keeps the old header: a client reads its answer before it knows what the broker speaks (KIP-511).
        if api != .apiVersions { try body.tags() }
        var copy = response
        try copy.code(&body)
        for error in body.toldErrors { told(error) }
        return try body.frame()
    }

    /// Reads a response's header, without the size; the returned wire stands at its body.
    static func openResponse(_ frame: ByteBuffer, to api: APIKey, version: Int16) throws(WireError) -> (correlationID: Int32, body: Wire) {
        var wire = Wire(reading: frame, version: version, isFlexible: api.isFlexible(version))
        var correlationID: Int32 = 0
        try wire.field(&correlationID)
        if api != .apiVersions { try wire.tags() }
        return (correlationID, wire)
    }
}

/// A request: which API it belongs to and what answers it.
protocol WireRequest: WireMessage {
    associatedtype Response: WireMessage
    static var api: APIKey { get }
    /// Looks up the names of topics that the request names by id.
    mutating func nameTopics(_ ids: TopicIDs)
    /// Asked before the request is worked on, where access rules are in force (`Security/Permissions`).
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<Response>
}

extension WireRequest {
    mutating func nameTopics(_ ids: TopicIDs) {}
}
