import MartletColumns
import MartletCore
import MartletSQL

/// What an aggregation has to know beside its description.
struct AggregationSetup {
    var inputTypes: [SQLType]
    /// The input's keys are windowed, and their windows belong to the groups.
    var keepsWindows: Bool
    /// Whether anything above looks at what a group's result was before.
    var needsPrevious: Bool
    /// EMIT FINAL: a window's result comes out once, when the window and this grace period are over.
    var finalGraceMs: Int64?
    var emitsEveryUpdate: Bool
    /// Changes are taken for a changelog after each flush.
    var isPersistent: Bool
    var functions: FunctionRegistry = .builtin
    var properties: [String: String]
}

/// GROUP BY, without a window or with tumbling or hopping ones: one result a group and window.
///
/// A row is late for a window that ended at or before the newest timestamp less the grace period; late rows are dropped (ksqlDB, "Grace
/// period"). Windows are aligned to the epoch. A group that loses its last row stays, with its empty value.
final class Aggregation: StreamOperator, StateStore {
    private let description: PhysicalOperator.Aggregate
    private let setup: AggregationSetup
    private let table: GroupTable
    private var columns: AggregateColumns
    private var streamTime = StreamTime()
    private let size: Int64, advance: Int64
    /// Slots by the start of their window, and the starts, rising.
    private var byStart: [Int64: [UInt32]] = [:]
    private var starts: [Int64] = []

    /// Slots that changed since the last commit, in the order of their first change.
    private var changed: [UInt32] = []
    private var isChanged: [Bool] = []
    /// What those slots' results were before, where anybody needs it.
    private var before: [Column]
    private var beforeIsNull: [Bool] = []
    private var partition: Int32 = 0
    /// Keys of windows that have gone since the last commit.
    private var expired = BytesColumn()

    /// Where groups are that are not in memory; nil: all are.
    private var index: (any StateIndex)?
    private var clock = EvictionClock()
    /// Windows that began before are gone from the index, or will be with the next commit.
    private var indexBegins = Int64.min
    /// Of those that began at `indexBegins` or later the last that is gone.
    private var lastExpired: ArraySlice<UInt8>?
    private static let expiredAtOnce = 65_536
    private var valueBytes = AverageBytes()

    init(_ description: PhysicalOperator.Aggregate, _ setup: AggregationSetup) throws(MartletError) {
        self.description = description
        self.setup = setup
        switch description.window?.kind {
        case .tumbling(let size)?: (self.size, advance) = (size, size)
        case .hopping(let size, let advance)?: (self.size, self.advance) = (size, advance)
        case nil, .session?: (size, advance) = (0, 0)
        }
        table = GroupTable(
            types: Array(setup.inputTypes[..<description.keyCount]), isWindowed: description.window != nil || setup.keepsWindows)
        columns = try AggregateColumns(description, inputWidth: setup.inputTypes.count, functions: setup.functions, properties: setup.properties)
        before = description.calls.map { .empty($0.type) }
    }

