// The protocol of KIP-848, for one group. Every heartbeat goes the same way:
//
//   who is it? ─▶ what does it want? ─▶ what should each have? ─▶ what may this one have now?
//   (epochs,       (a change raises      (the assignor, when       (first it gives up, then it gets what
//    identity)      the group's epoch)    the epoch rose)           nobody else has)
//
// A member:        revoked all of it
//      unrevoked ────────────────────▶ stable ◀───▶ unreleased
//          ▲                             │  the target's epoch rose      (waits for others to give up)
//          └─────────────────────────────┘
//           it has something to give up
//
// Invariants: (1) a partition has one owner: it is in `assigned` or `revoking` of one member; (2) a member's epoch rises to the assignment's
// epoch only when it has given up all that it should; (3) `target` has an entry for each member once `assignmentEpoch == epoch`.
extension ConsumerGroup {
    /// - `mayDescribe`: which topics a pattern may match for this member.
    /// - `now`: milliseconds; never less than in the call before.
    mutating func receive(_ heartbeat: Heartbeat, catalog: Catalog, now: Int64, mayDescribe: (String) -> Bool = { _ in true }) -> Answer {
        if heartbeat.epoch < 0 { return leave(heartbeat, now) }
        var member: Member
        let isNew: Bool
        switch identify(heartbeat) {
        case .refused(let code, let message): return Answer(error: code, message: message)
        case .known(let found): (member, isNew) = (found, false)
        case .new(let made): (member, isNew) = (made, true)
        case .replaces(let oldID, let made):
            forget(oldID, keepingTargetFor: made.id)
            (member, isNew) = (made, false)
        }
        if !isNew, member.classic != nil, heartbeat.classic == nil { member.revocationDeadline = .max }
        member.classic = heartbeat.classic
        let wanted = member.topics
        update(&member, heartbeat, catalog, mayDescribe)
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        let wantsOther = isNew || member.topics != wanted
        if wantsOther || catalogVersion != catalog.version { look(at: catalog, raisingEpoch: wantsOther) }
        if epoch > assignmentEpoch { assign() }

        let before = member.assigned
        reconcile(&member, owned: heartbeat.owned)
        member.sessionDeadline = now + (member.classic?.sessionTimeoutMs ?? sessionTimeoutMs)
        if member.state != .unrevoked {
            member.revocationDeadline = .max
        } else if member.revocationDeadline == .max {
            member.revocationDeadline = now + member.rebalanceTimeoutMs
        }
        own(member)
        let isTold = heartbeat.isFull || member.assigned != before
        return Answer(memberID: member.id, epoch: member.epoch, assignment: isTold ? member.assigned : nil)
    }

    // MARK: Who is it?

    private enum Identity {
        case known(Member)
        case new(Member)
        case replaces(String, Member)
        case refused(KafkaErrorCode, String)
    }

    private mutating func identify(_ heartbeat: Heartbeat) -> Identity {
        let holder = heartbeat.instanceID.flatMap { staticMembers[$0] }
        if heartbeat.epoch == 0 {
            if var known = members[heartbeat.memberID], heartbeat.instanceID == known.instanceID {
                known.isAway = false
                return .known(known)
            }
            if let holder, var away = members[holder] {
                // A classic static member does not say that it goes; who takes its place in the new protocol need not wait for its session to end.
                guard away.isAway || (away.classic != nil && heartbeat.classic == nil) else { return .refused(.unreleasedInstanceID, "static member \(heartbeat.instanceID ?? "") is still there") }
                away.id = heartbeat.memberID
                away.isAway = false
                away.previousEpoch = 0
                return .replaces(holder, away)
            }
            guard members[heartbeat.memberID] == nil else { return .refused(.fencedInstanceID, "this member has another instance id") }
            guard members.count < membersMax else { return .refused(.groupMaxSizeReached, "the group has \(members.count) members") }
            memberCount += 1
            return .new(Member(id: heartbeat.memberID, instanceID: heartbeat.instanceID, order: memberCount))
        }
        if heartbeat.instanceID != nil {
            guard let holder else { return .refused(.unknownMemberID, "no member has this instance id") }
            guard holder == heartbeat.memberID else { return .refused(.fencedInstanceID, "another member has this instance id") }
        }
        do throws(KafkaError) {
            return .known(
                try known(heartbeat.memberID, atEpoch: heartbeat.epoch) { member in heartbeat.owned.map { $0.isSubset(of: member.assigned) } ?? false })
        } catch {
            return .refused(error.code, error.message)
        }
    }

    private mutating func leave(_ heartbeat: Heartbeat, _ now: Int64) -> Answer {
        if let instanceID = heartbeat.instanceID {
            guard let holder = staticMembers[instanceID] else { return Answer(error: .unknownMemberID, message: "no member has this instance id") }
            guard holder == heartbeat.memberID else { return Answer(error: .fencedInstanceID, message: "another member has this instance id") }
        }
        guard var member = members[heartbeat.memberID] else { return Answer(error: .unknownMemberID, message: "the group has no such member") }
        if heartbeat.epoch == -2, member.instanceID != nil {
            member.isAway = true
            member.epoch = -2
            member.revoking = []
            member.state = .stable
            member.revocationDeadline = .max
            member.sessionDeadline = now + sessionTimeoutMs
            own(member)
        } else {
            remove(member.id)
        }
        return Answer(memberID: heartbeat.memberID, epoch: heartbeat.epoch)
    }

