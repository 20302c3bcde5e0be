import MartletColumns
import MartletCore

/// The newest row of each key (and window) of a table, as columns.
///
/// Rows live in growing columns; rows that were replaced or deleted stay behind as garbage until they outnumber the live ones, then the columns
/// are packed. Where changes are taken for a changelog a deleted key keeps its slot, without a row, until the deletion has been taken, and, if rows
/// are looked up in an index, until the index knows of it.
final class TableRows {
    /// The row that stands for no row: all null.
    static let none: UInt32 = 0

    let keyCount: Int
    let types: [SQLType]
    let table: GroupTable
    let tracksChanges: Bool
    private var rowOfSlot: [UInt32] = []
    private var columns: [Column]
    private var timestamps: [Int64] = [0]
    /// Slots in use without a row.
    private var emptyCount = 0

    /// Slots that changed since `takeChanges`, in the order of their first change.
    private var changed: [UInt32] = []
    private var isChanged: [Bool] = []
    /// Slots without a row whose deletion was taken, while rows are looked up in an index.
    private var deleted: [UInt32] = []

    /// Where rows are that are not in memory; nil: all are.
    private(set) var index: (any StateIndex)?
    private var clock = EvictionClock()
    /// Of values as they are kept, to tell what a row takes.
    private var valueBytes = AverageBytes()

    /// - `types`: of all columns; the first `keyCount` are the key.
    /// - `tracksChanges`: `takeChanges` will be called.
    init(types: [SQLType], keyCount: Int, isWindowed: Bool = false, tracksChanges: Bool = false) {
        self.types = types
        self.keyCount = keyCount
        self.tracksChanges = tracksChanges
        table = GroupTable(types: Array(types[..<keyCount]), isWindowed: isWindowed)
        columns = types.map { Column.nulls($0, count: 1) }
    }

    /// Live rows in memory.
    var count: Int { table.count - emptyCount }

    /// The columns of rows, null where a row is `none`.
    func gathered(_ rows: [UInt32]) -> [Column] { columns.map { $0.gathered(rows) } }
    func timestamps(_ rows: [UInt32]) -> [Int64] { rows.map { timestamps[Int($0)] } }

    /// Where the rows of keys are, `none` where there is none. Good until the next call.
    func find(_ keys: [Column], windows: Batch.Windows? = nil, rows: [UInt32]? = nil) throws(MartletError) -> [UInt32] {
        let windows = table.isWindowed ? windows : nil
        try load(keys, windows, rows)
        return table.find(keys, windows: windows, rows: rows).map { $0 == GroupTable.absent ? Self.none : rowOfSlot[Int($0)] }
    }

    func rows(ofSlots slots: [UInt32]) -> [UInt32] { slots.map { rowOfSlot[Int($0)] } }

    struct Update {
        /// Where each row's key was before; `none` if it was not there. Good until the next call.
        var before: [UInt32]
        /// The keys' slots; those of deleted keys may be another key's from the next call on.
        var slots: [UInt32]
        /// Slots of rows that were not in memory before.
        var loaded: [UInt32] = []
    }

    /// Applies the rows of `batch` in order: newer rows replace older ones, a null value deletes.
    ///
    /// - `isRestoring`: the changes are known to the changelog.
    @discardableResult
    func update(_ batch: Batch, isRestoring: Bool = false) throws(MartletError) -> Update {
        let keys = Array(batch.columns[..<keyCount]), windows = table.isWindowed ? batch.windows : nil
        let loaded = isRestoring ? [] : try load(keys, windows, nil)
        var update = apply(batch, keys, windows, notes: tracksChanges && !isRestoring)
        update.loaded = loaded
        return update
    }

    private func apply(_ batch: Batch, _ keys: [Column], _ windows: Batch.Windows?, notes: Bool) -> Update {
        if timestamps.count > 2 * table.count + 65_536 { pack() }
        let first = timestamps.count
        let assigned = table.assign(keys, windows: windows, rows: (0..<UInt32(batch.count)).map { $0 })
        let missing = table.slotCount - rowOfSlot.count
        if missing > 0 {
            rowOfSlot += [UInt32](repeating: Self.none, count: missing)
            isChanged += [Bool](repeating: false, count: missing)
        }
        for slot in assigned.created { rowOfSlot[Int(slot)] = Self.none }
        emptyCount += assigned.created.count
        var before = [UInt32](repeating: Self.none, count: batch.count)
        for row in 0..<batch.count {
            let slot = Int(assigned.slots[row])
            let old = rowOfSlot[slot], new = batch.nullValues?[row] == true ? Self.none : UInt32(first + row)
            before[row] = old
            rowOfSlot[slot] = new
            emptyCount += (new == Self.none ? 1 : 0) - (old == Self.none ? 1 : 0)
            if notes, !isChanged[slot] {
                isChanged[slot] = true
                changed.append(UInt32(slot))
            }
        }
        for i in columns.indices { columns[i].append(contentsOf: batch.columns[i]) }
        timestamps += batch.timestamps
        if let isDeletion = batch.nullValues, !notes {
            var gone: [UInt32] = []
            for row in 0..<batch.count where isDeletion[row] && rowOfSlot[Int(assigned.slots[row])] == Self.none { gone.append(assigned.slots[row]) }
            free(gone)
        }
        return Update(before: before, slots: assigned.slots)
    }

    /// Takes keys out that have no row.
    private func free(_ slots: [UInt32]) {
        let known = table.count
        table.remove(slots)
        emptyCount -= known - table.count
    }

