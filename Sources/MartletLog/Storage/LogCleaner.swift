import MartletCore
import Synchronization

// Compaction (cleanup.policy=compact; Kafka documentation, "Log Compaction"): of each key the latest record stays, at its offset. Closed
// segments are rewritten into new files, several small ones into one, and swapped in by rename; readers keep the old files as long as they
// hold them (3). Only what lies below the last stable offset is touched, so every transaction there is decided: aborted records and markers go,
// committed ones stay as ordinary records.
//
// A crash between the swap and the removal of segments that were merged leaves both: recovery drops a segment that begins before its
// predecessor ends. What it keeps, the predecessor has no record of.

extension PartitionLog {
    /// Compacts what is closed, if enough of it is new since the last time (min.cleanable.dirty.ratio).
    func compact() throws(MartletError) {
        try upkeep.withLock { (_) throws(MartletError) in
            guard let job = cleaningJob() else { return }
            do throws(LogFailure) {
                try run(job)
            } catch {
                throw error.error
            }
        }
    }

    fileprivate struct Job {
        var segments: [LogSegment]
        var cleanedUntil: Int64
        var aborted: [AbortedTransaction]
        var settings: TopicSettings
        var startOffset: Int64
    }

    private func cleaningJob() -> Job? {
        let nowMs = services.time.wallMs
        return state.withLock { state in
            guard state.settings.compacts, state.failure == nil, !state.isClosed else { return nil }
            let stable = state.lastStableOffset
            var segments: [LogSegment] = []
            var clean = 0, dirty = 0
            for segment in state.segments.dropLast() {
                let isFenced = state.fenced.contains { $0.lowerBound < segment.nextOffset && $0.upperBound > segment.baseOffset }
                guard segment.nextOffset <= stable, !isFenced, nowMs - segment.maxTimestamp >= state.settings.minCompactionLagMs else { break }
                segments.append(segment)
                if segment.nextOffset <= state.cleanedUntil { clean += segment.size } else { dirty += segment.size }
            }
            let firstDirty = segments.first { $0.nextOffset > state.cleanedUntil }
            let isLate = firstDirty?.firstAppendMs.map { nowMs - $0 > state.settings.maxCompactionLagMs } ?? false
            guard dirty > 0, isLate || Double(dirty) >= Double(clean + dirty) * state.settings.minCleanableDirtyRatio else { return nil }
            return Job(
                segments: segments, cleanedUntil: state.cleanedUntil, aborted: state.aborted, settings: state.settings,
                startOffset: state.startOffset)
        }
    }

    private func run(_ job: Job) throws(LogFailure) {
        // The clean point on disk may lie in a segment that is about to be replaced; put it into the active one, with the news of gaps.
        if let last = job.segments.last { state.withLock { $0.gapsUntil = max($0.gapsUntil, last.nextOffset) } }
        do throws(MartletError) {
            try writeCheckpoint()
        } catch {
            throw LogFailure(error)
        }
        var latest: [[UInt8]: Int64] = [:]
        var keyBytes = 0
        /// Keys are known up to here. What lies behind stays as it is, since nothing later is known of its keys.
        var known = job.cleanedUntil
        var covered = 0
        for segment in job.segments {
            if keyBytes > services.config.cleanerKeyBytes { break }
            if segment.nextOffset > job.cleanedUntil {
                var isFull = false
                try forEachBatch(segment) { (batch) throws(LogFailure) in
                    isFull = isFull || keyBytes > services.config.cleanerKeyBytes
                    guard !isFull, batch.header.nextOffset > job.cleanedUntil else { return }
                    known = batch.header.nextOffset
                    guard !batch.header.isControl, !job.isAborted(batch.header) else { return }
                    try batch.forEachRecord(id) { record, offset, _ in
                        guard let key = record.key else { return }
                        if latest.updateValue(offset, forKey: key) == nil { keyBytes += key.count + 64 }
                    }
                }
                if !isFull { known = segment.nextOffset }
            }
            covered += 1
        }
        let segments = job.segments.prefix(covered)
        var group: [LogSegment] = []
        var groupBytes = 0
        for segment in segments {
            if !group.isEmpty
                && (groupBytes + segment.size > job.settings.segmentBytes || segment.nextOffset - group[0].baseOffset > Int64(Int32.max))
            {
                try rewrite(group, job, latest)
                group = []
                groupBytes = 0
            }
            group.append(segment)
            groupBytes += segment.size
        }
        if !group.isEmpty { try rewrite(group, job, latest) }
        state.withLock { state in
            state.cleanedUntil = known
            // The records of aborted transactions are gone, also behind what is known of keys.
            if let last = segments.last { state.aborted.removeAll { $0.lastOffset < last.nextOffset } }
        }
        do throws(MartletError) {
            try writeCheckpoint()
        } catch {
            throw LogFailure(error)
        }
    }

    private func forEachBatch(_ segment: LogSegment, _ body: (BatchWalk.Batch) throws(LogFailure) -> Void) throws(LogFailure) {
        var walk = BatchWalk(file: segment.file, position: 0, end: segment.size)
        while true {
            let batch: BatchWalk.Batch?
            do throws(MartletError) {
                batch = try walk.next()
            } catch {
                throw LogFailure(error)
            }
            guard let batch else { break }
            try body(batch)
        }
        if let problem = walk.problem { throw corrupt(segment.baseOffset, "compaction stops at byte \(walk.position) of \(segment.file.path): \(problem)") }
    }

