import MartletColumns
import MartletCore
import MartletSQL

/// Joins rows of two streams with equal keys whose times lie close together (KStream-KStream join, Kafka Streams docs; ksqlDB, "Join streams").
///
/// Either side triggers, matches come in the order of the other side's times, and the result carries the later time. With a grace period the
/// outer result of a row without a match is held back until time has passed the end of its window and the grace period, and carries the row's
/// own time; without one it is given at once. A row whose window is over when it comes is given at once, and kept, as a late partner may still
/// come. Rows with a null value are dropped; so are rows with a null key, but for the outer side, whose rows are given as they are.
final class StreamStreamJoin: StreamOperator {
    /// Milliseconds, from the point of view of the left row: partners are up to `before` older and `after` younger.
    struct Bounds {
        var before: Int64
        var after: Int64
        var graceMs: Int64?
        static let defaultGraceMs: Int64 = 24 * 60 * 60 * 1000

        /// RIGHT is LEFT with the sides exchanged, and with them the meaning of before and after.
        init(kind: PhysicalPlan.Join.Kind, beforeMs: Int64, afterMs: Int64, graceMs: Int64?) {
            (before, after) = kind == .right ? (afterMs, beforeMs) : (beforeMs, afterMs)
            self.graceMs = graceMs
        }

        var retentionMs: Int64 {
            let (sum, a) = before.addingReportingOverflow(after)
            let (all, b) = sum.addingReportingOverflow(graceMs ?? Self.defaultGraceMs)
            return a || b ? .max / 4 : min(all, .max / 4)
        }
    }

    private let description: PhysicalPlan.Join
    private let bounds: Bounds
    private let left: JoinWindow
    private let right: JoinWindow
    private let condition: JoinCondition?
    private let isWindowed: Bool
    /// The newest time of both sides.
    private var time = Int64.min
    private var isRestored = false

    init(
        _ description: PhysicalPlan.Join, _ bounds: Bounds, left: PhysicalPlan.Node, right: PhysicalPlan.Node, _ setup: OperatorSetup
    ) throws(MartletError) {
        self.description = description
        self.bounds = bounds
        isWindowed = left.hasWindowedKeys
        let hasGrace = bounds.graceMs != nil
        self.left = JoinWindow(
            name: description.step + "-Left", types: left.outputTypes, keys: description.leftKeys, retentionMs: bounds.retentionMs,
            isWindowed: isWindowed, mayWait: hasGrace && description.isOuter(.left), isPersistent: setup.isPersistent)
        self.right = JoinWindow(
            name: description.step + "-Right", types: right.outputTypes, keys: description.rightKeys, retentionMs: bounds.retentionMs,
            isWindowed: isWindowed, mayWait: hasGrace && description.isOuter(.right), isPersistent: setup.isPersistent)
        condition = try JoinCondition(description, setup)
    }

