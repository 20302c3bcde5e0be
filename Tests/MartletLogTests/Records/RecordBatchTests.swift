import MartletCore
import Testing

@testable import MartletLog

/// What the builder is given, for comparison with what is read back.
struct PlainRecord: Equatable {
    var timestamp: Int64
    var key: [UInt8]?
    var value: [UInt8]?
    var headers: [UInt8]?

    static func random(_ random: inout SeededRandom) -> PlainRecord {
        func bytes(_ random: inout SeededRandom) -> [UInt8]? {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: nil
            case 1: []
            case 2: (0..<Int.random(in: 60...70, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            default: (0..<Int.random(in: 1...300, using: &random)).map { _ in UInt8.random(in: 97...103, using: &random) }
            }
        }
        // One header "h" = "v", or none.
        let headers: [UInt8]? = Int.random(in: 0..<4, using: &random) == 0 ? [2, 2, 104, 2, 118] : nil
        let timestamp = Bool.random(using: &random) ? Int64.random(in: 0...1 << 45, using: &random) : Int64.random(in: 1000...1100, using: &random)
        return PlainRecord(timestamp: timestamp, key: bytes(&random), value: bytes(&random), headers: headers)
    }
}

func decode(_ bytes: [UInt8]) throws -> (BatchHeader, [PlainRecord]) {
    let header = try #require(bytes.withUnsafeBytes { BatchHeader($0) })
    #expect(bytes.withUnsafeBytes { header.problem(in: $0) } == nil)
    var records: [PlainRecord] = []
    let batch = BatchWalk.Batch(header: header, position: 0, bytes: bytes)
    try batch.forEachRecord(TopicPartition("t", 0)) { record, offset, time in
        #expect(offset == header.baseOffset + Int64(records.count))
        let headers = record.hasHeaders ? Array(record.bytes[record.headersStart..<record.headersStart + record.headersLength]) : nil
        records.append(PlainRecord(timestamp: time, key: record.key, value: record.value, headers: headers))
    }
    return (header, records)
}

@Suite struct RecordBatchTests {
    /// Every byte of a small batch, worked out by hand from the layout in RecordBatch.swift; the CRC is checked separately.
    @Test func layoutIsThatOfTheProtocolGuide() throws {
        var builder = RecordBatchBuilder()
        builder.append(timestamp: 1_600_000_000_000, key: Array("k".utf8), value: Array("value".utf8))
        builder.append(timestamp: 1_600_000_000_003, key: nil, value: nil, headers: [2, 2, 104, 1])
        let bytes = builder.finish(producerID: 7, epoch: 3, baseSequence: 11, isTransactional: true)
        var expected: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]  // base offset
        expected += [0, 0, 0, 72]  // length: 84 − 12
        expected += [0, 0, 0, 0, 2]  // leader epoch, magic
        expected += bytes[17..<21]  // CRC
        expected += [0, 16]  // attributes: transactional
        expected += [0, 0, 0, 1]  // last offset delta
        expected += [0, 0, 1, 0x74, 0x87, 0x6e, 0x80, 0]  // 1 600 000 000 000
        expected += [0, 0, 1, 0x74, 0x87, 0x6e, 0x80, 3]
        expected += [0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0, 11, 0, 0, 0, 2]
        expected += [24, 0, 0, 0, 2, 107, 10, 118, 97, 108, 117, 101, 0]  // length 12, attributes, deltas 0 0, key, value, no headers
        expected += [18, 0, 6, 2, 1, 1, 2, 2, 104, 1]  // length 9, deltas 3 and 1, null, null, one header "h" = null
        #expect(bytes == expected)
        let crc = CRC32C.checksum(Array(bytes[21...]))
        #expect(Array(bytes[17..<21]) == withUnsafeBytes(of: crc.bigEndian) { Array($0) })
        #expect(builder.isEmpty && builder.sizeBytes == 0)
    }

    @Test(arguments: CompressionCodec.allCases) func whatIsBuiltIsReadBack(codec: CompressionCodec) throws {
        var builder = RecordBatchBuilder(compression: codec)
        withSeeds(40) { seed, random in
            let records = (0..<Int.random(in: 1...200, using: &random)).map { _ in PlainRecord.random(&random) }
            for record in records { builder.append(timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers) }
            #expect(builder.count == records.count)
            let (header, found) = try decode(builder.finish())
            #expect(found == records, "seed \(seed)")
            #expect(header.maxTimestamp == records.map(\.timestamp).max())
            #expect(header.codec == codec)
        }
    }

