import MartletCore
import Testing

@testable import MartletColumns

struct DateTimeFunctionTests {
    static let t: Int64 = 1_526_075_913_456  // 2018-05-11T21:58:33.456Z, a Friday

    @Test func formatting() throws {
        for (pattern, wanted) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2018-05-11T21:58:33.456"), ("yy/M/d h:mm a", "18/5/11 9:58 PM"), ("EEEE, d MMMM uuuu", "Friday, 11 May 2018"),
            ("EEE MMM MMMMM", "Fri May M"), ("D Q QQQ QQQQ", "131 2 Q2 2nd quarter"), ("k K H", "21 9 21"), ("Y w W e", "2018 19 2 6"),
            ("X xx XXX Z O", "Z +0000 Z +0000 GMT"), ("A n N", "79113456 456000000 79113456000000"), ("'it''s' '' [yyyy]", "it's ' 2018"),
            ("G GGGG", "AD Anno Domini"), ("SS S SSSSSS", "45 4 456000"),
        ] {
            try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), .string(pattern)], .string(wanted))
            try expect("TIMESTAMPTOSTRING", [.bigint(Self.t), .string(pattern)], .string(wanted))
        }
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "VV z"], "GMT GMT")
        try expect("TIMESTAMPTOSTRING", [.bigint(Self.t), "VV z"], "UTC UTC")
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "yyyy-MM-dd HH:mm:ss zzz", "America/Los_Angeles"], "2018-05-11 14:58:33 PDT")
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "HH:mm zzz XXX", "Europe/London"], "22:58 BST +01:00")
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "HH:mm XXXXX", "+05:30"], "03:28 +05:30")
        try expect("FORMAT_TIMESTAMP", [.timestamp(-1), "yyyy-MM-dd HH:mm:ss.SSS"], "1969-12-31 23:59:59.999")
        for bad in ["bbb", "yyyy'", "HH]", "V", "{"] { try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), .string(bad)], nil) }
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "HH", "Mars/Base"], nil)
        try expect("FORMAT_TIMESTAMP", [.timestamp(Self.t), "HH", "../../etc/passwd"], nil)
        try expect("FORMAT_DATE", [.date(17662), "dd-MMM-yyyy"], "11-May-2018")
        try expect("FORMAT_DATE", [.date(17662), "HH"], nil)
        try expect("DATETOSTRING", [-1, "dd-MM-yyyy'Sophia'"], "31-12-1969Sophia")
        try expect("FORMAT_TIME", [.time(1_234_567), "HHmmss'AAAAA'"], "002034AAAAA")
        try expect("FORMAT_TIME", [.time(65_000), "HH_mm_ss_SSS"], "00_01_05_000")
        try expect("FORMAT_TIME", [.time(0), "yyyy"], nil)
    }

    @Test func parsing() throws {
        for (text, pattern, wanted) in [
            ("2018-05-11T21:58:33Z", "yyyy-MM-dd'T'HH:mm:ssX", 1_526_075_913_000), ("2018-05-11T21:58:33z", "yyyy-MM-dd'T'HH:mm:ssX", 1_526_075_913_000),
            ("2018-05-11T23:58:33+0200", "yyyy-MM-dd'T'HH:mm:ssZ", 1_526_075_913_000), ("20180511215833456", "yyyyMMddHHmmssSSS", Self.t),
            ("11.5.18 9:58 pm", "d.M.yy h:mm a", 1_526_075_880_000), ("2018-05-11", "yyyy-MM-dd[ HH:mm]", 1_525_996_800_000),
            ("2018-05-11 21:58", "yyyy-MM-dd[ HH:mm]", 1_526_075_880_000), ("Friday 2018-131", "EEEE uuuu-DDD", 1_525_996_800_000),
            ("2018-05-11 24:00", "yyyy-MM-dd HH:mm", 1_526_083_200_000), ("2018-02-31", "yyyy-MM-dd", 1_519_776_000_000),
            ("2018-05-11 14:58:33 PDT", "yyyy-MM-dd HH:mm:ss zzz", 1_526_075_913_000),
            ("2018-05-11 22:58:33 Europe/London", "yyyy-MM-dd HH:mm:ss VV", 1_526_075_913_000), ("2018 19 6", "YYYY w e", 1_525_996_800_000),
        ] as [(String, String, Int64)] {
            try expect("PARSE_TIMESTAMP", [.string(text), .string(pattern)], .timestamp(wanted))
            try expect("STRINGTOTIMESTAMP", [.string(text), .string(pattern)], .bigint(wanted))
        }
        for (text, pattern) in [
            ("not a timestamp", "yyyy-MM-dd"), ("2018-13-01", "yyyy-MM-dd"), ("2018-05-11x", "yyyy-MM-dd"), ("2018-5-11", "yyyy-MM-dd"),
            ("25:00", "HH:mm"), ("Monday 2018-05-11", "EEEE yyyy-MM-dd"), ("13 PM", "hh a"), ("", "yyyy"), ("24:01", "HH:mm"),
        ] {
            try expect("PARSE_TIMESTAMP", [.string(text), .string(pattern)], nil)
        }
        try expect("PARSE_TIMESTAMP", ["2018-05-11 14:58:33", "yyyy-MM-dd HH:mm:ss", "America/Los_Angeles"], .timestamp(1_526_075_913_000))
        for (text, pattern, days) in [
            ("2018-05-11Lit", "yyyy-MM-dd'Lit'", 17662), ("11/05/2019", "dd/MM/yyyy", 18027), ("01-JAN-2022", "dd-MMM-yyyy", 18993),
            ("JAN-2022", "MMM-yyyy", 18993),
        ] as [(String, String, Int32)] {
            try expect("PARSE_DATE", [.string(text), .string(pattern)], .date(days))
        }
        // Unlike PARSE_DATE it wants all parts of the date, and letters in their case.
        try expect("STRINGTODATE", ["2018-05-11Lit", "yyyy-MM-dd'Lit'"], 17662)
        try expect("STRINGTODATE", ["01-Jan-2022", "dd-MMM-yyyy"], 18993)
        try expect("STRINGTODATE", ["01-JAN-2022", "dd-MMM-yyyy"], nil)
        try expect("STRINGTODATE", ["Jan-2022", "MMM-yyyy"], nil)
        try expect("PARSE_DATE", ["2003-12-24-01-01", "yyyy-MM-dd"], .date(12410))
        try expect("STRINGTODATE", ["2003-12-24-01-01", "yyyy-MM-dd"], nil)
        try expect("PARSE_TIME", ["01:00:00 Pm", "hh:mm:ss a"], .time(46_800_000))
        try expect("PARSE_TIME", ["12:00 AM", "hh:mm a"], .time(0))
    }

    @Test func zones() throws {
        try expect("CONVERT_TZ", [.timestamp(100), "+0200", "+0500"], .timestamp(10_800_100))
        try expect("CONVERT_TZ", [.timestamp(1_589_234_313_000), "America/Los_Angeles", "America/New_York"], .timestamp(1_589_245_113_000))
        try expect("CONVERT_TZ", [.timestamp(0), "UTC", "Nowhere"], nil)
        let berlin = try TimeZoneRules.named("Europe/Berlin")
        // Summer time began at 2018-03-25T01:00Z and ended at 2018-10-28T01:00Z: before, in and after, then beyond the tabulated years.
        for (instant, wanted) in [(1_521_939_599_000, 3600), (1_521_939_600_000, 7200), (1_540_688_399_999, 7200), (1_540_688_400_000, 3600)] as [(Int64, Int)] {
            #expect(berlin.offset(at: instant) == wanted)
        }
        #expect(berlin.offset(at: 3_000_000_000_000 + 86_400_000 * 183) != berlin.offset(at: 3_000_000_000_000))
        // A local time in the gap moves on; one that occurs twice is the earlier.
        #expect(berlin.instant(local: 1_521_945_000_000) == 1_521_941_400_000)  // 02:30 -> 03:30 local
        #expect(berlin.instant(local: 1_540_693_800_000) == 1_540_686_600_000)  // 02:30 summer time
        let rule = try #require(PosixRule("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1"))
        #expect(rule.period(at: 1_750_000_000).offset == -7200)
        #expect(PosixRule("") == nil && PosixRule("X") == nil)
    }

    @Test func arithmetic() throws {
        func add(_ name: String, _ unit: String, _ n: Int32, _ value: SQLValue, _ type: SQLType) throws -> SQLValue {
            let resolved = try FunctionRegistry.builtin.resolve(name, arguments: [.unit, .type(.integer), .type(type)])
            return try evaluate(
                .call(name, [.literal(.string(unit), .string), .literal(.integer(n), .integer), .literal(value, type)], resolved.returnType!)
            ).values[0]
        }
        #expect(try add("DATEADD", "DAYS", -5, .date(2), .date) == .date(-3))
        #expect(try add("DATEADD", "MILLISECONDS", 5, .date(2), .date) == .date(2))
        #expect(try add("DATESUB", "HOURS", 25, .date(2), .date) == .date(0))
        #expect(try add("TIMEADD", "MILLISECONDS", 10, .time(86_399_995), .time) == .time(5))
        #expect(try add("TIMESUB", "MINUTE", 1, .time(0), .time) == .time(86_340_000))
        #expect(try add("TIMESTAMPADD", "SECONDS", 2, .timestamp(5), .timestamp) == .timestamp(2005))
        #expect(try add("TIMESTAMPSUB", "MILLISECONDS", 10, nil, .timestamp) == nil)
        #expect(throws: MartletError.self) { try FunctionRegistry.builtin.resolve("DATESUB", arguments: [.type(.date), .type(.integer), .type(.date)]) }
    }

    @Test func clock() throws {
        let clock = ManualTime(wallMs: 86_400_000 * 3 + 5)
        #expect(try call("UNIX_TIMESTAMP", [], time: clock.source) == .bigint(259_200_005))
        #expect(try call("UNIX_DATE", [], time: clock.source) == 3)
        // A program reads the clock when it runs, not when it is compiled.
        let program = try ExpressionProgram([.call("UNIX_TIMESTAMP", [], .bigint)], time: clock.source)
        clock.advance(byMs: 1)
        var errors = RowErrors()
        #expect(program.evaluate(batch([.boolean(FixedColumn([true]))]), labels: [""], errors: &errors)[0].value(0) == .bigint(259_200_006))
        try expect("FROM_DAYS", [-10], .date(-10))
        try expect("FROM_UNIXTIME", [.bigint(100)], .timestamp(100))
        try expect("UNIX_TIMESTAMP", [.timestamp(100)], .bigint(100))
    }

    /// What a pattern with all parts writes it reads again, for instants of four centuries.
    @Test func roundTrip() throws {
        var random = SeededRandom(seed: 92)
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSX", "EEE d MMM uuuu h:mm:ss.SSS a XXX", "yyyyMMddHHmmssSSSxx", "uuuu-DDD A VV"] {
            let compiled = try DateTimePattern(pattern)
            var parser = DateTimeParser(compiled)
            for _ in 0..<200 {
                let instant = Int64.random(in: -6_000_000_000_000...6_000_000_000_000, using: &random)
                let text = try compiled.format(timestamp: instant, zone: .utc)
                #expect(try parser.timestamp(Array(text.utf8)[...], zone: .utc) == instant, "\(pattern): \(text)")
            }
        }
        for days in stride(from: -800_000, through: 800_000, by: 997) {
            let (y, m, d) = CivilDate.civil(days: days)
            #expect(CivilDate.days(year: y, month: m, day: d) == days)
        }
    }
}
