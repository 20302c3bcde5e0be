import MartletCore
import Synchronization

/// What a client last said of itself, one number.
public struct ClientMetricSample: Sendable, Hashable {
    public struct Label: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// As the client calls it, e.g. `org.apache.kafka.producer.record.send.total`.
    public var name: String
    public var unit: String
    /// Only grows, as long as the client lives; else it goes up and down.
    public var isCounter: Bool
    public var value: Double
    /// client_id, client_instance_id, client_software_name, client_software_version, then what the client adds, by name.
    public var labels: [Label]
    /// When the client took it, in milliseconds since 1970.
    public var timestampMs: Int64

    public init(name: String, unit: String, isCounter: Bool, value: Double, labels: [Label], timestampMs: Int64) {
        self.name = name
        self.unit = unit
        self.isCounter = isCounter
        self.value = value
        self.labels = labels
        self.timestampMs = timestampMs
    }
}

/// The metrics that clients push (KIP-714): who is asked for which, how often, and what they last said.
///
/// In memory only, as Kafka's: a client goes on after a restart of the node, as the number of its subscription is made of what it consists of. A client
/// that has been silent for three of its intervals is forgotten with its numbers.
public final class TelemetryStore: Sendable {
    struct Limits: Sendable {
        /// Clients that are remembered; beyond them the one that was silent longest goes.
        var instancesMax = 10_000
        /// What is kept of one, about.
        var bytesAnInstanceMax = 8 << 20
        /// Of all clients together.
        var bytesMax = 64 << 20
    }

    /// What a client is asked for.
    struct Request: Sendable, Hashable {
        var subscriptionID: Int32
        var intervalMs: Int32
        /// Prefixes of names; an empty one: all; none: nothing.
        var metrics: [String]
    }

    struct Push: Sendable {
        var instance: UUIDBytes
        var subscriptionID: Int32
        var isTerminating = false
        var compression: Int8 = 0
        var metrics: [UInt8] = []
    }

    private struct PointKey: Hashable {
        var name: String
        var attributes: [String: String]
    }

    private struct Instance {
        var client: TelemetryClient
        var request: Request
        var askedMs: Int64?
        var pushedMs: Int64?
        var isTerminated = false
        /// The client was told to ask again, and may at once.
        var mayAsk = false
        var points: [PointKey: ReportedPoint] = [:]
        /// Of the points.
        var bytes = 0

        var seenMs: Int64 { max(askedMs ?? 0, pushedMs ?? 0) }
    }

    private struct State {
        var instances: [UUIDBytes: Instance] = [:]
        var bytes = 0
        /// Numbers that there was no room for.
        var refusedPoints = 0

        mutating func forget(_ id: UUIDBytes) {
            if let instance = instances.removeValue(forKey: id) { bytes -= instance.bytes }
        }
    }

    /// In the order in which they are offered, as Kafka's.
    static let compressions: [CompressionCodec] = [.zstd, .lz4, .gzip, .snappy]
    /// Intervals of silence after which a client is forgotten.
    private static let silentIntervalsMax: Int64 = 3
    /// What a push of `telemetry.max.bytes` may become when it is decompressed, times.
    private static let expansionMax = 20

    private let state = Mutex(State())
    private let time: TimeSource
    private let limits: Limits

    init(time: TimeSource, limits: Limits = Limits()) {
        self.time = time
        self.limits = limits
    }

    // MARK: what came in

