/// Which connections are let in: at most so many at once, at most so many from an address, at most so many new ones a second (Kafka
/// documentation, `max.connections…`; KIP-612).
///
/// A value without clock, lock or I/O.
struct ConnectionGate: Sendable {
    /// By the name of the limit.
    enum Refusal: String, CaseIterable, Sendable {
        case total = "max.connections"
        case address = "max.connections.per.ip"
        /// The quota of its address.
        case addressRate = "connection_creation_rate"
        /// It would have to wait for too long.
        case rate = "max.connection.creation.rate"
    }

    struct Verdict: Sendable, Equatable {
        /// Nil: it is let in.
        var refusal: Refusal?
        /// What is let in waits so long before it is served; what is refused, before it is closed, so that its sender does not come back at once.
        var waitMs: Int64 = 0
    }

    struct Limits: Sendable {
        var connections: Int
        var perAddress: Int
        var ofAddresses: [String: Int]
        /// New ones a second; nil: any number.
        var perSecond: Double?
    }

    /// Clients give up a connection on which nothing is answered for about so long; who would wait longer is refused.
    static let waitMsMax: Int64 = 10_000

    /// Refused connections that wait to be closed; more are closed at once.
    static let refusedMax = 1000

    private var open = 0
    private var refused = 0
    private var byAddress: [String: Int] = [:]
    private var rate: QuotaMeters

    /// - `burstSeconds`: how many seconds of `perSecond` may come at once after a silence.
    init(burstSeconds: Double) { rate = QuotaMeters(burstSeconds: burstSeconds) }

    var count: Int { open }

    func count(from address: String) -> Int { byAddress[address] ?? 0 }

    /// A connection came. If it is let in, `leave` is to be told of its end; if it is refused and is to wait, `leaveRefused`.
    ///
    /// - `addressWait`: counts it against the quota of its address and gives the milliseconds by which it came too early.
    mutating func enter(from address: String, _ limits: Limits, nowNs: Int64, addressWaitMs: () -> Int64) -> Verdict {
        if open >= limits.connections { return Verdict(refusal: .total) }
        if count(from: address) >= limits.ofAddresses[address] ?? limits.perAddress { return Verdict(refusal: .address) }
        let early = addressWaitMs()
        if early > 0 {
            guard refused < Self.refusedMax else { return Verdict(refusal: .addressRate) }
            refused += 1
            return Verdict(refusal: .addressRate, waitMs: min(early, Self.waitMsMax))
        }
        var waitMs: Int64 = 0
        if let perSecond = limits.perSecond {
            waitMs = rate.charge(.connection, 1, .init(), perSecond: perSecond, nowNs: nowNs)
            if waitMs > Self.waitMsMax {
                // It does not count, else nobody would come in any more while many try.
                _ = rate.charge(.connection, -1, .init(), perSecond: perSecond, nowNs: nowNs)
                return Verdict(refusal: .rate)
            }
        }
        open += 1
        byAddress[address, default: 0] += 1
        return Verdict(waitMs: waitMs)
    }

    mutating func leaveRefused() { refused -= 1 }

    mutating func leave(from address: String) {
        open -= 1
        let left = count(from: address) - 1
        byAddress[address] = left > 0 ? left : nil
    }
}
