import MartletCore

/// What an expression's part evaluates to: a column, or one row that stands for all.
struct Value {
    var column: Column
    var isConstant: Bool
    var failures: RowFailures?

    init(_ column: Column, isConstant: Bool = false, failures: RowFailures? = nil) {
        self.column = column
        self.isConstant = isConstant
        self.failures = failures.flatMap { $0.isEmpty ? nil : $0 }
    }

    @inline(__always) func index(_ row: Int) -> Int { isConstant ? 0 : row }
    func boxed(_ row: Int) -> SQLValue { column.value(index(row)) }

    /// `count` rows, failures included.
    func expanded(_ count: Int) -> Value {
        guard isConstant else { return self }
        let rows = [UInt32](repeating: 0, count: count)
        return Value(column.gathered(rows), failures: failures?.gathered(rows))
    }

    /// The rows of `rows`, in that order.
    func gathered(_ rows: [UInt32]) -> Value {
        if isConstant, failures == nil { return self }
        if isConstant { return expanded(rows.count) }
        return Value(column.gathered(rows), failures: failures?.gathered(rows))
    }
}

/// Rows that failed while a part was evaluated. A *fatal* failure (arithmetic, CAST) makes the whole expression null in that row; a
/// function that fails is null itself, and the expression around it goes on.
struct RowFailures {
    private(set) var rows: [UInt32] = []
    private(set) var reasons: [String] = []
    private(set) var fatal: [Bool] = []

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ row: Int, _ reason: String, isFatal: Bool) {
        rows.append(UInt32(row))
        reasons.append(reason)
        fatal.append(isFatal)
    }

    mutating func add(_ other: RowFailures?) {
        guard let other else { return }
        rows += other.rows
        reasons += other.reasons
        fatal += other.fatal
    }

    /// Adds the failures of `value`, a part of a column of `count` rows.
    mutating func add(_ value: Value, count: Int) {
        guard let failures = value.failures else { return }
        if value.isConstant, count != 1 {
            for row in 0..<count { for i in failures.rows.indices { add(row, failures.reasons[i], isFatal: failures.fatal[i]) } }
        } else {
            add(failures)
        }
    }

    /// Those of rows for which `keep` holds, each as row `rename(row)`.
    func filtered(_ keep: (Int) -> Bool, rename: (Int) -> Int = { $0 }) -> RowFailures? {
        var out = RowFailures()
        for i in rows.indices where keep(Int(rows[i])) { out.add(rename(Int(rows[i])), reasons[i], isFatal: fatal[i]) }
        return out.isEmpty ? nil : out
    }

    func gathered(_ wanted: [UInt32]) -> RowFailures? {
        var byRow: [UInt32: [Int]] = [:]
        for i in rows.indices { byRow[rows[i], default: []].append(i) }
        var out = RowFailures()
        for (new, old) in wanted.enumerated() {
            for i in byRow[old] ?? [] { out.add(new, reasons[i], isFatal: fatal[i]) }
        }
        return out.isEmpty ? nil : out
    }
}
