import MartletCore

/// Functions on arrays: see `ListKernels`; see `BoxedOrder` for the order.
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
        let comma = [UInt8(ascii: ",")][...]
        t.columns("(ARRAY<T> array) -> VARCHAR") { TextWriter.joined(&$0) { _ in comma } }
        t.columns("(ARRAY<T> array, VARCHAR delimiter) -> VARCHAR") { call in
            let delimiters = BytesArgument(call.arguments[1])
            return TextWriter.joined(&call) { delimiters.slice($0) ?? [] }
        }
        t.function("SLICE", .array, "The elements from one position to another, both included and counted from 1; NULL if one of them is outside.")
        t.columns("(ARRAY<T> array, INT from, INT to) -> ARRAY<T>") { ListKernels.slice(&$0) }

        t.function("GENERATE_SERIES", .array, "The numbers from a start to an end, both included, by steps of 1 or -1, or of a given size.")
        for type in ["INT", "BIGINT"] {
            t.columns("(\(type) start, \(type) end) -> ARRAY<\(type)>") { ListKernels.series(&$0) }
            t.columns("(\(type) start, \(type) end, INT step) -> ARRAY<\(type)>") { ListKernels.series(&$0) }
        }
    }
}

/// The order of boxed values of one type, as `<` has it.
enum BoxedOrder {
    static func precedes(_ a: SQLValue, _ b: SQLValue) -> Bool {
        switch (a, b) {
        case (.boolean(let x), .boolean(let y)): !x && y
        case (.integer(let x), .integer(let y)): x < y
        case (.bigint(let x), .bigint(let y)): x < y
        case (.double(let x), .double(let y)): KeyEncoding.ordered(x) < KeyEncoding.ordered(y)
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
