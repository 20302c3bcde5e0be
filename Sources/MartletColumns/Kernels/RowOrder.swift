import MartletCore

/// Sorts rows by some of their columns, as comparisons of SQL order them; NaN is the largest DOUBLE. Nested types have no order.
public struct RowOrder {
    public struct Key {
        public var column: Column
        public var isDescending: Bool
        public var nullsFirst: Bool
        public init(_ column: Column, isDescending: Bool = false, nullsFirst: Bool = false) {
            self.column = column
            self.isDescending = isDescending
            self.nullsFirst = nullsFirst
        }
    }

    private let keys: [Key]

    /// - `keys`: the first decides, the next among its equals.
    public init(_ keys: [Key]) { self.keys = keys }

    /// The rows in order; equal rows stay as they are.
    public func sorted(_ rows: [UInt32]) -> [UInt32] {
        rows.enumerated().sorted { a, b in
            let order = compare(Int(a.element), Int(b.element))
            return order == 0 ? a.offset < b.offset : order < 0
        }.map(\.element)
    }

    private func compare(_ a: Int, _ b: Int) -> Int {
        for key in keys {
            let validity = key.column.validity
            switch (validity.isValid(a), validity.isValid(b)) {
            case (false, false): continue
            case (false, true): return key.nullsFirst ? -1 : 1
            case (true, false): return key.nullsFirst ? 1 : -1
            case (true, true):
                let order = Self.compare(key.column, a, b)
                if order != 0 { return key.isDescending ? -order : order }
            }
        }
        return 0
    }

    private static func compare(_ column: Column, _ a: Int, _ b: Int) -> Int {
        func ordered<T: Comparable>(_ values: [T]) -> Int { values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0 }
        switch column {
        case .boolean(let c): return (c.values[a] ? 1 : 0) - (c.values[b] ? 1 : 0)
        case .integer(let c), .date(let c), .time(let c): return ordered(c.values)
        case .bigint(let c), .timestamp(let c): return ordered(c.values)
        case .decimal(let c, _, _): return ordered(c.values)
        case .double(let c):
            switch (c.values[a].isNaN, c.values[b].isNaN) {
            case (true, true): return 0
            case (true, false): return 1
            case (false, true): return -1
            case (false, false): return ordered(c.values)
            }
        case .string(let c): return ComparisonKernels.compareUTF16(c.slice(a), c.slice(b))
        case .bytes(let c): return ComparisonKernels.compareBytes(c.slice(a), c.slice(b))
        case .array, .map, .structure: return 0
        }
    }
}
