import Testing

@testable import MartletSQL

/// Date-times cut off anywhere, against milliseconds computed by hand.
@Suite struct MagicTimestampTests {
    @Test(arguments: [
        ("1970", 0), ("1970-01-01T00:00:00.001", 1), ("2020", 1_577_836_800_000), ("2020-02", 1_580_515_200_000),
        ("2020-02-29T03", 1_582_945_200_000), ("2018-01-01T00:00:00.001", 1_514_764_800_001),
        ("2020-02-10T08:31:44.001+0000", 1_581_323_504_001), ("2019-01-01T00:00:00+0445", 1_546_283_700_000),
        ("2019-01-01T00:00:00-01:00", 1_546_304_400_000), ("1969-12-31T23:59:59Z", -1000), ("2000-02-29", 951_782_400_000),
    ])
    func reads(_ text: String, _ milliseconds: Int) { #expect(MagicTimestamp.milliseconds(text) == Int64(milliseconds)) }

    @Test(arguments: ["", "now", "20", "2020-13", "2019-02-29", "1900-02-29", "2020-01-01T24", "2020-01-01T00:60", "2020-01-01x", "2020-01-01T00:00:00+1", "2020-"])
    func refuses(_ text: String) { #expect(MagicTimestamp.milliseconds(text) == nil) }
}