    /// All numbers of all clients that are not forgotten, those of one name together.
    public var samples: [ClientMetricSample] {
        let instances = state.withLock { state in
            forgetSilent(&state)
            return state.instances
        }
        var samples: [ClientMetricSample] = []
        for (id, instance) in instances.sorted(by: { ($0.key.high, $0.key.low) < ($1.key.high, $1.key.low) }) {
            let client = instance.client
            let own: [ClientMetricSample.Label] = [
                .init(name: "client_id", value: client.clientID), .init(name: "client_instance_id", value: id.text),
                .init(name: "client_software_name", value: client.softwareName), .init(name: "client_software_version", value: client.softwareVersion),
            ]
            let taken = Set(own.map(\.name))
            for point in instance.points.values {
                let added = point.attributes.filter { !taken.contains($0.key) }.sorted { $0.key < $1.key }
                samples.append(
                    ClientMetricSample(
                        name: point.name, unit: point.unit, isCounter: point.isCounter, value: point.value,
                        labels: own + added.map { .init(name: $0.key, value: $0.value) }, timestampMs: point.timestampMs))
            }
        }
        return samples.sorted { $0.name < $1.name }
    }

    /// Clients that are remembered.
    public var clientCount: Int {
        state.withLock { state in
            forgetSilent(&state)
            return state.instances.count
        }
    }

    /// Numbers that were left out so far because there were too many.
    public var refusedPointCount: Int { state.withLock(\.refusedPoints) }

    // MARK: requests

    /// A client asks what it is to report. Nil: it asks too often.
    func subscribe(_ id: UUIDBytes, _ client: TelemetryClient, _ subscriptions: [TelemetrySubscription]) -> Request? {
        let request = Self.request(id, client, subscriptions), nowMs = time.monotonicNs / 1_000_000
        return state.withLock { state in
            forgetSilent(&state)
            var instance = state.instances[id] ?? Instance(client: client.brief, request: request)
            let isEarly = instance.askedMs != nil && nowMs - instance.seenMs < Int64(instance.request.intervalMs)
            if isEarly, !instance.mayAsk, instance.request == request { return nil }
            (instance.client, instance.request, instance.askedMs, instance.mayAsk) = (client.brief, request, nowMs, false)
            keep(id, instance, &state)
            return request
        }
    }

    /// A client reports.
    func receive(_ push: Push, _ client: TelemetryClient, _ subscriptions: [TelemetrySubscription], bytesMax: Int) throws(KafkaError) {
        guard push.instance.high != 0 || push.instance.low > 1 else { throw KafkaError(.invalidRequest, "a client has a client instance id") }
        let request = Self.request(push.instance, client, subscriptions), nowMs = time.monotonicNs / 1_000_000
        try state.withLock { (state) throws(KafkaError) in
            forgetSilent(&state)
            var instance = state.instances[push.instance] ?? Instance(client: client.brief, request: request)
            if instance.isTerminated { throw KafkaError(.invalidRequest, "the client has said that it ends") }
            // The first push after a question comes when the client likes, so that not all come at once.
            let isAsked = instance.askedMs.map { asked in instance.pushedMs.map { asked > $0 } ?? true } ?? false
            let isEarly = !isAsked && instance.pushedMs.map { nowMs - $0 < Int64(instance.request.intervalMs) } ?? false
            if isEarly, !push.isTerminating { throw KafkaError(.throttlingQuotaExceeded, "the client reports more often than it was asked to") }
            instance.pushedMs = nowMs
            instance.client = client.brief
            instance.isTerminated = push.isTerminating
            defer { keep(push.instance, instance, &state) }
            guard push.subscriptionID == request.subscriptionID else {
                instance.mayAsk = true
                throw KafkaError(.unknownSubscriptionID, "what is asked of clients has changed")
            }
            guard push.compression == 0 || Self.compressions.contains(where: { $0.rawValue == UInt8(bitPattern: push.compression) }) else {
                instance.mayAsk = true
                throw KafkaError(.unsupportedCompressionType, "compression \(push.compression) is not one of gzip, snappy, lz4 and zstd")
            }
        }
        guard push.metrics.count <= bytesMax else {
            throw KafkaError(.telemetryTooLarge, "\(push.metrics.count) bytes are more than \(BrokerSetting.telemetryBytes) (\(bytesMax))")
        }
        let points = try Self.points(push, bytesMax).filter { point in request.metrics.contains { point.name.hasPrefix($0) } }
        state.withLock { state in
            guard var instance = state.instances[push.instance] else { return }
            state.bytes -= instance.bytes
            let room = min(limits.bytesAnInstanceMax, limits.bytesMax - state.bytes)
            state.refusedPoints += Self.merge(points, into: &instance, atMost: room)
            state.bytes += instance.bytes
            state.instances[push.instance] = instance
        }
    }

