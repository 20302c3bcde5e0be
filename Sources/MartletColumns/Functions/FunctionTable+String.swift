import MartletCore

extension FunctionTable {
    static func string(_ t: inout FunctionTable) {
        concatenation(&t)
        searching(&t)

        t.function("UCASE", .string, "Converts letters to upper case.")
        t.scalar("str") { (s: Text) -> Text in s.isASCII ? Text(s.bytes.map { $0 >= 0x61 && $0 <= 0x7a ? $0 - 32 : $0 }) : Text(Array(s.string.uppercased().utf8)) }
        t.function("LCASE", .string, "Converts letters to lower case.")
        t.scalar("str") { (s: Text) -> Text in s.isASCII ? Text(s.bytes.map { $0 >= 0x41 && $0 <= 0x5a ? $0 + 32 : $0 }) : Text(Array(s.string.lowercased().utf8)) }
        t.function("INITCAP", .string, "Each word's first letter in upper case, the rest in lower case; words are separated by white space.")
        t.scalar("str") { (s: String) -> String in initcap(s) }
        t.function("TRIM", .string, "The string without white space at its ends.")
        t.scalar("str") { (s: Text) -> Text in
            var bytes = s.bytes
            while let first = bytes.first, first <= 0x20 { bytes = bytes.dropFirst() }
            while let last = bytes.last, last <= 0x20 { bytes = bytes.dropLast() }
            return Text(bytes)
        }
        t.function("LEN", .string, "The number of characters of a string, or of bytes.")
        t.scalar("str") { (s: Text) -> Int32 in Int32(utf16Count(s.bytes)) }
        t.scalar("bytes") { (b: Bytes) -> Int32 in Int32(b.bytes.count) }

        t.function("SUBSTRING", .string, "The part of a string from a position on (the first is 1; negative: from the end), to the end or of a given length. Works on BYTES too.")
        t.scalar("str", "pos") { (s: Text, pos: Int32) -> Text in UTF16View(s).substring(pos, nil) }
        t.scalar("str", "pos", "length") { (s: Text, pos: Int32, length: Int32) -> Text in UTF16View(s).substring(pos, length) }
        t.scalar("bytes", "pos") { (b: Bytes, pos: Int32) -> Bytes in Bytes(b.bytes[range(b.bytes, pos, nil)]) }
        t.scalar("bytes", "pos", "length") { (b: Bytes, pos: Int32, length: Int32) -> Bytes in Bytes(b.bytes[range(b.bytes, pos, length)]) }

        t.function("REPLACE", .string, "The string with every occurrence of a part replaced.")
        t.scalar("str", "old", "new") { (s: Text, old: Text, new: Text) -> Text in replace(s, old, new) }

        t.function("CHR", .string, "The character with a Unicode code point, or of a text with the escapes \\uXXXX.")
        t.scalar("code") { (code: Int32) -> String? in
            guard code >= 0, let scalar = Unicode.Scalar(UInt32(code)) else { return nil }
            return String(scalar)
        }
        t.scalar("code") { (code: String) -> String? in chr(code) }

        t.function("SPLIT", .string, "Splits at every occurrence of a delimiter; an empty delimiter splits into single characters. Works on BYTES too.")
        t.columns("(VARCHAR str, VARCHAR delimiter) -> ARRAY<VARCHAR>") { ListKernels.split(&$0, isText: true) }
        t.columns("(BYTES bytes, BYTES delimiter) -> ARRAY<BYTES>") { ListKernels.split(&$0, isText: false) }
        t.function("SPLIT_TO_MAP", .string, "Splits a string into entries and each entry into key and value, at the given delimiters.")
        t.boxed("(VARCHAR str, VARCHAR entry_delimiter, VARCHAR kv_delimiter) -> MAP<VARCHAR, VARCHAR>") { arguments in
            let entryDelimiter = rawBytes(arguments[1]), valueDelimiter = rawBytes(arguments[2])
            if entryDelimiter.isEmpty || valueDelimiter.isEmpty { return .null }
            var entries: [SQLValue.MapEntry] = []
            for entry in split(rawBytes(arguments[0]), entryDelimiter, isText: true) where !entry.isEmpty {
                let parts = split(Array(entry), valueDelimiter, isText: true)
                guard parts.count > 1 else { continue }
                let key = SQLValue.string(String(decoding: parts[0], as: UTF8.self))
                entries.removeAll { $0.key == key }
                entries.append(.init(key, .string(String(decoding: parts[1], as: UTF8.self))))
            }
            return .map(entries)
        }
    }

