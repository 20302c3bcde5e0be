import MartletCore
import Testing

@testable import MartletServer

/// `/ws/query` by hand: the handshake of RFC 6455 and its frames.
@Suite struct WebSocketTests {
    private struct Frame: Equatable {
        var opcode: UInt8
        var text: String
    }

    /// The RFC's own example of a key and its answer (§1.3).
    private static let key = "dGhlIHNhbXBsZSBub25jZQ==", accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    private func open(_ fixture: ServerFixture, _ target: String) throws -> RawConnection {
        let connection = try RawConnection(port: fixture.ksqlPort)
        try connection.send(
            "GET", target, headers: ["connection: keep-alive, Upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: \(Self.key)"])
        let head = try connection.head()
        #expect(head.status == 101 && head.headers["sec-websocket-accept"] == Self.accept)
        return connection
    }

    private func frame(_ connection: RawConnection) throws -> Frame {
        let start = try connection.bytes(2)
        var length = Int(start[1] & 0x7f)
        if length == 126 { length = try connection.bytes(2).reduce(0) { $0 << 8 | Int($1) } }
        if length == 127 { length = try connection.bytes(8).reduce(0) { $0 << 8 | Int($1) } }
        #expect(start[0] & 0x80 != 0 && start[1] & 0x80 == 0, "whole and unmasked")
        var payload = try connection.bytes(length)
        let opcode = start[0] & 0xf
        // A goodbye begins with its code.
        var code = ""
        if opcode == 8 {
            code = "\(Int(payload[0]) << 8 | Int(payload[1])) "
            payload.removeFirst(2)
        }
        return Frame(opcode: opcode, text: code + String(decoding: payload, as: UTF8.self))
    }

    /// A frame as clients send it, masked.
    private func masked(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let mask: [UInt8] = [1, 2, 3, 4]
        return [0x80 | opcode, 0x80 | UInt8(payload.count)] + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    private func all(_ fixture: ServerFixture, _ request: String) async throws -> [Frame] {
        try await fixture.client {
            let connection = try open(fixture, "/ws/query?request=\(request)")
            var frames: [Frame] = []
            repeat { frames.append(try frame(connection)) } while frames.last?.opcode != 8
            try connection.send(masked(8, [0x03, 0xe8]))
            #expect(try connection.isClosedByServer())
            return frames
        }
    }

    private func encoded(_ json: String) -> String {
        json.utf8.map { byte in "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    @Test func rowsComeAsFrames() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(KsqlAPITests.createStream + "INSERT INTO s VALUES (1, 2, 'é'); INSERT INTO s (id) VALUES (2);")
            let frames = try await all(fixture, encoded(#"{"ksql":"SELECT id, t FROM s;"}"#))
            #expect(frames.count == 4)
            #expect(try JSONValue(parsing: frames[0].text).arrayValue?.map { $0["name"]?.stringValue } == ["ID", "T"])
            #expect(frames.dropFirst() == [Frame(opcode: 1, text: #"{"row":{"columns":[1,"é"]}}"#), Frame(opcode: 1, text: #"{"row":{"columns":[2,null]}}"#), Frame(opcode: 8, text: "1000 done")])
            let push = try await all(fixture, encoded(#"{"ksql":"SELECT id FROM s EMIT CHANGES LIMIT 1;","streamsProperties":{"auto.offset.reset":"earliest"}}"#))
            #expect(push.map(\.opcode) == [1, 1, 8])
            let print = try await all(fixture, encoded(#"{"ksql":"PRINT s FROM BEGINNING LIMIT 1;"}"#))
            #expect(print.contains { $0.text.hasPrefix("rowtime: ") } && print.last?.text == "1000 done")
        }
    }

    @Test func whatIsWrongIsToldByTheGoodbye() async throws {
        try await ServerFixture.with { fixture in
            for (request, end) in [
                (encoded(#"{"ksql":"SELECT * FROM nosuch;"}"#), "NOSUCH does not exist"), (encoded("{bad"), "Error parsing request"),
                (encoded(#"{"ksql":"SHOW STREAMS;"}"#), "not supported for this resource"), (encoded(#"{"ksql":"SELECT 1;","streamsProperties":{"no.such":1}}"#), "no.such"),
            ] {
                let frames = try await all(fixture, request)
                #expect(frames.count == 1 && frames[0].text.hasPrefix("1003 ") && frames[0].text.contains(end), "\(frames)")
            }
            // A long reason is cut to what a control frame holds.
            let long = try await all(fixture, encoded("{\"ksql\":\"SELECT * FROM \(String(repeating: "é", count: 300));\"}"))
            #expect(long.count == 1 && long[0].text.utf8.count <= 5 + 123 && !long[0].text.unicodeScalars.contains("\u{fffd}"))
            let plain = try await fixture.json("GET", "/ws/query?request=x")
            #expect(plain.status == 400 && plain.body["error_code"]?.intValue == 40000)
        }
    }

    /// A push query ends when its client goes, with a goodbye or without; pings are answered meanwhile.
    @Test(arguments: [true, false]) func aQueryEndsWithItsClient(saysGoodbye: Bool) async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(KsqlAPITests.createStream)
            try await fixture.client {
                let connection = try open(fixture, "/ws/query?request=" + encoded(#"{"ksql":"SELECT * FROM s EMIT CHANGES;"}"#))
                #expect(try frame(connection).text.hasPrefix("[{"))
                try connection.send(masked(9, Array("hi".utf8)))
                #expect(try frame(connection) == Frame(opcode: 10, text: "hi"))
                if saysGoodbye {
                    try connection.send(masked(8, [0x03, 0xe8]))
                    #expect(try frame(connection).opcode == 8)
                }
                connection.close()
            }
            try await fixture.eventually("the query has ended") { fixture.server.activity.openQueries == 0 }
        }
    }

    @Test func stoppingIsToldByTheGoodbye() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(KsqlAPITests.createStream)
            let connection = try await fixture.client {
                let connection = try open(fixture, "/ws/query?request=" + encoded(#"{"ksql":"SELECT * FROM s EMIT CHANGES;"}"#))
                #expect(try frame(connection).text.hasPrefix("[{"))
                return Held(connection)
            }
            await fixture.server.stop()
            #expect(try await fixture.client { try frame(connection.value) } == Frame(opcode: 8, text: "1001 The server is shutting down"))
        }
    }
}
