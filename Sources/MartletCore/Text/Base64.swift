/// Base64 with the standard alphabet (RFC 4648, section 4).
public enum Base64 {
    /// Whether `=` must fill up the last group of four. Java's decoder, and with it ksqlDB, takes texts without; what is there must be right.
    public enum Padding: Sendable { case required, optional }

    /// Bytes of the text of `count` bytes.
    public static func encodedCount(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    /// Writes the text of `bytes`, padded, to `out`, where `encodedCount` bytes must be.
    public static func encode(_ bytes: UnsafeBufferPointer<UInt8>, to out: UnsafeMutablePointer<UInt8>) {
        alphabet.withUnsafeBufferPointer { alphabet in
            var p = out, i = 0
            while i < bytes.count {
                let left = bytes.count - i
                let group = UInt32(bytes[i]) << 16 | (left > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[i + 2]) : 0)
                p[0] = alphabet[Int(group >> 18)]
                p[1] = alphabet[Int(group >> 12 & 63)]
                p[2] = left > 1 ? alphabet[Int(group >> 6 & 63)] : 0x3d
                p[3] = left > 2 ? alphabet[Int(group & 63)] : 0x3d
                p += 4
                i += 3
            }
        }
    }

    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes), count = encodedCount(bytes.count)
        return String(unsafeUninitializedCapacity: count) { out in
            if let out = out.baseAddress { bytes.withUnsafeBufferPointer { encode($0, to: out) } }
            return count
        }
    }

    /// Nil for a character outside of the alphabet, or a length that no bytes give.
    public static func decode(_ text: UnsafeBufferPointer<UInt8>, padding: Padding = .optional) -> [UInt8]? {
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == 0x3d { end -= 1 }
        if end != text.count || padding == .required, text.count % 4 != 0 { return nil }
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

    public static func decode(_ text: some Sequence<UInt8>, padding: Padding = .optional) -> [UInt8]? {
        Array(text).withUnsafeBufferPointer { decode($0, padding: padding) }
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xff, count: 256)
        for (i, byte) in alphabet.enumerated() { table[Int(byte)] = UInt8(i) }
        return table
    }()
}
