import MartletCore

extension FunctionTable {
    static func url(_ t: inout FunctionTable) {
        t.function("URL_ENCODE_PARAM", .url, "A text as a URL's query can hold it: blanks as +, other special characters as %XX.")
        t.columns("(VARCHAR value) -> VARCHAR") { call in
            let texts = BytesArgument(call.arguments[0])
            return StringKernels.texts(&call) { (row, out) throws(KernelFailure) in
                guard let text = texts.slice(row) else { return false }
                encode(text, to: &out)
                return true
            }
        }
        t.function("URL_DECODE_PARAM", .url, "Undoes URL_ENCODE_PARAM.")
        t.scalar("value") { (s: Text) -> Text in Text(try decode(s.bytes, plusIsBlank: true)) }
        t.function("URL_EXTRACT_FRAGMENT", .url, "What follows # in a URL; NULL if nothing does.")
        t.columns("(VARCHAR url) -> VARCHAR") { part(&$0, isDecoded: true) { $0.fragment } }
        t.function("URL_EXTRACT_HOST", .url, "The host of a URL; NULL if it has none.")
        t.columns("(VARCHAR url) -> VARCHAR") { part(&$0, isDecoded: false) { $0.host } }
        t.function("URL_EXTRACT_PATH", .url, "The path of a URL; NULL if it has none, as mailto:a@b.org.")
        t.columns("(VARCHAR url) -> VARCHAR") { part(&$0, isDecoded: true) { $0.path } }
        t.function("URL_EXTRACT_PORT", .url, "The port of a URL; NULL if it names none.")
        t.columns("(VARCHAR url) -> INT") { call in
            let urls = BytesArgument(call.arguments[0])
            return urls.column.buffer.withUnsafeBufferPointer { buffer in
                call.rows { row -> Int32? in try urls.range(row).flatMap { try URLParts(buffer[$0]).port } }
            }
        }
        t.function("URL_EXTRACT_PROTOCOL", .url, "The protocol of a URL, such as https; NULL if it has none.")
        t.columns("(VARCHAR url) -> VARCHAR") { part(&$0, isDecoded: false) { $0.scheme } }
        t.function("URL_EXTRACT_QUERY", .url, "What stands between ? and # in a URL; NULL if nothing does.")
        t.columns("(VARCHAR url) -> VARCHAR") { part(&$0, isDecoded: true) { $0.query } }
        t.function("URL_EXTRACT_PARAMETER", .url, "The value of a parameter in a URL's query, decoded; NULL if it is not there.")
        t.columns("(VARCHAR url, VARCHAR name) -> VARCHAR") { parameter(&$0) }
    }

    /// A part of each URL, which lies in the argument's buffer unless it has to be decoded.
    private static func part(_ call: inout KernelCall, isDecoded: Bool, _ pick: (URLParts) -> URLParts.Bytes?) -> Column {
        slices(&call) { (_, parts, out) throws(KernelFailure) in
            guard let part = pick(parts) else { return out.appendNull() }
            if isDecoded, part.contains(UInt8(ascii: "%")) {
                out.append(String(decoding: try decode(Array(part)[...], plusIsBlank: false), as: UTF8.self))
            } else {
                out.append(part.startIndex..<part.endIndex)
            }
        }
    }

    /// The query is decoded before it is taken apart, as `URI.getQuery` gives it.
    private static func parameter(_ call: inout KernelCall) -> Column {
        let names = BytesArgument(call.arguments[1])
        return slices(&call) { (row, parts, out) throws(KernelFailure) in
            guard let name = names.slice(row), let query = parts.query else { return out.appendNull() }
            func find(_ bytes: some Collection<UInt8>) -> Range<Int>? {
                var start = 0
                for pair in bytes.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
                    let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
                    if pair[..<equals].elementsEqual(name) {
                        let before = pair.distance(from: pair.startIndex, to: equals) + (equals == pair.endIndex ? 0 : 1)
                        return start + before..<start + pair.count
                    }
                    start += pair.count + 1
                }
                return nil
            }
            if query.contains(UInt8(ascii: "%")) {
                let decoded = try decode(Array(query)[...], plusIsBlank: false)
                out.append(find(decoded).map { String(decoding: decoded[$0], as: UTF8.self) })
            } else {
                out.append(find(query).map { $0.lowerBound + query.startIndex..<$0.upperBound + query.startIndex })
            }
        }
    }

    private static func slices(
        _ call: inout KernelCall, _ body: (Int, URLParts, inout TextSlices) throws(KernelFailure) -> Void
    ) -> Column {
        let urls = BytesArgument(call.arguments[0])
        var out = TextSlices(urls.column)
        urls.column.buffer.withUnsafeBufferPointer { buffer in
            for row in 0..<call.count {
                guard let range = urls.range(row) else {
                    out.appendNull()
                    continue
                }
                do throws(KernelFailure) {
                    try body(row, URLParts(buffer[range]), &out)
                } catch {
                    call.fail(row, error)
                    out.appendNull()
                }
            }
        }
        return .string(out.column)
    }

    private static func encode(_ bytes: ArraySlice<UInt8>, to out: inout [UInt8]) {
        func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "."), UInt8(ascii: "*"), UInt8(ascii: "_"), UInt8(ascii: "-"): out.append(byte)
            case 0x20: out.append(UInt8(ascii: "+"))
            default:
                out.append(UInt8(ascii: "%"))
                out.append(digit(byte >> 4))
                out.append(digit(byte & 15))
            }
        }
    }

    private static func decode(_ bytes: ArraySlice<UInt8>, plusIsBlank: Bool) throws(KernelFailure) -> [UInt8] {
        var out: [UInt8] = [], at = bytes.startIndex
        while at < bytes.endIndex {
            if bytes[at] == UInt8(ascii: "%") {
                guard at + 2 < bytes.endIndex, let byte = hexByte(bytes[at + 1], bytes[at + 2]) else {
                    throw KernelFailure("% is followed by two hexadecimal digits in an encoded URL")
                }
                out.append(byte)
                at += 3
            } else {
                out.append(plusIsBlank && bytes[at] == UInt8(ascii: "+") ? 0x20 : bytes[at])
                at += 1
            }
        }
        return Array(String(decoding: out, as: UTF8.self).utf8)
    }

    static func hexByte(_ high: UInt8, _ low: UInt8) -> UInt8? {
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x37
            case 0x61...0x66: byte - 0x57
            default: nil
            }
        }
        guard let a = digit(high), let b = digit(low) else { return nil }
        return a << 4 | b
    }
}
