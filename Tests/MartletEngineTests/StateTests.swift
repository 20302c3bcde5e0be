import MartletCore
@testable import MartletLog
import MartletSQL
import Testing

@testable import MartletEngine

/// Queries with state on a log: results, restarts, look-ups, and what is left when they go.
@Suite struct StateTests {
    private func input(_ keys: [String], value: Int = 1) -> [(key: String?, value: String?)] { keys.map { ($0, "{\"V\":\(value)}") } }

    private func started(_ sql: String, properties: [String: String] = ["auto.offset.reset": "earliest"]) async throws -> EngineHarness {
        let harness = try await EngineHarness(properties: properties)
        try harness.topic("input")
        try await harness.execute("CREATE STREAM S (K VARCHAR KEY, V INT) WITH (kafka_topic='input', value_format='JSON');")
        try await harness.execute(sql)
        return harness
    }

    /// The table's rows once they are as expected, or as they are after some time.
    private func rows(_ harness: EngineHarness, _ sql: String, until expected: [String]) async throws -> [String] {
        var found: [String] = []
        for _ in 0..<500 {
            found = try await harness.rows(sql).sorted()
            if found == expected { return found }
            try await Task.sleep(for: .milliseconds(10))
        }
        return found
    }

    @Test func groupsGoOnAfterARestart() async throws {
        let harness = try await started("CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS TOTAL FROM S GROUP BY K;")
        try harness.produce("input", input(["a", "b", "a"]))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|2|2", "b|1|1"]) == ["a|2|2", "b|1|1"])
        try await harness.restart()
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|2|2", "b|1|1"]) == ["a|2|2", "b|1|1"])
        try harness.produce("input", input(["a", "c"], value: 5))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|3|7", "b|1|1", "c|1|5"]) == ["a|3|7", "b|1|1", "c|1|5"])
        await harness.close()
    }

    @Test func streamTimeAndWindowsSurviveARestart() async throws {
        let harness = try await started(
            "CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 10 SECONDS, RETENTION 1 HOUR, GRACE PERIOD 5 SECONDS) GROUP BY K;")
        try harness.produce("input", input(["a"]), timestamp: 1_000)
        try harness.produce("input", input(["a"]), timestamp: 21_000)
        let select = "SELECT K, WINDOWSTART, WINDOWEND, N FROM T;"
        let first = ["a|0|10000|1", "a|20000|30000|1"]
        #expect(try await rows(harness, select, until: first) == first)
        try await harness.restart()
        // The first window closed at 15 seconds: its row is late. The other two are in time.
        try harness.produce("input", input(["a"]), timestamp: 2_000)
        try harness.produce("input", input(["a"]), timestamp: 22_000)
        try harness.produce("input", input(["b"]), timestamp: 17_000)
        let then = ["a|0|10000|1", "a|20000|30000|2", "b|10000|20000|1"]
        #expect(try await rows(harness, select, until: then) == then)
        #expect(try await harness.rows("SELECT N FROM T WHERE K = 'a' AND WINDOWSTART >= 20000;") == ["2"])
        #expect(try await harness.rows("SELECT N FROM T WHERE K = 'a' AND WINDOWEND <= 10000;") == ["1"])
        await harness.close()
    }

    @Test func sessionsThatMergeAfterARestartDeleteTheOldOnes() async throws {
        let harness = try await started(
            "CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S WINDOW SESSION (10 SECONDS, GRACE PERIOD 1 HOUR) GROUP BY K;")
        try harness.produce("input", input(["a"]), timestamp: 0)
        try harness.produce("input", input(["a"]), timestamp: 15_000)
        let select = "SELECT K, WINDOWSTART, WINDOWEND, N FROM T;"
        let two = ["a|0|0|1", "a|15000|15000|1"]
        #expect(try await rows(harness, select, until: two) == two)
        try await harness.restart()
        try harness.produce("input", input(["a"]), timestamp: 8_000)
        #expect(try await rows(harness, select, until: ["a|0|15000|3"]) == ["a|0|15000|3"])
        await harness.close()
    }

    @Test func withoutACacheEveryUpdateComesOut() async throws {
        let harness = try await started(
            "CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;",
            properties: ["auto.offset.reset": "earliest", "cache.max.bytes.buffering": "0"])
        try harness.produce("input", input(["a", "a", "b", "a"]))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|3", "b|1"]) == ["a|3", "b|1"])
        let sink = try #require(harness.log.partition(TopicPartition("T", 0)))
        var reused: RecordBlock?
        let block = try sink.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
        let values = (0..<block.count).map { String(decoding: block.buffer[Int(block.valueStarts[$0])..<Int(block.valueStarts[$0]) + Int(block.valueLengths[$0])], as: UTF8.self) }
        #expect(values == [#"{"N":1}"#, #"{"N":2}"#, #"{"N":1}"#, #"{"N":3}"#])
        await harness.close()
    }

