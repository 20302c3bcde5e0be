/// What a setting of topics is, for DescribeConfigs: its type, what sets its default for all topics, and a sentence.
struct SettingDescription: Sendable {
    /// The protocol's numbers.
    enum Kind: Int8, Sendable {
        case unknown = 0
        case boolean = 1
        case string = 2
        case int = 3
        case long = 5
        case double = 6
        case list = 7

        /// What is allowed instead of `text`; nil if it is a value of this kind.
        func refusal(of text: String) -> String? {
            switch self {
            case .boolean: text == "true" || text == "false" ? nil : "true or false"
            case .int: Int32(text) == nil ? "a whole number of 32 bits" : nil
            case .long: Int64(text) == nil ? "a whole number of 64 bits" : nil
            case .double: Double(text)?.isFinite == true ? nil : "a number"
            case .string, .list, .unknown: nil
            }
        }
    }

    var kind: Kind
    /// The broker's setting that is the default of a topic's.
    var synonym: String?
    var text: String

    /// Of topics, by name.
    static let topics: [String: SettingDescription] = [
        "cleanup.policy": .init(
            kind: .list, synonym: "log.cleanup.policy", text: "What happens to old records: delete, compact (of each key the latest stays), or both."),
        "compression.type": .init(
            kind: .string, synonym: "compression.type",
            text: "What clients' records are compressed with: producer (as they come), uncompressed, gzip, snappy, lz4 or zstd."),
        "delete.retention.ms": .init(
            kind: .long, synonym: "log.cleaner.delete.retention.ms", text: "How long compaction keeps a record without a value, so that readers learn of the deletion."),
        "max.compaction.lag.ms": .init(
            kind: .long, synonym: "log.cleaner.max.compaction.lag.ms", text: "After this time a record that is not compacted yet makes its partition be compacted."),
        "max.message.bytes": .init(kind: .int, synonym: "message.max.bytes", text: "The largest record batch, after compression."),
        "message.timestamp.after.max.ms": .init(
            kind: .long, synonym: "log.message.timestamp.after.max.ms", text: "How far in the future a record's timestamp may lie."),
        "message.timestamp.before.max.ms": .init(
            kind: .long, synonym: "log.message.timestamp.before.max.ms", text: "How far in the past a record's timestamp may lie."),
        "message.timestamp.type": .init(
            kind: .string, synonym: "log.message.timestamp.type", text: "Whether a record's time is the producer's (CreateTime) or that of appending (LogAppendTime)."),
        "min.cleanable.dirty.ratio": .init(
            kind: .double, synonym: "log.cleaner.min.cleanable.ratio", text: "Which part of a partition has to be new before it is compacted again."),
        "min.compaction.lag.ms": .init(
            kind: .long, synonym: "log.cleaner.min.compaction.lag.ms", text: "How long a record stays as it is before compaction may remove it."),
        "min.insync.replicas": .init(kind: .int, synonym: "min.insync.replicas", text: "Always 1: there is one broker."),
        "retention.bytes": .init(kind: .long, synonym: "log.retention.bytes", text: "The oldest segments of a partition go when it is larger; -1: no bound."),
        "retention.ms": .init(kind: .long, synonym: "log.retention.ms", text: "Segments go when their latest record is older; -1: never."),
        "segment.bytes": .init(kind: .int, synonym: "log.segment.bytes", text: "A new segment file begins when one is as large."),
        "segment.ms": .init(kind: .long, synonym: "log.roll.ms", text: "A new segment file begins when one is as old."),
    ]
}
