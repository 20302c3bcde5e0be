import MartletCore

/// Parsing: letters in any case; a part that the pattern lacks is that of 1970-01-01T00:00. As Java's SMART resolver has it, day 31 of a short
/// month is its last day and 24:00 the next day's midnight, while values out of range and contradictions (a wrong day of the week) fail.
extension DateTimePattern {
    /// Milliseconds since the epoch; `zone` holds where the text has none.
    func timestamp(_ text: String, zone: TimeZoneRules) throws(KernelFailure) -> Int64 {
        let parsed = try parse(text)
        let (ms, extraDays) = try parsed.timeOfDay()
        let local = Int64(try parsed.days() + extraDays) * 86_400_000 + Int64(ms)
        if let offset = parsed.offset { return local - Int64(offset) * 1000 }
        return (parsed.zone ?? zone).instant(local: local)
    }

    /// Days since the epoch. With `prefix`, text may follow the date.
    func date(_ text: String, prefix: Bool = false) throws(KernelFailure) -> Int32 { Int32(clamping: try parse(text, prefix: prefix).days()) }

    /// Milliseconds of the day.
    func time(_ text: String) throws(KernelFailure) -> Int32 { Int32(try parse(text).timeOfDay().ms) }

    private func parse(_ text: String, prefix: Bool = false) throws(KernelFailure) -> Parsed {
        var state = ParseState(bytes: Array(text.utf8))
        guard state.run(elements[...]), prefix || state.at == state.bytes.count else {
            throw KernelFailure("Text '\(text)' could not be parsed at index \(state.furthest)")
        }
        return state.parsed
    }

    /// What the fields of a text say.
    private struct Parsed {
        var values: [Unicode.Scalar: Int] = [:]
        var nanos: Int?
        var offset: Int?
        var zone: TimeZoneRules?
        /// Monday 1.
        var weekday: Int?

        func days() throws(KernelFailure) -> Int {
            let days = try resolvedDays()
            if let weekday, CivilDate.weekday(days: days) != weekday { throw KernelFailure("the day of the week is not that of the date") }
            if let quarter = values["Q"], (CivilDate.civil(days: days).month + 2) / 3 != quarter {
                throw KernelFailure("the quarter is not that of the date")
            }
            return days
        }

        private func resolvedDays() throws(KernelFailure) -> Int {
            if let weekYear = values["Y"], let week = values["w"] {
                return DateTimePattern.firstWeek(weekYear) + (week - 1) * 7 + (weekday.map { $0 % 7 } ?? 0)
            }
            let year = values["u"] ?? values["y"].map { values["G"] == 0 ? 1 - $0 : $0 } ?? 1970
            if let dayOfYear = values["D"] {
                guard dayOfYear <= (CivilDate.isLeap(year) ? 366 : 365) else { throw KernelFailure("the year has no day \(dayOfYear)") }
                return CivilDate.days(year: year, month: 1, day: 1) + dayOfYear - 1
            }
            let month = values["M"] ?? values["Q"].map { $0 * 3 - 2 } ?? 1
            return CivilDate.days(year: year, month: month, day: min(values["d"] ?? 1, CivilDate.daysInMonth(year, month)))
        }

        func timeOfDay() throws(KernelFailure) -> (ms: Int, extraDays: Int) {
            if let ms = values["A"] { return (ms, 0) }
            if let nanos = values["N"] { return (nanos / 1_000_000, 0) }
            var hour = values["H"] ?? values["k"].map { $0 % 24 } ?? 0
            if values["H"] == nil, values["k"] == nil {
                if let half = values["h"].map({ $0 % 12 }) ?? values["K"] { hour = half + 12 * (values["a"] ?? 0) }
            } else if let half = values["a"], (hour % 24) / 12 != half {
                throw KernelFailure("AM or PM contradicts the hour")
            }
            let ms = hour * 3_600_000 + (values["m"] ?? 0) * 60_000 + (values["s"] ?? 0) * 1000 + (nanos ?? values["n"] ?? 0) / 1_000_000
            if hour == 24 {
                guard ms == 86_400_000 else { throw KernelFailure("hour 24 has no minutes") }
                return (0, 1)
            }
            return (ms, 0)
        }
    }

