import MartletCore
import NIOCore
import NIOPosix

/// A member of a Kafka Streams application says that it is there, what it runs and which tasks it has (KIP-1071).
struct StreamsGroupHeartbeatRequest: WireRequest {
    typealias Response = StreamsGroupHeartbeatResponse
    static let api = APIKey.streamsGroupHeartbeat

    struct CopartitionGroup: WireMessage {
        /// Places in the lists of the subtopology.
        var sources: [Int16] = []
        var patterns: [Int16] = []
        var repartitions: [Int16] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&sources)
            try wire.field(&patterns)
            try wire.field(&repartitions)
            try wire.tags()
        }
    }

    struct Subtopology: WireMessage {
        var id = ""
        var sources: [String] = []
        var patterns: [String] = []
        var changelogs: [StreamsTopicInfo] = []
        var sinks: [String] = []
        var repartitions: [StreamsTopicInfo] = []
        var copartitionGroups: [CopartitionGroup] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&sources)
            try wire.field(&patterns)
            try wire.field(&changelogs)
            try wire.field(&sinks)
            try wire.field(&repartitions)
            try wire.field(&copartitionGroups)
            try wire.tags()
        }
    }

    struct Topology: WireMessage {
        var epoch: Int32 = 0
        var subtopologies: [Subtopology] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&epoch)
            try wire.field(&subtopologies)
            try wire.tags()
        }
    }

    var groupID = ""
    var memberID = ""
    /// 0 to join, −1 to leave, −2 to leave for a while.
    var memberEpoch: Int32 = 0
    var endpointEpoch: Int32 = 0
    var instanceID: String?
    var rackID: String?
    /// −1, and nil in what follows: as before.
    var rebalanceTimeoutMs: Int32 = -1
    var topology: Topology?
    var active: [StreamsTaskIDs]?
    var standby: [StreamsTaskIDs]?
    var warmup: [StreamsTaskIDs]?
    var processID: String?
    var endpoint: StreamsEndpoint?
    var clientTags: [StreamsKeyValue]?
    var offsets: [StreamsTaskOffset]?
    var endOffsets: [StreamsTaskOffset]?
    var requestsShutdown = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&endpointEpoch)
        try wire.field(&instanceID)
        try wire.field(&rackID)
        try wire.field(&rebalanceTimeoutMs)
        try wire.field(&topology)
        try wire.field(&active)
        try wire.field(&standby)
        try wire.field(&warmup)
        try wire.field(&processID)
        try wire.field(&endpoint)
        try wire.field(&clientTags)
        try wire.field(&offsets)
        try wire.field(&endOffsets)
        try wire.field(&requestsShutdown)
        try wire.tags()
    }
}

struct StreamsGroupHeartbeatResponse: WireMessage {
    struct Status: WireMessage, Hashable {
        var code: Int8 = 0
        var detail = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&code)
            try wire.field(&detail)
            try wire.tags()
        }
    }

    struct EndpointPartitions: WireMessage, Hashable {
        var endpoint = StreamsEndpoint()
        var active: [StreamsTopicPartitions] = []
        var standby: [StreamsTopicPartitions] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&endpoint)
            try wire.field(&active)
            try wire.field(&standby)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var memberID = ""
    var memberEpoch: Int32 = 0
    var heartbeatIntervalMs: Int32 = 0
    var acceptableRecoveryLag: Int32 = 0
    var taskOffsetIntervalMs: Int32 = 0
    /// Empty rather than nil where there is none: clients keep what they heard last if it is nil.
    var statuses: [Status]? = []
    /// All three or none; nil: as before.
    var active: [StreamsTaskIDs]?
    var standby: [StreamsTaskIDs]?
    var warmup: [StreamsTaskIDs]?
    var endpointEpoch: Int32 = 0
    var endpoints: [EndpointPartitions]?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&heartbeatIntervalMs)
        try wire.field(&acceptableRecoveryLag)
        try wire.field(&taskOffsetIntervalMs)
        try wire.field(&statuses)
        try wire.field(&active)
        try wire.field(&standby)
        try wire.field(&warmup)
        try wire.field(&endpointEpoch)
        try wire.field(&endpoints)
        try wire.tags()
    }
}

