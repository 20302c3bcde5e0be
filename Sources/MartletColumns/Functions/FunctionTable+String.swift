import MartletCore

extension FunctionTable {
    static func string(_ t: inout FunctionTable) {
        concatenation(&t)
        searching(&t)

        t.function("UCASE", .string, "Converts letters to upper case.")
        t.columns("(VARCHAR str) -> VARCHAR") { StringKernels.mapped(&$0, upper: true) }
        t.function("LCASE", .string, "Converts letters to lower case.")
        t.columns("(VARCHAR str) -> VARCHAR") { StringKernels.mapped(&$0, upper: false) }
        t.function("INITCAP", .string, "Each word's first letter in upper case, the rest in lower case; words are separated by white space.")
        t.columns("(VARCHAR str) -> VARCHAR") { StringKernels.initcap(&$0) }
        t.function("TRIM", .string, "The string without white space at its ends.")
        t.columns("(VARCHAR str) -> VARCHAR") { StringKernels.trim(&$0) }
        t.function("LEN", .string, "The number of characters of a string, or of bytes.")
        t.scalar("str") { (s: Text) -> Int32 in Int32(utf16Count(s.bytes)) }
        t.scalar("bytes") { (b: Bytes) -> Int32 in Int32(b.bytes.count) }

        t.function("SUBSTRING", .string, "The part of a string from a position on (the first is 1; negative: from the end), to the end or of a given length. Works on BYTES too.")
        for type in ["VARCHAR", "BYTES"] {
            let isText = type == "VARCHAR", name = isText ? "str" : "bytes"
            t.columns("(\(type) \(name), INT pos) -> \(type)") { StringKernels.substring(&$0, isText: isText) }
            t.columns("(\(type) \(name), INT pos, INT length) -> \(type)") { StringKernels.substring(&$0, isText: isText) }
        }

        t.function("REPLACE", .string, "The string with every occurrence of a part replaced.")
        t.columns("(VARCHAR str, VARCHAR old, VARCHAR new) -> VARCHAR") { StringKernels.replace(&$0) }

        t.function("CHR", .string, "The character with a Unicode code point, or the text that escapes such as \\u004b stand for.")
        t.scalar("code") { (code: Int32) -> String? in
            guard code >= 0, let scalar = Unicode.Scalar(UInt32(code)) else { return nil }
            return String(scalar)
        }
        t.scalar("code") { (code: String) -> String? in try StringKernels.unescaped(code) }

        t.function("SPLIT", .string, "Splits at every occurrence of a delimiter; an empty delimiter splits into single characters. Works on BYTES too.")
        t.columns("(VARCHAR str, VARCHAR delimiter) -> ARRAY<VARCHAR>") { ListKernels.split(&$0, isText: true) }
        t.columns("(BYTES bytes, BYTES delimiter) -> ARRAY<BYTES>") { ListKernels.split(&$0, isText: false) }
        t.function("SPLIT_TO_MAP", .string, "Splits a string into entries and each entry into key and value, at the given delimiters.")
        t.columns("(VARCHAR str, VARCHAR entry_delimiter, VARCHAR kv_delimiter) -> MAP<VARCHAR, VARCHAR>") { StringKernels.splitToMap(&$0) }
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

    /// From 1, negative from the end; outside is cut off; 0 counts as 1.
    static func bounds(count: Int, _ position: Int32, _ length: Int32?) -> (Int, Int) {
        let start = position > 0 ? min(Int(position) - 1, count) : position == 0 ? 0 : max(count + Int(position), 0)
        guard let length else { return (start, count) }
        return (start, max(start, min(count, start + Int(length))))
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

    private static func searching(_ t: inout FunctionTable) {
        t.function("INSTR", .string, "The position of a part in a string, from 1; 0 if it does not occur. Optionally from a position on (negative: backwards from the end) and the n-th occurrence.")
        for more in ["", ", INT position", ", INT position, INT occurrence"] {
            t.columns("(VARCHAR str, VARCHAR substring\(more)) -> INT") { StringKernels.instr(&$0) }
        }

        t.function("FIELD", .string, "The position of a string among the arguments after it, from 1; 0 if it is not there or NULL.")
        t.columns("(VARCHAR str, VARCHAR... args) -> INT") { StringKernels.field(&$0) }
        t.function("ELT", .string, "The n-th of the strings after n, counted from 1; NULL if there is none.")
        t.columns("(INT n, VARCHAR... args) -> VARCHAR") { StringKernels.elt(&$0) }
    }

    // MARK: concatenation

    private static func concatenation(_ t: inout FunctionTable) {
        t.function("CONCAT", .string, "Joins strings, or BYTES; NULLs are left out.")
        for type in ["VARCHAR", "BYTES"] { t.columns("(\(type)... args) -> \(type)") { joined(&$0, separated: false) } }
        t.function("CONCAT_WS", .string, "Joins strings, or BYTES, with the first argument as separator between them; NULLs are left out. NULL if the separator is.")
        for type in ["VARCHAR", "BYTES"] { t.columns("(\(type)... args) -> \(type)") { joined(&$0, separated: true) } }
    }

    private static func joined(_ call: inout KernelCall, separated: Bool) -> Column {
        var validity = Validity.allValid
        if separated, call.arguments.count < 2 {
            for row in 0..<call.count { call.fail(row, KernelFailure("Function Concat_WS expects at least two input arguments.")) }
            return .nulls(call.type, count: call.count)
        }
        if separated {
            let separator = call.arguments[0]
            for row in 0..<call.count where !separator.column.validity.isValid(separator.index(row)) { validity.setNull(row, count: call.count) }
        }
        let steps = call.arguments.map { $0.isConstant ? 0 : 1 }, first = separated ? 1 : 0
        let out = TextWriter.rows(of: call.arguments.map(\.column), count: call.count, validity: validity) { row, views, out in
            func append(_ part: Int) {
                let text = views[part].text(row &* steps[part])
                if let start = text.baseAddress { out.append(start, count: text.count) }
            }
            var isFirst = true
            for part in first..<max(first, steps.count) where views[part].isValid(row &* steps[part]) {
                if separated, !isFirst { append(0) }
                append(part)
                isFirst = false
            }
        }
        return call.type == .string ? .string(out) : .bytes(out)
    }
}
