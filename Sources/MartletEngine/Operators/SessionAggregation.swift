import MartletColumns
import MartletCore
import MartletSQL

/// GROUP BY with session windows: rows of a key that are at most the gap apart belong to one session, and a row that joins sessions merges them.
///
/// A session whose bounds change is another row of the result: the old one is deleted before the new one comes. A row whose session would
/// have ended before the newest timestamp less grace and gap is late and dropped (Kafka Streams: session windows).
final class SessionAggregation: StreamOperator, StateStore {
    private struct Session {
        var start: Int64
        /// The last row's timestamp.
        var end: Int64
        var slot: UInt32
        /// A result of just these bounds was there at the last commit.
        var isKept = false
        var isChanged = true
        /// Where among `before` its result at the last commit is.
        var before = -1
    }

    /// A session that was there at the last commit and no longer is.
    private struct Gone {
        var start: Int64
        var end: Int64
        var before: Int
    }

    private let description: PhysicalOperator.Aggregate
    private let setup: AggregationSetup
    private let gap: Int64
    private let window: PhysicalOperator.Window
    /// Keys without windows; `sessions` is indexed by its slots, sorted by start.
    private let table: GroupTable
    private var sessions: [[Session]] = []
    private var columns: AggregateColumns
    private var slotCount = 0
    private var freeSlots: [UInt32] = []
    private var streamTime = StreamTime()
    /// Keys that changed since the last commit, in order, and what went.
    private var changed: [UInt32] = []
    private var isChanged: [Bool] = []
    private var gone: [UInt32: [Gone]] = [:]
    private var before: [Column]
    private var beforeCount = 0
    /// Sessions by their end, the earliest first: those that may become final.
    private var ends = EarliestFirst()
    private var expiredAt: Int64 = .min
    private let retention: Int64
    private var partition: Int32 = 0
    /// Sessions that have gone since the last commit, and those of them that were in the index only.
    private var expired: [(key: UInt32, start: Int64, end: Int64)] = []
    private var expiredInIndex = BytesColumn()

    /// Where sessions are that are not in memory; nil: all are.
    private var index: (any StateIndex)?
    private var clock = EvictionClock()
    private var valueBytes = AverageBytes()
    /// Of a slot's key all sessions are in memory.
    private var isWhole: [Bool] = []
    /// Final results have been given of sessions that ended before.
    private var closedBefore = Int64.min
    /// Sessions in the index only of which no final result has been given; and those that have not expired.
    private var openInIndex = TimeCursor()
    private var expiringInIndex: [UInt8]?

    init(_ description: PhysicalOperator.Aggregate, gapMs: Int64, window: PhysicalOperator.Window, _ setup: AggregationSetup) throws(MartletError) {
        self.description = description
        self.setup = setup
        self.window = window
        gap = gapMs
        retention = max(window.retentionMs, gapMs + window.graceMs)
        table = GroupTable(types: Array(setup.inputTypes[..<description.keyCount]))
        columns = try AggregateColumns(description, inputWidth: setup.inputTypes.count, functions: setup.functions, properties: setup.properties)
        before = description.calls.map { .empty($0.type) }
    }

    /// What a batch has done so far, not yet applied to the columns.
    private struct Pending {
        var steps = AggregateSteps(kinds: [], slots: [], rows: [])
        var results = Results()
    }

    /// Results to come out: a session and the step whose result it is, −1 for a deletion.
    private struct Results {
        var keys: [UInt32] = []
        var windows = Batch.Windows(starts: [], ends: [])
        var steps: [Int] = []
        var rows: [UInt32] = []

        mutating func append(_ key: UInt32, _ start: Int64, _ end: Int64, step: Int, row: Int) {
            keys.append(key)
            windows.starts.append(start)
            windows.ends.append(end)
            steps.append(step)
            rows.append(UInt32(row))
        }
    }