    private static func initcap(_ text: String) -> String {
        var out = "", start = true
        for character in text.unicodeScalars {
            if character.properties.isWhitespace {
                start = true
                out.unicodeScalars.append(character)
            } else {
                out += start ? character.properties.titlecaseMapping : character.properties.lowercaseMapping
                start = false
            }
        }
        return out
    }

    private static func chr(_ text: String) -> String? {
        var units: [UInt16] = [], rest = text[...]
        guard rest.hasPrefix("\\u") else { return nil }
        while !rest.isEmpty {
            guard rest.hasPrefix("\\u"), let unit = UInt16(rest.dropFirst(2).prefix(4), radix: 16) else { return nil }
            units.append(unit)
            rest = rest.dropFirst(6)
        }
        return String(decoding: units, as: UTF16.self)
    }

    // MARK: UTF-16 positions

    /// Java counts UTF-16 units: one a code point, two beyond U+FFFF.
    static func utf16Count(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBufferPointer { bytes in
            var count = 0
            for byte in bytes { count &+= (byte & 0xc0 == 0x80 ? 0 : 1) &+ (byte >= 0xf0 ? 1 : 0) }
            return count
        }
    }

    /// The indices of SUBSTRING(value, pos, length) for things counted one by one.
    static func range(_ slice: ArraySlice<UInt8>, _ position: Int32, _ length: Int32?) -> Range<Int> {
        let (from, to) = bounds(count: slice.count, position, length)
        return slice.startIndex + from..<slice.startIndex + to
    }

    /// From 1, negative from the end; outside is cut off; 0 counts as 1.
    static func bounds(count: Int, _ position: Int32, _ length: Int32?) -> (Int, Int) {
        let start = position > 0 ? min(Int(position) - 1, count) : position == 0 ? 0 : max(count + Int(position), 0)
        guard let length else { return (start, count) }
        return (start, max(start, min(count, start + Int(length))))
    }

    /// A string by UTF-16 positions without making one.
    struct UTF16View {
        let bytes: ArraySlice<UInt8>
        private let isASCII: Bool

        init(_ text: Text) {
            bytes = text.bytes
            isASCII = text.isASCII
        }

        var count: Int { isASCII ? bytes.count : utf16Count(bytes) }

        func substring(_ position: Int32, _ length: Int32?) -> Text {
            if isASCII { return Text(bytes[range(bytes, position, length)]) }
            let units = Array(String(decoding: bytes, as: UTF8.self).utf16)
            let (from, to) = bounds(count: units.count, position, length)
            return Text(Array(String(decoding: units[from..<to], as: UTF16.self).utf8))
        }
    }

    // MARK: search

    /// The start of the first occurrence of `part` at or after index `from`; nil if there is none.
    static func find(_ part: ArraySlice<UInt8>, in bytes: ArraySlice<UInt8>, from: Int) -> Int? {
        guard let first = part.first else { return from <= bytes.endIndex ? from : nil }
        var at = from
        while at + part.count <= bytes.endIndex {
            if bytes[at] == first, bytes[at..<at + part.count].elementsEqual(part) { return at }
            at += 1
        }
        return nil
    }

    static func replace(_ text: Text, _ old: Text, _ new: Text) -> Text {
        if old.bytes.isEmpty { return text }
        var out: [UInt8] = [], at = text.bytes.startIndex
        while let found = find(old.bytes, in: text.bytes, from: at) {
            out += text.bytes[at..<found]
            out += new.bytes
            at = found + old.bytes.count
        }
        if out.isEmpty, at == text.bytes.startIndex { return text }
        out += text.bytes[at...]
        return Text(out)
    }

    /// The parts between delimiters, empty ones included; an empty delimiter gives single characters.
    static func split(_ bytes: [UInt8], _ delimiter: [UInt8], isText: Bool) -> [ArraySlice<UInt8>] {
        if bytes.isEmpty { return [bytes[...]] }
        var out: [ArraySlice<UInt8>] = []
        if delimiter.isEmpty {
            var start = 0
            for i in 1...bytes.count where i == bytes.count || !isText || bytes[i] & 0xc0 != 0x80 {
                out.append(bytes[start..<i])
                start = i
            }
            return out
        }
        var at = 0
        while let found = find(delimiter[...], in: bytes[...], from: at) {
            out.append(bytes[at..<found])
            at = found + delimiter.count
        }
        out.append(bytes[at...])
        return out
    }