    // MARK: rows

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        partition = batch.partition
        let (rows, windows, closings) = placed(batch)
        if rows.isEmpty { return try finished(try close(closings)) }
        let keys = Array(batch.columns[..<description.keyCount])
        try load(keys, windows, rows)
        let assigned = table.assign(keys, windows: windows, rows: rows)
        try admit(assigned.created)
        let steps = description.undoes ? changes(batch, rows, assigned.slots) : AggregateSteps(slots: assigned.slots, rows: rows)
        let isNew = note(steps.slots, created: assigned.created)
        if setup.emitsEveryUpdate, setup.finalGraceMs == nil { return try finished(emit(steps, batch, isNew)) }
        try columns.apply(steps, batch)
        return try finished(try close(closings))
    }

    /// After results have come out old windows may go; where updates merge that is at the flush.
    private func finished(_ out: Batch) throws(MartletError) -> Batch {
        if setup.emitsEveryUpdate || setup.finalGraceMs != nil {
            if !setup.isPersistent { forgetChanges() }
            try expire()
        }
        return out
    }

    /// Rows that belong to a group, once for each window that is still open for them.
    private func placed(_ batch: Batch) -> (rows: [UInt32], windows: Batch.Windows?, closings: [Closing]) {
        var flags = batch.nullValues.map { $0.map { !$0 } }
        for column in batch.columns[..<description.keyCount] {
            guard let valid = column.validity.flags else { continue }
            flags = flags.map { flags in (0..<flags.count).map { flags[$0] && valid[$0] } } ?? valid
        }
        var rows: [UInt32] = []
        rows.reserveCapacity(batch.count)
        guard let window = description.window else {
            for row in 0..<batch.count where flags?[row] ?? true { rows.append(UInt32(row)) }
            let windows = setup.keepsWindows ? batch.windows : nil
            return (rows, rows.count == batch.count ? windows : windows?.gathered(rows), [])
        }
        var windows = Batch.Windows(starts: [], ends: [])
        windows.starts.reserveCapacity(batch.count)
        windows.ends.reserveCapacity(batch.count)
        var closings: [Closing] = []
        for row in 0..<batch.count where flags?[row] ?? true {
            let time = batch.timestamps[row]
            let earlier = streamTime.ms
            streamTime.advance(to: time)
            let limit = streamTime.ms - window.graceMs
            var start = max(0, time - size + advance) / advance * advance
            while start <= time {
                if start + size > limit {
                    rows.append(UInt32(row))
                    windows.starts.append(start)
                    windows.ends.append(start + size)
                }
                start += advance
            }
            if let grace = setup.finalGraceMs, time > earlier {
                closings.append(
                    Closing(after: earlier == .min ? .min : earlier - grace, upTo: time - grace, newestStart: time / advance * advance))
            }
        }
        return (rows, windows, closings)
    }

    /// A row of a table's changes is removed from the group, added to it, or both.
    private func changes(_ batch: Batch, _ rows: [UInt32], _ slots: [UInt32]) -> AggregateSteps {
        guard case .boolean(let added) = batch.columns[description.keyCount], case .boolean(let removed) = batch.columns[description.keyCount + 1]
        else { preconditionFailure("changes of groups say whether rows are added and removed") }
        var steps = AggregateSteps(kinds: [], slots: [], rows: [])
        for (row, slot) in zip(rows, slots) {
            for (kind, flags) in [(AggregateSteps.Kind.remove, removed), (.add, added)] where flags[Int(row)] == true {
                steps.kinds!.append(kind)
                steps.slots.append(slot)
                steps.rows.append(row)
            }
        }
        return steps
    }

    /// Makes room for new slots.
    private func admit(_ created: [UInt32]) throws(MartletError) {
        if created.isEmpty { return }
        let known = isChanged.count
        columns.grow(to: table.slotCount)
        if table.slotCount > known { isChanged += [Bool](repeating: false, count: table.slotCount - known) }
        let reused = created.filter { Int($0) < known }
        try columns.clear(reused)
        if description.window == nil { return }
        let windows = table.windows(of: created)
        for (slot, start) in zip(created, windows.starts) { enter(slot, start: start) }
    }

    private func enter(_ slot: UInt32, start: Int64) {
        if byStart[start]?.append(slot) != nil { return }
        byStart[start] = [slot]
        // Nearly always the newest.
        var at = starts.count
        while at > 0, starts[at - 1] > start { at -= 1 }
        starts.insert(start, at: at)
    }

    /// Remembers what changes; gives, where anybody needs to know, which slots were not there before.
    private func note(_ slots: [UInt32], created: [UInt32]) -> Set<UInt32> {
        let isNew = setup.needsPrevious ? Set(created) : []
        var fresh: [UInt32] = []
        for slot in slots where !isChanged[Int(slot)] {
            isChanged[Int(slot)] = true
            fresh.append(slot)
        }
        changed += fresh
        if setup.needsPrevious, !setup.emitsEveryUpdate {
            for (i, column) in columns.results(fresh).enumerated() { before[i].append(contentsOf: column) }
            beforeIsNull += fresh.map { isNew.contains($0) }
        }
        return isNew
    }

    // MARK: results

    /// Every update: a result a row.
    private func emit(_ steps: AggregateSteps, _ batch: Batch, _ isNew: Set<UInt32>) throws(MartletError) -> Batch {
        // Results before the batch, of each slot once.
        var last: [UInt32: UInt32] = [:], slotsBefore: [UInt32] = []
        if setup.needsPrevious {
            for slot in steps.slots where last.updateValue(0, forKey: slot) == nil { slotsBefore.append(slot) }
            for (i, slot) in slotsBefore.enumerated() { last[slot] = UInt32(i) }
        }
        let earlier = columns.results(slotsBefore)
        let (results, timestamps) = try columns.applyEmitting(steps, batch)
        // A row that is removed from its group and added again gives one result.
        var picked: [UInt32] = [], previous: [UInt32] = [], previousIsNull: [Bool] = []
        for i in 0..<steps.count {
            let isFirstOfTwo = i + 1 < steps.count && steps.rows[i] == steps.rows[i + 1] && steps.slots[i] == steps.slots[i + 1]
            if isFirstOfTwo { continue }
            picked.append(UInt32(i))
            guard setup.needsPrevious else { continue }
            let slot = steps.slots[i], known = last[slot]!
            previous.append(known)
            previousIsNull.append(Int(known) < slotsBefore.count && isNew.contains(slot))
            last[slot] = UInt32(slotsBefore.count + i)
        }
        let all = picked.count == steps.count
        var out = output(
            all ? steps.slots : picked.map { steps.slots[Int($0)] }, all ? results : results.map { $0.gathered(picked) },
            all ? timestamps : picked.map { timestamps[Int($0)] })
        out.partition = batch.partition
        let sources = picked.map { steps.rows[Int($0)] }
        if !batch.offsets.isEmpty { out.offsets = sources.map { batch.offsets[Int($0)] } }
        // An update carries the headers of the row that made it, as in ksqlDB.
        out.headers = batch.headers?.gathered(sources)
        if setup.needsPrevious {
            let joined = zip(earlier, results).map { a, b in
                var both = a
                both.append(contentsOf: b)
                return both.gathered(previous)
            }
            out.previous = description.previous(of: out, joined, previousIsNull)
        }
        return out
    }

    /// Keys, results and window bounds of slots.
    private func output(_ slots: [UInt32], _ results: [Column], _ timestamps: [Int64]) -> Batch {
        let (keys, windows) = table.keysAndWindows(of: slots)
        var out = Batch(count: slots.count, columns: keys + results, timestamps: timestamps)
        out.windows = windows
        out.partition = partition
        if description.window != nil, let windows {
            out.columns += [.bigint(FixedColumn(windows.starts)), .bigint(FixedColumn(windows.ends))]
        }
        return out
    }

    func flush(_ context: inout OperatorContext) throws(MartletError) -> Batch? {
        if setup.emitsEveryUpdate || setup.finalGraceMs != nil || changed.isEmpty { return nil }
        var out = output(changed, columns.results(changed), columns.timestamps(changed))
        if setup.needsPrevious {
            out.previous = description.previous(of: out, before, beforeIsNull)
            before = before.map { .empty($0.type) }
            beforeIsNull = []
        }
        if !setup.isPersistent { forgetChanges() }
        try expire()
        return out
    }

    private func forgetChanges() {
        for slot in changed { isChanged[Int(slot)] = false }
        changed = []
    }

    // MARK: windows that close

    /// Time went on: windows that ended after `after` and not after `upTo` are final.
    private struct Closing {
        var after: Int64
        var upTo: Int64
        var newestStart: Int64
    }

    /// Results of windows that are over. A window that began before the newest one less the retention is lost, as in Kafka Streams, whose
    /// store has dropped it by the time it looks for closed windows.
    private func close(_ closings: [Closing]) throws(MartletError) -> Batch {
        var slots: [UInt32] = []
        for closing in closings {
            let kept = closing.newestStart - (description.window?.retentionMs ?? 0)
            try load(windowsFrom: max(closing.after == .min ? 0 : closing.after - size + 1, kept, 0), upTo: closing.upTo - size)
            var at = starts.partitioningIndex { $0 + size > closing.after }
            while at < starts.count, starts[at] + size <= closing.upTo {
                if starts[at] >= kept {
                    let inWindow = byStart[starts[at]] ?? []
                    let keys = table.encoded(inWindow)
                    slots += inWindow.indices.sorted { keys.slice($0).lexicographicallyPrecedes(keys.slice($1)) }.map { inWindow[$0] }
                }
                at += 1
            }
        }
        if slots.isEmpty { return Batch(count: 0, columns: [], timestamps: []) }
        return output(slots, columns.results(slots), columns.timestamps(slots))
    }

    private func leave(_ slots: [UInt32]) {
        if slots.isEmpty { return }
        let left = description.window == nil ? [] : Set(table.windows(of: slots).starts)
        table.remove(slots)
        for start in left {
            byStart[start]?.removeAll { !table.contains($0) }
            if byStart[start]?.isEmpty == true {
                byStart[start] = nil
                starts.removeAll { $0 == start }
            }
        }
    }

    /// Forgets windows that nobody may ask for any more.
    private func expire() throws(MartletError) {
        guard let window = description.window, streamTime.ms != .min else { return }
        let limit = streamTime.ms - max(window.retentionMs, size + window.graceMs)
        try expireIndex(before: limit)
        let count = starts.partitioningIndex { $0 >= limit }
        if count == 0 { return }
        for start in starts[..<count] {
            guard let slots = byStart.removeValue(forKey: start) else { continue }
            if setup.isPersistent {
                let keys = table.encoded(slots)
                for i in slots.indices { expired.append(keys.slice(i)) }
            }
            table.remove(slots)
            // Their slots are cleared when they are given out again.
            for slot in slots { isChanged[Int(slot)] = false }
        }
        starts.removeFirst(count)
        changed.removeAll { !isChanged[Int($0)] }
    }

    /// The same of windows that are not in memory: so many at each commit.
    private func expireIndex(before limit: Int64) throws(MartletError) {
        // Windows begin at multiples of the advance.
        let end = limit <= 0 ? 0 : (limit + advance - 1) / advance * advance
        guard let index, end > indexBegins, expired.count < Self.expiredAtOnce else { return }
        let keys = try index.keys(ofWindows: indexBegins..<end, after: lastExpired, limit: Self.expiredAtOnce)
        for (row, slot) in try table.find(encoded: keys).enumerated() where slot == GroupTable.absent { expired.append(keys.slice(row)) }
        lastExpired = keys.count == Self.expiredAtOnce ? keys.slice(keys.count - 1) : nil
        if lastExpired == nil { indexBegins = end }
    }

    // MARK: state

    var stores: [any StateStore] { [self] }
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? { nil }

    var name: String { description.step }
    /// Groups held.
    var count: Int { table.count }

    func takeChanges(_ out: inout StateChanges) throws(MartletError) {
        let keys = table.encoded(changed), values = columns.encoded(changed), times = columns.timestamps(changed)
        for i in changed.indices { out.append(timestamp: max(times[i], 0), key: keys.slice(i), value: values.slice(i)) }
        for i in 0..<expired.count {
            out.append(timestamp: max(streamTime.ms, 0), key: expired.slice(i), value: nil as ArraySlice<UInt8>?)
        }
        expired = BytesColumn()
        if description.window != nil { streamTime.takeChange(&out) }
        valueBytes.note(values)
        if index != nil { clock.use(changed) }
        forgetChanges()
    }

    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        if let time = changes.streamTime { streamTime.restore(time) }
        leave(try table.find(encoded: changes.removed).filter { $0 != GroupTable.absent })
        try enter(changes)
        try expire()
    }

    private func enter(_ changes: RestoredChanges) throws(MartletError) {
        let assigned = try table.assign(encoded: changes.keys)
        try admit(assigned.created)
        try columns.restore(changes.values, into: assigned.slots)
        valueBytes.note(changes.values)
    }

    // MARK: groups that are not in memory

    var hasWindowedKeys: Bool { table.isWindowed }
    var isEvicting: Bool { setup.isPersistent }
    var isPartial: Bool { index != nil }

    private var bytesPerGroup: Int {
        let perWindow = description.window == nil ? 0 : 8
        return table.byteCount / max(table.slotCount, 1) + 10 + perWindow + (valueBytes.average ?? 16) * 3 / 2
    }

    var memoryBytes: Int { table.count * bytesPerGroup }
    var changedBytes: Int { changed.count * bytesPerGroup }

    /// Brings the groups of rows into memory.
    private func load(_ keys: [Column], _ windows: Batch.Windows?, _ rows: [UInt32]) throws(MartletError) {
        guard let index, let found = try index.findMissing(table.find(keys, windows: windows, rows: rows), keys, windows: windows, rows: rows) else { return }
        try enter(RestoredChanges(found))
    }

    /// Brings the groups of windows that begin in this time into memory: all that there are, whatever room there is.
    private func load(windowsFrom first: Int64, upTo last: Int64) throws(MartletError) {
        // Windows begin at multiples of the advance.
        guard let index, last >= first, last / advance * advance >= first else { return }
        let keys = try index.keys(ofWindows: first..<last + 1, after: nil, limit: .max)
        let missing = try table.find(encoded: keys).enumerated().filter { $1 == GroupTable.absent }.map { UInt32($0.offset) }
        if missing.isEmpty { return }
        try enter(RestoredChanges(try index.find(keys.gathered(missing))))
    }

    func complete(from index: any StateIndex) { self.index = index }

    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) {
        guard isEvicting else { return }
        self.index = index
        let victims = clock.victims(table.count - bytes / bytesPerGroup, among: table.slotCount) { table.contains($0) && !isChanged[Int($0)] }
        leave(victims)
        // What they held is given back.
        try columns.clear(victims)
    }
}

extension [Int64] {
    /// The first index whose element fulfils `isAbove`, which the elements below do not.
    func partitioningIndex(where isAbove: (Int64) -> Bool) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if isAbove(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension PhysicalOperator.Aggregate {
    /// What was there before the rows of `batch`, a result of the aggregation: the same keys and windows with earlier results.
    func previous(of batch: Batch, _ results: [Column], _ isNull: [Bool]) -> Batch.Previous {
        var columns = batch.columns
        columns.replaceSubrange(keyCount..<keyCount + results.count, with: results)
        return Batch.Previous(columns: columns, isNull: isNull)
    }
}
