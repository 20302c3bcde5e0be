import MartletCore
import Testing

@testable import MartletLog

@Suite struct TelemetryStoreTests {
    private let clock = ManualTime(wallMs: 1_000_000)
    private let client = TelemetryClient(clientID: "c", softwareName: "java", softwareVersion: "4.2", address: "127.0.0.1", port: 55)
    private let me = UUIDBytes(high: 7, low: 8)

    private func all(_ intervalMs: Int32 = 1000) throws -> [TelemetrySubscription] {
        [try TelemetrySubscription(name: "s", ["metrics": "*", "interval.ms": "\(intervalMs)"])]
    }

    private func push(
        _ store: TelemetryStore, _ subscriptions: [TelemetrySubscription], _ metrics: [UInt8], isTerminating: Bool = false, compression: Int8 = 0,
        subscriptionID: Int32? = nil, id: UUIDBytes? = nil, bytesMax: Int = 1 << 20
    ) -> KafkaErrorCode {
        let id = id ?? me
        let request = TelemetryStore.request(id, client, subscriptions)
        var push = TelemetryStore.Push(instance: id, subscriptionID: subscriptionID ?? request.subscriptionID)
        (push.isTerminating, push.compression, push.metrics) = (isTerminating, compression, metrics)
        do throws(KafkaError) {
            try store.receive(push, client, subscriptions, bytesMax: bytesMax)
            return .none
        } catch {
            return error.code
        }
    }

    @Test func whatIsReportedIsShown() throws {
        let store = TelemetryStore(time: clock.source), subscriptions = try all()
        let wanted = try #require(store.subscribe(me, client, subscriptions))
        #expect(wanted.metrics == [""] && wanted.intervalMs == 1000)
        #expect(push(store, subscriptions, MetricsWriter.gauge("a.b", 1.5, ["topic": "t", "client_id": "forged"])) == .none)
        let sample = try #require(store.samples.first)
        #expect(store.samples.count == 1 && sample.name == "a.b" && sample.value == 1.5 && !sample.isCounter)
        #expect(sample.labels.map(\.name) == ["client_id", "client_instance_id", "client_software_name", "client_software_version", "topic"])
        #expect(sample.labels.map(\.value) == ["c", me.text, "java", "4.2", "t"])
    }

