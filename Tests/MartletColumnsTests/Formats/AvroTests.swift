import MartletCore
import Testing

@testable import MartletColumns

/// Schemas by id, as a registry would hand them out.
struct Schemas: SchemaSource {
    var texts: [Int32: String]
    func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema {
        guard let text = texts[id] else { throw MartletError(.notFound, "schema \(id) not found") }
        return RegisteredSchema(type: "AVRO", text: text)
    }
}

@Suite struct AvroTests {
    let avro = FormatSpec(.avro)
    let bare = FormatSpec(.avro, unwrapSingle: true)

    private func read(_ schema: String, _ body: [UInt8], _ fields: [Field], spec: FormatSpec? = nil) throws -> Outcome {
        try decode(block([[0, 0, 0, 0, 1] + body]), spec ?? avro, fields, schemas: Schemas(texts: [1: schema]))
    }

    // Avro specification, "Binary Encoding": its examples.
    @Test func theSpecificationsExamples() throws {
        for (value, bytes) in [(0, [0]), (-1, [1]), (1, [2]), (-2, [3]), (2, [4]), (-64, [0x7f]), (64, [0x80, 1])] as [(Int64, [UInt8])] {
            #expect(try read("\"long\"", bytes, [Field("V", .bigint)], spec: bare).rows == [[.bigint(value)]])
            #expect(try encode([[.bigint(value)]], bare, [Field("V", .bigint)], schemaID: 1) == [[0, 0, 0, 0, 1] + bytes])
        }
        #expect(try read("\"string\"", [6, 0x66, 0x6f, 0x6f], [Field("V", .string)], spec: bare).rows == [[.string("foo")]])
        let record = #"{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#
        #expect(try read(record, [0x36, 6, 0x66, 0x6f, 0x6f], [Field("A", .bigint), Field("B", .string)]).rows == [[.bigint(27), .string("foo")]])
        let list = #"{"type":"array","items":"long"}"#
        #expect(try read(list, [4, 6, 0x36, 0], [Field("V", .array(.bigint))], spec: bare).rows == [[.array([.bigint(3), .bigint(27)])]])
        // A block with its size in bytes: count −2, size 2.
        #expect(try read(list, [3, 4, 6, 0x36, 0], [Field("V", .array(.bigint))], spec: bare).rows == [[.array([.bigint(3), .bigint(27)])]])
        #expect(try read(#"["null","string"]"#, [2, 2, 0x61], [Field("V", .string)], spec: bare).rows == [[.string("a")]])
        #expect(try read(#"["null","string"]"#, [0], [Field("V", .string)], spec: bare).rows == [[.null]])
    }

