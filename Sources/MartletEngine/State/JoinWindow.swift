import MartletColumns
import MartletCore

/// The rows of one side of a stream-stream join that the other side may still meet, by key and time.
///
/// Rows lie in growing columns in the order they came. A row whose time is `retentionMs` or more before the newest of its side is not found any
/// more, and thrown away once enough of them have come together; one that waits for its outer result stays until that is given.
///
/// The changelog has a record a row: key, time and number, then whether the row waits, and its columns; and one of the times seen.
final class JoinWindow: StateStore {
    /// The row that stands for no row: all null.
    static let none: UInt32 = 0

    let name: String
    let retentionMs: Int64?
    let keys: [Int]
    private let span: Int64
    private let types: [SQLType]
    private let isPersistent: Bool
    /// The side's columns, then the bounds of the row's window if keys are windowed.
    private var columns: [Column]
    private(set) var timestamps: [Int64] = [0]
    private var numbers: [Int64] = [-1]
    /// Rows without a match yet that will be given as outer results.
    private(set) var waits: [Bool] = [false]
    private var nextNumber: Int64 = 0
    private var index: GroupTable
    /// Rows of a key's slot by time, rows of one time in the order they came.
    private var rowsOfSlot: [[UInt32]] = []
    /// The newest time of this side's rows, which decides what is kept.
    private var newest = Int64.min
    /// The newest time that the join has seen on either side, of rows that are not kept too.
    private(set) var seen = Int64.min
    private var isTimeChanged = false
    private var rowsAfterPacking = 1
    private var changed: Set<UInt32> = []
    /// Rows that came back from the changelog, by number, until the first is added: a later record says whether one still waits.
    private var restored: [Int64: UInt32] = [:]

    /// - `retentionMs`: how long rows are kept.
    init(name: String, types: [SQLType], keys: [Int], retentionMs: Int64, isWindowed: Bool, isPersistent: Bool) {
        self.name = name
        self.retentionMs = retentionMs
        span = retentionMs
        self.keys = keys
        self.types = types + (isWindowed ? [.bigint, .bigint] : [])
        self.isPersistent = isPersistent
        columns = self.types.map { Column.nulls($0, count: 1) }
        index = GroupTable(types: keys.map { types[$0] })
    }

    /// Rows before this time are not there any more.
    private var oldest: Int64 { newest < Int64.min + span + 1 ? .min : newest - span + 1 }

    /// The number of rows held, garbage included.
    var count: Int { timestamps.count }
    var waiting: [UInt32] { waits.indices.filter { waits[$0] }.map { UInt32($0) } }

    func column(_ i: Int) -> Column { columns[i] }
    func gathered(_ rows: [UInt32]) -> [Column] { columns.map { $0.gathered(rows) } }

    // MARK: adding

    /// Appends the rows of a batch; they are found once `add` has been called for them.
    ///
    /// - Returns: the first one's number and the slots of their keys.
    func append(_ batch: Batch) -> (first: Int, slots: [UInt32]) {
        restored = [:]
        if timestamps.count > 2 * rowsAfterPacking + 65_536 { pack() }
        let first = timestamps.count
        var own = batch.columns
        if own.count < types.count {
            let windows = batch.windows ?? Batch.Windows(starts: [Int64](repeating: 0, count: batch.count), ends: [Int64](repeating: 0, count: batch.count))
            own += [.bigint(FixedColumn(windows.starts)), .bigint(FixedColumn(windows.ends))]
        }
        for i in columns.indices { columns[i].append(contentsOf: own[i]) }
        timestamps += batch.timestamps
        waits += [Bool](repeating: false, count: batch.count)
        numbers += (0..<Int64(batch.count)).map { nextNumber + $0 }
        nextNumber += Int64(batch.count)
        let slots = index.assign(keys.map { batch.columns[$0] }).slots
        let missing = index.slotCount - rowsOfSlot.count
        if missing > 0 { rowsOfSlot += [[UInt32]](repeating: [], count: missing) }
        return (first, slots)
    }

    /// Makes a row that was appended one that the other side can find.
    func add(_ row: UInt32, slot: UInt32) {
        let time = timestamps[Int(row)]
        newest = max(newest, time)
        if isPersistent { changed.insert(row) }
        let last = rowsOfSlot[Int(slot)].count - 1
        if last < 0 || timestamps[Int(rowsOfSlot[Int(slot)][last])] <= time {
            rowsOfSlot[Int(slot)].append(row)
        } else {
            let at = firstPosition(rowsOfSlot[Int(slot)], after: time)
            rowsOfSlot[Int(slot)].insert(row, at: at)
        }
    }

    /// Tells the time that the join has seen, to be kept.
    func advance(to time: Int64) {
        if time <= seen { return }
        seen = time
        isTimeChanged = true
    }

    func setWaits(_ row: UInt32, _ isWaiting: Bool) {
        waits[Int(row)] = isWaiting
        if isPersistent { changed.insert(row) }
    }

    // MARK: finding

