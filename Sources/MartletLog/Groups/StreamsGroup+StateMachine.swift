// The protocol of KIP-1071, for one group. Every heartbeat goes the same way:
//
//   who is it? ─▶ what does it run? ─▶ which tasks are there? ─▶ what should each have? ─▶ what may this one have now?
//   (epochs,      (the topology, its    (sources counted,         (the assignor, when       (Reconciliation)
//    identity)     epoch)                internal topics made)     the epoch rose)
//
// Topologies. The first who joins says what the application looks like. Who comes with the next epoch changes it; members that run the one before
// go on with the tasks of subtopologies that stayed as they are, and get no others. The same epoch with another topology is refused, unless the
// group is empty: nobody can tell then that it was ever different, as after a restart of the broker.
extension StreamsGroup {
    /// - `now`: milliseconds; never less than in the call before.
    mutating func receive(_ heartbeat: Heartbeat, catalog: Catalog, now: Int64) -> Answer {
        if heartbeat.epoch < 0 { return leave(heartbeat, now) }
        if let topology = heartbeat.topology, let refusal = refusal(of: topology) { return refusal }
        var member: Member
        var isChanged = false
        switch identify(heartbeat) {
        case .refused(let code, let message): return Answer(error: code, message: message)
        case .known(let found): member = found
        case .new(let made):
            (member, isChanged) = (made, true)
            if members.isEmpty { start(now) }
        case .replaces(let oldID, let made):
            forget(oldID, successor: made.id)
            member = made
        }
        if heartbeat.epoch == 0 {
            // Who joins has nothing, whatever it had before; it may have it again.
            release(member)
            (member.assigned, member.revoking, member.state) = (Tasks(), Tasks(), .unreleased)
        }
        if let topology = heartbeat.topology { adopt(topology) }
        if update(&member, heartbeat) { isChanged = true }
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        if heartbeat.requestsShutdown, shutdownRequestedBy == nil { shutdownRequestedBy = member.id }
        look(at: catalog)
        if isChanged || isPromotionDue(by: member) { epoch += 1 }
        if epoch > assignmentEpoch, now >= assignableAt { assign() }

        let before = member.assigned
        reconcile(&member, owned: heartbeat.owned)
        member.sessionDeadline = now + settings.sessionTimeoutMs
        if member.state != .unrevoked {
            member.revocationDeadline = .max
        } else if member.revocationDeadline == .max {
            member.revocationDeadline = now + member.rebalanceTimeoutMs
        }
        own(member)
        var answer = Answer(memberID: member.id, epoch: member.epoch, statuses: statuses(for: member, now))
        if heartbeat.isFull || member.assigned != before { answer.tasks = member.assigned }
        answer.endpointEpoch = endpointEpoch
        if heartbeat.endpointEpoch != endpointEpoch { answer.endpoints = endpoints }
        answer.missing = layout?.missing ?? []
        return answer
    }

    /// Members whose time is up go; what waited for its time is assigned.
    mutating func expire(now: Int64) {
        for member in membersInOrder where member.sessionDeadline <= now || member.revocationDeadline <= now {
            forget(member.id, successor: nil)
            epoch += 1
        }
        if !members.isEmpty, epoch > assignmentEpoch, now >= assignableAt { assign() }
    }

    /// When `expire` should be called; nil if nothing can run out.
    var nextDeadline: Int64? {
        guard let first = members.values.map({ min($0.sessionDeadline, $0.revocationDeadline) }).min() else { return nil }
        return epoch > assignmentEpoch && assignableAt > .min ? min(first, assignableAt) : first
    }

