import MartletColumns
import MartletCore
import MartletSQL
import Testing

@testable import MartletEngine

/// Questions for rows by key, prepared once: the same answers as a query that runs, whatever happens to the table in between.
@Suite struct PreparedLookupTests {
    private static let setup = """
        CREATE STREAM s (k STRING KEY, n INT) WITH (kafka_topic='s', value_format='JSON');
        CREATE TABLE t AS SELECT k, COUNT(*) AS c, SUM(n) AS total FROM s GROUP BY k;
        CREATE TABLE w AS SELECT k, COUNT(*) AS c FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k;
        CREATE STREAM s2 (a STRING KEY, b BIGINT KEY, n INT) WITH (kafka_topic='s2', format='JSON', partitions=1);
        CREATE TABLE m AS SELECT a, b, SUM(n) AS total FROM s2 GROUP BY a, b;
        """

    private func lookup(_ harness: EngineHarness, _ sql: String) async throws -> PreparedLookup? {
        guard case .lookup(let lookup) = try await harness.engine.query(sql, preparesLookups: true) else { return nil }
        return lookup
    }

    private func answer(_ lookup: PreparedLookup, _ literals: [StatementShape.Literal]? = nil) throws -> [String] {
        var out: [String] = []
        let outcome = try lookup.answer(literals, mayWait: true) { columns, row in
            out.append(columns.map { $0.value(row).castText }.joined(separator: "|"))
        }
        #expect(outcome == .answered)
        return out
    }

    private func settled(_ harness: EngineHarness) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while await !harness.engine.hasProcessedInput {
            try #require(ContinuousClock.now < deadline, "the input was not processed within two minutes")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test func answersAreThoseOfTheQuery() async throws {
        let harness = try await EngineHarness()
        try harness.topic("s", partitions: 2)
        try await harness.execute(Self.setup)
        for i in 0..<20 { try harness.produce("s", partition: Int32(i % 2), [("k\(i % 10 / 2 * 2 + i % 2)", #"{"N":\#(i)}"#)], timestamp: Int64(1_790_000_000_000 + i * 300)) }
        for i in 0..<6 { try await harness.execute("INSERT INTO s2 VALUES ('a\(i % 2)', \(i % 3), \(i));") }
        try await settled(harness)
        let questions = [
            ("SELECT * FROM t WHERE k = 'k1';", 1), ("SELECT total, k FROM t WHERE 'k2' = k;", 1), ("SELECT * FROM t WHERE k = 'none';", 1),
            ("SELECT UCASE(k) AS u, c + c AS d, ROWTIME FROM t WHERE k = 'k3';", 1), ("SELECT ROWTIME, c FROM t WHERE k = 'k4';", 1),
            ("SELECT * FROM m WHERE b = 1 AND a = 'a1';", 2), ("SELECT * FROM m WHERE a = 'a1' AND b = 1;", 2),
            // These are answered as they stand.
            ("SELECT * FROM t WHERE k = 'k1' AND c > 0;", 0), ("SELECT * FROM t WHERE k IN ('k1', 'k5', 'k1');", 0), ("SELECT 'x' AS x, k FROM t WHERE k = 'k1';", 0),
            ("SELECT * FROM t WHERE k = 'k1' LIMIT 0;", 0), ("SELECT * FROM t WHERE k IN ('k1', 'k3') LIMIT 1;", 0), ("SELECT * FROM m WHERE a = 'a0' AND b IN (0, 1);", 0),
            ("SELECT * FROM w WHERE k = 'k1';", 0), ("SELECT * FROM w WHERE k = 'k1' AND WINDOWSTART >= 1790000003000;", 0),
            ("SELECT k, WINDOWSTART, ROWTIME FROM w WHERE k = 'k2' AND WINDOWEND < '2026-09-22';", 0),
        ]
        for (sql, parameters) in questions {
            let lookup = try #require(try await lookup(harness, sql), "\(sql)")
            #expect((lookup.shape?.literals.count ?? 0) == parameters, "\(sql)")
            let expected = try await harness.rows(sql)
            for _ in 0..<2 { #expect(try answer(lookup) == expected, "\(sql)") }
        }
        for sql in ["SELECT * FROM t;", "SELECT * FROM t WHERE k > 'k1';", "SELECT * FROM t WHERE c = 1;", "SELECT * FROM s;"] {
            #expect(try await lookup(harness, sql) == nil, "\(sql)")
        }
        await harness.close()
    }

    @Test func otherKeysNeedNoAnalysis() async throws {
        let harness = try await EngineHarness()
        try harness.topic("s")
        try await harness.execute(Self.setup)
        let byKey = try #require(try await lookup(harness, "SELECT * FROM t WHERE k = 'k1';"))
        let byTwo = try #require(try await lookup(harness, "SELECT total FROM m WHERE b = 1 AND a = 'x';"))
        var random = SeededRandom(seed: 11)
        for round in 0..<10 {
            for _ in 0..<20 { try harness.produce("s", [("k\(Int.random(in: 0..<30, using: &random))", #"{"N":\#(Int.random(in: 0..<9, using: &random))}"#)]) }
            try await harness.execute("INSERT INTO s2 VALUES ('a\(round % 2)', \(round % 3), 1);")
            try await settled(harness)
            for _ in 0..<10 {
                let key = "k\(Int.random(in: 0..<35, using: &random))"
                #expect(try answer(byKey, [.text(key)]) == (try await harness.rows("SELECT * FROM t WHERE k = '\(key)';")))
            }
            let a = "a\(Int.random(in: 0..<3, using: &random))", b = Int64(Int.random(in: 0..<4, using: &random))
            #expect(try answer(byTwo, [.integer(b), .text(a)]) == (try await harness.rows("SELECT total FROM m WHERE a = '\(a)' AND b = \(b);")))
        }
        await harness.close()
    }

    @Test func aChangedCatalogEndsIt() async throws {
        let harness = try await EngineHarness()
        try harness.topic("s")
        try await harness.execute(Self.setup)
        let lookup = try #require(try await lookup(harness, "SELECT * FROM t WHERE k = 'k1';"))
        #expect(lookup.isCurrent)
        try await harness.execute("CREATE TYPE x AS STRING;")
        #expect(!lookup.isCurrent)
        let second = try #require(try await self.lookup(harness, "SELECT * FROM t WHERE k = 'k1';"))
        try await harness.execute("DROP TABLE t DELETE TOPIC;")
        #expect(!second.isCurrent)
        // Whoever has it still cannot be told rows of a topic that is gone.
        #expect(throws: MartletError.self) { _ = try answer(second) }
        await harness.close()
    }

    /// On a thread that must not wait a long topic is left to others; a few new records are read.
    @Test func aLongFirstReadIsLeftToOthers() async throws {
        let harness = try await EngineHarness()
        try harness.topic("s")
        try await harness.execute(Self.setup)
        try harness.produce("s", (0..<2000).map { ("k\($0)", #"{"N":1}"#) })
        try await settled(harness)
        let lookup = try #require(try await lookup(harness, "SELECT * FROM t WHERE k = 'k7';"))
        var rows = 0
        let first = try lookup.answer(nil, mayWait: false) { _, _ in rows += 1 }
        #expect(first == .wouldWait && rows == 0)
        #expect(try answer(lookup) == ["k7|1|1"])
        try harness.produce("s", [("k7", #"{"N":5}"#)])
        try await settled(harness)
        var totals: [SQLValue] = []
        let outcome = try lookup.answer(nil, mayWait: false) { columns, row in totals.append(columns[2].value(row)) }
        #expect(outcome == .answered && totals == [.integer(6)])
        await harness.close()
    }
}
