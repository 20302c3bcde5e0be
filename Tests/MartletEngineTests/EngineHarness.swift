import Logging
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

/// An engine on a directory of its own, which is removed with the harness; `restart()` stops the engine and opens the directory again.
final class EngineHarness {
    let directory: String
    private let stateMemoryBytes: Int?
    private(set) var log: EmbeddedLog
    private(set) var engine: Engine

    init(
        threads: Int = 1, properties: [String: String] = ["auto.offset.reset": "earliest"], durability: LogConfig.Durability = .os,
        stateMemoryBytes: Int? = nil
    ) async throws {
        self.stateMemoryBytes = stateMemoryBytes
        var template = Array("/tmp/martlet-engine-XXXXXX".utf8CString)
        _ = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        (log, engine) = try await Self.open(directory, threads, properties, durability, stateMemoryBytes)
    }

    private static func open(
        _ directory: String, _ threads: Int, _ properties: [String: String], _ durability: LogConfig.Durability = .os, _ stateMemoryBytes: Int?
    ) async throws -> (EmbeddedLog, Engine) {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        // Records of tests are of long ago, and stay however long a test takes.
        var config = LogConfig(durability: durability)
        config.topics.retentionMs = -1
        let log = try EmbeddedLog.open(directory: directory, config: config, time: .system, logger: logger)
        let registry = try SchemaRegistry(log: log, time: .system)
        let models = try ModelRegistry(directory: "\(directory)/models")
        let engine = try await Engine.open(
            log: log, registry: registry, models: models,
            config: EngineConfig(
                streamThreads: threads, commitIntervalMs: 20, properties: properties, stateDirectory: "\(directory)/state",
                stateMemoryBytes: stateMemoryBytes), time: .system, logger: logger)
        return (log, engine)
    }

    deinit { try? PosixFileSystem().removeTree(directory) }

    /// - `whileStopped`: what happens to the directory meanwhile.
    func restart(whileStopped: () throws -> Void = {}) async throws {
        await engine.stop()
        log.close()
        try whileStopped()
        (log, engine) = try await Self.open(directory, 1, ["auto.offset.reset": "earliest"], .os, stateMemoryBytes)
    }

    func close() async {
        await engine.stop()
        log.close()
    }

    /// Records of tests are from 1970: they stay, however long a test waits for its turn.
    func topic(_ name: String, partitions: Int32 = 1) throws {
        try log.createTopic(name, partitions: partitions, settings: ["retention.ms": "-1"])
    }

    @discardableResult
    func execute(_ sql: String) async throws -> [JSONObject] {
        do {
            return try await engine.execute(sql)
        } catch {
            throw error.error
        }
    }

    /// Writes text records; nil is a null key or value.
    func produce(_ topic: String, partition: Int32 = 0, _ records: [(key: String?, value: String?)], timestamp: Int64 = 0) throws {
        let log = try #require(log.partition(TopicPartition(topic, partition)))
        var builder = RecordBatchBuilder()
        for record in records {
            let key = record.key.map { Array($0.utf8) }, value = record.value.map { Array($0.utf8) }
            func with<R>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
                if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
            }
            with(key) { key in with(value) { builder.append(timestamp: timestamp, key: key, value: $0, headers: nil) } }
        }
        _ = try log.appendDurably(&builder)
    }

    /// All rows of a query that ends, each as text: values joined by `|`.
    func rows(_ sql: String) async throws -> [String] {
        guard case .rows(let query) = try await engine.query(sql) else { return [] }
        var out: [String] = []
        while let batch = try await query.rows.next() {
            for row in 0..<batch.count { out.append(batch.columns.map { $0.value(row).castText }.joined(separator: "|")) }
        }
        return out
    }

    /// The first `count` rows of a push query over what is there and what comes.
    func push(_ sql: String, count: Int) async throws -> [String] { try await rows("\(sql) EMIT CHANGES LIMIT \(count);") }
}
