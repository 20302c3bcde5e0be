import MartletCore

// A record batch, format 2, as it lies on the wire and on disk (Kafka protocol guide, "Record Batch"). Integers are big-endian.
//
//   at  size  field
//    0    8   base offset            assigned by the log
//    8    4   length                 bytes after this field
//   12    4   partition leader epoch assigned by the log
//   16    1   magic                  2
//   17    4   CRC-32C                of everything from byte 21 on, so that the two fields above may be patched
//   21    2   attributes             bits 0–2 compression (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd), 3 timestamp type (1 = log append
//                                    time), 4 transactional, 5 control, 6 delete horizon set
//   23    4   last offset delta      offset of the last record − base offset; kept by compaction, so records may be fewer than offsets
//   27    8   base timestamp         milliseconds; of the first record (the delete horizon if bit 6)
//   35    8   max timestamp
//   43    8   producer id            −1 = none
//   51    2   producer epoch
//   53    4   base sequence          −1 = none
//   57    4   record count
//   61        records, compressed as one piece if the attributes say so
//
// A record: length (varint, of what follows), attributes (1 byte, 0), timestamp delta (varlong), offset delta (varint),
// key length (varint, −1 = null), key, value length (varint, −1 = null), value, header count (varint), and per header
// key length (varint), key, value length (varint, −1 = null), value. Varints are zigzag, seven bits a byte, low bits first.
//
// A control batch has one record; its key is (version i16 = 0, type i16: 0 abort, 1 commit), its value (version i16 = 0, coordinator epoch i32).

/// How the records of a batch are compressed; raw values are those of the attribute bits.
public enum CompressionCodec: UInt8, Sendable, Hashable, CaseIterable {
    case none, gzip, snappy, lz4, zstd
}

/// The fixed part of a batch.
struct BatchHeader: Sendable, Equatable {
    static let size = 61
    /// Bytes before those that the length field counts.
    static let overhead = 12
    static let crcStart = 21

    var baseOffset: Int64
    /// Of the whole batch, header included.
    var sizeBytes: Int
    var leaderEpoch: Int32
    var magic: UInt8
    var crc: UInt32
    var attributes: UInt16
    var lastOffsetDelta: Int32
    var baseTimestamp: Int64
    var maxTimestamp: Int64
    var producerID: Int64
    var producerEpoch: Int16
    var baseSequence: Int32
    var recordCount: Int32

    static let transactionalBit: UInt16 = 1 << 4
    static let controlBit: UInt16 = 1 << 5
    static let logAppendTimeBit: UInt16 = 1 << 3
    static let deleteHorizonBit: UInt16 = 1 << 6

    var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
    var nextOffset: Int64 { lastOffset &+ 1 }
    var isTransactional: Bool { attributes & Self.transactionalBit != 0 }
    var isControl: Bool { attributes & Self.controlBit != 0 }
    var isLogAppendTime: Bool { attributes & Self.logAppendTimeBit != 0 }
    /// The base timestamp says until when tombstones stay (KIP-534).
    var hasDeleteHorizon: Bool { attributes & Self.deleteHorizonBit != 0 }
    var hasProducer: Bool { producerID >= 0 }
    var codec: CompressionCodec? { CompressionCodec(rawValue: UInt8(attributes & 7)) }
    var lastSequence: Int32 { BatchHeader.sequence(baseSequence, plus: lastOffsetDelta) }

    /// Sequence numbers go from Int32.max to 0.
    static func sequence(_ base: Int32, plus delta: Int32) -> Int32 {
        Int32(truncatingIfNeeded: (Int64(base) + Int64(delta)) % (Int64(Int32.max) + 1))
    }

