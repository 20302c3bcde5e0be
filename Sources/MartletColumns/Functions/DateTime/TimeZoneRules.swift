import MartletCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Offsets from UTC of one time zone: fixed, or those of a region as the system's tz database has them (RFC 8536).
final class TimeZoneRules: Sendable {
    struct Period: Sendable {
        /// Seconds east of UTC.
        var offset: Int
        /// `PDT`, `CET` …
        var abbreviation: String
    }

    /// As `VV` prints it.
    let id: String
    private let transitions: [Int64]
    /// `periods[i]` holds from `transitions[i - 1]` on, the first one before them all.
    private let periods: [Period]
    /// Rule for times after the last transition; nil: the last period stays.
    private let rule: PosixRule?

    private init(id: String, transitions: [Int64], periods: [Period], rule: PosixRule?) {
        self.id = id
        self.transitions = transitions
        self.periods = periods
        self.rule = rule
    }

    static let utc = fixed(id: "UTC", offset: 0)
    static let gmt = fixed(id: "GMT", offset: 0)

    static func fixed(id: String, offset: Int) -> TimeZoneRules {
        TimeZoneRules(id: id, transitions: [], periods: [Period(offset: offset, abbreviation: id)], rule: nil)
    }

    /// The zone of an id as Java reads it: `Z`, `UTC`, `+02:00`, `GMT+2`, `Europe/Berlin`.
    static func named(_ id: String) throws(KernelFailure) -> TimeZoneRules {
        if let known = cache.withLock({ $0[id] }) { return known }
        guard let made = fixedOffset(id) ?? region(id) else { throw KernelFailure("Unknown time-zone ID: \(id)") }
        cache.withLock { $0[id] = made }
        return made
    }

    private static let cache = Mutex<[String: TimeZoneRules]>([:])

    /// The period that holds at an instant, in seconds since the epoch.
    func period(at seconds: Int64) -> Period {
        if let last = transitions.last, seconds < last || rule == nil {
            var low = 0, high = transitions.count
            while low < high {
                let middle = (low + high) / 2
                if transitions[middle] <= seconds { low = middle + 1 } else { high = middle }
            }
            return periods[low]
        }
        return rule?.period(at: seconds) ?? periods[0]
    }

    /// The name of a period as `z` prints it: the tz database's abbreviation, where that is a name; else the zone's id.
    func name(in period: Period) -> String {
        let isName = period.abbreviation.utf8.first.map { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") } ?? false
        return isName ? period.abbreviation : id
    }

    func offset(at ms: Int64) -> Int { period(at: ms >= 0 ? ms / 1000 : (ms - 999) / 1000).offset }

    /// The instant of a local time, both in milliseconds. In a gap the time moves on by the gap's length; in an overlap the earlier counts.
    func instant(local ms: Int64) -> Int64 {
        let before = offset(at: ms - 86_400_000), after = offset(at: ms + 86_400_000)
        for candidate in [before, after] where offset(at: ms - Int64(candidate) * 1000) == candidate { return ms - Int64(candidate) * 1000 }
        return ms - Int64(before) * 1000
    }

    // MARK: fixed offsets

    private static func fixedOffset(_ id: String) -> TimeZoneRules? {
        if ["Z", "UTC", "GMT", "UT"].contains(id) { return fixed(id: id, offset: 0) }
        var text = Substring(id)
        for prefix in ["UTC", "GMT", "UT"] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
            break
        }
        guard let offset = parseOffset(text) else { return nil }
        let shown = text.startIndex == id.startIndex ? offsetText(offset) : id[..<text.startIndex] + (offset == 0 ? "" : offsetText(offset))
        return fixed(id: shown, offset: offset)
    }

