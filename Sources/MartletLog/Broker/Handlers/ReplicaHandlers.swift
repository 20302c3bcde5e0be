import MartletCore

// ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments, as a cluster of one broker answers them: the leader is elected,
// every partition is where it can be.

/// A partition with how a request went for it.
struct PartitionOutcome: WireMessage {
    var index: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&index)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.tags()
    }
}

struct ElectLeadersRequest: WireRequest {
    typealias Response = ElectLeadersResponse
    static let api = APIKey.electLeaders

    /// 0 preferred, 1 unclean.
    var electionType: Int8 = 0
    /// Nil: all partitions.
    var topics: [PerTopic<Int32>]?
    var timeoutMs: Int32 = 60_000

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&electionType, from: 1)
        try wire.field(&topics)
        try wire.field(&timeoutMs)
        try wire.tags()
    }
}

struct ElectLeadersResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var topics: [PerTopic<PartitionOutcome>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error, from: 1)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct AlterPartitionReassignmentsRequest: WireRequest {
    typealias Response = AlterPartitionReassignmentsResponse
    static let api = APIKey.alterPartitionReassignments

    struct Partition: WireMessage {
        var index: Int32 = 0
        /// Nil: cancel.
        var replicas: [Int32]?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&replicas)
            try wire.tags()
        }
    }

    var timeoutMs: Int32 = 60_000
    var allowsOtherReplicationFactor = true
    var topics: [PerTopic<Partition>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&timeoutMs)
        try wire.field(&allowsOtherReplicationFactor, from: 1)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct AlterPartitionReassignmentsResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var allowsOtherReplicationFactor = true
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var topics: [PerTopic<PartitionOutcome>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&allowsOtherReplicationFactor, from: 1)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct ListPartitionReassignmentsRequest: WireRequest {
    typealias Response = ListPartitionReassignmentsResponse
    static let api = APIKey.listPartitionReassignments

    var timeoutMs: Int32 = 60_000
    var topics: [PerTopic<Int32>]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&timeoutMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct ListPartitionReassignmentsResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var replicas: [Int32] = []
        var adding: [Int32] = []
        var removing: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&replicas)
            try wire.field(&adding)
            try wire.field(&removing)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var topics: [PerTopic<Partition>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    private func missing(_ topic: String, _ index: Int32) -> PartitionOutcome? {
        guard log.partition(TopicPartition(topic, index)) == nil else { return nil }
        return .init(index: index, error: .unknownTopicOrPartition, errorMessage: "partition \(topic)-\(index) does not exist")
    }

    func electLeaders(_ request: ElectLeadersRequest) -> Answer<ElectLeadersResponse> {
        guard request.electionType == 0 || request.electionType == 1 else { return .now(ElectLeadersResponse(error: .invalidRequest)) }
        // Of all partitions only those are told whose leader changed: none.
        let topics = request.topics ?? []
        return .now(
            ElectLeadersResponse(
                topics: topics.map { topic in
                    topic.answer { index in
                        missing(topic.name, index)
                            ?? .init(index: index, error: .electionNotNeeded, errorMessage: "broker \(Self.nodeID) leads already")
                    }
                }))
    }

    func alterPartitionReassignments(_ request: AlterPartitionReassignmentsRequest) -> Answer<AlterPartitionReassignmentsResponse> {
        .now(
            AlterPartitionReassignmentsResponse(
                allowsOtherReplicationFactor: request.allowsOtherReplicationFactor,
                topics: request.topics.map { topic in
                    topic.answer { partition in
                        if let missing = missing(topic.name, partition.index) { return missing }
                        guard let replicas = partition.replicas else {
                            return .init(
                                index: partition.index, error: .noReassignmentInProgress, errorMessage: "no reassignment is in progress")
                        }
                        guard replicas == [Self.nodeID] else {
                            return .init(
                                index: partition.index, error: .invalidReplicaAssignment,
                                errorMessage: "the only broker is \(Self.nodeID); replicas are [\(Self.nodeID)], not \(replicas)")
                        }
                        return .init(index: partition.index)
                    }
                }))
    }

    func listPartitionReassignments(_ request: ListPartitionReassignmentsRequest) -> Answer<ListPartitionReassignmentsResponse> {
        .now(ListPartitionReassignmentsResponse())
    }
}
