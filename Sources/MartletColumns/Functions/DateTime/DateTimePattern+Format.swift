import MartletCore

extension DateTimePattern {
    func append(timestamp: Int64, zone: TimeZoneRules, to out: inout ByteWriter) throws(KernelFailure) {
        let period = zone.period(at: Int64(CivilDate.floorDiv(Int(timestamp), 1000)))
        let local = Int(timestamp) + period.offset * 1000
        let days = CivilDate.floorDiv(local, 86_400_000)
        try Formatter(days: days, ms: local - days * 86_400_000, parts: .timestamp, zone: zone, period: period).append(elements, to: &out)
    }

    func append(date days: Int32, to out: inout ByteWriter) throws(KernelFailure) {
        try Formatter(days: Int(days), ms: 0, parts: .date, zone: .utc, period: nil).append(elements, to: &out)
    }

    func append(time ms: Int32, to out: inout ByteWriter) throws(KernelFailure) {
        try Formatter(days: 0, ms: Int(ms), parts: .time, zone: .utc, period: nil).append(elements, to: &out)
    }

    func format(timestamp: Int64, zone: TimeZoneRules) throws(KernelFailure) -> String {
        var out = ByteWriter(capacity: 64)
        try append(timestamp: timestamp, zone: zone, to: &out)
        return String(decoding: UnsafeBufferPointer(start: out.base, count: out.count), as: UTF8.self)
    }

    private struct Formatter {
        let days: Int
        let ms: Int
        let parts: Parts
        let zone: TimeZoneRules
        /// Nil for values without a zone.
        let period: TimeZoneRules.Period?
        let civil: (year: Int, month: Int, day: Int)

        init(days: Int, ms: Int, parts: Parts, zone: TimeZoneRules, period: TimeZoneRules.Period?) {
            (self.days, self.ms, self.parts, self.zone, self.period) = (days, ms, parts, zone, period)
            civil = parts == .time ? (1970, 1, 1) : CivilDate.civil(days: days)
        }

        func append(_ elements: [Element], to out: inout ByteWriter) throws(KernelFailure) {
            for element in elements {
                switch element {
                case .literal(let bytes):
                    if bytes.count == 1 { out.append(bytes[0]) } else { out.append(bytes) }
                case .field(let letter, let count, _): try append(letter, count, to: &out)
                case .optional(let inner):
                    let before = out.count
                    do {
                        try append(inner, to: &out)
                    } catch {
                        out.count = before
                    }
                }
            }
        }

        // MARK: shapes

        /// At least `width` digits.
        private func digits(_ value: Int, _ width: Int, to out: inout ByteWriter) {
            var divisor = 1, count = 1
            while value / divisor >= 10 || count < width {
                // More zeros than any number has digits.
                if count >= 19 { break }
                divisor *= 10
                count += 1
            }
            for _ in count..<max(count, width) { out.append(0x30) }
            var rest = value
            while divisor > 0 {
                out.append(0x30 + UInt8(truncatingIfNeeded: rest / divisor))
                rest %= divisor
                divisor /= 10
            }
        }

        private func number(_ value: Int, _ count: Int, to out: inout ByteWriter) throws(KernelFailure) {
            if count == 2, value < 100 {
                out.append(0x30 + UInt8(truncatingIfNeeded: value / 10))
                out.append(0x30 + UInt8(truncatingIfNeeded: value % 10))
                return
            }
            let before = out.count
            digits(value, count, to: &out)
            if count > 1, out.count - before > count { throw KernelFailure("\(value) has more than \(count) digits") }
        }