    /// `±h`, `±hh`, `±hh[:]mm`, `±hh[:]mm[:]ss`; at most 18 hours.
    private static func parseOffset(_ text: Substring) -> Int? {
        guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
        let parts = text.dropFirst().split(separator: ":", omittingEmptySubsequences: false)
        var digits = ""
        for part in parts {
            guard parts.count == 1 || part.utf8.count == 2 || (digits.isEmpty && part.utf8.count == 1) else { return nil }
            digits += part
        }
        guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), [1, 2, 4, 6].contains(digits.utf8.count) else { return nil }
        if digits.utf8.count == 1 { digits = "0" + digits }
        let all = Array(digits.utf8).map { Int($0) - 0x30 } + [0, 0, 0, 0]
        let (h, m, s) = (all[0] * 10 + all[1], all[2] * 10 + all[3], all[4] * 10 + all[5])
        guard m < 60, s < 60, h * 3600 + m * 60 + s <= 64_800 else { return nil }
        return (sign == "-" ? -1 : 1) * (h * 3600 + m * 60 + s)
    }

    static func offsetText(_ offset: Int) -> String {
        if offset == 0 { return "Z" }
        let magnitude = abs(offset)
        let text = "\(offset < 0 ? "-" : "+")\(TemporalText.pad(magnitude / 3600, 2)):\(TemporalText.pad(magnitude / 60 % 60, 2))"
        return magnitude % 60 == 0 ? text : text + ":" + TemporalText.pad(magnitude % 60, 2)
    }

    // MARK: regions

    private static let directories = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/var/db/timezone/zoneinfo"]

    private static func region(_ id: String) -> TimeZoneRules? {
        let allowed = id.utf8.allSatisfy { ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) || "/_+-".utf8.contains($0) }
        guard allowed, !id.isEmpty, !id.hasPrefix("/"), !id.hasPrefix("-") else { return nil }
        for directory in directories {
            if let bytes = contents("\(directory)/\(id)"), let zone = TimeZoneRules(id: id, file: bytes) { return zone }
        }
        return nil
    }

    private static func contents(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "rb") else { return nil }
        defer { fclose(file) }
        var out: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let read = fread(&chunk, 1, chunk.count, file)
            if read <= 0 { return out }
            out += chunk[..<read]
            if out.count > 1 << 20 { return nil }
        }
    }

    /// TZif, version 2 or later: header of 44 bytes, a 32-bit block that is skipped, header again, then transition times (8 bytes each),
    /// their type indices, types (offset 4, isdst 1, abbreviation index 1), abbreviations, and after all a POSIX rule between line feeds.
    private convenience init?(id: String, file: [UInt8]) {
        func number(_ at: Int, _ size: Int) -> Int? {
            guard at >= 0, at + size <= file.count else { return nil }
            var value: UInt64 = file[at] & 0x80 == 0 ? 0 : ~0
            for byte in file[at..<at + size] { value = value << 8 | UInt64(byte) }
            return Int(Int64(bitPattern: value))
        }
        func header(_ at: Int) -> [Int]? {
            guard at + 44 <= file.count, file[at..<at + 4].elementsEqual("TZif".utf8) else { return nil }
            return (0..<6).compactMap { number(at + 20 + 4 * $0, 4) }
        }
        // Counts: UT indicators, standard indicators, leap seconds, transitions, types, abbreviation bytes.
        guard let first = header(0), file[4] >= UInt8(ascii: "2") else { return nil }
        let second = 44 + first[3] * 5 + first[4] * 6 + first[5] + first[2] * 8 + first[1] + first[0]
        guard let counts = header(second), counts.allSatisfy({ $0 >= 0 && $0 < 100_000 }), counts[4] > 0 else { return nil }
        let times = second + 44, indices = times + counts[3] * 8, types = indices + counts[3], names = types + counts[4] * 6
        let end = names + counts[5] + counts[2] * 12 + counts[1] + counts[0]
        guard end <= file.count else { return nil }

        var all: [Period] = []
        for i in 0..<counts[4] {
            guard let offset = number(types + 6 * i, 4) else { return nil }
            let from = names + Int(file[types + 6 * i + 5])
            guard from < end, let to = file[from...].firstIndex(of: 0) else { return nil }
            all.append(Period(offset: offset, abbreviation: String(decoding: file[from..<to], as: UTF8.self)))
        }
        var transitions: [Int64] = [], periods = [all[0]]
        for i in 0..<counts[3] {
            guard let time = number(times + 8 * i, 8), Int(file[indices + i]) < all.count else { return nil }
            transitions.append(Int64(time))
            periods.append(all[Int(file[indices + i])])
        }
        let footer = file[end...].split(separator: 0x0a).first.map { String(decoding: $0, as: UTF8.self) }
        self.init(id: id, transitions: transitions, periods: periods, rule: footer.flatMap { PosixRule($0) })
    }
}

