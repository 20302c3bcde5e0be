import MartletCore
import MartletLog
import Testing

@testable import MartletEngine

/// One task, stepped by hand: what it tells its thread of the work that a commit is for.
@Suite struct StreamTaskTests {
    private struct Stepped {
        let task: StreamTask
        let writer: TransactionalWriter
        let sink: PartitionLog
        let processingLog: ProcessingLog

        func process() throws -> Bool { try task.process(in: writer, log: processingLog) }

        func commit(_ number: UInt64) throws {
            let token = CommitToken(number: number)
            try task.prepareCommit(in: writer, as: token, log: processingLog)
            try writer.commit()
            try task.committed(token)
            writer.begin()
        }

        func results() throws -> Int {
            var reused: RecordBlock?
            return try sink.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused).count
        }
    }

    /// A task of our own for the only stage of a query, which the engine has paused.
    private func stepped(_ harness: EngineHarness, writing sink: String) async throws -> Stepped {
        let query = try #require(await harness.engine.runningQueries.first { $0.sink.name == sink })
        try await harness.execute("PAUSE \(query.id);")
        let stage = try #require(query.plan.stages.count == 1 ? query.plan.stages.first : nil)
        guard case .sink(let output) = stage.output else { throw MartletError(.internalError, "\(sink) is no sink") }
        func log(_ topic: String) throws -> PartitionLog { try #require(harness.log.partition(TopicPartition(topic, 0))) }
        let sources = try stage.inputs.enumerated().map { leaf, input in
            guard case .source(_, let topic) = input.topic else { throw MartletError(.internalError, "an input is no topic") }
            return StreamTask.Source(log: try log(topic), position: 0, leaves: [leaf])
        }
        let registry = harness.engine.registry
        let task = try StreamTask(
            query: query, stage: stage, partition: 0, sources: sources,
            changelogs: { store throws(MartletError) in throw MartletError(.internalError, "\(store.name) wants a changelog") },
            copies: { store, reader, _ in TableCopy(store, reader: reader, directory: nil, index: nil) },
            sink: try SinkWriter(try SinkEncoder.Description(output, registry: registry), partitions: [try log(output.topic)]),
            setup: OperatorSetup(isPersistent: true), schemas: registry)
        try harness.topic("processing")
        let writer = try harness.log.transactions.writer(transactionalID: "stepped")
        writer.begin()
        return Stepped(
            task: task, writer: writer, sink: try log(output.topic), processingLog: ProcessingLog(partition: try log("processing"), time: .system))
    }

    /// A commit is prepared between two inputs: the rows that the task has in hand then are processed later, without anything being read. Their results
    /// are work for the next commit, or nobody would see them before the next record came.
    @Test func rowsInHandAreWorkForTheNextCommit() async throws {
        let harness = try await EngineHarness()
        try harness.topic("t")
        try harness.topic("users")
        try await harness.execute(
            """
            CREATE STREAM s (k VARCHAR KEY, a INT) WITH (kafka_topic='t', value_format='JSON', key_format='KAFKA');
            CREATE TABLE u (k VARCHAR PRIMARY KEY, c INT) WITH (kafka_topic='users', value_format='JSON', key_format='KAFKA');
            CREATE STREAM joined AS SELECT s.k AS k, a, c FROM s JOIN u ON s.k = u.k;
            """)
        let stepped = try await stepped(harness, writing: "JOINED")
        for (topic, value, time) in [("users", "{\"C\":1}", 5), ("t", "{\"A\":1}", 10), ("users", "{\"C\":2}", 15), ("t", "{\"A\":2}", 20)] as [(String, String, Int64)] {
            try harness.produce(topic, [("k", value)], timestamp: time)
        }
        // Once the table has handed out all that it has, it has to be asked for more: the stream's second row waits.
        #expect(try stepped.process() && stepped.task.hasUncommittedWork)
        try stepped.commit(1)
        #expect(try stepped.results() == 1)
        #expect(!stepped.task.hasUncommittedWork)
        #expect(try stepped.process())
        #expect(stepped.task.hasUncommittedWork, "a result waits, and nobody would commit it")
        try stepped.commit(2)
        #expect(try stepped.results() == 2)
        // Nothing is left: no commit for nothing.
        #expect(try !stepped.process() && !stepped.task.hasUncommittedWork)
        await harness.close()
    }
}
