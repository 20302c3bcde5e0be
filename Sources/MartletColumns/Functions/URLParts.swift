/// The parts of a URL as `java.net.URI` sees them (RFC 2396 with RFC 2732 and characters beyond ASCII).
///
/// `[scheme:][//[user@]host[:port]][path][?query][#fragment]`, or `scheme:anything[#fragment]`, which has no path. A host that is none by the
/// book (`a_b.org`) is a name of some registry: the URL is fine but has neither host nor port.
struct URLParts {
    private(set) var scheme: ArraySlice<UInt8>?
    private(set) var host: ArraySlice<UInt8>?
    private(set) var port: Int32?
    private(set) var path: ArraySlice<UInt8>?
    private(set) var query: ArraySlice<UInt8>?
    private(set) var fragment: ArraySlice<UInt8>?

    init(_ bytes: ArraySlice<UInt8>) throws(KernelFailure) {
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
    private static func check(_ bytes: ArraySlice<UInt8>, _ part: String, brackets: Bool) throws(KernelFailure) {
        var i = bytes.startIndex
        while i < bytes.endIndex {
            switch bytes[i] {
            case UInt8(ascii: "%"):
                guard i + 2 < bytes.endIndex, FunctionTable.hexByte(bytes[i + 1], bytes[i + 2]) != nil else {
                    throw KernelFailure("not a URL: % is followed by two hexadecimal digits")
                }
            case 0...0x20, 0x7f, UInt8(ascii: "\""), UInt8(ascii: "#"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
                throw KernelFailure("not a URL: its \(part) contains a character that must be encoded")
            case UInt8(ascii: "["), UInt8(ascii: "]"):
                if !brackets { throw KernelFailure("not a URL: its \(part) contains a character that must be encoded") }
            default: break
            }
            i += 1
        }
    }

    private mutating func readAuthority(_ authority: ArraySlice<UInt8>) throws(KernelFailure) {
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
    private static func port(_ text: ArraySlice<UInt8>) -> Int32?? {
        if text.isEmpty { return .some(nil) }
        let digits = text.dropFirst()
        guard text.first == UInt8(ascii: ":"), digits.allSatisfy(isDigit) else { return nil }
        if digits.isEmpty { return .some(nil) }
        guard let number = Int32(String(decoding: digits, as: UTF8.self)) else { return nil }
        return .some(number)
    }

    /// An IPv4 address, or labels of letters, digits and inner hyphens, of which the last begins with a letter.
    private static func isHost(_ text: ArraySlice<UInt8>) -> Bool {
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
