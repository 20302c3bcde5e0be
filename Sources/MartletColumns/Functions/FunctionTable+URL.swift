import MartletCore

extension FunctionTable {
    static func url(_ t: inout FunctionTable) {
        t.function("URL_ENCODE_PARAM", .url, "A text as a URL's query can hold it: blanks as +, other special characters as %XX.")
        t.scalar("value") { (s: Text) -> Text in Text(encode(s.bytes)) }
        t.function("URL_DECODE_PARAM", .url, "Undoes URL_ENCODE_PARAM.")
        t.scalar("value") { (s: Text) -> Text in Text(try decode(s.bytes, plusIsBlank: true)) }
        t.function("URL_EXTRACT_FRAGMENT", .url, "What follows # in a URL; NULL if nothing does.")
        t.scalar("url") { (s: Text) -> Text? in try URLParts(s.bytes).fragment.map { Text(try decode($0, plusIsBlank: false)) } }
        t.function("URL_EXTRACT_HOST", .url, "The host of a URL; NULL if it has none.")
        t.scalar("url") { (s: Text) -> Text? in try URLParts(s.bytes).host.map { Text($0) } }
        t.function("URL_EXTRACT_PATH", .url, "The path of a URL; NULL if it has none, as mailto:a@b.org.")
        t.scalar("url") { (s: Text) -> Text? in try URLParts(s.bytes).path.map { Text(try decode($0, plusIsBlank: false)) } }
        t.function("URL_EXTRACT_PORT", .url, "The port of a URL; NULL if it names none.")
        t.scalar("url") { (s: Text) -> Int32? in try URLParts(s.bytes).port }
        t.function("URL_EXTRACT_PROTOCOL", .url, "The protocol of a URL, such as https; NULL if it has none.")
        t.scalar("url") { (s: Text) -> Text? in try URLParts(s.bytes).scheme.map { Text($0) } }
        t.function("URL_EXTRACT_QUERY", .url, "What stands between ? and # in a URL; NULL if nothing does.")
        t.scalar("url") { (s: Text) -> Text? in try URLParts(s.bytes).query.map { Text(try decode($0, plusIsBlank: false)) } }
        t.function("URL_EXTRACT_PARAMETER", .url, "The value of a parameter in a URL's query, decoded; NULL if it is not there.")
        t.scalar("url", "name") { (s: Text, name: Text) -> Text? in
            guard let query = try URLParts(s.bytes).query else { return nil }
            for pair in try decode(query, plusIsBlank: false).split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
                let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
                guard pair[..<equals].elementsEqual(name.bytes) else { continue }
                return Text(equals < pair.endIndex ? pair[(equals + 1)...] : [])
            }
            return nil
        }
    }

    private static func encode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        let hex = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "."), UInt8(ascii: "*"), UInt8(ascii: "_"), UInt8(ascii: "-"): out.append(byte)
            case 0x20: out.append(UInt8(ascii: "+"))
            default: out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return out
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
