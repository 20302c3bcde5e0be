import MartletCore
import Testing

@testable import MartletLog

@Suite struct LogRecoveryTests {
    static let partitionPath = "/data/topics/t/0"
    static let logPath = "/data/topics/t/0/00000000000000000000.log"

    /// A log with these batches, killed without a clean point behind its beginning. Returns the disk and where each batch begins.
    func killed(_ batches: [[String]]) throws -> (SimulatedFileSystem, [Int]) {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        var starts: [Int] = []
        for values in batches {
            starts.append(Int(partition.sizeBytes))
            try partition.append(values)
        }
        starts.append(Int(partition.sizeBytes))
        try partition.flush()
        var random = SeededRandom(seed: 1)
        return (system.crashed(.kill, &random), starts)
    }

    func copy(_ system: SimulatedFileSystem) -> SimulatedFileSystem {
        var random = SeededRandom(seed: 1)
        return system.crashed(.kill, &random)
    }

    /// Cut at every byte: what remains are the batches that are whole, one line tells what was cut, and appending goes on.
    @Test func aTornTailIsCutAtTheLastWholeBatch() throws {
        let (system, starts) = try killed([["a", "b"], ["c"], ["d", "e", "f"]])
        let all = ["a", "b", "c", "d", "e", "f"]
        for size in 0...(starts.last ?? 0) {
            let disk = copy(system)
            disk.damage(Self.logPath) { $0.removeLast($0.count - size) }
            let lines = LogLines()
            let log = try openLog(disk, lines: lines)
            let partition = try log.found("t")
            let whole = starts.filter { $0 <= size }.count - 1
            let expected = Array(all.prefix([0, 2, 3, 6][whole]))
            #expect(try partition.values() == expected)
            let told = lines.containing("log tail cut off")
            if starts.contains(size) {
                #expect(told.isEmpty)
            } else {
                #expect(told.count == 1)
                let start = starts[whole]
                #expect(told.first?.contains("bytes=\(size - start) offset=\(expected.count) partition=0") == true && told[0].contains("topic=t"))
            }
            try partition.append(["next"])
            try partition.flush()
            #expect(try partition.values() == expected + ["next"])
            #expect(try openLog(copy(disk)).found("t").values() == expected + ["next"])
        }
    }

    /// Change each byte of the last batch: it goes, what is before stays. The fields that are not checksummed are patched or decide nothing here.
    @Test func aCorruptTailIsCut() throws {
        let (system, starts) = try killed([["a"], ["b"]])
        for at in starts[1]..<starts[2] where !(12..<16).contains(at - starts[1]) && at - starts[1] >= 8 {
            let disk = copy(system)
            disk.damage(Self.logPath) { $0[at] ^= 0x55 }
            #expect(try openLog(disk).found("t").values() == ["a"], "byte \(at - starts[1])")
        }
    }

