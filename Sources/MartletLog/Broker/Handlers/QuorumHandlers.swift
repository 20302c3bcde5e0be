import MartletCore

/// How the voters on the cluster's metadata are (KIP-595, KIP-836, KIP-853).
struct DescribeQuorumRequest: WireRequest {
    typealias Response = DescribeQuorumResponse
    static let api = APIKey.describeQuorum

    struct Partition: WireMessage {
        var index: Int32 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.tags()
        }
    }

    var topics: [PerTopic<Partition>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.tags()
    }
}

struct DescribeQuorumResponse: WireMessage {
    struct Replica: WireMessage {
        var nodeID: Int32 = -1
        var directoryID = UUIDBytes.zero
        var endOffset: Int64 = -1
        var fetchedMs: Int64 = -1
        var caughtUpMs: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&nodeID)
            try wire.field(&directoryID, from: 2)
            try wire.field(&endOffset)
            try wire.field(&fetchedMs, from: 1)
            try wire.field(&caughtUpMs, from: 1)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var leaderID: Int32 = -1
        var leaderEpoch: Int32 = -1
        var highWatermark: Int64 = -1
        var voters: [Replica] = []
        var observers: [Replica] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage, from: 2)
            try wire.field(&leaderID)
            try wire.field(&leaderEpoch)
            try wire.field(&highWatermark)
            try wire.field(&voters)
            try wire.field(&observers)
            try wire.tags()
        }
    }

    struct Node: WireMessage {
        var id: Int32 = -1
        var listeners: [VoterListener] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&listeners)
            try wire.tags()
        }
    }

    var error = KafkaErrorCode.none
    var errorMessage: String?
    var topics: [PerTopic<Partition>] = []
    var nodes: [Node] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&errorMessage, from: 2)
        try wire.field(&topics)
        try wire.field(&nodes, from: 2)
        try wire.tags()
    }
}

/// Where a voter can be reached.
struct VoterListener: WireMessage {
    var name = ""
    var host = ""
    var port: UInt16 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&name)
        try wire.field(&host)
        var bits = Int16(bitPattern: port)
        try wire.field(&bits)
        port = UInt16(bitPattern: bits)
        try wire.tags()
    }
}

/// One more voter on the metadata (KIP-853).
struct AddRaftVoterRequest: WireRequest {
    typealias Response = RaftVoterResponse
    static let api = APIKey.addRaftVoter

    var clusterID: String?
    var timeoutMs: Int32 = 0
    var voterID: Int32 = 0
    var directoryID = UUIDBytes.zero
    var listeners: [VoterListener] = []
    var waitsForCommit = true

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&clusterID)
        try wire.field(&timeoutMs)
        try wire.field(&voterID)
        try wire.field(&directoryID)
        try wire.field(&listeners)
        try wire.field(&waitsForCommit, from: 1)
        try wire.tags()
    }
}

/// One voter fewer (KIP-853).
struct RemoveRaftVoterRequest: WireRequest {
    typealias Response = RaftVoterResponse
    static let api = APIKey.removeRaftVoter

    var clusterID: String?
    var voterID: Int32 = 0
    var directoryID = UUIDBytes.zero

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&clusterID)
        try wire.field(&voterID)
        try wire.field(&directoryID)
        try wire.tags()
    }
}

/// Also of UnregisterBroker.
struct RaftVoterResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.tags()
    }
}

/// A broker that was shut down for good is taken off the list of brokers.
struct UnregisterBrokerRequest: WireRequest {
    typealias Response = RaftVoterResponse
    static let api = APIKey.unregisterBroker

    var brokerID: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&brokerID)
        try wire.tags()
    }
}

extension RequestRouter {
    static let metadataTopic = "__cluster_metadata"

    /// This node is the only voter and leads; nobody observes. There is no log of the metadata: its end counts the changes (`EmbeddedLog.metadataEnd`).
    func describeQuorum(_ request: DescribeQuorumRequest, _ context: RequestContext) -> Answer<DescribeQuorumResponse> {
        let end = log.metadataEnd, nowMs = time.wallMs
        let me = DescribeQuorumResponse.Replica(nodeID: Self.nodeID, endOffset: end, fetchedMs: nowMs, caughtUpMs: nowMs)
        let topics = request.topics.map { topic in
            topic.answer { partition in
                guard topic.name == Self.metadataTopic, partition.index == 0 else {
                    return DescribeQuorumResponse.Partition(
                        index: partition.index, error: .unknownTopicOrPartition, errorMessage: "there is a quorum for partition 0 of \(Self.metadataTopic) alone")
                }
                return DescribeQuorumResponse.Partition(leaderID: Self.nodeID, leaderEpoch: log.nodeEpoch, highWatermark: end, voters: [me])
            }
        }
        let listener = VoterListener(
            name: context.session.listener.rawValue, host: context.advertisedHost, port: UInt16(clamping: context.advertisedPort))
        return .now(DescribeQuorumResponse(topics: topics, nodes: [.init(id: Self.nodeID, listeners: [listener])]))
    }

    /// What a node answers whose voters were fixed at its start (kraft.version 0).
    func addRaftVoter(_ request: AddRaftVoterRequest) -> Answer<RaftVoterResponse> {
        .now(
            voterChange(request.clusterID, request.voterID, request.directoryID) {
                request.listeners.isEmpty ? "a voter has a listener" : nil
            })
    }

    func removeRaftVoter(_ request: RemoveRaftVoterRequest) -> Answer<RaftVoterResponse> {
        .now(voterChange(request.clusterID, request.voterID, request.directoryID) { nil })
    }

    private func voterChange(_ clusterID: String?, _ voterID: Int32, _ directoryID: UUIDBytes, _ problem: () -> String?) -> RaftVoterResponse {
        if let clusterID, clusterID != log.clusterID {
            return RaftVoterResponse(error: .inconsistentClusterID, errorMessage: "this is the cluster \(log.clusterID)")
        }
        if voterID < 0 || directoryID == .zero {
            return RaftVoterResponse(error: .invalidRequest, errorMessage: "a voter has a number of 0 or more and the id of its directory")
        }
        if let problem = problem() { return RaftVoterResponse(error: .invalidRequest, errorMessage: problem) }
        return RaftVoterResponse(
            error: .unsupportedVersion, errorMessage: "The voters of this cluster do not change: node \(Self.nodeID) is the only one (kraft.version 0).")
    }

    /// The only broker runs, or nobody could ask.
    func unregisterBroker(_ request: UnregisterBrokerRequest) -> Answer<RaftVoterResponse> {
        .now(
            request.brokerID == Self.nodeID
                ? .init(error: .invalidRequest, errorMessage: "broker \(Self.nodeID) is running; it is the only one and cannot be unregistered")
                : .init(error: .brokerIDNotRegistered, errorMessage: "broker \(request.brokerID) is not registered"))
    }
}