    /// Settings of the group may change at any time; other numbers of copies are another assignment.
    mutating func apply(_ new: Settings) {
        if !members.isEmpty, new.standbyReplicas != settings.standbyReplicas || new.warmupReplicas != settings.warmupReplicas { epoch += 1 }
        settings = new
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
            if let known = members[heartbeat.memberID], heartbeat.instanceID == known.instanceID { return .known(known) }
            if let holder, var away = members[holder] {
                guard away.isAway else { return .refused(.unreleasedInstanceID, "static member \(heartbeat.instanceID ?? "") is still there") }
                away.id = heartbeat.memberID
                away.isAway = false
                away.previousEpoch = 0
                return .replaces(holder, away)
            }
            guard members[heartbeat.memberID] == nil else { return .refused(.fencedInstanceID, "this member has another instance id") }
            guard members.count < settings.membersMax else { return .refused(.groupMaxSizeReached, "the group has \(members.count) members") }
            memberCount += 1
            return .new(
                Member(
                    id: heartbeat.memberID, instanceID: heartbeat.instanceID, processID: heartbeat.processID ?? heartbeat.memberID,
                    order: memberCount))
        }
        if heartbeat.instanceID != nil {
            guard let holder else { return .refused(.unknownMemberID, "no member has this instance id") }
            guard holder == heartbeat.memberID else { return .refused(.fencedInstanceID, "another member has this instance id") }
        }
        guard let known = members[heartbeat.memberID] else { return .refused(.unknownMemberID, "the group has no such member") }
        if heartbeat.epoch == known.epoch { return .known(known) }
        // The answer that raised the epoch may have been lost.
        guard heartbeat.epoch < known.epoch, heartbeat.epoch == known.previousEpoch, let owned = heartbeat.owned, owned.isSubset(of: known.assigned)
        else { return .refused(.fencedMemberEpoch, "the member's epoch is \(known.epoch), not \(heartbeat.epoch)") }
        return .known(known)
    }

    private mutating func leave(_ heartbeat: Heartbeat, _ now: Int64) -> Answer {
        if let instanceID = heartbeat.instanceID {
            guard let holder = staticMembers[instanceID] else { return Answer(error: .unknownMemberID, message: "no member has this instance id") }
            guard holder == heartbeat.memberID else { return Answer(error: .fencedInstanceID, message: "another member has this instance id") }
        }
        guard var member = members[heartbeat.memberID] else { return Answer(error: .unknownMemberID, message: "the group has no such member") }
        if heartbeat.requestsShutdown, shutdownRequestedBy == nil { shutdownRequestedBy = member.id }
        if heartbeat.epoch == -2, member.instanceID != nil {
            member.isAway = true
            member.epoch = -2
            member.revoking = Tasks()
            member.state = .stable
            member.revocationDeadline = .max
            member.sessionDeadline = now + settings.sessionTimeoutMs
            own(member)
        } else {
            forget(member.id, successor: nil)
            epoch += 1
        }
        return Answer(memberID: heartbeat.memberID, epoch: heartbeat.epoch)
    }

    /// Takes a member out; what it had is free. What it should have is for its successor, if there is one.
    mutating func forget(_ id: String, successor: String?) {
        guard let member = members.removeValue(forKey: id) else { return }
        release(member)
        let due = target.removeValue(forKey: id), wanted = goal.removeValue(forKey: id)
        if let successor {
            target[successor] = due
            goal[successor] = wanted
        }
        if let instanceID = member.instanceID, staticMembers[instanceID] == id { staticMembers[instanceID] = nil }
        if member.endpoint != nil { endpointEpoch += 1 }
        if members.isEmpty, successor == nil { shutdownRequestedBy = nil }
    }

    /// The first member is there. Its first assignment may be an empty one, so that it has an epoch while it waits for others.
    private mutating func start(_ now: Int64) {
        (goal, target) = ([:], [:])
        assignableAt = .min
        guard settings.initialRebalanceDelayMs > 0 else { return }
        assignableAt = now + settings.initialRebalanceDelayMs
        epoch += 1
        assignmentEpoch = epoch
    }

    // MARK: What does it run?

    private func refusal(of other: StreamsTopology) -> Answer? {
        guard let topology, !members.isEmpty else { return nil }
        if other.epoch < topology.epoch {
            return Answer(error: .streamsTopologyFenced, message: "the group's topology has epoch \(topology.epoch), the member's \(other.epoch)")
        }
        if other.epoch == topology.epoch {
            return topology.means(the: other)
                ? nil : Answer(error: .streamsInvalidTopologyEpoch, message: "the group's topology of epoch \(topology.epoch) is another one")
        }
        return other.epoch == topology.epoch + 1
            ? nil
            : Answer(error: .streamsInvalidTopologyEpoch, message: "the epoch after \(topology.epoch) of the group's topology is \(topology.epoch + 1), not \(other.epoch)")
    }

    private mutating func adopt(_ other: StreamsTopology) {
        guard other != topology else { return }
        let old = Dictionary((topology?.subtopologies ?? []).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let same = Set(other.subtopologies.filter { old[$0.id] == $0 }.map(\.id))
        // Members of before the last change may still be there.
        unchanged = members.values.contains(where: isStale) ? unchanged.intersection(same) : same
        topology = other
        catalogVersion = -1
        creationErrors = [:]
    }

    /// - Returns: whether something changed that tasks are assigned by.
    private mutating func update(_ member: inout Member, _ heartbeat: Heartbeat) -> Bool {
        let before = (member.rackID, member.processID, member.topologyEpoch, member.clientTags)
        member.clientID = heartbeat.clientID
        member.clientHost = heartbeat.clientHost
        if let rackID = heartbeat.rackID { member.rackID = rackID }
        if let timeout = heartbeat.rebalanceTimeoutMs { member.rebalanceTimeoutMs = timeout }
        if let processID = heartbeat.processID { member.processID = processID }
        if let tags = heartbeat.clientTags { member.clientTags = tags }
        if let endpoint = heartbeat.endpoint, endpoint != member.endpoint {
            member.endpoint = endpoint
            endpointEpoch += 1
        }
        if let epoch = heartbeat.topology?.epoch { member.topologyEpoch = epoch }
        if let offsets = heartbeat.offsets { member.offsets = offsets }
        if let endOffsets = heartbeat.endOffsets { member.endOffsets = endOffsets }
        return before != (member.rackID, member.processID, member.topologyEpoch, member.clientTags)
    }

    // MARK: Which tasks are there?

    /// Lays the topology over the topics as they are; a change raises the epoch.
    private mutating func look(at catalog: Catalog) {
        guard catalogVersion != catalog.version, let topology else { return }
        catalogVersion = catalog.version
        let new = StreamsLayout(topology, catalog)
        for topic in creationErrors.keys where !new.missing.contains(where: { $0.name == topic }) { creationErrors[topic] = nil }
        guard new != layout else { return }
        layout = new
        epoch += 1
        endpointEpoch += 1
    }

    private func statuses(for member: Member, _ now: Int64) -> [Status] {
        var statuses: [Status] = []
        if isStale(member), let topology {
            statuses.append(.init(.staleTopology, "The member runs the topology of epoch \(member.topologyEpoch), the group that of epoch \(topology.epoch)."))
        }
        if var status = layout?.status {
            for (topic, error) in creationErrors.sorted(by: { $0.key < $1.key }) { status.detail += " Topic \(topic) could not be made: \(error)." }
            statuses.append(status)
        }
        if epoch > assignmentEpoch { statuses.append(.init(.assignmentDelayed, "The first assignment waits for more members.")) }
        if let shutdownRequestedBy {
            statuses.append(.init(.shutdownApplication, "Member \(shutdownRequestedBy) asked for the application to shut down."))
        }
        return statuses
    }

    // MARK: What should each have?

    private mutating func assign() {
        assignmentEpoch = epoch
        assignableAt = .min
        guard let layout, layout.isReady else {
            target = [:]
            return
        }
        var tasks = layout.allTasks
        goal = goal.filter { members[$0.key] != nil }
        // Who runs an older topology keeps of its tasks those that did not change, until it is upgraded.
        var kept: [String: Tasks] = [:]
        for member in members.values where isStale(member) {
            func keep(_ had: Set<StreamsTask>) -> Set<StreamsTask> {
                had.filter { unchanged.contains($0.subtopology) && $0.partition < layout.tasks[$0.subtopology] ?? 0 }
            }
            kept[member.id] = Tasks(active: keep(member.assigned.active), standby: keep(member.assigned.standby))
        }
        var current = membersInOrder.filter { kept[$0.id] == nil }
        if current.isEmpty {
            // Nobody can have the others.
            tasks.removeAll { !unchanged.contains($0.task.subtopology) }
            (current, kept) = (membersInOrder, [:])
        } else {
            let taken = kept.values.reduce(into: Set<StreamsTask>()) { $0.formUnion($1.active) }
            tasks.removeAll { taken.contains($0.task) }
        }
        let candidates = current.map { member in
            StreamsAssignor.Candidate(
                id: member.id, processID: member.processID, active: goal[member.id]?.active ?? member.assigned.active,
                copies: (goal[member.id]?.standby ?? []).union(member.assigned.copies), offsets: member.offsets ?? [:])
        }
        goal = StreamsAssignor.assign(tasks, to: candidates, standbyReplicas: settings.standbyReplicas)
        goal.merge(kept) { $1 }
        target = warmingUp(goal)
    }

    // MARK: Offsets and topics

    /// Whether a member may commit offsets. Without members anybody may who is none.
    func admitCommit(memberID: String, epoch: Int32, knowsEpochs: Bool) -> KafkaErrorCode {
        if epoch < 0, members.isEmpty { return .none }
        guard let member = members[memberID] else { return .unknownMemberID }
        guard knowsEpochs else { return .unsupportedVersion }
        return epoch == member.epoch ? .none : .staleMemberEpoch
    }

    func admitFetch(memberID: String, epoch: Int32) -> KafkaErrorCode {
        guard let member = members[memberID] else { return .unknownMemberID }
        return epoch == member.epoch ? .none : .staleMemberEpoch
    }

    func isSubscribed(to topic: String) -> Bool { !members.isEmpty && layout?.partitions[topic] != nil }
}
