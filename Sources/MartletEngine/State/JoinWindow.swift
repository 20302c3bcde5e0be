import MartletColumns
import MartletCore

/// The rows of one side of a stream-stream join that the other side may still meet, by key and time.
///
/// Rows lie in growing columns. A row whose time is `retentionMs` or more before the newest of its side is not found any
/// more, and thrown away once enough of them have come together; one that waits for its outer result stays until that is given.
///
/// The changelog has a record a row: key, time and number, then whether the row waits, and its columns; and one of the times seen and the numbers
/// given. In that order a key's rows of some time are a range: rows that are not in memory are asked for by it.
final class JoinWindow: StateStore {
    /// The row that stands for no row: all null.
    static let none: UInt32 = 0

    let name: String
    let retentionMs: Int64?
    let keys: [Int]
    /// Whether rows of this side may wait for their outer results.
    let mayWait: Bool
    let span: Int64
    let types: [SQLType]
    private let isPersistent: Bool
    /// The side's columns, then the bounds of the row's window if keys are windowed.
    private var columns: [Column]
    private(set) var timestamps: [Int64] = [0]
    private(set) var numbers: [Int64] = [-1]
    /// Rows without a match yet that will be given as outer results.
    private(set) var waits: [Bool] = [false]
    /// The same by time; some of them have found a match since.
    private var waitingRows = EarliestFirst()
    private var nextNumber: Int64 = 0
    private(set) var table: GroupTable
    /// Rows of a key's slot by time, rows of one time in the order they came.
    private var rowsOfSlot: [[UInt32]] = []
    /// The newest time of this side's rows, which decides what is kept.
    private var newest = Int64.min
    /// The newest time that the join has seen on either side, of rows that are not kept too.
    private(set) var seen = Int64.min
    private var isTimeChanged = false
    private var rowsAfterPacking = 1
    private var changed: Set<UInt32> = []
    private var valueBytes = AverageBytes()

    /// Where rows are that are not in memory; nil: all are.
    private(set) var index: (any StateIndex)?
    /// Of a slot's key all rows from this time on are in memory.
    private var completeFrom: [Int64] = []
    private var clock = EvictionClock()
    /// Rows that wait and are not in memory.
    private var waitingOnDisk = TimeCursor()
    /// All rows before this time have been given that were still waiting.
    private var givenBefore = Int64.min

    /// - `retentionMs`: how long rows are kept.
    init(name: String, types: [SQLType], keys: [Int], retentionMs: Int64, isWindowed: Bool, mayWait: Bool, isPersistent: Bool) {
        self.name = name
        self.retentionMs = retentionMs
        self.mayWait = mayWait
        span = retentionMs
        self.keys = keys
        self.types = types + (isWindowed ? [.bigint, .bigint] : [])
        self.isPersistent = isPersistent
        columns = self.types.map { Column.nulls($0, count: 1) }
        table = GroupTable(types: keys.map { types[$0] })
    }

    /// Rows before this time are not there any more.
    private var oldest: Int64 { newest < Int64.min + span + 1 ? .min : newest - span + 1 }

    /// The number of rows held, garbage included.
    var count: Int { timestamps.count }

    func column(_ i: Int) -> Column { columns[i] }
    func gathered(_ rows: [UInt32]) -> [Column] { columns.map { $0.gathered(rows) } }

    // MARK: adding

    /// Appends the rows of a batch; they are found once `add` has been called for them.
    ///
    /// - Returns: the first one's number and the slots of their keys.
    func append(_ batch: Batch) -> (first: Int, slots: [UInt32]) {
        if timestamps.count > 2 * rowsAfterPacking + 65_536 { pack() }
        let first = timestamps.count
        var own = batch.columns
        if own.count < types.count {
            let windows = batch.windows ?? Batch.Windows(starts: [Int64](repeating: 0, count: batch.count), ends: [Int64](repeating: 0, count: batch.count))
            own += [.bigint(FixedColumn(windows.starts)), .bigint(FixedColumn(windows.ends))]
        }
        append(
            own, times: batch.timestamps, numbers: (0..<Int64(batch.count)).map { nextNumber + $0 }, waits: [Bool](repeating: false, count: batch.count))
        nextNumber += Int64(batch.count)
        let slots = slots(of: keys.map { batch.columns[$0] })
        if index != nil { clock.use(slots) }
        return (first, slots)
    }

