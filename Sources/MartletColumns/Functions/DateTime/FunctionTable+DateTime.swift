import MartletCore

extension FunctionTable {
    static func dateTime(_ t: inout FunctionTable) {
        formatting(&t)
        parsing(&t)
        arithmetic(&t)

        t.function("CONVERT_TZ", .dateTime, "The clock time of one time zone as that of another.")
        t.scalar("col1", "from_timezone", "to_timezone") { (time: SQLTimestamp, from: String, to: String) -> SQLTimestamp in
            let instant = try TimeZoneRules.named(from).instant(local: time.raw)
            return SQLTimestamp(raw: instant + Int64(try TimeZoneRules.named(to).offset(at: instant)) * 1000)
        }
        t.function("FROM_DAYS", .dateTime, "The date that many days after 1970-01-01.")
        t.scalar("days") { (days: Int32) -> SQLDate in SQLDate(raw: days) }
        t.function("FROM_UNIXTIME", .dateTime, "The timestamp that many milliseconds after 1970-01-01T00:00 UTC.")
        t.scalar("milliseconds") { (ms: Int64) -> SQLTimestamp in SQLTimestamp(raw: ms) }
        t.function("UNIX_DATE", .dateTime, "Days from 1970-01-01 to a date, or to today.")
        t.columns("() -> INT", deterministic: false) { call in
            let today = Int32(clamping: CivilDate.floorDiv(Int(call.environment.time.wallMs), 86_400_000))
            return .integer(FixedColumn([Int32](repeating: today, count: call.count)))
        }
        t.scalar("date") { (date: SQLDate) -> Int32 in date.raw }
        t.function("UNIX_TIMESTAMP", .dateTime, "Milliseconds from 1970-01-01T00:00 UTC to a timestamp, or to now.")
        t.columns("() -> BIGINT", deterministic: false) { call in
            .bigint(FixedColumn([Int64](repeating: call.environment.time.wallMs, count: call.count)))
        }
        t.scalar("timestamp") { (time: SQLTimestamp) -> Int64 in time.raw }
    }

    /// Compiles a pattern once as long as it stays the same from row to row.
    private struct Patterns {
        private var text: String?
        private var pattern: DateTimePattern?

        mutating func pattern(_ text: String) throws(KernelFailure) -> DateTimePattern {
            if self.text == text, let pattern { return pattern }
            let made = try DateTimePattern(text)
            (self.text, pattern) = (text, made)
            return made
        }
    }

    /// An overload whose second argument is a pattern and whose third, if any, a zone's id (UTC if not).
    private mutating func patterned<A: KernelArgument, R: KernelResult>(
        _ signature: String, _ body: @escaping @Sendable (A, DateTimePattern, TimeZoneRules) throws -> R
    ) {
        columns(signature) { call in
            let values = ArgumentColumn<A>(call.arguments[0]), formats = ArgumentColumn<String>(call.arguments[1])
            let zones = call.arguments.count > 2 ? ArgumentColumn<String>(call.arguments[2]) : nil
            var patterns = Patterns()
            return call.rows { row -> R? in
                guard let value = values[row], let format = formats[row] else { return nil }
                var zone = TimeZoneRules.utc
                if let zones {
                    guard let id = zones[row] else { return nil }
                    zone = try TimeZoneRules.named(id)
                }
                return try body(value, try patterns.pattern(format), zone)
            }
        }
    }

    private static func formatting(_ t: inout FunctionTable) {
        t.function("FORMAT_DATE", .dateTime, "A date as text, by a pattern of Java's DateTimeFormatter.")
        t.patterned("(DATE date, VARCHAR format) -> VARCHAR") { (v: SQLDate, p, _) -> String in try p.format(date: v.raw) }
        t.function("FORMAT_TIME", .dateTime, "A time as text, by a pattern of Java's DateTimeFormatter.")
        t.patterned("(TIME time, VARCHAR format) -> VARCHAR") { (v: SQLTime, p, _) -> String in try p.format(time: v.raw) }
        t.function("TIMESTAMPTOSTRING", .dateTime, "Milliseconds since 1970 as text, by a pattern of Java's DateTimeFormatter, in UTC or a given time zone.")
        t.patterned("(BIGINT milliseconds, VARCHAR format) -> VARCHAR") { (v: Int64, p, z) -> String in try p.format(timestamp: v, zone: z) }
        t.patterned("(BIGINT milliseconds, VARCHAR format, VARCHAR timezone) -> VARCHAR") { (v: Int64, p, z) -> String in try p.format(timestamp: v, zone: z) }
        t.function("FORMAT_TIMESTAMP", .dateTime, "A timestamp as text, by a pattern of Java's DateTimeFormatter, in UTC or a given time zone.")
        t.patterned("(TIMESTAMP timestamp, VARCHAR format) -> VARCHAR") { (v: SQLTimestamp, p, z) -> String in try p.format(timestamp: v.raw, zone: z) }
        t.patterned("(TIMESTAMP timestamp, VARCHAR format, VARCHAR timezone) -> VARCHAR") { (v: SQLTimestamp, p, z) -> String in
            try p.format(timestamp: v.raw, zone: z)
        }
        t.function("DATETOSTRING", .dateTime, "Days since 1970-01-01 as text, by a pattern of Java's DateTimeFormatter.")
        t.patterned("(INT days, VARCHAR format) -> VARCHAR") { (v: Int32, p, _) -> String in try p.format(date: v) }
    }

