import MartletColumns
import MartletCore
import MartletSQL
import Testing

@testable import MartletEngine

/// Aggregations, table in and table out: whatever the batches, the results are those of one row after another.
@Suite struct AggregationTests {
    typealias Aggregate = PhysicalOperator.Aggregate

    static let windows: [PhysicalOperator.Window?] = [
        nil,
        .init(kind: .tumbling(sizeMs: 10), graceMs: 15, retentionMs: 100),
        .init(kind: .hopping(sizeMs: 10, advanceMs: 3), graceMs: 5, retentionMs: 60),
        .init(kind: .session(gapMs: 4), graceMs: 20, retentionMs: 200),
    ]

    private static func node(_ window: PhysicalOperator.Window?, final: Bool = false) -> PhysicalPlan.Node {
        let input = PhysicalPlan.Input(
            topic: .source(name: "S", topic: "s"), kind: .stream, keyFields: [Field("K", .string)], keyFormat: FormatSpec(.kafka),
            valueFields: [Field("V", .integer)], valueFormat: FormatSpec(.json), columns: [.key(0), .value(0)])
        let calls = [
            AggregateCall(name: "COUNT", arguments: [1], argumentTypes: [.integer], type: .bigint),
            AggregateCall(name: "COLLECT_LIST", arguments: [1], argumentTypes: [.integer], type: .array(.integer)),
        ]
        let node = PhysicalPlan.Node.step(.aggregate(Aggregate(step: "A", keyCount: 1, calls: calls, window: window)), of: .input(input))
        return final ? .step(.suppress(step: "F", graceMs: window?.graceMs ?? 0), of: node) : node
    }

    /// Keys and values of some rows, a few of them null; time goes on with steps back and jumps.
    private static func rows(_ random: inout SeededRandom, _ count: Int) -> [(key: String?, value: Int32?, time: Int64)] {
        var time: Int64 = 50
        return (0..<count).map { _ in
            time += Int64.random(in: 0...3, using: &random)
            if Int.random(in: 0..<40, using: &random) == 0 { time += 40 }
            let key = Int.random(in: 0..<20, using: &random) == 0 ? nil : ["a", "b", "ccc"].randomElement(using: &random)
            let value = Int.random(in: 0..<10, using: &random) == 0 ? nil : Int32.random(in: 0..<100, using: &random)
            return (key, value, max(0, time - Int64.random(in: 0...12, using: &random)))
        }
    }

    private static func batch(_ rows: ArraySlice<(key: String?, value: Int32?, time: Int64)>) -> Batch {
        Batch(
            count: rows.count,
            columns: [
                .string(BytesColumn(rows.map(\.key))),
                ColumnBuilder.column(of: .integer, rows.map { $0.value.map { .integer($0) } ?? .null }),
            ], timestamps: rows.map(\.time), offsets: rows.indices.map { Int64($0) })
    }

    private static func text(_ batch: Batch) -> [String] {
        (0..<batch.count).map { row in
            let isGone = batch.nullValues?[row] == true
            let window = batch.windows.map { "[\($0.starts[row]),\($0.ends[row])]" } ?? ""
            var out = "\(batch.columns[0].value(row).castText)\(window)@\(batch.timestamps[row]) "
            out += isGone ? "gone" : batch.columns[1...2].map { $0.value(row).castText }.joined(separator: ",")
            return out
        }
    }

    private func run(_ node: PhysicalPlan.Node, _ rows: [(key: String?, value: Int32?, time: Int64)], cuts: [Int], everyUpdate: Bool) throws -> [String] {
        let tree = try OperatorTree(node, setup: OperatorSetup(emitsEveryUpdate: everyUpdate))
        var out: [String] = [], from = 0
        for to in cuts + [rows.count] where to > from {
            var context = OperatorContext()
            out += Self.text(try tree.push(Self.batch(rows[from..<to]), leaf: 0, &context))
            from = to
        }
        var context = OperatorContext()
        for batch in try tree.flush(&context) { out += Self.text(batch) }
        return out
    }

    @Test(arguments: windows.indices, 0..<8) func batchesChangeNothing(window: Int, seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let rows = Self.rows(&random, 400)
        let cuts = (0..<6).map { _ in Int.random(in: 0..<rows.count, using: &random) }.sorted()
        let node = Self.node(Self.windows[window])
        let alone = try run(node, rows, cuts: Array(0..<rows.count), everyUpdate: true)
        #expect(try run(node, rows, cuts: cuts, everyUpdate: true) == alone)
        #expect(try run(node, rows, cuts: [], everyUpdate: true) == alone)
    }

