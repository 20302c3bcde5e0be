import MartletCore

/// Reads texts by a `DateTimePattern`, one after another in the same memory.
///
/// A part that the pattern lacks is that of 1970-01-01T00:00. As Java's SMART resolver has it, day 31 of a short month is its last day and
/// 24:00 the next day's midnight, while values out of range and contradictions (a wrong day of the week) fail.
struct DateTimeParser {
    private let elements: [DateTimePattern.Element]
    private let ignoresCase: Bool

    private var bytes: [UInt8] = []
    private var at = 0
    private var end = 0
    private var furthest = 0
    /// Of each letter what the text says, `absent` if nothing.
    private var values = [Int](repeating: absent, count: 58)
    private var offset: Int?
    private var zone: TimeZoneRules?

    private static let absent = Int.min

    init(_ pattern: DateTimePattern, ignoresCase: Bool = true) {
        elements = pattern.elements
        self.ignoresCase = ignoresCase
    }

    // MARK: results

    /// Milliseconds since the epoch; `zone` holds where the text has none.
    mutating func timestamp(_ text: ArraySlice<UInt8>, zone: TimeZoneRules) throws(KernelFailure) -> Int64 {
        try parse(text)
        let (ms, extraDays) = try timeOfDay()
        let days = try days(), hasDate = hasDate
        if hasDate { try check(days) }
        let local = Int64(days + (hasDate ? extraDays : 0)) * 86_400_000 + Int64(ms)
        if let offset { return local - Int64(offset) * 1000 }
        return (self.zone ?? zone).instant(local: local)
    }

    /// Days since the epoch; the text must have a whole date.
    mutating func date(_ text: ArraySlice<UInt8>) throws(KernelFailure) -> Int32 {
        try parse(text)
        guard hasDate else { throw KernelFailure("the text has no year, month and day") }
        let days = try days()
        try check(days)
        return Int32(clamping: days + (try timeOfDay().extraDays))
    }

    /// Milliseconds of the day; the text may have no part of a date.
    mutating func time(_ text: ArraySlice<UInt8>) throws(KernelFailure) -> Int32 {
        try parse(text)
        for letter in "GuyYDMdwWE".utf8 where self[letter] != nil { throw KernelFailure("Unsupported field: a TIME has no date") }
        guard hasTime else { throw KernelFailure("the text has no time") }
        return Int32(try timeOfDay().ms)
    }

    private subscript(letter: UInt8) -> Int? {
        let value = values[Int(letter) &- 65]
        return value == Self.absent ? nil : value
    }

    private subscript(letter: Unicode.Scalar) -> Int? { self[UInt8(truncatingIfNeeded: letter.value)] }

    private var hasDate: Bool {
        if self["Y"] != nil, self["w"] != nil, self["E"] != nil { return true }
        guard self["u"] != nil || (self["y"] != nil) else { return false }
        return self["D"] != nil || (self["M"] != nil && self["d"] != nil)
    }

    private var hasTime: Bool {
        if self["H"] != nil || self["k"] != nil || self["A"] != nil || self["N"] != nil { return true }
        return (self["h"] != nil || self["K"] != nil) && self["a"] != nil
    }

    /// What the text says besides the date must be true of it.
    private func check(_ days: Int) throws(KernelFailure) {
        if let weekday = self["E"], CivilDate.weekday(days: days) != weekday { throw KernelFailure("the day of the week is not that of the date") }
        if let quarter = self["Q"], (CivilDate.civil(days: days).month + 2) / 3 != quarter { throw KernelFailure("the quarter is not that of the date") }
    }

