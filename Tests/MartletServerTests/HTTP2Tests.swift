import MartletCore
import Testing

@testable import MartletServer

/// Cleartext HTTP/2 by prior knowledge and by upgrade, with frames made and read by hand (RFC 9113 §4, RFC 7541 §6.2.2).
@Suite struct HTTP2Tests {
    struct Frame {
        var type: UInt8
        var flags: UInt8
        var stream: UInt32
        var payload: [UInt8]
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let (data, headers, reset, settings): (UInt8, UInt8, UInt8, UInt8) = (0, 1, 3, 4)
    static let (endStream, endHeaders): (UInt8, UInt8) = (1, 4)

    static func frame(_ type: UInt8, _ flags: UInt8 = 0, _ stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let size = payload.count
        return [UInt8(size >> 16), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags]
            + (0..<4).map { UInt8(stream >> (24 - 8 * UInt32($0)) & 255) } + payload
    }

    static func request(_ method: String, _ path: String, stream: UInt32, ends: Bool) -> [UInt8] {
        var block: [UInt8] = []
        for (name, value) in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")] {
            block += [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        return frame(headers, endHeaders | (ends ? endStream : 0), stream, block)
    }

    static func post(_ path: String, _ body: String, stream: UInt32) -> [UInt8] {
        request("POST", path, stream: stream, ends: false) + frame(data, endStream, stream, Array(body.utf8))
    }

    static func next(_ connection: RawConnection) throws -> Frame {
        let head = try connection.bytes(9)
        let size = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        let stream = head[5..<9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return Frame(type: head[3], flags: head[4], stream: stream, payload: try connection.bytes(size))
    }

    /// The next frame of a stream that carries headers or bytes.
    static func next(_ connection: RawConnection, stream: UInt32) throws -> Frame {
        while true {
            let frame = try next(connection)
            if frame.stream == stream, frame.type == data || frame.type == headers { return frame }
        }
    }

    /// A whole answer: whether its status is 200 (index 8 of the static table), and its body.
    static func answer(_ connection: RawConnection, stream: UInt32) throws -> (isOK: Bool, body: String) {
        var isOK = false, body: [UInt8] = []
        while true {
            let frame = try next(connection, stream: stream)
            if frame.type == headers { isOK = frame.payload.first == 0x88 } else { body += frame.payload }
            if frame.flags & endStream != 0 { return (isOK, String(decoding: body, as: UTF8.self)) }
        }
    }

    @Test func priorKnowledge() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let (info, missing) = try await fixture.client {
                let connection = try RawConnection(port: port)
                // The first bytes may come one by one.
                for byte in Self.preface + Self.frame(Self.settings) { try connection.send([byte]) }
                try connection.send(Self.request("GET", "/info", stream: 1, ends: true))
                let info = try Self.answer(connection, stream: 1)
                try connection.send(Self.request("GET", "/nosuch", stream: 3, ends: true))
                return (info, try Self.answer(connection, stream: 3))
            }
            #expect(info.isOK && info.body.contains("KsqlServerInfo"))
            #expect(!missing.isOK && missing.body.contains("40400"))
        }
    }

    /// A frame larger than allowed (RFC 9113 §4.2): GOAWAY, then the end, and the server lives on.
    @Test func whatIsNoFrameEndsTheConnection() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let (types, isClosed) = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send(Self.preface + Self.frame(Self.settings) + [UInt8](repeating: 0xff, count: 100))
                var types: [UInt8] = []
                let goAway: UInt8 = 7
                while types.last != goAway { types.append(try Self.next(connection).type) }
                return (types, try connection.isClosedByServer())
            }
            #expect(types.contains(Self.settings) && isClosed)
            #expect(try await fixture.ask("GET", "/info").status == 200)
        }
    }

    /// Three things at once on one connection: a push query, rows inserted and acknowledged one by one, and a reset that ends the query only.
    @Test func streamsAreIndependent() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(KsqlAPITests.createStream)
            let port = fixture.ksqlPort
            let connection = Held(try RawConnection(port: port))
            let (acks, rows) = try await fixture.client {
                let connection = connection.value
                try connection.send(Self.preface + Self.frame(Self.settings))
                try connection.send(Self.post("/query-stream", #"{"sql": "SELECT x FROM s EMIT CHANGES;"}"#, stream: 1))
                #expect(try Self.next(connection, stream: 1).payload.first == 0x88)
                #expect(String(decoding: try Self.next(connection, stream: 1).payload, as: UTF8.self).contains("\"columnNames\":[\"X\"]"))
                try connection.send(Self.request("POST", "/inserts-stream", stream: 3, ends: false))
                try connection.send(Self.frame(Self.data, 0, 3, Array("{\"target\":\"S\"}\n".utf8)))
                #expect(try Self.next(connection, stream: 3).payload.first == 0x88)
                var acks: [String] = [], rows: [String] = []
                for i in 0..<3 {
                    try connection.send(Self.frame(Self.data, 0, 3, Array("{\"x\":\(i)}\n".utf8)))
                    // Acknowledgement and row come in either order.
                    while acks.count <= i || rows.count <= i {
                        let frame = try Self.next(connection)
                        guard frame.type == Self.data else { continue }
                        if frame.stream == 3 { acks.append(String(decoding: frame.payload, as: UTF8.self)) } else { rows.append(String(decoding: frame.payload, as: UTF8.self)) }
                    }
                }
                try connection.send(Self.frame(Self.data, Self.endStream, 3))
                try connection.send(Self.frame(Self.reset, 0, 1, [0, 0, 0, 8]))
                return (acks, rows)
            }
            #expect(acks == (0..<3).map { "{\"status\":\"ok\",\"seq\":\($0)}\n" })
            #expect(rows == ["[0]\n", "[1]\n", "[2]\n"])
            try await fixture.eventually("the query ends with its stream") { try await fixture.clientQueries() == 0 }
            let info = try await fixture.client {
                try connection.value.send(Self.request("GET", "/info", stream: 5, ends: true))
                return try Self.answer(connection.value, stream: 5)
            }
            #expect(info.isOK)
        }
    }

    /// The client asks by HTTP/1.1, with a body, and goes on in HTTP/2; or is left at HTTP/1.1 when it asks for something else.
    @Test func upgrade() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let (switched, first, second, kept) = try await fixture.client {
                let connection = try RawConnection(port: port)
                let asks = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__", "accept: application/json", "x-long: \(String(repeating: "v", count: 5000))"]
                try connection.send("POST", "/ksql", #"{"ksql": "SHOW STREAMS;"}"#, headers: asks)
                let switched = try connection.head()
                for byte in Self.preface + Self.frame(Self.settings, 0, 0, [0, 4, 0, 1, 0, 0]) { try connection.send([byte]) }
                let first = try Self.answer(connection, stream: 1)
                try connection.send(Self.post("/ksql", #"{"ksql": "SHOW TABLES;"}"#, stream: 3))
                let second = try Self.answer(connection, stream: 3)
                let other = try RawConnection(port: port)
                try other.send("GET", "/info", headers: ["connection: upgrade", "upgrade: websocket"])
                return (switched, first, second, try other.response())
            }
            #expect(switched.status == 101 && switched.headers["upgrade"] == "h2c")
            #expect(first.isOK && first.body.contains("\"@type\":\"streams\""))
            #expect(second.isOK && second.body.contains("\"@type\":\"tables\""))
            #expect(kept.status == 200 && kept.headers["connection"] == "close")
        }
    }
}
