import MartletCore
import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A small blocking producer over the Kafka protocol, for the generators: record batches go to a broker, several requests under way at once.
///
/// It speaks to one broker (a single-node log, or the node named), retries nothing and loses nothing in silence: every refusal is thrown.
/// Uses CreateTopics v1, Metadata v1 and Produce v7 (Kafka protocol guide), which every broker since 2.1 understands. Not thread-safe.
public final class KafkaProducer {
    private let descriptor: Int32
    private let address: String
    private var correlation: Int32 = 0
    private var inFlight: [Int32] = []
    private static let inFlightMax = 5
    private let acks: Int16

    /// - `bootstrap`: `host:port`.
    /// - `acks`: −1 waits until records are on disk, 1 until they are written.
    /// - Throws: `.io` naming the address if nobody listens there.
    public init(bootstrap: String, acks: Int16 = -1) throws(MartletError) {
        address = bootstrap
        self.acks = acks
        guard let colon = bootstrap.lastIndex(of: ":"), let port = UInt16(bootstrap[bootstrap.index(after: colon)...]) else {
            throw MartletError(.badRequest, "bootstrap server '\(bootstrap)' is not host:port")
        }
        descriptor = try Self.connect(host: String(bootstrap[..<colon]), port: port, address: bootstrap)
    }

    deinit { close(descriptor) }

    private static func connect(host: String, port: UInt16, address: String) throws(MartletError) -> Int32 {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else { throw MartletError(.io, "cannot find the host of \(address)") }
        defer { freeaddrinfo(list) }
        var next = list, reason = "no address"
        while let info = next?.pointee {
            let descriptor = socket(info.ai_family, info.ai_socktype, info.ai_protocol)
            if descriptor >= 0 {
                var one: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
                #if canImport(Glibc)
                if Glibc.connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 { return descriptor }
                #else
                if Darwin.connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 { return descriptor }
                #endif
                reason = String(cString: strerror(errno))
                close(descriptor)
            }
            next = info.ai_next
        }
        throw MartletError(.io, "cannot connect to \(address): \(reason)", hint: "start one with: martlet dev")
    }

    // MARK: - Requests

    /// Creates a topic unless there is one of that name.
    public func createTopic(_ name: String, partitions: Int32) throws(MartletError) {
        var body = Bytes()
        body.int32(1)
        body.string(name)
        body.int32(partitions)
        body.int16(1)
        body.int32(0)
        body.int32(0)
        body.int32(30_000)
        body.int8(0)
        var answer = try roundTrip(api: 19, version: 1, body)
        let count = try answer.int32()
        for _ in 0..<count {
            _ = try answer.string()
            let code = try answer.int16(), message = try answer.string()
            if code != 0 && code != 36 { throw MartletError(.io, "cannot create topic \(name): \(message ?? "error \(code)")") }
        }
    }

    /// Partitions of a topic.
    public func partitions(of topic: String) throws(MartletError) -> Int32 {
        var body = Bytes()
        body.int32(1)
        body.string(topic)
        var answer = try roundTrip(api: 3, version: 1, body)
        for _ in 0..<(try answer.int32()) {
            _ = try answer.int32()
            _ = try answer.string()
            _ = try answer.int32()
            _ = try answer.string()
        }
        _ = try answer.int32()
        guard try answer.int32() == 1 else { throw MartletError(.io, "\(address) does not describe topic \(topic)") }
        let code = try answer.int16()
        guard code == 0 else { throw MartletError(.notFound, "topic \(topic) cannot be described: error \(code)") }
        _ = try answer.string()
        _ = try answer.int8()
        return try answer.int32()
    }

    /// Sends one batch (emptying the builder) and returns before it is acknowledged, unless five already wait.
    public func send(_ batch: inout RecordBatchBuilder, topic: String, partition: Int32) throws(MartletError) {
        if inFlight.count >= Self.inFlightMax { try awaitOne() }
        let records = batch.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
        var body = Bytes()
        body.int16(-1)
        body.int16(acks)
        body.int32(30_000)
        body.int32(1)
        body.string(topic)
        body.int32(1)
        body.int32(partition)
        body.int32(Int32(records.count))
        try request(api: 0, version: 7, body, tail: records)
        if acks != 0 { inFlight.append(correlation) }
    }

