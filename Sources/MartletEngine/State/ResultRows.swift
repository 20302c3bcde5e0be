import MartletColumns
import MartletCore

/// The rows of a table by key and window, in memory as long as there is room, and then on disk, too.
///
/// Until `begin` everything is in memory. From then on a key that is in memory has all its rows there, or those that came since (`isWhole`), and these
/// are newer than what is on disk. What has changed is written before it leaves memory; a row that was deleted stays as `gone` until then.
///
/// There are no copies of it: one, under the lock of its `ResultTable`.
struct ResultRows: @unchecked Sendable {  // The table of keys is an object, which nobody else has.
    struct Row {
        var start: Int64
        var end: Int64
        /// Index into the columns; `gone`: it was deleted.
        var at: UInt32
        var partition: Int32
    }

    /// An end of a range of keys, as bytes (`KeyEncoding`).
    struct Bound {
        var key: [UInt8]
        var isInclusive: Bool
    }

    static let gone = UInt32.max
    private static let slotsAtOnce = 4096

    private let types: [SQLType]
    private let keyCount: Int
    private let isWindowed: Bool
    private let retentionMs: Int64?
    /// All key columns, then all value columns; replaced and deleted rows stay until they outnumber the live ones.
    private(set) var columns: [Column]
    private(set) var timestamps: [Int64] = []
    private var table: GroupTable
    /// By slot of the key, the windows of a key by their start.
    private var rows: [[Row]] = []
    private var liveCount = 0
    private(set) var newestStart: Int64 = .min

    private var spill: SpilledRows?
    private var isWhole: [Bool] = []
    /// Slots that have changed since they were written.
    private var changed: [UInt32] = []
    private var isChanged: [Bool] = []
    private var clock = EvictionClock()
    private var valueBytes = AverageBytes()
    /// The newest window when expired ones were last removed from the disk.
    private var sweptAt: Int64 = .min

    init(types: [SQLType], keyCount: Int, isWindowed: Bool, retentionMs: Int64?) {
        self.types = types
        self.keyCount = keyCount
        self.isWindowed = isWindowed
        self.retentionMs = retentionMs
        columns = types.map { .empty($0) }
        table = GroupTable(types: Array(types[..<keyCount]))
    }

    mutating func removeAll() { self = ResultRows(types: types, keyCount: keyCount, isWindowed: isWindowed, retentionMs: retentionMs) }

    /// Keys in memory.
    var count: Int { table.count }

    // MARK: keeping up

    /// Applies changes in order: newer rows replace older ones, a null value deletes.
    mutating func apply(_ batch: Batch, partition: Int32) {
        let first = UInt32(timestamps.count)
        let slots = slots(of: Array(batch.columns[..<keyCount]))
        var emptied: Set<UInt32> = []
        for row in 0..<batch.count {
            let slot = slots[row], isDeletion = batch.nullValues?[row] == true
            let start = batch.windows?.starts[row] ?? 0, end = batch.windows?.ends[row] ?? 0
            if batch.windows != nil { newestStart = max(newestStart, start) }
            let known = put(Row(start: start, end: end, at: isDeletion ? Self.gone : first + UInt32(row), partition: partition), slot)
            if spill != nil {
                if !isChanged[Int(slot)] { changed.append(slot) }
                isChanged[Int(slot)] = true
            } else if isDeletion {
                rows[Int(slot)].remove(at: known)
                if rows[Int(slot)].isEmpty { emptied.insert(slot) }
            }
        }
        table.remove(emptied.filter { rows[Int($0)].isEmpty })
        for i in columns.indices { columns[i].append(contentsOf: batch.columns[i]) }
        timestamps += batch.timestamps
        let sample = (0..<UInt32(min(batch.count, 8))).map { $0 }
        if !sample.isEmpty { valueBytes.note(KeyEncoding.encode(batch.columns, rows: sample)) }
        if timestamps.count > 2 * liveCount + 65_536 { pack() }
    }

