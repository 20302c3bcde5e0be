import MartletCore
import Testing

@testable import MartletColumns

/// Each aggregate function: what comes out after each step, and the laws that all of them obey.
@Suite struct AggregateTests {
    enum Step {
        case add(Int, [SQLValue])
        case remove(Int, [SQLValue])
        case merge(Int, Int)
        case clear(Int)
    }

    static func call(_ name: String, _ types: [SQLType], _ constants: [SQLValue] = []) throws -> AggregateCall {
        let arguments = types.map { ArgumentType.type($0) } + constants.map { ArgumentType.literal($0.type ?? .string) }
        let resolved = try FunctionRegistry.builtin.resolve(name, arguments: arguments)
        return AggregateCall(
            name: name, arguments: Array(types.indices), argumentTypes: types, constants: constants, type: try #require(resolved.returnType))
    }

    /// The steps as one batch.
    static func batch(_ steps: some Sequence<Step>, _ types: [SQLType]) -> (AggregateSteps, [Column], [Column]) {
        var added = types.map { Column.empty($0) }, removed = added
        var out = AggregateSteps(kinds: [], slots: [], rows: [])
        for step in steps {
            func put(_ kind: AggregateSteps.Kind, _ slot: Int, _ row: Int) {
                out.kinds?.append(kind)
                out.slots.append(UInt32(slot))
                out.rows.append(UInt32(row))
            }
            switch step {
            case .add(let slot, let values):
                put(.add, slot, out.slots.count)
                for i in types.indices {
                    added[i].append(values[i])
                    removed[i].append(.null)
                }
            case .remove(let slot, let values):
                put(.remove, slot, out.slots.count)
                for i in types.indices {
                    added[i].append(.null)
                    removed[i].append(values[i])
                }
            case .merge(let slot, let other):
                put(.merge, slot, other)
                for i in types.indices {
                    added[i].append(.null)
                    removed[i].append(.null)
                }
            case .clear(let slot):
                put(.clear, slot, 0)
                for i in types.indices {
                    added[i].append(.null)
                    removed[i].append(.null)
                }
            }
        }
        return (out, added, removed)
    }

    func results(_ name: String, _ types: [SQLType], properties: [String: String] = [:], _ steps: [Step]) throws -> [SQLValue] {
        try results(name, types, [], properties: properties, steps)
    }

    func results(
        _ name: String, _ types: [SQLType], _ constants: [SQLValue], properties: [String: String] = [:], _ steps: [Step]
    ) throws -> [SQLValue] {
        let state = try AggregateStates.make(Self.call(name, types, constants), properties: properties)
        state.grow(to: 4)
        let (batch, added, removed) = Self.batch(steps, types)
        let column = try state.applyEmitting(batch, arguments: added, removed: removed)
        return (0..<column.count).map { column.value($0) }
    }

    func adding(_ values: [SQLValue]) -> [Step] { values.map { .add(0, [$0]) } }
    func doubles(_ values: [Double]) -> [SQLValue] { values.map { .double($0) } }
    func integers(_ values: [Int32]) -> [SQLValue] { values.map { .integer($0) } }
    func list(_ values: [Int32]) -> SQLValue { .array(integers(values)) }

    // MARK: sums

    @Test func counts() throws {
        #expect(try results("COUNT", [.string], adding([.string("a"), .null, .string("b")])) == [.bigint(1), .bigint(1), .bigint(2)])
        let state = try AggregateStates.make(Self.call("COUNT", []))
        state.grow(to: 1)
        try state.apply(AggregateSteps(slots: [0, 0, 0], rows: [0, 1, 2]), arguments: [], removed: nil)
        try state.apply(AggregateSteps(kinds: [.remove], slots: [0], rows: [0]), arguments: [], removed: nil)
        #expect(state.results([0]).value(0) == .bigint(2))
    }

    @Test func integerSumsWrap() throws {
        #expect(try results("SUM", [.integer], adding([.null, .integer(.max), .integer(1)])) == integers([0, .max, .min]))
        // AVG of INT adds up in 32 bits too.
        #expect(try results("AVG", [.integer], adding([.null, .integer(.max), .integer(1)])) == doubles([0, 2_147_483_647, -1_073_741_824]))
        #expect(try results("SUM", [.bigint], [.add(0, [.bigint(5)]), .remove(0, [.bigint(7)])]) == [.bigint(5), .bigint(-2)])
        #expect(try results("AVG", [.double], adding([.double(1), .double(2), .null])) == doubles([1, 1.5, 1.5]))
    }

    @Test func decimalSumsKeepTheirTypeAndDoNotOverflow() throws {
        let type = SQLType.decimal(precision: 4, scale: 1)
        func value(_ unscaled: Int128) -> SQLValue { .decimal(Decimal128(unscaled: unscaled, scale: 1)) }
        #expect(try results("SUM", [type], adding([.null, value(54), value(1001)])) == [value(0), value(54), value(1055)])
        #expect {
            _ = try results("SUM", [type], adding([value(8017), value(4008)]))
        } throws: {
            ($0 as? MartletError)?.message
                == "Numeric field overflow: A field with precision 4 and scale 1 must round to an absolute value less than 10^3. Got 1202.5"
        }
    }

