import Logging
import MartletCore
import NIOCore
import Synchronization

// Reading: positions are taken under the lock, bytes are read outside of it from files that do not change (3, 8). Every batch is checked
// against its CRC before anyone sees it (5): about 5 % of the cost of a read.

/// A run of whole batches at the beginning of a buffer.
struct BatchRun {
    var byteCount = 0
    /// After the last batch, or where the read began.
    var nextOffset: Int64
    var recordCount = 0
    var highWatermark: Int64 = 0
    var lastStableOffset: Int64 = 0
    var startOffset: Int64 = 0
    /// Transactions that may concern these batches.
    var aborted: [AbortedTransaction] = []
}

/// Memory that batches are read into: it grows, and then forgets what was in it.
protocol BatchSpace {
    mutating func makeRoom(_ byteCount: Int)
    /// The room that was made, or more.
    mutating func withRoom<Result>(_ body: (UnsafeMutableRawBufferPointer) throws(LogFailure) -> Result) throws(LogFailure) -> Result
}

/// The answer to a Fetch: on its way to the socket nobody copies it.
extension ByteBuffer: BatchSpace {
    mutating func makeRoom(_ byteCount: Int) {
        if writableBytes < byteCount { self = ByteBufferAllocator().buffer(capacity: byteCount) }
    }

    mutating func withRoom<Result>(_ body: (UnsafeMutableRawBufferPointer) throws(LogFailure) -> Result) throws(LogFailure) -> Result {
        try withUnsafeMutableWritableBytes(body)
    }
}

/// A block of the engine, which is used again and again and ends in padding.
extension [UInt8]: BatchSpace {
    mutating func makeRoom(_ byteCount: Int) {
        let missing = byteCount + RecordBlock.paddingBytes - count
        if missing > 0 { append(contentsOf: repeatElement(0, count: missing)) }
    }

    mutating func withRoom<Result>(_ body: (UnsafeMutableRawBufferPointer) throws(LogFailure) -> Result) throws(LogFailure) -> Result {
        try withMutableBytes(body)
    }
}

extension PartitionLog {
    /// Whole batches from the one that contains `offset`, for a Fetch: at least one, about `maxBytes`, and nothing at or past the bound of the
    /// isolation level (6). Empty if `offset` is at the bound.
    ///
    /// Throws OFFSET_OUT_OF_RANGE outside of start and end offset; CORRUPT_MESSAGE if the batch there is damaged (batches before it are still
    /// served); KAFKA_STORAGE_ERROR.
    public func read(from offset: Int64, maxBytes: Int, isolation: Isolation) throws(KafkaError) -> FetchSlice {
        do throws(LogFailure) {
            var bytes = ByteBuffer()
            let run = try readRun(from: offset, maxBytes: maxBytes, isolation, into: &bytes)
            bytes.moveWriterIndex(forwardBy: run.byteCount)
            return FetchSlice(
                bytes: bytes, aborted: run.aborted.sorted { $0.firstOffset < $1.firstOffset }, highWatermark: run.highWatermark,
                lastStableOffset: run.lastStableOffset, startOffset: run.startOffset, recordCount: run.recordCount)
        } catch {
            throw error.kafka
        }
    }

    /// The first record, in offset order, whose timestamp is at least `timestamp`, below the high watermark. nil if there is none.
    /// Throws KAFKA_STORAGE_ERROR, CORRUPT_MESSAGE: whoever was told "none" would pass over what is there.
    public func offset(forTimestamp timestamp: Int64) throws(KafkaError) -> (offset: Int64, timestamp: Int64)? {
        do throws(LogFailure) {
            return try firstOffset(forTimestamp: timestamp)
        } catch {
            report(error)
            throw error.kafka
        }
    }

    private func firstOffset(forTimestamp timestamp: Int64) throws(LogFailure) -> (offset: Int64, timestamp: Int64)? {
        let candidates = state.withLock { state in
            state.segments.filter { $0.maxTimestamp >= timestamp }.map {
                (file: $0.file, position: $0.index.position(beforeTimestamp: timestamp), size: $0.size)
            }
        }
        let (start, end) = state.withLock { ($0.startOffset, $0.highWatermark) }
        for segment in candidates {
            var walk = BatchWalk(file: segment.file, position: segment.position, end: segment.size)
            while let batch = try next(&walk) {
                guard batch.header.baseOffset < end else { return nil }
                guard batch.header.maxTimestamp >= timestamp, batch.header.nextOffset > start else { continue }
                if batch.header.isControl { continue }
                if let found = try firstRecord(of: batch, timestamp: timestamp, from: start) { return found }
            }
            // What a start found damaged is fenced: the search goes on behind it, in the next segment.
            if let problem = walk.problem, state.withLock({ $0.fenced.isEmpty }) {
                throw corrupt(start, "\(problem) at byte \(walk.position) of \(segment.file.path)")
            }
        }
        return nil
    }

