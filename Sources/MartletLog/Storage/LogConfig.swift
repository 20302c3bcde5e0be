import MartletCore

/// Settings of an `EmbeddedLog`. Those in `topics` are defaults that each topic may override by Kafka's names.
public struct LogConfig: Sendable {
    public enum Durability: Sendable {
        /// Acknowledged and visible means on disk (group commit with fdatasync).
        case fsync
        /// Acknowledged means written to the operating system: survives a kill, not a power cut.
        case os
    }

    public var durability: Durability = .fsync
    public var topics = TopicSettings()
    /// Bytes appended to a partition after which its clean point is moved; bounds what a start after a crash has to check.
    public var checkpointBytes = 64 << 20
    /// How often retention, compaction and clean points are looked after.
    public var maintenanceIntervalMs: Int64 = 5_000
    /// Memory for keys in one pass of compaction, bytes, about; the next pass goes on where it was used up.
    public var cleanerKeyBytes = 64 << 20
    /// How long the state of an idempotent producer that is silent is kept (Kafka: producer.id.expiration.ms).
    public var producerExpirationMs: Int64 = 86_400_000
    /// A transactional id that nobody uses for so long is forgotten (Kafka: transactional.id.expiration.ms).
    public var transactionalIDExpirationMs: Int64 = 604_800_000
    /// The longest transaction timeout that a client may ask for (Kafka: transaction.max.timeout.ms).
    public var transactionTimeoutMsMax: Int32 = 900_000
    /// Off for simulations that must repeat exactly, with crashes between two operations of the disk: then only `flush` syncs, and only
    /// `maintain` and `moveCleanPoints` look after the log.
    var worksInBackground = true
    var fileSystem: any FileSystem = PosixFileSystem()
    /// Of a new topic; simulations have ids that are the same each time.
    var makeTopicID: @Sendable () -> UUIDBytes = UUIDBytes.random

    public init() {}

    public init(durability: Durability) { self.durability = durability }
}

/// The settings of one topic that the log acts on (Kafka documentation, "Topic Configs").
public struct TopicSettings: Sendable, Hashable {
    /// cleanup.policy: delete, compact or both, in the order in which they were set.
    public var cleanupPolicies = ["delete"]
    public var deletes: Bool { cleanupPolicies.contains("delete") }
    public var compacts: Bool { cleanupPolicies.contains("compact") }
    /// Milliseconds; −1 = for ever.
    public var retentionMs: Int64 = 604_800_000
    /// Bytes a partition; −1 = no bound.
    public var retentionBytes: Int64 = -1
    public var segmentBytes = 1 << 30
    public var segmentMs: Int64 = 604_800_000
    public var maxMessageBytes = 1_048_588
    /// message.timestamp.type=LogAppendTime
    public var stampsOnAppend = false
    /// How far a client's timestamps may lie before and after the present, milliseconds.
    public var timestampBeforeMaxMs = Int64.max
    public var timestampAfterMaxMs = Int64.max
    /// producer, uncompressed, gzip, …: what clients' records are compressed with.
    public var compressionType = "producer"
    public var minCompactionLagMs: Int64 = 0
    /// After this time a record that is not compacted yet makes its partition be compacted.
    public var maxCompactionLagMs = Int64.max
    public var deleteRetentionMs: Int64 = 86_400_000
    public var minCleanableDirtyRatio = 0.5

    public init() {}

    /// Topic settings that clients may give and that have no meaning for a log on one machine.
    private static let accepted: Set<String> = [
        "file.delete.delay.ms", "flush.messages", "flush.ms", "follower.replication.throttled.replicas", "index.interval.bytes",
        "leader.replication.throttled.replicas", "local.retention.bytes", "local.retention.ms",
        "message.downconversion.enable", "message.format.version", "min.insync.replicas", "preallocate", "remote.storage.enable", "segment.index.bytes",
        "segment.jitter.ms", "unclean.leader.election.enable",
    ]

    /// Those of them that are lists.
    static let acceptedLists: Set<String> = ["follower.replication.throttled.replicas", "leader.replication.throttled.replicas"]

