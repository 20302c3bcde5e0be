import MartletCore
import Testing

@testable import MartletServer

/// The Schema Registry's API: shapes and error codes of Confluent's reference.
@Suite struct RegistryAPITests {
    static func record(_ fields: String...) -> JSONValue {
        ["schema": .string("{\"type\": \"record\", \"name\": \"R\", \"fields\": [\(fields.joined(separator: ", "))]}")]
    }
    static let a = #"{"name": "a", "type": "string"}"#
    static let optional = #"{"name": "b", "type": ["null", "int"], "default": null}"#
    static let required = #"{"name": "c", "type": "int"}"#

    @Test func subjectsVersionsAndIds() async throws {
        try await ServerFixture.with { fixture in
            func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
                try await fixture.json(method, path, body, registry: true).body
            }
            #expect(try await ask("GET", "/subjects") == [])
            #expect(try await ask("POST", "/subjects/t-value/versions?normalize=true", Self.record(Self.a)) == ["id": 1])
            #expect(try await ask("POST", "/subjects/t-value/versions", Self.record(Self.a)) == ["id": 1])
            #expect(try await ask("POST", "/subjects/t-value/versions", Self.record(Self.a, Self.optional)) == ["id": 2])
            // One schema, one id, whatever the subject; a name may need escapes.
            #expect(try await ask("POST", "/subjects/o%2Fther/versions", Self.record(Self.a)) == ["id": 1])
            #expect(try await ask("GET", "/subjects") == ["o/ther", "t-value"])
            #expect(try await ask("GET", "/subjects/t-value/versions") == [1, 2])
            let text = #"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#
            #expect(try await ask("GET", "/subjects/t-value/versions/1") == ["subject": "t-value", "version": 1, "id": 1, "schema": .string(text)])
            #expect(try await ask("GET", "/subjects/t-value/versions/latest")["version"] == 2)
            #expect(try await ask("GET", "/subjects/t-value/versions/1/schema") == JSONValue(parsing: text))
            #expect(try await ask("GET", "/schemas/ids/1") == ["schema": .string(text)])
            #expect(try await ask("GET", "/schemas/ids/1/schema") == JSONValue(parsing: text))
            #expect(try await ask("GET", "/schemas/ids/1/subjects") == ["o/ther", "t-value"])
            #expect(try await ask("GET", "/schemas/ids/2/versions") == [["subject": "t-value", "version": 2]])
            #expect(try await ask("POST", "/subjects/t-value", Self.record(Self.a))["version"] == 1)
            #expect(try await ask("POST", "/subjects/p/versions", ["schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";"]) == ["id": 3])
            #expect(try await ask("GET", "/schemas/ids/3") == ["schemaType": "PROTOBUF", "schema": "syntax = \"proto3\";\n"])
            #expect(try await ask("GET", "/schemas/types").arrayValue?.contains("AVRO") == true)
            #expect(try await ask("GET", "/mode") == ["mode": "READWRITE"])
            let response = try await fixture.ask("GET", "/subjects", registry: true)
            #expect(response.headers["content-type"] == "application/vnd.schemaregistry.v1+json")
        }
    }

    @Test func deletionIsInTwoSteps() async throws {
        try await ServerFixture.with { fixture in
            func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
                try await fixture.json(method, path, body, registry: true).body
            }
            _ = try await ask("POST", "/subjects/s/versions", Self.record(Self.a))
            _ = try await ask("POST", "/subjects/s/versions", Self.record(Self.a, Self.optional))
            #expect(try await ask("DELETE", "/subjects/s/versions/1?permanent=true")["error_code"] == 40407)
            #expect(try await ask("DELETE", "/subjects/s/versions/1") == 1)
            #expect(try await ask("GET", "/subjects/s/versions") == [2])
            #expect(try await ask("GET", "/subjects/s/versions?deleted=true") == [1, 2])
            #expect(try await ask("DELETE", "/subjects/s?permanent=true")["error_code"] == 40405)
            #expect(try await ask("DELETE", "/subjects/s") == [2])
            #expect(try await ask("DELETE", "/subjects/s")["error_code"] == 40404)
            #expect(try await ask("GET", "/subjects/s/versions")["error_code"] == 40401)
            #expect(try await ask("GET", "/subjects?deleted=true") == ["s"])
            // Records written with it can still be read.
            #expect(try await ask("GET", "/schemas/ids/1")["schema"] != nil)
            #expect(try await ask("DELETE", "/subjects/s?permanent=true") == [1, 2])
            #expect(try await ask("GET", "/subjects?deleted=true") == [])
        }
    }

    @Test func compatibilityIsAskedAndEnforced() async throws {
        try await ServerFixture.with { fixture in
            func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> (status: Int, body: JSONValue) {
                try await fixture.json(method, path, body, registry: true)
            }
            _ = try await ask("POST", "/subjects/s/versions", Self.record(Self.a))
            let bad = Self.record(Self.a, Self.required)
            #expect(try await ask("POST", "/compatibility/subjects/s/versions/latest", Self.record(Self.a, Self.optional)).body == ["is_compatible": true])
            let verdict = try await ask("POST", "/compatibility/subjects/s/versions/1?verbose=true", bad).body
            #expect(verdict["is_compatible"] == false && verdict["messages"]?.arrayValue?.count == 1)
            let refused = try await ask("POST", "/subjects/s/versions", bad)
            #expect(refused.status == 409 && refused.body["error_code"] == 409)
            #expect(try await ask("GET", "/config").body == ["compatibilityLevel": "BACKWARD"])
            #expect(try await ask("GET", "/config/s").body["error_code"] == 40408)
            #expect(try await ask("GET", "/config/s?defaultToGlobal=true").body == ["compatibilityLevel": "BACKWARD"])
            #expect(try await ask("PUT", "/config/s", ["compatibility": "none"]).body == ["compatibility": "NONE"])
            #expect(try await ask("GET", "/config/s").body == ["compatibilityLevel": "NONE"])
            #expect(try await ask("POST", "/subjects/s/versions", bad).body == ["id": 2])
            #expect(try await ask("DELETE", "/config/s").body == ["compatibilityLevel": "NONE"])
            #expect(try await ask("PUT", "/config", ["compatibility": "FULL"]).body == ["compatibility": "FULL"])
        }
    }

    @Test func protobufAndJSONSchemasReferToOthersAndEvolve() async throws {
        try await ServerFixture.with { fixture in
            func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> (status: Int, body: JSONValue) {
                try await fixture.json(method, path, body, registry: true)
            }
            func proto(_ text: String, _ references: JSONValue = []) -> JSONValue {
                ["schemaType": "PROTOBUF", "schema": .string("syntax = \"proto3\"; " + text), "references": references]
            }
            let cart = "import \"item.proto\"; message Cart { Item item = 1; }"
            #expect(try await ask("POST", "/subjects/cart-value/versions", proto(cart)).body["error_code"] == 42201)
            let reference: JSONValue = [["name": "item.proto", "subject": "item", "version": 1]]
            #expect(try await ask("POST", "/subjects/cart-value/versions", proto(cart, reference)).body["error_code"] == 42201)
            #expect(try await ask("POST", "/subjects/item/versions", proto("message Item { int32 count = 1; }")).body == ["id": 1])
            #expect(try await ask("POST", "/subjects/cart-value/versions", proto(cart, reference)).body == ["id": 2])
            #expect(try await ask("GET", "/subjects/cart-value/versions/1").body["references"] == reference)
            #expect(try await ask("GET", "/subjects/item/versions/1/referencedby").body == [2])
            #expect(try await ask("DELETE", "/subjects/item/versions/1").body["error_code"] == 42206)
            #expect(try await ask("DELETE", "/subjects/item").body["error_code"] == 42206)
            let refused = try await ask("POST", "/subjects/item/versions", proto("message Item { string count = 1; }"))
            #expect(refused.status == 409 && refused.body["message"]?.stringValue?.contains("FIELD_SCALAR_KIND_CHANGED #/Item/1") == true)
            #expect(try await ask("POST", "/subjects/item/versions", proto("message Item { int64 count = 1; }")).body == ["id": 3])
            // The same declarations in another order are the same schema only when normalized.
            let two = proto("message Item { string b = 2; int64 count = 1; }"), swapped = proto("message Item { int64 count = 1; string b = 2; }")
            #expect(try await ask("POST", "/subjects/item/versions?normalize=true", two).body == ["id": 4])
            #expect(try await ask("POST", "/subjects/item?normalize=true", two).body["version"] == 3)
            #expect(try await ask("POST", "/subjects/item/versions", swapped).body == ["id": 4])
            #expect(try await ask("GET", "/schemas/ids/1?format=serialized").body["schema"]?.stringValue?.hasPrefix("Cgdk") == true)

            func json(_ text: String) -> JSONValue { ["schemaType": "JSON", "schema": .string(text)] }
            #expect(try await ask("POST", "/subjects/j/versions", json(#"{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}"#)).status == 200)
            let verdict = try await ask("POST", "/compatibility/subjects/j/versions/latest?verbose=true", json(#"{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}"#))
            #expect(verdict.body["is_compatible"] == false && verdict.body["messages"]?.arrayValue?.first?.stringValue?.hasPrefix("TYPE_CHANGED #/properties/a") == true)
            #expect(try await ask("POST", "/compatibility/subjects/j/versions", json(#"{"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}, "additionalProperties": false}"#)).body == ["is_compatible": true])
            #expect(try await ask("PUT", "/config/j", ["compatibility": "FULL"]).status == 200)
            #expect(try await ask("POST", "/compatibility/subjects/j/versions", json(#"{"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": false}"#)).body == ["is_compatible": false])
            #expect(try await ask("POST", "/subjects/j/versions", json(##"{"$ref": "#/nowhere"}"##)).body["error_code"] == 42201)
        }
    }

    @Test func modesDecideWhoMayWrite() async throws {
        try await ServerFixture.with { fixture in
            func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
                try await fixture.json(method, path, body, registry: true).body
            }
            #expect(try await ask("PUT", "/mode/s", ["mode": "IMPORT"]) == ["mode": "IMPORT"])
            var imported = Self.record(Self.a).objectValue ?? [:]
            imported["id"] = 77
            imported["version"] = 5
            #expect(try await ask("POST", "/subjects/s/versions", .object(imported)) == ["id": 77])
            #expect(try await ask("GET", "/subjects/s/versions") == [5])
            #expect(try await ask("PUT", "/mode", ["mode": "READONLY"]) == ["mode": "READONLY"])
            let refused = try await ask("POST", "/subjects/t/versions", Self.record(Self.a))
            #expect(refused["error_code"] == 42205)
            #expect(try await ask("DELETE", "/mode/s") == ["mode": "IMPORT"])
            let kept = try await ask("DELETE", "/subjects/s")
            #expect(kept["error_code"] == 42205)
            #expect(try await ask("GET", "/mode/s?defaultToGlobal=true") == ["mode": "READONLY"])
            #expect(try await ask("DELETE", "/mode") == ["mode": "READONLY"])
            #expect(try await ask("POST", "/subjects/t/versions", Self.record(Self.a)) == ["id": 77])
        }
    }

    static let mistakes: [(String, String, JSONValue?, Int, Int)] = [
        ("GET", "/subjects/none/versions", nil, 404, 40401), ("GET", "/subjects/s/versions/9", nil, 404, 40402),
        ("GET", "/subjects/s/versions/zero", nil, 422, 42202), ("GET", "/subjects/s/versions/0", nil, 422, 42202),
        ("GET", "/schemas/ids/99", nil, 404, 40403), ("POST", "/subjects/s", ["schema": "\"string\""], 404, 40403),
        ("POST", "/subjects/none", ["schema": "\"string\""], 404, 40401), ("POST", "/subjects/x/versions", ["schema": "{\"type\": \"rec"], 422, 42201),
        ("POST", "/subjects/x/versions", ["schema": "{\"type\": \"nosuch\"}"], 422, 42201), ("POST", "/subjects/x/versions", [:], 422, 42201),
        ("POST", "/subjects/x/versions", ["schema": "x", "schemaType": "THRIFT"], 422, 42201),
        ("PUT", "/config", ["compatibility": "PERHAPS"], 422, 42203), ("PUT", "/mode", ["mode": "PERHAPS"], 422, 42204),
        ("PUT", "/mode", ["mode": "IMPORT"], 422, 42205), ("GET", "/mode/s", nil, 404, 40409), ("GET", "/nosuch", nil, 404, 404), ("DELETE", "/schemas/types", nil, 405, 405),
        ("POST", "/compatibility/subjects/none/versions/latest", ["schema": "\"string\""], 404, 40401),
    ]

    @Test(arguments: mistakes)
    func errorsHaveTheRegistrysCodes(_ method: String, _ path: String, _ body: JSONValue?, _ status: Int, _ code: Int) async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.json("POST", "/subjects/s/versions", Self.record(Self.a), registry: true)
            let answer = try await fixture.json(method, path, body, registry: true)
            #expect(answer.status == status && answer.body["error_code"]?.intValue == code, "\(answer)")
            #expect(answer.body["message"]?.stringValue?.isEmpty == false)
        }
    }
}
