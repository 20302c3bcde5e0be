import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletSQL
import MartletModels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Payments `{"amount"}` keyed by user meet the rows of 100,000 users: exactly once, on one stream thread.
enum StreamTableJoin {
    static func run(rows: Int) async throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let time = TimeSource.system
        let log = try EmbeddedLog.open(directory: directory, config: LogConfig(durability: .os), time: time, logger: logger)
        let engine = try await Engine.open(
            log: log, registry: try SchemaRegistry(log: log, time: time), models: try ModelRegistry(directory: "\(directory)/models"),
            config: EngineConfig(streamThreads: 1, properties: ["auto.offset.reset": "earliest"], stateDirectory: "\(directory)/state"), time: time, logger: logger)
        let users = 100_000
        try fill(log, "users", users, time: 0) { row, _ in ("user-\(row)", #"{"name":"Name of \#(row)","city":"City \#(row % 100)"}"#) }
        let source = try fill(log, "payments", rows, time: 1) { _, random in
            ("user-\(Int.random(in: 0..<users, using: &random))", #"{"amount":\#(Int.random(in: 0..<100_000, using: &random)).25}"#)
        }
        _ = try await engine.execute(
            """
            CREATE STREAM payments (user STRING KEY, amount DOUBLE) WITH (kafka_topic='payments', value_format='JSON');
            CREATE TABLE users (user STRING PRIMARY KEY, name STRING, city STRING) WITH (kafka_topic='users', value_format='JSON');
            """)
        var rates: [Double] = []
        for round in 0..<3 {
            let stream = "PAID_\(round)"
            let start = time.monotonicNs
            _ = try await engine.execute(
                "CREATE STREAM \(stream) AS SELECT p.user AS user, amount, name, city FROM payments p JOIN users u ON p.user = u.user;")
            guard let query = await engine.runningQueries.first(where: { $0.sink.topic == stream }) else { return }
            while (log.groupOffsets.committed(group: query.consumerGroup, source.id)?.offset ?? 0) < Int64(rows) {
                if let error = query.error { throw error }
                usleep(500)
            }
            rates.append(Double(rows) / (Double(time.monotonicNs - start) * 1e-9))
            let id = query.id
            _ = try await engine.execute("TERMINATE \(id); DROP STREAM \(stream) DELETE TOPIC;")
        }
        let rate = Suite.median(rates)
        Suite.line("stream-table-join", rate, "rows/s", ("aim", 600_000), rate / 600_000)
        await engine.stop()
        log.close()
    }

    @discardableResult
    private static func fill(
        _ log: EmbeddedLog, _ topic: String, _ rows: Int, time: Int64, _ record: (Int, inout SeededRandom) -> (key: String, value: String)
    ) throws -> PartitionLog {
        try log.createTopic(topic, partitions: 1, settings: [:])
        guard let partition = log.partition(TopicPartition(topic, 0)) else { throw MartletError(.unknownSource, "topic \(topic) does not exist") }
        var random = SeededRandom(seed: 1)
        var builder = RecordBatchBuilder()
        for row in 0..<rows {
            let (key, value) = record(row, &random)
            let keyBytes = Array(key.utf8), valueBytes = Array(value.utf8)
            valueBytes.withUnsafeBytes { value in keyBytes.withUnsafeBytes { builder.append(timestamp: time, key: $0, value: value, headers: nil) } }
            if builder.sizeBytes > 500_000 || row == rows - 1 {
                let batch = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
                _ = try batch.withUnsafeBytes { try partition.append(client: $0) }
            }
        }
        while partition.highWatermark < Int64(rows) { usleep(1000) }
        return partition
    }
}
