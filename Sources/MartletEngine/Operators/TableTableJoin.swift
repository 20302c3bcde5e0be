import MartletColumns
import MartletCore
import MartletSQL

/// Joins two tables by their keys: a change of either side gives the changed row of the result, at the later time of both rows.
///
/// A result that is there no more is a deletion; what was no result before and is none now is nothing (KTable-KTable join, Kafka Streams docs).
final class TableTableJoin: StreamOperator {
    private let description: PhysicalPlan.Join
    private let left: JoinTable
    private let right: JoinTable
    private let condition: JoinCondition?

    init(_ description: PhysicalPlan.Join, left: PhysicalPlan.Node, right: PhysicalPlan.Node, _ setup: OperatorSetup) throws(MartletError) {
        self.description = description
        self.left = JoinTable(
            name: description.step + "-Left", types: left.outputTypes, keys: description.leftKeys, restoresFromTopic: left.isSourceTable, setup)
        self.right = JoinTable(
            name: description.step + "-Right", types: right.outputTypes, keys: description.rightKeys, restoresFromTopic: right.isSourceTable, setup)
        condition = try JoinCondition(description, setup)
    }

    var stores: [any StateStore] { left.stores + right.stores }
    func topicStores(_ side: InputSide) -> [any StateStore] { (side == .left ? left : right).topicStores }

    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        let own = side == .left ? left : right
        if own.restoresFromTopic { try own.update(batch) }
        return nil
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        let isLeft = side == .left
        let (own, other) = isLeft ? (left, right) : (right, left)
        let keys = (isLeft ? description.leftKeys : description.rightKeys).map { batch.columns[$0] }
        let before = try own.update(batch).before
        let partners = try other.find(keys, count: batch.count)
        let old = own.gathered(before), partnerColumns = other.gathered(partners), partnerTimes = other.timestamps(partners)
        let isThere = (0..<batch.count).map { batch.nullValues?[$0] != true }, wasThere = before.map { $0 != JoinTable.none }
        let hasPartner = partners.map { $0 != JoinTable.none }
        let matches = pairs(batch.columns, partnerColumns, isLeft, zip(isThere, hasPartner).map { $0 && $1 }, batch.offsets, &context)
        // What fails now failed for the old row, too, or it was reported then.
        var ignored = OperatorContext()
        let matched = pairs(old, partnerColumns, isLeft, zip(wasThere, hasPartner).map { $0 && $1 }, [], &ignored)

        /// Whether there is a result, and whether the partner is part of it.
        func result(_ own: Bool, _ partner: Bool, _ matches: Bool) -> (exists: Bool, own: Bool, partner: Bool) {
            if matches { return (true, true, true) }
            let keepsOwn = description.kind == .full || description.kind == (isLeft ? .left : .right)
            if own, keepsOwn { return (true, true, false) }
            let keepsPartner = description.kind == .full || description.kind == (isLeft ? .right : .left)
            if partner, keepsPartner { return (true, false, true) }
            return (false, false, false)
        }
        var rows: [UInt32] = [], times: [Int64] = [], gone: [Bool] = [], wasNone: [Bool] = []
        // Positions in `batch`, `old` or among the partners, and one beyond them all for null.
        var ownRows: [UInt32] = [], oldRows: [UInt32] = [], partnerRows: [UInt32] = [], oldPartnerRows: [UInt32] = []
        let null = UInt32(batch.count)
        for row in 0..<batch.count {
            let now = result(isThere[row], hasPartner[row], matches[row]), then = result(wasThere[row], hasPartner[row], matched[row])
            if !now.exists && !then.exists { continue }
            rows.append(UInt32(row))
            gone.append(!now.exists)
            wasNone.append(!then.exists)
            times.append(hasPartner[row] ? max(batch.timestamps[row], partnerTimes[row]) : batch.timestamps[row])
            ownRows.append(now.own ? UInt32(row) : null)
            partnerRows.append(now.partner ? UInt32(row) : null)
            oldRows.append(then.own ? UInt32(row) : null)
            oldPartnerRows.append(then.partner ? UInt32(row) : null)
        }
        func picked(_ columns: [Column], _ rows: [UInt32]) -> [Column] {
            guard rows.contains(null) else { return columns.map { $0.gathered(rows) } }
            return columns.map { column in column.concatenated(with: .nulls(column.type, count: 1)).gathered(rows) }
        }
        func output(_ own: [Column], _ ownRows: [UInt32], _ partners: [UInt32]) -> [Column] {
            let mine = picked(own, ownRows), theirs = picked(partnerColumns, partners)
            return (isLeft ? mine + theirs : theirs + mine) + keys.map { $0.gathered(rows) }
        }
        var out = Batch(
            count: rows.count, columns: output(batch.columns, ownRows, partnerRows), timestamps: times, partition: batch.partition,
            offsets: batch.offsets(of: rows))
        if gone.contains(true) { out.nullValues = gone }
        out.previous = Batch.Previous(columns: output(old, oldRows, oldPartnerRows), isNull: wasNone)
        out.windows = batch.windows?.gathered(rows)
        out.headers = batch.headers?.gathered(rows)
        return out
    }

    /// Which rows of `own` and of `partners` match, of those where both are there.
    private func pairs(
        _ own: [Column], _ partners: [Column], _ isLeft: Bool, _ both: [Bool], _ offsets: [Int64], _ context: inout OperatorContext
    ) -> [Bool] {
        guard let condition else { return both }
        let rows = (0..<UInt32(both.count)).filter { both[Int($0)] }
        let mine = own.map { $0.gathered(rows) }, theirs = partners.map { $0.gathered(rows) }
        let holds = condition.holds(
            isLeft ? mine : theirs, isLeft ? theirs : mine, count: rows.count, offsets: offsets.isEmpty ? [] : rows.map { offsets[Int($0)] }, &context)
        var out = [Bool](repeating: false, count: both.count)
        for (row, holds) in zip(rows, holds) { out[Int(row)] = holds }
        return out
    }
}
