import MartletColumns
import MartletCore
import MartletSQL
import Testing

@testable import MartletEngine

/// Joins, rows in and rows out: whatever the batches, and whatever crashes in between, the results are those of one row after another, which
/// models written from the rules give as well.
@Suite struct JoinTests {
    struct Row {
        var isLeft: Bool
        var key: String?
        /// Nil: the record has no value.
        var value: Int32?
        var time: Int64
    }

    // MARK: plans and rows

    private static func root(_ query: String) throws -> PhysicalPlan.Node {
        var catalog = Catalog()
        let context = AnalysisContext(
            partitions: { _ in 1 },
            registeredFields: { (_, _, _, _) throws(MartletError) in throw MartletError(.schemaInvalid, "there is no registry") })
        let sql = """
            CREATE STREAM l (k STRING KEY, v INT) WITH (kafka_topic='l', value_format='JSON');
            CREATE STREAM r (k STRING KEY, v INT) WITH (kafka_topic='r', value_format='JSON');
            CREATE TABLE tl (k STRING PRIMARY KEY, v INT) WITH (kafka_topic='tl', value_format='JSON');
            CREATE TABLE tr (k STRING PRIMARY KEY, v INT) WITH (kafka_topic='tr', value_format='JSON');
            CREATE TABLE tn (k INT PRIMARY KEY, v INT) WITH (kafka_topic='tn', value_format='JSON');
            SELECT * FROM \(query) EMIT CHANGES;
            """
        for statement in try Parser.parse(sql) {
            let analyzed = try Analyzer(catalog: catalog, context: context).analyze(statement)
            catalog.apply(analyzed, of: statement)
            if case .transientQuery(let query) = analyzed { return try #require(query.plan.stages.first).root }
        }
        throw MartletError(.badRequest, "no query")
    }

    private static func rows(_ random: inout SeededRandom, _ count: Int, keys: [String] = ["a", "b", "c"]) -> [Row] {
        var time: Int64 = 100
        return (0..<count).map { _ in
            time += Int64.random(in: 0...3, using: &random)
            if Int.random(in: 0..<50, using: &random) == 0 { time += 30 }
            return Row(
                isLeft: Bool.random(using: &random), key: Int.random(in: 0..<25, using: &random) == 0 ? nil : keys.randomElement(using: &random),
                value: Int.random(in: 0..<6, using: &random) == 0 ? nil : Int32.random(in: 0..<5, using: &random),
                time: time - Int64.random(in: 0...15, using: &random))
        }
    }

    /// Rows of one side as the leaf asks for them; offsets are places in the whole input.
    private static func batch(_ rows: [(offset: Int, row: Row)], _ leaf: OperatorTree.Leaf) -> Batch {
        let columns = leaf.input.columns.map { source -> Column in
            switch source {
            case .key:
                leaf.input.keyFields[0].type == .integer
                    ? ColumnBuilder.column(of: .integer, rows.map { $0.row.key.flatMap { Int32($0) }.map { .integer($0) } ?? .null })
                    : .string(BytesColumn(rows.map(\.row.key)))
            case .value: ColumnBuilder.column(of: .integer, rows.map { $0.row.value.map { .integer($0) } ?? .null })
            case .rowTime: .bigint(FixedColumn(rows.map(\.row.time)))
            case .rowOffset: .bigint(FixedColumn(rows.map { Int64($0.offset) }))
            default: .integer(FixedColumn(rows.map { _ in 0 }))
            }
        }
        var batch = Batch(count: rows.count, columns: columns, timestamps: rows.map(\.row.time), offsets: rows.map { Int64($0.offset) })
        let absent = rows.map { $0.row.value == nil }
        if absent.contains(true) { batch.nullValues = absent }
        return batch
    }

    private static func text(_ batch: Batch) -> [String] {
        (0..<batch.count).map { row in
            let isGone = batch.nullValues?[row] == true
            // A deletion's columns may hold anything but for the key.
            let values = batch.columns.map { $0.value(row).isNull ? "-" : $0.value(row).castText }
            return isGone ? "gone@\(batch.timestamps[row])" : "\(values.joined(separator: " "))@\(batch.timestamps[row])"
        }
    }

    /// Batches: runs of rows of one side, cut at `cuts` too.
    private static func batches(_ rows: [Row], cuts: Set<Int>) -> [[(offset: Int, row: Row)]] {
        var out: [[(offset: Int, row: Row)]] = []
        for (offset, row) in rows.enumerated() {
            if let last = out.last?.last, last.row.isLeft == row.isLeft, !cuts.contains(offset) {
                out[out.count - 1].append((offset, row))
            } else {
                out.append([(offset, row)])
            }
        }
        return out
    }

    /// - `crashes`: after these batches (of `cuts`) everything is made anew from what was handed over.
    private func run(_ root: PhysicalPlan.Node, _ rows: [Row], cuts: Set<Int>, crashEvery: Int? = nil) throws -> [String] {
        let setup = OperatorSetup(emitsEveryUpdate: true, isPersistent: crashEvery != nil)
        var tree = try OperatorTree(root, setup: setup)
        var out: [String] = [], logs: [[StateChanges]] = tree.stores.map { _ in [] }
        var seen: [(leaf: Int, batch: Batch)] = []
        for (number, part) in Self.batches(rows, cuts: cuts).enumerated() {
            let leaf = part[0].row.isLeft ? 0 : 1
            let isTable = tree.leaves[leaf].input.kind == .table
            let used = isTable ? part.filter { $0.row.key != nil } : part
            if used.isEmpty { continue }
            let batch = Self.batch(used, tree.leaves[leaf])
            var context = OperatorContext()
            out += Self.text(try tree.push(batch, leaf: leaf, &context))
            guard let crashEvery else { continue }
            seen.append((leaf, batch))
            for (i, store) in tree.stores.enumerated() {
                var changes = StateChanges()
                try store.takeChanges(&changes)
                logs[i].append(changes)
            }
            if number % crashEvery != crashEvery - 1 { continue }
            tree = try OperatorTree(root, setup: setup)
            for (i, store) in tree.stores.enumerated() { for changes in logs[i] { try store.restore(RecordBlock(changes)) } }
            for (leaf, batch) in seen where tree.leaves[leaf].isSourceTable { try tree.restore(batch, leaf: leaf) }
        }
        return out
    }

    /// What may leave memory does, more or less of it after some batches, and at times everything starts anew with nothing in memory, also in the
    /// middle of a commit. Between evictions the index is behind, as it is in a program.
    private func runEvicting(_ root: PhysicalPlan.Node, _ rows: [Row], cuts: Set<Int>, _ random: inout SeededRandom) throws -> [String] {
        let setup = OperatorSetup(emitsEveryUpdate: true, isPersistent: true, copiesTables: true)
        var tree = try OperatorTree(root, setup: setup)
        func stores() -> [any StateStore] { tree.stores + tree.leaves.indices.flatMap { tree.topicStores(leaf: $0) } }
        let indexes = stores().map { MemoryIndex(listing: $0.listing) }
        var waiting: [[RecordBlock]] = stores().map { _ in [] }
        func catchUp(_ i: Int) {
            for block in waiting[i] { indexes[i].apply(block) }
            waiting[i] = []
        }
        func makeAnew() throws {
            tree = try OperatorTree(root, setup: setup)
            var times = BytesColumn()
            times.append(StreamTime.key)
            for (i, store) in stores().enumerated() {
                catchUp(i)
                #expect(store.isEvicting)
                try store.restore(try indexes[i].find(times))
                store.complete(from: indexes[i])
            }
        }
        var out: [String] = []
        for part in Self.batches(rows, cuts: cuts) {
            let leaf = part[0].row.isLeft ? 0 : 1
            let isTable = tree.leaves[leaf].input.kind == .table
            let used = isTable ? part.filter { $0.row.key != nil } : part
            if used.isEmpty { continue }
            if Int.random(in: 0..<8, using: &random) == 0 {
                var context = OperatorContext()
                _ = try tree.push(Self.batch(used, tree.leaves[leaf]), leaf: leaf, &context)
                try makeAnew()
            }
            var context = OperatorContext()
            out += Self.text(try tree.push(Self.batch(used, tree.leaves[leaf]), leaf: leaf, &context))
            for (i, store) in stores().enumerated() {
                var changes = StateChanges()
                try store.takeChanges(&changes)
                waiting[i].append(RecordBlock(changes))
                if Bool.random(using: &random) { continue }
                catchUp(i)
                try store.evict(to: store.memoryBytes * Int.random(in: 0...4, using: &random) / 4, indexes[i])
            }
            if Int.random(in: 0..<8, using: &random) == 0 { try makeAnew() }
        }
        return out
    }

    /// Batches, crashes and little memory change nothing.
    private func check(_ query: String, _ rows: [Row], _ random: inout SeededRandom, equals expected: [String]? = nil) throws {
        let root = try Self.root(query)
        let alone = try run(root, rows, cuts: Set(rows.indices))
        #expect(alone.count > 10)
        if let expected { #expect(alone == expected) }
        #expect(try run(root, rows, cuts: Set((0..<9).map { _ in Int.random(in: 0..<rows.count, using: &random) })) == alone)
        #expect(try run(root, rows, cuts: [], crashEvery: 3) == alone)
        for cuts in [9, rows.count / 4, rows.count] {
            let places = Set((0..<cuts).map { _ in Int.random(in: 0..<rows.count, using: &random) })
            #expect(try runEvicting(root, rows, cuts: places, &random) == alone)
        }
    }

    // MARK: streams

    static let kinds = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]

    @Test(arguments: kinds, [nil, 0, 7] as [Int64?])
    func streamsMeetAsTheRulesSay(_ kind: String, _ grace: Int64?) throws {
        for seed in 0..<4 {
            var random = SeededRandom(seed: UInt64(seed))
            let rows = Self.rows(&random, 300)
            let within = "WITHIN (4 MILLISECONDS, 6 MILLISECONDS)" + (grace.map { " GRACE PERIOD \($0) MILLISECONDS" } ?? "")
            var model = StreamStreamModel(kind: kind, before: 4, after: 6, grace: grace)
            try check("l \(kind) r \(within) ON l.k = r.k", rows, &random, equals: rows.flatMap { model.process($0) })
        }
    }

    @Test(arguments: kinds)
    func furtherConditionsHoldOfEachPair(_ kind: String) throws {
        var random = SeededRandom(seed: 50)
        let rows = Self.rows(&random, 300)
        var model = StreamStreamModel(kind: kind, before: 5, after: 5, grace: 3) { $0 < $1 }
        try check(
            "l \(kind) r WITHIN 5 MILLISECONDS GRACE PERIOD 3 MILLISECONDS ON l.k = r.k AND l.v < r.v", rows, &random,
            equals: rows.flatMap { model.process($0) })
    }

    /// Written from the rules (KStream-KStream join), one row at a time, everything kept in lists.
    struct StreamStreamModel {
        var kind: String
        var before: Int64
        var after: Int64
        var grace: Int64?
        var condition: (Int32, Int32) -> Bool

        private var held: [(isLeft: Bool, key: String, value: Int32, time: Int64, waits: Bool)] = []
        private var newest: [Bool: Int64] = [:]
        private var time = Int64.min

        init(kind: String, before: Int64, after: Int64, grace: Int64?, condition: @escaping (Int32, Int32) -> Bool = { _, _ in true }) {
            self.kind = kind
            (self.before, self.after) = kind == "RIGHT JOIN" ? (after, before) : (before, after)
            self.grace = grace
            self.condition = condition
        }

        private func isOuter(_ isLeft: Bool) -> Bool { kind == "FULL JOIN" || kind == (isLeft ? "LEFT JOIN" : "RIGHT JOIN") }
        private func reach(_ isLeft: Bool) -> (Int64, Int64) { isLeft ? (before, after) : (after, before) }

        private func text(_ isLeft: Bool, _ key: String?, _ own: Int32, _ other: Int32?, _ time: Int64) -> String {
            let mine = "\(key ?? "-") \(own)", theirs = other.map { "\(key ?? "-") \($0)" } ?? "- -"
            let columns = isLeft ? "\(mine) \(theirs)" : "\(theirs) \(mine)"
            // Of a full join the key is a column of its own; else a column of either side stands for it.
            if kind == "FULL JOIN" { return "\(key ?? "-") \(columns)@\(time)" }
            let parts = columns.split(separator: " ")
            return "\(key ?? "-") \(parts[1]) \(parts[2]) \(parts[3])@\(time)"
        }

        mutating func process(_ row: Row) -> [String] {
            var out: [String] = []
            time = max(time, row.time)
            guard let value = row.value else { return [] }
            guard let key = row.key else { return isOuter(row.isLeft) ? [text(row.isLeft, nil, value, nil, row.time)] : [] }
            if row.time == time, let grace {
                for i in held.indices.sorted(by: { (held[$0].time, held[$0].isLeft ? 1 : 0, $0) < (held[$1].time, held[$1].isLeft ? 1 : 0, $1) })
                where held[i].waits && held[i].time + reach(held[i].isLeft).1 + grace < time {
                    held[i].waits = false
                    out.append(text(held[i].isLeft, held[i].key, held[i].value, nil, held[i].time))
                }
            }
            newest[row.isLeft] = max(newest[row.isLeft] ?? .min, row.time)
            let (back, on) = reach(row.isLeft)
            let oldest = newest[!row.isLeft].map { $0 - (before + after + (grace ?? 86_400_000)) + 1 } ?? .min
            let matches = held.indices.filter { i in
                let one = held[i]
                return one.isLeft != row.isLeft && one.key == key && one.time >= max(oldest, row.time - back) && one.time <= row.time + on
                    && (row.isLeft ? condition(value, one.value) : condition(one.value, value))
            }.sorted { (held[$0].time, $0) < (held[$1].time, $1) }
            for i in matches {
                held[i].waits = false
                out.append(text(row.isLeft, key, value, held[i].value, max(row.time, held[i].time)))
            }
            var waits = false
            if matches.isEmpty, isOuter(row.isLeft) {
                if grace == nil || row.time + on < time { out.append(text(row.isLeft, key, value, nil, row.time)) } else { waits = true }
            }
            held.append((row.isLeft, key, value, row.time, waits))
            return out
        }
    }

    /// Rows that can be met no more are thrown away, and nothing is lost by it.
    @Test func oldRowsAreThrownAway() throws {
        let root = try Self.root("l JOIN r WITHIN 1 MILLISECOND GRACE PERIOD 0 MILLISECONDS ON l.k = r.k")
        let tree = try OperatorTree(root, setup: OperatorSetup(isPersistent: true))
        var found = 0, from = 0
        for _ in 0..<12 {
            for side in 0...1 {
                let rows = (0..<10_000).map { (offset: $0, row: Row(isLeft: side == 0, key: "k\($0 % 100)", value: 1, time: Int64((from + $0) * 2))) }
                var context = OperatorContext()
                found += try tree.push(Self.batch(rows, tree.leaves[side]), leaf: side, &context).count
            }
            from += 10_000
            var changes = StateChanges()
            for store in tree.stores { try store.takeChanges(&changes) }
        }
        // By then the left side has seen the end of the round: of the right rows only the last meets one that is still there.
        #expect(found == 12)
        let held = tree.stores.compactMap { ($0 as? JoinWindow)?.count }
        #expect(held.count == 2 && held.allSatisfy { $0 < 100_000 }, "\(held)")
    }

    /// Keys of a join leave memory with their rows; those that the other side asks for come back.
    @Test func rowsOfAStreamMayLeaveMemory() throws {
        let root = try Self.root("l LEFT JOIN r WITHIN 1 HOUR GRACE PERIOD 1 MINUTE ON l.k = r.k")
        let tree = try OperatorTree(root, setup: OperatorSetup(isPersistent: true))
        let left = try #require(tree.stores[0] as? JoinWindow), index = MemoryIndex(listing: left.listing)
        func push(_ side: Int, _ keys: Range<Int>, time: Int64) throws -> [String] {
            var context = OperatorContext()
            let rows = keys.map { (offset: $0, row: Row(isLeft: side == 0, key: "k\($0)", value: 1, time: time)) }
            let out = Self.text(try tree.push(Self.batch(rows, tree.leaves[side]), leaf: side, &context))
            var changes = StateChanges()
            try left.takeChanges(&changes)
            index.apply(RecordBlock(changes))
            return out
        }
        #expect(try push(0, 0..<2000, time: 1000) == [])
        let full = left.memoryBytes
        try left.evict(to: full / 10, index)
        #expect(left.count < 300)
        try left.evict(to: 0, index)
        #expect(left.count == 1)
        #expect(try push(1, 10..<12, time: 2000) == ["k10 1 k10 1@2000", "k11 1 k11 1@2000"])
        #expect(left.count == 3)
        // The outer results of the others come when their time is over, from the index.
        try left.evict(to: 0, index)
        let late = try push(1, 5000..<5001, time: 1000 + 3_600_000 + 60_000 + 1)
        #expect(late.count == 1998 && Set(late).count == 1998 && late.allSatisfy { $0.hasSuffix(" 1 - -@1000") })
        #expect(try push(1, 5000..<5001, time: 1000 + 3_600_000 + 60_000 + 2) == [])
    }

    /// What an index may forget is what nobody finds any more.
    @Test func rowsOfAnIndexAreOverWhenTheyAreOld() throws {
        let window = JoinWindow(name: "w", types: [.string], keys: [0], retentionMs: 100, isWindowed: false, mayWait: true, isPersistent: true)
        let (first, slots) = window.append(Batch(count: 3, columns: [.string(BytesColumn(["a", "b", "c"]))], timestamps: [0, 0, 100]))
        for row in 0..<3 { window.add(UInt32(first + row), slot: slots[row]) }
        window.setWaits(UInt32(first), true)
        var changes = StateChanges()
        try window.takeChanges(&changes)
        let block = RecordBlock(changes), expiry = try #require(window.expiry), times = try #require(block.value(0))
        #expect(block.key(0) == StreamTime.key[...])
        // The first waits, the second is over, the third is not old enough.
        #expect((1..<4).map { expiry.isOver(block.key($0) ?? [], block.value($0) ?? [], times) } == [false, true, false])
    }

    // MARK: tables

    @Test(arguments: kinds, [false, true])
    func tablesMeetAsTheRulesSay(_ kind: String, _ isConditional: Bool) throws {
        if kind == "FULL JOIN", isConditional { return }
        for seed in 0..<4 {
            var random = SeededRandom(seed: UInt64(100 + seed))
            let rows = Self.rows(&random, 300, keys: ["a", "b", "c", "d", "e"])
            var left: [String: (Int32, Int64)] = [:], right: [String: (Int32, Int64)] = [:]
            var expected: [String] = []
            func result(_ l: Int32?, _ r: Int32?) -> (Int32?, Int32?)? {
                if let l, let r, !isConditional || l < r { return (l, r) }
                if let l, kind == "LEFT JOIN" || kind == "FULL JOIN" { return (l, nil) }
                if let r, kind == "RIGHT JOIN" || kind == "FULL JOIN" { return (nil, r) }
                return nil
            }
            for row in rows {
                guard let key = row.key else { continue }
                let then = result(left[key]?.0, right[key]?.0)
                if row.isLeft { left[key] = row.value.map { ($0, row.time) } } else { right[key] = row.value.map { ($0, row.time) } }
                let now = result(left[key]?.0, right[key]?.0)
                let time = max(row.time, (row.isLeft ? right : left)[key]?.1 ?? .min)
                guard let now else {
                    if then != nil { expected.append("gone@\(time)") }
                    continue
                }
                let l = now.0.map { "\($0)" } ?? "-", r = now.1.map { "\($0)" } ?? "-"
                let columns =
                    kind == "FULL JOIN"
                    ? "\(key) \(now.0 == nil ? "-" : key) \(l) \(now.1 == nil ? "-" : key) \(r)" : "\(key) \(l) \(now.1 == nil ? "-" : key) \(r)"
                expected.append("\(columns)@\(time)")
            }
            try check("tl \(kind) tr ON tl.k = tr.k" + (isConditional ? " AND tl.v < tr.v" : ""), rows, &random, equals: expected)
        }
    }

    /// After any changes the result is the join of the tables as they are.
    @Test(arguments: ["JOIN", "LEFT JOIN"], [false, true])
    func foreignKeysEndAsAJoinOfWhatIsThere(_ kind: String, _ isConditional: Bool) throws {
        for seed in 0..<4 {
            var random = SeededRandom(seed: UInt64(200 + seed))
            // Left rows refer to 0...4 by their value; right keys are numbers.
            let rows = Self.rows(&random, 300).map { row in
                var row = row
                if !row.isLeft { row.key = row.key.map { _ in "\(Int.random(in: 0..<4, using: &random))" } }
                return row
            }
            let query = "tl \(kind) tn ON tl.v = tn.k" + (isConditional ? " AND tn.v > 2" : "")
            try check(query, rows, &random)
            var table: [String: String] = [:]
            let tree = try OperatorTree(try Self.root(query), setup: OperatorSetup())
            var left: [String: Int32] = [:], right: [Int32: Int32] = [:]
            for (offset, row) in rows.enumerated() {
                guard let key = row.key else { continue }
                if row.isLeft { left[key] = row.value } else { right[Int32(key) ?? -1] = row.value }
                var context = OperatorContext()
                let leaf = row.isLeft ? 0 : 1
                let out = try tree.push(Self.batch([(offset, row)], tree.leaves[leaf]), leaf: leaf, &context)
                for i in 0..<out.count {
                    let key = out.columns[0].value(i).castText
                    table[key] = out.nullValues?[i] == true ? nil : out.columns.map { $0.value(i).isNull ? "-" : $0.value(i).castText }.joined(separator: " ")
                }
                var expected: [String: String] = [:]
                for (key, reference) in left {
                    if let found = right[reference], !isConditional || found > 2 {
                        expected[key] = "\(key) \(reference) \(reference) \(found)"
                    } else if kind == "LEFT JOIN" {
                        expected[key] = "\(key) \(reference) - -"
                    }
                }
                #expect(table == expected)
            }
        }
    }

    /// Answers to different changes of a row may come in any order: the one to the newest change counts.
    @Test func overtakenAnswersAreDropped() throws {
        let resolve = Resolve(step: "R", keyCount: 1, types: [.string, .string, .bigint, .integer], isPersistent: false)
        func push(_ answers: [(key: String, value: String?, version: Int64, found: SubscriptionAnswer)]) throws -> [String] {
            let batch = Batch(
                count: answers.count,
                columns: [
                    .string(BytesColumn(answers.map(\.key))), .string(BytesColumn(answers.map(\.value))), .bigint(FixedColumn(answers.map(\.version))),
                    .integer(FixedColumn(answers.map(\.found.rawValue))),
                ], timestamps: answers.map { _ in 0 })
            var context = OperatorContext()
            let out = try resolve.process(batch, side: .left, &context)
            return (0..<out.count).map { row in
                let was = out.previous!.isNull[row] ? "-" : out.previous!.columns[1].value(row).castText
                return "\(out.columns[0].value(row).castText) \(was)>\(out.nullValues?[row] == true ? "gone" : out.columns[1].value(row).castText)"
            }
        }
        #expect(try push([("a", "x", 2, .row), ("a", "old", 1, .row), ("b", nil, 1, .none), ("a", "y", 2, .row)]) == ["a ->x", "a x>y"])
        #expect(try push([("a", nil, 3, .deletion), ("a", "z", 2, .row)]) == ["a y>gone"])
        #expect(try push([("a", nil, 4, .none), ("b", nil, 2, .deletion), ("a", "w", 5, .row), ("a", nil, 5, .none)]) == ["b ->gone", "a ->w", "a w>gone"])
    }
}
