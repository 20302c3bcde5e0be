import MartletCore
import Testing

@testable import MartletLog

/// The group of KIP-848 as a value, with clients that do as it says.
@Suite struct ConsumerGroupTests {
    typealias Partition = ConsumerGroup.Partition
    static let topicID = UUIDBytes(high: 1, low: 1)

    static func catalog(_ partitions: Int32 = 6, version: Int = 1, names: [String] = ["t"]) -> ConsumerGroup.Catalog {
        let topics = names.enumerated().map { i, name in
            (name, ConsumerGroup.Topic(id: UUIDBytes(high: 1, low: UInt64(i + 1)), name: name, partitions: partitions))
        }
        return .init(version: version, topics: Dictionary(uniqueKeysWithValues: topics))
    }

    /// A member as a client keeps it.
    struct Client {
        var id: String
        var instanceID: String?
        var epoch: Int32 = 0
        var owned: Set<Partition> = []
        var names: [String] = ["t"]
        var pattern: String?
        /// An answer got lost: the next heartbeat says everything.
        var isUnsure = false

        func heartbeat(isFull: Bool = true) throws -> ConsumerGroup.Heartbeat {
            var heartbeat = ConsumerGroup.Heartbeat(memberID: id, epoch: epoch, instanceID: instanceID)
            heartbeat.owned = owned
            guard isFull || epoch == 0 else { return heartbeat }
            heartbeat.rebalanceTimeoutMs = 1000
            heartbeat.names = names
            heartbeat.pattern = try pattern.map { .some(try NamePattern($0)) }
            return heartbeat
        }

        mutating func beat(_ group: inout ConsumerGroup, _ catalog: ConsumerGroup.Catalog = catalog(), now: Int64 = 0) throws -> KafkaErrorCode {
            let answer = group.receive(try heartbeat(isFull: epoch == 0 || isUnsure), catalog: catalog, now: now)
            guard answer.error == .none else { return answer.error }
            epoch = answer.epoch
            isUnsure = false
            if let assignment = answer.assignment { owned = assignment }
            return .none
        }
    }

    private func indexes(_ client: Client) -> [Int32] { client.owned.map(\.index).sorted() }

