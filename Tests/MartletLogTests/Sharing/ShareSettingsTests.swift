import Testing

@testable import MartletLog

@Suite struct ShareSettingsTests {
    @Test func placesToBegin() {
        #expect(ShareStart("latest") == .latest && ShareStart("EARLIEST") == .earliest)
        for (text, ms) in [("P1D", Int64(86_400_000)), ("PT1H30M", 5_400_000), ("PT0.5S", 500), ("P2DT3H4M5S", 183_845_000), ("PT0S", 0)] {
            #expect(ShareStart("by_duration:\(text)") == .byDuration(ms: ms), "\(text)")
        }
        for text in ["", "none", "by_duration", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:P1H", "by_duration:PT1D", "by_duration:PT1M1H", "by_duration:P1.5D", "by_duration:-PT1S", "by_duration:PT-1S", "by_duration:PT1", "by_duration:P1DT"] {
            #expect(ShareStart(text) == nil, "\(text)")
        }
    }
}
