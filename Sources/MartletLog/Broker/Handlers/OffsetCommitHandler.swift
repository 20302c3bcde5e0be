import MartletCore

struct OffsetCommitRequest: WireRequest {
    typealias Response = OffsetCommitResponse
    static let api = APIKey.offsetCommit

    struct Partition: WireMessage {
        var index: Int32 = 0
        var offset: Int64 = 0
        var leaderEpoch: Int32 = -1
        var timestamp: Int64 = -1
        var metadata: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&offset)
            try wire.field(&leaderEpoch, from: 6)
            try wire.field(&timestamp, from: 1, to: 1)
            try wire.field(&metadata)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var groupID = ""
    /// In a consumer group of KIP-848 the member's epoch.
    var generation: Int32 = -1
    var memberID = ""
    var groupInstanceID: String?
    var retentionMs: Int64 = -1
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 10
        try wire.field(&groupID)
        try wire.field(&generation)
        try wire.field(&memberID)
        try wire.field(&groupInstanceID, from: 7)
        try wire.field(&retentionMs, from: 2, to: 4)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct OffsetCommitResponse: WireMessage {
    typealias Topic = PerTopic<PartitionError>

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 10
        try wire.field(&throttleTimeMs, from: 3)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension OffsetCommitRequest {
    mutating func nameTopics(_ ids: TopicIDs) { topics = ids.named(topics) }
}

extension RequestRouter {
    func offsetCommit(_ request: OffsetCommitRequest, _ context: RequestContext) -> Answer<OffsetCommitResponse> {
        offload(context) { self.offsetCommit(request, context) }
    }

    private func offsetCommit(_ request: OffsetCommitRequest, _ context: RequestContext) -> OffsetCommitResponse {
        let (offsets, response) = committable(request.topics)
        // An empty commit still tells whether the member is alive.
        let verdict = groups.commit(
            group: request.groupID, memberID: request.memberID, instanceID: request.groupInstanceID, generation: request.generation,
            knowsEpochs: context.version >= 9, offsets)
        return response.failing(with: verdict)
    }

    /// Partitions that exist with metadata of an allowed size, and the answer for those that don't.
    func committable(_ topics: [OffsetCommitRequest.Topic]) -> (offsets: [TopicPartition: CommittedOffset], response: OffsetCommitResponse) {
        var offsets: [TopicPartition: CommittedOffset] = [:]
        var response = OffsetCommitResponse()
        for topic in topics {
            response.topics.append(
                topic.answer { partition in
                    let id = TopicPartition(topic.name, partition.index)
                    var answer = PartitionError(index: partition.index)
                    if log.partition(id) == nil {
                        answer.error = topic.errorIfMissing
                    } else if partition.metadata?.utf8.count ?? 0 > groups.config.offsetMetadataBytesMax {
                        answer.error = .offsetMetadataTooLarge
                    } else {
                        offsets[id] = CommittedOffset(
                            offset: partition.offset, leaderEpoch: partition.leaderEpoch, metadata: partition.metadata ?? "",
                            timestamp: time.wallMs)
                    }
                    return answer
                })
        }
        return (offsets, response)
    }
}

extension OffsetCommitResponse {
    /// The same answer with `code` for each partition that had no error of its own.
    func failing(with code: KafkaErrorCode) -> OffsetCommitResponse {
        guard code != .none else { return self }
        var copy = self
        for topic in copy.topics.indices {
            for partition in copy.topics[topic].partitions.indices where copy.topics[topic].partitions[partition].error == .none {
                copy.topics[topic].partitions[partition].error = code
            }
        }
        return copy
    }
}
