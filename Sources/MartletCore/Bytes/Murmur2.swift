/// Kafka's default partitioner hash: MurmurHash2, 32 bit, seed 0x9747b28c (Kafka clients' DefaultPartitioner).
public enum Murmur2 {
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        let multiplier: UInt32 = 0x5bd1_e995
        var h: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
        var i = 0
        while i + 4 <= bytes.count {
            var k = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt32.self))
            k = k &* multiplier
            k ^= k >> 24
            k = k &* multiplier
            h = (h &* multiplier) ^ k
            i += 4
        }
        let rest = bytes.count - i
        if rest >= 3 { h ^= UInt32(bytes[i + 2]) << 16 }
        if rest >= 2 { h ^= UInt32(bytes[i + 1]) << 8 }
        if rest >= 1 {
            h ^= UInt32(bytes[i])
            h = h &* multiplier
        }
        h ^= h >> 13
        h = h &* multiplier
        h ^= h >> 15
        return Int32(bitPattern: h)
    }

    /// The partition of a record with this key: `(hash & 0x7fffffff) mod partitions`.
    public static func partition(ofKey bytes: UnsafeRawBufferPointer, partitions: Int) -> Int32 {
        Int32(Int(hash(bytes) & 0x7fff_ffff) % partitions)
    }
}
