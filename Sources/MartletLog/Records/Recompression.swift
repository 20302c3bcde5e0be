import MartletCore

/// Brings a client's batches to the compression that a topic asks for (compression.type).
enum Recompression {
    /// The batches in `bytes` with their records in `codec`; nil if they are all so already. They were checked before.
    static func batches(_ bytes: UnsafeRawBufferPointer, _ headers: [BatchHeader], to codec: CompressionCodec) -> [UInt8]? {
        if headers.allSatisfy({ $0.codec == codec }) { return nil }
        var out: [UInt8] = []
        var at = 0
        for header in headers {
            let batch = UnsafeRawBufferPointer(rebasing: bytes[at..<at + header.sizeBytes])
            at += header.sizeBytes
            guard let from = header.codec, from != codec else {
                out.append(contentsOf: batch)
                continue
            }
            let start = out.count
            out.append(contentsOf: batch[..<BatchHeader.size])
            let section = UnsafeRawBufferPointer(rebasing: batch[BatchHeader.size...])
            if from == .none {
                Compression.compress(section, codec, onto: &out)
            } else {
                var plain: [UInt8] = []
                let isWhole = Compression.decompress(section, from, onto: &plain)
                precondition(isWhole, "records that were checked can be decompressed")
                plain.withUnsafeBytes { Compression.compress($0, codec, onto: &out) }
            }
            out.withUnsafeMutableBytes { all in
                let made = UnsafeMutableRawBufferPointer(rebasing: all[start...])
                made.store(Int32(made.count - BatchHeader.overhead), 8)
                made.store(header.attributes & ~7 | UInt16(codec.rawValue), 21)
                made.store(CRC32C.checksum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(made)[BatchHeader.crcStart...])), 17)
            }
        }
        return out
    }
}

extension TopicSettings {
    /// What records of clients are compressed with; nil if that is for the producer to say.
    var codec: CompressionCodec? {
        switch compressionType {
        case "uncompressed", "none": CompressionCodec.none
        case "gzip": .gzip
        case "snappy": .snappy
        case "lz4": .lz4
        case "zstd": .zstd
        default: nil
        }
    }
}
