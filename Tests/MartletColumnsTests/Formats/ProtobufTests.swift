import MartletCore
import Testing

@testable import MartletColumns

/// Protobuf schemas by id, and what they refer to by subject.
private struct ProtobufSchemas: SchemaSource {
    var texts: [Int32: RegisteredSchema]
    var referenced: [String: String] = [:]

    init(_ texts: [Int32: String], referenced: [String: String] = [:]) {
        self.texts = texts.mapValues { text in
            RegisteredSchema(
                type: "PROTOBUF", text: text,
                references: referenced.keys.sorted().filter { text.contains("\"\($0)\"") }.map { .init(name: $0, subject: $0, version: 1) })
        }
        self.referenced = referenced
    }

    func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema {
        guard let schema = texts[id] else { throw MartletError(.notFound, "schema \(id) not found") }
        return schema
    }

    func referencedSchema(_ reference: RegisteredSchema.Reference) throws(MartletError) -> RegisteredSchema {
        RegisteredSchema(type: "PROTOBUF", text: referenced[reference.subject] ?? "")
    }
}

/// Columns of every type that a Protobuf message holds.
private let protobufFields =
    flatFields + [
        Field("A", .array(.bigint)), Field("AS", .array(.string)), Field("M", .map(key: .string, value: .double)),
        Field("ST", .structure([Field("X", .string), Field("Y", .array(.structure([Field("Z", .integer), Field("T", .timestamp)]))), Field("N", .structure([Field("D", .date)]))])),
        Field("MS", .map(key: .string, value: .structure([Field("V", .decimal(precision: 6, scale: 2))]))),
    ]

@Suite struct ProtobufTests {
    let protobuf = FormatSpec(.protobuf)
    let plain = FormatSpec(.protobufNoSR)
    private let first: [UInt8] = [0, 0, 0, 0, 1, 0]

    private func read(_ body: [UInt8], _ message: String, _ fields: [Field], notNull: [Int] = [], proto2: Bool = false, place: [UInt8] = [0]) throws -> Outcome {
        let text = "syntax = \"\(proto2 ? "proto2" : "proto3")\"; \(message)"
        return try decode(
            block([[0, 0, 0, 0, 1] + place + body]), protobuf, fields, notNull: notNull, schemas: ProtobufSchemas([1: text]))
    }