    @Test func aPartitionIsGivenUpBeforeAnotherGetsIt() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 100)
        var a = Client(id: "a"), b = Client(id: "b")
        #expect(group.state == .empty)
        #expect(try a.beat(&group) == .none && indexes(a).count == 6 && group.state == .stable)
        #expect(try b.beat(&group) == .none && b.owned.isEmpty)
        #expect(group.state == .reconciling)
        // a is told to give up half; until it says that it has, b gets nothing.
        let before = a.owned
        let told = group.receive(try a.heartbeat(isFull: false), catalog: Self.catalog(), now: 0)
        #expect(told.assignment?.count == 3 && told.epoch == 1)
        #expect(try b.beat(&group) == .none && b.owned.isEmpty)
        a.owned = told.assignment ?? []
        #expect(try a.beat(&group) == .none && a.epoch == 2 && a.owned.count == 3)
        #expect(try b.beat(&group) == .none && b.owned == before.subtracting(a.owned) && group.state == .stable)
    }

    @Test func epochsAndIdentitiesAreChecked() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 100)
        var a = Client(id: "a"), b = Client(id: "b")
        #expect(try a.beat(&group) == .none && b.beat(&group) == .none)
        func code(_ change: (inout Client) -> Void) throws -> KafkaErrorCode {
            var copy = b
            change(&copy)
            return try copy.beat(&group)
        }
        #expect(try code { $0.epoch = 9 } == .fencedMemberEpoch)
        #expect(try code { $0.id = "x" } == .unknownMemberID)
        #expect(try code { $0.instanceID = "i" } == .unknownMemberID)
        // The epoch before counts only with what it owned then.
        a.owned = []
        #expect(try a.beat(&group) == .none && a.epoch == 2)
        a.epoch = 1
        #expect(try a.beat(&group) == .none && a.epoch == 2)
        a.epoch = 1
        a.owned = [Partition(topic: Self.topicID, index: 99)]
        #expect(try a.beat(&group) == .fencedMemberEpoch)
        #expect(group.admitCommit(memberID: "a", epoch: 2, knowsEpochs: true) == .none)
        #expect(group.admitCommit(memberID: "a", epoch: 1, knowsEpochs: true) == .staleMemberEpoch)
        #expect(group.admitCommit(memberID: "a", epoch: 2, knowsEpochs: false) == .unsupportedVersion)
        #expect(group.admitCommit(memberID: "x", epoch: 2, knowsEpochs: true) == .unknownMemberID)
        #expect(group.admitCommit(memberID: "", epoch: -1, knowsEpochs: true) == .unknownMemberID)
        #expect(group.admitFetch(memberID: "a", epoch: 2) == .none && group.admitFetch(memberID: "a", epoch: 3) == .staleMemberEpoch)
    }

    @Test func silenceAndStubbornnessEndAMembership() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 5000)
        var a = Client(id: "a"), b = Client(id: "b")
        #expect(try a.beat(&group) == .none && b.beat(&group) == .none)
        #expect(group.nextDeadline == 5000)
        // a hears that it has to give up partitions and does not.
        _ = group.receive(try a.heartbeat(isFull: false), catalog: Self.catalog(), now: 100)
        #expect(group.nextDeadline == 1100)
        _ = group.receive(try a.heartbeat(isFull: false), catalog: Self.catalog(), now: 900)
        group.expire(now: 1100)
        #expect(group.members.keys.sorted() == ["b"])
        #expect(try b.beat(&group, now: 1200) == .none && b.owned.count == 6)
        group.expire(now: 6200)
        #expect(group.state == .empty && group.owners.isEmpty && group.admitCommit(memberID: "", epoch: -1, knowsEpochs: true) == .none)
    }

    @Test func aStaticMemberKeepsItsPartitionsWhileItIsAway() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 5000)
        var a = Client(id: "a", instanceID: "one"), b = Client(id: "b", instanceID: "two")
        #expect(try a.beat(&group) == .none && b.beat(&group) == .none)
        a.owned = []
        #expect(try a.beat(&group) == .none && b.beat(&group) == .none)
        a.owned = group.members["a"]?.assigned ?? []
        let had = a.owned, epoch = group.epoch
        var again = Client(id: "a2", instanceID: "one")
        #expect(try again.beat(&group) == .unreleasedInstanceID)
        // Away, and back under its own id: nobody takes its place.
        a.epoch = -2
        #expect(try a.beat(&group, now: 10) == .none)
        (a.epoch, a.owned) = (0, [])
        #expect(try a.beat(&group, now: 10) == .none && a.owned == had && group.epoch == epoch)
        #expect(try again.beat(&group, now: 10) == .unreleasedInstanceID)
        a.epoch = -2
        #expect(try a.beat(&group, now: 10) == .none)
        #expect(group.state == .stable)
        #expect(try again.beat(&group, now: 20) == .none && again.owned == had && group.epoch == epoch)
        a.epoch = 2
        #expect(try a.beat(&group) == .fencedInstanceID)
        // Away for too long: it is out, the other gets everything.
        again.epoch = -2
        #expect(try again.beat(&group, now: 30) == .none && b.beat(&group, now: 4000) == .none)
        group.expire(now: 5030)
        #expect(try b.beat(&group, now: 5031) == .none && b.owned.count == 6)
        b.epoch = -1
        #expect(try b.beat(&group) == .none && group.state == .empty && group.staticMembers.isEmpty)
    }

    @Test func topicsThatComeAndGrowAreAssigned() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 5000)
        var a = Client(id: "a", names: [], pattern: "t.*"), b = Client(id: "b", names: ["u"])
        #expect(try a.beat(&group, Self.catalog(2)) == .none && a.owned.count == 2)
        #expect(try b.beat(&group, Self.catalog(2)) == .none && b.owned.isEmpty)
        let more = Self.catalog(3, version: 2, names: ["t", "u", "t2"])
        #expect(try a.beat(&group, more) == .none && a.owned.count == 6)
        #expect(try b.beat(&group, more) == .none && b.owned.count == 3)
        var hidden = Client(id: "h", names: [], pattern: ".*")
        let answer = group.receive(try hidden.heartbeat(), catalog: more, now: 0, mayDescribe: { $0 == "nothing" })
        #expect(answer.error == .none && answer.assignment == [])
        hidden.epoch = answer.epoch
        let fewer = Self.catalog(3, version: 3, names: ["t"])
        #expect(try a.beat(&group, fewer) == .none)
        #expect(try a.beat(&group, fewer) == .none && a.owned.count == 3)
        #expect(try b.beat(&group, fewer) == .none)
        #expect(try b.beat(&group, fewer) == .none && b.owned.isEmpty)
    }

    @Test func mostMembersDecideTheAssignor() throws {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 5000)
        for (id, assignor) in [("a", "range"), ("b", "range"), ("c", "uniform"), ("d", nil)] {
            var heartbeat = try Client(id: id).heartbeat()
            heartbeat.assignor = assignor
            #expect(group.receive(heartbeat, catalog: Self.catalog(), now: 0).error == .none)
        }
        #expect(group.assignor == .range)
    }

    /// Whatever order members come, go, fall silent and lose answers in: no partition is with two at once, and when it is quiet everybody has
    /// what the group says.
    @Test func nobodySharesAPartition() {
        withSeeds(200) { seed, random in
            var group = ConsumerGroup(id: "g", sessionTimeoutMs: 5000)
            var clients: [String: Client] = [:]
            var now: Int64 = 0, version = 1, partitions: Int32 = 4
            for step in 0..<120 {
                now += Int64.random(in: 0...200, using: &random)
                if Int.random(in: 0..<40, using: &random) == 0 {
                    version += 1
                    partitions += 1
                }
                let catalog = Self.catalog(partitions, version: version)
                let id = "m\(Int.random(in: 0..<5, using: &random))"
                if clients[id] == nil, step < 90 { clients[id] = Client(id: id, instanceID: id == "m0" ? "i" : nil) }
                guard var client = clients[id] else { continue }
                if step < 90, client.epoch > 0, Int.random(in: 0..<8, using: &random) == 0 {
                    client.epoch = -1
                    _ = try client.beat(&group, catalog, now: now)
                    clients[id] = nil
                    continue
                }
                let lost = Int.random(in: 0..<10, using: &random) == 0 && client.epoch > 0
                var copy = client
                let code = try copy.beat(&group, catalog, now: now)
                if code != .none {
                    // It starts over with nothing, as clients do.
                    clients[id] = Client(id: id, instanceID: client.instanceID)
                } else if lost {
                    clients[id]?.isUnsure = true
                } else {
                    clients[id] = copy
                }
                let owned = clients.values.filter { $0.epoch > 0 }.flatMap(\.owned)
                #expect(owned.count == Set(owned).count, "seed \(seed) step \(step)")
                for (partition, owner) in group.owners {
                    let member = group.members[owner]
                    #expect(member?.assigned.contains(partition) == true || member?.revoking.contains(partition) == true, "seed \(seed) step \(step)")
                }
            }
            let catalog = Self.catalog(partitions, version: version)
            // Long enough for those who left unheard to be missed.
            for _ in 0..<12 {
                now += 900
                group.expire(now: now)
                for id in clients.keys.sorted() {
                    guard var client = clients[id] else { continue }
                    if try client.beat(&group, catalog, now: now) != .none { client = Client(id: id, instanceID: client.instanceID) }
                    clients[id] = client
                }
            }
            #expect(clients.isEmpty || group.state == .stable, "seed \(seed)")
            for (id, client) in clients { #expect(client.owned == group.target[id], "seed \(seed)") }
            #expect(clients.isEmpty || clients.values.map(\.owned.count).reduce(0, +) == Int(partitions), "seed \(seed)")
        }
    }
}
