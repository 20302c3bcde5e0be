import Logging
import MartletCore
import Synchronization

// Old records go: by age and size (cleanup.policy=delete), or because a client asked (DeleteRecords). Whole segments only; the start offset
// moves first and is durable before a file disappears.

extension PartitionLog {
    /// Moves the start offset to `offset` (−1 = high watermark) and removes segments that lie wholly before it. Returns the new start offset.
    /// Throws OFFSET_OUT_OF_RANGE past the high watermark.
    public func deleteRecords(before offset: Int64) throws(KafkaError) -> Int64 {
        do throws(LogFailure) {
            let start = try state.withLock { (state) throws(LogFailure) in
                try state.checkOpen(id)
                let target = offset == -1 ? state.highWatermark : offset
                guard target >= 0 && target <= state.highWatermark else {
                    throw LogFailure(
                        .offsetOutOfRange, .outOfRange, "offset \(target) is past the high watermark \(state.highWatermark) of \(id)")
                }
                state.startOffset = max(state.startOffset, target)
                return state.startOffset
            }
            do throws(MartletError) {
                try removeOldSegments()
            } catch {
                throw LogFailure(error)
            }
            return start
        } catch {
            throw error.kafka
        }
    }

    /// Applies retention.ms, retention.bytes and segment.ms.
    func applyRetention() throws(MartletError) {
        let nowMs = services.time.wallMs
        do throws(LogFailure) {
            try state.withLock { (state) throws(LogFailure) in
                // A clock that was set back must not keep a segment open for ever.
                let last = state.segments.count - 1
                state.segments[last].firstAppendMs = state.segments[last].firstAppendMs.map { min($0, nowMs) }
                let active = state.segments[last]
                let age = active.firstAppendMs.map { nowMs - $0 } ?? 0
                let isExpired = state.settings.deletes && state.settings.retentionMs >= 0 && nowMs - active.maxTimestamp > state.settings.retentionMs
                if active.size > 0 && (age >= state.settings.segmentMs || isExpired) && state.failure == nil && !state.isClosed { try roll(&state) }
            }
        } catch {
            throw error.error
        }
        let mustRemove = state.withLock { state in
            state.producers.expire(before: nowMs - services.settings.log.producerExpirationMs)
            guard state.settings.deletes else { return false }
            let start = state.startOffset
            var total = state.segments.reduce(0) { $0 + Int64($1.size) }
            for (i, segment) in state.segments.enumerated().dropLast() {
                let nextBase = state.segments[i + 1].baseOffset
                guard nextBase <= state.highWatermark else { break }
                let isOld = state.settings.retentionMs >= 0 && nowMs - segment.maxTimestamp > state.settings.retentionMs
                let isTooMuch = state.settings.retentionBytes >= 0 && total - Int64(segment.size) >= state.settings.retentionBytes
                guard isOld || isTooMuch else { break }
                state.startOffset = max(state.startOffset, nextBase)
                total -= Int64(segment.size)
            }
            return state.startOffset > start
        }
        if mustRemove { try removeOldSegments() }
    }

    /// Removes the files of segments that end at or before the start offset, after the new start offset is durable.
    private func removeOldSegments() throws(MartletError) {
        try upkeep.withLock { (_) throws(MartletError) in try removeOldSegmentsLocked() }
    }

    private func removeOldSegmentsLocked() throws(MartletError) {
        try writeCheckpoint()
        let removed = state.withLock { state in
            var removed: [LogSegment] = []
            while state.segments.count > 1 && state.segments[1].baseOffset <= state.startOffset { removed.append(state.segments.removeFirst()) }
            let start = state.startOffset
            state.aborted.removeAll { $0.lastOffset < start }
            state.fenced.removeAll { $0.upperBound <= start }
            state.epochs.forget(before: start)
            return removed
        }
        for segment in removed {
            try services.fileSystem.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".log"))")
            try services.fileSystem.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".index"))")
        }
    }
}

/// The slow background pass over all partitions: retention, compaction, clean points, transactions that took too long.
final class Maintenance: Sendable {
    private let services: LogServices
    private let log = Mutex<Weak>(Weak())
    private let thread = Mutex<WorkerThread?>(nil)

    private struct Weak: Sendable {
        weak var log: EmbeddedLog?
    }

    init(services: LogServices) { self.services = services }

    func attach(to log: EmbeddedLog) { self.log.withLock { $0.log = log } }

    func start() throws(MartletError) {
        let interval = services.config.maintenanceIntervalMs
        let upkeep = services.upkeep
        let made = try WorkerThread("martlet-upkeep") { [weak self] in
            while true {
                _ = upkeep.wait(timeoutMs: interval) { $0.isStopping || $0.isDue ? true : nil }
                let (isStopping, isDue) = upkeep.update { upkeep in
                    defer { upkeep.isDue = false }
                    return (upkeep.isStopping, upkeep.isDue)
                }
                guard !isStopping, let log = self?.log.withLock({ $0.log }) else { return }
                if isDue { log.moveCleanPoints() } else { log.maintain() }
            }
        }
        thread.withLock { $0 = made }
    }

    func stop() {
        services.upkeep.update { $0.isStopping = true }
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }
}

extension EmbeddedLog {
    /// One background pass. A partition that fails is told in the log and tried again next time.
    func maintain() {
        transactions.abortExpired()
        for partition in allPartitions {
            do throws(MartletError) {
                try partition.applyRetention()
                try partition.compact()
            } catch {
                report(error, partition)
            }
        }
        moveCleanPoints()
    }

    /// Moves the clean points of partitions that have appended enough since the last.
    func moveCleanPoints() {
        for partition in allPartitions where partition.needsCheckpoint {
            do throws(MartletError) {
                try partition.checkpoint()
            } catch {
                report(error, partition)
            }
        }
    }

    private func report(_ error: MartletError, _ partition: PartitionLog) {
        // Once a partition is closed, by a failure that was told or by deletion, upkeep has nothing to add.
        guard partition.isOpen else { return }
        services.logger.warning("upkeep failed", metadata: ["partition": "\(partition.id)", "error": "\(error)"])
    }
}

extension PartitionLog {
    var isOpen: Bool { state.withLock { !$0.isClosed && $0.failure == nil } }

    var needsCheckpoint: Bool {
        state.withLock { $0.bytesSinceCheckpoint >= services.config.checkpointBytes && !$0.isClosed && $0.failure == nil }
    }
}
