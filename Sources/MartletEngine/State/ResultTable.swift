import MartletColumns
import MartletCore
import MartletLog
import MartletSQL
import Synchronization

/// The rows of a table for pull queries: what its topic says, up to the last commit.
///
/// Everything a query makes of a table is in the table's topic, in the transaction that commits it. So the rows are kept by reading the topic,
/// the first time somebody asks and on from there with each question: whoever never asks pays nothing, and after a restart nothing is
/// missing. Rows of windows past their retention are not shown.
final class ResultTable: Sendable {
    private struct Row {
        var start: Int64
        var end: Int64
        /// Index into the columns.
        var at: UInt32
        var partition: Int32
    }

    private struct State {
        var input: StageInput
        var positions: [Int64]
        var block: RecordBlock?
        /// All key columns, then all value columns; replaced and deleted rows stay until they outnumber the live ones.
        var columns: [Column]
        var timestamps: [Int64] = []
        /// By the key's bytes (`KeyEncoding`), the windows of a key by their start.
        var rows: [[UInt8]: [Row]] = [:]
        var liveCount = 0
        var newestStart: Int64 = .min
    }

    let source: Source
    let topicID: [UInt8]
    private let partitions: [PartitionLog]
    private let input: PhysicalPlan.Input
    private let state: Mutex<State>
    private let retentionMs: Int64?

    /// - `template`: an input that reads the table.
    init(
        _ source: Source, template: PhysicalPlan.Input, partitions: [PartitionLog], topicID: [UInt8], retentionMs: Int64?, schemas: any SchemaSource
    ) throws(MartletError) {
        self.source = source
        self.partitions = partitions
        self.topicID = topicID
        self.retentionMs = retentionMs
        var input = template
        input.columns = input.keyFields.indices.map { .key($0) } + input.valueFields.indices.map { .value($0) }
        input.notNullValues = []
        if let timestamp = template.timestamp {
            let column = template.columns[timestamp.column]
            if !input.columns.contains(column) { input.columns.append(column) }
            input.timestamp?.column = input.columns.firstIndex(of: column)!
        }
        self.input = input
        state = Mutex(
            State(
                input: try StageInput(input, schemas: schemas), positions: partitions.map(\.startOffset),
                columns: input.columns.map { .empty(StageInput.type(of: $0, in: input)) }))
    }

    /// Whether it is still the table of that description and topic.
    func isOf(_ source: Source, topicID: [UInt8], partitions: Int) -> Bool {
        self.source == source && isOf(topicID: topicID, partitions: partitions)
    }

    func isOf(topicID: [UInt8], partitions: Int) -> Bool { self.topicID == topicID && self.partitions.count == partitions }

    /// The rows that `lookup` names as a batch of the columns that `wanted` asks for, consistent as of now.
    func rows(_ lookup: TableLookup, as wanted: PhysicalPlan.Input) throws(MartletError) -> Batch {
        guard let found = try rows(lookup, as: wanted, mayWait: true) else {
            throw MartletError(.internalError, "a question that may wait was not answered")
        }
        return found
    }

    /// Where a row lies: `columns` are all key columns, then all value columns of the table, `row` an index into them.
    typealias Visitor = (_ columns: [Column], _ timestamps: [Int64], _ row: Int) -> Void

    /// More records than this, new since the last question, are not read on a thread that must not wait.
    private static let recordsWithoutWaiting: Int64 = 256

    /// Calls `visit` for the row of each of `keys` that there is, as of now; for tables without windows.
    ///
    /// - `mayWait`: false on an event loop, which neither waits for another question nor reads much.
    /// - Returns: false, with nothing visited, if it would have to wait and may not.
    func visit(_ keys: [[SQLValue]], mayWait: Bool, _ visit: Visitor) throws(MartletError) -> Bool {
        precondition(source.window == nil)
        return try withState(mayWait: mayWait) { state in
            for key in keys {
                for row in state.rows[encoded(key)] ?? [] { visit(state.columns, state.timestamps, Int(row.at)) }
            }
        }
    }

