import MartletColumns
import MartletCore
import MartletSQL

/// Looks rows of a stream (left) up in a table (right) that is held in memory as columns.
///
/// The stream's side triggers; the result carries the stream's timestamp and the table's newest *processed* row, whatever its time
/// (KStream-KTable join, Kafka Streams docs). A null key or a null stream value is dropped by an inner join; a left join forwards a row with
/// a null key, and one without a match, padded with nulls.
final class StreamTableJoin: StreamOperator {
    private let description: PhysicalPlan.Join
    private let table: JoinTable
    private let condition: JoinCondition?

    init(_ description: PhysicalPlan.Join, right: PhysicalPlan.Node, _ setup: OperatorSetup) throws(MartletError) {
        self.description = description
        table = JoinTable(
            name: description.step + "-Right", types: right.outputTypes, keys: description.rightKeys, restoresFromTopic: right.isSourceTable, setup)
        condition = try JoinCondition(description, setup)
    }

    /// Live rows of the table.
    var count: Int { table.count }
    var stores: [any StateStore] { table.stores }
    func topicStores(_ side: InputSide) -> [any StateStore] { side == .right ? table.topicStores : [] }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        switch side {
        case .right:
            try table.update(batch)
            return Batch(count: 0, columns: [], timestamps: [])
        case .left: return try join(batch, &context)
        }
    }

    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        if side == .right, table.restoresFromTopic { try table.update(batch) }
        return nil
    }

    /// The joined rows of `batch`: its columns, then the table's, then the key's.
    private func join(_ batch: Batch, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var found = try table.find(description.leftKeys.map { batch.columns[$0] }, count: batch.count)
        if let condition {
            let rows = (0..<UInt32(batch.count)).filter { found[Int($0)] != JoinTable.none }
            let holds = condition.holds(
                batch.columns.map { $0.gathered(rows) }, table.gathered(rows.map { found[Int($0)] }), count: rows.count, offsets: batch.offsets(of: rows),
                &context)
            for (row, holds) in zip(rows, holds) where !holds { found[Int(row)] = JoinTable.none }
        }
        var kept: [UInt32] = [], matches: [UInt32] = []
        kept.reserveCapacity(batch.count)
        matches.reserveCapacity(batch.count)
        let isInner = description.kind == .inner
        for row in 0..<batch.count where batch.nullValues?[row] != true {
            if found[row] == JoinTable.none, isInner { continue }
            kept.append(UInt32(row))
            matches.append(found[row])
        }
        var out = batch.gathered(kept)
        out.nullValues = nil
        out.columns += table.gathered(matches) + description.leftKeys.map { out.columns[$0] }
        return out
    }
}