    private func days() throws(KernelFailure) -> Int {
        if let weekYear = self["Y"], let week = self["w"] {
            let first = DateTimePattern.firstWeek(weekYear), weeks = (DateTimePattern.firstWeek(weekYear + 1) - first) / 7
            return first + (min(week, weeks) - 1) * 7 + (self["E"].map { $0 % 7 } ?? 0)
        }
        let year = self["u"] ?? self["y"].map { self["G"] == 0 ? 1 - $0 : $0 } ?? 1970
        if let dayOfYear = self["D"] {
            guard dayOfYear <= (CivilDate.isLeap(year) ? 366 : 365) else { throw KernelFailure("the year has no day \(dayOfYear)") }
            return CivilDate.days(year: year, month: 1, day: 1) + dayOfYear - 1
        }
        let month = self["M"] ?? 1
        return CivilDate.days(year: year, month: month, day: min(self["d"] ?? 1, CivilDate.daysInMonth(year, month)))
    }

    private func timeOfDay() throws(KernelFailure) -> (ms: Int, extraDays: Int) {
        if let ms = self["A"] { return (ms, 0) }
        if let nanos = self["N"] { return (nanos / 1_000_000, 0) }
        var hour = self["H"] ?? self["k"].map { $0 % 24 } ?? 0
        if self["H"] == nil, self["k"] == nil {
            if let half = self["h"].map({ $0 % 12 }) ?? self["K"] { hour = half + 12 * (self["a"] ?? 0) }
        } else if let half = self["a"], (hour % 24) / 12 != half {
            throw KernelFailure("AM or PM contradicts the hour")
        }
        let nanos = self["S"] ?? self["n"] ?? 0
        let ms = hour * 3_600_000 + (self["m"] ?? 0) * 60_000 + (self["s"] ?? 0) * 1000 + nanos / 1_000_000
        if hour == 24 {
            guard ms == 86_400_000 else { throw KernelFailure("hour 24 has no minutes") }
            return (0, 1)
        }
        return (ms, 0)
    }

    // MARK: reading

