import MartletColumns
import MartletCore
import MartletSQL

/// One side of a join that is a table: the newest row of each key, found by the join's key columns.
///
/// The rows come back from the table's topic at start, or, where they come from elsewhere, from a changelog of their own.
final class JoinTable: StateStore {
    let name: String
    let retentionMs: Int64? = nil
    /// The stored columns: first the keys, then the others. `layout[i]` is the column that the i-th stored one is, `place` the reverse.
    private let layout: [Int]
    private let place: [Int]
    private let keyCount: Int
    private let rows: TableRows
    private let hasChangelog: Bool
    private let isPersistent: Bool
    /// Slots whose rows changed since the last commit.
    private var changed: Set<[UInt8]> = []

    /// - `keys`: indices of the key columns among those of `types`.
    /// - `restoresFromTopic`: the topic that the rows come from is their changelog.
    init(name: String, types: [SQLType], keys: [Int], restoresFromTopic: Bool, isPersistent: Bool) {
        self.name = name
        layout = keys + types.indices.filter { !keys.contains($0) }
        let layout = layout
        place = types.indices.map { layout.firstIndex(of: $0)! }
        keyCount = keys.count
        rows = TableRows(types: layout.map { types[$0] }, keyCount: keys.count)
        hasChangelog = !restoresFromTopic
        self.isPersistent = isPersistent
    }

    static let none = TableRows.none

    /// Live rows.
    var count: Int { rows.count }
    var restoresFromTopic: Bool { !hasChangelog }
    var stores: [any StateStore] { hasChangelog ? [self] : [] }

    /// The slots of keys, which stay theirs while they have a row.
    var slots: GroupTable { rows.table }

    /// Applies changes in order: newer rows replace older ones, a null value deletes.
    ///
    /// - Returns: where the rows of the keys were before; good until the next update.
    @discardableResult
    func update(_ batch: Batch) -> TableRows.Update {
        var own = batch
        own.columns = layout.map { batch.columns[$0] }
        if hasChangelog, isPersistent {
            let keys = KeyEncoding.encode(Array(own.columns[..<keyCount]))
            for row in 0..<keys.count { changed.insert(Array(keys.slice(row))) }
        }
        return rows.update(own)
    }

    /// The rows of these keys; `none` for a key without one, and for a key with a null in it, which nothing is equal to.
    func find(_ keys: [Column], count: Int) -> [UInt32] {
        var found = rows.find(keys, rows: count == 0 ? [] : nil)
        for key in keys {
            guard let valid = key.validity.flags else { continue }
            for row in 0..<count where !valid[row] { found[row] = Self.none }
        }
        return found
    }

    /// The columns of rows in the order of the side's columns, null where a row is `none`.
    func gathered(_ wanted: [UInt32]) -> [Column] {
        let stored = rows.gathered(wanted)
        return place.map { stored[$0] }
    }

    func timestamps(_ wanted: [UInt32]) -> [Int64] { rows.timestamps(wanted) }
    func rows(ofSlots slots: [UInt32]) -> [UInt32] { rows.rows(ofSlots: slots) }

    func takeChanges(_ out: inout StateChanges) throws(MartletError) {
        var keys = BytesColumn()
        for key in changed { keys.append(key) }
        changed = []
        let slots = try rows.table.find(encoded: keys)
        let there = slots.map { $0 == GroupTable.absent ? Self.none : rows.rows(ofSlots: [$0])[0] }
        let times = rows.timestamps(there)
        let values = KeyEncoding.encode([.bigint(FixedColumn(times))] + rows.gathered(there))
        for i in 0..<keys.count {
            out.append(timestamp: max(times[i], 0), key: keys.slice(i), value: there[i] == Self.none ? nil : values.slice(i))
        }
    }

    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        rows.remove(try rows.table.find(encoded: changes.removed).filter { $0 != GroupTable.absent })
        guard let (columns, _) = KeyEncoding.decode(changes.values, types: [.bigint] + rows.types), case .bigint(let times) = columns[0] else {
            throw MartletError(.corruptRecord, "a row of the state \(name) is not what this query keeps")
        }
        rows.update(Batch(count: changes.keys.count, columns: Array(columns[1...]), timestamps: times.values))
    }

    /// Slots of all keys, rising.
    var allSlots: [UInt32] { rows.table.slots }
}

/// The rest of a join's condition, beside the equality of keys.
struct JoinCondition {
    private let program: ExpressionProgram
    private let text: String

    init?(_ join: PhysicalPlan.Join, _ setup: OperatorSetup) throws(MartletError) {
        guard let condition = join.condition else { return nil }
        program = try ExpressionProgram([condition], models: setup.models, registry: setup.functions)
        text = join.conditionText
    }

    /// Whether each pair of rows meets the condition. `offsets` are those of the rows that are reported if it fails for them; such pairs do not match.
    func holds(_ left: [Column], _ right: [Column], count: Int, offsets: [Int64], _ context: inout OperatorContext) -> [Bool] {
        let pairs = Batch(count: count, columns: left + right, timestamps: [Int64](repeating: 0, count: count), offsets: offsets)
        var errors = RowErrors()
        var out = [Bool](repeating: false, count: count)
        for row in program.select(pairs, label: text, errors: &errors) { out[Int(row)] = true }
        context.failed.add(errors, of: pairs)
        return out
    }
}

extension Batch {
    /// Offsets of some rows; empty where rows have none.
    func offsets(of rows: [UInt32]) -> [Int64] { offsets.isEmpty ? [] : rows.map { offsets[Int($0)] } }
}
