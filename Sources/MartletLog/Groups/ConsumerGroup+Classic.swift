// Members of the classic protocol in a consumer group (KIP-848, "Online migration"): each of their requests becomes a heartbeat.
//
//   JoinGroup  = a heartbeat that says everything; answered at once. The generation is the member's epoch, nobody is leader.
//   SyncGroup  = asks for what the member may have.
//   Heartbeat  = a sign of life; REBALANCE_IN_PROGRESS when the member should join again: the group's epoch rose, or it has something
//                to give up (consumers that rebalance cooperatively say so by joining), or what it waits for is free.
//
// A member that was told to join, or that joined, has its rebalance timeout to join, or to sync.
extension ConsumerGroup {
    /// - `newID`: for a member that came without one.
    mutating func join(_ join: Group.Join, catalog: Catalog, now: Int64) -> Group.JoinAnswer {
        func refuse(_ error: KafkaErrorCode, _ id: String? = nil) -> Group.JoinAnswer { .init(error: error, memberID: id ?? join.memberID) }
        guard join.protocolType == Self.protocolType, let first = join.protocols.first else { return refuse(.inconsistentGroupProtocol) }
        // Classic members agree on a protocol, as they may have to go on alone.
        let others = members.values.filter { $0.id != join.memberID && ($0.instanceID == nil || $0.instanceID != join.instanceID) }.compactMap(\.classic)
        let isCommon = join.protocols.contains { offered in others.allSatisfy { $0.protocols.contains { $0.name == offered.name } } }
        guard isCommon else { return refuse(.inconsistentGroupProtocol) }
        let subscription: ConsumerSubscription, version: Int16
        do throws(WireError) {
            (subscription, version) = try ConsumerMetadata.read(ConsumerSubscription.self, first.metadata)
        } catch {
            return refuse(.inconsistentGroupProtocol)
        }
        var id = join.memberID
        if id.isEmpty {
            id = join.newMemberID
            if join.instanceID == nil, join.requiresKnownMemberID { return refuse(.memberIDRequired, id) }
            // A static member that comes without its id was started again: the one before is gone.
            if let holder = join.instanceID.flatMap({ staticMembers[$0] }) { members[holder]?.isAway = true }
        } else if let instanceID = join.instanceID {
            guard let holder = staticMembers[instanceID] else { return refuse(.unknownMemberID) }
            guard holder == id else { return refuse(.fencedInstanceID) }
        }
        let classic = Member.Classic(sessionTimeoutMs: join.sessionTimeoutMs, protocols: join.protocols, version: version)
        var heartbeat = Heartbeat(
            memberID: id, epoch: 0, instanceID: join.instanceID, rackID: subscription.rackID, clientID: join.clientID, clientHost: join.clientHost,
            rebalanceTimeoutMs: join.rebalanceTimeoutMs, names: subscription.topics, classic: classic)
        heartbeat.owned = partitions(subscription.owned, catalog)
        let answer = receive(heartbeat, catalog: catalog, now: now)
        guard answer.error == .none else { return refuse(answer.error == .unreleasedInstanceID ? .fencedInstanceID : answer.error) }
        if members[id]?.state != .unrevoked { members[id]?.revocationDeadline = now + join.rebalanceTimeoutMs }
        return Group.JoinAnswer(
            generation: answer.epoch, protocolType: Self.protocolType, protocolName: first.name, memberID: id,
            skipAssignment: false)
    }

    mutating func sync(_ sync: Group.Sync, catalog: Catalog, now: Int64) -> Group.SyncAnswer {
        if let error = identityError(sync.memberID, sync.instanceID) { return .init(error: error) }
        guard let member = members[sync.memberID], let classic = member.classic else { return .init(error: .unknownMemberID) }
        let name = classic.protocols.first?.name
        guard sync.protocolType == nil || sync.protocolType == Self.protocolType, sync.protocolName == nil || sync.protocolName == name else {
            return .init(error: .inconsistentGroupProtocol)
        }
        guard sync.generation == member.epoch else { return .init(error: .illegalGeneration) }
        if epoch > member.epoch, member.state != .unrevoked {
            members[member.id]?.revocationDeadline = now + member.rebalanceTimeoutMs
            return .init(error: .rebalanceInProgress)
        }
        if member.state != .unrevoked { members[member.id]?.revocationDeadline = .max }
        touch(member.id, now)
        return .init(
            protocolType: Self.protocolType, protocolName: name, assignment: Self.bytes(member.assigned, version: classic.version, topics: catalog.byID))
    }

    mutating func heartbeat(memberID: String, instanceID: String?, generation: Int32, catalog: Catalog, now: Int64) -> KafkaErrorCode {
        if let error = identityError(memberID, instanceID) { return error }
        guard members[memberID]?.classic != nil else { return .unknownMemberID }
        if catalogVersion != catalog.version { look(at: catalog, raisingEpoch: false) }
        guard let member = members[memberID], generation == member.epoch else { return .illegalGeneration }
        touch(memberID, now)
        guard shouldJoinAgain(member) else { return .none }
        if member.revocationDeadline == .max { members[memberID]?.revocationDeadline = now + member.rebalanceTimeoutMs }
        return .rebalanceInProgress
    }