        private func year(_ value: Int, _ count: Int, to out: inout ByteWriter) {
            if count == 4, value >= 0, value < 10_000 {
                let (high, low) = (value / 100, value % 100)
                out.append(0x30 + UInt8(truncatingIfNeeded: high / 10))
                out.append(0x30 + UInt8(truncatingIfNeeded: high % 10))
                out.append(0x30 + UInt8(truncatingIfNeeded: low / 10))
                return out.append(0x30 + UInt8(truncatingIfNeeded: low % 10))
            }
            if count == 2 { return digits(CivilDate.floorMod(value, 100), 2, to: &out) }
            if value < 0 {
                out.append(UInt8(ascii: "-"))
            } else if count >= 4, count < 19, value >= Self.powers[count] {
                out.append(UInt8(ascii: "+"))
            }
            digits(abs(value), count, to: &out)
        }

        private static let powers: [Int] = (0..<19).map { exponent in (0..<exponent).reduce(1) { power, _ in power * 10 } }

        private func name(_ text: [UInt8], _ count: Int, to out: inout ByteWriter) {
            if count == 4 { return out.append(text) }
            for byte in text.prefix(count == 5 ? 1 : 3) { out.append(byte) }
        }

        private func append(_ text: String, to out: inout ByteWriter) { out.append(text: text) }

        // MARK: fields

        private func append(_ letter: UInt8, _ count: Int, to out: inout ByteWriter) throws(KernelFailure) {
            switch Unicode.Scalar(letter) {
            case "G", "u", "y", "Y", "D", "M", "L", "d", "Q", "q", "w", "W", "E", "e", "c":
                if parts == .time { throw KernelFailure("Unsupported field in a TIME: \(Unicode.Scalar(letter))") }
                try appendDate(letter, count, to: &out)
            case "V", "z", "O", "X", "x", "Z":
                guard let period else { throw KernelFailure("Unsupported field in a value without a zone: \(Unicode.Scalar(letter))") }
                appendZone(letter, count, period, to: &out)
            default:
                if parts == .date { throw KernelFailure("Unsupported field in a DATE: \(Unicode.Scalar(letter))") }
                try appendTime(letter, count, to: &out)
            }
        }

        private func appendDate(_ letter: UInt8, _ count: Int, to out: inout ByteWriter) throws(KernelFailure) {
            let (civilYear, month, day) = civil
            switch Unicode.Scalar(letter) {
            case "y": year(civilYear > 0 ? civilYear : 1 - civilYear, count, to: &out)
            case "u": year(civilYear, count, to: &out)
            case "M", "L":
                if count <= 2 { try number(month, count, to: &out) } else { name(DateTimePattern.months[month - 1], count, to: &out) }
            case "d": try number(day, count, to: &out)
            case "G":
                append(
                    count == 4 ? (civilYear > 0 ? "Anno Domini" : "Before Christ") : count == 5 ? (civilYear > 0 ? "A" : "B") : civilYear > 0 ? "AD" : "BC",
                    to: &out)
            case "Y": year(DateTimePattern.week(days: days).year, count, to: &out)
            case "w": try number(DateTimePattern.week(days: days).week, count, to: &out)
            case "W":
                let first = days - day + 1
                digits((day - 1 + CivilDate.weekday(days: first) % 7) / 7 + 1, 1, to: &out)
            case "D": try number(days - CivilDate.days(year: civilYear, month: 1, day: 1) + 1, count, to: &out)
            case "Q", "q":
                let quarter = (month + 2) / 3
                if count <= 2 { return try number(quarter, count, to: &out) }
                append(count == 3 ? "Q\(quarter)" : count == 4 ? ["1st", "2nd", "3rd", "4th"][quarter - 1] + " quarter" : "\(quarter)", to: &out)
            default:
                let weekday = CivilDate.weekday(days: days)
                if letter != UInt8(ascii: "E"), count <= 2 { return try number(weekday % 7 + 1, count, to: &out) }
                name(DateTimePattern.weekdays[weekday - 1], count, to: &out)
            }
        }

