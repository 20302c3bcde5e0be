import MartletColumns
import MartletCore
import MartletSQL

/// Holds all results of a query that ends, and gives them when its input has ended: newest rows, distinct rows, in order, without the first ones.
struct ResultEnding {
    private let ending: PhysicalPlan.Ending
    /// Columns of a result that the client sees; those behind are for the order.
    private let shown: Int
    private let limit: Int64?
    private var columns: [Column] = []
    private var timestamps: [Int64] = []
    private var windows: Batch.Windows?
    private var count = 0
    /// Rows that delete theirs.
    private var isDeletion: [Bool] = []

    /// - Parameter limit: so many rows are left at most.
    init(_ ending: PhysicalPlan.Ending, shown: Int, limit: Int64? = nil) {
        self.ending = ending
        self.shown = shown
        self.limit = limit
    }

    mutating func add(_ batch: Batch) {
        if columns.isEmpty { columns = batch.columns.map { Column.empty($0.type) } }
        for index in columns.indices { columns[index].append(contentsOf: batch.columns[index]) }
        if let own = batch.windows {
            windows = Batch.Windows(starts: (windows?.starts ?? []) + own.starts, ends: (windows?.ends ?? []) + own.ends)
        }
        timestamps += batch.timestamps
        isDeletion += batch.nullValues ?? [Bool](repeating: false, count: batch.count)
        count += batch.count
    }

    /// Everything, as one batch of the shown columns; nil: nothing.
    func finish() -> Batch? {
        if count == 0 { return nil }
        var rows = [UInt32](0..<UInt32(count))
        if let newest = ending.newest { rows = newestRows(newest) }
        if ending.isDistinct {
            var seen: Set<[SQLValue]> = []
            let compared = ending.distinctColumns ?? shown
            rows = rows.filter { row in seen.insert(columns[..<compared].map { $0.value(Int(row)) }).inserted }
        }
        if !ending.order.isEmpty {
            let keys = ending.order.map { RowOrder.Key(columns[$0.column], isDescending: $0.isDescending, nullsFirst: $0.nullsFirst) }
            rows = RowOrder(keys).sorted(rows)
        }
        rows = Array(rows.dropFirst(Int(clamping: ending.offset)))
        if let limit { rows = Array(rows.prefix(Int(clamping: limit))) }
        if rows.isEmpty { return nil }
        return Batch(count: rows.count, columns: columns[..<shown].map { $0.gathered(rows) }, timestamps: rows.map { timestamps[Int($0)] })
    }

    private struct Identity: Hashable {
        var values: [SQLValue]
        var start: Int64
        var end: Int64
    }

    private func newestRows(_ key: [Int]) -> [UInt32] {
        /// Where each row of the result stands in `rows`, which are in the order in which they first came.
        var places: [Identity: Int] = [:], rows: [UInt32?] = []
        for row in 0..<count {
            let identity = Identity(
                values: key.map { columns[$0].value(row) }, start: windows?.starts[row] ?? 0, end: windows?.ends[row] ?? 0)
            if isDeletion[row] {
                if let place = places.removeValue(forKey: identity) { rows[place] = nil }
            } else if let place = places[identity] {
                rows[place] = UInt32(row)
            } else {
                places[identity] = rows.count
                rows.append(UInt32(row))
            }
        }
        return rows.compactMap { $0 }
    }
}
