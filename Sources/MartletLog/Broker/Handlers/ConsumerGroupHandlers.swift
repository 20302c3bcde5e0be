import MartletCore
import NIOCore

// ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848).

struct ConsumerGroupHeartbeatRequest: WireRequest {
    typealias Response = ConsumerGroupHeartbeatResponse
    static let api = APIKey.consumerGroupHeartbeat

    struct Topic: WireMessage {
        var id = UUIDBytes.zero
        var partitions: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&partitions)
            try wire.tags()
        }
    }

    var groupID = ""
    var memberID = ""
    var memberEpoch: Int32 = 0
    var instanceID: String?
    var rackID: String?
    /// −1, and nil in what follows: as before.
    var rebalanceTimeoutMs: Int32 = -1
    var topicNames: [String]?
    var topicPattern: String?
    var assignor: String?
    var owned: [Topic]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&instanceID)
        try wire.field(&rackID)
        try wire.field(&rebalanceTimeoutMs)
        try wire.field(&topicNames)
        try wire.field(&topicPattern, from: 1)
        try wire.field(&assignor)
        try wire.field(&owned)
        try wire.tags()
    }
}

struct ConsumerGroupHeartbeatResponse: WireMessage {
    struct Assignment: WireMessage {
        var topics: [ConsumerGroupHeartbeatRequest.Topic] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var memberID: String?
    var memberEpoch: Int32 = 0
    var heartbeatIntervalMs: Int32 = 0
    var assignment: Assignment?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&heartbeatIntervalMs)
        try wire.field(&assignment)
        try wire.tags()
    }
}

struct DescribedConsumer: WireMessage {
    var memberID = ""
    var instanceID: String?
    var rackID: String?
    var memberEpoch: Int32 = 0
    var clientID = ""
    var clientHost = ""
    var topicNames: [String] = []
    var topicPattern: String?
    var assignment = DescribedAssignment()
    var target = DescribedAssignment()
    /// 0 a member of the classic protocol, 1 of this one.
    var type: Int8 = 1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&memberID)
        try wire.field(&instanceID)
        try wire.field(&rackID)
        try wire.field(&memberEpoch)
        try wire.field(&clientID)
        try wire.field(&clientHost)
        try wire.field(&topicNames)
        try wire.field(&topicPattern)
        try wire.field(&assignment)
        try wire.field(&target)
        try wire.field(&type, from: 1)
        try wire.tags()
    }
}

extension ConsumerGroup: DescribedKind {
    static let describeAPI = APIKey.consumerGroupDescribe
    static let noPlan = ""

    /// The assignor's name.
    static func code(_ plan: inout String, _ wire: inout Wire) throws(WireError) { try wire.field(&plan) }

    static func topics(of group: DescribedGroup<ConsumerGroup>) -> Set<String> {
        Set(group.members.flatMap { $0.topicNames + ($0.assignment.topics + $0.target.topics).map(\.name) })
    }

    var describedPlan: String { assignor.rawValue }

    func described(_ member: Member, _ names: TopicIDs) -> DescribedConsumer {
        .init(
            memberID: member.id, instanceID: member.instanceID, rackID: member.rackID, memberEpoch: member.epoch, clientID: member.clientID,
            clientHost: member.clientHost, topicNames: member.names, topicPattern: member.pattern?.text, assignment: .init(member.assigned, names),
            target: .init(target[member.id] ?? [], names), type: member.classic == nil ? 1 : 0)
    }
}

extension ConsumerGroupHeartbeatRequest.Topic {
    /// Partitions by their topics.
    static func list(_ partitions: Set<GroupPartition>) -> [Self] {
        Dictionary(grouping: partitions, by: \.topic).map { .init(id: $0.key, partitions: $0.value.map(\.index).sorted()) }
    }
}

extension RequestRouter {
    func consumerGroupHeartbeat(_ request: ConsumerGroupHeartbeatRequest, _ context: RequestContext) -> Answer<ConsumerGroupHeartbeatResponse> {
        let heartbeat: ConsumerGroup.Heartbeat
        do throws(KafkaError) {
            heartbeat = try checked(request, context)
        } catch {
            return .now(.init(error: error.code, errorMessage: error.message))
        }
        let access = context.access
        let answer = groups.heartbeat(group: request.groupID, heartbeat) { access.allows(.describe, .topic, $0) }
        guard answer.error == .none else { return .now(.init(error: answer.error, errorMessage: answer.message)) }
        return .now(
            .init(
                memberID: answer.memberID, memberEpoch: answer.epoch, heartbeatIntervalMs: log.settings.consumerTimes(ofGroup: request.groupID).heartbeatIntervalMs,
                assignment: answer.assignment.map { .init(topics: ConsumerGroupHeartbeatRequest.Topic.list($0)) }))
    }

    /// What can be said of a heartbeat without looking at the group.
    private func checked(_ request: ConsumerGroupHeartbeatRequest, _ context: RequestContext) throws(KafkaError) -> ConsumerGroup.Heartbeat {
        func require(_ condition: Bool, _ message: String) throws(KafkaError) {
            if !condition { throw KafkaError(.invalidRequest, message) }
        }
        try require(!request.groupID.isEmpty, "a group id is not empty")
        try require(request.instanceID?.isEmpty != true, "an instance id is not empty")
        try require(request.rackID?.isEmpty != true, "a rack is not empty")
        var memberID = request.memberID
        if request.memberEpoch > 0 || request.memberEpoch == -1 {
            try require(!memberID.isEmpty, "a member has an id")
        } else if request.memberEpoch == 0 {
            if context.version == 0, memberID.isEmpty { memberID = UUIDBytes.random().text }
            try require(!memberID.isEmpty, "a member makes itself an id")
            try require(request.rebalanceTimeoutMs != -1, "who joins gives a rebalance timeout")
            try require(request.owned?.isEmpty == true, "who joins has no partitions")
            try require(request.topicNames != nil || request.topicPattern?.isEmpty == false, "who joins names topics or a pattern")
        } else {
            try require(request.memberEpoch == -2, "a member epoch is -2 or more")
            try require(request.instanceID != nil, "only a static member leaves for a while")
        }
        if let assignor = request.assignor, ServerAssignor(rawValue: assignor) == nil {
            let names = ServerAssignor.allCases.map(\.rawValue).joined(separator: ", ")
            throw KafkaError(.unsupportedAssignor, "assignor \(assignor) is not one of \(names)")
        }
        var heartbeat = ConsumerGroup.Heartbeat(
            memberID: memberID, epoch: request.memberEpoch, instanceID: request.instanceID, rackID: request.rackID, clientID: context.clientID,
            clientHost: context.clientHost, names: request.topicNames, assignor: request.assignor)
        if request.rebalanceTimeoutMs != -1 { heartbeat.rebalanceTimeoutMs = Int64(max(0, request.rebalanceTimeoutMs)) }
        if let pattern = request.topicPattern { heartbeat.pattern = pattern.isEmpty ? ConsumerGroup.Heartbeat.Pattern.none : .some(try NamePattern(pattern)) }
        heartbeat.owned = request.owned.map { topics in
            Set(topics.flatMap { topic in topic.partitions.map { ConsumerGroup.Partition(topic: topic.id, index: $0) } })
        }
        return heartbeat
    }
}