    /// Puts a row where the one of its window is, if there is one; gives its place.
    private mutating func put(_ row: Row, _ slot: UInt32) -> Int {
        let isLive = row.at != Self.gone ? 1 : 0
        if let known = rows[Int(slot)].firstIndex(where: { $0.start == row.start && $0.end == row.end }) {
            liveCount += isLive - (rows[Int(slot)][known].at != Self.gone ? 1 : 0)
            rows[Int(slot)][known] = row
            return known
        }
        liveCount += isLive
        let at = rows[Int(slot)].lastIndex { ($0.start, $0.end) < (row.start, row.end) }.map { $0 + 1 } ?? 0
        rows[Int(slot)].insert(row, at: at)
        return at
    }

    /// The slots of keys; a new key gets one. Of a key that comes new other windows may be elsewhere.
    private mutating func slots(of keys: [Column]) -> [UInt32] {
        let assigned = table.assign(keys, rows: (0..<UInt32(keys.first?.count ?? 0)).map { $0 })
        let missing = table.slotCount - rows.count
        if missing > 0 {
            rows += [[Row]](repeating: [], count: missing)
            isWhole += [Bool](repeating: true, count: missing)
            isChanged += [Bool](repeating: false, count: missing)
        }
        for slot in assigned.created {
            rows[Int(slot)] = []
            isWhole[Int(slot)] = spill == nil || !isWindowed
            isChanged[Int(slot)] = false
        }
        return assigned.slots
    }

    /// Drops rows that were replaced, and windows past their retention.
    private mutating func pack() {
        var kept: [UInt32] = [], emptied: [UInt32] = []
        for slot in table.slots {
            var own = rows[Int(slot)]
            own.removeAll { isExpired($0) }
            for i in own.indices where own[i].at != Self.gone {
                kept.append(own[i].at)
                own[i].at = UInt32(kept.count - 1)
            }
            rows[Int(slot)] = own
            if own.isEmpty { emptied.append(slot) }
        }
        columns = columns.map { $0.gathered(kept).compacted() }
        timestamps = kept.map { timestamps[Int($0)] }
        liveCount = kept.count
        leave(emptied)
    }

    private mutating func leave(_ slots: [UInt32]) {
        for slot in slots {
            for row in rows[Int(slot)] where row.at != Self.gone { liveCount -= 1 }
            rows[Int(slot)] = []
            isChanged[Int(slot)] = false
        }
        table.remove(slots)
        changed.removeAll { !isChanged[Int($0)] }
    }

    private func isExpired(_ row: Row) -> Bool { isWindowed && Self.isExpired(row, newestStart: newestStart, retentionMs) }

    /// Of a table with windows: whether the row's is past its retention.
    static func isExpired(_ row: Row, newestStart: Int64, _ retentionMs: Int64?) -> Bool {
        guard let retentionMs else { return false }
        return newestStart >= .min + retentionMs && row.start < newestStart - retentionMs
    }

    // MARK: looking up

    /// The rows of keys, one key after another; nil: the disk has to be asked, and may not.
    mutating func find(_ keys: [Column], mayWait: Bool) throws(MartletError) -> [Row]? {
        let count = keys.first?.count ?? 0
        if count == 0 { return [] }
        var slots = table.find(keys)
        if spill != nil {
            let missing = (0..<UInt32(count)).filter { slots[Int($0)] == GroupTable.absent || !isWhole[Int(slots[Int($0)])] }
            if !missing.isEmpty {
                if !mayWait { return nil }
                try load(keys.map { $0.gathered(missing) })
                slots = table.find(keys)
            }
            clock.use(slots.filter { $0 != GroupTable.absent })
        }
        var out: [Row] = []
        for slot in slots where slot != GroupTable.absent {
            for row in rows[Int(slot)] where row.at != Self.gone { out.append(row) }
        }
        return out
    }

    /// The rows of keys in a range, in the order of the keys; everything is in memory.
    func all(from lower: Bound?, to upper: Bound?) -> [Row] {
        precondition(!isPartial, "a table that is not in memory as a whole is gone through on disk")
        let slots = table.slots, keys = table.encoded(slots)
        let wanted = slots.indices.filter { i in
            !(lower.map { $0.excludes(after: keys.slice(i)) } ?? false) && !(upper.map { $0.excludes(before: keys.slice(i)) } ?? false)
        }
        return wanted.sorted { keys.slice($0).lexicographicallyPrecedes(keys.slice($1)) }.flatMap { rows[Int(slots[$0])] }
    }

