import MartletCore
import NIOEmbedded
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Data directories that earlier builds have written, in `Tests/Fixtures/data-directories`, one for each state of the formats: this build reads all of them.
///
/// Whoever changes what is written makes a new one, and never touches the old ones: `MARTLET_GOLDEN=1 Scripts/unit.sh Log DataDirectoryTests` writes
/// the directory `newest`, if it does not exist.
@Suite struct DataDirectoryTests {
    /// Oldest first. The name is the day; what that build did not know yet is missing.
    enum Written: String, CaseIterable {
        /// Clean points and records of transactions of version 1: no leader epochs, no transactions of clients that outlive a start.
        case first = "2026-11-21"
        case newest = "2026-11-22"

        var knowsOpenTransactions: Bool { self != .first }
        var knowsNodeSettings: Bool { self != .first }
        var knowsShareGroups: Bool { self != .first }
    }

    private static let folder: String = {
        let here = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return "/\(here)/Fixtures/data-directories"
    }()

    private static let input = TopicPartition("in", 0)

    private static func open(_ directory: String) throws(MartletError) -> EmbeddedLog {
        var config = LogConfig()
        config.worksInBackground = false
        config.topics.retentionMs = -1
        // Nothing expires, however much later it is read.
        config.producerExpirationMs = .max / 2
        config.transactionalIDExpirationMs = .max / 2
        return try EmbeddedLog.open(directory: directory, config: config, time: ManualTime(wallMs: 1_790_000_000_000).source)
    }

