import MartletCore
import Testing

@testable import MartletLog

/// Histories of appends, transactions, compaction and clean points, crashed at a random disk operation, opened again, checked.
@Suite(.long) struct LogCrashTests {
    /// What was promised before the crash.
    struct Promise {
        /// Read-committed values of each partition that a reader has seen.
        var seen: [[String]] = [[], []]
        /// Values of acknowledged appends and commits, by partition, in order.
        var acknowledged: [[String]] = [[], []]
        /// The latest acknowledged offset of each writer's group.
        var offsets: [Int64?] = [nil, nil]
        /// Values of a keyed topic, acknowledged.
        var keyed: [String: String] = [:]
        /// What the operation under way at the crash would have added.
        var pending: [[String]] = [[], []]
        var pendingWriter: Int?
        var pendingOffset: Int64?
        var pendingKey: (String, String)?
        /// Must never be seen by a read-committed reader.
        var aborted: Set<String> = []
    }

    static let crashes: [SimulatedFileSystem.Crash] = [.kill, .tornTail, .lostSectors, .reordered]

    @Test(arguments: [0, 1, 2, 3]) func whatWasPromisedIsKept(kind: Int) throws {
        withSeeds(40) { seed, random in
            let system = SimulatedFileSystem()
            let change: (inout LogConfig) -> Void = {
                $0.worksInBackground = false
                $0.checkpointBytes = 2000
            }
            let log = try openLog(system, change)
            try log.createTopic("t", partitions: 2, settings: ["segment.bytes": "1500"])
            try log.createTopic("k", partitions: 1, settings: ["segment.bytes": "700", "cleanup.policy": "compact"])
            let partitions = [try log.found("t", 0), try log.found("t", 1)]
            let keyed = try log.found("k")
            let writers = try (0..<2).map { try log.transactions.writer(transactionalID: "w\($0)") }
            var open: [[[String]]] = [[[], []], [[], []]]
            var promise = Promise()
            system.crash(Self.crashes[kind], afterOperations: Int.random(in: 0..<400, using: &random), seed: seed)
            var step = 0
            while system.afterCrash == nil && step < 400 {
                step += 1
                let value = "s\(step)" + String(repeating: "x", count: Int.random(in: 0..<200, using: &random))
                promise.pending = [[], []]
                promise.pendingWriter = nil
                promise.pendingKey = nil
                let target = Int.random(in: 0..<2, using: &random)
                switch Int.random(in: 0..<12, using: &random) {
                case 0...2:
                    promise.pending[target] = [value]
                    try partitions[target].append([value])
                    try partitions[target].flush()
                    if system.afterCrash == nil { promise.acknowledged[target].append(value) }
                case 3...6:
                    let w = Int.random(in: 0..<2, using: &random)
                    var records = batch([value])
                    open[w][target].append(value)
                    try writers[w].append(partitions[target], &records)
                case 7, 8:
                    let w = Int.random(in: 0..<2, using: &random)
                    promise.pending = open[w]
                    promise.pendingWriter = w
                    promise.pendingOffset = Int64(step)
                    writers[w].stageOffsets([TopicPartition("in", 0): Int64(step)], group: "g\(w)")
                    try writers[w].commit()
                    if system.afterCrash == nil {
                        for p in 0..<2 { promise.acknowledged[p] += open[w][p] }
                        promise.offsets[w] = Int64(step)
                    }
                    open[w] = [[], []]
                case 9:
                    let w = Int.random(in: 0..<2, using: &random)
                    promise.aborted.formUnion(open[w][0] + open[w][1])
                    try writers[w].abort()
                    open[w] = [[], []]
                case 10:
                    let key = "k\(Int.random(in: 0..<5, using: &random))"
                    promise.pendingKey = (key, value)
                    try keyed.append([value], keys: [key])
                    try keyed.flush()
                    if system.afterCrash == nil { promise.keyed[key] = value }
                default:
                    log.maintain()
                }
                if system.afterCrash == nil {
                    for p in 0..<2 { promise.seen[p] = try partitions[p].values(.readCommitted) }
                }
            }
            guard let disk = system.afterCrash else { return }
            try check(promise, disk, seed, change)
        }
    }

    private func check(
        _ promise: Promise, _ disk: SimulatedFileSystem, _ seed: UInt64, _ change: (inout LogConfig) -> Void
    ) throws {
        let lines = LogLines()
        let log = try openLog(disk, lines: lines, change)
        var committedPending: Set<Bool> = []
        for p in 0..<2 {
            let partition = try log.found("t", Int32(p))
            #expect(partition.lastStableOffset == partition.highWatermark && partition.highWatermark == partition.endOffset)
            let rows = try partition.rows(.readCommitted)
            let values = rows.map { $0.value ?? "." }
            // Nothing twice, nothing aborted, and what a reader saw is still what comes first.
            #expect(Set(values).count == values.count, "seed \(seed): duplicates")
            #expect(promise.aborted.isDisjoint(with: values), "seed \(seed): an aborted record is visible")
            #expect(Array(values.prefix(promise.seen[p].count)) == promise.seen[p], "seed \(seed): a reader would see something else")
            // Everything acknowledged is there; besides it only what was under way, in order.
            let acknowledged = Set(promise.acknowledged[p]), pending = Set(promise.pending[p])
            #expect(acknowledged.isSubset(of: values), "seed \(seed): acknowledged records are lost")
            #expect(Set(values).subtracting(acknowledged).isSubset(of: pending), "seed \(seed): records of nobody")
            let found = values.filter { pending.contains($0) }
            #expect(found.isEmpty || found == promise.pending[p], "seed \(seed): half a transaction")
            if !promise.pending[p].isEmpty { committedPending.insert(!found.isEmpty) }
        }
        for w in 0..<2 {
            let offset = log.groupOffsets.committed(group: "g\(w)", TopicPartition("in", 0))?.offset
            if promise.pendingWriter == w {
                let isCommitted = offset == promise.pendingOffset
                #expect(isCommitted || offset == promise.offsets[w], "seed \(seed): offset \(offset ?? -1)")
                if !(promise.pending[0] + promise.pending[1]).isEmpty { committedPending.insert(isCommitted) }
            } else {
                #expect(offset == promise.offsets[w], "seed \(seed): offset \(offset ?? -1)")
            }
        }
        if promise.pendingWriter != nil { #expect(committedPending.count <= 1, "seed \(seed): outputs and offsets disagree") }
        var latest: [String: String] = [:]
        for row in try log.found("k").rows() { if let key = row.key { latest[key] = row.value } }
        if let (key, value) = promise.pendingKey, latest[key] == value { latest[key] = promise.keyed[key] }
        #expect(latest == promise.keyed, "seed \(seed): keyed topic")
        #expect(lines.containing("fenced").isEmpty, "seed \(seed): a crash is no corruption")

        // Life goes on, and survives a second crash.
        let writer = try log.transactions.writer(transactionalID: "w0")
        var records = batch(["after"])
        try writer.append(try log.found("t"), &records)
        try writer.commit()
        var random = SeededRandom(seed: seed)
        let again = try openLog(disk.crashed(.tornTail, &random), change)
        #expect(try again.found("t").values(.readCommitted).last == "after", "seed \(seed)")
    }
}