extension RequestRouter {
    func streamsGroupHeartbeat(_ request: StreamsGroupHeartbeatRequest, _ context: RequestContext) -> Answer<StreamsGroupHeartbeatResponse> {
        let settings = log.settings.streamsSettings(ofGroup: request.groupID)
        var answer: StreamsGroup.Answer
        do throws(KafkaError) {
            let heartbeat = try request.checked(clientID: context.clientID, clientHost: context.clientHost)
            if let topology = heartbeat.topology { try checkPatterns(topology, context.access) }
            answer = try groups.heartbeat(group: request.groupID, heartbeat, settings)
        } catch {
            return .now(.init(error: error.code, errorMessage: error.message))
        }
        if !answer.missing.isEmpty { makeInternalTopics(&answer, request.groupID, context) }
        // Who waits for the first assignment comes back when it is there, not some seconds later.
        let interval = answer.delayMs.map { min(settings.heartbeatIntervalMs, Int32(clamping: max(1, $0))) } ?? settings.heartbeatIntervalMs
        return .now(
            .init(
                memberID: answer.memberID, memberEpoch: answer.epoch, heartbeatIntervalMs: interval,
                acceptableRecoveryLag: settings.acceptableRecoveryLag, taskOffsetIntervalMs: settings.taskOffsetIntervalMs,
                statuses: answer.statuses.map { .init(code: $0.code.rawValue, detail: $0.detail) },
                active: answer.tasks.map { StreamsTaskIDs.list($0.active) }, standby: answer.tasks.map { StreamsTaskIDs.list($0.standby) },
                warmup: answer.tasks.map { StreamsTaskIDs.list($0.warmup) }, endpointEpoch: answer.endpointEpoch,
                endpoints: answer.endpoints.map { endpoints in
                    endpoints.map {
                        .init(
                            endpoint: StreamsEndpoint($0.endpoint), active: StreamsTopicPartitions.list($0.active),
                            standby: StreamsTopicPartitions.list($0.standby))
                    }
                }))
    }

    /// What a pattern matches is read by all members alike, so nobody may bring one that matches what is hidden from it.
    private func checkPatterns(_ topology: StreamsTopology, _ access: Access) throws(KafkaError) {
        guard access.rules != nil else { return }
        for pattern in topology.subtopologies.flatMap(\.patterns) {
            let isHidden = log.topics.contains { !$0.isInternal && pattern.matches($0.name) && !access.allows(.describe, .topic, $0.name) }
            if isHidden { throw KafkaError(.topicAuthorizationFailed, "pattern \(pattern.text) matches topics that \(access.principal) may not describe") }
        }
    }

    /// Makes the application's internal topics, on a thread that may wait for the disk: members hear of them with a later heartbeat.
    private func makeInternalTopics(_ answer: inout StreamsGroup.Answer, _ group: String, _ context: RequestContext) {
        let access = context.access
        let refused = access.allowsCluster(.create) ? [] : answer.missing.map(\.name).filter { !access.allows(.create, .topic, $0) }
        guard refused.isEmpty else {
            for i in answer.statuses.indices where answer.statuses[i].code == .missingInternalTopics {
                answer.statuses[i].detail += " \(access.principal) may not make topics \(refused.joined(separator: ", "))."
            }
            return
        }
        let topics = groups.beginMaking(answer.missing)
        if topics.isEmpty { return }
        let groups = groups
        let made = blocking.runIfActive(eventLoop: context.loop) {
            var errors: [String: String] = [:]
            for topic in topics {
                let wanted = CreateTopicsRequest.Topic(
                    name: topic.name, partitions: topic.partitions, replicationFactor: topic.replicationFactor == 0 ? -1 : topic.replicationFactor,
                    settings: topic.settings.map { .init(name: $0.name, value: $0.value) })
                do throws(KafkaError) {
                    _ = try self.createTopic(wanted, validatesOnly: false, context)
                } catch {
                    if error.code != .topicAlreadyExists { errors[topic.name] = error.message }
                }
            }
            return errors
        }
        made.whenComplete { result in
            // It fails only if the broker stops before its turn comes.
            let errors = (try? result.get()) ?? [:]
            groups.finishMaking(topics, for: group, errors)
        }
    }
}

