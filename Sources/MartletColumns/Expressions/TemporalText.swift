import MartletCore

/// Dates, times and timestamps as text: what literals, CAST, INSERT and results use (ksqlDB, "Data types", "Time").
///
/// | type | read | written |
/// |---|---|---|
/// | TIMESTAMP | `yyyy[-MM[-dd[THH[:mm[:ss[.fraction]]]]]]`, zone `Z`, `±HH[[:]mm]` or none (UTC) | `2020-01-02T03:04:05.006` |
/// | DATE | `yyyy[-MM[-dd]]` | `2020-01-02` |
/// | TIME | `HH:mm[:ss[.fraction]]` | `03:04` or `03:04:05` |
public enum TemporalText {
    /// Milliseconds since the epoch.
    ///
    /// - Throws: `.typeMismatch` if the text is no (partial) ISO date-time.
    public static func parseTimestamp(_ text: String) throws(MartletError) -> Int64 {
        var reader = Reader(text)
        guard let timestamp = reader.timestamp() else { throw fail(text, "timestamp", timestampFormat) }
        return timestamp
    }

    /// Days since the epoch.
    public static func parseDate(_ text: String) throws(MartletError) -> Int32 {
        var reader = Reader(text)
        guard let days = reader.date(), reader.isAtEnd else { throw fail(text, "date", dateFormat) }
        return Int32(days)
    }

    /// As `parseDate`; nil where that fails.
    static func date(_ text: UnsafeBufferPointer<UInt8>) -> Int32? {
        var reader = Reader(Array(text))
        guard let days = reader.date(), reader.isAtEnd else { return nil }
        return Int32(days)
    }

    /// As `parseTimestamp`; nil where that fails.
    static func timestamp(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
        var reader = Reader(Array(text))
        return reader.timestamp()
    }

    /// Milliseconds of the day.
    public static func parseTime(_ text: String) throws(MartletError) -> Int32 {
        var reader = Reader(text)
        guard let ms = reader.time(minutesOptional: false), reader.isAtEnd else { throw fail(text, "time", "HH:mm or HH:mm:ss") }
        return Int32(ms)
    }

    static let dateFormat = "yyyy-MM-dd"
    static let timestampFormat = "yyyy-MM-dd'T'HH:mm:ss.SSS, or a leading part of it, zone Z or ±HH:mm"

    private static func fail(_ text: String, _ what: String, _ format: String) -> MartletError {
        MartletError(.typeMismatch, "Required format is: \"\(format)\", but the \(what) is '\(text)'")
    }

    public static func format(timestamp: Int64) -> String {
        let days = CivilDate.floorDiv(Int(timestamp), 86_400_000), ms = Int(timestamp) - days * 86_400_000
        return "\(format(date: Int32(clamping: days)))T\(pad(ms / 3_600_000, 2)):\(pad(ms / 60_000 % 60, 2)):\(pad(ms / 1000 % 60, 2)).\(pad(ms % 1000, 3))"
    }

    public static func format(date: Int32) -> String {
        let (year, month, day) = CivilDate.civil(days: Int(date))
        let shown = year < 0 ? "-" + pad(-year, 4) : year > 9999 ? "+\(year)" : pad(year, 4)
        return "\(shown)-\(pad(month, 2))-\(pad(day, 2))"
    }

    /// Seconds only where they are not zero; never milliseconds.
    public static func format(time: Int32) -> String {
        let seconds = Int(time) / 1000
        let short = "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2))"
        return seconds % 60 == 0 ? short : "\(short):\(pad(seconds % 60, 2))"
    }

    static func pad(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return digits.utf8.count >= width ? digits : String(repeating: "0", count: width - digits.utf8.count) + digits
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0

        init(_ text: String) { bytes = Array(text.utf8) }
        init(_ bytes: [UInt8]) { self.bytes = bytes }

        mutating func timestamp() -> Int64? {
            guard let days = date() else { return nil }
            var ms = 0
            if accept("T") || accept(" ") {
                guard let time = time(minutesOptional: true) else { return nil }
                ms = time
            }
            guard let offset = zone(), isAtEnd else { return nil }
            return Int64(days) * 86_400_000 + Int64(ms) - Int64(offset) * 1000
        }

        var isAtEnd: Bool { at == bytes.count }

        mutating func accept(_ character: Unicode.Scalar) -> Bool {
            guard at < bytes.count, bytes[at] == UInt8(truncatingIfNeeded: character.value) else { return false }
            at += 1
            return true
        }

        mutating func digits(_ count: Int) -> Int? {
            guard at + count <= bytes.count else { return nil }
            var value = 0
            for byte in bytes[at..<at + count] {
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                value = value * 10 + Int(byte - 0x30)
            }
            at += count
            return value
        }

        mutating func date() -> Int? {
            guard let year = digits(4) else { return nil }
            guard accept("-") else { return CivilDate.days(year: year, month: 1, day: 1) }
            guard let month = digits(2), (1...12).contains(month) else { return nil }
            guard accept("-") else { return CivilDate.days(year: year, month: month, day: 1) }
            guard let day = digits(2), day >= 1, day <= CivilDate.daysInMonth(year, month) else { return nil }
            return CivilDate.days(year: year, month: month, day: day)
        }

        mutating func time(minutesOptional: Bool) -> Int? {
            guard let hour = digits(2), hour < 24 else { return nil }
            var ms = hour * 3_600_000
            guard accept(":") else { return minutesOptional ? ms : nil }
            guard let minute = digits(2), minute < 60 else { return nil }
            ms += minute * 60_000
            guard accept(":") else { return ms }
            guard let second = digits(2), second < 60 else { return nil }
            ms += second * 1000
            guard accept(".") else { return ms }
            var fraction = 0, scale = 100, any = false
            while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 {
                fraction += Int(bytes[at] - 0x30) * scale
                scale /= 10
                at += 1
                any = true
            }
            return any ? ms + fraction : nil
        }

        /// Seconds east of UTC; 0 if the text ends here.
        mutating func zone() -> Int? {
            if isAtEnd || accept("Z") { return 0 }
            let sign = accept("+") ? 1 : accept("-") ? -1 : 0
            guard sign != 0, let hours = digits(2), hours <= 18 else { return nil }
            if isAtEnd { return sign * hours * 3600 }
            _ = accept(":")
            guard let minutes = digits(2), minutes < 60 else { return nil }
            return sign * (hours * 3600 + minutes * 60)
        }
    }
}
