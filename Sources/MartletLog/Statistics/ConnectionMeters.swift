/// Connections of Kafka clients that ended or were not let in, by reason.
final class ConnectionMeters: Sendable {
    /// Why we end a connection; clients end the others.
    enum Ending: String, CaseIterable, Sendable {
        /// Nothing happened on it for `connections.max.idle.ms`.
        case idle
        /// What came is no request that we know, or too large.
        case malformed
        /// Who is at the other end did not say who it is, or not in time.
        case authentication
        /// We could not answer.
        case failed
    }

    private let endings = Ending.allCases.map { _ in Counter() }
    private let refusals = ConnectionGate.Refusal.allCases.map { _ in Counter() }

    func ended(_ reason: Ending) { if let place = Ending.allCases.firstIndex(of: reason) { endings[place].add() } }

    func refused(_ reason: ConnectionGate.Refusal) {
        if let place = ConnectionGate.Refusal.allCases.firstIndex(of: reason) { refusals[place].add() }
    }

    var ended: [BrokerStatistics.Count] { zip(Ending.allCases, endings).map { .init(name: $0.rawValue, count: $1.count) } }
    var refused: [BrokerStatistics.Count] { zip(ConnectionGate.Refusal.allCases, refusals).map { .init(name: $0.rawValue, count: $1.count) } }
}
