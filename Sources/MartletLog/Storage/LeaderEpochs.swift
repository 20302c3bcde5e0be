import MartletCore
import Synchronization

/// Which leader epoch wrote from which offset on: what clients ask to learn whether the log still is the one that they have read (KIP-101,
/// KIP-320). Each start of the node begins a new epoch; what a power cut took from the end of the log ends the one before.
///
/// Both epochs and offsets rise strictly. The batches carry their epoch, so whatever the clean point does not know is learnt from them.
struct LeaderEpochs: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var epoch: Int32
        /// Of the epoch's first record, or where it will be.
        var startOffset: Int64
    }

    private(set) var entries: [Entry] = []

    /// −1 if there is none.
    var latest: Int32 { entries.last?.epoch ?? -1 }

    /// The epoch writes from `offset` on. Nothing happens if it, or a later one, is known; an earlier one that wrote nothing is forgotten.
    mutating func begin(_ epoch: Int32, at offset: Int64) {
        guard epoch > latest else { return }
        while let last = entries.last, last.startOffset >= offset { entries.removeLast() }
        entries.append(Entry(epoch: epoch, startOffset: offset))
    }

    /// The log begins at `offset` now: epochs that ended before are forgotten.
    mutating func forget(before offset: Int64) {
        while entries.count > 1, entries[1].startOffset <= offset { entries.removeFirst() }
        if let first = entries.first, first.startOffset < offset { entries[0].startOffset = offset }
    }

    /// Who wrote the record at `offset`; −1 if that is not known.
    func epoch(at offset: Int64) -> Int32 { entries.last { $0.startOffset <= offset }?.epoch ?? -1 }

    /// Where `epoch`, or else the latest one before it, ends: where the next one began, or at `logEnd`. Nil for an epoch that has not begun.
    /// Of one that is older than all that are known the answer is the start of the first.
    func end(of epoch: Int32, logEnd: Int64) -> Entry? {
        guard epoch >= 0 else { return nil }
        if epoch == latest { return Entry(epoch: epoch, startOffset: logEnd) }
        guard let next = entries.firstIndex(where: { $0.epoch > epoch }) else { return nil }
        return Entry(epoch: next == 0 ? epoch : entries[next - 1].epoch, startOffset: entries[next].startOffset)
    }

    // MARK: in the clean point file: count u32; epoch i32, start offset i64 each

    func put(into out: inout ByteWriter) {
        out.put(UInt32(entries.count))
        for entry in entries {
            out.put(entry.epoch)
            out.put(entry.startOffset)
        }
    }

    init() {}

    init?(from reader: inout ByteReader) {
        guard let count: UInt32 = reader.take() else { return nil }
        for _ in 0..<count {
            guard let epoch: Int32 = reader.take(), let start: Int64 = reader.take(), epoch > latest, start > entries.last?.startOffset ?? -1 else {
                return nil
            }
            entries.append(Entry(epoch: epoch, startOffset: start))
        }
    }
}

/// What a request says of the epoch that it knows, against the one in force (KIP-320).
enum EpochCheck {
    static func error(_ asked: Int32, inForce: Int32) -> KafkaErrorCode {
        if asked < 0 || asked == inForce { return .none }
        return asked < inForce ? .fencedLeaderEpoch : .unknownLeaderEpoch
    }
}

extension PartitionLog {
    func leaderEpoch(at offset: Int64) -> Int32 { state.withLock { $0.epochs.epoch(at: offset) } }

    /// Where an epoch ends, in terms of what can be read; nil if it has not begun.
    func end(ofEpoch epoch: Int32) -> LeaderEpochs.Entry? { state.withLock { $0.epochs.end(of: epoch, logEnd: $0.highWatermark) } }
}
