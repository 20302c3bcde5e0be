import MartletCore
import Testing

@testable import MartletLog

/// Message formats 0 and 1 become record batches; what is wrong with them is told.
@Suite struct LegacyRecordsTests {
    /// A message as a client before 0.11 writes it.
    static func message(_ magic: UInt8, key: [UInt8]?, value: [UInt8]?, timestamp: Int64 = 77, codec: UInt8 = 0) -> [UInt8] {
        func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
        func field(_ value: [UInt8]?) -> [UInt8] { bytes(Int32(value?.count ?? -1)) + (value ?? []) }
        let body = [magic, codec] + (magic == 1 ? bytes(timestamp) : []) + field(key) + field(value)
        let crc = body.withUnsafeBytes { Compression.crc32($0) }
        return bytes(Int64(0)) + bytes(Int32(body.count + 4)) + bytes(crc) + body
    }

    private static func compressed(_ set: [UInt8], _ codec: CompressionCodec) -> [UInt8] {
        var out: [UInt8] = []
        set.withUnsafeBytes { Compression.compress($0, codec, onto: &out) }
        return out
    }

    private static func records(_ set: [UInt8]) throws -> [String] {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t", ["retention.ms": "-1"])
        _ = try set.withBytes { (bytes) throws(KafkaError) in try partition.append(client: bytes, produceVersion: 2) }
        try partition.flush()
        var reused: RecordBlock?
        let block = try partition.readBlock(from: 0, maxBytes: 1 << 20, isolation: .readUncommitted, reusing: &reused)
        return (0..<block.count).map { "\(block.row($0)) @\(block.timestamps[$0])" }
    }

    @Test func theKnownChecksumOfAKnownText() {
        #expect(Array("123456789".utf8).withUnsafeBytes { Compression.crc32($0) } == 0xcbf4_3926)
    }

    @Test(arguments: [UInt8(0), 1]) func everyCodecIsTurnedIntoABatch(_ magic: UInt8) throws {
        let time = magic == 1 ? 77 : -1
        let set = Self.message(magic, key: Array("k".utf8), value: Array("v".utf8)) + Self.message(magic, key: nil, value: nil)
        let expected = ["0:k=v @\(time)", "1:.=. @\(time)"]
        #expect(try Self.records(set) == expected)
        for codec in [CompressionCodec.gzip, .snappy, .lz4] {
            var value = Self.compressed(set, codec)
            if codec == .lz4, magic == 0 { value[6] ^= 0x5a }  // their header checksum is another one
            #expect(try Self.records(Self.message(magic, key: nil, value: value, codec: codec.rawValue)) == expected, "\(codec)")
        }
        // A compressed set among messages that are not.
        let mixed = set + Self.message(magic, key: nil, value: Self.compressed(set, .gzip), codec: 1)
        #expect(try Self.records(mixed).count == 4)
    }

    @Test func damageIsTold() throws {
        let good = Self.message(1, key: [1], value: [2, 3])
        func code(_ set: [UInt8]) throws -> KafkaErrorCode? {
            do {
                _ = try Self.records(set)
                return nil
            } catch let error as KafkaError {
                return error.code
            }
        }
        #expect(try code(good) == nil)
        for at in 8..<good.count where at != 16 {
            #expect(try code(good.enumerated().map { $0 == at ? $1 ^ 1 : $1 }) == .corruptMessage, "byte \(at)")
        }
        for end in 17..<good.count { #expect(try code(Array(good[..<end])) == .corruptMessage, "cut at \(end)") }
        #expect(try code(good + clientBatch(["new"])) == .corruptMessage)
        let inner = Self.compressed(good, .gzip)
        #expect(try code(Self.message(1, key: nil, value: Self.compressed(Self.message(1, key: nil, value: inner, codec: 1), .gzip), codec: 1)) == .corruptMessage)
        #expect(try code(Self.message(1, key: nil, value: nil, codec: 1)) == .corruptMessage)
        #expect(try code(Self.message(1, key: nil, value: inner, codec: 4)) == .corruptMessage)
        #expect(try code(Self.message(1, key: nil, value: Self.compressed([], .gzip), codec: 1)) == .invalidRecord)
        #expect(try code(Self.message(1, key: [1], value: [1], timestamp: -9)) == .invalidRecord)
    }
}
