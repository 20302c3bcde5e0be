import MartletCore

/// What a tool asks about a Kafka Streams application (KIP-1071).
struct StreamsGroupDescribeRequest: WireRequest {
    typealias Response = StreamsGroupDescribeResponse
    static let api = APIKey.streamsGroupDescribe

    var groups: [String] = []
    var includesOperations = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groups)
        try wire.field(&includesOperations)
        try wire.tags()
    }
}

struct StreamsGroupDescribeResponse: WireMessage {
    struct Subtopology: WireMessage {
        var id = ""
        var sources: [String] = []
        var sinks: [String] = []
        var changelogs: [StreamsTopicInfo] = []
        var repartitions: [StreamsTopicInfo] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&sources)
            try wire.field(&sinks)
            try wire.field(&changelogs)
            try wire.field(&repartitions)
            try wire.tags()
        }
    }

    struct Topology: WireMessage {
        var epoch: Int32 = 0
        /// With patterns replaced by what they match and numbers of partitions.
        var subtopologies: [Subtopology]?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&epoch)
            try wire.field(&subtopologies)
            try wire.tags()
        }
    }

    struct Assignment: WireMessage {
        var active: [StreamsTaskIDs] = []
        var standby: [StreamsTaskIDs] = []
        var warmup: [StreamsTaskIDs] = []

        init() {}

        init(_ tasks: StreamsGroup.Tasks) {
            active = StreamsTaskIDs.list(tasks.active)
            standby = StreamsTaskIDs.list(tasks.standby)
            warmup = StreamsTaskIDs.list(tasks.warmup)
        }

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&active)
            try wire.field(&standby)
            try wire.field(&warmup)
            try wire.tags()
        }
    }

    struct Member: WireMessage {
        var memberID = ""
        var memberEpoch: Int32 = 0
        var instanceID: String?
        var rackID: String?
        var clientID = ""
        var clientHost = ""
        var topologyEpoch: Int32 = 0
        var processID = ""
        var endpoint: StreamsEndpoint?
        var clientTags: [StreamsKeyValue] = []
        var offsets: [StreamsTaskOffset] = []
        var endOffsets: [StreamsTaskOffset] = []
        var assignment = Assignment()
        var target = Assignment()
        var isClassic = false

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&memberEpoch)
            try wire.field(&instanceID)
            try wire.field(&rackID)
            try wire.field(&clientID)
            try wire.field(&clientHost)
            try wire.field(&topologyEpoch)
            try wire.field(&processID)
            try wire.field(&endpoint)
            try wire.field(&clientTags)
            try wire.field(&offsets)
            try wire.field(&endOffsets)
            try wire.field(&assignment)
            try wire.field(&target)
            try wire.field(&isClassic)
            try wire.tags()
        }
    }

    struct Group: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var groupID = ""
        var state = ""
        var epoch: Int32 = 0
        var assignmentEpoch: Int32 = 0
        var topology: Topology?
        var members: [Member] = []
        var authorizedOperations = Int32.min

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&groupID)
            try wire.field(&state)
            try wire.field(&epoch)
            try wire.field(&assignmentEpoch)
            try wire.field(&topology)
            try wire.field(&members)
            try wire.field(&authorizedOperations)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&groups)
        try wire.tags()
    }
}

extension RequestRouter {
    func streamsGroupDescribe(_ request: StreamsGroupDescribeRequest) -> Answer<StreamsGroupDescribeResponse> {
        .now(
            .init(
                groups: request.groups.map { id in
                    let group: StreamsGroup
                    do throws(KafkaError) {
                        group = try groups.describe(id, as: StreamsGroup.self)
                    } catch {
                        return .init(error: error.code, errorMessage: error.message, groupID: id)
                    }
                    return .init(
                        groupID: id, state: group.state.rawValue, epoch: group.epoch, assignmentEpoch: group.assignmentEpoch,
                        topology: group.topology.map { described($0, group.layout) }, members: group.membersInOrder.map { described($0, group) },
                        authorizedOperations: request.includesOperations ? 1 << 3 | 1 << 6 | 1 << 8 : .min)
                }))
    }

    /// While topics are missing or wrong: as the application said it, as far as it named topics. The specification has null there, over which the
    /// Java client of 4.2 stumbles.
    private func described(_ topology: StreamsTopology, _ layout: StreamsLayout?) -> StreamsGroupDescribeResponse.Topology {
        let parts = layout?.isReady == true ? layout?.subtopologies : topology.subtopologies
        return .init(
            epoch: topology.epoch,
            subtopologies: parts?.map { part in
                .init(
                    id: part.id, sources: part.sources, sinks: part.sinks, changelogs: StreamsTopicInfo.list(part.changelogs),
                    repartitions: StreamsTopicInfo.list(part.repartitions))
            })
    }

    private func described(_ member: StreamsGroup.Member, _ group: StreamsGroup) -> StreamsGroupDescribeResponse.Member {
        .init(
            memberID: member.id, memberEpoch: member.epoch, instanceID: member.instanceID, rackID: member.rackID, clientID: member.clientID,
            clientHost: member.clientHost, topologyEpoch: member.topologyEpoch, processID: member.processID,
            endpoint: member.endpoint.map(StreamsEndpoint.init),
            clientTags: member.clientTags.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: $0.value) },
            offsets: StreamsTaskOffset.list(member.offsets ?? [:]), endOffsets: StreamsTaskOffset.list(member.endOffsets),
            assignment: .init(member.assigned), target: .init(group.target[member.id] ?? .init()))
    }
}
