import Logging
import MartletCore

struct CreatePartitionsRequest: WireRequest {
    typealias Response = CreatePartitionsResponse
    static let api = APIKey.createPartitions

    struct Assignment: WireMessage {
        var brokers: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&brokers)
            try wire.tags()
        }
    }

    struct Topic: WireMessage {
        var name = ""
        /// How many there will be in all.
        var total: Int32 = 0
        var assignments: [Assignment]?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&total)
            try wire.field(&assignments)
            try wire.tags()
        }
    }

    var topics: [Topic] = []
    var timeoutMs: Int32 = 60_000
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&timeoutMs)
        try wire.field(&validatesOnly)
        try wire.tags()
    }
}

struct CreatePartitionsResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var topics: [NamedOutcome] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func createPartitions(_ request: CreatePartitionsRequest, _ context: RequestContext) -> Answer<CreatePartitionsResponse> {
        offload(context) {
            CreatePartitionsResponse(
                topics: request.topics.map { wanted in
                    do throws(KafkaError) {
                        try self.createPartitions(wanted, validatesOnly: request.validatesOnly, context)
                        return .init(name: wanted.name)
                    } catch {
                        return .init(name: wanted.name, error: error.code, errorMessage: error.message)
                    }
                })
        }
    }

    private func createPartitions(_ wanted: CreatePartitionsRequest.Topic, validatesOnly: Bool, _ context: RequestContext) throws(KafkaError) {
        guard let known = log.topic(wanted.name) else {
            throw KafkaError(.unknownTopicOrPartition, "topic \(wanted.name) does not exist")
        }
        guard !known.isInternal && !known.isReserved else { throw KafkaError(.invalidTopicException, "\(known.name) is internal") }
        guard wanted.total > known.partitions, wanted.total <= Self.partitionsMax else {
            throw KafkaError(
                .invalidPartitions,
                "topic \(wanted.name) has \(known.partitions) partitions; the new count must be larger, up to \(Self.partitionsMax)")
        }
        if let assignments = wanted.assignments {
            guard assignments.count == Int(wanted.total - known.partitions), assignments.allSatisfy({ $0.brokers == [Self.nodeID] }) else {
                throw KafkaError(.invalidReplicaAssignment, "each new partition is assigned to broker \(Self.nodeID), the only one")
            }
        }
        if validatesOnly { return }
        try admitMutations(Int(wanted.total - known.partitions), isStrict: context.version >= 3, context)
        do throws(MartletError) {
            try log.createPartitions(wanted.name, total: wanted.total)
        } catch {
            throw KafkaError(code(error), error.message)
        }
        logger.info("partitions added", metadata: ["topic": "\(wanted.name)", "partitions": "\(wanted.total)"])
    }
}
