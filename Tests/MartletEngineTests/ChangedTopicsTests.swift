import MartletCore
import MartletLog
import Testing

@testable import MartletEngine

@Suite(.serialized) struct ChangedTopicsTests {
    /// Waits until the query that writes `sink` has stopped with `message`.
    func query(_ harness: EngineHarness, writing sink: String, stopsWith message: String) async throws -> RunningQuery? {
        for _ in 0..<500 {
            if let query = await harness.engine.runningQueries.first(where: { $0.sink.name == sink }), query.state == .error,
                query.error?.message == message
            {
                return query
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    @Test func aPartitionThatIsAddedIsRead() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute("CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;")
        try harness.produce("t", [(nil, "1")])
        #expect(try await harness.push("SELECT a FROM o", count: 1) == ["1"])
        guard case .rows(let push) = try await harness.engine.query("SELECT a FROM s EMIT CHANGES LIMIT 3;") else { return }
        #expect(try await push.rows.next()?.count == 1)
        try harness.log.createPartitions("t", total: 3)
        try harness.produce("t", partition: 0, [(nil, "2")])
        try harness.produce("t", partition: 2, [(nil, "3")])
        #expect(try await harness.push("SELECT a FROM o", count: 3).sorted() == ["1", "2", "3"])
        var pushed = 0
        while let batch = try await push.rows.next() { pushed += batch.count }
        #expect(pushed == 2)
        await harness.close()
    }

    // The statement said one partition; that there are three now must not cost the stream, nor what was made from it.
    @Test func streamsOverTopicsThatChangedAreThereAfterARestart() async throws {
        let harness = try await EngineHarness()
        try await harness.execute(
            """
            CREATE STREAM s (a INT) WITH (kafka_topic='t', partitions=1, value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;
            CREATE STREAM s2 (a INT) WITH (kafka_topic='t2', partitions=1, value_format='DELIMITED'); CREATE STREAM o2 AS SELECT a FROM s2;
            """)
        try harness.log.createPartitions("t", total: 3)
        try harness.log.deleteTopic("t2")
        try await harness.restart()
        try harness.produce("t", partition: 2, [(nil, "3")])
        #expect(try await harness.push("SELECT a FROM o", count: 1) == ["3"])
        #expect(try await query(harness, writing: "O2", stopsWith: "topic t2 does not exist") != nil)
        try harness.topic("t2", partitions: 2)
        try harness.produce("t2", partition: 1, [(nil, "7")])
        #expect(try await harness.push("SELECT a FROM o2", count: 1) == ["7"])
        await harness.close()
    }

    @Test func aDeletedSourceTopicStopsTheQueryUntilItIsBack() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute("CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED'); CREATE STREAM o AS SELECT a FROM s;")
        try harness.produce("t", [(nil, "1"), (nil, "2"), (nil, "3")])
        #expect(try await harness.push("SELECT a FROM o", count: 3) == ["1", "2", "3"])
        guard case .rows(let push) = try await harness.engine.query("SELECT * FROM s EMIT CHANGES;") else { return }
        #expect(try await push.rows.next()?.count == 3)
        try harness.log.deleteTopic("t")
        await #expect(throws: MartletError.self) { _ = try await push.rows.next() }
        let stopped = try #require(try await query(harness, writing: "O", stopsWith: "topic t was deleted"))
        try harness.topic("t")
        try harness.produce("t", [(nil, "4")])
        #expect(try await harness.push("SELECT a FROM o", count: 4) == ["1", "2", "3", "4"])
        #expect(stopped.state == .running && stopped.error == nil)
        await harness.close()
    }

    // One query's sink is gone: it stops, and nothing else on its thread does.
    @Test func aDeletedSinkTopicStopsOnlyItsQuery() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try await harness.execute(
            """
            CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='DELIMITED');
            CREATE STREAM lost AS SELECT a FROM s; CREATE STREAM kept AS SELECT a FROM s;
            """)
        try harness.produce("t", [(nil, "1")])
        #expect(try await harness.push("SELECT a FROM lost", count: 1) == ["1"])
        try harness.log.deleteTopic("LOST")
        try harness.produce("t", [(nil, "2")])
        #expect(try await query(harness, writing: "LOST", stopsWith: "topic LOST was deleted") != nil)
        #expect(try await harness.push("SELECT a FROM kept", count: 2) == ["1", "2"])
        await harness.close()
    }

    // A join is in the middle of a block when it is paused; the other queries of the thread must still commit.
    @Test func aPausedJoinDoesNotHoldUpItsThread() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try harness.topic("users")
        try await harness.execute(
            """
            CREATE STREAM s (k VARCHAR KEY, a INT) WITH (kafka_topic='t', value_format='JSON', key_format='KAFKA');
            CREATE TABLE u (k VARCHAR PRIMARY KEY, c INT) WITH (kafka_topic='users', value_format='JSON', key_format='KAFKA');
            CREATE STREAM joined AS SELECT s.k AS k, a, c FROM s JOIN u ON s.k = u.k;
            CREATE STREAM other AS SELECT k, a FROM s;
            """)
        for round in 0..<20 {
            try harness.produce("users", (0..<200).map { ("k\($0)", "{\"C\":\(round)}") }, timestamp: 5)
            try harness.produce("t", (0..<200).map { ("k\($0)", "{\"A\":\($0)}") }, timestamp: 5)
            try await harness.execute("PAUSE \(await harness.engine.runningQueries.first { $0.sink.name == "JOINED" }!.id);")
            #expect(try await harness.push("SELECT a FROM other", count: 200 * (round + 1)).count == 200 * (round + 1))
            try await harness.execute("RESUME ALL;")
        }
        #expect(try await harness.push("SELECT a FROM joined", count: 4000).count == 4000)
        await harness.close()
    }

    @Test func printTellsTheFormatOfTheFirstKeyThatIsOne() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try harness.produce("t", [(nil, "{\"A\":1}"), ("word", nil), ("word", "{\"A\":2}")])
        guard case .lines(let print) = try await harness.engine.query("PRINT t FROM BEGINNING LIMIT 3;") else { return }
        var lines: [String] = []
        while let some = try await print.lines.next() { lines += some }
        #expect(lines.map { String($0.prefix(10)) } == ["Key format", "Value form", "rowtime: 1", "Key format", "rowtime: 1", "rowtime: 1"])
        #expect(lines[0].contains("no data") && lines[1].hasSuffix("JSON") && lines[3] == "Key format: KAFKA_STRING")
        await harness.close()
    }
}
