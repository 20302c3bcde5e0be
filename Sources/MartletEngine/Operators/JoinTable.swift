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

    /// - `keys`: indices of the key columns among those of `types`.
    /// - `restoresFromTopic`: the topic that the rows come from is their changelog.
    init(name: String, types: [SQLType], keys: [Int], restoresFromTopic: Bool, _ setup: OperatorSetup) {
        self.name = name
        layout = keys + types.indices.filter { !keys.contains($0) }
        let layout = layout
        place = types.indices.map { layout.firstIndex(of: $0)! }
        keyCount = keys.count
        rows = TableRows(types: layout.map { types[$0] }, keyCount: keys.count, tracksChanges: setup.isPersistent && (!restoresFromTopic || setup.copiesTables))
        hasChangelog = !restoresFromTopic
    }

    static let none = TableRows.none

    /// Live rows.
    var count: Int { rows.count }
    var restoresFromTopic: Bool { !hasChangelog }
    var stores: [any StateStore] { hasChangelog ? [self] : [] }
    var topicStores: [any StateStore] { hasChangelog ? [] : [self] }

    /// Applies changes in order: newer rows replace older ones, a null value deletes.
    ///
    /// - Returns: where the rows of the keys were before; good until the next update.
    @discardableResult
    func update(_ batch: Batch) throws(MartletError) -> TableRows.Update {
        var own = batch
        own.columns = layout.map { batch.columns[$0] }
        return try rows.update(own)
    }

    /// The rows of these keys; `none` for a key without one, and for a key with a null in it, which nothing is equal to.
    func find(_ keys: [Column], count: Int) throws(MartletError) -> [UInt32] {
        var found = try rows.find(keys, rows: count == 0 ? [] : nil)
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

    func takeChanges(_ out: inout StateChanges) throws(MartletError) { rows.takeChanges(&out) }
    func restore(_ block: RecordBlock) throws(MartletError) { try rows.restore(block) }

    var memoryBytes: Int { rows.memoryBytes }
    var changedBytes: Int { rows.changedBytes }
    var isEvicting: Bool { rows.tracksChanges }
    var isPartial: Bool { rows.index != nil }
    func complete(from index: any StateIndex) { rows.complete(from: index) }
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) { rows.evict(to: bytes, index) }
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
