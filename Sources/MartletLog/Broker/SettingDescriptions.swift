/// What a setting is, for DescribeConfigs: its type, what sets its default for all topics, and a sentence.
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
    }

    var kind: Kind
    /// The broker's setting that is the default of a topic's.
    var synonym: String?
    var text: String

    static func named(_ name: String) -> SettingDescription? { all[name] }

    private static let all: [String: SettingDescription] = [
        // topics
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
        // the broker
        "auto.create.topics.enable": .init(kind: .boolean, text: "Whether a topic is made when a client first asks for it."),
        "connections.max.idle.ms": .init(kind: .long, text: "A connection on which nothing happens for so long ends."),
        "connections.max.reauth.ms": .init(kind: .long, text: "A SASL session ends after so long unless the client authenticates again; 0: never."),
        "default.replication.factor": .init(kind: .int, text: "Always 1: there is one broker."),
        "fetch.max.bytes": .init(kind: .int, text: "The most that a fetch is answered with; a single batch may be larger."),
        "group.consumer.heartbeat.interval.ms": .init(kind: .int, text: "How often members of consumer groups report."),
        "group.consumer.session.timeout.ms": .init(kind: .int, text: "A member of a consumer group that is silent for so long is out."),
        "group.consumer.assignors": .init(kind: .list, text: "Who works out what members of consumer groups read."),
        "group.initial.rebalance.delay.ms": .init(kind: .int, text: "How long the first rebalance of a group waits for more members."),
        "group.max.session.timeout.ms": .init(kind: .int, text: "The longest session timeout that a member may ask for."),
        "group.min.session.timeout.ms": .init(kind: .int, text: "The shortest session timeout that a member may ask for."),
        "log.cleanup.policy": .init(kind: .list, text: "The default of cleanup.policy."),
        "log.retention.bytes": .init(kind: .long, text: "The default of retention.bytes."),
        "log.retention.ms": .init(kind: .long, text: "The default of retention.ms."),
        "log.segment.bytes": .init(kind: .int, text: "The default of segment.bytes."),
        "max.connections": .init(kind: .int, text: "More connections are refused."),
        "max.connections.per.ip": .init(kind: .int, text: "More connections from one address are refused."),
        "max.incremental.fetch.session.cache.slots": .init(kind: .int, text: "How many clients may read with fetch sessions."),
        "message.max.bytes": .init(kind: .int, text: "The default of max.message.bytes."),
        "node.id": .init(kind: .int, text: "The number of this broker."),
        "num.partitions": .init(kind: .int, text: "How many partitions a topic gets whose maker does not say."),
        "offset.metadata.max.bytes": .init(kind: .int, text: "The longest note that may be committed with an offset."),
        "offsets.retention.minutes": .init(kind: .int, text: "How long offsets are kept of a group that has no members."),
        "offsets.topic.replication.factor": .init(kind: .int, text: "Always 1: there is one broker."),
        "producer.id.expiration.ms": .init(kind: .int, text: "How long the sequence of an idempotent producer that is silent is remembered."),
        "queued.max.request.bytes": .init(kind: .long, text: "Bytes of requests that may wait for the disk, and of answers that may wait for the socket, of one connection."),
        "socket.request.max.bytes": .init(kind: .int, text: "A larger request ends its connection."),
        "transactional.id.expiration.ms": .init(kind: .int, text: "A transactional id that is not used for so long is forgotten."),
        "transaction.max.timeout.ms": .init(kind: .int, text: "The longest transaction timeout that a producer may ask for."),
    ]
}