    private struct ParseState {
        let bytes: [UInt8]
        var at = 0
        var furthest = 0
        var parsed = Parsed()

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func run(_ elements: ArraySlice<Element>) -> Bool {
            for i in elements.indices {
                let done: Bool
                switch elements[i] {
                case .literal(let text): done = match(text)
                case .field(let letter, let count): done = field(letter, count, reserved: reservedDigits(elements[(i + 1)...]))
                case .optional(let inner):
                    let before = (at, parsed)
                    if !run(inner[...]) { (at, parsed) = before }
                    done = true
                }
                if !done { return false }
                furthest = max(furthest, at)
            }
            return true
        }

        private func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte }

        private mutating func match(_ text: [UInt8]) -> Bool {
            guard at + text.count <= bytes.count else { return false }
            for (i, byte) in text.enumerated() where lower(bytes[at + i]) != lower(byte) { return false }
            at += text.count
            return true
        }

        /// Digits that the numbers right behind a number need: `yyyyMMdd` leaves four for month and day.
        private func reservedDigits(_ elements: ArraySlice<Element>) -> Int {
            var total = 0
            for element in elements {
                guard case .field(let letter, let count) = element else { break }
                switch letter {
                case "S": total += count
                case "M", "L", "Q", "q", "e", "c":
                    guard count == 2 else { return total }
                    total += 2
                case "d", "h", "K", "k", "H", "m", "s", "w", "D":
                    guard count > 1 else { return total }
                    total += count
                default: return total
                }
            }
            return total
        }

        /// A number of `least` to `most` digits, as many as there are but for those reserved.
        private mutating func digits(_ least: Int, _ most: Int, reserved: Int = 0) -> Int? {
            var end = at
            while end < bytes.count, end - at < 19, bytes[end] >= 0x30, bytes[end] <= 0x39 { end += 1 }
            let count = min(most, max(least, end - at - reserved))
            guard count >= max(1, least), at + count <= end else { return nil }
            let value = Int(String(decoding: bytes[at..<at + count], as: UTF8.self))
            if value != nil { at += count }
            return value
        }

        private mutating func store(_ letter: Unicode.Scalar, _ value: Int?, _ range: ClosedRange<Int>) -> Bool {
            guard let value, range.contains(value) else { return false }
            if let before = parsed.values[letter], before != value { return false }
            parsed.values[letter] = value
            return true
        }

        private mutating func small(_ letter: Unicode.Scalar, _ count: Int, _ reserved: Int, _ range: ClosedRange<Int>) -> Bool {
            store(letter, count == 1 ? digits(1, 19, reserved: reserved) : digits(count, count), range)
        }

        /// The index of the name that stands here.
        private mutating func name(_ names: [String], _ count: Int) -> Int? {
            for (i, full) in names.enumerated() {
                let wanted = count == 4 ? full : count == 5 ? String(full.prefix(1)) : String(full.prefix(3))
                if match(Array(wanted.utf8)) { return i }
            }
            return nil
        }