    // MARK: rows

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        partition = batch.partition
        var rows: [UInt32] = []
        for row in 0..<batch.count where batch.nullValues?[row] != true {
            if batch.columns[..<description.keyCount].allSatisfy({ $0.validity.isValid(row) }) { rows.append(UInt32(row)) }
        }
        if rows.isEmpty { return Batch(count: 0, columns: [], timestamps: []) }
        let keys = slots(of: Array(batch.columns[..<description.keyCount]), rows)
        try load(keys)
        var out: [Batch] = []
        var pending = Pending()
        let isEveryUpdate = setup.emitsEveryUpdate && setup.finalGraceMs == nil
        for (key, row) in zip(keys, rows) {
            let earlier = isEveryUpdate && setup.needsPrevious ? resultsBefore(key) : [:]
            try add(key, time: batch.timestamps[Int(row)], row: row, &pending)
            if isEveryUpdate, setup.needsPrevious {
                out.append(try emit(&pending, batch, earlier))
            } else if let grace = setup.finalGraceMs, min(ends.first ?? .max, openInIndex.time) < streamTime.ms - grace - gap {
                try columns.apply(pending.steps, batch)
                pending = Pending()
                if let closed = try close(before: streamTime.ms - grace - gap) { out.append(closed) }
            }
        }
        if isEveryUpdate, !setup.needsPrevious { out.append(try emit(&pending, batch, [:])) } else { try columns.apply(pending.steps, batch) }
        if isEveryUpdate || setup.finalGraceMs != nil {
            if !setup.isPersistent { forgetChanges() }
            try expire()
        }
        return Batch.joined(out)
    }

    /// Puts a row into its session; steps and results are added to `pending`.
    private func add(_ key: UInt32, time: Int64, row: UInt32, _ pending: inout Pending) throws(MartletError) {
        // Sessions past their retention are no more, whether they have been removed or not. The store's time is that of the rows before.
        let reach = max(time - gap, streamTime.ms == .min ? .min : streamTime.ms - retention + 1)
        streamTime.advance(to: time)
        let k = Int(key)
        var first = sessions[k].count
        while first > 0, sessions[k][first - 1].end >= reach { first -= 1 }
        var last = first
        while last < sessions[k].count, sessions[k][last].start <= time + gap { last += 1 }
        let met = sessions[k][first..<last]
        let start = min(time, met.first?.start ?? time), end = max(time, met.map(\.end).max() ?? time)
        if end < streamTime.ms - window.graceMs - gap { return }

        if !isChanged[k] {
            isChanged[k] = true
            changed.append(key)
        }
        // A row that changes no bounds of the one session at its very time is an update of it.
        let isUpdate = start == time && end == time
        for session in met where !isUpdate { pending.results.append(key, session.start, session.end, step: -1, row: Int(row)) }

        var session: Session
        if let base = met.first {
            session = base
            keepBefore(&session)
            for other in met.dropFirst() {
                var other = other
                keepBefore(&other)
                append(.merge, session.slot, other.slot, &pending)
                freeSlots.append(other.slot)
                if other.isKept { gone[key, default: []].append(Gone(start: other.start, end: other.end, before: other.before)) }
            }
            if session.start != start || session.end != end {
                if session.isKept { gone[key, default: []].append(Gone(start: session.start, end: session.end, before: session.before)) }
                session.isKept = false
                session.before = -1
            }
            (session.start, session.end, session.isChanged) = (start, end, true)
        } else {
            session = Session(start: start, end: end, slot: try newSlot(&pending))
        }
        append(.add, session.slot, row, &pending)
        sessions[k].replaceSubrange(first..<last, with: [session])
        pending.results.append(key, start, end, step: pending.steps.count - 1, row: Int(row))
        if setup.finalGraceMs != nil { ends.insert(end, key) }
    }

    private func append(_ kind: AggregateSteps.Kind, _ slot: UInt32, _ row: UInt32, _ pending: inout Pending) {
        pending.steps.kinds!.append(kind)
        pending.steps.slots.append(slot)
        pending.steps.rows.append(row)
    }

    private func newSlot(_ pending: inout Pending) throws(MartletError) -> UInt32 {
        if let slot = freeSlots.popLast() {
            append(.clear, slot, 0, &pending)
            return slot
        }
        slotCount += 1
        columns.grow(to: max(slotCount, 16).nextPowerOfTwo)
        return UInt32(slotCount - 1)
    }

    /// The result that was there at the last commit, before the first change since.
    private func keepBefore(_ session: inout Session) {
        guard setup.needsPrevious, !setup.emitsEveryUpdate, session.isKept, session.before < 0 else { return }
        for (i, column) in columns.results([session.slot]).enumerated() { before[i].append(contentsOf: column) }
        session.before = beforeCount
        beforeCount += 1
    }

    // MARK: results

    private struct Bounds: Hashable { let start: Int64, end: Int64 }

    private func resultsBefore(_ key: UInt32) -> [Bounds: [Column]] {
        var out: [Bounds: [Column]] = [:]
        for session in sessions[Int(key)] { out[Bounds(start: session.start, end: session.end)] = columns.results([session.slot]) }
        return out
    }

    private func emit(_ pending: inout Pending, _ batch: Batch, _ earlier: [Bounds: [Column]]) throws(MartletError) -> Batch {
        let results = pending.results
        let (made, _) = try columns.applyEmitting(pending.steps, batch)
        pending = Pending()
        // Deletions take any row: their columns are null.
        let picked = results.steps.map { UInt32(max($0, 0)) }
        var values = made.map { picked.isEmpty ? $0 : $0.gathered(picked) }
        let deleted = results.steps.map { $0 < 0 }
        if deleted.contains(true) {
            for i in values.indices { values[i].validity = values[i].validity.and(Validity(flags: deleted.map { !$0 })) }
        }
        var out = output(results.keys, results.windows, values)
        if deleted.contains(true) { out.nullValues = deleted }
        if !batch.offsets.isEmpty { out.offsets = results.rows.map { batch.offsets[Int($0)] } }
        out.headers = batch.headers?.gathered(results.rows)
        if setup.needsPrevious {
            var previous = description.calls.map { Column.empty($0.type) }, isNull: [Bool] = []
            for i in results.keys.indices {
                let known = earlier[Bounds(start: results.windows.starts[i], end: results.windows.ends[i])]
                // The bounds of a session that has just been deleted are free again.
                let isThere = known != nil && !(i > 0 && !deleted[i] && (0..<i).contains { deleted[$0] && results.windows.starts[$0] == results.windows.starts[i] && results.windows.ends[$0] == results.windows.ends[i] })
                isNull.append(!isThere)
                for c in previous.indices { previous[c].append(contentsOf: isThere ? known![c] : .nulls(description.calls[c].type, count: 1)) }
            }
            out.previous = description.previous(of: out, previous, isNull)
        }
        return out
    }

    /// A result's time is the end of its session.
    private func output(_ keys: [UInt32], _ windows: Batch.Windows, _ results: [Column]) -> Batch {
        var out = Batch(count: keys.count, columns: table.keys(of: keys) + results, timestamps: windows.ends)
        out.columns += [.bigint(FixedColumn(windows.starts)), .bigint(FixedColumn(windows.ends))]
        out.windows = windows
        out.partition = partition
        return out
    }

    func flush(_ context: inout OperatorContext) throws(MartletError) -> Batch? {
        if setup.emitsEveryUpdate || setup.finalGraceMs != nil || changed.isEmpty { return nil }
        var keys: [UInt32] = [], windows = Batch.Windows(starts: [], ends: []), slots: [UInt32] = [], deleted: [Bool] = [], befores: [Int] = []
        func append(_ key: UInt32, _ start: Int64, _ end: Int64, _ slot: UInt32, isDeleted: Bool, before: Int) {
            keys.append(key)
            windows.starts.append(start)
            windows.ends.append(end)
            slots.append(slot)
            deleted.append(isDeleted)
            befores.append(before)
        }
        for key in changed {
            let live = sessions[Int(key)]
            for old in gone[key] ?? [] where !live.contains(where: { $0.start == old.start && $0.end == old.end }) {
                append(key, old.start, old.end, 0, isDeleted: true, before: old.before)
            }
            for session in live where session.isChanged {
                // The same bounds again: an update.
                let old = gone[key]?.first { $0.start == session.start && $0.end == session.end }
                append(key, session.start, session.end, session.slot, isDeleted: false, before: old?.before ?? session.before)
            }
        }
        var values = keys.isEmpty ? description.calls.map { Column.empty($0.type) } : columns.results(slots)
        if deleted.contains(true) {
            for i in values.indices { values[i].validity = values[i].validity.and(Validity(flags: deleted.map { !$0 })) }
        }
        var out = output(keys, windows, values)
        if deleted.contains(true) { out.nullValues = deleted }
        if setup.needsPrevious {
            // Row 0 stands for none.
            let padded = zip(before, description.calls).map { column, call in
                var all = Column.nulls(call.type, count: 1)
                all.append(contentsOf: column)
                return all.gathered(befores.map { UInt32($0 + 1) })
            }
            out.previous = description.previous(of: out, padded, befores.map { $0 < 0 })
        }
        if !setup.isPersistent { forgetChanges() }
        try expire()
        return out.count > 0 ? out : nil
    }

    /// Results of sessions that ended before `limit`, in the order of their ends.
    private func close(before limit: Int64) throws(MartletError) -> Batch? {
        while openInIndex.time < limit, let index {
            try enter(RestoredChanges(try openInIndex.take(from: index)), isNews: false)
        }
        let first = closedBefore
        closedBefore = max(closedBefore, limit)
        var found: [(key: UInt32, start: Int64, end: Int64, slot: UInt32)] = [], isFound: Set<UInt32> = []
        while let end = ends.first, end < limit {
            let key = ends.removeFirst()
            // A changelog tells of sessions and, later, of the time that made them final.
            guard end >= first, let session = sessions[Int(key)].first(where: { $0.end == end }), isFound.insert(session.slot).inserted else { continue }
            found.append((key, session.start, session.end, session.slot))
        }
        if found.isEmpty { return nil }
        let encoded = table.encoded(found.map(\.key))
        let order = found.indices.sorted { a, b in
            if found[a].end != found[b].end { return found[a].end < found[b].end }
            if found[a].start != found[b].start { return found[a].start < found[b].start }
            return encoded.slice(a).lexicographicallyPrecedes(encoded.slice(b))
        }
        let sorted = order.map { found[$0] }
        return output(
            sorted.map(\.key), Batch.Windows(starts: sorted.map(\.start), ends: sorted.map(\.end)), columns.results(sorted.map(\.slot)))
    }

    // MARK: state

    /// Forgets sessions that nobody may ask for any more; looks at all of them, but seldom.
    private func expire() throws(MartletError) {
        guard streamTime.ms != .min else { return }
        if expiredAt == .min { expiredAt = streamTime.ms }
        if streamTime.ms - expiredAt > retention / 4 {
            expiredAt = streamTime.ms
            if index != nil { expiringInIndex = expiringInIndex ?? [] }
            let limit = expiryLimit
            for key in table.slots where sessions[Int(key)].contains(where: { $0.end < limit }) {
                for old in sessions[Int(key)] where old.end < limit {
                    freeSlots.append(old.slot)
                    expired.append((key, old.start, old.end))
                }
                sessions[Int(key)].removeAll { $0.end < limit }
            }
        }
        try expireInIndex(before: expiryLimit)
        if !setup.isPersistent { forgetExpired() }
    }

    /// Of sessions that end before, nobody asks for any more; final results have been given of them.
    private var expiryLimit: Int64 { expiredAt - retention + (setup.finalGraceMs == nil ? 1 : 0) }

    /// The same of those that are not in memory: a part at each commit, by their ends.
    private func expireInIndex(before limit: Int64) throws(MartletError) {
        guard let index, let first = expiringInIndex, expiredInIndex.count == 0 else { return }
        let places = try index.keys(byTimeFrom: first, limit: 16_384)
        let over = places.prefix { EntryTime.time(ofPlace: $0[...]) < limit }
        for place in over { expiredInIndex.append(place[EntryTime.timeBytes...]) }
        // The rest comes with the next commit; in a quarter of the retention it begins from the front again.
        expiringInIndex = over.isEmpty ? nil : over[over.count - 1] + [0]
    }

    /// Keys without sessions go, once the changelog knows.
    private func forgetExpired() {
        let keys = Set(expired.map(\.key)).filter { sessions[Int($0)].isEmpty && !isChanged[Int($0)] && table.contains($0) }
        table.remove(Array(keys))
        expired = []
        expiredInIndex = BytesColumn()
    }

    private func forgetChanges() {
        for key in changed {
            isChanged[Int(key)] = false
            for i in sessions[Int(key)].indices {
                sessions[Int(key)][i].isChanged = false
                sessions[Int(key)][i].isKept = true
                sessions[Int(key)][i].before = -1
            }
        }
        changed = []
        gone = [:]
        if beforeCount > 0 { before = description.calls.map { .empty($0.type) } }
        beforeCount = 0
    }

    var stores: [any StateStore] { [self] }
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? { nil }

    var name: String { description.step }
    func takeChanges(_ out: inout StateChanges) throws(MartletError) {
        var keys: [UInt32] = [], windows = Batch.Windows(starts: [], ends: []), slots: [UInt32?] = []
        func append(_ key: UInt32, _ start: Int64, _ end: Int64, _ slot: UInt32?) {
            keys.append(key)
            windows.starts.append(start)
            windows.ends.append(end)
            slots.append(slot)
        }
        for old in expired { append(old.key, old.start, old.end, nil) }
        for key in changed {
            for old in gone[key] ?? [] { append(key, old.start, old.end, nil) }
            for session in sessions[Int(key)] where session.isChanged { append(key, session.start, session.end, session.slot) }
        }
        let encodedKeys = KeyEncoding.encode(table.keys(of: keys), windows: windows, rows: keys.indices.map { UInt32($0) })
        let values = columns.encoded(slots.compactMap { $0 })
        valueBytes.note(values)
        var next = 0
        for i in keys.indices {
            if slots[i] == nil {
                out.append(timestamp: max(windows.ends[i], 0), key: encodedKeys.slice(i), value: nil as ArraySlice<UInt8>?)
            } else {
                out.append(timestamp: max(windows.ends[i], 0), key: encodedKeys.slice(i), value: values.slice(next))
                next += 1
            }
        }
        for i in 0..<expiredInIndex.count {
            out.append(timestamp: max(streamTime.ms, 0), key: expiredInIndex.slice(i), value: nil as ArraySlice<UInt8>?)
        }
        streamTime.takeChange(&out)
        if index != nil { clock.use(changed) }
        forgetChanges()
        forgetExpired()
    }

    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        if let time = changes.streamTime { streamTime.restore(time) }
        // Final results were given, and committed, with the time that made them final.
        if let grace = setup.finalGraceMs, streamTime.ms != .min { closedBefore = max(closedBefore, streamTime.ms - grace - gap) }
        let (keys, windows) = try decoded(changes.removed)
        for (i, key) in keys.enumerated() {
            guard let at = sessions[Int(key)].firstIndex(where: { $0.start == windows.starts[i] && $0.end == windows.ends[i] }) else { continue }
            freeSlots.append(sessions[Int(key)].remove(at: at).slot)
        }
        try enter(changes, isNews: true)
    }

    private func decoded(_ keys: BytesColumn) throws(MartletError) -> (keys: [UInt32], windows: Batch.Windows) {
        guard let (columns, windows) = KeyEncoding.decode(keys, types: table.types, isWindowed: true), let windows else {
            throw MartletError(.corruptRecord, "a key of the state is not what this query keeps")
        }
        return (slots(of: columns, (0..<UInt32(keys.count)).map { $0 }), windows)
    }

    /// Takes sessions into memory.
    ///
    /// - `isNews`: what they say is newer than what is known of sessions that are there.
    private func enter(_ changes: RestoredChanges, isNews: Bool) throws(MartletError) {
        let (keys, windows) = try decoded(changes.keys)
        var slots: [UInt32] = [], rows: [UInt32] = []
        var pending = Pending()
        for (i, key) in keys.enumerated() {
            let (start, end) = (windows.starts[i], windows.ends[i])
            let known = sessions[Int(key)].first { $0.start == start && $0.end == end }
            // Where all of a key's sessions are in memory, an index that is behind may have others.
            if !isNews, known != nil || isWhole[Int(key)] { continue }
            rows.append(UInt32(i))
            if let known {
                slots.append(known.slot)
                continue
            }
            let session = Session(start: start, end: end, slot: try newSlot(&pending), isKept: true, isChanged: false)
            slots.append(session.slot)
            let at = sessions[Int(key)].firstIndex { $0.start > start } ?? sessions[Int(key)].count
            sessions[Int(key)].insert(session, at: at)
            if setup.finalGraceMs != nil, end >= closedBefore { ends.insert(end, key) }
        }
        let values = rows.count == keys.count ? changes.values : changes.values.gathered(rows)
        valueBytes.note(values)
        try columns.restore(values, into: slots)
    }

    // MARK: sessions that are not in memory

    /// Keys leave memory with all their sessions: a row's sessions are a range of the keys of an index.
    var hasWindowedKeys: Bool { false }
    var listing: EntryTime? { .windowEnd }
    var isEvicting: Bool { setup.isPersistent }
    var isPartial: Bool { index != nil }

    private var bytesPerKey: Int { table.byteCount / max(table.slotCount, 1) + 48 }
    private var bytesPerSession: Int { 72 + (valueBytes.average ?? 16) * 3 / 2 }

    var memoryBytes: Int { table.count * bytesPerKey + (slotCount - freeSlots.count) * bytesPerSession }

    var changedBytes: Int { changed.count * (bytesPerKey + bytesPerSession) }

    /// The slots of keys; a new key gets one. Of a key that comes new all sessions may be elsewhere.
    private func slots(of keys: [Column], _ rows: [UInt32]) -> [UInt32] {
        let assigned = table.assign(keys, rows: rows)
        while sessions.count < table.slotCount {
            sessions.append([])
            isChanged.append(false)
            isWhole.append(false)
        }
        for slot in assigned.created { isWhole[Int(slot)] = index == nil }
        return assigned.slots
    }

    /// Brings the sessions of keys into memory.
    private func load(_ slots: [UInt32]) throws(MartletError) {
        guard let index else { return }
        let wanted = Array(Set(slots.filter { !isWhole[Int($0)] }))
        if wanted.isEmpty { return }
        // Behind the key come the bounds of a session, 16 bytes.
        let prefixes = table.encoded(wanted), last = [UInt8](repeating: 0xff, count: 17)
        var upper = BytesColumn()
        for i in wanted.indices { upper.append(prefixes.slice(i) + last) }
        try enter(RestoredChanges(try index.find(from: prefixes, before: upper)), isNews: false)
        for slot in wanted { isWhole[Int(slot)] = true }
    }

    func complete(from index: any StateIndex) {
        self.index = index
        for slot in isWhole.indices { isWhole[slot] = false }
        if setup.finalGraceMs != nil { openInIndex.toBeginning() }
    }

    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) {
        guard isEvicting else { return }
        self.index = index
        let perKey = bytesPerKey, perSession = bytesPerSession, told = Set(expired.map(\.key))
        let victims = clock.victims(memoryBytes - bytes, among: table.slotCount, weight: {
            table.contains($0) && !isChanged[Int($0)] && !told.contains($0) ? perKey + sessions[Int($0)].count * perSession : 0
        })
        if victims.isEmpty { return }
        if setup.finalGraceMs != nil {
            let keys = table.encoded(victims)
            for (i, key) in victims.enumerated() {
                let open = sessions[Int(key)].filter { $0.end >= closedBefore }
                let windows = Batch.Windows(starts: open.map(\.start), ends: open.map(\.end))
                let bounds = KeyEncoding.encode([], windows: windows)
                for j in open.indices { openInIndex.lower(to: EntryTime.windowEnd.place(of: keys.slice(i) + bounds.slice(j))) }
            }
        }
        var emptied: [UInt32] = []
        for key in victims {
            emptied += sessions[Int(key)].map(\.slot)
            sessions[Int(key)] = []
        }
        table.remove(victims)
        // What they held is given back.
        try columns.clear(emptied)
        freeSlots += emptied
        if setup.finalGraceMs == nil { return }
        ends = EarliestFirst()
        for key in table.slots { for session in sessions[Int(key)] where session.end >= closedBefore { ends.insert(session.end, key) } }
    }
}

