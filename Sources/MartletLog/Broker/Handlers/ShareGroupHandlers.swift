import MartletCore

// ShareGroupHeartbeat and ShareGroupDescribe (KIP-932).

struct ShareGroupHeartbeatRequest: WireRequest {
    typealias Response = ShareGroupHeartbeatResponse
    static let api = APIKey.shareGroupHeartbeat

    var groupID = ""
    var memberID = ""
    /// 0 to join, −1 to leave.
    var memberEpoch: Int32 = 0
    /// Nil, and in what follows: as before.
    var rackID: String?
    var topicNames: [String]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&rackID)
        try wire.field(&topicNames)
        try wire.tags()
    }
}

/// The same on the wire.
typealias ShareGroupHeartbeatResponse = ConsumerGroupHeartbeatResponse

struct DescribedShareMember: WireMessage {
    var memberID = ""
    var rackID: String?
    var memberEpoch: Int32 = 0
    var clientID = ""
    var clientHost = ""
    var topicNames: [String] = []
    var assignment = DescribedAssignment()

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&memberID)
        try wire.field(&rackID)
        try wire.field(&memberEpoch)
        try wire.field(&clientID)
        try wire.field(&clientHost)
        try wire.field(&topicNames)
        try wire.field(&assignment)
        try wire.tags()
    }
}

extension ShareGroup: DescribedKind {
    static let describeAPI = APIKey.shareGroupDescribe
    static let noPlan = ""

    /// The assignor's name.
    static func code(_ plan: inout String, _ wire: inout Wire) throws(WireError) { try wire.field(&plan) }

    static func topics(of group: DescribedGroup<ShareGroup>) -> Set<String> {
        Set(group.members.flatMap { $0.topicNames + $0.assignment.topics.map(\.name) })
    }

    var describedPlan: String { ShareAssignor.name }

    func described(_ member: Member, _ names: TopicIDs) -> DescribedShareMember {
        .init(
            memberID: member.id, rackID: member.rackID, memberEpoch: member.epoch, clientID: member.clientID, clientHost: member.clientHost,
            topicNames: member.names, assignment: .init(member.assigned, names))
    }
}

extension RequestRouter {
    func shareGroupHeartbeat(_ request: ShareGroupHeartbeatRequest, _ context: RequestContext) -> Answer<ShareGroupHeartbeatResponse> {
        @Sendable func response(_ answer: AssignmentAnswer) -> ShareGroupHeartbeatResponse {
            .init(
                memberID: answer.memberID, memberEpoch: answer.epoch,
                heartbeatIntervalMs: log.settings.shareSettings(ofGroup: request.groupID).heartbeatIntervalMs,
                assignment: answer.assignment.map { .init(topics: ConsumerGroupHeartbeatRequest.Topic.list($0)) })
        }
        @Sendable func refusal(_ error: KafkaError) -> ShareGroupHeartbeatResponse { .init(error: error.code, errorMessage: error.message) }
        do throws(KafkaError) {
            try Self.check(request)
            let heartbeat = ShareGroup.Heartbeat(
                memberID: request.memberID, epoch: request.memberEpoch, rackID: request.rackID, names: request.topicNames, clientID: context.clientID,
                clientHost: context.clientHost)
            let answer = try groups.heartbeat(group: request.groupID, heartbeat)
            let group = request.groupID
            guard let assignment = answer.assignment, groups.hasNewPartitions(group: group, assignment) else { return .now(response(answer)) }
            // A member reads only what its group has. If that cannot be written it comes again, with its epoch of before, and is told again.
            return offload(context) {
                do throws(KafkaError) {
                    try self.groups.initialize(group: group, assignment)
                    return response(answer)
                } catch {
                    return refusal(KafkaError(.coordinatorNotAvailable, error.message))
                }
            }
        } catch {
            return .now(refusal(error))
        }
    }

    /// What can be said of a heartbeat without looking at the group.
    private static func check(_ request: ShareGroupHeartbeatRequest) throws(KafkaError) {
        func require(_ condition: Bool, _ message: String) throws(KafkaError) {
            if !condition { throw KafkaError(.invalidRequest, message) }
        }
        try require(!request.memberID.isEmpty, "a member makes itself an id")
        try require(!request.groupID.isEmpty, "a group id is not empty")
        try require(request.rackID?.isEmpty != true, "a rack is not empty")
        try require(request.memberEpoch >= -1, "a member epoch is -1 or more")
        if request.memberEpoch == 0 { try require(request.topicNames?.isEmpty == false, "who joins names topics") }
    }
}
