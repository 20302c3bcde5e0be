import MartletCore

struct OffsetDeleteRequest: WireRequest {
    typealias Response = OffsetDeleteResponse
    static let api = APIKey.offsetDelete

    var groupID = ""
    var topics: [OffsetFetchRequest.Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct OffsetDeleteResponse: WireMessage {
    var error = KafkaErrorCode.none
    var throttleTimeMs: Int32 = 0
    var topics: [OffsetCommitResponse.Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func offsetDelete(_ request: OffsetDeleteRequest, _ context: RequestContext) -> Answer<OffsetDeleteResponse> {
        offload(context) { self.offsetDelete(request) }
    }

    private func offsetDelete(_ request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        guard let type = groups.type(of: request.groupID), type != .share else { return OffsetDeleteResponse(error: .groupIDNotFound) }
        let read = Set(request.topics.map(\.name).filter { groups.isSubscribed(request.groupID, to: $0) })
        let partitions = request.topics.filter { !read.contains($0.name) }.flatMap { topic in topic.partitions.map { TopicPartition(topic.name, $0) } }
        var code = KafkaErrorCode.none
        do throws(KafkaError) {
            try log.groupOffsets.delete(group: request.groupID, partitions: partitions)
        } catch {
            code = error.code
        }
        return OffsetDeleteResponse(
            topics: request.topics.map { topic in
                topic.answer { .init(index: $0, error: read.contains(topic.name) ? .groupSubscribedToTopic : code) }
            })
    }
}
