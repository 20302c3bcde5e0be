import Logging
import MartletCore
import Synchronization
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A directory that is removed with everything in it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/martlet-log-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let made = mkdtemp(base) else { return "/tmp" }
            return String(cString: made)
        }
    }

    deinit { try? PosixFileSystem().removeTree(path) }
}

/// Collects log lines, so that tests can look for them.
final class LogLines: Sendable {
    let lines = Mutex<[String]>([])
    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(lines: self) }
        logger.logLevel = .debug
        return logger
    }
    func containing(_ text: String) -> [String] { lines.withLock { $0.filter { $0.contains(text) } } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: Logging.LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            lines.lines.withLock { $0.append("\(event.level) \(event.message) \(fields)") }
        }
    }
}

/// A log on a simulated disk, without background passes unless a test calls `maintain`.
func openLog(
    _ system: SimulatedFileSystem, durability: LogConfig.Durability = .fsync, time: ManualTime = ManualTime(wallMs: 1_000_000),
    lines: LogLines = LogLines(), _ change: (inout LogConfig) -> Void = { _ in }
) throws(MartletError) -> EmbeddedLog {
    var config = LogConfig(durability: durability)
    config.fileSystem = system
    config.maintenanceIntervalMs = 3_600_000
    change(&config)
    return try EmbeddedLog.open(directory: "/data", config: config, time: time.source, logger: lines.logger)
}

extension EmbeddedLog {
    func made(_ topic: String, partitions: Int32 = 1, _ settings: [String: String] = [:]) throws -> PartitionLog {
        try createTopic(topic, partitions: partitions, settings: settings)
        return try #require(partition(TopicPartition(topic, 0)))
    }
    func found(_ topic: String, _ partition: Int32 = 0) throws -> PartitionLog {
        try #require(self.partition(TopicPartition(topic, partition)))
    }
}

/// A batch of records with these values; the key of each is nil unless given.
func batch(_ values: [String], keys: [String?] = [], timestamp: Int64 = 1000, codec: CompressionCodec = .none) -> RecordBatchBuilder {
    var builder = RecordBatchBuilder(compression: codec)
    for (i, value) in values.enumerated() {
        let key: [UInt8]? = i < keys.count ? keys[i].map { Array($0.utf8) } : nil
        builder.append(timestamp: timestamp + Int64(i), key: key, value: Array(value.utf8))
    }
    return builder
}

extension RecordBatchBuilder {
    mutating func append(timestamp: Int64, key: [UInt8]?, value: [UInt8]?, headers: [UInt8]? = nil) {
        func with(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
            if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
        }
        with(key) { key in with(value) { value in with(headers) { headers in append(timestamp: timestamp, key: key, value: value, headers: headers) } } }
    }
}

/// The bytes of one batch as an idempotent or transactional client sends them.
func clientBatch(
    _ values: [String], producerID: Int64 = -1, epoch: Int16 = -1, sequence: Int32 = -1, isTransactional: Bool = false,
    codec: CompressionCodec = .none, timestamp: Int64 = 1000
) -> [UInt8] {
    var builder = batch(values, timestamp: timestamp, codec: codec)
    return builder.finish(producerID: producerID, epoch: epoch, baseSequence: sequence, isTransactional: isTransactional)
}

extension PartitionLog {
    @discardableResult
    func append(_ values: [String], keys: [String?] = [], timestamp: Int64 = 1000, codec: CompressionCodec = .none) throws(MartletError) -> AppendResult {
        var builder = MartletLogTests.batch(values, keys: keys, timestamp: timestamp, codec: codec)
        return try append(&builder)
    }

    @discardableResult
    func append(client bytes: [UInt8]) throws(KafkaError) -> AppendResult {
        try bytes.withBytes { (bytes) throws(KafkaError) in try append(client: bytes) }
    }

    struct Row: Equatable, CustomStringConvertible {
        var offset: Int64
        var key: String?
        var value: String?
        var description: String { "\(offset):\(key ?? ".")=\(value ?? ".")" }
    }

    /// Everything from `offset` to the present end, in blocks of about `maxBytes`.
    func rows(
        from start: Int64? = nil, _ isolation: Isolation = .readUncommitted, maxBytes: Int = 1 << 20
    ) throws(MartletError) -> [Row] {
        var offset = start ?? startOffset
        var rows: [Row] = []
        var reused: RecordBlock?
        while true {
            let block = try readBlock(from: offset, maxBytes: maxBytes, isolation: isolation, reusing: &reused)
            for i in 0..<block.count { rows.append(block.row(i)) }
            if block.nextOffset == offset { return rows }
            offset = block.nextOffset
            reused = block
        }
    }

    func values(_ isolation: Isolation = .readUncommitted) throws(MartletError) -> [String] {
        try rows(isolation).map { $0.value ?? "." }
    }
}

extension RecordBlock {
    func row(_ i: Int) -> PartitionLog.Row {
        func text(_ start: UInt32, _ length: Int32) -> String? {
            length < 0 ? nil : String(decoding: buffer[Int(start)..<Int(start) + Int(length)], as: UTF8.self)
        }
        return PartitionLog.Row(offset: offsets[i], key: text(keyStarts[i], keyLengths[i]), value: text(valueStarts[i], valueLengths[i]))
    }
}

/// Runs `body` for many seeds; `SEED=92` replays one, `SEEDS=10` runs ten times as many.
func withSeeds(_ count: Int, _ body: (UInt64, inout SeededRandom) throws -> Void) {
    let factor = getenv("SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 1
    let only = getenv("SEED").flatMap { UInt64(String(cString: $0)) }
    for seed in only.map({ $0...$0 }) ?? 1...UInt64(count) * factor {
        var random = SeededRandom(seed: seed)
        do {
            try body(seed, &random)
        } catch {
            Issue.record("seed \(seed): \(error)")
        }
    }
}
