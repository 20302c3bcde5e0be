import MartletCore
import Testing

@testable import MartletColumns

struct ValueCoercionTests {
    @Test func widensAndParses() throws {
        let d = SQLType.decimal(precision: 4, scale: 2)
        for (value, type, wanted) in [
            (1, .bigint, .bigint(1)), (1, .double, 1.0), (1, d, .decimal("1.00")), (.decimal("1.5"), d, .decimal("1.50")), (.decimal("1.5"), .double, 1.5),
            ("1.5", d, .decimal("1.50")), ("7", .integer, 7), ("2020-01-02", .date, .date(18263)), ("2020-01-02T03", .timestamp, .timestamp(1_577_934_000_000)),
            ("03:04", .time, .time(11_040_000)), ("IQ==", .bytes, .bytes([0x21])), (nil, .integer, nil), ([1, nil], .array(.bigint), [.bigint(1), nil]),
            (.map(["a": 1]), .map(key: .string, value: .double), .map(["a": 1.0])),
            (.structure([.init("A", 1)]), .structure([Field("A", .bigint), Field("B", .string)]), .structure([.init("A", .bigint(1)), .init("B", nil)])),
        ] as [(SQLValue, SQLType, SQLValue)] {
            #expect(try ValueCoercion.coerce(value, to: type) == wanted, "\(value) to \(type)")
        }
    }

    // Fields meet by name: what the type lacks is left out, what the value lacks is null.
    @Test func structsMeetByName() throws {
        let type = SQLType.structure([Field("A", .bigint), Field("B", .string)])
        #expect(try ValueCoercion.coerce(.structure([.init("Z", 1), .init("A", 2)]), to: type) == .structure([.init("A", .bigint(2)), .init("B", .null)]))
    }

    @Test func neverNarrows() {
        let d = SQLType.decimal(precision: 4, scale: 2)
        for (value, type) in [
            (.bigint(1), .integer), (1.0, .bigint), (1, .string), (true, .string), ("x", .integer), ("x", d), (.decimal("1.555"), d), (.decimal("100"), d), ("1.555", d),
            ("2020-13", .date), ("24:00", .time), ("zz", .timestamp), ("*", .bytes), ([1], .integer), (.structure([.init("A", "x")]), .structure([Field("A", .integer)])),
        ] as [(SQLValue, SQLType)] {
            #expect(throws: MartletError.self, "\(value) to \(type)") { try ValueCoercion.coerce(value, to: type) }
        }
    }

    @Test func partialTimestamps() throws {
        for (text, wanted) in [
            ("2020", 1_577_836_800_000), ("2020-01", 1_577_836_800_000), ("2020-01-02", 1_577_923_200_000), ("2020-01-02T03", 1_577_934_000_000),
            ("2020-01-02T03:04", 1_577_934_240_000), ("2020-01-02T03:04:05", 1_577_934_245_000), ("2020-01-02T03:04:05.6", 1_577_934_245_600),
            ("2020-01-02T03:04:05.006+01:00", 1_577_930_645_006), ("2020-01-02T03:04:05Z", 1_577_934_245_000), ("2020-01-02T03:04-0130", 1_577_939_640_000),
        ] as [(String, Int64)] {
            #expect(try TemporalText.parseTimestamp(text) == wanted, "\(text)")
        }
        for bad in ["", "20", "2020-", "2020-1", "2020-02-30", "2020-01-02T", "2020-01-02T25", "2020-01-02T03:04:05.", "2020-01-02T03:04:05+", "2020-01-02x"] {
            #expect(throws: MartletError.self, "\(bad)") { try TemporalText.parseTimestamp(bad) }
        }
    }
}