    private static func parsing(_ t: inout FunctionTable) {
        // Unlike STRINGTODATE it lets text follow the date (conformance cases, null, "coalesce - with parse_date").
        t.function("PARSE_DATE", .dateTime, "A date from the beginning of a text, by a pattern of Java's DateTimeFormatter.")
        t.patterned("(VARCHAR text, VARCHAR format) -> DATE") { (v: String, p, _) -> SQLDate in SQLDate(raw: try p.date(v, prefix: true)) }
        t.function("PARSE_TIME", .dateTime, "A time from text, by a pattern of Java's DateTimeFormatter.")
        t.patterned("(VARCHAR text, VARCHAR format) -> TIME") { (v: String, p, _) -> SQLTime in SQLTime(raw: try p.time(v)) }
        t.function("PARSE_TIMESTAMP", .dateTime, "A timestamp from text, by a pattern of Java's DateTimeFormatter; a text without a zone is in UTC or a given time zone.")
        t.patterned("(VARCHAR text, VARCHAR format) -> TIMESTAMP") { (v: String, p, z) -> SQLTimestamp in SQLTimestamp(raw: try p.timestamp(v, zone: z)) }
        t.patterned("(VARCHAR text, VARCHAR format, VARCHAR timezone) -> TIMESTAMP") { (v: String, p, z) -> SQLTimestamp in
            SQLTimestamp(raw: try p.timestamp(v, zone: z))
        }
        t.function("STRINGTOTIMESTAMP", .dateTime, "As PARSE_TIMESTAMP, in milliseconds since 1970.")
        t.patterned("(VARCHAR text, VARCHAR format) -> BIGINT") { (v: String, p, z) -> Int64 in try p.timestamp(v, zone: z) }
        t.patterned("(VARCHAR text, VARCHAR format, VARCHAR timezone) -> BIGINT") { (v: String, p, z) -> Int64 in try p.timestamp(v, zone: z) }
        t.function("STRINGTODATE", .dateTime, "As PARSE_DATE, in days since 1970-01-01.")
        t.patterned("(VARCHAR text, VARCHAR format) -> INT") { (v: String, p, _) -> Int32 in try p.date(v) }
    }

    // MARK: units

    /// Milliseconds of one unit, singular or plural.
    private static func unitMs(_ name: String) throws(KernelFailure) -> Int64 {
        switch name.uppercased() {
        case "DAY", "DAYS": return 86_400_000
        case "HOUR", "HOURS": return 3_600_000
        case "MINUTE", "MINUTES": return 60_000
        case "SECOND", "SECONDS": return 1000
        case "MILLISECOND", "MILLISECONDS": return 1
        default: throw KernelFailure("a unit is DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS")
        }
    }

    private static func arithmetic(_ t: inout FunctionTable) {
        for (suffix, sign, verb) in [("ADD", Int64(1), "later"), ("SUB", -1, "earlier")] {
            t.function("DATE" + suffix, .dateTime, "The date that many units \(verb).")
            t.moved("(UNIT unit, INT interval, DATE date) -> DATE") { (date: SQLDate, unit, count) -> SQLDate in
                let ms = Int(date.raw) * 86_400_000 + Int(sign * unit * count)
                return SQLDate(raw: Int32(clamping: CivilDate.floorDiv(ms, 86_400_000)))
            }
            t.function("TIME" + suffix, .dateTime, "The time of day that many units \(verb), going round the clock.")
            t.moved("(UNIT unit, INT interval, TIME time) -> TIME") { (time: SQLTime, unit, count) -> SQLTime in
                SQLTime(raw: Int32(CivilDate.floorMod(Int(time.raw) + Int(sign * unit * count), 86_400_000)))
            }
            t.function("TIMESTAMP" + suffix, .dateTime, "The timestamp that many units \(verb).")
            t.moved("(UNIT unit, INT interval, TIMESTAMP timestamp) -> TIMESTAMP") { (time: SQLTimestamp, unit, count) -> SQLTimestamp in
                SQLTimestamp(raw: time.raw &+ sign * unit * count)
            }
        }
    }

    private mutating func moved<A: KernelArgument, R: KernelResult>(
        _ signature: String, _ body: @escaping @Sendable (A, _ unitMs: Int64, _ count: Int64) -> R
    ) {
        columns(signature) { call in
            let units = ArgumentColumn<String>(call.arguments[0]), counts = ArgumentColumn<Int32>(call.arguments[1])
            let values = ArgumentColumn<A>(call.arguments[2])
            return call.rows { row -> R? in
                guard let unit = units[row], let count = counts[row], let value = values[row] else { return nil }
                return body(value, try Self.unitMs(unit), Int64(count))
            }
        }
    }
}
