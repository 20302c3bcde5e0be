import MartletCore
import Testing

@testable import MartletLog

/// Classic members, eager and cooperative ones, beside members of KIP-848 in one group: the value, with clients that do as it says.
@Suite struct MixedGroupTests {
    typealias Partition = ConsumerGroup.Partition
    private typealias Modern = ConsumerGroupTests.Client

    /// A consumer of the classic protocol as a client keeps it.
    private struct Classic {
        var id = ""
        var name: String
        var isCooperative: Bool
        var generation: Int32 = -1
        var owned: Set<Int32> = []
        var mustJoin = true

        var join: Group.Join {
            let subscription = ConsumerSubscription(
                topics: ["t"], owned: isCooperative && !owned.isEmpty ? [.init(topic: "t", partitions: owned.sorted())] : [])
            return Group.Join(
                memberID: id, newMemberID: "\(name)-id", clientID: name, clientHost: "/h", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000,
                protocolType: "consumer", protocols: [.init(name: "range", metadata: ConsumerMetadata.write(subscription, version: 1))],
                requiresKnownMemberID: true, supportsSkippingAssignment: true)
        }

        /// One request and what follows from its answer.
        mutating func act(_ group: inout ConsumerGroup, _ catalog: ConsumerGroup.Catalog, now: Int64) throws {
            guard mustJoin else {
                switch group.heartbeat(memberID: id, instanceID: nil, generation: generation, catalog: catalog, now: now) {
                case .none: break
                case .rebalanceInProgress: mustJoin = true
                case let code:
                    #expect(code == .illegalGeneration || code == .unknownMemberID)
                    (mustJoin, owned) = (true, [])
                    if code == .unknownMemberID { id = "" }
                }
                return
            }
            if !isCooperative { owned = [] }
            let answer = group.join(join, catalog: catalog, now: now)
            id = answer.memberID
            if answer.error == .memberIDRequired { return }
            #expect(answer.error == .none && answer.protocolType == "consumer" && answer.protocolName == "range" && answer.members.isEmpty)
            generation = answer.generation
            let synced = group.sync(
                .init(memberID: id, instanceID: nil, generation: generation, protocolType: "consumer", protocolName: "range", assignments: [:]), catalog: catalog, now: now)
            if synced.error == .rebalanceInProgress { return }
            #expect(synced.error == .none)
            let assigned = try ConsumerMetadata.read(ConsumerAssignment.self, synced.assignment).message
            let had = owned
            owned = Set(assigned.partitions.flatMap(\.partitions))
            // A cooperative consumer that gave something up says so by joining.
            mustJoin = isCooperative && !had.isSubset(of: owned)
        }
    }

    /// Whoever acts in whatever order: no partition is read by two; and when all have acted often enough, each is read by one, evenly.
    @Test func everyPartitionHasOneReader() throws {
        withSeeds(150) { seed, random in
            var group = ConsumerGroup(id: "g", sessionTimeoutMs: 10_000)
            var partitions: Int32 = 6, version = 1
            var catalog = ConsumerGroupTests.catalog(partitions, version: version)
            var modern = [Modern(id: "m0")]
            _ = try modern[0].beat(&group, catalog)
            var classic: [Classic] = []
            var now: Int64 = 0
            func check() {
                var readers: [Int32: Int] = [:]
                for member in modern { for partition in member.owned { readers[partition.index, default: 0] += 1 } }
                for member in classic { for index in member.owned { readers[index, default: 0] += 1 } }
                #expect(readers.values.allSatisfy { $0 == 1 }, "seed \(seed): \(readers)")
                for (partition, owner) in group.owners {
                    #expect(group.members[owner].map { $0.assigned.union($0.revoking).contains(partition) } == true, "seed \(seed)")
                }
            }
            func step(_ place: Int) throws {
                if place < modern.count { _ = try modern[place].beat(&group, catalog, now: now) } else { try classic[place - modern.count].act(&group, catalog, now: now) }
                check()
            }
            for _ in 0..<60 {
                now += Int64.random(in: 0...50, using: &random)
                switch Int.random(in: 0..<12, using: &random) {
                case 0 where modern.count < 3: modern.append(Modern(id: "m\(now)-\(modern.count)"))
                case 1 where classic.count < 4: classic.append(Classic(name: "c\(now)-\(classic.count)", isCooperative: Bool.random(using: &random)))
                case 2 where classic.count > 1:
                    let gone = classic.remove(at: Int.random(in: 0..<classic.count, using: &random))
                    if !gone.id.isEmpty { _ = group.leave(.init(memberID: gone.id, instanceID: nil)) }
                case 3 where modern.count > 1:
                    let gone = modern.remove(at: Int.random(in: 0..<modern.count, using: &random))
                    if gone.epoch > 0 { _ = group.receive(.init(memberID: gone.id, epoch: -1), catalog: catalog, now: now) }
                case 4 where partitions < 9:
                    partitions += 1
                    version += 1
                    catalog = ConsumerGroupTests.catalog(partitions, version: version)
                default: try step(Int.random(in: 0..<(modern.count + classic.count), using: &random))
                }
            }
            for _ in 0..<30 { for place in 0..<(modern.count + classic.count) { try step(place) } }
            let shares = modern.map(\.owned.count) + classic.map(\.owned.count)
            #expect(shares.reduce(0, +) == Int(partitions) && (shares.max() ?? 0) - (shares.min() ?? 0) <= 1, "seed \(seed): \(shares)")
            #expect(group.state == .stable, "seed \(seed)")
        }
    }

