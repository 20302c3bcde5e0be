import MartletCore
import Synchronization

/// What one request of a client that may have limits has cost so far, and for how long its connection is to be silent because of it.
final class RequestCharge: Sendable {
    private let busyNs = Atomic<Int64>(0)
    private let waitMs = Atomic<Int64>(0)

    /// Time of ours that went into the request, on any thread.
    func add(busyNs more: Int64) { busyNs.wrappingAdd(more, ordering: .relaxed) }

    func wait(ms: Int64) { waitMs.max(ms, ordering: .relaxed) }

    var totalBusyNs: Int64 { busyNs.load(ordering: .relaxed) }

    /// Milliseconds for which the client is told to wait, and for which nothing is read from it.
    var totalWaitMs: Int64 { waitMs.load(ordering: .relaxed) }
}

extension RequestRouter {
    /// Nil as long as nobody has limits.
    func makeCharge() -> RequestCharge? { quotas.isEmpty ? nil : RequestCharge() }

    /// Counts what the request used of the limits, once it is answered.
    ///
    /// - `requestBytes`: of a Produce request, `recordBytes`: of an answer to Fetch.
    func settle(_ api: APIKey, requestBytes: Int, recordBytes: Int, _ context: RequestContext) {
        guard let charge = context.charge else { return }
        let user = context.access.principal.name, nowNs = time.monotonicNs
        func use(_ kind: QuotaKind, _ amount: Double) -> Int64 {
            quotas.charge(kind, amount, user: user, client: context.clientID, nowNs: nowNs)
        }
        switch api {
        case .produce: wait(use(.produce, Double(requestBytes)), .produce, charge)
        case .fetch, .shareFetch: wait(use(.fetch, Double(recordBytes)), .fetch, charge)
        case .saslHandshake, .saslAuthenticate: return
        default: break
        }
        // A request alone never makes its client wait for longer than a window (KIP-124).
        wait(min(use(.request, Double(charge.totalBusyNs)), Int64(config.quotaWindowSeconds) * 1000), .request, charge)
    }

    private func wait(_ ms: Int64, _ kind: QuotaKind, _ charge: RequestCharge) {
        guard ms > 0 else { return }
        charge.wait(ms: ms)
        throttles.note(kind, ms: ms)
    }

    /// How much a Fetch may be answered with; nil without a limit, 0 if the client has to wait first.
    func fetchAllowance(_ context: RequestContext) -> Int? {
        guard let charge = context.charge else { return nil }
        let user = context.access.principal.name, nowNs = time.monotonicNs
        guard let left = quotas.allowance(.fetch, user: user, client: context.clientID, nowNs: nowNs) else { return nil }
        guard left < 0 else { return max(1, Int(min(left, 1e15))) }
        charge.wait(ms: max(1, quotas.charge(.fetch, 0, user: user, client: context.clientID, nowNs: nowNs)))  // `settle` notes it
        return 0
    }

    /// Asks to make or delete so many partitions (KIP-599).
    ///
    /// - `isStrict`: the client knows of THROTTLING_QUOTA_EXCEEDED, so it gets it while it is over its limit; others are served and wait.
    func admitMutations(_ count: Int, isStrict: Bool, _ context: RequestContext) throws(KafkaError) {
        guard let charge = context.charge else { return }
        let user = context.access.principal.name, nowNs = time.monotonicNs
        if isStrict, let left = quotas.allowance(.mutation, user: user, client: context.clientID, nowNs: nowNs), left < 0 {
            wait(quotas.charge(.mutation, 0, user: user, client: context.clientID, nowNs: nowNs), .mutation, charge)
            throw KafkaError(.throttlingQuotaExceeded, "the client makes and deletes more partitions than its controller_mutation_rate allows")
        }
        let waitMs = quotas.charge(.mutation, Double(count), user: user, client: context.clientID, nowNs: nowNs)
        if !isStrict { wait(waitMs, .mutation, charge) }
    }
}
