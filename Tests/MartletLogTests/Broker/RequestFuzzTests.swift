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

/// Frames of every API and version, spoilt in many ways, against a running broker: it answers or closes the connection, goes on serving others,
/// and does not grow. `FUZZ_SECONDS=60` goes on for that long with new seeds, `SEED=92` replays one.
@Suite(.serialized, .long) struct RequestFuzzTests {
    private static let framesASeed = 150

    @Test func spoiltRequestsHarmNobody() throws {
        let seconds = getenv("FUZZ_SECONDS").flatMap { Int(String(cString: $0)) }
        let only = getenv("SEED").flatMap { UInt64(String(cString: $0)) }
        let record = getenv("FUZZ_RECORD").map { FrameRecord(String(cString: $0)) }
        let end = TimeSource.system.monotonicNs + Int64(seconds ?? 0) * 1_000_000_000
        // The same in each run of the unit tests, other ones when there is time.
        var seed = only ?? (seconds == nil ? 1 : UInt64.random(in: 1...UInt64.max >> 16))
        var rounds = 0
        repeat {
            var random = SeededRandom(seed: seed)
            try FuzzTarget.run { target in
                let samples = try Self.samples(target)
                for _ in 0..<Self.framesASeed {
                    let sample = samples[Int.random(in: 0..<samples.count, using: &random)]
                    let bytes = Spoiler.spoil(sample, &random)
                    record?.keep(bytes)
                    try target.send(bytes)
                }
                try target.checkHealth("seed \(seed)")
            }
            rounds += 1
            seed += 1
        } while only == nil && (seconds == nil ? rounds < 4 : TimeSource.system.monotonicNs < end)
    }

    /// What once broke something.
    @Test func oldFindsStayFixed() throws {
        let folder = FailCases.folder("requests")
        try FuzzTarget.run { target in
            for file in FailCases.files(in: folder) {
                let bytes = try #require(FailCases.hex("\(folder)/\(file)"), "\(file) is not hexadecimal")
                try target.send(bytes)
                try target.checkHealth(file)
            }
        }
    }

    /// Records of all formats and codecs, spoilt, into a log: refused with a code, or taken and readable.
    @Test func spoiltRecordsAreRefusedOrReadable() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t", ["retention.ms": "-1"])
        withSeeds(300) { seed, random in
            let codec = CompressionCodec.allCases[Int.random(in: 0..<5, using: &random)]
            let legacy = LegacyRecordsTests.message(UInt8.random(in: 0...1, using: &random), key: [1, 2], value: Array("some value".utf8))
            var bytes =
                Bool.random(using: &random)
                ? clientBatch((0..<Int.random(in: 1...20, using: &random)).map { "value \($0)" }, codec: codec) : legacy + legacy
            let isLegacy = bytes[16] < 2
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // With a right checksum the damage gets further in.
            if !isLegacy, Bool.random(using: &random), bytes.count > BatchHeader.size {
                let crc = bytes.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[BatchHeader.crcStart...])) }
                bytes.withUnsafeMutableBytes { $0.store(crc, 17) }
            }
            let before = partition.endOffset
            do {
                _ = try bytes.withBytes { (bytes) throws(KafkaError) in try partition.append(client: bytes, produceVersion: 2) }
            } catch let error as KafkaError {
                #expect(error.code != .unknownServerError, "seed \(seed)")
                #expect(partition.endOffset == before, "seed \(seed)")
                return
            }
            try partition.flush()
            _ = try partition.rows(from: before)
        }
    }

    /// A valid frame for each request in each version, with what exists in the target.
    private static func samples(_ target: FuzzTarget) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        for sample in MessageSample.all {
            for version in sample.api.versions {
                if let frame = try sample.requestFrame(version) { frames.append(Array(frame.readableBytesView)) }
            }
        }
        for version in APIKey.produce.versions {
            for codec in CompressionCodec.allCases {
                let records = clientBatch(["a", "b"], producerID: 1, epoch: 0, sequence: 0, isTransactional: codec == .gzip, codec: codec)
                let request = ProduceRequest(
                    transactionalID: codec == .gzip ? "x" : nil,
                    topics: [.init(name: "t", id: target.topicID, partitions: [.init(index: 0, records: ByteBuffer(bytes: records))])])
                let frame = try Frame.request(request, version: version, correlationID: 1, clientID: "fuzz").joined
                frames.append(Array(frame.readableBytesView))
            }
        }
        for version in APIKey.fetch.versions {
            let request = FetchRequest(
                waitMsMax: 1, sessionEpoch: 0,
                topics: [.init(name: "t", id: target.topicID, partitions: [.init(index: 0, fetchOffset: 0, bytesMax: 1 << 20)])])
            frames.append(Array(try Frame.request(request, version: version, correlationID: 1, clientID: "fuzz").joined.readableBytesView))
        }
        let member = ShareGroupHeartbeatRequest(groupID: "shared", memberID: "m", memberEpoch: 0, topicNames: ["t"])
        frames.append(Array(try Frame.request(member, version: 1, correlationID: 1, clientID: "fuzz").joined.readableBytesView))
        // Of clients that were never heard of, so that none reports too often; without compression the damage gets as far as the reader.
        var random = SeededRandom(seed: 714)
        for codec in CompressionCodec.allCases + [CompressionCodec](repeating: .none, count: 8) {
            let id = UUIDBytes(high: UInt64.random(in: 1...UInt64.max, using: &random), low: 9)
            let metrics = MetricsWriter.data([.init(name: "a", points: [(.double(1), ["k": "v"])]), .init(name: "b", kind: 7, points: [(.int(5), [:])])])
            var packed: [UInt8] = []
            metrics.withUnsafeBytes { Compression.compress($0, codec, onto: &packed) }
            let request = PushTelemetryRequest(
                instanceID: id, subscriptionID: TelemetryStore.request(id, TelemetryClient(), [target.subscription]).subscriptionID,
                compression: Int8(bitPattern: codec.rawValue), metrics: ByteBuffer(bytes: packed))
            frames.append(Array(try Frame.request(request, version: 0, correlationID: 1, clientID: "fuzz").joined.readableBytesView))
        }
        for version in APIKey.shareFetch.versions {
            for epoch in [Int32(0), 1] {
                let acknowledgements = [ShareFetchRequest.AcknowledgementBatch(firstOffset: 0, lastOffset: 3, types: [1, 2, 3, 0])]
                let request = ShareFetchRequest(
                    groupID: "shared", memberID: "m", sessionEpoch: epoch, waitMsMax: 1, bytesMin: 1, bytesMax: 1 << 20, recordsMax: 5, batchSize: 5, acquireMode: 1,
                    topics: [.init(id: target.topicID, partitions: [.init(index: 0, acknowledgements: epoch == 0 ? [] : acknowledgements)])])
                frames.append(Array(try Frame.request(request, version: version, correlationID: 1, clientID: "fuzz").joined.readableBytesView))
            }
        }
        return frames
    }
}

