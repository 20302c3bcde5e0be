import Foundation
import Glibc
import MartletCore
import Testing

@testable import MartletShell

/// Sessions against a server whose answers are written here.
@Suite(.serialized) struct ShellTests {
    /// What a shell writes to its two descriptors.
    private final class Written {
        private let out = tmpfile()!, errors = tmpfile()!
        let output: ShellOutput

        init() { output = ShellOutput(output: fileno(out), errors: fileno(errors)) }

        deinit {
            fclose(out)
            fclose(errors)
        }

        private func text(_ file: UnsafeMutablePointer<FILE>) -> String {
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let count = pread(fileno(file), &bytes, bytes.count, 0)
            return String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
        }

        var results: String { text(out) }
        var complaints: String { text(errors) }
    }

    private static func json(_ text: String, status: String = "200 OK") -> ScriptedServer.Answer {
        .init("HTTP/1.1 \(status)\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)", closes: false)
    }

    private static let info = json(#"{"KsqlServerInfo":{"version":"7.9.0-martlet","serverStatus":"RUNNING"}}"#)

    /// Answers by what the request's body holds; the first that fits counts.
    private func server(_ answers: [(String, ScriptedServer.Answer)]) throws -> ScriptedServer {
        try #require(ScriptedServer { request, _ in answers.first { request.contains($0.0) }?.1 ?? Self.json("[]") })
    }

    private func shell(_ server: ScriptedServer, _ written: Written, format: OutputFormat = .tabular) throws -> Shell {
        Shell(
            RestClient(try ServerAddress("127.0.0.1:\(server.port)")), out: written.output, settings: SessionSettings(properties: ["p": "1"]), format: format)
    }

    private func body(_ request: String) -> JSONValue? {
        request.firstRange(of: "\r\n\r\n").flatMap { try? JSONValue(parsing: request[$0.upperBound...]) }
    }

    private static let rows = ScriptedServer.Answer(
        "HTTP/1.1 200 OK\r\n\r\n"
            + #"[{"header":{"queryId":"q","schema":"`ID` INTEGER, `NAME` STRING"}},"# + "\n" + #"{"row":{"columns":[1,"Xxns"]}},"# + "\n"
            + #"{"finalMessage":"Limit Reached"}]"# + "\n")

    @Test func settingsGoWithEveryRequest() throws {
        let server = try server([
            ("/query-stream", Self.rows), ("nonsense", Self.json(#"{"@type":"generic_error","error_code":40000,"message":"not a property: 'nonsense'"}"#, status: "400 Bad Request")),
        ])
        defer { server.stop() }
        let written = Written()
        let shell = try shell(server, written)
        #expect(
            shell.run(
                script: """
                    SET 'auto.offset.reset' = 'earliest'; DEFINE Who = 'Hans'; DEFINE x = '1'; UNDEFINE X;
                    UNSET 'p';
                    SELECT * FROM s WHERE name = '${who}' EMIT CHANGES LIMIT 1;
                    SHOW VARIABLES;
                    """) == 0)
        let bodies = server.requests.compactMap(body)
        #expect(
            bodies == [
                ["ksql": "SET 'auto.offset.reset' = 'earliest';", "streamsProperties": ["p": "1"], "sessionVariables": [:]],
                ["ksql": "UNSET 'p';", "streamsProperties": ["auto.offset.reset": "earliest", "p": "1"], "sessionVariables": ["Who": "Hans"]],
                [
                    "sql": "SELECT * FROM s WHERE name = '${who}' EMIT CHANGES LIMIT 1;", "properties": ["auto.offset.reset": "earliest"],
                    "sessionVariables": ["Who": "Hans"],
                ], ["ksql": "SHOW VARIABLES;", "streamsProperties": ["auto.offset.reset": "earliest"], "sessionVariables": ["Who": "Hans"]],
            ])
        #expect(
            written.results == """
                auto.offset.reset is 'earliest' now.
                Who is 'Hans' now.
                x is '1' now.
                X is undefined now.
                p has the server's value again.
                +----+------+
                | ID | NAME |
                +----+------+
                |  1 | Xxns |
                +----+------+
                Limit Reached

                """)
        // What the server does not know is not kept.
        #expect(shell.run(script: "SET 'nonsense'='1';") == 1 && shell.settings.properties == ["auto.offset.reset": "earliest"])
        #expect(written.complaints == "40000: not a property: 'nonsense'\n")
    }

    @Test func theFirstErrorEndsAScript() throws {
        let server = try server([
            (
                "broken",
                Self.json(
                    #"{"@type":"statement_error","error_code":40001,"message":"no","line":2,"column":3,"statementText":"SELECT\n  broken;","entities":[]}"#,
                    status: "400 Bad Request")
            ), ("SHOW", Self.json(#"[{"@type":"streams","streams":[]}]"#)),
        ])
        defer { server.stop() }
        let written = Written()
        let status = try shell(server, written).run(script: "-- a comment\nSHOW STREAMS; SELECT\n  broken;\nDROP STREAM s;\n", name: "a.sql")
        #expect(status == 1 && server.requests.count == 2)
        #expect(written.results == "There are no streams. CREATE STREAM makes one.\n")
        #expect(written.complaints == "40001 line 2:3: no\n    broken;\n    ^^^^^^\n  in a.sql, statement at line 2\n")
    }

    @Test func jsonOutputHoldsWhatTheServerSays() throws {
        let entities = #"[{"@type":"streams","streams":[{"name":"\#(String(repeating: "X", count: 500))"}]}]"#
        let server = try server([("/query-stream", Self.rows), ("SHOW", Self.json(entities))])
        defer { server.stop() }
        let written = Written()
        #expect(try shell(server, written, format: .json).run(script: "DEFINE a = 'b'; SET 'p'='2'; SHOW STREAMS; SELECT 1 FROM s;") == 0)
        #expect(
            written.results == entities + "\n" + #"{"header":{"queryId":"q","schema":"`ID` INTEGER, `NAME` STRING"}}"# + "\n"
                + #"{"row":{"columns":[1,"Xxns"]}}"# + "\n" + #"{"finalMessage":"Limit Reached"}"# + "\n")
    }

    @Test func anErrorAfterTheFirstRows() throws {
        let server = try server([
            (
                "/query-stream",
                .init("HTTP/1.1 200 OK\r\n\r\n" + #"[{"header":{"queryId":"q","schema":"`A` INTEGER"}},"# + "\n" + #"{"row":{"columns":[1]}},"# + "\n" + #"{"errorMessage":{"error_code":50000,"message":"the disk is gone"}}]"#)
            )
        ])
        defer { server.stop() }
        let written = Written()
        #expect(try shell(server, written).run(script: "SELECT A FROM s;") == 1)
        #expect(written.results.contains("|        1 |\n") && written.complaints == "50000: the disk is gone\n")
    }

    @Test func whatTheServerCallsAQueryIsSentAsOne() throws {
        let server = try server([
            ("POST /ksql", Self.json(#"{"@type":"statement_error","error_code":40002,"message":"issue it to /query"}"#, status: "400 Bad Request")),
            ("/query-stream", Self.rows),
        ])
        defer { server.stop() }
        let written = Written()
        #expect(try shell(server, written).run(script: "FROM s SELECT *;") == 0)
        #expect(written.results.contains("Xxns"))
    }

    @Test func commands() throws {
        #expect(try ShellCommand("help me ;") == .help && ShellCommand("QUIT;") == .exit && ShellCommand("output JSON") == .output(.json))
        #expect(try ShellCommand("run script 'my file.sql' ;") == .runScript("my file.sql") && ShellCommand("spool off") == .spool(nil))
        for bad in ["output xml", "exit now", "spool", "run script", "history -1", "wrap maybe", "server a b"] {
            #expect(throws: MartletError.self, "\(bad)") { try ShellCommand(bad) }
        }
        for statement in ["SELECT 1;", "", "-- help", "helper", "run x", "DESCRIBE server;", "SHOW STREAMS;"] { #expect(!ShellCommand.isCommand(statement), "\(statement)") }
        #expect(ShellCommand.isCommand("  Exit;") && ShellCommand.isCommand("RUN SCRIPT 'x';"))
    }

    @Test func scriptsSpoolsAndServers() throws {
        let server = try server([("/info", Self.info), ("SHOW", Self.json(#"[{"@type":"streams","streams":[]}]"#))])
        defer { server.stop() }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("shell-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let script = folder.appendingPathComponent("a b.sql").path, spool = folder.appendingPathComponent("spool.txt").path
        try "SHOW STREAMS;\n".write(toFile: script, atomically: true, encoding: .utf8)
        let written = Written()
        let shell = try shell(server, written)
        let status = shell.run(
            script: "spool '\(spool)'\nrun script '\(script)';\nspool off\nversion\nserver http://127.0.0.1:\(server.port)\nwrap off\noutput\nexit\nSHOW STREAMS;")
        #expect(status == 0)
        let said = "There are no streams. CREATE STREAM makes one.\n"
        #expect(
            written.results == "Everything goes to \(spool) as well.\n" + said + "\(spool) is written.\nShell: 0.1.0\nServer: 7.9.0-martlet\n"
                + "http://127.0.0.1:\(server.port) is RUNNING (API 7.9.0-martlet).\nWrapping is OFF.\nOutput is TABULAR.\n")
        #expect(try String(contentsOfFile: spool, encoding: .utf8) == "Everything goes to \(spool) as well.\n" + said)
        #expect(shell.run(script: "run script '\(folder.path)/none.sql'") == 1 && shell.run(script: "output xml") == 1)
        #expect(
            written.complaints == "error: cannot read \(folder.path)/none.sql: no such file or directory\nerror: the form of the command is: output [TABULAR|JSON]\n")
        // A script that calls itself ends.
        try "run script '\(script)'".write(toFile: script, atomically: true, encoding: .utf8)
        #expect(shell.run(script: "run script '\(script)'") == 1 && written.complaints.contains("more than 16 deep"))
    }

    @Test func aPersonInterruptsAQueryAndStaysInTheShell() async throws {
        let header = #"[{"header":{"queryId":"q_7","schema":"`A` INTEGER"}},"# + "\n" + #"{"row":{"columns":[42]}},"# + "\n"
        let server = try server([
            ("/info", Self.info), ("/close-query", Self.json("")), ("/query-stream", .init("HTTP/1.1 200 OK\r\n\r\n" + header, hangs: true)),
            ("SHOW", Self.json(#"[{"@type":"streams","streams":[]}]"#)),
        ])
        defer { server.stop() }
        let pty = try #require(PseudoTerminal(columns: 100))
        let interrupts = try #require(Interrupts())
        let address = try ServerAddress("127.0.0.1:\(server.port)")
        let (statuses, continuation) = AsyncStream.makeStream(of: Int32.self)
        Thread.detachNewThread {
            let shell = Shell(RestClient(address, interrupts: interrupts), out: ShellOutput(output: pty.shell, errors: pty.shell), interrupts: interrupts)
            continuation.yield(shell.runInteractively(terminal: Terminal(input: pty.shell, output: pty.shell), history: History(path: nil)))
            continuation.finish()
        }
        func see(_ text: String) {
            guard pty.person >= 0, pty.look(for: text) == nil else { return }
            Issue.record("no \(text) on the screen, but \(pty.rest)")
            pty.hangUp()
        }
        func seePrompt() {
            see(PseudoTerminal.lineBegins)
            see("martlet> ")
        }
        see("is RUNNING (API 7.9.0-martlet)")
        seePrompt()
        pty.type("SELECT * FROM s EMIT CHANGES;\r")
        see("|       42 |")  // Shown although the query goes on.
        interrupts.signal()
        see("Query terminated.")
        seePrompt()
        pty.type("SHOW STREAMS;\r")
        see("There are no streams.")
        seePrompt()
        pty.type("bye\u{3}")
        seePrompt()
        pty.type("\u{4}")
        #expect(await statuses.first { _ in true } == 0)
        #expect(server.requests.contains { $0.hasPrefix("POST /close-query") && $0.hasSuffix(#"{"queryId":"q_7"}"#) })
    }

    @Test func thereIsNoServer() throws {
        let server = try server([])
        server.stop()
        let written = Written()
        let shell = try shell(server, written)
        #expect(shell.run(script: "SHOW STREAMS;") == 1)
        #expect(written.complaints == "error: cannot reach http://127.0.0.1:\(server.port): connection refused\n  start a server with: martlet dev\n")
    }

    @Test func tabKnowsWordsAndNames() {
        var cache = NameCache()
        var fetched = 0
        func names() -> [String] {
            fetched += 1
            return NameCache.names([["streams": [["name": "SELECTIONS"], ["name": "CLICKS"]]], ["topics": [["name": "clicks"]]]])
        }
        #expect(cache.completions(before: "", word: "sel", fetch: names) == ["select"] && fetched == 0)
        #expect(cache.completions(before: "SELECT * FROM ", word: "c", fetch: names).prefix(2) == ["CLICKS", "case"])
        #expect(cache.completions(before: "x ", word: "SEL", fetch: names) == ["SELECTIONS", "SELECT"] && fetched == 1)
        cache.forget()
        #expect(cache.completions(before: "x ", word: "", fetch: names).isEmpty && fetched == 1)
    }
}