    private mutating func parse(_ text: ArraySlice<UInt8>) throws(KernelFailure) {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: text)
        (at, end, furthest) = (0, bytes.count, 0)
        for i in values.indices { values[i] = Self.absent }
        (offset, zone) = (nil, nil)
        guard run(elements), at == end else {
            throw KernelFailure("Text '\(String(decoding: text, as: UTF8.self))' could not be parsed at index \(furthest)")
        }
    }

    private mutating func run(_ elements: [DateTimePattern.Element]) -> Bool {
        for element in elements {
            let isRead: Bool
            switch element {
            case .literal(let text): isRead = match(text)
            case .field(let letter, let count, let reserved): isRead = field(letter, count, reserved)
            case .optional(let inner):
                let before = (at, values, offset, zone)
                if !run(inner) { (at, values, offset, zone) = before }
                isRead = true
            }
            if !isRead { return false }
            furthest = max(furthest, at)
        }
        return true
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte }

    private mutating func match(_ text: some Collection<UInt8>) -> Bool {
        guard at + text.count <= end else { return false }
        var i = at
        for byte in text {
            if bytes[i] != byte, !ignoresCase || Self.lower(bytes[i]) != Self.lower(byte) { return false }
            i += 1
        }
        at = i
        return true
    }

    private mutating func match(_ text: String) -> Bool { match(text.utf8) }

    /// A number of `least` to `most` digits, as many as there are but for those that the numbers right behind need.
    private mutating func digits(_ least: Int, _ most: Int, reserved: Int = 0) -> Int? {
        var stop = at
        while stop < end, stop - at < 19, bytes[stop] >= 0x30, bytes[stop] <= 0x39 { stop += 1 }
        let count = min(most, max(least, stop - at - reserved))
        guard count >= max(1, least), at + count <= stop else { return nil }
        var value = 0
        for i in at..<at + count {
            let (scaled, isOver) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOver2) = scaled.addingReportingOverflow(Int(bytes[i] - 0x30))
            if isOver || isOver2 { return nil }
            value = sum
        }
        at += count
        return value
    }

    private mutating func store(_ letter: Unicode.Scalar, _ value: Int?, _ range: ClosedRange<Int>) -> Bool {
        guard let value, range.contains(value) else { return false }
        let index = Int(letter.value) - 65
        if values[index] != Self.absent, values[index] != value { return false }
        values[index] = value
        return true
    }

    private mutating func small(_ letter: Unicode.Scalar, _ count: Int, _ reserved: Int, _ range: ClosedRange<Int>) -> Bool {
        store(letter, count == 1 ? digits(1, 19, reserved: reserved) : digits(count, count), range)
    }

    /// The index of the name that stands here.
    private mutating func name(_ names: [[UInt8]], _ count: Int) -> Int? {
        for (i, full) in names.enumerated() where match(full.prefix(count == 4 ? full.count : count == 5 ? 1 : 3)) { return i }
        return nil
    }

    private mutating func year(_ letter: Unicode.Scalar, _ count: Int, _ reserved: Int) -> Bool {
        if count == 2 { return store(letter, digits(2, 2).map { 2000 + $0 }, 2000...2099) }
        var isNegative = false, isSigned = false
        if at < end, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") {
            isNegative = bytes[at] == UInt8(ascii: "-")
            if !isNegative, count < 4 { return false }
            isSigned = true
            at += 1
        }
        // With four letters or more, more digits than letters need a sign.
        guard let value = digits(count, count >= 4 && !isSigned ? count : 19, reserved: reserved) else { return false }
        // A year of an era is at least 1.
        return store(letter, isNegative ? -value : value, (letter == "y" ? 1 : -999_999_999)...999_999_999)
    }

    private mutating func field(_ letter: UInt8, _ count: Int, _ reserved: Int) -> Bool {
        switch Unicode.Scalar(letter) {
        case "y": return year("y", count, reserved)
        case "u": return year("u", count, reserved)
        case "Y": return year("Y", count, reserved)
        case "M", "L":
            return count <= 2 ? small("M", count, reserved, 1...12) : store("M", name(DateTimePattern.months, count).map { $0 + 1 }, 1...12)
        case "d": return small("d", count, reserved, 1...31)
        case "H": return small("H", count, reserved, 0...24)
        case "m": return small("m", count, reserved, 0...59)
        case "s": return small("s", count, reserved, 0...59)
        case "S":
            guard var nanos = digits(count, count) else { return false }
            for _ in count..<9 { nanos *= 10 }
            return store("S", nanos, 0...999_999_999)
        case "G":
            let names = count == 4 ? ["Before Christ", "Anno Domini"] : count == 5 ? ["B", "A"] : ["BC", "AD"]
            for (i, text) in names.enumerated() where match(text) { return store("G", i, 0...1) }
            return false
        case "D": return store("D", count == 1 ? digits(1, 19, reserved: reserved) : digits(count, 3, reserved: reserved), 1...366)
        case "Q", "q":
            if count <= 2 { return small("Q", count, reserved, 0...Int.max) }
            if count == 3 { return match("Q") && store("Q", digits(1, 1), 1...4) }
            if count == 5 { return store("Q", digits(1, 1), 1...4) }
            for (i, text) in ["1st", "2nd", "3rd", "4th"].enumerated() where match("\(text) quarter") { return store("Q", i + 1, 1...4) }
            return false
        case "w": return small("w", count, reserved, 1...53)
        case "W": return small("W", count, reserved, 0...6)
        case "E", "e", "c":
            if letter != UInt8(ascii: "E"), count <= 2 {
                // Sunday 1.
                guard let number = count == 1 ? digits(1, 19, reserved: reserved) : digits(2, 2) else { return false }
                return (1...7).contains(number) && store("E", number == 1 ? 7 : number - 1, 1...7)
            }
            return store("E", name(DateTimePattern.weekdays, count).map { $0 + 1 }, 1...7)
        case "a":
            if match("AM") { return store("a", 0, 0...1) }
            return match("PM") && store("a", 1, 0...1)
        case "h": return small("h", count, reserved, 0...12)
        case "K": return small("K", count, reserved, 0...11)
        case "k": return small("k", count, reserved, 0...24)
        case "A": return store("A", digits(count, 19, reserved: reserved), 0...86_399_999)
        case "n": return store("n", digits(count, 19, reserved: reserved), 0...999_999_999)
        case "N": return store("N", digits(count, 19, reserved: reserved), 0...86_399_999_999_999)
        case "X": return match("Z") ? setOffset(0) : readOffset(style: count)
        case "x": return readOffset(style: count)
        case "Z":
            if count <= 3 { return readOffset(style: 2) }
            if count == 4 { return localizedOffset() }
            return match("Z") ? setOffset(0) : readOffset(style: 5)
        case "O": return localizedOffset()
        // Parts of the day alone decide nothing.
        case "B": return ["midnight", "noon", "in the morning", "in the afternoon", "in the evening", "at night"].contains { match($0) }
        default: return zoneName()
        }
    }

    // MARK: zones

    private mutating func setOffset(_ seconds: Int) -> Bool {
        offset = seconds
        return true
    }

    private mutating func readOffset(style: Int) -> Bool {
        guard at < end, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return false }
        let sign = bytes[at] == UInt8(ascii: "-") ? -1 : 1
        at += 1
        guard let hours = digits(2, 2), hours <= 18 else { return false }
        var seconds = hours * 3600
        let hasColon = style == 3 || style == 5
        func hasMore(_ parser: DateTimeParser) -> Bool {
            guard parser.at < parser.end else { return false }
            return hasColon ? parser.bytes[parser.at] == UInt8(ascii: ":") : parser.bytes[parser.at] >= 0x30 && parser.bytes[parser.at] <= 0x39
        }
        if style > 1 || hasMore(self) {
            if hasColon, !match(":") { return false }
            guard let minutes = digits(2, 2), minutes < 60 else { return false }
            seconds += minutes * 60
        }
        if style > 3, hasMore(self) {
            if hasColon, !match(":") { return false }
            guard let rest = digits(2, 2), rest < 60 else { return false }
            seconds += rest
        }
        return setOffset(sign * seconds)
    }

    private mutating func localizedOffset() -> Bool {
        guard match("GMT") else { return false }
        guard at < end, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return setOffset(0) }
        let sign = bytes[at] == UInt8(ascii: "-") ? -1 : 1
        at += 1
        guard let hours = digits(1, 2), hours <= 18 else { return false }
        var seconds = hours * 3600
        if match(":") {
            guard let minutes = digits(2, 2), minutes < 60 else { return false }
            seconds += minutes * 60
        }
        return setOffset(sign * seconds)
    }

    /// A zone's id, or one of the usual abbreviations.
    private mutating func zoneName() -> Bool {
        var stop = at
        while stop < end, (bytes[stop] | 0x20 >= 0x61 && bytes[stop] | 0x20 <= 0x7a) || (bytes[stop] >= 0x30 && bytes[stop] <= 0x39) || "/_+-:".utf8.contains(bytes[stop]) {
            stop += 1
        }
        while stop > at {
            let id = String(decoding: bytes[at..<stop], as: UTF8.self)
            if let known = Self.abbreviations[id.uppercased()] {
                (offset, at) = (known, stop)
                return true
            }
            if let zone = try? TimeZoneRules.named(id) {
                (self.zone, at) = (zone, stop)
                return true
            }
            stop -= 1
        }
        return false
    }

    /// Abbreviations name an offset, not a region: hours × 3600 (+ minutes).
    private static let abbreviations: [String: Int] = [
        "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 3600, "BST": 3600, "CET": 3600, "CEST": 7200, "EET": 7200, "EEST": 10_800, "MSK": 10_800,
        "IST": 19_800, "JST": 32_400, "KST": 32_400, "AEST": 36_000, "AEDT": 39_600, "NZST": 43_200, "NZDT": 46_800, "EST": -18_000,
        "EDT": -14_400, "CST": -21_600, "CDT": -18_000, "MST": -25_200, "MDT": -21_600, "PST": -28_800, "PDT": -25_200,
    ]
}