/// Ways to spoil a frame.
private enum Spoiler {
    static func spoil(_ frame: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = frame
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard bytes.count > 8 else { break }
            let at = Int.random(in: 4..<bytes.count, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 3:
                let extreme: [UInt8] = [[0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0, 0, 0, 0], [0xff, 0xff, 0xff, 0x0f]][
                    Int.random(in: 0..<5, using: &random)]
                for (i, byte) in extreme.enumerated() where at + i < bytes.count { bytes[at + i] = byte }
            case 4: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...20, using: &random)))
            case 5: bytes.insert(contentsOf: (0..<Int.random(in: 1...20, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }, at: at)
            case 6:
                let slice = Array(bytes[at..<min(bytes.count, at + 30)])
                bytes.insert(contentsOf: slice, at: Int.random(in: 4..<bytes.count, using: &random))
            default: bytes[Int.random(in: 4..<8, using: &random)] = UInt8.random(in: 0...20, using: &random)  // key or version
            }
        }
        // Mostly the size is right: else nothing behind it is looked at.
        if Int.random(in: 0..<10, using: &random) > 0 {
            let size = UInt32(bytes.count - 4)
            for i in 0..<4 { bytes[i] = UInt8(truncatingIfNeeded: size >> UInt32(24 - 8 * i)) }
        }
        return bytes
    }
}

/// The latest frame, in a file that outlives a crash.
private final class FrameRecord {
    private let descriptor: Int32

    init(_ path: String) {
        descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o644)
    }

    deinit { close(descriptor) }

    func keep(_ bytes: [UInt8]) {
        let text = Array((EmbeddedLog.hex(bytes) + "\n").utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
    }
}

/// A broker on a log in memory.
private final class FuzzTarget {
    let topicID: UUIDBytes
    /// What all clients are asked for.
    let subscription: TelemetrySubscription
    private let port: Int
    private var frames = 0

    static func run(_ body: (FuzzTarget) throws -> Void) throws {
        var logger = Logger(label: "fuzz")
        logger.logLevel = .critical
        var config = LogConfig(durability: .os)
        config.fileSystem = SimulatedFileSystem()
        config.topics.retentionMs = -1
        let log = try EmbeddedLog.open(directory: "/data", config: config, time: .system, logger: logger)
        try log.createTopic("t", partitions: 2, settings: [:])
        let wanted = ["metrics": "*", "interval.ms": "100"]
        try log.changeSettings(of: .clientMetrics("fuzz")) { _ in wanted }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        var limits = BrokerConfig()
        limits.fetchWaitMsMax = 20
        let broker = try KafkaBroker(log: log, port: 0, group: group, logger: logger, config: limits)
        let port = try broker.start()
        defer {
            broker.stop()
            log.close()
            try? group.syncShutdownGracefully()
        }
        try body(FuzzTarget(port: port, topicID: UUIDBytes(log.topic("t")?.topicID ?? []), subscription: TelemetrySubscription(name: "fuzz", wanted)))
    }

    private init(port: Int, topicID: UUIDBytes, subscription: TelemetrySubscription) {
        self.port = port
        self.topicID = topicID
        self.subscription = subscription
    }

    /// Waits for an answer or the end of the connection, though not for long: some requests wait for others.
    func send(_ bytes: [UInt8]) throws {
        frames += 1
        let client = try TestClient(port: port, timeoutMs: 20)
        do { try client.write(ByteBuffer(bytes: bytes)) } catch is TestClient.Closed { return }
        client.awaitAnswer()
    }

    /// Another client is served, and memory is where it was.
    func checkHealth(_ what: String) throws {
        let client = try TestClient(port: port)
        let answer = try client.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 4)
        #expect(answer.error == .none, "\(what)")
        let resident = Self.residentBytes()
        #expect(resident < 3 << 30, "\(what): \(resident >> 20) MB")
    }

    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 200)
        guard fgets(&line, 200, file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
    }
}

/// Tests/FailCases, found from this file.
private enum FailCases {
    static func folder(_ name: String) -> String {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/") + "/FailCases/" + name
    }

    static func files(in folder: String) -> [String] {
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasSuffix(".hex") { names.append(name) }
        }
        return names.sorted()
    }

    static func hex(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var text = ""
        while case let byte = fgetc(file), byte != EOF { text.unicodeScalars.append(UnicodeScalar(UInt8(truncatingIfNeeded: byte))) }
        return EmbeddedLog.unhex(text.filter { !$0.isWhitespace })
    }
}
