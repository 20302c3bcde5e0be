import Logging
import MartletCore
import NIOCore
import Synchronization

/// One partition of one share group while the node runs: the shell around `SharePartition`, with its lock, the log it reads and the state it writes.
///
/// What is written down goes into `__share_group_state` under the lock, before it is in force here, so that memory and log agree on the order.
final class SharedPartition: Sendable {
    let key: ShareKey
    let id: TopicPartition
    let log: PartitionLog
    private let states: ShareStateLog
    private let logger: Logger
    private let state: Mutex<State>

    private struct State {
        var stored: ShareStateLog.Stored
        /// Its start is on disk once the state's log is durable to here.
        var durableFrom: Int64
        var isGone = false
        /// About, of those read last; decides how much is read for a number of records.
        var bytesPerRecord = 1024.0
    }

    /// - `durableFrom`: where the state's log ends behind what `stored` says.
    init(
        key: ShareKey, id: TopicPartition, log: PartitionLog, states: ShareStateLog, stored: ShareStateLog.Stored, durableFrom: Int64, logger: Logger
    ) {
        self.key = key
        self.id = id
        self.log = log
        self.states = states
        self.logger = logger
        state = Mutex(State(stored: stored, durableFrom: durableFrom))
    }

    var durableFrom: Int64 { state.withLock(\.durableFrom) }

    /// A copy, with what the log has lost meanwhile taken off.
    var partition: SharePartition {
        let start = log.startOffset
        return state.withLock { state in
            state.stored.partition.moveStart(to: start)
            return state.stored.partition
        }
    }

    var stateEpoch: Int32 { state.withLock(\.stored.stateEpoch) }

    /// Milliseconds when the first lock ends.
    var nextDeadline: Int64? { state.withLock { $0.isGone ? nil : $0.stored.partition.nextDeadline } }

    func readableEnd(_ isolation: Isolation) -> Int64 { isolation == .readCommitted ? log.lastStableOffset : log.highWatermark }

    /// Whether a member that asks now may get something.
    func hasRecords(_ settings: ShareGroupSettings) -> Bool { nextOffset(settings) != nil }

    private func nextOffset(_ settings: ShareGroupSettings) -> Int64? {
        let start = log.startOffset, end = readableEnd(settings.isolation)
        return state.withLock { state in
            guard !state.isGone else { return nil }
            state.stored.partition.moveStart(to: start)
            return state.stored.partition.nextOffset(below: end, recordLocksMax: settings.partitionRecordLocksMax)
        }
    }

    // MARK: handing out

    struct Handout: Sendable {
        var records = ByteBuffer()
        var pieces: [SharePartition.Acquired] = []
        var count: Int64 { pieces.reduce(0) { $0 + $1.count } }
    }

    /// Reads and hands out. May wait for the disk where `isCold` says so.
    ///
    /// - Throws: CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
    func handOut(_ wish: SharePartition.Wish, bytesMax: Int) throws(KafkaError) -> Handout {
        // Others may be reading the same; what they got first is read on behind.
        for _ in 0..<8 {
            guard let offset = nextOffset(wish.settings) else { break }
            let bytesPerRecord = state.withLock(\.bytesPerRecord)
            let enough = Int(min(Double(wish.recordsMax) * bytesPerRecord * 1.25, 1e9)) + Self.bytesMin
            let slice: FetchSlice
            do throws(KafkaError) {
                slice = try log.read(from: offset, maxBytes: max(1, min(bytesMax, enough)), isolation: wish.settings.isolation)
            } catch {
                // Retention was faster.
                if error.code == .offsetOutOfRange { continue }
                throw error
            }
            let read = ReadBatches(slice)
            if read.batches.isEmpty { try passGap(at: offset, slice, wish.settings) }
            let pieces = state.withLock { state -> [SharePartition.Acquired] in
                guard !state.isGone, !read.batches.isEmpty else { return [] }
                if read.recordCount > 0 { state.bytesPerRecord = Double(slice.bytes.readableBytes) / Double(read.recordCount) }
                return state.stored.partition.acquire(read.batches, from: offset, wish)
            }
            if let first = pieces.first, let last = pieces.last {
                let handout = Handout(records: read.bytes(from: first.first, to: last.last), pieces: pieces)
                log.sentBytes.wrappingAdd(Int64(handout.records.readableBytes), ordering: .relaxed)
                log.sentRecords.wrappingAdd(handout.count, ordering: .relaxed)
                return handout
            }
        }
        return Handout()
    }

    /// There is no batch from `offset` to the readable end: compaction left none.
    private func passGap(at offset: Int64, _ slice: FetchSlice, _ settings: ShareGroupSettings) throws(KafkaError) {
        let end = min(settings.isolation == .readCommitted ? slice.lastStableOffset : slice.highWatermark, log.gapsUntil)
        guard offset < end else { throw KafkaError(.kafkaStorageError, "\(id) has no batch at offset \(offset)") }
        state.withLock { state in
            state.stored.partition.skip(offset, end - 1)
            state.stored.partition.settle()
        }
    }

    private static let bytesMin = 16 << 10

    /// About how much there is from where a member would read on.
    func bytesAhead(_ settings: ShareGroupSettings) -> Double {
        guard let offset = nextOffset(settings) else { return 0 }
        let start = log.startOffset, end = log.endOffset
        return end > start ? Double(log.sizeBytes) * Double(readableEnd(settings.isolation) - offset) / Double(end - start) : 0
    }

    /// Whether what comes next may have to be read from the disk.
    func isCold(_ settings: ShareGroupSettings) -> Bool { bytesAhead(settings) > Double(FetchPlan.warmBytes) }

