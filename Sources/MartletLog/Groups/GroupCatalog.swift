/// A partition as groups assign it.
struct GroupPartition: Sendable, Hashable {
    var topic: UUIDBytes
    var index: Int32
}

/// A topic as groups see it.
struct GroupTopic: Sendable, Hashable {
    var id: UUIDBytes
    var name: String
    var partitions: Int32
}

/// The log's topics, and a number that changes with them.
struct GroupCatalog: Sendable {
    var version: Int
    /// By name; without internal ones.
    var topics: [String: GroupTopic]

    var byID: [UUIDBytes: GroupTopic] { Dictionary(topics.values.map { ($0.id, $0) }, uniquingKeysWith: { $1 }) }
}