    /// A little of everything that a data directory holds. The log is left as after `kill -9`.
    private static func fill(_ log: EmbeddedLog) throws {
        let plain = try log.made("plain", partitions: 2, ["segment.bytes": "400", "max.message.bytes": "5000"])
        for (i, codec) in CompressionCodec.allCases.enumerated() {
            try plain.append(client: clientBatch(["\(codec) 1", "\(codec) 2"], producerID: 900, epoch: 3, sequence: Int32(2 * i), codec: codec))
            try plain.flush()
        }
        _ = try plain.deleteRecords(before: 2)
        let keyed = try log.made("keyed", ["cleanup.policy": "compact", "segment.bytes": "300", "min.cleanable.dirty.ratio": "0"])
        for i in 0..<20 { try keyed.append(["\(i)"], keys: ["k\(i % 3)"]) }
        try keyed.flush()
        try keyed.compact()
        for partition in log.partitions(of: "plain") { try partition.checkpoint() }

        let writer = try log.transactions.writer(transactionalID: "query-0")
        for value in ["committed", "aborted"] {
            writer.begin()
            var one = batch([value])
            try writer.append(try log.found("plain", 1), &one)
            writer.stageOffsets([input: value == "committed" ? 41 : 99], group: "query")
            if value == "committed" { try writer.commit() } else { try writer.abort() }
        }
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "client", timeoutMs: 60_000)
        _ = try log.transactions.addPartitions(transactionalID: "client", producerID: id, epoch: epoch, [TopicPartition("plain", 1)])
        try log.found("plain", 1).append(client: clientBatch(["open"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        try log.transactions.addOffsets(transactionalID: "client", producerID: id, epoch: epoch, group: "readers")
        try log.transactions.commitOffsets(transactionalID: "client", producerID: id, epoch: epoch, group: "readers", [input: CommittedOffset(offset: 8)])
        try log.groupOffsets.commit(
            group: "readers", [TopicPartition("plain", 0): CommittedOffset(offset: 5, leaderEpoch: 1, metadata: "m", timestamp: 1_790_000_000_001)])
        try log.changeSettings(of: .cluster) { _ in ["log.retention.ms": "123456789"] }
        try withShared(log) { shared, settings in
            _ = try shared.handOut(.init(member: "m", recordsMax: 3, isStrict: true, now: 0, settings: settings), bytesMax: 1 << 20)
            _ = try shared.acknowledge([.init(first: 2, last: 4, types: [1, 2, 1])], by: "m", now: 1, settings)
        }
        for partition in log.allPartitions { try partition.flush() }
    }

    /// The first partition of "plain" in a share group: the offsets 2 and 4 were accepted, 3 was given back.
    private static func withShared(_ log: EmbeddedLog, _ body: (SharedPartition, ShareGroupSettings) throws -> Void) throws {
        let shares = try SharePartitions(log: log, timers: EmbeddedEventLoop(), time: ManualTime(wallMs: 1_790_000_000_000).source, logger: LogLines().logger)
        defer { shares.close() }
        let id = GroupPartition(topic: UUIDBytes(try #require(log.topic("plain")).topicID), index: 0)
        if shares.partition(group: "sharers", id) == nil {
            try log.changeSettings(of: .group("sharers")) { _ in ["share.auto.offset.reset": "earliest"] }
            try shares.initialize(group: "sharers", partitions: [id])
        }
        try body(try #require(shares.partition(group: "sharers", id)), shares.settings(ofGroup: "sharers"))
    }

    @Test func aDirectoryIsWrittenForEveryFormat() throws {
        let target = "\(Self.folder)/\(Written.newest.rawValue)"
        guard getenv("MARTLET_GOLDEN") != nil, !PosixFileSystem().exists(target) else { return }
        let temporary = TemporaryDirectory()
        // Started twice, so that there are two epochs.
        try Self.open(temporary.path).close()
        try Self.fill(try Self.open(temporary.path))
        try copy(temporary.path, to: target)
    }

    private func copy(_ source: String, to target: String) throws {
        let system = PosixFileSystem()
        try system.createDirectory(target)
        for name in try system.list(source) {
            if system.isDirectory("\(source)/\(name)") {
                try copy("\(source)/\(name)", to: "\(target)/\(name)")
            } else {
                try system.replace("\(target)/\(name)", with: try #require(try system.contents("\(source)/\(name)")), durably: false)
            }
        }
    }

    @Test(arguments: Written.allCases) func everyDirectoryIsReadable(written: Written) throws {
        let temporary = TemporaryDirectory()
        try copy("\(Self.folder)/\(written.rawValue)", to: temporary.path)
        // The first start takes over what the other build left, the second one reads what this build made of it.
        for start in 0..<2 {
            let log = try Self.open(temporary.path)
            let plain = try log.found("plain")
            #expect(try plain.values() == CompressionCodec.allCases.flatMap { ["\($0) 1", "\($0) 2"] }.dropFirst(2).map { $0 })
            #expect(plain.startOffset == 2 && plain.settings.segmentBytes == 400 && plain.settings.maxMessageBytes == 5000)
            // What a producer sent last is known.
            let again = clientBatch(["zstd 1", "zstd 2"], producerID: 900, epoch: 3, sequence: 8, codec: .zstd)
            let repeated = try plain.append(client: again)
            #expect(repeated.duplicate && repeated.baseOffset == 8)
            #expect(plain.leaderEpoch > 0)

            let keyed = try log.found("keyed")
            let latest = Dictionary(try keyed.rows().map { ($0.key ?? "", $0.value ?? "") }) { _, later in later }
            #expect(latest == ["k0": "18", "k1": "19", "k2": "17"] && keyed.settings.compacts)

            let committed = try log.found("plain", 1)
            #expect(try committed.values(.readCommitted) == ["committed"])
            #expect(log.groupOffsets.committed(group: "query", Self.input)?.offset == 41)
            let offset = log.groupOffsets.committed(group: "readers", TopicPartition("plain", 0))
            #expect(offset == CommittedOffset(offset: 5, leaderEpoch: 1, metadata: "m", timestamp: 1_790_000_000_001))

            let client = try #require(log.transactions.listing("client"))
            #expect(client.timeoutMs == 60_000 && client.epoch >= 0)
            #expect(client.state == (written.knowsOpenTransactions ? .ongoing : client.state))
            #expect(log.transactions.hasPendingOffset(group: "readers", Self.input) == written.knowsOpenTransactions)
            if written.knowsNodeSettings { #expect(log.config.topics.retentionMs == 123_456_789) }
            if written.knowsShareGroups {
                try Self.withShared(log) { shared, _ in
                    let now = shared.partition
                    #expect(now.startOffset == 3 && !now.runs[now.index(of: 3)].phase.isOver && now.runs[now.index(of: 4)].phase.isOver)
                }
            }
            // Ids of producers go on where they were.
            #expect(try log.makeProducerID().id >= 1000)
            if start == 1, written.knowsOpenTransactions {
                try log.transactions.end(transactionalID: "client", producerID: client.producerID, epoch: client.epoch, commit: true)
                #expect(try committed.values(.readCommitted) == ["committed", "open"])
                #expect(log.groupOffsets.committed(group: "readers", Self.input)?.offset == 8)
            }
            log.close()
        }
    }

    /// What is written today has the versions of the newest directory: else a new one has to be kept, so that the next release can be held to it.
    @Test func theNewestDirectoryIsOfToday() throws {
        let temporary = TemporaryDirectory()
        try Self.fill(try Self.open(temporary.path))
        #expect(try versions(temporary.path) == versions("\(Self.folder)/\(Written.newest.rawValue)"))
    }

    /// The first bytes of each kind of file, which say its version, and of the internal topics' newest values; names of files and of JSON members.
    private func versions(_ directory: String) throws -> [String: String] {
        let system = PosixFileSystem()
        func start(_ path: String, _ count: Int) throws -> String { "\(try system.contents(path)?.prefix(count).map { $0 } ?? [])" }
        func members(_ path: String) throws -> String {
            let json = try JSONValue(parsing: try #require(try system.contents(path)))
            return "\(json.objectValue?.members.map(\.name).sorted() ?? [])"
        }
        var found: [String: String] = [:]
        found["files"] = "\(try system.list(directory).filter { $0 != "trash" })"
        found["format"] = try start("\(directory)/format", 14)
        found["topic.json"] = try members("\(directory)/topics/plain/topic.json")
        found["settings.json"] = try members("\(directory)/settings.json")
        found["checkpoint"] = try start("\(directory)/topics/plain/0/checkpoint", 8)
        let index = try system.list("\(directory)/topics/plain/0").first { $0.hasSuffix(".index") }
        found["index"] = try start("\(directory)/topics/plain/0/\(try #require(index))", 8)
        // Read as records, on a copy, so that nothing is touched.
        let copied = TemporaryDirectory()
        try copy(directory, to: copied.path)
        let log = try Self.open(copied.path)
        for topic in EmbeddedLog.internalTopics {
            var kinds: Set<String> = []
            try log.found(topic).forEachRecord { key, value in kinds.insert("\(key.first ?? 0) \(value?.first ?? 0)") }
            found[topic] = "\(kinds.sorted())"
        }
        return found
    }
}
