/// `2018-12-18T12:00:00Z` for rising times: only what changed is written again.
struct InstantText: Sendable {
    /// 20 bytes, for `second`.
    private(set) var bytes: [UInt8] = Array("0000-00-00T00:00:00Z".utf8)
    private var second = Int64.min

    /// `second`: seconds since 1970-01-01T00:00Z, in the years 0 to 9999.
    mutating func set(second: Int64) {
        if second == self.second { return }
        let day = Self.floorDivided(second, 86_400), ofDay = Int(second - day * 86_400)
        if self.second == .min || day != Self.floorDivided(self.second, 86_400) {
            let (year, month, date) = Self.civil(day)
            put(year / 100, 0)
            put(year % 100, 2)
            put(month, 5)
            put(date, 8)
        }
        put(ofDay / 3600, 11)
        put(ofDay / 60 % 60, 14)
        put(ofDay % 60, 17)
        self.second = second
    }

    private mutating func put(_ value: Int, _ place: Int) {
        bytes[place] = UInt8(ascii: "0") + UInt8(value / 10)
        bytes[place + 1] = UInt8(ascii: "0") + UInt8(value % 10)
    }

    private static func floorDivided(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((-a + b - 1) / b) }

    /// Proleptic Gregorian date of a day since the epoch: years begin in March, so that a leap day is the last of its year.
    private static func civil(_ day: Int64) -> (year: Int, month: Int, date: Int) {
        let shifted = day + 719_468
        let era = floorDivided(shifted, 146_097), ofEra = Int(shifted - era * 146_097)
        let year = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let date = ofYear - (153 * month + 2) / 5 + 1
        return (year + Int(era) * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, date)
    }
}