        private func appendTime(_ letter: UInt8, _ count: Int, to out: inout ByteWriter) throws(KernelFailure) {
            let hour = ms / 3_600_000
            switch Unicode.Scalar(letter) {
            case "H": try number(hour, count, to: &out)
            case "m": try number(ms / 60_000 % 60, count, to: &out)
            case "s": try number(ms / 1000 % 60, count, to: &out)
            case "S":
                let fraction = ms % 1000
                for i in 0..<count {
                    let digit = i == 0 ? fraction / 100 : i == 1 ? fraction / 10 % 10 : i == 2 ? fraction % 10 : 0
                    out.append(0x30 + UInt8(truncatingIfNeeded: digit))
                }
            case "a": append(hour < 12 ? "AM" : "PM", to: &out)
            case "h": try number(hour % 12 == 0 ? 12 : hour % 12, count, to: &out)
            case "K": try number(hour % 12, count, to: &out)
            case "k": try number(hour == 0 ? 24 : hour, count, to: &out)
            case "A": digits(ms, count, to: &out)
            case "n": digits(ms % 1000 * 1_000_000, count, to: &out)
            case "B": append(dayPeriod(isNarrow: count == 5), to: &out)
            default: digits(ms * 1_000_000, count, to: &out)
            }
        }

        /// Parts of the day as English has them; midnight and noon last a minute.
        private func dayPeriod(isNarrow: Bool) -> String {
            switch ms / 60_000 {
            case 0: isNarrow ? "mi" : "midnight"
            case 720: isNarrow ? "n" : "noon"
            case 360..<720: "in the morning"
            case 720..<1080: "in the afternoon"
            case 1080..<1260: "in the evening"
            default: "at night"
            }
        }

        private func appendZone(_ letter: UInt8, _ count: Int, _ period: TimeZoneRules.Period, to out: inout ByteWriter) {
            switch Unicode.Scalar(letter) {
            case "V": append(zone.id, to: &out)
            case "z": append(zone.name(in: period), to: &out)
            case "O": offset(period.offset, localizedShort: count == 1, to: &out)
            case "X": if period.offset == 0 { out.append(UInt8(ascii: "Z")) } else { offset(period.offset, style: count, to: &out) }
            case "x": offset(period.offset, style: count, to: &out)
            default:
                if count <= 3 {
                    offset(period.offset, style: 2, to: &out)
                } else if count == 4 {
                    offset(period.offset, localizedShort: false, to: &out)
                } else if period.offset == 0 {
                    out.append(UInt8(ascii: "Z"))
                } else {
                    offset(period.offset, style: 5, to: &out)
                }
            }
        }

        /// Styles as the counts of `x`: +HHmm?, +HHMM, +HH:MM, +HHMMss?, +HH:MM:ss?
        private func offset(_ seconds: Int, style: Int, to out: inout ByteWriter) {
            let magnitude = abs(seconds), hasColon = style == 3 || style == 5
            let minutes = magnitude / 60 % 60, rest = magnitude % 60
            // Java drops the seconds where the style has none, but a sign stays as it is.
            out.append(seconds < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
            digits(magnitude / 3600, 2, to: &out)
            if style > 1 || minutes != 0 {
                if hasColon { out.append(UInt8(ascii: ":")) }
                digits(minutes, 2, to: &out)
            }
            if style > 3, rest != 0 {
                if hasColon { out.append(UInt8(ascii: ":")) }
                digits(rest, 2, to: &out)
            }
        }

        /// `GMT+8`, `GMT+8:30` or `GMT+08:00`; seconds where there are any.
        private func offset(_ seconds: Int, localizedShort: Bool, to out: inout ByteWriter) {
            append("GMT", to: &out)
            if seconds == 0 { return }
            if !localizedShort { return offset(seconds, style: 5, to: &out) }
            let magnitude = abs(seconds), minutes = magnitude / 60 % 60, rest = magnitude % 60
            out.append(seconds < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
            digits(magnitude / 3600, 1, to: &out)
            if minutes == 0, rest == 0 { return }
            out.append(UInt8(ascii: ":"))
            digits(minutes, 2, to: &out)
            if rest == 0 { return }
            out.append(UInt8(ascii: ":"))
            digits(rest, 2, to: &out)
        }
    }
}
