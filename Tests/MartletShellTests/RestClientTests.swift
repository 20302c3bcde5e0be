import Foundation
import MartletCore
import Testing

@testable import MartletShell

@Suite struct RestClientTests {
    private func client(_ server: ScriptedServer, _ interrupts: Interrupts? = nil) throws -> RestClient {
        RestClient(try ServerAddress("http://127.0.0.1:\(server.port)"), interrupts: interrupts)
    }

    private func message(_ error: RestFailure?) -> String {
        switch error {
        case .transport(let error): error.message
        case .refused(let refusal): "refused \(refusal.status) \(refusal.errorCode)"
        case .interrupted: "interrupted"
        case nil: "no error"
        }
    }

    private func failure<T>(_ body: () throws(RestFailure) -> T) -> RestFailure? {
        do throws(RestFailure) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func addresses() throws {
        #expect(try ServerAddress("http://localhost:8088").description == "http://localhost:8088")
        #expect(try ServerAddress("box").description == "http://box:8088")
        #expect(try ServerAddress("https://box:1/").description == "https://box:1" && ServerAddress("https://box").isSecure)
        #expect(try ServerAddress("HTTP://box:81/ksql/?x=1").description == "http://box:81/ksql")
        #expect(try ServerAddress("http://[::1]:90").authority == "[::1]:90")
        let withPassword = try ServerAddress("http://ann:p%40ss%3a@box:1")
        #expect(withPassword.description == "http://box:1" && withPassword.authorization == "Basic YW5uOnBAc3M6")
        for bad in ["ftp://box", "http://", "http://:80", "box:0", "box:99999", "box:x", "http://ann@box", "http://a:%zz@box", "a b", "[::1]x"] {
            #expect(throws: MartletError.self, "\(bad)") { try ServerAddress(bad) }
        }
    }

    // The same answer however it is cut, in one write a byte or so many at a time, with and without a length.
    @Test(arguments: [1, 2, 3, 5, 7, 11, 64, 100_000]) func answersComeWholeHoweverTheyAreCut(piece: Int) throws {
        let rows = [
            #"[{"header":{"queryId":"q_1","schema":"`A` INTEGER, `b``,c` STRUCT<`X` DECIMAL(4, 2), Y ARRAY<STRING>> KEY"}},"#,
            #"{"row":{"columns":[1,"é, ]}\n字"]}},"#, #"{"row":{"columns":[2,null],"tombstone":true}},"#, #"{"finalMessage":"Limit Reached"}]"#,
        ].map { $0 + "\n" }
        let chunks = [rows[0] + rows[1].prefix(9), rows[1].dropFirst(9) + "", rows[2] + rows[3]]
        let chunked = chunks.map { "\(String($0.utf8.count, radix: 16));x=y\r\n\($0)\r\n" }.joined() + "0\r\nTrailer: 1\r\n\r\n"
        let bodies = [
            "Transfer-Encoding: chunked\r\n\r\n" + chunked, "Content-Length: \(rows.joined().utf8.count)\r\n\r\n" + rows.joined(),
            "Connection: close\r\n\r\n" + rows.joined(),
        ]
        let server = try #require(ScriptedServer { _, index in .init("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n" + bodies[index], piece: piece) })
        defer { server.stop() }
        let client = try client(server)
        for _ in bodies {
            let stream = try client.query("SELECT 1;", isPrint: false, SessionSettings(properties: ["p": "v"], variables: ["x": "\"y"]))
            var messages: [QueryMessage] = []
            var raw: [String] = []
            while let next = try stream.next() {
                messages.append(next.message)
                raw.append(next.raw)
            }
            #expect(
                messages == [
                    .header(id: "q_1", columns: [ResultColumn("A", "INTEGER"), ResultColumn("b`,c", "STRUCT<`X` DECIMAL(4, 2), Y ARRAY<STRING>>")]),
                    .row([1, "é, ]}\n字"], isTombstone: false), .row([2, .null], isTombstone: true), .final("Limit Reached"),
                ])
            #expect(raw[1] == #"{"row":{"columns":[1,"é, ]}\n字"]}}"# && stream.id == "q_1" && stream.isAtEnd)
        }
        #expect(server.requests[0].hasPrefix("POST /query-stream HTTP/1.1\r\n"))
        #expect(server.requests[0].hasSuffix(#"{"sql":"SELECT 1;","properties":{"p":"v"},"sessionVariables":{"x":"\"y"}}"#))
    }

