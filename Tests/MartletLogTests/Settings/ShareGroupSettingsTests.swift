import MartletCore
import Testing

@testable import MartletLog

@Suite struct ShareGroupSettingsTests {
    @Test func whereAGroupBegins() {
        for (text, expected) in [
            ("latest", ShareOffsetReset.latest), ("EARLIEST", .earliest), ("by_duration:P1D", .byDuration(86_400_000)),
            ("by_duration:P2DT3H4M5.678S", .byDuration(((2 * 24 + 3) * 60 + 4) * 60_000 + 5678)), ("BY_DURATION:pt0s", .byDuration(0)),
            ("by_duration:PT90M", .byDuration(5_400_000)), ("by_duration:PT1.S", .byDuration(1000)), ("by_duration:PT0.0019S", .byDuration(1)),
        ] { #expect(ShareOffsetReset(text) == expected, "\(text)") }
        for text in [
            "", "none", "by_duration", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:1D", "by_duration:P1", "by_duration:PT1D",
            "by_duration:P1H", "by_duration:PT1S2M", "by_duration:-PT1S", "by_duration:PT-1S", "by_duration:PT1.5M", "by_duration:P1DT",
            "by_duration:P99999999999999D", "by_duration:PT9223372036854775807S", "by_duration:PT1.5.5S", "by_duration:PT1.1234567890S", "latest ",
        ] { #expect(ShareOffsetReset(text) == nil, "\(text)") }
        withSeeds(100) { seed, random in
            let reset = ShareOffsetReset.byDuration(Int64.random(in: 0...Int64.max >> UInt64.random(in: 10...50, using: &random), using: &random))
            #expect(ShareOffsetReset(reset.text) == reset, "seed \(seed): \(reset.text)")
        }
    }

    @Test func theBrokersValuesHoldForGroupsThatDoNotSay() {
        var broker = ShareGroupConfig()
        broker.deliveryCountLimit = 7
        let plain = ShareGroupSettings(own: [:], broker: broker)
        #expect(plain.deliveryCountLimit == 7 && plain.offsetReset == .latest && plain.isolationLevel == .readUncommitted && plain.allowsRenewal)
        #expect(plain.sessionTimeoutMs == 45_000 && plain.heartbeatIntervalMs == 5000 && plain.recordLockDurationMs == 30_000)
        #expect(plain.partitionRecordLocksMax == 2000 && plain.membersMax == 200)
        #expect(ShareGroupSettings(own: ["share.delivery.count.limit": "3"], broker: broker).deliveryCountLimit == 3)
    }
}
