import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

/// The administration of share groups' offsets, over the wire and over a restart.
@Suite struct ShareGroupOffsetsHandlerTests {
    private func produce(_ broker: TestBroker, _ topic: String, _ partition: Int32, _ count: Int) throws {
        let log = try broker.log.found(topic, partition)
        _ = try log.append((0..<count).map { "value \($0)" })
        try log.flush()
    }

    private func beat(_ group: String, _ epoch: Int32, _ topics: [String]? = nil) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest(groupID: group, memberID: "m", memberEpoch: epoch, topicNames: topics)
    }

    private func describe(_ client: TestClient, _ group: String, _ topics: [PerTopic<Int32>]?, _ version: Int16 = 1) throws -> [String] {
        let answer = try client.send(DescribeShareGroupOffsetsRequest(groups: [.init(groupID: group, topics: topics)]), version).groups[0]
        #expect(answer.error == .none && answer.groupID == group)
        return answer.topics.flatMap { topic in
            topic.partitions.map { "\(topic.name)-\($0.index) \($0.startOffset) lag \($0.lag)\($0.error == .none ? "" : " \($0.error)")" }
        }
    }

    @Test func offsetsAreDescribedAlteredAndDeleted() throws {
        try TestBroker.run { broker in
            for name in ["t", "u"] { try broker.log.createTopic(name, partitions: 2, settings: [:]) }
            try produce(broker, "t", 0, 5)
            let client = try broker.connect(), id = broker.topicID("t")
            let joined = try client.send(beat("g", 0, ["t", "u"]), 1)
            #expect(joined.error == .none && joined.assignment?.topics.count == 2)
            #expect(try describe(client, "g", nil) == ["t-0 5 lag 0", "t-1 0 lag 0", "u-0 0 lag 0", "u-1 0 lag 0"])
            #expect(try describe(client, "g", nil, 0).first == "t-0 5 lag -1")
            try produce(broker, "t", 0, 3)
            #expect(try describe(client, "g", [.init(name: "t", partitions: [0, 7]), .init(name: "no", partitions: [1])])
                == ["t-0 5 lag 3", "t-7 -1 lag -1", "no-1 -1 lag -1"])
            #expect(try describe(client, "absent", nil) == [] && describe(client, "absent", [.init(name: "t", partitions: [0])]) == ["t-0 -1 lag -1"])

            func alter(_ group: String, _ offsets: [(String, Int32, Int64)]) throws -> AlterShareGroupOffsetsResponse {
                let topics = Dictionary(grouping: offsets, by: \.0).sorted { $0.key < $1.key }.map { name, partitions in
                    PerTopic(name: name, partitions: partitions.map { AlterShareGroupOffsetsRequest.Partition(index: $0.1, startOffset: $0.2) })
                }
                return try client.send(AlterShareGroupOffsetsRequest(groupID: group, topics: topics), 0)
            }
            func delete(_ group: String, _ names: [String]) throws -> DeleteShareGroupOffsetsResponse {
                try client.send(DeleteShareGroupOffsetsRequest(groupID: group, topics: names.map { .init(name: $0) }), 0)
            }
            #expect(try alter("g", [("t", 0, 1)]).error == .nonEmptyGroup && delete("g", ["t"]).error == .nonEmptyGroup)
            #expect(try client.send(beat("g", -1), 1).error == .none)
            let altered = try alter("g", [("no", 0, 1), ("t", 0, 1), ("t", 2, 1), ("t", 1, -4)])
            #expect(altered.error == .none && altered.topics.map(\.name) == ["no", "t"] && altered.topics[1].id == id)
            #expect(altered.topics[0].partitions[0].error == .unknownTopicOrPartition)
            #expect(altered.topics[1].partitions.map(\.error) == [.none, .unknownTopicOrPartition, .invalidRequest])
            #expect(try describe(client, "g", nil).first == "t-0 1 lag 7")
            let deleted = try delete("g", ["t", "no"])
            #expect(deleted.error == .none && deleted.topics.map(\.error) == [.none, .unknownTopicOrPartition] && deleted.topics[0].id == id)
            #expect(try delete("g", ["t"]).topics.map(\.error) == [.unknownTopicOrPartition])
            #expect(try describe(client, "g", nil) == ["u-0 0 lag 0", "u-1 0 lag 0"])
            #expect(try delete("absent", ["t"]).error == .groupIDNotFound && alter("", [("t", 0, 1)]).error == .invalidGroupID)

            // A group without members is there for as long as nobody deletes it, and one that is moved comes to be.
            #expect(try delete("g", ["u"]).topics.map(\.error) == [.none])
            #expect(try client.send(ShareGroupDescribeRequest(groups: ["g"]), 1).groups[0].state == "Empty")
            #expect(try alter("new", [("t", 0, 2)]).error == .none && describe(client, "new", nil) == ["t-0 2 lag 6"])
            #expect(try client.send(ListGroupsRequest(types: ["share"]), 5).groups.map(\.groupID) == ["g", "new"])
            #expect(try client.send(DeleteGroupsRequest(groups: ["g", "new", "new"]), 2).groups.map(\.error) == [.none, .none, .groupIDNotFound])
            #expect(try describe(client, "new", nil) == [] && client.send(ListGroupsRequest(), 5).groups.isEmpty)

            // Groups of another kind have none.
            let commit = OffsetCommitRequest(groupID: "c", topics: [.init(name: "t", id: id, partitions: [.init(index: 0, offset: 7)])])
            #expect(try client.send(commit, 9).topics[0].partitions[0].error == .none)
            #expect(try alter("c", [("t", 0, 1)]).error == .groupIDNotFound && delete("c", ["t"]).error == .groupIDNotFound)
            #expect(try describe(client, "c", nil) == [])
        }
    }

    /// Who may not, may not, and does not learn what is there.
    @Test func rightsAreAskedFor() throws {
        try TestBroker.run { broker in
            for name in ["t", "secret"] { try broker.log.createTopic(name, partitions: 1, settings: [:]) }
            let client = try broker.connect()
            for name in ["t", "secret"] {
                _ = try client.send(ShareGroupHeartbeatRequest(groupID: "g", memberID: name, topicNames: [name]), 1)
            }
            func access(_ rules: [(AccessOperation, ResourceKind, String)]) -> Access {
                Access(
                    principal: Principal(name: "p"), host: "h",
                    rules: rules.map { AccessRule(resource: $0.1, name: $0.2, pattern: .literal, principal: "User:p", host: "*", operation: $0.0, isAllowing: true) },
                    allowsWithoutRule: false)
            }
            func outcome<Request: WireRequest>(_ request: Request, _ access: Access) -> String {
                var request = request
                return switch request.authorize(access, broker.log) {
                case .granted: "granted"
                case .limited: "limited"
                case .closed: "closed"
                case .refused: "refused"
                }
            }
            let reader = access([(.read, .group, "g"), (.describe, .topic, "t")])
            #expect(outcome(ShareGroupHeartbeatRequest(groupID: "g", memberID: "m", topicNames: ["t"]), reader) == "granted")
            #expect(outcome(ShareGroupHeartbeatRequest(groupID: "g", memberID: "m", topicNames: ["t", "secret"]), reader) == "refused")
            #expect(outcome(ShareGroupHeartbeatRequest(groupID: "h", memberID: "m", topicNames: ["t"]), reader) == "refused")
            #expect(outcome(DeleteShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t")]), reader) == "refused")
            #expect(outcome(AlterShareGroupOffsetsRequest(groupID: "h"), reader) == "refused")
            #expect(outcome(AlterShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t")]), reader) == "limited")
            let administrator = access([(.delete, .group, "g"), (.read, .topic, "t"), (.read, .group, "g")])
            #expect(outcome(DeleteShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t")]), administrator) == "granted")
            #expect(outcome(AlterShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t")]), administrator) == "granted")

            func amended<Request: WireRequest>(_ request: Request, _ access: Access, _ version: Int16) throws -> Request.Response {
                var request = request
                guard case .limited(let amend) = request.authorize(access, broker.log) else { return try client.send(request, version) }
                var response = try client.send(request, version)
                amend(&response)
                return response
            }
            let all = DescribeShareGroupOffsetsRequest(groups: [.init(groupID: "g", topics: nil), .init(groupID: "h", topics: nil)])
            let describes = try amended(all, reader, 1)
            #expect(describes.groups.map(\.groupID) == ["g", "h"] && describes.groups[0].topics.map(\.name) == ["t"])
            #expect(describes.groups[1].error == .groupAuthorizationFailed)
            let named = DescribeShareGroupOffsetsRequest(groups: [.init(groupID: "g", topics: ["t", "secret"].map { .init(name: $0, partitions: [0]) })])
            #expect(try amended(named, reader, 1).groups[0].topics.map { "\($0.name) \($0.partitions[0].error)" } == ["t none", "secret topicAuthorizationFailed"])
            // A group some of whose topics may not be seen is not shown at all.
            #expect(try amended(ShareGroupDescribeRequest(groups: ["g"]), reader, 1).groups.map(\.error) == [.topicAuthorizationFailed])
            let everything = access([(.describe, .group, "*"), (.describe, .topic, "*")])
            #expect(try amended(ShareGroupDescribeRequest(groups: ["g"], includesOperations: true), everything, 1).groups[0].authorizedOperations == 1 << 8)
        }
    }

    /// The group and where it is survive a restart; its members join again.
    @Test func aGroupSurvivesARestart() throws {
        let fileSystem = SimulatedFileSystem(), time = ManualTime(wallMs: 1_000_000_000)
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? loops.syncShutdownGracefully() }
        func run(_ body: (EmbeddedLog, GroupCoordinator, SharePartitions) throws -> Void) throws {
            let log = try openLog(fileSystem, time: time)
            let shares = try SharePartitions(log: log, timers: loops, time: time.source, logger: .init(label: "test"))
            let groups = GroupCoordinator(log: log, timers: loops, time: time.source, logger: .init(label: "test"), sharing: shares)
            defer {
                groups.close()
                shares.close()
                log.close()
            }
            try body(log, groups, shares)
        }
        var partition = GroupPartition(topic: .zero, index: 0)
        try run { log, groups, _ in
            try log.createTopic("t", partitions: 1)
            partition.topic = UUIDBytes(try #require(log.topic("t")).topicID)
            try groups.setStartOffsets(group: "moved", [partition: 0])
            let joined = try groups.heartbeat(group: "read", .init(memberID: "m", epoch: 0, names: ["t"]))
            #expect(groups.hasNewPartitions(group: "read", try #require(joined.assignment)))
            try groups.initialize(group: "read", [partition])
            #expect(!groups.hasNewPartitions(group: "read", [partition]))
            #expect(groups.shareMember(group: "read", memberID: "m")?.assigned == [partition])
            _ = try groups.heartbeat(group: "passing", .init(memberID: "m", epoch: 0, names: ["absent"]))
            _ = try groups.heartbeat(group: "passing", .init(memberID: "m", epoch: -1))
        }
        try run { _, groups, shares in
            #expect(groups.listings.map { "\($0.id) \($0.type) \($0.state)" } == ["moved share Empty", "read share Empty"])
            #expect(shares.summary(group: "moved", partition: partition)?.startOffset == 0)
            #expect(throws: KafkaError.self) { try groups.heartbeat(group: "read", .init(memberID: "m", epoch: 1)) }
            let joined = try groups.heartbeat(group: "read", .init(memberID: "m", epoch: 0, names: ["t"]))
            #expect(joined.assignment == [partition] && joined.epoch == 1)
            #expect(groups.delete("moved") == .none && groups.delete("read") == .nonEmptyGroup)
        }
        try run { _, groups, _ in #expect(groups.listings.map(\.id) == ["read"]) }
    }
}
