/// A JSON document in memory, for control-plane work: REST bodies, schemas, settings. Numbers keep the digits of the source.
///
/// Rows on the hot path never become a `JSONValue`; their columns are scanned and written by `MartletColumns/Formats/JSON`.
public indirect enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// The number's text, e.g. `1.0`, `1`, `1E3`.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// Members in order. Of two members with one name the later counts, as in most readers.
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    public var members: [Member]

    public struct Member: Sendable, Hashable {
        public var name: String
        public var value: JSONValue
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    public init(_ members: [Member] = []) { self.members = members }
    public init(dictionaryLiteral elements: (String, JSONValue)...) { members = elements.map { Member($0.0, $0.1) } }

    public subscript(name: String) -> JSONValue? {
        get { members.last { $0.name == name }?.value }
        set {
            members.removeAll { $0.name == name && newValue == nil }
            guard let newValue else { return }
            if let i = members.lastIndex(where: { $0.name == name }) {
                members[i].value = newValue
            } else {
                members.append(Member(name, newValue))
            }
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .number(String(value)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member($0.0, $0.1) }))
    }
    public init(nilLiteral: ()) { self = .null }

    public static func int(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }
}

extension JSONValue {
    public subscript(name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }
    public var stringValue: String? { if case .string(let text) = self { text } else { nil } }
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var arrayValue: [JSONValue]? { if case .array(let values) = self { values } else { nil } }
    public var objectValue: JSONObject? { if case .object(let object) = self { object } else { nil } }
    public var intValue: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    public var doubleValue: Double? { if case .number(let text) = self { Double(text) } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }
}

