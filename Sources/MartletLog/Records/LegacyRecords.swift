import MartletCore

// Message formats 0 and 1, as clients before Kafka 0.11 send them (Kafka documentation, "Old Message Format"). Integers are big-endian.
// A set is messages one after the other:
//
//   at  size  field
//    0    8   offset                 the client's; not looked at
//    8    4   size                   bytes after this field
//   12    4   CRC-32                 of everything from byte 16 on
//   16    1   magic                  0 or 1
//   17    1   attributes             bits 0–2 compression (0 none, 1 gzip, 2 snappy, 3 lz4)
//   18    8   timestamp              milliseconds; format 1 only
//             key length (i32, −1 = null), key, value length (i32, −1 = null), value
//
// A compressed message is a wrapper: its value is a whole set of messages, compressed, none of which is a wrapper itself.

/// Turns message sets into record batches: the log holds format 2 alone.
enum LegacyRecords {
    private static let headerBytes = 18

    /// Whether these are messages of an old format. Magic lies at byte 16 in every format.
    static func isLegacy(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count > 16 && bytes[16] < 2 }

    /// One record batch with all messages of the set, compressed as they were. Messages of format 0 have the timestamp −1.
    /// Throws CORRUPT_MESSAGE, INVALID_RECORD.
    static func batch(_ set: UnsafeRawBufferPointer, _ partition: TopicPartition) throws(LogFailure) -> [UInt8] {
        guard let codec = try codec(of: set, partition) else { throw corrupt("unknown compression", partition) }
        var builder = RecordBatchBuilder(compression: codec)
        try add(set, to: &builder, partition, isInner: false)
        guard !builder.isEmpty else { throw LogFailure(.invalidRecord, .badRequest, "no message for \(partition)") }
        return builder.finish()
    }

    /// Of the first message that is compressed; nil if unknown.
    private static func codec(of set: UnsafeRawBufferPointer, _ partition: TopicPartition) throws(LogFailure) -> CompressionCodec? {
        var rest = set
        while !rest.isEmpty {
            let message = try next(&rest, partition)
            let bits = message[17] & 7
            if bits != 0 { return bits < 4 ? CompressionCodec(rawValue: bits) : nil }
        }
        return CompressionCodec.none
    }

    private static func corrupt(_ why: String, _ partition: TopicPartition) -> LogFailure {
        LogFailure(.corruptMessage, .badRequest, "a message set for \(partition) is corrupt: \(why)")
    }

    /// Takes the first message, with its offset and size, off `rest`.
    private static func next(_ rest: inout UnsafeRawBufferPointer, _ partition: TopicPartition) throws(LogFailure) -> UnsafeRawBufferPointer {
        guard rest.count >= headerBytes else { throw corrupt("\(rest.count) bytes are no message", partition) }
        let size = Int(rest.int32(8)), magic = rest[16]
        guard magic < 2 else { throw corrupt("magic \(magic) among older ones", partition) }
        guard size >= headerBytes - 12 + (magic == 1 ? 8 : 0) + 8, size <= rest.count - 12 else { throw corrupt("message size \(size)", partition) }
        let message = UnsafeRawBufferPointer(rebasing: rest[..<(12 + size)])
        guard Compression.crc32(UnsafeRawBufferPointer(rebasing: message[16...])) == UInt32(bitPattern: message.int32(12)) else {
            throw corrupt("wrong checksum", partition)
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[(12 + size)...])
        return message
    }

    private static func add(
        _ set: UnsafeRawBufferPointer, to builder: inout RecordBatchBuilder, _ partition: TopicPartition, isInner: Bool
    ) throws(LogFailure) {
        var rest = set
        while !rest.isEmpty {
            let message = try next(&rest, partition)
            let magic = message[16], bits = message[17] & 7
            let timestamp = magic == 1 ? message.int64(18) : -1
            guard magic == 0 || timestamp >= -1 else { throw LogFailure(.invalidRecord, .badRequest, "timestamp \(timestamp) for \(partition)") }
            var at = magic == 1 ? 26 : 18
            let key = try field(message, &at, partition)
            let value = try field(message, &at, partition)
            guard at == message.count else { throw corrupt("bytes after the value", partition) }
            if bits == 0 {
                builder.append(timestamp: timestamp, key: key, value: value)
                continue
            }
            guard !isInner, bits < 4, let codec = CompressionCodec(rawValue: bits), let value else {
                throw corrupt("a compressed message inside another, or without a value", partition)
            }
            var plain: [UInt8] = []
            // Format 0 has a wrong checksum in the header of LZ4 frames.
            let isWhole =
                codec == .lz4 && magic == 0
                ? Compression.decompressMislabelledLZ4(value, onto: &plain) : Compression.decompress(value, codec, onto: &plain)
            guard isWhole else { throw corrupt("the \(codec) data is malformed", partition) }
            try plain.withBytes { (inner) throws(LogFailure) in try add(inner, to: &builder, partition, isInner: true) }
        }
    }

    private static func field(
        _ message: UnsafeRawBufferPointer, _ at: inout Int, _ partition: TopicPartition
    ) throws(LogFailure) -> UnsafeRawBufferPointer? {
        guard message.count - at >= 4 else { throw corrupt("a length is cut off", partition) }
        let length = Int(message.int32(at))
        at += 4
        if length == -1 { return nil }
        guard length >= 0, length <= message.count - at else { throw corrupt("length \(length)", partition) }
        defer { at += length }
        return UnsafeRawBufferPointer(rebasing: message[at..<at + length])
    }
}
