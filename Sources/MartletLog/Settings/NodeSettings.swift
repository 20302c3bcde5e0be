import Logging
import MartletCore
import Synchronization

/// What clients set while the node runs, over what it was started with: of the broker, of all brokers, of groups, and which metrics they want of clients.
///
/// In memory, and in `<data>/settings.json`, which is replaced whole before a change is in force:
///
/// ```json
/// {"version":1,"cluster":{"log.retention.ms":"1000"},"node":{"max.connections":"50"},"groups":{"g":{"consumer.session.timeout.ms":"50000"}},
///  "clientMetrics":{"s":{"metrics":"*","interval.ms":"10000"}}}
/// ```
///
/// What holds, first to last (Kafka documentation, "Updating Broker Configs"): `node`, `cluster`, the start, the default.
final class NodeSettings: Sendable {
    /// What a set of settings belongs to.
    enum Owner: Hashable, Sendable {
        /// All brokers.
        case cluster
        /// Broker 1.
        case node
        case group(String)
        /// A subscription to client metrics.
        case clientMetrics(String)
    }

    private struct State {
        /// As the node was started.
        var started: NodeConfig
        var set: [Owner: [String: String]]
        var inForce: NodeConfig
        var subscriptions: [TelemetrySubscription]
    }

    private let path: String
    private let fileSystem: any FileSystem
    private let state: Mutex<State>
    /// One change at a time.
    private let changing = Mutex(())

    /// Groups that may have settings of their own.
    static let groupsMax = 10_000
    static let subscriptionsMax = 1_000

    /// - Throws: `.corruptRecord`, `.incompatibleFormat` naming the file, `.io`. Settings that this Martlet does not know, or not with such a
    ///   value, are kept and not obeyed, with a line in the log.
    init(directory: String, log: LogConfig, logger: Logger) throws(MartletError) {
        path = "\(directory)/settings.json"
        fileSystem = log.fileSystem
        var started = NodeConfig()
        started.log = log
        let set = try Self.read(path, fileSystem)
        for (owner, values) in set where owner == .cluster || owner == .node {
            for (name, value) in values {
                var scratch = started
                do throws(MartletError) {
                    guard let setting = BrokerSetting.named(name) else { throw MartletError(.unknownProperty, "there is no setting \(name)") }
                    try setting.apply(value, &scratch)
                } catch {
                    logger.warning("setting is not obeyed", metadata: ["setting": "\(name)", "file": "\(path)", "reason": "\(error.message)"])
                }
            }
        }
        state = Mutex(State(started: started, set: set, inForce: Self.inForce(started, set), subscriptions: Self.subscriptions(set, logger)))
    }

    /// The limits that the broker was started with; the log's came with `init`.
    func start(broker: BrokerConfig) {
        state.withLock { state in
            state.started.broker = broker
            state.inForce = Self.inForce(state.started, state.set)
        }
    }

    var log: LogConfig { state.withLock(\.inForce.log) }

    var broker: BrokerConfig { state.withLock(\.inForce.broker) }

    /// Which metrics are wanted of clients.
    var telemetrySubscriptions: [TelemetrySubscription] { state.withLock(\.subscriptions) }

    /// Groups that have settings of their own, sorted.
    var groupsWithSettings: [String] {
        state.withLock { $0.set.keys.compactMap { if case .group(let id) = $0 { id } else { nil } } }.sorted()
    }

    /// What was set for `owner` alone.
    func values(of owner: Owner) -> [String: String] { state.withLock { $0.set[owner] ?? [:] } }

    // MARK: groups

    /// How often members of this consumer group report, and after which silence they are out.
    func consumerTimes(ofGroup id: String) -> (heartbeatIntervalMs: Int32, sessionTimeoutMs: Int64) {
        state.withLock { state in
            let own = state.set[.group(id)], groups = state.inForce.broker.groups
            return (
                own?[GroupSetting.heartbeatInterval].flatMap { Int32($0) } ?? groups.consumerHeartbeatIntervalMs,
                own?[GroupSetting.sessionTimeout].flatMap { Int64($0) } ?? groups.consumerSessionTimeoutMs
            )
        }
    }