        private mutating func year(_ letter: Unicode.Scalar, _ count: Int, _ reserved: Int) -> Bool {
            if count == 2 { return store(letter, digits(2, 2).map { 2000 + $0 }, 2000...2099) }
            var negative = false, signed = false
            if at < bytes.count, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") {
                negative = bytes[at] == UInt8(ascii: "-")
                if !negative, count < 4 { return false }
                signed = true
                at += 1
            }
            // With four letters or more, more digits than letters need a sign.
            guard let value = digits(count, count >= 4 && !signed ? count : 19, reserved: reserved) else { return false }
            return store(letter, negative ? -value : value, -999_999_999...999_999_999)
        }

        private mutating func field(_ letter: Unicode.Scalar, _ count: Int, reserved: Int) -> Bool {
            switch letter {
            case "G":
                let names = count == 4 ? ["Before Christ", "Anno Domini"] : count == 5 ? ["B", "A"] : ["BC", "AD"]
                for (i, text) in names.enumerated() where match(Array(text.utf8)) { return store("G", i, 0...1) }
                return false
            case "u", "y", "Y": return year(letter, count, reserved)
            case "M", "L":
                return count <= 2 ? small("M", count, reserved, 1...12) : store("M", name(DateTimePattern.months, count).map { $0 + 1 }, 1...12)
            case "D":
                return store("D", count == 1 ? digits(1, 19, reserved: reserved) : digits(count, count == 2 ? 3 : 3, reserved: reserved), 1...366)
            case "d": return small("d", count, reserved, 1...31)
            case "Q", "q":
                if count <= 2 { return small("Q", count, reserved, 1...4) }
                if count == 3 { return match(Array("Q".utf8)) && store("Q", digits(1, 1), 1...4) }
                if count == 5 { return store("Q", digits(1, 1), 1...4) }
                for (i, text) in ["1st", "2nd", "3rd", "4th"].enumerated() where match(Array("\(text) quarter".utf8)) { return store("Q", i + 1, 1...4) }
                return false
            case "w": return small("w", count, reserved, 1...53)
            case "W": return small("W", count, reserved, 0...6)
            case "E", "e", "c":
                if letter != "E", count <= 2 {
                    // Sunday 1.
                    guard let number = count == 1 ? digits(1, 19, reserved: reserved) : digits(2, 2), (1...7).contains(number) else { return false }
                    parsed.weekday = number == 1 ? 7 : number - 1
                    return true
                }
                guard let i = name(DateTimePattern.weekdays, count) else { return false }
                parsed.weekday = i + 1
                return true
            case "a":
                if match(Array("AM".utf8)) { return store("a", 0, 0...1) }
                return match(Array("PM".utf8)) && store("a", 1, 0...1)
            case "h": return small("h", count, reserved, 1...12)
            case "K": return small("K", count, reserved, 0...11)
            case "k": return small("k", count, reserved, 1...24)
            case "H": return small("H", count, reserved, 0...24)
            case "m": return small("m", count, reserved, 0...59)
            case "s": return small("s", count, reserved, 0...59)
            case "S":
                guard let value = digits(count, count) else { return false }
                var nanos = value
                for _ in count..<9 { nanos *= 10 }
                parsed.nanos = nanos
                return true
            case "A": return store("A", digits(count, 19, reserved: reserved), 0...86_399_999)
            case "n": return store("n", digits(count, 19, reserved: reserved), 0...999_999_999)
            case "N": return store("N", digits(count, 19, reserved: reserved), 0...86_399_999_999_999)
            case "X": return match([0x5a]) ? setOffset(0) : offset(style: count)
            case "x": return offset(style: count)
            case "Z":
                if count <= 3 { return offset(style: 2) }
                if count == 4 { return localizedOffset() }
                return match([0x5a]) ? setOffset(0) : offset(style: 5)
            case "O": return localizedOffset()
            default: return zoneName()
            }
        }

        private mutating func setOffset(_ seconds: Int) -> Bool {
            parsed.offset = seconds
            return true
        }

        private mutating func offset(style: Int) -> Bool {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return false }
            let sign = bytes[at] == UInt8(ascii: "-") ? -1 : 1
            at += 1
            guard let hours = digits(2, 2), hours <= 18 else { return false }
            var seconds = hours * 3600
            let colon = style == 3 || style == 5
            func more() -> Bool { at < bytes.count && (colon ? bytes[at] == UInt8(ascii: ":") : bytes[at] >= 0x30 && bytes[at] <= 0x39) }
            if style > 1 || more() {
                if colon, !match([UInt8(ascii: ":")]) { return false }
                guard let minutes = digits(2, 2), minutes < 60 else { return false }
                seconds += minutes * 60
            }
            if style > 3, more() {
                if colon, !match([UInt8(ascii: ":")]) { return false }
                guard let rest = digits(2, 2), rest < 60 else { return false }
                seconds += rest
            }
            return setOffset(sign * seconds)
        }

        private mutating func localizedOffset() -> Bool {
            guard match(Array("GMT".utf8)) else { return false }
            guard at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return setOffset(0) }
            let sign = bytes[at] == UInt8(ascii: "-") ? -1 : 1
            at += 1
            guard let hours = digits(1, 2), hours <= 18 else { return false }
            var seconds = hours * 3600
            if match([UInt8(ascii: ":")]) {
                guard let minutes = digits(2, 2), minutes < 60 else { return false }
                seconds += minutes * 60
            }
            return setOffset(sign * seconds)
        }

        /// A zone's id, or one of the usual abbreviations.
        private mutating func zoneName() -> Bool {
            var end = at
            while end < bytes.count, (lower(bytes[end]) >= 0x61 && lower(bytes[end]) <= 0x7a) || (bytes[end] >= 0x30 && bytes[end] <= 0x39) || "/_+-:".utf8.contains(bytes[end]) { end += 1 }
            while end > at {
                let id = String(decoding: bytes[at..<end], as: UTF8.self)
                if let known = Self.abbreviations[id.uppercased()] {
                    (parsed.offset, at) = (known, end)
                    return true
                }
                if let zone = try? TimeZoneRules.named(id) {
                    (parsed.zone, at) = (zone, end)
                    return true
                }
                end -= 1
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
}
