import MartletColumns
import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Rows a second of functions, aggregates and grouping, on batches of 4096 rows that were made in advance; thread CPU time, the best of several runs.
enum FunctionBenchmarks {
    static let rowCount = 4096

    static func run() throws(MartletError) {
        var random = SeededRandom(seed: 92)
        let batch = batch(&random)
        for (name, expression) in expressions { try scalar(name, expression, batch) }
        grouping(&random)
        try aggregates(&random)
    }

    private static func line(_ name: String, rows: Int, _ body: () throws(MartletError) -> Void) throws(MartletError) {
        var best = Double.infinity
        for _ in 0..<5 {
            let start = now()
            try body()
            best = min(best, now() - start)
        }
        Suite.line("functions/\(name)", Double(rows) / best / 1e6, "M rows/s", nil, nil)
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    // MARK: scalar functions

    /// Columns of the batch, by their place.
    private static let types: [SQLType] = [
        .array(.bigint), .map(key: .string, value: .bigint), .string, .string, .bigint, .array(.string),
    ]
    private static let list = column(0), map = column(1), document = column(2), text = column(3), number = column(4), names = column(5)
    private static func column(_ index: Int) -> BoundExpression { .column(index, types[index]) }
    private static func literal(_ text: String) -> BoundExpression { .literal(.string(text), .string) }
    private static func call(_ name: String, _ arguments: [BoundExpression], _ type: SQLType) -> BoundExpression { .call(name, arguments, type) }

    private static let expressions: [(String, BoundExpression)] = [
        ("ARRAY_LENGTH", call("ARRAY_LENGTH", [list], .integer)),
        ("ARRAY_CONTAINS bigint", call("ARRAY_CONTAINS", [list, number], .boolean)),
        ("ARRAY_CONTAINS text", call("ARRAY_CONTAINS", [names, text], .boolean)),
        ("array[2]", .subscript_(list, .literal(.integer(2), .integer), .bigint)),
        ("map['b']", .subscript_(map, literal("b"), .bigint)),
        ("ARRAY_DISTINCT", call("ARRAY_DISTINCT", [list], .array(.bigint))),
        ("ARRAY_MAX", call("ARRAY_MAX", [list], .bigint)),
        ("ARRAY_SORT", call("ARRAY_SORT", [list], .array(.bigint))),
        ("ARRAY_CONCAT", call("ARRAY_CONCAT", [list, list], .array(.bigint))),
        ("ARRAY_JOIN", call("ARRAY_JOIN", [list], .string)),
        ("SLICE", call("SLICE", [list, .literal(.integer(2), .integer), .literal(.integer(3), .integer)], .array(.bigint))),
        ("AS_MAP", call("AS_MAP", [names, list], .map(key: .string, value: .bigint))),
        ("MAP_KEYS", call("MAP_KEYS", [map], .array(.string))),
        ("MAP_UNION", call("MAP_UNION", [map, map], .map(key: .string, value: .bigint))),
        ("EXTRACTJSONFIELD", call("EXTRACTJSONFIELD", [document, literal("$.user.name")], .string)),
        ("JSON_ARRAY_LENGTH", call("JSON_ARRAY_LENGTH", [document], .integer)),
        ("JSON_KEYS", call("JSON_KEYS", [document], .array(.string))),
        ("JSON_RECORDS", call("JSON_RECORDS", [document], .map(key: .string, value: .string))),
        ("IS_JSON_STRING", call("IS_JSON_STRING", [document], .boolean)),
        ("TO_JSON_STRING", call("TO_JSON_STRING", [map], .string)),
        ("REGEXP_EXTRACT", call("REGEXP_EXTRACT", [literal("[0-9]+"), text], .string)),
        ("REGEXP_REPLACE", call("REGEXP_REPLACE", [text, literal("a"), literal("b")], .string)),
        ("SPLIT", call("SPLIT", [text, literal("-")], .array(.string))),
        ("TRANSFORM", call("TRANSFORM", [list, .lambda(parameters: [Field("X", .bigint)], body: .arithmetic(.add, .variable("X", .bigint), .literal(.bigint(1), .bigint), .bigint))], .array(.bigint))),
        ("FILTER", call("FILTER", [list, .lambda(parameters: [Field("X", .bigint)], body: .compare(.greater, .variable("X", .bigint), .literal(.bigint(5), .bigint)))], .array(.bigint))),
        ("REDUCE", call("REDUCE", [list, .literal(.bigint(0), .bigint), .lambda(parameters: [Field("S", .bigint), Field("X", .bigint)], body: .arithmetic(.add, .variable("S", .bigint), .variable("X", .bigint), .bigint))], .bigint)),
    ]

    private static func batch(_ random: inout SeededRandom) -> Batch {
        var values: [[SQLValue]] = types.map { _ in [] }
        for row in 0..<rowCount {
            let count = Int.random(in: 0..<6, using: &random), n = Int64.random(in: 0..<10, using: &random)
            values[0].append(.array((0..<count).map { _ in .bigint(Int64.random(in: 0..<10, using: &random)) }))
            values[1].append(.map((0..<count).map { .init(.string(["a", "b", "c", "d", "e", "f"][$0]), .bigint(n)) }))
            values[2].append(.string("{\"id\":\(row),\"user\":{\"name\":\"name \(n)\",\"age\":\(20 + n)},\"tags\":[1,2,3],\"note\":\"nothing much\"}"))
            values[3].append(.string("order-\(row)-abc-\(n)"))
            values[4].append(.bigint(n))
            values[5].append(.array((0..<count).map { .string("order-\($0)") }))
        }
        let columns = zip(types, values).map { ColumnBuilder.column(of: $0, $1) }
        return Batch(count: rowCount, columns: columns, timestamps: [Int64](repeating: 0, count: rowCount))
    }

    private static func scalar(_ name: String, _ expression: BoundExpression, _ batch: Batch) throws(MartletError) {
        let program = try ExpressionProgram([expression])
        var kept = 0
        try line(name, rows: 4 * rowCount) {
            for _ in 0..<4 {
                var errors = RowErrors()
                kept += program.evaluate(batch, labels: [name], errors: &errors)[0].count
            }
        }
        precondition(kept == 20 * rowCount, "a row a row")
    }

    // MARK: grouping and aggregates

    private static let batchCount = 64
    private static let groupCount = 10_000

    private static func identifiers(_ random: inout SeededRandom) -> [[Int64]] {
        (0..<batchCount).map { _ in (0..<rowCount).map { _ in Int64.random(in: 0..<Int64(groupCount), using: &random) } }
    }

    private static func grouping(_ random: inout SeededRandom) {
        let ids = identifiers(&random)
        let numbers = ids.map { Column.bigint(FixedColumn($0)) }, texts = ids.map { Column.string(BytesColumn($0.map { "user_\($0)" })) }
        let windows = Batch.Windows(starts: [Int64](repeating: 0, count: rowCount), ends: [Int64](repeating: 1000, count: rowCount))
        func group(_ name: String, _ types: [SQLType], isWindowed: Bool = false, _ keys: (Int) -> [Column]) {
            let table = GroupTable(types: types, isWindowed: isWindowed)
            let inputs = (0..<batchCount).map(keys)
            var sink = 0
            // Nothing in it throws.
            try? line("group by \(name)", rows: batchCount * rowCount) {
                for input in inputs { sink &+= table.assign(input, windows: isWindowed ? windows : nil).slots.count }
            }
            precondition(table.count == groupCount, "every group occurs")
        }
        group("bigint", [.bigint]) { [numbers[$0]] }
        group("text", [.string]) { [texts[$0]] }
        group("bigint, text", [.bigint, .string]) { [numbers[$0], texts[$0]] }
        group("bigint in windows", [.bigint], isWindowed: true) { [numbers[$0]] }
    }

    private static func aggregates(_ random: inout SeededRandom) throws(MartletError) {
        let ids = identifiers(&random), rows = [UInt32](0..<UInt32(rowCount))
        let numbers = ids.map { Column.bigint(FixedColumn($0)) }, doubles = ids.map { Column.double(FixedColumn($0.map { Double($0) })) }
        let texts = ids.map { Column.string(BytesColumn($0.map { "w\($0 % 50)" })) }
        let steps = ids.map { AggregateSteps(slots: $0.map { UInt32($0) }, rows: rows) }
        let calls: [(String, [[Column]], [SQLValue], SQLType)] = [
            ("COUNT", ids.map { _ in [] }, [], .bigint), ("SUM", numbers.map { [$0] }, [], .bigint), ("AVG", doubles.map { [$0] }, [], .double),
            ("MIN", numbers.map { [$0] }, [], .bigint), ("MAX", texts.map { [$0] }, [], .string),
            ("STDDEV_SAMPLE", doubles.map { [$0] }, [], .double), ("CORRELATION", doubles.map { [$0, $0] }, [], .double),
            ("LATEST_BY_OFFSET", texts.map { [$0] }, [], .string), ("TOPK", numbers.map { [$0] }, [.integer(3)], .array(.bigint)),
            ("COUNT_DISTINCT", texts.map { [$0] }, [], .bigint), ("ATTR", texts.map { [$0] }, [], .string),
            ("COLLECT_SET", texts.map { [$0] }, [], .array(.string)),
            ("HISTOGRAM", texts.map { [$0] }, [], .map(key: .string, value: .bigint)),
        ]
        for (name, inputs, constants, type) in calls {
            let arguments = inputs[0].map(\.type)
            let state = try AggregateStates.make(
                AggregateCall(name: name, arguments: Array(arguments.indices), argumentTypes: arguments, constants: constants, type: type))
            state.grow(to: groupCount)
            try line("\(name)(\(arguments.map(\.description).joined(separator: ", ")))", rows: batchCount * rowCount) { () throws(MartletError) in
                for (step, input) in zip(steps, inputs) { try state.apply(step, arguments: input, removed: nil) }
            }
        }
    }
}
