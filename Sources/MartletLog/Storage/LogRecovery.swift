import Logging
import MartletCore

// Opening a partition: what the checkpoint says is believed as long as the files agree with it, what comes behind it is checked batch by batch.
//
// A batch that is damaged or incomplete ends the log if nothing valid follows it: a torn write, cut off with one line in the log. If valid
// batches follow, it depends on why. Where whole sectors are zero, the batch was never synced, so nothing behind it was acknowledged: a write
// lost in a power cut, cut off as well. Otherwise it was damaged later: the stretch is fenced, so that a reader is told instead of served
// (5), and the log goes on behind it.

extension PartitionLog {
    /// Opens the partition's directory, or makes it with an empty log. From now on `epoch` writes, or a later one if that one did before.
    static func open(
        _ id: TopicPartition, directory: String, services: LogServices, settings: TopicSettings, epoch: Int32
    ) throws(MartletError) -> PartitionLog {
        var recovery = LogRecovery(id: id, directory: directory, services: services)
        var state = try recovery.run(settings)
        state.epochs.begin(max(epoch, state.epochs.latest + 1), at: state.endOffset)
        return PartitionLog(id: id, directory: directory, services: services, state: state)
    }
}

struct LogRecovery {
    let id: TopicPartition
    let directory: String
    let services: LogServices

    mutating func run(_ settings: TopicSettings) throws(MartletError) -> PartitionLog.State {
        let system = services.fileSystem
        try system.createDirectory(directory)
        let names = try system.list(directory)
        for name in names where name.hasSuffix(".tmp") || name.hasSuffix(".cleaned") { try system.remove("\(directory)/\(name)") }

        let checkpointPath = "\(directory)/\(LogCheckpoint.fileName)"
        var checkpoint: LogCheckpoint?
        if let bytes = try system.contents(checkpointPath) {
            checkpoint = try LogCheckpoint(bytes, path: checkpointPath)
            if checkpoint == nil { warn("clean point is damaged, the whole log is checked", [:]) }
        }

        var files: [(segment: LogSegment, size: Int)] = []
        for name in names {
            guard let base = LogSegment.baseOffset(ofFileName: name) else { continue }
            let file = try system.open("\(directory)/\(name)", create: false)
            files.append((LogSegment(baseOffset: base, file: file), try file.size()))
        }
        if files.isEmpty {
            let base = checkpoint?.nextOffset ?? 0
            let file = try system.open("\(directory)/\(LogSegment.fileName(base, ".log"))", create: true)
            if services.isDurable { try system.syncDirectory(directory) }
            files.append((LogSegment(baseOffset: base, file: file), 0))
        }
        if let point = checkpoint {
            let active = files.first { $0.segment.baseOffset == point.segmentBase }
            if active == nil || active.map({ $0.size < point.position }) == true {
                warn("clean point does not match the files, the whole log is checked", [:])
                checkpoint = nil
            }
        }

        // From a log that lost its clean point nothing is known of producers, so they are learnt from the first batch on.
        var state = PartitionLog.State(settings: settings, segments: [], startOffset: 0, endOffset: 0, highWatermark: 0)
        if let point = checkpoint {
            state.producers = point.producers
            state.aborted = point.aborted
            state.epochs = point.epochs
            state.fenced = point.fenced
            state.cleanedUntil = point.cleanedUntil
            state.gapsUntil = point.gapsUntil
        }
        for (i, entry) in files.enumerated() {
            var segment = entry.segment
            if let last = state.segments.last, last.nextOffset > segment.baseOffset {
                // Compaction had merged this segment into the one before when the process died.
                try removeFiles(of: segment)
                continue
            }
            if let last = state.segments.last, let point = checkpoint, last.nextOffset >= point.gapsUntil, last.nextOffset < segment.baseOffset {
                fence(last.nextOffset..<segment.baseOffset, bytes: 0, reason: "records between two segments are missing", &state)
            }
            let isLast = i == files.count - 1
            if let point = checkpoint, segment.baseOffset < point.segmentBase {
                let indexPath = "\(directory)/\(LogSegment.fileName(segment.baseOffset, ".index"))"
                if let bytes = try system.contents(indexPath), OffsetIndex.load(bytes, into: &segment, logSize: entry.size) {
                    state.segments.append(segment)
                    continue
                }
                try scan(&segment, size: entry.size, isLast: false, learns: false, isGapless: false, &state)
            } else {
                if let point = checkpoint, segment.baseOffset == point.segmentBase {
                    segment.size = point.position
                    segment.nextOffset = point.nextOffset
                    segment.maxTimestamp = point.maxTimestamp
                    segment.index = point.index
                }
                try scan(&segment, size: entry.size, isLast: isLast, learns: true, isGapless: checkpoint != nil, &state)
            }
            state.segments.append(segment)
        }
        let first = state.segments[0].baseOffset
        state.endOffset = state.segments[state.segments.count - 1].nextOffset
        if checkpoint == nil { state.gapsUntil = state.endOffset }
        state.startOffset = min(max(checkpoint?.startOffset ?? first, first), state.endOffset)
        state.epochs.forget(before: state.startOffset)
        for i in state.segments.indices where state.segments[i].size > 0 {
            state.segments[i].firstAppendMs = state.segments[i].maxTimestamp < 0 ? services.time.wallMs : state.segments[i].maxTimestamp
        }
        // What survived the crash in the page cache only must be on disk before it is shown (1).
        if services.isDurable {
            for segment in state.segments where !segment.indexIsSaved { try segment.file.sync() }
        }
        state.highWatermark = state.endOffset
        return state
    }

