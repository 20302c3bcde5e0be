/// The requests that the broker answers: the one table of keys, versions and the first flexible version (protocol guide, "API Keys").
enum APIKey: Int16, Sendable, CaseIterable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
    case describeGroups = 15
    case listGroups = 16
    case saslHandshake = 17
    case apiVersions = 18
    case createTopics = 19
    case deleteTopics = 20
    case deleteRecords = 21
    case initProducerID = 22
    case offsetForLeaderEpoch = 23
    case addPartitionsToTxn = 24
    case addOffsetsToTxn = 25
    case endTxn = 26
    case writeTxnMarkers = 27
    case txnOffsetCommit = 28
    case describeAcls = 29
    case createAcls = 30
    case deleteAcls = 31
    case describeConfigs = 32
    case alterConfigs = 33
    case alterReplicaLogDirs = 34
    case describeLogDirs = 35
    case saslAuthenticate = 36
    case createPartitions = 37
    case createDelegationToken = 38
    case renewDelegationToken = 39
    case expireDelegationToken = 40
    case describeDelegationToken = 41
    case deleteGroups = 42
    case electLeaders = 43
    case incrementalAlterConfigs = 44
    case alterPartitionReassignments = 45
    case listPartitionReassignments = 46
    case offsetDelete = 47
    case describeClientQuotas = 48
    case alterClientQuotas = 49
    case describeUserScramCredentials = 50
    case alterUserScramCredentials = 51
    case describeQuorum = 55
    case updateFeatures = 57
    case describeCluster = 60
    case describeProducers = 61
    case unregisterBroker = 64
    case describeTransactions = 65
    case listTransactions = 66
    case consumerGroupHeartbeat = 68
    case consumerGroupDescribe = 69
    case getTelemetrySubscriptions = 71
    case pushTelemetry = 72
    case listConfigResources = 74
    case describeTopicPartitions = 75
    case shareGroupHeartbeat = 76
    case shareGroupDescribe = 77
    case shareFetch = 78
    case shareAcknowledge = 79
    case addRaftVoter = 80
    case removeRaftVoter = 81
    case streamsGroupHeartbeat = 88
    case streamsGroupDescribe = 89
    case describeShareGroupOffsets = 90
    case alterShareGroupOffsets = 91
    case deleteShareGroupOffsets = 92

    /// By which clients report their metrics.
    static let ofTelemetry: Set<APIKey> = [.getTelemetrySubscriptions, .pushTelemetry]

    /// What we read and write, and what ApiVersions says.
    var versions: ClosedRange<Int16> { row.versions }
    var flexibleFrom: Int16 { row.flexibleFrom }

    func isFlexible(_ version: Int16) -> Bool { version >= flexibleFrom }

    private var row: (versions: ClosedRange<Int16>, flexibleFrom: Int16) {
        switch self {
        case .produce: (0...13, 9)
        case .fetch: (4...18, 12)
        case .listOffsets: (1...11, 6)
        case .metadata: (0...13, 9)
        case .offsetCommit: (1...10, 8)
        case .offsetFetch: (1...10, 6)
        case .findCoordinator: (0...6, 3)
        case .joinGroup: (0...9, 6)
        case .heartbeat: (0...4, 4)
        case .leaveGroup: (0...5, 4)
        case .syncGroup: (0...5, 4)
        case .describeGroups: (0...6, 5)
        case .listGroups: (0...5, 3)
        case .saslHandshake: (0...1, .max)
        case .apiVersions: (0...4, 3)
        case .createTopics: (0...7, 5)
        case .deleteTopics: (0...6, 4)
        case .deleteRecords: (0...2, 2)
        case .initProducerID: (0...5, 2)
        case .offsetForLeaderEpoch: (0...4, 4)
        case .addPartitionsToTxn, .endTxn, .txnOffsetCommit: (0...5, 3)
        case .addOffsetsToTxn: (0...4, 3)
        case .writeTxnMarkers: (1...2, 1)
        case .describeAcls, .createAcls, .deleteAcls: (0...3, 2)
        case .describeConfigs: (0...4, 4)
        case .alterConfigs: (0...2, 2)
        case .describeLogDirs: (0...4, 2)
        case .saslAuthenticate, .alterReplicaLogDirs: (0...2, 2)
        case .createDelegationToken, .describeDelegationToken: (0...3, 2)
        case .renewDelegationToken, .expireDelegationToken: (0...2, 2)
        case .createPartitions: (0...3, 2)
        case .deleteGroups, .electLeaders: (0...2, 2)
        case .incrementalAlterConfigs, .describeClientQuotas, .alterClientQuotas: (0...1, 1)
        case .offsetDelete: (0...0, .max)
        case .describeUserScramCredentials, .alterUserScramCredentials: (0...0, 0)
        case .alterPartitionReassignments, .consumerGroupHeartbeat, .consumerGroupDescribe: (0...1, 0)
        case .shareGroupHeartbeat, .shareGroupDescribe: (1...1, 0)
        case .shareFetch, .shareAcknowledge: (1...2, 0)
        case .describeShareGroupOffsets, .listConfigResources, .addRaftVoter: (0...1, 0)
        case .alterShareGroupOffsets, .deleteShareGroupOffsets, .streamsGroupHeartbeat, .streamsGroupDescribe: (0...0, 0)
        case .updateFeatures, .describeCluster, .listTransactions, .describeQuorum: (0...2, 0)
        case .listPartitionReassignments, .describeProducers, .describeTransactions, .describeTopicPartitions: (0...0, 0)
        case .unregisterBroker, .removeRaftVoter, .getTelemetrySubscriptions, .pushTelemetry: (0...0, 0)
        }
    }
}
