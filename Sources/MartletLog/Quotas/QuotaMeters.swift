/// How much of their limits those who have one have used up: buckets that fill again as time goes by.
///
/// A bucket holds as much as the limit gives in `burstSeconds`; so who was idle may go faster for a while, as with Kafka, whose rates are means
/// over a window of that length. Who takes more than there is owes it, and is to wait until the debt is paid: over any longer time the mean is the
/// limit. A full bucket says nothing and is not kept.
struct QuotaMeters: Sendable {
    /// Whoever shares a limit.
    struct Key: Hashable, Sendable {
        var user: String?
        var client: String?
        var address: String?
    }

    private struct Bucket: Sendable {
        var level: Double
        var atNs: Int64
    }

    private struct Entry: Hashable {
        var kind: QuotaKind
        var key: Key
    }

    private let burstSeconds: Double
    private var buckets: [Entry: Bucket] = [:]

    /// Buckets that are kept; of more the fullest goes.
    static let bucketsMax = 10_000

    init(burstSeconds: Double) { self.burstSeconds = burstSeconds }

    var count: Int { buckets.count }

    /// What may be used before anybody has to wait; negative is a debt.
    func level(_ kind: QuotaKind, _ key: Key, perSecond: Double, nowNs: Int64) -> Double {
        let most = perSecond * burstSeconds
        guard let bucket = buckets[Entry(kind: kind, key: key)] else { return most }
        return min(most, bucket.level + Double(max(0, nowNs - bucket.atNs)) / 1e9 * perSecond)
    }

    /// Takes `amount` out.
    /// - Returns: milliseconds until the debt is paid; 0 if there is none.
    mutating func charge(_ kind: QuotaKind, _ amount: Double, _ key: Key, perSecond: Double, nowNs: Int64) -> Int64 {
        let level = level(kind, key, perSecond: perSecond, nowNs: nowNs) - amount
        let entry = Entry(kind: kind, key: key)
        if level >= perSecond * burstSeconds {
            buckets[entry] = nil
            return 0
        }
        if buckets[entry] == nil, buckets.count >= Self.bucketsMax, let fullest = buckets.max(by: { $0.value.level < $1.value.level })?.key {
            buckets[fullest] = nil
        }
        buckets[entry] = Bucket(level: level, atNs: nowNs)
        return level >= 0 ? 0 : Int64((-level / perSecond * 1000).rounded(.up))
    }

    /// Lets go of buckets that must be full by now, whatever their limit: to be called now and then.
    mutating func forgetFull(nowNs: Int64, perSecond: (QuotaKind, Key) -> Double?) {
        buckets = buckets.filter { entry, _ in
            guard let rate = perSecond(entry.kind, entry.key) else { return false }
            return level(entry.kind, entry.key, perSecond: rate, nowNs: nowNs) < rate * burstSeconds
        }
    }
}
