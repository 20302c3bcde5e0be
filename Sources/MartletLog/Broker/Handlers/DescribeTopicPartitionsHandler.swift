import MartletCore

/// Where the list of partitions goes on (KIP-966).
struct PartitionCursor: WireMessage {
    var topic = ""
    var partition: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topic)
        try wire.field(&partition)
        try wire.tags()
    }
}

struct DescribeTopicPartitionsRequest: WireRequest {
    typealias Response = DescribeTopicPartitionsResponse
    static let api = APIKey.describeTopicPartitions

    struct Topic: WireMessage {
        var name = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.tags()
        }
    }

    /// Empty: all.
    var topics: [Topic] = []
    var partitionsMax: Int32 = 2000
    var cursor: PartitionCursor?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&partitionsMax)
        try wire.field(&cursor)
        try wire.tags()
    }
}

struct DescribeTopicPartitionsResponse: WireMessage {
    struct Partition: WireMessage {
        var error = KafkaErrorCode.none
        var index: Int32 = 0
        var leaderID: Int32 = RequestRouter.nodeID
        var leaderEpoch: Int32 = 0
        var replicas: [Int32] = [RequestRouter.nodeID]
        var inSyncReplicas: [Int32] = [RequestRouter.nodeID]
        /// May be null by the protocol; the Java client 3.9 cannot read that.
        var eligibleLeaders: [Int32]? = []
        var lastKnownEligibleLeaders: [Int32]? = []
        var offlineReplicas: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderID)
            try wire.field(&leaderEpoch)
            try wire.field(&replicas)
            try wire.field(&inSyncReplicas)
            try wire.field(&eligibleLeaders)
            try wire.field(&lastKnownEligibleLeaders)
            try wire.field(&offlineReplicas)
            try wire.tags()
        }
    }

    struct Topic: WireMessage {
        var error = KafkaErrorCode.none
        var name: String?
        var id = UUIDBytes.zero
        var isInternal = false
        var partitions: [Partition] = []
        var authorizedOperations = Int32.min

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&name)
            try wire.field(&id)
            try wire.field(&isInternal)
            try wire.field(&partitions)
            try wire.field(&authorizedOperations)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []
    var nextCursor: PartitionCursor?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.field(&nextCursor)
        try wire.tags()
    }
}

extension RequestRouter {
    private static let partitionsInAnswerMax: Int32 = 2000

    /// Topics by name, from the cursor on, until the answer has `partitionsMax` partitions; then it says where to go on.
    func describeTopicPartitions(_ request: DescribeTopicPartitionsRequest, _ context: RequestContext) -> Answer<DescribeTopicPartitionsResponse> {
        let names = request.topics.isEmpty ? log.topics.map(\.name) : Set(request.topics.map(\.name)).sorted()
        var left = min(max(1, request.partitionsMax), Self.partitionsInAnswerMax)
        var response = DescribeTopicPartitionsResponse()
        for name in names {
            var first: Int32 = 0
            if let cursor = request.cursor {
                if name < cursor.topic { continue }
                if name == cursor.topic { first = max(0, cursor.partition) }
            }
            guard left > 0 else {
                response.nextCursor = PartitionCursor(topic: name, partition: first)
                break
            }
            guard let topic = log.topic(name) else {
                let error: KafkaErrorCode = Self.isTopicName(name) ? .unknownTopicOrPartition : .invalidTopicException
                response.topics.append(.init(error: error, name: name))
                continue
            }
            let end = min(topic.partitions, first + left)
            let logs = log.partitions(of: name)
            response.topics.append(
                .init(
                    name: name, id: UUIDBytes(topic.topicID), isInternal: topic.isInternal,
                    partitions: (min(first, end)..<end).map { number in
                        .init(index: number, leaderEpoch: logs.indices.contains(Int(number)) ? logs[Int(number)].leaderEpoch : 0)
                    },
                    authorizedOperations: Operations.topic))
            left -= max(0, end - first)
            if end < topic.partitions {
                response.nextCursor = PartitionCursor(topic: name, partition: end)
                break
            }
        }
        return .now(response)
    }
}
