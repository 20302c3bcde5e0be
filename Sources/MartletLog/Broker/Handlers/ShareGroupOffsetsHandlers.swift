import MartletCore

// DescribeShareGroupOffsets, AlterShareGroupOffsets and DeleteShareGroupOffsets (KIP-932; lags: KIP-1226).

struct DescribeShareGroupOffsetsRequest: WireRequest {
    typealias Response = DescribeShareGroupOffsetsResponse
    static let api = APIKey.describeShareGroupOffsets

    struct Group: WireMessage {
        var groupID = ""
        /// Nil: all that the group has.
        var topics: [PerTopic<Int32>]? = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groups)
        try wire.tags()
    }
}

struct DescribeShareGroupOffsetsResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var startOffset: Int64 = -1
        var leaderEpoch: Int32 = 0
        /// Records that are not done with; −1 if that cannot be said.
        var lag: Int64 = -1
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&startOffset)
            try wire.field(&leaderEpoch)
            try wire.field(&lag, from: 1)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }

    struct Topic: WireMessage {
        var name = ""
        var id = UUIDBytes.zero
        var partitions: [Partition] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id)
            try wire.field(&partitions)
            try wire.tags()
        }
    }

    struct Group: WireMessage {
        var groupID = ""
        var topics: [Topic] = []
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&topics)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&groups)
        try wire.tags()
    }
}

struct AlterShareGroupOffsetsRequest: WireRequest {
    typealias Response = AlterShareGroupOffsetsResponse
    static let api = APIKey.alterShareGroupOffsets

    struct Partition: WireMessage {
        var index: Int32 = 0
        var startOffset: Int64 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&startOffset)
            try wire.tags()
        }
    }

    var groupID = ""
    var topics: [PerTopic<Partition>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct AlterShareGroupOffsetsResponse: WireMessage {
    struct Partition: WireMessage {
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

    struct Topic: WireMessage {
        var name = ""
        var id = UUIDBytes.zero
        var partitions: [Partition] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id)
            try wire.field(&partitions)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct DeleteShareGroupOffsetsRequest: WireRequest {
    typealias Response = DeleteShareGroupOffsetsResponse
    static let api = APIKey.deleteShareGroupOffsets

    struct Topic: WireMessage {
        var name = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.tags()
        }
    }

    var groupID = ""
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct DeleteShareGroupOffsetsResponse: WireMessage {
    struct Topic: WireMessage {
        var name = ""
        var id = UUIDBytes.zero
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    /// What is not known is answered with offset −1, as OffsetFetch does: that is not an error, whether partition, topic or group is not there.
    func describeShareGroupOffsets(
        _ request: DescribeShareGroupOffsetsRequest, _ context: RequestContext
    ) -> Answer<DescribeShareGroupOffsetsResponse> {
        offload(context) {
            DescribeShareGroupOffsetsResponse(
                groups: request.groups.map { wanted in
                    var answer = DescribeShareGroupOffsetsResponse.Group(groupID: wanted.groupID)
                    if let topics = wanted.topics {
                        answer.topics = topics.map { topic in self.offsets(ofShareGroup: wanted.groupID, topic.name, topic.partitions) }
                    } else {
                        let all = Dictionary(grouping: self.groups.sharing?.partitions(group: wanted.groupID) ?? [], by: \.topic)
                        let named = all.compactMap { id, partitions in self.topicIDs.name(of: id).map { ($0, partitions.map(\.index).sorted()) } }
                        answer.topics = named.sorted { $0.0 < $1.0 }.map { name, partitions in
                            self.offsets(ofShareGroup: wanted.groupID, name, partitions)
                        }
                    }
                    return answer
                })
        }
    }

    private func offsets(ofShareGroup group: String, _ name: String, _ partitions: [Int32]) -> DescribeShareGroupOffsetsResponse.Topic {
        let id = topicIDs.id(of: name)
        return .init(
            name: name, id: id,
            partitions: partitions.map { index in
                guard let summary = groups.sharing?.summary(group: group, partition: .init(topic: id, index: index)) else { return .init(index: index) }
                var partition = DescribeShareGroupOffsetsResponse.Partition(
                    index: index, startOffset: summary.startOffset, leaderEpoch: summary.leaderEpoch)
                if summary.startOffset >= 0, let end = log.partition(TopicPartition(name, index))?.highWatermark {
                    partition.lag = max(0, end - summary.startOffset - summary.deliveryCompleteCount)
                }
                return partition
            })
    }

    /// Moves a group that has no members; one that is not there begins to exist with that.
    func alterShareGroupOffsets(_ request: AlterShareGroupOffsetsRequest, _ context: RequestContext) -> Answer<AlterShareGroupOffsetsResponse> {
        offload(context) {
            var offsets: [GroupPartition: Int64] = [:]
            let topics = request.topics.map { topic in
                let id = self.topicIDs.id(of: topic.name), count = self.log.topic(topic.name)?.partitions ?? 0
                return AlterShareGroupOffsetsResponse.Topic(
                    name: topic.name, id: id,
                    partitions: topic.partitions.map { partition in
                        guard id != .zero, (0..<count).contains(partition.index) else {
                            return .init(index: partition.index, error: .unknownTopicOrPartition, errorMessage: "there is no such partition")
                        }
                        guard partition.startOffset >= 0 else {
                            return .init(index: partition.index, error: .invalidRequest, errorMessage: "an offset is 0 or more")
                        }
                        offsets[.init(topic: id, index: partition.index)] = partition.startOffset
                        return .init(index: partition.index)
                    })
            }
            do throws(KafkaError) {
                try self.groups.setStartOffsets(group: request.groupID, offsets)
                return AlterShareGroupOffsetsResponse(topics: topics)
            } catch {
                return AlterShareGroupOffsetsResponse(error: error.code, errorMessage: error.message)
            }
        }
    }

    /// Of a group that has no members. It goes on existing, until it is deleted.
    func deleteShareGroupOffsets(_ request: DeleteShareGroupOffsetsRequest, _ context: RequestContext) -> Answer<DeleteShareGroupOffsetsResponse> {
        offload(context) {
            do throws(KafkaError) {
                let ids = request.topics.map { self.topicIDs.id(of: $0.name) }
                let outcomes = try self.groups.deleteOffsets(group: request.groupID, topics: ids)
                return DeleteShareGroupOffsetsResponse(
                    topics: zip(request.topics, zip(ids, outcomes)).map { topic, outcome in
                        .init(name: topic.name, id: outcome.0, error: outcome.1?.code ?? .none, errorMessage: outcome.1?.message)
                    })
            } catch {
                return DeleteShareGroupOffsetsResponse(error: error.code, errorMessage: error.message)
            }
        }
    }
}
