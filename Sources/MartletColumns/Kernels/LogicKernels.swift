import MartletCore

/// Truth values: two-valued, NULL counts as false (ksqlDB evaluates conditions as plain booleans).
enum LogicKernels {
    /// The column's values with nulls as false.
    static func truth(_ column: Column) -> [Bool] {
        guard case .boolean(let column) = column else { preconditionFailure("a condition is boolean") }
        guard let flags = column.validity.flags else { return column.values }
        return combine(column.values, flags, rightIsConstant: false, or: false)
    }

    static func combine(_ a: [Bool], _ b: [Bool], rightIsConstant: Bool, or: Bool) -> [Bool] {
        if rightIsConstant { return b[0] == or ? [Bool](repeating: or, count: a.count) : a }
        // Selections rather than || and &&, whose branches would keep the loops from being vectorised.
        return [Bool](unsafeUninitializedCapacity: a.count) { out, count in
            if or {
                for i in 0..<a.count { out.initializeElement(at: i, to: a[i] == b[i] ? a[i] : true) }
            } else {
                for i in 0..<a.count { out.initializeElement(at: i, to: a[i] == b[i] ? a[i] : false) }
            }
            count = a.count
        }
    }

    /// NOT of a null is true: the null counts as false first.
    static func not(_ column: Column) -> Column {
        let values = truth(column)
        return .boolean(FixedColumn(values.map { !$0 }))
    }

    static func isNull(_ column: Column) -> [Bool] {
        guard let flags = column.validity.flags else { return [Bool](repeating: false, count: column.count) }
        return flags.map { !$0 }
    }

    static func isNotNull(_ column: Column) -> [Bool] {
        column.validity.flags ?? [Bool](repeating: true, count: column.count)
    }

    /// Indices of the true rows, rising; branchless.
    static func selected(_ truth: [Bool]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: truth.count) { out, count in
            var n = 0
            for i in 0..<truth.count {
                out[n] = UInt32(truncatingIfNeeded: i)
                n += truth[i] ? 1 : 0
            }
            count = n
        }
    }
}