extension StreamsGroupHeartbeatRequest {
    /// What can be said of a heartbeat without looking at the group.
    ///
    /// - Throws: INVALID_REQUEST, STREAMS_INVALID_TOPOLOGY.
    func checked(clientID: String, clientHost: String) throws(KafkaError) -> StreamsGroup.Heartbeat {
        func require(_ condition: Bool, _ message: String) throws(KafkaError) {
            if !condition { throw KafkaError(.invalidRequest, message) }
        }
        try require(!groupID.isEmpty, "a group id is not empty")
        try require(!memberID.isEmpty, "a member makes itself an id")
        try require(instanceID?.isEmpty != true, "an instance id is not empty")
        try require(rackID?.isEmpty != true, "a rack is not empty")
        try require(processID?.isEmpty != true, "a process id is not empty")
        let lists = [active, standby, warmup]
        let given = lists.compactMap(\.self)
        try require(given.isEmpty || given.count == 3, "active, standby and warm-up tasks are given together")
        if memberEpoch == 0 {
            try require(rebalanceTimeoutMs != -1, "who joins gives a rebalance timeout")
            try require(given.allSatisfy(\.isEmpty), "who joins has no tasks")
            try require(topology != nil, "who joins says what it runs")
        } else {
            try require(memberEpoch >= -2, "a member epoch is -2 or more")
            try require(memberEpoch != -2 || instanceID != nil, "only a static member leaves for a while")
            try require(topology == nil, "what a member runs is said when it joins")
        }
        var heartbeat = StreamsGroup.Heartbeat(
            memberID: memberID, epoch: memberEpoch, instanceID: instanceID, clientID: clientID, clientHost: clientHost, rackID: rackID,
            processID: processID, requestsShutdown: requestsShutdown, endpointEpoch: endpointEpoch)
        if rebalanceTimeoutMs != -1 { heartbeat.rebalanceTimeoutMs = Int64(max(0, rebalanceTimeoutMs)) }
        if let topology {
            let read = try topology.read()
            try read.check()
            heartbeat.topology = read
        }
        if let active, let standby, let warmup {
            heartbeat.owned = .init(active: StreamsTaskIDs.tasks(active), standby: StreamsTaskIDs.tasks(standby), warmup: StreamsTaskIDs.tasks(warmup))
        } else if memberEpoch == 0 {
            heartbeat.owned = .init()
        }
        heartbeat.endpoint = endpoint.map { .init(host: $0.host, port: $0.port) }
        heartbeat.clientTags = clientTags.map { Dictionary($0.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }) }
        heartbeat.offsets = offsets.map(StreamsTaskOffset.offsets)
        heartbeat.endOffsets = endOffsets.map(StreamsTaskOffset.offsets)
        return heartbeat
    }
}

extension StreamsGroupHeartbeatRequest.Topology {
    fileprivate func read() throws(KafkaError) -> StreamsTopology {
        var read = StreamsTopology(epoch: epoch, subtopologies: [])
        for part in subtopologies {
            var patterns: [NamePattern] = []
            for text in part.patterns {
                do throws(KafkaError) {
                    patterns.append(try NamePattern(text))
                } catch {
                    throw KafkaError(.streamsInvalidTopology, error.message)
                }
            }
            var groups: Set<StreamsTopology.CopartitionGroup> = []
            for group in part.copartitionGroups {
                func pick(_ places: [Int16], _ names: [String]) throws(KafkaError) -> [String] {
                    guard places.allSatisfy({ names.indices.contains(Int($0)) }) else {
                        throw KafkaError(.streamsInvalidTopology, "a copartition group of subtopology \(part.id) names a topic that is not there")
                    }
                    return places.map { names[Int($0)] }
                }
                let topics = try pick(group.sources, part.sources) + pick(group.repartitions, part.repartitions.map(\.name))
                groups.insert(.init(topics: Set(topics), patterns: Set(try pick(group.patterns, part.patterns))))
            }
            read.subtopologies.append(
                .init(
                    id: part.id, sources: part.sources.sorted(), patterns: patterns.sorted { $0.text < $1.text }, sinks: part.sinks.sorted(),
                    repartitions: StreamsTopicInfo.topics(part.repartitions), changelogs: StreamsTopicInfo.topics(part.changelogs),
                    copartitionGroups: groups))
        }
        read.subtopologies.sort { $0.id < $1.id }
        return read
    }
}
