// How many members a group may have (group.max.size).

extension Group {
    /// Whether there is no room for whoever asks to join.
    ///
    /// While the members join anew the first to come get in: who was a member and comes later than others who fill the group is out. Otherwise who is
    /// a member may go on, and a static member may come back.
    func isFull(for join: Join) -> Bool {
        let id = join.memberID.isEmpty ? join.instanceID.flatMap { staticMembers[$0] } : join.memberID
        let known = id.flatMap { members[$0] }
        switch state {
        case .empty, .dead: return false
        case .preparingRebalance:
            guard known?.joinToken == nil else { return false }
            // Static members stay for as long as their sessions last, whether they come or not.
            return members.values.count { $0.id != known?.id && ($0.joinToken != nil || $0.instanceID != nil) } >= membersMax
        case .completingRebalance, .stable: return known == nil && members.count >= membersMax
        }
    }
}