    @Test func gaugesAreReplacedAndCountersStay() throws {
        let store = TelemetryStore(time: clock.source), subscriptions = try all()
        func said() -> [String: Double] { Dictionary(store.samples.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }) }
        #expect(push(store, subscriptions, MetricsWriter.gauge("g", 1) + MetricsWriter.counter("c", 5) + MetricsWriter.counter("d", 5, isDelta: true)) == .none)
        #expect(said() == ["g": 1, "c": 5, "d": 5])
        clock.advance(byMs: 1000)
        #expect(push(store, subscriptions, MetricsWriter.counter("c", 9) + MetricsWriter.counter("d", 4, isDelta: true)) == .none)
        #expect(said() == ["c": 9, "d": 9])
    }

    @Test func whoAsksOrReportsTooOftenIsTold() throws {
        let store = TelemetryStore(time: clock.source), subscriptions = try all()
        let bytes = MetricsWriter.gauge("g", 1)
        #expect(store.subscribe(me, client, subscriptions) != nil)
        #expect(store.subscribe(me, client, subscriptions) == nil)
        #expect(push(store, subscriptions, bytes) == .none, "the first push comes when it likes")
        #expect(push(store, subscriptions, bytes) == .throttlingQuotaExceeded)
        clock.advance(byMs: 999)
        #expect(push(store, subscriptions, bytes) == .throttlingQuotaExceeded)
        clock.advance(byMs: 1)
        #expect(push(store, subscriptions, bytes) == .none)
        #expect(push(store, subscriptions, bytes, isTerminating: true) == .none, "the last push is not held up")
        #expect(push(store, subscriptions, bytes) == .invalidRequest)
        #expect(push(store, subscriptions, bytes, isTerminating: true) == .invalidRequest)
    }

    @Test func changedSubscriptionsAreToldAndMayBeAskedForAtOnce() throws {
        let store = TelemetryStore(time: clock.source), before = try all(), after = try all(2000)
        let first = try #require(store.subscribe(me, client, before))
        #expect(push(store, after, MetricsWriter.gauge("g", 1), subscriptionID: first.subscriptionID) == .unknownSubscriptionID)
        let second = try #require(store.subscribe(me, client, after))
        #expect(second.subscriptionID != first.subscriptionID && second.intervalMs == 2000)
        #expect(store.subscribe(me, client, before) != nil, "what is asked has changed again")
        #expect(store.samples.isEmpty)
    }

    @Test func wrongPushesAreRefused() throws {
        let store = TelemetryStore(time: clock.source), subscriptions = try all(100)
        let bytes = MetricsWriter.gauge("g", 1)
        func later() { clock.advance(byMs: 100) }
        #expect(push(store, subscriptions, bytes, id: .zero) == .invalidRequest)
        #expect(push(store, subscriptions, bytes, id: UUIDBytes(high: 0, low: 1)) == .invalidRequest)
        #expect(push(store, subscriptions, bytes, compression: 5) == .unsupportedCompressionType)
        later()
        #expect(push(store, subscriptions, bytes, compression: -1) == .unsupportedCompressionType)
        later()
        #expect(push(store, subscriptions, bytes, bytesMax: bytes.count - 1) == .telemetryTooLarge)
        later()
        #expect(push(store, subscriptions, bytes, compression: 4) == .invalidRecord)
        later()
        #expect(push(store, subscriptions, [0x0a]) == .invalidRecord)
        later()
        #expect(push(store, subscriptions, []) == .none)
        #expect(store.samples.isEmpty)
    }

    @Test func allCodecsAreRead() throws {
        let store = TelemetryStore(time: clock.source), subscriptions = try all(100)
        let bytes = MetricsWriter.data((0..<500).map { .init(name: "m.\($0)", points: [(.int(Int64($0)), [:])]) })
        for codec in CompressionCodec.allCases {
            var packed: [UInt8] = []
            bytes.withUnsafeBytes { Compression.compress($0, codec, onto: &packed) }
            #expect(push(store, subscriptions, packed, compression: Int8(bitPattern: codec.rawValue)) == .none, "\(codec)")
            #expect(store.samples.count == 500)
            clock.advance(byMs: 100)
            #expect(push(store, subscriptions, []) == .none)
            #expect(store.samples.isEmpty)
            clock.advance(byMs: 100)
        }
    }

    /// A few bytes that become many more than twenty times `telemetry.max.bytes`. Snappy makes 21 bytes out of one at the most.
    @Test(arguments: [CompressionCodec.gzip, .snappy, .lz4, .zstd]) func whatGrowsTooMuchIsRefused(_ codec: CompressionCodec) throws {
        let store = TelemetryStore(time: clock.source)
        var packed: [UInt8] = []
        [UInt8](repeating: 0, count: 1 << 20).withUnsafeBytes { Compression.compress($0, codec, onto: &packed) }
        #expect(push(store, try all(), packed, compression: Int8(bitPattern: codec.rawValue), bytesMax: packed.count) == .invalidRecord)
    }

    @Test func onlyWhatIsAskedForIsKept() throws {
        let store = TelemetryStore(time: clock.source)
        let subscriptions = [
            try TelemetrySubscription(name: "a", ["metrics": "org.apache.kafka.producer., x", "interval.ms": "5000"]),
            try TelemetrySubscription(name: "b", ["metrics": "y", "interval.ms": "1000", "match": "client_software_name=java,client_software_version=4\\..*"]),
            try TelemetrySubscription(name: "c", ["metrics": "z", "interval.ms": "200", "match": "client_id=other"]),
            try TelemetrySubscription(name: "d", ["interval.ms": "100"]),
        ]
        let wanted = try #require(store.subscribe(me, client, subscriptions))
        #expect(wanted.metrics == ["org.apache.kafka.producer.", "x", "y"] && wanted.intervalMs == 1000)
        let names = ["org.apache.kafka.producer.record.send.total", "org.apache.kafka.consumer.x", "xylophone", "z"]
        #expect(push(store, subscriptions, MetricsWriter.data(names.map { .init(name: $0, points: [(.int(1), [:])]) })) == .none)
        #expect(store.samples.map(\.name) == [names[0], names[2]])
        let stranger = TelemetryClient(clientID: "q")
        #expect(TelemetryStore.request(me, stranger, [subscriptions[1]]) == TelemetryStore.request(me, stranger, []))
        #expect(TelemetryStore.request(me, stranger, []).metrics.isEmpty && TelemetryStore.request(me, stranger, []).intervalMs == 300_000)
    }

    @Test func everyTraitChooses() throws {
        for (condition, holds) in [
            ("client_instance_id=\(me.text)", true), ("client_instance_id=x", false), ("client_id=c", true), ("client_id=cc", false),
            ("client_software_name=j.*", true), ("client_software_version=4\\.3", false), ("client_source_address=127\\.0\\.0\\.1", true), ("client_source_port=5[0-9]", true),
            ("client_source_port=5", false), ("client_id=c,client_source_port=1", false), ("", true),
        ] {
            #expect(try TelemetrySubscription(name: "s", ["match": condition]).matches(client, me) == holds, "\(condition)")
        }
        for (setting, value) in [
            ("interval.ms", "99"), ("interval.ms", "3600001"), ("interval.ms", "x"), ("match", "client_id"), ("match", "nobody=x"), ("match", "client_id=("), ("other", "1"),
        ] {
            #expect(throws: KafkaError.self, "\(setting)=\(value)") { try TelemetrySubscription(name: "s", [setting: value]) }
        }
        #expect(throws: KafkaError.self) { try TelemetrySubscription(name: "", [:]) }
    }

    @Test func memoryIsBoundedAndTheSilentAreForgotten() throws {
        let twelve = MetricsWriter.data((10..<22).map { .init(name: "m.\($0)", points: [(.int(1), ["k": "\($0)"])]) })
        let one = TelemetryStore.bytes(of: try MetricsReader.points(twelve)[0])
        let store = TelemetryStore(time: clock.source, limits: .init(instancesMax: 3, bytesAnInstanceMax: 10 * one + 1, bytesMax: 26 * one - 1))
        let subscriptions = try all(1000)
        for low in 10..<13 as Range<UInt64> {
            #expect(push(store, subscriptions, twelve, id: UUIDBytes(high: 1, low: low)) == .none)
            clock.advance(byMs: 1)
        }
        #expect(store.samples.count == 25 && store.refusedPointCount == 2 + 2 + 7 && store.clientCount == 3)
        #expect(push(store, subscriptions, twelve, id: UUIDBytes(high: 1, low: 13)) == .none)
        #expect(store.clientCount == 3 && !store.samples.contains { $0.labels.contains { $0.value == UUIDBytes(high: 1, low: 10).text } })
        clock.advance(byMs: 2_999)
        #expect(store.clientCount == 2)
        clock.advance(byMs: 2)
        #expect(store.clientCount == 0 && store.samples.isEmpty)
        #expect(push(store, subscriptions, twelve) == .none && store.samples.count == 10)
    }
}
