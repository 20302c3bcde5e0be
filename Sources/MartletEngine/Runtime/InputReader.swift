import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// Reads one partition of a topic for the leaves that it feeds: blocks are decoded once a leaf, rows are handed out in runs.
///
/// A topic that is at several leaves is read once, and each of its rows goes to the leaves in their order.
struct InputReader {
    struct Target {
        var stage: Int
        var leaf: Int
        /// Orders rows of equal timestamps across readers.
        var rank: Int
        var input: StageInput
        var isSourceTable: Bool
    }

    /// Rows of one target, from `next` on not yet handed out.
    private struct Held {
        var batch: Batch
        var next = 0
        var isEmpty: Bool { next >= batch.count }
    }

    let log: PartitionLog
    private(set) var targets: [Target]
    /// Nil: no end.
    var end: Int64?
    /// Offset to read the next block from.
    private(set) var readPosition: Int64
    private var block: RecordBlock?
    private var held: [Held] = []

    init(_ log: PartitionLog, targets: [Target], position: Int64, end: Int64? = nil) {
        self.log = log
        self.targets = targets
        self.end = end
        readPosition = position
    }

    /// The first offset whose row has not been handed out.
    var position: Int64 {
        var first: Int64?
        for one in held where !one.isEmpty { first = min(first ?? .max, one.batch.offsets[one.next]) }
        return first ?? readPosition
    }

    var isEmpty: Bool { held.allSatisfy(\.isEmpty) }
    var isAtEnd: Bool { end.map { readPosition >= $0 } ?? false }

    /// Goes on at `offset`: what was before it is gone.
    mutating func skip(to offset: Int64) { readPosition = offset }

    struct Read {
        var rows = 0
        var bytes = 0
        var progressed = false
    }

    /// Reads and decodes blocks until there are rows, or nothing more. Does nothing while there are rows to hand out.
    ///
    /// - `report`: is given what could not be decoded.
    mutating func fill(maxBytes: Int, report: (RowErrors, RecordBlock) throws(MartletError) -> Void) throws(MartletError) -> Read {
        var read = Read()
        while isEmpty, !isAtEnd {
            var block = try log.readBlock(from: readPosition, maxBytes: maxBytes, isolation: .readCommitted, reusing: &block)
            defer { self.block = block }
            if block.nextOffset == readPosition {
                if let end { readPosition = end }
                break
            }
            read.progressed = true
            readPosition = block.nextOffset
            if let end, let last = block.offsets.last, last >= end { block.keepFirst(block.offsets.firstIndex { $0 >= end }!) }
            read.rows += block.count
            read.bytes += block.buffer.count
            held.removeAll(keepingCapacity: true)
            for i in targets.indices {
                var errors = RowErrors()
                held.append(Held(batch: try targets[i].input.decode(block, errors: &errors)))
                // Leaves of one topic have the same format: what fails fails for all of them.
                if i == 0, errors.count > 0 { try report(errors, block) }
            }
        }
        return read
    }

    /// Where the next row to be handed out stands among those of other readers.
    struct Head: Comparable {
        var timestamp: Int64
        var rank: Int
        static func < (a: Head, b: Head) -> Bool { a.timestamp != b.timestamp ? a.timestamp < b.timestamp : a.rank < b.rank }
    }

    private var headTarget: Int? {
        var best: Int?
        for (i, one) in held.enumerated() where !one.isEmpty {
            if let other = best, held[other].batch.offsets[held[other].next] <= one.batch.offsets[one.next] { continue }
            best = i
        }
        return best
    }

    var head: Head? {
        headTarget.map { Head(timestamp: held[$0].batch.timestamps[held[$0].next], rank: targets[$0].rank) }
    }

    /// Hands out the next rows that come before `limit`, at least one: there has to be one.
    mutating func take(before limit: Head?) -> (target: Target, batch: Batch) {
        let i = headTarget!
        let from = held[i].next, batch = held[i].batch, rank = targets[i].rank
        var to = from + 1
        if targets.count == 1 {
            if let limit {
                while to < batch.count, Head(timestamp: batch.timestamps[to], rank: rank) < limit { to += 1 }
            } else {
                to = batch.count
            }
        }
        held[i].next = to
        if from == 0 && to == batch.count { return (targets[i], batch) }
        return (targets[i], batch.gathered((UInt32(from)..<UInt32(to)).map { $0 }))
    }

    /// Reads a table's topic from `first` up to `position` again, for state that is not kept elsewhere.
    ///
    /// - `passed`: is told how far it has come, after each block.
    mutating func restore(
        from first: Int64 = 0, _ apply: (Target, Batch) throws(MartletError) -> Void, passed: (Int64) throws(MartletError) -> Void = { _ in }
    ) throws(MartletError) {
        guard targets.contains(where: \.isSourceTable) else { return }
        var from = max(first, log.startOffset)
        while from < readPosition {
            var block = try log.readBlock(from: from, maxBytes: StreamTask.readBytes, isolation: .readCommitted, reusing: &block)
            defer { self.block = block }
            if block.nextOffset == from { break }
            from = block.nextOffset
            if let last = block.offsets.last, last >= readPosition { block.keepFirst(block.offsets.firstIndex { $0 >= readPosition }!) }
            for i in targets.indices where targets[i].isSourceTable {
                // Rows that could not be decoded were reported when they were first read.
                var errors = RowErrors()
                let batch = try targets[i].input.decode(block, errors: &errors)
                if batch.count > 0 { try apply(targets[i], batch) }
            }
            try passed(min(from, readPosition))
        }
    }
}

extension [InputReader] {
    /// The reader whose next row is first by time, and where the row after which another's comes stands; nil if no reader has rows.
    var first: (index: Int, limit: InputReader.Head?)? {
        var best: (index: Int, head: InputReader.Head)?, second: InputReader.Head?
        for i in indices {
            guard let head = self[i].head else { continue }
            if let known = best {
                if head < known.head {
                    second = known.head
                    best = (i, head)
                } else if second == nil || head < second! {
                    second = head
                }
            } else {
                best = (i, head)
            }
        }
        return best.map { ($0.index, second) }
    }
}
