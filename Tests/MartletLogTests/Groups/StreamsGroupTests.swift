import MartletCore
import Testing

@testable import MartletLog

/// A streams group as a value, with clients that do as it says.
@Suite struct StreamsGroupTests {
    typealias Tasks = StreamsGroup.Tasks

    static func catalog(_ topics: [String: Int32] = ["in": 4, "log": 4], version: Int = 1) -> GroupCatalog {
        GroupCatalog(
            version: version,
            topics: Dictionary(
                uniqueKeysWithValues: topics.sorted { $0.key < $1.key }.enumerated().map { i, topic in
                    (topic.key, GroupTopic(id: UUIDBytes(high: 1, low: UInt64(i + 1)), name: topic.key, partitions: topic.value))
                }))
    }

    /// One subtopology with state.
    static func topology(epoch: Int32 = 0, _ parts: [StreamsTopology.Subtopology] = [.init(id: "0", sources: ["in"], changelogs: [.init(name: "log")])])
        -> StreamsTopology
    {
        StreamsTopology(epoch: epoch, subtopologies: parts)
    }

    static func task(_ partition: Int32, _ id: String = "0") -> StreamsTask { .init(subtopology: id, partition: partition) }

    /// A member as a client keeps it.
    struct Client {
        var id: String
        var process: String
        var instanceID: String?
        var topology = StreamsGroupTests.topology()
        var epoch: Int32 = 0
        var owned = Tasks()
        var offsets: [StreamsTask: Int64]?
        var endOffsets: [StreamsTask: Int64]?
        /// An answer got lost: the next heartbeat says everything.
        var isUnsure = false
        var statuses: [StreamsGroup.Status.Code] = []

        init(_ id: String, _ process: String? = nil, instanceID: String? = nil) {
            self.id = id
            self.process = process ?? "p" + id
            self.instanceID = instanceID
        }

        var heartbeat: StreamsGroup.Heartbeat {
            var heartbeat = StreamsGroup.Heartbeat(memberID: id, epoch: epoch, instanceID: instanceID)
            heartbeat.owned = owned
            (heartbeat.offsets, heartbeat.endOffsets) = (offsets, endOffsets)
            guard isUnsure || epoch == 0 else { return heartbeat }
            heartbeat.rebalanceTimeoutMs = 1000
            heartbeat.processID = process
            if epoch == 0 { (heartbeat.topology, heartbeat.owned) = (topology, Tasks()) }
            return heartbeat
        }

        mutating func beat(_ group: inout StreamsGroup, _ catalog: GroupCatalog = catalog(), now: Int64 = 0) -> KafkaErrorCode {
            do throws(KafkaError) {
                let answer = try group.receive(heartbeat, catalog: catalog, now: now)
                epoch = answer.epoch
                isUnsure = false
                statuses = answer.statuses.map(\.code)
                if let tasks = answer.tasks { owned = tasks }
                return .none
            } catch {
                return error.code
            }
        }
    }

    private func group(_ change: (inout StreamsGroup.Settings) -> Void = { _ in }) -> StreamsGroup {
        var settings = StreamsGroup.Settings(sessionTimeoutMs: 5000)
        change(&settings)
        return StreamsGroup(id: "g", settings: settings)
    }

    @Test func aTaskIsGivenUpBeforeAnotherGetsIt() {
        var group = group()
        var a = Client("a"), b = Client("b")
        #expect(group.state == .empty)
        #expect(a.beat(&group) == .none && a.owned.active.count == 4 && a.epoch == 1 && group.state == .stable)
        #expect(b.beat(&group) == .none && b.owned.isEmpty && group.state == .reconciling)
        // a is told to give up half; until it says that it has, b gets nothing.
        let had = a.owned.active
        var unheard = a
        #expect(unheard.beat(&group) == .none && unheard.owned.active.count == 2 && unheard.epoch == a.epoch)
        #expect(b.beat(&group) == .none && b.owned.isEmpty)
        a = unheard
        #expect(a.beat(&group) == .none && a.epoch == group.epoch)
        #expect(b.beat(&group) == .none && b.owned.active == had.subtracting(a.owned.active) && group.state == .stable)
    }

