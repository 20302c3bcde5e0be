import Logging
import MartletColumns
import MartletCore
import MartletLog
import Testing

@testable import MartletEngine

@Suite struct SchemaRegistryTests {
    private static func record(_ fields: String) -> RegisteredSchema {
        RegisteredSchema(type: "AVRO", text: #"{"type":"record","name":"r","fields":[\#(fields)]}"#)
    }
    private let one = record(#"{"name":"a","type":"int"}"#)
    private let two = record(#"{"name":"a","type":"int"},{"name":"b","type":["null","int"],"default":null}"#)
    private let breaking = record(#"{"name":"a","type":"int"},{"name":"c","type":"int"}"#)

    @Test func versionsAndIdsSurviveARestartAndIdsAreNeverGivenOutTwice() async throws {
        let harness = try await EngineHarness()
        let registry = harness.engine.registry
        let first = try registry.register(subject: "s-value", schema: one)
        #expect(try registry.register(subject: "s-value", schema: one) == first)
        #expect(try registry.register(subject: "t-value", schema: one) == first)
        let second = try registry.register(subject: "s-value", schema: two)
        #expect(second != first)
        #expect(throws: MartletError.self) { try registry.register(subject: "s-value", schema: breaking) }
        try registry.setLevel(SchemaRegistry.Compatibility.none, of: "s-value")
        let third = try registry.register(subject: "s-value", schema: breaking)
        #expect(registry.deleteSubject("s-value", permanently: false) == [1, 2, 3])
        #expect(registry.deleteSubject("s-value", permanently: true) == [1, 2, 3])
        try await harness.restart()
        let reopened = harness.engine.registry
        #expect(reopened.subjects() == ["t-value"])
        #expect(reopened.schema(id: third)?.text.contains("\"c\"") == true)
        #expect(try reopened.register(subject: "u-value", schema: Self.record(#"{"name":"z","type":"string"}"#)) > third)
        #expect(reopened.level(of: "s-value") == SchemaRegistry.Compatibility.none)
        await harness.close()
    }

    @Test func compatibilityIsCheckedAgainstTheLatestOrAllVersions() async throws {
        let harness = try await EngineHarness()
        let registry = harness.engine.registry
        _ = try registry.register(subject: "s", schema: one)
        #expect(try registry.problems(two, subject: "s").isEmpty)
        #expect(try !registry.problems(breaking, subject: "s").isEmpty)
        try registry.setLevel(.forward, of: "s")
        #expect(try registry.problems(breaking, subject: "s").isEmpty)
        #expect(throws: MartletError.self) { try registry.register(subject: "s", schema: RegisteredSchema(type: "AVRO", text: "{")) }
        await harness.close()
    }

    // A topic's schemas, their references and the modes come back from the log as they were.
    @Test func referencesAndModesSurviveARestart() async throws {
        let harness = try await EngineHarness()
        let registry = harness.engine.registry
        let reference = RegisteredSchema.Reference(name: "b.proto", subject: "b", version: 1)
        let user = RegisteredSchema(type: "PROTOBUF", text: "syntax = \"proto3\"; import \"b.proto\"; message A { B b = 1; }", references: [reference])
        #expect(throws: MartletError.self) { try registry.register(subject: "a", schema: user) }
        _ = try registry.register(subject: "b", schema: RegisteredSchema(type: "PROTOBUF", text: "syntax = \"proto3\"; message B { int32 x = 1; }"))
        let id = try registry.register(subject: "a", schema: user)
        _ = try registry.register(subject: "avro", schema: RegisteredSchema(type: "AVRO", text: #"{"type":"record","name":"x.Inner","fields":[{"name":"n","type":"int"}]}"#))
        let outer = RegisteredSchema(
            type: "AVRO", text: #"{"type":"record","name":"Outer","fields":[{"name":"i","type":"x.Inner"}]}"#, references: [.init(name: "x.Inner", subject: "avro", version: 1)])
        let outerID = try registry.register(subject: "outer", schema: outer)
        #expect(registry.deleteSubject("a", permanently: false) == [1] && registry.deleteSubject("a", permanently: true) == [1])
        try registry.setMode(.readOnly, of: "b")
        try await harness.restart()
        let reopened = harness.engine.registry
        #expect(reopened.schema(id: id)?.references == [reference])
        #expect(try reopened.fields(subject: "outer", schemaID: Int(outerID), spec: FormatSpec(.avro), side: .value) == [Field("i", .structure([Field("n", .integer)]))])
        #expect(try reopened.fields(subject: "a", schemaID: Int(id), spec: FormatSpec(.protobuf), side: .value) == [Field("b", .structure([Field("x", .integer)]))])
        #expect(throws: MartletError.self) { try reopened.register(subject: "b", schema: RegisteredSchema(type: "PROTOBUF", text: "syntax = \"proto3\"; message B { }")) }
        await harness.close()
    }
}
