// The only file that touches the C libraries of the four codecs. Framings are Kafka's: gzip members, snappy in xerial's blocks (raw
// snappy is read too), LZ4 frames, Zstandard frames.
import CCompression
import MartletCore

enum Compression {
    /// A compressed batch may not grow to more than this: a guard against a few bytes that claim to be gigabytes.
    static let outputBytesMax = 512 << 20

    /// Appends the compressed form of `input` to `output`. Traps only if the C library runs out of memory.
    static func compress(_ input: UnsafeRawBufferPointer, _ codec: CompressionCodec, onto output: inout [UInt8]) {
        switch codec {
        case .none: output.append(contentsOf: input)
        case .gzip: gzip(input, onto: &output)
        case .snappy: snappy(input, onto: &output)
        case .lz4:
            var preferences = LZ4F_preferences_t()
            preferences.frameInfo.contentChecksumFlag = LZ4F_noContentChecksum
            preferences.frameInfo.blockMode = LZ4F_blockIndependent  // Java's reader knows no other
            preferences.frameInfo.blockSizeID = LZ4F_max64KB
            append(&output, atMost: LZ4F_compressFrameBound(input.count, &preferences)) { room in
                LZ4F_compressFrame(room.baseAddress, room.count, input.baseAddress, input.count, &preferences)
            }
        case .zstd:
            append(&output, atMost: ZSTD_compressBound(input.count)) { room in
                ZSTD_compress(room.baseAddress, room.count, input.baseAddress, input.count, ZSTD_CLEVEL_DEFAULT)
            }
        }
    }

    /// Appends the decompressed form of `input` to `output`; false if it is malformed or of more than about `most` bytes.
    static func decompress(
        _ input: UnsafeRawBufferPointer, _ codec: CompressionCodec, onto output: inout [UInt8], atMost most: Int = outputBytesMax
    ) -> Bool {
        switch codec {
        case .none:
            output.append(contentsOf: input)
            return true
        case .gzip: return gunzip(input, onto: &output, atMost: most)
        case .snappy: return unsnappy(input, onto: &output, atMost: most)
        case .lz4: return unlz4(input, onto: &output, atMost: most)
        case .zstd: return unzstd(input, onto: &output, atMost: most)
        }
    }