    private func append(_ own: [Column], times: [Int64], numbers: [Int64], waits: [Bool]) {
        for i in columns.indices { columns[i].append(contentsOf: own[i]) }
        timestamps += times
        self.numbers += numbers
        self.waits += waits
    }

    /// The slots of keys; a new key gets one. Of a key that comes new some rows may be elsewhere.
    private func slots(of keyColumns: [Column], rows: [UInt32]? = nil) -> [UInt32] {
        let assigned = table.assign(keyColumns, rows: rows)
        let missing = table.slotCount - rowsOfSlot.count
        if missing > 0 {
            rowsOfSlot += [[UInt32]](repeating: [], count: missing)
            completeFrom += [Int64](repeating: .min, count: missing)
        }
        for slot in assigned.created { completeFrom[Int(slot)] = index == nil ? .min : .max }
        return assigned.slots
    }

    /// Makes a row that was appended one that the other side can find.
    func add(_ row: UInt32, slot: UInt32) {
        let time = timestamps[Int(row)]
        newest = max(newest, time)
        if isPersistent {
            changed.insert(row)
            isTimeChanged = true
        }
        let last = rowsOfSlot[Int(slot)].last
        if last.map({ timestamps[Int($0)] <= time }) ?? true {
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
        if isWaiting { waitingRows.insert(timestamps[Int(row)], row) }
        if isPersistent { changed.insert(row) }
    }

    // MARK: finding

    /// The slots of keys, `absent` where there is none; from `from[i]` on the rows of the i-th key are in memory afterwards.
    ///
    /// - `isUsed`: the rows whose keys are asked for; others have no answer that means anything.
    func find(_ keyColumns: [Column], _ isUsed: [Bool], from: [Int64]) throws(MartletError) -> [UInt32] {
        guard index != nil else { return table.find(keyColumns, rows: isUsed.isEmpty ? [] : nil) }
        let rows = (0..<UInt32(isUsed.count)).filter { isUsed[Int($0)] }
        let found = slots(of: keyColumns, rows: rows)
        clock.use(found)
        var wanted: [UInt32: Int64] = [:]
        let oldest = oldest
        for (row, slot) in zip(rows, found) {
            let first = max(from[Int(row)], oldest)
            if first < completeFrom[Int(slot)] { wanted[slot] = min(wanted[slot] ?? .max, first) }
        }
        if !wanted.isEmpty { try load(wanted) }
        var out = [UInt32](repeating: GroupTable.absent, count: isUsed.count)
        for (row, slot) in zip(rows, found) { out[Int(row)] = slot }
        return out
    }

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

    private func isBefore(_ a: UInt32, _ b: UInt32) -> Bool {
        (timestamps[Int(a)], numbers[Int(a)]) < (timestamps[Int(b)], numbers[Int(b)])
    }

    /// The row of that time and number, if it is in memory.
    private func row(slot: UInt32, time: Int64, number: Int64) -> UInt32? {
        let rows = rowsOfSlot[Int(slot)]
        var low = 0, high = rows.count
        while low < high {
            let middle = (low + high) / 2, row = Int(rows[middle])
            if (timestamps[row], numbers[row]) < (time, number) { low = middle + 1 } else { high = middle }
        }
        guard low < rows.count, timestamps[Int(rows[low])] == time, numbers[Int(rows[low])] == number else { return nil }
        return rows[low]
    }

    // MARK: rows that wait

    /// Whether a row may wait whose time is before `limit`.
    func mayHaveWaiting(before limit: Int64) -> Bool {
        if let first = waitingRows.first, first < limit { return true }
        return waitingOnDisk.time < limit
    }

    /// Those that wait and whose time is before `limit`, by time; they wait no more. `limit` never falls.
    func takeWaiting(before limit: Int64) throws(MartletError) -> [UInt32] {
        givenBefore = max(givenBefore, limit)
        while waitingOnDisk.time < limit, let index {
            try enter(RestoredChanges(try waitingOnDisk.take(from: index)), isNews: false)
        }
        var out: [UInt32] = []
        while let first = waitingRows.first, first < limit {
            let row = waitingRows.removeFirst()
            if waits[Int(row)] {
                setWaits(row, false)
                out.append(row)
            }
        }
        out.sort(by: isBefore)
        return out
    }

    // MARK: throwing away

    /// Keeps what can still be found or waits, of what is not given up.
    ///
    /// - `isGivenUp`: by row; nil: none is.
    private func pack(without isGivenUp: [Bool]? = nil) {
        // A row changed since the last commit is written by its place.
        var kept = [Self.none], place = [UInt32](repeating: Self.none, count: timestamps.count), emptied: [UInt32] = []
        let oldest = oldest
        for slot in table.slots {
            var rows: [UInt32] = []
            for row in rowsOfSlot[Int(slot)] {
                let i = Int(row)
                let isOver = timestamps[i] < oldest && !waits[i] && !changed.contains(row) && !isRemembered(row)
                if isOver || isGivenUp?[i] == true { continue }
                place[i] = UInt32(kept.count)
                rows.append(place[i])
                kept.append(row)
            }
            rowsOfSlot[Int(slot)] = rows
            if rows.isEmpty { emptied.append(slot) }
        }
        columns = columns.map { $0.gathered(kept).compacted() }
        timestamps = kept.map { timestamps[Int($0)] }
        numbers = kept.map { numbers[Int($0)] }
        waits = kept.map { waits[Int($0)] }
        changed = Set(changed.map { place[Int($0)] })
        waitingRows = EarliestFirst()
        for (row, isWaiting) in waits.enumerated() where isWaiting { waitingRows.insert(timestamps[row], UInt32(row)) }
        table.remove(emptied)
        rowsAfterPacking = timestamps.count
    }

    /// The index may not know yet that a row waits no more: it stays until nobody looks for rows of its time that wait.
    private func isRemembered(_ row: UInt32) -> Bool { mayWait && index != nil && timestamps[Int(row)] >= givenBefore }

    // MARK: state

    func takeChanges(_ out: inout StateChanges) throws(MartletError) {
        if isTimeChanged {
            let bytes = [newest, seen, nextNumber].flatMap { number in withUnsafeBytes(of: number.bigEndian) { Array($0) } }
            out.append(timestamp: max(seen, 0), key: StreamTime.key, value: bytes)
            isTimeChanged = false
        }
        let rows = changed.sorted { numbers[Int($0)] < numbers[Int($1)] }
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
            func number(_ i: Int) -> Int64? { times.count >= 8 * i + 8 ? times.dropFirst(8 * i).prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) } : nil }
            newest = max(newest, number(0) ?? .min)
            seen = max(seen, number(1) ?? .min)
            nextNumber = max(nextNumber, number(2) ?? 0)
        }
        try enter(changes, isNews: true)
        rowsAfterPacking = max(rowsAfterPacking, timestamps.count)
    }

    /// Takes rows into memory.
    ///
    /// - `isNews`: what they say is newer than what is known of rows that are there.
    private func enter(_ changes: RestoredChanges, isNews: Bool) throws(MartletError) {
        guard let (values, _) = KeyEncoding.decode(changes.values, types: [.bigint, .bigint, .boolean] + types), case .bigint(let times) = values[0],
            case .bigint(let own) = values[1], case .boolean(let isWaiting) = values[2]
        else { throw MartletError(.corruptRecord, "a row of the state \(name) is not what this query keeps") }
        let count = changes.values.count
        if count == 0 { return }
        valueBytes.note(changes.values)
        let slots = slots(of: keys.map { values[3 + $0] })
        var fresh: [UInt32] = []
        for i in 0..<count {
            let known = row(slot: slots[i], time: times.values[i], number: own.values[i])
            guard let known else {
                fresh.append(UInt32(i))
                continue
            }
            if !isNews || waits[Int(known)] == isWaiting.values[i] { continue }
            waits[Int(known)] = isWaiting.values[i]
            if waits[Int(known)] { waitingRows.insert(timestamps[Int(known)], known) }
        }
        let first = timestamps.count
        append(
            values[3...].map { $0.gathered(fresh) }, times: fresh.map { times.values[Int($0)] }, numbers: fresh.map { own.values[Int($0)] },
            waits: fresh.map { isWaiting.values[Int($0)] })
        var touched: Set<UInt32> = []
        for (i, source) in fresh.enumerated() {
            let row = UInt32(first + i), slot = slots[Int(source)]
            newest = max(newest, timestamps[Int(row)])
            nextNumber = max(nextNumber, numbers[Int(row)] + 1)
            if waits[Int(row)] { waitingRows.insert(timestamps[Int(row)], row) }
            if let last = rowsOfSlot[Int(slot)].last, isBefore(row, last) { touched.insert(slot) }
            rowsOfSlot[Int(slot)].append(row)
        }
        for slot in touched { rowsOfSlot[Int(slot)].sort(by: isBefore) }
    }

    // MARK: rows that are not in memory

    var isEvicting: Bool { isPersistent }
    var isPartial: Bool { index != nil }
    var listing: EntryTime? { mayWait ? .waiting : nil }

    var expiry: EntryExpiry? {
        EntryExpiry(keptMs: span) { [span] key, value, times in
            guard EntryTime.waiting.isEntry(key), !Self.waits(value), times.count >= 8 else { return false }
            let newest = times.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
            return newest >= .min + span && EntryTime.time(ofPlace: EntryTime.waiting.time(of: key)) < newest - span + 1
        }
    }

    /// Whether a row waits, by its record's value: time and number in 9 bytes each, then the flag (`KeyEncoding`).
    static func waits(_ value: ArraySlice<UInt8>) -> Bool { value.dropFirst(18).prefix(2).elementsEqual([1, 1]) }

    private var bytesPerKey: Int { table.byteCount / max(table.slotCount, 1) + 56 }
    private var bytesPerRow: Int { 40 + (valueBytes.average ?? 16 * types.count) }

    var memoryBytes: Int { table.count * bytesPerKey + count * bytesPerRow }

    var changedBytes: Int { changed.count * bytesPerRow }

    func complete(from index: any StateIndex) {
        self.index = index
        for slot in completeFrom.indices { completeFrom[slot] = .max }
        if mayWait { waitingOnDisk.toBeginning() }
    }

    /// Brings the rows of keys from these times on into memory.
    private func load(_ wanted: [UInt32: Int64]) throws(MartletError) {
        guard let index else { return }
        let slots = Array(wanted.keys), prefixes = table.encoded(slots)
        func bound(_ prefix: ArraySlice<UInt8>, _ time: Int64) -> [UInt8] {
            prefix + [1] + withUnsafeBytes(of: (UInt64(bitPattern: time) ^ 1 << 63).bigEndian) { Array($0) }
        }
        var lower = BytesColumn(), upper = BytesColumn()
        for (i, slot) in slots.enumerated() {
            let first = wanted[slot] ?? .min, end = completeFrom[Int(slot)], prefix = prefixes.slice(i)
            lower.append(bound(prefix, first))
            // A time begins with 1.
            if end == .max { upper.append(prefix + [2]) } else { upper.append(bound(prefix, end)) }
            completeFrom[Int(slot)] = first
        }
        try enter(RestoredChanges(try index.find(from: lower, before: upper)), isNews: false)
    }

    /// Keys go with their rows, but for what has changed since `takeChanges`.
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) {
        guard isEvicting else { return }
        self.index = index
        pack()
        let perKey = bytesPerKey, perRow = bytesPerRow
        let victims = clock.victims(memoryBytes - bytes, among: table.slotCount, weight: {
            table.contains($0) ? perKey + rowsOfSlot[Int($0)].count * perRow : 0
        })
        if victims.isEmpty { return }
        var isGivenUp = [Bool](repeating: false, count: timestamps.count), waiting: [UInt32] = []
        for slot in victims {
            completeFrom[Int(slot)] = .max
            for row in rowsOfSlot[Int(slot)] where !changed.contains(row) {
                isGivenUp[Int(row)] = true
                if waits[Int(row)] { waiting.append(row) }
            }
        }
        let records = encoded(waiting)
        for i in waiting.indices { waitingOnDisk.lower(to: EntryTime.waiting.place(of: records.keys.slice(i))) }
        pack(without: isGivenUp)
    }
}
