import Logging
import MartletCore
import Synchronization

/// The log of one partition: record batches in offset order in segment files.
///
/// Invariants, cited by number where they are kept:
/// (1) The high watermark never passes what is on disk (`.fsync`) or written (`.os`), and never moves back.
/// (2) Offsets of batches rise strictly; between two batches there are gaps only where compaction removed records or a stretch is corrupt.
/// (3) Bytes below the high watermark never change, but for compaction, which writes a new file and leaves the old one to its readers.
/// (4) A batch is in the log whole or not at all: a failed write is cut off again before the next one.
/// (5) Nothing is served that fails its checksum; a reader is told topic, partition and offset instead.
/// (6) A read-committed reader sees no record of an open or aborted transaction: nothing at or past the last stable offset, which is the
///     first offset of the oldest open transaction or else the high watermark.
/// (7) What an acknowledged batch told of its producer (sequence, epoch, open transaction) is known again after a restart.
/// (8) Nobody holds the lock (`state`) during disk reads and syncs, but for the sync that closes a segment; writes go to the page cache under it, which
///     gives (2) and (4).
/// (9) With `.fsync` a segment is on disk as a whole before its successor exists, so only the last one can be torn by a crash.
public final class PartitionLog: Sendable {
    public let id: TopicPartition
    let directory: String
    let services: LogServices
    /// Since this start of the node (LeaderEpochs.swift).
    public let leaderEpoch: Int32
    let state: Mutex<State>
    /// Held while clean points are written and files replaced, one such thing at a time. Taken before `state`.
    let upkeep = Mutex<Void>(())
    /// Held during a sync: whoever waits for it finds that the sync before, or the one that it begins, has taken its records along. Taken before `state`.
    private let syncing = Mutex<Void>(())
    /// Sent to Kafka clients since the start.
    let sentBytes = Atomic<Int64>(0), sentRecords = Atomic<Int64>(0)

    struct State: Sendable {
        var settings: TopicSettings
        /// By base offset, never empty; the last one is appended to.
        var segments: [LogSegment]
        var startOffset: Int64
        var endOffset: Int64
        var highWatermark: Int64
        var producers = ProducerStates()
        var epochs = LeaderEpochs()
        /// By last offset.
        var aborted: [AbortedTransaction] = []
        /// Offsets that recovery found corrupt in the middle of the log.
        var fenced: [Range<Int64>] = []
        /// Closed files with bytes that were not yet synced; with durability `.os` only (9).
        var unsyncedFiles: [any LogFile] = []
        var waiters: [Waiter] = []
        var syncIsRequested = false
        /// Appended since the last sync began.
        var bytesSinceSync = 0
        /// Bytes of half a batch may lie behind the end, to be cut before the next write (4).
        var tailIsDirty = false
        /// The last write failed, e.g. for a full disk.
        var lastWriteFailed = false
        /// A sync failed: what the disk holds is no longer known, so nothing more is accepted until the log is opened again.
        var failure: MartletError?
        var isClosed = false
        var hints: [ReadHint] = []
        var nextHint = 0
        var bytesSinceCheckpoint = 0
        /// Since the start, without markers.
        var appendedBytes: Int64 = 0, appendedRecords: Int64 = 0
        /// Everything below was compacted before.
        var cleanedUntil: Int64 = 0
        /// Compaction may have made gaps between offsets before here.
        var gapsUntil: Int64 = 0
        /// Counts replacements of files by compaction, which make hints stale.
        var generation = 0
    }

    struct Waiter: Sendable {
        var offset: Int64
        var completion: @Sendable (KafkaErrorCode) -> Void
    }

    /// Where the batch with `offset` begins: left by the reader who read up to it.
    struct ReadHint: Sendable {
        var offset: Int64
        var segmentBase: Int64
        var position: Int
    }

    init(id: TopicPartition, directory: String, services: LogServices, state: consuming State) {
        self.id = id
        self.directory = directory
        self.services = services
        leaderEpoch = state.epochs.latest
        self.state = Mutex(state)
    }

    // MARK: offsets

    public var startOffset: Int64 { state.withLock { $0.startOffset } }
    /// The offset that the next record gets.
    public var endOffset: Int64 { state.withLock { $0.endOffset } }
    public var highWatermark: Int64 { state.withLock { $0.highWatermark } }
    public var lastStableOffset: Int64 { state.withLock { $0.lastStableOffset } }
    /// Between offsets from here on there are no gaps.
    var gapsUntil: Int64 { state.withLock { $0.gapsUntil } }
    /// Its topic was deleted, or the log closed: what is there can be read, nothing will be added.
    public var isClosed: Bool { state.withLock { $0.isClosed } }
    /// Bytes of all segments.
    public var sizeBytes: Int64 { state.withLock { $0.segments.reduce(0) { $0 + Int64($1.size) } } }
    public var settings: TopicSettings { state.withLock { $0.settings } }

