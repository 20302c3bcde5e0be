import MartletCore
import Testing

@testable import MartletLog

@Suite struct ClientQuotasTests {
    private func quotas(_ system: SimulatedFileSystem) throws -> ClientQuotas {
        try system.createDirectoryDurably("/data")
        return try ClientQuotas(directory: "/data", fileSystem: system, burstSeconds: 10)
    }

    private typealias Name = QuotaTarget.Name

    /// The order of Kafka's documentation: each target is given a limit, from the farthest to the nearest, and each takes over from the one before.
    @Test func theNearestLimitHolds() throws {
        let quotas = try quotas(SimulatedFileSystem())
        #expect(quotas.isEmpty && quotas.allowance(.produce, user: "u", client: "c", nowNs: 0) == nil)
        let user = Name.named("u"), client = Name.named("c")
        let targets: [QuotaTarget] = [
            .init(client: .byDefault), .init(client: client), .init(user: .byDefault), .init(user: .byDefault, client: .byDefault),
            .init(user: .byDefault, client: client), .init(user: user), .init(user: user, client: .byDefault), .init(user: user, client: client),
        ]
        for (place, target) in targets.enumerated() {
            try quotas.set([.produce: Double(place + 1)], of: target)
            #expect(quotas.allowance(.produce, user: "u", client: "c", nowNs: 0) == Double(place + 1) * 10, "\(target)")
            #expect(quotas.allowance(.fetch, user: "u", client: "c", nowNs: 0) == nil)
        }
        #expect(quotas.allowance(.produce, user: "v", client: "d", nowNs: 0) == 40)
        for target in targets { try quotas.set([.produce: nil], of: target) }
        #expect(quotas.isEmpty && quotas.all.isEmpty)
    }

    /// A user's limit is one for all its clients, that of a client id one for all users, the default of both one for each pair.
    @Test func limitsAreSharedByWhomTheyAreFor() throws {
        let quotas = try quotas(SimulatedFileSystem())
        func left(_ user: String, _ client: String) -> Double? { quotas.allowance(.fetch, user: user, client: client, nowNs: 0) }
        try quotas.set([.fetch: 1], of: .init(user: .byDefault))
        #expect(quotas.charge(.fetch, 12, user: "u", client: "c", nowNs: 0) == 2000)
        #expect(left("u", "d") == -2 && left("v", "c") == 10)
        try quotas.set([.fetch: 1], of: .init(user: .byDefault, client: .byDefault))
        #expect(quotas.charge(.fetch, 3, user: "u", client: "c", nowNs: 0) == 0)
        #expect(left("u", "c") == 7 && left("u", "d") == 10)
        for target in quotas.all.map(\.target) { try quotas.set([.fetch: nil], of: target) }
        try quotas.set([.fetch: 1], of: .init(client: .byDefault))
        _ = quotas.charge(.fetch, 4, user: "u", client: "c", nowNs: 0)
        #expect(left("v", "c") == 6 && left("v", "d") == 10)
    }

    @Test func limitsOutliveARestart() throws {
        let system = SimulatedFileSystem()
        let all: [QuotaTarget: [QuotaKind: Double]] = [
            .init(user: .named("a \"b\"")): [.produce: 1e12, .request: 0.5], .init(user: .byDefault, client: .named("null")): [.mutation: 2.25],
            .init(client: .byDefault): [.fetch: 7], .init(address: .named("::1")): [.connection: 3], .init(address: .byDefault): [.connection: 2],
        ]
        let before = try quotas(system)
        for (target, limits) in all { try before.set(limits.mapValues { Optional($0) }, of: target) }
        let after = try quotas(system)
        #expect(!after.isEmpty && Dictionary(uniqueKeysWithValues: after.all.map { ($0.target, $0.limits) }) == all)
        for text in ["[", #"{"version":1,"quotas":[{"entity":{},"limits":{"producer_byte_rate":"1"}}]}"#, #"{"version":1,"quotas":[{"entity":{"user":"a"},"limits":{"speed":"1"}}]}"#, #"{"version":1,"quotas":[{"entity":{"user":"a","ip":"::1"},"limits":{"connection_creation_rate":"1"}}]}"#, #"{"version":1,"quotas":[{"entity":{"ip":"::1"},"limits":{"producer_byte_rate":"1"}}]}"#] {
            try system.replace("/data/client-quotas.json", with: Array(text.utf8), durably: true)
            let error = #expect(throws: MartletError.self) { try quotas(system) }
            #expect(error?.code == .corruptRecord)
        }
    }

    /// The nearest of both limits holds for an address; users' limits are another matter.
    @Test func addressesHaveTheirRate() throws {
        let quotas = try quotas(SimulatedFileSystem())
        #expect(quotas.connect(from: "10.0.0.7", nowNs: 0) == 0)
        try quotas.set([.connection: 1], of: .init(address: .byDefault))
        try quotas.set([.connection: 2], of: .init(address: .named("10.0.0.7")))
        #expect(quotas.isEmpty, "requests of clients pay for limits that they do not have")
        func admitted(_ address: String, nowNs: Int64) -> Int { (0..<100).count { _ in quotas.connect(from: address, nowNs: nowNs) == 0 } }
        #expect(admitted("10.0.0.7", nowNs: 0) == 20 && admitted("10.0.0.8", nowNs: 0) == 10 && admitted("10.0.0.9", nowNs: 0) == 10)
        #expect(quotas.connect(from: "10.0.0.7", nowNs: 0) == 500 && quotas.connect(from: "10.0.0.8", nowNs: 0) == 1000)
        // A second later there is what the limit gives in one; what was refused has cost nothing.
        #expect(admitted("10.0.0.7", nowNs: 1_000_000_000) == 2 && admitted("10.0.0.8", nowNs: 1_000_000_000) == 1)
        _ = quotas.connect(from: "10.0.0.1", nowNs: 1_000_000_000_000)
        #expect(quotas.meterCount == 1, "who has what it may use is not remembered")
        try quotas.set([.connection: nil], of: .init(address: .byDefault))
        #expect(quotas.connect(from: "10.0.0.8", nowNs: 0) == 0)
    }
}
