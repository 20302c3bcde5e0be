// A broker that does nothing but what the protocol cannot do without: the limit of what a client can reach on a machine, whoever answers it.
//
// One topic with one partition, in memory: that which was last produced to. What a producer sends is kept as it came (base offset patched, no checksum
// looked at), what a consumer asks for is sent from there. Old versions of five requests, one thread, connections served in turn: nothing to take as an
// example.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A request's fields, big-endian (protocol guide, "Protocol Primitive Types").
private struct Fields {
    var bytes: UnsafeRawBufferPointer
    var at = 0

    mutating func int<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
        defer { at += MemoryLayout<Value>.size }
        return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: type))
    }

    mutating func string() -> [UInt8] {
        let count = max(0, Int(int(Int16.self)))
        defer { at += count }
        return Array(bytes[at..<at + count])
    }
}

/// An answer under construction.
private struct Answer {
    var bytes: [UInt8] = []

    mutating func add<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }

    mutating func add(_ string: [UInt8]) {
        add(Int16(string.count))
        bytes.append(contentsOf: string)
    }
}

struct IdealBroker {
    private enum API: Int16, CaseIterable {
        case produce = 0, fetch = 1, listOffsets = 2, metadata = 3, apiVersions = 18

        /// The one version of each that is spoken: the oldest with today's record batches.
        var version: Int16 {
            switch self {
            case .produce: 3
            case .fetch: 4
            case .listOffsets, .metadata: 1
            case .apiVersions: 0
            }
        }
    }

    private let port: UInt16
    private let listener: Int32
    private var topic: [UInt8] = []
    /// One a Produce request: librdkafka sends one batch of a partition in each.
    private var batches: [(offset: Int64, bytes: [UInt8])] = []
    private var end: Int64 = 0

