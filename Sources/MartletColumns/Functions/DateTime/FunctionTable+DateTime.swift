import MartletCore

extension FunctionTable {
    static func dateTime(_ t: inout FunctionTable) {
        formatting(&t)
        parsing(&t)
        arithmetic(&t)

        t.function("CONVERT_TZ", .dateTime, "The clock time of one time zone as that of another.")
        t.columns("(TIMESTAMP col1, VARCHAR from_timezone, VARCHAR to_timezone) -> TIMESTAMP") { call in
            let times = ArgumentColumn<SQLTimestamp>(call.arguments[0])
            var from = MadeOfText(call.arguments[1]) { (id) throws(KernelFailure) in try TimeZoneRules.named(id) }
            var to = MadeOfText(call.arguments[2]) { (id) throws(KernelFailure) in try TimeZoneRules.named(id) }
            return call.rows { row -> SQLTimestamp? in
                guard let time = times[row], let from = try from.with(row, { $0 }), let to = try to.with(row, { $0 }) else { return nil }
                let instant = from.instant(local: time.raw)
                return SQLTimestamp(raw: instant + Int64(to.offset(at: instant)) * 1000)
            }
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

    private static func zones(_ call: KernelCall) -> MadeOfText<TimeZoneRules>? {
        call.arguments.count > 2 ? MadeOfText(call.arguments[2]) { (id) throws(KernelFailure) in try TimeZoneRules.named(id) } : nil
    }

    /// An overload that makes a text of its first argument, by a pattern (the second) in a zone (the third, or `zone`).
    private mutating func formatted<A: KernelArgument>(
        _ signature: String, zone: TimeZoneRules = .utc,
        _ body: @escaping @Sendable (A, DateTimePattern, TimeZoneRules, inout ByteWriter) throws(KernelFailure) -> Void
    ) {
        columns(signature) { call in
            let values = ArgumentColumn<A>(call.arguments[0])
            var patterns = MadeOfText(call.arguments[1]) { (text) throws(KernelFailure) in try DateTimePattern(text) }
            var zones = Self.zones(call), out = BytesColumn(), bytes = ByteWriter(capacity: call.count * 24)
            for row in 0..<call.count {
                let start = bytes.count
                var isDone = false
                if let value = values[row] {
                    do throws(KernelFailure) {
                        var at: TimeZoneRules? = zone
                        if zones != nil { at = try zones!.with(row) { $0 } }
                        if let at, let pattern = try patterns.with(row, { $0 }) {
                            try body(value, pattern, at, &bytes)
                            isDone = true
                        }
                    } catch {
                        call.fail(row, error)
                    }
                }
                if !isDone { bytes.count = start }
                out.validity.append(isDone, count: row)
                out.starts.append(UInt32(start))
                out.lengths.append(UInt32(bytes.count - start))
            }
            bytes.copy(to: &out.buffer)
            return .string(out)
        }
    }

    /// An overload that reads its first argument by a pattern (the second) in a zone (the third, or `zone`).
    private mutating func parsed<R: KernelResult>(
        _ signature: String, zone: TimeZoneRules = .utc, ignoresCase: Bool = true,
        _ body: @escaping @Sendable (ArraySlice<UInt8>, inout DateTimeParser, TimeZoneRules) throws(KernelFailure) -> R
    ) {
        columns(signature) { call in
            let texts = ArgumentColumn<Text>(call.arguments[0])
            var parsers = MadeOfText(call.arguments[1]) { (text) throws(KernelFailure) in DateTimeParser(try DateTimePattern(text), ignoresCase: ignoresCase) }
            var zones = Self.zones(call)
            return call.rows { row -> R? in
                guard let text = texts[row] else { return nil }
                var at: TimeZoneRules? = zone
                if zones != nil { at = try zones!.with(row) { $0 } }
                guard let at else { return nil }
                return try parsers.with(row) { (parser) throws(KernelFailure) in try body(text.bytes, &parser, at) }
            }
        }
    }

    private static func formatting(_ t: inout FunctionTable) {
        t.function("FORMAT_DATE", .dateTime, "A date as text, by a pattern of Java's DateTimeFormatter.")
        t.formatted("(DATE date, VARCHAR format) -> VARCHAR") { (v: SQLDate, p, _, out) throws(KernelFailure) in try p.append(date: v.raw, to: &out) }
        t.function("FORMAT_TIME", .dateTime, "A time as text, by a pattern of Java's DateTimeFormatter.")
        t.formatted("(TIME time, VARCHAR format) -> VARCHAR") { (v: SQLTime, p, _, out) throws(KernelFailure) in try p.append(time: v.raw, to: &out) }
        t.function("TIMESTAMPTOSTRING", .dateTime, "Milliseconds since 1970 as text, by a pattern of Java's DateTimeFormatter, in UTC or a given time zone.")
        for signature in ["(BIGINT milliseconds, VARCHAR format) -> VARCHAR", "(BIGINT milliseconds, VARCHAR format, VARCHAR timezone) -> VARCHAR"] {
            t.formatted(signature) { (v: Int64, p, z, out) throws(KernelFailure) in try p.append(timestamp: v, zone: z, to: &out) }
        }
        t.function("FORMAT_TIMESTAMP", .dateTime, "A timestamp as text, by a pattern of Java's DateTimeFormatter, in UTC or a given time zone.")
        for signature in ["(TIMESTAMP timestamp, VARCHAR format) -> VARCHAR", "(TIMESTAMP timestamp, VARCHAR format, VARCHAR timezone) -> VARCHAR"] {
            t.formatted(signature, zone: .gmt) { (v: SQLTimestamp, p, z, out) throws(KernelFailure) in try p.append(timestamp: v.raw, zone: z, to: &out) }
        }
        t.function("DATETOSTRING", .dateTime, "Days since 1970-01-01 as text, by a pattern of Java's DateTimeFormatter.")
        t.formatted("(INT days, VARCHAR format) -> VARCHAR") { (v: Int32, p, _, out) throws(KernelFailure) in try p.append(date: v, to: &out) }
    }

    private static func parsing(_ t: inout FunctionTable) {
        t.function("PARSE_DATE", .dateTime, "A date from the beginning of a text, by a pattern of Java's SimpleDateFormat, leniently: the 30th of February is in March.")
        t.columns("(VARCHAR text, VARCHAR format) -> DATE") { call in
            let texts = ArgumentColumn<Text>(call.arguments[0])
            let nowYear = CivilDate.civil(days: CivilDate.floorDiv(Int(call.environment.time.wallMs), 86_400_000)).year
            var patterns = MadeOfText(call.arguments[1]) { (text) throws(KernelFailure) in try LenientDatePattern(text) }
            return call.rows { row -> SQLDate? in
                guard let text = texts[row] else { return nil }
                return try patterns.with(row) { (pattern) throws(KernelFailure) in SQLDate(raw: try pattern.date(text.bytes, nowYear: nowYear)) }
            }
        }
        t.function("PARSE_TIME", .dateTime, "A time from text, by a pattern of Java's DateTimeFormatter.")
        t.parsed("(VARCHAR text, VARCHAR format) -> TIME") { (v, p, _) throws(KernelFailure) -> SQLTime in SQLTime(raw: try p.time(v)) }
        t.function("PARSE_TIMESTAMP", .dateTime, "A timestamp from text, by a pattern of Java's DateTimeFormatter; a text without a zone is in UTC or a given time zone.")
        for signature in ["(VARCHAR text, VARCHAR format) -> TIMESTAMP", "(VARCHAR text, VARCHAR format, VARCHAR timezone) -> TIMESTAMP"] {
            t.parsed(signature) { (v, p, z) throws(KernelFailure) -> SQLTimestamp in SQLTimestamp(raw: try p.timestamp(v, zone: z)) }
        }
        t.function("STRINGTOTIMESTAMP", .dateTime, "As PARSE_TIMESTAMP, in milliseconds since 1970.")
        for signature in ["(VARCHAR text, VARCHAR format) -> BIGINT", "(VARCHAR text, VARCHAR format, VARCHAR timezone) -> BIGINT"] {
            t.parsed(signature) { (v, p, z) throws(KernelFailure) -> Int64 in try p.timestamp(v, zone: z) }
        }
        t.function("STRINGTODATE", .dateTime, "A date from text, by a pattern of Java's DateTimeFormatter, in days since 1970-01-01.")
        t.parsed("(VARCHAR text, VARCHAR format) -> INT", ignoresCase: false) { (v, p, _) throws(KernelFailure) -> Int32 in try p.date(v) }
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
                // A part of a day counts towards 1970, before it too.
                SQLDate(raw: Int32(clamping: (Int(date.raw) * 86_400_000 + Int(sign * unit * count)) / 86_400_000))
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
            var units = MadeOfText(call.arguments[0]) { (name) throws(KernelFailure) in try Self.unitMs(name) }
            let counts = ArgumentColumn<Int32>(call.arguments[1]), values = ArgumentColumn<A>(call.arguments[2])
            return call.rows { row -> R? in
                guard let count = counts[row], let value = values[row], let unit = try units.with(row, { $0 }) else { return nil }
                return body(value, unit, Int64(count))
            }
        }
    }
}