    // MARK: rows on disk

    /// Not all rows are in memory.
    var isPartial: Bool { spill != nil }

    private var bytesPerKey: Int { table.byteCount / max(table.slotCount, 1) + 84 }
    private var bytesPerRow: Int { 12 + (valueBytes.average ?? 16 * types.count) }

    /// Bytes of memory, about.
    var memoryBytes: Int { table.count * bytesPerKey + timestamps.count * bytesPerRow }

    /// From now on rows may leave memory for `spill`, which is empty.
    mutating func begin(_ spill: SpilledRows) {
        self.spill = spill
        changed = table.slots
        for slot in changed { isChanged[Int(slot)] = true }
    }

    /// Gives up keys, those first that were not asked for lately, until about `bytes` are used.
    mutating func evict(to bytes: Int) throws(MartletError) {
        try writeChanges()
        try sweep()
        let perKey = bytesPerKey, perRow = bytesPerRow
        let victims = clock.victims(memoryBytes - bytes, among: table.slotCount, weight: { [table, rows] slot in
            table.contains(slot) ? perKey + rows[Int(slot)].count * perRow : 0
        })
        leave(victims)
        if timestamps.count > liveCount + liveCount / 4 { pack() }
    }

    private mutating func writeChanges() throws(MartletError) {
        guard let spill else { return }
        var from = 0
        while from < changed.count {
            let slots = changed[from..<min(from + Self.slotsAtOnce, changed.count)]
            from = slots.endIndex
            var keys: [UInt32] = [], own: [Row] = []
            for slot in slots {
                for row in rows[Int(slot)] {
                    keys.append(slot)
                    own.append(row)
                }
            }
            try spill.write(records(keys, own))
            var emptied: [UInt32] = []
            for slot in slots {
                rows[Int(slot)].removeAll { $0.at == Self.gone }
                isChanged[Int(slot)] = false
                if rows[Int(slot)].isEmpty { emptied.append(slot) }
            }
            table.remove(emptied)
        }
        changed = []
    }

    /// What is on disk of rows: key and window, then time, partition and all columns.
    private func records(_ keys: [UInt32], _ rows: [Row]) -> StateChanges {
        var out = StateChanges()
        if rows.isEmpty { return out }
        let windows = isWindowed ? Batch.Windows(starts: rows.map(\.start), ends: rows.map(\.end)) : nil
        let encodedKeys = KeyEncoding.encode(table.keys(of: keys), windows: windows)
        let live = rows.filter { $0.at != Self.gone }, places = live.map(\.at)
        let values = KeyEncoding.encode(
            [.bigint(FixedColumn(places.map { timestamps[Int($0)] })), .integer(FixedColumn(live.map(\.partition)))]
                + columns.map { $0.gathered(places) })
        var next = 0
        for (i, row) in rows.enumerated() {
            if row.at == Self.gone {
                out.append(timestamp: 0, key: encodedKeys.slice(i), value: nil as ArraySlice<UInt8>?)
            } else {
                out.append(timestamp: 0, key: encodedKeys.slice(i), value: values.slice(next))
                next += 1
            }
        }
        return out
    }

    /// Brings the rows of keys into memory.
    private mutating func load(_ keys: [Column]) throws(MartletError) {
        guard let spill else { return }
        var distinct = BytesColumn()
        let encoded = KeyEncoding.encode(keys)
        for key in Set((0..<encoded.count).map { encoded.slice($0) }) { distinct.append(key) }
        let found = isWindowed ? try spill.find(keysWith: distinct, length: 16) : try spill.find(distinct)
        let page = try decoder.page(found.keys, found.values)
        let slots = slots(of: Array(page.columns[..<keyCount]))
        let first = UInt32(timestamps.count)
        for i in page.rows.indices {
            var row = page.rows[i]
            row.at += first
            // What is in memory is newer.
            if rows[Int(slots[i])].contains(where: { $0.start == row.start && $0.end == row.end }) { continue }
            _ = put(row, slots[i])
        }
        for i in columns.indices { columns[i].append(contentsOf: page.columns[i]) }
        timestamps += page.timestamps
        for slot in table.find(keys) where slot != GroupTable.absent { isWhole[Int(slot)] = true }
    }

