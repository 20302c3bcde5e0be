import MartletColumns
import MartletCore
import MartletSQL

/// Keeps the newest row of each key of a table and adds to each change what the row was before.
///
/// The rows come back from the table's topic at start, or, where they come from elsewhere, from a changelog of their own.
final class Materialize: StreamOperator, StateStore {
    let name: String
    private let rows: TableRows
    private let hasChangelog: Bool

    /// - `restoresFromTopic`: the topic that the rows come from is their changelog.
    init(step: String, keyCount: Int, types: [SQLType], isWindowed: Bool, restoresFromTopic: Bool, _ setup: OperatorSetup) {
        name = step
        rows = TableRows(
            types: types, keyCount: keyCount, isWindowed: isWindowed, tracksChanges: setup.isPersistent && (!restoresFromTopic || setup.copiesTables))
        hasChangelog = !restoresFromTopic
    }

    var count: Int { rows.count }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        let before = try rows.update(batch).before
        var out = batch
        out.previous = Batch.Previous(columns: rows.gathered(before), isNull: before.map { $0 == TableRows.none })
        return out
    }

    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        hasChangelog ? nil : try process(batch, side: side, &context)
    }

    var stores: [any StateStore] { hasChangelog ? [self] : [] }
    func topicStores(_ side: InputSide) -> [any StateStore] { hasChangelog ? [] : [self] }
    func takeChanges(_ out: inout StateChanges) throws(MartletError) { rows.takeChanges(&out) }
    func restore(_ block: RecordBlock) throws(MartletError) { try rows.restore(block) }

    var memoryBytes: Int { rows.memoryBytes }
    var changedBytes: Int { rows.changedBytes }
    var hasWindowedKeys: Bool { rows.table.isWindowed }
    var isEvicting: Bool { rows.tracksChanges }
    var isPartial: Bool { rows.index != nil }
    func complete(from index: any StateIndex) { rows.complete(from: index) }
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) { rows.evict(to: bytes, index) }
}

/// Turns changes of a table into rows for an aggregation by other keys: what a change takes from the old row's group and what it adds to the
/// new row's. Within one group that is one row, between two groups the removal comes first.
final class GroupChanges: StatelessOperator {
    private let program: ExpressionProgram
    private let names: [String]
    private let keyCount: Int

    init(keys: [BoundExpression], arguments: [BoundExpression], names: [String], _ setup: OperatorSetup) throws(MartletError) {
        program = try ExpressionProgram(keys + arguments, models: setup.models, registry: setup.functions)
        keyCount = keys.count
        // Labels for errors: of the keys, then of the arguments.
        self.names = (0..<keys.count + arguments.count).map { i in
            let name = i < keys.count ? i : i + 2
            return name < names.count ? names[name] : "GROUP BY"
        }
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var errors = RowErrors()
        let new = program.evaluate(batch, labels: names, errors: &errors)
        context.failed.add(errors, of: batch)
        var old = new, wasThere = [Bool](repeating: false, count: batch.count)
        if let previous = batch.previous {
            var before = Batch(count: batch.count, columns: previous.columns, timestamps: batch.timestamps)
            before.nullValues = previous.isNull
            var ignored = RowErrors()
            old = program.evaluate(before, labels: names, errors: &ignored)
            wasThere = previous.isNull.map { !$0 }
        }
        func isWhole(_ columns: [Column], _ row: Int) -> Bool { columns[..<keyCount].allSatisfy { $0.validity.isValid(row) } }
        let newKeys = KeyEncoding.encode(Array(new[..<keyCount]), rows: (0..<UInt32(batch.count)).map { $0 })
        let oldKeys = KeyEncoding.encode(Array(old[..<keyCount]), rows: (0..<UInt32(batch.count)).map { $0 })

        var rows: [UInt32] = [], keys: [UInt32] = [], added: [Bool] = [], removed: [Bool] = []
        func append(_ row: Int, isOldKey: Bool, adds: Bool, removes: Bool) {
            rows.append(UInt32(row))
            keys.append(UInt32(isOldKey ? batch.count + row : row))
            added.append(adds)
            removed.append(removes)
        }
        for row in 0..<batch.count {
            let adds = batch.nullValues?[row] != true && isWhole(new, row)
            let removes = wasThere[row] && isWhole(old, row)
            if adds, removes, newKeys.slice(row) == oldKeys.slice(row) {
                append(row, isOldKey: false, adds: true, removes: true)
            } else {
                if removes { append(row, isOldKey: true, adds: false, removes: true) }
                if adds { append(row, isOldKey: false, adds: true, removes: false) }
            }
        }
        var columns: [Column] = []
        for i in 0..<keyCount {
            var both = new[i]
            both.append(contentsOf: old[i])
            columns.append(both.gathered(keys))
        }
        columns += [.boolean(FixedColumn(added)), .boolean(FixedColumn(removed))]
        columns += new[keyCount...].map { $0.gathered(rows) } + old[keyCount...].map { $0.gathered(rows) }
        var out = Batch(
            count: rows.count, columns: columns, timestamps: rows.map { batch.timestamps[Int($0)] }, partition: batch.partition,
            offsets: batch.offsets.isEmpty ? [] : rows.map { batch.offsets[Int($0)] })
        out.headers = batch.headers?.gathered(rows)
        return out
    }
}

/// Holds nothing back: the aggregation below gives final results itself, from its own state. Each comes once, so before it there was none.
final class Suppress: StatelessOperator {
    private let needsPrevious: Bool

    init(needsPrevious: Bool) { self.needsPrevious = needsPrevious }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        if !needsPrevious { return batch }
        var out = batch
        out.previous = Batch.Previous(
            columns: batch.columns.map { .nulls($0.type, count: batch.count) }, isNull: [Bool](repeating: true, count: batch.count))
        return out
    }
}
