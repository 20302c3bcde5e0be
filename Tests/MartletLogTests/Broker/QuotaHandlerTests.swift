import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Quotas by the wire: set, described, and in force. Windows are short here: a second of the limit may be used at once.
@Suite struct QuotaHandlerTests {
    private var limits: BrokerConfig {
        var limits = BrokerConfig()
        limits.quotaWindows = 2
        return limits
    }

    private func set(
        _ client: TestClient, _ entity: [QuotaEntity], _ values: [(String, Double?)], validatesOnly: Bool = false
    ) throws -> KafkaErrorCode {
        let changes = values.map { name, value in
            AlterClientQuotasRequest.Change(key: name, value: Int64(bitPattern: (value ?? 0).bitPattern), isRemoval: value == nil)
        }
        return try client.send(AlterClientQuotasRequest(entries: [.init(entity: entity, changes: changes)], validatesOnly: validatesOnly), 1).entries[0].error
    }

    @Test func quotasAreSetAndFound() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            let alice = QuotaEntity(type: "user", name: "alice"), anyUser = QuotaEntity(type: "user"), app = QuotaEntity(type: "client-id", name: "app")
            #expect(try set(client, [alice], [("producer_byte_rate", 1000), ("request_percentage", 12.5)]) == .none)
            #expect(try set(client, [anyUser, app], [("consumer_byte_rate", 5)]) == .none)
            #expect(try set(client, [app], [("consumer_byte_rate", 6)], validatesOnly: true) == .none)
            for (entity, key, value) in [
                ([alice], "speed", 1), ([alice], "producer_byte_rate", 0), ([alice], "producer_byte_rate", 1.5), ([alice], "producer_byte_rate", .nan),
                ([], "producer_byte_rate", 1), ([QuotaEntity(type: "planet", name: "earth")], "producer_byte_rate", 1), ([alice, anyUser], "producer_byte_rate", 1),
                ([QuotaEntity(type: "user", name: "")], "producer_byte_rate", 1), ([alice], "connection_creation_rate", 1),
            ] as [([QuotaEntity], String, Double)] {
                #expect(try set(client, entity, [(key, value)]) == .invalidRequest, "\(entity) \(key)")
            }
            #expect(try set(client, [QuotaEntity(type: "ip", name: "127.0.0.1"), alice], [("connection_creation_rate", 1)]) == .invalidRequest)

