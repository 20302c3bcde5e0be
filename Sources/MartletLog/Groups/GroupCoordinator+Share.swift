import Synchronization

// Share groups (KIP-932).

extension GroupCoordinator {
    /// A member's heartbeat.
    ///
    /// - Throws: what `ShareGroup.receive` throws; GROUP_ID_NOT_FOUND if the group is of another kind.
    func heartbeat(group id: String, _ heartbeat: ShareGroup.Heartbeat) throws(KafkaError) -> AssignmentAnswer {
        let now = nowMs
        let settings = log.settings.shareSettings(ofGroup: id)
        return try state.withLock { (state) throws(KafkaError) in
            try beat(id, joins: heartbeat.epoch == 0, sessionTimeoutMs: settings.sessionTimeoutMs, now, &state) {
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
    func refusesClassicMembers(_ id: String) -> Bool { state.withLock { $0.groups[id]?.type == .share } }
}