    private func next(_ walk: inout BatchWalk) throws(LogFailure) -> BatchWalk.Batch? {
        do throws(MartletError) {
            return try walk.next()
        } catch {
            throw LogFailure(error)
        }
    }

    private func firstRecord(of batch: BatchWalk.Batch, timestamp: Int64, from start: Int64) throws(LogFailure) -> (offset: Int64, timestamp: Int64)? {
        var found: (offset: Int64, timestamp: Int64)?
        try batch.forEachRecord(id) { record, offset, time in
            if found == nil && time >= timestamp && offset >= start { found = (offset, time) }
        }
        return found
    }

    // MARK: runs of batches

    private struct ReadPlan {
        var file: any LogFile
        var segmentBase: Int64
        var position: Int
        var size: Int
        /// The batch at `position` is the one that is wanted.
        var isExact: Bool
        var nextSegmentBase: Int64?
        /// No compaction made gaps here, so offsets can be checked, which checksums do not cover.
        var isGapless: Bool
        /// Nothing from this offset on.
        var bound: Int64
        var generation: Int
        var highWatermark: Int64
        var lastStableOffset: Int64
        var startOffset: Int64
        var aborted: [AbortedTransaction]
    }

    private func plan(_ offset: Int64, _ isolation: Isolation) throws(LogFailure) -> ReadPlan {
        try state.withLock { (state) throws(LogFailure) -> ReadPlan in
            if offset < state.startOffset || offset > state.endOffset {
                throw LogFailure(
                    .offsetOutOfRange, .outOfRange, "offset \(offset) is not in \(id), which holds \(state.startOffset) to \(state.endOffset)")
            }
            let stable = state.lastStableOffset
            let bound = isolation == .readCommitted ? stable : state.highWatermark
            if offset < bound, let fence = state.fenced.first(where: { $0.contains(offset) }) {
                throw corrupt(offset, "found damaged at start, up to offset \(fence.upperBound)")
            }
            var i = state.segments.count - 1
            while i > 0 && state.segments[i].baseOffset > offset { i -= 1 }
            let segment = state.segments[i]
            var aborted: [AbortedTransaction] = []
            if isolation == .readCommitted && offset < bound {
                var k = state.aborted.count
                while k > 0 && state.aborted[k - 1].lastOffset >= offset {
                    k -= 1
                    if state.aborted[k].firstOffset < bound { aborted.append(state.aborted[k]) }
                }
            }
            let hint = state.hints.first { $0.offset == offset && $0.segmentBase == segment.baseOffset }
            return ReadPlan(
                file: segment.file, segmentBase: segment.baseOffset,
                position: hint?.position ?? segment.index.position(before: offset), size: segment.size,
                isExact: hint != nil, nextSegmentBase: i + 1 < state.segments.count ? state.segments[i + 1].baseOffset : nil,
                isGapless: segment.baseOffset >= state.gapsUntil, bound: bound,
                generation: state.generation, highWatermark: state.highWatermark, lastStableOffset: stable, startOffset: state.startOffset,
                aborted: aborted)
        }
    }

    func corrupt(_ offset: Int64, _ reason: String) -> LogFailure {
        LogFailure(.corruptMessage, .corruptRecord, "corrupt record batch in topic \(id.topic) partition \(id.partition) at offset \(offset): \(reason)")
    }