    /// As `rows(_:as:)`; nil if it would have to wait and may not.
    func rows(_ lookup: TableLookup, as wanted: PhysicalPlan.Input, mayWait: Bool) throws(MartletError) -> Batch? {
        var out: Batch?
        _ = try withState(mayWait: mayWait) { state in out = batch(state, find(state, lookup), wanted) }
        return out
    }

    private func withState(mayWait: Bool, _ body: (State) -> Void) throws(MartletError) -> Bool {
        func use(_ state: inout State) -> Result<Bool, MartletError> {
            do throws(MartletError) {
                if !mayWait {
                    var new: Int64 = 0
                    for (partition, position) in zip(partitions, state.positions) { new += partition.lastStableOffset - position }
                    if new > Self.recordsWithoutWaiting { return .success(false) }
                }
                for i in partitions.indices { try refresh(&state, i) }
                body(state)
                return .success(true)
            } catch {
                return .failure(error)
            }
        }
        if mayWait { return try state.withLock { use(&$0) }.get() }
        return try state.withLockIfAvailable { use(&$0) }?.get() ?? false
    }

    // MARK: keeping up

    private func refresh(_ state: inout State, _ i: Int) throws(MartletError) {
        let partition = partitions[i]
        if partition.isClosed { throw MartletError(.unknownSource, "topic \(partition.id.topic) was deleted") }
        let end = partition.lastStableOffset
        state.positions[i] = max(state.positions[i], partition.startOffset)
        while state.positions[i] < end {
            let block = try partition.readBlock(
                from: state.positions[i], maxBytes: StreamTask.readBytes, isolation: .readCommitted, reusing: &state.block)
            if block.nextOffset == state.positions[i] { break }
            state.positions[i] = block.nextOffset
            // What cannot be decoded is no row; whoever reads the topic as a stream hears of it.
            var errors = RowErrors()
            apply(&state, try state.input.decode(block, errors: &errors), partition: Int32(i))
            state.block = block
        }
        state.block = nil
    }

    private func apply(_ state: inout State, _ batch: Batch, partition: Int32) {
        let keyCount = input.keyFields.count
        let keys = KeyEncoding.encode(Array(batch.columns[..<keyCount]), rows: (0..<UInt32(batch.count)).map { $0 })
        let first = UInt32(state.timestamps.count)
        for row in 0..<batch.count {
            let key = Array(keys.slice(row))
            let start = batch.windows?.starts[row] ?? 0, end = batch.windows?.ends[row] ?? 0
            if batch.windows != nil { state.newestStart = max(state.newestStart, start) }
            var windows = state.rows[key] ?? []
            let known = windows.firstIndex { $0.start == start && $0.end == end }
            if batch.nullValues?[row] == true {
                guard let known else { continue }
                windows.remove(at: known)
                state.liveCount -= 1
            } else if let known {
                windows[known].at = first + UInt32(row)
                windows[known].partition = partition
            } else {
                let at = windows.lastIndex { $0.start < start || $0.start == start && $0.end < end }.map { $0 + 1 } ?? 0
                windows.insert(Row(start: start, end: end, at: first + UInt32(row), partition: partition), at: at)
                state.liveCount += 1
            }
            state.rows[key] = windows.isEmpty ? nil : windows
        }
        for i in state.columns.indices { state.columns[i].append(contentsOf: batch.columns[i]) }
        state.timestamps += batch.timestamps
        if state.timestamps.count > 2 * state.liveCount + 65_536 { pack(&state) }
    }

    /// Drops rows that were replaced, and windows past their retention.
    private func pack(_ state: inout State) {
        var kept: [UInt32] = []
        for key in Array(state.rows.keys) {
            var windows = state.rows[key] ?? []
            windows.removeAll { isExpired($0, state) }
            for i in windows.indices {
                kept.append(windows[i].at)
                windows[i].at = UInt32(kept.count - 1)
            }
            state.rows[key] = windows.isEmpty ? nil : windows
        }
        state.columns = state.columns.map { $0.gathered(kept).compacted() }
        state.timestamps = kept.map { state.timestamps[Int($0)] }
        state.liveCount = kept.count
    }

