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

/// State on disk: how long a start with a million groups takes, with it and without, and what a table of many groups takes in memory that may not
/// have all of them there.
enum StateBenchmarks {
    private struct Node {
        var log: EmbeddedLog
        var engine: Engine
        var source: PartitionLog

        init(_ directory: String, hasDisk: Bool, memory: Int?) async throws {
            var logger = Logger(label: "bench")
            logger.logLevel = .warning
            let time = TimeSource.system
            log = try EmbeddedLog.open(directory: directory, config: LogConfig(durability: .os), time: time, logger: logger)
            if log.topic("events") == nil { try log.createTopic("events", partitions: 1, settings: [:]) }
            guard let source = log.partition(TopicPartition("events", 0)) else { throw MartletError(.io, "no partition") }
            self.source = source
            engine = try await Engine.open(
                log: log, registry: try SchemaRegistry(log: log, time: time), models: try ModelRegistry(directory: "\(directory)/models"),
                config: EngineConfig(
                    streamThreads: 1, properties: ["auto.offset.reset": "earliest"], stateDirectory: hasDisk ? "\(directory)/state" : nil,
                    stateMemoryBytes: memory), time: time, logger: logger)
        }

        /// Events of random users below `users`, or of each user in turn.
        func produce(_ rows: Int, users: Int, inTurn: Bool) throws {
            var random = SeededRandom(seed: 7), builder = RecordBatchBuilder()
            let now = TimeSource.system.wallMs
            for row in 0..<rows {
                let key = Array("user-\(inTurn ? row % users : Int.random(in: 0..<users, using: &random))".utf8), value = Array(#"{"amount":1.25}"#.utf8)
                value.withUnsafeBytes { value in key.withUnsafeBytes { builder.append(timestamp: now, key: $0, value: value, headers: nil) } }
                if builder.sizeBytes > 500_000 || row == rows - 1 {
                    let batch = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
                    _ = try batch.withUnsafeBytes { try source.append(client: $0) }
                }
            }
        }

        /// Until the query has committed everything.
        func settle() async throws {
            guard let query = await engine.runningQueries.first(where: { $0.sink.name == "COUNTS" }) else { throw MartletError(.io, "no query") }
            let end = source.endOffset
            while (log.groupOffsets.committed(group: query.consumerGroup, source.id)?.offset ?? 0) < end {
                if let error = query.error { throw error }
                usleep(500)
            }
        }

        func stop() async {
            await engine.stop()
            log.close()
        }
    }

    private static let statements = """
        CREATE STREAM events (user STRING KEY, amount DOUBLE) WITH (kafka_topic='events', value_format='JSON');
        CREATE TABLE counts AS SELECT user, COUNT(*) AS n, SUM(amount) AS total FROM events GROUP BY user;
        """

    private static func seconds(_ body: () async throws -> Void) async throws -> Double {
        let start = TimeSource.system.monotonicNs
        try await body()
        return Double(TimeSource.system.monotonicNs - start) * 1e-9
    }

    /// - `groups`: users, each with five events.
    static func restart(groups: Int) async throws {
        for hasDisk in [false, true] {
            let directory = Suite.temporaryDirectory()
            defer { Suite.remove(directory) }
            var node = try await Node(directory, hasDisk: hasDisk, memory: nil)
            try node.produce(groups * 5, users: groups, inTurn: true)
            _ = try await node.engine.execute(statements)
            let first = try await seconds { try await node.settle() }
            let stop = try await seconds { await node.stop() }
            // Until the first row that comes after the start is counted.
            let start = try await seconds {
                node = try await Node(directory, hasDisk: hasDisk, memory: nil)
                try node.produce(1, users: groups, inTurn: true)
                try await node.settle()
            }
            await node.stop()
            let name = hasDisk ? "state/disk" : "state/changelog"
            Suite.line("\(name)/first", Double(groups * 5) / first, "events/s", nil, nil)
            Suite.line("\(name)/stop", stop, "s", nil, nil)
            Suite.line("\(name)/start", start, "s", nil, nil)
        }
    }

    /// Random users, a third of the events again and again of the same thousandth of them.
    static func memory(groups: Int, bytes: Int?) async throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        let node = try await Node(directory, hasDisk: bytes != nil, memory: bytes)
        _ = try await node.engine.execute(statements)
        let before = Suite.currentRSSMegabytes()
        var rates: [Double] = []
        for round in 0..<3 {
            let took = try await seconds {
                for _ in 0..<5 {
                    try node.produce(groups / 5, users: groups, inTurn: round == 0)
                    try node.produce(groups / 10, users: groups / 1000, inTurn: false)
                    try await node.settle()
                }
            }
            rates.append(Double(groups * 3 / 2) / took)
        }
        let name = bytes.map { "state/\($0 >> 20)-MB" } ?? "state/whole"
        for (round, rate) in rates.enumerated() { Suite.line("\(name)/round-\(round)", rate, "events/s", nil, nil) }
        Suite.line("\(name)/rss", Suite.currentRSSMegabytes(), "MB", ("before", before), nil)
        Suite.line("\(name)/peak-rss", Suite.peakRSSMegabytes(), "MB", nil, nil)
        await node.stop()
    }
}
