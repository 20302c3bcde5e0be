import Logging
import MartletColumns
import MartletConnect
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

/// The article's preprocessing: a backlog of 34-column DELIMITED payments in one partition, to the Avro topic, exactly once, one stream thread.
///
/// Once with results on disk before a commit returns, once without (`/os`): the first is bound by the disk where that writes less than about
/// 700 MB/s. The reference is a bare loop over the same bytes: parse the needed fields, filter, encode, CRC; no engine, no log.
enum Preprocess {
    static func run(rows: Int) async throws {
        try await run(rows: rows, durability: .fsync, name: "fraud-preprocess")
        try await run(rows: rows, durability: .os, name: "fraud-preprocess/os")
        Suite.line("fraud-preprocess/peak-rss", Suite.peakRSSMegabytes(), "MB", ("limit", 300), Suite.peakRSSMegabytes() / 300)
    }

    private static func run(rows: Int, durability: LogConfig.Durability, name benchmark: String) async throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let time = TimeSource.system
        let log = try EmbeddedLog.open(directory: directory, config: LogConfig(durability: durability), time: time, logger: logger)
        let engine = try await Engine.open(
            log: log, registry: try SchemaRegistry(log: log, time: time), models: try ModelRegistry(directory: "\(directory)/models"),
            config: EngineConfig(streamThreads: 1, properties: ["auto.offset.reset": "earliest"]), time: time, logger: logger)
        try log.createTopic("creditcardfraud_source", partitions: 1, settings: [:])
        guard let source = log.partition(TopicPartition("creditcardfraud_source", 0)) else { return }
        var generator = CreditCardGenerator(seed: 1)
        var builder = RecordBatchBuilder()
        var line: [UInt8] = [], sample: [[UInt8]] = []
        for row in 0..<rows {
            line.removeAll(keepingCapacity: true)
            let truth = generator.appendRow(to: &line)
            if truth.hasClass && sample.count < 4096 { sample.append(line) }
            line.withUnsafeBytes { builder.append(timestamp: 0, key: nil, value: $0, headers: nil) }
            if builder.sizeBytes > 500_000 || row == rows - 1 {
                let batch = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
                _ = try batch.withUnsafeBytes { try source.append(client: $0) }
            }
        }
        while source.highWatermark < Int64(rows) { usleep(1000) }
        let components = (1...28).map { "V\($0)" }
        _ = try await engine.execute(
            """
            CREATE STREAM creditcardfraud_source (Id bigint, Timestamp varchar, User varchar, Time int, \
            \(components.map { "\($0) double" }.joined(separator: ", ")), Amount double, Class string) \
            WITH (kafka_topic='creditcardfraud_source', value_format='DELIMITED');
            """)
        var rates: [Double] = [], references: [Double] = []
        for round in 0..<5 {
            let bare = FormatBenchmarks.bareLoop(lines: sample)
            references.append(Double(bare.rows) / bare.seconds)
            let name = "preprocessed_\(round)"
            let start = time.monotonicNs
            _ = try await engine.execute(
                """
                CREATE STREAM \(name) WITH (VALUE_FORMAT='AVRO', KAFKA_TOPIC='\(name)') AS SELECT Time, \
                \(components.joined(separator: ", ")), Amount, Class FROM creditcardfraud_source WHERE Class IS NOT NULL;
                """)
            guard let query = await engine.runningQueries.first(where: { $0.sink.topic == name }) else { return }
            let group = query.consumerGroup
            while (log.groupOffsets.committed(group: group, source.id)?.offset ?? 0) < Int64(rows) {
                if let error = query.error { throw error }
                usleep(500)
            }
            rates.append(Double(rows) / (Double(time.monotonicNs - start) * 1e-9))
            let terminated = query.id
            // The topic stays: where the disk discards what is deleted, that would hold up the syncs of the next round.
            _ = try await engine.execute("TERMINATE \(terminated); DROP STREAM \(name);")
        }
        let rate = Suite.median(rates), reference = Suite.median(references)
        Suite.line(benchmark, rate, "rows/s", ("bare loop", reference), rate / reference)
        await engine.stop()
        log.close()
    }
}

/// Records through the log in process: the engine's path.
enum LogThroughput {
    static func run() throws {
        let directory = Suite.temporaryDirectory()
        defer { Suite.remove(directory) }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let log = try EmbeddedLog.open(directory: directory, config: LogConfig(durability: .os), time: .system, logger: logger)
        try log.createTopic("t", partitions: 1, settings: [:])
        guard let partition = log.partition(TopicPartition("t", 0)) else { return }
        let rows = 4096, rounds = 1000, size = 100
        let buffer = [UInt8](repeating: 7, count: size)
        let starts = [UInt32](repeating: 0, count: rows), lengths = [Int32](repeating: Int32(size), count: rows)
        let noKeys = [Int32](repeating: -1, count: rows), timestamps = [Int64](repeating: 0, count: rows)
        var builder = RecordBatchBuilder()
        let start = TimeSource.system.monotonicNs
        for _ in 0..<rounds {
            builder.append(
                timestamps: timestamps, keyBuffer: [], keyStarts: starts, keyLengths: noKeys, valueBuffer: buffer, valueStarts: starts,
                valueLengths: lengths, rows: 0..<rows)
            let batch = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
            _ = try batch.withUnsafeBytes { try partition.append(client: $0) }
        }
        let appended = TimeSource.system.monotonicNs
        var position: Int64 = 0, seen = 0
        var reused: RecordBlock?
        while seen < rows * rounds {
            let block = try partition.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
            if block.nextOffset == position { break }
            seen += block.count
            position = block.nextOffset
            reused = block
        }
        let read = TimeSource.system.monotonicNs
        let count = Double(rows * rounds)
        Suite.line("log/append-100B", count / (Double(appended - start) * 1e-9), "records/s", ("aim", 5e6), count / (Double(appended - start) * 1e-9) / 5e6)
        Suite.line("log/read-100B", count / (Double(read - appended) * 1e-9), "records/s", ("aim", 10e6), count / (Double(read - appended) * 1e-9) / 10e6)
        log.close()
    }
}