    private func isExpired(_ row: Row, _ state: State) -> Bool {
        guard let retentionMs, source.window != nil else { return false }
        return row.start < state.newestStart - retentionMs
    }

    // MARK: looking up

    private func find(_ state: State, _ lookup: TableLookup) -> [Row] {
        var found: [Row] = []
        func add(_ windows: [Row]) {
            for row in windows where !isExpired(row, state) {
                if source.window != nil, !(lookup.windowStart.contains(row.start) && lookup.windowEnd.contains(row.end)) { continue }
                found.append(row)
            }
        }
        /// Partition by partition, as ksqlDB looks into one store after the other; equal ones stay in their order.
        func add(inOrder keys: [[UInt8]]) {
            let all = keys.compactMap { state.rows[$0] }
            if partitions.count == 1 { return all.forEach(add) }
            let order = all.indices.sorted { (all[$0][0].partition, $0) < (all[$1][0].partition, $1) }
            for index in order { add(all[index]) }
        }
        /// In each partition in the order of the keys.
        func add(_ keys: some Collection<[UInt8]>) { add(inOrder: keys.sorted { $0.lexicographicallyPrecedes($1) }) }
        switch lookup.keys {
        case .some(let keys):
            add(inOrder: keys.map(encoded))
        case .all: add(state.rows.keys)
        case .range(let lower, let upper):
            let low = lower.map { (encoded([$0.value]), $0.isInclusive) }, high = upper.map { (encoded([$0.value]), $0.isInclusive) }
            add(state.rows.keys.filter { key in
                if let (bytes, isInclusive) = low, key.lexicographicallyPrecedes(bytes) || !isInclusive && key == bytes { return false }
                if let (bytes, isInclusive) = high, bytes.lexicographicallyPrecedes(key) || !isInclusive && key == bytes { return false }
                return true
            })
        }
        return found
    }

    private func encoded(_ key: [SQLValue]) -> [UInt8] {
        let columns = zip(input.keyFields, key).map { ColumnBuilder.column(of: $0.type, [$1]) }
        return Array(KeyEncoding.encode(columns, rows: [0]).slice(0))
    }

    private func batch(_ state: State, _ rows: [Row], _ wanted: PhysicalPlan.Input) -> Batch {
        let picked = rows.map(\.at), keyCount = input.keyFields.count
        let timestamps = picked.map { state.timestamps[Int($0)] }
        let columns = wanted.columns.map { column -> Column in
            switch column {
            case .key(let i): state.columns[i].gathered(picked).compacted()
            case .value(let i): state.columns[keyCount + i].gathered(picked).compacted()
            case .rowTime: .bigint(FixedColumn(timestamps))
            case .windowStart: .bigint(FixedColumn(rows.map(\.start)))
            case .windowEnd: .bigint(FixedColumn(rows.map(\.end)))
            case .rowPartition, .rowOffset, .headers, .header: .nulls(StageInput.type(of: column, in: wanted), count: rows.count)
            }
        }
        var out = Batch(count: rows.count, columns: columns, timestamps: timestamps)
        if source.window != nil { out.windows = Batch.Windows(starts: rows.map(\.start), ends: rows.map(\.end)) }
        return out
    }
}

extension TableLookup.Times {
    func contains(_ time: Int64) -> Bool { (lower.map { time >= $0 } ?? true) && (upper.map { time <= $0 } ?? true) }
}

extension PhysicalPlan.Node {
    /// The same tree over rows that are there once each, not over changes.
    var overRows: PhysicalPlan.Node {
        switch self {
        case .input(var input):
            input.kind = .stream
            return .input(input)
        case .step(let step, let below): return .step(step, of: below.overRows)
        case .join, .union: return self
        }
    }
}
