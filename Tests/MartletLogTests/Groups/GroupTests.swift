import MartletCore
import Testing

@testable import MartletLog

/// The group's state machine by hand-moved clock: every answer is a value, no thread, no wait.
@Suite struct GroupTests {
    /// A group with a clock and short ways to send events.
    struct Script {
        var group = Group(id: "g")
        var now: Int64 = 0
        var token = 0
        var answered: Set<Int> = []

        mutating func send(_ event: Group.Event) -> [Group.Action] {
            let actions = group.receive(event, now: now)
            for action in actions { #expect(answered.insert(action.token).inserted, "invariant (3): a token is answered once") }
            if group.state == .empty { #expect(group.members.isEmpty, "invariant (2)") }
            for id in group.staticMembers.values { #expect(group.members[id] != nil, "invariant (4)") }
            if group.state == .stable || group.state == .completingRebalance {
                #expect(group.leaderID.map { group.members[$0] != nil } ?? false, "invariant (5)")
            }
            return actions
        }

        mutating func join(
            _ memberID: String = "", new: String = "", instance: String? = nil, session: Int64 = 10_000, rebalance: Int64 = 60_000,
            protocols: [String] = ["range"], metadata: [UInt8] = [1], type: String = "consumer", version: Int = 3
        ) -> [Group.Action] {
            token += 1
            return send(
                .join(
                    Group.Join(
                        memberID: memberID, newMemberID: new, instanceID: instance, clientID: "c", clientHost: "/h",
                        sessionTimeoutMs: session, rebalanceTimeoutMs: rebalance, protocolType: type,
                        protocols: protocols.map { .init(name: $0, metadata: metadata) }, requiresKnownMemberID: version >= 4,
                        supportsSkippingAssignment: version >= 9), token))
        }

        mutating func sync(_ memberID: String, _ generation: Int32, instance: String? = nil, _ assignments: [String: [UInt8]] = [:])
            -> [Group.Action]
        {
            token += 1
            return send(
                .sync(
                    Group.Sync(memberID: memberID, instanceID: instance, generation: generation, assignments: assignments), token))
        }

        mutating func heartbeat(_ memberID: String, _ generation: Int32, instance: String? = nil) -> KafkaErrorCode? {
            token += 1
            for action in send(.heartbeat(memberID: memberID, instanceID: instance, generation: generation, token)) {
                if case .answerHeartbeat(_, let code) = action { return code }
            }
            return nil
        }

        mutating func leave(_ members: Group.Leaving...) -> [KafkaErrorCode] {
            token += 1
            for action in send(.leave(members, token)) { if case .answerLeave(_, let codes) = action { return codes } }
            return []
        }

        /// Moves the clock from deadline to deadline, as the shell's timers do.
        mutating func advance(to time: Int64) -> [Group.Action] {
            var actions: [Group.Action] = []
            while let deadline = group.nextDeadline, deadline <= time {
                now = max(now, deadline)
                let before = group.nextDeadline
                actions += send(.timer)
                if group.nextDeadline == before { break }
            }
            now = time
            return actions
        }

        /// Two members "a" (leader) and "b" in generation 2, stable.
        mutating func makePair() {
            _ = join(new: "a")
            _ = sync("a", 1, ["a": [1]])
            _ = join(new: "b")
            _ = join("a")
            _ = sync("b", 2)
            _ = sync("a", 2, ["a": [10], "b": [11]])
        }
    }

    func joins(_ actions: [Group.Action]) -> [Group.JoinAnswer] {
        actions.compactMap { if case .answerJoin(_, let answer) = $0 { answer } else { nil } }
    }

    func syncs(_ actions: [Group.Action]) -> [Group.SyncAnswer] {
        actions.compactMap { if case .answerSync(_, let answer) = $0 { answer } else { nil } }
    }

    @Test func theFirstMemberLeadsAndGetsItsOwnAssignment() {
        var script = Script()
        let joined = joins(script.join(new: "a", metadata: [7]))
        #expect(joined.count == 1)
        #expect(joined[0].generation == 1 && joined[0].leaderID == "a" && joined[0].memberID == "a" && joined[0].protocolName == "range")
        #expect(joined[0].members == [.init(id: "a", instanceID: nil, metadata: [7])])
        #expect(script.group.state == .completingRebalance)
        #expect(syncs(script.sync("a", 1, ["a": [42]])).map(\.assignment) == [[42]])
        #expect(script.group.state == .stable)
    }

    @Test func aNewMemberOfVersion4LearnsItsIDFirst() {
        var script = Script()
        let first = joins(script.join(new: "a", version: 4))
        #expect(first.map(\.error) == [.memberIDRequired] && first.map(\.memberID) == ["a"])
        #expect(script.group.members.isEmpty)
        #expect(joins(script.join("a", version: 4)).map(\.error) == [KafkaErrorCode.none])
        #expect(script.group.members.count == 1)
    }

    @Test func anIDThatIsNeverUsedRunsOut() {
        var script = Script()
        _ = script.join(new: "a", session: 10_000, version: 4)
        _ = script.advance(to: 10_000)
        #expect(script.group.pendingMembers.isEmpty && script.group.nextDeadline == nil)
        #expect(joins(script.join("a", version: 4)).map(\.error) == [.unknownMemberID])
    }

    @Test func aSecondMemberMakesTheFirstJoinAgain() {
        var script = Script()
        _ = script.join(new: "a")
        _ = script.sync("a", 1)
        #expect(script.join(new: "b").isEmpty, "b waits for a")
        #expect(script.heartbeat("a", 1) == .rebalanceInProgress)
        let both = joins(script.join("a"))
        #expect(both.count == 2 && both.allSatisfy { $0.generation == 2 && $0.leaderID == "a" })
        #expect(both.first { $0.memberID == "a" }?.members.map(\.id) == ["a", "b"])
        #expect(both.first { $0.memberID == "b" }?.members.isEmpty == true)
        #expect(script.sync("b", 2).isEmpty, "b waits for the leader")
        #expect(syncs(script.sync("a", 2, ["a": [1], "b": [2]])).map(\.assignment) == [[1], [2]])
    }

    @Test func aMemberThatDoesNotJoinAgainIsLeftBehind() {
        var script = Script()
        script.makePair()
        _ = script.join(new: "c")
        // a and b stay silent; their sessions (10 s) end before the rebalance timeout (60 s).
        let actions = script.advance(to: 10_000)
        #expect(joins(actions).map(\.memberID) == ["c"])
        #expect(Array(script.group.members.keys) == ["c"] && script.group.leaderID == "c" && script.group.generation == 3)
    }

    @Test func aLiveMemberThatOnlyHeartbeatsIsLeftBehindAtTheRebalanceTimeout() {
        var script = Script()
        script.makePair()
        _ = script.join("a")  // the leader asks for a rebalance
        for second in 1...59 {
            #expect(joins(script.advance(to: Int64(second) * 1000)).isEmpty)
            #expect(script.heartbeat("b", 2) == .rebalanceInProgress)
        }
        #expect(joins(script.advance(to: 60_000)).map(\.memberID) == ["a"])
        #expect(script.heartbeat("b", 3) == .unknownMemberID)
    }

    @Test func silenceEndsASession() {
        var script = Script()
        script.makePair()
        _ = script.advance(to: 5_000)
        #expect(script.heartbeat("a", 2) == KafkaErrorCode.none)
        _ = script.advance(to: 10_000)  // b was last heard at 0
        #expect(script.group.members["b"] == nil && script.group.state == .preparingRebalance)
        #expect(script.heartbeat("a", 2) == .rebalanceInProgress)
        #expect(joins(script.join("a")).map(\.generation) == [3])
    }

    @Test func whenTheLastMemberLeavesTheGroupIsEmpty() {
        var script = Script()
        script.makePair()
        #expect(script.leave(.init(memberID: "a")) == [KafkaErrorCode.none])
        #expect(script.leave(.init(memberID: "b")) == [KafkaErrorCode.none])
        #expect(script.group.state == .empty && script.group.generation == 3 && script.group.nextDeadline == nil)
        #expect(script.leave(.init(memberID: "b")) == [.unknownMemberID])
        #expect(joins(script.join("b")).map(\.error) == [.unknownMemberID])
        #expect(joins(script.join(new: "c", type: "connect")).map(\.error) == [KafkaErrorCode.none], "an empty group takes any type")
    }

    @Test func whenTheLeaderIsGoneAnotherLeads() {
        var script = Script()
        script.makePair()
        _ = script.leave(.init(memberID: "a"))
        let answer = joins(script.join("b"))
        #expect(answer.map(\.leaderID) == ["b"] && answer[0].members.map(\.id) == ["b"])
    }

    @Test func theLeaderThatDoesNotSyncIsLeftBehind() {
        var script = Script()
        _ = script.join(new: "a", session: 100_000)
        _ = script.sync("a", 1)
        _ = script.join(new: "b", session: 100_000)
        _ = script.join("a", session: 100_000)
        #expect(script.sync("b", 2).isEmpty)
        let actions = script.advance(to: 60_000)
        #expect(syncs(actions).map(\.error) == [.rebalanceInProgress])
        #expect(Array(script.group.members.keys) == ["b"])
    }

    @Test func generationsAndMembersAreChecked() {
        var script = Script()
        script.makePair()
        #expect(script.heartbeat("a", 1) == .illegalGeneration)
        #expect(script.heartbeat("x", 2) == .unknownMemberID)
        #expect(syncs(script.sync("a", 1)).map(\.error) == [.illegalGeneration])
        #expect(syncs(script.sync("x", 2)).map(\.error) == [.unknownMemberID])
        #expect(syncs(script.sync("b", 2)).map(\.assignment) == [[11]], "asking again gets the assignment again")
        #expect(joins(script.join(new: "c", protocols: ["roundrobin"])).map(\.error) == [.inconsistentGroupProtocol])
        #expect(joins(script.join(new: "c", type: "connect")).map(\.error) == [.inconsistentGroupProtocol])
        #expect(joins(script.join(new: "c", protocols: [])).map(\.error) == [.inconsistentGroupProtocol])
    }

    @Test func theProtocolMostMembersPreferWins() {
        var script = Script()
        _ = script.join(new: "a", protocols: ["range", "sticky"])
        _ = script.sync("a", 1)
        _ = script.join(new: "b", protocols: ["sticky", "range"])
        _ = script.join(new: "c", protocols: ["sticky", "range", "other"])
        #expect(Set(joins(script.join("a", protocols: ["range", "sticky"])).map(\.protocolName)) == ["sticky"])
    }

    @Test func aFollowerThatJoinsAgainUnchangedDoesNotDisturb() {
        var script = Script()
        script.makePair()
        #expect(joins(script.join("b")).map(\.generation) == [2])
        #expect(script.group.state == .stable)
        #expect(script.join("b", metadata: [9]).isEmpty, "a new subscription does")
        #expect(script.group.state == .preparingRebalance)
    }

    @Test func aStaticMemberComesBackToItsAssignment() {
        var script = Script()
        _ = script.join(new: "a1", instance: "A")
        _ = script.sync("a1", 1, instance: "A", ["a1": [5]])
        let back = joins(script.join(new: "a2", instance: "A", version: 9))
        #expect(back.map(\.generation) == [1] && back[0].memberID == "a2" && back[0].skipAssignment && back[0].leaderID == "a2")
        #expect(syncs(script.sync("a2", 1, instance: "A")).map(\.assignment) == [[5]])
        #expect(script.heartbeat("a1", 1, instance: "A") == .fencedInstanceID)
        #expect(script.heartbeat("a2", 1, instance: "A") == KafkaErrorCode.none)
        // An older client must not think that it leads.
        let old = joins(script.join(new: "a3", instance: "A", version: 5))
        #expect(old[0].leaderID == "a2" && old[0].memberID == "a3" && old[0].members.isEmpty && !old[0].skipAssignment)
    }

    @Test func aStaticMemberIsRemovedByItsInstanceID() {
        var script = Script()
        _ = script.join(new: "a1", instance: "A")
        _ = script.sync("a1", 1, instance: "A")
        #expect(script.leave(.init(memberID: "", instanceID: "B"), .init(memberID: "", instanceID: "A")) == [.unknownMemberID, .none])
        #expect(script.group.state == .empty && script.group.staticMembers.isEmpty)
    }

    @Test func commitsAreAdmittedFromMembersOfThisGenerationOnly() {
        var script = Script()
        #expect(script.group.admitCommit(memberID: "", instanceID: nil, generation: -1, now: 0) == KafkaErrorCode.none)
        script.makePair()
        #expect(script.group.admitCommit(memberID: "a", instanceID: nil, generation: 2, now: 0) == KafkaErrorCode.none)
        #expect(script.group.admitCommit(memberID: "a", instanceID: nil, generation: 1, now: 0) == .illegalGeneration)
        #expect(script.group.admitCommit(memberID: "x", instanceID: nil, generation: 2, now: 0) == .unknownMemberID)
        #expect(script.group.admitCommit(memberID: "", instanceID: nil, generation: -1, now: 0) == .unknownMemberID)
        _ = script.join(new: "c")
        #expect(script.group.admitCommit(memberID: "a", instanceID: nil, generation: 2, now: 0) == KafkaErrorCode.none, "before it rejoins")
    }

    @Test func theFirstRebalanceCanWaitForMoreMembers() {
        var script = Script(group: Group(id: "g", initialRebalanceDelayMs: 3_000))
        #expect(script.join(new: "a").isEmpty && script.join(new: "b").isEmpty)
        #expect(joins(script.advance(to: 2_999)).isEmpty)
        #expect(joins(script.advance(to: 3_000)).count == 2)
        #expect(script.group.generation == 1)
    }

    /// Random members that join, sync, heartbeat, leave and fall silent: the invariants hold (checked in `send`), the generation never
    /// falls, and once all is quiet a group settles or is empty.
    @Test(arguments: 1...60 as ClosedRange<UInt64>) func settlesAfterAnyHistory(seed: UInt64) {
        var random = SeededRandom(seed: seed), script = Script()
        var generation: Int32 = 0, asked: Set<Int> = []
        for step in 0..<400 {
            let name = "m\(Int.random(in: 0..<5, using: &random))"
            let isMember = script.group.members[name] != nil || script.group.pendingMembers[name] != nil
            switch Int.random(in: 0..<10, using: &random) {
            case 0...2:
                _ = script.join(
                    isMember ? name : "", new: isMember ? "" : name, session: 5_000, rebalance: 8_000,
                    metadata: [UInt8.random(in: 0...1, using: &random)], version: Bool.random(using: &random) ? 3 : 5)
                asked.insert(script.token)
            case 3...5:
                _ = script.sync(name, script.group.generation, [name: [UInt8(truncatingIfNeeded: step)]])
                asked.insert(script.token)
            case 6, 7: _ = script.heartbeat(name, script.group.generation)
            case 8: _ = script.leave(.init(memberID: name))
            default: _ = script.advance(to: script.now + Int64.random(in: 0...3_000, using: &random))
            }
            #expect(script.group.generation >= generation, "seed \(seed), step \(step)")
            generation = script.group.generation
        }
        _ = script.advance(to: script.now + 100_000)
        #expect(script.group.state == .empty, "seed \(seed): everybody was silent")
        #expect(asked.isSubset(of: script.answered), "seed \(seed): every request got its answer")
    }
}