    /// The engine's columnar append gives the same bytes as appending record by record, for ranges and selections.
    @Test func columnsAndRecordsGiveTheSameBytes() throws {
        withSeeds(60) { seed, random in
            var records = (0..<Int.random(in: 1...100, using: &random)).map { _ in PlainRecord.random(&random) }
            for i in records.indices { records[i].headers = nil }
            var keys: [UInt8] = [], values: [UInt8] = []
            var keyStarts: [UInt32] = [], valueStarts: [UInt32] = [], keyLengths: [Int32] = [], valueLengths: [Int32] = []
            for record in records {
                keyStarts.append(UInt32(keys.count))
                keyLengths.append(record.key.map { Int32($0.count) } ?? -1)
                keys += record.key ?? []
                valueStarts.append(UInt32(values.count))
                valueLengths.append(record.value.map { Int32($0.count) } ?? -1)
                values += record.value ?? []
            }
            let low = Int.random(in: 0..<records.count, using: &random)
            let range = low..<Int.random(in: low + 1...records.count, using: &random)
            let selection = records.indices.filter { _ in Bool.random(using: &random) }.map(UInt32.init)
            var columns = RecordBatchBuilder(), single = RecordBatchBuilder()
            func appendBoth(_ rows: [Int], _ body: (inout RecordBatchBuilder) -> Void) {
                body(&columns)
                for row in rows { single.append(timestamp: records[row].timestamp, key: records[row].key, value: records[row].value) }
            }
            appendBoth(Array(range)) {
                $0.append(
                    timestamps: records.map(\.timestamp), keyBuffer: keys, keyStarts: keyStarts, keyLengths: keyLengths, valueBuffer: values,
                    valueStarts: valueStarts, valueLengths: valueLengths, rows: range)
            }
            appendBoth(selection.map(Int.init)) {
                $0.append(
                    timestamps: records.map(\.timestamp), keyBuffer: keys, keyStarts: keyStarts, keyLengths: keyLengths, valueBuffer: values,
                    valueStarts: valueStarts, valueLengths: valueLengths, rows: selection)
            }
            #expect(columns.finish() == single.finish(), "seed \(seed)")
        }
    }

    @Test func varintsRoundTripAndKnowTheirSize() {
        var values: [Int64] = [0, -1, 1, .max, .min]
        for shift in 0..<63 { values += [1 << Int64(shift), -(1 << Int64(shift)), (1 << Int64(shift)) - 1] }
        for value in values {
            var bytes = [UInt8](repeating: 0, count: 16)
            var end = 0, at = 0
            bytes.withUnsafeMutableBytes { Varint.write(value, to: $0.baseAddress!, &end) }
            #expect(end == Varint.size(value))
            #expect(bytes.withUnsafeBytes { Varint.read($0.baseAddress!, &at, end) } == value)
            #expect(at == end)
            at = 0
            #expect(bytes.withUnsafeBytes { Varint.read($0.baseAddress!, &at, end - 1) } == nil)
        }
    }

    /// A reader of damaged bytes says so; it neither traps nor reads outside.
    @Test func damagedRecordsAreNoticedNotFollowed() {
        withSeeds(300) { seed, random in
            var builder = RecordBatchBuilder()
            for _ in 0..<5 {
                let record = PlainRecord.random(&random)
                builder.append(timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers)
            }
            var bytes = builder.finish()
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: BatchHeader.size..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...3, using: &random))
            bytes.withUnsafeBytes { all in
                var reader = RecordReader(UnsafeRawBufferPointer(rebasing: all[BatchHeader.size...]))
                var count = 0
                while count < 5, reader.next() {
                    #expect(reader.valueStart + max(0, reader.valueLength) <= reader.bytes.count, "seed \(seed)")
                    _ = reader.headersAreWhole()
                    count += 1
                }
            }
        }
    }

    @Test func everyFlippedBitBehindTheChecksumIsFound() throws {
        let bytes = clientBatch(["a", "b"])
        for at in 21..<bytes.count {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[at] ^= 1 << UInt8(bit)
                let problem = damaged.withUnsafeBytes { raw in BatchHeader(raw)?.problem(in: raw) }
                #expect(problem != nil)
            }
        }
    }

    @Test func markersSayWhatTheyAre() throws {
        for type in [ControlType.abort, .commit] {
            let bytes = ControlBatch.encode(type, producerID: 5, epoch: 2, coordinatorEpoch: 9, timestamp: 77)
            let header = try #require(bytes.withUnsafeBytes { BatchHeader($0) })
            #expect(header.isControl && header.isTransactional && header.producerID == 5 && header.producerEpoch == 2)
            let decoded = try #require(bytes.withUnsafeBytes { ControlBatch.decode($0) })
            #expect(decoded.type == type && decoded.coordinatorEpoch == 9)
        }
    }
}
