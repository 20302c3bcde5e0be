import MartletCore
import Synchronization
import Testing

@testable import MartletLog

@Suite struct PartitionLogTests {
    @Test func recordsComeBackInOrderFromEveryOffset() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t", ["segment.bytes": "400"])
        var expected: [PartitionLog.Row] = []
        for i in 0..<60 {
            let values = (0...(i % 4)).map { "v\(i).\($0)" }
            let codec = CompressionCodec.allCases[i % 5]
            try partition.append(values, keys: values.map { i % 3 == 0 ? nil : "k" + $0 }, codec: codec)
            for value in values {
                expected.append(.init(offset: Int64(expected.count), key: i % 3 == 0 ? nil : "k" + value, value: value))
            }
        }
        try partition.flush()
        #expect(partition.endOffset == Int64(expected.count) && partition.highWatermark == partition.endOffset)
        #expect(partition.state.withLock { $0.segments.count } > 5)
        for start in 0...expected.count {
            #expect(try partition.rows(from: Int64(start), maxBytes: 1 + start * 7 % 300) == Array(expected[start...]))
        }
        // Out of order, so that hints of earlier reads mislead nobody.
        withSeeds(5) { _, random in
            for _ in 0..<50 {
                let start = Int.random(in: 0..<expected.count, using: &random)
                var none: RecordBlock?
                let block = try partition.readBlock(from: Int64(start), maxBytes: 200, isolation: .readUncommitted, reusing: &none)
                #expect(block.row(0) == expected[start])
                #expect(block.buffer.count >= Int(block.valueStarts[0]) + RecordBlock.paddingBytes)
            }
        }
    }

    @Test func fetchGivesWholeBatchesAsTheyWereSent() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t")
        var sent: [[UInt8]] = []
        for i in 0..<10 {
            let bytes = clientBatch(["a\(i)", "b\(i)"], codec: CompressionCodec.allCases[i % 5])
            #expect(try partition.append(client: bytes).baseOffset == Int64(2 * i))
            sent.append(bytes)
        }
        try partition.flush()
        for i in 0..<10 {
            let slice = try partition.read(from: Int64(2 * i + 1), maxBytes: 1, isolation: .readUncommitted)
            let bytes = Array(slice.bytes.readableBytesView)
            #expect(bytes.count == sent[i].count)
            // Base offset and leader epoch are the log's; the rest is the client's, CRC included.
            #expect(bytes[16...] == sent[i][16...])
            #expect(bytes.withUnsafeBytes { $0.int64(0) } == Int64(2 * i))
            #expect(slice.highWatermark == 20 && slice.startOffset == 0)
        }
        let all = try partition.read(from: 0, maxBytes: 1 << 20, isolation: .readCommitted)
        #expect(all.bytes.readableBytes == sent.reduce(0) { $0 + $1.count })
        #expect(try partition.read(from: 20, maxBytes: 100, isolation: .readCommitted).bytes.readableBytes == 0)
        for bad in [Int64(-1), 21, 1 << 40] {
            #expect { try partition.read(from: bad, maxBytes: 100, isolation: .readCommitted) } throws: { ($0 as? KafkaError)?.code == .offsetOutOfRange }
        }
    }

    @Test func headersAreKeptAsSent() throws {
        let log = try openLog(SimulatedFileSystem(), durability: .os)
        let partition = try log.made("t")
        var builder = RecordBatchBuilder(compression: .lz4)
        builder.append(timestamp: 1, key: nil, value: [1])
        builder.append(timestamp: 2, key: nil, value: [2], headers: [2, 2, 104, 2, 118])
        builder.append(timestamp: 3, key: nil, value: [3], headers: [])
        _ = try partition.append(&builder)
        var reused: RecordBlock?
        let block = try partition.readBlock(from: 0, maxBytes: 100, isolation: .readCommitted, reusing: &reused)
        let headers = try #require(block.headers)
        #expect(headers.lengths == [0, 5, 0])
        #expect(Array(block.buffer[Int(headers.starts[1])..<Int(headers.starts[1]) + 5]) == [2, 2, 104, 2, 118])
        // A block that is used again forgets them.
        reused = block
        try partition.append(["x"])
        #expect(try partition.readBlock(from: 3, maxBytes: 100, isolation: .readCommitted, reusing: &reused).headers?.lengths == nil)
        #expect(reused?.count == nil)
    }

    /// (1) With fsync nothing is readable before it is on disk.
    @Test func theHighWatermarkWaitsForTheDisk() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        var builder = batch(["a"])
        _ = try partition.append(&builder, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false)
        #expect(partition.endOffset == 1 && partition.highWatermark == 0)
        #expect(try partition.values().isEmpty)
        let events = Signal<[LogEvent]>([])
        let id = log.addListener { event in events.update { $0.append(event) } }
        let answers = Signal<[KafkaErrorCode]>([])
        partition.whenDurable(upTo: 1) { code in answers.update { $0.append(code) } }
        #expect(answers.wait(timeoutMs: 10_000) { $0.isEmpty ? nil : $0 } == [.none])
        #expect(try partition.values() == ["a"])
        #expect(events.wait(timeoutMs: 10_000) { $0.contains(.advanced(partition.id)) ? true : nil } == true)
        log.removeListener(id)
    }

    @Test func withDurabilityOSAppendsAreReadableAtOnce() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system, durability: .os)
        let partition = try log.made("t")
        let before = system.state.withLock { $0.syncCount }
        try partition.append(["a"])
        let answered = Mutex(false)
        partition.whenDurable(upTo: 1) { code in answered.withLock { $0 = code == .none } }
        #expect(answered.withLock { $0 })
        #expect(try partition.values() == ["a"])
        #expect(system.state.withLock { $0.syncCount } == before)
    }

    // MARK: idempotent producers

    @Test func repeatedBatchesGetTheirFirstOffsets() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t")
        for i in 0..<6 { try partition.append(client: clientBatch(["x", "y"], producerID: 9, epoch: 0, sequence: Int32(2 * i))) }
        for i in 1..<6 {
            let again = try partition.append(client: clientBatch(["x", "y"], producerID: 9, epoch: 0, sequence: Int32(2 * i)))
            #expect(again.duplicate && again.baseOffset == Int64(2 * i) && again.lastOffset == Int64(2 * i + 1))
        }
        #expect(partition.endOffset == 12)
        func code(_ bytes: [UInt8]) -> KafkaErrorCode? {
            do {
                try partition.append(client: bytes)
                return nil
            } catch {
                return error.code
            }
        }
        // The sixth back is forgotten, a gap is a gap, an old epoch is fenced, a new one begins at 0.
        #expect(code(clientBatch(["x", "y"], producerID: 9, epoch: 0, sequence: 0)) == .outOfOrderSequenceNumber)
        #expect(code(clientBatch(["x"], producerID: 9, epoch: 0, sequence: 14)) == .outOfOrderSequenceNumber)
        #expect(code(clientBatch(["x"], producerID: 9, epoch: 1, sequence: 5)) == .outOfOrderSequenceNumber)
        #expect(code(clientBatch(["x"], producerID: 9, epoch: 1, sequence: 0)) == nil)
        #expect(code(clientBatch(["x"], producerID: 9, epoch: 0, sequence: 12)) == .invalidProducerEpoch)
    }

    @Test func sequencesWrapAround() {
        #expect(BatchHeader.sequence(.max, plus: 1) == 0)
        #expect(BatchHeader.sequence(.max - 1, plus: 3) == 1)
    }

    /// (7) Also when the producer's state comes from the clean point, or from the log alone.
    @Test(arguments: [true, false]) func producersAreKnownAfterARestart(closed: Bool) throws {
        let system = SimulatedFileSystem()
        var random = SeededRandom(seed: 1)
        var log = try openLog(system)
        var partition = try log.made("t")
        for i in 0..<3 { try partition.append(client: clientBatch(["x"], producerID: 9, epoch: 2, sequence: Int32(i))) }
        try partition.flush()
        if closed { log.close() }
        log = try openLog(system.crashed(.kill, &random))
        partition = try log.found("t")
        #expect(try partition.append(client: clientBatch(["x"], producerID: 9, epoch: 2, sequence: 1)).baseOffset == 1)
        #expect(try partition.append(client: clientBatch(["x"], producerID: 9, epoch: 2, sequence: 3)).baseOffset == 3)
        #expect(throws: KafkaError.self) { try partition.append(client: clientBatch(["x"], producerID: 9, epoch: 1, sequence: 4)) }
    }

    // MARK: what clients may not send

    @Test func badBatchesAreRefusedByCode() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t", ["max.message.bytes": "500"])
        let compacted = try log.made("c", ["cleanup.policy": "compact"])
        func code(_ bytes: [UInt8], _ partition: PartitionLog) -> KafkaErrorCode? {
            do {
                try partition.append(client: bytes)
                return nil
            } catch {
                return error.code
            }
        }
        func patched(_ body: (inout [UInt8]) -> Void) -> [UInt8] {
            var bytes = clientBatch(["a", "b"])
            body(&bytes)
            let crc = CRC32C.checksum(Array(bytes[21...]))
            bytes.withUnsafeMutableBytes { $0.store(crc, 17) }
            return bytes
        }
        let good = clientBatch(["a", "b"])
        #expect(code([], partition) == .invalidRecord)
        #expect(code(Array(good.dropLast()), partition) == .corruptMessage)
        #expect(code(Array(good.prefix(30)), partition) == .corruptMessage)
        #expect(code(good.enumerated().map { $0 == 70 ? $1 ^ 1 : $1 }, partition) == .corruptMessage)
        #expect(code(good.enumerated().map { $0 == 16 ? 1 : $1 }, partition) == .invalidRecord)  // an old format in a new request
        #expect(code(clientBatch([String(repeating: "x", count: 600)]), partition) == .messageTooLarge)
        #expect(code(patched { $0[22] = 5 }, partition) == .invalidRecord)  // codec 5
        #expect(code(patched { $0[22] = 1 }, partition) == .invalidRecord)  // says gzip, is not
        #expect(code(patched { $0[22] = 32 }, partition) == .invalidRecord)  // control
        #expect(code(patched { $0[22] = 8 }, partition) == .invalidRecord)  // log append time
        #expect(code(patched { $0[22] = 16 }, partition) == .invalidRecord)  // transactional without a producer
        #expect(code(patched { $0[26] = 7 }, partition) == .invalidRecord)  // last offset delta
        #expect(code(patched { $0[60] = 1 }, partition) == .invalidRecord)  // record count
        #expect(code(patched { $0[61] = 200 }, partition) == .invalidRecord)  // first record's length
        #expect(code(clientBatch(["a"], producerID: 4, epoch: 0, sequence: 0, isTransactional: true), partition) == .invalidProducerIDMapping)
        #expect(code(good, compacted) == .invalidRecord)  // no key
        #expect(partition.endOffset == 0)
        #expect(code(good + clientBatch(["c"]), partition) == nil)  // two batches at once, without a producer
        #expect(partition.endOffset == 3)
    }

    @Test func logAppendTimeIsStamped() throws {
        let time = ManualTime(wallMs: 5_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made("t", ["message.timestamp.type": "LogAppendTime"])
        let result = try partition.append(client: clientBatch(["a", "b"], timestamp: 77))
        #expect(result.logAppendTime == 5_000)
        try partition.flush()
        var none: RecordBlock?
        let block = try partition.readBlock(from: 0, maxBytes: 1000, isolation: .readCommitted, reusing: &none)
        #expect(block.timestamps == [5_000, 5_000])
    }

    @Test func offsetsAreFoundByTime() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t", ["segment.bytes": "1000"])
        // Times 0, 10, 20 … with one late record in the middle.
        for i in 0..<200 { try partition.append(["v"], timestamp: i == 100 ? 5 : Int64(i * 10)) }
        try partition.flush()
        for i in 0..<200 where i != 100 {
            #expect(try partition.offset(forTimestamp: Int64(i * 10 - 3))?.offset == Int64(i == 101 ? 101 : i))
        }
        #expect(try partition.offset(forTimestamp: 995).map { $0.offset } == 101)
        #expect(try partition.offset(forTimestamp: 1991) == nil)
        let inside = try log.made("u")
        try inside.append(["a", "b", "c"], timestamp: 100, codec: .zstd)
        try inside.flush()
        #expect(try inside.offset(forTimestamp: 101).map { $0.offset } == 1)
        #expect(try inside.offset(forTimestamp: 101).map { $0.timestamp } == 101)
    }

    // MARK: deletion

    @Test func deletedRecordsStayDeleted() throws {
        let system = SimulatedFileSystem()
        var random = SeededRandom(seed: 1)
        var log = try openLog(system)
        var partition = try log.made("t", ["segment.bytes": "300"])
        for i in 0..<30 { try partition.append(["v\(i)"]) }
        try partition.flush()
        let segments = partition.state.withLock { $0.segments.count }
        #expect(try partition.deleteRecords(before: 17) == 17)
        #expect(try partition.deleteRecords(before: 3) == 17)
        #expect(partition.state.withLock { $0.segments.count } < segments)
        #expect(throws: KafkaError.self) { try partition.deleteRecords(before: 31) }
        for _ in 0..<2 {
            #expect(partition.startOffset == 17)
            #expect(try partition.values() == (17..<30).map { "v\($0)" })
            #expect(throws: KafkaError.self) { try partition.read(from: 16, maxBytes: 10, isolation: .readCommitted) }
            log = try openLog(system.crashed(.tornTail, &random))
            partition = try log.found("t")
        }
        #expect(try partition.deleteRecords(before: -1) == 30)
        #expect(try partition.values().isEmpty)
    }

    @Test func retentionByAgeAndSize() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let byAge = try log.made("age", ["segment.bytes": "300", "retention.ms": "1000"])
        let bySize = try log.made("size", ["segment.bytes": "300", "retention.bytes": "900", "retention.ms": "-1"])
        for i in 0..<30 {
            try byAge.append(["v\(i)"], timestamp: 1_000_000 + Int64(i))
            try bySize.append(["v\(i)"], timestamp: 0)
        }
        try byAge.flush()
        try bySize.flush()
        log.maintain()
        #expect(byAge.startOffset == 0)
        #expect(bySize.startOffset > 0 && bySize.sizeBytes < 1500 && bySize.sizeBytes >= 900)
        time.advance(byMs: 2000)
        log.maintain()
        #expect(byAge.startOffset == 30 && byAge.sizeBytes == 0)
        try byAge.append(["new"], timestamp: 1_002_000)
        try byAge.flush()
        #expect(try byAge.rows() == [.init(offset: 30, key: nil, value: "new")])
    }

    /// A clock that is set back by a day does not keep a segment open for a day longer.
    @Test func segmentsAgeThoughTheClockIsSetBack() throws {
        let time = ManualTime(wallMs: 1_000_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made("t", ["segment.ms": "1000", "retention.ms": "-1"])
        try partition.append(["a"])
        try partition.flush()
        time.advance(byMs: -86_400_000)
        log.maintain()
        #expect(partition.state.withLock { $0.segments.count } == 1)
        time.advance(byMs: 1000)
        log.maintain()
        #expect(partition.state.withLock { $0.segments.count } == 2)
        #expect(try partition.values() == ["a"])
    }

    // MARK: a disk that is full or fails

    /// (4) A full disk costs the batch that did not fit, nothing before it, and nothing after space has returned.
    @Test func aFullDiskIsSurvived() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        try partition.append(["a"])
        try partition.flush()
        for extra in [0, 1, 30, 61, 70] {
            system.state.withLock { $0.capacity = $0.used + extra }
            #expect { try partition.append([String(repeating: "x", count: 100)]) } throws: { ($0 as? MartletError)?.code == .diskFull }
            #expect { try partition.append(client: clientBatch([String(repeating: "x", count: 100)])) } throws: {
                ($0 as? KafkaError)?.code == .kafkaStorageError
            }
            #expect(try partition.values() == ["a"])
        }
        system.state.withLock { $0.capacity = .max }
        try partition.append(["b"])
        try partition.flush()
        #expect(try partition.values() == ["a", "b"])
        var random = SeededRandom(seed: 1)
        let again = try openLog(system.crashed(.tornTail, &random))
        #expect(try again.found("t").values() == ["a", "b"])
    }

    /// After a failed sync nothing more is acknowledged until the log is opened again.
    @Test func aFailedSyncClosesThePartition() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        try partition.append(["a"])
        try partition.flush()
        system.state.withLock { $0.failingSyncs = true }
        try partition.append(["b"])
        let answers = Signal<[KafkaErrorCode]>([])
        partition.whenDurable(upTo: 2) { code in answers.update { $0.append(code) } }
        #expect(answers.wait(timeoutMs: 10_000) { $0.isEmpty ? nil : $0 } == [.kafkaStorageError])
        system.state.withLock { $0.failingSyncs = false }
        #expect { try partition.append(["c"]) } throws: { ($0 as? MartletError)?.code == .io }
        #expect(try partition.values() == ["a"])
        var random = SeededRandom(seed: 1)
        #expect(try openLog(system.crashed(.kill, &random)).found("t").values() == ["a", "b"])
    }

    // MARK: several threads

    /// (2, 5, 8) Readers beside a writer see a prefix, in order, whole.
    @Test func readersBesideAWriterSeeAPrefix() throws {
        let directory = TemporaryDirectory()
        let log = try EmbeddedLog.open(directory: directory.path)
        let partition = try log.made("t", ["segment.bytes": "20000", "retention.ms": "-1"])
        let total = 3000
        let failures = Mutex<[String]>([])
        let readers = try (0..<2).map { reader in
            try WorkerThread("reader") {
                var next: Int64 = 0
                var reused: RecordBlock?
                while next < total {
                    do {
                        let block = try partition.readBlock(from: next, maxBytes: 5000, isolation: .readCommitted, reusing: &reused)
                        for i in 0..<block.count where block.row(i).value != "value-\(next + Int64(i))" {
                            failures.withLock { $0.append("reader \(reader): \(block.row(i)) where \(next + Int64(i)) is due") }
                        }
                        next = block.nextOffset
                        reused = block
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                        return
                    }
                }
            }
        }
        for i in 0..<total { try partition.append(["value-\(i)"]) }
        for reader in readers { reader.join() }
        #expect(failures.withLock { $0 } == [])
        log.close()
    }
}
