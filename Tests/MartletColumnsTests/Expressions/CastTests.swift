import MartletCore
import Testing

@testable import MartletColumns

struct CastTests {
    private func cast(_ value: SQLValue, _ type: SQLType, from: SQLType? = nil) throws -> SQLValue {
        let from = from ?? inferredType(value)!
        return try evaluate(.cast(.column(0, from), type), [ColumnBuilder.column(of: from, [value])]).values[0]
    }

    @Test func matrix() throws {
        let d = SQLType.decimal(precision: 4, scale: 2)
        for (value, type, wanted) in [
            (true, .string, "true"), (1, .bigint, .bigint(1)), (1, d, .decimal("1.00")), (100, d, nil), (1, .double, 1.0), (-1, .string, "-1"),
            (.bigint(2_147_483_648), .integer, .integer(.min)), (.bigint(5), d, .decimal("5.00")), (.bigint(5), .string, "5"),
            (.decimal("10.99"), .integer, 10), (.decimal("-10.99"), .bigint, .bigint(-10)), (.decimal("10.995"), d, .decimal("11.00")),
            (.decimal("-0.005"), d, .decimal("-0.01")), (.decimal("10.01"), .double, 10.01), (.decimal("10.10"), .string, "10.10"), (2.9, .integer, 2), (-2.9, .bigint, .bigint(-2)),
            (1e300, .integer, .integer(.max)), (.double(.nan), .integer, 0), (0.99, .decimal(precision: 2, scale: 1), .decimal("1.0")), (1e10, .string, "1.0E10"), (100.0, .string, "100.0"), (.double(.leastNonzeroMagnitude), .string, "4.9E-324"),
            (.double(-2 * .leastNonzeroMagnitude), .string, "-9.9E-324"),
            (.double(.infinity), d, nil),
            ("ye", .boolean, true), ("TRUE", .boolean, true), ("no", .boolean, false), ("", .boolean, false), (" 7 ", .integer, 7), ("7.5", .integer, nil),
            ("2147483648", .integer, nil), ("-9", .bigint, .bigint(-9)), ("1e1", .double, 10.0), ("NaN", .double, nil), ("Infinity", .double, nil), ("0x10", .double, nil),
            ("0.125", d, .decimal("0.13")), ("x", d, nil), ("IQ==", .bytes, .bytes([0x21])), ("IQ=", .bytes, nil),
            ("2022-04-28T21:44:47.943", .timestamp, .timestamp(1_651_182_287_943)), ("1970-01", .date, .date(0)), ("foo", .date, nil), ("00:01", .time, .time(60_000)),
            (.timestamp(86_400_010), .date, .date(1)), (.timestamp(-1), .date, .date(-1)), (.timestamp(86_400_010), .time, .time(10)), (.timestamp(-1), .time, .time(86_399_999)),
            (.timestamp(10), .string, "1970-01-01T00:00:00.010"), (.date(2), .timestamp, .timestamp(172_800_000)), (.date(-1), .string, "1969-12-31"),
            (.time(5000), .string, "00:00:05"), (.time(60_001), .string, "00:01"),
        ] as [(SQLValue, SQLType, SQLValue)] {
            #expect(try cast(value, type) == wanted, "\(value) as \(type)")
        }
    }

    @Test func nested() throws {
        #expect(try cast([.bigint(1), .bigint(2_147_483_648)], .array(.integer)) == [1, .integer(.min)])
        #expect(try cast([1, nil], .string, from: .array(.integer)) == "[1, null]")
        #expect(try cast(.map(["k": "10"]), .map(key: .string, value: .integer)) == .map(["k": 10]))
        #expect(try cast(.map(["this": 1]), .string) == "{this=1}")
        let structure = SQLValue.structure([.init("F0", 1), .init("f1", 3)])
        #expect(try cast(structure, .string) == "Struct{F0=1,f1=3}")
        #expect(try cast(structure, .structure([Field("F0", .string), Field("F3", .string)])) == .structure([.init("F0", "1"), .init("F3", nil)]))
        #expect(try cast([["x"]], .array(.array(.integer))) == nil)
    }

    /// The pairs that are allowed, and no others.
    @Test func allowedPairs() {
        let scalars: [SQLType] = [.boolean, .integer, .bigint, .decimal(precision: 4, scale: 2), .double, .string, .bytes, .timestamp, .time, .date]
        // rows: from, columns: to, in that order
        let table = [
            "b....s....", ".iIDds....", ".iIDds....", ".iIDds....", ".iIDds....", "biIDdsBTtd", "......B...", ".....s.Ttd", ".....s..t.", ".....s.T.d",
        ]
        for (i, from) in scalars.enumerated() {
            for (j, to) in scalars.enumerated() {
                #expect(CastRules.canCast(from, to: to) == (Array(table[i])[j] != "."), "\(from) to \(to)")
            }
        }
        #expect(!CastRules.canCast(.string, to: .array(.integer)))
        #expect(!CastRules.canCast(.array(.bytes), to: .array(.integer)))
        #expect(CastRules.canImplicitlyCast(.integer, to: .decimal(precision: 12, scale: 2)))
        #expect(!CastRules.canImplicitlyCast(.bigint, to: .decimal(precision: 12, scale: 2)))
        #expect(!CastRules.canImplicitlyCast(.double, to: .bigint))
        #expect(!CastRules.canImplicitlyCast(.string, to: .integer))
    }

    /// Every value of a type that CAST to STRING writes it reads again.
    @Test func textRoundTrip() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<300 {
            let bits = random.next()
            for (value, type) in [
                (.integer(Int32(truncatingIfNeeded: bits)), .integer), (.bigint(Int64(bitPattern: bits)), .bigint),
                (.double(Double(bitPattern: bits)), .double), (.date(Int32(bits % 1_000_000)), .date),
                (.timestamp(Int64(bits % 4_000_000_000_000)), .timestamp), (.time(Int32(bits % 86_400) * 1000), .time),
                (.decimal(Decimal128(unscaled: Int128(Int64(bitPattern: bits)), scale: 5)), .decimal(precision: 20, scale: 5)),
            ] as [(SQLValue, SQLType)] {
                if case .double(let v) = value, !v.isFinite { continue }
                #expect(try cast(.string(value.castText), type) == value)
            }
        }
    }

    @Test func base64() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            #expect(Base64.decode(Base64.encode(Array(text.utf8)).utf8) == Array(text.utf8))
        }
        #expect(Base64.encode(Array("fooba".utf8)) == "Zm9vYmE=")
        for bad in ["Z", "Zg=", "Z===", "Zg==Zg==", "Z*==", "===="] { #expect(Base64.decode(bad.utf8) == nil, "\(bad)") }
    }
}
