import MartletCore
import Testing

@testable import MartletColumns

/// Confluent's rules, one change a line: what the change is, and whether a new reader still reads old records.
@Suite struct ProtobufCompatibilityTests {
    private func problems(_ old: String, _ new: String, proto2: Bool = false) throws -> [String] {
        let head = "syntax = \"\(proto2 ? "proto2" : "proto3")\"; "
        return ProtobufCompatibility.check(reader: try ProtobufSchema(parsing: head + new), writer: try ProtobufSchema(parsing: head + old))
    }

    static let safe: [(String, String)] = [
        ("message A { int32 a = 1; }", "message A { int32 a = 1; string b = 2; }"), ("message A { int32 a = 1; string b = 2; }", "message A { int32 a = 1; }"),
        ("message A { int32 a = 1; }", "message A { int32 renamed = 1; }"), ("message A { int32 a = 1; }", "message A { int64 a = 1; }"), ("message A { uint32 a = 1; }", "message A { bool a = 1; }"),
        ("message A { sint32 a = 1; }", "message A { sint64 a = 1; }"), ("message A { fixed32 a = 1; }", "message A { sfixed32 a = 1; }"), ("message A { string a = 1; }", "message A { bytes a = 1; }"),
        ("message A { string a = 1; }", "message A { repeated string a = 1; }"), ("message A { E e = 1; enum E { X = 0; } }", "message A { int32 e = 1; }"),
        ("message A { E e = 1; } enum E { X = 0; }", "message A { E e = 1; } enum E { X = 0; Y = 1; }"), ("message A { int32 a = 1; }", "message A { int32 a = 1; } message B { }"),
        ("message A { int32 a = 1; }", "message A { oneof o { int32 a = 1; } }"), ("message A { oneof o { int32 a = 1; } }", "message A { oneof o { int32 a = 1; string b = 2; } }"),
        ("message A { oneof o { int32 a = 1; } }", "message A { int32 a = 1; }"), ("package x; message A { B b = 1; message B { } }", "package y; message A { B b = 1; message B { } }"),
        ("message A { A a = 1; }", "message A { A a = 1; int32 b = 2; }"), ("message A { map<string, int32> m = 1; }", "message A { map<string, int64> m = 1; }"),
    ]
    static let unsafe: [(String, String, String)] = [
        ("message A { int32 a = 1; } message B { }", "message A { int32 a = 1; }", "MESSAGE_REMOVED #/B"), ("message A { int32 a = 1; }", "message A { string a = 1; }", "FIELD_SCALAR_KIND_CHANGED #/A/1"),
        ("message A { int32 a = 1; }", "message A { sint32 a = 1; }", "FIELD_SCALAR_KIND_CHANGED #/A/1"), ("message A { float a = 1; }", "message A { double a = 1; }", "FIELD_SCALAR_KIND_CHANGED #/A/1"),
        ("message A { int32 a = 1; }", "message A { repeated int32 a = 1; }", "FIELD_NUMERIC_LABEL_CHANGED #/A/1"), ("message A { B a = 1; } message B { }", "message A { string a = 1; } message B { }", "FIELD_KIND_CHANGED #/A/1"),
        ("message A { B a = 1; } message B { } message C { }", "message A { C a = 1; } message B { } message C { }", "FIELD_NAMED_TYPE_CHANGED #/A/1"),
        ("message A { oneof o { int32 a = 1; int32 b = 2; } }", "message A { oneof o { int32 a = 1; } }", "ONEOF_FIELD_REMOVED #/A/2"),
        ("message A { int32 a = 1; int32 b = 2; }", "message A { oneof o { int32 a = 1; int32 b = 2; } }", "MULTIPLE_FIELDS_MOVED_TO_ONEOF #/A/o"),
        ("message A { int32 a = 1; oneof o { int32 b = 2; } }", "message A { oneof o { int32 a = 1; int32 b = 2; } }", "FIELD_MOVED_TO_EXISTING_ONEOF #/A/1"),
        ("message A { message B { int32 x = 1; } B b = 1; }", "message A { message B { string x = 1; } B b = 1; }", "FIELD_SCALAR_KIND_CHANGED"),
        ("message A { map<string, int32> m = 1; }", "message A { map<string, string> m = 1; }", "FIELD_SCALAR_KIND_CHANGED #/A/1/2"),
    ]