    // MARK: taking back

    /// - Returns: where the state's log ends behind what was written.
    /// - Throws: INVALID_RECORD_STATE, KAFKA_STORAGE_ERROR; then nothing has changed.
    func acknowledge(
        _ acknowledgements: [SharePartition.Acknowledgement], by member: String, now: Int64, _ settings: ShareGroupSettings
    ) throws(KafkaError) -> Int64 {
        let start = log.startOffset
        return try state.withLock { (state) throws(KafkaError) in
            guard !state.isGone else { throw KafkaError(.unknownTopicOrPartition, "group \(key.group) does not read \(id) any more") }
            state.stored.partition.moveStart(to: start)
            var next = state.stored.partition
            let changes = try next.acknowledge(acknowledgements, by: member, now: now, settings)
            guard !changes.isEmpty else {
                state.stored.partition = next
                return 0
            }
            do throws(LogFailure) {
                return try write(next, changes, &state)
            } catch {
                throw error.kafka
            }
        }
    }

    /// Takes back what members have had for too long. Returns whether there was any.
    func expire(now: Int64, _ settings: ShareGroupSettings) -> Bool {
        state.withLock { state in
            guard !state.isGone else { return false }
            var next = state.stored.partition
            let changes = next.expire(now: now, deliveriesMax: settings.deliveryCountLimit)
            guard !changes.isEmpty else { return false }
            do throws(LogFailure) {
                _ = try write(next, changes, &state)
            } catch {
                // The records come again all the same; a crash would count them once less.
                state.stored.partition = next
                logger.warning("expired locks of a share group are not written down", metadata: ["group": "\(key.group)", "partition": "\(id)", "error": "\(error.error)"])
            }
            return true
        }
    }

    /// What the member has is free again. Returns whether it had any.
    func release(_ member: String, only pieces: [SharePartition.Acquired]? = nil) -> Bool {
        state.withLock { $0.stored.partition.release(member, only: pieces) }
    }

    // MARK: administration

    /// Begins anew at `offset`; what members have in hand is not theirs any more.
    func setStart(_ offset: Int64) throws(LogFailure) -> Int64 {
        try state.withLock { (state) throws(LogFailure) in
            let before = state.stored.stateEpoch
            state.stored.stateEpoch = before &+ 1
            do throws(LogFailure) {
                return try writeSnapshot(SharePartition(startOffset: offset), &state)
            } catch {
                state.stored.stateEpoch = before
                throw error
            }
        }
    }

    func reopen() { state.withLock { $0.isGone = false } }

    /// Nothing is handed out or taken back any more. Returns how many updates have to be forgotten.
    func close() -> Int {
        state.withLock { state in
            state.isGone = true
            return state.stored.updatesEver
        }
    }

    // MARK: writing

    /// Writes an update, or a snapshot when there were enough of them, and puts `next` in force.
    private func write(_ next: SharePartition, _ changes: [SharePartition.Change], _ state: inout State) throws(LogFailure) -> Int64 {
        let update = state.stored.updates
        if update >= states.updatesMax { return try writeSnapshot(next, &state) }
        let news = changes.filter { $0.last >= next.startOffset }
        let end = try states.append([
            .init(
                key: key, update: update, stateEpoch: state.stored.stateEpoch, snapshotEpoch: state.stored.snapshotEpoch, startOffset: next.startOffset,
                changes: news)
        ])
        state.stored.partition = next
        state.stored.updates = update + 1
        state.stored.updatesEver = max(state.stored.updatesEver, update + 1)
        return end
    }

    private func writeSnapshot(_ next: SharePartition, _ state: inout State) throws(LogFailure) -> Int64 {
        let epoch = state.stored.snapshotEpoch &+ 1
        let end = try states.append([
            .init(key: key, update: nil, stateEpoch: state.stored.stateEpoch, snapshotEpoch: epoch, startOffset: next.startOffset, changes: next.changes)
        ])
        state.stored.partition = next
        state.stored.snapshotEpoch = epoch
        state.stored.updates = 0
        return end
    }
}

/// The batches of a read with where they lie in it.
struct ReadBatches {
    private(set) var batches: [SharePartition.LogBatch] = []
    private(set) var recordCount = 0
    private var ends: [Int] = []
    private let slice: ByteBuffer

    init(_ read: FetchSlice) {
        slice = read.bytes
        let aborted = Dictionary(grouping: read.aborted, by: \.producerID)
        read.bytes.withUnsafeReadableBytes { bytes in
            var at = 0
            while at < bytes.count, let header = BatchHeader(UnsafeRawBufferPointer(rebasing: bytes[at...])), header.sizeBytes <= bytes.count - at {
                let isAborted = header.isTransactional
                    && aborted[header.producerID]?.contains { $0.firstOffset <= header.baseOffset && header.baseOffset <= $0.lastOffset } ?? false
                batches.append(
                    .init(first: header.baseOffset, last: header.lastOffset, isReadable: !header.isControl && !isAborted && header.recordCount > 0))
                recordCount += Int(header.recordCount)
                at += header.sizeBytes
                ends.append(at)
            }
        }
    }

    /// Whole batches, from the one with the first offset to the one with the last.
    func bytes(from first: Int64, to last: Int64) -> ByteBuffer {
        guard let low = batches.firstIndex(where: { $0.last >= first }), let high = batches.lastIndex(where: { $0.first <= last }), low <= high
        else { return ByteBuffer() }
        let start = low == 0 ? 0 : ends[low - 1]
        return slice.getSlice(at: slice.readerIndex + start, length: ends[high] - start) ?? ByteBuffer()
    }
}
