import MartletCore
import Synchronization

/// The clean point of a partition: up to here everything is on disk and was checked, and this is what had been learnt on the way. A start
/// after a crash looks at what comes behind it only.
///
/// File `checkpoint` in the partition's directory (little-endian): magic "MCKP", version u32 = 2, start offset i64, active segment's base
/// offset i64, position in it u64, next offset i64, its max timestamp i64, its index (as in OffsetIndex), cleaned-until and gaps-until offsets i64,
/// producers (as in ProducerStates), aborted transactions (count u32; producer id, first offset, last offset, i64 each), fenced ranges
/// (count u32; lower, upper i64), leader epochs (as in LeaderEpochs); CRC-32C of all that. Version 1, of before there were epochs, ends with the
/// fenced ranges.
struct LogCheckpoint: Sendable, Equatable {
    static let fileName = "checkpoint"
    private static let magic: UInt32 = 0x504b_434d
    private static let version: UInt32 = 2

    var startOffset: Int64
    var segmentBase: Int64
    var position: Int
    var nextOffset: Int64
    var maxTimestamp: Int64
    var index: OffsetIndex
    var cleanedUntil: Int64
    var gapsUntil: Int64
    var producers: ProducerStates
    var aborted: [AbortedTransaction]
    var fenced: [Range<Int64>]
    var epochs: LeaderEpochs

    init(_ state: borrowing PartitionLog.State) {
        let active = state.segments[state.segments.count - 1]
        startOffset = state.startOffset
        segmentBase = active.baseOffset
        position = active.size
        nextOffset = active.nextOffset
        maxTimestamp = active.maxTimestamp
        index = active.index
        cleanedUntil = state.cleanedUntil
        gapsUntil = state.gapsUntil
        producers = state.producers
        aborted = state.aborted
        fenced = state.fenced
        epochs = state.epochs
    }

    func encoded() -> [UInt8] {
        var out = ByteWriter()
        out.put(Self.magic)
        out.put(Self.version)
        out.put(startOffset)
        out.put(segmentBase)
        out.put(Int64(position))
        out.put(nextOffset)
        out.put(maxTimestamp)
        index.put(into: &out)
        out.put(cleanedUntil)
        out.put(gapsUntil)
        producers.put(into: &out)
        out.put(UInt32(aborted.count))
        for transaction in aborted {
            out.put(transaction.producerID)
            out.put(transaction.firstOffset)
            out.put(transaction.lastOffset)
        }
        out.put(UInt32(fenced.count))
        for range in fenced {
            out.put(range.lowerBound)
            out.put(range.upperBound)
        }
        epochs.put(into: &out)
        return out.sealed()
    }

    /// nil if the bytes are damaged. Throws `.incompatibleFormat` if a newer Martlet wrote them.
    init?(_ bytes: [UInt8], path: String) throws(MartletError) {
        guard var reader = ByteReader(sealed: bytes), reader.take() == Self.magic, let version: UInt32 = reader.take() else { return nil }
        guard (1...Self.version).contains(version) else {
            throw MartletError(.incompatibleFormat, "\(path) has format version \(version); this Martlet knows versions 1 to \(Self.version)")
        }
        guard let startOffset: Int64 = reader.take(), let segmentBase: Int64 = reader.take(), let position: Int64 = reader.take(),
            let nextOffset: Int64 = reader.take(), let maxTimestamp: Int64 = reader.take(), let index = OffsetIndex(from: &reader),
            let cleanedUntil: Int64 = reader.take(), let gapsUntil: Int64 = reader.take(), let producers = ProducerStates(from: &reader), let abortedCount: UInt32 = reader.take()
        else { return nil }
        self.startOffset = startOffset
        self.segmentBase = segmentBase
        self.position = Int(position)
        self.nextOffset = nextOffset
        self.maxTimestamp = maxTimestamp
        self.index = index
        self.cleanedUntil = cleanedUntil
        self.gapsUntil = gapsUntil
        self.producers = producers
        aborted = []
        fenced = []
        epochs = LeaderEpochs()
        for _ in 0..<abortedCount {
            guard let id: Int64 = reader.take(), let first: Int64 = reader.take(), let last: Int64 = reader.take() else { return nil }
            aborted.append(AbortedTransaction(producerID: id, firstOffset: first, lastOffset: last))
        }
        guard let fencedCount: UInt32 = reader.take() else { return nil }
        for _ in 0..<fencedCount {
            guard let lower: Int64 = reader.take(), let upper: Int64 = reader.take(), lower <= upper else { return nil }
            fenced.append(lower..<upper)
        }
        if version == 1 {
            // Everything had the epoch 0.
            epochs.begin(0, at: startOffset)
        } else {
            guard let epochs = LeaderEpochs(from: &reader) else { return nil }
            self.epochs = epochs
        }
        guard reader.remaining == 0 else { return nil }
    }
}

extension PartitionLog {
    /// Moves the clean point to the present end: syncs the log, saves the indexes of closed segments, replaces the checkpoint.
    func checkpoint() throws(MartletError) {
        try upkeep.withLock { (_) throws(MartletError) in try writeCheckpoint() }
    }

    /// Call with `upkeep` locked.
    func writeCheckpoint() throws(MartletError) {
        let (files, closed, point) = try state.withLock { (state) throws(MartletError) in
            if let failure = state.failure { throw failure }
            let closed = state.segments.dropLast().filter { !$0.indexIsSaved }
            return (state.unsyncedFiles + [state.segments[state.segments.count - 1].file], closed, LogCheckpoint(state))
        }
        // With durability .os too: a clean point that the disk does not have would hide what was lost.
        for file in files { try sync(file) }
        let system = services.fileSystem
        for segment in closed {
            let path = "\(directory)/\(LogSegment.fileName(segment.baseOffset, ".index"))"
            try system.replace(path, with: segment.index.encoded(of: segment), durably: services.isDurable)
        }
        try system.replace("\(directory)/\(LogCheckpoint.fileName)", with: point.encoded(), durably: services.isDurable)
        state.withLock { state in
            state.unsyncedFiles.removeAll { file in files.contains { $0 === file } }
            for segment in closed {
                guard let i = state.segments.firstIndex(where: { $0.baseOffset == segment.baseOffset && $0.size == segment.size }) else { continue }
                state.segments[i].indexIsSaved = true
            }
            state.bytesSinceCheckpoint = 0
        }
    }
}
