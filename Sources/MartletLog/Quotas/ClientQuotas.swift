import MartletCore
import Synchronization

/// The limits of clients and what they have used of them.
///
/// Limits are in memory and in `<data>/client-quotas.json`, replaced whole before a change is in force; a name of null is the default one:
///
/// ```json
/// {"version":1,"quotas":[{"entity":{"user":"alice","client-id":null},"limits":{"producer_byte_rate":"1048576"}}]}
/// ```
final class ClientQuotas: Sendable {
    private struct State {
        var limits: [QuotaTarget: [QuotaKind: Double]]
        var meters: QuotaMeters
        var lastSweepNs: Int64 = 0
    }

    private let path: String
    private let fileSystem: any FileSystem
    private let limitsClients: Atomic<Bool>
    private let limitsAddresses: Atomic<Bool>
    private let state: Mutex<State>
    /// One change at a time.
    private let changing = Mutex(())

    /// Targets that may have limits.
    static let targetsMax = 10_000
    private static let sweepIntervalNs: Int64 = 10_000_000_000

    /// - `burstSeconds`: how many seconds of its limit somebody may use at once who was idle.
    /// - Throws: `.corruptRecord`, `.incompatibleFormat` naming the file, `.io`.
    init(directory: String, fileSystem: any FileSystem, burstSeconds: Double) throws(MartletError) {
        path = "\(directory)/client-quotas.json"
        self.fileSystem = fileSystem
        let limits = try Self.read(path, fileSystem)
        limitsClients = Atomic(limits.keys.contains { $0.address == nil })
        limitsAddresses = Atomic(limits.keys.contains { $0.address != nil })
        state = Mutex(State(limits: limits, meters: QuotaMeters(burstSeconds: burstSeconds)))
    }

    /// No user and no client id has a limit: all that is asked on the way of requests then.
    var isEmpty: Bool { !limitsClients.load(ordering: .relaxed) }

    /// Whose consumption is remembered.
    var meterCount: Int { state.withLock(\.meters.count) }

    /// Counts what somebody used.
    /// - Returns: for how long this client is to wait, milliseconds; 0 without a limit or within it.
    func charge(_ kind: QuotaKind, _ amount: Double, user: String, client: String, nowNs: Int64) -> Int64 {
        state.withLock { state in
            guard let (perSecond, meter) = Self.limit(kind, user, client, state.limits) else { return 0 }
            Self.sweep(&state, nowNs)
            return state.meters.charge(kind, amount, meter, perSecond: perSecond, nowNs: nowNs)
        }
    }

    /// Counts a connection, unless it comes too early.
    /// - `address`: as `PeerAddress` writes it.
    /// - Returns: milliseconds after which its address may open another one; 0: now.
    func connect(from address: String, nowNs: Int64) -> Int64 {
        guard limitsAddresses.load(ordering: .relaxed) else { return 0 }
        return state.withLock { state in
            guard let perSecond = Self.limit(ofAddress: address, state.limits) else { return 0 }
            Self.sweep(&state, nowNs)
            let meter = QuotaMeters.Key(address: address)
            let waitMs = state.meters.charge(.connection, 1, meter, perSecond: perSecond, nowNs: nowNs)
            if waitMs > 0 { _ = state.meters.charge(.connection, -1, meter, perSecond: perSecond, nowNs: nowNs) }
            return waitMs
        }
    }

    private static func limit(ofAddress address: String, _ limits: [QuotaTarget: [QuotaKind: Double]]) -> Double? {
        (limits[QuotaTarget(address: .named(address))] ?? limits[QuotaTarget(address: .byDefault)])?[.connection]
    }

    /// Now and then, lets go of what nobody owes any more.
    private static func sweep(_ state: inout State, _ nowNs: Int64) {
        guard nowNs - state.lastSweepNs > sweepIntervalNs else { return }
        state.lastSweepNs = nowNs
        let limits = state.limits
        state.meters.forgetFull(nowNs: nowNs) { kind, key in
            if let address = key.address { return limit(ofAddress: address, limits) }
            return limit(kind, key.user, key.client, limits)?.perSecond
        }
    }

    /// What may be used before the client has to wait, negative if it has to; nil without a limit.
    func allowance(_ kind: QuotaKind, user: String, client: String, nowNs: Int64) -> Double? {
        state.withLock { state in
            guard let (perSecond, meter) = Self.limit(kind, user, client, state.limits) else { return nil }
            return state.meters.level(kind, meter, perSecond: perSecond, nowNs: nowNs)
        }
    }

