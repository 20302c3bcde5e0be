// What a member of a streams group may have now, on its way to what it should have.
//
// A member:        revoked all of it
//      unrevoked ────────────────────▶ stable ◀───▶ unreleased
//          ▲                             │  the target's epoch rose      (waits for others to give up)
//          └─────────────────────────────┘
//           it has something to give up
//
// A copy that becomes the task itself is not given up: the member keeps it until the task is free, and has what it copied then.
//
// Invariants: (1) one member works on a task: it is active in `assigned` or `revoking` of one; (2) a process has a task once, in whatever way,
// because its members share a disk; (3) a member's epoch rises to the assignment's epoch only when it has given up all that it should.
extension StreamsGroup {
    mutating func reconcile(_ member: inout Member, owned: Tasks?) {
        switch member.state {
        case .stable: if member.epoch != assignmentEpoch { advance(&member, owned, epoch: member.epoch) }
        case .unrevoked: if let owned, owned.isDisjoint(with: member.revoking) { advance(&member, owned, epoch: member.epoch + 1) }
        case .unreleased: advance(&member, owned, epoch: member.epoch)
        }
    }

    private func advance(_ member: inout Member, _ owned: Tasks?, epoch: Int32) {
        let target = target[member.id] ?? Tasks()
        let had = member.assigned
        var kept = Tasks(active: had.active.intersection(target.active))
        var revoked = Tasks(active: had.active.subtracting(target.active))
        for task in had.copies {
            if target.standby.contains(task) {
                kept.standby.insert(task)
            } else if target.warmup.contains(task) {
                kept.warmup.insert(task)
            } else if target.active.contains(task) {
                // Still what it was until it can be worked on.
                if had.standby.contains(task) { kept.standby.insert(task) } else { kept.warmup.insert(task) }
            } else if had.standby.contains(task) {
                revoked.standby.insert(task)
            } else {
                revoked.warmup.insert(task)
            }
        }
        member.assigned = kept
        if !revoked.isEmpty, owned.map({ !$0.isDisjoint(with: revoked) }) ?? true {
            member.revoking = revoked
            member.state = .unrevoked
            member.advance(to: epoch)
            return
        }
        member.revoking = Tasks()
        var isWaiting = false
        let changes = hasTasksOfBefore
        for task in target.active where !kept.active.contains(task) {
            guard isFree(task, for: member, asCopy: false, changes) else {
                isWaiting = true
                continue
            }
            member.assigned.active.insert(task)
            member.assigned.standby.remove(task)
            member.assigned.warmup.remove(task)
        }
        func take(_ wanted: Set<StreamsTask>, into path: WritableKeyPath<Tasks, Set<StreamsTask>>) {
            for task in wanted where !kept[keyPath: path].contains(task) {
                if isFree(task, for: member, asCopy: true, changes) { member.assigned[keyPath: path].insert(task) } else { isWaiting = true }
            }
        }
        take(target.standby, into: \.standby)
        take(target.warmup, into: \.warmup)
        member.state = isWaiting ? .unreleased : .stable
        member.advance(to: assignmentEpoch)  // (3)
    }

    /// Whether nobody else stands in the way of this member's having the task.
    private func isFree(_ task: StreamsTask, for member: Member, asCopy: Bool, _ hasTasksOfBefore: Bool) -> Bool {
        if let owner = owners[task], owner != member.id {
            guard asCopy, members[owner]?.processID != member.processID else { return false }
        }
        for other in copies[task] ?? [] where other != member.id && members[other]?.processID == member.processID { return false }
        return !hasTasksOfBefore || unchanged.contains(task.subtopology)
    }

    /// Whether members with an older topology still work on tasks of subtopologies that changed: their records may be in other tasks now.
    private var hasTasksOfBefore: Bool {
        members.values.contains { other in
            isStale(other) && !held(other).active.allSatisfy { unchanged.contains($0.subtopology) }
        }
    }

    /// Puts the member in, with what it has.
    mutating func own(_ member: Member) {
        if let before = members[member.id] {
            release(before)
            if before.assigned != member.assigned, member.endpoint != nil { endpointEpoch += 1 }
        }
        hold(member)
        members[member.id] = member
    }

    func held(_ member: Member) -> (active: Set<StreamsTask>, copies: Set<StreamsTask>) {
        (member.assigned.active.union(member.revoking.active), member.assigned.copies.union(member.revoking.copies))
    }

    mutating func hold(_ member: Member) {
        let held = held(member)
        for task in held.active { owners[task] = member.id }
        for task in held.copies { copies[task, default: []].insert(member.id) }
    }

    mutating func release(_ member: Member) {
        let held = held(member)
        for task in held.active where owners[task] == member.id { owners[task] = nil }
        for task in held.copies {
            copies[task]?.remove(member.id)
            if copies[task]?.isEmpty == true { copies[task] = nil }
        }
    }

    /// What is where, for members that answer queries about their state; by endpoint.
    var endpoints: [EndpointPartitions] {
        var byEndpoint: [Endpoint: Tasks] = [:]
        for member in members.values {
            guard let endpoint = member.endpoint else { continue }
            byEndpoint[endpoint, default: Tasks()].active.formUnion(member.assigned.active)
            byEndpoint[endpoint, default: Tasks()].standby.formUnion(member.assigned.standby)
        }
        return byEndpoint.sorted { $0.key < $1.key }.map { endpoint, tasks in
            EndpointPartitions(
                endpoint: endpoint, active: layout?.partitionsRead(by: tasks.active) ?? [:],
                standby: layout?.partitionsRead(by: tasks.standby) ?? [:])
        }
    }
}