    func find(_ keys: [Column], count: Int) -> [UInt32] { index.find(keys, rows: count == 0 ? [] : nil) }

    /// Calls `visit` with the rows of a key whose time lies in `from...to`, by time.
    func visit(slot: UInt32, from: Int64, to: Int64, _ visit: (UInt32) -> Void) {
        let rows = rowsOfSlot[Int(slot)]
        let from = max(from, oldest)
        var at = from == .min ? 0 : firstPosition(rows, after: from - 1)
        while at < rows.count, timestamps[Int(rows[at])] <= to {
            visit(rows[at])
            at += 1
        }
    }

    /// The first position whose row is later than `time`.
    private func firstPosition(_ rows: [UInt32], after time: Int64) -> Int {
        var low = 0, high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if timestamps[Int(rows[middle])] <= time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: throwing away

    /// Keeps what can still be found or waits.
    private func pack() {
        // A row changed since the last commit is written by its place.
        var live: [UInt32] = []
        let oldest = oldest
        for row in 1..<timestamps.count where timestamps[row] >= oldest || waits[row] || changed.contains(UInt32(row)) { live.append(UInt32(row)) }
        var place: [UInt32: UInt32] = [:]
        for (i, row) in live.enumerated() { place[row] = UInt32(i + 1) }
        let kept = [Self.none] + live
        columns = columns.map { $0.gathered(kept).compacted() }
        timestamps = kept.map { timestamps[Int($0)] }
        numbers = kept.map { numbers[Int($0)] }
        waits = kept.map { waits[Int($0)] }
        changed = Set(changed.compactMap { place[$0] })
        var emptied: [UInt32] = []
        for slot in index.slots {
            rowsOfSlot[Int(slot)] = rowsOfSlot[Int(slot)].compactMap { place[$0] }
            if rowsOfSlot[Int(slot)].isEmpty { emptied.append(slot) }
        }
        index.remove(emptied)
        rowsAfterPacking = timestamps.count
    }

    // MARK: state

    /// Rows are found by a range of times: they stay in memory, for the time of the join.
    var memoryBytes: Int { index.byteCount + count * (32 + (valueBytes.average ?? 16 * types.count)) }
    private var valueBytes = AverageBytes()

    func takeChanges(_ out: inout StateChanges) throws(MartletError) {
        if isTimeChanged {
            let bytes = [newest, seen].flatMap { time in withUnsafeBytes(of: time.bigEndian) { Array($0) } }
            out.append(timestamp: max(seen, 0), key: StreamTime.key, value: bytes)
            isTimeChanged = false
        }
        let rows = changed.sorted()
        changed = []
        let records = encoded(rows)
        valueBytes.note(records.values)
        for (i, row) in rows.enumerated() {
            out.append(timestamp: max(timestamps[Int(row)], 0), key: records.keys.slice(i), value: records.values.slice(i))
        }
    }

    private func encoded(_ rows: [UInt32]) -> (keys: BytesColumn, values: BytesColumn) {
        let gathered = gathered(rows)
        let times = Column.bigint(FixedColumn(rows.map { timestamps[Int($0)] })), own = Column.bigint(FixedColumn(rows.map { numbers[Int($0)] }))
        return (
            KeyEncoding.encode(keys.map { gathered[$0] } + [times, own]),
            KeyEncoding.encode([times, own, .boolean(FixedColumn(rows.map { waits[Int($0)] }))] + gathered)
        )
    }

    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        if let times = changes.streamTime {
            func time(_ bytes: ArraySlice<UInt8>) -> Int64 { bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) } }
            newest = max(newest, time(times.prefix(8)))
            seen = max(seen, time(times.suffix(8)))
        }
        guard let (values, _) = KeyEncoding.decode(changes.values, types: [.bigint, .bigint, .boolean] + types), case .bigint(let times) = values[0],
            case .bigint(let own) = values[1], case .boolean(let isWaiting) = values[2]
        else { throw MartletError(.corruptRecord, "a row of the state \(name) is not what this query keeps") }
        var known = restored
        var fresh: [UInt32] = []
        for i in 0..<changes.values.count {
            if let row = known[own.values[i]] { waits[Int(row)] = isWaiting.values[i] } else { fresh.append(UInt32(i)) }
        }
        fresh.sort { own.values[Int($0)] < own.values[Int($1)] }
        let batch = Batch(
            count: fresh.count, columns: values[3...].map { $0.gathered(fresh) }, timestamps: fresh.map { times.values[Int($0)] })
        rowsAfterPacking = max(rowsAfterPacking, timestamps.count)
        let (first, slots) = append(batch)
        for (i, source) in fresh.enumerated() {
            let number = own.values[Int(source)]
            numbers[first + i] = number
            waits[first + i] = isWaiting.values[Int(source)]
            add(UInt32(first + i), slot: slots[i])
            nextNumber = max(nextNumber, number + 1)
            known[number] = UInt32(first + i)
        }
        restored = known
        changed = []
    }
}