extension Int {
    fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}

/// Ends of sessions with their keys, the earliest first: a binary heap.
struct EarliestFirst {
    private var entries: [(end: Int64, key: UInt32)] = []

    var first: Int64? { entries.first?.end }

    mutating func insert(_ end: Int64, _ key: UInt32) {
        entries.append((end, key))
        var at = entries.count - 1
        while at > 0, entries[(at - 1) / 2].end > entries[at].end {
            entries.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    /// Takes the earliest out; there has to be one.
    mutating func removeFirst() -> UInt32 {
        entries.swapAt(0, entries.count - 1)
        let key = entries.removeLast().key
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2] where child < entries.count && entries[child].end < entries[least].end { least = child }
            if least == at { return key }
            entries.swapAt(at, least)
            at = least
        }
    }
}

extension Batch {
    /// The rows of `batches`, which are laid out alike, one after another.
    static func joined(_ batches: [Batch]) -> Batch {
        let batches = batches.filter { $0.count > 0 }
        guard var out = batches.first else { return Batch(count: 0, columns: [], timestamps: []) }
        if batches.count == 1 { return out }
        func flags(_ of: (Batch) -> [Bool]?) -> [Bool]? {
            guard batches.contains(where: { of($0) != nil }) else { return nil }
            return batches.flatMap { of($0) ?? [Bool](repeating: false, count: $0.count) }
        }
        let (nullValues, nullKeys) = (flags(\.nullValues), flags(\.nullKeys))
        for batch in batches.dropFirst() {
            for i in out.columns.indices { out.columns[i].append(contentsOf: batch.columns[i]) }
            if let previous = batch.previous, out.previous != nil {
                for i in out.previous!.columns.indices { out.previous!.columns[i].append(contentsOf: previous.columns[i]) }
                out.previous!.isNull += previous.isNull
            }
            if let windows = batch.windows, out.windows != nil {
                out.windows!.starts += windows.starts
                out.windows!.ends += windows.ends
            }
            out.timestamps += batch.timestamps
            out.offsets += batch.offsets
            out.count += batch.count
        }
        out.nullValues = nullValues
        out.nullKeys = nullKeys
        out.headers = nil
        return out
    }
}
