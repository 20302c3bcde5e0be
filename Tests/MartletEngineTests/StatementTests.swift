import MartletColumns
import MartletCore
@testable import MartletLog
import MartletModels
import Testing

@testable import MartletEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Statements that are not queries: what they answer, what they leave behind, what they refuse.
@Suite(.serialized) struct StatementTests {
    static let model: String = {
        let here = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
        return "\(here)/Fixtures/models/linear.onnx"
    }()

    static let hasRuntime: Bool = {
        var template = Array("/tmp/martlet-runtime-XXXXXX".utf8CString)
        _ = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? PosixFileSystem().removeTree(directory) }
        return (try? ModelRegistry(directory: directory).create(name: "M", path: model)) != nil
    }()

    private func refused(_ harness: EngineHarness, _ sql: String) async -> MartletError? {
        do {
            try await harness.execute(sql)
            return nil
        } catch {
            return error as? MartletError
        }
    }

    @Test func aTerminatedQueryWritesNoMoreAndStaysGoneAfterARestart() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            "CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;")
        try harness.produce("t", [(nil, "1")])
        _ = try await harness.push("SELECT a FROM o", count: 1)
        let id = try #require(await harness.engine.runningQueries.first?.id)
        #expect(await refused(harness, "DROP STREAM s;")?.message.contains("The following streams and/or tables read from this source: [O]") == true)
        #expect(await refused(harness, "TERMINATE nope;")?.message.contains("Unknown queryId") == true)
        try await harness.execute("TERMINATE \(id);")
        try harness.produce("t", [(nil, "2")])
        #expect(try await harness.rows("SELECT a FROM o;") == ["1"])
        try await harness.restart()
        #expect(await harness.engine.runningQueries.isEmpty)
        #expect(try await harness.rows("SELECT a FROM o;") == ["1"])
        try await harness.execute("DROP STREAM o DELETE TOPIC; DROP STREAM s;")
        #expect(harness.log.topic("O") == nil && harness.log.topic("t") != nil)
        await harness.close()
    }

    @Test func aPausedQueryWaitsAndGoesOnWhereItWas() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            "CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;")
        try harness.produce("t", [(nil, "1")])
        _ = try await harness.push("SELECT a FROM o", count: 1)
        let id = try #require(await harness.engine.runningQueries.first?.id)
        try await harness.execute("PAUSE \(id);")
        #expect(await harness.engine.runningQueries.first?.state == .paused)
        try harness.produce("t", [(nil, "2")])
        try await harness.restart()
        #expect(await harness.engine.runningQueries.first?.state == .paused)
        #expect(try await harness.rows("SELECT a FROM o;") == ["1"])
        try await harness.execute("RESUME \(id);")
        #expect(try await harness.push("SELECT a FROM o", count: 2) == ["1", "2"])
        await harness.close()
    }

    @Test func insertedRowsAreReadAsTheirColumnsSay() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM s (k INT KEY, a BIGINT, b DECIMAL(5,2), c TIMESTAMP, d ARRAY<INT>, e BYTES) \
              WITH (kafka_topic='s', partitions=2, value_format='AVRO');
            INSERT INTO s VALUES (1, 2, 3.10, '2020-01-02T03:04:05', ARRAY[1, 2], 'AQI=');
            """)
        try await harness.engine.insert(
            [["K": 7, "a": 8, "B": .number("1.5"), "C": "2021-01-01", "D": [3], "e": "AA=="], ["k": 9]], into: "s")
        #expect(
            try await harness.rows("SELECT * FROM s;").sorted() == [
                "1|2|3.10|2020-01-02T03:04:05.000|[1, 2]|AQI=", "7|8|1.50|2021-01-01T00:00:00.000|[3]|AA==", "9|null|null|null|null|null",
            ])
        do {
            try await harness.engine.insert([["nope": 1]], into: "s")
            Issue.record("a column that does not exist was accepted")
        } catch {
            #expect(error.message.contains("NOPE"))
        }
        do {
            try await harness.engine.insert([["a": "text"]], into: "s")
            Issue.record("text was accepted for a number")
        } catch {
            #expect(error.message.contains("column A"))
        }
        await harness.close()
    }

    @Test func aFailureKeepsWhatWasAnsweredBefore() async throws {
        let harness = try await EngineHarness()
        do {
            _ = try await harness.engine.execute("SHOW STREAMS; DESCRIBE nope; SHOW TABLES;")
            Issue.record("a stream that does not exist was described")
        } catch {
            #expect(error.entities.count == 1)
            #expect(error.error.statement?.contains("DESCRIBE nope") == true)
        }
        // A syntax error anywhere prevents everything.
        do {
            _ = try await harness.engine.execute("CREATE TYPE t AS INT; SELEC;")
            Issue.record("a syntax error was accepted")
        } catch {
            #expect(error.entities.isEmpty && error.error.code == .syntax)
        }
        #expect(await harness.engine.currentCatalog.types.isEmpty)
        await harness.close()
    }

    @Test func printShowsRecordsOfEveryFormat() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            "CREATE STREAM s (a INT, b VARCHAR) WITH (kafka_topic='s', partitions=1, value_format='AVRO'); INSERT INTO s VALUES (1, 'x');")
        try harness.produce("s", [("key", "plain")])
        guard case .lines(let print) = try await harness.engine.query("PRINT s FROM BEGINNING LIMIT 2;") else { return }
        var lines: [String] = []
        while let more = try await print.lines.next() { lines += more }
        #expect(lines.contains("Value format: AVRO"))
        #expect(lines.contains { $0.contains("value: {\"A\":1,\"B\":\"x\"}, partition: 0") })
        #expect(lines.contains { $0.contains("key: key, value: plain") })
        await harness.close()
    }

    @Test(.enabled(if: hasRuntime, "ONNX Runtime is not here: make bootstrap")) func aModelIsAFunctionThatQueriesCall() async throws {
        let harness = try await EngineHarness()
        #expect(await refused(harness, "CREATE MODEL m WITH ('path'='/nowhere.onnx');")?.message.contains("/nowhere.onnx") == true)
        #expect(await refused(harness, "CREATE MODEL m WITH ('file'='x');")?.message.contains("'file' is not known") == true)
        try await harness.execute("CREATE MODEL m WITH ('path'='\(Self.model)');")
        try harness.topic("t")
        try await harness.execute(
            """
            CREATE STREAM s (a DOUBLE, b DOUBLE, c DOUBLE) WITH (kafka_topic='t', value_format='DELIMITED');
            CREATE STREAM o WITH (value_format='JSON') AS SELECT m(a, b, c) AS score FROM s;
            """)
        try harness.produce("t", [(nil, "1,2,3"), (nil, "4,,6")])
        let scores = try await harness.push("SELECT score FROM o", count: 2)
        #expect(Double(scores[0]) != nil && scores[1] == "null")
        #expect(await refused(harness, "CREATE STREAM p AS SELECT m(a, b) AS score FROM s;")?.message.contains("3") == true)
        #expect(await refused(harness, "DROP MODEL m;")?.message.contains("CSAS_O") == true)
        try await harness.restart()
        try harness.produce("t", [(nil, "1,2,3")])
        #expect(try await harness.push("SELECT score FROM o", count: 3)[2] == scores[0])
        let shown = try await harness.execute("SHOW MODELS; DESCRIBE MODEL m;")
        #expect(shown[0]["models"]?.arrayValue?.first?["name"]?.stringValue == "M")
        await harness.close()
    }

    // Written to by hand, the command topic would keep the next start from coming up.
    @Test func theSystemsOwnTopicsAreNotWritten() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        for topic in ["__consumer_offsets", "__transaction_state", "_confluent-ksql-default__command_topic"] {
            let name = topic.filter(\.isLetter)
            try await harness.execute(
                "CREATE STREAM \(name) (k STRING KEY, v STRING) WITH (kafka_topic='\(topic)', key_format='KAFKA', value_format='KAFKA');")
            for statement in ["INSERT INTO \(name) (k, v) VALUES ('a', 'b');", "INSERT INTO \(name) SELECT k, v FROM \(name);"] {
                do {
                    try await harness.execute(statement)
                    Issue.record("\(statement) was executed")
                } catch let error as MartletError {
                    #expect(error.message == "Cannot insert into the reserved internal topic: \(topic)")
                }
            }
        }
        // A Kafka client may write there nevertheless.
        try harness.produce("_confluent-ksql-default__command_topic", [(nil, "junk"), ("k", nil), (nil, "{}"), (nil, "[1]")])
        try await harness.restart()
        #expect(await harness.engine.sources.count == 4)
        await harness.close()
    }

    @Test func pullQueriesHaveRoomWhenPushQueriesHaveNone() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute("CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED');")
        try harness.produce("t", [(nil, "1")])
        var open: [QueryResult] = []
        for i in 0..<100 { open.append(try await harness.engine.query(i % 2 == 0 ? "SELECT * FROM s EMIT CHANGES;" : "PRINT t;")) }
        for sql in ["SELECT * FROM s EMIT CHANGES;", "PRINT t;"] {
            do {
                _ = try await harness.engine.query(sql)
                Issue.record("the 101st query was started")
            } catch {
                #expect(error.code == .tooManyQueries)
            }
        }
        #expect(try await harness.rows("SELECT a FROM s;") == ["1"])
        guard case .rows(let first) = open[0] else { return }
        #expect(await harness.engine.closeQuery(first.id))
        #expect(try await harness.push("SELECT a FROM s", count: 1) == ["1"])
        await harness.close()
    }

    // Also where the first query would begin at the end: what came while it was replaced is not lost.
    @Test(arguments: ["earliest", "latest"])
    func aReplacedQueryGoesOnWhereItWas(reset: String) async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            "CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o WITH (value_format='JSON') AS SELECT a FROM s;")
        try harness.produce("t", [(nil, "1"), (nil, "2")])
        #expect(try await harness.push("SELECT a FROM o", count: 2) == ["1", "2"])
        try await harness.execute("PAUSE ALL;")
        try harness.produce("t", [(nil, "3")])
        try await harness.execute("SET 'auto.offset.reset'='\(reset)'; CREATE OR REPLACE STREAM o WITH (value_format='JSON') AS SELECT a, a * 2 AS b FROM s;")
        try harness.produce("t", [(nil, "4")])
        #expect(try await harness.push("SELECT a, b FROM o", count: 4) == ["1|null", "2|null", "3|6", "4|8"])
        try await harness.restart()
        try harness.produce("t", [(nil, "5")])
        #expect(try await harness.push("SELECT a, b FROM o", count: 5) == ["1|null", "2|null", "3|6", "4|8", "5|10"])
        #expect(try await harness.rows("SELECT a FROM o;").count == 5)
        await harness.close()
    }

    @Test func aNewTopicIsReadByTheSchemaThatItsWritersRegistered() async throws {
        let harness = try await EngineHarness()
        let text = #"{"type":"record","name":"Theirs","fields":[{"name":"A","type":"long"}]}"#
        let id = try harness.engine.registry.register(subject: "t-value", schema: RegisteredSchema(kind: .avro, text: text))
        try await harness.execute("CREATE STREAM s WITH (kafka_topic='t', partitions=1, value_format='AVRO');")
        #expect(harness.engine.registry.latest(subject: "t-value")?.schema.text == text)
        try harness.produce("t", [(nil, "\0\0\0\0" + String(UnicodeScalar(UInt8(id))) + "\u{0e}")])
        #expect(try await harness.rows("SELECT a FROM s;") == ["7"])
        await harness.close()
    }
}
