import MartletColumns
import MartletCore
import MartletSQL

/// Looks rows of a stream (left) up in a table (right) that is held in memory as columns.
///
/// The stream's side triggers; the result carries the stream's timestamp and the table's newest *processed* row, whatever its time
/// (KStream-KTable join, Kafka Streams docs). A null key or a null stream value is dropped by an inner join; a left join forwards a row with
/// a null key, and one without a match, padded with nulls.
///
/// The table's rows come back from its topic at start.
final class StreamTableJoin: StreamOperator {
    private let description: PhysicalPlan.Join
    private var table: KeyedRows

    init(_ description: PhysicalPlan.Join, leftTypes: [SQLType], rightTypes: [SQLType]) {
        self.description = description
        table = KeyedRows(types: rightTypes)
    }

    /// Live rows of the table.
    var count: Int { table.count }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        switch side {
        case .right:
            update(batch)
            return Batch(count: 0, columns: [], timestamps: [])
        case .left: return join(batch)
        }
    }

    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        if side == .right { update(batch) }
        return nil
    }

    private func update(_ batch: Batch) {
        _ = table.update(batch, keys: KeyBytes.of(description.rightKeys.map { batch.columns[$0] }, count: batch.count))
    }

    /// The joined rows of `batch`: its columns, then the table's, then the key's.
    private func join(_ batch: Batch) -> Batch {
        let keys = KeyBytes.of(description.leftKeys.map { batch.columns[$0] }, count: batch.count)
        var kept: [UInt32] = [], matches: [UInt32] = []
        kept.reserveCapacity(batch.count)
        matches.reserveCapacity(batch.count)
        for row in 0..<batch.count where batch.nullValues?[row] != true {
            if let key = keys[row], let match = table.row(of: key) {
                kept.append(UInt32(row))
                matches.append(match)
            } else if description.kind == .left {
                kept.append(UInt32(row))
                matches.append(KeyedRows.none)
            }
        }
        var out = batch.gathered(kept)
        out.nullValues = nil
        out.columns += table.gathered(matches) + description.leftKeys.map { out.columns[$0] }
        return out
    }
}
