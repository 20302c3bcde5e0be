import MartletCore

extension FunctionTable {
    static func bytes(_ t: inout FunctionTable) {
        t.function("TO_BYTES", .string, "A text as BYTES, given its encoding: hex, utf8, ascii or base64.")
        t.columns("(VARCHAR str, VARCHAR encoding) -> BYTES") { recoded(&$0, from: 1, to: nil) }
        t.function("FROM_BYTES", .string, "BYTES as a text in an encoding: hex, utf8, ascii or base64.")
        t.columns("(BYTES bytes, VARCHAR encoding) -> VARCHAR") { recoded(&$0, from: nil, to: 1) }
        t.function("ENCODE", .string, "A text in another encoding: from and to hex, utf8, ascii or base64.")
        t.columns("(VARCHAR str, VARCHAR input_encoding, VARCHAR output_encoding) -> VARCHAR") { recoded(&$0, from: 1, to: 2) }

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

    /// The first argument read in the encoding that argument `from` names, and written in the one of `to`; nil: bytes as they are.
    private static func recoded(_ call: inout KernelCall, from: Int?, to: Int?) -> Column {
        let source = BytesArgument(call.arguments[0])
        func encodings(_ argument: Int?) -> MadeOfText<TextEncoding>? {
            argument.map { MadeOfText(call.arguments[$0]) { (name) throws(KernelFailure) in try TextEncoding(name) } }
        }
        var inputs = encodings(from), outputs = encodings(to)
        // FROM_BYTES writes capital digits, ENCODE small ones.
        let upperHex = from == nil, isEncode = from != nil && to != nil
        return StringKernels.texts(&call, isText: to != nil) { (row, out) throws(KernelFailure) in
            guard let text = source.slice(row) else { return false }
            var bytes = text
            if isEncode {
                // ENCODE goes from one encoding to another.
                guard let same = try inputs!.with(row, { (input) throws(KernelFailure) in try outputs!.with(row) { $0 == input } }), let same else {
                    return false
                }
                if same { throw KernelFailure(TextEncoding.supported) }
            }
            if inputs != nil {
                guard let read = try inputs!.with(row, { (encoding) throws(KernelFailure) in try encoding.bytes(text, isEncode: isEncode) }) else {
                    return false
                }
                bytes = read[...]
            }
            guard outputs != nil else {
                out += bytes
                return true
            }
            return try outputs!.with(row) { (encoding) throws(KernelFailure) -> Bool in
                encoding.append(bytes, upperHex: upperHex, to: &out)
                return true
            } ?? false
        }
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

    static let supported = "Supported input and output encodings are: hex, utf8, ascii and base64"

    init(_ name: String) throws(KernelFailure) {
        switch name.lowercased() {
        case "hex": self = .hex
        case "utf8": self = .utf8
        case "ascii": self = .ascii
        case "base64": self = .base64
        default: throw KernelFailure(Self.supported)
        }
    }

    /// ENCODE takes hex also as `0x…`, where an odd count of digits is read with a leading zero, and as `X'…'`, and of base 64 what it can
    /// read of it. Beyond ASCII, `ascii` makes a question mark of each character.
    func bytes(_ text: ArraySlice<UInt8>, isEncode: Bool) throws(KernelFailure) -> [UInt8] {
        switch self {
        case .utf8: return Array(text)
        case .ascii:
            var out: [UInt8] = []
            for byte in text where byte & 0xc0 != 0x80 { out.append(byte < 0x80 ? byte : UInt8(ascii: "?")) }
            return out
        case .base64 where isEncode: return Self.lenientBase64(text)
        case .base64:
            guard let bytes = Base64.decode(text) else { throw KernelFailure("not base 64") }
            return bytes
        case .hex:
            var digits = text, out: [UInt8] = []
            if isEncode, digits.starts(with: "0x".utf8) {
                digits = digits.dropFirst(2)
                if digits.count % 2 == 1, let first = digits.popFirst() {
                    guard let byte = FunctionTable.hexByte(0x30, first) else { throw KernelFailure("not hexadecimal") }
                    out.append(byte)
                }
            } else if isEncode, digits.count >= 3, digits[digits.startIndex] | 0x20 == UInt8(ascii: "x"), digits[digits.startIndex + 1] == 0x27, digits.last == 0x27 {
                digits = digits.dropFirst(2).dropLast()
            }
            if digits.count % 2 == 1 { throw KernelFailure("hexadecimal text has an even number of digits") }
            var i = digits.startIndex
            while i < digits.endIndex {
                guard let byte = FunctionTable.hexByte(digits[i], digits[i + 1]) else { throw KernelFailure("not hexadecimal") }
                out.append(byte)
                i += 2
            }
            return out
        }
    }

    /// Both alphabets, everything else passed over, up to the padding; digits that make no byte at the end do not count.
    private static func lenientBase64(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = [], bits: UInt32 = 0, count = 0
        for byte in text {
            let digit: UInt8
            switch byte {
            case 0x41...0x5a: digit = byte - 0x41
            case 0x61...0x7a: digit = byte - 0x61 + 26
            case 0x30...0x39: digit = byte - 0x30 + 52
            case UInt8(ascii: "+"), UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): digit = 63
            case UInt8(ascii: "="): return out
            default: continue
            }
            bits = bits << 6 | UInt32(digit)
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return out
    }

    func append(_ bytes: ArraySlice<UInt8>, upperHex: Bool, to out: inout [UInt8]) {
        switch self {
        case .utf8:
            // What is no UTF-8 becomes the replacement character.
            if bytes.allSatisfy({ $0 < 0x80 }) { out += bytes } else { out += Array(String(decoding: bytes, as: UTF8.self).utf8) }
        case .ascii: for byte in bytes { if byte < 0x80 { out.append(byte) } else { out += [0xef, 0xbf, 0xbd] } }
        case .base64: out.append(contentsOf: Base64.encode(bytes).utf8)
        case .hex:
            let letter: UInt8 = upperHex ? 0x37 : 0x57
            for byte in bytes {
                let high = byte >> 4, low = byte & 15
                out.append(high < 10 ? 0x30 + high : letter + high)
                out.append(low < 10 ? 0x30 + low : letter + low)
            }
        }
    }
}