            typealias Component = DescribeClientQuotasRequest.Component
            func found(_ components: [Component], isStrict: Bool = false) throws -> [[String?]] {
                let response = try client.send(DescribeClientQuotasRequest(components: components, isStrict: isStrict), 1)
                #expect(response.error == .none)
                return (response.entries ?? []).map { $0.entity.map(\.name) }
            }
            #expect(try found([]) == [[nil, "app"], ["alice"]])
            #expect(try found([Component(type: "user", matchType: 2)]) == [[nil, "app"], ["alice"]])
            #expect(try found([Component(type: "user", matchType: 2)], isStrict: true) == [["alice"]])
            #expect(try found([Component(type: "user", matchType: 1)]) == [[nil, "app"]])
            #expect(try found([Component(type: "user", matchType: 0, match: "alice")]) == [["alice"]])
            #expect(try found([Component(type: "client-id", matchType: 0, match: "other")]).isEmpty)
            let values = try client.send(DescribeClientQuotasRequest(components: [.init(type: "user", matchType: 0, match: "alice")]), 1).entries?[0].values
            #expect(values?.map(\.key) == ["producer_byte_rate", "request_percentage"])
            #expect(values?.map { Double(bitPattern: UInt64(bitPattern: $0.value)) } == [1000, 12.5])
            #expect(try set(client, [alice], [("producer_byte_rate", nil), ("request_percentage", nil)]) == .none)
            #expect(try found([]) == [[nil, "app"]])
        }
    }

    /// The answer comes at once and says how long; the next request of the connection is worked on when that time is over, others' meanwhile.
    @Test func aProducerOverItsLimitWaits() throws {
        try TestBroker.run(limits) { broker in
            try broker.log.createTopic("t", partitions: 1)
            let admin = try broker.connect(), client = try broker.connect()
            #expect(try set(admin, [QuotaEntity(type: "client-id", name: "test")], [("producer_byte_rate", 4000)]) == .none)
            func produce(_ bytes: Int, _ version: Int16 = 9) throws -> ProduceResponse {
                try client.send(
                    ProduceRequest(acks: 1, topics: [.init(name: "t", partitions: [.init(index: 0, records: batch(String(repeating: "x", count: bytes)))])]),
                    version)
            }
            #expect(try produce(100).throttleTimeMs == 0)
            let clock = TimeSource.system, began = clock.monotonicNs
            let told = try produce(5000).throttleTimeMs
            // 5100 bytes and the requests' own, of 4000 a second and 4000 at once.
            #expect((275...700).contains(told), "\(told)")
            #expect(clock.monotonicNs - began < Int64(told) * 1_000_000)
            let other = try broker.connect()
            _ = try other.send(MetadataRequest(topics: []), 9)
            #expect(clock.monotonicNs - began < Int64(told) * 1_000_000, "another connection was held up")
            _ = try client.send(MetadataRequest(topics: []), 9)
            #expect(clock.monotonicNs - began >= Int64(told) * 1_000_000)
            #expect(try set(admin, [QuotaEntity(type: "client-id", name: "test")], [("producer_byte_rate", nil)]) == .none)
            #expect(try produce(50_000).throttleTimeMs == 0)
        }
    }

    /// Who owes gets no records and no new session; all come in the end, at the rate.
    @Test func aConsumerOverItsLimitGetsNothingAtFirst() throws {
        try TestBroker.run(limits) { broker in
            try broker.log.createTopic("t", partitions: 1)
            let log = try #require(broker.log.partition(TopicPartition("t", 0)))
            let admin = try broker.connect()
            for i in 0..<20 {
                _ = try log.append(batch("\(i)" + String(repeating: "x", count: 500)), requiredAcks: 1, version: 9)
            }
            try log.flush()
            #expect(try set(admin, [QuotaEntity(type: "user")], [("consumer_byte_rate", 4000)]) == .none)
            let client = try broker.connect(), clock = TimeSource.system, began = clock.monotonicNs
            var offset: Int64 = 0, bytes = 0, empty = 0
            var session: Int32 = 0, epoch: Int32 = 0
            while offset < 20 {
                let request = FetchRequest(
                    waitMsMax: 100, bytesMin: 1, sessionID: session, sessionEpoch: epoch,
                    topics: [.init(name: "t", partitions: [.init(index: 0, fetchOffset: offset, bytesMax: 1 << 20)])])
                let response = try client.send(request, 12)
                #expect(response.error == .none)
                session = response.sessionID
                epoch = session == 0 ? 0 : epoch + 1
                let records = Array(response.topics.first?.partitions.first?.records?.readableBytesView ?? ByteBufferView())
                if records.isEmpty { empty += 1 }
                bytes += records.count
                // A batch here is one record.
                var rest = records[...]
                while !rest.isEmpty {
                    let size = rest.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 8, as: Int32.self).bigEndian) } + 12
                    rest = rest.dropFirst(size)
                    offset += 1
                }
            }
            let seconds = Double(clock.monotonicNs - began) / 1e9
            #expect(bytes > 10_000 && seconds > Double(bytes - 4000 - 1000) / 4000, "\(bytes) bytes in \(seconds) s")
            // Another connection of the same user owes as well.
            let other = try broker.connect()
            let response = try other.send(
                FetchRequest(waitMsMax: 0, sessionEpoch: 0, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1 << 20)])]), 12)
            if response.throttleTimeMs > 0 { #expect(response.sessionID == 0 || !response.topics.isEmpty) }
        }
    }

    @Test func partitionsAreMadeAtTheirRate() throws {
        try TestBroker.run(limits) { broker in
            let client = try broker.connect()
            #expect(try set(client, [QuotaEntity(type: "client-id")], [("controller_mutation_rate", 5)]) == .none)
            func create(_ name: String, _ version: Int16) throws -> (KafkaErrorCode, Int32) {
                let response = try client.send(
                    CreateTopicsRequest(topics: [.init(name: name, partitions: 8, replicationFactor: 1)], timeoutMs: 1000), version)
                return (response.topics[0].error, response.throttleTimeMs)
            }
            // The limit may be overdrawn once; then a client that knows the error gets it, and may try again after the time told.
            #expect(try create("a", 6) == (.none, 0))
            let (refused, waitMs) = try create("b", 6)
            #expect(refused == .throttlingQuotaExceeded && (1...600).contains(waitMs) && broker.log.topic("b") == nil)
            #expect(try create("b", 6) == (.none, 0))
            let (made, told) = try create("c", 5)
            #expect(made == .none && told > 600)
        }
    }

    @Test func timeIsLimitedToo() throws {
        try TestBroker.run(limits) { broker in
            let admin = try broker.connect(), client = try broker.connect()
            #expect(try set(admin, [QuotaEntity(type: "client-id", name: "test")], [("request_percentage", 0.000_01)]) == .none)
            // Whatever a request takes is more than 100 ns; a wait is never longer than a window.
            #expect(try client.send(ListGroupsRequest(), 4).throttleTimeMs == 1000)
        }
    }
}