    /// Reads the header at the beginning of `bytes`; nil if there are fewer than 61 bytes or the length field is impossible.
    /// Nothing else is checked: see `problem`.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.size else { return nil }
        let length = bytes.int32(8)
        guard length >= Int32(Self.size - Self.overhead) else { return nil }
        baseOffset = bytes.int64(0)
        sizeBytes = Int(length) + Self.overhead
        leaderEpoch = bytes.int32(12)
        magic = bytes[16]
        crc = UInt32(bitPattern: bytes.int32(17))
        attributes = UInt16(bitPattern: bytes.int16(21))
        lastOffsetDelta = bytes.int32(23)
        baseTimestamp = bytes.int64(27)
        maxTimestamp = bytes.int64(35)
        producerID = bytes.int64(43)
        producerEpoch = bytes.int16(51)
        baseSequence = bytes.int32(53)
        recordCount = bytes.int32(57)
    }

    /// What is wrong with a whole batch of which this is the header, or nil if magic, CRC and counts are right. The records inside are not looked at.
    func problem(in batch: UnsafeRawBufferPointer) -> String? {
        if magic != 2 { return "magic \(magic) is not 2" }
        if batch.count < sizeBytes { return "\(batch.count) of \(sizeBytes) bytes" }
        if baseOffset < 0 || lastOffsetDelta < 0 || recordCount < 0 { return "negative offset or count" }
        if Int64(recordCount) > Int64(lastOffsetDelta) + 1 { return "more records than offsets" }
        let body = UnsafeRawBufferPointer(rebasing: batch[Self.crcStart..<sizeBytes])
        if CRC32C.checksum(body) != crc { return "wrong checksum" }
        return nil
    }
}

/// What a control record says.
enum ControlType: Int16, Sendable {
    case abort = 0, commit = 1
}

enum ControlBatch {
    /// The bytes of a marker that ends a transaction of this producer, offsets not yet assigned.
    static func encode(_ type: ControlType, producerID: Int64, epoch: Int16, coordinatorEpoch: Int32, timestamp: Int64) -> [UInt8] {
        let key: [UInt8] = [0, 0, 0, UInt8(type.rawValue)]
        var value: [UInt8] = [0, 0, 0, 0, 0, 0]
        value.withUnsafeMutableBytes { $0.store(coordinatorEpoch, 2) }
        var builder = RecordBatchBuilder()
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in builder.append(timestamp: timestamp, key: key, value: value, headers: nil) }
        }
        return builder.finish(
            producerID: producerID, epoch: epoch, baseSequence: -1, attributes: BatchHeader.transactionalBit | BatchHeader.controlBit)
    }

    /// The type and coordinator epoch in a control batch; nil if it is none that we know.
    static func decode(_ batch: UnsafeRawBufferPointer) -> (type: ControlType, coordinatorEpoch: Int32)? {
        guard let header = BatchHeader(batch), batch.count >= header.sizeBytes else { return nil }
        var records = RecordReader(UnsafeRawBufferPointer(rebasing: batch[BatchHeader.size..<header.sizeBytes]))
        guard records.next(), records.keyLength >= 4, let type = ControlType(rawValue: records.bytes.int16(records.keyStart + 2)) else {
            return nil
        }
        let epoch = records.valueLength >= 6 ? records.bytes.int32(records.valueStart + 2) : 0
        return (type, epoch)
    }
}

