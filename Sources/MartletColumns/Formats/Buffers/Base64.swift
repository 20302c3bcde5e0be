/// Without copies, as BYTES columns are written in text formats.
extension Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xff, count: 256)
        for (i, byte) in digits.enumerated() { table[Int(byte)] = UInt8(i) }
        return table
    }()

    static func encode(_ bytes: UnsafeBufferPointer<UInt8>, to out: inout ByteWriter) {
        out.reserve((bytes.count + 2) / 3 * 4)
        let alphabet = digits
        var i = 0
        while i < bytes.count {
            let left = bytes.count - i
            let group = UInt32(bytes[i]) << 16 | (left > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[i + 2]) : 0)
            out.append(alphabet[Int(group >> 18)])
            out.append(alphabet[Int(group >> 12 & 63)])
            out.append(left > 1 ? alphabet[Int(group >> 6 & 63)] : 0x3d)
            out.append(left > 2 ? alphabet[Int(group & 63)] : 0x3d)
            i += 3
        }
    }

    /// Nil unless `text` is base64; padding may be missing, as Java's decoder allows.
    static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == 0x3d { end -= 1 }
        if end != text.count, text.count % 4 != 0 { return nil }
        if end % 4 == 1 { return nil }
        let values = values
        var out: [UInt8] = []
        out.reserveCapacity(end * 3 / 4)
        var group: UInt32 = 0, bits = 0
        for i in 0..<end {
            let value = values[Int(text[i])]
            if value == 0xff { return nil }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        return out
    }
}
