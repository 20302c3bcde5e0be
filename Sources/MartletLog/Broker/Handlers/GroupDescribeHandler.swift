import MartletCore

// ConsumerGroupDescribe (KIP-848), ShareGroupDescribe (KIP-932) and StreamsGroupDescribe (KIP-1071): one question and one answer, but for what a
// kind of group has of its own.

/// A kind of group as these requests describe it.
protocol DescribedKind: EpochGroup {
    /// How the group assigns, or what its application looks like.
    associatedtype Plan: Sendable
    associatedtype DescribedMember: WireMessage

    static var describeAPI: APIKey { get }
    /// Of a group that is not there.
    static var noPlan: Plan { get }
    static func code(_ plan: inout Plan, _ wire: inout Wire) throws(WireError)
    /// What a description names; who may not describe all of it is told nothing.
    static func topics(of group: DescribedGroup<Self>) -> Set<String>

    var describedPlan: Plan { get }
    func described(_ member: Member, _ names: TopicIDs) -> DescribedMember
}

typealias ConsumerGroupDescribeRequest = GroupDescribeRequest<ConsumerGroup>
typealias ConsumerGroupDescribeResponse = GroupDescribeResponse<ConsumerGroup>
typealias ShareGroupDescribeRequest = GroupDescribeRequest<ShareGroup>
typealias ShareGroupDescribeResponse = GroupDescribeResponse<ShareGroup>
typealias StreamsGroupDescribeRequest = GroupDescribeRequest<StreamsGroup>
typealias StreamsGroupDescribeResponse = GroupDescribeResponse<StreamsGroup>

struct GroupDescribeRequest<Kind: DescribedKind>: WireRequest {
    typealias Response = GroupDescribeResponse<Kind>
    static var api: APIKey { Kind.describeAPI }

    var groups: [String] = []
    var includesOperations = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groups)
        try wire.field(&includesOperations)
        try wire.tags()
    }
}

struct GroupDescribeResponse<Kind: DescribedKind>: WireMessage {
    var throttleTimeMs: Int32 = 0
    var groups: [DescribedGroup<Kind>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&groups)
        try wire.tags()
    }
}

struct DescribedGroup<Kind: DescribedKind>: WireMessage {
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var groupID = ""
    var state = ""
    var epoch: Int32 = 0
    var assignmentEpoch: Int32 = 0
    var plan = Kind.noPlan
    var members: [Kind.DescribedMember] = []
    var authorizedOperations = Int32.min

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&groupID)
        try wire.field(&state)
        try wire.field(&epoch)
        try wire.field(&assignmentEpoch)
        try Kind.code(&plan, &wire)
        try wire.field(&members)
        try wire.field(&authorizedOperations)
        try wire.tags()
    }
}

/// What a member of a consumer or share group reads.
struct DescribedAssignment: WireMessage {
    struct Topic: WireMessage {
        var id = UUIDBytes.zero
        var name = ""
        var partitions: [Int32] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&name)
            try wire.field(&partitions)
            try wire.tags()
        }
    }

    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.tags()
    }
}

extension DescribedAssignment {
    /// Without topics that are gone.
    init(_ partitions: Set<GroupPartition>, _ names: TopicIDs) {
        topics = ConsumerGroupHeartbeatRequest.Topic.list(partitions).compactMap { topic in
            names.name(of: topic.id).map { .init(id: topic.id, name: $0, partitions: topic.partitions) }
        }.sorted { $0.name < $1.name }
    }
}

extension RequestRouter {
    func groupDescribe<Kind>(_ request: GroupDescribeRequest<Kind>) -> Answer<GroupDescribeResponse<Kind>> {
        .now(
            .init(
                groups: request.groups.map { id in
                    let group: Kind
                    do throws(KafkaError) {
                        group = try groups.describe(id, as: Kind.self)
                    } catch {
                        return .init(error: error.code, errorMessage: error.message, groupID: id)
                    }
                    return .init(
                        groupID: id, state: group.stateName, epoch: group.epoch, assignmentEpoch: group.assignmentEpoch, plan: group.describedPlan,
                        members: group.membersInOrder.map { group.described($0, topicIDs) },
                        authorizedOperations: request.includesOperations ? 1 << 3 | 1 << 6 | 1 << 8 : .min)
                }))
    }
}
