import Logging
import MartletColumns
import MartletCore
@testable import MartletLog
import Testing

@testable import MartletEngine

/// State with a copy on disk: the same results whatever fits into memory, and starts that read no more of a changelog than they have to.
@Suite(.enabled(if: (try? RocksLibrary.shared.get()) != nil, "RocksDB is not installed: make bootstrap"))
struct StateOnDiskTests {
    static let statements = """
        CREATE STREAM S (K VARCHAR KEY, V INT) WITH (kafka_topic='s', value_format='JSON');
        CREATE STREAM S2 (K VARCHAR KEY, V INT) WITH (kafka_topic='s2', value_format='JSON');
        CREATE TABLE P (K VARCHAR PRIMARY KEY, V INT) WITH (kafka_topic='p', value_format='JSON');
        CREATE TABLE Q (K INT PRIMARY KEY, V INT) WITH (kafka_topic='q', value_format='JSON', key_format='JSON');
        CREATE TABLE COUNTS AS SELECT K, COUNT(*) AS N, SUM(V) AS TOTAL, COLLECT_LIST(V) AS VS FROM S GROUP BY K;
        CREATE TABLE WINDOWS AS SELECT K, COUNT(*) AS N FROM S WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS, RETENTION 1 MINUTE,
            GRACE PERIOD 5 SECONDS) GROUP BY K;
        CREATE TABLE SESSIONS AS SELECT K, COUNT(*) AS N FROM S WINDOW SESSION (3 SECONDS) GROUP BY K;
        CREATE STREAM JOINED AS SELECT S.K AS K, S.V AS L, P.V AS R FROM S LEFT JOIN P ON S.K = P.K;
        CREATE TABLE BOTH AS SELECT ROWKEY AS K, C.N AS N, P.V AS V FROM COUNTS C FULL JOIN P ON C.K = P.K;
        CREATE TABLE GROUPED AS SELECT V, COUNT(*) AS N FROM P GROUP BY V;
        CREATE STREAM MET AS SELECT ROWKEY AS K, A.V AS L, B.V AS R FROM S A FULL JOIN S2 B WITHIN 3 SECONDS GRACE PERIOD 1 SECOND ON A.K = B.K;
        CREATE TABLE FINAL AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
        CREATE TABLE FINAL_SESSIONS AS SELECT K, COUNT(*) AS N FROM S WINDOW SESSION (2 SECONDS, GRACE PERIOD 1 SECOND) GROUP BY K EMIT FINAL;
        CREATE TABLE REFERRED AS SELECT P.K AS K, P.V AS V, Q.V AS W FROM P LEFT JOIN Q ON P.V = Q.K;
        """
    static let tables = ["COUNTS", "WINDOWS", "SESSIONS", "BOTH", "GROUPED", "FINAL", "FINAL_SESSIONS", "REFERRED"]
    static let topics = ["p", "q", "s", "s2"]

    /// Records of long ago would not stay: topics keep them for a week.
    private static let began = TimeSource.system.wallMs / 3_600_000 * 3_600_000

    private struct Input {
        var topic: String
        var key: String
        var value: String?
        var time: Int64
    }

    private func inputs(_ random: inout SeededRandom, _ count: Int) -> [Input] {
        (0..<count).map { i in
            let topic = ["p", "p", "q", "s", "s", "s", "s", "s2", "s2"].randomElement(using: &random) ?? "s"
            let isTable = topic == "p" || topic == "q"
            let key = topic == "q" ? "\(Int.random(in: 0..<9, using: &random))" : "k\(Int.random(in: 0..<60, using: &random))"
            let value = isTable && Int.random(in: 0..<5, using: &random) == 0 ? nil : #"{"V":\#(Int.random(in: 0..<9, using: &random))}"#
            return Input(topic: topic, key: key, value: value, time: Self.began + Int64(i) * 100)
        }
    }