    @Test func writerTypesBecomeColumnTypes() throws {
        let cases: [(String, [UInt8], SQLType, SQLValue)] = [
            ("\"int\"", [20], .bigint, .bigint(10)), ("\"int\"", [20], .string, .string("10")),
            ("\"float\"", [0, 0, 0x80, 0x40], .double, .double(4)), ("\"float\"", [0xcd, 0xcc, 0xcc, 0x3d], .string, .string("0.1")), ("\"boolean\"", [1], .string, .string("true")),
            ("\"double\"", [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], .string, .string("1.5")),
            (#"{"type":"enum","name":"E","symbols":["RED","BLUE"]}"#, [2], .string, .string("BLUE")), (#"{"type":"fixed","name":"F","size":2}"#, [9, 8], .bytes, .bytes([9, 8])),
            (#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#, [4, 0xff, 0x85], .decimal(precision: 6, scale: 3), .decimal(Decimal128(unscaled: -1230, scale: 3))),
            (#"{"type":"fixed","name":"F","size":3,"logicalType":"decimal","precision":4,"scale":2}"#, [0, 0, 5], .decimal(precision: 4, scale: 2), .decimal(Decimal128(unscaled: 5, scale: 2))),
            (#"{"type":"int","logicalType":"date"}"#, [10], .date, .date(5)), (#"{"type":"int","logicalType":"date"}"#, [10], .integer, .integer(5)), ("\"int\"", [10], .date, .date(5)),
            (#"{"type":"long","logicalType":"timestamp-millis"}"#, [10], .bigint, .bigint(5)), (#"{"type":"long","logicalType":"timestamp-millis"}"#, [10], .string, .string("5")), (#"{"type":"int","logicalType":"time-millis"}"#, [10], .time, .time(5)),
            (#"{"type":"long","logicalType":"timestamp-millis"}"#, [10], .timestamp, .timestamp(5)), (#"{"type":"long","logicalType":"timestamp-micros"}"#, [0xcf, 0x0f], .timestamp, .timestamp(-1)),
            (#"{"type":"map","values":["null","int"]}"#, [4, 2, 0x61, 2, 2, 2, 0x62, 0, 0], .map(key: .string, value: .string), .map([.init(.string("a"), .string("1")), .init(.string("b"), .null)])),
            (#"["null","int","string"]"#, [4, 2, 0x61], .string, .string("a")), (#"["int","null"]"#, [0, 8], .integer, .integer(4)), (#"["int","null"]"#, [2], .integer, .null),
        ]
        for (schema, bytes, type, value) in cases {
            let bare = try read(schema, bytes, [Field("V", type)], spec: bare)
            #expect(bare.rows == [[value]], "\(schema) as \(type): \(bare.reasons)")
            // The same inside a record, between fields that nobody asked for.
            let record = #"{"type":"record","name":"R","fields":[{"name":"before","type":"string"},{"name":"v","type":\#(schema)},{"name":"after","type":["null","double"]}]}"#
            let inside = try read(record, [2, 0x78] + bytes + [0], [Field("V", type), Field("MISSING", .array(.integer))])
            #expect(inside.rows == [[value, .null]], "\(schema) as \(type): \(inside.reasons)")
        }
        for (schema, type) in [("\"string\"", SQLType.integer), ("\"long\"", .integer), ("\"bytes\"", .string), ("\"double\"", .bigint), ("\"int\"", .double), ("\"long\"", .double), ("\"long\"", .date), ("\"string\"", .double), ("\"boolean\"", .integer), ("\"int\"", .boolean), ("\"int\"", .array(.integer))] {
            let out = try read(schema, [0, 0, 0, 0, 0, 0, 0, 0], [Field("V", type)], spec: bare)
            #expect(out.reasons.first?.hasPrefix("schema id 1: Cannot deserialize type") == true, "\(schema) as \(type)")
        }
    }

    @Test func namesAreMatchedByIgnoringCaseButExactOnesFirst() throws {
        let schema = #"{"type":"record","name":"R","fields":[{"name":"foo","type":"int"},{"name":"FOO","type":"int"},{"name":"Bar","type":"int"}]}"#
        #expect(try read(schema, [2, 4, 6], [Field("FOO", .integer), Field("BAR", .integer)]).rows == [[.integer(2), .integer(3)]])
        #expect(try read(schema, [2, 4, 6], [Field("foo", .integer)]).rows == [[.integer(1)]])
    }

    // One query reads what writers of several schemas wrote, each by its own id: fields come, go, move, widen and change their order.
    @Test func writersMayChangeWhileAQueryRuns() throws {
        let fields = [Field("ID", .bigint), Field("NAME", .string), Field("PRICE", .double)]
        let schemas = Schemas(texts: [
            1: #"{"type":"record","name":"R","fields":[{"name":"id","type":"int"}]}"#,
            2: #"{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null}]}"#,
            3: #"{"type":"record","name":"R","fields":[{"name":"gone","type":"string"},{"name":"price","type":"float"},{"name":"name","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"id","type":"long"}]}"#,
            4: #"{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}"#,
        ])
        let records: [[UInt8]] = [
            [0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 2, 4, 2, 2, 0x78], [0, 0, 0, 0, 3, 2, 0x79, 0, 0, 0x80, 0x3f, 2, 6], [0, 0, 0, 0, 4, 2, 0x31], [0, 0, 0, 0, 1, 8], [0, 0, 0, 0, 2, 10, 0],
        ]
        let rows: [[SQLValue]] = [
            [.bigint(1), .null, .null], [.bigint(2), .string("x"), .null], [.bigint(3), .string("B"), .double(1)], [.bigint(4), .null, .null], [.bigint(5), .null, .null],
        ]
        let out = try decode(block(records), avro, fields, schemas: schemas)
        #expect(out.rows == rows && out.kept == [0, 1, 2, 4, 5])
        #expect(out.reasons == ["schema id 4: Cannot deserialize type string as type BIGINT for path: ID"])
    }

    // A type that another schema defines.
    @Test func referencesAreTypes() throws {
        let inner = SchemaImport(name: "x.Inner", text: #"{"type":"record","name":"Inner","namespace":"x","fields":[{"name":"n","type":"int"}]}"#)
        let text = #"{"type":"record","name":"Outer","fields":[{"name":"i","type":"x.Inner"},{"name":"more","type":{"type":"array","items":"x.Inner"}}]}"#
        #expect(throws: MartletError.self) { try AvroSchema(parsing: text) }
        let type: SQLType = .structure([Field("N", .integer)])
        #expect(
            try SchemaTranslation.fields(fromSchemaText: text, spec: avro, side: .value, imports: [inner]) == [Field("I", type), Field("MORE", .array(type))])
        #expect(try AvroSchema(parsing: try AvroSchema(parsing: text, imports: [inner]).canonicalForm).root.name == "Outer")
    }

    @Test func aSkippedRecordMayContainItself() throws {
        let schema = #"{"type":"record","name":"R","fields":[{"name":"tree","type":{"type":"record","name":"T","fields":[{"name":"v","type":"int"},{"name":"kids","type":{"type":"array","items":"T"}}]}},{"name":"n","type":"int"}]}"#
        #expect(try read(schema, [2, 4, 4, 0, 6, 0, 0, 14], [Field("N", .integer)]).rows == [[.integer(7)]])
    }

    @Test func whatIsNotAvroIsReported() throws {
        let fields = [Field("V", .integer)]
        let out = try decode(
            block([[1, 0, 0, 0, 1, 2], [0, 0], [0, 0, 0, 0, 9, 2], nil, [0, 0, 0, 0, 1, 2]]), bare, fields, schemas: Schemas(texts: [1: "\"int\"", 2: "nonsense"]))
        #expect(out.reasons == ["unknown magic byte, expected 0", "expected at least 5 bytes, found 2", "schema id 9: schema 9 not found"])
        #expect(out.rows == [[.null], [.integer(1)]])
        #expect(out.isNull == [true, false])
        #expect(try read(#"["null","int"]"#, [8], fields, spec: bare).reasons == ["column `V`: unknown branch of a union"])
        #expect(try read(#"{"type":"array","items":"null"}"#, [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], [Field("V", .array(.integer))], spec: bare).reasons.count == 1)
        #expect(try read("\"bytes\"", [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], [Field("V", .bytes)], spec: bare).reasons.count == 1)
    }

    @Test(arguments: 0..<40) func roundTripAndRowByRow(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let rows: [[SQLValue]?] = (0..<12).map { i in i == 5 ? nil : nestedFields.map { SQLValue.random($0.type, &random) } }
        let schemas = Schemas(texts: [7: try SchemaTranslation.schemaText(for: nestedFields, spec: avro, side: .value)])
        let records = try encode(rows, avro, nestedFields, schemaID: 7)
        let out = try decode(block(records), avro, nestedFields, schemas: schemas)
        #expect(out.rows == rows.map { $0 ?? nestedFields.map { _ in .null } }, "seed \(seed): \(out.reasons)")
        #expect(out.isNull == rows.map { $0 == nil })
        for (i, record) in records.enumerated() { #expect(try decode(block([record]), avro, nestedFields, schemas: schemas).rows == [out.rows[i]]) }
        let wanted = nestedFields.indices.filter { _ in Bool.random(using: &random) }.reversed().map { $0 }
        #expect(try decode(block(records), avro, nestedFields, wanted: wanted, schemas: schemas).rows == out.rows.map { row in wanted.map { row[$0] } })
        for i in nestedFields.indices {
            let kept = try decode(block(records), avro, nestedFields, notNull: [i], schemas: schemas).rows
            #expect(kept == out.rows.filter { $0[i] != .null }, "required \(nestedFields[i].name)")
        }
    }

    @Test(arguments: nestedFields) func everyTypeAlone(field: Field) throws {
        var random = SeededRandom(seed: 3)
        for spec in [bare, avro] {
            let schemas = Schemas(texts: [7: try SchemaTranslation.schemaText(for: [field], spec: spec, side: .key)])
            for _ in 0..<20 {
                let value = SQLValue.random(field.type, &random, nullable: spec == avro)
                let records = try encode([[value]], spec, [field], schemaID: 7)
                #expect(try decode(block(records), spec, [field], schemas: schemas).rows == [[value]])
            }
        }
        #expect(try encode([[.null]], bare, [field], schemaID: 7) == [nil])
    }

    @Test(arguments: 0..<6) func everyTruncationIsReported(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let row = nestedFields.map { SQLValue.random($0.type, &random, nullable: false) }
        let schemas = Schemas(texts: [7: try SchemaTranslation.schemaText(for: nestedFields, spec: avro, side: .value)])
        let record = try encode([row], avro, nestedFields, schemaID: 7)[0]!
        let cuts = record.indices.map { Optional(Array(record[..<$0])) }
        let out = try decode(block(cuts + [record]), avro, nestedFields, schemas: schemas)
        #expect(out.kept == [UInt32(record.count)])
        #expect(out.rows == [row])
        for cut in cuts { #expect(try decode(block([cut]), avro, nestedFields, schemas: schemas).reasons.count == 1) }
    }

    // Bytes at random are no schema's records: they may read or be reported, never crash or read beyond.
    @Test(arguments: 0..<20) func randomBytesAreSurvived(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let schemas = Schemas(texts: [7: try SchemaTranslation.schemaText(for: nestedFields, spec: avro, side: .value)])
        let records: [[UInt8]?] = (0..<300).map { _ in [0, 0, 0, 0, 7] + (0..<Int.random(in: 0...120, using: &random)).map { _ in UInt8.random(in: 0...9, using: &random) } }
        let out = try decode(block(records), avro, nestedFields, schemas: schemas)
        #expect(out.rows.count + out.reasons.count == 300)
    }

    @Test func aSchemaChosenByIdDecidesOrderDefaultsAndNulls() throws {
        let schema = #"{"type":"record","name":"T","fields":[{"name":"num","type":"int","default":0},{"name":"id","type":"string"},{"name":"opt","type":"string","default":"foo"},{"name":"n","type":["null","long"]}]}"#
        let fields = [Field("ID", .string), Field("NUM", .integer)]
        let header: [UInt8] = [0, 0, 0, 0, 2]
        let records = try encode([[.string("a"), .integer(5)], [.string("b"), .null], [.null, .integer(1)]], avro, fields, schemaID: 2, schemaText: schema)
        #expect(records == [header + [10, 2, 0x61, 6, 0x66, 0x6f, 0x6f, 0], header + [0, 2, 0x62, 6, 0x66, 0x6f, 0x6f, 0], nil])
        #expect(throws: MartletError.self) { try RecordEncoder(spec: avro, fields: fields + [Field("X", .integer)], schemaID: 2, schemaText: schema) }
        #expect(throws: MartletError.self) { try RecordEncoder(spec: avro, fields: [Field("NUM", .integer)], schemaID: 2, schemaText: schema) }
    }
}

@Suite struct SchemaTranslationTests {
    // The shapes that ksqlDB registers (recorded from its own runs).
    @Test func sinksHaveKsqlDBsShape() throws {
        let spec = FormatSpec(.avro)
        #expect(
            try SchemaTranslation.schemaText(for: [Field("FOO", .map(key: .string, value: .double))], spec: spec, side: .value)
                == #"{"type":"record","name":"KsqlDataSourceSchema","namespace":"io.confluent.ksql.avro_schemas","fields":[{"name":"FOO","type":["null",{"type":"array","items":{"type":"record","name":"KsqlDataSourceSchema_FOO","fields":[{"name":"key","type":["null","string"],"default":null},{"name":"value","type":["null","double"],"default":null}],"connect.internal.type":"MapEntry"},"connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema_FOO"}],"default":null}],"connect.name":"io.confluent.ksql.avro_schemas.KsqlDataSourceSchema"}"#)
        #expect(
            try SchemaTranslation.schemaText(for: [Field("VAL", .decimal(precision: 4, scale: 2))], spec: spec, side: .value).contains(
                #"["null",{"type":"bytes","scale":2,"precision":4,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"4"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}]"#))
        let key = FormatSpec(.avro, properties: ["fullSchemaName": "io.confluent.ksql.avro_schemas.OutputKey"], unwrapSingle: true)
        #expect(try SchemaTranslation.schemaText(for: [Field("K", .bigint)], spec: key, side: .key) == "\"long\"")
        #expect(try SchemaTranslation.schemaText(for: [Field("K", .array(.string))], spec: key, side: .key) == #"{"type":"array","items":["null","string"]}"#)
        #expect(
            try SchemaTranslation.schemaText(for: [Field("K", .structure([Field("F1", .string)]))], spec: key, side: .key)
                == #"{"type":"record","name":"OutputKey","namespace":"io.confluent.ksql.avro_schemas","fields":[{"name":"F1","type":["null","string"],"default":null}],"connect.name":"io.confluent.ksql.avro_schemas.OutputKey"}"#)
        #expect {
            try SchemaTranslation.schemaText(for: [Field("1Avro", .double)], spec: spec, side: .value)
        } throws: { ($0 as? MartletError)?.message == "Schema is not compatible with Avro: Illegal initial character: 1Avro" }
    }

    @Test func columnsComeBack() throws {
        let spec = FormatSpec(.avro)
        let text = try SchemaTranslation.schemaText(for: nestedFields, spec: spec, side: .value)
        #expect(try SchemaTranslation.fields(fromSchemaText: text, spec: spec, side: .value) == nestedFields)
        let foreign = #"{"name":"blah","type":"record","fields":[{"name":"c1","type":"float"},{"name":"c2","type":{"type":"map","values":"long"}},{"name":"c3","type":["null",{"type":"enum","name":"E","symbols":["A"]}]}]}"#
        #expect(
            try SchemaTranslation.fields(fromSchemaText: foreign, spec: spec, side: .value) == [
                Field("C1", .double), Field("C2", .map(key: .string, value: .bigint)), Field("C3", .string),
            ])
        #expect(try SchemaTranslation.fields(fromSchemaText: foreign, spec: spec, side: .value, keepsCase: true)[0].name == "c1")
        let bare = FormatSpec(.avro, unwrapSingle: true)
        #expect(try SchemaTranslation.fields(fromSchemaText: "{\"type\":\"int\"}", spec: bare, side: .key) == [Field("ROWKEY", .integer)])
        #expect(try SchemaTranslation.fields(fromSchemaText: "\"int\"", spec: bare, side: .value) == [Field("ROWVAL", .integer)])
        // A bare value is no row, unless the statement says so.
        #expect {
            try SchemaTranslation.fields(fromSchemaText: "\"int\"", spec: spec, side: .value)
        } throws: { ($0 as? MartletError)?.message.contains("WRAP_SINGLE_VALUE=false") == true }
        for bad in ["\"null\"", #"{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}"#] {
            #expect(throws: MartletError.self, "\(bad)") { try SchemaTranslation.fields(fromSchemaText: bad, spec: spec, side: .value) }
        }
    }
}

@Suite struct AvroConnectTests {
    private let spec = FormatSpec(.avro)

    // Connect turns a union of several types into a struct with a field for each, of which one is set.
    @Test func unionsAreStructs() throws {
        let schema = #"{"type":"record","name":"R","fields":[{"name":"u","type":["null","int","string",{"type":"record","name":"x.P","fields":[{"name":"a","type":"long"}]}]},{"name":"z","type":"int"}]}"#
        let fields = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value)
        #expect(
            fields == [
                Field("U", .structure([Field("INT", .integer), Field("STRING", .string), Field("P", .structure([Field("A", .bigint)]))])),
                Field("Z", .integer),
            ])
        let header: [UInt8] = [0, 0, 0, 0, 1]
        let records = [[0, 2], [2, 8, 4], [4, 2, 0x61, 6], [6, 10, 8]].map { header + $0 }
        let rows = try decode(block(records), spec, fields, schemas: OneWriter(type: "AVRO", text: schema)).rows
        func union(_ int: SQLValue, _ text: SQLValue, _ record: SQLValue) -> SQLValue {
            .structure([.init("INT", int), .init("STRING", text), .init("P", record)])
        }
        #expect(
            rows == [
                [.null, .integer(1)], [union(.integer(4), .null, .null), .integer(2)], [union(.null, .string("a"), .null), .integer(3)],
                [union(.null, .null, .structure([.init("A", .bigint(5))])), .integer(4)],
            ])
    }

    // Written with the schema they came from, the structs are those unions again.
    @Test func unionsAreWritten() throws {
        let schema = #"{"type":"record","name":"R","fields":[{"name":"u","type":["int","null",{"type":"array","items":["null","long","string"]}]},{"name":"z","type":"int"}]}"#
        let fields = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value)
        let element = SQLType.structure([Field("LONG", .bigint), Field("STRING", .string)])
        #expect(fields == [Field("U", .structure([Field("INT", .integer), Field("ARRAY", .array(element))])), Field("Z", .integer)])
        func one(_ long: SQLValue, _ text: SQLValue) -> SQLValue { .structure([.init("LONG", long), .init("STRING", text)]) }
        func union(_ int: SQLValue, _ list: SQLValue) -> SQLValue { .structure([.init("INT", int), .init("ARRAY", list)]) }
        let rows: [[SQLValue]] = [
            [union(.integer(4), .null), .integer(1)], [.null, .integer(2)],
            [union(.null, .array([one(.bigint(-5), .null), .null, one(.null, .string("x"))])), .integer(3)], [union(.null, .array([])), .integer(4)],
        ]
        let written = try encode(rows, spec, fields, schemaID: 1, schemaText: schema)
        #expect(written.map { $0.map { Array($0.dropFirst(5)) } } == [[0, 8, 2], [2, 4], [4, 6, 2, 9, 0, 4, 2, 0x78, 0, 6], [4, 0, 8]])
        #expect(try decode(block(written), spec, fields, schemas: OneWriter(type: "AVRO", text: schema)).rows == rows)
        // A struct of nulls is no branch: that row is not written.
        #expect(try encode([[union(.null, .null), .integer(1)]], spec, fields, schemaID: 1, schemaText: schema) == [nil])
    }

    // Maps have text keys: Connect's entries with integer ones become that, maps with keys of other types are left out.
    @Test func entriesBecomeMapsOfText() throws {
        func map(_ name: String, _ key: String) -> String {
            #"{"name":"\#(name)","type":{"type":"array","items":{"type":"record","name":"E\#(name)","connect.internal.type":"MapEntry","fields":[{"name":"key","type":"\#(key)"},{"name":"value","type":"int"}]}}}"#
        }
        let schema = #"{"type":"record","name":"R","fields":[\#(map("a", "int")),\#(map("b", "double")),\#(map("c", "boolean")),{"name":"d","type":"int"}]}"#
        let fields = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value)
        #expect(fields == [Field("A", .map(key: .string, value: .integer)), Field("C", .map(key: .string, value: .integer)), Field("D", .integer)])
        let record: [UInt8] = [0, 0, 0, 0, 1, 2, 14, 16, 0] + [2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0] + [2, 1, 4, 0] + [18]
        let rows = try decode(block([record]), spec, fields, schemas: OneWriter(type: "AVRO", text: schema)).rows
        #expect(rows == [[.map([.init(.string("7"), .integer(8))]), .map([.init(.string("true"), .integer(2))]), .integer(9)]])
        #expect(throws: MartletError.self) {
            try SchemaTranslation.fields(fromSchemaText: #"{"type":"record","name":"R","fields":[\#(map("b", "double"))]}"#, spec: spec, side: .value)
        }
    }

    @Test func namesThatDifferInCaseAloneNeedTheirCase() throws {
        let schema = #"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"A","type":"long"}]}"#
        #expect(throws: MartletError.self) { try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value) }
        #expect(
            try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value, keepsCase: true) == [Field("a", .integer), Field("A", .bigint)])
    }
}

/// Every record was written with the one schema.
struct OneWriter: SchemaSource {
    var type: String
    var text: String
    func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema { RegisteredSchema(type: type, text: text) }
}

@Suite struct AvroSchemaTests {
    @Test func malformedSchemasAreRefusedWithTheirPlace() {
        let cases = [
            ("int", "an Avro schema is JSON"), ("\"strin\"", "type strin is not defined"), ("{}", "\"type\" is missing"), (#"{"type":"record","name":"R"}"#, "no list of fields"),
            (#"{"type":"record","name":"1R","fields":[]}"#, "Illegal initial character: 1R"), (#"["int","int"]"#, "a union may hold int once"), (#"["int",["null"]]"#, "a union may not hold a union"),
            (#"{"type":"fixed","name":"F"}"#, "has no size"), (#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#, "two fields a"),
        ]
        for (text, reason) in cases {
            #expect("\(text)") { _ = try AvroSchema(parsing: text) } throws: { ($0 as? MartletError)?.message.contains(reason) == true }
        }
    }

    @Test func canonicalFormForgetsWhatReadingDoesNotNeed() throws {
        let a = try AvroSchema(parsing: #"{"type":"record","name":"R","namespace":"x","doc":"d","fields":[{"name":"a","type":["null",{"type":"int","logicalType":"date"}],"default":null},{"name":"b","type":{"type":"fixed","name":"F","size":2}},{"name":"c","type":"F"}]}"#)
        #expect(a.canonicalForm == #"{"name":"x.R","type":"record","fields":[{"name":"a","type":["null","int"]},{"name":"b","type":{"name":"x.F","type":"fixed","size":2}},{"name":"c","type":"x.F"}]}"#)
        let b = try AvroSchema(parsing: #"{"fields":[{"type":["null","int"],"name":"a"},{"name":"b","type":{"type":"fixed","name":"x.F","size":2}},{"name":"c","type":"x.F"}],"name":"x.R","type":"record"}"#)
        #expect(a.fingerprint == b.fingerprint)
        #expect(a.canonicalForm == b.canonicalForm)
        // CRC-64-AVRO of the canonical form "int" with quotes, from Avro's own schema test table.
        #expect(try AvroSchema(parsing: "\"int\"").fingerprint == 0x7275_d51a_3f39_5c8f)
    }
}

@Suite struct AvroCompatibilityTests {
    private func record(_ fields: String) -> String { #"{"type":"record","name":"R","fields":[\#(fields)]}"# }

    @Test func theRulesOfSchemaResolution() {
        let a = #"{"name":"a","type":"int"}"#
        let fine: [(String, String)] = [
            (record(a), record(a + #",{"name":"b","type":"int"}"#)), (record(a + #",{"name":"b","type":"int","default":1}"#), record(a)), ("\"double\"", "\"int\""), ("\"string\"", "\"bytes\""),
            (#"["null","long"]"#, "\"int\""), ("\"int\"", #"["int"]"#), (#"{"type":"enum","name":"E","symbols":["A","B"]}"#, #"{"type":"enum","name":"x.E","symbols":["A"]}"#),
            (#"{"type":"array","items":"double"}"#, #"{"type":"array","items":"float"}"#),
            (record(#"{"name":"n","type":["null","R"]}"#), record(#"{"name":"n","type":["null","R"]}"#)),
        ]
        for (reader, writer) in fine { #expect(AvroCompatibility.check(reader: reader, writer: writer) == [], "\(reader) of \(writer)") }
        let bad: [(String, String, String)] = [
            (record(a + #",{"name":"b","type":"int"}"#), record(a), "/b: the reader's field has no default and the writer does not write it"),
            ("\"int\"", "\"long\"", "/: the reader's int cannot read the writer's long"),
            (record(a), record(#"{"name":"a","type":"string"}"#), "/a: the reader's int cannot read the writer's string"),
            ("\"int\"", #"["null","int"]"#, "/: the reader's int cannot read the writer's null"), (#"["null","int"]"#, "\"string\"", "/: no branch of the reader's union reads the writer's string"),
            (#"{"type":"enum","name":"E","symbols":["A"]}"#, #"{"type":"enum","name":"E","symbols":["A","B"]}"#, "/: the reader's enum lacks B"),
            (#"{"type":"fixed","name":"F","size":1}"#, #"{"type":"fixed","name":"F","size":2}"#, "/: the reader's fixed has 1 bytes, the writer's 2"),
            (#"{"type":"map","values":"int"}"#, #"{"type":"map","values":"string"}"#, "/values: the reader's int cannot read the writer's string"),
        ]
        for (reader, writer, problem) in bad { #expect(AvroCompatibility.check(reader: reader, writer: writer) == [problem]) }
        #expect(AvroCompatibility.check(reader: "nonsense", writer: "\"int\"").count == 1)
    }
}
