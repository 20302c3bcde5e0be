/// What share groups have of the partitions they read, kept on disk: what membership and administration need of `Sharing/`.
///
/// A group has a partition from `initialize` until one of the deletions. Calls that may change something wait for the disk and throw
/// KAFKA_STORAGE_ERROR; then nothing has changed.
protocol ShareGroupStore: Sendable {
    /// Groups that have a partition.
    var groups: [String] { get }

    /// The partitions that the group has.
    func partitions(group: String) -> [GroupPartition]

    /// Nil if the group does not have the partition.
    func summary(group: String, partition: GroupPartition) -> ShareSummary?

    /// Gives the group the partitions that it does not have, each with a place to begin; that is durable before the group is handed anything.
    func initialize(group: String, partitions: [GroupPartition]) throws(KafkaError)

    /// Gives the group the partitions, beginning there, whatever it knew of them.
    func setStartOffsets(group: String, _ offsets: [GroupPartition: Int64]) throws(KafkaError)

    func delete(group: String, topic: UUIDBytes) throws(KafkaError)

    func delete(group: String) throws(KafkaError)
}

/// How far a share group is with a partition.
struct ShareSummary: Sendable, Hashable {
    /// Of the first record that is not done with; −1 if that is not decided yet.
    var startOffset: Int64
    var leaderEpoch: Int32 = 0
    /// Records behind the start that are done with.
    var deliveryCompleteCount: Int64 = 0
}
