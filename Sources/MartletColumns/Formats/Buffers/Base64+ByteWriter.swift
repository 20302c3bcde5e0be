import MartletCore

/// Without copies, as BYTES columns are written in text formats.
extension Base64 {
    static func encode(_ bytes: UnsafeBufferPointer<UInt8>, to out: inout ByteWriter) {
        let count = encodedCount(bytes.count)
        out.reserve(count)
        encode(bytes, to: out.end)
        out.count += count
    }
}
