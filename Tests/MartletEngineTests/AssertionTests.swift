import MartletCore
import Testing

@testable import MartletEngine

/// ASSERT TOPIC and ASSERT SCHEMA, and how long they wait.
@Suite struct AssertionTests {
    /// An assertion that is settled waits for nothing: the defaults here are an hour.
    @Test(.timeLimit(.minutes(5)), arguments: [
        ("ASSERT TOPIC t;", nil), ("ASSERT TOPIC t WITH (partitions=2, REPLICAS=1);", nil), ("ASSERT NOT EXISTS TOPIC no;", nil),
        ("ASSERT NOT EXISTS TOPIC no WITH (partitions=7);", nil), ("ASSERT NOT EXISTS SCHEMA ID 99;", nil),
        ("ASSERT TOPIC no TIMEOUT 1 MILLISECOND;", "Topic no does not exist"), ("ASSERT NOT EXISTS TOPIC t TIMEOUT 1 MILLISECOND;", "Topic t exists"),
        ("ASSERT TOPIC t WITH (partitions=3) TIMEOUT 1 MILLISECOND;", "Mismatched configuration for topic t: For config partitions, expected 3 got 2"),
        ("ASSERT TOPIC t WITH (replicas=3) TIMEOUT 1 MILLISECOND;", "Mismatched configuration for topic t: For config replicas, expected 3 got 1"),
        // Also one that the topic does have.
        ("ASSERT TOPIC t WITH (retention_ms=5) TIMEOUT 1 MILLISECOND;", "Cannot assert unknown topic property: RETENTION_MS"),
        ("ASSERT TOPIC t WITH (`retention.ms`=5) TIMEOUT 1 MILLISECOND;", "Cannot assert unknown topic property: RETENTION.MS"),
        ("ASSERT SCHEMA SUBJECT 's-value' ID 3 TIMEOUT 1 MILLISECOND;", "Schema with subject name s-value and id 3 does not exist"),
        ("SET 'ksql.assert.topic.default.timeout.ms'='1'; ASSERT TOPIC no;", "Topic no does not exist"),
    ] as [(String, String?)])
    func whatHoldsAndWhatDoesNot(_ sql: String, _ problem: String?) async throws {
        let harness = try await EngineHarness()
        _ = try harness.log.createTopic("t", partitions: 2, settings: ["retention.ms": "5"])
        var said: MartletError?
        try await harness.execute("SET 'ksql.assert.topic.default.timeout.ms'='3600000'; SET 'ksql.assert.schema.default.timeout.ms'='3600000';")
        do { try await harness.execute(sql) } catch { said = error as? MartletError }
        #expect(said?.message == problem && (said.map { $0.code == .assertionFailed } ?? true), "\(said?.description ?? "")")
        await harness.close()
    }

    /// What an assertion waits for can come from another statement.
    @Test func otherStatementsGoOnMeanwhile() async throws {
        let harness = try await EngineHarness()
        let engine = harness.engine
        async let asserted = engine.execute("ASSERT TOPIC later TIMEOUT 1 MINUTE; ASSERT SCHEMA SUBJECT 'later-value' TIMEOUT 1 MINUTE;")
        try await harness.execute("CREATE STREAM s (id INT) WITH (kafka_topic='later', value_format='AVRO', partitions=1);")
        #expect(try await asserted.map { $0["@type"]?.stringValue } == ["assert_topic", "assert_schema"])
        await harness.close()
    }
}
