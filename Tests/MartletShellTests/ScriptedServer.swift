import Foundation
import Glibc

/// A server on a free port of the loopback that answers each connection with bytes written beforehand, and keeps what it was asked.
final class ScriptedServer: @unchecked Sendable {  // `requests` is behind the lock; the rest does not change after init.
    struct Answer {
        var bytes: [UInt8]
        /// Bytes a write; nil = all at once.
        var piece: Int?
        /// Whether the connection is closed after it, or kept for the next request.
        var closes = true
        /// Nothing more comes, but the connection stays open until the client closes it.
        var hangs = false

        init(_ text: String, piece: Int? = nil, closes: Bool = true, hangs: Bool = false) {
            bytes = Array(text.utf8)
            self.piece = piece
            self.closes = closes
            self.hangs = hangs
        }
    }

    let port: UInt16
    private let listener: Int32
    private let lock = NSLock()
    private var heard: [String] = []
    private var connections = 0

    var requests: [String] { lock.withLock { heard } }
    var connectionCount: Int { lock.withLock { connections } }

    init?(_ answer: @escaping @Sendable (_ request: String, _ index: Int) -> Answer) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard isBound else { return nil }
        Thread.detachNewThread { [self] in
            while true {
                let file = accept(listener, nil, nil)
                if file < 0 { return }
                lock.withLock { connections += 1 }
                Thread.detachNewThread { self.serve(file, answer) }
            }
        }
    }

    /// No client is let in any more.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func serve(_ file: Int32, _ answer: (String, Int) -> Answer) {
        defer { close(file) }
        var on: Int32 = 1
        setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        while let request = request(file) {
            let index = lock.withLock {
                heard.append(request)
                return heard.count - 1
            }
            let answer = answer(request, index)
            let step = answer.piece ?? max(answer.bytes.count, 1)
            for start in stride(from: 0, to: answer.bytes.count, by: step) {
                let piece = Array(answer.bytes[start..<min(start + step, answer.bytes.count)])
                if send(file, piece, piece.count, Int32(MSG_NOSIGNAL)) != piece.count { return }
                if answer.piece != nil { sched_yield() }
            }
            if answer.hangs {
                var byte: UInt8 = 0
                while recv(file, &byte, 1, 0) > 0 {}
                return
            }
            if answer.closes { return }
        }
    }

    /// Head and body of the next request; nil if the client is gone.
    private func request(_ file: Int32) -> String? {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while !bytes.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            guard recv(file, &byte, 1, 0) == 1 else { return nil }
            bytes.append(byte)
        }
        let head = String(decoding: bytes, as: UTF8.self)
        let length = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }.flatMap { Int($0.dropFirst(16)) } ?? 0
        for _ in 0..<length {
            guard recv(file, &byte, 1, 0) == 1 else { return nil }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