    /// A damaged batch with valid ones behind it is fenced: told by topic, partition and offset, never served; what is before and behind is.
    @Test func corruptionInTheMiddleIsFenced() throws {
        let (system, starts) = try killed([["a", "b"], ["c", "d"], ["e", "f"]])
        for at in starts[1] + 16..<starts[2] {
            let disk = copy(system)
            disk.damage(Self.logPath) { $0[at] ^= 0x55 }
            let lines = LogLines()
            let log = try openLog(disk, lines: lines)
            let partition = try log.found("t")
            #expect(lines.containing("fenced").count == 1)
            #expect(partition.startOffset == 0 && partition.endOffset == 6)
            var reused: RecordBlock?
            let block = try partition.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
            #expect(block.count == 2 && block.nextOffset == 2)
            for offset in [Int64(2), 3] {
                #expect { try partition.readBlock(from: offset, maxBytes: 1 << 20, isolation: .readUncommitted, reusing: &reused) } throws: {
                    guard let error = $0 as? MartletError else { return false }
                    return error.code == .corruptRecord && error.message.contains("topic t partition 0 at offset \(offset)")
                }
                #expect { try partition.read(from: offset, maxBytes: 100, isolation: .readUncommitted) } throws: {
                    ($0 as? KafkaError)?.code == .corruptMessage
                }
            }
            #expect(try partition.rows(from: 4).map(\.value) == ["e", "f"])
            try partition.append(["g"])
            try partition.flush()
            // The fence is remembered by the clean point.
            log.close()
            let again = try openLog(copy(disk)).found("t")
            #expect(throws: MartletError.self) { try again.rows(from: 2) }
            #expect(try again.rows(from: 4).map(\.value) == ["e", "f", "g"])
        }
    }

    /// Damage that came after the clean point was made is found when it is read.
    @Test func corruptionInACheckedPartIsNeverServed() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        var starts: [Int] = []
        let partition = try log.made("t")
        for i in 0..<5 {
            starts.append(Int(partition.sizeBytes))
            try partition.append(["value-\(i)"])
        }
        log.close()
        let disk = copy(system)
        disk.damage(Self.logPath) { $0[starts[2] + 70] ^= 1 }
        let lines = LogLines()
        let again = try openLog(disk, lines: lines).found("t")
        var reused: RecordBlock?
        #expect(try again.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused).nextOffset == 2)
        #expect { try again.rows(from: 2) } throws: { ($0 as? MartletError)?.code == .corruptRecord }
        #expect(lines.containing("corrupt record batch").count == 1)
        #expect(try again.rows(from: 3).map(\.value) == ["value-3", "value-4"])
    }

    /// Sectors that never reached the disk end the log, even if later ones did: nothing behind them was acknowledged.
    @Test func aHoleOfAPowerCutEndsTheLog() throws {
        let (system, starts) = try killed([["a"], [String(repeating: "x", count: 2000)], ["c"]])
        system.damage(Self.logPath) { bytes in
            let sector = (starts[1] / 512 + 1) * 512
            for at in sector..<sector + 512 { bytes[at] = 0 }
        }
        #expect(try openLog(system).found("t").values() == ["a"])
    }

    // MARK: the log's own files

    /// Indexes and the clean point are help, not truth: without them, or with wrong ones, the log is the same.
    @Test func lostOrDamagedSideFilesAreRebuilt() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t", ["segment.bytes": "2000"])
        for i in 0..<100 { try partition.append(client: clientBatch(["value-\(i)"], producerID: 5, epoch: 0, sequence: Int32(i))) }
        log.close()
        let expected = (0..<100).map { "value-\($0)" }
        let names = try system.list(Self.partitionPath).filter { !$0.hasSuffix(".log") }
        #expect(names.count > 3 && names.contains("checkpoint"))
        withSeeds(60) { seed, random in
            let disk = copy(system)
            for name in names {
                let path = "\(Self.partitionPath)/\(name)"
                switch Int.random(in: 0..<4, using: &random) {
                case 0: try disk.remove(path)
                case 1: disk.damage(path) { $0[Int.random(in: 0..<$0.count, using: &random)] ^= 0x10 }
                case 2: disk.damage(path) { $0.removeLast(Int.random(in: 1...$0.count, using: &random)) }
                default: break
                }
            }
            let again = try openLog(disk).found("t")
            #expect(try again.values() == expected, "seed \(seed)")
            #expect(try again.append(client: clientBatch(["value-99"], producerID: 5, epoch: 0, sequence: 99)).duplicate, "seed \(seed)")
            #expect(try again.append(client: clientBatch(["more"], producerID: 5, epoch: 0, sequence: 100)).baseOffset == 100)
        }
    }

    /// After a clean point a start does not look at what is before it.
    @Test func aStartChecksOnlyWhatComesBehindTheCleanPoint() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.checkpointBytes = 1000 }
        let partition = try log.made("t", ["segment.bytes": "100000"])
        for i in 0..<50 { try partition.append(["value-\(i)"]) }
        log.maintain()
        for i in 50..<60 { try partition.append(["value-\(i)"]) }
        try partition.flush()
        let disk = copy(system)
        // Damage before the clean point is not noticed by the start, but by the reader.
        disk.damage(Self.logPath) { $0[70] ^= 1 }
        let lines = LogLines()
        let again = try openLog(disk, lines: lines).found("t")
        #expect(lines.lines.withLock { $0 }.isEmpty)
        #expect(again.endOffset == 60)
        #expect(try again.rows(from: 55).count == 5)
    }

    @Test func aNewerFormatIsRefusedByName() throws {
        let (system, _) = try killed([["a"]])
        let newer = copy(system)
        newer.damage("/data/format") { $0 = Array("martlet-log 2\nabc\n".utf8) }
        #expect { try openLog(newer) } throws: {
            guard let error = $0 as? MartletError else { return false }
            return error.code == .incompatibleFormat && error.message.contains("version 2") && error.message.contains("/data")
        }
        let checkpoint = copy(system)
        var out = ByteWriter()
        out.put(UInt32(0x504b_434d))
        out.put(UInt32(7))
        let file = try checkpoint.open("\(Self.partitionPath)/checkpoint", create: true)
        try out.sealed().withBytes { (bytes) throws(MartletError) in try file.write(bytes, at: 0) }
        #expect { try openLog(checkpoint) } throws: { ($0 as? MartletError)?.code == .incompatibleFormat }
    }

    /// A segment that is gone from the middle of the log is damage like any other: told in the log, and readers are not led past it.
    @Test func aMissingSegmentIsFenced() throws {
        let system = SimulatedFileSystem(), lines = LogLines()
        let log = try openLog(system)
        let partition = try log.made("t", ["segment.bytes": "200"])
        for i in 0..<10 { try partition.append(["\(i)" + String(repeating: "x", count: 100)]) }
        log.close()
        var random = SeededRandom(seed: 1)
        let disk = system.crashed(.kill, &random)
        let names = try disk.list("/data/topics/t/0").filter { $0.hasSuffix(".log") }
        #expect(names.count == 10)
        try disk.remove("/data/topics/t/0/\(names[4])")
        let again = try openLog(disk, lines: lines)
        #expect(lines.containing("fenced").count == 1)
        let found = try again.found("t")
        for (offset, isThere) in [(3, true), (4, false), (5, true)] as [(Int64, Bool)] {
            if isThere {
                #expect(try found.read(from: offset, maxBytes: 1, isolation: .readUncommitted).bytes.readableBytes > 0)
            } else {
                let error = #expect(throws: KafkaError.self) { try found.read(from: offset, maxBytes: 1, isolation: .readUncommitted) }
                #expect(error?.code == .corruptMessage)
            }
        }
    }
}
