import MartletCore
import MartletLog
import Testing

@testable import MartletEngine

@Suite(.serialized) struct EngineTests {
    @Test func aStreamIsFilteredIntoAnotherAndReadByPullAndPush() async throws {
        let harness = try await EngineHarness()
        try harness.topic("clicks", partitions: 3)
        try await harness.execute(
            """
            CREATE STREAM clicks (id BIGINT, who VARCHAR, score DOUBLE) WITH (kafka_topic='clicks', value_format='DELIMITED');
            CREATE STREAM named AS SELECT who, score * 2 AS twice, id FROM clicks WHERE who IS NOT NULL;
            """)
        try harness.produce("clicks", partition: 0, [(nil, "1,ann,0.5"), (nil, "2,,1.5")])
        try harness.produce("clicks", partition: 2, [(nil, "3,bob,2.5")])
        #expect(try await harness.push("SELECT * FROM named", count: 2).sorted() == ["ann|1.0|1", "bob|5.0|3"])
        #expect(try await harness.rows("SELECT id, who FROM clicks;").sorted() == ["1|ann", "2|null", "3|bob"])
        #expect(try await harness.rows("SELECT id FROM clicks LIMIT 1;").count == 1)
        await harness.close()
    }

    // The query goes on where it was: nothing twice, nothing missing.
    @Test func queriesResumeAfterARestart() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            "CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a + 1 AS b FROM s;")
        try harness.produce("t", (0..<100).map { (nil, String($0)) })
        _ = try await harness.push("SELECT b FROM o", count: 100)
        try await harness.restart()
        try harness.produce("t", (100..<150).map { (nil, String($0)) })
        #expect(try await harness.push("SELECT b FROM o", count: 150) == (1...150).map(String.init))
        #expect(try await harness.rows("SELECT b FROM o;").count == 150)
        let listed = try await harness.execute("SHOW STREAMS; SHOW QUERIES;")
        #expect(listed[0]["streams"]?.arrayValue?.compactMap { $0["name"]?.stringValue } == ["KSQL_PROCESSING_LOG", "O", "S"])
        let persistent = (listed[1]["queries"]?.arrayValue ?? []).filter { $0["queryType"]?.stringValue == "PERSISTENT" }
        #expect(persistent.map { $0["id"]?.stringValue?.prefix(7) } == ["CSAS_O_"])
        #expect(persistent.first?["state"]?.stringValue == "RUNNING")
        await harness.close()
    }

    // A commit leaves a marker in its sink. Were stepping over it a reason to commit, each commit would cost the next query another one.
    @Test func aMarkerIsNoReasonToCommit() async throws {
        let harness = try await EngineHarness(durability: .fsync)
        try harness.topic("t")
        try await harness.execute(
            """
            CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED');
            CREATE STREAM o AS SELECT a + 1 AS b FROM s; CREATE STREAM oo AS SELECT b + 1 AS c FROM o;
            """)
        let second = try #require(await harness.engine.runningQueries.first { $0.sink.name == "OO" })
        let sink = try #require(harness.log.partition(TopicPartition("O", 0)))
        // Every decision is one record here.
        let decisions = try #require(harness.log.partition(TopicPartition("__transaction_state", 0)))
        let before = decisions.endOffset
        let rows = 20
        for row in 1...rows {
            try harness.produce("t", [(nil, String(row))])
            #expect(try await harness.push("SELECT c FROM oo", count: row).last == String(row + 2))
            // The marker comes into sight once it is on disk.
            while sink.lastStableOffset < sink.endOffset { await Task.yield() }
        }
        #expect(second.statistics.snapshot.rowsRead == Int64(rows))
        #expect(second.statistics.snapshot.commits <= Int64(rows))
        // Two queries, and now and then a round that saw half of a chain; with a commit for each marker it would be three a row.
        #expect(decisions.endOffset - before <= Int64(2 * rows + rows / 4))
        try await harness.restart()
        #expect(try await harness.rows("SELECT c FROM oo;") == (1...rows).map { String($0 + 2) })
        await harness.close()
    }

    @Test func aMalformedRecordIsReportedOnceAndTheQueryGoesOn() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            "CREATE STREAM s (a INT, b INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a, b FROM s;")
        try harness.produce("t", [(nil, "1,1"), (nil, "x,2"), (nil, "3"), (nil, "4,4")])
        #expect(try await harness.push("SELECT a FROM o", count: 2) == ["1", "4"])
        let reports = try await harness.push(
            "SELECT message->deserializationError->`offset` AS place, message->deserializationError->`topic` AS t FROM KSQL_PROCESSING_LOG", count: 2)
        #expect(reports == ["1|t", "2|t"])
        await harness.close()
    }

    @Test func aStreamIsJoinedWithATableByAnyColumn() async throws {
        let harness = try await EngineHarness()
        try harness.topic("payments", partitions: 2)
        try harness.topic("users", partitions: 2)
        try await harness.execute(
            """
            CREATE STREAM payments (id INT, who VARCHAR) WITH (kafka_topic='payments', value_format='DELIMITED');
            CREATE TABLE users (userid VARCHAR PRIMARY KEY, city VARCHAR) WITH (kafka_topic='users', value_format='DELIMITED');
            INSERT INTO users (userid, city) VALUES ('ann', 'Premium Rome');
            INSERT INTO users (userid, city) VALUES ('bob', 'Oslo');
            CREATE STREAM rich AS SELECT p.id AS id, p.who AS who, u.city AS city FROM payments p INNER JOIN users u ON p.who = u.userid
              WHERE u.city LIKE 'Premium%';
            """)
        try harness.produce("payments", partition: 0, [(nil, "1,ann"), (nil, "2,bob")], timestamp: 9_999_999_999_999)
        try harness.produce("payments", partition: 1, [(nil, "3,zoe"), (nil, "4,ann")], timestamp: 9_999_999_999_999)
        let rows = try await harness.push("SELECT id, city FROM rich", count: 2)
        #expect(rows.sorted() == ["1|Premium Rome", "4|Premium Rome"])
        await harness.close()
    }

    @Test func mistakesNameTheirPlace() async throws {
        let harness = try await EngineHarness()
        do {
            try await harness.execute("CREATE STREAM s (a INT) WITH (kafka_topic='nope', value_format='JSON');")
            Issue.record("a topic that does not exist was accepted")
        } catch let error as MartletError {
            #expect(error.message.contains("Topic 'nope' does not exist"))
        }
        do {
            try await harness.execute("CREATE STREAM s (a INT) WITH (kafka_topic='t', partitions=1, value_format='JSON');\nCREATE STREAM o AS SELECT b FROM s;")
            Issue.record("an unknown column was accepted")
        } catch let error as MartletError {
            #expect(error.span?.line == 1 || error.span?.line == 2)
            #expect(error.statement?.contains("SELECT b") == true)
        }
        await harness.close()
    }
}

extension EngineTests {
    // Retention was faster than the query: the gap is reported, what is left is processed.
    @Test func deletedRecordsAreReportedAndTheRestIsProcessed() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try harness.produce("t", (0..<10).map { (nil, String($0)) })
        try await harness.execute(
            "CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;")
        _ = try await harness.push("SELECT a FROM o", count: 10)
        let id = try #require(await harness.engine.runningQueries.first?.id)
        try await harness.execute("PAUSE \(id);")
        try harness.produce("t", (10..<20).map { (nil, String($0)) })
        _ = try #require(harness.log.partition(TopicPartition("t", 0))).deleteRecords(before: 15)
        try await harness.execute("RESUME \(id);")
        #expect(try await harness.push("SELECT a FROM o", count: 15).suffix(5) == ["15", "16", "17", "18", "19"])
        let reports = try await harness.push(
            "SELECT message->recordProcessingError->errorMessage AS text FROM KSQL_PROCESSING_LOG WHERE message->recordProcessingError IS NOT NULL", count: 1)
        #expect(reports == ["offsets 10 to 14 were deleted before they were read"])
        await harness.close()
    }
}
