import MartletColumns
import MartletCore

/// Where a server's REST API is: `http[s]://[user:password@]host[:port][/path]`. The port is 8088 unless given, `http://` may be left out.
public struct ServerAddress: Sendable, Hashable {
    public static let defaultText = "http://localhost:8088"

    public let host: String
    public let port: UInt16
    /// With TLS.
    public let isSecure: Bool
    /// Before the API's own paths; no `/` at its end.
    let path: String
    /// The value of the Authorization header.
    let authorization: String?

    /// Whether it is the address of the machine that asks.
    var isThisMachine: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    /// - Throws: `.badRequest` that says what an address looks like.
    public init(_ text: String) throws(MartletError) {
        func bad(_ why: String) -> MartletError {
            MartletError(.badRequest, "'\(text)' is no address of a server: \(why)", hint: "an address is http[s]://[user:password@]host[:port], e.g. \(Self.defaultText)")
        }
        var rest = text[...], isSecure = false
        if let scheme = rest.firstRange(of: "://") {
            let name = rest[..<scheme.lowerBound].lowercased()
            guard name == "http" || name == "https" else { throw bad("its scheme is '\(name)'") }
            isSecure = name == "https"
            rest = rest[scheme.upperBound...]
        }
        self.isSecure = isSecure
        if let end = rest.firstIndex(where: { $0 == "?" || $0 == "#" }) { rest = rest[..<end] }
        var path = ""
        if let slash = rest.firstIndex(of: "/") {
            path = String(rest[slash...])
            rest = rest[..<slash]
        }
        while path.hasSuffix("/") { path.removeLast() }
        guard !path.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else { throw bad("its path has blanks") }
        self.path = path
        if let at = rest.lastIndex(of: "@") {
            guard let credentials = Self.decoded(rest[..<at]), credentials.contains(":") else { throw bad("before the @ stands user:password") }
            authorization = "Basic \(Base64.encode(credentials.utf8))"
            rest = rest[rest.index(after: at)...]
        } else {
            authorization = nil
        }
        var portText: Substring?
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let after = rest[rest.index(after: end)...]
            if !after.isEmpty {
                guard after.hasPrefix(":") else { throw bad("after the ] stands :port") }
                portText = after.dropFirst()
            }
        } else if let colon = rest.lastIndex(of: ":") {
            host = String(rest[..<colon])
            portText = rest[rest.index(after: colon)...]
        } else {
            host = String(rest)
        }
        guard !host.isEmpty, !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else { throw bad("it names no host") }
        if let portText {
            guard let number = UInt16(portText), number > 0 else { throw bad("'\(portText)' is no port") }
            port = number
        } else {
            port = 8088
        }
    }

    /// Host and port as the Host header has them.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }

    /// `%3A` is `:`; nil if a `%` is not followed by two hexadecimal digits.
    private static func decoded(_ text: Substring) -> String? {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                out.append(byte)
                continue
            }
            guard bytes.count >= 2, let value = UInt8(String(decoding: bytes.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            out.append(value)
            bytes = bytes.dropFirst(2)
        }
        return String(validating: out, as: UTF8.self)
    }
}

/// Without what stands before the `@`.
extension ServerAddress: CustomStringConvertible {
    public var description: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }
}
