/// A partition with how a request went for it.
struct PartitionError: WireMessage {
    var index: Int32 = 0
    var error = KafkaErrorCode.none

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&index)
        try wire.field(&error)
        try wire.tags()
    }
}

/// A thing with a name, and how a request went for it.
struct NamedOutcome: WireMessage {
    var name = ""
    var error = KafkaErrorCode.none
    var errorMessage: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&name)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.tags()
    }
}

/// A topic and something for each of its partitions: the shape of most lists in the protocol.
///
/// APIs that have moved to topic ids (KIP-516) carry the id instead of the name from some version on; the message says from which with
/// `wire.topicIDsFrom` before it codes its topics.
struct PerTopic<Partition: WireMessage>: WireMessage {
    var name: String
    /// Zero where the version has names.
    var id: UUIDBytes
    var partitions: [Partition]

    init() { self.init(name: "") }

    init(name: String = "", id: UUIDBytes = .zero, partitions: [Partition] = []) {
        self.name = name
        self.id = id
        self.partitions = partitions
    }

    mutating func code(_ wire: inout Wire) throws(WireError) {
        if wire.version >= wire.topicIDsFrom {
            try wire.field(&id)
        } else {
            try wire.field(&name)
        }
        try wire.field(&partitions)
        try wire.tags()
    }

    /// Named by an id that no topic has, once `TopicIDs` has looked.
    var isUnknownID: Bool { id != .zero && name.isEmpty }

    /// What is said of a partition that is not there.
    var errorIfMissing: KafkaErrorCode { id == .zero ? .unknownTopicOrPartition : .unknownTopicID }

    /// The same topic with other things for its partitions, as an answer has it.
    func answer<Other: WireMessage>(_ transform: (Partition) -> Other) -> PerTopic<Other> {
        PerTopic<Other>(name: name, id: id, partitions: partitions.map(transform))
    }
}
