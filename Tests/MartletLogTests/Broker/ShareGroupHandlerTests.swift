import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

/// Share groups over the wire, beside groups of other kinds.
@Suite struct ShareGroupHandlerTests {
    private func join(_ group: String, _ member: String, _ change: (inout ShareGroupHeartbeatRequest) -> Void = { _ in }) -> ShareGroupHeartbeatRequest {
        var request = ShareGroupHeartbeatRequest(groupID: group, memberID: member, topicNames: ["t"])
        change(&request)
        return request
    }

    @Test func membersJoinShareAndAreDescribed() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let client = try broker.connect(), id = broker.topicID("t")
            let joined = try client.send(join("g", "m") { $0.rackID = "r" }, 1)
            #expect(joined.error == .none && joined.memberID == "m" && joined.memberEpoch == 1 && joined.heartbeatIntervalMs == 5000)
            #expect(joined.assignment?.topics.map(\.id) == [id] && joined.assignment?.topics[0].partitions == [0, 1])
            let quiet = try client.send(ShareGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: 1), 1)
            #expect(quiet.error == .none && quiet.assignment == nil)
            for other in ["n", "o"] { #expect(try client.send(join("g", other), 1).error == .none) }
            #expect(try client.send(ShareGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: 1), 1).memberEpoch == 3)

            let described = try client.send(ShareGroupDescribeRequest(groups: ["g", "no"]), 1).groups
            #expect(described[0].state == "Stable" && described[0].epoch == 3 && described[0].assignmentEpoch == 3 && described[0].plan == "simple")
            #expect(described[0].members.map(\.memberID) == ["m", "n", "o"] && described[0].members[0].rackID == "r")
            #expect(described[0].members[0].topicNames == ["t"] && described[0].members[0].assignment.topics[0].name == "t")
            #expect(described[1].error == .groupIDNotFound)
            func list(states: [String] = [], types: [String] = []) throws -> [String] {
                try client.send(ListGroupsRequest(states: states, types: types), 5).groups.map { "\($0.groupID) \($0.type) \($0.protocolType) \($0.state)" }
            }
            #expect(try list() == ["g share share Stable"] && list(types: ["Share"]).count == 1 && list(types: ["consumer", "classic"]) == [])
            #expect(try client.send(DeleteGroupsRequest(groups: ["g"]), 2).groups[0].error == .nonEmptyGroup)
            for member in ["m", "n", "o"] {
                let left = try client.send(ShareGroupHeartbeatRequest(groupID: "g", memberID: member, memberEpoch: -1), 1)
                #expect(left.error == .none && left.memberEpoch == -1)
            }
            let features = try client.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 4)
            #expect(features.finalizedFeatures.first { $0.name == "share.version" }?.max == 1)
        }
    }

    /// What is for groups of another kind says so, and changes nothing.
    @Test func otherKindsOfGroupsAreRefused() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect(), id = broker.topicID("t")
            #expect(try client.send(join("g", "m"), 1).error == .none)
            let classic = JoinGroupRequest(
                groupID: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer",
                protocols: [.init(name: "range", metadata: ConsumerMetadata.write(ConsumerSubscription(topics: ["t"]), version: 1))])
            #expect(try client.send(classic, 3).error == .inconsistentGroupProtocol)
            #expect(try client.send(SyncGroupRequest(groupID: "g", generation: 1, memberID: "m", assignments: []), 3).error == .unknownMemberID)
            #expect(try client.send(HeartbeatRequest(groupID: "g", generation: 1, memberID: "m"), 3).error == .unknownMemberID)
            #expect(try client.send(LeaveGroupRequest(groupID: "g", memberID: "m"), 2).error == .unknownMemberID)
            let consumer = ConsumerGroupHeartbeatRequest(groupID: "g", memberID: "k", rebalanceTimeoutMs: 10_000, topicNames: ["t"], owned: [])
            #expect(try client.send(consumer, 1).error == .groupIDNotFound)
            for (member, generation) in [("m", Int32(1)), ("", -1)] {
                let commit = OffsetCommitRequest(
                    groupID: "g", generation: generation, memberID: member,
                    topics: [.init(name: "t", id: id, partitions: [.init(index: 0, offset: 7)])])
                #expect(try client.send(commit, 9).topics[0].partitions[0].error == .groupIDNotFound)
            }
            let fetched = try client.send(
                OffsetFetchRequest(groups: [.init(groupID: "g", memberID: "m", memberEpoch: 1, topics: [.init(name: "t", partitions: [0])])]), 9)
            #expect(fetched.groups[0].error == .none && fetched.groups[0].topics[0].partitions[0].offset == -1)
            let deletion = OffsetDeleteRequest(groupID: "g", topics: [.init(name: "t", partitions: [0])])
            #expect(try client.send(deletion, 0).error == .groupIDNotFound)
            #expect(try client.send(DescribeGroupsRequest(groups: ["g"]), 6).groups[0].error == .groupIDNotFound)
            #expect(try client.send(DescribeGroupsRequest(groups: ["g"]), 5).groups[0].state == "Dead")
            #expect(try client.send(ConsumerGroupDescribeRequest(groups: ["g"]), 1).groups[0].error == .groupIDNotFound)
            #expect(try client.send(ShareGroupDescribeRequest(groups: ["g"]), 1).groups[0].members.count == 1)

            // And the other way: a group with offsets, and one with members of KIP-848.
            let alone = OffsetCommitRequest(groupID: "c", topics: [.init(name: "t", id: id, partitions: [.init(index: 0, offset: 7)])])
            #expect(try client.send(alone, 9).topics[0].partitions[0].error == .none)
            var other = consumer
            other.groupID = "k"
            #expect(try client.send(other, 1).error == .none)
            for group in ["c", "k"] {
                #expect(try client.send(join(group, "m"), 1).error == .groupIDNotFound)
                #expect(try client.send(ShareGroupDescribeRequest(groups: [group]), 1).groups[0].errorMessage?.contains("not a share group") == true)
            }
        }
    }

    @Test func heartbeatsThatMakeNoSenseAreRefused() throws {
        var limits = BrokerConfig()
        limits.groups.sharing.membersMax = 1
        try TestBroker.run(limits) { broker in
            let client = try broker.connect()
            func code(_ change: (inout ShareGroupHeartbeatRequest) -> Void) throws -> KafkaErrorCode { try client.send(join("g", "m", change), 1).error }
            #expect(try code { $0.groupID = "" } == .invalidRequest)
            #expect(try code { $0.memberID = "" } == .invalidRequest)
            #expect(try code { $0.rackID = "" } == .invalidRequest)
            #expect(try code { $0.topicNames = nil } == .invalidRequest)
            #expect(try code { $0.topicNames = [] } == .invalidRequest)
            #expect(try code { $0.memberEpoch = -2 } == .invalidRequest)
            #expect(try code { $0.memberEpoch = 4 } == .unknownMemberID)
            #expect(try code { $0.memberEpoch = -1 } == .unknownMemberID)
            #expect(try code { _ in } == KafkaErrorCode.none)
            #expect(try code { $0.memberID = "other" } == .groupMaxSizeReached)
            #expect(try code { $0.memberEpoch = 4 } == .fencedMemberEpoch)
        }
    }

    @Test func settingsOfAGroupAreObeyed() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            func set(_ name: String, _ value: String?) throws -> KafkaErrorCode {
                let change = IncrementalAlterConfigsRequest.Change(name: name, operation: value == nil ? 1 : 0, value: value)
                return try client.send(IncrementalAlterConfigsRequest(resources: [.init(type: 32, name: "g", changes: [change])]), 1).results[0].error
            }
            for (name, value) in [
                ("share.heartbeat.interval.ms", "7000"), ("share.session.timeout.ms", "50000"), ("share.record.lock.duration.ms", "15000"),
                ("share.auto.offset.reset", "by_duration:PT1.5S"), ("share.isolation.level", "read_committed"), ("share.delivery.count.limit", "10"),
                ("share.partition.max.record.locks", "100"), ("share.renew.acknowledge.enable", "false"),
            ] { #expect(try set(name, value) == .none, "\(name)") }
            for (name, value) in [
                ("share.heartbeat.interval.ms", "4999"), ("share.session.timeout.ms", "60001"), ("share.record.lock.duration.ms", "1"),
                ("share.auto.offset.reset", "by_duration:-PT1S"), ("share.auto.offset.reset", "none"), ("share.isolation.level", "serializable"),
                ("share.delivery.count.limit", "1"), ("share.delivery.count.limit", "11"), ("share.partition.max.record.locks", "99"),
                ("share.renew.acknowledge.enable", "yes"),
            ] { #expect(try set(name, value) == .invalidConfig, "\(name)") }
            let settings = broker.log.settings.shareSettings(ofGroup: "g")
            #expect(settings.offsetReset == .byDuration(1500) && settings.isolationLevel == .readCommitted && settings.deliveryCountLimit == 10)
            #expect(settings.recordLockDurationMs == 15_000 && settings.partitionRecordLocksMax == 100 && !settings.allowsRenewal)
            #expect(try client.send(join("g", "m"), 1).heartbeatIntervalMs == 7000 && client.send(join("h", "m"), 1).heartbeatIntervalMs == 5000)

            let described = try client.send(DescribeConfigsRequest(resources: [.init(type: 32, name: "g", keys: nil)], includesSynonyms: true), 4)
                .results[0].settings
            let rows = Dictionary(uniqueKeysWithValues: described.map { ($0.name, $0) })
            #expect(rows["share.isolation.level"]?.value == "read_committed" && rows["share.isolation.level"]?.isDefault == false)
            #expect(rows["share.delivery.count.limit"]?.synonyms.map(\.name) == ["share.delivery.count.limit", "group.share.delivery.count.limit"])
            #expect(try set("share.renew.acknowledge.enable", nil) == .none)
            #expect(broker.log.settings.shareSettings(ofGroup: "g").allowsRenewal)
        }
    }

    /// Brokers ask who coordinates a partition of a share group; of one broker there is but one answer.
    @Test func keysOfSharePartitionsAreChecked() {
        func error(_ key: String, _ version: Int16 = 6) -> KafkaErrorCode? { RequestRouter.refusal(ofKey: key, type: 2, version)?.code }
        #expect(error("g:AAAAAAAAAAAAAAAAAAAAAQ:0") == nil && error("a:b:AAAAAAAAAAAAAAAAAAAAAQ:12") == nil)
        for key in ["", "g", "g:0", ":AAAAAAAAAAAAAAAAAAAAAQ:0", "g:AAAA:0", "g:AAAAAAAAAAAAAAAAAAAAAQ:-1", "g:AAAAAAAAAAAAAAAAAAAA+Q:1", "g:AAAAAAAAAAAAAAAAAAAAAQ:"] {
            #expect(error(key) == .invalidRequest, "\(key)")
        }
        #expect(error("g:AAAAAAAAAAAAAAAAAAAAAQ:0", 5) == .invalidRequest)
    }
}
