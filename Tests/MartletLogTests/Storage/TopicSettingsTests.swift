import MartletCore
import Testing

@testable import MartletLog

/// What each topic setting does to the records of clients.
@Suite struct TopicSettingsTests {
    private func code(_ body: () throws -> Void) -> KafkaErrorCode? {
        do {
            try body()
            return nil
        } catch {
            return (error as? KafkaError)?.code
        }
    }

    private func codec(_ partition: PartitionLog) throws -> CompressionCodec? {
        let slice = try partition.read(from: 0, maxBytes: 1 << 20, isolation: .readUncommitted)
        return slice.bytes.withUnsafeReadableBytes { BatchHeader($0)?.codec }
    }

    @Test(arguments: ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]) func compressionType(_ type: String) throws {
        let log = try openLog(SimulatedFileSystem())
        for sent in CompressionCodec.allCases {
            let partition = try log.made("\(type)-\(sent)", ["compression.type": type, "retention.ms": "-1"])
            let values = (0..<50).map { "value \($0 % 3)" }
            try partition.append(client: clientBatch(values, producerID: 3, epoch: 1, sequence: 0, codec: sent))
            try partition.flush()
            let expected: CompressionCodec = type == "producer" ? sent : type == "uncompressed" ? .none : CompressionCodec.allCases.first { "\($0)" == type }!
            #expect(try codec(partition) == expected)
            #expect(try partition.values() == values)
            // The producer's identity is kept: a repetition is one.
            #expect(try partition.append(client: clientBatch(values, producerID: 3, epoch: 1, sequence: 0, codec: sent)).duplicate)
        }
    }

    @Test func maxMessageBytes() throws {
        let partition = try openLog(SimulatedFileSystem()).made("t", ["max.message.bytes": "200"])
        #expect(code { try partition.append(client: clientBatch([String(repeating: "x", count: 100)])) } == nil)
        #expect(code { try partition.append(client: clientBatch([String(repeating: "x", count: 200)])) } == .messageTooLarge)
    }

    @Test func timestampsOutsideOfTheirBoundsAreRefused() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made("t", ["message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "50"])
        func send(_ timestamp: Int64) -> KafkaErrorCode? { code { try partition.append(client: clientBatch(["v"], timestamp: timestamp)) } }
        #expect(send(999_000) == nil && send(1_000_050) == nil)
        #expect(send(998_999) == .invalidTimestamp && send(1_000_051) == .invalidTimestamp)
        let stamped = try log.made("s", ["message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "0"])
        #expect(code { try stamped.append(client: clientBatch(["v"], timestamp: 5)) } == nil)
    }

    @Test func zstdNeedsAProduceThatKnowsIt() throws {
        let partition = try openLog(SimulatedFileSystem()).made("t")
        let batch = clientBatch(["v"], codec: .zstd)
        func send(_ version: Int16) -> KafkaErrorCode? {
            code { _ = try batch.withBytes { (bytes) throws(KafkaError) in try partition.append(client: bytes, produceVersion: version) } }
        }
        #expect(send(6) == .unsupportedCompressionType && send(7) == nil)
    }

    @Test func segmentsRollBySizeAndAge() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made("t", ["segment.bytes": "200", "segment.ms": "1000", "retention.ms": "-1"])
        func segments() -> Int { partition.state.withLock { $0.segments.count } }
        try partition.append(["a"])
        #expect(segments() == 1)
        try partition.append([String(repeating: "x", count: 150)])
        #expect(segments() == 2)
        time.advance(byMs: 1001)
        try partition.append(["b"])
        #expect(segments() == 3)
        time.advance(byMs: 1001)
        log.maintain()
        #expect(segments() == 4)
    }

    /// Tombstones stay for delete.retention.ms from the pass that met them first, however old their own timestamps are.
    @Test func tombstonesStayForTheirTime() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made(
            "t", ["cleanup.policy": "compact", "segment.bytes": "150", "delete.retention.ms": "5000", "min.cleanable.dirty.ratio": "0"])
        func put(_ key: String, _ value: String?) throws {
            var builder = RecordBatchBuilder(compression: .lz4)
            builder.append(timestamp: 3, key: Array(key.utf8), value: value.map { Array($0.utf8) }, headers: [2, 2, 104, 2, 49])
            _ = try partition.append(&builder)
            try partition.flush()
        }
        func fill() throws { for i in 0..<4 { try put("other\(i)", String(repeating: "x", count: 60)) } }
        try put("a", "1")
        try put("a", nil)
        try fill()
        log.maintain()
        #expect(try partition.rows().contains { $0.key == "a" && $0.value == nil })
        #expect(try !partition.rows().contains { $0.key == "a" && $0.value == "1" })
        // Its own time is what it was.
        #expect(try partition.offset(forTimestamp: 3)?.timestamp == 3)
        time.advance(byMs: 4000)
        try fill()
        log.maintain()
        #expect(try partition.rows().contains { $0.key == "a" })
        time.advance(byMs: 2000)
        try fill()
        log.maintain()
        #expect(try !partition.rows().contains { $0.key == "a" })
    }

    @Test func compactionWaitsForItsLagAndNoLongerThanItMay() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        func made(_ name: String, _ settings: [String: String]) throws -> PartitionLog {
            let partition = try log.made(name, ["cleanup.policy": "compact", "segment.bytes": "150"].merging(settings) { $1 })
            for i in 0..<12 {
                try partition.append([String(repeating: "x", count: 60)], keys: ["k"], timestamp: 1_000_000 + Int64(i))
            }
            try partition.flush()
            return partition
        }
        let early = try made("early", ["min.compaction.lag.ms": "5000", "min.cleanable.dirty.ratio": "0"])
        log.maintain()
        #expect(try early.rows().count == 12)
        time.advance(byMs: 6000)
        log.maintain()
        #expect(try early.rows().count < 6)
        // Hardly any of it is new: only the time makes it due.
        let late = try made("late", ["min.cleanable.dirty.ratio": "1", "max.compaction.lag.ms": "3000"])
        late.state.withLock { $0.cleanedUntil = 4 }
        log.maintain()
        #expect(try late.rows().count == 12)
        time.advance(byMs: 3001)
        log.maintain()
        #expect(try late.rows().count < 8)
    }

    /// cleanup.policy=compact,delete: of each key the latest, and nothing that is too old.
    @Test func bothPoliciesAtOnce() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made(
            "t", ["cleanup.policy": "compact,delete", "segment.bytes": "150", "retention.ms": "10000", "min.cleanable.dirty.ratio": "0"])
        for i in 0..<8 { try partition.append([String(repeating: "x", count: 60)], keys: ["k\(i % 2)"], timestamp: 1_000_000) }
        try partition.flush()
        log.maintain()
        #expect(try partition.rows().count < 6 && partition.startOffset == 0)
        time.advance(byMs: 10_001)
        log.maintain()
        #expect(try partition.rows().isEmpty && partition.startOffset == 8)
    }

    @Test func unknownSettingsAreRefusedByName() throws {
        let log = try openLog(SimulatedFileSystem())
        #expect { try log.createTopic("t", partitions: 1, settings: ["retention.sm": "1"]) } throws: {
            ($0 as? MartletError)?.message.contains("retention.sm") == true
        }
    }
}