/// `std offset [dst [offset] [,start[/time],end[/time]]]` (POSIX TZ), days as `Mm.w.d`, `Jn` or `n`.
struct PosixRule: Sendable {
    private enum Day: Sendable {
        case monthWeekDay(Int, Int, Int)
        case julian(Int)
        case zeroBased(Int)
    }

    private var standard: TimeZoneRules.Period
    private var summer: TimeZoneRules.Period?
    private var start: (day: Day, time: Int) = (.monthWeekDay(3, 2, 0), 7200)
    private var end: (day: Day, time: Int) = (.monthWeekDay(11, 1, 0), 7200)

    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        func name() -> String? {
            if rest.first == UInt8(ascii: "<") {
                guard let close = rest.firstIndex(of: UInt8(ascii: ">")) else { return nil }
                let name = String(decoding: rest[(rest.startIndex + 1)..<close], as: UTF8.self)
                rest = rest[(close + 1)...]
                return name
            }
            let letters = rest.prefix { $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a }
            rest = rest.dropFirst(letters.count)
            return letters.count >= 3 ? String(decoding: letters, as: UTF8.self) : nil
        }
        func integer() -> Int? {
            let digits = rest.prefix { $0 >= 0x30 && $0 <= 0x39 }
            rest = rest.dropFirst(digits.count)
            return Int(String(decoding: digits, as: UTF8.self))
        }
        func take(_ character: Unicode.Scalar) -> Bool {
            guard let first = rest.first, UInt32(first) == character.value else { return false }
            rest = rest.dropFirst()
            return true
        }
        func seconds() -> Int? {
            let sign = take("-") ? -1 : 1
            _ = sign == 1 && take("+")
            guard let hours = integer() else { return nil }
            var out = hours * 3600
            if take(":") { out += (integer() ?? 0) * 60 }
            if take(":") { out += integer() ?? 0 }
            return sign * out
        }
        func day() -> Day? {
            if take("M") {
                guard let month = integer(), take("."), let week = integer(), take("."), let day = integer() else { return nil }
                return .monthWeekDay(month, week, day)
            }
            if take("J") { return integer().map { .julian($0) } }
            return integer().map { .zeroBased($0) }
        }
        guard let standardName = name(), let offset = seconds() else { return nil }
        standard = .init(offset: -offset, abbreviation: standardName)
        if rest.isEmpty { return }
        guard let summerName = name() else { return nil }
        var summerOffset = standard.offset + 3600
        if let next = rest.first, next != UInt8(ascii: ",") {
            guard let offset = seconds() else { return nil }
            summerOffset = -offset
        }
        summer = .init(offset: summerOffset, abbreviation: summerName)
        if take(",") {
            guard let from = day() else { return nil }
            start = (from, 7200)
            if take("/") { start.time = seconds() ?? 7200 }
            guard take(","), let to = day() else { return nil }
            end = (to, 7200)
            if take("/") { end.time = seconds() ?? 7200 }
        }
    }

    func period(at seconds: Int64) -> TimeZoneRules.Period {
        guard let summer else { return standard }
        let local = Int(seconds) + standard.offset
        let year = CivilDate.civil(days: CivilDate.floorDiv(local, 86_400)).year
        let from = moment(start, year) - standard.offset, to = moment(end, year) - summer.offset
        let now = Int(seconds)
        let isSummer = from < to ? now >= from && now < to : now >= from || now < to
        return isSummer ? summer : standard
    }

    /// Local seconds since the epoch.
    private func moment(_ when: (day: Day, time: Int), _ year: Int) -> Int {
        let days: Int
        switch when.day {
        case .julian(let n):
            days = CivilDate.days(year: year, month: 1, day: 1) + n - 1 + (n > 59 && CivilDate.isLeap(year) ? 1 : 0)
        case .zeroBased(let n): days = CivilDate.days(year: year, month: 1, day: 1) + n
        case .monthWeekDay(let month, let week, let weekday):
            let first = CivilDate.days(year: year, month: month, day: 1)
            var day = first + (weekday - CivilDate.weekday(days: first) % 7 + 7) % 7 + (week - 1) * 7
            while day >= first + CivilDate.daysInMonth(year, month) { day -= 7 }
            days = day
        }
        return days * 86_400 + when.time
    }
}