    private func shouldJoinAgain(_ member: Member) -> Bool {
        if member.epoch < epoch || member.state == .unrevoked { return true }
        guard member.state == .unreleased else { return false }
        let missing = (target[member.id] ?? []).subtracting(member.assigned)
        return missing.allSatisfy { owners[$0] == nil || owners[$0] == member.id }
    }

    /// By its id, or by its instance id; members of either protocol, as an administrator may send them away.
    mutating func leave(_ leaving: Group.Leaving) -> KafkaErrorCode {
        var id = leaving.memberID
        if id.isEmpty, let instanceID = leaving.instanceID {
            guard let holder = staticMembers[instanceID] else { return .unknownMemberID }
            id = holder
        } else if let error = identityError(id, leaving.instanceID) {
            return error
        }
        remove(id)
        return .none
    }

    private func identityError(_ memberID: String, _ instanceID: String?) -> KafkaErrorCode? {
        if let instanceID {
            guard let holder = staticMembers[instanceID] else { return .unknownMemberID }
            return holder == memberID ? nil : .fencedInstanceID
        }
        return members[memberID] == nil ? .unknownMemberID : nil
    }

    private mutating func touch(_ memberID: String, _ now: Int64) {
        guard let timeout = members[memberID]?.classic?.sessionTimeoutMs else { return }
        members[memberID]?.sessionDeadline = now + timeout
    }

    private func partitions(_ owned: [OwnedPartitions], _ catalog: Catalog) -> Set<Partition> {
        Set(owned.flatMap { topic in (catalog.topics[topic.topic]?.id).map { id in topic.partitions.map { Partition(topic: id, index: $0) } } ?? [] })
    }

    fileprivate static func bytes(_ partitions: Set<Partition>, version: Int16, topics: [UUIDBytes: Topic]) -> [UInt8] {
        let byTopic = Dictionary(grouping: partitions, by: \.topic).compactMap { id, partitions in
            topics[id].map { OwnedPartitions(topic: $0.name, partitions: partitions.map(\.index).sorted()) }
        }
        return ConsumerMetadata.write(ConsumerAssignment(partitions: byTopic.sorted { $0.topic < $1.topic }), version: version)
    }

    static let protocolType = "consumer"

    // MARK: From one protocol to the other

    /// The members of a classic group, with what they have.
    ///
    /// - Returns: nil if they are no consumers, or do not say what consumers say.
    init?(upgrading group: Group, catalog: Catalog, sessionTimeoutMs: Int64, now: Int64) {
        guard group.protocolType == Self.protocolType else { return nil }
        self.init(id: group.id, sessionTimeoutMs: sessionTimeoutMs)
        epoch = group.generation
        assignmentEpoch = group.generation
        for old in group.membersInOrder {
            guard let metadata = old.protocols.first?.metadata else { return nil }
            var member = Member(id: old.id, instanceID: old.instanceID)
            do throws(WireError) {
                let (subscription, version) = try ConsumerMetadata.read(ConsumerSubscription.self, metadata)
                member.names = Set(subscription.topics).sorted()
                member.rackID = subscription.rackID
                member.classic = Member.Classic(sessionTimeoutMs: old.sessionTimeoutMs, protocols: old.protocols, version: version)
                if !old.assignment.isEmpty {
                    let assignment = try ConsumerMetadata.read(ConsumerAssignment.self, old.assignment).message
                    // (1), whatever the group's leader gave to whom.
                    member.assigned = partitions(assignment.partitions, catalog).filter { owners[$0] == nil }
                }
            } catch {
                return nil
            }
            memberCount += 1
            member.order = memberCount
            member.clientID = old.clientID
            member.clientHost = old.clientHost
            member.rebalanceTimeoutMs = old.rebalanceTimeoutMs
            member.epoch = group.generation
            member.sessionDeadline = old.isWaiting ? now + old.sessionTimeoutMs : old.sessionDeadline
            for partition in member.assigned { owners[partition] = member.id }
            members[member.id] = member
            target[member.id] = member.assigned
            if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        }
        look(at: catalog, raisingEpoch: false)
        // Members that were just rebalancing begin anew.
        epoch = group.generation + (group.state == .stable ? 0 : 1)
    }

    /// Whether all members, and there are some, speak the classic protocol.
    var isClassicOnly: Bool { !members.isEmpty && members.values.allSatisfy { $0.classic != nil } }

    /// The members as a classic group, which is to rebalance; nobody's partitions change before that.
    func downgraded(catalog: Catalog, initialRebalanceDelayMs: Int64) -> Group {
        var group = Group(id: id, initialRebalanceDelayMs: initialRebalanceDelayMs)
        group.protocolType = Self.protocolType
        // Later ones that nobody has are as if they had never been.
        group.generation = members.values.map(\.epoch).max() ?? epoch
        let topics = catalog.byID
        for member in membersInOrder {
            guard let classic = member.classic else { continue }
            group.memberCount += 1
            group.members[member.id] = Group.Member(
                id: member.id, instanceID: member.instanceID, clientID: member.clientID, clientHost: member.clientHost,
                sessionTimeoutMs: classic.sessionTimeoutMs, rebalanceTimeoutMs: member.rebalanceTimeoutMs, protocols: classic.protocols,
                assignment: Self.bytes(member.assigned, version: classic.version, topics: topics), sessionDeadline: member.sessionDeadline,
                order: group.memberCount)
            if let instanceID = member.instanceID { group.staticMembers[instanceID] = member.id }
        }
        group.state = .stable
        return group
    }
}
