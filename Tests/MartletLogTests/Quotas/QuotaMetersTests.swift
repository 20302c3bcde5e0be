import MartletCore
import Testing

@testable import MartletLog

@Suite struct QuotaMetersTests {
    private let key = QuotaMeters.Key(user: "u", client: "c")

    /// Whatever is taken and whenever: who waits as told gets the limit over time, and one burst more at most; and waits no longer than for that.
    @Test func whoWaitsAsToldGetsTheLimit() {
        withSeeds(200) { seed, random in
            let perSecond = Double(Int.random(in: 1...1_000_000, using: &random)), burst = Double(Int.random(in: 1...10, using: &random))
            var meters = QuotaMeters(burstSeconds: burst)
            var nowNs: Int64 = 5_000_000_000, used = 0.0
            let beganNs = nowNs
            var largest = 0.0
            for _ in 0..<200 {
                let amount = Double.random(in: 0...(perSecond * 3), using: &random)
                largest = max(largest, amount)
                let waitMs = meters.charge(.produce, amount, key, perSecond: perSecond, nowNs: nowNs)
                used += amount
                if waitMs > 0 {
                    // Not a millisecond too long: just before, the debt is still there.
                    #expect(meters.level(.produce, key, perSecond: perSecond, nowNs: nowNs + (waitMs - 1) * 1_000_000) <= 0, "seed \(seed)")
                    nowNs += waitMs * 1_000_000
                    #expect(meters.level(.produce, key, perSecond: perSecond, nowNs: nowNs) >= 0, "seed \(seed)")
                }
                nowNs += Int64.random(in: 0...20_000_000, using: &random)
                let seconds = Double(nowNs - beganNs) / 1e9
                #expect(used <= perSecond * (burst + seconds) + 1e-6, "seed \(seed)")
            }
        }
    }

    @Test func bucketsAreForgottenWhenTheyAreFull() {
        var meters = QuotaMeters(burstSeconds: 10)
        for i in 0..<100 { _ = meters.charge(.fetch, 5, .init(client: "c\(i)"), perSecond: 10, nowNs: 0) }
        #expect(meters.count == 100)
        meters.forgetFull(nowNs: 400_000_000) { _, _ in 10 }
        #expect(meters.count == 100)
        meters.forgetFull(nowNs: 500_000_000) { _, _ in 10 }
        #expect(meters.count == 0)
        _ = meters.charge(.fetch, 5, key, perSecond: 10, nowNs: 0)
        meters.forgetFull(nowNs: 1) { _, _ in nil }
        #expect(meters.count == 0)
        for i in 0..<(QuotaMeters.bucketsMax + 50) { _ = meters.charge(.fetch, Double(1 + i % 7), .init(client: "c\(i)"), perSecond: 10, nowNs: 0) }
        #expect(meters.count == QuotaMeters.bucketsMax)
    }
}