    @Test func listsAreSummed() throws {
        let type = SQLType.array(.integer)
        let steps: [Step] = [.add(0, [list([1, 2])]), .add(0, [.array([.integer(4), .null])]), .add(0, [.null]), .remove(0, [list([1, 2])])]
        #expect(try results("SUM_LIST", [type], steps) == integers([3, 7, 7, 4]))
    }

    // MARK: order

    @Test func extremes() throws {
        #expect(try results("MIN", [.integer], adding([.null, .integer(3), .integer(5), .integer(-1)])) == [.null] + integers([3, 3, -1]))
        #expect(try results("MAX", [.double], adding(doubles([0, -0.0, 1, .nan, 2])))[3].isNaN)
        #expect(try results("MIN", [.double], adding(doubles([0, -0.0]))).last.map { "\($0)" } == "double(-0.0)")
        // U+FFFD is behind the surrogates of U+10000 in UTF-16 order.
        let texts = ["b", "\u{fffd}", "\u{10000}", "a"].map { SQLValue.string($0) }
        #expect(try results("MAX", [.string], adding(texts)) == [texts[0], texts[1], texts[1], texts[1]])
        #expect(try results("MIN", [.string], adding(texts)).last == texts[3])
        #expect(try results("MAX", [.date], adding([.date(4), .null])) == [.date(4), .date(4)])
        let type = SQLType.decimal(precision: 9, scale: 2)
        let decimals = [3, -5].map { SQLValue.decimal(Decimal128(unscaled: $0, scale: 2)) }
        #expect(try results("MIN", [type], adding(decimals)) == decimals)
    }

