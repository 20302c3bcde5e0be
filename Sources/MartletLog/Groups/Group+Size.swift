// How many members a group may have (group.max.size).

extension Group {
    /// Whether there is no room for whoever asks to join. Who is a member already may go on, and a static member may come back, unless others have
    /// filled a group that became too large for the limit before it joined again: then it is out.
    func isFull(for join: Join) -> Bool {
        let id = join.memberID.isEmpty ? join.instanceID.flatMap { staticMembers[$0] } : join.memberID
        let known = id.flatMap { members[$0] }
        switch state {
        case .empty, .dead: return false
        case .preparingRebalance:
            guard known?.joinToken == nil else { return false }
            return members.values.count { $0.joinToken != nil } >= membersMax
        case .completingRebalance, .stable: return known == nil && members.count >= membersMax
        }
    }
}
