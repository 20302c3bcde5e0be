import Logging
import MartletCore
import MartletEngine
import MartletLog
import MartletModels
import MartletSQL

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Events `{"user","amount"}` of 10,000 users, keyed by user, over ten minutes, to COUNT and SUM per user and minute: exactly once, with a
/// changelog, on one stream thread. Once with the record cache on, once off, where every update comes out.
enum WindowCount {
    static func run(rows: Int) async throws {
        try await run(rows: rows, name: "window-count", limit: 2_000_000, properties: [:])
        try await run(rows: rows, name: "window-count/every-update", limit: 300_000, properties: ["cache.max.bytes.buffering": "0"])
        Suite.line("window-count/peak-rss", Suite.peakRSSMegabytes(), "MB", nil, nil)
    }

    private static func run(rows: Int, name: String, limit: Double, properties: [String: String]) async throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let time = TimeSource.system
        let log = try EmbeddedLog.open(directory: directory, config: LogConfig(durability: .os), time: time, logger: logger)
        let engine = try await Engine.open(
            log: log, registry: try SchemaRegistry(log: log, time: time), models: try ModelRegistry(directory: "\(directory)/models"),
            config: EngineConfig(
                streamThreads: 1, properties: ["auto.offset.reset": "earliest"].merging(properties) { $1 }, stateDirectory: "\(directory)/state"), time: time, logger: logger)
        try log.createTopic("events", partitions: 1, settings: [:])
        guard let source = log.partition(TopicPartition("events", 0)) else { return }
        var random = SeededRandom(seed: 1)
        var builder = RecordBatchBuilder()
        for row in 0..<rows {
            let user = "user-\(Int.random(in: 0..<10_000, using: &random))"
            let value = Array(#"{"user":"\#(user)","amount":\#(Int.random(in: 0..<100_000, using: &random)).25}"#.utf8), key = Array(user.utf8)
            let at = Int64(row) * 600_000 / Int64(rows)
            value.withUnsafeBytes { value in key.withUnsafeBytes { builder.append(timestamp: at, key: $0, value: value, headers: nil) } }
            if builder.sizeBytes > 500_000 || row == rows - 1 {
                let batch = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
                _ = try batch.withUnsafeBytes { try source.append(client: $0) }
            }
        }
        while source.highWatermark < Int64(rows) { usleep(1000) }
        _ = try await engine.execute("CREATE STREAM events (user STRING KEY, amount DOUBLE) WITH (kafka_topic='events', value_format='JSON');")
        var rates: [Double] = []
        for round in 0..<3 {
            let table = "COUNTS_\(round)"
            let start = time.monotonicNs
            _ = try await engine.execute(
                """
                CREATE TABLE \(table) AS SELECT user, COUNT(*) AS n, SUM(amount) AS total FROM events \
                WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY user;
                """)
            guard let query = await engine.runningQueries.first(where: { $0.sink.topic == table }) else { return }
            let group = query.consumerGroup
            while (log.groupOffsets.committed(group: group, source.id)?.offset ?? 0) < Int64(rows) {
                if let error = query.error { throw error }
                usleep(500)
            }
            rates.append(Double(rows) / (Double(time.monotonicNs - start) * 1e-9))
            let terminated = query.id
            _ = try await engine.execute("TERMINATE \(terminated); DROP TABLE \(table) DELETE TOPIC;")
        }
        let rate = Suite.median(rates)
        Suite.line(name, rate, "events/s", ("aim", limit), rate / limit)
        await engine.stop()
        log.close()
    }
}
