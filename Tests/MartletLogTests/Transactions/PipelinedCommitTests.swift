import MartletCore
import Testing

@testable import MartletLog

/// Two writers that alternate: the second fills its transaction before the first has committed.
@Suite struct PipelinedCommitTests {
    static let input = TopicPartition("in", 0)

    @Test func theNextTransactionIsFilledWhileOneCommits() throws {
        let log = try openLog(SimulatedFileSystem())
        let out = try log.made("out")
        let writers = try (0..<2).map { try log.transactions.writer(transactionalID: "w\($0)") }
        writers[0].begin()
        var records = batch(["0", "1"])
        try writers[0].append(out, &records)
        writers[0].stageOffsets([Self.input: 2], group: "g")
        let first = try writers[0].prepare()
        writers[1].begin()
        records = batch(["2"])
        try writers[1].append(out, &records)
        #expect(writers[1].appendedBytes > 0)
        #expect(try out.values(.readCommitted).isEmpty)
        try first.commit()
        // What was written before the first marker, but belongs to the second, stays invisible.
        #expect(try out.values(.readCommitted) == ["0", "1"])
        #expect(log.groupOffsets.committed(group: "g", Self.input)?.offset == 2)
        writers[1].stageOffsets([Self.input: 3], group: "g")
        try writers[1].commit()
        #expect(try out.values(.readCommitted) == ["0", "1", "2"])
        #expect(log.groupOffsets.committed(group: "g", Self.input)?.offset == 3)
    }

    /// Offsets of one group from two writers within a millisecond, or with a clock that goes back: the later commit stays the committed one,
    /// whatever of the offsets' topic is lost.
    @Test(arguments: [0, 500]) func theLaterOffsetsSurviveAClockThatStandsStill(jumpBackMs: Int64) throws {
        let system = SimulatedFileSystem()
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(system, time: time)
        let writers = try (0..<2).map { try log.transactions.writer(transactionalID: "w\($0)") }
        let size = Int(try log.found("__consumer_offsets").sizeBytes)
        for (i, writer) in writers.enumerated() {
            writer.begin()
            writer.stageOffsets([Self.input: Int64(10 * (i + 1))], group: "g")
            try writer.commit()
            time.advance(byMs: -jumpBackMs)
        }
        let path = "/data/topics/__consumer_offsets/0/00000000000000000000.log"
        let whole = Int(try log.found("__consumer_offsets").sizeBytes)
        for kept in Set([size, size + (whole - size) / 2, whole]) {
            var random = SeededRandom(seed: 1)
            let disk = system.crashed(.kill, &random)
            disk.damage(path) { $0.removeLast($0.count - kept) }
            let again = try openLog(disk, time: time)
            #expect(again.groupOffsets.committed(group: "g", Self.input)?.offset == 20, "\(kept) of \(whole) bytes")
        }
    }

    /// Both were staged before the first commit, within a millisecond: the later commit stays the committed one.
    @Test func offsetsStagedTogetherKeepTheOrderOfTheirCommits() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let size = Int(try log.found("__consumer_offsets").sizeBytes)
        // Records of the transaction log are looked at in any order, so each writer is the first of some pair.
        let writers = try (0..<6).map { try log.transactions.writer(transactionalID: "w\($0)") }
        for (i, writer) in writers.enumerated() {
            writer.begin()
            writer.stageOffsets([Self.input: Int64(10 * (i + 1))], group: "g")
        }
        for writer in writers { try writer.commit() }
        #expect(log.groupOffsets.committed(group: "g", Self.input)?.offset == 60)
        var random = SeededRandom(seed: 1)
        let disk = system.crashed(.kill, &random)
        disk.damage("/data/topics/__consumer_offsets/0/00000000000000000000.log") { $0.removeLast($0.count - size) }
        #expect(try openLog(disk).groupOffsets.committed(group: "g", Self.input)?.offset == 60)
    }

    /// A query's thread as the log sees it: inputs are the numbers 0, 1, 2 …; each transaction writes the next few and stages how far it came.
    /// Crashes at any operation of the disk, also between two that overlap, and full disks. After each start the results are exactly the
    /// inputs before the committed offset, and it never went back.
    @Test(arguments: [0, 1, 2]) func everyInputOnceThroughCrashes(kind: Int) throws {
        withSeeds(40) { seed, random in
            var system = SimulatedFileSystem()
            let time = ManualTime(wallMs: 1_000_000)
            let change: (inout LogConfig) -> Void = {
                $0.worksInBackground = false
                $0.checkpointBytes = 2000
            }
            try openLog(system, time: time, change).createTopic("out", partitions: 2, settings: ["segment.bytes": "1500"])
            var promised: Int64 = 0
            var random2 = SeededRandom(seed: seed)
            for life in 0..<4 {
                system = system.crashed(.kill, &random2)
                let log = try openLog(system, time: time, change)
                let outs = [try log.found("out", 0), try log.found("out", 1)]
                let start = log.groupOffsets.committed(group: "g", Self.input)?.offset ?? 0
                #expect(start >= promised, "seed \(seed) life \(life): offset \(start) after \(promised)")
                try check(outs, start, seed, life)
                if life == 3 { break }
                let writers = try (0..<2).map { try log.transactions.writer(transactionalID: "w\($0)") }
                system.crash(LogCrashTests.crashes[kind], afterOperations: Int.random(in: 0..<120, using: &random), seed: seed)
                var position = start, waiting: (PreparedTransaction, Int64)?
                for number in 0..<200 where system.afterCrash == nil {
                    let writer = writers[number % 2]
                    writer.begin()
                    for _ in 0..<Int.random(in: 0..<4, using: &random) {
                        var records = batch(["\(position)"])
                        try writer.append(outs[Int(position % 2)], &records)
                        position += 1
                        // The one before commits somewhere in the middle of this one.
                        if let (transaction, end) = waiting, Bool.random(using: &random) {
                            try transaction.commit()
                            if system.afterCrash == nil { promised = end }
                            waiting = nil
                        }
                    }
                    if let (transaction, end) = waiting {
                        try transaction.commit()
                        if system.afterCrash == nil { promised = end }
                        waiting = nil
                    }
                    if Int.random(in: 0..<8, using: &random) == 0 { time.advance(byMs: Int64.random(in: -5...5, using: &random)) }
                    if Int.random(in: 0..<10, using: &random) == 0 { log.maintain() }
                    writer.stageOffsets([Self.input: position], group: "g")
                    waiting = (try writer.prepare(), position)
                }
                guard let disk = system.afterCrash else { return }
                system = disk
            }
        }
    }

    private func check(_ outs: [PartitionLog], _ committed: Int64, _ seed: UInt64, _ life: Int) throws {
        for (p, out) in outs.enumerated() {
            let expected = (0..<committed).filter { $0 % 2 == p }.map(String.init)
            #expect(try out.values(.readCommitted) == expected, "seed \(seed) life \(life)")
            #expect(out.lastStableOffset == out.highWatermark, "seed \(seed) life \(life)")
        }
    }
}