    /// - `user`, `client`: nil where a meter is shared by all of them: their own limits do not count then.
    private static func limit(
        _ kind: QuotaKind, _ user: String?, _ client: String?, _ limits: [QuotaTarget: [QuotaKind: Double]]
    ) -> (perSecond: Double, meter: QuotaMeters.Key)? {
        let wanted = QuotaMeters.Key(user: user, client: client)
        let isShared = user == nil || client == nil
        for (target, meter) in QuotaTarget.candidates(user: user ?? "", client: client ?? "") where !isShared || meter == wanted {
            if let limit = limits[target]?[kind] { return (kind.perSecond(limit), meter) }
        }
        return nil
    }

    // MARK: limits

    /// All targets with their limits, in an order that does not change by itself.
    var all: [(target: QuotaTarget, limits: [QuotaKind: Double])] {
        state.withLock(\.limits).sorted { Self.order($0.key) < Self.order($1.key) }.map { ($0.key, $0.value) }
    }

    private static func order(_ target: QuotaTarget) -> (Int, String, Int, String, Int, String) {
        func part(_ name: QuotaTarget.Name?) -> (Int, String) {
            switch name {
            case nil: (0, "")
            case .byDefault: (1, "")
            case .named(let name): (2, name)
            }
        }
        let user = part(target.user), client = part(target.client), address = part(target.address)
        return (address.0, address.1, user.0, user.1, client.0, client.1)
    }

    /// Sets limits, or takes them away (nil); durable on return.
    /// - Throws: KAFKA_STORAGE_ERROR, POLICY_VIOLATION if too many have limits; nothing changed then.
    func set(_ changes: [QuotaKind: Double?], of target: QuotaTarget) throws(KafkaError) {
        try changing.withLock { (_) throws(KafkaError) in
            let before = state.withLock(\.limits)
            var next = before
            for (kind, limit) in changes { next[target, default: [:]][kind] = limit }
            if next[target]?.isEmpty == true { next[target] = nil }
            guard next != before else { return }
            guard next.count <= Self.targetsMax else { throw KafkaError(.policyViolation, "\(before.count) entities have quotas, and no more can") }
            do throws(MartletError) {
                try fileSystem.replace(path, with: Self.text(next), durably: true)
            } catch {
                throw KafkaError(.kafkaStorageError, error.message)
            }
            state.withLock { $0.limits = next }
            limitsClients.store(next.keys.contains { $0.address == nil }, ordering: .relaxed)
            limitsAddresses.store(next.keys.contains { $0.address != nil }, ordering: .relaxed)
        }
    }

    // MARK: the file

    private static func text(_ limits: [QuotaTarget: [QuotaKind: Double]]) -> [UInt8] {
        func member(_ type: String, _ name: QuotaTarget.Name?) -> [JSONObject.Member] {
            switch name {
            case nil: []
            case .byDefault: [.init(type, .null)]
            case .named(let name): [.init(type, .string(name))]
            }
        }
        let rows = limits.sorted { order($0.key) < order($1.key) }.map { target, limits -> JSONValue in
            [
                "entity": .object(JSONObject(member("user", target.user) + member("client-id", target.client) + member("ip", target.address))),
                "limits": .object(
                    JSONObject(limits.sorted { $0.key.rawValue < $1.key.rawValue }.map { .init($0.key.rawValue, .string("\($0.value)")) })),
            ]
        }
        let json: JSONValue = ["version": 1, "quotas": .array(rows)]
        return Array("\(json)\n".utf8)
    }

    private static func read(_ path: String, _ fileSystem: any FileSystem) throws(MartletError) -> [QuotaTarget: [QuotaKind: Double]] {
        guard let bytes = try fileSystem.contents(path) else { return [:] }
        var all: [QuotaTarget: [QuotaKind: Double]] = [:]
        for row in try VersionedJSON.parse(bytes, path: path)["quotas"]?.arrayValue ?? [] {
            func damaged() -> MartletError { MartletError(.corruptRecord, "\(path) is damaged: \(row)") }
            var target = QuotaTarget()
            for member in row["entity"]?.objectValue?.members ?? [] {
                let name: QuotaTarget.Name = member.value.stringValue.map { .named($0) } ?? .byDefault
                switch member.name {
                case "user": target.user = name
                case "client-id": target.client = name
                case "ip": target.address = name
                default: throw damaged()
                }
            }
            var limits: [QuotaKind: Double] = [:]
            for member in row["limits"]?.objectValue?.members ?? [] {
                guard let kind = QuotaKind(rawValue: member.name), let limit = member.value.stringValue.flatMap(Double.init), kind.refusal(of: limit) == nil
                else { throw damaged() }
                limits[kind] = limit
            }
            guard target != QuotaTarget(), target.address == nil || target == QuotaTarget(address: target.address), !limits.isEmpty,
                limits.keys.allSatisfy(target.kinds.contains)
            else { throw damaged() }
            all[target] = limits
        }
        return all
    }
}
