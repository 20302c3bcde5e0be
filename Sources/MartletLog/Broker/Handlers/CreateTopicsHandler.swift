import Logging
import MartletCore

struct CreateTopicsRequest: WireRequest {
    typealias Response = CreateTopicsResponse
    static let api = APIKey.createTopics

    struct Assignment: WireMessage {
        var partition: Int32 = 0
        var brokers: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&partition)
            try wire.field(&brokers)
            try wire.tags()
        }
    }

    struct Setting: WireMessage {
        var name = ""
        var value: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.tags()
        }
    }

    struct Topic: WireMessage {
        var name = ""
        /// −1: the broker's default, or as many as `assignments` name.
        var partitions: Int32 = -1
        var replicationFactor: Int16 = -1
        var assignments: [Assignment] = []
        var settings: [Setting] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&partitions)
            try wire.field(&replicationFactor)
            try wire.field(&assignments)
            try wire.field(&settings)
            try wire.tags()
        }
    }

    var topics: [Topic] = []
    var timeoutMs: Int32 = 60_000
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&timeoutMs)
        try wire.field(&validatesOnly, from: 1)
        try wire.tags()
    }
}

struct CreateTopicsResponse: WireMessage {
    struct Setting: WireMessage {
        var name = ""
        var value: String?
        var isReadOnly = false
        var source: Int8 = ConfigSource.default.rawValue
        var isSensitive = false

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&isReadOnly)
            try wire.field(&source)
            try wire.field(&isSensitive)
            try wire.tags()
        }
    }

    struct Topic: WireMessage {
        var name = ""
        var id = UUIDBytes.zero
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var partitions: Int32 = -1
        var replicationFactor: Int16 = -1
        var settings: [Setting]? = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id, from: 7)
            try wire.field(&error)
            try wire.field(&errorMessage, from: 1)
            try wire.field(&partitions, from: 5)
            try wire.field(&replicationFactor, from: 5)
            try wire.field(&settings, from: 5)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 2)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func createTopics(_ request: CreateTopicsRequest, _ context: RequestContext) -> Answer<CreateTopicsResponse> {
        offload(context) { self.createTopics(request, context) }
    }

    private func createTopics(_ request: CreateTopicsRequest, _ context: RequestContext) -> CreateTopicsResponse {
        var timesNamed: [String: Int] = [:]
        for topic in request.topics { timesNamed[topic.name, default: 0] += 1 }
        return CreateTopicsResponse(
            topics: request.topics.map { wanted in
                var answer = CreateTopicsResponse.Topic(name: wanted.name)
                do throws(KafkaError) {
                    if timesNamed[wanted.name] != 1 {
                        throw KafkaError(.invalidRequest, "topic \(wanted.name) is named more than once")
                    }
                    let partitions = try createTopic(wanted, validatesOnly: request.validatesOnly, context)
                    answer.partitions = partitions
                    answer.replicationFactor = 1
                    answer.id = log.topic(wanted.name).map { UUIDBytes($0.topicID) } ?? .zero
                    answer.settings = topicRows(Dictionary(wanted.settings.map { ($0.name, $0.value ?? "") }, uniquingKeysWith: { $1 })).map { row in
                        .init(name: row.name, value: row.values.first?.text, source: (row.values.first?.source ?? .default).rawValue)
                    }
                } catch {
                    answer.error = error.code
                    answer.errorMessage = error.message
                }
                return answer
            })
    }

    /// - Returns: how many partitions the topic has, or would have.
    func createTopic(_ wanted: CreateTopicsRequest.Topic, validatesOnly: Bool, _ context: RequestContext) throws(KafkaError) -> Int32 {
        guard Self.isTopicName(wanted.name) else {
            throw KafkaError(
                .invalidTopicException,
                "topic name \"\(wanted.name)\" must be 1 to 249 letters, digits, '.', '_' or '-', and not \".\" or \"..\"")
        }
        if log.topic(wanted.name) != nil { throw KafkaError(.topicAlreadyExists, "topic \(wanted.name) already exists") }
        var partitions = wanted.partitions == -1 ? config.partitionsDefault : wanted.partitions
        if !wanted.assignments.isEmpty {
            guard wanted.partitions == -1, wanted.replicationFactor == -1 else {
                throw KafkaError(.invalidRequest, "give partitions and replication factor, or an assignment, not both")
            }
            guard wanted.assignments.allSatisfy({ $0.brokers == [Self.nodeID] }),
                wanted.assignments.map(\.partition).sorted() == (0..<Int32(wanted.assignments.count)).map({ $0 })
            else {
                throw KafkaError(.invalidReplicaAssignment, "every partition from 0 on is assigned to broker \(Self.nodeID), the only one")
            }
            partitions = Int32(wanted.assignments.count)
        }
        guard partitions > 0, partitions <= Self.partitionsMax else {
            throw KafkaError(.invalidPartitions, "partitions must be 1 to \(Self.partitionsMax), not \(partitions)")
        }
        guard wanted.replicationFactor == -1 || wanted.replicationFactor == 1 else {
            throw KafkaError(
                .invalidReplicationFactor, "replication factor must be 1, not \(wanted.replicationFactor): there is one broker")
        }
        var settings: [String: String] = [:]
        for setting in wanted.settings {
            guard let value = setting.value else { throw KafkaError(.invalidConfig, "setting \(setting.name) has no value") }
            settings[setting.name] = value
        }
        do throws(MartletError) {
            _ = try TopicSettings(settings, defaults: log.config.topics)
        } catch {
            throw KafkaError(.invalidConfig, error.message)
        }
        if validatesOnly { return partitions }
        try admitMutations(Int(partitions), isStrict: context.version >= 6, context)
        do throws(MartletError) {
            try log.createTopic(wanted.name, partitions: partitions, settings: settings)
        } catch {
            throw KafkaError(code(error), error.message)
        }
        logger.info("topic created", metadata: ["topic": "\(wanted.name)", "partitions": "\(partitions)"])
        return partitions
    }

    /// More would be open files and little else on one machine.
    static let partitionsMax: Int32 = 10_000
}
