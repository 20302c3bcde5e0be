import MartletCore

/// A pattern as PARSE_DATE reads it: that of Java's `SimpleDateFormat`, which is lenient. Numbers may have fewer or more digits than letters,
/// a month 13 is the next year's first, and text may follow the date (conformance cases, null, "coalesce - with parse_date").
///
/// Letters: G, y (and Y), M (and L), d, D, E, u, a, H, k, K, h, m, s, S, z, Z, X. Weeks (w, W, F) are not read.
struct LenientDatePattern: Sendable {
    private enum Element: Sendable {
        case literal([UInt8])
        /// `isExact`: a field follows at once, so that a number has as many digits as there are letters.
        case field(UInt8, count: Int, isExact: Bool)
    }

    private var elements: [Element] = []

    init(_ pattern: String) throws(KernelFailure) {
        let scalars = Array(pattern.unicodeScalars)
        var at = 0
        func isLetter(_ scalar: Unicode.Scalar) -> Bool { (0x61...0x7a).contains(scalar.value | 0x20) && scalar.value < 0x80 }
        func add(_ elements: inout [Element], _ text: [UInt8]) {
            if case .literal(let before)? = elements.last { elements[elements.count - 1] = .literal(before + text) } else { elements.append(.literal(text)) }
        }
        while at < scalars.count {
            let scalar = scalars[at]
            if scalar == "'" {
                guard let (text, end) = quotedText(scalars, at) else { throw KernelFailure("Unterminated quote in pattern \(pattern)") }
                add(&elements, text)
                at = end + 1
            } else if isLetter(scalar) {
                guard "GyYMLdDEuaHkKhmsSzZX".unicodeScalars.contains(scalar) else { throw KernelFailure("Illegal pattern character '\(scalar)' in \(pattern)") }
                var count = 1
                while at + count < scalars.count, scalars[at + count] == scalar { count += 1 }
                at += count
                let isExact = at < scalars.count && isLetter(scalars[at])
                elements.append(.field(UInt8(scalar.value), count: count, isExact: isExact))
            } else {
                add(&elements, Array(String(scalar).utf8))
                at += 1
            }
        }
    }

    /// Days since the epoch. `nowYear`: two digits of a year mean one of the hundred years that began eighty years before it.
    ///
    /// - Throws: if the text does not follow the pattern, or says a time other than midnight UTC.
    func date(_ text: ArraySlice<UInt8>, nowYear: Int) throws(KernelFailure) -> Int32 {
        var reader = Reader(bytes: Array(text), nowYear: nowYear)
        for element in elements {
            let isRead =
                switch element {
                case .literal(let bytes): reader.literal(bytes)
                case .field(let letter, let count, let isExact): reader.field(letter, count, isExact: isExact)
                }
            if !isRead { throw KernelFailure("Unparseable date: \"\(String(decoding: text, as: UTF8.self))\"") }
        }
        // A pattern and a text without anything say nothing.
        if reader.at == 0 { throw KernelFailure("Unparseable date: \"\(String(decoding: text, as: UTF8.self))\"") }
        return try reader.days()
    }

    private struct Reader {
        let bytes: [UInt8]
        let nowYear: Int
        var at = 0
        private var year = 1970, month = 1, day = 1, dayOfYear: Int?, weekday: Int?, hasDay = false, isBefore = false
        private var ms = 0, half: Int?, halfHour: Int?, offset = 0

        init(bytes: [UInt8], nowYear: Int) {
            self.bytes = bytes
            self.nowYear = nowYear
        }

        func days() throws(KernelFailure) -> Int32 {
            let months = (isBefore ? 1 - year : year) * 12 + month - 1
            guard months.magnitude < 12_000_000_000 else { throw KernelFailure("the year is out of range") }
            let civilYear = CivilDate.floorDiv(months, 12), civilMonth = CivilDate.floorMod(months, 12) + 1
            var days = CivilDate.days(year: civilYear, month: civilMonth, day: 1)
            if let dayOfYear {
                days = CivilDate.days(year: civilYear, month: 1, day: 1) + dayOfYear - 1
            } else if !hasDay, let weekday {
                // A day of the week alone is the month's first such day.
                days += CivilDate.floorMod(weekday - CivilDate.weekday(days: days), 7)
            } else {
                days += day - 1
            }
            let time = ms + (halfHour ?? 0) * 3_600_000 + (half ?? 0) * 43_200_000 - offset * 1000
            guard time % 86_400_000 == 0 else { throw KernelFailure("Date format contains time field.") }
            return Int32(clamping: days + time / 86_400_000)
        }