    /// Checks a segment from `segment.size` on and adds what it finds. `learns`: tell the producer state too.
    private mutating func scan(
        _ segment: inout LogSegment, size: Int, isLast: Bool, learns: Bool, isGapless: Bool, _ state: inout PartitionLog.State
    ) throws(MartletError) {
        var position = segment.size
        while position < size {
            var walk = BatchWalk(file: segment.file, position: position, end: size)
            var disorder: String?
            while let batch = try walk.next() {
                // The checksum does not cover the base offset. Only compaction makes gaps, and never behind the clean point.
                let isRight = isGapless ? batch.header.baseOffset == segment.nextOffset : batch.header.baseOffset >= segment.nextOffset
                if !isRight {
                    disorder = "offset \(batch.header.baseOffset) where \(segment.nextOffset) is due"
                    break
                }
                take(batch, &segment, learns: learns, &state)
                position = walk.position
            }
            guard position < size else { return }
            let problem = disorder ?? walk.problem ?? "cut off"
            let next = try nextValidBatch(segment.file, after: position, size: size, minimumOffset: segment.nextOffset)
            let wasLost = try next.map { (next) throws(MartletError) in try hasZeroSector(segment.file, from: position, to: next.position, expectedOffset: segment.nextOffset) } ?? true
            if isLast && (next == nil || wasLost) {
                services.logger.warning(
                    "log tail cut off",
                    metadata: [
                        "topic": "\(id.topic)", "partition": "\(id.partition)", "offset": "\(segment.nextOffset)", "bytes": "\(size - position)",
                        "reason": "\(problem)",
                    ])
                try segment.file.truncate(to: position)
                try segment.file.sync()
                return
            }
            // The end of the fence in a segment that is not the last is not known here: its successor's base offset, or what follows in it.
            let following = next?.header.baseOffset ?? segment.nextOffset + 1
            fence(
                segment.nextOffset..<max(following, segment.nextOffset + 1), bytes: (next?.position ?? size) - position, reason: problem, &state)
            guard let next else {
                segment.size = size
                return
            }
            position = next.position
            segment.index.insert(offset: next.header.baseOffset, position: position, maxTimestampBefore: segment.maxTimestamp)
            segment.size = position
            segment.nextOffset = next.header.baseOffset
        }
    }

    /// A reader of these offsets is told that they are damaged.
    private func fence(_ offsets: Range<Int64>, bytes: Int, reason: String, _ state: inout PartitionLog.State) {
        if !state.fenced.contains(offsets) { state.fenced.append(offsets) }
        services.logger.error(
            "corrupt record batch inside the log, fenced",
            metadata: [
                "topic": "\(id.topic)", "partition": "\(id.partition)", "offset": "\(offsets.lowerBound)", "bytes": "\(bytes)",
                "reason": "\(reason)",
            ])
    }

