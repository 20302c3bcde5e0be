import MartletCore

#if canImport(Glibc)
import Glibc
#endif

/// Why a request has no answer.
public enum RestFailure: Error, Sendable {
    /// The server answered, and not with what was asked for.
    case refused(ServerRefusal)
    /// There is no server, or it went away.
    case transport(MartletError)
    /// Ctrl-C.
    case interrupted
}

/// One TCP connection, with TLS or without, read and written without blocking so that Ctrl-C can end every wait.
final class HTTPConnection {
    enum Wait {
        case forever
        case milliseconds(Int32)

        var pollTimeout: Int32 {
            switch self {
            case .forever: -1
            case .milliseconds(let time): time
            }
        }
    }

    enum Filled { case some, nothingYet, end }

    let address: ServerAddress
    private let file: Int32
    private let interrupts: Interrupts?
    private var tls: TLSSession?
    /// Received and not yet taken: `bytes[start...]`.
    private var bytes: [UInt8] = []
    private var start = 0

    private init(_ file: Int32, _ address: ServerAddress, _ interrupts: Interrupts?) {
        self.file = file
        self.address = address
        self.interrupts = interrupts
    }

    deinit { close(file) }

    // MARK: - Opening

    /// Tries every address that the host's name stands for, `connectMs` each.
    /// - `trust`: for an address with https.
    static func open(
        _ address: ServerAddress, interrupts: Interrupts?, trust: TLSTrust? = nil, connectMs: Int32 = 10_000
    ) throws(RestFailure) -> HTTPConnection {
        let connection = try connect(address, interrupts: interrupts, connectMs: connectMs)
        if let trust { try connection.secure(trust, connectMs) }
        return connection
    }

    private func secure(_ trust: TLSTrust, _ connectMs: Int32) throws(RestFailure) {
        do throws(MartletError) { tls = try TLSSession(trust, host: address.host, port: address.port) } catch { throw .transport(error) }
        do throws(RestFailure) {
            try sendRaw(tls?.takeOutbound() ?? [])
            while tls?.isReady == false {
                switch try fill(.milliseconds(connectMs), untilReady: true) {
                case .some: break
                case .nothingYet: throw lost("no answer in time")
                case .end: throw lost("the server hung up instead of a TLS handshake")
                }
            }
        } catch {
            guard case .transport(let cause) = error else { throw error }
            throw .transport(
                MartletError(.io, "cannot reach \(address): \(cause.message)", detail: cause.detail, hint: cause.hint))
        }
    }

    private static func connect(_ address: ServerAddress, interrupts: Interrupts?, connectMs: Int32) throws(RestFailure) -> HTTPConnection {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, String(address.port), &hints, &found)
        guard status == 0 else { throw .transport(unreachable(address, "host \(address.host): \(String(cString: gai_strerror(status)))")) }
        defer { freeaddrinfo(found) }
        var lastError: Int32 = 0
        var next = found
        while let candidate = next?.pointee {
            next = candidate.ai_next
            let file = socket(candidate.ai_family, candidate.ai_socktype, candidate.ai_protocol)
            guard file >= 0 else {
                lastError = errno
                continue
            }
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
            _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
            var on: Int32 = 1
            setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            let connection = HTTPConnection(file, address, interrupts)
            if Glibc.connect(file, candidate.ai_addr, candidate.ai_addrlen) == 0 { return connection }
            guard errno == EINPROGRESS else {
                lastError = errno
                continue
            }
            guard try connection.wait(for: POLLOUT, .milliseconds(connectMs)) else {
                lastError = ETIMEDOUT
                continue
            }
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(file, SOL_SOCKET, SO_ERROR, &lastError, &size)
            if lastError == 0 { return connection }
        }
        throw .transport(unreachable(address, String(cString: strerror(lastError)).lowercased()))
    }

    private static func unreachable(_ address: ServerAddress, _ why: String) -> MartletError {
        MartletError(.io, "cannot reach \(address): \(why)", hint: address.isThisMachine ? "start a server with: martlet dev" : nil)
    }

    // MARK: - Bytes

    /// Whether the server has not closed it, nor said what nobody asked for.
    var isFresh: Bool {
        guard start == bytes.count else { return false }
        // A server may have sent tickets: no bytes of an answer.
        if tls != nil { return (try? fill(.milliseconds(0))) == .nothingYet }
        var byte: UInt8 = 0
        return recv(file, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
    }

    func send(_ request: [UInt8]) throws(RestFailure) {
        guard let tls else { return try sendRaw(request) }
        do throws(MartletError) { try tls.write(request) } catch { throw .transport(error) }
        try sendRaw(tls.takeOutbound())
    }

    private func sendRaw(_ request: [UInt8]) throws(RestFailure) {
        var done = 0
        while done < request.count {
            let count = request[done...].withUnsafeBytes { Glibc.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count >= 0 {
                done += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                _ = try wait(for: POLLOUT, .forever)
            } else if errno != EINTR {
                throw lost(String(cString: strerror(errno)).lowercased())
            }
        }
    }

    /// Reads what is there, waiting for it as long as `wait` says.
    /// - `untilReady`: returns as soon as TLS is there, though nothing was said.
    func fill(_ wait: Wait, untilReady: Bool = false) throws(RestFailure) -> Filled {
        if start > 0 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        while true {
            let before = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: 64 * 1024))
            let count = bytes[before...].withUnsafeMutableBytes { recv(file, $0.baseAddress, $0.count, 0) }
            let error = errno
            bytes.removeSubrange((before + max(count, 0))...)
            if count > 0, let tls {
                let encrypted = bytes[before...]
                bytes.removeSubrange(before...)
                do throws(MartletError) { bytes += try tls.receive(encrypted) } catch { throw .transport(error) }
                try sendRaw(tls.takeOutbound())
                if bytes.count > before || untilReady && tls.isReady { return .some }
                continue
            }
            if count > 0 { return .some }
            if count == 0 { return .end }
            if error == EAGAIN || error == EWOULDBLOCK {
                guard try self.wait(for: POLLIN, wait) else { return .nothingYet }
            } else if error != EINTR {
                throw lost(String(cString: strerror(error)).lowercased())
            }
        }
    }

    var received: ArraySlice<UInt8> { bytes[start...] }

    func take(_ count: Int) { start += count }

    /// The next line without its line break, if it is there whole.
    func takeLine() -> String? {
        guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        var line = bytes[start..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        start = end + 1
        return String(decoding: line, as: UTF8.self)
    }

    func lost(_ why: String) -> RestFailure { .transport(MartletError(.io, "the connection to \(address) was lost: \(why)")) }

    /// - Returns: false if the time is over.
    /// - Throws: `.interrupted`.
    private func wait(for event: Int32, _ wait: Wait) throws(RestFailure) -> Bool {
        var wanted = [pollfd(fd: file, events: Int16(event), revents: 0)]
        if let interrupts { wanted.append(pollfd(fd: interrupts.readEnd, events: Int16(POLLIN), revents: 0)) }
        while true {
            let count = poll(&wanted, nfds_t(wanted.count), wait.pollTimeout)
            if count < 0, errno == EINTR { continue }
            if wanted.count > 1, wanted[1].revents != 0 {
                interrupts?.drain()
                throw .interrupted
            }
            return count > 0
        }
    }
}
