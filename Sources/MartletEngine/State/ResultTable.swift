import MartletColumns
import MartletCore
import MartletLog
import MartletSQL
import Synchronization

/// The rows of a table for pull queries: what its topic says, up to the last commit.
///
/// Everything a query makes of a table is in the table's topic, in the transaction that commits it. So the rows are kept by reading the topic,
/// the first time somebody asks and on from there with each question: whoever never asks pays nothing, and after a restart nothing is
/// missing. Rows of windows past their retention are not shown. Rows that find no room in memory are on disk (`ResultRows`).
final class ResultTable: Sendable {
    private struct State {
        var input: StageInput
        var positions: [Int64]
        var block: RecordBlock?
        var rows: ResultRows
        var canSpill: Bool
    }

    let source: Source
    let topicID: [UInt8]
    private let partitions: [PartitionLog]
    private let input: PhysicalPlan.Input
    private let state: Mutex<State>
    private let directory: StateDirectory?
    private let account: StateMemory.Account?
    private let retentionMs: Int64?

    /// - `template`: an input that reads the table; `directory`: where rows go that find no room in memory.
    init(
        _ source: Source, template: PhysicalPlan.Input, partitions: [PartitionLog], topicID: [UInt8], retentionMs: Int64?, schemas: any SchemaSource,
        directory: StateDirectory? = nil
    ) throws(MartletError) {
        self.source = source
        self.partitions = partitions
        self.topicID = topicID
        self.directory = directory
        self.retentionMs = retentionMs
        account = directory?.memory.account()
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
                rows: ResultRows(
                    types: input.columns.map { StageInput.type(of: $0, in: input) }, keyCount: input.keyFields.count, isWindowed: source.window != nil,
                    retentionMs: retentionMs), canSpill: directory != nil))
        directory?.watch(self)
    }

    /// Whether it is still the table of that description and topic.
    func isOf(_ source: Source, topicID: [UInt8], partitions: Int) -> Bool {
        self.source == source && isOf(topicID: topicID, partitions: partitions)
    }

    func isOf(topicID: [UInt8], partitions: Int) -> Bool { self.topicID == topicID && self.partitions.count == partitions }

    /// Some rows are on disk only, or may be.
    var isPartial: Bool { state.withLock { $0.rows.isPartial } }

    // MARK: questions

    /// Where a row lies: `columns` are all key columns, then all value columns of the table, `row` an index into them.
    typealias Visitor = (_ columns: [Column], _ timestamps: [Int64], _ row: Int) -> Void

    /// More records than this, new since the last question, are not read on a thread that must not wait.
    private static let recordsWithoutWaiting: Int64 = 256

    /// Calls `visit` for the row of each of `keys` that there is, as of now; for tables without windows.
    ///
    /// - `mayWait`: false on an event loop, which neither waits for another question or the disk nor reads much.
    /// - Returns: false, with nothing visited, if it would have to wait and may not.
    func visit(_ keys: [[SQLValue]], mayWait: Bool, _ visit: Visitor) throws(MartletError) -> Bool {
        precondition(source.window == nil)
        return try withRows(mayWait: mayWait) { (rows) throws(MartletError) in
            guard let found = try rows.find(columns(keys), mayWait: mayWait) else { return false }
            for row in found { visit(rows.columns, rows.timestamps, Int(row.at)) }
            return true
        }
    }

    /// The rows of keys that `lookup` names as a batch of the columns that `wanted` asks for; nil if it would have to wait and may not.
    func rows(_ lookup: TableLookup, _ keys: [[SQLValue]], as wanted: PhysicalPlan.Input, mayWait: Bool) throws(MartletError) -> Batch? {
        var out: Batch?
        _ = try withRows(mayWait: mayWait) { (rows) throws(MartletError) in
            guard let found = try rows.find(columns(keys), mayWait: mayWait) else { return false }
            out = batch(rows.columns, rows.timestamps, picked(found, newestStart: rows.newestStart, lookup), wanted)
            return true
        }
        return out
    }

    /// Calls `visit` with the rows that `lookup` names as batches of the columns that `wanted` asks for, consistent as of now, until it answers
    /// false. One batch, but of a table that is not in memory as a whole.
    func read(_ lookup: TableLookup, as wanted: PhysicalPlan.Input, _ visit: (Batch) throws(MartletError) -> Bool) throws(MartletError) {
        var out: Batch?, scan: (RocksCursor, ResultRows.Decoder)?
        let lower: ResultRows.Bound?, upper: ResultRows.Bound?
        switch lookup.keys {
        case .range(let low, let high):
            lower = low.map { ResultRows.Bound(key: encoded($0.value), isInclusive: $0.isInclusive) }
            upper = high.map { ResultRows.Bound(key: encoded($0.value), isInclusive: $0.isInclusive) }
        case .some, .all: (lower, upper) = (nil, nil)
        }
        _ = try withRows(mayWait: true) { (rows) throws(MartletError) in
            if case .some(let keys) = lookup.keys {
                let found = try rows.find(columns(keys), mayWait: true) ?? []
                out = batch(rows.columns, rows.timestamps, picked(found, newestStart: rows.newestStart, lookup), wanted)
            } else if rows.isPartial {
                scan = try rows.cursor(from: lower)
            } else {
                out = batch(rows.columns, rows.timestamps, picked(rows.all(from: lower, to: upper), newestStart: rows.newestStart, lookup), wanted)
            }
            return true
        }
        if let out { if out.count > 0 { _ = try visit(out) } }
        // Outside of the lock: the cursor sees what was there when it was made.
        guard let (cursor, decoder) = scan else { return }
        var mayBeMore = true
        while mayBeMore {
            let page: ResultRows.Decoder.Page
            (page, mayBeMore) = try decoder.next(cursor, from: lower, to: upper)
            let made = batch(page.columns, page.timestamps, picked(page.rows, newestStart: decoder.newestStart, lookup), wanted)
            if made.count > 0, try !visit(made) { return }
        }
    }

    private func withRows(mayWait: Bool, _ body: (inout ResultRows) throws(MartletError) -> Bool) throws(MartletError) -> Bool {
        func use(_ state: inout State) -> Result<Bool, MartletError> {
            do throws(MartletError) {
                var new: Int64 = 0
                for (partition, position) in zip(partitions, state.positions) { new += partition.lastStableOffset - position }
                if !mayWait, new > Self.recordsWithoutWaiting { return .success(false) }
                for i in partitions.indices { try refresh(&state, i) }
                if new > 0 { if mayWait { try trim(&state) } else if isOverShare(state) { return .success(false) } }
                let isAnswered = try body(&state.rows)
                if mayWait, state.rows.isPartial, isOverShare(state, slack: Self.broughtInBytes) { try trim(&state) }
                return .success(isAnswered)
            } catch {
                if state.rows.isPartial { beginAnew(&state) }
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
            // What cannot be decoded is no row; whoever reads the topic as a stream hears of it.
            var errors = RowErrors()
            state.rows.apply(try state.input.decode(block, errors: &errors), partition: Int32(i))
            state.positions[i] = block.nextOffset
            state.block = block
            // A long first read is not in memory as a whole either; on an event loop nothing is long.
            if block.count > Self.recordsWithoutWaiting { try trim(&state) }
        }
        state.block = nil
    }

    /// What questions may bring in before something else leaves memory for it.
    private static let broughtInBytes = 1 << 20

    private func isOverShare(_ state: State, slack: Int = 0) -> Bool {
        guard state.canSpill, let account else { return false }
        let used = state.rows.memoryBytes
        return (used - slack) / 9 * 8 > account.share(using: used, isEvicting: true)
    }

    /// Gives up rows that there is no room for.
    private func trim(_ state: inout State) throws(MartletError) {
        guard let account, let directory else { return }
        let used = state.rows.memoryBytes, share = account.share(using: used, isEvicting: state.canSpill)
        guard used > share else { return }
        if !state.rows.isPartial {
            guard let spill = directory.spill(source.name) else {
                state.canSpill = false
                return
            }
            state.rows.begin(spill)
        }
        try state.rows.evict(to: share / 8 * 7)
        account.evicted(from: used, to: state.rows.memoryBytes)
        directory.returnUnused()
    }

    /// What is on disk cannot be read: the topic has it, and there is room for it or not.
    private func beginAnew(_ state: inout State) {
        state.rows.removeAll()
        state.positions = partitions.map(\.startOffset)
        state.canSpill = false
    }

    // MARK: keys and batches

    private func columns(_ keys: [[SQLValue]]) -> [Column] {
        input.keyFields.enumerated().map { i, field in ColumnBuilder.column(of: field.type, keys.map { $0[i] }) }
    }

    private func encoded(_ value: SQLValue) -> [UInt8] { Array(KeyEncoding.encode(columns([[value]]), rows: [0]).slice(0)) }

    /// Those of rows whose windows are asked for and have not expired, partition by partition, as ksqlDB looks into one store after the other.
    private func picked(_ found: [ResultRows.Row], newestStart: Int64, _ lookup: TableLookup) -> [ResultRows.Row] {
        var out = found
        if source.window != nil {
            out.removeAll { row in
                ResultRows.isExpired(row, newestStart: newestStart, retentionMs) || !lookup.windowStart.contains(row.start) || !lookup.windowEnd.contains(row.end)
            }
        }
        if partitions.count == 1 { return out }
        return out.indices.sorted { (out[$0].partition, $0) < (out[$1].partition, $1) }.map { out[$0] }
    }

    /// - `columns`, `timestamps`: what `rows` are indices into.
    private func batch(_ stored: [Column], _ times: [Int64], _ rows: [ResultRows.Row], _ wanted: PhysicalPlan.Input) -> Batch {
        let picked = rows.map(\.at), keyCount = input.keyFields.count
        let timestamps = picked.map { times[Int($0)] }
        let columns = wanted.columns.map { column -> Column in
            switch column {
            case .key(let i): stored[i].gathered(picked).compacted()
            case .value(let i): stored[keyCount + i].gathered(picked).compacted()
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

extension ResultTable: MemoryHolder {
    /// Of a table that nobody asks, too; nothing of its topic is read.
    func trim() {
        // Whoever holds it gives up himself what he has to.
        _ = state.withLockIfAvailable { state in
            do throws(MartletError) {
                try trim(&state)
            } catch {
                if state.rows.isPartial { beginAnew(&state) }
            }
        }
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