    @Test func nothingIsAssignedUntilTheTopicsAreThere() throws {
        var group = group()
        var a = Client("a")
        #expect(a.beat(&group, Self.catalog([:])) == .none && a.owned.isEmpty && a.statuses == [.missingSourceTopics] && group.state == .notReady)
        let bare = Self.catalog(["in": 4], version: 2)
        let answer = try group.receive(a.heartbeat, catalog: bare, now: 0)
        #expect(answer.missing.map(\.name) == ["log"] && answer.missing[0].partitions == 4)
        a.epoch = answer.epoch
        group.creationErrors["log"] = "no room"
        let told = try group.receive(a.heartbeat, catalog: bare, now: 0)
        #expect(told.statuses[0].code == .missingInternalTopics && told.statuses[0].detail.contains("no room"))
        #expect(a.beat(&group, Self.catalog(["in": 4, "log": 3], version: 3)) == .none && a.statuses == [.incorrectlyPartitionedTopics])
        #expect(a.beat(&group, Self.catalog(version: 4)) == .none && a.statuses == [] && a.owned.active.count == 4 && group.creationErrors.isEmpty)
        // A source that goes takes all tasks with it, and they come back to who had them.
        var b = Client("b")
        let ready = Self.catalog(version: 4)
        for _ in 0..<3 { #expect(b.beat(&group, ready) == .none && a.beat(&group, ready) == .none) }
        let had = (a.owned, b.owned)
        let gone = Self.catalog(["log": 4], version: 5)
        for _ in 0..<2 { #expect(a.beat(&group, gone) == .none && b.beat(&group, gone) == .none) }
        #expect(a.owned.isEmpty && b.owned.isEmpty && group.state == .notReady && group.owners.isEmpty)
        let back = Self.catalog(version: 6)
        for _ in 0..<2 { #expect(a.beat(&group, back) == .none && b.beat(&group, back) == .none) }
        #expect(a.owned == had.0 && b.owned == had.1 && group.state == .stable)
    }

    @Test func theFirstAssignmentWaitsForMoreMembers() throws {
        var group = group { $0.initialRebalanceDelayMs = 3000 }
        var a = Client("a"), b = Client("b")
        #expect(a.beat(&group, now: 100) == .none && a.epoch > 0 && a.owned.isEmpty && a.statuses == [.assignmentDelayed])
        #expect(group.state == .assigning && group.nextDeadline == 3100)
        #expect(b.beat(&group, now: 200) == .none && b.statuses == [.assignmentDelayed])
        var quiet = StreamsGroup.Heartbeat(memberID: "a", epoch: a.epoch)
        quiet.owned = a.owned
        #expect(try group.receive(quiet, catalog: Self.catalog(), now: 300).delayMs == 2800)
        group.expire(now: 3100)
        #expect(group.state == .reconciling && group.nextDeadline == 5200)
        #expect(a.beat(&group, now: 3200) == .none && b.beat(&group, now: 3200) == .none)
        #expect(a.owned.active.count == 2 && b.owned.active.count == 2 && group.state == .stable && a.statuses == [])
        // Who comes later does not wait.
        #expect(try group.receive(a.heartbeat, catalog: Self.catalog(), now: 3250).delayMs == nil)
        var c = Client("c")
        #expect(c.beat(&group, now: 3300) == .none && c.statuses == [])
    }

    @Test func epochsAndIdentitiesAreChecked() {
        var group = group { $0.membersMax = 2 }
        var a = Client("a"), b = Client("b")
        #expect(a.beat(&group) == .none && b.beat(&group) == .none)
        func code(_ change: (inout Client) -> Void) -> KafkaErrorCode {
            var copy = b
            change(&copy)
            return copy.beat(&group)
        }
        #expect(code { $0.epoch += 7 } == .fencedMemberEpoch)
        #expect(code { $0.id = "x" } == .unknownMemberID)
        #expect(code { $0.instanceID = "i" } == .unknownMemberID)
        #expect(code { ($0.id, $0.epoch) = ("x", 0) } == .groupMaxSizeReached)
        let before = a.epoch
        #expect(a.beat(&group) == .none && a.beat(&group) == .none && a.epoch > before)
        let epoch = a.epoch
        // The epoch before counts only with what it may have now.
        a.epoch = before
        #expect(a.beat(&group) == .none && a.epoch == epoch)
        (a.epoch, a.owned.active) = (before, [Self.task(99)])
        #expect(a.beat(&group) == .fencedMemberEpoch)
        #expect(group.admitCommit(memberID: "a", epoch: epoch, knowsEpochs: true) == .none)
        #expect(group.admitCommit(memberID: "a", epoch: epoch - 1, knowsEpochs: true) == .staleMemberEpoch)
        #expect(group.admitCommit(memberID: "a", epoch: epoch, knowsEpochs: false) == .unsupportedVersion)
        #expect(group.admitCommit(memberID: "x", epoch: epoch, knowsEpochs: true) == .unknownMemberID)
        #expect(group.admitFetch(memberID: "a", epoch: epoch) == .none && group.admitFetch(memberID: "x", epoch: epoch) == .unknownMemberID)
        #expect(group.isSubscribed(to: "in") && !group.isSubscribed(to: "log"))
    }

    @Test func aMemberThatComesAnewHasNothing() {
        var group = group()
        var a = Client("a"), b = Client("b")
        for _ in 0..<3 { #expect(a.beat(&group) == .none && b.beat(&group) == .none) }
        let had = a.owned
        a.epoch = 0
        a.owned = Tasks()
        #expect(a.beat(&group) == .none && a.owned == had && group.state == .stable)
    }

    @Test func silenceAndStubbornnessEndAMembership() {
        var group = group()
        var a = Client("a"), b = Client("b")
        #expect(a.beat(&group) == .none && b.beat(&group) == .none)
        let had = a.owned
        #expect(a.beat(&group, now: 100) == .none && group.nextDeadline == 1100)
        a.owned = had
        #expect(a.beat(&group, now: 900) == .none)
        group.expire(now: 1100)
        #expect(group.members.keys.sorted() == ["b"])
        #expect(b.beat(&group, now: 1200) == .none && b.owned.active.count == 4)
        group.expire(now: 6200)
        #expect(group.state == .empty && group.owners.isEmpty && group.copies.isEmpty)
        #expect(group.admitCommit(memberID: "", epoch: -1, knowsEpochs: true) == .none && !group.isSubscribed(to: "in"))
    }

    @Test func aStaticMemberKeepsItsTasksWhileItIsAway() {
        var group = group()
        var a = Client("a", instanceID: "one"), b = Client("b", instanceID: "two")
        for _ in 0..<3 { #expect(a.beat(&group) == .none && b.beat(&group) == .none) }
        let had = a.owned
        var again = Client("a2", "pa", instanceID: "one")
        #expect(again.beat(&group) == .unreleasedInstanceID)
        let last = a.epoch
        a.epoch = -2
        #expect(a.beat(&group, now: 10) == .none && group.state == .stable)
        #expect(again.beat(&group, now: 20) == .none && again.owned == had && again.epoch == last)
        a.epoch = last
        #expect(a.beat(&group) == .fencedInstanceID)
        // The same member, back under its own id, is there as before.
        let epoch = again.epoch
        again.epoch = -2
        #expect(again.beat(&group, now: 20) == .none)
        (again.epoch, again.owned) = (0, Tasks())
        #expect(again.beat(&group, now: 20) == .none && again.owned == had && again.epoch == epoch)
        var third = Client("a3", "pa", instanceID: "one")
        #expect(third.beat(&group, now: 20) == .unreleasedInstanceID)
        var other = Client("a2", "pa", instanceID: "three")
        #expect(other.beat(&group, now: 20) == .fencedInstanceID)
        again.epoch = -2
        #expect(again.beat(&group, now: 30) == .none && b.beat(&group, now: 4000) == .none)
        group.expire(now: 5030)
        #expect(b.beat(&group, now: 5031) == .none && b.owned.active.count == 4)
        b.epoch = -1
        #expect(b.beat(&group) == .none && group.state == .empty && group.staticMembers.isEmpty)
    }

    @Test func standbysAreElsewhereAndTakeOver() {
        var group = group { $0.standbyReplicas = 1 }
        var a = Client("a"), b = Client("b"), c = Client("c", "pa")
        for _ in 0..<4 { #expect(a.beat(&group) == .none && b.beat(&group) == .none && c.beat(&group) == .none) }
        #expect(group.state == .stable)
        #expect(a.owned.active.union(c.owned.active).isSubset(of: b.owned.standby) && b.owned.active.isSubset(of: a.owned.standby.union(c.owned.standby)))
        c.epoch = -1
        #expect(c.beat(&group) == .none)
        for _ in 0..<4 { #expect(a.beat(&group) == .none && b.beat(&group) == .none) }
        #expect(a.owned.active == b.owned.standby && b.owned.active == a.owned.standby && a.owned.active.count == 2)
        // b goes: its tasks go on at once where their copies are.
        b.epoch = -1
        #expect(b.beat(&group) == .none && a.beat(&group) == .none)
        #expect(a.owned.active.count == 4 && a.owned.standby.isEmpty && group.state == .stable)
        var settings = group.settings
        settings.standbyReplicas = 0
        let epoch = group.epoch
        group.apply(settings)
        #expect(group.epoch == epoch + 1)
    }

    @Test func anApplicationIsShutDownByOneOfItsMembers() throws {
        var group = group()
        var a = Client("a"), b = Client("b")
        #expect(a.beat(&group) == .none && b.beat(&group) == .none)
        var heartbeat = a.heartbeat
        heartbeat.requestsShutdown = true
        #expect(try group.receive(heartbeat, catalog: Self.catalog(), now: 0).statuses.map(\.code) == [.shutdownApplication])
        #expect(b.beat(&group) == .none && b.statuses == [.shutdownApplication])
        for var client in [a, b] {
            client.epoch = -1
            #expect(client.beat(&group) == .none)
        }
        a.epoch = 0
        #expect(a.beat(&group) == .none && a.statuses == [])
    }

    @Test func aTopologyChangesByOneEpochAtATime() {
        let two: [StreamsTopology.Subtopology] = [.init(id: "0", sources: ["in"], changelogs: [.init(name: "log")]), .init(id: "1", sources: ["in"])]
        var group = group()
        var a = Client("a"), b = Client("b")
        a.topology = Self.topology(epoch: 3, two)
        b.topology = Self.topology(epoch: 3)
        #expect(a.beat(&group) == .none && b.beat(&group) == .streamsInvalidTopologyEpoch)
        b.topology = Self.topology(epoch: 2, two)
        #expect(b.beat(&group) == .streamsTopologyFenced)
        b.topology = Self.topology(epoch: 5, two)
        #expect(b.beat(&group) == .streamsInvalidTopologyEpoch && group.members.count == 1)
        // b brings the next: subtopology 1 reads something else, 0 is as it was. a keeps what it had of 0.
        let log = Self.catalog(["in": 4, "log": 4, "other": 2], version: 2)
        b.topology = Self.topology(epoch: 4, [two[0], .init(id: "1", sources: ["other"])])
        let kept = a.owned.active.filter { $0.subtopology == "0" }
        #expect(b.beat(&group, log) == .none && b.owned.isEmpty)
        var first = a
        #expect(first.beat(&group, log) == .none && first.statuses == [.staleTopology] && first.owned.active == kept)
        // As long as a works on the old 1, nobody has the new.
        #expect(b.beat(&group, log) == .none && b.owned.isEmpty)
        a = first
        #expect(a.beat(&group, log) == .none && b.beat(&group, log) == .none)
        #expect(b.owned.active == [Self.task(0, "1"), Self.task(1, "1")] && group.state == .stable)
        // Upgraded itself, it shares all.
        a.topology = b.topology
        (a.epoch, a.owned) = (0, Tasks())
        for _ in 0..<3 { #expect(a.beat(&group, log) == .none && b.beat(&group, log) == .none) }
        #expect(a.statuses == [] && a.owned.active.count == 3 && b.owned.active.count == 3 && group.state == .stable)
        // With nobody there any topology will do.
        for var client in [a, b] {
            client.epoch = -1
            #expect(client.beat(&group, log) == .none)
        }
        var c = Client("c")
        #expect(c.beat(&group, log) == .none && c.owned.active.count == 4)
    }

    @Test func aTaskWithStateMovesOnceItsCopyHasCaughtUp() {
        var group = group { ($0.warmupReplicas, $0.acceptableRecoveryLag) = (1, 10) }
        var a = Client("a"), b = Client("b")
        (a.offsets, b.offsets) = ([:], [:])
        a.endOffsets = Dictionary(uniqueKeysWithValues: (0..<4).map { (Self.task($0), 1000) })
        #expect(a.beat(&group) == .none && a.owned.active.count == 4)
        for _ in 0..<3 { #expect(b.beat(&group) == .none && a.beat(&group) == .none) }
        // One at a time.
        #expect(a.owned.active.count == 4 && b.owned.active.isEmpty && b.owned.warmup.count == 1 && group.state == .stable)
        var moved: Set<StreamsTask> = []
        for round in 1...2 {
            let next = b.owned.warmup
            for task in next { b.offsets?[task] = 989 }
            #expect(b.beat(&group) == .none && b.owned.warmup == next)
            for task in next { b.offsets?[task] = 990 }
            for _ in 0..<4 { #expect(b.beat(&group) == .none && a.beat(&group) == .none) }
            moved.formUnion(next)
            #expect(b.owned.active == moved && moved.count == round && a.owned.active.isDisjoint(with: moved), "round \(round)")
        }
        #expect(b.owned.warmup.isEmpty && group.state == .stable && a.owned.active.count == 2)
        // The owner goes: there is nothing to wait for.
        a.epoch = -1
        #expect(a.beat(&group) == .none && b.beat(&group) == .none && b.owned.active.count == 4)
    }

    @Test func endpointsSayWhatIsWhere() throws {
        var group = group { $0.standbyReplicas = 1 }
        let a = Client("a"), b = Client("b")
        var heartbeat = a.heartbeat
        heartbeat.endpoint = .init(host: "h", port: 65_000)
        let first = try group.receive(heartbeat, catalog: Self.catalog(), now: 0)
        #expect(first.endpoints == [.init(endpoint: .init(host: "h", port: 65_000), active: ["in": [0, 1, 2, 3]])])
        var quiet = StreamsGroup.Heartbeat(memberID: "a", epoch: first.epoch)
        quiet.endpointEpoch = first.endpointEpoch
        #expect(try group.receive(quiet, catalog: Self.catalog(), now: 0).endpoints == nil)
        let second = try group.receive(b.heartbeat, catalog: Self.catalog(), now: 0)
        #expect(second.endpoints?.count == 1)
        let told = try group.receive(quiet, catalog: Self.catalog(), now: 0)
        #expect(told.endpoints?.first?.active["in"]?.count == 2 && told.endpointEpoch > first.endpointEpoch)
    }

    /// Whatever order members come, go, fall silent, lose answers and warm up in: no task is worked on by two, no process has a task twice, and when
    /// it is quiet everybody has what the group says, each task once, with its standbys.
    @Test func nobodySharesATask() {
        withSeeds(200) { seed, random in
            let replicas = Int.random(in: 0...1, using: &random), reports = Bool.random(using: &random)
            var group = group {
                $0.standbyReplicas = replicas
                $0.initialRebalanceDelayMs = Bool.random(using: &random) ? 300 : 0
            }
            var clients: [String: Client] = [:]
            var now: Int64 = 0, version = 1, partitions: Int32 = 4
            func catalog() -> GroupCatalog { Self.catalog(["in": partitions, "log": partitions], version: version) }
            func fresh(_ id: String) -> Client {
                // Two members a process; one of them is static.
                var client = Client(id, "p\((id.utf8.last ?? 0) / 2)", instanceID: id == "m0" ? "i" : nil)
                if reports { (client.offsets, client.endOffsets) = ([:], [:]) }
                return client
            }
            func expire() {
                group.expire(now: now)
                // A client's own clock tells it that it was silent for too long.
                for id in clients.keys where clients[id]?.epoch != 0 && group.members[id] == nil { clients[id] = fresh(id) }
            }
            func check(_ say: Comment) {
                let members = clients.values.filter { $0.epoch > 0 }
                let active = members.flatMap(\.owned.active)
                #expect(active.count == Set(active).count, say)
                for (task, owner) in group.owners {
                    let member = group.members[owner]
                    #expect(member?.assigned.active.contains(task) == true || member?.revoking.active.contains(task) == true, say)
                }
                for own in Dictionary(grouping: members, by: \.process).values {
                    let all = own.flatMap { Array($0.owned.active.union($0.owned.copies)) }
                    #expect(all.count == Set(all).count, say)
                }
                #expect(members.allSatisfy { $0.owned.active.isDisjoint(with: $0.owned.copies) && $0.owned.standby.isDisjoint(with: $0.owned.warmup) }, say)
            }
            for step in 0..<150 {
                now += Int64.random(in: 0...200, using: &random)
                expire()
                if Int.random(in: 0..<40, using: &random) == 0 {
                    version += 1
                    partitions += 1
                }
                let id = "m\(Int.random(in: 0..<6, using: &random))"
                if clients[id] == nil, step < 120 { clients[id] = fresh(id) }
                guard var client = clients[id] else { continue }
                if step < 120, client.epoch > 0, Int.random(in: 0..<8, using: &random) == 0 {
                    client.epoch = -1
                    _ = client.beat(&group, catalog(), now: now)
                    clients[id] = nil
                    continue
                }
                if reports {
                    for task in client.owned.copies { client.offsets?[task] = Int64.random(in: 0...200_000, using: &random) }
                    for task in client.owned.active { client.endOffsets?[task] = 100_000 }
                }
                let isLost = Int.random(in: 0..<10, using: &random) == 0 && client.epoch > 0
                var copy = client
                if copy.beat(&group, catalog(), now: now) != .none {
                    // It starts over with nothing, as clients do.
                    clients[id] = fresh(id)
                } else if isLost {
                    clients[id]?.isUnsure = true
                } else {
                    clients[id] = copy
                }
                check("seed \(seed) step \(step)")
            }
            // Long enough for those who left unheard to be missed.
            for round in 0..<30 {
                now += 900
                expire()
                for id in clients.keys.sorted() {
                    guard var client = clients[id] else { continue }
                    if reports {
                        for task in client.owned.copies { client.offsets?[task] = 100_000 }
                        for task in client.owned.active { client.endOffsets?[task] = 100_000 }
                    }
                    if client.beat(&group, catalog(), now: now) != .none { client = fresh(id) }
                    clients[id] = client
                    check("seed \(seed) round \(round)")
                }
            }
            guard !clients.isEmpty else { return }
            let say: Comment = "seed \(seed)"
            #expect(group.state == .stable, say)
            for (id, client) in clients { #expect(client.owned == group.target[id] && client.owned.warmup.isEmpty && client.statuses == [], say) }
            let shares = clients.values.map(\.owned.active.count)
            #expect(shares.reduce(0, +) == Int(partitions) && (shares.max() ?? 0) - (shares.min() ?? 0) <= 1, say)
            let processes = Set(clients.values.map(\.process)).count
            #expect(clients.values.map(\.owned.standby.count).reduce(0, +) == min(replicas, processes - 1) * Int(partitions), say)
            for client in clients.values.sorted(by: { $0.id < $1.id }) {
                var client = client
                client.epoch = -1
                #expect(client.beat(&group, catalog(), now: now) == .none, say)
            }
            #expect(group.owners.isEmpty && group.copies.isEmpty && group.state == .empty, say)
        }
    }
}