    /// A classic group that is stable goes over without anybody's losing a partition, and back.
    @Test func aGroupGoesOverAndBack() throws {
        let catalog = ConsumerGroupTests.catalog(4)
        var old = Group(id: "g")
        func metadata() -> [UInt8] { ConsumerMetadata.write(ConsumerSubscription(topics: ["t"]), version: 1) }
        old.protocolType = "consumer"
        old.generation = 7
        old.state = .stable
        for (order, (id, partitions)) in [("a", [0, 1]), ("b", [2, 3])].enumerated() as EnumeratedSequence<[(String, [Int32])]> {
            old.members[id] = Group.Member(
                id: id, instanceID: id == "b" ? "static" : nil, clientID: id, clientHost: "/h", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000,
                protocols: [.init(name: "range", metadata: metadata())],
                assignment: ConsumerMetadata.write(ConsumerAssignment(partitions: [.init(topic: "t", partitions: partitions)]), version: 1),
                sessionDeadline: 500, order: order)
        }
        old.staticMembers = ["static": "b"]
        var group = try #require(ConsumerGroup(upgrading: old, catalog: catalog, sessionTimeoutMs: 45_000, now: 100))
        #expect(group.epoch == 7 && group.state == .stable && group.isClassicOnly && group.nextDeadline == 500)
        #expect(group.members["b"]?.assigned.map(\.index).sorted() == [2, 3] && group.staticMembers == ["static": "b"])
        #expect(group.heartbeat(memberID: "a", instanceID: nil, generation: 7, catalog: catalog, now: 100) == .none)
        #expect(group.heartbeat(memberID: "b", instanceID: "static", generation: 6, catalog: catalog, now: 100) == .illegalGeneration)
        #expect(group.heartbeat(memberID: "a", instanceID: "static", generation: 7, catalog: catalog, now: 100) == .fencedInstanceID)
        #expect(group.admitCommit(memberID: "a", epoch: 7, knowsEpochs: false) == .none)
        #expect(group.admitCommit(memberID: "a", epoch: 6, knowsEpochs: false) == .illegalGeneration)
        var modern = Modern(id: "m")
        #expect(try modern.beat(&group, catalog, now: 100) == .none)
        #expect(!group.isClassicOnly && group.heartbeat(memberID: "a", instanceID: nil, generation: 7, catalog: catalog, now: 200) == .rebalanceInProgress)
        // It does not join in its time.
        #expect(group.nextDeadline == 500)
        group.expire(now: 20_200)
        #expect(group.members["a"] == nil)
        _ = group.receive(.init(memberID: "m", epoch: -1), catalog: catalog, now: 20_200)
        #expect(group.members.isEmpty)

        group = try #require(ConsumerGroup(upgrading: old, catalog: catalog, sessionTimeoutMs: 45_000, now: 100))
        modern = Modern(id: "m")
        #expect(try modern.beat(&group, catalog, now: 100) == .none)
        _ = group.receive(.init(memberID: "m", epoch: -1), catalog: catalog, now: 200)
        #expect(group.isClassicOnly)
        var back = group.downgraded(catalog: catalog, initialRebalanceDelayMs: 0)
        _ = back.rebalance(now: 200)
        #expect(back.generation == 7 && back.state == .preparingRebalance && back.protocolType == "consumer" && back.staticMembers == ["static": "b"])
        #expect(back.members["a"]?.assignment == old.members["a"]?.assignment && back.members["b"]?.assignment == old.members["b"]?.assignment)
        #expect(back.receive(.heartbeat(memberID: "a", instanceID: nil, generation: 7, 1), now: 200) == [.answerHeartbeat(1, .rebalanceInProgress)])

        // Whatever is no group of consumers stays what it is.
        var workers = old
        workers.protocolType = "connect"
        #expect(ConsumerGroup(upgrading: workers, catalog: catalog, sessionTimeoutMs: 1, now: 0) == nil)
        var strange = old
        strange.members["a"]?.protocols[0].metadata = [1]
        #expect(ConsumerGroup(upgrading: strange, catalog: catalog, sessionTimeoutMs: 1, now: 0) == nil)
    }

    @Test func aStaticMemberComesBackInTheOtherProtocol() throws {
        let catalog = ConsumerGroupTests.catalog(4)
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 10_000)
        var other = Modern(id: "other")
        #expect(try other.beat(&group, catalog) == .none)
        var member = Classic(name: "c", isCooperative: false)
        func join(_ id: String) -> Group.JoinAnswer {
            member.id = id
            var join = member.join
            join.instanceID = "i"
            join.newMemberID = "c\(group.memberCount)"
            return group.join(join, catalog: catalog, now: 0)
        }
        let first = join("")
        #expect(first.error == .none)
        let again = join("")
        #expect(again.error == .none && again.memberID != first.memberID && group.members[first.memberID] == nil)
        #expect(join(first.memberID).error == .fencedInstanceID)
        var modern = Modern(id: "new", instanceID: "i")
        #expect(try modern.beat(&group, catalog) == .none && group.members[again.memberID] == nil && group.members["new"]?.classic == nil)
        var wrong = member.join
        wrong.protocolType = "connect"
        #expect(group.join(wrong, catalog: catalog, now: 0).error == .inconsistentGroupProtocol)
    }
}
