import CInstructions

/// CRC-32C (Castagnoli), the checksum of record batches (Kafka protocol guide, "Record batch").
public enum CRC32C {
    /// The checksum of `bytes`, continued from `crc` (0 to begin). About 20 GB/s where the CPU has the instruction.
    public static func checksum(_ bytes: UnsafeRawBufferPointer, from crc: UInt32 = 0) -> UInt32 {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return crc }
        return martlet_crc32c(crc, base, bytes.count)
    }

    public static func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }
}
