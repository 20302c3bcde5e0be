/// The parts of a URL as `java.net.URI` sees them (RFC 2396 with RFC 2732 and characters beyond ASCII).
///
/// `[scheme:][//[user@]host[:port]][path][?query][#fragment]`, or `scheme:anything[#fragment]`, which has no path. A host that is none by the
/// book (`a_b.org`) is a name of some registry: the URL is fine but has neither host nor port.
struct URLParts {
    typealias Bytes = Slice<UnsafeBufferPointer<UInt8>>

    private(set) var scheme: Bytes?
    private(set) var host: Bytes?
    private(set) var port: Int32?
    private(set) var path: Bytes?
    private(set) var query: Bytes?
    private(set) var fragment: Bytes?

    init(_ bytes: Bytes) throws(KernelFailure) {
        var rest = bytes
        if let hash = rest.firstIndex(of: UInt8(ascii: "#")) {
            let part = rest[(hash + 1)...]
            try Self.check(part, "fragment", brackets: true)
            fragment = part
            rest = rest[..<hash]
        }
        if let stop = rest.firstIndex(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }), rest[stop] == UInt8(ascii: ":") {
            let name = rest[..<stop]
            guard let first = name.first, Self.isLetter(first), name.allSatisfy({ Self.isLetter($0) || Self.isDigit($0) || "+-.".utf8.contains($0) }) else {
                throw KernelFailure("not a URL: it has no scheme name before ':'")
            }
            scheme = name
            rest = rest[(stop + 1)...]
            if rest.isEmpty { throw KernelFailure("not a URL: nothing follows its scheme") }
            if rest.first != UInt8(ascii: "/") {
                try Self.check(rest, "scheme-specific part", brackets: true)
                return
            }
        }
        if let mark = rest.firstIndex(of: UInt8(ascii: "?")) {
            let part = rest[(mark + 1)...]
            try Self.check(part, "query", brackets: true)
            query = part
            rest = rest[..<mark]
        }
        if rest.starts(with: "//".utf8) {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            if end == rest.startIndex {
                if rest.isEmpty, query == nil, fragment == nil { throw KernelFailure("not a URL: it has no authority") }
            } else {
                try readAuthority(rest[..<end])
            }
            rest = rest[end...]
        }
        try Self.check(rest, "path", brackets: false)
        path = rest
    }

    private static func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// Characters that must be encoded, and `%` without two digits, are mistakes.
    private static func check(_ bytes: Bytes, _ part: String, brackets: Bool) throws(KernelFailure) {
        var i = bytes.startIndex
        while i < bytes.endIndex {
            let byte = bytes[i]
            i += 1
            if byte >= 0x80 || Self.plain.containsASCII(byte) { continue }
            if byte == UInt8(ascii: "%") {
                guard i + 1 < bytes.endIndex, FunctionTable.hexByte(bytes[i], bytes[i + 1]) != nil else {
                    throw KernelFailure("not a URL: % is followed by two hexadecimal digits")
                }
            } else if !brackets || (byte != UInt8(ascii: "[") && byte != UInt8(ascii: "]")) {
                throw KernelFailure("not a URL: its \(part) contains a character that must be encoded")
            }
        }
    }

    /// What may stand everywhere: neither `%` nor brackets nor what must be encoded.
    private static let plain = CodePointSet(.none) { point in
        guard point > 0x20, point < 0x7f, let scalar = Unicode.Scalar(point) else { return false }
        return !"\"#<>\\^`{|}%[]".unicodeScalars.contains(scalar)
    }

    private mutating func readAuthority(_ authority: Bytes) throws(KernelFailure) {
        var rest = authority
        if let at = rest.firstIndex(of: UInt8(ascii: "@")) { rest = rest[(at + 1)...] }
        if rest.first == UInt8(ascii: "[") {
            guard let close = rest.firstIndex(of: UInt8(ascii: "]")), close > rest.startIndex + 1,
                rest[(rest.startIndex + 1)..<close].allSatisfy({ Self.isDigit($0) || Self.isLetter($0) || ":.%_-".utf8.contains($0) })
            else { throw KernelFailure("not a URL: malformed IPv6 address") }
            guard let port = Self.port(rest[(close + 1)...]) else { throw KernelFailure("not a URL: malformed port") }
            (host, self.port) = (rest[...close], port)
            return
        }
        let colon = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
        if Self.isHost(rest[..<colon]), let port = Self.port(rest[colon...]) {
            (host, self.port) = (rest[..<colon], port)
        } else {
            try Self.check(authority, "authority", brackets: false)
        }
    }

    /// Nil for what is no port; `.some(nil)` where none is given.
    private static func port(_ text: Bytes) -> Int32?? {
        if text.isEmpty { return .some(nil) }
        let digits = text.dropFirst()
        guard text.first == UInt8(ascii: ":"), digits.allSatisfy(isDigit) else { return nil }
        if digits.isEmpty { return .some(nil) }
        guard let number = Int32(String(decoding: digits, as: UTF8.self)) else { return nil }
        return .some(number)
    }

    /// An IPv4 address, or labels of letters, digits and inner hyphens, of which the last begins with a letter.
    private static func isHost(_ text: Bytes) -> Bool {
        var labels = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if labels.count == 4, labels.allSatisfy({ !$0.isEmpty && $0.count <= 3 && $0.allSatisfy(isDigit) }) {
            return labels.allSatisfy { $0.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 255 }
        }
        if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
        guard let top = labels.last?.first, isLetter(top) else { return false }
        return labels.allSatisfy { label in
            guard let first = label.first, let last = label.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else { return false }
            return label.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
        }
    }
}
