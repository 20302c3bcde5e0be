import MartletColumns
import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Nanoseconds a row of every scalar function, of operators, aggregates and grouping, on batches of 4096 rows that were made in advance; thread CPU time, the best of several runs.
enum FunctionBenchmarks {
    static let rowCount = 4096

    static func run() throws(MartletError) {
        var random = SeededRandom(seed: 92)
        let batch = batch(&random)
        try scalars(batch)
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
        Suite.line("functions/\(name)", best / Double(rows) * 1e9, "ns a row", nil, nil)
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    // MARK: scalar functions

    /// Columns of the batch, by name.
    private static let types: [(name: String, type: SQLType)] = [
        ("flag", .boolean), ("int", .integer), ("number", .bigint), ("real", .double), ("money", .decimal(precision: 10, scale: 2)), ("text", .string),
        ("bytes", .bytes), ("date", .date), ("time", .time), ("timestamp", .timestamp), ("list", .array(.bigint)), ("names", .array(.string)),
        ("map", .map(key: .string, value: .bigint)), ("json", .string), ("url", .string), ("stamp", .string), ("day", .string), ("clock", .string),
        ("fraction", .double), ("word", .bytes), ("hex", .string), ("items", .string),
    ]

    private static func column(_ name: String) -> BoundExpression {
        let index = types.firstIndex { $0.name == name } ?? 0
        return .column(index, types[index].type)
    }

    private static func literal(_ text: String) -> BoundExpression { .literal(.string(text), .string) }
    private static func literal(_ number: Int32) -> BoundExpression { .literal(.integer(number), .integer) }

    private static func lambda(_ names: [String], _ body: (([BoundExpression]) -> BoundExpression)) -> BoundExpression {
        .lambda(parameters: names.map { Field($0, $0 == "K" ? .string : .bigint) }, body: body(names.map { .variable($0, $0 == "K" ? .string : .bigint) }))
    }

    private static let one = BoundExpression.literal(.bigint(1), .bigint)

    /// Arguments of calls whose columns do not follow from the parameters' types.
    private static let chosen: [String: [[BoundExpression]]] = [
        "ACOS": [[column("fraction")]], "ASIN": [[column("fraction")]],
        "EXTRACTJSONFIELD": [[column("json"), literal("$.user.name")]], "IS_JSON_STRING": [[column("json")]], "JSON_ARRAY_LENGTH": [[column("items")]],
        "JSON_ARRAY_CONTAINS": [[column("items"), literal("b")]], "JSON_KEYS": [[column("json")]], "JSON_ITEMS": [[column("items")]],
        "JSON_RECORDS": [[column("json")]], "JSON_CONCAT": [[column("json"), column("items")]],
        "REGEXP_EXTRACT": [[literal("[0-9]+"), column("text")], [literal("(\\w+)-(\\d+)"), column("text"), literal(2)]],
        "REGEXP_EXTRACT_ALL": [[literal("[a-z]+"), column("text")]], "REGEXP_REPLACE": [[column("text"), literal("[aeiou]"), literal("<$0>")]],
        "REGEXP_SPLIT_TO_ARRAY": [[column("text"), literal("-+")]],
        "SPLIT": [[column("text"), literal("-")]], "SPLIT_TO_MAP": [[column("url"), literal("&"), literal("=")]],
        "SUBSTRING": [[column("text"), literal(3), literal(5)]], "REPLACE": [[column("text"), literal("abc"), literal("xy")]],
        "INSTR": [[column("text"), literal("abc")]], "LPAD": [[column("text"), literal(24), literal("*")]], "RPAD": [[column("text"), literal(24), literal("*")]],
        "CHR": [[column("int")]], "FIELD": [[literal("b"), literal("a"), column("text"), literal("b")]], "ELT": [[literal(2), literal("a"), column("text")]],
        "TO_BYTES": [[column("text"), literal("utf8")]], "FROM_BYTES": [[column("bytes"), literal("base64")]],
        "ENCODE": [[column("hex"), literal("hex"), literal("utf8")], [column("text"), literal("utf8"), literal("base64")]],
        "INT_FROM_BYTES": [[.call("SUBSTRING", [column("word"), literal(1), literal(4)], .bytes)]], "BIGINT_FROM_BYTES": [[column("word")]], "DOUBLE_FROM_BYTES": [[column("word")]],
        "URL_EXTRACT_FRAGMENT": [[column("url")]], "URL_EXTRACT_HOST": [[column("url")]], "URL_EXTRACT_PATH": [[column("url")]], "URL_EXTRACT_PORT": [[column("url")]],
        "URL_EXTRACT_PROTOCOL": [[column("url")]], "URL_EXTRACT_QUERY": [[column("url")]], "URL_EXTRACT_PARAMETER": [[column("url"), literal("page")]],
        "URL_DECODE_PARAM": [[column("url")]], "URL_ENCODE_PARAM": [[column("url")]],
        "CONVERT_TZ": [[column("timestamp"), literal("UTC"), literal("America/Los_Angeles")]],
        "DATEADD": [[literal("DAYS"), literal(3), column("date")]], "DATESUB": [[literal("DAYS"), literal(3), column("date")]],
        "TIMEADD": [[literal("MINUTES"), literal(3), column("time")]], "TIMESUB": [[literal("MINUTES"), literal(3), column("time")]],
        "TIMESTAMPADD": [[literal("HOURS"), literal(3), column("timestamp")]], "TIMESTAMPSUB": [[literal("HOURS"), literal(3), column("timestamp")]],
        "FORMAT_DATE": [[column("date"), literal("yyyy-MM-dd")]], "FORMAT_TIME": [[column("time"), literal("HH:mm:ss")]],
        "FORMAT_TIMESTAMP": [[column("timestamp"), literal("yyyy-MM-dd HH:mm:ss.SSS")], [column("timestamp"), literal("yyyy-MM-dd'T'HH:mm:ssXXX"), literal("Europe/Berlin")]],
        "TIMESTAMPTOSTRING": [[column("number"), literal("yyyy-MM-dd HH:mm:ss.SSS")]], "DATETOSTRING": [[column("int"), literal("EEE, d MMM yyyy")]],
        "PARSE_DATE": [[column("day"), literal("yyyy-MM-dd")]], "PARSE_TIME": [[column("clock"), literal("HH:mm:ss")]],
        "PARSE_TIMESTAMP": [[column("stamp"), literal("yyyy-MM-dd'T'HH:mm:ssX")]], "STRINGTOTIMESTAMP": [[column("stamp"), literal("yyyy-MM-dd'T'HH:mm:ssX")]],
        "STRINGTODATE": [[column("day"), literal("yyyy-MM-dd")]], "GEO_DISTANCE": [[column("fraction"), column("fraction"), literal(0), literal(0)].map { .cast($0, .double) }],
        "ARRAY_CONTAINS": [[column("list"), column("number")], [column("names"), column("text")]], "ARRAY_SORT": [[column("list")], [column("names"), literal("DESC")]],
        "ARRAY_REMOVE": [[column("list"), column("number")]], "SLICE": [[column("list"), literal(1), literal(1)]], "AS_MAP": [[column("names"), column("list")]],
        "GENERATE_SERIES": [[literal(1), .call("LEN", [column("text")], .integer)]], "ENTRIES": [[column("map"), .literal(.boolean(true), .boolean)]],
        "FILTER": [[column("list"), lambda(["X"]) { .compare(.greater, $0[0], .literal(.bigint(5), .bigint)) }]],
        "TRANSFORM": [
            [column("list"), lambda(["X"]) { .arithmetic(.add, $0[0], one, .bigint) }],
            [column("map"), lambda(["K", "V"]) { $0[0] }, lambda(["K", "V"]) { .arithmetic(.add, $0[1], one, .bigint) }],
        ],
        "REDUCE": [[column("list"), one, lambda(["S", "X"]) { .arithmetic(.add, $0[0], $0[1], .bigint) }]],
        "TO_JSON_STRING": [[column("map")], [column("list")], [column("timestamp")], [column("text")]],
        "MASK": [[column("text")], [column("text"), literal("X"), literal("x"), literal("9"), .literal(.null, .string)]],
    ]

    /// Expressions that are no functions.
    private static let operators: [(String, BoundExpression)] = [
        ("list[2]", .subscript_(column("list"), literal(2), .bigint)), ("map['b']", .subscript_(column("map"), literal("b"), .bigint)),
        ("CAST(real AS STRING)", .cast(column("real"), .string)), ("CAST(number AS STRING)", .cast(column("number"), .string)),
        ("CAST(timestamp AS STRING)", .cast(column("timestamp"), .string)), ("CAST(money AS STRING)", .cast(column("money"), .string)),
        ("CAST(list AS STRING)", .cast(column("list"), .string)), ("CAST(day AS DATE)", .cast(column("day"), .date)),
        ("CAST(text AS BIGINT)", .cast(.cast(column("number"), .string), .bigint)), ("CAST(text AS DOUBLE)", .cast(.cast(column("real"), .string), .double)),
        ("CAST(real AS DECIMAL)", .cast(column("real"), .decimal(precision: 12, scale: 2))),
        ("CAST(list AS ARRAY<STRING>)", .cast(column("list"), .array(.string))), ("text LIKE '%abc%'", .like(column("text"), pattern: literal("%abc%"), escape: nil)),
        ("money + money", .arithmetic(.add, column("money"), column("money"), .decimal(precision: 11, scale: 2))),
        ("text = 'x'", .compare(.equal, column("text"), literal("x"))),
    ]

    /// A column for each parameter of a signature; nil if one has no type of its own.
    private static func arguments(_ signature: FunctionSignature) -> [BoundExpression]? {
        var out: [BoundExpression] = []
        for parameter in signature.parameters {
            let name: String
            switch parameter.type {
            case .boolean: name = "flag"
            case .integer: name = "int"
            case .bigint: name = "number"
            case .double: name = "real"
            case .decimal: name = "money"
            case .string, .variable, .any: name = "text"
            case .bytes: name = "bytes"
            case .date: name = "date"
            case .time: name = "time"
            case .timestamp: name = "timestamp"
            case .array(.string): name = "names"
            case .array: name = "list"
            case .map: name = "map"
            case .structure, .unit, .lambda: return nil
            }
            out.append(column(name))
        }
        return out
    }

    /// Every overload of every scalar function, or the calls that are chosen for it.
    private static func scalars(_ batch: Batch) throws(MartletError) {
        for function in FunctionRegistry.builtin.scalars {
            var calls = chosen[function.name] ?? []
            if calls.isEmpty { calls = function.signatures.compactMap(arguments) }
            precondition(!calls.isEmpty, "a call of \(function.name)")
            for arguments in calls {
                var types: [ArgumentType] = [], results: [SQLType] = []
                for argument in arguments {
                    if case .lambda(let parameters, let body) = argument {
                        types.append(.lambda(parameterCount: parameters.count))
                        results.append(body.type)
                    } else {
                        types.append(.type(argument.type))
                    }
                }
                if ["DATEADD", "DATESUB", "TIMEADD", "TIMESUB", "TIMESTAMPADD", "TIMESTAMPSUB"].contains(function.name) { types[0] = .unit }
                let resolved = try FunctionRegistry.builtin.resolve(function.name, arguments: types)
                let type: SQLType
                if let known = resolved.returnType { type = known } else { type = try resolved.returnType(lambdaResults: results) }
                let converted = zip(arguments, resolved.parameterTypes).map { argument, wanted in
                    wanted.map { $0 == argument.type ? argument : .cast(argument, $0) } ?? argument
                }
                try scalar("\(function.name)(\(types.map(shown).joined(separator: ", ")))", .call(function.name, converted, type), batch)
            }
        }
        for (name, expression) in operators { try scalar(name, expression, batch) }
    }

    private static func shown(_ type: ArgumentType) -> String {
        switch type {
        case .type(let type), .literal(let type): "\(type)"
        case .null: "null"
        case .lambda: "λ"
        case .unit: "UNIT"
        }
    }

    private static func batch(_ random: inout SeededRandom) -> Batch {
        var values: [String: [SQLValue]] = [:]
        for row in 0..<rowCount {
            let count = Int.random(in: 1..<6, using: &random), n = Int64.random(in: 0..<10, using: &random), t = Int64.random(in: 0..<2_000_000_000_000, using: &random)
            let seconds = t / 1000 * 1000
            func put(_ name: String, _ value: SQLValue) { values[name, default: []].append(value) }
            put("flag", .boolean(n > 4))
            put("int", .integer(Int32(row)))
            put("number", .bigint(n))
            put("real", .double(Double(t) / 1000))
            put("fraction", .double(Double(n) / 10))
            put("money", .decimal(Decimal128(unscaled: Int128(row * 100 + 7), scale: 2)))
            put("text", .string("order-\(row)-abc-\(n)"))
            put("bytes", .bytes(Array("order-\(row)-abc-\(n)".utf8)))
            put("word", .bytes((0..<8).map { UInt8(truncatingIfNeeded: t >> Int64(8 * $0)) }))
            put("hex", .string("6f726465722d\(10 + n)"))
            put("date", .date(Int32(t / 86_400_000)))
            put("time", .time(Int32(t % 86_400_000)))
            put("timestamp", .timestamp(t))
            put("list", .array((0..<count).map { _ in .bigint(Int64.random(in: 0..<10, using: &random)) }))
            put("names", .array((0..<count).map { .string("order-\($0)") }))
            put("map", .map((0..<count).map { .init(.string(["a", "b", "c", "d", "e", "f"][$0]), .bigint(n)) }))
            put("json", .string("{\"id\":\(row),\"user\":{\"name\":\"name \(n)\",\"age\":\(20 + n)},\"tags\":[1,2,3],\"note\":\"nothing much\"}"))
            put("items", .string("[\"a\",\"b\",{\"c\":\(n)},\(row)]"))
            put("url", .string("https://www.example.com:8080/path/to/\(row)?user=\(n)&page=2#top"))
            put("stamp", .string(TemporalText.format(timestamp: seconds).prefix(19) + "Z"))
            put("day", .string(String(TemporalText.format(timestamp: seconds).prefix(10))))
            put("clock", .string(String(TemporalText.format(timestamp: seconds).prefix(19).suffix(8))))
        }
        let columns = types.map { ColumnBuilder.column(of: $0.type, values[$0.name] ?? []) }
        return Batch(count: rowCount, columns: columns, timestamps: [Int64](repeating: 0, count: rowCount))
    }

    private static func scalar(_ name: String, _ expression: BoundExpression, _ batch: Batch) throws(MartletError) {
        let program = try ExpressionProgram([expression])
        var kept = 0
        try line(name, rows: 2 * rowCount) {
            for _ in 0..<2 {
                var errors = RowErrors()
                kept += program.evaluate(batch, labels: [name], errors: &errors)[0].count
            }
        }
        precondition(kept == 10 * rowCount, "a row a row")
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
