import Logging
import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A broker with its log in a fresh directory, both gone afterwards.
final class TestBroker {
    let log: EmbeddedLog
    let group: MultiThreadedEventLoopGroup
    let port: Int
    private let broker: KafkaBroker

    static func run(
        _ limits: BrokerConfig = BrokerConfig(), listener: Listener.Security = .plaintext, security: SecurityConfig = SecurityConfig(),
        threads: Int = 2, _ body: (TestBroker) throws -> Void
    ) throws {
        var template = Array("/tmp/martlet-broker-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw MartletError(.io, "no temporary directory") }
        let directory = String(cString: made)
        defer { remove(directory) }
        var logger = Logger(label: "test")
        logger.logLevel = .error
        var config = LogConfig()
        config.topics.retentionMs = -1  // the tests' timestamps are small
        let log = try EmbeddedLog.open(directory: directory, config: config, time: .system, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        var brokerConfig = limits
        brokerConfig.security = security
        let broker = try KafkaBroker(
            log: log, listeners: [Listener(listener, port: 0)], group: group, logger: logger, config: brokerConfig)
        let port = try broker.start()
        defer {
            broker.stop()
            log.close()
            try? group.syncShutdownGracefully()
        }
        try body(TestBroker(log: log, group: group, port: port, broker: broker))
    }

    private init(log: EmbeddedLog, group: MultiThreadedEventLoopGroup, port: Int, broker: KafkaBroker) {
        self.log = log
        self.group = group
        self.port = port
        self.broker = broker
    }

    var users: UserStore { broker.users }

    /// Zero if there is no such topic.
    func topicID(_ name: String) -> UUIDBytes { UUIDBytes(log.topic(name)?.topicID ?? []) }

    var telemetry: TelemetryStore { broker.telemetry }

    var waitingFetches: Int { broker.waitingFetchCount }

    var statistics: BrokerStatistics { broker.statistics }

    func stop() { broker.stop() }

    func connect() throws -> TestClient { try TestClient(port: port) }

    private static func remove(_ directory: String) {
        guard let listing = opendir(directory) else { return }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name == "." || name == ".." { continue }
            if entry.pointee.d_type == UInt8(DT_DIR) { remove("\(directory)/\(name)") } else { unlink("\(directory)/\(name)") }
        }
        closedir(listing)
        rmdir(directory)
    }
}

/// A blocking client: writes frames, reads answers.
final class TestClient {
    private let descriptor: Int32
    private var correlation: Int32 = 100

    struct Closed: Error {}

    private let noSignal = Int32(truncatingIfNeeded: Int(MSG_NOSIGNAL))

    init(port: Int, timeoutMs: Int = 20_000) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Closed() }
        // A test that would hang fails instead.
        var timeout = timeval(tv_sec: timeoutMs / 1000, tv_usec: timeoutMs % 1000 * 1000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    func write(_ frame: ByteBuffer) throws {
        var bytes = Array(frame.readableBytesView)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, noSignal) }
            guard count > 0 else { throw Closed() }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Writes a request; the number is what its answer carries.
    func post<Request: WireRequest>(_ request: Request, _ version: Int16) throws -> Int32 {
        correlation += 1
        try write(Frame.request(request, version: version, correlationID: correlation, clientID: "test").joined)
        return correlation
    }

    func receive<Request: WireRequest>(_ type: Request.Type, _ version: Int16, _ correlation: Int32) throws -> Request.Response {
        let size = try ByteBuffer(bytes: read(4)).getInteger(at: 0, as: Int32.self) ?? 0
        var (answered, body) = try Frame.openResponse(ByteBuffer(bytes: read(Int(size))), to: Request.api, version: version)
        #expect(answered == correlation)
        var response = Request.Response()
        try response.code(&body)
        try body.finish()
        return response
    }

    func send<Request: WireRequest>(_ request: Request, _ version: Int16) throws -> Request.Response {
        try receive(Request.self, version, post(request, version))
    }

    /// Until bytes come, the connection ends, or the time is up.
    func awaitAnswer() {
        var byte: UInt8 = 0
        _ = recv(descriptor, &byte, 1, 0)
    }

    var isClosedByPeer: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, 0)
        return count == 0 || (count < 0 && errno == ECONNRESET)
    }

    /// The next bytes as they come.
    func bytes(_ count: Int) throws -> [UInt8] { try read(count) }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count), filled = 0
        while filled < count {
            let more = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + filled, count - filled, 0) }
            guard more > 0 else { throw Closed() }
            filled += more
        }
        return bytes
    }
}

/// One record with this value, in a batch of its own; with a producer id it is transactional.
func batch(_ value: String, timestamp: Int64 = 1, producerID: Int64 = -1, epoch: Int16 = -1, sequence: Int32 = -1) -> ByteBuffer {
    var builder = RecordBatchBuilder()
    Array(value.utf8).withUnsafeBytes { builder.append(timestamp: timestamp, key: nil, value: $0, headers: nil) }
    return ByteBuffer(
        bytes: builder.finish(producerID: producerID, epoch: epoch, baseSequence: sequence, isTransactional: producerID >= 0))
}

extension FrameBytes {
    var joined: ByteBuffer {
        var whole = ByteBuffer()
        for piece in pieces { whole.writeImmutableBuffer(piece) }
        return whole
    }
}