    /// What a share group goes by.
    func shareSettings(ofGroup id: String) -> ShareGroupSettings {
        state.withLock { state in ShareGroupSettings(own: state.set[.group(id)] ?? [:], broker: state.inForce.broker.groups.sharing) }
    }

    /// What a streams group goes by.
    func streamsSettings(ofGroup id: String) -> StreamsGroup.Settings {
        state.withLock { state in StreamsGroup.Settings(own: state.set[.group(id)] ?? [:], broker: state.inForce.broker.groups.streams) }
    }

    // MARK: where values come from

    struct Value: Hashable, Sendable {
        var name: String
        var text: String
        var source: ConfigSource
    }

    /// The values of a setting of the broker by precedence; the first is in force. Empty for one without effect that nobody has set.
    func values(of setting: BrokerSetting) -> [Value] {
        state.withLock { state in
            var values: [Value] = []
            func add(_ text: String?, _ source: ConfigSource) {
                if let text { values.append(Value(name: setting.name, text: text, source: source)) }
            }
            add(state.set[.node]?[setting.name], .dynamicBroker)
            add(state.set[.cluster]?[setting.name], .dynamicDefaultBroker)
            let started = setting.value(in: state.started), byDefault = setting.value(in: NodeConfig())
            if started != byDefault || state.started.broker.given.contains(setting.name) { add(started, .staticBroker) }
            add(byDefault, .default)
            return values
        }
    }

    // MARK: changes

    /// Replaces what was set for `owner` by what `change` makes of it. With `keeps` false it is only checked.
    ///
    /// - `change`: gets what was set and what is in force, the latter for lists.
    /// - Returns: whether the settings in force of the broker or the log may be other ones now.
    /// - Throws: INVALID_REQUEST or INVALID_CONFIG naming the setting, KAFKA_STORAGE_ERROR if the file cannot be written: nothing changed then.
    func change(
        _ owner: Owner, keeps: Bool, _ change: ([String: String]) throws(KafkaError) -> [String: String]
    ) throws(KafkaError) -> Bool {
        try changing.withLock { (_) throws(KafkaError) in
            let before = state.withLock { $0 }
            let own = before.set[owner] ?? [:]
            let wanted = try change(own)
            switch owner {
            case .group(let id):
                try GroupSetting.check(wanted, of: id, before.inForce.broker.groups)
                let groups = before.set.keys.count { if case .group = $0 { true } else { false } }
                if own.isEmpty, !wanted.isEmpty, groups >= Self.groupsMax {
                    throw KafkaError(.policyViolation, "\(groups) groups have settings of their own, and no more can")
                }
            case .clientMetrics(let name):
                _ = try TelemetrySubscription(name: name, wanted)
                if own.isEmpty, !wanted.isEmpty, before.subscriptions.count >= Self.subscriptionsMax {
                    throw KafkaError(.policyViolation, "there are \(Self.subscriptionsMax) subscriptions to client metrics, and no more can be")
                }
            case .cluster, .node:
                for (name, value) in wanted.sorted(by: { $0.key < $1.key }) where own[name] != value {
                    try Self.check(name, value, of: owner, before.started)
                }
            }
            guard keeps, wanted != own else { return false }
            var next = before
            next.set[owner] = wanted.isEmpty ? nil : wanted
            next.inForce = Self.inForce(next.started, next.set)
            if case .clientMetrics = owner { next.subscriptions = Self.subscriptions(next.set, nil) }
            do throws(MartletError) {
                try fileSystem.replace(path, with: Self.text(next.set), durably: true)
            } catch {
                throw KafkaError(.kafkaStorageError, error.message)
            }
            state.withLock { $0 = next }
            return true
        }
    }

