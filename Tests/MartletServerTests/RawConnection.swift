import MartletCore
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An answer read by hand, so that the tests see the chunks as they were sent.
struct RawResponse: Sendable {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]
    /// The chunks of a chunked body, in order.
    var chunks: [[UInt8]] = []

    var text: String { String(decoding: body, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
}

/// A blocking TCP client that speaks as much HTTP/1.1 as the tests need.
final class RawConnection {
    private let socketDescriptor: Int32
    private var pending: [UInt8] = []

    /// - `receiveBufferBytes`: a small one makes a slow reader felt early.
    init(port: Int, receiveBufferBytes: Int32? = nil) throws {
        socketDescriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBufferBytes { setsockopt(socketDescriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var timeout = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socketDescriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socketDescriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { throw MartletError(.io, "cannot connect to port \(port): errno \(errno)") }
    }

    deinit { close() }

    private var isOpen = true
    func close() {
        if isOpen { Glibc.close(socketDescriptor) }
        isOpen = false
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.send(socketDescriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
            if n <= 0 { throw MartletError(.io, "send failed: errno \(errno)") }
            sent += n
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ method: String, _ path: String, _ body: String? = nil, headers: [String] = []) throws {
        var text = "\(method) \(path) HTTP/1.1\r\nhost: test\r\n"
        for header in headers { text += header + "\r\n" }
        if let body { text += "content-length: \(body.utf8.count)\r\n" }
        try send(text + "\r\n" + (body ?? ""))
    }

    /// False at the end.
    private func fill() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let n = recv(socketDescriptor, &buffer, buffer.count, 0)
        if n < 0 { throw MartletError(.timeout, "nothing came: errno \(errno)") }
        pending += buffer[..<n]
        return n > 0
    }

    /// Whether the server closes the connection, with nothing more to read.
    func isClosedByServer() throws -> Bool { pending.isEmpty ? try !fill() : false }

    func bytes(_ count: Int) throws -> [UInt8] {
        while pending.count < count { guard try fill() else { throw MartletError(.io, "the connection ended within a message") } }
        defer { pending.removeFirst(count) }
        return Array(pending.prefix(count))
    }

    /// The bytes up to the next newline, without `\r\n` or `\n`.
    func line() throws -> String {
        while true {
            if let end = pending.firstIndex(of: 0x0a) {
                let line = pending[..<end]
                pending.removeFirst(end + 1)
                return String(decoding: line.last == 0x0d ? line.dropLast() : line, as: UTF8.self)
            }
            guard try fill() else { throw MartletError(.io, "the connection ended within a line") }
        }
    }

    func head() throws -> RawResponse {
        let parts = try line().split(separator: " ")
        var response = RawResponse(status: parts.count > 1 ? Int(parts[1]) ?? 0 : 0, headers: [:], body: [])
        while case let line = try line(), !line.isEmpty {
            let sides = line.split(separator: ":", maxSplits: 1)
            response.headers[sides[0].lowercased()] = sides.count > 1 ? String(sides[1].drop { $0 == " " }) : ""
        }
        return response
    }

    /// One chunk; nil for the last one.
    func chunk() throws -> [UInt8]? {
        let size = Int(try line(), radix: 16) ?? -1
        guard size >= 0 else { throw MartletError(.io, "not a chunk size") }
        let data = try bytes(size)
        _ = try line()
        return size == 0 ? nil : data
    }

    func response(toHead: Bool = false) throws -> RawResponse {
        var response = try head()
        if toHead || response.status < 200 { return response }
        if response.headers["transfer-encoding"] == "chunked" {
            while let chunk = try chunk() {
                response.chunks.append(chunk)
                response.body += chunk
            }
        } else if let length = response.headers["content-length"].flatMap({ Int($0) }) {
            response.body = try bytes(length)
        } else {
            while try fill() {}
            response.body = pending
            pending = []
        }
        return response
    }
}