    func change(settings: TopicSettings) { state.withLock { $0.settings = settings } }

    // MARK: append

    /// Appends the record batches of a client's Produce request, after checking them (LogValidator.swift) and their producer's state.
    ///
    /// Offsets, leader epoch and, where the topic says so, timestamps and compression are assigned; messages of formats 0 and 1, which Produce
    /// requests before version 3 may carry, become a record batch; nothing else is changed. On return the batches are written,
    /// but not yet durable: see `whenDurable`. `requiredAcks` is checked only for being −1, 0 or 1.
    /// Throws CORRUPT_MESSAGE, INVALID_RECORD, MESSAGE_TOO_LARGE, UNSUPPORTED_FOR_MESSAGE_FORMAT, OUT_OF_ORDER_SEQUENCE_NUMBER,
    /// INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, KAFKA_STORAGE_ERROR and the like.
    public func append(client bytes: UnsafeRawBufferPointer, requiredAcks: Int16 = -1, produceVersion: Int16 = 9) throws(KafkaError) -> AppendResult {
        do throws(LogFailure) {
            guard (-1...1).contains(requiredAcks) else {
                throw LogFailure(.invalidRequiredAcks, .badRequest, "acks must be -1, 0 or 1, not \(requiredAcks)")
            }
            if LegacyRecords.isLegacy(bytes) {
                guard produceVersion < 3 else {
                    throw LogFailure(
                        .invalidRecord, .badRequest, "Produce \(produceVersion) for \(id) carries messages of format \(bytes[16]), not record batches (2)")
                }
                let batch = try LegacyRecords.batch(bytes, id)
                return try batch.withBytes { (bytes) throws(LogFailure) in try append(checking: bytes, produceVersion) }
            }
            return try append(checking: bytes, produceVersion)
        } catch {
            throw error.kafka
        }
    }

    private func append(checking bytes: UnsafeRawBufferPointer, _ produceVersion: Int16) throws(LogFailure) -> AppendResult {
        let settings = self.settings
        var headers = try LogValidator.check(bytes, settings, id, nowMs: services.time.wallMs)
        if produceVersion < 7, headers.contains(where: { $0.codec == .zstd }) {
            throw LogFailure(.unsupportedCompressionType, .badRequest, "Produce \(produceVersion) for \(id) is too old for zstd")
        }
        if let first = headers.first, first.isTransactional {
            let check = services.transactionGuard.withLock { $0 }
            if let failure = check?(first.producerID, first.producerEpoch, id) { throw failure }
        }
        if let codec = settings.codec, let again = Recompression.batches(bytes, headers, to: codec) {
            return try again.withBytes { (bytes) throws(LogFailure) in
                headers = try LogValidator.headers(bytes, settings, id)
                return try append(bytes, headers, stamping: settings.stampsOnAppend)
            }
        }
        return try append(bytes, headers, stamping: settings.stampsOnAppend)
    }

