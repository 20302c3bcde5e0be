import MartletCore

/// Walks over one JSON text (RFC 8259) in a padded buffer. Never looks at a byte from `end` on as part of the text.
struct JSONScanner {
    var p: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>

    struct Text {
        var start: UnsafePointer<UInt8>
        var count: Int
        var isEscaped: Bool
        var isASCII: Bool
        var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: start, count: count) }
    }

    @inline(__always)
    mutating func blanks() {
        while p < end, p.pointee <= 0x20 {
            switch p.pointee {
            case 0x20, 0x0a, 0x0d, 0x09: p += 1
            default: return
            }
        }
    }

    /// The next byte that is no blank; 0 at the end.
    @inline(__always)
    mutating func peek() -> UInt8 {
        if p < end, p.pointee > 0x20 { return p.pointee }
        blanks()
        return p < end ? p.pointee : 0
    }

    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        if peek() != byte { return false }
        p += 1
        return true
    }

    /// Reads `null`, `true` or `false` at `p`.
    @inline(__always)
    mutating func word(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        if end - p < count { return false }
        for i in 0..<count where p[i] != word.utf8Start[i] { return false }
        p += count
        return true
    }

    /// Reads a string at its opening quote; nil if it does not end or holds a control character.
    @inline(__always)
    mutating func string() -> Text? {
        p += 1
        let start = p
        var high: UInt64 = 0, isEscaped = false
        while p < end {
            let word = NumberScan.word(p)
            let hits =
                NumberScan.zeroBytes(word ^ 0x2222_2222_2222_2222) | NumberScan.zeroBytes(word ^ 0x5c5c_5c5c_5c5c_5c5c)
                | ((word &- 0x2020_2020_2020_2020) & ~word & 0x8080_8080_8080_8080)
            high |= word
            if hits == 0 {
                p += 8
                continue
            }
            p += hits.trailingZeroBitCount &>> 3
            if p >= end { return nil }
            if p.pointee == 0x22 {
                let text = Text(start: start, count: p - start, isEscaped: isEscaped, isASCII: high & 0x8080_8080_8080_8080 == 0)
                p += 1
                return text
            }
            if p.pointee != 0x5c { return nil }
            isEscaped = true
            p += 2
        }
        return nil
    }

    /// The text without its escapes; nil if one of them is none.
    static func unescaped(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var out: [UInt8] = [], i = 0
        out.reserveCapacity(text.count)
        func hex(_ at: Int) -> UInt32? {
            if at + 4 > text.count { return nil }
            var value: UInt32 = 0
            for byte in text[at..<at + 4] {
                let digit: UInt8
                switch byte {
                case 0x30...0x39: digit = byte - 0x30
                case 0x41...0x46: digit = byte - 0x37
                case 0x61...0x66: digit = byte - 0x57
                default: return nil
                }
                value = value << 4 | UInt32(digit)
            }
            return value
        }
        while i < text.count {
            if text[i] != 0x5c {
                out.append(text[i])
                i += 1
                continue
            }
            guard i + 1 < text.count else { return nil }
            i += 2
            switch text[i - 1] {
            case 0x22, 0x5c, 0x2f: out.append(text[i - 1])
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                guard var code = hex(i) else { return nil }
                i += 4
                if code & 0xfc00 == 0xd800, i + 1 < text.count, text[i] == 0x5c, text[i + 1] == UInt8(ascii: "u"), let low = hex(i + 2),
                    low & 0xfc00 == 0xdc00
                {
                    code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
                    i += 6
                }
                // Half a surrogate pair has no UTF-8.
                let scalar = Unicode.Scalar(code) ?? "\u{fffd}"
                out.append(contentsOf: UTF8.encode(scalar)!)
            default: return nil
            }
        }
        return out
    }

    /// Reads a number; nil if it is none.
    mutating func number() -> UnsafeBufferPointer<UInt8>? {
        let start = p
        func digits(_ p: inout UnsafePointer<UInt8>) -> Int {
            let from = p
            while p < end, p.pointee &- 0x30 < 10 { p += 1 }
            return p - from
        }
        if p < end, p.pointee == 0x2d { p += 1 }
        let first = p
        let whole = digits(&p)
        if whole == 0 || (whole > 1 && first.pointee == 0x30) { return nil }
        if p < end, p.pointee == 0x2e {
            p += 1
            if digits(&p) == 0 { return nil }
        }
        if p < end, p.pointee | 0x20 == UInt8(ascii: "e") {
            p += 1
            if p < end, p.pointee == 0x2d || p.pointee == 0x2b { p += 1 }
            if digits(&p) == 0 { return nil }
        }
        return UnsafeBufferPointer(start: start, count: p - start)
    }

    /// Goes over one value of any kind; false if it is malformed.
    mutating func skip(depth: Int = 0) -> Bool {
        if depth > 500 { return false }
        switch peek() {
        case UInt8(ascii: "\""):
            guard let text = string() else { return false }
            return !text.isEscaped || Self.unescaped(text.bytes) != nil
        case UInt8(ascii: "{"):
            p += 1
            if take(UInt8(ascii: "}")) { return true }
            repeat {
                if peek() != UInt8(ascii: "\"") || string() == nil || !take(UInt8(ascii: ":")) || !skip(depth: depth + 1) { return false }
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "}"))
        case UInt8(ascii: "["):
            p += 1
            if take(UInt8(ascii: "]")) { return true }
            repeat {
                if !skip(depth: depth + 1) { return false }
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "]"))
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return number() != nil
        }
    }
}