    /// Waits until all queries have processed what is there, and what this made.
    private func settle(_ harness: EngineHarness) async throws {
        for _ in 0..<2000 {
            var isDone = true
            for query in await harness.engine.runningQueries {
                #expect(query.state == .running, "\(query.id): \(query.error.map { "\($0)" } ?? "")")
                for topic in await harness.engine.topics(of: query, readOnly: true) {
                    for log in harness.log.partitions(of: topic) {
                        let committed = harness.log.groupOffsets.committed(group: query.consumerGroup, log.id)?.offset ?? 0
                        var block: RecordBlock?
                        // Markers are no records.
                        if committed < log.lastStableOffset, try log.readBlock(from: committed, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &block).count > 0 {
                            isDone = false
                        }
                    }
                }
            }
            if isDone { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("the queries do not come to an end")
    }

    /// Each table's rows, and how many rows the join has given.
    private func results(_ harness: EngineHarness) async throws -> [String: [String]] {
        var out: [String: [String]] = [:]
        for table in Self.tables { out[table] = try await harness.rows("SELECT * FROM \(table);").sorted() }
        for topic in ["JOINED", "MET", "FINAL", "FINAL_SESSIONS"] {
            let joined = try #require(harness.log.partition(TopicPartition(topic, 0)))
            var lines: [String] = [], position = joined.startOffset
            var reused: RecordBlock?
            while position < joined.lastStableOffset {
                let block = try joined.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
                if block.nextOffset == position { break }
                position = block.nextOffset
                for row in 0..<block.count { lines.append(String(decoding: (block.key(row) ?? []) + (block.value(row) ?? []), as: UTF8.self)) }
            }
            out["\(topic)'s records"] = lines
        }
        return out
    }

    private func started(memory: Int?) async throws -> EngineHarness {
        let harness = try await EngineHarness(stateMemoryBytes: memory)
        for topic in Self.topics { try harness.topic(topic) }
        try await harness.execute(Self.statements)
        return harness
    }

    /// With a byte of memory everything that may leave it does after each commit.
    @Test(arguments: 0..<3) func littleMemoryChangesNothing(seed: Int) async throws {
        var random = SeededRandom(seed: UInt64(seed))
        let rows = inputs(&random, 500)
        func run(memory: Int?, restarts: Set<Int>) async throws -> [String: [String]] {
            let harness = try await started(memory: memory)
            var from = 0, part = 0
            while from < rows.count {
                // Each part is processed as a whole before the next: rows of two topics come in one order then.
                let to = min(from + 10, rows.count)
                for topic in Self.topics {
                    for row in rows[from..<to] where row.topic == topic { try harness.produce(topic, [(row.key, row.value)], timestamp: row.time) }
                    try await settle(harness)
                }
                from = to
                part += 1
                if restarts.contains(part) { try await harness.restart() }
            }
            let out = try await results(harness)
            await harness.close()
            return out
        }
        let whole = try await run(memory: nil, restarts: []), partial = try await run(memory: 1, restarts: [7, 8, 21])
        for (name, rows) in whole {
            #expect(rows.count > 5, "\(name)")
            let changes = (partial[name] ?? []).difference(from: rows).map { "\($0)" }
            #expect(changes == [], "\(name)")
        }
    }

    private func countsOnly(_ harness: EngineHarness) async throws {
        try harness.topic("s")
        try await harness.execute(
            """
            CREATE STREAM S (K VARCHAR KEY, V INT) WITH (kafka_topic='s', value_format='JSON');
            CREATE TABLE COUNTS AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;
            """)
    }

    private func produce(_ harness: EngineHarness, _ count: Int) async throws {
        try harness.produce("s", (0..<count).map { ("k\($0)", #"{"V":1}"#) })
        try await settle(harness)
    }

    private func index(_ harness: EngineHarness) throws -> ChangelogIndex {
        try #require(harness.engine.stateDirectory?.indexes.values.first)
    }

    @Test func aStartReadsOnlyWhatTheIndexHasNotSeen() async throws {
        let harness = try await EngineHarness()
        try await countsOnly(harness)
        try await produce(harness, 500)
        try await harness.restart()
        for _ in 0..<1000 where harness.engine.stateDirectory?.indexes.isEmpty == true { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try index(harness).recordsRead == 0)
        try await produce(harness, 20)
        #expect(try await harness.rows("SELECT N FROM COUNTS WHERE K = 'k19';") == ["2"])
        #expect(try await harness.rows("SELECT N FROM COUNTS WHERE K = 'k20';") == ["1"])
        try index(harness).catchUp()
        #expect(try index(harness).recordsRead == 20)
        await harness.close()
    }

    enum Damage: CaseIterable { case missing, corrupt, ahead, foreign }

    /// Whatever has become of the folder, the state is that of the changelog.
    @Test(arguments: Damage.allCases) func aFolderThatIsOfNoUseIsMadeAnew(_ damage: Damage) async throws {
        let harness = try await EngineHarness()
        try await countsOnly(harness)
        try await produce(harness, 300)
        let folder = try index(harness).folder, files = PosixFileSystem()
        try await harness.restart {
            switch damage {
            case .missing: StateDirectory.remove(folder)
            case .corrupt:
                for name in try files.list(folder) where name.hasSuffix(".sst") || name.hasPrefix("MANIFEST") {
                    let file = try files.open("\(folder)/\(name)", create: false), bytes = [UInt8](repeating: 0x5a, count: try file.size())
                    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
                }
            case .ahead, .foreign:
                // The metadata of an index that has seen more, or another changelog.
                let shared = try RocksShared(try RocksLibrary.shared.get(), cacheBytes: 1 << 20)
                let database = try RocksDatabase(folder, shared)
                var known = try #require(try database.value(of: [0xfe]))
                if damage == .ahead { known.replaceSubrange(22..<30, with: [0, 0, 0, 0, 0, 0xff, 0, 0]) } else { known[1] ^= 1 }
                var changes = StateChanges()
                changes.append(timestamp: 0, key: [0xfe], value: known)
                changes.append(timestamp: 0, key: [1, 0x6b, 0x30, 0, 0], value: [UInt8](repeating: 0, count: 8))
                try database.write(changes)
                try database.flush()
            }
        }
        try await produce(harness, 300)
        let rows = try await harness.rows("SELECT N FROM COUNTS;")
        #expect(rows == [String](repeating: "2", count: 300))
        try index(harness).catchUp()
        #expect(try index(harness).recordsRead == 600)
        await harness.close()
    }

    @Test func stateOnDiskGoesWithItsQuery() async throws {
        let harness = try await EngineHarness()
        try await countsOnly(harness)
        try await produce(harness, 10)
        let folder = "\(harness.directory)/state"
        let query = try #require(await harness.engine.runningQueries.first)
        #expect(StateDirectory.entries(of: folder) == [StateDirectory.escaped(query.id)])
        try await harness.execute("TERMINATE \(query.id);")
        #expect(StateDirectory.entries(of: folder) == [])
        try await harness.restart()
        #expect(StateDirectory.entries(of: folder) == [])
        await harness.close()
    }

    @Test func withoutTheLibraryStateIsInMemory() async throws {
        let harness = try await EngineHarness()
        try harness.topic("s")
        let directory = StateDirectory(
            "\(harness.directory)/other", memoryBytes: 1, library: { .failure(MartletError(.io, "RocksDB cannot be loaded")) }, time: .system,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let store = Materialize(step: "M", keyCount: 1, types: [.string], isWindowed: false, restoresFromTopic: false, OperatorSetup(isPersistent: true))
        let log = try #require(harness.log.partition(TopicPartition("s", 0)))
        #expect(directory.index(of: store, query: "Q", log: log, topicID: [UInt8](repeating: 1, count: 16)) == nil)
        #expect(StateDirectory.entries(of: "\(harness.directory)/other") == [])
        directory.stop()
        await harness.close()
    }
}