    private func pack() {
        let slots = table.slots.filter { rowOfSlot[Int($0)] != Self.none }.sorted { rowOfSlot[Int($0)] < rowOfSlot[Int($1)] }
        let rows = [Self.none] + slots.map { rowOfSlot[Int($0)] }
        columns = columns.map { $0.gathered(rows).compacted() }
        timestamps = rows.map { timestamps[Int($0)] }
        for (i, slot) in slots.enumerated() { rowOfSlot[Int(slot)] = UInt32(i + 1) }
    }

    // MARK: the changelog

    /// Moves what changed since the last call to `out`: keys, and timestamps with rows as values.
    func takeChanges(_ out: inout StateChanges) {
        let keys = table.encoded(changed), there = rows(ofSlots: changed), times = timestamps(there)
        let values = KeyEncoding.encode([.bigint(FixedColumn(times))] + gathered(there))
        valueBytes.note(values)
        var gone: [UInt32] = []
        for (i, slot) in changed.enumerated() {
            let isGone = there[i] == Self.none
            out.append(timestamp: max(times[i], 0), key: keys.slice(i), value: isGone ? nil : values.slice(i))
            isChanged[Int(slot)] = false
            if isGone { gone.append(slot) }
        }
        if index != nil {
            clock.use(changed)
            deleted += gone
        } else {
            free(gone)
        }
        changed = []
    }

    /// Applies records of the changelog.
    ///
    /// - Throws: `.corruptRecord`.
    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        let gone = try table.find(encoded: changes.removed).filter { $0 != GroupTable.absent }
        for slot in gone where rowOfSlot[Int(slot)] != Self.none {
            rowOfSlot[Int(slot)] = Self.none
            emptyCount += 1
        }
        free(gone)
        try enter(changes)
    }

    /// - Returns: the slots of the rows.
    @discardableResult
    private func enter(_ changes: RestoredChanges) throws(MartletError) -> [UInt32] {
        guard let (columns, _) = KeyEncoding.decode(changes.values, types: [.bigint] + types), case .bigint(let times) = columns[0],
            let keys = KeyEncoding.decode(changes.keys, types: table.types, isWindowed: table.isWindowed)
        else { throw MartletError(.corruptRecord, "a row of the state is not what this query keeps") }
        valueBytes.note(changes.values)
        var batch = Batch(count: changes.keys.count, columns: Array(columns[1...]), timestamps: times.values)
        batch.windows = keys.windows
        return apply(batch, Array(batch.columns[..<keyCount]), keys.windows, notes: false).slots
    }

    // MARK: rows that are not in memory

    /// Brings the rows of keys into memory.
    ///
    /// - Returns: the slots of those that came.
    @discardableResult
    private func load(_ keys: [Column], _ windows: Batch.Windows?, _ rows: [UInt32]?) throws(MartletError) -> [UInt32] {
        guard let index, let found = try index.findMissing(table.find(keys, windows: windows, rows: rows), keys, windows: windows, rows: rows) else {
            return []
        }
        return try enter(RestoredChanges(found))
    }

    /// Brings the rows into memory whose keys begin with one of `prefixes`, which are those of whole columns.
    ///
    /// - Returns: the slots of those that came.
    func load(keysWith prefixes: BytesColumn) throws(MartletError) -> [UInt32] {
        guard let index, prefixes.count > 0 else { return [] }
        var upper = BytesColumn()
        // The next column begins with 0 or 1.
        for i in 0..<prefixes.count { upper.append(prefixes.slice(i) + [2]) }
        let found = try index.find(from: prefixes, before: upper)
        var keys = BytesColumn()
        for row in 0..<found.count { keys.append(found.key(row) ?? []) }
        // What is there, a deletion too, is newer than what the index says.
        var missing = StateChanges()
        for (row, slot) in try table.find(encoded: keys).enumerated() where slot == GroupTable.absent {
            missing.append(timestamp: found.timestamps[row], key: keys.slice(row), value: found.value(row))
        }
        return missing.count == 0 ? [] : try enter(RestoredChanges(RecordBlock(missing)))
    }

    private var bytesPerKey: Int { table.byteCount / max(table.slotCount, 1) + 6 }
    private var bytesPerRow: Int { 8 + (valueBytes.average ?? 16 * types.count) }

    /// Bytes of memory, about.
    var memoryBytes: Int { table.count * bytesPerKey + timestamps.count * bytesPerRow }
    var changedBytes: Int { changed.count * (bytesPerKey + bytesPerRow) }

    /// From now on rows that are not in memory are asked of `index`.
    func complete(from index: any StateIndex) { self.index = index }

    /// Gives up rows that have not changed since `takeChanges` until about `bytes` are used; `index` knows what was taken.
    func evict(to bytes: Int, _ index: any StateIndex) {
        begin(index)
        let victims = clock.victims(table.count - bytes / (bytesPerKey + bytesPerRow), among: table.slotCount, mayGiveUp)
        giveUp(victims)
    }

    /// The index knows what was taken, deletions too.
    func begin(_ index: any StateIndex) {
        self.index = index
        free(deleted.filter { rowOfSlot[Int($0)] == Self.none && !isChanged[Int($0)] })
        deleted = []
    }

    /// Whether the slot's row is there and has not changed since `takeChanges`.
    func mayGiveUp(_ slot: UInt32) -> Bool { table.contains(slot) && !isChanged[Int(slot)] && rowOfSlot[Int(slot)] != Self.none }

    func giveUp(_ slots: [UInt32]) {
        for slot in slots { rowOfSlot[Int(slot)] = Self.none }
        emptyCount += slots.count
        free(slots)
        if timestamps.count > table.count + table.count / 4 { pack() }
    }
}