    @Test(arguments: safe) func staysReadable(_ old: String, _ new: String) throws { #expect(try problems(old, new) == []) }

    @Test(arguments: unsafe) func isNamed(_ old: String, _ new: String, _ problem: String) throws {
        let found = try problems(old, new)
        #expect(found.first?.hasPrefix(problem) == true, "\(found)")
        #expect(try problems(old, old) == [] && problems(new, new) == [])
    }

    @Test func requiredFieldsCannotComeOrGo() throws {
        let without = "message A { optional int32 a = 1; }", with = "message A { optional int32 a = 1; required int32 b = 2; }"
        #expect(try problems(without, with, proto2: true).first?.hasPrefix("REQUIRED_FIELD_ADDED #/A/2") == true)
        #expect(try problems(with, without, proto2: true).first?.hasPrefix("REQUIRED_FIELD_REMOVED #/A/2") == true)
    }
}

@Suite struct JSONSchemaCompatibilityTests {
    static func object(_ properties: String, _ rest: String = "") -> String { #"{"type":"object","properties":{\#(properties)}\#(rest)}"# }
    static let closed = #","additionalProperties":false"#

    static let safe: [(String, String)] = [
        (#"{"type":"integer"}"#, #"{"type":"number"}"#), (#"{"type":"string"}"#, "true"), (#"{"type":"string"}"#, "{}"), (#"{"type":"string","maxLength":3}"#, #"{"type":"string","maxLength":4}"#),
        (#"{"type":"string","pattern":"a"}"#, #"{"type":"string"}"#), (#"{"type":"string","minLength":3}"#, #"{"type":"string","minLength":1,"description":"d"}"#),
        (#"{"type":"number","maximum":3}"#, #"{"type":"number"}"#), (#"{"type":"integer","multipleOf":10}"#, #"{"type":"integer","multipleOf":5}"#),
        (#"{"enum":["a"]}"#, #"{"enum":["a","b"]}"#), (#"{"type":"string","enum":["a"]}"#, #"{"type":"string"}"#), (#"{"const":"a"}"#, #"{"enum":["a","b"]}"#),
        (#"{"type":"string"}"#, #"{"oneOf":[{"type":"null"},{"type":"string"}]}"#), (#"{"type":"string"}"#, #"{"type":["null","string"]}"#), (#"{"type":["string"]}"#, #"{"type":"string"}"#),
        (#"{"oneOf":[{"type":"string"}]}"#, #"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#), (#"{"allOf":[{"minimum":1},{"maximum":5}]}"#, #"{"allOf":[{"minimum":1}]}"#),
        (object(#""a":{"type":"string"}"#), object("")), (object(#""a":{"type":"string"}"#, closed), object(#""a":{"type":"string"},"b":{"type":"string"}"#, closed)),
        (object("", closed), object("")), (object(#""a":{"type":"string"}"#, #","required":["a"]"#), object(#""a":{"type":"string"}"#)),
        (object("", closed), object(#""a":{"type":"string","default":""}"#, closed + #","required":["a"]"#)), (object(""), object(#""a":true"#)),
        (object("", #","additionalProperties":{"type":"string"}"#), object(#""a":{"type":"string"}"#, #","additionalProperties":{"type":"string"}"#)),
        (#"{"type":"array","items":{"type":"integer"}}"#, #"{"type":"array","items":{"type":"number"}}"#), (#"{"type":"array","uniqueItems":true,"maxItems":3}"#, #"{"type":"array","maxItems":5}"#),
        (##"{"$ref":"#/definitions/t","definitions":{"t":{"type":"integer"}}}"##, #"{"type":"number"}"#),
        (##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##, ##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##),
    ]
    static let unsafe: [(String, String, String)] = [
        (#"{"type":"number"}"#, #"{"type":"integer"}"#, "TYPE_NARROWED"), (#"{"type":"string"}"#, #"{"type":"boolean"}"#, "TYPE_CHANGED"), ("{}", #"{"type":"boolean"}"#, "TYPE_NARROWED"), (#"{"type":"string"}"#, "false", "TYPE_NARROWED"),
        (#"{"type":"string","maxLength":4}"#, #"{"type":"string","maxLength":3}"#, "MAX_LENGTH_DECREASED"), (#"{"type":"string"}"#, #"{"type":"string","minLength":1}"#, "MIN_LENGTH_INCREASED"),
        (#"{"type":"string"}"#, #"{"type":"string","pattern":"a"}"#, "PATTERN_CHANGED"), (#"{"type":"number"}"#, #"{"type":"number","exclusiveMinimum":1}"#, "EXCLUSIVE_MINIMUM_INCREASED"),
        (#"{"type":"integer","multipleOf":5}"#, #"{"type":"integer","multipleOf":10}"#, "MULTIPLE_OF_CHANGED"), (#"{"enum":["a","b"]}"#, #"{"enum":["a"]}"#, "ENUM_ARRAY_NARROWED"),
        (#"{"type":"string"}"#, #"{"type":"string","enum":["a"]}"#, "ENUM_ARRAY_NARROWED"), (#"{"type":["null","string"]}"#, #"{"type":"string"}"#, "SUM_TYPE_NARROWED"),
        (#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#, #"{"oneOf":[{"type":"string"},{"type":"boolean"}]}"#, "SUM_TYPE_NARROWED"), (#"{"type":"string"}"#, #"{"oneOf":[{"type":"null"},{"type":"integer"}]}"#, "COMBINED_TYPE_SUBSCHEMAS_CHANGED"),
        (#"{"allOf":[{"minimum":1}]}"#, #"{"allOf":[{"minimum":1},{"type":"number","maximum":5}]}"#, "PRODUCT_TYPE_EXTENDED"),
        (object(""), object(#""a":{"type":"string"}"#), "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"), (object(#""a":{"type":"string"}"#, closed), object("", closed), "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        (object("", closed), object(#""a":{"type":"string"}"#, closed + #","required":["a"]"#), "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"), (object(""), object("", closed), "ADDITIONAL_PROPERTIES_REMOVED"),
        (object(#""a":{"type":"string"}"#), object(#""a":{"type":"string"}"#, #","required":["a"]"#), "REQUIRED_ATTRIBUTE_ADDED"), (object(""), object("", #","required":["z"]"#), "REQUIRED_ATTRIBUTE_ADDED"),
        (object("", #","additionalProperties":{"type":"string"}"#), object(#""a":{"type":"integer"}"#, #","additionalProperties":{"type":"string"}"#), "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"),
        (object(#""a":{"type":"integer"}"#, #","additionalProperties":{"type":"string"}"#), object("", #","additionalProperties":{"type":"string"}"#), "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"),
        (object(""), object("", #","additionalProperties":{"type":"string"}"#), "ADDITIONAL_PROPERTIES_NARROWED"), (object(#""a":{"type":"string"}"#), object(#""a":{"type":"integer"}"#), "TYPE_CHANGED #/properties/a"),
        (#"{"type":"array","items":{"type":"number"}}"#, #"{"type":"array","items":{"type":"integer"}}"#, "TYPE_NARROWED #/items"), (#"{"type":"array"}"#, #"{"type":"array","uniqueItems":true}"#, "UNIQUE_ITEMS_ADDED"),
        (#"{"type":"array"}"#, #"{"type":"array","items":{"type":"string"}}"#, "TYPE_NARROWED #/items"), (#"{"type":"array","items":[{"type":"string"}]}"#, #"{"type":"array","items":[{"type":"integer"}]}"#, "TYPE_CHANGED #/items/0"),
        (##"{"$ref":"#/$defs/t","$defs":{"t":{"type":"string"}}}"##, #"{"type":"number"}"#, "TYPE_CHANGED"),
    ]

    @Test(arguments: safe) func staysReadable(_ old: String, _ new: String) throws {
        #expect(try JSONSchemaCompatibility.check(reader: new, writer: old) == [])
        #expect(try JSONSchemaCompatibility.check(reader: old, writer: old) == [])
    }

    @Test(arguments: unsafe) func isNamed(_ old: String, _ new: String, _ problem: String) throws {
        let found = try JSONSchemaCompatibility.check(reader: new, writer: old)
        #expect(found.first?.hasPrefix(problem) == true, "\(found)")
    }

    // Java: new HashMap of NAME and FOREIGN_KEY iterates FOREIGN_KEY first; `connect.index` decides where it is given.
    @Test func propertiesComeInKsqlDBsOrder() throws {
        func names(_ properties: String) throws -> [String] {
            try SchemaTranslation.fields(fromSchemaText: Self.object(properties), spec: FormatSpec(.jsonSR), side: .value, keepsCase: true).map(\.name)
        }
        #expect(try names(#""NAME":{"type":"string"},"FOREIGN_KEY":{"type":"integer"}"#) == ["FOREIGN_KEY", "NAME"])
        #expect(try names(#""ID":{"type":"string"},"foo":{"type":"integer"}"#) == ["foo", "ID"])
        #expect(try names(#""b":{"type":"string","connect.index":1},"a":{"type":"integer","connect.index":2},"c":{"type":"integer","connect.index":0}"#) == ["c", "b", "a"])
    }

    @Test func referencesAreFollowedAndMustLeadSomewhere() throws {
        let text = #"{"type":"object","properties":{"a":{"$ref":"address.json"},"z":{"$ref":"address.json#/properties/zip"}}}"#
        let address = SchemaImport(name: "address.json", text: #"{"type":"object","properties":{"zip":{"type":"string"}}}"#)
        try JSONSchemaCompatibility.checkValid(text, imports: [address])
        #expect(throws: MartletError.self) { try JSONSchemaCompatibility.checkValid(text) }
        #expect(throws: MartletError.self) { try JSONSchemaCompatibility.checkValid("1") }
        let fields = try SchemaTranslation.fields(fromSchemaText: text, spec: FormatSpec(.jsonSR), side: .value, imports: [address])
        #expect(fields == [Field("A", .structure([Field("ZIP", .string)])), Field("Z", .string)])
        let changed = SchemaImport(name: "address.json", text: #"{"type":"object","properties":{"zip":{"type":"integer"}}}"#)
        #expect(try !JSONSchemaCompatibility.check(reader: text, writer: text, readerImports: [changed], writerImports: [address]).isEmpty)
        let recursive = ##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##
        let error = #expect(throws: MartletError.self) { try SchemaTranslation.fields(fromSchemaText: recursive, spec: FormatSpec(.jsonSR), side: .value) }
        #expect(error?.message.contains("contains itself") == true)
    }
}

@Suite struct ProtobufDescriptorTests {
    @Test func filesSurviveTheirDescriptors() throws {
        let text = """
            syntax = "proto3"; package a.b; import "google/protobuf/timestamp.proto";
            message M { reserved 9, 20 to 30; reserved "old"; optional int32 o = 1; repeated sint64 r = 2 [packed = false]; map<string, Inner> m = 3; google.protobuf.Timestamp t = 4;
              oneof one { string x = 5; Inner y = 6; } Kind k = 7; message Inner { bytes z = 1; } }
            enum Kind { option allow_alias = true; NONE = 0; NIL = 0; MINUS = -3; }
            """
        let schema = try ProtobufSchema(parsing: text)
        let again = try ProtobufSchema(parsing: try ProtobufSchema.text(ofRegistered: schema.descriptorText(name: "m.proto")))
        #expect(again.messages == schema.messages.mapValues { $0 } && again.enums == schema.enums)
        #expect(again.indexes(of: "a.b.M.Inner") == [0, 0])
        #expect(again.canonicalText.contains("map<string, .a.b.M.Inner> m = 3;") && again.canonicalText.contains("optional int32 o = 1;"))
    }

    // The descriptor of `syntax = "proto3"; message A { string s = 1; }` in a.proto, as protoc writes it.
    @Test func protocsBytesAreRead() throws {
        let text = try ProtobufSchema.text(ofRegistered: "CgdhLnByb3RvIg4KAUESCQoBcxgBIAEoCWIGcHJvdG8z")
        #expect(text == "syntax = \"proto3\";\n\nmessage A {\n  string s = 1;\n}\n")
        #expect(throws: MartletError.self) { try ProtobufSchema.text(ofRegistered: "CgdhLnByb3Rv////") }
    }

    @Test func orderIsNormalized() throws {
        let one = "syntax = \"proto3\"; import \"google/type/date.proto\"; import \"google/protobuf/any.proto\"; message A { string s = 2; int32 i = 1; }"
        let other = "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; import \"google/type/date.proto\"; message A { int32 i = 1; string s = 2; }"
        #expect(try ProtobufSchema.normalizedText(of: one) == ProtobufSchema.normalizedText(of: other))
        #expect(try ProtobufSchema.canonicalText(of: one) != ProtobufSchema.canonicalText(of: other))
    }
}
