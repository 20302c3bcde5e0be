#if canImport(Glibc)
import Glibc
#endif

/// The statements typed so far, oldest first, kept in a file: one a line, line breaks and backslashes written as `\n` and `\\`.
public struct History: Sendable {
    public private(set) var entries: [String] = []
    private let path: String?
    private let limit: Int

    /// - `path`: nil keeps nothing. A file that is absent is an empty history; so is one that cannot be read.
    public init(path: String?, limit: Int = 2000) {
        self.path = path
        self.limit = limit
        guard let path, let bytes = Self.read(path) else { return }
        let lines = bytes.split(separator: UInt8(ascii: "\n")).suffix(limit)
        entries = lines.map { Self.decoded(String(decoding: $0, as: UTF8.self)) }
        if bytes.split(separator: UInt8(ascii: "\n")).count > 2 * limit { rewrite() }
    }

    /// Remembers `entry` unless it is blank or the same as the last.
    ///
    /// - Returns: false if the file could not be written; the entry is remembered until the shell ends all the same.
    @discardableResult
    public mutating func append(_ entry: String) -> Bool {
        guard entry.contains(where: { !$0.isWhitespace }), entry != entries.last else { return true }
        entries.append(entry)
        if entries.count > limit { entries.removeFirst(entries.count - limit) }
        return write(Self.encoded(entry) + "\n", flags: O_WRONLY | O_CREAT | O_APPEND)
    }

    private func rewrite() {
        _ = write(entries.map { Self.encoded($0) + "\n" }.joined(), flags: O_WRONLY | O_CREAT | O_TRUNC)
    }

    static func encoded(_ entry: String) -> String {
        var out = ""
        for scalar in entry.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": break
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    static func decoded(_ line: String) -> String {
        var out = ""
        var isEscaped = false
        for scalar in line.unicodeScalars {
            if isEscaped {
                out.unicodeScalars.append(scalar == "n" ? "\n" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    private static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? bytes : nil }
            bytes += buffer[..<count]
        }
    }

    /// Only its owner may read the file: statements may hold passwords.
    private func write(_ text: String, flags: Int32) -> Bool {
        guard let path else { return true }
        let file = open(path, flags | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        return Terminal.write(Array(text.utf8), to: file)
    }
}
