import Synchronization

// Share groups (KIP-932). One exists as long as it has members, or partitions in `sharing`, and, until the next start, if it had partitions.

extension GroupCoordinator {
    /// A member's heartbeat.
    ///
    /// - Throws: what `ShareGroup.receive` throws; GROUP_ID_NOT_FOUND if the group is of another kind.
    func heartbeat(group id: String, _ heartbeat: ShareGroup.Heartbeat) throws(KafkaError) -> AssignmentAnswer {
        let now = nowMs
        let settings = log.settings.shareSettings(ofGroup: id)
        return try state.withLock { (state) throws(KafkaError) in
            try beat(id, of: heartbeat.memberID, joins: heartbeat.epoch == 0, sessionTimeoutMs: settings.sessionTimeoutMs, now, &state) {
                (group: inout ShareGroup, catalog) throws(KafkaError) in
                try group.receive(heartbeat, catalog: catalog, membersMax: settings.membersMax, now: now)
            }
        }
    }

    /// A member of a share group, for whoever hands out records.
    func shareMember(group id: String, memberID: String) -> ShareGroup.Member? {
        state.withLock { $0.groups[id]?.share?.members[memberID] }
    }

    /// Whether members of the classic protocol cannot be in a group with this id.
    func refusesClassicMembers(_ id: String) -> Bool { state.withLock { $0.groups[id]?.refusesClassicMembers ?? false } }

    // MARK: Partitions

    /// Groups that had partitions when the node ended exist from its start on.
    func loadShareGroups() {
        let ids = sharing?.groups ?? []
        state.withLock { state in
            for id in ids where state.groups[id] == nil {
                var group = ShareGroup(id: id, sessionTimeoutMs: 0)
                group.hasHadPartitions = true
                state.groups[id] = .share(group)
            }
        }
    }

    /// Whether a group is told to read partitions that it does not have yet.
    func hasNewPartitions(group id: String, _ partitions: Set<GroupPartition>) -> Bool {
        guard let sharing else { return false }
        return partitions.contains { sharing.summary(group: id, partition: $0) == nil }
    }

    /// Waits for the disk.
    func initialize(group id: String, _ partitions: Set<GroupPartition>) throws(KafkaError) {
        try sharing?.initialize(group: id, partitions: partitions.sorted { ($0.topic.high, $0.topic.low, $0.index) < ($1.topic.high, $1.topic.low, $1.index) })
        state.withLock { state in _ = state.groups.change(id) { (group: inout ShareGroup) in group.hasHadPartitions = true } }
    }

    /// Waits for the disk.
    ///
    /// - Throws: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND if the group is of another kind, KAFKA_STORAGE_ERROR; then nothing has changed.
    func setStartOffsets(group id: String, _ offsets: [GroupPartition: Int64]) throws(KafkaError) {
        guard !id.isEmpty else { throw KafkaError(.invalidGroupID, "a group id is not empty") }
        try state.withLock { (state) throws(KafkaError) in
            guard !state.isClosed else { throw KafkaError(.coordinatorNotAvailable, "the broker ends") }
            if state.groups[id] == nil {
                guard !log.groupOffsets.hasAny(group: id) else { throw KafkaError(.groupIDNotFound, "group \(id) is not a share group") }
                state.groups[id] = .share(ShareGroup(id: id, sessionTimeoutMs: 0))
            }
            try Self.checkEmptyShareGroup(id, state)
            // Members that come have other partitions than those that may have read before.
            _ = state.groups.change(id) { (group: inout ShareGroup) in
                group.hasHadPartitions = true
                group.epoch += 1
            }
        }
        if offsets.isEmpty { return }
        try sharing?.setStartOffsets(group: id, offsets)
    }

    /// Waits for the disk.
    ///
    /// - Returns: for each topic why its offsets are not deleted, or nil.
    /// - Throws: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND.
    func deleteOffsets(group id: String, topics: [UUIDBytes]) throws(KafkaError) -> [KafkaError?] {
        try state.withLock { (state) throws(KafkaError) in try Self.checkEmptyShareGroup(id, state) }
        let had = Set((sharing?.partitions(group: id) ?? []).map(\.topic))
        return topics.map { topic in
            guard topic != .zero else { return KafkaError(.unknownTopicOrPartition, "there is no such topic") }
            guard had.contains(topic) else { return KafkaError(.unknownTopicOrPartition, "the group has no offsets of this topic") }
            do throws(KafkaError) {
                try sharing?.delete(group: id, topic: topic)
                return nil
            } catch {
                return error
            }
        }
    }

    private static func checkEmptyShareGroup(_ id: String, _ state: State) throws(KafkaError) {
        guard let any = state.groups[id] else { throw KafkaError(.groupIDNotFound, "group \(id) does not exist") }
        guard let group = any.share else { throw KafkaError(.groupIDNotFound, "group \(id) is not a share group") }
        guard group.members.isEmpty else { throw KafkaError(.nonEmptyGroup, "group \(id) has \(group.members.count) members") }
    }
}
