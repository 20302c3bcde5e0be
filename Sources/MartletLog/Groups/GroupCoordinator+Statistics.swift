extension GroupCoordinator {
    /// All groups that are listed, with the number of their members.
    var statistics: [BrokerStatistics.Group] {
        let listings = self.listings
        return state.withLock { state in
            listings.map { group in
                .init(
                    id: group.id, type: group.type, state: group.state,
                    members: state.groups[group.id]?.members.count ?? state.consumers[group.id]?.members.count ?? 0)
            }
        }
    }
}