    /// Listens on a free port of the loopback and prints it.
    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard named else { throw Failure(reason: "no port to listen on: \(String(cString: strerror(errno)))") }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        let line = Array("\(port)\n".utf8)
        guard write(STDOUT_FILENO, line, line.count) == line.count else { throw Failure(reason: "nobody reads the port") }
    }

    /// Until it is killed.
    mutating func run() throws {
        var sockets = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
        var frame: [UInt8] = []
        while true {
            guard poll(&sockets, nfds_t(sockets.count), -1) >= 0 || errno == EINTR else { throw Failure(reason: "poll") }
            for i in sockets.indices.reversed() where sockets[i].revents != 0 {
                if i == 0 {
                    sockets.append(pollfd(fd: accept(listener, nil, nil), events: Int16(POLLIN), revents: 0))
                } else if !receive(sockets[i].fd, &frame) || !answer(frame, sockets[i].fd) {
                    close(sockets[i].fd)
                    sockets.remove(at: i)
                }
            }
        }
    }

    private static let wholeFrame = Int32(truncatingIfNeeded: MSG_WAITALL)

    /// - Returns: false when the connection has ended.
    private func receive(_ socket: Int32, _ frame: inout [UInt8]) -> Bool {
        var size: Int32 = 0
        guard recv(socket, &size, 4, Self.wholeFrame) == 4 else { return false }
        let count = Int(Int32(bigEndian: size))
        frame.removeAll(keepingCapacity: true)
        frame.append(contentsOf: repeatElement(0, count: count))
        return recv(socket, &frame, count, Self.wholeFrame) == count
    }

    private mutating func answer(_ frame: [UInt8], _ socket: Int32) -> Bool {
        frame.withUnsafeBytes { bytes in
            var request = Fields(bytes: bytes)
            let key = request.int(Int16.self), version = request.int(Int16.self), correlation = request.int(Int32.self)
            guard let api = API(rawValue: key) else { return false }
            _ = request.string()
            var answer = Answer()
            answer.add(correlation)
            switch api {
            case .apiVersions:
                answer.add(Int16(version == api.version ? 0 : 35))  // UNSUPPORTED_VERSION: the client asks again with 0
                answer.add(Int32(API.allCases.count))
                for api in API.allCases { for field in [api.rawValue, api.version, api.version] { answer.add(field) } }
            case .metadata: metadata(&request, &answer)
            case .listOffsets:
                request.at += 4
                Self.forEachPartition(&request, &answer) { (_, request, answer) in
                    answer.add(request.int(Int32.self))
                    request.at += 8
                    answer.add(Int16(0))
                    answer.add(Int64(-1))
                    answer.add(Int64(0))
                }
            case .produce:
                _ = request.string()
                request.at += 6
                Self.forEachPartition(&request, &answer) { produce($0, &$1, &$2) }
                answer.add(Int32(0))
            case .fetch: return fetch(&request, &answer, socket)
            }
            return send(answer, 0..<0, socket)
        }
    }

    private func metadata(_ request: inout Fields, _ answer: inout Answer) {
        answer.add(Int32(1))
        answer.add(Int32(1))
        answer.add(Array("127.0.0.1".utf8))
        answer.add(Int32(port))
        answer.add(Int16(-1))
        answer.add(Int32(1))
        let count = max(0, request.int(Int32.self))
        answer.add(count)
        for _ in 0..<count {
            answer.add(Int16(0))
            answer.add(request.string())
            for field in [UInt8(0), 0, 0, 0, 1, 0, 0] { answer.add(field) }  // not internal, one partition, no error
            for field in [Int32(0), 1, 1, 1, 1, 1] { answer.add(field) }  // index, leader, replicas, in-sync replicas
        }
    }

    private static func forEachPartition(
        _ request: inout Fields, _ answer: inout Answer, _ body: (_ topic: [UInt8], inout Fields, inout Answer) -> Void
    ) {
        let topics = request.int(Int32.self)
        answer.add(topics)
        for _ in 0..<topics {
            let name = request.string()
            answer.add(name)
            let partitions = request.int(Int32.self)
            answer.add(partitions)
            for _ in 0..<partitions { body(name, &request, &answer) }
        }
    }

    private mutating func produce(_ topic: [UInt8], _ request: inout Fields, _ answer: inout Answer) {
        if topic != self.topic { (self.topic, batches, end) = (topic, [], 0) }
        answer.add(request.int(Int32.self))
        let count = Int(request.int(Int32.self)), start = request.at
        request.at += count
        answer.add(Int16(0))
        answer.add(end)
        answer.add(Int64(-1))
        var bytes = Array(request.bytes[start..<start + count])
        let records = bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: end.bigEndian, as: Int64.self)
            return Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 23, as: Int32.self)) + 1  // lastOffsetDelta
        }
        batches.append((end, bytes))
        end += Int64(records)
    }

    /// Whole batches, at least one, as many as the client takes of a partition (KIP-74). At the end of the log the client hears so at once: there nobody
    /// measures.
    private func fetch(_ request: inout Fields, _ answer: inout Answer, _ socket: Int32) -> Bool {
        request.at += 17
        answer.add(Int32(0))
        var chosen = 0..<0
        Self.forEachPartition(&request, &answer) { (topic, request, answer) in
            answer.add(request.int(Int32.self))
            let offset = request.int(Int64.self), most = Int(request.int(Int32.self))
            answer.add(Int16(0))
            answer.add(end)
            answer.add(end)
            answer.add(Int32(-1))
            var size = 0
            if topic == self.topic, offset < end, let first = batches.lastIndex(where: { $0.offset <= offset }) {
                let last = batches[first...].firstIndex { batch in
                    if size > 0, size + batch.bytes.count > most { return true }
                    size += batch.bytes.count
                    return false
                }
                chosen = first..<(last ?? batches.count)
            }
            answer.add(Int32(size))
        }
        return send(answer, chosen, socket)
    }

    private func send(_ answer: Answer, _ chosen: Range<Int>, _ socket: Int32) -> Bool {
        var frame = Answer()
        frame.add(Int32(answer.bytes.count + batches[chosen].reduce(0) { $0 + $1.bytes.count }))
        frame.bytes += answer.bytes
        return ([frame.bytes] + batches[chosen].map(\.bytes)).allSatisfy { write(socket, $0, $0.count) == $0.count }
    }
}