    /// Waits until everything sent is acknowledged.
    public func flush() throws(MartletError) { while !inFlight.isEmpty { try awaitOne() } }

    private func awaitOne() throws(MartletError) {
        let expected = inFlight.removeFirst()
        var answer = try response(expected)
        for _ in 0..<(try answer.int32()) {
            let topic = try answer.string() ?? ""
            for _ in 0..<(try answer.int32()) {
                let partition = try answer.int32(), code = try answer.int16()
                _ = try answer.int64()
                _ = try answer.int64()
                _ = try answer.int64()
                if code != 0 {
                    throw MartletError(.io, "\(address) refused records of \(topic)-\(partition): \(KafkaErrorCode(rawValue: code).map { "\($0)" } ?? "error \(code)")")
                }
            }
        }
    }

    // MARK: - Wire

    private func roundTrip(api: Int16, version: Int16, _ body: Bytes) throws(MartletError) -> Answer {
        try flush()
        try request(api: api, version: version, body, tail: [])
        return try response(correlation)
    }

    private func request(api: Int16, version: Int16, _ body: Bytes, tail: [UInt8]) throws(MartletError) {
        correlation += 1
        var header = Bytes()
        header.int16(api)
        header.int16(version)
        header.int32(correlation)
        header.string("martlet")
        var frame = Bytes()
        frame.int32(Int32(header.bytes.count + body.bytes.count + tail.count))
        try write(frame.bytes + header.bytes + body.bytes)
        if !tail.isEmpty { try write(tail) }
    }

    private func response(_ expected: Int32) throws(MartletError) -> Answer {
        var size = Answer(bytes: try read(4))
        let count = try size.int32()
        guard count >= 4, count < 1 << 27 else { throw MartletError(.io, "\(address) does not speak the Kafka protocol, or only with TLS or a password") }
        var answer = Answer(bytes: try read(Int(count)))
        guard try answer.int32() == expected else { throw MartletError(.io, "\(address) answered out of order") }
        return answer
    }

    private func write(_ bytes: [UInt8]) throws(MartletError) {
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL)) }
            if n < 0 {
                if errno == EINTR { continue }
                throw MartletError(.io, "connection to \(address) lost: \(String(cString: strerror(errno)))")
            }
            done += n
        }
    }

    private func read(_ count: Int) throws(MartletError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let n = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + done, count - done, 0) }
            if n == 0 { throw MartletError(.io, "\(address) closed the connection") }
            if n < 0 {
                if errno == EINTR { continue }
                throw MartletError(.io, "connection to \(address) lost: \(String(cString: strerror(errno)))")
            }
            done += n
        }
        return bytes
    }

    private struct Bytes {
        var bytes: [UInt8] = []
        mutating func int8(_ value: Int8) { bytes.append(UInt8(bitPattern: value)) }
        mutating func int16(_ value: Int16) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
        mutating func int32(_ value: Int32) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
        mutating func string(_ text: String) {
            int16(Int16(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
    }

    private struct Answer {
        let bytes: [UInt8]
        var at = 0
        init(bytes: [UInt8]) { self.bytes = bytes }

        private mutating func integer(_ size: Int) throws(MartletError) -> UInt64 {
            guard at + size <= bytes.count else { throw MartletError(.io, "a response ends early") }
            defer { at += size }
            return bytes[at..<at + size].reduce(0) { $0 << 8 | UInt64($1) }
        }
        mutating func int8() throws(MartletError) -> Int8 { Int8(truncatingIfNeeded: try integer(1)) }
        mutating func int16() throws(MartletError) -> Int16 { Int16(truncatingIfNeeded: try integer(2)) }
        mutating func int32() throws(MartletError) -> Int32 { Int32(truncatingIfNeeded: try integer(4)) }
        mutating func int64() throws(MartletError) -> Int64 { Int64(truncatingIfNeeded: try integer(8)) }
        mutating func string() throws(MartletError) -> String? {
            let count = Int(try int16())
            if count < 0 { return nil }
            guard at + count <= bytes.count else { throw MartletError(.io, "a response ends early") }
            defer { at += count }
            return String(decoding: bytes[at..<at + count], as: UTF8.self)
        }
    }
}