        mutating func literal(_ text: [UInt8]) -> Bool {
            guard bytes[at...].starts(with: text) else { return false }
            at += text.count
            return true
        }

        private mutating func number(upTo limit: Int?) -> Int? {
            let end = limit ?? bytes.count
            guard end <= bytes.count else { return nil }
            var i = at
            let isNegative = i < end && bytes[i] == UInt8(ascii: "-")
            if isNegative { i += 1 }
            let first = i
            var value = 0
            while i < end, bytes[i] >= 0x30, bytes[i] <= 0x39 {
                if i - first >= 12 { return nil }
                value = value * 10 + Int(bytes[i] - 0x30)
                i += 1
            }
            guard i > first else { return nil }
            at = i
            return isNegative ? -value : value
        }

        private mutating func name(_ names: [[UInt8]]) -> Int? {
            func stands(_ name: some Collection<UInt8>) -> Bool {
                guard at + name.count <= bytes.count else { return false }
                return zip(bytes[at...], name).allSatisfy { $0 | 0x20 == $1 | 0x20 }
            }
            for (i, full) in names.enumerated() where stands(full) {
                at += full.count
                return i
            }
            for (i, full) in names.enumerated() where stands(full.prefix(3)) {
                at += 3
                return i
            }
            return nil
        }

        mutating func field(_ letter: UInt8, _ count: Int, isExact: Bool) -> Bool {
            let limit = isExact ? at + count : nil
            while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 { at += 1 }
            switch Unicode.Scalar(letter) {
            case "G":
                guard let era = name([Array("BC".utf8), Array("AD".utf8)]) else { return false }
                isBefore = era == 0
            case "y", "Y":
                let start = at
                guard var value = number(upTo: limit) else { return false }
                if count <= 2, at - start == 2, value >= 0 {
                    let first = nowYear - 80
                    value += first / 100 * 100 + (value < first % 100 ? 100 : 0)
                }
                year = value
            case "M", "L":
                if count > 2 {
                    guard let index = name(DateTimePattern.months) else { return false }
                    month = index + 1
                } else {
                    guard let value = number(upTo: limit) else { return false }
                    month = value
                }
            case "E":
                guard let index = name(DateTimePattern.weekdays) else { return false }
                weekday = index + 1
            case "a":
                guard let index = name([Array("AM".utf8), Array("PM".utf8)]) else { return false }
                half = index
            case "z", "Z", "X": return zone()
            default:
                guard let value = number(upTo: limit) else { return false }
                switch Unicode.Scalar(letter) {
                case "d": (day, hasDay, dayOfYear) = (value, true, nil)
                case "D": dayOfYear = value
                case "H": ms += value * 3_600_000
                case "k": ms += (value == 24 ? 0 : value) * 3_600_000
                case "K": halfHour = value
                case "h": halfHour = value == 12 ? 0 : value
                case "m": ms += value * 60_000
                case "s": ms += value * 1000
                case "S": ms += value
                default: break
                }
            }
            return true
        }

        /// `Z`, `GMT`, `UTC`, `±hh`, `±hhmm`, `±hh:mm`, also behind `GMT`.
        private mutating func zone() -> Bool {
            let rest = bytes[at...]
            for word in ["GMT", "UTC", "Z"] where rest.starts(with: word.utf8) {
                at += word.utf8.count
                guard at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return true }
                break
            }
            guard at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") else { return false }
            let sign = bytes[at] == UInt8(ascii: "-") ? -1 : 1
            at += 1
            guard at + 2 <= bytes.count, let hours = number(upTo: at + 2) else { return false }
            if at < bytes.count, bytes[at] == UInt8(ascii: ":") { at += 1 }
            let minutes = at + 2 <= bytes.count ? number(upTo: at + 2) ?? 0 : 0
            offset = sign * (hours * 3600 + minutes * 60)
            return true
        }
    }
}