    mutating func remove(_ memberID: String) {
        forget(memberID, keepingTargetFor: nil)
        epoch += 1
    }

    /// Takes a member out; what it had is free, unless a successor takes it over.
    private mutating func forget(_ id: String, keepingTargetFor successor: String?) {
        guard let member = members.removeValue(forKey: id) else { return }
        let target = target.removeValue(forKey: id)
        if let successor { self.target[successor] = target }
        for partition in member.assigned.union(member.revoking) where owners[partition] == id { owners[partition] = successor }
        if let instanceID = member.instanceID, staticMembers[instanceID] == id { staticMembers[instanceID] = nil }
    }

    // MARK: What does it want?

    private func update(_ member: inout Member, _ heartbeat: Heartbeat, _ catalog: Catalog, _ mayDescribe: (String) -> Bool) {
        member.clientID = heartbeat.clientID
        member.clientHost = heartbeat.clientHost
        if let rackID = heartbeat.rackID { member.rackID = rackID }
        if let timeout = heartbeat.rebalanceTimeoutMs { member.rebalanceTimeoutMs = timeout }
        if let assignor = heartbeat.assignor { member.assignor = assignor }
        if let names = heartbeat.names { member.names = Set(names).sorted() }
        var hasOtherPattern = false
        switch heartbeat.pattern {
        case nil: break
        case .some(.none):
            member.pattern = nil
            member.matched = []
        case .some(.some(let pattern)):
            hasOtherPattern = pattern.text != member.pattern?.text
            member.pattern = pattern
        }
        if let pattern = member.pattern, hasOtherPattern || member.matchedVersion != catalog.version {
            member.matched = catalog.topics.keys.filter { pattern.matches($0) && mayDescribe($0) }.sorted()
            member.matchedVersion = catalog.version
        }
    }

    // MARK: What should each have?

    private mutating func assign() {
        var votes: [ServerAssignor: Int] = [:]
        for member in members.values {
            if let choice = member.assignor.flatMap(ServerAssignor.init(rawValue:)) { votes[choice, default: 0] += 1 }
        }
        let most = votes.values.max() ?? 0
        assignor = ServerAssignor.allCases.first { most > 0 && votes[$0] == most } ?? .uniform
        target = assignor.assign(
            membersInOrder.map { member in
                ServerAssignor.Subscriber(
                    id: member.id, sortKey: member.instanceID ?? member.id,
                    topics: member.topics.sorted().compactMap { topics[$0] }, current: target[member.id] ?? member.assigned)
            })
        assignmentEpoch = epoch
    }

    // MARK: What may it have now?

    private mutating func reconcile(_ member: inout Member, owned: Set<Partition>?) {
        switch member.state {
        case .stable: if member.epoch != assignmentEpoch { advance(&member, owned, epoch: member.epoch) }
        case .unrevoked: if let owned, owned.isDisjoint(with: member.revoking) { advance(&member, owned, epoch: member.epoch + 1) }
        case .unreleased: advance(&member, owned, epoch: member.epoch)
        }
    }

    private func advance(_ member: inout Member, _ owned: Set<Partition>?, epoch: Int32) {
        let target = target[member.id] ?? []
        let kept = member.assigned.intersection(target), revoked = member.assigned.subtracting(target)
        let missing = target.subtracting(kept)
        let free = missing.filter { owners[$0] == nil || owners[$0] == member.id }
        member.assigned = kept
        if !revoked.isEmpty, owned.map({ !$0.isDisjoint(with: revoked) }) ?? true {
            member.revoking = revoked
            member.state = .unrevoked
            member.advance(to: epoch)
            return
        }
        member.revoking = []
        member.assigned.formUnion(free)
        member.state = free.count < missing.count ? .unreleased : .stable
        member.advance(to: assignmentEpoch)  // (2)
    }

    /// Puts the member in, with what it has (1).
    private mutating func own(_ member: Member) {
        if let before = members[member.id] {
            for partition in before.assigned.union(before.revoking) where owners[partition] == member.id { owners[partition] = nil }
        }
        for partition in member.assigned.union(member.revoking) { owners[partition] = member.id }
        members[member.id] = member
    }

    // MARK: Offsets

    /// Whether a member may commit offsets. Without members anybody may who is none.
    func admitCommit(memberID: String, epoch: Int32, knowsEpochs: Bool) -> KafkaErrorCode {
        if epoch < 0, members.isEmpty { return .none }
        guard let member = members[memberID] else { return .unknownMemberID }
        if member.classic != nil { return epoch == member.epoch ? .none : .illegalGeneration }
        guard knowsEpochs else { return .unsupportedVersion }
        return epoch == member.epoch ? .none : .staleMemberEpoch
    }
}
