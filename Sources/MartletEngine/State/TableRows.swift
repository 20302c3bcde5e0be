import MartletColumns
import MartletCore

/// The newest row of each key (and window) of a table, as columns.
///
/// Rows live in growing columns; rows that were replaced or deleted stay behind as garbage until they outnumber the live ones, then the columns
/// are packed.
final class TableRows {
    /// The row that stands for no row: all null.
    static let none: UInt32 = 0

    let keyCount: Int
    let types: [SQLType]
    let table: GroupTable
    private var rowOfSlot: [UInt32] = []
    private var columns: [Column]
    private var timestamps: [Int64] = [0]

    /// - `types`: of all columns; the first `keyCount` are the key.
    init(types: [SQLType], keyCount: Int, isWindowed: Bool = false) {
        self.types = types
        self.keyCount = keyCount
        table = GroupTable(types: Array(types[..<keyCount]), isWindowed: isWindowed)
        columns = types.map { Column.nulls($0, count: 1) }
    }

    /// Live rows.
    var count: Int { table.count }

    /// The columns of rows, null where a row is `none`.
    func gathered(_ rows: [UInt32]) -> [Column] { columns.map { $0.gathered(rows) } }
    func timestamps(_ rows: [UInt32]) -> [Int64] { rows.map { timestamps[Int($0)] } }

    /// Where the rows of keys are, `none` where there is none. Good until the next update.
    func find(_ keys: [Column], windows: Batch.Windows? = nil, rows: [UInt32]? = nil) -> [UInt32] {
        table.find(keys, windows: table.isWindowed ? windows : nil, rows: rows).map { $0 == GroupTable.absent ? Self.none : rowOfSlot[Int($0)] }
    }

    func rows(ofSlots slots: [UInt32]) -> [UInt32] { slots.map { rowOfSlot[Int($0)] } }

    struct Update {
        /// Where each row's key was before; `none` if it was not there. Good until the next update.
        var before: [UInt32]
        /// The keys' slots; those of deleted keys are free from now on.
        var slots: [UInt32]
    }

    /// Applies the rows of `batch` in order: newer rows replace older ones, a null value deletes.
    @discardableResult
    func update(_ batch: Batch) -> Update {
        if timestamps.count > 2 * table.count + 65_536 { pack() }
        let first = timestamps.count
        let assigned = table.assign(
            Array(batch.columns[..<keyCount]), windows: table.isWindowed ? batch.windows : nil, rows: (0..<UInt32(batch.count)).map { $0 })
        if rowOfSlot.count < table.slotCount { rowOfSlot += [UInt32](repeating: Self.none, count: table.slotCount - rowOfSlot.count) }
        for slot in assigned.created { rowOfSlot[Int(slot)] = Self.none }
        var before = [UInt32](repeating: Self.none, count: batch.count)
        for row in 0..<batch.count {
            let slot = Int(assigned.slots[row])
            before[row] = rowOfSlot[slot]
            rowOfSlot[slot] = batch.nullValues?[row] == true ? Self.none : UInt32(first + row)
        }
        for i in columns.indices { columns[i].append(contentsOf: batch.columns[i]) }
        timestamps += batch.timestamps
        if let deleted = batch.nullValues {
            var gone: Set<UInt32> = []
            for row in 0..<batch.count where deleted[row] && rowOfSlot[Int(assigned.slots[row])] == Self.none { gone.insert(assigned.slots[row]) }
            table.remove(Array(gone))
        }
        return Update(before: before, slots: assigned.slots)
    }

    /// Takes keys out.
    func remove(_ slots: [UInt32]) {
        for slot in slots { rowOfSlot[Int(slot)] = Self.none }
        table.remove(slots)
    }

    private func pack() {
        let slots = table.slots.sorted { rowOfSlot[Int($0)] < rowOfSlot[Int($1)] }
        let rows = [Self.none] + slots.map { rowOfSlot[Int($0)] }
        columns = columns.map { $0.gathered(rows).compacted() }
        timestamps = rows.map { timestamps[Int($0)] }
        for (i, slot) in slots.enumerated() { rowOfSlot[Int(slot)] = UInt32(i + 1) }
    }
}
