import Synchronization

// The shell around groups whose members have epochs (`EpochGroup`): who joins makes the group; a timer sends silent members away.

extension GroupCoordinator {
    /// A heartbeat, under the lock.
    ///
    /// - `joins`: a group that is not there is made, and a classic one without members gives way if this kind replaces it.
    /// - `memberID`: the only member whose deadline the heartbeat may move; nil: it may move others.
    /// - Throws: GROUP_ID_NOT_FOUND if the id is that of a group of another kind; UNKNOWN_MEMBER_ID if there is no group. Memberships do not
    ///   survive a restart, and that is how members learn that they are to join again.
    func beat<Kind: EpochGroup, Answer: Sendable>(
        _ id: String, of memberID: String? = nil, joins: Bool, sessionTimeoutMs: Int64, _ now: Int64, _ state: inout State,
        _ body: (inout Kind, GroupCatalog) throws(KafkaError) -> Answer
    ) throws(KafkaError) -> Answer {
        guard !state.isClosed else { throw KafkaError(.coordinatorNotAvailable, "the broker ends") }
        if state.groups[id]?.type != Kind.type {
            let isForeign =
                switch state.groups[id] {
                case .classic(let group): joins && !(group.members.isEmpty && Kind.replacesClassic)
                case nil: joins && !Kind.replacesClassic && log.groupOffsets.hasAny(group: id)
                case .some: true
                }
            if isForeign { throw KafkaError(.groupIDNotFound, "group \(id) is not a \(Kind.type.name)") }
            guard joins else { throw KafkaError(.unknownMemberID, "group \(id) has no such member") }
            state.groups[id] = Kind(id: id, sessionTimeoutMs: sessionTimeoutMs).any
        }
        let catalog = catalog(&state)
        var moved: Int64?
        defer {
            downgrade(id, now, &state)
            settle(id, now, &state, moved: moved)
        }
        let answer = try state.groups.change(id) { (group: inout Kind) throws(KafkaError) in
            group.sessionTimeoutMs = sessionTimeoutMs
            let before = group.epoch
            defer {
                rebalances.note(Kind.type, before, group.epoch)
                moved = memberID.map { group.members[$0]?.deadline ?? .max }
            }
            return try body(&group, catalog)
        }
        guard let answer else { throw KafkaError(.coordinatorNotAvailable, "group \(id) is gone") }
        return answer
    }

    /// Under the lock, from the timer.
    func expireMembers<Kind: EpochGroup>(of kind: Kind.Type, _ id: String, _ now: Int64, _ state: inout State) {
        _ = state.groups.change(id) { (group: inout Kind) in
            let before = group.epoch
            group.expire(now: now)
            rebalances.note(Kind.type, before, group.epoch)
        }
        downgrade(id, now, &state)
        settle(id, now, &state)
    }
}