    /// Appends what the builder holds, outside of any transaction and without a producer id; the builder is empty afterwards, also on failure.
    public func append(_ batch: inout RecordBatchBuilder) throws(MartletError) -> AppendResult {
        do throws(LogFailure) {
            return try append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: true)
        } catch {
            throw error.error
        }
    }

    func append(
        _ batch: inout RecordBatchBuilder, producerID: Int64, epoch: Int16, sequence: Int32, attributes: UInt16, syncing: Bool
    ) throws(LogFailure) -> AppendResult {
        try batch.withFinished(producerID: producerID, epoch: epoch, baseSequence: sequence, attributes: attributes) { (bytes) throws(LogFailure) in
            guard let header = BatchHeader(UnsafeRawBufferPointer(bytes)) else {
                throw LogFailure(.messageTooLarge, .badRequest, "a record batch for \(id) is larger than 2 GiB")
            }
            return try append(UnsafeRawBufferPointer(bytes), [header], stamping: false, syncing: syncing)
        }
    }

    /// Appends the marker that ends a transaction of this producer here. The caller sees to its being synced.
    ///
    /// - `isForeign`: it does not come from our coordinator and may be too old.
    func appendMarker(_ type: ControlType, producerID: Int64, epoch: Int16, coordinatorEpoch: Int32, isForeign: Bool = false) throws(LogFailure) {
        let bytes = ControlBatch.encode(
            type, producerID: producerID, epoch: epoch, coordinatorEpoch: coordinatorEpoch, timestamp: services.time.wallMs)
        try bytes.withBytes { (bytes) throws(LogFailure) in
            guard let header = BatchHeader(bytes) else { return }
            _ = try append(bytes, [header], stamping: false, syncing: false, marker: (type, coordinatorEpoch, isForeign))
        }
        // The last stable offset moved, though the high watermark may not have.
        services.notify(.advanced(id))
    }

    /// Writes batches that were checked, their headers patched. What follows the headers is written from where it lies.
    private func append(
        _ bytes: UnsafeRawBufferPointer, _ headers: [BatchHeader], stamping: Bool, syncing: Bool = true,
        marker: (type: ControlType, coordinatorEpoch: Int32, isForeign: Bool)? = nil
    ) throws(LogFailure) -> AppendResult {
        let nowMs = services.time.wallMs
        var mustRequestSync = false, mustRequestUpkeep = false, mustWriteBack = false
        let result = try state.withLock { (state) throws(LogFailure) -> AppendResult in
            try state.checkOpen(id)
            if let marker {
                for header in headers where marker.isForeign {
                    try state.producers.checkMarker(header, coordinatorEpoch: marker.coordinatorEpoch, id)
                }
            } else {
                for header in headers {
                    guard case .duplicate(let first) = try state.producers.check(header, id) else { continue }
                    return AppendResult(
                        baseOffset: first.baseOffset, lastOffset: first.lastOffset, logAppendTime: stamping ? first.timestamp : -1,
                        logStartOffset: state.startOffset, duplicate: true)
                }
            }
            try rollIfNeeded(&state, for: bytes.count, nowMs: nowMs)
            let baseOffset = state.endOffset
            let (heads, final) = patched(bytes, headers, from: baseOffset, stampMs: stamping ? nowMs : nil)
            try write(heads, bytes, final, &state)
            var position = state.segments[state.segments.count - 1].size
            for header in final {
                state.segments[state.segments.count - 1].note(header, at: position)
                position += header.sizeBytes
                if let marker {
                    if let transaction = state.producers.noteMarker(
                        header, marker.type, coordinatorEpoch: marker.coordinatorEpoch, nowMs: nowMs)
                    {
                        state.aborted.append(transaction)
                    }
                } else {
                    state.appendedRecords += Int64(header.recordCount)
                    state.producers.note(header, nowMs: nowMs)
                }
                state.endOffset = header.nextOffset
            }
            let last = state.segments.count - 1
            if state.segments[last].firstAppendMs == nil { state.segments[last].firstAppendMs = nowMs }
            let isDue = state.bytesSinceCheckpoint >= services.config.checkpointBytes
            state.bytesSinceCheckpoint += bytes.count
            if marker == nil { state.appendedBytes += Int64(bytes.count) }
            mustRequestUpkeep = !isDue && state.bytesSinceCheckpoint >= services.config.checkpointBytes
            if services.isDurable {
                if syncing && !state.syncIsRequested {
                    state.syncIsRequested = true
                    mustRequestSync = true
                }
                let wasSmall = state.bytesSinceSync < Self.writebackBytes
                state.bytesSinceSync += bytes.count
                mustWriteBack = wasSmall && state.bytesSinceSync >= Self.writebackBytes && !state.syncIsRequested
            } else {
                state.highWatermark = state.endOffset  // (1)
            }
            return AppendResult(
                baseOffset: baseOffset, lastOffset: state.endOffset - 1, logAppendTime: stamping ? nowMs : -1,
                logStartOffset: state.startOffset, duplicate: false)
        }
        if mustRequestSync { services.requestSync(self) }
        if mustWriteBack { services.writeBack(self) }
        if mustRequestUpkeep { services.upkeep.update { $0.isDue = true } }
        if !services.isDurable && !result.duplicate { services.notify(.advanced(id)) }
        return result
    }

    /// The headers with base offsets, leader epoch and, if `stampMs`, the time of appending: as they are written, one behind the other, and decoded.
    private func patched(
        _ bytes: UnsafeRawBufferPointer, _ headers: [BatchHeader], from baseOffset: Int64, stampMs: Int64?
    ) -> (bytes: [UInt8], headers: [BatchHeader]) {
        var heads: [UInt8] = []
        heads.reserveCapacity(headers.count * BatchHeader.size)
        var position = 0, offset = baseOffset
        let final = headers.map { header in
            var header = header
            let bodyStart = position + BatchHeader.size
            heads.append(contentsOf: bytes[position..<bodyStart])
            header.baseOffset = offset
            header.leaderEpoch = leaderEpoch
            heads.withUnsafeMutableBytes { heads in
                let head = UnsafeMutableRawBufferPointer(rebasing: heads[(heads.count - BatchHeader.size)...])
                head.store(offset, 0)
                head.store(leaderEpoch, 12)
                guard let stampMs else { return }
                header.attributes |= BatchHeader.logAppendTimeBit
                header.maxTimestamp = stampMs
                head.store(header.attributes, 21)
                head.store(stampMs, 35)
                let crc = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: head[BatchHeader.crcStart...]))
                header.crc = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[bodyStart..<position + header.sizeBytes]), from: crc)
                head.store(header.crc, 17)
            }
            position += header.sizeBytes
            offset = header.nextOffset
            return header
        }
        return (heads, final)
    }

    /// Writes batches behind the last whole one, `heads` in place of their first bytes; on failure the log is as before (4).
    private func write(_ heads: [UInt8], _ bytes: UnsafeRawBufferPointer, _ headers: [BatchHeader], _ state: inout State) throws(LogFailure) {
        let segment = state.segments[state.segments.count - 1]
        do throws(MartletError) {
            try cutTail(&state)
            try heads.withBytes { (heads) throws(MartletError) in
                var pieces: [UnsafeRawBufferPointer] = []
                pieces.reserveCapacity(2 * headers.count)
                var position = 0
                for (i, header) in headers.enumerated() {
                    pieces.append(UnsafeRawBufferPointer(rebasing: heads[i * BatchHeader.size..<(i + 1) * BatchHeader.size]))
                    pieces.append(UnsafeRawBufferPointer(rebasing: bytes[position + BatchHeader.size..<position + header.sizeBytes]))
                    position += header.sizeBytes
                }
                try segment.file.write(pieces, at: segment.size)
            }
            if state.lastWriteFailed {
                state.lastWriteFailed = false
                services.logger.warning("writes succeed again", metadata: ["partition": "\(id)"])
            }
        } catch {
            do throws(MartletError) {
                try segment.file.truncate(to: segment.size)
            } catch {
                state.tailIsDirty = true
            }
            throw writeFailed(error, &state)
        }
    }

    private func cutTail(_ state: inout State) throws(MartletError) {
        guard state.tailIsDirty else { return }
        let active = state.segments[state.segments.count - 1]
        try active.file.truncate(to: active.size)
        state.tailIsDirty = false
    }

    /// Said once, not at every attempt of a producer.
    private func writeFailed(_ error: MartletError, _ state: inout State) -> LogFailure {
        if !state.lastWriteFailed {
            state.lastWriteFailed = true
            services.logger.error("write failed, writers get errors", metadata: ["partition": "\(id)", "error": "\(error)"])
        }
        return LogFailure(error)
    }

    private func rollIfNeeded(_ state: inout State, for bytes: Int, nowMs: Int64) throws(LogFailure) {
        let active = state.segments[state.segments.count - 1]
        guard active.size > 0 else { return }
        let isOld = active.firstAppendMs.map { nowMs - $0 >= state.settings.segmentMs } ?? false
        let isFull = active.size + bytes > state.settings.segmentBytes
        if isOld || isFull || state.endOffset - active.baseOffset > Int64(Int32.max) - Int64(1 << 24) { try roll(&state) }
    }

    /// Closes the active segment and begins a new one. On failure the log is as before.
    func roll(_ state: inout State) throws(LogFailure) {
        let path = "\(directory)/\(LogSegment.fileName(state.endOffset, ".log"))"
        do throws(MartletError) {
            try cutTail(&state)
            let closing = state.segments[state.segments.count - 1].file
            if services.isDurable {
                do throws(MartletError) {
                    try services.timed { () throws(MartletError) in try closing.sync() }  // (9)
                } catch {
                    syncFailed(error, &state)
                    throw error
                }
            }
            let file = try services.fileSystem.open(path, create: true)
            try file.truncate(to: 0)
            if services.isDurable { try services.fileSystem.syncDirectory(directory) }
            if !services.isDurable { state.unsyncedFiles.append(closing) }
            state.segments.append(LogSegment(baseOffset: state.endOffset, file: file))
        } catch {
            throw writeFailed(error, &state)
        }
    }

    // MARK: durability

    /// So much that nobody has asked to sync yet is synced anyway: the disk works while a large transaction is filled, and its commit waits
    /// for little.
    static let writebackBytes = 8 << 20

    /// Calls `completion` once everything below `offset` is durable, with `.none`, or with `.kafkaStorageError` if it cannot be; at once, on
    /// this thread, if that is already so.
    public func whenDurable(upTo offset: Int64, _ completion: @escaping @Sendable (KafkaErrorCode) -> Void) {
        var mustRequestSync = false
        let answer: KafkaErrorCode? = state.withLock { state in
            if offset <= state.highWatermark { return KafkaErrorCode.none }
            if state.failure != nil || state.isClosed { return .kafkaStorageError }
            state.waiters.append(Waiter(offset: offset, completion: completion))
            if !state.syncIsRequested {
                state.syncIsRequested = true
                mustRequestSync = true
            }
            return nil
        }
        if let answer { completion(answer) }
        if mustRequestSync { services.requestSync(self) }
    }

    /// Called by the sync thread before it flushes: what is appended from now on asks again.
    func syncBegins() { state.withLock { $0.syncIsRequested = false } }

    /// `flush` has something to do or to report.
    var isUnsynced: Bool { state.withLock { $0.failure != nil || $0.highWatermark < $0.endOffset } }

    /// Makes all that was appended before durable, on this thread, and moves the high watermark (1). Several threads that want that at once share a sync.
    func flush() throws(MartletError) {
        let wanted = endOffset
        let isNews = syncing.withLock { _ in syncOnce(upTo: wanted) }
        let (end, failure, waiters) = state.withLock { state in
            let ready = state.waiters.filter { state.failure != nil || $0.offset <= state.highWatermark }
            state.waiters.removeAll { state.failure != nil || $0.offset <= state.highWatermark }
            return (state.highWatermark, state.failure, ready)
        }
        for waiter in waiters { waiter.completion(waiter.offset <= end ? .none : .kafkaStorageError) }
        if isNews { services.notify(.advanced(id)) }
        if let failure { throw failure }
    }

    /// Call with `syncing` locked. Returns whether the high watermark moved.
    private func syncOnce(upTo wanted: Int64) -> Bool {
        let plan: (file: any LogFile, end: Int64)? = state.withLock { state in
            guard state.failure == nil, state.highWatermark < wanted else { return nil }
            state.bytesSinceSync = 0
            return (state.segments[state.segments.count - 1].file, state.endOffset)
        }
        // Earlier segments are synced already (9).
        guard let plan, syncLocked(plan.file) == nil else { return false }
        return state.withLock { state in
            guard state.failure == nil, state.highWatermark < plan.end else { return false }
            services.syncSizes.record(plan.end - state.highWatermark)
            state.highWatermark = plan.end
            return true
        }
    }

    /// Syncs a file that is or was appended to.
    func sync(_ file: any LogFile) throws(MartletError) {
        if let failure = syncing.withLock({ _ in syncLocked(file) }) { throw failure }
    }

    /// After a failed fdatasync the kernel may have dropped the pages, and tells so only once: a later success would prove nothing. So nothing more is
    /// accepted until the log is opened again, and those who wait for the disk are told by the next `flush`.
    private func syncLocked(_ file: any LogFile) -> MartletError? {
        do throws(MartletError) {
            try services.timed { () throws(MartletError) in try file.sync() }
            return nil
        } catch {
            state.withLock { state in syncFailed(error, &state) }
            return error
        }
    }

    /// A sync outside of the partition failed without which its files may be gone after a power cut.
    func refuseWrites(after error: MartletError) { state.withLock { syncFailed(error, &$0) } }

    private func syncFailed(_ error: MartletError, _ state: inout State) {
        guard state.failure == nil else { return }
        state.failure = error
        services.logger.error("sync failed, partition is closed for writing", metadata: ["partition": "\(id)", "error": "\(error)"])
        services.requestSync(self)
    }
}

extension PartitionLog.State {
    var lastStableOffset: Int64 { min(producers.firstOpenOffset ?? highWatermark, highWatermark) }  // (6)

    func checkOpen(_ id: TopicPartition) throws(LogFailure) {
        if let failure { throw LogFailure(failure) }
        if isClosed { throw LogFailure(.kafkaStorageError, .shuttingDown, "\(id) is closed") }
    }
}