    @Test func topValues() throws {
        let three: [SQLValue] = [.integer(3)]
        #expect(
            try results("TOPK", [.integer], three, adding(integers([0, 100, 99, 7]) + [.null] + integers([100])))
                == [list([0]), list([100, 0]), list([100, 99, 0]), list([100, 99, 7]), list([100, 99, 7]), list([100, 100, 99])])
        #expect(
            try results("TOPKDISTINCT", [.string], [.integer(2)], adding(["a", "b", "b", "c"].map { .string($0) })).last
                == .array([.string("c"), .string("b")]))
        // With further columns structs come out; a value equal to the last one does not displace it.
        func entry(_ n: Int32, _ name: String?) -> SQLValue {
            .structure([.init("sort_col", .integer(n)), .init("col0", name.map { .string($0) } ?? .null)])
        }
        let rows: [Step] = [
            .add(0, [.integer(0), .string("zero")]), .add(0, [.integer(100), .string("one")]), .add(0, [.null, .string("three")]),
            .add(0, [.integer(100), .null]), .add(0, [.integer(100), .string("late")]),
        ]
        #expect(
            try results("TOPK", [.integer, .string], [.integer(2)], rows).suffix(3)
                == [
                    .array([entry(100, "one"), entry(0, "zero")]), .array([entry(100, "one"), entry(100, nil)]),
                    .array([entry(100, "one"), entry(100, nil)]),
                ])
        #expect(throws: MartletError.self) { try AggregateStates.make(Self.call("TOPK", [.integer], [.integer(0)])) }
    }

    @Test func offsets() throws {
        let values: [SQLValue] = [.integer(12), .null, .integer(13), .integer(14)]
        let yes = SQLValue.boolean(true), no = SQLValue.boolean(false), two = SQLValue.integer(2)
        #expect(try results("LATEST_BY_OFFSET", [.integer], adding(values)) == integers([12, 12, 13, 14]))
        #expect(try results("LATEST_BY_OFFSET", [.integer], [no], adding(values)) == values)
        #expect(try results("EARLIEST_BY_OFFSET", [.integer], [yes], adding([.null] + values)) == [.null] + integers([12, 12, 12, 12]))
        #expect(try results("EARLIEST_BY_OFFSET", [.integer], [no], adding([.null] + values)).allSatisfy(\.isNull))
        #expect(try results("LATEST_BY_OFFSET", [.integer], [two], adding(values)) == [list([12]), list([12]), list([12, 13]), list([13, 14])])
        #expect(try results("LATEST_BY_OFFSET", [.integer], [two, no], adding(values))[1...2] == [.array([.integer(12), .null]), .array([.null, .integer(13)])])
        #expect(try results("EARLIEST_BY_OFFSET", [.integer], [two, yes], adding([.null] + values)).first == .array([]))
        #expect(try results("EARLIEST_BY_OFFSET", [.integer], [two], adding(values)).last == list([12, 13]))
        // Merged sessions go by arrival, whichever is merged into which.
        let steps: [Step] = [.add(0, [.integer(1)]), .add(1, [.integer(2)]), .add(0, [.integer(3)]), .merge(1, 0)]
        #expect(try results("LATEST_BY_OFFSET", [.integer], steps).last == .integer(3))
        #expect(try results("EARLIEST_BY_OFFSET", [.integer], steps).last == .integer(1))
        #expect(try results("LATEST_BY_OFFSET", [.integer], [.integer(2)], steps).last == list([2, 3]))
        #expect(throws: MartletError.self) { try AggregateStates.make(Self.call("LATEST_BY_OFFSET", [.integer], [.integer(0)])) }
    }

    // MARK: collections

    @Test func collectedLists() throws {
        let steps: [Step] = [
            .add(0, [.integer(1)]), .add(0, [.null]), .add(0, [.integer(1)]), .add(0, [.integer(2)]), .remove(0, [.integer(1)]),
            .remove(0, [.null]), .remove(0, [.integer(9)]),
        ]
        // The last equal value goes.
        #expect(
            try results("COLLECT_LIST", [.integer], steps).suffix(3)
                == [.array([.integer(1), .null, .integer(2)]), list([1, 2]), list([1, 2])])
        let limited = try results("COLLECT_LIST", [.integer], properties: ["ksql.functions.collect_list.limit": "1"], adding(integers([0, 100])))
        #expect(limited == [list([0]), list([0])])
        #expect(throws: MartletError.self) {
            try AggregateStates.make(Self.call("COLLECT_LIST", [.integer]), properties: ["ksql.functions.collect_list.limit": "few"])
        }
    }

    @Test func collectedSets() throws {
        #expect(
            try results("COLLECT_SET", [.string], adding([.string("b"), .string("a"), .null, .string("b"), .null])).last
                == .array([.string("b"), .string("a"), .null]))
        let limited = try results("COLLECT_SET", [.integer], properties: ["ksql.functions.collect_set.limit": "1"], adding(integers([0, 100, 0])))
        #expect(limited.last == list([0]))
        func map(_ entries: [(String, Int32)]) -> SQLValue { .map(entries.map { .init(.string($0.0), .integer($0.1)) }) }
        let type = SQLType.map(key: .string, value: .integer)
        #expect(
            try results("COLLECT_SET", [type], adding([map([("a", 1), ("b", 2)]), map([("b", 2), ("a", 1)])])).last
                == .array([map([("a", 1), ("b", 2)])]))
    }

    @Test func histograms() throws {
        func map(_ entries: [(String, Int64)]) -> SQLValue { .map(entries.map { .init(.string($0.0), .bigint($0.1)) }) }
        let steps: [Step] = [
            .add(0, [.string("foo")]), .add(0, [.string("bar")]), .add(0, [.null]), .add(0, [.string("foo")]), .remove(0, [.string("bar")]),
            .remove(0, [.string("foo")]),
        ]
        #expect(
            try results("HISTOGRAM", [.string], steps)
                == [
                    map([("foo", 1)]), map([("foo", 1), ("bar", 1)]), map([("foo", 1), ("bar", 1)]), map([("foo", 2), ("bar", 1)]),
                    map([("foo", 2)]), map([("foo", 1)]),
                ])
        let many = try results("HISTOGRAM", [.string], adding((0..<1100).map { .string("\($0 % 1050)") })).last
        guard case .map(let entries)? = many else { throw MartletError(.internalError, "a map") }
        #expect(entries.count == 1000)
        #expect(entries[0] == .init(.string("0"), .bigint(2)))
    }

    @Test func attributes() throws {
        let one = SQLValue.string("1"), two = SQLValue.string("2")
        #expect(try results("ATTR", [.string], adding([one, one, .null])) == [one, one, .null])
        #expect(try results("ATTR", [.string], adding([.null, two, two])) == [.null, .null, .null])
        #expect(try results("ATTR", [.string], [.add(0, [one]), .add(0, [two]), .remove(0, [one]), .remove(0, [two])]) == [one, .null, two, .null])
    }

    @Test func distinctCounts() throws {
        #expect(try results("COUNT_DISTINCT", [.string], adding([.string("a"), .null, .string("b"), .string("a")])) == [1, 1, 2, 2].map { .bigint($0) })
        // Exact at first, within a few per cent after.
        let counts = try results("COUNT_DISTINCT", [.integer], adding((0..<60_000).map { .integer(Int32($0) / 2) }))
        for i in counts.indices {
            guard case .bigint(let count) = counts[i] else { throw MartletError(.internalError, "a BIGINT") }
            let exact = Double(i / 2 + 1)
            if exact <= 128 { #expect(Double(count) == exact) } else { #expect(abs(Double(count) - exact) < exact * 0.06, "\(i)") }
        }
    }

    // MARK: moments

    @Test func deviations() throws {
        #expect(try results("STDDEV_SAMP", [.double], adding(doubles([-1.8, 2.3, 100.2]) + [.null])) == doubles([0, 8.405, 3334.2033333333347, 3334.2033333333347]))
        #expect(try results("STDDEV_SAMPLE", [.integer], adding(integers([0, 10, 7, 6]))) == doubles([0, 7.0710678118654755, 5.131601439446884, 4.193248541803041]))
        #expect(try results("STDDEV_SAMP", [.bigint], [.add(0, [.bigint(50)]), .add(0, [.bigint(10)]), .remove(0, [.bigint(50)])]) == doubles([0, 800, 0]))
        let merged: [Step] = [.add(0, [.double(1)]), .add(0, [.double(3)]), .add(1, [.double(5)]), .add(1, [.double(7)]), .merge(0, 1)]
        guard case .double(let variance)? = try results("STDDEV_SAMP", [.double], merged).last else { throw MartletError(.internalError, "a DOUBLE") }
        #expect(abs(variance - 20.0 / 3) < 1e-12)
    }

    @Test func correlations() throws {
        func add(_ x: Double?, _ y: Double?) -> Step { .add(0, [x.map { .double($0) } ?? .null, y.map { .double($0) } ?? .null]) }
        let out = try results("CORRELATION", [.double, .double], [add(1.5, 8), add(-1, -2), add(-4.5, -1), add(nil, -6), add(3, nil)])
        #expect(out[0].isNaN)
        #expect(Array(out[1...]) == doubles([1, 0.7580764521133173, 0.7580764521133173, 0.7580764521133173]))
        let undone = try results(
            "CORRELATION", [.integer, .integer],
            [.add(0, [.integer(1), .integer(8)]), .add(0, [.integer(-1), .integer(-2)]), .remove(0, [.integer(1), .integer(8)])])
        #expect(undone[2].isNaN)
    }

    // MARK: functions given row by row

    @Test func rowFunctionsAreOverloads() throws {
        let longest = AggregateRowFunction(
            "LONGEST", "(VARCHAR value, [INT least]) -> BIGINT", initial: { constants in if case .integer(let n)? = constants.first { .bigint(Int64(n)) } else { .null } },
            add: { state, row in
                guard case .bigint(let n) = state, case .string(let text) = row[0] else { return state }
                return .bigint(max(n, Int64(text.count)))
            },
            merge: { a, b in
                guard case .bigint(let x) = a, case .bigint(let y) = b else { return a }
                return .bigint(max(x, y))
            })
        let table = TableRowFunction("TWICE", "(INT value) -> ARRAY<INT>") { values throws(MartletError) in [values[0], values[0]] }
        let registry = FunctionRegistry.builtin.adding(aggregates: [longest]).adding(tables: [table])
        #expect(registry.isAggregate("longest"))
        #expect(registry.function(named: "LONGEST")?.supportsUndo == false)
        let state = try registry.aggregate(
            AggregateCall(name: "LONGEST", arguments: [0], argumentTypes: [.string], constants: [.integer(2)], type: .bigint))
        state.grow(to: 2)
        let emitted = try state.applyEmitting(
            AggregateSteps(kinds: [.add, .add, .merge], slots: [0, 1, 0], rows: [0, 1, 1]), arguments: [.string(BytesColumn(["a", "abc"]))], removed: nil)
        #expect(emitted == .bigint(FixedColumn([2, 3, 3])))
        #expect(state.results([0, 1]) == .bigint(FixedColumn([3, 2])))
        // A built-in one is found the same way.
        #expect(try registry.aggregate(Self.call("COUNT", [])).storedType == .bigint)
        #expect(try registry.tableRowFunction("TWICE", argumentTypes: [.integer])?.evaluate([.integer(4)]) == [.integer(4), .integer(4)])
        #expect(try registry.tableRowFunction("EXPLODE", argumentTypes: [.array(.integer)])?.name == nil)
        #expect(throws: MartletError.self) { try AggregateStates.make(AggregateCall(name: "NONE", arguments: [], argumentTypes: [], type: .bigint)) }
    }

    // MARK: laws

    /// Calls of every function, with values to draw from.
    static let calls: [(String, [SQLType], [SQLValue])] = {
        let decimal = SQLType.decimal(precision: 12, scale: 2)
        var out: [(String, [SQLType], [SQLValue])] = [("COUNT", [], []), ("COUNT", [.string], [])]
        for type in [SQLType.integer, .bigint, .double] {
            for name in ["SUM", "AVG", "MIN", "MAX", "STDDEV_SAMP", "STDDEV_SAMPLE"] { out.append((name, [type], [])) }
            out.append(("SUM_LIST", [.array(type)], []))
            out.append(("CORRELATION", [type, type], []))
            out.append(("TOPK", [type], [.integer(3)]))
        }
        for name in ["SUM", "MIN", "MAX"] { out.append((name, [decimal], [])) }
        for type in [SQLType.string, .bytes, .date, .time, .timestamp, decimal] {
            if type != decimal { out += [("MIN", [type], []), ("MAX", [type], [])] }
            out.append(("TOPKDISTINCT", [type], [.integer(2)]))
        }
        out += [("TOPK", [.string, .bigint, .array(.string)], [.integer(3)]), ("HISTOGRAM", [.string], [])]
        let nested: [SQLType] = [.boolean, .bigint, .string, decimal, .array(.integer), .structure([Field("A", .string), Field("B", .double)]), .map(key: .string, value: .bigint)]
        for type in nested {
            for name in ["COLLECT_LIST", "COLLECT_SET", "ATTR", "COUNT_DISTINCT", "LATEST_BY_OFFSET", "EARLIEST_BY_OFFSET"] { out.append((name, [type], [])) }
            out += [("LATEST_BY_OFFSET", [type], [.integer(2), .boolean(false)]), ("EARLIEST_BY_OFFSET", [type], [.integer(3)])]
        }
        return out
    }()

    static func value(_ type: SQLType, _ random: inout SeededRandom) -> SQLValue {
        let n = Int.random(in: 0..<9, using: &random)
        if n == 0 { return .null }
        switch type {
        case .boolean: return .boolean(n % 2 == 0)
        case .integer: return .integer(Int32(n - 4))
        case .bigint: return .bigint(Int64(n - 4))
        // Sums of halves are exact: undo and merge may be compared bit by bit.
        case .double: return .double(Double(n - 4) / 2)
        case .decimal(_, let scale): return .decimal(Decimal128(unscaled: Int128(n - 4), scale: scale))
        case .string: return .string(String(repeating: "é", count: n % 4) + "\(n % 3)")
        case .bytes: return .bytes([UInt8](repeating: UInt8(n % 2), count: n % 3))
        case .date: return .date(Int32(n))
        case .time: return .time(Int32(n))
        case .timestamp: return .timestamp(Int64(n))
        case .array(let element): return .array((0..<(n % 3)).map { _ in value(element, &random) })
        case .map(let key, let inner): return .map((0..<(n % 3)).map { .init(key == .string ? .string("k\($0)") : .null, value(inner, &random)) })
        case .structure(let fields): return .structure(fields.map { .init($0.name, value($0.type, &random)) })
        }
    }

    /// A batch means what its steps mean one by one; a state that was stored and restored halfway goes on as if nothing had happened.
    @Test(arguments: calls.indices) func batchesAndRestoresChangeNothing(index: Int) throws {
        let (name, types, constants) = Self.calls[index]
        let undoes = FunctionRegistry.builtin.function(named: name)?.supportsUndo == true
        let call = try Self.call(name, types, constants)
        for seed in UInt64(92)..<97 {
            var random = SeededRandom(seed: seed)
            var steps: [Step] = [], rows: [[[SQLValue]]] = [[], [], [], []]
            for _ in 0..<60 {
                let slot = Int.random(in: 0..<4, using: &random), other = Int.random(in: 0..<4, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0 where other != slot:
                    steps.append(.merge(slot, other))
                    rows[slot] += rows[other]
                    rows[other] = []
                case 1:
                    steps.append(.clear(slot))
                    rows[slot] = []
                case 2...4 where undoes && !rows[slot].isEmpty:
                    let gone = rows[slot].remove(at: Int.random(in: rows[slot].indices, using: &random))
                    steps.append(.remove(slot, gone))
                default:
                    let row = types.map { Self.value($0, &random) }
                    rows[slot].append(row)
                    steps.append(.add(slot, row))
                }
            }
            let whole = try AggregateStates.make(call), single = try AggregateStates.make(call), all: [UInt32] = [0, 1, 2, 3]
            var interrupted = try AggregateStates.make(call)
            for state in [whole, single, interrupted] { state.grow(to: 4) }
            let (batch, added, removed) = Self.batch(steps, types)
            let emitted = try whole.applyEmitting(batch, arguments: added, removed: removed)
            #expect(emitted.type == call.type)
            for (i, step) in steps.enumerated() {
                let (one, added, removed) = Self.batch([step], types)
                try single.apply(one, arguments: added, removed: removed)
                #expect(same(single.results([one.slots[0]]).value(0), emitted.value(i)), "\(name) \(types) seed \(seed) step \(i)")
            }
            for half in [steps.prefix(31), steps.dropFirst(31)] {
                let stored = interrupted.stored(all)
                #expect(stored.type == interrupted.storedType)
                interrupted = try AggregateStates.make(call)
                interrupted.grow(to: 4)
                interrupted.restore(stored, into: all)
                let (batch, added, removed) = Self.batch(half, types)
                try interrupted.apply(batch, arguments: added, removed: removed)
            }
            let (a, b) = (interrupted.results(all), whole.results(all))
            for slot in 0..<4 { #expect(same(a.value(slot), b.value(slot)), "\(name) \(types) seed \(seed) slot \(slot)") }
            // What is left is what adding the rows that are left gives, in any order of merging but for functions of order.
            if undoes, name != "COLLECT_LIST", name != "HISTOGRAM" {
                let fresh = try AggregateStates.make(call)
                fresh.grow(to: 4)
                let (batch, added, removed) = Self.batch(rows.enumerated().flatMap { slot, rows in rows.map { Step.add(slot, $0) } }, types)
                try fresh.apply(batch, arguments: added, removed: removed)
                let c = fresh.results(all)
                for slot in 0..<4 { #expect(near(c.value(slot), b.value(slot)), "\(name) \(types) seed \(seed) slot \(slot)") }
            }
        }
    }

    /// More values than the pools of values hold before they are tidied up.
    @Test(arguments: [("LATEST_BY_OFFSET", []), ("LATEST_BY_OFFSET", [SQLValue.integer(2)]), ("TOPK", [.integer(2)]), ("COLLECT_SET", []), ("ATTR", [])])
    func longStreams(name: String, constants: [SQLValue]) throws {
        let state = try AggregateStates.make(Self.call(name, [.string], constants)), all: [UInt32] = [0, 1, 2]
        state.grow(to: 3)
        let single = try AggregateStates.make(Self.call(name, [.string], constants))
        single.grow(to: 3)
        var random = SeededRandom(seed: 92)
        for _ in 0..<30 {
            let values = (0..<2000).map { _ in "v\(Int.random(in: 0..<50, using: &random))" }
            let slots = values.indices.map { _ in UInt32.random(in: 0..<3, using: &random) }
            for i in 0..<3 {
                try state.apply(AggregateSteps(kinds: [.clear], slots: [UInt32(i)], rows: [0]), arguments: [.string(BytesColumn([nil]))], removed: nil)
                try single.apply(AggregateSteps(kinds: [.clear], slots: [UInt32(i)], rows: [0]), arguments: [.string(BytesColumn([nil]))], removed: nil)
            }
            try state.apply(AggregateSteps(slots: slots, rows: Array(0..<2000)), arguments: [.string(BytesColumn(values))], removed: nil)
            // The same in pieces of 500 rows.
            for from in stride(from: 0, to: 2000, by: 500) {
                try single.apply(
                    AggregateSteps(slots: Array(slots[from..<(from + 500)]), rows: Array(0..<500)),
                    arguments: [.string(BytesColumn(Array(values[from..<(from + 500)])))], removed: nil)
            }
            #expect(state.results(all) == single.results(all))
        }
    }

    private func same(_ a: SQLValue, _ b: SQLValue) -> Bool { a == b || (a.isNaN && b.isNaN) }

    private func near(_ a: SQLValue, _ b: SQLValue) -> Bool {
        // NaN or ±∞ where rounding leaves or takes the last bit of a variance that is 0.
        if case .double(let x) = a, case .double(let y) = b { return x == y || !x.isFinite || !y.isFinite || abs(x - y) < 1e-5 }
        return a == b
    }
}

extension SQLValue {
    var isNaN: Bool { if case .double(let v) = self { v.isNaN } else { false } }
}