extension JSONValue: CustomStringConvertible {
    /// The document on one line, no blanks.
    public var description: String {
        var out: [UInt8] = []
        write(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the document on one line, no blanks, as UTF-8.
    public func write(to out: inout [UInt8]) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let text): out.append(contentsOf: text.utf8)
        case .string(let text): Self.writeString(text, to: &out)
        case .array(let values):
            out.append(UInt8(ascii: "["))
            for (i, value) in values.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                value.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (i, member) in object.members.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                Self.writeString(member.name, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// Appends `text` in quotes with the escapes that RFC 8259 requires.
    public static func writeString(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 { writeEscaped(byte, to: &out) }
        out.append(UInt8(ascii: "\""))
    }

    /// Appends one byte of a string's UTF-8, escaped if it must be.
    public static func writeEscaped(_ byte: UInt8, to out: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): out.append(contentsOf: [0x5c, 0x22])
        case UInt8(ascii: "\\"): out.append(contentsOf: [0x5c, 0x5c])
        case 0x0a: out.append(contentsOf: [0x5c, UInt8(ascii: "n")])
        case 0x0d: out.append(contentsOf: [0x5c, UInt8(ascii: "r")])
        case 0x09: out.append(contentsOf: [0x5c, UInt8(ascii: "t")])
        case 0x08: out.append(contentsOf: [0x5c, UInt8(ascii: "b")])
        case 0x0c: out.append(contentsOf: [0x5c, UInt8(ascii: "f")])
        case 0..<0x20:
            let hex = Array("0123456789abcdef".utf8)
            out.append(contentsOf: [0x5c, UInt8(ascii: "u"), 0x30, 0x30, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
        default: out.append(byte)
        }
    }
}

extension JSONValue {
    /// Reads one JSON document (RFC 8259), nothing after it but blanks.
    ///
    /// - Throws: `.badRequest` with the byte offset of the first mistake.
    public init(parsing text: some StringProtocol) throws(MartletError) { try self.init(parsing: Array(text.utf8)) }

    public init(parsing bytes: [UInt8]) throws(MartletError) {
        var reader = JSONReader(bytes: bytes)
        self = try reader.document()
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    var at = 0
    var depth = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    func fail(_ what: String) -> MartletError { MartletError(.badRequest, "malformed JSON at byte \(at): \(what)") }

    mutating func blanks() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x0d || bytes[at] == 0x09 { at += 1 }
    }

    mutating func document() throws(MartletError) -> JSONValue {
        let value = try value()
        blanks()
        if at < bytes.count { throw fail("expected the end of the text") }
        return value
    }

    mutating func value() throws(MartletError) -> JSONValue {
        blanks()
        guard at < bytes.count else { throw fail("expected a value, found the end of the text") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    mutating func word(_ text: String, _ value: JSONValue) throws(MartletError) -> JSONValue {
        guard bytes[at...].starts(with: text.utf8) else { throw fail("expected a value") }
        at += text.utf8.count
        return value
    }

    mutating func number() throws(MartletError) -> JSONValue {
        let start = at
        func digits(_ reader: inout JSONReader) -> Int {
            let from = reader.at
            while reader.at < reader.bytes.count, reader.bytes[reader.at] >= 0x30, reader.bytes[reader.at] <= 0x39 { reader.at += 1 }
            return reader.at - from
        }
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        let leadingZero = at < bytes.count && bytes[at] == 0x30
        let whole = digits(&self)
        if whole == 0 || (leadingZero && whole > 1) { throw fail("expected a value") }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            if digits(&self) == 0 { throw fail("expected a digit after the decimal point") }
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            if digits(&self) == 0 { throw fail("expected a digit in the exponent") }
        }
        return .number(String(decoding: bytes[start..<at], as: UTF8.self))
    }

    mutating func hex4() throws(MartletError) -> UInt32 {
        guard at + 4 <= bytes.count, let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16) else {
            throw fail("expected four hexadecimal digits")
        }
        at += 4
        return code
    }

    mutating func string() throws(MartletError) -> String {
        at += 1
        var out: [UInt8] = []
        while true {
            guard at < bytes.count else { throw fail("string without an end") }
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "\"") { break }
            if byte < 0x20 { throw fail("control character in a string") }
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                continue
            }
            guard at < bytes.count else { throw fail("string without an end") }
            let escape = bytes[at]
            at += 1
            switch escape {
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(escape)
            case UInt8(ascii: "u"):
                var code = try hex4()
                if code >= 0xd800, code < 0xdc00, at + 1 < bytes.count, bytes[at] == 0x5c, bytes[at + 1] == UInt8(ascii: "u") {
                    at += 2
                    let low = try hex4()
                    if low >= 0xdc00, low < 0xe000 { code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) }
                }
                out.append(contentsOf: String(Character(Unicode.Scalar(code) ?? "\u{fffd}")).utf8)
            default: throw fail("unknown escape in a string")
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    mutating func array() throws(MartletError) -> JSONValue {
        try enter()
        at += 1
        var values: [JSONValue] = []
        blanks()
        if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
            at += 1
            depth -= 1
            return .array([])
        }
        while true {
            values.append(try value())
            blanks()
            guard at < bytes.count else { throw fail("array without an end") }
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "]") { break }
            if byte != UInt8(ascii: ",") { throw fail("expected , or ] in an array") }
        }
        depth -= 1
        return .array(values)
    }

    mutating func object() throws(MartletError) -> JSONValue {
        try enter()
        at += 1
        var object = JSONObject()
        blanks()
        if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
            at += 1
            depth -= 1
            return .object(object)
        }
        while true {
            blanks()
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw fail("expected a member name in quotes") }
            let name = try string()
            blanks()
            guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw fail("expected : after a member name") }
            at += 1
            object.members.append(JSONObject.Member(name, try value()))
            blanks()
            guard at < bytes.count else { throw fail("object without an end") }
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "}") { break }
            if byte != UInt8(ascii: ",") { throw fail("expected , or } in an object") }
        }
        depth -= 1
        return .object(object)
    }

    /// Bounds the recursion, so that no document can exhaust the stack.
    mutating func enter() throws(MartletError) {
        depth += 1
        if depth > 512 { throw fail("more than 512 levels") }
    }
}
