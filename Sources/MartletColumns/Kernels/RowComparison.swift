import MartletCore

/// Comparisons of single rows of two columns of one type; the type is looked at once, and only nested values are boxed.
enum RowComparison {
    typealias Predicate = (Int, Int) -> Bool

    /// Whether row i of `a` equals row j of `b`, null being equal to null; otherwise as `NestedKernels.equal`.
    static func equality(_ a: Column, _ b: Column) -> Predicate {
        func fixed<T>(_ x: FixedColumn<T>, _ y: FixedColumn<T>) -> Predicate {
            if x.validity.flags == nil, y.validity.flags == nil { return { x.values[$0] == y.values[$1] } }
            return { i, j in
                let isValid = x.validity.isValid(i)
                return isValid == y.validity.isValid(j) && (!isValid || x.values[i] == y.values[j])
            }
        }
        func bytes(_ x: BytesColumn, _ y: BytesColumn) -> Predicate {
            { i, j in
                let isValid = x.validity.isValid(i)
                guard isValid == y.validity.isValid(j) else { return false }
                guard isValid else { return true }
                guard x.lengths[i] == y.lengths[j] else { return false }
                let p = Int(x.starts[i]), q = Int(y.starts[j])
                for k in 0..<Int(x.lengths[i]) where x.buffer[p + k] != y.buffer[q + k] { return false }
                return true
            }
        }
        switch (a, b) {
        case (.boolean(let x), .boolean(let y)): return fixed(x, y)
        case (.integer(let x), .integer(let y)), (.date(let x), .date(let y)), (.time(let x), .time(let y)): return fixed(x, y)
        case (.bigint(let x), .bigint(let y)), (.timestamp(let x), .timestamp(let y)): return fixed(x, y)
        case (.double(let x), .double(let y)):
            // As Java's `Double.equals`: NaN is equal to itself, and the zeros differ.
            func bits(_ c: FixedColumn<Double>) -> FixedColumn<UInt64> { FixedColumn(c.values.map(KeyEncoding.ordered), validity: c.validity) }
            return fixed(bits(x), bits(y))
        case (.decimal(let x, _, let s), .decimal(let y, _, let t)) where s == t: return fixed(x, y)
        case (.string(let x), .string(let y)), (.bytes(let x), .bytes(let y)): return bytes(x, y)
        default: return { NestedKernels.equal(a.value($0), b.value($1)) }
        }
    }

    /// Whether row i of `column` comes before row j, neither being null, in the order of `BoxedOrder`, where NaN is
    /// the largest DOUBLE and -0.0 comes before 0.0.
    static func order(_ column: Column) -> Predicate {
        func fixed<T: Comparable>(_ x: FixedColumn<T>) -> Predicate { { x.values[$0] < x.values[$1] } }
        switch column {
        case .boolean(let x): return { !x.values[$0] && x.values[$1] }
        case .integer(let x), .date(let x), .time(let x): return fixed(x)
        case .bigint(let x), .timestamp(let x): return fixed(x)
        case .double(let x):
            let keys = x.values.map(KeyEncoding.ordered)
            return { keys[$0] < keys[$1] }
        case .decimal(let x, _, _): return fixed(x)
        case .string(let x): return { ComparisonKernels.compareUTF16(x.slice($0), x.slice($1)) < 0 }
        case .bytes(let x): return { ComparisonKernels.compareBytes(x.slice($0), x.slice($1)) < 0 }
        case .array, .map, .structure: return { _, _ in false }
        }
    }
}
