import Logging
import MartletCore
import MartletEngine
import Testing

@testable import MartletServer

/// What one connection can be put through: versions of HTTP, keep-alive, malformed and oversized requests.
@Suite struct ConnectionTests {
    @Test func requestsFollowEachOtherOnOneConnection() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let statuses = try await fixture.client {
                let connection = try RawConnection(port: port)
                // The second and third come before the first is answered.
                try connection.send("GET /info HTTP/1.1\r\nhost: x\r\n\r\nGET /nosuch HTTP/1.1\r\nhost: x\r\n\r\nHEAD /info HTTP/1.1\r\nhost: x\r\n\r\n")
                let statuses = [try connection.response().status, try connection.response().status, try connection.response(toHead: true).status]
                try connection.send("GET", "/info")
                return statuses + [try connection.response().status]
            }
            #expect(statuses == [200, 404, 200, 200])
        }
    }

    @Test func http10ClosesTheConnection() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let (info, query, closed) = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send("GET /info HTTP/1.0\r\n\r\n")
                let info = try connection.response()
                let second = try RawConnection(port: port)
                let body = #"{"sql": "SELECT * FROM KSQL_PROCESSING_LOG;"}"#
                try second.send("POST /query-stream HTTP/1.0\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
                return (info, try second.response(), try connection.isClosedByServer())
            }
            #expect(info.status == 200 && info.text.contains("KsqlServerInfo"))
            #expect(closed)
            // No chunks in HTTP/1.0: the body ends with the connection.
            #expect(query.status == 200 && query.headers["transfer-encoding"] == nil && query.lines.count == 1)
        }
    }

    @Test(arguments: [
        ("GET", "/nosuch", "", 404, 40400), ("GET", "/ksql", "", 405, 40500), ("DELETE", "/info", "", 405, 40500),
        ("GET", "/info", "accept: text/html", 406, 40600), ("POST", "/query-stream", "accept: application/x-protobuf", 406, 40600),
        ("POST", "/ksql", "content-type: image/png", 415, 41500), ("POST", "/ksql", "content-length: 99999999999", 413, 41300),
        ("POST", "/ksql", "content-length: 0", 400, 40000),
    ])
    func refusalsHaveTheApisBody(_ method: String, _ path: String, _ header: String, _ status: Int, _ code: Int) async throws {
        try await ServerFixture.with { fixture in
            let response = try await fixture.ask(method, path, headers: header.isEmpty ? [] : [header])
            let body = try JSONValue(parsing: response.text)
            #expect(response.status == status)
            #expect(body["@type"]?.stringValue == "generic_error" && body["error_code"]?.intValue == code)
            #expect(body["message"]?.stringValue?.isEmpty == false)
        }
    }

    @Test(arguments: ["NOT HTTP\r\n\r\n", "GET /info HTTP/1.1\r\nbad header\r\n\r\n", "POST /ksql HTTP/1.1\r\ncontent-length: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"])
    func malformedRequestsAreAnsweredAndTheServerLivesOn(_ text: String) async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let response = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send(text)
                return try connection.response()
            }
            #expect(response.status == 400)
            #expect(try JSONValue(parsing: response.text)["error_code"]?.intValue == 40000)
            #expect(try await fixture.ask("GET", "/info").status == 200)
        }
    }

    @Test func aBodyThatGrowsPastTheLimitIsRefused() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let status = try await fixture.client {
                let connection = try RawConnection(port: port)
                try connection.send("POST /ksql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
                let piece = "100000\r\n" + String(repeating: " ", count: 1 << 20) + "\r\n"
                for _ in 0..<65 { try connection.send(piece) }
                return try connection.response().status
            }
            #expect(status == 413)
        }
    }

    /// Bytes that only sometimes look like HTTP, cut off anywhere: whatever comes back, the server goes on. `seed` replays a failure.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func anyBytesLeaveTheServerAlive(seed: UInt64) async throws {
        try await ServerFixture.with { fixture in
            let ports = [fixture.ksqlPort, fixture.registryPort]
            try await fixture.client {
                var random = SeededRandom(seed: seed)
                let seeds = [
                    Array("POST /inserts-stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"target\": \"nosuch\"}\r\n0\r\n\r\n".utf8),
                    Array("POST /subjects/a/versions HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\n{\"schema\": \"\\\"string\\\"\"}".utf8),
                    Array("GET /info HTTP/1.1\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n".utf8)
                        + HTTP2Tests.preface + HTTP2Tests.frame(HTTP2Tests.settings),
                    HTTP2Tests.preface + HTTP2Tests.frame(HTTP2Tests.settings) + HTTP2Tests.post("/ksql", "{\"ksql\": \"SHOW STREAMS;\"}", stream: 1),
                ]
                for _ in 0..<60 {
                    var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
                    for _ in 0..<random.next() % 6 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() & 255) }
                    bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1))))
                    let connection = try RawConnection(port: ports[Int(random.next() % 2)])
                    // The server may have closed already.
                    try? connection.send(bytes)
                    connection.close()
                }
            }
            #expect(try await fixture.ask("GET", "/info").status == 200)
            #expect(try await fixture.ask("GET", "/subjects", registry: true).status == 200)
            try await fixture.eventually("every request has ended") { fixture.server.activity.openRequests == 0 }
        }
    }

    @Test func expectationsAreMet() async throws {
        try await ServerFixture.with { fixture in
            let port = fixture.ksqlPort
            let (first, second) = try await fixture.client {
                let connection = try RawConnection(port: port)
                let body = #"{"ksql": "SHOW STREAMS;"}"#
                try connection.send("POST /ksql HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: \(body.utf8.count)\r\n\r\n")
                let first = try connection.response().status
                try connection.send(body)
                return (first, try connection.response().status)
            }
            #expect(first == 100 && second == 200)
        }
    }

    @Test func aTakenPortIsNamed() async throws {
        try await ServerFixture.with { fixture in
            let other = MartletHTTPServer(
                engine: fixture.engine, registry: fixture.engine.registry, host: "127.0.0.1", ksqlPort: fixture.ksqlPort, registryPort: 0,
                group: fixture.group, info: ServerInfo(kafkaClusterID: "c", serviceID: "s"), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), time: .system)
            let error = await #expect(throws: MartletError.self) { try await other.start() }
            #expect(error?.code == .addressInUse)
            #expect(error?.message.contains("\(fixture.ksqlPort)") == true)
        }
    }

    @Test func mediaTypesAreChosenByQuality() {
        let offered = [MediaType.delimited, MediaType.json]
        #expect(MediaType.choose(accept: [], offered: offered) == MediaType.delimited)
        #expect(MediaType.choose(accept: ["*/*"], offered: offered) == MediaType.delimited)
        #expect(MediaType.choose(accept: ["Application/JSON; charset=utf-8"], offered: offered) == MediaType.json)
        #expect(MediaType.choose(accept: ["text/html, application/*;q=0.5"], offered: offered) == MediaType.delimited)
        #expect(MediaType.choose(accept: ["application/json;q=0.9, application/vnd.ksqlapi.delimited.v1;q=0.1"], offered: offered) == MediaType.json)
        #expect(MediaType.choose(accept: ["application/json;q=0"], offered: offered) == nil)
        #expect(MediaType.choose(accept: ["text/html", "image/png"], offered: offered) == nil)
    }

    @Test func targetsAreSplitAndDecoded() {
        let (segments, query) = HTTPRequest.target("/subjects/a%2Fb%20c+d/versions/?deleted=true&x&y=1%2B+2&bad=%zz#f")
        #expect(segments == ["subjects", "a/b c+d", "versions"])
        #expect(query == ["deleted": "true", "x": "", "y": "1+ 2", "bad": "%zz"])
        #expect(HTTPRequest.target("/").segments == [])
        #expect(HTTPRequest.target("http://proxy:1/info").segments == ["info"])
    }
}