    /// Writes what stays of the segments into one new file and puts it in their place.
    private func rewrite(_ group: [LogSegment], _ job: Job, _ latest: [[UInt8]: Int64]) throws(LogFailure) {
        let system = services.fileSystem
        let base = group[0].baseOffset
        let path = "\(directory)/\(LogSegment.fileName(base, ".log"))"
        let nowMs = services.time.wallMs
        do throws(MartletError) {
            try system.remove(path + ".cleaned")
            let file = try system.open(path + ".cleaned", create: true)
            var made = LogSegment(baseOffset: base, file: file)
            var buffer: [UInt8] = []
            var flushed = 0
            func flush() throws(MartletError) {
                try buffer.withBytes { (bytes) throws(MartletError) in try file.write(bytes, at: flushed) }
                flushed += buffer.count
                buffer.removeAll(keepingCapacity: true)
            }
            do throws(LogFailure) {
                for segment in group {
                    try forEachBatch(segment) { (batch) throws(LogFailure) in
                        guard let kept = try remains(of: batch, job, latest, nowMs), let header = kept.withUnsafeBytes({ BatchHeader($0) })
                        else { return }
                        made.note(header, at: flushed + buffer.count)
                        buffer.append(contentsOf: kept)
                        guard buffer.count >= 1 << 20 else { return }
                        do throws(MartletError) {
                            try flush()
                        } catch {
                            throw LogFailure(error)
                        }
                    }
                }
            } catch {
                throw error.error
            }
            try flush()
            try file.sync()
            made.nextOffset = group[group.count - 1].nextOffset
            made.firstAppendMs = group[0].firstAppendMs
            try system.remove("\(directory)/\(LogSegment.fileName(base, ".index"))")
            try system.rename(path + ".cleaned", to: path)
            try system.syncDirectory(directory)
            let isSwapped = state.withLock { state in
                guard let first = state.segments.firstIndex(where: { $0.baseOffset == base }), first + group.count < state.segments.count else {
                    return false
                }
                state.segments.replaceSubrange(first..<first + group.count, with: [made])
                state.hints = []
                state.generation += 1
                return true
            }
            guard isSwapped else { return }
            for segment in group.dropFirst() {
                try system.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".log"))")
                try system.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".index"))")
            }
        } catch {
            try? system.remove(path + ".cleaned")
            throw LogFailure(error)
        }
    }

    /// The batch with the records that stay, or nil if none does. Base offset, last offset delta and what the records say are kept.
    ///
    /// The first pass that meets a tombstone notes until when it stays, delete.retention.ms from now, in place of the batch's base timestamp
    /// (KIP-534), so that a reader who began before then still learns of the deletion, whatever the record's own time is.
    private func remains(
        of batch: BatchWalk.Batch, _ job: Job, _ latest: [[UInt8]: Int64], _ nowMs: Int64
    ) throws(LogFailure) -> [UInt8]? {
        let header = batch.header
        if header.isControl || job.isAborted(header) || header.nextOffset <= job.startOffset { return nil }
        let horizon = header.hasDeleteHorizon ? header.baseTimestamp : nil
        let dropsTombstones = horizon.map { $0 < nowMs } ?? false
        func stays(_ record: RecordReader, _ offset: Int64) -> Bool {
            guard let key = record.key, latest[key].map({ offset >= $0 }) ?? true else { return false }
            return record.valueLength >= 0 || !dropsTombstones
        }
        var count: Int32 = 0
        var hasTombstone = false
        try batch.forEachRecord(id) { record, offset, _ in
            guard stays(record, offset) else { return }
            count += 1
            hasTombstone = hasTombstone || record.valueLength < 0
        }
        if count == 0 { return nil }
        let setsHorizon = hasTombstone && horizon == nil
        if count == header.recordCount && !header.isTransactional && !setsHorizon { return batch.bytes }
        let base = setsHorizon ? nowMs &+ min(job.settings.deleteRetentionMs, Int64.max - nowMs) : header.baseTimestamp
        var records: [UInt8] = []
        var newest: Int64 = -1
        try batch.forEachRecord(id) { record, offset, timestamp in
            guard stays(record, offset) else { return }
            newest = max(newest, timestamp)
            if setsHorizon {
                let time = header.baseTimestamp &+ record.timestampDelta
                record.write(timestampDelta: time &- base, onto: &records)
            } else {
                records.append(contentsOf: record.bytes[record.recordRange])
            }
        }
        var out = Array(batch.bytes[..<BatchHeader.size])
        if let codec = header.codec { records.withUnsafeBytes { Compression.compress($0, codec, onto: &out) } }
        let attributes = header.attributes & ~BatchHeader.transactionalBit | (setsHorizon ? BatchHeader.deleteHorizonBit : 0)
        out.withUnsafeMutableBytes { bytes in
            bytes.store(Int32(bytes.count - BatchHeader.overhead), 8)
            bytes.store(attributes, 21)
            bytes.store(base, 27)
            bytes.store(newest, 35)
            bytes.store(count, 57)
            bytes.store(CRC32C.checksum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[BatchHeader.crcStart...])), 17)
        }
        return out
    }
}

extension PartitionLog.Job {
    fileprivate func isAborted(_ header: BatchHeader) -> Bool {
        header.isTransactional
            && aborted.contains {
                $0.producerID == header.producerID && $0.firstOffset <= header.baseOffset && header.baseOffset <= $0.lastOffset
            }
    }
}
