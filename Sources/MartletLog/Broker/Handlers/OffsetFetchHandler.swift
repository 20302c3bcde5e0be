import MartletCore

struct OffsetFetchRequest: WireRequest {
    typealias Response = OffsetFetchResponse
    static let api = APIKey.offsetFetch

    typealias Topic = PerTopic<Int32>

    struct Group: WireMessage {
        var groupID = ""
        /// A member of a consumer group says who it is (KIP-848); others leave both out.
        var memberID: String?
        var memberEpoch: Int32 = -1
        /// Nil: everything committed.
        var topics: [Topic]? = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&memberID, from: 9)
            try wire.field(&memberEpoch, from: 9)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    /// Up to version 7 exactly one.
    var groups: [Group] = [Group()]
    var requiresStable = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 10
        if wire.version <= 7 {
            var only = groups.first ?? Group()
            try wire.field(&only.groupID)
            try wire.field(&only.topics)
            groups = [only]
        } else {
            try wire.field(&groups)
        }
        try wire.field(&requiresStable, from: 7)
        try wire.tags()
    }
}

struct OffsetFetchResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var offset: Int64 = -1
        var leaderEpoch: Int32 = -1
        var metadata: String? = ""
        var error = KafkaErrorCode.none

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&offset)
            try wire.field(&leaderEpoch, from: 5)
            try wire.field(&metadata)
            try wire.field(&error)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    struct Group: WireMessage {
        var groupID = ""
        var topics: [Topic] = []
        var error = KafkaErrorCode.none

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&topics)
            try wire.field(&error)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var groups: [Group] = [Group()]

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 10
        try wire.field(&throttleTimeMs, from: 3)
        if wire.version <= 7 {
            var only = groups.first ?? Group()
            try wire.field(&only.topics)
            try wire.field(&only.error, from: 2)
            groups = [only]
        } else {
            try wire.field(&groups)
        }
        try wire.tags()
    }
}

extension OffsetFetchRequest {
    mutating func nameTopics(_ ids: TopicIDs) {
        for i in groups.indices { groups[i].topics = groups[i].topics.map { ids.named($0) } }
    }
}

extension RequestRouter {
    /// Partitions without a committed offset are answered with offset −1; that is not an error.
    func offsetFetch(_ request: OffsetFetchRequest, _ context: RequestContext) -> Answer<OffsetFetchResponse> {
        // Looking for open transactions can wait for one that is being committed.
        request.requiresStable ? offload(context) { self.offsetFetch(request, context) } : .now(offsetFetch(request, context))
    }

    private func offsetFetch(_ request: OffsetFetchRequest, _ context: RequestContext) -> OffsetFetchResponse {
        OffsetFetchResponse(
            groups: request.groups.map { offsets(of: $0, requiresStable: request.requiresStable, usesTopicIDs: context.version >= 10) })
    }

    private func offsets(of wanted: OffsetFetchRequest.Group, requiresStable: Bool, usesTopicIDs: Bool) -> OffsetFetchResponse.Group {
        var answer = OffsetFetchResponse.Group(groupID: wanted.groupID)
        answer.error = groups.admitOffsetFetch(group: wanted.groupID, memberID: wanted.memberID, epoch: wanted.memberEpoch)
        guard answer.error == .none else { return answer }
        func partition(_ id: TopicPartition, _ committed: CommittedOffset?) -> OffsetFetchResponse.Partition {
            let index = id.partition
            // A transaction that is still open may change it: ask again later (KIP-447).
            if requiresStable, log.transactions.hasPendingOffset(group: wanted.groupID, id) {
                return .init(index: index, error: .unstableOffsetCommit)
            }
            guard let committed else { return .init(index: index) }
            return .init(
                index: index, offset: committed.offset, leaderEpoch: committed.leaderEpoch, metadata: committed.metadata)
        }
        if let topics = wanted.topics {
            answer.topics = topics.map { topic in
                topic.answer { index in
                    if usesTopicIDs, topic.name.isEmpty { return .init(index: index, error: .unknownTopicID) }
                    let id = TopicPartition(topic.name, index)
                    return partition(id, log.groupOffsets.committed(group: wanted.groupID, id))
                }
            }
        } else {
            let all = Dictionary(grouping: log.groupOffsets.all(group: wanted.groupID), by: \.key.topic)
            answer.topics = all.keys.sorted().map { name in
                OffsetFetchResponse.Topic(
                    name: name, id: usesTopicIDs ? topicIDs.id(of: name) : .zero,
                    partitions: (all[name] ?? []).sorted { $0.key.partition < $1.key.partition }
                        .map { partition($0.key, $0.value) })
            }
        }
        return answer
    }
}
