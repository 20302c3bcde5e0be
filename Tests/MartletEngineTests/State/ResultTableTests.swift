import MartletColumns
import MartletCore
import MartletLog
import Testing

@testable import MartletEngine

/// Pull queries on tables that find no room in memory: the same answers, and what stays in memory is bounded.
@Suite(.enabled(if: (try? RocksLibrary.shared.get()) != nil, "RocksDB is not installed: make bootstrap"))
struct ResultTableTests {
    private static let setup = """
        CREATE TABLE t (k STRING PRIMARY KEY, v INT, w STRING) WITH (kafka_topic='t', value_format='JSON');
        CREATE TABLE copy AS SELECT * FROM t;
        CREATE STREAM s (k STRING KEY, v INT) WITH (kafka_topic='s', value_format='JSON');
        CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS, RETENTION 1 MINUTE, GRACE PERIOD 0 SECONDS) GROUP BY k;
        """
    /// Records of long ago would not stay: topics keep them for a week.
    private static let began = TimeSource.system.wallMs / 3_600_000 * 3_600_000
    private static let questions = [
        "SELECT * FROM copy WHERE k = 'k1';", "SELECT v, ROWTIME, k FROM copy WHERE k = 'k2';", "SELECT * FROM copy WHERE k IN ('k3', 'none', 'k4', 'k5');",
        "SELECT * FROM copy;", "SELECT * FROM copy WHERE k > 'k2' AND k <= 'k5';", "SELECT k, v FROM copy WHERE v > 3;", "SELECT COUNT(*) AS n FROM copy GROUP BY v;",
        "SELECT * FROM w WHERE k = 'k1';", "SELECT k, WINDOWSTART, n FROM w WHERE k = 'k3' AND WINDOWSTART >= \(began + 30_000);", "SELECT * FROM w;",
        "SELECT * FROM w WHERE k IN ('k0', 'k9') AND WINDOWEND <= \(began + 30_000);",
    ]

    private func settled(_ harness: EngineHarness) async throws {
        while await !harness.engine.hasProcessedInput { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// With a byte nothing stays, with some thousands a part.
    @Test(arguments: [(0, 1), (1, 1), (2, 20_000)]) func answersDoNotDependOnMemory(seed: Int, bytes: Int) async throws {
        var random = SeededRandom(seed: UInt64(seed))
        let whole = try await EngineHarness(), little = try await EngineHarness(stateMemoryBytes: bytes)
        for harness in [whole, little] {
            for topic in ["t", "s"] { try harness.topic(topic, partitions: 2) }
            try await harness.execute(Self.setup)
        }
        for round in 0..<8 {
            for _ in 0..<40 {
                let number = Int.random(in: 0..<60, using: &random), key = "k\(number)", isGone = Int.random(in: 0..<5, using: &random) == 0
                let value = #"{"V":\#(Int.random(in: 0..<9, using: &random)),"W":"\#(String(repeating: "w", count: number))"}"#
                let time = Self.began + Int64(round * 9000 + Int.random(in: 0..<9000, using: &random))
                for harness in [whole, little] {
                    try harness.produce("t", partition: Int32(number % 2), [(key, isGone ? nil : value)], timestamp: time)
                    try harness.produce("s", partition: Int32(number % 2), [("k\(number % 10)", #"{"V":1}"#)], timestamp: time)
                    // One after another: late rows are late in both.
                    try await settled(harness)
                }
            }
            for question in Self.questions {
                let expected = try await whole.rows(question).sorted(), found = try await little.rows(question).sorted()
                #expect(found == expected, "\(question), round \(round)")
            }
        }
        #expect(try #require(await little.engine.resultTables["COPY"]).isPartial)
        await whole.close()
        await little.close()
    }

    /// A row that is on disk is none for an event loop; one that is in memory is.
    @Test func anEventLoopDoesNotWaitForTheDisk() async throws {
        let harness = try await EngineHarness(stateMemoryBytes: 1)
        for topic in ["t", "s"] { try harness.topic(topic) }
        try await harness.execute(Self.setup)
        try harness.produce("t", (0..<100).map { ("k\($0)", #"{"V":1}"#) })
        try await settled(harness)
        guard case .lookup(let lookup) = try await harness.engine.query("SELECT v FROM copy WHERE k = 'k7';", preparesLookups: true) else {
            Issue.record("not a prepared look-up")
            return
        }
        func ask(mayWait: Bool) throws -> (PreparedLookup.Outcome, [SQLValue]) {
            var found: [SQLValue] = []
            let outcome = try lookup.answer(nil, mayWait: mayWait) { columns, row in found.append(columns[0].value(row)) }
            return (outcome, found)
        }
        // The first question reads the table, and gives it up again.
        #expect(try ask(mayWait: true) == (.answered, [.integer(1)]))
        let table = try #require(await harness.engine.resultTables["COPY"])
        #expect(table.isPartial)
        let memory = try #require(harness.engine.stateMemory)
        #expect(memory.evictions > 0 && memory.evictedBytes > 100 && memory.budgetBytes == 1)
        // It was brought in for the answer, unless a commit gave it up again meanwhile.
        var isInMemory = false
        for _ in 0..<1000 where !isInMemory {
            #expect(try ask(mayWait: true) == (.answered, [.integer(1)]))
            isInMemory = try ask(mayWait: false) == (.answered, [.integer(1)])
        }
        #expect(isInMemory)
        table.trim()
        #expect(try ask(mayWait: false) == (.wouldWait, []))
        await harness.close()
    }

    /// Page by page in the order of the keys, as the rows were when it began.
    @Test func aScanSeesOneMoment() async throws {
        let harness = try await EngineHarness(stateMemoryBytes: 1)
        for topic in ["t", "s"] { try harness.topic(topic) }
        try await harness.execute(Self.setup)
        try harness.produce("t", (0..<9000).map { ("k\($0)", #"{"V":1}"#) })
        try await settled(harness)
        #expect(try await harness.rows("SELECT k FROM copy WHERE k = 'k1';") == ["k1"])
        let table = try #require(await harness.engine.resultTables["COPY"])
        guard case .rows(let query) = try await harness.engine.query("SELECT k, v FROM copy;") else { return }
        var rows: [String] = [], batches = 0
        while let batch = try await query.rows.next() {
            if batches == 0 {
                try harness.produce("t", (0..<9000).map { ("k\($0)", #"{"V":2}"#) })
                try await settled(harness)
                #expect(try await harness.rows("SELECT v FROM copy WHERE k = 'k8999';") == ["2"])
            }
            batches += 1
            for row in 0..<batch.count { rows.append("\(batch.columns[0].value(row).castText) \(batch.columns[1].value(row).castText)") }
        }
        #expect(batches > 1 && table.isPartial)
        #expect(rows == (0..<9000).map { "k\($0) 1" }.sorted())
        await harness.close()
    }
}
