import MartletCore
import NIOEmbedded
import Testing

@testable import MartletLog

/// The shell around groups: its timers, with a clock of its own.
@Suite struct GroupCoordinatorTests {
    private func run(_ body: (GroupCoordinator, EmbeddedEventLoop, _ wait: (Int64) -> Void) throws -> Void) throws {
        let time = ManualTime(wallMs: 1_000_000), loop = EmbeddedEventLoop()
        let log = try openLog(SimulatedFileSystem(), time: time)
        try log.createTopic("t", partitions: 2)
        let groups = GroupCoordinator(log: log, timers: loop, time: time.source, logger: .init(label: "test"))
        defer {
            groups.close()
            log.close()
        }
        try body(groups, loop) { ms in
            time.advance(byMs: ms)
            loop.advanceTime(by: .milliseconds(ms))
        }
    }

    private func members(_ groups: GroupCoordinator, _ id: String) -> [String] {
        switch groups.state.withLock({ $0.groups[id] }) {
        case .share(let group): group.members.keys.sorted()
        case .consumer(let group): group.members.keys.sorted()
        case .classic(let group): group.members.keys.sorted()
        default: []
        }
    }

    /// Each is out when its own session ends, whoever else reports meanwhile, and whether the group's timer was set for it or for another.
    @Test func silentMembersGoWhenTheirTimeIsUp() throws {
        try run { groups, loop, wait in
            func share(_ id: String, _ epoch: Int32) throws -> Int32 {
                try groups.heartbeat(group: "s", .init(memberID: id, epoch: epoch, names: epoch == 0 ? ["t"] : nil)).epoch
            }
            func consume(_ id: String, _ epoch: Int32) -> Int32 {
                var heartbeat = ConsumerGroup.Heartbeat(memberID: id, epoch: epoch)
                if epoch == 0 { (heartbeat.rebalanceTimeoutMs, heartbeat.names, heartbeat.owned) = (600_000, ["t"], []) }
                return groups.heartbeat(group: "c", heartbeat) { _ in true }.epoch
            }
            var epochs: [String: Int32] = [:], consumers: [String: Int32] = [:]
            for id in ["a", "b", "c"] {
                epochs[id] = try share(id, 0)
                consumers[id] = consume(id, 0)
                wait(10_000)
            }
            // "a" is silent since 30 s, "b" since 20 s; "c" goes on.
            for _ in 0..<3 {
                wait(4_900)
                epochs["c"] = try share("c", epochs["c"]!)
                consumers["c"] = consume("c", consumers["c"]!)
            }
            #expect(members(groups, "s") == ["a", "b", "c"] && members(groups, "c") == ["a", "b", "c"])
            wait(301)
            #expect(members(groups, "s") == ["b", "c"] && members(groups, "c") == ["b", "c"])
            wait(10_000)
            #expect(members(groups, "s") == ["c"] && members(groups, "c") == ["c"])
            wait(45_000)
            #expect(members(groups, "s") == [] && members(groups, "c") == [])
            #expect(groups.state.withLock { $0.groups.isEmpty && $0.timers.isEmpty && $0.emptySince.isEmpty })
        }
    }

    @Test func silentMembersOfAClassicGroupGo() throws {
        try run { groups, loop, wait in
            let join = Group.Join(
                memberID: "", newMemberID: "m", clientID: "", clientHost: "", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 5000, protocolType: "p",
                protocols: [.init(name: "x", metadata: [])], requiresKnownMemberID: false, supportsSkippingAssignment: false)
            _ = groups.join(group: "g", join, on: loop)
            loop.run()
            let id = try #require(members(groups, "g").first)
            wait(1)
            _ = groups.sync(group: "g", .init(memberID: id, generation: 1, assignments: [id: [1]]), on: loop)
            loop.run()
            for _ in 0..<4 {
                wait(9_000)
                let answer = groups.heartbeat(group: "g", memberID: id, instanceID: nil, generation: 1, on: loop)
                loop.run()
                #expect(try answer.wait() == .none)
            }
            wait(9_999)
            #expect(members(groups, "g") == [id])
            wait(2)
            #expect(members(groups, "g") == [] && groups.state.withLock { $0.timers.isEmpty })
        }
    }

    /// A heartbeat that changes nothing costs the same however many members there are: neither are they copied, nor looked at one by one.
    @Test func aHeartbeatDoesNotCostMoreInALargeGroup() throws {
        try run { groups, _, _ in
            let sizes = [50, 5000]
            for size in sizes {
                groups.state.withLock { state in
                    var group = ConsumerGroup(id: "g\(size)", sessionTimeoutMs: 45_000)
                    for i in 0..<size {
                        var member = ConsumerGroup.Member(id: "m\(i)", names: ["t"], epoch: 1, order: i)
                        member.sessionDeadline = groups.nowMs + 45_000
                        group.members[member.id] = member
                        group.target[member.id] = []
                    }
                    group.look(at: groups.catalog(&state), raisingEpoch: false)
                    (group.epoch, group.assignmentEpoch) = (1, 1)
                    state.groups[group.id] = .consumer(group)
                }
            }
            func best(_ size: Int) -> Duration {
                (0..<8).map { _ in
                    ContinuousClock().measure {
                        for i in 0..<50 {
                            let answer = groups.heartbeat(group: "g\(size)", .init(memberID: "m\(i)", epoch: 1)) { _ in true }
                            #expect(answer.error == .none)
                        }
                    }
                }.min() ?? .zero
            }
            let small = best(sizes[0]), large = best(sizes[1])
            #expect(large < small * 8, "\(small) with 50 members, \(large) with 5000")
        }
    }
}
