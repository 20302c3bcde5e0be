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
}