/// Walks the uncompressed records section of a batch.
struct RecordReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var position = 0
    private(set) var timestampDelta: Int64 = 0
    private(set) var offsetDelta: Int64 = 0
    private(set) var keyStart = 0
    /// −1 = null.
    private(set) var keyLength = 0
    private(set) var valueStart = 0
    private(set) var valueLength = 0
    /// The header section: its count and what follows. A record without headers has one zero byte here.
    private(set) var headersStart = 0
    private(set) var headersLength = 0
    private var recordStart = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The current record with its length, as it lies in `bytes`.
    var recordRange: Range<Int> { recordStart..<position }
    var key: [UInt8]? { keyLength < 0 ? nil : Array(bytes[keyStart..<keyStart + keyLength]) }
    var value: [UInt8]? { valueLength < 0 ? nil : Array(bytes[valueStart..<valueStart + valueLength]) }
    var hasHeaders: Bool { headersLength > 1 }

    /// Reads the next record into the properties; false if it is not whole or its parts do not fit into it. The header section is taken as it is.
    @inline(__always)
    mutating func next() -> Bool {
        let end = bytes.count
        var at = position
        recordStart = at
        guard let base = bytes.baseAddress, let length = Varint.read(base, &at, end), length >= 0, length <= Int64(end - at) else { return false }
        let recordEnd = at + Int(length)
        at += 1  // attributes
        guard at <= recordEnd,
            let time = Varint.read(base, &at, recordEnd),
            let offset = Varint.read(base, &at, recordEnd),
            let keySize = Varint.read(base, &at, recordEnd),
            keySize >= -1, keySize <= Int64(recordEnd - at)
        else { return false }
        keyStart = at
        at += Int(max(0, keySize))
        guard let valueSize = Varint.read(base, &at, recordEnd), valueSize >= -1, valueSize <= Int64(recordEnd - at) else { return false }
        valueStart = at
        at += Int(max(0, valueSize))
        guard at < recordEnd else { return false }
        timestampDelta = time
        offsetDelta = offset
        keyLength = Int(keySize)
        valueLength = Int(valueSize)
        headersStart = at
        headersLength = recordEnd - at
        position = recordEnd
        return true
    }

    /// Appends the current record with another timestamp delta.
    func write(timestampDelta: Int64, onto output: inout [UInt8]) {
        let key = max(0, keyLength), value = max(0, valueLength)
        let size =
            1 + Varint.size(timestampDelta) + Varint.size(offsetDelta) + Varint.size(Int64(keyLength)) + key
            + Varint.size(Int64(valueLength)) + value + headersLength
        var head = [UInt8](repeating: 0, count: 40)
        func put(_ numbers: [Int64], attributes: Bool) {
            let used = head.withUnsafeMutableBytes { room -> Int in
                guard let base = room.baseAddress else { return 0 }
                var at = 0
                for (i, number) in numbers.enumerated() {
                    Varint.write(number, to: base, &at)
                    if attributes && i == 0 {
                        room[at] = 0
                        at += 1
                    }
                }
                return at
            }
            output.append(contentsOf: head[..<used])
        }
        put([Int64(size), timestampDelta, offsetDelta, Int64(keyLength)], attributes: true)
        output.append(contentsOf: bytes[keyStart..<keyStart + key])
        put([Int64(valueLength)], attributes: false)
        output.append(contentsOf: bytes[valueStart..<valueStart + value])
        output.append(contentsOf: bytes[headersStart..<headersStart + headersLength])
    }

    /// Whether the header section of the current record is well formed and ends with the record.
    func headersAreWhole() -> Bool {
        var at = headersStart
        let end = headersStart + headersLength
        guard let base = bytes.baseAddress, let count = Varint.read(base, &at, end), count >= 0 else { return false }
        for _ in 0..<count {
            guard let key = Varint.read(base, &at, end), key >= 0, key <= Int64(end - at) else { return false }
            at += Int(key)
            guard let value = Varint.read(base, &at, end), value >= -1, value <= Int64(end - at) else { return false }
            at += Int(max(0, value))
        }
        return at == end
    }
}

/// Zigzag variable-length integers (Protocol Buffers' sint64).
enum Varint {
    /// Reads one at `at`, moves `at` behind it; nil if it does not end before `end` or is longer than ten bytes.
    @inline(__always)
    static func read(_ base: UnsafeRawPointer, _ at: inout Int, _ end: Int) -> Int64? {
        guard at < end else { return nil }
        let first = base.load(fromByteOffset: at, as: UInt8.self)
        at += 1
        if first < 0x80 { return Int64(first >> 1) ^ -Int64(first & 1) }
        var value = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while at < end {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            at += 1
            value |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    @inline(__always)
    static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)) }

    /// Bytes that `write` takes.
    @inline(__always)
    static func size(_ value: Int64) -> Int {
        let bits = 64 - (zigzag(value) | 1).leadingZeroBitCount
        return (bits &* 9 &+ 64) &>> 6
    }

    @inline(__always)
    static func write(_ value: Int64, to base: UnsafeMutableRawPointer, _ at: inout Int) {
        var rest = zigzag(value)
        while rest >= 0x80 {
            base.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: at, as: UInt8.self)
            at &+= 1
            rest &>>= 7
        }
        base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: at, as: UInt8.self)
        at &+= 1
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always) func int16(_ at: Int) -> Int16 { Int16(bigEndian: loadUnaligned(fromByteOffset: at, as: Int16.self)) }
    @inline(__always) func int32(_ at: Int) -> Int32 { Int32(bigEndian: loadUnaligned(fromByteOffset: at, as: Int32.self)) }
    @inline(__always) func int64(_ at: Int) -> Int64 { Int64(bigEndian: loadUnaligned(fromByteOffset: at, as: Int64.self)) }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores an integer in big-endian order.
    @inline(__always) func store<T: FixedWidthInteger>(_ value: T, _ at: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: at, as: T.self)
    }
}

// The library's own versions of these do not keep the type of the error.
extension [UInt8] {
    mutating func withMutableBytes<R, E: Error>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let result: Result<R, E> = withUnsafeMutableBytes { bytes in
            do throws(E) {
                return .success(try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let result: Result<R, E> = withUnsafeBytes { bytes in
            do throws(E) {
                return .success(try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
