import MartletColumns
import MartletCore
import MartletSQL

/// The left table's side of a foreign-key join: turns its changes into subscriptions, which go to where the right table's row of that key is
/// (docs/internals/joins.md).
///
/// A row whose foreign key changes leaves the old one in silence, since the answer comes from the new one; a row that is gone, or that refers to
/// nothing any more, is answered with "no row".
final class Subscribe: StatelessOperator {
    private let keyCount: Int
    private let foreignKeyCount: Int
    private let isLeft: Bool

    init(keyCount: Int, foreignKeyCount: Int, isLeft: Bool) {
        self.keyCount = keyCount
        self.foreignKeyCount = foreignKeyCount
        self.isLeft = isLeft
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        guard let previous = batch.previous, batch.offsets.count == batch.count else {
            throw MartletError(.internalError, "a foreign-key join reads a table whose rows have offsets and what they were before")
        }
        let foreign = keyCount..<keyCount + foreignKeyCount
        let newKeys = Array(batch.columns[foreign]), oldKeys = Array(previous.columns[foreign])
        func isWhole(_ columns: [Column], _ row: Int) -> Bool { columns.allSatisfy { $0.validity.isValid(row) } }
        let newBytes = KeyEncoding.encode(newKeys, rows: (0..<UInt32(batch.count)).map { $0 })
        let oldBytes = KeyEncoding.encode(oldKeys, rows: (0..<UInt32(batch.count)).map { $0 })

        var rows: [UInt32] = [], keys: [UInt32] = [], changes: [Int32] = []
        func append(_ row: Int, _ change: SubscriptionChange, isOldKey: Bool = false) {
            rows.append(UInt32(row))
            keys.append(UInt32(isOldKey ? batch.count + row : row))
            changes.append(change.rawValue)
        }
        for row in 0..<batch.count {
            let isThere = batch.nullValues?[row] != true, wasThere = !previous.isNull[row]
            let refers = isThere && isWhole(newKeys, row), referred = wasThere && isWhole(oldKeys, row)
            if refers {
                if referred, newBytes.slice(row) != oldBytes.slice(row) { append(row, .move, isOldKey: true) }
                append(row, wasThere ? .change : .begin)
            } else if isThere, isLeft {
                // A left join answers a row that refers to nothing.
                if referred { append(row, .move, isOldKey: true) }
                append(row, wasThere ? .change : .begin)
            } else if referred || wasThere && isLeft {
                append(row, .end, isOldKey: true)
            }
        }
        var columns = zip(newKeys, oldKeys).map { $0.concatenated(with: $1).gathered(keys) }
        columns += (batch.columns[..<keyCount] + batch.columns[foreign.upperBound...]).map { $0.gathered(rows) }
        let offsets = batch.offsets(of: rows)
        columns += [.bigint(FixedColumn(offsets)), .integer(FixedColumn(changes))]
        return Batch(
            count: rows.count, columns: columns, timestamps: rows.map { batch.timestamps[Int($0)] }, partition: batch.partition, offsets: offsets)
    }
}

/// The right table's side of a foreign-key join: keeps who subscribes to which key, and answers when a subscription or the right row changes.
///
/// A change of a right row answers all its subscribers, in the order of their keys' bytes.
final class ForeignKeyJoin: StreamOperator, StateStore {
    let name: String
    let retentionMs: Int64? = nil
    private let isLeft: Bool
    private let foreignKeyCount: Int
    private let rightKeys: [Int]
    private let right: JoinTable
    /// By foreign key and left key: the left columns, the version among them.
    private let subscriptions: TableRows
    /// Who subscribes to a foreign key: slots of `subscriptions`, of those that are in memory.
    private let foreignKeys: GroupTable
    private var subscribers: [[UInt32]] = []
    /// Of a foreign key all subscribers are in memory.
    private var isWhole: [Bool] = []
    private var clock = EvictionClock()
    private let condition: JoinCondition?

