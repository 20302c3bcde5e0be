import MartletCore

extension FunctionTable {
    static func bytes(_ t: inout FunctionTable) {
        t.function("TO_BYTES", .string, "A text as BYTES, given its encoding: hex, utf8, ascii or base64.")
        t.scalar("str", "encoding") { (s: String, encoding: String) -> Bytes in Bytes(try TextEncoding(encoding).bytes(s)) }
        t.function("FROM_BYTES", .string, "BYTES as a text in an encoding: hex, utf8, ascii or base64.")
        t.scalar("bytes", "encoding") { (b: Bytes, encoding: String) -> String in try TextEncoding(encoding).text(b.bytes, upperHex: true) }
        t.function("ENCODE", .string, "A text in another encoding: from and to hex, utf8, ascii or base64.")
        t.scalar("str", "input_encoding", "output_encoding") { (s: String, input: String, output: String) -> String in
            try TextEncoding(output).text(try TextEncoding(input).bytes(s)[...], upperHex: false)
        }

        t.function("INT_FROM_BYTES", .conversions, "The INT that 4 bytes hold, in BIG_ENDIAN order or LITTLE_ENDIAN.")
        t.scalar("bytes") { (b: Bytes) -> Int32 in Int32(truncatingIfNeeded: try word(b, 4, "BIG_ENDIAN")) }
        t.scalar("bytes", "order") { (b: Bytes, order: String) -> Int32 in Int32(truncatingIfNeeded: try word(b, 4, order)) }
        t.function("BIGINT_FROM_BYTES", .conversions, "The BIGINT that 8 bytes hold, in BIG_ENDIAN order or LITTLE_ENDIAN.")
        t.scalar("bytes") { (b: Bytes) -> Int64 in Int64(bitPattern: try word(b, 8, "BIG_ENDIAN")) }
        t.scalar("bytes", "order") { (b: Bytes, order: String) -> Int64 in Int64(bitPattern: try word(b, 8, order)) }
        t.function("DOUBLE_FROM_BYTES", .conversions, "The DOUBLE that 8 bytes hold (IEEE 754), in BIG_ENDIAN order or LITTLE_ENDIAN.")
        t.scalar("bytes") { (b: Bytes) -> Double in Double(bitPattern: try word(b, 8, "BIG_ENDIAN")) }
        t.scalar("bytes", "order") { (b: Bytes, order: String) -> Double in Double(bitPattern: try word(b, 8, order)) }
    }

    private static func word(_ value: Bytes, _ size: Int, _ order: String) throws(KernelFailure) -> UInt64 {
        guard value.bytes.count == size else { throw KernelFailure("\(size) bytes are needed, not \(value.bytes.count)") }
        switch order.uppercased() {
        case "BIG_ENDIAN": return value.bytes.reduce(0) { $0 << 8 | UInt64($1) }
        case "LITTLE_ENDIAN": return value.bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        default: throw KernelFailure("the byte order is BIG_ENDIAN or LITTLE_ENDIAN")
        }
    }
}

/// The encodings of TO_BYTES, FROM_BYTES and ENCODE.
enum TextEncoding {
    case hex, utf8, ascii, base64

    init(_ name: String) throws(KernelFailure) {
        switch name.lowercased() {
        case "hex": self = .hex
        case "utf8": self = .utf8
        case "ascii": self = .ascii
        case "base64": self = .base64
        default: throw KernelFailure("Supported input and output encodings are: hex, utf8, ascii and base64")
        }
    }

    /// Hex may be written `0x…`, where an odd count of digits is read with a leading zero, or `X'…'`. Beyond ASCII, `ascii` makes a
    /// question mark.
    func bytes(_ text: String) throws(KernelFailure) -> [UInt8] {
        switch self {
        case .utf8: return Array(text.utf8)
        case .ascii: return text.utf16.map { $0 < 0x80 ? UInt8($0) : UInt8(ascii: "?") }
        case .base64:
            guard let bytes = Base64.decode(text.utf8) else { throw KernelFailure("not base 64") }
            return bytes
        case .hex:
            var digits = Array(text.utf8)
            if digits.starts(with: "0x".utf8) || digits.starts(with: "0X".utf8) {
                digits.removeFirst(2)
                if digits.count % 2 == 1 { digits.insert(0x30, at: 0) }
            } else if digits.count >= 3, digits[0] | 0x20 == UInt8(ascii: "x"), digits[1] == 0x27, digits.last == 0x27 {
                digits = Array(digits[2..<digits.count - 1])
            }
            if digits.count % 2 == 1 { throw KernelFailure("hexadecimal text has an even number of digits") }
            var out: [UInt8] = []
            for i in stride(from: 0, to: digits.count, by: 2) {
                guard let byte = FunctionTable.hexByte(digits[i], digits[i + 1]) else { throw KernelFailure("not hexadecimal") }
                out.append(byte)
            }
            return out
        }
    }

    func text(_ bytes: ArraySlice<UInt8>, upperHex: Bool) throws(KernelFailure) -> String {
        switch self {
        case .utf8: return String(decoding: bytes, as: UTF8.self)
        case .ascii:
            var out = ""
            for byte in bytes { out.unicodeScalars.append(byte < 0x80 ? Unicode.Scalar(byte) : "\u{fffd}") }
            return out
        case .base64: return Base64.encode(bytes)
        case .hex:
            let digits = Array((upperHex ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
            return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
        }
    }
}
