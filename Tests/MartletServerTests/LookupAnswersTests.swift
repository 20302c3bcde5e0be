import MartletCore
import Testing

@testable import MartletServer

/// Pull queries by key over HTTP: the answers given at once are those that go the whole way.
@Suite struct LookupAnswersTests {
    private func setUp(_ fixture: ServerFixture) async throws {
        _ = try await fixture.json(
            "POST", "/ksql",
            [
                "ksql": """
                CREATE STREAM s (k STRING KEY, n INT) WITH (kafka_topic='s', value_format='JSON', partitions=2);
                CREATE TABLE t AS SELECT k, COUNT(*) AS c FROM s GROUP BY k;
                INSERT INTO s VALUES ('a', 1); INSERT INTO s VALUES ('b', 2); INSERT INTO s VALUES ('a', 3);
                """, "streamsProperties": ["auto.offset.reset": "earliest"],
            ])
        try await fixture.eventually("the query has read everything") { await fixture.engine.hasProcessedInput }
    }

    @Test func everyShapeIsTheSameEachTime() async throws {
        try await ServerFixture.with { fixture in
            try await setUp(fixture)
            let body = #"{"sql":"SELECT * FROM t WHERE k = 'a';"}"#
            let schema = #""schema":"`K` STRING KEY, `C` BIGINT"}},"#
            for (path, accept, lines) in [
                ("/query-stream", "application/vnd.ksqlapi.delimited.v1", [#"{"queryId":null,"columnNames":["K","C"],"columnTypes":["STRING","BIGINT"]}"#, #"["a",2]"#]),
                ("/query-stream", "application/json", [#"[{"queryId":null,"columnNames":["K","C"],"columnTypes":["STRING","BIGINT"]}"#, #",["a",2]"#, "]"]),
                ("/query", "application/vnd.ksql.v1+json", [schema, #"{"row":{"columns":["a",2]}}]"#]),
            ] {
                for round in 0..<3 {
                    let response = try await fixture.ask("POST", path, body, headers: ["accept: \(accept)"])
                    #expect(response.status == 200 && response.headers["content-type"] == accept)
                    #expect(zip(response.lines, lines).allSatisfy { $0.hasSuffix($1) } && response.lines.count == lines.count, "round \(round): \(response.text)")
                }
            }
            // Other keys, no rows, and keys that look like SQL.
            for (key, rows) in [("b", [#"["b",1]"#]), ("none", []), ("a'' OR 1=1 --", []), ("''", [])] {
                let response = try await fixture.ask("POST", "/query-stream", #"{"sql":"SELECT * FROM t WHERE k = '\#(key)';"}"#)
                #expect(Array(response.lines.dropFirst()) == rows, "\(key)")
            }
        }
    }

    @Test func changesAreSeen() async throws {
        try await ServerFixture.with { fixture in
            try await setUp(fixture)
            func ask() async throws -> (Int, String) {
                let response = try await fixture.ask("POST", "/query-stream", #"{"sql":"SELECT c FROM t WHERE k = 'a';"}"#)
                return (response.status, response.lines.last ?? "")
            }
            #expect(try await ask() == (200, "[2]"))
            _ = try await fixture.ksql("INSERT INTO s VALUES ('a', 9);")
            try await fixture.eventually("the query has read everything") { await fixture.engine.hasProcessedInput }
            #expect(try await ask() == (200, "[3]"))
            let refused = try await fixture.ask(
                "POST", "/query-stream", #"{"sql":"SELECT c FROM t WHERE k = 'a' AND c > 1;","properties":{"ksql.query.pull.table.scan.enabled":"perhaps"}}"#)
            #expect(refused.status == 400)
            _ = try await fixture.ksql("DROP TABLE t DELETE TOPIC;")
            let gone = try await ask()
            #expect(gone.0 == 400 && gone.1.contains("T does not exist"))
            // What comes back under the name is another table.
            _ = try await fixture.ksql("CREATE TABLE t AS SELECT k, SUM(n) AS c FROM s GROUP BY k;")
            try await fixture.eventually("the query has read everything") { await fixture.engine.hasProcessedInput }
            let again = try await ask()
            #expect(again.0 == 200 && again.1 != "[3]")
        }
    }

    /// Many connections at once, each with several requests in one write.
    @Test func requestsInOneWriteAreAnsweredInOrder() async throws {
        try await ServerFixture.with { fixture in
            try await setUp(fixture)
            let keys = ["a", "b", "none", "a", "a", "b"]
            let expected = ["[2]", "[1]", #"{"queryId":null,"columnNames":["C"],"columnTypes":["BIGINT"]}"#, "[2]", "[2]", "[1]"]
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await fixture.client {
                            let connection = try RawConnection(port: fixture.ksqlPort)
                            for key in keys { try connection.send("POST", "/query-stream", #"{"sql":"SELECT c FROM t WHERE k = '\#(key)';"}"#) }
                            return try keys.map { _ in try connection.response().lines.last ?? "" }
                        }
                    }
                }
                for try await lines in group { #expect(lines == expected) }
            }
        }
    }
}