    /// Grows `output` by `atMost`, lets `body` fill the new part, and keeps as many bytes as it returns.
    private static func append(_ output: inout [UInt8], atMost: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: atMost))
        let used = output.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
        precondition(used >= 0 && used <= atMost, "the codec stays inside its bound")
        output.removeLast(atMost - used)
    }

    // MARK: gzip

    private static func gzip(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8]) {
        var stream = z_stream()
        let opened = deflateInit2_(
            &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(opened == Z_OK, "zlib opens a stream")
        defer { deflateEnd(&stream) }
        append(&output, atMost: Int(deflateBound(&stream, UInt(input.count))) + 32) { room in
            stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
            stream.avail_in = UInt32(input.count)
            stream.next_out = room.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = UInt32(room.count)
            let status = deflate(&stream, Z_FINISH)
            precondition(status == Z_STREAM_END, "the bound of zlib holds")
            return room.count - Int(stream.avail_out)
        }
    }

    private static func gunzip(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8], atMost most: Int) -> Bool {
        var stream = z_stream()
        guard inflateInit2_(&stream, 47, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return false }
        defer { inflateEnd(&stream) }
        stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.avail_in = UInt32(input.count)
        let start = output.count
        var ok = true, done = false
        while ok && !done {
            guard output.count - start < most else { return false }
            append(&output, atMost: max(4096, min(input.count * 4, 1 << 20))) { room in
                stream.next_out = room.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(room.count)
                let status = inflate(&stream, Z_NO_FLUSH)
                switch status {
                case Z_STREAM_END:
                    // A gzip file may be several members one after the other.
                    if stream.avail_in == 0 { done = true } else { ok = inflateReset(&stream) == Z_OK }
                case Z_OK: ok = stream.avail_in > 0 || stream.avail_out == 0
                default: ok = false
                }
                return room.count - Int(stream.avail_out)
            }
        }
        return ok
    }

    // MARK: snappy

    // Xerial's framing: magic, version 1, compatible version 1, then blocks of (length i32, raw snappy).
    private static let xerialMagic: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]
    private static let xerialBlockBytes = 32 << 10

    private static func snappy(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8]) {
        output.append(contentsOf: xerialMagic)
        output.append(contentsOf: [0, 0, 0, 1, 0, 0, 0, 1])
        var at = 0
        while at < input.count {
            let block = UnsafeRawBufferPointer(rebasing: input[at..<min(at + xerialBlockBytes, input.count)])
            append(&output, atMost: 4 + snappy_max_compressed_length(block.count)) { room in
                var size = room.count - 4
                let status = snappy_compress(
                    block.bindMemory(to: CChar.self).baseAddress, block.count,
                    room.bindMemory(to: CChar.self).baseAddress.map { $0 + 4 }, &size)
                precondition(status == SNAPPY_OK, "the bound of snappy holds")
                room.store(Int32(size), 0)
                return 4 + size
            }
            at += block.count
        }
    }

    private static func unsnappy(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8], atMost most: Int) -> Bool {
        guard input.count >= 16, zip(input, xerialMagic).allSatisfy({ $0 == $1 }) else { return unsnappyBlock(input, onto: &output, atMost: most) }
        let start = output.count
        var at = 16
        while at < input.count {
            guard input.count - at >= 4 else { return false }
            let size = Int(input.int32(at))
            at += 4
            guard size >= 0, size <= input.count - at, output.count - start < most,
                unsnappyBlock(UnsafeRawBufferPointer(rebasing: input[at..<at + size]), onto: &output, atMost: most)
            else { return false }
            at += size
        }
        return true
    }

    private static func unsnappyBlock(_ block: UnsafeRawBufferPointer, onto output: inout [UInt8], atMost most: Int) -> Bool {
        let bytes = block.bindMemory(to: CChar.self)
        var size = 0
        // Snappy makes at most 64 bytes out of three; a block that claims more is not even tried.
        guard snappy_uncompressed_length(bytes.baseAddress, bytes.count, &size) == SNAPPY_OK, size <= most,
            size <= bytes.count * 64 + 64
        else { return false }
        var ok = false
        append(&output, atMost: size) { room in
            var written = size
            ok = snappy_uncompress(bytes.baseAddress, bytes.count, room.bindMemory(to: CChar.self).baseAddress, &written) == SNAPPY_OK
            return ok ? written : 0
        }
        return ok
    }

    // MARK: lz4

    private static func unlz4(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8], atMost most: Int) -> Bool {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0 else { return false }
        defer { LZ4F_freeDecompressionContext(context) }
        let start = output.count
        var at = 0, ok = true, hint = 1
        while ok {
            guard output.count - start < most else { return false }
            var consumed = 0, produced = 0
            append(&output, atMost: max(4096, min(input.count * 4, 256 << 10))) { room in
                produced = room.count
                consumed = input.count - at
                hint = LZ4F_decompress(context, room.baseAddress, &produced, input.baseAddress.map { $0 + at }, &consumed, nil)
                if LZ4F_isError(hint) != 0 {
                    ok = false
                    return 0
                }
                return produced
            }
            at += consumed
            if hint == 0 && at == input.count { return ok }  // the frame has ended with the input
            if consumed == 0 && produced == 0 { return false }  // wants more than there is
        }
        return false
    }

    /// LZ4 frames of message format 0: their clients computed the checksum of the frame's descriptor over the magic number too. It is put right
    /// here, as the library insists on it (KIP-57).
    static func decompressMislabelledLZ4(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8]) -> Bool {
        var frame = Array(input)
        // Magic 4, flags 1, block descriptor 1, content size 8 if bit 3, dictionary id 4 if bit 0, checksum 1.
        guard frame.count >= 7 else { return false }
        let end = 6 + (frame[4] & 8 != 0 ? 8 : 0) + (frame[4] & 1 != 0 ? 4 : 0)
        guard frame.count > end else { return false }
        frame[end] = UInt8(truncatingIfNeeded: xxHash32(frame[4..<end]) >> 8)
        return frame.withUnsafeBytes { unlz4($0, onto: &output, atMost: outputBytesMax) }
    }

    /// xxHash32 with seed 0 of fewer than 16 bytes.
    private static func xxHash32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
        var hash = 374_761_393 &+ UInt32(bytes.count)
        var rest = bytes
        while rest.count >= 4 {
            let word = rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            hash = rotated(hash &+ word &* 3_266_489_917, 17) &* 668_265_263
            rest = rest.dropFirst(4)
        }
        for byte in rest { hash = rotated(hash &+ UInt32(byte) &* 374_761_393, 11) &* 2_654_435_761 }
        hash = (hash ^ hash >> 15) &* 2_246_822_519
        hash = (hash ^ hash >> 13) &* 3_266_489_917
        return hash ^ hash >> 16
    }

    // MARK: checksum of old message formats

    /// CRC-32 (ISO 3309), not the CRC-32C of record batches.
    static func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
    }

    // MARK: zstd

    private static func unzstd(_ input: UnsafeRawBufferPointer, onto output: inout [UInt8], atMost most: Int) -> Bool {
        guard let context = ZSTD_createDStream() else { return false }
        defer { ZSTD_freeDStream(context) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        let start = output.count
        var status = 1
        while true {
            guard output.count - start < most else { return false }
            var produced = 0
            let before = source.pos
            append(&output, atMost: max(4096, min(input.count * 4, 1 << 20))) { room in
                var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                status = ZSTD_decompressStream(context, &target, &source)
                produced = target.pos
                return produced
            }
            if ZSTD_isError(status) != 0 { return false }
            if status == 0 && source.pos == source.size { return true }
            if produced == 0 && source.pos == before { return false }
        }
    }
}