    /// Reads whole batches into the beginning of `space`.
    func readRun(
        from offset: Int64, maxBytes: Int, _ isolation: Isolation, into space: inout some BatchSpace
    ) throws(LogFailure) -> BatchRun {
        var target = offset
        while true {
            let plan: ReadPlan
            do throws(LogFailure) {
                plan = try self.plan(target, isolation)
            } catch {
                report(error)
                throw error
            }
            var run = BatchRun(nextOffset: target)
            run.highWatermark = plan.highWatermark
            run.lastStableOffset = plan.lastStableOffset
            run.startOffset = plan.startOffset
            guard target < plan.bound else { return run }
            var position = plan.position
            if !plan.isExact {
                guard let found = try locate(target, plan) else {
                    // Compaction or a corrupt end left no batch from here to the end of the segment.
                    guard let next = plan.nextSegmentBase else { return run }
                    target = next
                    continue
                }
                position = found
            } else if position >= plan.size {
                guard let next = plan.nextSegmentBase else { return run }
                target = next
                continue
            }
            do throws(LogFailure) {
                try fill(&space, &run, plan, position, max(maxBytes, BatchHeader.size))
            } catch {
                report(error)
                throw error
            }
            if run.byteCount > 0 {
                let end = run.nextOffset
                run.aborted = plan.aborted.filter { $0.firstOffset < end }
                let hint = ReadHint(offset: end, segmentBase: plan.segmentBase, position: position + run.byteCount)
                state.withLock { state in
                    guard state.generation == plan.generation else { return }
                    if state.hints.count < 16 {
                        state.hints.append(hint)
                    } else {
                        state.hints[state.nextHint] = hint
                        state.nextHint = (state.nextHint + 1) % 16
                    }
                }
            }
            return run
        }
    }

    private func report(_ failure: LogFailure) {
        guard failure.code == .corruptMessage else { return }
        services.logger.error("corrupt record batch", metadata: ["partition": "\(id)", "error": "\(failure.error.message)"])
    }

    /// Position of the first batch of the segment that ends after `offset`; nil if there is none. Looks at headers only.
    private func locate(_ offset: Int64, _ plan: ReadPlan) throws(LogFailure) -> Int? {
        var position = plan.position
        var chunk = [UInt8](repeating: 0, count: min(OffsetIndex.intervalBytes * 2, plan.size - position))
        while position < plan.size {
            let want = min(chunk.count, plan.size - position)
            let count = try chunk.withRoom { (room) throws(LogFailure) in
                try readFile(plan.file, UnsafeMutableRawBufferPointer(rebasing: room[..<want]), at: position)
            }
            var at = 0
            var found: Int?
            let isBroken: Bool = chunk.withUnsafeBytes { bytes in
                while at + BatchHeader.size <= count {
                    guard let header = BatchHeader(UnsafeRawBufferPointer(rebasing: bytes[at...])), header.magic == 2 else { return true }
                    if header.nextOffset > offset {
                        found = position + at
                        return false
                    }
                    at += header.sizeBytes
                }
                return at == 0
            }
            if let found { return found }
            if isBroken { throw corrupt(offset, "no batch header at byte \(position + at) of \(plan.file.path)") }
            position += at
        }
        return nil
    }

    private func readFile(_ file: any LogFile, _ room: UnsafeMutableRawBufferPointer, at position: Int) throws(LogFailure) -> Int {
        do throws(MartletError) {
            return try file.read(into: room, at: position)
        } catch {
            throw LogFailure(error)
        }
    }

    private func fill(
        _ space: inout some BatchSpace, _ run: inout BatchRun, _ plan: ReadPlan, _ position: Int, _ maxBytes: Int
    ) throws(LogFailure) {
        var want = min(maxBytes, plan.size - position)
        var count = 0
        var at = 0
        var expected = run.nextOffset
        while true {
            space.makeRoom(want)
            var needed = 0
            let problem: String? = try space.withRoom { (room) throws(LogFailure) in
                count = try readFile(plan.file, UnsafeMutableRawBufferPointer(rebasing: room[..<want]), at: position)
                let bytes = UnsafeRawBufferPointer(room)
                while at < count {
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[at..<count])
                    guard let header = BatchHeader(rest) else {
                        // Half a header at the end of what was read is fine, unless it is all there is.
                        return at > 0 && rest.count < BatchHeader.size ? nil : "no batch header"
                    }
                    if header.magic != 2 || header.sizeBytes > plan.size - position - at { return "no batch header" }
                    if header.baseOffset >= plan.bound { return nil }
                    if header.sizeBytes > rest.count {
                        if at == 0 { needed = header.sizeBytes }
                        return nil
                    }
                    let isRight = plan.isGapless ? (at == 0 ? header.baseOffset <= expected : header.baseOffset == expected) : at == 0 || header.baseOffset >= expected
                    if !isRight || header.nextOffset <= expected { return "offset \(header.baseOffset) where \(expected) is due" }
                    if let problem = header.problem(in: UnsafeRawBufferPointer(rebasing: rest[..<header.sizeBytes])) { return problem }
                    at += header.sizeBytes
                    expected = header.nextOffset
                    run.recordCount += Int(header.recordCount)
                }
                return nil
            }
            if needed > want {
                want = needed
                continue
            }
            if let problem, at == 0 { throw corrupt(run.nextOffset, problem) }
            if needed > 0 { throw corrupt(run.nextOffset, "\(count) of \(needed) bytes") }
            break
        }
        run.byteCount = at
        run.nextOffset = expected
    }
}

