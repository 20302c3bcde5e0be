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
    /// - Throws: UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED,
    ///   STREAMS_INVALID_TOPOLOGY_EPOCH, STREAMS_TOPOLOGY_FENCED; then nothing has changed.
    mutating func receive(_ heartbeat: Heartbeat, catalog: GroupCatalog, now: Int64) throws(KafkaError) -> Answer {
        if heartbeat.epoch < 0 { return try leave(heartbeat, now) }
        if let topology = heartbeat.topology { try checkEpoch(of: topology) }
        var member = try identify(heartbeat)
        var isChanged = members[member.id] == nil
        if let instanceID = member.instanceID, let before = staticMembers[instanceID], before != member.id {
            forget(before, successor: member.id)
            isChanged = false
        } else if members.isEmpty {
            start(now)
        }
        if heartbeat.epoch == 0 {
            // Who joins has nothing, whatever it had before; it may have it again.
            release(member)
            (member.assigned, member.revoking, member.state) = (Tasks(), Tasks(), .unreleased)
            member.isAway = false
        }
        if let topology = heartbeat.topology { adopt(topology) }
        if update(&member, heartbeat) { isChanged = true }
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        if heartbeat.requestsShutdown, shutdownRequestedBy == nil { shutdownRequestedBy = member.id }
        if looksNew(at: catalog) { isChanged = true }
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
        if answer.statuses.map(\.code) == [.assignmentDelayed] { answer.delayMs = assignableAt - now }
        return answer
    }

    /// Members whose time is up go; what waited for its time is assigned.
    mutating func expire(now: Int64) {
        for member in membersInOrder where member.deadline <= now { remove(member.id) }
        if !members.isEmpty, epoch > assignmentEpoch, now >= assignableAt { assign() }
    }

    var nextDeadline: Int64? {
        guard let first = members.values.lazy.map(\.deadline).min() else { return nil }
        return epoch > assignmentEpoch && assignableAt > .min ? min(first, assignableAt) : first
    }

    /// Settings of the group may change at any time; other numbers of copies are another assignment.
    mutating func apply(_ new: Settings) {
        if !members.isEmpty, new.standbyReplicas != settings.standbyReplicas || new.warmupReplicas != settings.warmupReplicas { epoch += 1 }
        settings = new
    }

    // MARK: Who is it?

    /// The member that this comes from: a known one, a new one, or one in the place of a static member that was away.
    private mutating func identify(_ heartbeat: Heartbeat) throws(KafkaError) -> Member {
        let holder = heartbeat.instanceID.flatMap { staticMembers[$0] }
        guard heartbeat.epoch == 0 else {
            if let instanceID = heartbeat.instanceID { try checkHolder(of: instanceID, heartbeat.memberID) }
            return try known(heartbeat.memberID, atEpoch: heartbeat.epoch) { heartbeat.owned?.isSubset(of: $0.assigned) ?? false }
        }
        if let known = members[heartbeat.memberID], heartbeat.instanceID == known.instanceID { return known }
        if let holder, var away = members[holder] {
            guard away.isAway else { throw KafkaError(.unreleasedInstanceID, "static member \(heartbeat.instanceID ?? "") is still there") }
            away.id = heartbeat.memberID
            away.previousEpoch = 0
            return away
        }
        guard members[heartbeat.memberID] == nil else { throw KafkaError(.fencedInstanceID, "this member has another instance id") }
        guard members.count < settings.membersMax else {
            throw KafkaError(.groupMaxSizeReached, "the group has \(members.count) members, and no more can be")
        }
        memberCount += 1
        return Member(
            id: heartbeat.memberID, instanceID: heartbeat.instanceID, processID: heartbeat.processID ?? heartbeat.memberID, order: memberCount)
    }

    private func checkHolder(of instanceID: String, _ memberID: String) throws(KafkaError) {
        guard let holder = staticMembers[instanceID] else { throw KafkaError(.unknownMemberID, "no member has this instance id") }
        guard holder == memberID else { throw KafkaError(.fencedInstanceID, "another member has this instance id") }
    }

    private mutating func leave(_ heartbeat: Heartbeat, _ now: Int64) throws(KafkaError) -> Answer {
        if let instanceID = heartbeat.instanceID { try checkHolder(of: instanceID, heartbeat.memberID) }
        guard var member = members[heartbeat.memberID] else { throw KafkaError(.unknownMemberID, "the group has no such member") }
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
            remove(member.id)
        }
        return Answer(memberID: heartbeat.memberID, epoch: heartbeat.epoch)
    }

    mutating func remove(_ memberID: String) {
        forget(memberID, successor: nil)
        epoch += 1
    }

    /// Takes a member out; what it had is free. What it should have is for its successor, if there is one.
    private mutating func forget(_ id: String, successor: String?) {
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

    private func checkEpoch(of other: StreamsTopology) throws(KafkaError) {
        guard let topology, !members.isEmpty else { return }
        if other.epoch < topology.epoch {
            throw KafkaError(.streamsTopologyFenced, "the group's topology has epoch \(topology.epoch), the member's \(other.epoch)")
        }
        if other.epoch == topology.epoch, !topology.means(the: other) {
            throw KafkaError(.streamsInvalidTopologyEpoch, "the group's topology of epoch \(topology.epoch) is another one")
        }
        if other.epoch > topology.epoch + 1 {
            throw KafkaError(
                .streamsInvalidTopologyEpoch, "after epoch \(topology.epoch) of the group's topology comes \(topology.epoch + 1), not \(other.epoch)")
        }
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

    /// Lays the topology over the topics as they are.
    /// - Returns: whether that gives other tasks, or other reasons why there are none.
    private mutating func looksNew(at catalog: GroupCatalog) -> Bool {
        guard catalogVersion != catalog.version, let topology else { return false }
        catalogVersion = catalog.version
        let internals = topology.internalTopics
        let patterns = topology.subtopologies.flatMap(\.patterns)
        matched = patterns.isEmpty ? [] : Set(catalog.topics.keys.filter { name in !internals.contains(name) && patterns.contains { $0.matches(name) } })
        topics = wantedTopics.reduce(into: [:]) { topics, name in topics[name] = catalog.topics[name] }
        let new = StreamsLayout(topology, topics)
        for topic in creationErrors.keys where !new.missing.contains(where: { $0.name == topic }) { creationErrors[topic] = nil }
        guard new != layout else { return false }
        layout = new
        endpointEpoch += 1
        return true
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

    func isSubscribed(to topic: String) -> Bool { !members.isEmpty && layout?.partitions[topic] != nil }
}