    @Test func oneConnectionServesManyStatements() throws {
        let server = try #require(
            ScriptedServer { _, index in .init("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n[{\"@type\":\"t\(index)\"} ]", closes: index == 2) })
        defer { server.stop() }
        let client = try client(server)
        for i in 0..<5 { #expect(try client.execute("X;", SessionSettings()).entities == [["@type": .string("t\(i)")]]) }
        // The third answer closed the connection; the next request opened another, and none was sent twice.
        #expect(server.connectionCount == 2 && server.requests.count == 5)
    }

    @Test func aTextAnswerIsLines() throws {
        let error = #"{"@type":"generic_error","error_code":50000,"message":"broken"}"#
        let server = try #require(ScriptedServer { _, _ in .init("HTTP/1.1 200 OK\r\n\r\nKey format: JSON\n{\"a\":1}\n\(error)") })
        defer { server.stop() }
        let stream = try client(server).query("PRINT t;", isPrint: true, SessionSettings())
        #expect(try stream.next()?.message == .text("Key format: JSON"))
        #expect(try stream.next()?.message == .text("{\"a\":1}"))
        #expect(try stream.next()?.message == .error(["@type": "generic_error", "error_code": 50000, "message": "broken"]))
        #expect(try stream.next() == nil && stream.isAtEnd)
        #expect(server.requests[0].contains("Accept: application/vnd.ksqlapi.delimited.v1\r\n"))
    }

    @Test func refusalsAndBrokenAnswers() throws {
        let answers = [
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 42\r\n\r\n{\"@type\":\"statement_error\",\"error_code\":1}", "HTTP/1.1 401 Unauthorized\r\n\r\nno",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[]", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[]\r\n0\r\n\r\n", "", "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>",
        ]
        let server = try #require(ScriptedServer { _, index in .init(answers[index]) })
        let client = try client(server)
        let messages = answers.map { _ in message(failure { () throws(RestFailure) in try client.execute("X;", SessionSettings()) }) }
        let lost = "the connection to http://127.0.0.1:\(server.port) was lost: "
        #expect(
            messages == [
                "refused 400 1", "refused 401 40100", lost + "it was closed in the middle of an answer", lost + "'zz' is no size of a chunk",
                lost + "a chunk is longer than it says", lost + "it was closed before an answer came",
                "what answers at http://127.0.0.1:\(server.port) does not speak HTTP/1.1", "the server's answer is no JSON array",
            ])
        server.stop()
        let gone = failure { () throws(RestFailure) in try client.info() }
        #expect(message(gone) == "cannot reach http://127.0.0.1:\(server.port): connection refused")
        if case .transport(let error)? = gone { #expect(error.hint == "start a server with: martlet dev") }
    }

    @Test func controlCEndsAWait() throws {
        let interrupts = try #require(Interrupts())
        let header = #"[{"header":{"queryId":"q","schema":"`A` INTEGER"}},"# + "\n"
        let server = try #require(
            ScriptedServer { request, _ in
                if request.contains("/close-query") { return .init("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }
                return .init("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(header.utf8.count, radix: 16))\r\n\(header)\r\n", hangs: true)
            })
        defer { server.stop() }
        let client = try client(server, interrupts)
        let stream = try client.query("SELECT 1 EMIT CHANGES;", isPrint: false, SessionSettings())
        #expect(try stream.next()?.message == .header(id: "q", columns: [ResultColumn("A", "INTEGER")]))
        #expect(try stream.next(withinMs: 0) == nil && !stream.isAtEnd)
        interrupts.signal()
        #expect(message(failure { () throws(RestFailure) in try stream.next() }) == "interrupted")
        client.closeQuery("q")
        #expect(server.requests.last?.hasSuffix(#"{"queryId":"q"}"#) == true)
    }

    // Whatever a server sends, the client ends with messages or an error.
    @Test(arguments: [1, 2] as [UInt64]) func anyBytesEnd(seed: UInt64) throws {
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n[{\"header\":{\"schema\":\"`A`\"}}]\r\n0\r\n\r\n"
        let server = try #require(
            ScriptedServer { _, index in
                var random = SeededRandom(seed: seed &* 1000 &+ UInt64(index))
                var bytes = Array(whole.utf8)
                for _ in 0..<Int.random(in: 1...4, using: &random) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...127, using: &random) }
                return .init(String(decoding: bytes, as: UTF8.self))
            })
        defer { server.stop() }
        let client = try client(server)
        var ended = 0
        for _ in 0..<200 {
            _ = failure { () throws(RestFailure) in
                let stream = try client.query("X", isPrint: false, SessionSettings())
                while try stream.next() != nil {}
            }
            ended += 1
        }
        #expect(ended == 200)
    }
}
