import MartletCore

/// Cuts .proto text into tokens; comments and blanks are left out.
struct ProtobufLexer {
    enum Token: Hashable {
        /// A name without dots, a number, or a sign with a number.
        case word(String)
        case text(String)
        case symbol(UInt8)
        case end
    }

    private let bytes: [UInt8]
    private var at = 0
    private(set) var line = 1

    init(_ text: String) { bytes = Array(text.utf8) }

    func fail(_ what: String) -> MartletError { MartletError(.schemaInvalid, "Protobuf schema, line \(line): \(what)") }

    private static func isWord(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x5f }

    private mutating func skipBlanks() throws(MartletError) {
        while at < bytes.count {
            let byte = bytes[at]
            if byte == 0x0a { line += 1 }
            if byte <= 0x20 {
                at += 1
            } else if byte == UInt8(ascii: "/"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "/") {
                while at < bytes.count, bytes[at] != 0x0a { at += 1 }
            } else if byte == UInt8(ascii: "/"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "*") {
                at += 2
                while true {
                    if at + 1 >= bytes.count { throw fail("a comment is not closed") }
                    if bytes[at] == UInt8(ascii: "*"), bytes[at + 1] == UInt8(ascii: "/") { break }
                    if bytes[at] == 0x0a { line += 1 }
                    at += 1
                }
                at += 2
            } else {
                return
            }
        }
    }

    mutating func next() throws(MartletError) -> Token {
        try skipBlanks()
        guard at < bytes.count else { return .end }
        let start = at, byte = bytes[at]
        if Self.isWord(byte) {
            let isNumber = byte &- 0x30 < 10
            while at < bytes.count, Self.isWord(bytes[at]) || isNumber && isPartOfNumber(start) { at += 1 }
            return .word(String(decoding: bytes[start..<at], as: UTF8.self))
        }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return .text(try string(quote: byte)) }
        at += 1
        return .symbol(byte)
    }

    /// A point, or a sign after an exponent.
    private func isPartOfNumber(_ start: Int) -> Bool {
        if bytes[at] == UInt8(ascii: ".") { return true }
        return (bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-")) && bytes[at - 1] | 0x20 == UInt8(ascii: "e")
            && !(start + 1 < at && bytes[start + 1] | 0x20 == UInt8(ascii: "x"))
    }

    private mutating func string(quote: UInt8) throws(MartletError) -> String {
        var out: [UInt8] = []
        at += 1
        while true {
            guard at < bytes.count, bytes[at] != 0x0a else { throw fail("a text is not closed") }
            let byte = bytes[at]
            at += 1
            if byte == quote { break }
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                continue
            }
            guard at < bytes.count else { throw fail("a text is not closed") }
            let escape = bytes[at]
            at += 1
            switch escape {
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "a"): out.append(0x07)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "v"): out.append(0x0b)
            case UInt8(ascii: "x"), UInt8(ascii: "X"): out.append(digits(16, atMost: 2))
            case 0x30...0x37:
                at -= 1
                out.append(digits(8, atMost: 3))
            default: out.append(escape)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func digits(_ radix: Int, atMost count: Int) -> UInt8 {
        var value = 0, read = 0
        while read < count, at < bytes.count, let digit = Character(UnicodeScalar(bytes[at])).hexDigitValue, digit < radix {
            value = value * radix + digit
            at += 1
            read += 1
        }
        return UInt8(truncatingIfNeeded: value)
    }
}