    init(
        _ description: PhysicalPlan.Join, keyCount: Int, left: PhysicalPlan.Node, right: PhysicalPlan.Node, _ setup: OperatorSetup
    ) throws(MartletError) {
        name = description.step + "-Subscriptions"
        isLeft = description.kind == .left
        foreignKeyCount = description.leftKeys.count
        rightKeys = description.rightKeys
        let types = left.outputTypes
        self.right = JoinTable(
            name: description.step + "-Right", types: right.outputTypes, keys: description.rightKeys, restoresFromTopic: right.isSourceTable, setup)
        subscriptions = TableRows(types: types, keyCount: foreignKeyCount + keyCount, tracksChanges: setup.isPersistent)
        foreignKeys = GroupTable(types: Array(types[..<foreignKeyCount]))
        condition = try JoinCondition(description, setup)
    }

    var stores: [any StateStore] { right.stores + [self] }
    func topicStores(_ side: InputSide) -> [any StateStore] { side == .right ? right.topicStores : [] }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        switch side {
        case .left: return try answer(subscriptions: batch, &context)
        case .right: return try answer(changes: batch, &context)
        }
    }

    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? {
        if side == .right, right.restoresFromTopic { try right.update(batch) }
        return nil
    }

    // MARK: subscriptions

    private func answer(subscriptions batch: Batch, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        guard case .integer(let changes)? = batch.columns.last else { preconditionFailure("the last column of subscriptions is CHANGE") }
        let subscribes = changes.values.map { $0 == SubscriptionChange.begin.rawValue || $0 == SubscriptionChange.change.rawValue }
        try keep(batch, subscribes)
        let partners = try right.find(Array(batch.columns[..<foreignKeyCount]), count: batch.count)
        let rows = (0..<UInt32(batch.count)).filter { changes.values[Int($0)] != SubscriptionChange.move.rawValue }
        return answers(
            batch.columns.map { $0.gathered(rows) }, rows.map { batch.timestamps[Int($0)] }, rows.map { subscribes[Int($0)] },
            rows.map { changes.values[Int($0)] != SubscriptionChange.begin.rawValue }, rows.map { partners[Int($0)] }, batch, batch.offsets(of: rows),
            &context)
    }

    /// Remembers and forgets subscriptions. A row that refers to nothing has none.
    private func keep(_ batch: Batch, _ subscribes: [Bool], isRestoring: Bool = false) throws(MartletError) {
        let whole = (0..<UInt32(batch.count)).filter { row in batch.columns[..<foreignKeyCount].allSatisfy { $0.validity.isValid(Int(row)) } }
        guard !whole.isEmpty else { return }
        var rows = batch.gathered(whole)
        rows.nullValues = whole.map { !subscribes[Int($0)] }
        let update = try subscriptions.update(rows, isRestoring: isRestoring)
        try note(loaded: update.loaded)
        let groups = groups(of: Array(rows.columns[..<foreignKeyCount]))
        var isEmptied: Set<UInt32> = []
        for (row, slot) in update.slots.enumerated() {
            let group = groups[row], was = update.before[row] != TableRows.none, isNow = rows.nullValues?[row] != true
            if isNow, !was { subscribers[Int(group)].append(slot) }
            if !isNow, was { subscribers[Int(group)].removeAll { $0 == slot } }
            if subscribers[Int(group)].isEmpty { isEmptied.insert(group) } else { isEmptied.remove(group) }
        }
        // A key that nobody subscribes to and one that is not known are the same, once the index may know more.
        foreignKeys.remove(Array(isEmptied))
    }

    /// The slots of foreign keys; a new key gets one. Of a key that comes new some subscribers may be elsewhere.
    private func groups(of keys: [Column], rows: [UInt32]? = nil) -> [UInt32] {
        let assigned = foreignKeys.assign(keys, rows: rows)
        let missing = foreignKeys.slotCount - subscribers.count
        if missing > 0 {
            subscribers += [[UInt32]](repeating: [], count: missing)
            isWhole += [Bool](repeating: false, count: missing)
        }
        for group in assigned.created { isWhole[Int(group)] = subscriptions.index == nil }
        if subscriptions.index != nil { clock.use(assigned.slots) }
        return assigned.slots
    }

    /// Subscriptions came into memory.
    private func note(loaded slots: [UInt32]) throws(MartletError) {
        if slots.isEmpty { return }
        let groups = groups(of: Array(subscriptions.table.keys(of: slots)[..<foreignKeyCount]))
        for (slot, group) in zip(slots, groups) { subscribers[Int(group)].append(slot) }
    }

    /// The slots of foreign keys with all their subscribers in memory, `absent` for one without.
    private func find(_ keys: [Column], count: Int) throws(MartletError) -> [UInt32] {
        guard subscriptions.index != nil else { return foreignKeys.find(keys, rows: count == 0 ? [] : nil) }
        let groups = groups(of: keys, rows: (0..<UInt32(count)).map { $0 })
        var wanted: [UInt32] = []
        for group in groups where !isWhole[Int(group)] {
            isWhole[Int(group)] = true
            wanted.append(group)
        }
        try note(loaded: try subscriptions.load(keysWith: foreignKeys.encoded(wanted)))
        return groups
    }

    // MARK: changes of the right table

    private func answer(changes batch: Batch, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        let keys = rightKeys.map { batch.columns[$0] }
        let before = try right.update(batch).before
        let groups = try find(keys, count: batch.count)
        var rows: [UInt32] = [], slots: [UInt32] = [], hasRight: [Bool] = []
        for row in 0..<batch.count where groups[row] != GroupTable.absent {
            let isThere = batch.nullValues?[row] != true
            if !isThere, before[row] == JoinTable.none { continue }
            let group = sorted(Int(groups[row]))
            slots += group
            rows += [UInt32](repeating: UInt32(row), count: group.count)
            hasRight += [Bool](repeating: isThere, count: group.count)
        }
        let there = subscriptions.rows(ofSlots: slots)
        let times = zip(subscriptions.timestamps(there), rows).map { max($0, batch.timestamps[Int($1)]) }
        let left = subscriptions.gathered(there)
        var matches = hasRight
        let rightColumns = masked(batch.columns.map { $0.gathered(rows) }, hasRight)
        if let condition {
            let pairs = hasRight.indices.filter { hasRight[$0] }.map { UInt32($0) }
            let holds = condition.holds(
                left.map { $0.gathered(pairs) }, rightColumns.map { $0.gathered(pairs) }, count: pairs.count,
                offsets: batch.offsets.isEmpty ? [] : pairs.map { batch.offsets[Int(rows[Int($0)])] }, &context)
            for (pair, holds) in zip(pairs, holds) { matches[Int(pair)] = holds }
        }
        let answers = matches.map { $0 || isLeft ? SubscriptionAnswer.row : .none }
        return output(left, masked(rightColumns, matches), answers, times, batch, batch.offsets(of: rows))
    }

    /// The subscribers of a foreign key in the order of their keys' bytes.
    private func sorted(_ group: Int) -> [UInt32] {
        let slots = subscribers[group]
        if slots.count < 2 { return slots }
        let keys = subscriptions.table.encoded(slots)
        let order = slots.indices.sorted { keys.slice($0).lexicographicallyPrecedes(keys.slice($1)) }
        let out = order.map { slots[$0] }
        subscribers[group] = out
        return out
    }

    /// Null where `isThere` is false.
    private func masked(_ columns: [Column], _ isThere: [Bool]) -> [Column] {
        guard isThere.contains(false) else { return columns }
        let null = UInt32(isThere.count)
        let rows = isThere.enumerated().map { $1 ? UInt32($0) : null }
        return columns.map { $0.concatenated(with: .nulls($0.type, count: 1)).gathered(rows) }
    }

    // MARK: answers

    /// - `isThere`: whether the left row still is; `isSaid`: whether "no row" is said in any case; `partners`: rows of the right table.
    private func answers(
        _ left: [Column], _ times: [Int64], _ isThere: [Bool], _ isSaid: [Bool], _ partners: [UInt32], _ batch: Batch, _ offsets: [Int64],
        _ context: inout OperatorContext
    ) -> Batch {
        var matches = zip(isThere, partners).map { $0 && $1 != JoinTable.none }
        if let condition {
            let pairs = matches.indices.filter { matches[$0] }.map { UInt32($0) }
            let holds = condition.holds(
                left.map { $0.gathered(pairs) }, right.gathered(pairs.map { partners[Int($0)] }), count: pairs.count,
                offsets: offsets.isEmpty ? [] : pairs.map { offsets[Int($0)] }, &context)
            for (pair, holds) in zip(pairs, holds) { matches[Int(pair)] = holds }
        }
        let later = zip(times, zip(partners, right.timestamps(partners))).map { $1.0 == JoinTable.none ? $0 : max($0, $1.1) }
        let answers = matches.indices.map { matches[$0] || isThere[$0] && isLeft ? SubscriptionAnswer.row : isSaid[$0] ? .deletion : .none }
        return output(left, right.gathered(zip(partners, matches).map { $1 ? $0 : JoinTable.none }), answers, later, batch, offsets)
    }

    private func output(_ left: [Column], _ right: [Column], _ found: [SubscriptionAnswer], _ times: [Int64], _ batch: Batch, _ offsets: [Int64]) -> Batch {
        var columns = left
        columns[left.count - 1] = .integer(FixedColumn(found.map(\.rawValue)))
        return Batch(
            count: found.count, columns: columns + right + left[..<foreignKeyCount], timestamps: times, partition: batch.partition, offsets: offsets)
    }

    // MARK: state

    func takeChanges(_ out: inout StateChanges) throws(MartletError) { subscriptions.takeChanges(&out) }

    func restore(_ block: RecordBlock) throws(MartletError) {
        let changes = RestoredChanges(block)
        let types = subscriptions.types
        guard let (columns, _) = KeyEncoding.decode(changes.values, types: [.bigint] + types), case .bigint(let times) = columns[0],
            let (removed, _) = KeyEncoding.decode(changes.removed, types: Array(types[..<subscriptions.keyCount]))
        else { throw MartletError(.corruptRecord, "a subscription of the state \(name) is not what this query keeps") }
        let gone = changes.removed.count
        if gone > 0 {
            let padding = types[subscriptions.keyCount...].map { Column.nulls($0, count: gone) }
            try keep(
                Batch(count: gone, columns: removed + padding, timestamps: [Int64](repeating: 0, count: gone)), [Bool](repeating: false, count: gone),
                isRestoring: true)
        }
        let count = changes.keys.count
        if count > 0 {
            try keep(
                Batch(count: count, columns: Array(columns[1...]), timestamps: times.values), [Bool](repeating: true, count: count), isRestoring: true)
        }
    }

    // MARK: subscriptions that are not in memory

    /// Foreign keys leave memory with their subscribers, which are a range of the keys of an index.
    var isEvicting: Bool { subscriptions.tracksChanges }
    var isPartial: Bool { subscriptions.index != nil }
    var memoryBytes: Int {
        subscriptions.memoryBytes + foreignKeys.count * (foreignKeys.byteCount / max(foreignKeys.slotCount, 1) + 48) + subscriptions.count * 4
    }

    var changedBytes: Int { subscriptions.changedBytes }

    func complete(from index: any StateIndex) {
        subscriptions.complete(from: index)
        for group in isWhole.indices { isWhole[group] = false }
    }

    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) {
        guard isEvicting else { return }
        subscriptions.begin(index)
        let used = memoryBytes, perSubscriber = max(used / max(subscriptions.count + foreignKeys.count, 1), 1)
        let victims = clock.victims(used - bytes, among: foreignKeys.slotCount, weight: {
            foreignKeys.contains($0) ? perSubscriber * (subscribers[Int($0)].count + 1) : 0
        })
        var emptied: [UInt32] = [], gone: [UInt32] = []
        for group in victims {
            isWhole[Int(group)] = false
            gone += subscribers[Int(group)].filter(subscriptions.mayGiveUp)
            subscribers[Int(group)].removeAll(where: subscriptions.mayGiveUp)
            if subscribers[Int(group)].isEmpty { emptied.append(group) }
        }
        foreignKeys.remove(emptied)
        subscriptions.giveUp(gone)
    }
}

