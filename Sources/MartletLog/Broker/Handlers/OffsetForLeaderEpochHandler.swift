import MartletCore

struct OffsetForLeaderEpochRequest: WireRequest {
    typealias Response = OffsetForLeaderEpochResponse
    static let api = APIKey.offsetForLeaderEpoch

    struct Partition: WireMessage {
        var index: Int32 = 0
        var currentLeaderEpoch: Int32 = -1
        var leaderEpoch: Int32 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&currentLeaderEpoch, from: 2)
            try wire.field(&leaderEpoch)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var replicaID: Int32 = -2
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&replicaID, from: 3)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct OffsetForLeaderEpochResponse: WireMessage {
    struct Partition: WireMessage {
        var error = KafkaErrorCode.none
        var index: Int32 = 0
        var leaderEpoch: Int32 = -1
        var endOffset: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderEpoch, from: 1)
            try wire.field(&endOffset)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 2)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    /// Where an epoch that the client has read records of ends in this log: if before the client's place, what it has read is gone.
    func offsetForLeaderEpoch(_ request: OffsetForLeaderEpochRequest) -> Answer<OffsetForLeaderEpochResponse> {
        .now(
            OffsetForLeaderEpochResponse(
                topics: request.topics.map { topic in
                    OffsetForLeaderEpochResponse.Topic(
                        name: topic.name,
                        partitions: topic.partitions.map { wanted in
                            var answer = OffsetForLeaderEpochResponse.Partition(index: wanted.index)
                            guard let log = log.partition(TopicPartition(topic.name, wanted.index)) else {
                                answer.error = .unknownTopicOrPartition
                                return answer
                            }
                            answer.error = EpochCheck.error(wanted.currentLeaderEpoch, inForce: log.leaderEpoch)
                            if answer.error == .none, let end = log.end(ofEpoch: wanted.leaderEpoch) {
                                (answer.leaderEpoch, answer.endOffset) = (end.epoch, end.startOffset)
                            }
                            return answer
                        })
                }))
    }
}