    /// What goes up and down is as last said; what only grows stays, and differences are added up.
    /// - Returns: how many there was no room for.
    private static func merge(_ points: [ReportedPoint], into instance: inout Instance, atMost room: Int) -> Int {
        instance.points = instance.points.filter { $0.value.isCounter }
        instance.bytes = instance.points.values.reduce(0) { $0 + bytes(of: $1) }
        var refused = 0
        for var point in points {
            let key = PointKey(name: point.name, attributes: point.attributes)
            if let before = instance.points[key] {
                if point.isCounter, point.isDelta { point.value += before.value }
            } else {
                let more = bytes(of: point)
                guard instance.bytes + more <= room else {
                    refused += 1
                    continue
                }
                instance.bytes += more
            }
            instance.points[key] = point
        }
        return refused
    }

    /// What a point takes in memory, about: its texts, and the tables around them.
    static func bytes(of point: ReportedPoint) -> Int {
        point.attributes.reduce(300 + point.name.utf8.count) { $0 + 64 + $1.key.utf8.count + $1.value.utf8.count }
    }

    private static func points(_ push: Push, _ bytesMax: Int) throws(KafkaError) -> [ReportedPoint] {
        var bytes = push.metrics
        if push.compression != 0, !bytes.isEmpty {
            guard let codec = CompressionCodec(rawValue: UInt8(bitPattern: push.compression)) else {
                throw KafkaError(.unsupportedCompressionType, "compression \(push.compression) is not known")
            }
            var output: [UInt8] = []
            let isWhole = bytes.withUnsafeBytes { Compression.decompress($0, codec, onto: &output, atMost: bytesMax * expansionMax) }
            guard isWhole else { throw KafkaError(.invalidRecord, "the metrics cannot be decompressed") }
            bytes = output
        }
        do throws(MalformedMetrics) {
            return try MetricsReader.points(bytes)
        } catch {
            throw KafkaError(.invalidRecord, "the metrics are not OTLP: \(error.reason)")
        }
    }

    // MARK: who is remembered

    private func keep(_ id: UUIDBytes, _ instance: Instance, _ state: inout State) {
        if state.instances[id] == nil, state.instances.count >= limits.instancesMax,
            let oldest = state.instances.min(by: { $0.value.seenMs < $1.value.seenMs })?.key
        {
            state.forget(oldest)
        }
        state.instances[id] = instance
    }

    private func forgetSilent(_ state: inout State) {
        let nowMs = time.monotonicNs / 1_000_000
        for (id, instance) in state.instances where nowMs - instance.seenMs > Self.silentIntervalsMax * Int64(instance.request.intervalMs) {
            state.forget(id)
        }
    }

    /// What all subscriptions that a client falls under ask of it: all their metrics, at the shortest of their intervals.
    static func request(_ id: UUIDBytes, _ client: TelemetryClient, _ subscriptions: [TelemetrySubscription]) -> Request {
        let own = subscriptions.filter { !$0.metrics.isEmpty && $0.matches(client, id) }
        var metrics = Set(own.flatMap(\.metrics)).sorted()
        if metrics.first == "" { metrics = [""] }
        let intervalMs = own.map(\.intervalMs).min() ?? TelemetrySubscription.intervalMsDefault
        let text = Array("\(intervalMs) \(metrics.joined(separator: ",")) \(id.text)".utf8)
        let number = text.withUnsafeBytes { CRC32C.checksum($0) }
        return Request(subscriptionID: Int32(bitPattern: number), intervalMs: intervalMs, metrics: metrics)
    }
}
