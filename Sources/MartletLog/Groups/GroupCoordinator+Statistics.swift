import Synchronization

/// How often groups began to divide their partitions anew, by type: a generation of the classic protocol, an epoch of the others.
final class RebalanceMeters: Sendable {
    private let counts = GroupType.allCases.map { _ in Counter() }

    func note(_ type: GroupType, _ before: Int32, _ after: Int32) {
        guard before != after, let place = GroupType.allCases.firstIndex(of: type) else { return }
        counts[place].add()
    }

    var snapshot: [BrokerStatistics.Count] { zip(GroupType.allCases, counts).map { .init(name: $0.rawValue, count: $1.count) } }
}

extension GroupCoordinator {
    /// All groups that are listed, with the number of their members.
    var statistics: [BrokerStatistics.Group] {
        let listings = self.listings
        return state.withLock { state in
            listings.map { group in
                .init(id: group.id, type: group.type.rawValue, state: group.state, members: state.groups[group.id]?.memberCount ?? 0)
            }
        }
    }
}
