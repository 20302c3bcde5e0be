// The classic group protocol (KIP-62, KIP-345 static members, KIP-394 member ids, KIP-814 skipped assignments):
//
//            first join                  all joined, or deadline
//   Empty ───────────────▶ PreparingRebalance ───────────────▶ CompletingRebalance
//     ▲                     ▲   ▲                                │   │ leader syncs
//     │ nobody joined       │   │ join, leave, silence           │   ▼
//     └─────────────────────┘   └────────────────────────────────┴─ Stable
//
// Invariants: (1) the generation rises by one with every completed join phase and never otherwise; (2) in Empty there are no members;
// (3) every token is answered exactly once; (4) each id in `staticMembers` is a member; (5) a leader, if set, is a member
// outside PreparingRebalance.
extension Group {
    /// - `now`: milliseconds; never less than in the call before.
    mutating func receive(_ event: Event, now: Int64) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .join(let join, let token): receiveJoin(join, token, now, &actions)
        case .sync(let sync, let token): receiveSync(sync, token, now, &actions)
        case .heartbeat(let memberID, let instanceID, let generation, let token):
            actions.append(.answerHeartbeat(token, heartbeat(memberID, instanceID, generation, now)))
        case .leave(let leaving, let token):
            let codes = leaving.map { leave($0, now, &actions) }
            actions.append(.answerLeave(token, codes))
        case .timer: expire(now, &actions)
        }
        return actions
    }

    /// When `.timer` should be sent; nil if nothing can run out.
    var nextDeadline: Int64? {
        var next = pendingMembers.values.min() ?? .max
        for member in members.values where !member.isWaiting { next = min(next, member.sessionDeadline) }
        switch state {
        case .preparingRebalance: next = min(next, allJoined ? rebalanceEarliest : rebalanceDeadline)
        case .completingRebalance: next = min(next, syncDeadline)
        case .empty, .stable, .dead: break
        }
        return next == .max ? nil : next
    }

    /// Whether a member may commit offsets now; it counts as a sign of life. A generation below zero with no member id is a consumer that
    /// assigns its partitions itself, which is allowed while the group has no members.
    mutating func admitCommit(memberID: String, instanceID: String?, generation: Int32, now: Int64) -> KafkaErrorCode {
        if state == .dead { return .coordinatorNotAvailable }
        if generation < 0 {
            return state == .empty ? .none : (memberID.isEmpty ? .unknownMemberID : .illegalGeneration)
        }
        if let error = identityError(memberID, instanceID) { return error }
        if generation != self.generation { return .illegalGeneration }
        if state == .completingRebalance { return .rebalanceInProgress }
        touch(memberID, now)
        return .none
    }

    // MARK: Join

    private mutating func receiveJoin(_ join: Join, _ token: Token, _ now: Int64, _ actions: inout [Action]) {
        func refuse(_ error: KafkaErrorCode, memberID: String? = nil) {
            actions.append(.answerJoin(token, JoinAnswer(error: error, memberID: memberID ?? join.memberID)))
        }
        guard state != .dead else { return refuse(.coordinatorNotAvailable) }
        if isFull(for: join) {
            pendingMembers[join.memberID] = nil
            return refuse(.groupMaxSizeReached)
        }
        guard supports(join) else { return refuse(.inconsistentGroupProtocol) }

        if join.memberID.isEmpty {
            if let instanceID = join.instanceID, let oldID = staticMembers[instanceID] {
                return replaceStatic(oldID, by: join, token, now, &actions)
            }
            if join.instanceID == nil, join.requiresKnownMemberID {
                pendingMembers[join.newMemberID] = now + join.sessionTimeoutMs
                return refuse(.memberIDRequired, memberID: join.newMemberID)
            }
            return add(join, id: join.newMemberID, token, now, &actions)
        }
        if pendingMembers.removeValue(forKey: join.memberID) != nil {
            return add(join, id: join.memberID, token, now, &actions)
        }
        if let error = identityError(join.memberID, join.instanceID) { return refuse(error) }
        guard let member = members[join.memberID] else { return refuse(.unknownMemberID) }

        let unchanged = member.protocols == join.protocols
        switch state {
        case .preparingRebalance:
            update(join, token, now, &actions)
            completeJoinIfReady(now, &actions)
        case .completingRebalance where unchanged, .stable where unchanged && member.id != leaderID:
            // It missed the answer, or it only asks again: the generation stands.
            touch(member.id, now)
            actions.append(.answerJoin(token, joinAnswer(for: member.id)))
        case .completingRebalance, .stable:
            update(join, token, now, &actions)
            prepareRebalance(now, &actions)
        case .empty, .dead:
            refuse(.unknownMemberID)
        }
    }

    /// A group without members takes any protocols; one with members needs the same type and one protocol that all of them know.
    private func supports(_ join: Join) -> Bool {
        if members.isEmpty { return !join.protocolType.isEmpty && !join.protocols.isEmpty }
        guard join.protocolType == protocolType else { return false }
        let others = members.values.filter { $0.id != join.memberID && ($0.instanceID == nil || $0.instanceID != join.instanceID) }
        return join.protocols.contains { offered in
            others.allSatisfy { member in member.protocols.contains { $0.name == offered.name } }
        }
    }

    private mutating func add(_ join: Join, id: String, _ token: Token, _ now: Int64, _ actions: inout [Action]) {
        if members.isEmpty { protocolType = join.protocolType }
        memberCount += 1
        members[id] = Member(
            id: id, instanceID: join.instanceID, clientID: join.clientID, clientHost: join.clientHost,
            sessionTimeoutMs: join.sessionTimeoutMs, rebalanceTimeoutMs: join.rebalanceTimeoutMs, protocols: join.protocols,
            joinToken: token, sessionDeadline: now + join.sessionTimeoutMs, order: memberCount)
        if let instanceID = join.instanceID { staticMembers[instanceID] = id }
        if state == .preparingRebalance {
            rebalanceDeadline = max(rebalanceDeadline, now + join.rebalanceTimeoutMs)
            completeJoinIfReady(now, &actions)
        } else {
            prepareRebalance(now, &actions)
        }
    }

    private mutating func update(_ join: Join, _ token: Token, _ now: Int64, _ actions: inout [Action]) {
        guard var member = members[join.memberID] else { return }
        // A client that asks twice has given up its first request.
        if let earlier = member.joinToken {
            actions.append(.answerJoin(earlier, JoinAnswer(error: .rebalanceInProgress, memberID: member.id)))
        }
        if let earlier = member.syncToken { actions.append(.answerSync(earlier, SyncAnswer(error: .rebalanceInProgress))) }
        member.joinToken = token
        member.syncToken = nil
        member.protocols = join.protocols
        member.clientID = join.clientID
        member.clientHost = join.clientHost
        member.sessionTimeoutMs = join.sessionTimeoutMs
        member.rebalanceTimeoutMs = join.rebalanceTimeoutMs
        member.sessionDeadline = now + join.sessionTimeoutMs
        members[join.memberID] = member
    }

    /// A static member came back without its member id: it gets a new one, the old one is fenced, and if its subscription is what it was,
    /// the assignment stands (KIP-345).
    private mutating func replaceStatic(_ oldID: String, by join: Join, _ token: Token, _ now: Int64, _ actions: inout [Action]) {
        guard var member = members.removeValue(forKey: oldID) else { return }
        if let fenced = member.joinToken {
            actions.append(.answerJoin(fenced, JoinAnswer(error: .fencedInstanceID, memberID: oldID)))
        }
        if let fenced = member.syncToken { actions.append(.answerSync(fenced, SyncAnswer(error: .fencedInstanceID))) }
        let wasLeader = leaderID == oldID
        let metadataBefore = member.protocols.first { $0.name == protocolName }?.metadata
        let newID = join.newMemberID
        member.id = newID
        member.joinToken = nil
        member.syncToken = nil
        members[newID] = member
        staticMembers[join.instanceID ?? ""] = newID
        if wasLeader { leaderID = newID }
        var renamed = join
        renamed.memberID = newID
        update(renamed, token, now, &actions)

        switch state {
        case .stable
        where selectProtocol() == protocolName && join.protocols.first { $0.name == protocolName }?.metadata == metadataBefore:
            members[newID]?.joinToken = nil
            var answer = joinAnswer(for: newID)
            if wasLeader {
                answer.skipAssignment = join.supportsSkippingAssignment
                // An older client that thought itself leader would assign anew; told the old id, it takes what it had.
                if !join.supportsSkippingAssignment {
                    answer.leaderID = oldID
                    answer.members = []
                }
            }
            actions.append(.answerJoin(token, answer))
        case .preparingRebalance: completeJoinIfReady(now, &actions)
        default: prepareRebalance(now, &actions)
        }
    }

    // MARK: Rebalance

    /// All members have to join again.
    mutating func rebalance(now: Int64) -> [Action] {
        var actions: [Action] = []
        prepareRebalance(now, &actions)
        return actions
    }

    /// Whoever waits for an answer is told to join again: the group goes on as another one.
    mutating func dismiss() -> [Action] {
        var actions: [Action] = []
        for member in membersInOrder {
            if let token = member.joinToken { actions.append(.answerJoin(token, JoinAnswer(error: .rebalanceInProgress, memberID: member.id))) }
            if let token = member.syncToken { actions.append(.answerSync(token, SyncAnswer(error: .rebalanceInProgress))) }
            members[member.id]?.joinToken = nil
            members[member.id]?.syncToken = nil
        }
        return actions
    }

    private mutating func prepareRebalance(_ now: Int64, _ actions: inout [Action]) {
        for id in members.keys {
            if let token = members[id]?.syncToken {
                members[id]?.syncToken = nil
                touch(id, now)
                actions.append(.answerSync(token, SyncAnswer(error: .rebalanceInProgress)))
            }
            // What a stable member has it keeps until the next assignment.
            if state == .completingRebalance { members[id]?.assignment = [] }
        }
        rebalanceEarliest = state == .empty ? now + initialRebalanceDelayMs : now
        state = .preparingRebalance
        rebalanceDeadline = now + rebalanceTimeoutMs
        completeJoinIfReady(now, &actions)
    }

    private var rebalanceTimeoutMs: Int64 { members.values.map(\.rebalanceTimeoutMs).max() ?? 0 }

    private var allJoined: Bool { pendingMembers.isEmpty && members.values.allSatisfy { $0.joinToken != nil } }

    private mutating func completeJoinIfReady(_ now: Int64, _ actions: inout [Action]) {
        guard state == .preparingRebalance, allJoined, now >= rebalanceEarliest else { return }
        completeJoin(now, &actions)
    }

    private mutating func completeJoin(_ now: Int64, _ actions: inout [Action]) {
        for member in members.values where member.joinToken == nil && member.instanceID == nil { remove(member.id, &actions) }
        if !members.isEmpty, members.values.allSatisfy({ $0.joinToken == nil }) {
            // Static members only, all of them away: their sessions decide.
            rebalanceDeadline = now + rebalanceTimeoutMs
            return
        }
        generation += 1  // (1)
        rebalanceDeadline = .max
        guard !members.isEmpty else {
            state = .empty
            protocolName = nil
            leaderID = nil
            return
        }
        protocolName = selectProtocol()
        if leaderID.flatMap({ members[$0]?.joinToken }) == nil {
            leaderID = membersInOrder.first { $0.joinToken != nil }?.id
        }
        state = .completingRebalance
        syncDeadline = now + rebalanceTimeoutMs
        for member in membersInOrder {
            guard let token = member.joinToken else { continue }
            actions.append(.answerJoin(token, joinAnswer(for: member.id)))
            members[member.id]?.joinToken = nil
            touch(member.id, now)
        }
    }

    var membersInOrder: [Member] { members.values.sorted { $0.order < $1.order } }

    /// The protocol that most members like best among those that all of them know; of equals, the one the oldest member named first.
    private func selectProtocol() -> String? {
        let inOrder = membersInOrder
        guard let first = inOrder.first else { return nil }
        let candidates = first.protocols.map(\.name).filter { name in
            inOrder.allSatisfy { $0.protocols.contains { $0.name == name } }
        }
        var votes: [String: Int] = [:]
        for member in inOrder {
            if let choice = member.protocols.first(where: { candidates.contains($0.name) }) { votes[choice.name, default: 0] += 1 }
        }
        let most = votes.values.max() ?? 0
        return candidates.first { votes[$0] == most }
    }

    private func joinAnswer(for memberID: String) -> JoinAnswer {
        var answer = JoinAnswer(
            generation: generation, protocolType: protocolType, protocolName: protocolName, leaderID: leaderID ?? "",
            memberID: memberID)
        if memberID == leaderID {
            answer.members = membersInOrder.map { member in
                JoinAnswer.JoinedMember(
                    id: member.id, instanceID: member.instanceID,
                    metadata: member.protocols.first { $0.name == protocolName }?.metadata ?? [])
            }
        }
        return answer
    }

    // MARK: Sync

    private mutating func receiveSync(_ sync: Sync, _ token: Token, _ now: Int64, _ actions: inout [Action]) {
        func refuse(_ error: KafkaErrorCode) { actions.append(.answerSync(token, SyncAnswer(error: error))) }
        guard state != .dead else { return refuse(.coordinatorNotAvailable) }
        if let error = identityError(sync.memberID, sync.instanceID) { return refuse(error) }
        guard sync.generation == generation else { return refuse(.illegalGeneration) }
        guard sync.protocolType == nil || sync.protocolType == protocolType,
            sync.protocolName == nil || sync.protocolName == protocolName
        else { return refuse(.inconsistentGroupProtocol) }

        switch state {
        case .preparingRebalance: refuse(.rebalanceInProgress)
        case .empty, .dead: refuse(.unknownMemberID)
        case .stable:
            touch(sync.memberID, now)
            actions.append(.answerSync(token, syncAnswer(for: sync.memberID)))
        case .completingRebalance:
            if let earlier = members[sync.memberID]?.syncToken {
                actions.append(.answerSync(earlier, SyncAnswer(error: .rebalanceInProgress)))
            }
            members[sync.memberID]?.syncToken = token
            guard sync.memberID == leaderID else { return }
            for id in members.keys { members[id]?.assignment = sync.assignments[id] ?? [] }
            state = .stable
            syncDeadline = .max
            for member in membersInOrder {
                guard let waiting = member.syncToken else { continue }
                members[member.id]?.syncToken = nil
                touch(member.id, now)
                actions.append(.answerSync(waiting, syncAnswer(for: member.id)))
            }
        }
    }

    private func syncAnswer(for memberID: String) -> SyncAnswer {
        SyncAnswer(protocolType: protocolType, protocolName: protocolName, assignment: members[memberID]?.assignment ?? [])
    }

    // MARK: Heartbeat, leave, silence

    private mutating func heartbeat(_ memberID: String, _ instanceID: String?, _ generation: Int32, _ now: Int64) -> KafkaErrorCode {
        if state == .dead { return .coordinatorNotAvailable }
        if let error = identityError(memberID, instanceID) { return error }
        if generation != self.generation { return .illegalGeneration }
        touch(memberID, now)
        return state == .preparingRebalance ? .rebalanceInProgress : .none
    }

    private mutating func leave(_ leaving: Leaving, _ now: Int64, _ actions: inout [Action]) -> KafkaErrorCode {
        var memberID = leaving.memberID
        if pendingMembers.removeValue(forKey: memberID) != nil {
            completeJoinIfReady(now, &actions)
            return .none
        }
        if memberID.isEmpty, let instanceID = leaving.instanceID {
            guard let known = staticMembers[instanceID] else { return .unknownMemberID }
            memberID = known
        } else if let error = identityError(memberID, leaving.instanceID) {
            return error
        }
        remove(memberID, &actions)
        rebalanceAfterLoss(now, &actions)
        return .none
    }

    private mutating func expire(_ now: Int64, _ actions: inout [Action]) {
        for (id, deadline) in pendingMembers where deadline <= now { pendingMembers[id] = nil }
        let silent = membersInOrder.filter { !$0.isWaiting && $0.sessionDeadline <= now }
        for member in silent { remove(member.id, &actions) }
        if !silent.isEmpty { rebalanceAfterLoss(now, &actions) }
        if state == .preparingRebalance {
            if now >= rebalanceDeadline { completeJoin(now, &actions) } else { completeJoinIfReady(now, &actions) }
        }
        if state == .completingRebalance, now >= syncDeadline {
            for member in membersInOrder where member.syncToken == nil { remove(member.id, &actions) }
            prepareRebalance(now, &actions)
        }
    }

    private mutating func rebalanceAfterLoss(_ now: Int64, _ actions: inout [Action]) {
        switch state {
        case .stable, .completingRebalance: prepareRebalance(now, &actions)
        case .preparingRebalance: completeJoinIfReady(now, &actions)
        case .empty, .dead: break
        }
    }

    private mutating func remove(_ memberID: String, _ actions: inout [Action]) {
        guard let member = members.removeValue(forKey: memberID) else { return }
        if let token = member.joinToken {
            actions.append(.answerJoin(token, JoinAnswer(error: .unknownMemberID, memberID: memberID)))
        }
        if let token = member.syncToken { actions.append(.answerSync(token, SyncAnswer(error: .unknownMemberID))) }
        if let instanceID = member.instanceID, staticMembers[instanceID] == memberID { staticMembers[instanceID] = nil }
        if leaderID == memberID { leaderID = nil }
    }

    // MARK: Identity

    /// Nil if the member is who it says.
    private func identityError(_ memberID: String, _ instanceID: String?) -> KafkaErrorCode? {
        if let instanceID {
            guard let current = staticMembers[instanceID] else { return .unknownMemberID }
            return current == memberID ? nil : .fencedInstanceID
        }
        return members[memberID] == nil ? .unknownMemberID : nil
    }

    private mutating func touch(_ memberID: String, _ now: Int64) {
        guard let timeout = members[memberID]?.sessionTimeoutMs else { return }
        members[memberID]?.sessionDeadline = now + timeout
    }
}
