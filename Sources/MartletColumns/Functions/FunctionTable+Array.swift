import MartletCore

/// Functions on arrays: see `ListKernels`; see `BoxedOrder` for the order. ARRAY_JOIN and GENERATE_SERIES box their values.
extension FunctionTable {
    static func arrays(_ t: inout FunctionTable) {
        t.function("ARRAY_LENGTH", .array, "The number of elements of an array.")
        t.columns("(ARRAY<T> array) -> INT") { call in
            guard case .array(let list) = call.arguments[0].column else { preconditionFailure("ARRAY_LENGTH of an array") }
            return .integer(FixedColumn((0..<call.count).map { list.offsets[$0 + 1] - list.offsets[$0] }, validity: list.validity))
        }
        t.function("ARRAY_CONTAINS", .array, "Whether an array has an element equal to a value (NULL equals NULL here). A NULL array contains nothing.")
        t.columns("(ARRAY<T> array, T value) -> BOOLEAN") { ListKernels.contains(&$0) }
        t.function("ARRAY_CONCAT", .array, "The elements of the first array, then those of the second. A NULL array counts as empty; NULL if both are.")
        t.columns("(ARRAY<T> left, ARRAY<T> right) -> ARRAY<T>") { ListKernels.concatenate(&$0) }
        t.function("ARRAY_DISTINCT", .array, "The elements without repetitions, in order of first occurrence.")
        t.columns("(ARRAY<T> array) -> ARRAY<T>") { ListKernels.distinct(&$0) }
        t.function("ARRAY_EXCEPT", .array, "The distinct elements of the first array that are not in the second.")
        t.columns("(ARRAY<T> left, ARRAY<T> right) -> ARRAY<T>") { ListKernels.filter(&$0, wanted: false) }
        t.function("ARRAY_INTERSECT", .array, "The distinct elements that are in both arrays, in the order of the first.")
        t.columns("(ARRAY<T> left, ARRAY<T> right) -> ARRAY<T>") { ListKernels.filter(&$0, wanted: true) }
        t.function("ARRAY_UNION", .array, "The distinct elements of both arrays.")
        t.columns("(ARRAY<T> left, ARRAY<T> right) -> ARRAY<T>") { ListKernels.union(&$0) }
        t.function("ARRAY_REMOVE", .array, "The array without the elements equal to a value.")
        t.columns("(ARRAY<T> array, T value) -> ARRAY<T>") { ListKernels.remove(&$0) }
        t.function("ARRAY_MAX", .array, "The largest element; NULLs do not count.")
        t.columns("(ARRAY<T> array) -> T") { ListKernels.extreme(&$0, isLargest: true) }
        t.function("ARRAY_MIN", .array, "The smallest element; NULLs do not count.")
        t.columns("(ARRAY<T> array) -> T") { ListKernels.extreme(&$0, isLargest: false) }
        t.function("ARRAY_SORT", .array, "The elements in rising order, or in falling order ('DESC'); NULLs last in either.")
        t.columns("(ARRAY<T> array) -> ARRAY<T>") { ListKernels.sort(&$0) { _ in false } }
        t.columns("(ARRAY<T> array, VARCHAR direction) -> ARRAY<T>") { call in
            let direction = ArgumentColumn<String>(call.arguments[1])
            return ListKernels.sort(&call) { row in
                switch direction[row]?.trimmingBlanks().uppercased() {
                case "ASC", "ASCENDING": false
                case "DESC", "DESCENDING": true
                default: nil
                }
            }
        }
        t.function("ARRAY_JOIN", .array, "The elements as text, with a delimiter between them (a comma unless given).")
        t.boxed("(ARRAY<T> array) -> VARCHAR") { .string(elements($0[0]).map(\.castText).joined(separator: ",")) }
        t.boxedWithNulls("(ARRAY<T> array, VARCHAR delimiter) -> VARCHAR") { arguments in
            guard case .array(let array) = arguments[0] else { return .null }
            let delimiter = if case .string(let text) = arguments[1] { text } else { "" }
            return .string(array.map(\.castText).joined(separator: delimiter))
        }
        t.function("SLICE", .array, "The elements from one position to another, both included and counted from 1.")
        t.columns("(ARRAY<T> array, INT from, INT to) -> ARRAY<T>") { ListKernels.slice(&$0) }

        t.function("GENERATE_SERIES", .array, "The numbers from a start to an end, both included, by steps of 1 or -1, or of a given size.")
        t.boxed("(INT start, INT end) -> ARRAY<INT>") { try series($0, nil) }
        t.boxed("(INT start, INT end, INT step) -> ARRAY<INT>") { try series($0, $0[2]) }
        t.boxed("(BIGINT start, BIGINT end) -> ARRAY<BIGINT>") { try series($0, nil) }
        t.boxed("(BIGINT start, BIGINT end, INT step) -> ARRAY<BIGINT>") { try series($0, $0[2]) }
    }

    static func elements(_ value: SQLValue) -> [SQLValue] { if case .array(let values) = value { values } else { [] } }

    /// At most this many elements: a mistyped bound must not exhaust memory.
    private static let seriesCountMax = 10_000_000

    private static func series(_ arguments: [SQLValue], _ step: SQLValue?) throws -> SQLValue {
        func number(_ value: SQLValue) -> Int64 {
            switch value {
            case .integer(let v): Int64(v)
            case .bigint(let v): v
            default: 0
            }
        }
        let start = number(arguments[0]), end = number(arguments[1])
        let by = step.map(number) ?? (start <= end ? 1 : -1)
        if by == 0 { throw KernelFailure("GENERATE_SERIES step cannot be zero") }
        if (by > 0) != (start <= end), start != end { throw KernelFailure("GENERATE_SERIES step has wrong sign") }
        let (distance, over) = end.subtractingReportingOverflow(start)
        if over || distance / by >= seriesCountMax { throw KernelFailure("GENERATE_SERIES makes at most \(seriesCountMax) elements") }
        let isInteger = if case .integer = arguments[0] { true } else { false }
        return .array(stride(from: start, through: end, by: Int(by)).map { isInteger ? .integer(Int32($0)) : .bigint($0) })
    }
}

/// The order of boxed values of one type, as `<` has it.
enum BoxedOrder {
    static func precedes(_ a: SQLValue, _ b: SQLValue) -> Bool {
        switch (a, b) {
        case (.boolean(let x), .boolean(let y)): !x && y
        case (.integer(let x), .integer(let y)): x < y
        case (.bigint(let x), .bigint(let y)): x < y
        case (.double(let x), .double(let y)): x < y
        case (.decimal(let x), .decimal(let y)): ComparisonKernels.compareDecimals(x.unscaled, x.scale, y.unscaled, y.scale) < 0
        case (.string(let x), .string(let y)): ComparisonKernels.compareUTF16(Array(x.utf8)[...], Array(y.utf8)[...]) < 0
        case (.bytes(let x), .bytes(let y)): ComparisonKernels.compareBytes(x[...], y[...]) < 0
        case (.date(let x), .date(let y)), (.time(let x), .time(let y)): x < y
        case (.timestamp(let x), .timestamp(let y)): x < y
        default: false
        }
    }
}

extension String {
    func trimmingBlanks() -> String { String(Substring(CastKernels.trimmed(self))) }
}