    var stores: [any StateStore] { [left, right] }
    func restore(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch? { nil }

    /// One result: rows of both sides, its time, and the row of the batch that it came with.
    private struct Results {
        var left: [UInt32] = []
        var right: [UInt32] = []
        var times: [Int64] = []
        var sources: [UInt32] = []

        mutating func append(left l: UInt32, right r: UInt32, time: Int64, source: Int) {
            left.append(l)
            right.append(r)
            times.append(time)
            sources.append(UInt32(source))
        }
    }

    /// How far partners of a row of `side` may lie before and after it.
    private func reach(_ side: InputSide) -> (before: Int64, after: Int64) {
        side == .left ? (bounds.before, bounds.after) : (bounds.after, bounds.before)
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        if !isRestored { takeUp() }
        let (own, other) = side == .left ? (left, right) : (right, left)
        let keyColumns = own.keys.map { batch.columns[$0] }
        let hasKey = (0..<batch.count).map { row in keyColumns.allSatisfy { $0.validity.isValid(row) } && batch.nullKeys?[row] != true }
        let hasValue = (0..<batch.count).map { batch.nullValues?[$0] != true }
        let (first, slots) = own.append(batch)
        let candidates = try candidates(batch, side, other, keyColumns, zip(hasKey, hasValue).map { $0 && $1 }, first, own, &context)

        var results = Results()
        func give(_ row: UInt32, _ partner: UInt32, _ time: Int64, _ source: Int) {
            if side == .left { results.append(left: row, right: partner, time: time, source: source) }
            else { results.append(left: partner, right: row, time: time, source: source) }
        }
        let reach = reach(side), isOuter = description.isOuter(side)
        var next = 0
        for row in 0..<batch.count {
            let stamp = batch.timestamps[row], place = UInt32(first + row)
            time = max(time, stamp)
            if !hasValue[row] { continue }
            if !hasKey[row] {
                if isOuter { give(place, JoinWindow.none, stamp, row) }
                continue
            }
            if stamp == time { try giveWaiting(&results, source: row) }
            own.add(place, slot: slots[row])
            var isMatched = false
            while next < candidates.rows.count, candidates.rows[next] == row {
                defer { next += 1 }
                if !candidates.holds[next] { continue }
                let partner = candidates.partners[next]
                isMatched = true
                if other.waits[Int(partner)] { other.setWaits(partner, false) }
                give(place, partner, max(stamp, other.timestamps[Int(partner)]), row)
            }
            guard isOuter, !isMatched else { continue }
            if bounds.graceMs == nil || Self.sum(stamp, reach.after) < time {
                give(place, JoinWindow.none, stamp, row)
            } else {
                own.setWaits(place, true)
            }
        }
        own.advance(to: time)
        return output(results, batch)
    }

    /// Times that were known before a restart.
    private func takeUp() {
        isRestored = true
        time = max(time, max(left.seen, right.seen))
    }

    /// Pairs that are close enough, by row and then by the partner's time, and whether the rest of the condition holds for them.
    private func candidates(
        _ batch: Batch, _ side: InputSide, _ other: JoinWindow, _ keys: [Column], _ isUsed: [Bool], _ first: Int, _ own: JoinWindow,
        _ context: inout OperatorContext
    ) throws(MartletError) -> (rows: [Int], partners: [UInt32], holds: [Bool]) {
        var rows: [Int] = [], partners: [UInt32] = []
        let reach = reach(side)
        let slots = try other.find(keys, isUsed, from: batch.timestamps.map { Self.sum($0, -reach.before) })
        for row in 0..<batch.count where isUsed[row] && slots[row] != GroupTable.absent {
            let stamp = batch.timestamps[row]
            other.visit(slot: slots[row], from: Self.sum(stamp, -reach.before), to: Self.sum(stamp, reach.after)) {
                rows.append(row)
                partners.append($0)
            }
        }
        guard let condition else { return (rows, partners, [Bool](repeating: true, count: rows.count)) }
        let width = batch.columns.count
        let mine = own.gathered(rows.map { UInt32(first + $0) }), theirs = other.gathered(partners)
        let offsets = batch.offsets.isEmpty ? [] : rows.map { batch.offsets[$0] }
        let otherWidth = theirs.count - (isWindowed ? 2 : 0)
        let (l, r) = side == .left ? (mine[..<width], theirs[..<otherWidth]) : (theirs[..<otherWidth], mine[..<width])
        return (rows, partners, condition.holds(Array(l), Array(r), count: rows.count, offsets: offsets, &context))
    }

    private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? (b < 0 ? .min : .max) : sum
    }

    /// Outer results of rows whose windows and grace periods are over, the oldest first.
    private func giveWaiting(_ results: inout Results, source: Int) throws(MartletError) {
        guard let grace = bounds.graceMs else { return }
        let leftLimit = Self.sum(Self.sum(time, -reach(.left).after), -grace), rightLimit = Self.sum(Self.sum(time, -reach(.right).after), -grace)
        guard left.mayHaveWaiting(before: leftLimit) || right.mayHaveWaiting(before: rightLimit) else { return }
        var fromLeft = try left.takeWaiting(before: leftLimit)[...], fromRight = try right.takeWaiting(before: rightLimit)[...]
        while !fromLeft.isEmpty || !fromRight.isEmpty {
            let leftTime = fromLeft.first.map { left.timestamps[Int($0)] }, rightTime = fromRight.first.map { right.timestamps[Int($0)] }
            // Of one time those of the right side come first.
            if let leftTime, rightTime.map({ leftTime < $0 }) ?? true {
                results.append(left: fromLeft.removeFirst(), right: JoinWindow.none, time: leftTime, source: source)
            } else if let rightTime {
                results.append(left: JoinWindow.none, right: fromRight.removeFirst(), time: rightTime, source: source)
            }
        }
    }

    private func output(_ results: Results, _ batch: Batch) -> Batch {
        var l = left.gathered(results.left), r = right.gathered(results.right)
        let fromRight = results.left.map { $0 == JoinWindow.none }
        func either(_ a: Column, _ b: Column) -> Column {
            guard fromRight.contains(true) else { return a }
            let count = UInt32(fromRight.count)
            return a.concatenated(with: b).gathered(fromRight.enumerated().map { $1 ? count + UInt32($0) : UInt32($0) })
        }
        let keys = zip(left.keys, right.keys).map { either(l[$0], r[$1]) }
        var windows: Batch.Windows?
        if isWindowed, case .bigint(let starts) = either(l[l.count - 2], r[r.count - 2]), case .bigint(let ends) = either(l[l.count - 1], r[r.count - 1]) {
            windows = Batch.Windows(starts: starts.values, ends: ends.values)
            l.removeLast(2)
            r.removeLast(2)
        }
        var out = Batch(
            count: results.times.count, columns: l + r + keys, timestamps: results.times, partition: batch.partition, offsets: batch.offsets(of: results.sources))
        out.windows = windows
        out.headers = batch.headers.map { headers in headers.gathered(results.sources) }
        return out
    }
}

extension PhysicalPlan.Join {
    /// Whether rows of that side without a partner give results.
    fileprivate func isOuter(_ side: InputSide) -> Bool { kind == .full || kind == (side == .left ? .left : .right) }
}
