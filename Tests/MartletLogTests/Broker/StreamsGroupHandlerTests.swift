import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

/// Streams groups of KIP-1071 over the wire.
@Suite struct StreamsGroupHandlerTests {
    /// words → by-word → counts, with the changelog of a store.
    static let topology = StreamsGroupHeartbeatRequest.Topology(subtopologies: [
        .init(id: "0", sources: ["words"], sinks: ["by-word"]),
        .init(
            id: "1", changelogs: [.init(name: "counts", settings: [.init(key: "cleanup.policy", value: "compact")])],
            repartitions: [.init(name: "by-word", settings: [.init(key: "retention.ms", value: "-1")])]),
    ])

    static func join(_ group: String, _ member: String, _ change: (inout StreamsGroupHeartbeatRequest) -> Void = { _ in }) -> StreamsGroupHeartbeatRequest {
        var request = StreamsGroupHeartbeatRequest(
            groupID: group, memberID: member, endpointEpoch: -1, rebalanceTimeoutMs: 10_000, topology: topology, active: [], standby: [], warmup: [],
            processID: "p-\(member)")
        change(&request)
        return request
    }

    private func run(_ body: (TestBroker) throws -> Void) throws {
        var limits = BrokerConfig()
        limits.groups.streams.initialRebalanceDelayMs = 0
        try TestBroker.run(limits, body)
    }

    /// Heartbeats until there are tasks: the broker makes the topics meanwhile.
    private func awaitTasks(_ client: TestClient, _ request: StreamsGroupHeartbeatRequest) throws -> StreamsGroupHeartbeatResponse {
        var answer = try client.send(request, 0)
        let deadline = ContinuousClock.now + .seconds(20)
        while answer.error == .none, answer.active?.isEmpty ?? true, ContinuousClock.now < deadline {
            answer = try client.send(StreamsGroupHeartbeatRequest(groupID: request.groupID, memberID: request.memberID, memberEpoch: answer.memberEpoch), 0)
        }
        return answer
    }