    /// Removes windows past their retention from the disk, once in a while.
    private mutating func sweep() throws(MartletError) {
        guard let spill, let retentionMs, isWindowed, newestStart != .min else { return }
        if sweptAt == .min { sweptAt = newestStart }
        if newestStart - sweptAt < retentionMs { return }
        sweptAt = newestStart
        let cursor = try spill.cursor(from: []), limit = newestStart - retentionMs
        var mayBeMore = true
        while mayBeMore {
            var old = StateChanges()
            mayBeMore = try cursor.next { key, _ in
                let end = Array(key.suffix(16))
                if KeyEncoding.windowStart(of: end[...]) < limit { old.append(timestamp: 0, key: key, value: nil as [UInt8]?) }
                return old.count < Self.slotsAtOnce
            }
            try spill.write(old)
        }
    }

    // MARK: going through the disk

    /// What is on disk, as rows.
    struct Decoder {
        fileprivate let types: [SQLType]
        fileprivate let keyCount: Int
        fileprivate let isWindowed: Bool
        /// The start of the newest window when the rows were as they are.
        let newestStart: Int64

        struct Page {
            var columns: [Column]
            var timestamps: [Int64]
            var rows: [Row]
        }

        /// The next rows of keys in a range, in the order of the keys, and whether there may be more.
        func next(_ cursor: RocksCursor, from lower: Bound?, to upper: Bound?) throws(MartletError) -> (Page, mayBeMore: Bool) {
            var keys = BytesColumn(), values = BytesColumn(), isOver = false
            let mayBeMore = try cursor.next { key, value in
                let own = Array(isWindowed ? UnsafeRawBufferPointer(rebasing: key.dropLast(16)) : key)[...]
                if let upper, upper.excludes(before: own) {
                    isOver = true
                    return false
                }
                if let lower, lower.excludes(after: own) { return true }
                keys.append(key)
                values.append(value)
                return keys.count < ResultRows.slotsAtOnce
            }
            return (try page(keys, values), mayBeMore && !isOver)
        }

        fileprivate func page(_ keys: BytesColumn, _ values: BytesColumn) throws(MartletError) -> Page {
            guard let (_, windows) = KeyEncoding.decode(keys, types: Array(types[..<keyCount]), isWindowed: isWindowed),
                let (columns, _) = KeyEncoding.decode(values, types: [.bigint, .integer] + types), case .bigint(let times) = columns[0],
                case .integer(let partitions) = columns[1]
            else { throw MartletError(.corruptRecord, "a row on disk is none of this table") }
            let rows = (0..<keys.count).map { i in
                Row(start: windows?.starts[i] ?? 0, end: windows?.ends[i] ?? 0, at: UInt32(i), partition: partitions.values[i])
            }
            return Page(columns: Array(columns[2...]), timestamps: times.values, rows: rows)
        }
    }

    private var decoder: Decoder { Decoder(types: types, keyCount: keyCount, isWindowed: isWindowed, newestStart: newestStart) }

    /// All rows as they are now, from a key on, to be gone through whatever comes meanwhile; not all are in memory.
    mutating func cursor(from lower: Bound?) throws(MartletError) -> (RocksCursor, Decoder)? {
        try writeChanges()
        guard let spill else { return nil }
        return (try spill.cursor(from: lower?.key ?? []), decoder)
    }
}

extension ResultRows.Bound {
    /// Of the lower end: the key is before it.
    fileprivate func excludes(after own: ArraySlice<UInt8>) -> Bool {
        own.lexicographicallyPrecedes(key) || !isInclusive && own.elementsEqual(key)
    }

    /// Of the upper end: the key is behind it.
    fileprivate func excludes(before own: ArraySlice<UInt8>) -> Bool {
        key.lexicographicallyPrecedes(own) || !isInclusive && own.elementsEqual(key)
    }
}
