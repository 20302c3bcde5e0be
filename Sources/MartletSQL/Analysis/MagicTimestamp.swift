import MartletCore

/// Text literals compared with ROWTIME, WINDOWSTART or WINDOWEND: ISO date-times, complete or cut off anywhere (ksqlDB, "Time and windows").
///
/// `2020` · `2020-02` · `2020-02-10` · `2020-02-10T08` · `…:31` · `…:44` · `….001`, then an optional zone: `Z`, `+0445`, `+04:45`. Without zone: UTC.
enum MagicTimestamp {
    /// Milliseconds since the epoch; nil if the text is not of that form or no such date exists.
    static func milliseconds(_ text: String) -> Int64? {
        var scanner = Scanner(bytes: Array(text.utf8))
        guard let year = scanner.digits(4) else { return nil }
        var month = 1, day = 1, hour = 0, minute = 0, second = 0, milli = 0
        if scanner.take("-") {
            guard let value = scanner.digits(1, 2) else { return nil }
            month = value
            if scanner.take("-") {
                guard let value = scanner.digits(1, 2) else { return nil }
                day = value
            }
        }
        if scanner.take("T") || scanner.take(" ") {
            if let value = scanner.digits(1, 2) {
                hour = value
                if scanner.take(":") {
                    guard let value = scanner.digits(1, 2) else { return nil }
                    minute = value
                    if scanner.take(":") {
                        guard let value = scanner.digits(1, 2) else { return nil }
                        second = value
                        if scanner.take(".") {
                            guard let value = scanner.fraction() else { return nil }
                            milli = value
                        }
                    }
                }
            }
        }
        guard let zoneMinutes = scanner.zone(), scanner.isAtEnd, let days = Self.days(year: year, month: month, day: day) else { return nil }
        guard hour < 24, minute < 60, second < 60 else { return nil }
        let minutes = Int64(days) * 1440 + Int64(hour * 60 + minute - zoneMinutes)
        return (minutes * 60 + Int64(second)) * 1000 + Int64(milli)
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar; nil if there is no such day.
    static func days(year: Int, month: Int, day: Int) -> Int? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
        // Counting years from March puts the leap day last.
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private struct Scanner {
        var bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func digits(_ least: Int, _ most: Int? = nil) -> Int? {
            var value = 0, count = 0
            while count < most ?? least, position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
                value = value * 10 + Int(bytes[position] - 0x30)
                position += 1
                count += 1
            }
            return count >= least ? value : nil
        }

        /// One to nine digits after the point, as milliseconds.
        mutating func fraction() -> Int? {
            let start = position
            guard let _ = digits(1, 9) else { return nil }
            var value = 0
            for i in 0..<3 { value = value * 10 + (start + i < position ? Int(bytes[start + i] - 0x30) : 0) }
            return value
        }

        /// Minutes east of Greenwich; 0 if there is no zone, nil if there is something else.
        mutating func zone() -> Int? {
            if isAtEnd { return 0 }
            if take("Z") || take("z") { return 0 }
            let isWest = position < bytes.count && bytes[position] == UInt8(ascii: "-")
            guard take("+") || take("-"), let hours = digits(2) else { return nil }
            var minutes = 0
            if !isAtEnd {
                _ = take(":")
                guard let value = digits(2) else { return nil }
                minutes = value
            }
            guard hours <= 18, minutes < 60 else { return nil }
            return (isWest ? -1 : 1) * (hours * 60 + minutes)
        }
    }
}
