import MartletCore
import Testing

@testable import MartletColumns

@Suite struct JSONTests {
    let json = FormatSpec(.json)
    let bare = FormatSpec(.json, unwrapSingle: true)

    private func one(_ text: String, _ type: SQLType) throws -> SQLValue? {
        try decode(block(["{\"C\":\(text)}"]), json, [Field("C", type)]).rows.first?.first
    }

    // SEMANTICS, surprise 26: lenient in odd ways.
    @Test func whatEachTypeAccepts() throws {
        let good: [(String, SQLType, SQLValue)] = [
            ("10", .integer, .integer(10)), ("\"10\"", .integer, .integer(10)), ("10.9", .integer, .integer(10)), ("-10.9", .integer, .integer(-10)),
            ("1e3", .integer, .integer(1000)), ("4294967297", .integer, .integer(1)), ("1.5e1", .bigint, .bigint(15)), ("\"-7\"", .bigint, .bigint(-7)),
            ("9223372036854775807", .bigint, .bigint(.max)), ("-9223372036854775808", .bigint, .bigint(.min)),
            ("10", .double, .double(10)), ("1e10", .double, .double(1e10)), ("0.1", .double, .double(0.1)), ("-0.25", .double, .double(-0.25)), ("\"1.5\"", .double, .double(1.5)),
            ("\"NaN\"", .string, .string("NaN")), ("12.3", .decimal(precision: 4, scale: 2), .decimal(Decimal128(unscaled: 1230, scale: 2))),
            ("\"12.30\"", .decimal(precision: 4, scale: 2), .decimal(Decimal128(unscaled: 1230, scale: 2))),
            ("1", .decimal(precision: 4, scale: 2), .decimal(Decimal128(unscaled: 100, scale: 2))),
            ("true", .boolean, .boolean(true)), ("false", .boolean, .boolean(false)), ("\"AQI=\"", .bytes, .bytes([1, 2])),
            ("5", .date, .date(5)), ("\"5\"", .date, .date(5)), ("86399999", .time, .time(86_399_999)), ("1600000000000", .timestamp, .timestamp(1_600_000_000_000)),
            ("10", .string, .string("10")), ("1.0", .string, .string("1.0")), ("true", .string, .string("true")), ("{ \"b\" : 1 , \"a\":[2]}", .string, .string("{\"b\":1,\"a\":[2]}")),
            ("[1, \"x\",null,{\"k\":1}]", .string, .string("[1, x, null, {\"k\":1}]")), ("\"a\\n\\u00e9\\ud83d\\ude00\"", .string, .string("a\né😀")), ("\"\"", .string, .string("")),
            ("[1,null,\"3\"]", .array(.integer), .array([.integer(1), .null, .integer(3)])), ("[]", .array(.integer), .array([])),
            ("{\"a\":1,\"b\":null}", .map(key: .string, value: .double), .map([.init(.string("a"), .double(1)), .init(.string("b"), .null)])),
            ("{\"x\":1,\"Q\":0}", .structure([Field("X", .integer), Field("Y", .string)]), .structure([.init("X", .integer(1)), .init("Y", .null)])),
        ]
        for (text, type, value) in good { #expect(try one(text, type) == value, "\(text) as \(type)") }
    }

    @Test func whatDropsTheRecord() throws {
        let bad: [(String, SQLType)] = [
            ("\"x\"", .integer), ("\"10.5\"", .integer), ("true", .integer), ("[1]", .integer), ("\"99999999999\"", .integer), ("\"x\"", .double), ("{}", .double), ("1", .boolean),
            ("\"true\"", .boolean), ("1.234", .decimal(precision: 4, scale: 2)), ("100", .decimal(precision: 4, scale: 2)), ("\"!\"", .bytes), ("1", .bytes),
            ("86400000", .time), ("-1", .time), ("1", .array(.integer)), ("{}", .array(.integer)), ("[\"x\"]", .array(.integer)), ("[]", .map(key: .string, value: .integer)),
            ("[]", .structure([Field("X", .integer)])), ("{\"X\":\"a\"}", .structure([Field("X", .integer)])),
            ("01", .double), ("1.", .double), (".5", .double), ("+1", .double), ("NaN", .double), ("nul", .string), ("\"\\x\"", .string), ("\"a\nb\"", .string), ("", .integer), ("[1,]", .array(.integer)),
            ("{\"a\"}", .map(key: .string, value: .integer)), (String(repeating: "[", count: 100_000), .string),
        ]
        for (text, type) in bad {
            let out = try decode(block(["{\"C\":1,\"C\":\(text)}", "{}"]), json, [Field("C", type)])
            #expect(out.kept == [1], "\(text.prefix(20)) as \(type)")
            #expect(out.reasons.count == 1)
            #expect(out.reasons.first?.contains("99999999999") == false)
        }
    }

    @Test func namesAreMatchedExactlyThenInUpperCase() throws {
        let fields = [Field("FOO", .integer), Field("bar", .integer)]
        let cases: [(String, [SQLValue])] = [
            ("{\"foo\":1}", [.integer(1), .null]), ("{\"Foo\":1,\"bar\":2}", [.integer(1), .integer(2)]), ("{\"BAR\":2}", [.null, .null]),
            ("{\"foo\":1,\"FOO\":2}", [.integer(2), .null]), ("{\"FOO\":2,\"foo\":1}", [.integer(2), .null]), ("{\"FOO\":null,\"foo\":1}", [.null, .null]),
            ("{\"FOO\":1,\"FOO\":3}", [.integer(3), .null]), ("{\"foo\":1,\"fOO\":3}", [.integer(3), .null]), ("{\"\\u0046OO\":4}", [.integer(4), .null]),
            ("{ }", [.null, .null]), ("{\"other\":{\"foo\":[1]},\"foo\":5}", [.integer(5), .null]),
        ]
        for (text, row) in cases { #expect(try decode(block([text]), json, fields).rows == [row], "\(text)") }
        // All in one block: the order of names seen before must not decide.
        #expect(try decode(block(cases.map(\.0)), json, fields).rows == cases.map(\.1))
    }

    @Test func wrappedAndBareAndNull() throws {
        let field = [Field("C", .integer)]
        let wrapped = try decode(block(["null", "{\"C\":null}", nil, "7", ""]), json, field)
        #expect(wrapped.isNull == [true, false, true])
        #expect(wrapped.reasons == ["expected an object", "the record is empty"])
        let single = try decode(block(["7", "null", nil, " 8 ", "x"]), bare, field)
        #expect(single.rows == [[.integer(7)], [.null], [.null], [.integer(8)]])
        #expect(single.isNull == [false, false, true, false])
        #expect(single.reasons == ["column `C`: malformed JSON"])
        #expect(try text(encode([[.integer(7)], [.null], nil], bare, field)) == ["7", nil, nil])
        #expect(try text(encode([[.integer(7)], [.null], nil], json, field)) == ["{\"C\":7}", "{\"C\":null}", nil])
        // Digits follow a record in the buffer: a bare number ends where the record does.
        #expect(try decode(block(["1.5", "2", "3.25"]), bare, [Field("C", .double)]).rows == [[.double(1.5)], [.double(2)], [.double(3.25)]])
    }

    @Test func writesEachTypeAsTopicsHaveIt() throws {
        let row: [SQLValue] = [
            .boolean(true), .integer(-1), .bigint(5), .double(1e10), .decimal(Decimal128(unscaled: 51, scale: 4)), .string("a\"\\\n\u{1}é"), .bytes([1]), .date(-3), .time(4), .timestamp(9),
            .array([.bigint(1), .null]), .map([.init(.string("k"), .double(0.5))]), .structure([.init("X", .null), .init("Y", .array([.structure([.init("Z", .integer(1))])]))]), .array([]),
        ]
        #expect(
            try text(encode([row], json, nestedFields)) == [
                #"{"B":true,"I":-1,"L":5,"D":1.0E10,"P":0.0051,"S":"a\"\\\n\u0001é","Y":"AQ==","DT":-3,"TI":4,"TS":9,"A":[1,null],"M":{"k":0.5},"ST":{"X":null,"Y":[{"Z":1}]},"AM":[]}"#
            ])
    }

    @Test(arguments: 0..<40) func roundTripAndRowByRow(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let rows = (0..<12).map { _ in nestedFields.map { SQLValue.random($0.type, &random) } }
        for spec in [json, FormatSpec(.jsonSR)] {
            let records = try encode(rows, spec, nestedFields, schemaID: spec.kind == .jsonSR ? 7 : nil)
            let out = try decode(block(records), spec, nestedFields)
            #expect(out.rows == rows, "seed \(seed)")
            for (row, record) in records.enumerated() { #expect(try decode(block([record]), spec, nestedFields).rows == [rows[row]]) }
        }
        // The text is JSON by another reader's judgement.
        for record in try encode(rows, json, nestedFields) { #expect(throws: Never.self) { try JSONValue(parsing: record!) } }
    }

    // Law: rows together read as rows alone. Alone they take the reader that knows everything, together mostly the one that expects the shape
    // of the row before.
    @Test(arguments: 0..<40) func theShapeOfTheRowBeforeChangesNothing(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }
        let fields = [Field("A", .integer), Field("B", .double), Field("C", .string), Field("D", .boolean), Field("LONGERNAME", .bigint), Field("N", .array(.integer)), Field("P", .decimal(precision: 5, scale: 2))]
        let shapes = [
            ["A", "B", "C", "D", "LONGERNAME"], ["a", "b", "c", "d", "longerName"], ["B", "x", "A", "N", "P"], ["A", "a", "C", "C"], ["LongerNams", "LONGERNAME", "d"], [],
        ]
        let values: [String: [String]] = [
            "A": ["1", "-20", "null", "\"3\"", "4.5", "01", "99999999999", "1e2", "x"], "B": ["0.5", "-1", "null", "1e5", "\"2\"", "1.", "12345678901234567890"], "C": ["\"x\"", "\"\"", "\"a\\nb\"", "null", "5", "{\"q\":1}", "\"é\""],
            "D": ["true", "false", "null", "1", "tru"], "LONGERNAME": ["7", "-9223372036854775808", "null", " 8 "], "N": ["[1,2]", "[]", "null", "[\"x\"]", "[3"], "P": ["1.25", "null", "1.255"],
        ]
        var lines: [String?] = [], shape = shapes[0]
        for _ in 0..<120 {
            if Int.random(in: 0..<5, using: &random) == 0 { shape = pick(shapes) }
            // Mostly the first values, so that many rows are as usual.
            let members = shape.map { name in
                let all = values[name.uppercased()] ?? ["{\"deep\":[1,{}]}"]
                return "\"\(name)\"" + pick([":", ":", ": "]) + (Int.random(in: 0..<4, using: &random) > 0 ? all[0] : pick(all))
            }
            lines.append("{" + members.joined(separator: pick([",", ",", " , "])) + pick(["}", "}", "} ", ""]))
        }
        for wanted in [Array(fields.indices), [1], [2, 5], []] {
            let together = try decode(block(lines), json, fields, wanted: wanted)
            let alone = try lines.map { try decode(block([$0]), json, fields, wanted: wanted) }
            #expect(together.rows == alone.flatMap(\.rows), "seed \(seed)")
            #expect(together.reasons == alone.flatMap(\.reasons), "seed \(seed)")
            #expect(together.rows.count > 20)
        }
    }

    @Test(arguments: 0..<6) func everyTruncationIsReported(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let row = nestedFields.map { SQLValue.random($0.type, &random) }
        let record = try encode([row], json, nestedFields)[0]!
        let cuts = record.indices.map { Optional(Array(record[..<$0])) }
        let out = try decode(block(cuts + [record]), json, nestedFields)
        #expect(out.kept == [UInt32(record.count)])
        #expect(out.rows == [row])
        #expect(out.reasons.count == record.count)
    }

    @Test func aBadRowLeavesNoTraceInOthers() throws {
        let fields = [Field("A", .array(.integer)), Field("S", .structure([Field("X", .array(.string))])), Field("N", .integer)]
        let out = try decode(
            block([#"{"A":[1],"S":{"X":["a"]},"N":1}"#, #"{"A":[2,3],"S":{"X":["b","c"]},"N":"x"}"#, #"{"S":{"X":["d", {"#, #"{"A":[4],"S":{"X":["e"]},"N":2}"#]), json, fields)
        #expect(
            out.rows == [
                [.array([.integer(1)]), .structure([.init("X", .array([.string("a")]))]), .integer(1)],
                [.array([.integer(4)]), .structure([.init("X", .array([.string("e")]))]), .integer(2)],
            ])
        #expect(out.kept == [0, 3])
    }

    @Test func aColumnThatIsNotWantedIsStillConvertedAndARequiredOneDecides() throws {
        let fields = [Field("A", .integer), Field("B", .string), Field("C", .integer)]
        let lines: [String?] = [#"{"A":1,"B":"x","C":1}"#, #"{"A":1,"B":{"y":[1]},"C":2}"#, #"{"A":"no","C":3}"#, #"{"A":1}"#, nil]
        #expect(try decode(block(lines), json, fields, wanted: [2]).rows == [[.integer(1)], [.integer(2)], [.null], [.null]])
        #expect(try decode(block(lines), json, fields, wanted: [2], notNull: [2]).kept == [0, 1])
    }

    @Test func jsonSRHasAHeader() throws {
        let spec = FormatSpec(.jsonSR), fields = [Field("C", .integer)]
        #expect(try encode([[.integer(1)]], spec, fields, schemaID: 258) == [[0, 0, 0, 1, 2] + Array("{\"C\":1}".utf8)])
        #expect(try decode(block([[0, 0, 0], [1, 0, 0, 0, 0, 0x31]]), spec, fields).reasons.count == 2)
        #expect(throws: MartletError.self) { try RecordEncoder(spec: spec, fields: fields) }
        let schema = try SchemaTranslation.schemaText(for: nestedFields, spec: spec, side: .value)
        #expect(try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value) == nestedFields)
        #expect(
            try SchemaTranslation.schemaText(for: [Field("K", .integer)], spec: FormatSpec(.jsonSR, unwrapSingle: true), side: .key)
                == #"{"oneOf":[{"type":"null"},{"type":"integer","connect.type":"int32"}]}"#)
    }

    @Test func mapsHaveTextKeys() {
        #expect {
            try RecordEncoder(spec: json, fields: [Field("M", .map(key: .integer, value: .integer))])
        } throws: { ($0 as? MartletError)?.message == "JSON only supports MAP types with STRING keys" }
    }
}

@Suite struct JSONRowWriterTests {
    @Test func restShowsTimeTypesAsText() {
        let fields = nestedFields + [Field("MI", .map(key: .integer, value: .time))]
        let row: [SQLValue] = [
            .boolean(false), .integer(1), .bigint(-2), .double(100), .decimal(Decimal128(unscaled: 51000, scale: 4)), .string("x"), .bytes([255]), .date(-719_528), .time(3_661_234), .timestamp(-1),
            .null, .map([]), .structure([.init("X", .string("q")), .init("Y", .null)]), .null, .map([.init(.integer(1), .time(3_600_000))]),
        ]
        let columns = zip(fields, row).map { ColumnBuilder.column(of: $0.type, [.null, $1]) }
        let writer = JSONRowWriter(fields)
        var out: [UInt8] = []
        writer.appendRow(columns, row: 1, to: &out)
        let values = #"false,1,-2,100.0,5.1000,"x","/w==","0000-01-01","01:01:01","1969-12-31T23:59:59.999",null,{},{"X":"q","Y":null},null,{"1":"01:00"}"#
        #expect(String(decoding: out, as: UTF8.self) == "[\(values)]")
        out = []
        writer.appendObject(Array(columns[..<2]), row: 0, to: &out)
        #expect(String(decoding: out, as: UTF8.self) == #"{"B":null,"I":null}"#)
        var all = EncodedColumn()
        writer.append(columns, count: 2, to: &all)
        #expect(all.slice(1).map { String(decoding: $0, as: UTF8.self) } == "[\(values)]")
        #expect(all.slice(0)?.count == 4 * fields.count + fields.count + 1)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000"), (951_782_400_000, "2000-02-29T00:00:00.000"), (4_102_444_799_999, "2099-12-31T23:59:59.999"), (-62_135_596_800_000, "0001-01-01T00:00:00.000"),
        (253_402_300_800_000, "+10000-01-01T00:00:00.000"),
    ])
    func timestamps(millis: Int64, text: String) {
        var out: [UInt8] = []
        JSONRowWriter([Field("T", .timestamp)]).appendRow([.timestamp(FixedColumn([millis]))], row: 0, to: &out)
        #expect(String(decoding: out, as: UTF8.self) == "[\"\(text)\"]")
    }
}

/// JSON_SR: records as Connect's JSON Schema converter writes and reads them.
@Suite struct JSONSchemaRecordsTests {
    private let spec = FormatSpec(.jsonSR)
    private let header: [UInt8] = [0, 0, 0, 0, 1]
    private func records(_ texts: [String]) -> RecordBlock { block(texts.map { header + Array($0.utf8) }) }

    // Keys of SQL's maps may be null, so Connect writes maps as lists of entries; a schema of an object makes them objects.
    @Test func mapsAreListsOfEntries() throws {
        let fields = [Field("M", .map(key: .string, value: .integer)), Field("S", .structure([Field("N", .map(key: .string, value: .array(.bigint)))]))]
        let text = try SchemaTranslation.schemaText(for: fields, spec: spec, side: .value)
        #expect(
            try JSONValue(parsing: text)["properties"]?["M"]?["oneOf"]?.arrayValue?[1].description
                == #"{"type":"array","connect.type":"map","items":{"type":"object","properties":{"key":{"connect.index":0,"oneOf":[{"type":"null"},{"type":"string"}]},"value":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"integer","connect.type":"int32"}]}}}}"#)
        #expect(try SchemaTranslation.fields(fromSchemaText: text, spec: spec, side: .value) == fields)
        let row: [SQLValue] = [
            .map([.init(.string("a"), .integer(1)), .init(.string("b"), .null)]), .structure([.init("N", .map([.init(.string("c"), .array([.bigint(2)]))]))]),
        ]
        let written = try encode([row], spec, fields, schemaID: 1)
        let body = written[0].map { String(decoding: $0.dropFirst(5), as: UTF8.self) }
        #expect(body == #"{"M":[{"key":"a","value":1},{"key":"b","value":null}],"S":{"N":[{"key":"c","value":[2]}]}}"#)
        #expect(try decode(block(written), spec, fields).rows == [row])
        let chosen = #"{"type":"object","properties":{"M":{"type":"object","connect.type":"map","additionalProperties":{"type":"integer"}},"S":{"type":"object","properties":{"N":{"oneOf":[{"type":"null"},{"type":"object","connect.type":"map","additionalProperties":{"type":"array","items":{"type":"integer"}}}]}}}}}"#
        let objects = try encode([row], spec, fields, schemaID: 1, schemaText: chosen)
        #expect(objects[0].map { String(decoding: $0.dropFirst(5), as: UTF8.self) } == #"{"M":{"a":1,"b":null},"S":{"N":{"c":[2]}}}"#)
        #expect(try decode(block(objects), spec, fields).rows == [row])
    }

    @Test func entriesOfAnotherShapeAreRefused() throws {
        let fields = [Field("M", .map(key: .string, value: .integer))]
        let good = [#"{"M":[]}"#, #"{"M":[{"value":1,"key":"a"}]}"#, #"{"M":[{"key":"a"}]}"#, #"{"M":[ {"key" : "a" , "value":1} , {"key":null,"value":2} ]}"#]
        #expect(
            try decode(records(good), spec, fields).rows == [
                [.map([])], [.map([.init(.string("a"), .integer(1))])], [.map([.init(.string("a"), .null)])],
                [.map([.init(.string("a"), .integer(1)), .init(.null, .integer(2))])],
            ])
        let bad = [#"{"M":[1]}"#, #"{"M":[{"key":"a","other":1}]}"#, #"{"M":[{"key":"a","key":"b"}]}"#, #"{"M":[{"key":"a","value":"x"}]}"#, #"{"M":[{"key":"a""#, #"{"M":[{}]}"#]
        #expect(try decode(records(bad), spec, fields).rows.isEmpty)
        // Plain JSON knows objects only.
        #expect(try decode(block([good[1]]), FormatSpec(.json), fields).rows.isEmpty)
    }

    // Connect turns alternatives into a struct with a field for each: the first that a value's kind suits takes it.
    @Test func alternativesAreStructs() throws {
        let schema = #"{"type":"object","properties":{"v":{"oneOf":[{"type":"null"},{"type":"integer"},{"type":"number"},{"type":"string"},{"type":"object","properties":{"p":{"type":"boolean"}}}]}}}"#
        let fields = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value)
        let names = (0..<4).map { "IO.CONFLUENT.CONNECT.JSON.ONEOF.FIELD.\($0)" }
        let types: [SQLType] = [.bigint, .double, .string, .structure([Field("P", .boolean)])]
        #expect(fields == [Field("V", .structure(zip(names, types).map { Field($0, $1) }))])
        let rows = try decode(records([#"{"v":7}"#, #"{"v":7.5}"#, #"{"v":"x"}"#, #"{"v":{"p":true}}"#, #"{"v":null}"#, "{}"]), spec, fields).rows
        func chosen(_ index: Int, _ value: SQLValue) -> [SQLValue] { [.structure(names.enumerated().map { .init($1, $0 == index ? value : .null) })] }
        #expect(
            rows == [
                chosen(0, .bigint(7)), chosen(1, .double(7.5)), chosen(2, .string("x")), chosen(3, .structure([.init("P", .boolean(true))])), [.null], [.null],
            ])
        #expect(try decode(records([#"{"v":true}"#, #"{"v":[1]}"#]), spec, fields).rows.isEmpty)
        // An object goes to the struct that has most of its names, if none of them.
        #expect(try decode(records([#"{"v":{"q":1}}"#]), spec, fields).rows == [chosen(3, .structure([.init("P", .null)]))])
        // Written with the schema they came from, whose names they keep then, they are those values again.
        let own = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value, keepsCase: true)
        #expect(own.first?.type.description.contains("io.confluent.connect.json.OneOf.field.3") == true)
        let lines = [#"{"v":7}"#, #"{"v":7.5}"#, #"{"v":"x"}"#, #"{"v":{"p":true}}"#, #"{"v":null}"#]
        let again = try encode(try decode(records(lines), spec, own).rows, spec, own, schemaID: 1, schemaText: schema)
        #expect(again.map { $0.map { String(decoding: $0.dropFirst(5), as: UTF8.self) } } == lines)
    }

    @Test func objectsOfSeveralPartsAreOneStruct() throws {
        func columns(_ schema: String) throws -> [Field] { try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value) }
        let base = #""$defs":{"b":{"type":"object","properties":{"a":{"type":"integer"},"z":{"type":"string"}}}}"#
        let parts = ##"[{"$ref":"#/$defs/b"},{"type":"object","properties":{"c":{"type":"boolean"},"z":{"type":"integer"}}},{"required":["a"]}]"##
        let wanted = [Field("A", .bigint), Field("Z", .bigint), Field("C", .boolean)]
        #expect(try columns(#"{"allOf":\#(parts),\#(base)}"#) == wanted)
        #expect(try columns(#"{"type":"object","properties":{"r":{"allOf":\#(parts)}},\#(base)}"#) == [Field("R", .structure(wanted))])
        // Conditions beside properties change nothing, and parts that are no objects say what a value is.
        #expect(
            try columns(#"{"type":"object","properties":{"r":{"type":"object","properties":{"x":{"type":"number"}},"anyOf":[{"required":["x"]},{"required":["y"]}]},"s":{"allOf":[{"maxLength":3},{"type":"string"}]}}}"#)
                == [Field("R", .structure([Field("X", .double)])), Field("S", .string)])
        let union = try columns(#"{"type":"object","properties":{"v":{"type":["null","string","integer"]}}}"#)
        #expect(union == [Field("V", .structure([Field("IO.CONFLUENT.CONNECT.JSON.ONEOF.FIELD.0", .string), Field("IO.CONFLUENT.CONNECT.JSON.ONEOF.FIELD.1", .bigint)]))])
        // What contains itself comes once.
        #expect(try columns(##"{"allOf":[{"$ref":"#/$defs/n"},{"$ref":"#/$defs/n"}],"$defs":{"n":{"allOf":[{"$ref":"#/$defs/n"},{"$ref":"#"},{"properties":{"a":{"type":"integer"}}}]}}}"##) == [Field("A", .bigint)])
        #expect(throws: MartletError.self) { try columns(#"{"type":"object","properties":{"r":{"type":"object","properties":{"a":{"type":"string"},"A":{"type":"string"}}}}}"#) }
    }

    @Test func numbersFollowConnectsHints() throws {
        let schema = #"{"type":"object","properties":{"a":{"type":"number","connect.type":"int32","connect.index":0},"b":{"type":"number","connect.type":"int64","connect.index":1},"c":{"type":"integer","connect.type":"float32","connect.index":2},"d":{"type":"integer","connect.type":"int8","connect.index":3}}}"#
        #expect(
            try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value) == [
                Field("A", .integer), Field("B", .bigint), Field("C", .double), Field("D", .integer),
            ])
        #expect(throws: MartletError.self) { try SchemaTranslation.fields(fromSchemaText: #"{"type":"string"}"#, spec: spec, side: .value) }
        #expect(throws: MartletError.self) { try SchemaTranslation.fields(fromSchemaText: #"{"type":"object"}"#, spec: spec, side: .value) }
    }
}