    private static func check(_ name: String, _ value: String, of owner: Owner, _ started: NodeConfig) throws(KafkaError) {
        guard let setting = BrokerSetting.named(name) else { throw KafkaError(.invalidRequest, "there is no setting \(name) of brokers") }
        switch setting.change {
        case .atStart: throw KafkaError(.invalidRequest, "\(name) is read at the start and cannot be changed while the broker runs")
        case .ofBroker where owner == .cluster:
            throw KafkaError(.invalidRequest, "\(name) can be changed for one broker only, not for all")
        case .ofBroker, .ofCluster: break
        }
        do throws(MartletError) {
            var scratch = started
            try setting.apply(value, &scratch)
        } catch {
            throw KafkaError(.invalidRequest, error.message)
        }
    }

    private static func inForce(_ started: NodeConfig, _ set: [Owner: [String: String]]) -> NodeConfig {
        var config = started
        for owner in [Owner.cluster, .node] {
            for (name, value) in (set[owner] ?? [:]).sorted(by: { $0.key < $1.key }) {
                // What cannot be obeyed was told at the start; nothing else gets in.
                guard let setting = BrokerSetting.named(name), setting.change != .atStart else { continue }
                var changed = config
                do throws(MartletError) { try setting.apply(value, &changed) } catch { continue }
                config = changed
            }
        }
        return config
    }

    /// What cannot be obeyed is told at the start and kept.
    private static func subscriptions(_ set: [Owner: [String: String]], _ logger: Logger?) -> [TelemetrySubscription] {
        set.compactMap { owner, values in
            guard case .clientMetrics(let name) = owner else { return nil }
            do throws(KafkaError) {
                return try TelemetrySubscription(name: name, values)
            } catch {
                logger?.warning("subscription to client metrics is not obeyed", metadata: ["subscription": "\(name)", "reason": "\(error.message)"])
                return nil
            }
        }.sorted { $0.name < $1.name }
    }

    // MARK: the file

    private static func text(_ set: [Owner: [String: String]]) -> [UInt8] {
        func object(_ values: [String: String]) -> JSONValue {
            .object(JSONObject(values.sorted { $0.key < $1.key }.map { JSONObject.Member($0.key, .string($0.value)) }))
        }
        var groups: [String: [String: String]] = [:], subscriptions: [String: [String: String]] = [:]
        for (owner, values) in set {
            switch owner {
            case .group(let id): groups[id] = values
            case .clientMetrics(let name): subscriptions[name] = values
            case .cluster, .node: break
            }
        }
        func objects(_ values: [String: [String: String]]) -> JSONValue {
            .object(JSONObject(values.sorted { $0.key < $1.key }.map { JSONObject.Member($0.key, object($0.value)) }))
        }
        let json: JSONValue = [
            "version": 1, "cluster": object(set[.cluster] ?? [:]), "node": object(set[.node] ?? [:]),
            "groups": objects(groups), "clientMetrics": objects(subscriptions),
        ]
        return Array("\(json)\n".utf8)
    }

    private static func read(_ path: String, _ fileSystem: any FileSystem) throws(MartletError) -> [Owner: [String: String]] {
        guard let bytes = try fileSystem.contents(path) else { return [:] }
        let json = try VersionedJSON.parse(bytes, path: path)
        func values(_ json: JSONValue?) throws(MartletError) -> [String: String] {
            var values: [String: String] = [:]
            for member in json?.objectValue?.members ?? [] {
                guard let text = member.value.stringValue else { throw MartletError(.corruptRecord, "\(path) is damaged at \(member.name)") }
                values[member.name] = text
            }
            return values
        }
        var set: [Owner: [String: String]] = [:]
        for (owner, name) in [(Owner.cluster, "cluster"), (.node, "node")] {
            let own = try values(json[name])
            if !own.isEmpty { set[owner] = own }
        }
        for group in json["groups"]?.objectValue?.members ?? [] { set[.group(group.name)] = try values(group.value) }
        for one in json["clientMetrics"]?.objectValue?.members ?? [] { set[.clientMetrics(one.name)] = try values(one.value) }
        return set
    }
}
