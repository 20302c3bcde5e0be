import MartletCore
import Testing

@testable import MartletColumns

@Suite struct DelimitedTests {
    let csv = FormatSpec(.delimited)
    let fields = [Field("ID", .bigint), Field("NAME", .string), Field("V", .double)]

    @Test func readsPlainAndQuotedFieldsAndEmptyOnesAsNull() throws {
        let out = try decode(block(["1,zero,1.5", "2,\"a,b\",-3", ",,", "3,\"say \"\"hi\"\"\",1e3", nil, "4,\"\",0.1"]), csv, fields)
        #expect(
            out.rows == [
                [.bigint(1), .string("zero"), .double(1.5)], [.bigint(2), .string("a,b"), .double(-3)], [.null, .null, .null],
                [.bigint(3), .string("say \"hi\""), .double(1000)], [.null, .null, .null], [.bigint(4), .null, .double(0.1)],
            ])
        #expect(out.isNull == [false, false, false, false, true, false])
        #expect(out.reasons == [])
    }

    @Test(arguments: [
        ("1,a", "Column count mismatch on deserialization. expected: 3, got: 2"),
        ("1,a,2,3", "Column count mismatch on deserialization. expected: 3, got: 4"),
        ("", "No fields in record"), ("\n", "No fields in record"),
        (" 1,a,2", "column `ID`: the field is not a BIGINT (digits in the 64-bit range)"),
        ("1.0,a,2", "column `ID`: the field is not a BIGINT (digits in the 64-bit range)"),
        ("99999999999999999999,a,2", "column `ID`: the field is not a BIGINT (digits in the 64-bit range)"),
        ("1,a,zwei", "column `V`: the field is not a DOUBLE"),
        ("1,\"a,2", "the record ends inside a quoted field"),
        ("1,\"a\"b,2", "there is text between a closing quote and the next delimiter"),
    ])
    func dropsWhatIsNotARow(line: String, reason: String) throws {
        let out = try decode(block(["7,x,1", line, "8,y,2"]), csv, fields)
        #expect(out.reasons == [reason])
        #expect(out.kept == [0, 2])
        #expect(out.rows == [[.bigint(7), .string("x"), .double(1)], [.bigint(8), .string("y"), .double(2)]])
        #expect(!reason.contains("zwei"))
    }

    @Test func aColumnThatIsNotWantedIsStillChecked() throws {
        let out = try decode(block(["1,a,2", "x,a,2", "3,a,b", "4,a,1e5"]), csv, fields, wanted: [1])
        #expect(out.kept == [0, 3])
        #expect(out.reasons.count == 2)
    }

    @Test func everyTypeHasItsText() throws {
        let line = "true,-5,9,0.5,12.3400,\"x\"\"y\",AQI=,-3,86399999,17"
        let out = try decode(block([line, "TRUE,+5,0,1d,.5,é,\"AQI=\",0,0,-1", "yes,,,,,,,,,"]), csv, flatFields)
        #expect(out.reasons == [])
        #expect(
            out.rows[0] == [
                .boolean(true), .integer(-5), .bigint(9), .double(0.5), .decimal(Decimal128(unscaled: 123_400, scale: 4)), .string("x\"y"), .bytes([1, 2]),
                .date(-3), .time(86_399_999), .timestamp(17),
            ])
        #expect(out.rows[1][5] == .string("é"))
        #expect(out.rows[1][0] == .boolean(true))
        #expect(out.rows[2] == [.boolean(false)] + [SQLValue](repeating: .null, count: 9))
        for bad in [",2147483648,,,,,,,,", ",,,,12.34567,,,,,", ",,,,,,A,,,", ",,,,,,,,86400000,", ",,,,,,,1.5,,"] {
            #expect(try decode(block([bad]), csv, flatFields).reasons.count == 1, "\(bad)")
        }
    }

    @Test func malformedTextIsRepaired() throws {
        let out = try decode(block([Array("1,".utf8) + [0xff, 0x41] + Array(",2".utf8)]), csv, fields)
        #expect(out.rows[0][1] == .string("\u{fffd}A"))
    }

    @Test(arguments: [("TAB", "\t"), ("SPACE", " "), ("|", "|"), (";", ";")]) func delimiters(name: String, separator: String) throws {
        let spec = FormatSpec(.delimited, properties: ["delimiter": name])
        let line = ["1", "a,b", "2.5"].joined(separator: separator)
        #expect(try decode(block([line]), spec, fields).rows == [[.bigint(1), .string("a,b"), .double(2.5)]])
        #expect(try text(encode([[.bigint(1), .string("a,b"), .double(2.5)]], spec, fields)) == [line])
        #expect(throws: MartletError.self) { try RecordDecoder(spec: FormatSpec(.delimited, properties: ["delimiter": "<~>"]), fields: [], wanted: []) }
    }

    @Test(arguments: [0, 1, 2]) func rowsWithoutARequiredColumnAreLeftOut(required: Int) throws {
        let lines: [String?] = ["1,a,2", ",a,2", "1,,2", "1,a,", "1,\"\",2", "1,a,\"\"", nil, "x,,", "\"\",a,2"]
        let out = try decode(block(lines), csv, fields, notNull: [required])
        let all = try decode(block(lines), csv, fields)
        #expect(out.rows == all.rows.filter { $0[required] != .null })
        #expect(out.reasons.count == (required == 0 ? 1 : 0))
    }

    @Test func aNestedTypeIsRefusedByName() {
        #expect {
            try RecordDecoder(spec: csv, fields: [Field("K", .array(.string))], wanted: [0])
        } throws: { ($0 as? MartletError)?.message == "The 'DELIMITED' format does not support type 'ARRAY', column: `K`" }
    }

    // ksqlDB's documented examples and Commons CSV's minimal quoting.
    @Test(arguments: [
        ("-10", "\"-10\""), ("10", "10"), ("", "\"\""), ("a b", "a b"), ("a ", "\"a \""), (" a", "\" a\""), ("#a", "\"#a\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""),
        ("a\nb", "\"a\nb\""), ("é", "\"é\""), ("_a", "\"_a\""),
    ])
    func quotesTheFirstFieldSo(value: String, written: String) throws {
        #expect(try text(encode([[.string(value)]], csv, [Field("S", .string)])) == [written])
    }

    @Test(arguments: [("-10", "-10"), ("", ""), ("#a", "\"#a\""), ("$a", "$a"), ("é", "é"), ("a ", "\"a \""), ("\"", "\"\"\"\"")])
    func quotesOtherFieldsSo(value: String, written: String) throws {
        #expect(try text(encode([[.integer(1), .string(value)]], csv, [Field("I", .integer), Field("S", .string)])) == ["1," + written])
    }

    @Test func numbersAreWrittenAsJavaPrintsThem() throws {
        let rows: [[SQLValue]] = [
            [.boolean(true), .integer(-1), .bigint(5), .double(1e10), .decimal(Decimal128(unscaled: -5, scale: 4)), .null, .bytes([1]), .date(-3), .time(4), .timestamp(9)]
        ]
        #expect(try text(encode(rows, csv, flatFields)) == ["true,-1,5,1.0E10,-0.0005,,AQ==,-3,4,9"])
        #expect(try encode([nil], csv, flatFields) == [nil])
    }

    // Law: what is written reads back, except that an empty text is null; and rows together read as rows alone.
    @Test(arguments: 0..<40) func roundTrip(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let rows = (0..<20).map { _ in flatFields.map { SQLValue.random($0.type, &random) } }
        let records = try encode(rows, csv, flatFields)
        let out = try decode(block(records), csv, flatFields)
        #expect(out.rows == rows, "seed \(seed)")
        #expect(out.reasons == [])
        for (row, record) in records.enumerated() { #expect(try decode(block([record]), csv, flatFields).rows == [rows[row]]) }
    }

    // Law: the fast reader and the careful one agree. A quoted field forces the careful one for the line.
    @Test(arguments: 0..<60) func fastReaderAgreesWithTheCarefulOne(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let pieces = ["1", "-2", "", "0.25", "x", "\"q\"", "\"\"", " 1", "1e5", "\"a\"\"b\"", "é", "\"", "12345678901234567890", "1.", "-", "+1", "\n", "tRue", "\"q\" ", "0.1234567890123456789"]
        let types: [SQLType] = [.integer, .bigint, .double, .string, .boolean, .decimal(precision: 5, scale: 2), .string]
        for _ in 0..<200 {
            let fields = (0..<4).map { Field("F\($0)", types[Int.random(in: 0..<types.count, using: &random)]) }
            let line = (0..<4).map { _ in pieces[Int.random(in: 0..<pieces.count, using: &random)] }.joined(separator: ",")
            let wanted = fields.indices.filter { _ in Bool.random(using: &random) }
            let fast = try decode(block([line]), csv, fields, wanted: wanted)
            // The same line behind a line break: the fast reader gives up at the first field, the careful one skips it.
            let careful = try decode(block(["\n" + line]), csv, fields, wanted: wanted)
            if line.first != "\n" { #expect(fast == careful, "seed \(seed): \(line) as \(fields.map(\.type)) wanted \(wanted)") }
        }
    }

    @Test func neverReadsBeyondARecord() throws {
        // Digits and delimiters follow at once; a truncated line must not borrow them.
        let full = "12,ab,3.25"
        for cut in 0..<full.utf8.count {
            let out = try decode(block([String(full.prefix(cut)), "99,zz,9.5"]), csv, fields)
            let alone = try decode(block([String(full.prefix(cut))]), csv, fields)
            #expect(out.reasons == alone.reasons)
            #expect(out.rows.dropLast() == alone.rows[...], "cut \(cut)")
        }
    }
}

@Suite struct KafkaFormatTests {
    @Test func eachTypeHasKafkasBytes() throws {
        let cases: [(SQLValue, SQLType, [UInt8])] = [
            (.integer(-2), .integer, [0xff, 0xff, 0xff, 0xfe]), (.bigint(1), .bigint, [0, 0, 0, 0, 0, 0, 0, 1]),
            (.double(1.5), .double, [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), (.string("é"), .string, [0xc3, 0xa9]), (.string(""), .string, []), (.bytes([0, 255]), .bytes, [0, 255]),
        ]
        for (value, type, bytes) in cases {
            let fields = [Field("K", type)]
            #expect(try encode([[value]], FormatSpec(.kafka), fields) == [bytes])
            #expect(try decode(block([bytes]), FormatSpec(.kafka), fields).rows == [[value]])
            #expect(try encode([[.null]], FormatSpec(.kafka), fields) == [nil])
        }
        let out = try decode(block([[1, 2, 3], nil, [0, 0, 0, 5]]), FormatSpec(.kafka), [Field("K", .integer)])
        #expect(out.reasons == ["expected 4 bytes, found 3"])
        #expect(out.rows == [[.null], [.integer(5)]])
        #expect(out.isNull == [true, false])
    }

    @Test func refusesWhatItCannotHold() {
        #expect(throws: MartletError.self) { try RecordDecoder(spec: FormatSpec(.kafka), fields: [Field("K", .boolean)], wanted: [0]) }
        #expect(throws: MartletError.self) {
            try RecordDecoder(spec: FormatSpec(.kafka), fields: [Field("A", .integer), Field("B", .integer)], wanted: [0])
        }
        #expect(throws: MartletError.self) { try RecordDecoder(spec: FormatSpec(.none), fields: [Field("A", .integer)], wanted: []) }
    }
}
