import MartletCore

struct DeleteRecordsRequest: WireRequest {
    typealias Response = DeleteRecordsResponse
    static let api = APIKey.deleteRecords

    struct Partition: WireMessage {
        var index: Int32 = 0
        /// −1: everything readable.
        var before: Int64 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&before)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var topics: [Topic] = []
    var timeoutMs: Int32 = 60_000

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&timeoutMs)
        try wire.tags()
    }
}

struct DeleteRecordsResponse: WireMessage {
    struct Partition: WireMessage {
        var index: Int32 = 0
        var lowWatermark: Int64 = -1
        var error = KafkaErrorCode.none

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&lowWatermark)
            try wire.field(&error)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func deleteRecords(_ request: DeleteRecordsRequest, _ context: RequestContext) -> Answer<DeleteRecordsResponse> {
        offload(context) {
            DeleteRecordsResponse(
                topics: request.topics.map { topic in
                    .init(
                        name: topic.name,
                        partitions: topic.partitions.map { partition in
                            var answer = DeleteRecordsResponse.Partition(index: partition.index)
                            do throws(KafkaError) {
                                guard let log = self.log.partition(TopicPartition(topic.name, partition.index)) else {
                                    throw KafkaError(.unknownTopicOrPartition, "no such partition")
                                }
                                if let known = self.log.topic(topic.name), known.isInternal || known.isReserved {
                                    throw KafkaError(.invalidTopicException, "\(topic.name) is internal")
                                }
                                let end = log.highWatermark
                                let before = partition.before == -1 ? end : partition.before
                                guard before >= 0, before <= end else { throw KafkaError(.offsetOutOfRange, "past the end") }
                                answer.lowWatermark = try log.deleteRecords(before: before)
                            } catch {
                                answer.error = error.code
                            }
                            return answer
                        })
                })
        }
    }
}