/// Walks the batches of a file range one after the other, with checksums; for looking up times, recovery, compaction and internal topics.
struct BatchWalk {
    struct Batch {
        var header: BatchHeader
        var position: Int
        /// The whole batch.
        var bytes: [UInt8]
    }

    let file: any LogFile
    private(set) var position: Int
    let end: Int
    private var window: [UInt8] = []
    private var windowStart = 0

    init(file: any LogFile, position: Int, end: Int) {
        self.file = file
        self.position = position
        self.end = end
    }

    /// Why the walk ended before `end`, after `next` returned nil.
    private(set) var problem: String?

    /// The next whole and valid batch; nil at the end or at something else (see `problem`).
    mutating func next() throws(MartletError) -> Batch? {
        guard position < end, problem == nil else { return nil }
        try load(BatchHeader.size)
        guard let header = window.withUnsafeBytes({ BatchHeader(UnsafeRawBufferPointer(rebasing: $0[(position - windowStart)...])) }) else {
            problem = "no batch header"
            return nil
        }
        guard header.magic == 2, header.sizeBytes <= end - position else {
            problem = header.magic == 2 ? "\(end - position) of \(header.sizeBytes) bytes" : "magic \(header.magic) is not 2"
            return nil
        }
        try load(header.sizeBytes)
        let start = position - windowStart
        guard window.count - start >= header.sizeBytes else {
            problem = "cut off"
            return nil
        }
        let bytes = Array(window[start..<start + header.sizeBytes])
        if let problem = bytes.withUnsafeBytes({ header.problem(in: $0) }) {
            self.problem = problem
            return nil
        }
        defer { position += header.sizeBytes }
        return Batch(header: header, position: position, bytes: bytes)
    }

    /// Sees to it that `count` bytes from `position` on are in the window, if the file has them.
    private mutating func load(_ count: Int) throws(MartletError) {
        if position >= windowStart && position + count <= windowStart + window.count { return }
        let size = min(max(count, 1 << 20), end - position)
        var fresh = [UInt8](repeating: 0, count: size)
        let got = try fresh.withMutableBytes { (bytes) throws(MartletError) in try file.read(into: bytes, at: position) }
        fresh.removeLast(size - got)
        window = fresh
        windowStart = position
    }
}

extension BatchWalk.Batch {
    /// Calls `body` with each record, its offset and timestamp. Throws `.corruptRecord` if the records are malformed.
    func forEachRecord(_ partition: TopicPartition, _ body: (RecordReader, Int64, Int64) -> Void) throws(LogFailure) {
        let isWhole: Bool = bytes.withUnsafeBytes { batch in
            let section = UnsafeRawBufferPointer(rebasing: batch[BatchHeader.size...])
            func walk(_ records: UnsafeRawBufferPointer) -> Bool {
                var reader = RecordReader(records)
                for _ in 0..<header.recordCount {
                    guard reader.next() else { return false }
                    let time = header.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp &+ reader.timestampDelta
                    body(reader, header.baseOffset &+ reader.offsetDelta, time)
                }
                return true
            }
            guard let codec = header.codec else { return false }
            if codec == .none { return walk(section) }
            var plain: [UInt8] = []
            return Compression.decompress(section, codec, onto: &plain) && plain.withUnsafeBytes(walk)
        }
        if !isWhole {
            throw LogFailure(
                .corruptMessage, .corruptRecord,
                "malformed records in topic \(partition.topic) partition \(partition.partition) at offset \(header.baseOffset)")
        }
    }
}
