/// A statement's text with its literals taken out: statements of one shape differ only in the values of their texts and whole numbers.
///
/// One pass over the bytes, much cheaper than the lexer, for statements that come again and again. It knows just enough of the lexical rules to
/// never call two statements alike that are not: whatever it is unsure of (comments, variables, decimals) has no shape.
public struct StatementShape: Sendable, Hashable {
    public enum Literal: Sendable, Hashable {
        case text(String)
        /// Without a sign: `-5` is the operator and 5.
        case integer(Int64)
    }

    /// The text with a byte that no statement has in place of each literal: 1 for texts, 2 for numbers that fit into INT, 3 for longer ones.
    public let pattern: String
    public let literals: [Literal]

    /// Nil: this text has no shape.
    public init?(_ sql: String) {
        var pattern: [UInt8] = [], literals: [Literal] = []
        let bytes = Array(sql.utf8)
        pattern.reserveCapacity(bytes.count)
        var at = 0
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "'"):
                var value: [UInt8] = []
                guard let end = Self.quoted(bytes, at, UInt8(ascii: "'"), &value) else { return nil }
                literals.append(.text(String(decoding: value, as: UTF8.self)))
                pattern.append(1)
                at = end
            case UInt8(ascii: "`"), UInt8(ascii: "\""):
                var name: [UInt8] = []
                guard let end = Self.quoted(bytes, at, byte, &name) else { return nil }
                pattern.append(contentsOf: bytes[at..<end])
                at = end
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                var end = at, value: Int64 = 0
                while end < bytes.count, case 0x30...0x39 = bytes[end] {
                    let (product, isTooLong) = value.multipliedReportingOverflow(by: 10)
                    let (sum, overflows) = product.addingReportingOverflow(Int64(bytes[end] - 0x30))
                    if isTooLong || overflows { return nil }
                    value = sum
                    end += 1
                }
                // A decimal, a double, a name like 2nd: left to the parser.
                if end < bytes.count, bytes[end] == UInt8(ascii: ".") || Self.isNameByte(bytes[end]) { return nil }
                literals.append(.integer(value))
                pattern.append(value <= Int64(Int32.max) ? 2 : 3)
                at = end
            case _ where Self.isNameByte(byte):
                while at < bytes.count, Self.isNameByte(bytes[at]) {
                    pattern.append(bytes[at])
                    at += 1
                }
            case UInt8(ascii: "."), UInt8(ascii: "$"), 0..<9, 127: return nil
            case UInt8(ascii: "-") where at + 1 < bytes.count && bytes[at + 1] == byte: return nil
            case UInt8(ascii: "/") where at + 1 < bytes.count && bytes[at + 1] == UInt8(ascii: "*"): return nil
            default:
                pattern.append(byte)
                at += 1
            }
        }
        self.pattern = String(decoding: pattern, as: UTF8.self)
        self.literals = literals
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "@"), 0x80...:
            true
        default: false
        }
    }

    /// Behind the closing quote; a doubled quote stands for itself. Nil: there is none.
    private static func quoted(_ bytes: [UInt8], _ start: Int, _ quote: UInt8, _ value: inout [UInt8]) -> Int? {
        var at = start + 1
        while at < bytes.count {
            if bytes[at] == quote {
                guard at + 1 < bytes.count, bytes[at + 1] == quote else { return at + 1 }
                at += 1
            }
            value.append(bytes[at])
            at += 1
        }
        return nil
    }
}