/// Takes the answers of a foreign-key join back to where the left row is: an answer that a newer change of the left row has overtaken is
/// dropped, the others are changes of the joined table.
///
/// A left row's changes are numbered (by their offsets), and an answer carries the number of the change that it is for. Answers to one change
/// come from one partition, in order; answers to different changes may come from different partitions, in any order.
final class Resolve: StreamOperator, StateStore {
    let name: String
    let retentionMs: Int64? = nil
    /// The newest answer of each key, VERSION and FOUND last. An answer "no row" is kept too: an older one may still be on its way.
    private let answers: TableRows

    init(step: String, keyCount: Int, types: [SQLType], isPersistent: Bool) {
        name = step
        answers = TableRows(types: types, keyCount: keyCount, tracksChanges: isPersistent)
    }

    var stores: [any StateStore] { [self] }
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? { nil }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        let width = batch.columns.count
        guard case .bigint(let versions) = batch.columns[width - 2], case .integer(let found) = batch.columns[width - 1] else {
            preconditionFailure("the last columns of answers are VERSION and FOUND")
        }
        let keys = Array(batch.columns[..<answers.keyCount])
        // The newest version known of each key, the batch's own included as it goes on.
        let known = versionsAndFound(try answers.find(keys)).versions
        let own = GroupTable(types: Array(answers.types[..<answers.keyCount])).assign(keys)
        var newest: [UInt32: Int64] = [:]
        var kept: [UInt32] = []
        for row in 0..<batch.count {
            let slot = own.slots[row], version = versions.values[row]
            if version < newest[slot] ?? known[row] { continue }
            newest[slot] = version
            kept.append(UInt32(row))
        }
        let rows = batch.gathered(kept)
        let before = try answers.update(rows).before
        let wasFound = versionsAndFound(before).found, isFound = kept.map { found.values[Int($0)] == SubscriptionAnswer.row.rawValue }
        // No row before and none now is nothing, but for what is said in any case.
        let shown = kept.indices.filter { found.values[Int(kept[$0])] != SubscriptionAnswer.none.rawValue || wasFound[$0] }.map { UInt32($0) }
        var out = Batch(
            count: rows.count, columns: Array(rows.columns[..<(width - 2)]), timestamps: rows.timestamps, partition: rows.partition, offsets: rows.offsets)
        out.nullValues = isFound.contains(false) ? isFound.map { !$0 } : nil
        out.previous = Batch.Previous(columns: Array(answers.gathered(before)[..<(width - 2)]), isNull: wasFound.map { !$0 })
        return out.gathered(shown)
    }

    /// Of stored rows; nothing is older than everything, and not found.
    private func versionsAndFound(_ rows: [UInt32]) -> (versions: [Int64], found: [Bool]) {
        let columns = answers.gathered(rows)
        guard case .bigint(let versions) = columns[columns.count - 2], case .integer(let found) = columns[columns.count - 1] else {
            preconditionFailure("the last columns of answers are VERSION and FOUND")
        }
        return (
            rows.indices.map { rows[$0] == TableRows.none ? Int64.min : versions.values[$0] },
            rows.indices.map { rows[$0] != TableRows.none && found.values[$0] == SubscriptionAnswer.row.rawValue }
        )
    }

    func takeChanges(_ out: inout StateChanges) throws(MartletError) { answers.takeChanges(&out) }
    func restore(_ block: RecordBlock) throws(MartletError) { try answers.restore(block) }

    var memoryBytes: Int { answers.memoryBytes }
    var changedBytes: Int { answers.changedBytes }
    var isEvicting: Bool { true }
    var isPartial: Bool { answers.index != nil }
    func complete(from index: any StateIndex) { answers.complete(from: index) }
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) { answers.evict(to: bytes, index) }
}
