import Logging
import MartletCore

struct DeleteTopicsRequest: WireRequest {
    typealias Response = DeleteTopicsResponse
    static let api = APIKey.deleteTopics

    struct Topic: WireMessage {
        var name: String?
        var id = UUIDBytes.zero

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id)
            try wire.tags()
        }
    }

    var topics: [Topic] = []
    var names: [String] = []
    var timeoutMs: Int32 = 60_000

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics, from: 6)
        try wire.field(&names, to: 5)
        try wire.field(&timeoutMs)
        try wire.tags()
    }
}

struct DeleteTopicsResponse: WireMessage {
    struct Topic: WireMessage {
        var name: String?
        var id = UUIDBytes.zero
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name, nullableFrom: 6)
            try wire.field(&id, from: 6)
            try wire.field(&error)
            try wire.field(&errorMessage, from: 5)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func deleteTopics(_ request: DeleteTopicsRequest, _ context: RequestContext) -> Answer<DeleteTopicsResponse> {
        let wanted = context.version >= 6 ? request.topics : request.names.map { .init(name: $0) }
        return offload(context) { DeleteTopicsResponse(topics: wanted.map { self.deleteTopic($0, context) }) }
    }

    private func deleteTopic(_ wanted: DeleteTopicsRequest.Topic, _ context: RequestContext) -> DeleteTopicsResponse.Topic {
        var answer = DeleteTopicsResponse.Topic(name: wanted.name, id: wanted.id)
        let known = wanted.name.map { log.topic($0) } ?? topicIDs.name(of: wanted.id).flatMap { log.topic($0) }
        guard let known else {
            answer.error = wanted.name == nil ? .unknownTopicID : .unknownTopicOrPartition
            answer.errorMessage = wanted.name.map { "topic \($0) does not exist" } ?? "no topic has this id"
            return answer
        }
        answer.name = known.name
        answer.id = UUIDBytes(known.topicID)
        guard !known.isInternal && !known.isReserved else {
            answer.error = .invalidRequest
            answer.errorMessage = "\(known.name) is internal and stays"
            return answer
        }
        do throws(KafkaError) {
            try admitMutations(Int(known.partitions), isStrict: context.version >= 5, context)
        } catch {
            answer.error = error.code
            answer.errorMessage = error.message
            return answer
        }
        do throws(MartletError) {
            try log.deleteTopic(known.name)
            logger.info("topic deleted", metadata: ["topic": "\(known.name)"])
        } catch {
            answer.error = code(error)
            answer.errorMessage = error.message
        }
        return answer
    }
}
