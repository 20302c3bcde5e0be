import Logging
import MartletCore
import NIOCore

struct MetadataRequest: WireRequest {
    typealias Response = MetadataResponse
    static let api = APIKey.metadata

    struct Topic: WireMessage {
        var id = UUIDBytes.zero
        var name: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id, from: 10)
            if wire.version >= 10 {
                try wire.field(&name)
                // The Java client names topics by id with an empty name beside it.
                if wire.isReading, name == "", id != .zero { name = nil }
            } else {
                var required = name ?? ""
                try wire.field(&required)
                name = required
            }
            try wire.tags()
        }
    }

    /// Nil: all topics. In version 0 the empty list says so.
    var topics: [Topic]? = []
    var allowsTopicCreation = true
    var includesClusterOperations = false
    var includesTopicOperations = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.field(&allowsTopicCreation, from: 4)
        try wire.field(&includesClusterOperations, from: 8, to: 10)
        try wire.field(&includesTopicOperations, from: 8)
        try wire.tags()
    }
}

struct MetadataResponse: WireMessage {
    struct Broker: WireMessage {
        var nodeID: Int32 = 0
        var host = ""
        var port: Int32 = 0
        var rack: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&rack, from: 1)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var error = KafkaErrorCode.none
        var index: Int32 = 0
        var leaderID: Int32 = RequestRouter.nodeID
        var leaderEpoch: Int32 = 0
        var replicas: [Int32] = [RequestRouter.nodeID]
        var inSyncReplicas: [Int32] = [RequestRouter.nodeID]
        var offlineReplicas: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderID)
            try wire.field(&leaderEpoch, from: 7)
            try wire.field(&replicas)
            try wire.field(&inSyncReplicas)
            try wire.field(&offlineReplicas, from: 5)
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
            try wire.field(&name, nullableFrom: 12)
            try wire.field(&id, from: 10)
            try wire.field(&isInternal, from: 1)
            try wire.field(&partitions)
            try wire.field(&authorizedOperations, from: 8)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var brokers: [Broker] = []
    var clusterID: String?
    var controllerID: Int32 = RequestRouter.nodeID
    var topics: [Topic] = []
    var clusterOperations = Int32.min
    var error = KafkaErrorCode.none

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 3)
        try wire.field(&brokers)
        try wire.field(&clusterID, from: 2)
        try wire.field(&controllerID, from: 1)
        try wire.field(&topics)
        try wire.field(&clusterOperations, from: 8, to: 10)
        try wire.field(&error, from: 13)
        try wire.tags()
    }
}

struct DescribeClusterRequest: WireRequest {
    typealias Response = DescribeClusterResponse
    static let api = APIKey.describeCluster

    var includesOperations = false
    /// 1 = brokers, 2 = controllers.
    var endpointType: Int8 = 1
    var includesFenced = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&includesOperations)
        try wire.field(&endpointType, from: 1)
        try wire.field(&includesFenced, from: 2)
        try wire.tags()
    }
}

struct DescribeClusterResponse: WireMessage {
    struct Broker: WireMessage {
        var nodeID: Int32 = 0
        var host = ""
        var port: Int32 = 0
        var rack: String?
        var isFenced = false

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&rack)
            try wire.field(&isFenced, from: 2)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var endpointType: Int8 = 1
    var clusterID = ""
    var controllerID: Int32 = RequestRouter.nodeID
    var brokers: [Broker] = []
    var clusterOperations = Int32.min

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&endpointType, from: 1)
        try wire.field(&clusterID)
        try wire.field(&controllerID)
        try wire.field(&brokers)
        try wire.field(&clusterOperations)
        try wire.tags()
    }
}

/// Every operation that an ACL could name on a topic or the cluster, as bits (KIP-430): nothing is forbidden here.
enum Operations {
    /// read, write, create, delete, alter, describe, describe configs, alter configs
    static let topic: Int32 = [3, 4, 5, 6, 7, 8, 10, 11].reduce(0) { $0 | 1 << $1 }
    /// create, alter, describe, cluster action, describe configs, alter configs, idempotent write
    static let cluster: Int32 = [5, 7, 8, 9, 10, 11, 12].reduce(0) { $0 | 1 << $1 }
}

extension RequestRouter {
    func metadata(_ request: MetadataRequest, _ context: RequestContext) -> Answer<MetadataResponse> {
        let wanted = context.version == 0 && request.topics?.isEmpty == true ? nil : request.topics
        let mayCreate = request.allowsTopicCreation && config.createTopicsOnUse
        let missing = wanted?.contains { topic in topic.name.map { log.topic($0) == nil } ?? false } ?? false
        guard missing, mayCreate else { return .now(metadataResponse(request, wanted, context, creating: false)) }
        return offload(context) { self.metadataResponse(request, wanted, context, creating: true) }
    }

    private func metadataResponse(
        _ request: MetadataRequest, _ wanted: [MetadataRequest.Topic]?, _ context: RequestContext, creating: Bool
    ) -> MetadataResponse {
        var response = MetadataResponse(brokers: [broker(context)], clusterID: log.clusterID)
        if request.includesClusterOperations { response.clusterOperations = Operations.cluster }
        func add(_ topic: TopicDescription) {
            response.topics.append(
                MetadataResponse.Topic(
                    name: topic.name, id: UUIDBytes(topic.topicID), isInternal: topic.isInternal,
                    partitions: log.partitions(of: topic.name).map { .init(index: $0.id.partition, leaderEpoch: $0.leaderEpoch) },
                    authorizedOperations: request.includesTopicOperations ? Operations.topic : .min))
        }
        guard let wanted else {
            for topic in log.topics.sorted(by: { $0.name < $1.name }) { add(topic) }
            return response
        }
        for topic in wanted {
            if let name = topic.name {
                var error = KafkaErrorCode.unknownTopicOrPartition
                if creating, log.topic(name) == nil { error = createOnUse(name) }
                if let known = log.topic(name) { add(known) } else { response.topics.append(.init(error: error, name: name)) }
            } else if let known = topicIDs.name(of: topic.id).flatMap({ log.topic($0) }) {
                add(known)
            } else {
                response.topics.append(.init(error: .unknownTopicID, id: topic.id))
            }
        }
        return response
    }

    private func createOnUse(_ name: String) -> KafkaErrorCode {
        guard Self.isTopicName(name), !name.hasPrefix("__") else { return .invalidTopicException }
        do throws(MartletError) {
            try log.createTopic(name, partitions: config.partitionsDefault, settings: [:])
            logger.info("topic created on first use", metadata: ["topic": "\(name)", "partitions": "\(config.partitionsDefault)"])
            return .none
        } catch {
            return error.code == .alreadyExists ? .none : code(error)
        }
    }

    /// 1 to 249 of a–z, A–Z, 0–9, '.', '_' and '-', and not "." or "..".
    static func isTopicName(_ name: String) -> Bool {
        (1...249).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    func describeCluster(_ request: DescribeClusterRequest, _ context: RequestContext) -> Answer<DescribeClusterResponse> {
        guard request.endpointType == 1 else {
            return .now(
                DescribeClusterResponse(
                    error: .unsupportedEndpointType, errorMessage: "only broker endpoints (type 1) can be described here"))
        }
        return .now(
            DescribeClusterResponse(
                clusterID: log.clusterID,
                brokers: [.init(nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)],
                clusterOperations: request.includesOperations ? Operations.cluster : .min))
    }

    private func broker(_ context: RequestContext) -> MetadataResponse.Broker {
        MetadataResponse.Broker(nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)
    }
}