    /// The bytes of a boxed string or BYTES value.
    static func rawBytes(_ value: SQLValue) -> [UInt8] {
        switch value {
        case .string(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        default: []
        }
    }

    private static func searching(_ t: inout FunctionTable) {
        t.function("INSTR", .string, "The position of a part in a string, from 1; 0 if it does not occur. Optionally from a position on (negative: backwards from the end) and the n-th occurrence.")
        t.scalar("str", "substring") { (s: String, part: String) -> Int32 in instr(s, part, 1, 1) }
        t.scalar("str", "substring", "position") { (s: String, part: String, position: Int32) -> Int32 in instr(s, part, position, 1) }
        t.boxed("(VARCHAR str, VARCHAR substring, INT position, INT occurrence) -> INT") { arguments in
            guard case .string(let s) = arguments[0], case .string(let part) = arguments[1], case .integer(let position) = arguments[2],
                case .integer(let occurrence) = arguments[3]
            else { return .null }
            return .integer(instr(s, part, position, occurrence))
        }

        t.function("FIELD", .string, "The position of a string among the arguments after it, from 1; 0 if it is not there or NULL.")
        t.boxedWithNulls("(VARCHAR str, VARCHAR... args) -> INT") { arguments in
            if arguments[0].isNull { return .integer(0) }
            return .integer(Int32((arguments.dropFirst().firstIndex(of: arguments[0]) ?? 0)))
        }
        t.function("ELT", .string, "The n-th of the strings after n, counted from 1; NULL if there is none.")
        t.boxedWithNulls("(INT n, VARCHAR... args) -> VARCHAR") { arguments in
            guard case .integer(let n) = arguments[0], n >= 1, Int(n) < arguments.count else { return .null }
            return arguments[Int(n)]
        }
    }

    private static func instr(_ text: String, _ part: String, _ position: Int32, _ occurrence: Int32) -> Int32 {
        let units = Array(text.utf16), wanted = Array(part.utf16)
        if position == 0 || occurrence < 1 || wanted.count > units.count { return 0 }
        func occurs(_ at: Int) -> Bool { units[at..<at + wanted.count].elementsEqual(wanted) }
        let last = units.count - wanted.count
        var left = occurrence
        if position > 0 {
            guard Int(position) - 1 <= last else { return 0 }
            for at in (Int(position) - 1)...last where occurs(at) {
                left -= 1
                if left == 0 { return Int32(at + 1) }
            }
        } else {
            let start = min(last, units.count + Int(position))
            guard start >= 0 else { return 0 }
            for at in stride(from: start, through: 0, by: -1) where occurs(at) {
                left -= 1
                if left == 0 { return Int32(at + 1) }
            }
        }
        return 0
    }

    // MARK: concatenation

    private static func concatenation(_ t: inout FunctionTable) {
        t.function("CONCAT", .string, "Joins strings, or BYTES; NULLs are left out.")
        for type in ["VARCHAR", "BYTES"] { t.columns("(\(type)... args) -> \(type)") { joined($0, separated: false) } }
        t.function("CONCAT_WS", .string, "Joins strings, or BYTES, with a separator between them; NULLs are left out. NULL if the separator is.")
        for type in ["VARCHAR", "BYTES"] { t.columns("(\(type) separator, \(type)... args) -> \(type)") { joined($0, separated: true) } }
    }

    private static func joined(_ call: KernelCall, separated: Bool) -> Column {
        let parts = call.arguments.map { argument -> (BytesColumn, Value) in
            switch argument.column {
            case .string(let c), .bytes(let c): (c, argument)
            default: preconditionFailure("only strings and BYTES are joined")
            }
        }
        func append(_ column: BytesColumn, _ row: Int, to buffer: inout [UInt8]) {
            column.buffer.withUnsafeBufferPointer { bytes in
                let start = Int(column.starts[row])
                buffer.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<start + Int(column.lengths[row])]))
            }
        }
        var out = BytesColumn()
        for row in 0..<call.count {
            if separated, !parts[0].0.validity.isValid(parts[0].1.index(row)) {
                out.appendNull()
                continue
            }
            let start = out.buffer.count
            var first = true
            for (column, argument) in parts.dropFirst(separated ? 1 : 0) {
                let i = argument.index(row)
                guard column.validity.isValid(i) else { continue }
                if separated, !first { append(parts[0].0, parts[0].1.index(row), to: &out.buffer) }
                append(column, i, to: &out.buffer)
                first = false
            }
            if out.validity.flags != nil { out.validity.append(true, count: row) }
            out.starts.append(UInt32(start))
            out.lengths.append(UInt32(out.buffer.count - start))
        }
        return call.type == .string ? .string(out) : .bytes(out)
    }
}
