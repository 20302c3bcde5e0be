import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

/// Consumer groups of KIP-848 over the wire, beside classic ones.
@Suite struct ConsumerGroupHandlerTests {
    private func join(_ group: String, _ member: String, _ change: (inout ConsumerGroupHeartbeatRequest) -> Void = { _ in })
        -> ConsumerGroupHeartbeatRequest
    {
        var request = ConsumerGroupHeartbeatRequest(
            groupID: group, memberID: member, rebalanceTimeoutMs: 10_000, topicNames: ["t"], owned: [])
        change(&request)
        return request
    }

    @Test func aMemberJoinsCommitsAndIsDescribed() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let client = try broker.connect(), id = broker.topicID("t")
            let joined = try client.send(join("g", "m"), 1)
            #expect(joined.error == .none && joined.memberEpoch == 1 && joined.heartbeatIntervalMs > 0)
            #expect(joined.assignment?.topics.map(\.id) == [id] && joined.assignment?.topics[0].partitions == [0, 1])
            let quiet = try client.send(ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: 1), 1)
            #expect(quiet.error == .none && quiet.assignment == nil)

            func commit(_ epoch: Int32, _ version: Int16, member: String = "m") throws -> KafkaErrorCode {
                let request = OffsetCommitRequest(
                    groupID: "g", generation: epoch, memberID: member, topics: [.init(name: "t", id: id, partitions: [.init(index: 0, offset: 7)])])
                return try client.send(request, version).topics[0].partitions[0].error
            }
            #expect(try commit(1, 10) == .none && commit(1, 9) == .none)
            #expect(try commit(1, 8) == .unsupportedVersion)
            #expect(try commit(0, 9) == .staleMemberEpoch && commit(1, 9, member: "x") == .unknownMemberID)
            func fetch(_ epoch: Int32, _ member: String?) throws -> OffsetFetchResponse.Group {
                try client.send(
                    OffsetFetchRequest(groups: [
                        .init(groupID: "g", memberID: member, memberEpoch: epoch, topics: [.init(name: "t", partitions: [0])])
                    ]), 9
                ).groups[0]
            }
            #expect(try fetch(1, "m").topics[0].partitions[0].offset == 7 && fetch(-1, nil).topics[0].partitions[0].offset == 7)
            #expect(try fetch(5, "m").error == .staleMemberEpoch && fetch(1, "x").error == .unknownMemberID)

            let described = try client.send(ConsumerGroupDescribeRequest(groups: ["g", "no"]), 1).groups
            #expect(described[0].state == "Stable" && described[0].epoch == 1 && described[0].plan == "uniform")
            #expect(described[0].members[0].assignment.topics[0].name == "t" && described[0].members[0].target.topics[0].partitions == [0, 1])
            #expect(described[1].error == .groupIDNotFound)
            func list(states: [String] = [], types: [String] = []) throws -> [String] {
                try client.send(ListGroupsRequest(states: states, types: types), 5).groups.map { "\($0.groupID) \($0.type) \($0.state)" }
            }
            #expect(try list() == ["g consumer Stable"] && list(types: ["classic"]) == [] && list(states: ["stable"]) == ["g consumer Stable"])
            #expect(try client.send(DescribeGroupsRequest(groups: ["g"]), 6).groups[0].error == .groupIDNotFound)
            #expect(try client.send(DeleteGroupsRequest(groups: ["g"]), 2).groups[0].error == .nonEmptyGroup)
            let deletion = OffsetDeleteRequest(groupID: "g", topics: [.init(name: "t", partitions: [0])])
            #expect(try client.send(deletion, 0).topics[0].partitions[0].error == .groupSubscribedToTopic)
            #expect(try client.send(ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: -1), 1).memberEpoch == -1)
            #expect(try list() == ["g consumer Empty"])
            #expect(try client.send(deletion, 0).topics[0].partitions[0].error == .none)
            #expect(try client.send(DeleteGroupsRequest(groups: ["g"]), 2).groups[0].error == .none)
            #expect(try list() == [])
        }
    }

    @Test func heartbeatsThatMakeNoSenseAreRefused() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            func code(_ version: Int16 = 1, _ change: (inout ConsumerGroupHeartbeatRequest) -> Void) throws -> KafkaErrorCode {
                try client.send(join("g", "m", change), version).error
            }
            #expect(try code { $0.groupID = "" } == .invalidRequest)
            #expect(try code { $0.memberID = "" } == .invalidRequest)
            #expect(try code(0) { $0.memberID = "" } == KafkaErrorCode.none)
            #expect(try code { $0.rebalanceTimeoutMs = -1 } == .invalidRequest)
            #expect(try code { $0.owned = nil } == .invalidRequest)
            #expect(try code { $0.topicNames = nil } == .invalidRequest)
            #expect(try code { $0.memberEpoch = -2 } == .invalidRequest)
            #expect(try code { $0.memberEpoch = -3 } == .invalidRequest)
            #expect(try code { $0.instanceID = "" } == .invalidRequest)
            #expect(try code { $0.assignor = "no" } == .unsupportedAssignor)
            #expect(try code { ($0.topicNames, $0.topicPattern) = (nil, "(") } == .invalidRegularExpression)
            #expect(try code { ($0.groupID, $0.memberEpoch) = ("new", 4) } == .unknownMemberID)
        }
    }

    /// group.consumer.migration.policy=disabled: a group changes its protocol when it has no members; until then the other protocol is told so.
    @Test func theTwoProtocolsDoNotMix() throws {
        var limits = BrokerConfig()
        limits.groups.migration = .disabled
        try TestBroker.run(limits) { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let classic = JoinGroupRequest(
                groupID: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer",
                protocols: [.init(name: "range", metadata: [0, 0, 0, 0, 0, 1, 0, 1, 116, 0, 0, 0, 0])])
            let member = try client.send(classic, 3).memberID
            #expect(try client.send(join("g", "m"), 1).error == .groupIDNotFound)
            #expect(try client.send(SyncGroupRequest(groupID: "g", generation: 1, memberID: member, assignments: []), 3).error == .none)
            let commit = OffsetCommitRequest(
                groupID: "g", generation: 1, memberID: member,
                topics: [.init(name: "t", partitions: [.init(index: 0, offset: 3)])])
            #expect(try client.send(commit, 8).topics[0].partitions[0].error == .none)
            let deletion = OffsetDeleteRequest(groupID: "g", topics: [.init(name: "t", partitions: [0]), .init(name: "u", partitions: [0])])
            #expect(try client.send(deletion, 0).topics.map { $0.partitions[0].error } == [.groupSubscribedToTopic, .none])
            #expect(try client.send(LeaveGroupRequest(groupID: "g", memberID: member), 2).error == .none)
            #expect(try client.send(join("g", "m"), 1).error == .none)
            #expect(try client.send(classic, 3).error == .inconsistentGroupProtocol)
            #expect(broker.log.groupOffsets.committed(group: "g", TopicPartition("t", 0))?.offset == 3)
            #expect(try client.send(ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: -1), 1).error == .none)
            #expect(try client.send(classic, 3).error == .none)
        }
    }

    /// A classic group takes in a member of KIP-848, goes on serving its own, and is a classic group again when that member has gone.
    @Test(arguments: GroupMigration.allCases) func aGroupGoesOverToTheOtherProtocolAndBack(policy: GroupMigration) throws {
        var limits = BrokerConfig()
        limits.groups.migration = policy
        try TestBroker.run(limits) { broker in
            try broker.log.createTopic("t", partitions: 4, settings: [:])
            let client = try broker.connect()
            let subscription = ConsumerMetadata.write(ConsumerSubscription(topics: ["t"]), version: 1)
            func joinClassic(_ id: String) throws -> JoinGroupResponse {
                let request = JoinGroupRequest(
                    groupID: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberID: id, protocolType: "consumer",
                    protocols: [.init(name: "range", metadata: subscription)])
                let answer = try client.send(request, 5)
                return answer.error == .memberIDRequired ? try joinClassic(answer.memberID) : answer
            }
            func sync(_ joined: JoinGroupResponse, _ given: [(String, [Int32])] = []) throws -> (KafkaErrorCode, [Int32]) {
                let assignments = given.map { id, partitions in
                    SyncGroupRequest.Assignment(
                        memberID: id, assignment: ConsumerMetadata.write(ConsumerAssignment(partitions: [.init(topic: "t", partitions: partitions)]), version: 1))
                }
                let answer = try client.send(
                    SyncGroupRequest(groupID: "g", generation: joined.generation, memberID: joined.memberID, assignments: assignments), 3)
                guard answer.error == .none, !answer.assignment.isEmpty else { return (answer.error, []) }
                return (.none, try ConsumerMetadata.read(ConsumerAssignment.self, answer.assignment).message.partitions.flatMap(\.partitions))
            }
            func beat(_ joined: JoinGroupResponse) throws -> KafkaErrorCode {
                try client.send(HeartbeatRequest(groupID: "g", generation: joined.generation, memberID: joined.memberID), 3).error
            }
            func type() throws -> String? { try client.send(ListGroupsRequest(), 5).groups.first?.type }
            var old = try joinClassic("")
            #expect(try sync(old, [(old.memberID, [0, 1, 2, 3])]) == (.none, [0, 1, 2, 3]) && beat(old) == .none && type() == "classic")

            let new = try client.send(join("g", "m"), 1)
            guard policy == .upgrade || policy == .bidirectional else {
                #expect(new.error == .groupIDNotFound)
                #expect(try beat(old) == .none && type() == "classic")
                return
            }
            #expect(new.error == .none && new.assignment?.topics.isEmpty != false)
            #expect(try type() == "consumer" && beat(old) == .rebalanceInProgress)
            // It goes on committing until it joins.
            func commit(_ generation: Int32) throws -> KafkaErrorCode {
                try client.send(
                    OffsetCommitRequest(
                        groupID: "g", generation: generation, memberID: old.memberID, topics: [.init(name: "t", partitions: [.init(index: 0, offset: 3)])]), 8
                ).topics[0].partitions[0].error
            }
            #expect(try commit(old.generation) == .none && commit(old.generation + 5) == .illegalGeneration)
            old = try joinClassic(old.memberID)
            #expect(old.error == .none && old.members.isEmpty && old.leaderID != old.memberID && old.protocolName == "range")
            let kept = try sync(old)
            #expect(kept.0 == .none && kept.1.count == 2)
            #expect(try beat(old) == .none)
            let owned = try client.send(ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: new.memberEpoch), 1)
            #expect(Set((owned.assignment?.topics.first?.partitions ?? []) + kept.1) == [0, 1, 2, 3])
            let described = try client.send(ConsumerGroupDescribeRequest(groups: ["g"]), 1).groups[0]
            #expect(Set(described.members.map(\.type)) == [0, 1] && described.state == "Stable")

            #expect(try client.send(ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: -1), 1).error == .none)
            #expect(try type() == (policy == .bidirectional ? "classic" : "consumer"))
            #expect(try beat(old) == .rebalanceInProgress)
            old = try joinClassic(old.memberID)
            #expect(old.error == .none)
            if policy == .bidirectional {
                #expect(old.leaderID == old.memberID && old.members.map(\.metadata) == [subscription])
                #expect(try sync(old, [(old.memberID, [0, 1, 2, 3])]) == (.none, [0, 1, 2, 3]))
            } else {
                #expect(try sync(old) == (.none, [0, 1, 2, 3]))
            }
            #expect(try client.send(LeaveGroupRequest(groupID: "g", memberID: old.memberID), 2).error == .none)
            #expect(broker.log.groupOffsets.committed(group: "g", TopicPartition("t", 0))?.offset == 3)
        }
    }

    @Test func oldOffsetsOfGroupsWithoutMembersGo() throws {
        let time = ManualTime(wallMs: 1_000_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        try log.createTopic("t", partitions: 2)
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? loops.syncShutdownGracefully() }
        var config = GroupConfig()
        config.offsetsRetentionMs = 1000
        let groups = GroupCoordinator(log: log, timers: loops, time: time.source, logger: .init(label: "test"), config: config)
        defer { groups.close() }
        func commit(_ group: String, _ partition: Int32) throws {
            try log.groupOffsets.commit(group: group, [TopicPartition("t", partition): CommittedOffset(offset: 1, timestamp: time.source.wallMs)])
        }
        log.groupOffsets.keep(groupsBeginningWith: "ours-")
        for group in ["old", "ours-1", "live"] { try commit(group, 0) }
        var heartbeat = ConsumerGroup.Heartbeat(memberID: "m", epoch: 0)
        (heartbeat.rebalanceTimeoutMs, heartbeat.names, heartbeat.owned) = (1000, ["t"], [])
        #expect(groups.heartbeat(group: "live", heartbeat) { _ in true }.error == .none)
        time.advance(byMs: 900)
        try commit("old", 1)
        time.advance(byMs: 200)
        groups.expireOffsets()
        #expect(log.groupOffsets.all(group: "old").keys.map(\.partition) == [1])
        #expect(log.groupOffsets.groups == ["live", "old", "ours-1"])
        heartbeat.epoch = -1
        #expect(groups.heartbeat(group: "live", heartbeat) { _ in true }.error == .none)
        time.advance(byMs: 999)
        groups.expireOffsets()
        #expect(log.groupOffsets.groups == ["live", "ours-1"])
        time.advance(byMs: 2)
        groups.expireOffsets()
        #expect(log.groupOffsets.groups == ["ours-1"])
    }
}
