import MartletCore

/// The head of an HTTP/1.1 response (RFC 9112).
struct HTTPResponseHead {
    var status: Int
    /// Names in lower case.
    var headers: [(name: String, value: String)] = []

    subscript(name: String) -> String? { headers.last { $0.name == name }?.value }

    static let bytesMax = 64 * 1024

    /// Waits for the head, past any 1xx responses.
    static func read(from connection: HTTPConnection, _ wait: HTTPConnection.Wait) throws(RestFailure) -> HTTPResponseHead {
        while true {
            let head = try readOne(from: connection, wait)
            if !(100..<200).contains(head.status) { return head }
        }
    }

    private static func readOne(from connection: HTTPConnection, _ wait: HTTPConnection.Wait) throws(RestFailure) -> HTTPResponseHead {
        func line() throws(RestFailure) -> String {
            while true {
                if let line = connection.takeLine() { return line }
                if connection.received.count > bytesMax { throw connection.lost("its answer has a line of more than \(bytesMax) bytes") }
                switch try connection.fill(wait) {
                case .some: break
                case .nothingYet: throw connection.lost("no answer in time")
                case .end: throw connection.lost("it was closed before an answer came")
                }
            }
        }
        let parts = try line().split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
            throw .transport(MartletError(.io, "what answers at \(connection.address) does not speak HTTP/1.1", hint: "the SQL port of martlet dev is 8088"))
        }
        var head = HTTPResponseHead(status: status)
        while true {
            let text = try line()
            if text.isEmpty { return head }
            guard let colon = text.firstIndex(of: ":") else { continue }
            head.headers.append((text[..<colon].lowercased(), text[text.index(after: colon)...].trimmed))
            if head.headers.count > 1000 { throw connection.lost("its answer has more than 1000 headers") }
        }
    }
}

/// The body of a response, as it comes.
final class HTTPBody {
    enum Piece {
        case bytes([UInt8])
        case nothingYet, end
    }

    private enum Framing {
        /// Bytes until the chunk's end; 0 between chunks.
        case chunked(left: Int, endsWithBreak: Bool)
        case trailers
        case length(left: Int)
        case untilClose
        case done
    }

    private let connection: HTTPConnection
    private var framing: Framing
    /// Decoded and not yet taken: `pending[start...]`, searched for a line break up to `searched`.
    private var pending: [UInt8] = []
    private var start = 0
    private var searched = 0
    private let leavesOpen: Bool

    init(_ head: HTTPResponseHead, on connection: HTTPConnection) {
        self.connection = connection
        let tokens = (head["connection"] ?? "").lowercased().split(separator: ",").map(\.trimmed)
        var isDelimited = true
        if head.status == 204 || head.status == 304 {
            framing = .done
        } else if let encoding = head["transfer-encoding"], encoding.lowercased().contains("chunked") {
            framing = .chunked(left: 0, endsWithBreak: false)
        } else if let length = head["content-length"].flatMap({ Int($0) }), length >= 0 {
            framing = length == 0 ? .done : .length(left: length)
        } else {
            framing = .untilClose
            isDelimited = false
        }
        leavesOpen = isDelimited && !tokens.contains("close")
    }

    /// The connection, if the body was read to its end and another request may follow.
    var reusable: HTTPConnection? {
        if leavesOpen, case .done = framing { connection } else { nil }
    }

    /// The next line without its line break; nil at the end, and if `wait` is over (`isAtEnd` tells which).
    func nextLine(_ wait: HTTPConnection.Wait) throws(RestFailure) -> String? {
        while true {
            if let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                var line = pending[start..<end]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                let text = String(decoding: line, as: UTF8.self)
                start = end + 1
                searched = start
                return text
            }
            searched = pending.count
            switch try read(wait) {
            case .bytes(let bytes):
                if start > 0 {
                    pending.removeSubrange(..<start)
                    searched -= start
                    start = 0
                }
                pending += bytes
            case .nothingYet: return nil
            case .end:
                isAtEnd = true
                guard start < pending.count else { return nil }
                defer { (pending, start, searched) = ([], 0, 0) }
                return String(decoding: pending[start...], as: UTF8.self)
            }
        }
    }

    private(set) var isAtEnd = false

    func all(_ wait: HTTPConnection.Wait) throws(RestFailure) -> [UInt8] {
        var out = Array(pending[start...])
        while true {
            switch try read(wait) {
            case .bytes(let bytes): out += bytes
            case .nothingYet: throw connection.lost("no answer in time")
            case .end: return out
            }
        }
    }

    private func read(_ wait: HTTPConnection.Wait) throws(RestFailure) -> Piece {
        while true {
            switch framing {
            case .done: return .end
            case .length(let left):
                if let bytes = some(left) {
                    framing = left == bytes.count ? .done : .length(left: left - bytes.count)
                    return .bytes(bytes)
                }
            case .untilClose:
                if let bytes = some(.max) { return .bytes(bytes) }
            case .chunked(let left, let endsWithBreak) where left > 0:
                if let bytes = some(left) {
                    framing = .chunked(left: left - bytes.count, endsWithBreak: endsWithBreak)
                    return .bytes(bytes)
                }
            case .chunked(_, let endsWithBreak):
                if let line = connection.takeLine() {
                    if endsWithBreak {
                        guard line.isEmpty else { throw connection.lost("a chunk is longer than it says") }
                        framing = .chunked(left: 0, endsWithBreak: false)
                        continue
                    }
                    let digits = line.prefix { $0 != ";" }.trimmed
                    guard let size = Int(digits, radix: 16), size >= 0 else { throw connection.lost("'\(digits)' is no size of a chunk") }
                    framing = size == 0 ? .trailers : .chunked(left: size, endsWithBreak: true)
                    continue
                }
            case .trailers:
                if let line = connection.takeLine() {
                    if line.isEmpty { framing = .done }
                    continue
                }
            }
            switch try connection.fill(wait) {
            case .some: break
            case .nothingYet: return .nothingYet
            case .end:
                guard case .untilClose = framing else { throw connection.lost("it was closed in the middle of an answer") }
                framing = .done
            }
        }
    }

    private func some(_ atMost: Int) -> [UInt8]? {
        let received = connection.received
        guard !received.isEmpty else { return nil }
        let bytes = Array(received.prefix(atMost))
        connection.take(bytes.count)
        return bytes
    }
}

extension StringProtocol {
    /// Without blanks at both ends.
    var trimmed: String {
        var slice = self[...]
        while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
        while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
        return String(slice)
    }
}