    private func take(_ batch: BatchWalk.Batch, _ segment: inout LogSegment, learns: Bool, _ state: inout PartitionLog.State) {
        segment.note(batch.header, at: batch.position)
        guard learns else { return }
        state.epochs.begin(batch.header.leaderEpoch, at: batch.header.baseOffset)
        let nowMs = services.time.wallMs
        if batch.header.isControl {
            guard let (type, epoch) = batch.bytes.withUnsafeBytes({ ControlBatch.decode($0) }) else { return }
            if let transaction = state.producers.noteMarker(batch.header, type, coordinatorEpoch: epoch, nowMs: nowMs) {
                state.aborted.append(transaction)
            }
        } else {
            state.producers.note(batch.header, nowMs: nowMs)
        }
    }

    /// The first valid batch behind a damaged one, looked for byte by byte, since the damaged one's length cannot be trusted.
    private func nextValidBatch(
        _ file: any LogFile, after position: Int, size: Int, minimumOffset: Int64
    ) throws(MartletError) -> (position: Int, header: BatchHeader)? {
        let windowBytes = 4 << 20
        var start = position + 1
        while start + BatchHeader.size <= size {
            var window = [UInt8](repeating: 0, count: min(windowBytes, size - start))
            let count = try window.withMutableBytes { (bytes) throws(MartletError) in try file.read(into: bytes, at: start) }
            var candidates: [Int] = []
            window.withUnsafeBytes { bytes in
                var at = 0
                while at + BatchHeader.size <= count {
                    // Magic, then a length and offsets that are possible: rare enough in other bytes to afford a checksum.
                    if bytes[at + 16] == 2, let header = BatchHeader(UnsafeRawBufferPointer(rebasing: bytes[at..<at + BatchHeader.size])),
                        header.sizeBytes <= size - start - at, header.baseOffset >= minimumOffset,
                        header.baseOffset - minimumOffset <= Int64(Int32.max), header.lastOffsetDelta >= 0, header.recordCount >= 0
                    {
                        candidates.append(start + at)
                    }
                    at += 1
                }
            }
            for candidate in candidates {
                var walk = BatchWalk(file: file, position: candidate, end: size)
                if let batch = try walk.next() { return (candidate, batch.header) }
            }
            if start + count >= size { return nil }
            start += max(1, count - BatchHeader.size + 1)
        }
        return nil
    }

    /// Whether a 512-byte sector in the range is all zero. The first may begin before the range; then its part counts if it is zero and
    /// what it should hold, the beginning of the batch with the expected offset, is not there.
    private func hasZeroSector(_ file: any LogFile, from start: Int, to end: Int, expectedOffset: Int64) throws(MartletError) -> Bool {
        // The last sector may reach into the batch behind the range, if that batch's first bytes are zero anyway.
        var bytes = [UInt8](repeating: 0, count: (end + 511) / 512 * 512 - start)
        let count = try bytes.withMutableBytes { (buffer) throws(MartletError) in try file.read(into: buffer, at: start) }
        let header = bytes.withUnsafeBytes { BatchHeader($0) }
        var at = 0
        while at < end - start {
            let sectorEnd = min(count, ((start + at) / 512 + 1) * 512 - start)
            guard sectorEnd > at else { return false }
            let isWhole = sectorEnd - at == 512
            if (isWhole || header?.baseOffset != expectedOffset) && bytes[at..<sectorEnd].allSatisfy({ $0 == 0 }) { return true }
            at = sectorEnd
        }
        return false
    }

    private func removeFiles(of segment: LogSegment) throws(MartletError) {
        try services.fileSystem.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".log"))")
        try services.fileSystem.remove("\(directory)/\(LogSegment.fileName(segment.baseOffset, ".index"))")
    }

    private func warn(_ message: Logger.Message, _ more: Logger.Metadata) {
        services.logger.warning(message, metadata: more.merging(["partition": "\(id)"]) { a, _ in a })
    }
}
