/// How often clients were told to wait because of their quotas, and for how long in all.
final class ThrottleMeters: Sendable {
    private let counts = QuotaKind.allCases.map { _ in Counter() }
    private let waits = QuotaKind.allCases.map { _ in Counter() }

    func note(_ kind: QuotaKind, ms: Int64) {
        guard let place = QuotaKind.allCases.firstIndex(of: kind) else { return }
        counts[place].add()
        waits[place].add(ms)
    }

    var snapshot: [BrokerStatistics.Throttle] {
        QuotaKind.allCases.enumerated().map { place, kind in
            .init(quota: kind.rawValue, count: counts[place].count, seconds: Double(waits[place].count) / 1000)
        }
    }
}