    /// Merged updates end where every update ends.
    @Test(arguments: windows.indices, 0..<8) func mergedUpdatesEndAlike(window: Int, seed: Int) throws {
        var random = SeededRandom(seed: UInt64(100 + seed))
        let rows = Self.rows(&random, 300)
        let node = Self.node(Self.windows[window])
        func last(_ lines: [String]) -> [String: String] {
            var out: [String: String] = [:]
            for line in lines {
                let parts = line.split(separator: "@", maxSplits: 1).map(String.init)
                out[parts[0]] = parts[1].hasSuffix("gone") ? nil : parts[1]
            }
            return out
        }
        #expect(last(try run(node, rows, cuts: [], everyUpdate: false)) == last(try run(node, rows, cuts: [], everyUpdate: true)))
    }

    @Test(arguments: [1, 2, 3], 0..<8) func finalResultsDoNotDependOnBatches(window: Int, seed: Int) throws {
        var random = SeededRandom(seed: UInt64(200 + seed))
        let rows = Self.rows(&random, 300)
        let cuts = (0..<6).map { _ in Int.random(in: 0..<rows.count, using: &random) }.sorted()
        let node = Self.node(Self.windows[window], final: true)
        let alone = try run(node, rows, cuts: Array(0..<rows.count), everyUpdate: true)
        #expect(!alone.isEmpty)
        #expect(try run(node, rows, cuts: cuts, everyUpdate: true) == alone)
        #expect(try run(node, rows, cuts: cuts, everyUpdate: false) == alone)
        // No window comes twice, but a session that grew after it was final.
        if window != 3 { #expect(Set(alone.map { $0.split(separator: "@")[0] }).count == alone.count) }
    }

    /// What a store gives as changes makes another one that goes on as the first would.
    @Test(arguments: windows.indices, 0..<6) func stateComesBackFromItsChanges(window: Int, seed: Int) throws {
        var random = SeededRandom(seed: UInt64(300 + seed))
        let rows = Self.rows(&random, 300)
        let node = Self.node(Self.windows[window])
        let setup = OperatorSetup(emitsEveryUpdate: true, isPersistent: true)
        var tree = try OperatorTree(node, setup: setup)
        var out: [String] = []
        var log: [StateChanges] = []
        for from in stride(from: 0, to: rows.count, by: 60) {
            var context = OperatorContext()
            out += Self.text(try tree.push(Self.batch(rows[from..<min(from + 60, rows.count)]), leaf: 0, &context))
            var changes = StateChanges()
            try tree.stores[0].takeChanges(&changes)
            log.append(changes)
            // A crash: everything is made anew.
            tree = try OperatorTree(node, setup: setup)
            for changes in log { try tree.stores[0].restore(RecordBlock(changes)) }
        }
        #expect(out == (try run(node, rows, cuts: [], everyUpdate: true)))
    }

    /// Groups that leave memory at any commit, restarts that bring none of them back, and batches that a crash took back change nothing: neither
    /// the results nor what is kept in the end.
    @Test(arguments: windows.indices.flatMap { [($0, false), ($0, true)] }.filter { $0.0 > 0 || !$0.1 }, 0..<6)
    func groupsMayLeaveMemory(kind: (window: Int, final: Bool), seed: Int) throws {
        let (window, final) = kind
        var random = SeededRandom(seed: UInt64(400 + seed))
        let rows = Self.rows(&random, 500)
        let node = Self.node(Self.windows[window], final: final)
        let setup = OperatorSetup(emitsEveryUpdate: true, isPersistent: true)
        func run(evicting: Bool) throws -> (out: [String], kept: MemoryIndex) {
            var chance = SeededRandom(seed: UInt64(500 + seed))
            var tree = try OperatorTree(node, setup: setup)
            let index = MemoryIndex(listing: tree.stores[0].listing)
            // What the index has not seen; it is brought up to date before a store gives anything up.
            var out: [String] = [], log: [RecordBlock] = [], behind: [RecordBlock] = [], from = 0
            func push(_ part: ArraySlice<(key: String?, value: Int32?, time: Int64)>) throws -> [String] {
                var context = OperatorContext()
                return Self.text(try tree.push(Self.batch(part), leaf: 0, &context))
            }
            func catchUp() {
                for block in behind { index.apply(block) }
                behind = []
            }
            func makeAnew() throws {
                tree = try OperatorTree(node, setup: setup)
                var times = BytesColumn()
                times.append(StreamTime.key)
                if evicting {
                    #expect(tree.stores[0].isEvicting)
                    catchUp()
                    try tree.stores[0].restore(try index.find(times))
                    tree.stores[0].complete(from: index)
                } else {
                    for block in log { try tree.stores[0].restore(block) }
                }
            }
            while from < rows.count {
                let part = rows[from..<min(from + Int.random(in: 1...40, using: &chance), rows.count)]
                if Int.random(in: 0..<6, using: &chance) == 0 {
                    _ = try push(part)
                    try makeAnew()
                }
                out += try push(part)
                from = part.endIndex
                var changes = StateChanges()
                try tree.stores[0].takeChanges(&changes)
                log.append(RecordBlock(changes))
                behind.append(RecordBlock(changes))
                let share = Int.random(in: 0...6, using: &chance), isRestart = Int.random(in: 0..<10, using: &chance) == 0
                if isRestart { try makeAnew() } else if evicting, share <= 4 {
                    catchUp()
                    try tree.stores[0].evict(to: tree.stores[0].memoryBytes * share / 4, index)
                }
            }
            // Much later what is left of all that goes, whether it is in memory or not.
            for step in 1...8 {
                out += try push([(key: "z", value: 1, time: 10_000 + Int64(step) * 1000)])
                var changes = StateChanges()
                try tree.stores[0].takeChanges(&changes)
                behind.append(RecordBlock(changes))
            }
            catchUp()
            return (out, index)
        }
        let whole = try run(evicting: false), partial = try run(evicting: true)
        #expect(partial.out == whole.out)
        #expect(partial.kept.keys == whole.kept.keys)
    }

    @Test func whatIsGivenUpIsOutOfMemory() throws {
        let tree = try OperatorTree(Self.node(nil), setup: OperatorSetup(isPersistent: true))
        let store = tree.stores[0], index = MemoryIndex()
        func push(_ keys: Range<Int>) throws {
            var context = OperatorContext()
            let rows: [(key: String?, value: Int32?, time: Int64)] = keys.map { ("key-\($0)", 1, 0) }
            _ = try tree.push(Self.batch(rows[...]), leaf: 0, &context)
            _ = try tree.flush(&context)
        }
        func commit() throws {
            var changes = StateChanges()
            try store.takeChanges(&changes)
            index.apply(RecordBlock(changes))
        }
        try push(0..<2000)
        try commit()
        let full = store.memoryBytes
        // What has changed since stays.
        try push(0..<100)
        try store.evict(to: 0, index)
        #expect((store as? Aggregation)?.count == 100)
        #expect(store.memoryBytes < full / 10)
        try commit()
        // Those that were used lately go last.
        try push(100..<200)
        try commit()
        try push(100..<200)
        try commit()
        try store.evict(to: store.memoryBytes / 2, index)
        let group = try #require(store as? Aggregation)
        #expect(group.count <= 100 && group.count > 50)
    }

    @Test func changesOfATableAreTakenBack() throws {
        let input = PhysicalPlan.Input(
            topic: .source(name: "T", topic: "t"), kind: .table, keyFields: [Field("K", .string)], keyFormat: FormatSpec(.kafka),
            valueFields: [Field("G", .string), Field("V", .integer)], valueFormat: FormatSpec(.json), columns: [.key(0), .value(0), .value(1)])
        let group = PhysicalOperator.groupChanges(
            keys: [.column(1, .string)], arguments: [.column(2, .integer)], names: ["G", "ADDED", "REMOVED", "V", "OLD_V"])
        let sum = Aggregate(
            step: "A", keyCount: 1, calls: [AggregateCall(name: "SUM", arguments: [3], argumentTypes: [.integer], type: .integer)], undoes: true)
        let node = PhysicalPlan.Node.step(
            .aggregate(sum), of: .step(group, of: .step(.materialize(step: "M", keyCount: 1), of: .input(input))))
        let tree = try OperatorTree(node, setup: OperatorSetup(emitsEveryUpdate: true))
        func push(_ rows: [(String, String?, Int32?, Int64)]) throws -> [String] {
            var batch = Batch(
                count: rows.count,
                columns: [
                    .string(BytesColumn(rows.map(\.0))), .string(BytesColumn(rows.map(\.1))),
                    ColumnBuilder.column(of: .integer, rows.map { $0.2.map { .integer($0) } ?? .null }),
                ], timestamps: rows.map(\.3))
            batch.nullValues = rows.map { $0.1 == nil }
            var context = OperatorContext()
            let out = try tree.push(batch, leaf: 0, &context)
            return (0..<out.count).map { "\(out.columns[0].value($0).castText)=\(out.columns[1].value($0).castText)@\(out.timestamps[$0])" }
        }
        #expect(try push([("1", "p", 10, 1), ("2", "p", 20, 2), ("1", "q", 11, 3)]) == ["p=10@1", "p=30@2", "p=20@3", "q=11@3"])
        #expect(try push([("2", "p", 25, 1), ("1", nil, nil, 9), ("3", nil, nil, 10)]) == ["p=25@3", "q=0@9"])
    }
}
