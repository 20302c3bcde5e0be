import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Limits of connections by the wire: set while the broker runs, in force for whoever comes next, and counted.
@Suite struct ConnectionLimitTests {
    private func set(_ admin: TestClient, _ name: String, _ value: String) throws -> KafkaErrorCode {
        let resource = IncrementalAlterConfigsRequest.Resource(type: 4, name: "1", changes: [.init(name: name, operation: 0, value: value)])
        return try admin.send(IncrementalAlterConfigsRequest(resources: [resource]), 1).results[0].error
    }

    private func setRate(_ admin: TestClient, _ name: String?, _ value: Double?, key: String = "connection_creation_rate") throws -> KafkaErrorCode {
        let change = AlterClientQuotasRequest.Change(key: key, value: Int64(bitPattern: (value ?? 0).bitPattern), isRemoval: value == nil)
        return try admin.send(AlterClientQuotasRequest(entries: [.init(entity: [.init(type: "ip", name: name)], changes: [change])]), 1).entries[0].error
    }

    private func refused(_ broker: TestBroker, _ limit: ConnectionGate.Refusal) -> Int64 {
        broker.statistics.refusedConnections.first { $0.name == limit.rawValue }?.count ?? -1
    }

    private var shortWindows: BrokerConfig {
        var limits = BrokerConfig()
        limits.quotaWindows = 2
        return limits
    }

    @Test func anAddressMayHaveABoundOfItsOwn() throws {
        try TestBroker.run { broker in
            let admin = try broker.connect()
            #expect(try set(admin, "max.connections.per.ip.overrides", "localhost:1") == .invalidRequest)
            #expect(try set(admin, "max.connections.per.ip", "1") == .none)
            #expect(try broker.connect().isClosedByPeer && refused(broker, .address) == 1)
            #expect(try set(admin, "max.connections.per.ip.overrides", "10.0.0.7:0,127.0.0.1:2") == .none)
            let second = try broker.connect()
            #expect(try second.send(ApiVersionsRequest(), 0).error == .none)
            #expect(try broker.connect().isClosedByPeer && refused(broker, .address) == 2)
            #expect(broker.statistics.listeners.map(\.open) == [2] && broker.statistics.listeners[0].accepted == 2)
        }
    }

    /// What may come at once comes in; then one a second, others wait their turn unheard, none is lost.
    @Test func newConnectionsWaitForTheirTurn() throws {
        try TestBroker.run(shortWindows) { broker in
            let admin = try broker.connect(), clock = TimeSource.system
            #expect(try set(admin, "max.connection.creation.rate", "4") == .none)
            let began = clock.monotonicNs
            let clients = try (0..<6).map { _ in try broker.connect() }
            for client in clients { #expect(try client.send(ApiVersionsRequest(), 0).error == .none) }
            // Four at once, and a quarter of a second for each of the others.
            #expect(clock.monotonicNs - began >= 490_000_000)
            #expect(refused(broker, .rate) == 0 && broker.statistics.listeners[0].open == 7)
        }
    }

    /// KIP-612: a connection that comes too early is closed, not before its address may come again.
    @Test func anAddressHasARate() throws {
        try TestBroker.run(shortWindows) { broker in
            let admin = try broker.connect(), clock = TimeSource.system
            #expect(try setRate(admin, "0:0:0:0:0:ffff:7f00:1", 2) == .none)
            let clients = try (0..<2).map { _ in try broker.connect() }
            for client in clients { #expect(try client.send(ApiVersionsRequest(), 0).error == .none) }
            let began = clock.monotonicNs
            #expect(try broker.connect().isClosedByPeer && clock.monotonicNs - began > 300_000_000)
            #expect(refused(broker, .addressRate) == 1)
            #expect(try broker.connect().send(ApiVersionsRequest(), 0).error == .none)
            // The default is for addresses that have none of their own.
            #expect(try setRate(admin, nil, 1) == .none)
            #expect(try setRate(admin, "127.0.0.1", 100_000) == .none)
            for _ in 0..<5 { #expect(try broker.connect().send(ApiVersionsRequest(), 0).error == .none) }
            let described = try admin.send(DescribeClientQuotasRequest(components: [.init(type: "ip", matchType: 0, match: "::ffff:127.0.0.1")]), 1)
            #expect(described.entries?.map { $0.entity.map(\.name) } == [["127.0.0.1"]])
            #expect(described.entries?.first?.values.map { Double(bitPattern: UInt64(bitPattern: $0.value)) } == [100_000])
            #expect(try admin.send(DescribeClientQuotasRequest(components: [.init(type: "ip", matchType: 2)]), 1).entries?.count == 2)
            for (name, value, key) in [
                ("localhost", 1, "connection_creation_rate"), ("127.0.0.1", 0, "connection_creation_rate"), ("127.0.0.1", 1.5, "connection_creation_rate"),
                ("127.0.0.1", 1, "producer_byte_rate"), ("", 1, "connection_creation_rate"),
            ] as [(String, Double, String)] {
                #expect(try setRate(admin, name, value, key: key) == .invalidRequest, "\(name) \(value) \(key)")
            }
            // No user has a limit, so requests pay nothing.
            #expect(broker.log.settings.broker.quotaWindows == 2 && broker.statistics.throttles.allSatisfy { $0.count == 0 })
        }
    }

    /// Those who wait for their turn, or to be closed, do not keep the broker from stopping.
    @Test func stoppingWaitsForNobody() throws {
        try TestBroker.run(shortWindows) { broker in
            let admin = try broker.connect(), clock = TimeSource.system
            #expect(try setRate(admin, nil, 1) == .none)
            #expect(try broker.connect().send(ApiVersionsRequest(), 0).error == .none)
            let refused = try broker.connect()
            #expect(try set(admin, "max.connection.creation.rate", "1") == .none)
            #expect(try setRate(admin, nil, 1_000_000) == .none)
            let first = try broker.connect(), waiting = try broker.connect()
            #expect(try first.send(ApiVersionsRequest(), 0).error == .none)
            let began = clock.monotonicNs
            broker.stop()
            #expect(waiting.isClosedByPeer && clock.monotonicNs - began < 5_000_000_000)
            _ = refused
        }
    }

    @Test func whyConnectionsEndIsCounted() throws {
        var limits = BrokerConfig()
        limits.idleMsMax = 200
        try TestBroker.run(limits) { broker in
            let malformed = try broker.connect(), idle = try broker.connect()
            try malformed.write(ByteBuffer(bytes: [0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 0]))
            #expect(malformed.isClosedByPeer && idle.isClosedByPeer)
            let ended = Dictionary(uniqueKeysWithValues: broker.statistics.endedConnections.map { ($0.name, $0.count) })
            #expect(ended == ["malformed": 1, "idle": 1, "authentication": 0, "failed": 0])
        }
    }
}