    @Test func anApplicationGetsItsTopicsAndTasks() throws {
        try run { broker in
            let client = try broker.connect()
            let missing = try client.send(Self.join("g", "m"), 0)
            #expect(missing.error == .none && missing.statuses?.map(\.code) == [1] && missing.active == [] && missing.heartbeatIntervalMs == 5_000)
            #expect(missing.acceptableRecoveryLag == 10_000 && missing.taskOffsetIntervalMs == 60_000)
            let waiting = try client.send(StreamsGroupDescribeRequest(groups: ["g"]), 0).groups[0]
            #expect(waiting.state == "NotReady" && waiting.plan?.subtopologies?.flatMap(\.changelogs).map(\.partitions) == [0] && waiting.members.count == 1)

            try broker.log.createTopic("words", partitions: 3)
            let answer = try awaitTasks(
                client,
                Self.join("g", "m") {
                    $0.endpoint = StreamsEndpoint(.init(host: "h", port: 50_000))
                    $0.clientTags = [.init(key: "zone", value: "z")]
                })
            #expect(answer.active == [.init(subtopology: "0", partitions: [0, 1, 2]), .init(subtopology: "1", partitions: [0, 1, 2])])
            #expect(answer.standby == [] && answer.warmup == [] && answer.statuses == [])
            #expect(broker.log.topic("by-word")?.partitions == 3 && broker.log.topic("by-word")?.settings == ["retention.ms": "-1"])
            #expect(broker.log.topic("counts")?.partitions == 3 && broker.log.topic("counts")?.settings == ["cleanup.policy": "compact"])
            let quiet = try client.send(
                StreamsGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: answer.memberEpoch, endpointEpoch: -1), 0)
            #expect(quiet.active == nil && quiet.standby == nil && quiet.warmup == nil)
            #expect(quiet.endpoints?[0].endpoint.port == 50_000 && quiet.endpoints?[0].active.map(\.topic) == ["by-word", "words"])

            let described = try client.send(StreamsGroupDescribeRequest(groups: ["g", "no"], includesOperations: true), 0).groups
            let member = described[0].members[0]
            #expect(described[0].state == "Stable" && described[0].epoch == described[0].assignmentEpoch && described[0].authorizedOperations != .min)
            #expect(described[0].plan?.subtopologies?.map(\.id) == ["0", "1"])
            #expect(described[0].plan?.subtopologies?[1].changelogs.map(\.partitions) == [3])
            #expect(member.processID == "p-m" && member.endpoint?.host == "h" && member.clientTags == [.init(key: "zone", value: "z")])
            #expect(member.assignment.active == answer.active && member.target.active == answer.active && member.memberEpoch == answer.memberEpoch)
            #expect(described[1].error == .groupIDNotFound)
            #expect(try client.send(ListGroupsRequest(types: ["streams"]), 5).groups.map { "\($0.groupID) \($0.protocolType) \($0.type) \($0.state)" } == ["g streams streams Stable"])
            #expect(try client.send(DescribeGroupsRequest(groups: ["g"]), 6).groups[0].error == .groupIDNotFound)
            #expect(try client.send(ConsumerGroupDescribeRequest(groups: ["g"]), 1).groups[0].error == .groupIDNotFound)
        }
    }

    @Test func membersCommitWithTheirEpoch() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let client = try broker.connect()
            let epoch = try awaitTasks(client, Self.join("g", "m")).memberEpoch
            let id = broker.topicID("words")
            func commit(_ epoch: Int32, _ version: Int16 = 9, member: String = "m") throws -> KafkaErrorCode {
                try client.send(
                    OffsetCommitRequest(
                        groupID: "g", generation: epoch, memberID: member, topics: [.init(name: "words", id: id, partitions: [.init(index: 0, offset: 7)])]),
                    version
                ).topics[0].partitions[0].error
            }
            #expect(try commit(epoch) == .none && commit(epoch - 1) == .staleMemberEpoch && commit(epoch, member: "x") == .unknownMemberID)
            #expect(try commit(epoch, 8) == .unsupportedVersion)
            func fetch(_ epoch: Int32, _ member: String?) throws -> OffsetFetchResponse.Group {
                try client.send(
                    OffsetFetchRequest(groups: [.init(groupID: "g", memberID: member, memberEpoch: epoch, topics: [.init(name: "words", partitions: [0])])]), 9
                ).groups[0]
            }
            #expect(try fetch(epoch, "m").topics[0].partitions[0].offset == 7 && fetch(-1, nil).topics[0].partitions[0].offset == 7)
            #expect(try fetch(epoch + 1, "m").error == .staleMemberEpoch)
            let producer = try client.send(InitProducerIDRequest(transactionalID: "x"), 4)
            func inTransaction(_ generation: Int32, _ member: String = "m") throws -> KafkaErrorCode {
                try client.send(
                    TxnOffsetCommitRequest(
                        transactionalID: "x", groupID: "g", producerID: producer.producerID, producerEpoch: producer.producerEpoch,
                        generation: generation, memberID: member, topics: [.init(name: "words", partitions: [.init(index: 0, offset: 9)])]), 3
                ).topics[0].partitions[0].error
            }
            #expect(
                try client.send(
                    AddOffsetsToTxnRequest(transactionalID: "x", producerID: producer.producerID, producerEpoch: producer.producerEpoch, groupID: "g"), 3
                ).error == .none)
            #expect(try inTransaction(epoch) == .none && inTransaction(epoch + 1) == .illegalGeneration && inTransaction(epoch, "y") == .unknownMemberID)
            #expect(
                try client.send(
                    EndTxnRequest(transactionalID: "x", producerID: producer.producerID, producerEpoch: producer.producerEpoch, isCommit: true), 3
                ).error == .none)

            let deletion = OffsetDeleteRequest(groupID: "g", topics: [.init(name: "words", partitions: [0])])
            #expect(try client.send(deletion, 0).topics[0].partitions[0].error == .groupSubscribedToTopic)
            #expect(try client.send(DeleteGroupsRequest(groups: ["g"]), 2).groups[0].error == .nonEmptyGroup)
            let gone = try client.send(StreamsGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: -1), 0)
            #expect(gone.error == .none && gone.memberEpoch == -1)
            #expect(try client.send(StreamsGroupDescribeRequest(groups: ["g"]), 0).groups[0].state == "Empty")
            #expect(try fetch(-1, nil).topics[0].partitions[0].offset == 9)
            #expect(try client.send(DeleteGroupsRequest(groups: ["g"]), 2).groups[0].error == .none)
            #expect(try client.send(StreamsGroupDescribeRequest(groups: ["g"]), 0).groups[0].error == .groupIDNotFound)
        }
    }

    @Test func heartbeatsThatMakeNoSenseAreRefused() throws {
        try run { broker in
            let client = try broker.connect()
            func code(_ change: (inout StreamsGroupHeartbeatRequest) -> Void) throws -> KafkaErrorCode {
                let answer = try client.send(Self.join("g", "m", change), 0)
                #expect((answer.error == .none) == (answer.errorMessage == nil))
                return answer.error
            }
            #expect(try code { $0.groupID = "" } == .invalidRequest)
            #expect(try code { $0.memberID = "" } == .invalidRequest)
            #expect(try code { $0.instanceID = "" } == .invalidRequest)
            #expect(try code { $0.rackID = "" } == .invalidRequest)
            #expect(try code { $0.processID = "" } == .invalidRequest)
            #expect(try code { $0.rebalanceTimeoutMs = -1 } == .invalidRequest)
            #expect(try code { $0.topology = nil } == .invalidRequest)
            #expect(try code { $0.active = [.init(subtopology: "0", partitions: [0])] } == .invalidRequest)
            #expect(try code { $0.warmup = nil } == .invalidRequest)
            #expect(try code { $0.memberEpoch = 3 } == .invalidRequest)
            #expect(try code { ($0.memberEpoch, $0.topology) = (3, nil) } == .unknownMemberID)
            #expect(try code { ($0.memberEpoch, $0.topology) = (-1, nil) } == .unknownMemberID)
            #expect(try code { ($0.memberEpoch, $0.topology) = (-2, nil) } == .invalidRequest)
            #expect(try code { ($0.memberEpoch, $0.topology) = (-3, nil) } == .invalidRequest)
            #expect(try code { $0.topology?.subtopologies = [] } == .streamsInvalidTopology)
            #expect(try code { $0.topology?.subtopologies[0].patterns = ["("] } == .streamsInvalidTopology)
            #expect(try code { $0.topology?.subtopologies[0].copartitionGroups = [.init(sources: [1])] } == .streamsInvalidTopology)
            #expect(try code { $0.topology?.subtopologies[0].copartitionGroups = [.init(patterns: [-1])] } == .streamsInvalidTopology)
            #expect(try code { $0.topology?.subtopologies[1].copartitionGroups = [.init(repartitions: [0])] } == .none)
            #expect(try code { $0.topology?.epoch = 2 } == .streamsInvalidTopologyEpoch)
        }
    }

    /// An id is that of one kind of group while it has members; a group without may become another one with its offsets.
    @Test func otherKindsOfGroupsKeepTheirIDs() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let client = try broker.connect()
            let classic = JoinGroupRequest(
                groupID: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer",
                protocols: [.init(name: "range", metadata: [0, 0, 0, 0, 0, 1, 0, 1, 116, 0, 0, 0, 0])])
            let member = try client.send(classic, 3).memberID
            #expect(try client.send(Self.join("g", "m"), 0).error == .groupIDNotFound)
            #expect(try client.send(LeaveGroupRequest(groupID: "g", memberID: member), 2).error == .none)
            let epoch = try awaitTasks(client, Self.join("g", "m")).memberEpoch
            #expect(epoch > 0)
            #expect(try client.send(classic, 3).error == .inconsistentGroupProtocol)
            #expect(try client.send(HeartbeatRequest(groupID: "g", generation: 1, memberID: member), 3).error == .unknownMemberID)
            let consumer = ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "c", rebalanceTimeoutMs: 1000, topicNames: ["words"], owned: [])
            #expect(try client.send(consumer, 1).error == .groupIDNotFound)
            let commit = OffsetCommitRequest(
                groupID: "g", generation: epoch, memberID: "m", topics: [.init(name: "words", partitions: [.init(index: 0, offset: 4)])])
            #expect(try client.send(commit, 9).topics[0].partitions[0].error == .none)
            #expect(try client.send(StreamsGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: -1), 0).error == .none)
            #expect(try client.send(classic, 3).error == .none)
            #expect(broker.log.groupOffsets.committed(group: "g", TopicPartition("words", 0))?.offset == 4)
        }
    }

    @Test func whatCannotBeMadeIsTold() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let client = try broker.connect()
            var answer = try client.send(Self.join("g", "m") { $0.topology?.subtopologies[1].changelogs[0].replicationFactor = 3 }, 0)
            let deadline = ContinuousClock.now + .seconds(20)
            while answer.statuses?.first?.detail.contains("could not be made") != true, ContinuousClock.now < deadline {
                answer = try client.send(StreamsGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: answer.memberEpoch), 0)
            }
            #expect(answer.statuses?[0].code == 3 && answer.statuses?[0].detail.contains("counts could not be made: replication factor must be 1") == true)
        }
    }

    /// As after a restart of the node.
    @Test func whoCommitsToAGroupThatIsNotThereIsNoMember() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let client = try broker.connect()
            func commit(_ version: Int16) throws -> KafkaErrorCode {
                try client.send(
                    OffsetCommitRequest(groupID: "g", generation: 3, memberID: "m", topics: [.init(name: "words", partitions: [.init(index: 0, offset: 7)])]), version
                ).topics[0].partitions[0].error
            }
            #expect(try commit(9) == .unknownMemberID && commit(8) == .illegalGeneration)
        }
    }

    @Test func whoWaitsForTheFirstAssignmentComesBackForIt() throws {
        try TestBroker.run { broker in
            for topic in ["words", "by-word", "counts"] { try broker.log.createTopic(topic, partitions: 1) }
            let answer = try broker.connect().send(Self.join("g", "m"), 0)
            #expect(answer.statuses?.map(\.code) == [5] && (1...3000).contains(answer.heartbeatIntervalMs) && answer.memberEpoch > 0)
        }
    }

    @Test func aGroupHasItsOwnSettings() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let client = try broker.connect()
            func change(_ name: String, _ value: String) throws -> KafkaErrorCode {
                try client.send(
                    IncrementalAlterConfigsRequest(resources: [.init(type: 32, name: "g", changes: [.init(name: name, operation: 0, value: value)])]), 1
                ).results[0].error
            }
            #expect(try change("streams.heartbeat.interval.ms", "6000") == .none && change("streams.num.standby.replicas", "1") == .none)
            #expect(try change("streams.num.standby.replicas", "3") == .invalidConfig && change("streams.session.timeout.ms", "1000") == .invalidConfig)
            #expect(try change("streams.initial.rebalance.delay.ms", "-1") == .invalidConfig)
            let first = try awaitTasks(client, Self.join("g", "a"))
            #expect(first.heartbeatIntervalMs == 6_000)
            // With a second process there is a standby of the task that has state.
            var a = StreamsGroupHeartbeatRequest(groupID: "g", memberID: "a", memberEpoch: first.memberEpoch)
            (a.active, a.standby, a.warmup) = (first.active, [], [])
            let second = try client.send(Self.join("g", "b"), 0)
            let kept = try client.send(a, 0)
            (a.memberEpoch, a.active) = (kept.memberEpoch, kept.active)
            _ = try client.send(a, 0)
            var b = StreamsGroupHeartbeatRequest(groupID: "g", memberID: "b", memberEpoch: second.memberEpoch)
            (b.active, b.standby, b.warmup) = ([], [], [])
            _ = try client.send(b, 0)
            let members = try client.send(StreamsGroupDescribeRequest(groups: ["g"]), 0).groups[0].members
            #expect(members.flatMap(\.target.standby) == [.init(subtopology: "1", partitions: [0])])
            let active = members.first { $0.target.active == [.init(subtopology: "1", partitions: [0])] }
            #expect(active != nil && active?.target.standby == [])
        }
    }
}