    /// These settings over `defaults`. Throws `.badRequest` naming the setting that is unknown or whose value is not allowed.
    public init(_ settings: [String: String], defaults: TopicSettings) throws(MartletError) {
        self = defaults
        for (name, text) in settings.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "cleanup.policy":
                let policies = text.split(separator: ",").map { $0.filter { $0 != " " } }
                guard !policies.isEmpty, policies.allSatisfy({ $0 == "delete" || $0 == "compact" }) else {
                    throw Self.refused(name, text, "delete, compact or both")
                }
                cleanupPolicies = policies
            case "retention.ms": retentionMs = try Self.number(name, text, from: -1)
            case "retention.bytes": retentionBytes = try Self.number(name, text, from: -1)
            case "segment.bytes": segmentBytes = Int(try Self.number(name, text, from: 14, to: Int64(Int32.max)))
            case "segment.ms": segmentMs = try Self.number(name, text, from: 1)
            case "max.message.bytes": maxMessageBytes = Int(try Self.number(name, text, from: 0, to: Int64(Int32.max)))
            case "min.compaction.lag.ms": minCompactionLagMs = try Self.number(name, text, from: 0)
            case "max.compaction.lag.ms": maxCompactionLagMs = try Self.number(name, text, from: 1)
            case "message.timestamp.before.max.ms": timestampBeforeMaxMs = try Self.number(name, text, from: 0)
            case "message.timestamp.after.max.ms": timestampAfterMaxMs = try Self.number(name, text, from: 0)
            case "message.timestamp.difference.max.ms":
                timestampBeforeMaxMs = try Self.number(name, text, from: 0)
                timestampAfterMaxMs = timestampBeforeMaxMs
            case "delete.retention.ms": deleteRetentionMs = try Self.number(name, text, from: 0)
            case "min.cleanable.dirty.ratio":
                guard let ratio = Double(text), ratio >= 0, ratio <= 1 else { throw Self.refused(name, text, "a number from 0 to 1") }
                minCleanableDirtyRatio = ratio
            case "message.timestamp.type":
                guard text == "CreateTime" || text == "LogAppendTime" else { throw Self.refused(name, text, "CreateTime or LogAppendTime") }
                stampsOnAppend = text == "LogAppendTime"
            case "compression.type":
                guard ["producer", "uncompressed", "none", "gzip", "snappy", "lz4", "zstd"].contains(text) else {
                    throw Self.refused(name, text, "producer, uncompressed, gzip, snappy, lz4 or zstd")
                }
                compressionType = text
            default:
                guard Self.accepted.contains(name) else { throw MartletError(.badRequest, "unknown topic setting \(name)") }
            }
        }
    }

    private static func number(_ name: String, _ text: String, from low: Int64, to high: Int64 = .max) throws(MartletError) -> Int64 {
        guard let value = Int64(text), value >= low, value <= high else {
            throw refused(name, text, high == .max ? "a whole number from \(low)" : "a whole number from \(low) to \(high)")
        }
        return value
    }

    private static func refused(_ name: String, _ text: String, _ allowed: String) -> MartletError {
        MartletError(.badRequest, "topic setting \(name) must be \(allowed), not \"\(text)\"")
    }

    /// Every setting with its value in force, by Kafka's names; for DescribeConfigs.
    public var described: [(name: String, value: String)] {
        [
            ("cleanup.policy", cleanupPolicies.joined(separator: ",")),
            ("compression.type", compressionType),
            ("delete.retention.ms", "\(deleteRetentionMs)"),
            ("max.compaction.lag.ms", "\(maxCompactionLagMs)"),
            ("max.message.bytes", "\(maxMessageBytes)"),
            ("message.timestamp.after.max.ms", "\(timestampAfterMaxMs)"),
            ("message.timestamp.before.max.ms", "\(timestampBeforeMaxMs)"),
            ("message.timestamp.type", stampsOnAppend ? "LogAppendTime" : "CreateTime"),
            ("min.cleanable.dirty.ratio", "\(minCleanableDirtyRatio)"),
            ("min.compaction.lag.ms", "\(minCompactionLagMs)"),
            ("min.insync.replicas", "1"),
            ("retention.bytes", "\(retentionBytes)"),
            ("retention.ms", "\(retentionMs)"),
            ("segment.bytes", "\(segmentBytes)"),
            ("segment.ms", "\(segmentMs)"),
        ]
    }
}
