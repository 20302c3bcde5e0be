import MartletCore

/// What StreamsGroupDescribe says of a Kafka Streams application (KIP-1071).
enum StreamsGroupDescription {
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
}

extension StreamsGroup: DescribedKind {
    static let describeAPI = APIKey.streamsGroupDescribe
    static let noPlan: StreamsGroupDescription.Topology? = nil

    static func code(_ plan: inout StreamsGroupDescription.Topology?, _ wire: inout Wire) throws(WireError) { try wire.field(&plan) }

    static func topics(of group: DescribedGroup<StreamsGroup>) -> Set<String> {
        Set((group.plan?.subtopologies ?? []).flatMap { part in part.sources + part.sinks + (part.repartitions + part.changelogs).map(\.name) })
    }

    /// While topics are missing or wrong: as the application said it, as far as it named topics. The specification has null there, over which the
    /// Java client of 4.2 stumbles.
    var describedPlan: StreamsGroupDescription.Topology? {
        guard let topology else { return nil }
        let parts = layout?.isReady == true ? layout?.subtopologies : topology.subtopologies
        return .init(
            epoch: topology.epoch,
            subtopologies: parts?.map { part in
                .init(
                    id: part.id, sources: part.sources, sinks: part.sinks, changelogs: StreamsTopicInfo.list(part.changelogs),
                    repartitions: StreamsTopicInfo.list(part.repartitions))
            })
    }

    func described(_ member: Member, _ names: TopicIDs) -> StreamsGroupDescription.Member {
        .init(
            memberID: member.id, memberEpoch: member.epoch, instanceID: member.instanceID, rackID: member.rackID, clientID: member.clientID,
            clientHost: member.clientHost, topologyEpoch: member.topologyEpoch, processID: member.processID,
            endpoint: member.endpoint.map(StreamsEndpoint.init),
            clientTags: member.clientTags.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: $0.value) },
            offsets: StreamsTaskOffset.list(member.offsets ?? [:]), endOffsets: StreamsTaskOffset.list(member.endOffsets),
            assignment: .init(member.assigned), target: .init(target[member.id] ?? .init()))
    }
}