    @Test func rowsThatAreTakenBackLeaveTheirGroups() async throws {
        let harness = try await EngineHarness()
        try harness.topic("people")
        try await harness.execute(
            """
            CREATE TABLE PEOPLE (NAME VARCHAR PRIMARY KEY, CITY VARCHAR) WITH (kafka_topic='people', value_format='JSON');
            CREATE TABLE CITIES AS SELECT CITY, COUNT(*) AS N FROM PEOPLE GROUP BY CITY;
            CREATE TABLE LARGE AS SELECT CITY, COUNT(*) AS N FROM PEOPLE GROUP BY CITY HAVING COUNT(*) > 1;
            """)
        try harness.produce("people", [("ann", #"{"CITY":"Rome"}"#), ("bob", #"{"CITY":"Rome"}"#), ("cid", #"{"CITY":"Oslo"}"#)])
        #expect(try await rows(harness, "SELECT * FROM CITIES;", until: ["Oslo|1", "Rome|2"]) == ["Oslo|1", "Rome|2"])
        #expect(try await rows(harness, "SELECT * FROM LARGE;", until: ["Rome|2"]) == ["Rome|2"])
        try await harness.restart()
        try harness.produce("people", [("bob", #"{"CITY":"Oslo"}"#), ("ann", nil)])
        #expect(try await rows(harness, "SELECT * FROM CITIES;", until: ["Oslo|2", "Rome|0"]) == ["Oslo|2", "Rome|0"])
        #expect(try await rows(harness, "SELECT * FROM LARGE;", until: ["Oslo|2"]) == ["Oslo|2"])
        await harness.close()
    }

    @Test func finalResultsComeOnceWhenTheWindowIsOver() async throws {
        let harness = try await started(
            "CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 0 SECONDS) GROUP BY K EMIT FINAL;")
        try harness.produce("input", input(["a", "b", "a"]), timestamp: 1_000)
        try harness.produce("input", input(["a"]), timestamp: 10_000)
        let select = "SELECT K, WINDOWSTART, N FROM T;"
        #expect(try await rows(harness, select, until: ["a|0|2", "b|0|1"]) == ["a|0|2", "b|0|1"])
        try await harness.restart()
        try harness.produce("input", input(["b"]), timestamp: 25_000)
        let all = ["a|0|2", "a|10000|1", "b|0|1"]
        #expect(try await rows(harness, select, until: all) == all)
        let sink = try #require(harness.log.partition(TopicPartition("T", 0)))
        var reused: RecordBlock?
        #expect(try sink.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused).count == 3)
        await harness.close()
    }

    @Test func stateGoesWithItsQuery() async throws {
        let harness = try await started("CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
        try harness.produce("input", input(["a"]))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|1"]) == ["a|1"])
        let query = try #require(await harness.engine.runningQueries.first)
        func internalTopics() -> [String] { harness.log.topics.map(\.name).filter { $0.hasPrefix("_confluent-ksql-default_query_\(query.id)-") } }
        #expect(internalTopics().count { $0.hasSuffix("-changelog") } == 1)
        try await harness.execute("TERMINATE \(query.id);")
        #expect(internalTopics() == [])
        await harness.close()
    }

    @Test func anOverflowStopsTheQuery() async throws {
        let harness = try await EngineHarness()
        try harness.topic("input")
        try await harness.execute(
            """
            CREATE STREAM S (K VARCHAR KEY, D DECIMAL(2,0)) WITH (kafka_topic='input', value_format='JSON');
            CREATE TABLE T AS SELECT K, SUM(D) AS TOTAL FROM S GROUP BY K;
            """)
        try harness.produce("input", [("a", #"{"D":60}"#), ("a", #"{"D":60}"#)])
        let query = try #require(await harness.engine.runningQueries.first)
        for _ in 0..<500 where query.state != .error { try await Task.sleep(for: .milliseconds(10)) }
        #expect(query.state == .error)
        #expect(try await harness.rows("SELECT * FROM T;") == [])
        await harness.close()
    }

    @Test func pullQueriesFindKeysAndRanges() async throws {
        let harness = try await started("CREATE TABLE T AS SELECT K, SUM(V) AS TOTAL FROM S GROUP BY K;")
        for (i, key) in ["a", "b", "c", "d"].enumerated() { try harness.produce("input", input([key], value: i)) }
        let all = ["a|0", "b|1", "c|2", "d|3"]
        #expect(try await rows(harness, "SELECT * FROM T;", until: all) == all)
        #expect(try await harness.rows("SELECT TOTAL FROM T WHERE K = 'c';") == ["2"])
        #expect(try await harness.rows("SELECT TOTAL FROM T WHERE K = 'x';") == [])
        #expect(try await harness.rows("SELECT K FROM T WHERE K IN ('d', 'a', 'y');").sorted() == ["a", "d"])
        #expect(try await harness.rows("SELECT K FROM T WHERE K > 'a' AND K <= 'c';") == ["b", "c"])
        #expect(try await harness.rows("SELECT K FROM T WHERE TOTAL >= 2;").sorted() == ["c", "d"])
        #expect(try await harness.rows("SELECT K FROM T LIMIT 2;").count == 2)
        await harness.close()
    }

    @Test func pushQueriesGroupInMemory() async throws {
        let harness = try await started("CREATE STREAM COPY AS SELECT * FROM S;")
        try harness.produce("input", input(["a", "b", "a"]))
        #expect(try await harness.push("SELECT K, COUNT(*) AS N FROM S GROUP BY K", count: 3) == ["a|1", "b|1", "a|2"])
        #expect(await harness.engine.runningQueries.count == 1)
        await harness.close()
    }

    @Test func aReplacedAggregateGoesOn() async throws {
        let harness = try await started("CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
        try harness.produce("input", input(["a", "a"]))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|2"]) == ["a|2"])
        try await harness.execute("CREATE OR REPLACE TABLE T AS SELECT K, COUNT(*) AS N FROM S WHERE V > 1 GROUP BY K;")
        try harness.produce("input", input(["a"], value: 1))
        try harness.produce("input", input(["a"], value: 2))
        #expect(try await rows(harness, "SELECT * FROM T;", until: ["a|3"]) == ["a|3"])
        await harness.close()
    }
}