    // Protocol Buffers, "Encoding": its examples.
    @Test func theGuidesExamples() throws {
        #expect(try read([0x08, 0x96, 0x01], "message Test1 { optional int32 a = 1; }", [Field("A", .integer)]).rows == [[.integer(150)]])
        #expect(
            try read([0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67], "message Test2 { string b = 2; }", [Field("B", .string)]).rows
                == [[.string("testing")]])
        #expect(
            try read([0x1a, 0x03, 0x08, 0x96, 0x01], "message Test1 { int32 a = 1; } message Test3 { Test1 c = 3; }", [Field("C", .structure([Field("A", .integer)]))], place: [2, 2]).rows
                == [[.structure([.init("A", .integer(150))])]])
        let packed = "message Test5 { repeated int32 f = 6; }"
        #expect(
            try read([0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05], packed, [Field("F", .array(.integer))]).rows
                == [[.array([.integer(3), .integer(270), .integer(86942)])]])
        // Elements one by one, and both ways in one record.
        #expect(
            try read([0x30, 3, 0x32, 1, 4, 0x30, 5], packed, [Field("F", .array(.integer))]).rows == [[.array([.integer(3), .integer(4), .integer(5)])]])
        for (value, byte) in [(0, 0), (-1, 1), (1, 2), (-2, 3)] as [(Int32, UInt8)] {
            #expect(try read([0x08, byte], "message M { sint32 v = 1; }", [Field("V", .integer)]).rows == [[.integer(value)]])
        }
        let minusTwo: [UInt8] = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        #expect(try read(minusTwo, "message M { int32 v = 1; }", [Field("V", .integer)]).rows == [[.integer(-2)]])
        #expect(try encode([[.integer(150)]], plain, [Field("A", .integer)]) == [[0x08, 0x96, 0x01]])
        #expect(try encode([[.integer(-2)]], plain, [Field("A", .integer)]) == [minusTwo])
        #expect(
            try encode([[.array([.integer(3), .integer(270), .integer(86942)])]], plain, [Field("F", .array(.integer))])
                == [[0x0a, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]])
    }

    @Test func writerTypesBecomeColumnTypes() throws {
        let cases: [(String, [UInt8], SQLType, SQLValue)] = [
            ("int32", [0, 5], .bigint, .bigint(5)), ("int32", [0, 5], .date, .date(5)), ("int64", [0, 5], .timestamp, .timestamp(5)), ("int64", [0, 5], .string, .string("5")),
            ("uint32", [0, 0xff, 0xff, 0xff, 0xff, 0x0f], .bigint, .bigint(4_294_967_295)),
            ("uint64", [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], .bigint, .bigint(-1)),
            ("uint64", [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], .string, .string("-1")),
            ("fixed32", [5, 1, 0, 0, 0x80], .bigint, .bigint(2_147_483_649)), ("sfixed32", [5, 0xff, 0xff, 0xff, 0xff], .integer, .integer(-1)),
            ("fixed64", [1, 7, 0, 0, 0, 0, 0, 0, 0], .bigint, .bigint(7)), ("sfixed64", [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], .bigint, .bigint(-1)),
            ("sint64", [0, 3], .bigint, .bigint(-2)), ("bool", [0, 1], .boolean, .boolean(true)), ("bool", [0, 1], .string, .string("true")),
            ("float", [5, 0, 0, 0x80, 0x40], .double, .double(4)), ("float", [5, 0xcd, 0xcc, 0xcc, 0x3d], .string, .string("0.1")),
            ("double", [1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f], .double, .double(1.5)), ("bytes", [2, 2, 9, 8], .bytes, .bytes([9, 8])),
            ("Suit", [0, 1], .string, .string("HEARTS")), ("Suit", [0, 9], .string, .string("UNKNOWN_ENUM_VALUE_Suit_9")),
            ("google.protobuf.Int32Value", [2, 2, 8, 7], .integer, .integer(7)), ("google.protobuf.Int32Value", [2, 0], .integer, .integer(0)),
            ("google.protobuf.StringValue", [2, 0], .string, .string("")),
            ("google.protobuf.Timestamp", [2, 4, 8, 5, 16, 0], .timestamp, .timestamp(5000)),
            ("google.protobuf.Timestamp", [2, 4, 8, 5, 16, 0], .bigint, .bigint(5000)), ("google.protobuf.Timestamp", [2, 4, 8, 5, 16, 0], .string, .string("5000")),
            ("google.type.Date", [2, 7, 8, 0xb2, 0x0f, 16, 1, 24, 2], .integer, .integer(1)), ("google.type.TimeOfDay", [2, 4, 8, 1, 16, 2], .bigint, .bigint(3_720_000)),
            ("google.type.Date", [2, 7, 8, 0xb2, 0x0f, 16, 1, 24, 2], .date, .date(1)), ("google.type.TimeOfDay", [2, 4, 8, 1, 16, 2], .time, .time(3_720_000)),
            ("confluent.type.Decimal", [2, 6, 10, 2, 0xff, 0x85, 24, 2], .decimal(precision: 6, scale: 3), .decimal(Decimal128(unscaled: -1230, scale: 3))),
        ]
        let imports = ["wrappers", "timestamp"].map { "import \"google/protobuf/\($0).proto\";" }.joined() + ["date", "timeofday"].map { "import \"google/type/\($0).proto\";" }.joined()
        for (type, bytes, column, value) in cases {
            let text = "\(imports) import \"confluent/type/decimal.proto\"; enum Suit { SPADES = 0; HEARTS = 1; } message M { string before = 1; \(type) v = 2; int32 after = 3; }"
            let tagged: [UInt8] = [0x10 | bytes[0]] + bytes[1...]
            let out = try read([0x0a, 1, 0x78] + tagged + [0x18, 1], text, [Field("V", column), Field("MISSING", .array(.integer))])
            #expect(out.rows == [[value, .null]], "\(type) as \(column): \(out.reasons)")
            // As elements, which for scalars may be packed.
            let list = text.replacing("\(type) v", with: "repeated \(type) v")
            let elements = try read(tagged + [0x18, 1] + tagged, list, [Field("V", .array(column))])
            #expect(elements.rows == [[.array([value, value])]], "repeated \(type) as \(column): \(elements.reasons)")
            if bytes[0] != 2 {
                let packed = try read([0x12, UInt8(bytes.count - 1)] + bytes[1...], list, [Field("V", .array(column))])
                #expect(packed.rows == [[.array([value])]], "packed \(type) as \(column): \(packed.reasons)")
            }
        }
        for (type, column) in [("string", SQLType.integer), ("int64", .integer), ("bytes", .string), ("double", .bigint), ("int32", .double), ("int64", .double), ("int64", .time), ("bool", .integer), ("repeated int32", .integer), ("int32", .array(.integer)), ("Inner", .string)] {
            let out = try read([], "message M { message Inner { int32 x = 1; } \(type) v = 1; }", [Field("V", column)])
            #expect(out.reasons.first?.hasPrefix("schema id 1: Cannot deserialize type") == true, "\(type) as \(column): \(out)")
        }
    }

    @Test func whatIsNotWrittenIsZeroUnlessTheFieldCanTell() throws {
        let message = """
            message M { int32 i = 1; string s = 2; optional int32 o = 3; Inner m = 4; repeated int32 r = 5; map<string, int32> p = 6; Suit e = 7; bool b = 8;
              message Inner { double d = 1; optional bool b = 2; Suit e = 3; } enum Suit { SPADES = 0; } }
            """
        let fields = [
            Field("I", .integer), Field("S", .string), Field("O", .integer), Field("M", .structure([Field("D", .double), Field("B", .boolean), Field("E", .string)])),
            Field("R", .array(.integer)), Field("P", .map(key: .string, value: .integer)), Field("E", .string), Field("B", .boolean),
        ]
        let nothing: [SQLValue] = [.integer(0), .string(""), .null, .null, .array([]), .map([]), .string("SPADES"), .boolean(false)]
        #expect(try read([], message, fields).rows == [nothing])
        var empty = nothing
        empty[3] = .structure([.init("D", .double(0)), .init("B", .null), .init("E", .string("SPADES"))])
        empty[2] = .integer(0)
        #expect(try read([0x18, 0, 0x22, 0], message, fields).rows == [empty])
        // Rows of one block do not leak into each other, and a null value is null as a whole.
        let schemas = ProtobufSchemas([1: "syntax = \"proto3\"; \(message)"])
        let full: [UInt8] = [0x08, 1, 0x12, 1, 0x61, 0x18, 2, 0x22, 0, 0x28, 3, 0x32, 5, 10, 1, 0x6b, 16, 4, 0x38, 0, 0x40, 1]
        let out = try decode(block([first + full, first, nil, first + full]), protobuf, fields, schemas: schemas)
        #expect(out.rows[1] == nothing && out.rows[2] == nothing.map { _ in .null } && out.rows[0] == out.rows[3])
        #expect(out.isNull == [false, false, true, false])
        // proto2: defaults that the schema declares; `optional` alone changes nothing (Connect reads primitives without presence).
        let old = "message M { optional int32 i = 1 [default = 7]; optional string s = 2 [default = \"x\"]; optional Suit e = 3 [default = HEARTS]; optional double d = 4; enum Suit { SPADES = 0; HEARTS = 1; } }"
        let columns = [Field("I", .integer), Field("S", .string), Field("E", .string), Field("D", .double)]
        #expect(try read([], old, columns, proto2: true).rows == [[.integer(7), .string("x"), .string("HEARTS"), .double(0)]])
    }

    @Test func lastValuesCountAndMessagesMerge() throws {
        let message = "message M { int32 i = 1; Inner m = 2; repeated Inner r = 3; message Inner { int32 a = 1; string b = 2; repeated int32 c = 3; Inner n = 4; } }"
        let inner = Field("M", .structure([Field("A", .integer), Field("B", .string), Field("C", .array(.integer)), Field("N", .structure([Field("A", .integer)]))]))
        let out = try read([0x12, 4, 8, 1, 0x18, 5, 0x08, 1, 0x12, 7, 0x12, 1, 0x78, 0x18, 6, 8, 2, 0x08, 9, 0x12, 4, 0x22, 2, 8, 3], message, [Field("I", .integer), inner])
        #expect(
            out.rows == [[
                .integer(9),
                .structure([.init("A", .integer(2)), .init("B", .string("x")), .init("C", .array([.integer(5), .integer(6)])), .init("N", .structure([.init("A", .integer(3))]))]),
            ]], "\(out.reasons)")
    }

    @Test func oneofsAreStructs() throws {
        let text = "message M { string id = 1; oneof choice { int32 number = 2; Inner inner = 3; string word = 4; } message Inner { int32 x = 1; } }"
        let schema = try ProtobufSchema(parsing: "syntax = \"proto3\"; \(text)")
        let fields = try ProtobufTranslation.fields(of: try schema.message(named: "M"), schema, keepsCase: false)
        let choice: SQLType = .structure([Field("NUMBER", .integer), Field("INNER", .structure([Field("X", .integer)])), Field("WORD", .string)])
        #expect(fields == [Field("CHOICE_0", choice), Field("ID", .string)])
        func chosen(_ number: SQLValue, _ inner: SQLValue, _ word: SQLValue) -> SQLValue { .structure([.init("NUMBER", number), .init("INNER", inner), .init("WORD", word)]) }
        let rows: [(SQLValue, [UInt8])] = [
            (.null, []), (chosen(.integer(0), .null, .null), [0x10, 0]), (chosen(.null, .structure([.init("X", .integer(5))]), .null), [0x1a, 2, 8, 5]),
            (chosen(.null, .null, .string("w")), [0x22, 1, 0x77]),
        ]
        for (value, bytes) in rows {
            #expect(try read(bytes + [0x0a, 1, 0x61], text, fields).rows == [[value, .string("a")]])
            let written = try encode([[value, .string("a")]], protobuf, fields, schemaID: 1, schemaText: "syntax = \"proto3\"; \(text)")
            #expect(written == [first + [0x0a, 1, 0x61] + bytes])
        }
        // The last member wins.
        #expect(try read([0x10, 1, 0x22, 1, 0x77], text, fields).rows == [[chosen(.null, .null, .string("w")), .string("")]])
    }

    @Test func theMessagesPlaceIsReadAndWritten() throws {
        let text = "syntax = \"proto3\"; package a.b; message One { message Deep { int32 x = 1; } } message Two { string s = 1; }"
        let schemas = ProtobufSchemas([1: text])
        let fields = [Field("X", .integer), Field("S", .string)]
        #expect(
            try decode(block([[0, 0, 0, 0, 1, 4, 0, 0, 8, 3], [0, 0, 0, 0, 1, 2, 2, 10, 1, 0x61], [0, 0, 0, 0, 1, 2, 4], [0, 0, 0, 0, 1, 3, 4]]), protobuf, fields, schemas: schemas)
                == Outcome(
                    rows: [[.integer(3), .null], [.null, .string("a")]], kept: [0, 1], isNull: [false, false],
                    reasons: ["schema id 1: it has no message at [2]", "impossible place of a message"]))
        let two = FormatSpec(.protobuf, properties: ["fullSchemaName": "a.b.Two"])
        #expect(try encode([[.string("a")]], two, [Field("S", .string)], schemaID: 1, schemaText: text) == [[0, 0, 0, 0, 1, 2, 2, 10, 1, 0x61]])
        let deep = FormatSpec(.protobuf, properties: ["fullSchemaName": "a.b.One.Deep"])
        #expect(try encode([[.integer(3)]], deep, [Field("X", .integer)], schemaID: 1, schemaText: text) == [[0, 0, 0, 0, 1, 4, 0, 0, 8, 3]])
        #expect(throws: MartletError.self) { try RecordEncoder(spec: FormatSpec(.protobuf, properties: ["fullSchemaName": "Three"]), fields: [Field("S", .string)], schemaID: 1, schemaText: text) }
    }

    // One query reads what writers of several schemas wrote, each by its own id.
    @Test func writersMayChangeWhileAQueryRuns() throws {
        let fields = [Field("ID", .bigint), Field("NAME", .string), Field("EXTRA", .array(.string))]
        let schemas = ProtobufSchemas([
            1: "syntax = \"proto3\"; message A { int32 id = 1; }", 2: "syntax = \"proto3\"; message A { int64 id = 1; string name = 5; }",
            3: "syntax = \"proto3\"; import \"other.proto\"; message A { o.Kind name = 2; int64 id = 7; repeated string extra = 300; }",
        ], referenced: ["other.proto": "syntax = \"proto3\"; package o; enum Kind { NONE = 0; SOME = 1; }"])
        let records: [[UInt8]] = [
            [0, 0, 0, 0, 1, 0, 8, 1], [0, 0, 0, 0, 2, 0, 8, 2, 0x2a, 1, 0x62], [0, 0, 0, 0, 3, 0, 0x10, 1, 0x38, 3, 0xe2, 0x12, 1, 0x78, 0xe2, 0x12, 0], [0, 0, 0, 0, 1, 0, 8, 4],
        ]
        let rows: [[SQLValue]] = [
            [.bigint(1), .null, .null], [.bigint(2), .string("b"), .null], [.bigint(3), .string("SOME"), .array([.string("x"), .string("")])], [.bigint(4), .null, .null],
        ]
        let out = try decode(block(records), protobuf, fields, schemas: schemas)
        #expect(out.rows == rows, "\(out.reasons)")
        for (i, record) in records.enumerated() { #expect(try decode(block([record]), protobuf, fields, schemas: schemas).rows == [rows[i]]) }
    }

    /// What a value is after it was a message: without presence a null scalar is zero, a null list empty.
    private func written(_ value: SQLValue, _ type: SQLType, keepsNulls: Bool) -> SQLValue {
        switch (type, value) {
        case (.array, .null): return .array([])
        case (.map, .null): return .map([])
        case (.boolean, .null): return keepsNulls ? .null : .boolean(false)
        case (.integer, .null): return keepsNulls ? .null : .integer(0)
        case (.bigint, .null): return keepsNulls ? .null : .bigint(0)
        case (.double, .null): return keepsNulls ? .null : .double(0)
        case (.string, .null): return keepsNulls ? .null : .string("")
        case (.bytes, .null): return keepsNulls ? .null : .bytes([])
        case (.array(let element), .array(let values)): return .array(values.map { written($0, element, keepsNulls: keepsNulls) })
        case (.map(_, let mapped), .map(let entries)): return .map(entries.map { .init($0.key, written($0.value, mapped, keepsNulls: keepsNulls)) })
        case (.structure(let fields), .structure(let values)): return .structure(zip(fields, values).map { .init($0.name, written($1.value, $0.type, keepsNulls: keepsNulls)) })
        default: return value
        }
    }

    /// No null among the elements of arrays, which Protobuf cannot hold.
    private func withoutNullElements(_ value: SQLValue) -> SQLValue {
        switch value {
        case .array(let values): return .array(values.filter { $0 != .null }.map { withoutNullElements($0) })
        case .map(let entries): return .map(entries.map { .init($0.key, withoutNullElements($0.value)) })
        case .structure(let fields): return .structure(fields.map { .init($0.name, withoutNullElements($0.value)) })
        default: return value
        }
    }

    @Test(arguments: 0..<40) func roundTripAndRowByRow(seed: UInt64) throws {
        for representation in [nil, "optional", "wrapper"] {
            for kind in [FormatKind.protobuf, .protobufNoSR] {
                var random = SeededRandom(seed: seed)
                let spec = FormatSpec(kind, properties: representation.map { ["nullableRepresentation": $0] } ?? [:])
                let rows: [[SQLValue]?] = (0..<12).map { i in i == 5 ? nil : protobufFields.map { withoutNullElements(SQLValue.random($0.type, &random)) } }
                let schemas = ProtobufSchemas([7: try SchemaTranslation.schemaText(for: protobufFields, spec: spec, side: .value)])
                let records = try encode(rows, spec, protobufFields, schemaID: kind == .protobuf ? 7 : nil)
                let out = try decode(block(records), spec, protobufFields, schemas: schemas)
                let expected = rows.map { row in
                    row.map { row in zip(row, protobufFields).map { written($0, $1.type, keepsNulls: representation != nil) } } ?? protobufFields.map { _ in .null }
                }
                #expect(out.rows == expected, "seed \(seed) \(spec): \(out.reasons)")
                #expect(out.isNull == rows.map { $0 == nil })
                for (i, record) in records.enumerated() { #expect(try decode(block([record]), spec, protobufFields, schemas: schemas).rows == [out.rows[i]]) }
                let wanted = protobufFields.indices.filter { _ in Bool.random(using: &random) }.reversed().map { $0 }
                #expect(try decode(block(records), spec, protobufFields, wanted: wanted, schemas: schemas).rows == out.rows.map { row in wanted.map { row[$0] } })
                for i in protobufFields.indices {
                    let kept = try decode(block(records), spec, protobufFields, notNull: [i], schemas: schemas).rows
                    #expect(kept == out.rows.filter { $0[i] != .null }, "required \(protobufFields[i].name)")
                }
            }
        }
    }

    @Test(arguments: 0..<6) func truncationsAreReportedOrLoseWholeFields(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let row = protobufFields.map { withoutNullElements(SQLValue.random($0.type, &random, nullable: false)) }
        let schemas = ProtobufSchemas([7: try SchemaTranslation.schemaText(for: protobufFields, spec: protobuf, side: .value)])
        let record = try encode([row], protobuf, protobufFields, schemaID: 7)[0]!
        let cuts = record.indices.map { Optional(Array(record[..<$0])) }
        let out = try decode(block(cuts + [record]), protobuf, protobufFields, schemas: schemas)
        #expect(out.rows.last == zip(row, protobufFields).map { written($0, $1.type, keepsNulls: false) })
        #expect(out.rows.count + out.reasons.count == cuts.count + 1)
        // A message may end after any field, so that some cuts are messages; those before the message is named are not.
        #expect(out.reasons.count >= 6)
        for (i, cut) in cuts.enumerated() { #expect(try decode(block([cut]), protobuf, protobufFields, schemas: schemas).rows.count == (out.kept.contains(UInt32(i)) ? 1 : 0)) }
    }

    // Bytes at random are read or reported, never crash or read beyond.
    @Test(arguments: 0..<20) func randomBytesAreSurvived(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let schemas = ProtobufSchemas([7: try SchemaTranslation.schemaText(for: protobufFields, spec: protobuf, side: .value)])
        let records: [[UInt8]?] = (0..<300).map { _ in
            [0, 0, 0, 0, 7, 0] + (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...(seed % 2 == 0 ? 130 : 30), using: &random) }
        }
        let out = try decode(block(records), protobuf, protobufFields, schemas: schemas)
        #expect(out.rows.count + out.reasons.count == 300)
    }

    @Test func whatIsNotProtobufIsReported() throws {
        let fields = [Field("V", .integer)], text = "syntax = \"proto3\"; message M { int32 v = 1; }"
        let out = try decode(
            block([[1, 0, 0, 0, 1, 0], [0, 0], [0, 0, 0, 0, 9, 0], nil, first, first + [0x0f], first + [0x0a, 200], first + [8]]), protobuf, fields,
            schemas: ProtobufSchemas([1: text]))
        #expect(out.rows == [[.null], [.integer(0)]])
        #expect(
            out.reasons == [
                "unknown magic byte, expected 0", "expected at least 6 bytes, found 2", "schema id 9: schema 9 not found", "column `V`: unknown kind of field", "column `V`: the record ends early",
                "column `V`: the record ends early",
            ])
        #expect(try decode(block([first]), protobuf, fields, schemas: Schemas(texts: [1: "\"int\""])).reasons == ["schema id 1: it is of type AVRO, not PROTOBUF"])
        // A null element, a name that an enum lacks, a date that no google.type.Date is: reported, not written.
        #expect(try encode([[.array([.integer(1), .null])]], plain, [Field("A", .array(.integer))]) == [nil])
        let suits = "syntax = \"proto3\"; message M { enum E { A = 0; B = 1; } E e = 1; }"
        #expect(try encode([[.string("B")], [.string("C")], [.null]], protobuf, [Field("E", .string)], schemaID: 1, schemaText: suits) == [first + [8, 1], nil, first])
        #expect(try encode([[.date(-1_000_000)]], plain, [Field("D", .date)]) == [nil])
    }

    @Test func chosenSchemasMustHoldTheColumns() throws {
        let text = "syntax = \"proto3\"; message M { uint64 id = 4; float share = 2; Inner inner = 9; message Inner { bool yes = 1; } }"
        let fields = [Field("id", .bigint), Field("SHARE", .double)]
        #expect(try encode([[.bigint(1), .double(0.5)]], protobuf, fields, schemaID: 1, schemaText: text) == [first + [0x15, 0, 0, 0, 0x3f, 0x20, 1]])
        for bad in [Field("OTHER", .bigint), Field("SHARE", .string), Field("INNER", .structure([Field("NO", .boolean)])), Field("ID", .array(.bigint))] {
            #expect(throws: MartletError.self, "\(bad)") { try RecordEncoder(spec: protobuf, fields: [bad], schemaID: 1, schemaText: text) }
        }
        let required = "syntax = \"proto2\"; message M { required int32 a = 1; optional int32 b = 2; }"
        #expect(throws: MartletError.self) { try RecordEncoder(spec: protobuf, fields: [Field("B", .integer)], schemaID: 1, schemaText: required) }
        #expect(try encode([[.integer(0)], [.null]], protobuf, [Field("A", .integer)], schemaID: 1, schemaText: required) == [first + [8, 0], nil])
    }
}
