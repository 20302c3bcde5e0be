import MartletCore

extension DateTimePattern {
    func format(timestamp: Int64, zone: TimeZoneRules) throws(KernelFailure) -> String {
        let period = zone.period(at: Int64(CivilDate.floorDiv(Int(timestamp), 1000)))
        let local = Int(timestamp) + period.offset * 1000
        let days = CivilDate.floorDiv(local, 86_400_000)
        return try Formatter(days: days, ms: local - days * 86_400_000, parts: .timestamp, zone: zone, period: period).text(elements)
    }

    func format(date days: Int32) throws(KernelFailure) -> String {
        try Formatter(days: Int(days), ms: 0, parts: .date, zone: .utc, period: nil).text(elements)
    }

    func format(time ms: Int32) throws(KernelFailure) -> String {
        try Formatter(days: 0, ms: Int(ms), parts: .time, zone: .utc, period: nil).text(elements)
    }

    private struct Formatter {
        let days: Int
        let ms: Int
        let parts: Parts
        let zone: TimeZoneRules
        /// Nil for values without a zone.
        let period: TimeZoneRules.Period?

        func text(_ elements: [Element]) throws(KernelFailure) -> String {
            var out = ""
            for element in elements {
                switch element {
                case .literal(let bytes): out += String(decoding: bytes, as: UTF8.self)
                case .field(let letter, let count): out += try field(letter, count)
                case .optional(let inner): if let text = try? text(inner) { out += text }
                }
            }
            return out
        }

        private func number(_ value: Int, _ count: Int) throws(KernelFailure) -> String {
            let text = TemporalText.pad(value, count)
            if count > 1, text.utf8.count > count { throw KernelFailure("\(value) has more than \(count) digits") }
            return text
        }

        private func year(_ value: Int, _ count: Int) -> String {
            if count == 2 { return TemporalText.pad(CivilDate.floorMod(value, 100), 2) }
            let sign = value < 0 ? "-" : count >= 4 && String(value).utf8.count > count ? "+" : ""
            return sign + TemporalText.pad(abs(value), count)
        }

        private func name(_ text: String, _ count: Int) -> String { count == 4 ? text : count == 5 ? String(text.prefix(1)) : String(text.prefix(3)) }

        private func field(_ letter: Unicode.Scalar, _ count: Int) throws(KernelFailure) -> String {
            switch letter {
            case "G", "u", "y", "Y", "D", "M", "L", "d", "Q", "q", "w", "W", "E", "e", "c":
                if parts == .time { throw KernelFailure("Unsupported field in a TIME: \(letter)") }
                return try dateField(letter, count)
            case "V", "z", "O", "X", "x", "Z":
                guard let period else { throw KernelFailure("Unsupported field in a value without a zone: \(letter)") }
                return zoneField(letter, count, period)
            default:
                if parts == .date { throw KernelFailure("Unsupported field in a DATE: \(letter)") }
                return try timeField(letter, count)
            }
        }

        private func dateField(_ letter: Unicode.Scalar, _ count: Int) throws(KernelFailure) -> String {
            let (civilYear, month, day) = CivilDate.civil(days: days)
            let weekday = CivilDate.weekday(days: days)
            switch letter {
            case "G": return count == 4 ? (civilYear > 0 ? "Anno Domini" : "Before Christ") : count == 5 ? (civilYear > 0 ? "A" : "B") : civilYear > 0 ? "AD" : "BC"
            case "u": return year(civilYear, count)
            case "y": return year(civilYear > 0 ? civilYear : 1 - civilYear, count)
            case "Y": return year(DateTimePattern.week(days: days).year, count)
            case "w": return try number(DateTimePattern.week(days: days).week, count)
            case "W":
                let first = days - day + 1
                return String((day - 1 + CivilDate.weekday(days: first) % 7) / 7 + 1)
            case "D": return try number(days - CivilDate.days(year: civilYear, month: 1, day: 1) + 1, count)
            case "M", "L": return count <= 2 ? try number(month, count) : name(DateTimePattern.months[month - 1], count)
            case "d": return try number(day, count)
            case "Q", "q":
                let quarter = (month + 2) / 3
                return count <= 2 ? try number(quarter, count) : count == 3 ? "Q\(quarter)" : count == 4 ? ["1st", "2nd", "3rd", "4th"][quarter - 1] + " quarter" : "\(quarter)"
            case "E": return name(DateTimePattern.weekdays[weekday - 1], count)
            default: return count <= 2 ? try number(weekday % 7 + 1, count) : name(DateTimePattern.weekdays[weekday - 1], count)
            }
        }

        private func timeField(_ letter: Unicode.Scalar, _ count: Int) throws(KernelFailure) -> String {
            let hour = ms / 3_600_000
            switch letter {
            case "a": return hour < 12 ? "AM" : "PM"
            case "h": return try number(hour % 12 == 0 ? 12 : hour % 12, count)
            case "K": return try number(hour % 12, count)
            case "k": return try number(hour == 0 ? 24 : hour, count)
            case "H": return try number(hour, count)
            case "m": return try number(ms / 60_000 % 60, count)
            case "s": return try number(ms / 1000 % 60, count)
            case "S": return String((TemporalText.pad(ms % 1000, 3) + "000000").prefix(count))
            case "A": return TemporalText.pad(ms, count)
            case "n": return TemporalText.pad(ms % 1000 * 1_000_000, count)
            default: return TemporalText.pad(ms * 1_000_000, count)
            }
        }

        private func zoneField(_ letter: Unicode.Scalar, _ count: Int, _ period: TimeZoneRules.Period) -> String {
            switch letter {
            case "V": zone.id
            case "z": period.abbreviation.first.map { $0 == "+" || $0 == "-" } == true ? zone.id : period.abbreviation
            case "O": offset(period.offset, localized: true, short: count == 1)
            case "X": period.offset == 0 ? "Z" : offset(period.offset, style: count)
            case "x": offset(period.offset, style: count)
            default: count <= 3 ? offset(period.offset, style: 2) : count == 4 ? offset(period.offset, localized: true, short: false) : period.offset == 0 ? "Z" : offset(period.offset, style: 3)
            }
        }

        /// Styles as the counts of `x`: +HHmm?, +HHMM, +HH:MM, +HHMMss?, +HH:MM:ss?
        private func offset(_ seconds: Int, style: Int) -> String {
            let magnitude = abs(seconds)
            let (h, m, s) = (TemporalText.pad(magnitude / 3600, 2), TemporalText.pad(magnitude / 60 % 60, 2), magnitude % 60)
            let colon = style == 3 || style == 5 ? ":" : ""
            var out = (seconds < 0 ? "-" : "+") + h
            if style > 1 || magnitude / 60 % 60 != 0 { out += colon + m }
            if style > 3, s != 0 { out += colon + TemporalText.pad(s, 2) }
            return out
        }

        private func offset(_ seconds: Int, localized: Bool, short: Bool) -> String {
            if seconds == 0 { return "GMT" }
            if !short { return "GMT" + offset(seconds, style: 3) }
            let magnitude = abs(seconds)
            let minutes = magnitude / 60 % 60
            return "GMT\(seconds < 0 ? "-" : "+")\(magnitude / 3600)" + (minutes == 0 ? "" : ":" + TemporalText.pad(minutes, 2))
        }
    }
}
