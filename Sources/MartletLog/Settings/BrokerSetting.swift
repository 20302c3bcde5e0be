import MartletCore

/// A setting of the broker or the default of one of topics, by Kafka's name: one table for the start, for DescribeConfigs and for AlterConfigs.
public struct BrokerSetting: Sendable {
    enum Effect: Sendable {
        /// A whole number within a range; the default is the number that is in force.
        case number(ClosedRange<Int64>, get: @Sendable (NodeConfig) -> Int64, set: @Sendable (inout NodeConfig, Int64) -> Void)
        case flag(get: @Sendable (NodeConfig) -> Bool, set: @Sendable (inout NodeConfig, Bool) -> Void)
        /// Text with a form; `set` is false for what has another.
        case text(allowed: String, get: @Sendable (NodeConfig) -> String, set: @Sendable (inout NodeConfig, String) -> Bool)
        case choice([String], get: @Sendable (NodeConfig) -> String, set: @Sendable (inout NodeConfig, String) -> Void)
        /// The default of this setting of a topic.
        case topic(String)
        /// Shown, and never another.
        case fixed(String)
        /// Kept and shown, but there is nothing here that it could change: Kafka's threads, caches and Kerberos.
        case none
    }

    /// Kafka's update modes (Kafka documentation, "Updating Broker Configs").
    public enum Change: String, Sendable {
        /// read-only
        case atStart
        /// per-broker: while the node runs, for one broker only.
        case ofBroker
        /// cluster-wide: while the node runs, for one broker or for all.
        case ofCluster
    }

    public let name: String
    /// A sentence without capital and full stop.
    public let summary: String
    let kind: SettingDescription.Kind
    public let change: Change
    let effect: Effect

    /// Whether it can be given at the start of a node.
    public var isGivenAtStart: Bool {
        switch effect {
        case .fixed, .none: false
        default: true
        }
    }

    public static let all: [BrokerSetting] = ofConnections + ofGroups + ofStreamsGroups + ofTransactions + ofTopics + fixed

    /// Dynamic settings of Kafka's that mean nothing here; shown once somebody has set them.
    static let accepted: [String: BrokerSetting] = Dictionary(withoutEffect.map { ($0.name, $0) }, uniquingKeysWith: { $1 })

    static func named(_ name: String) -> BrokerSetting? { byName[name] ?? accepted[name] }

    private static let byName: [String: BrokerSetting] = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { $1 })

    // MARK: the table

    static let telemetryBytes = "telemetry.max.bytes"
    private static let intMax = Int64(Int32.max)

    private static let ofConnections: [BrokerSetting] = [
        number("num.partitions", "how many partitions a topic gets whose maker does not say", 1...10_000, \.broker.partitionsDefault),
        .init(
            "auto.create.topics.enable", "whether a topic is made when a client first asks for it", .boolean,
            .flag(get: { $0.broker.createTopicsOnUse }, set: { $0.broker.createTopicsOnUse = $1 })),
        number("max.connections", "connections of Kafka clients; more are refused", 1...1_000_000, \.broker.connectionsMax, change: .ofCluster),
        number(
            "max.connections.per.ip", "connections from one address; more are refused", 0...intMax, \.broker.connectionsPerAddressMax,
            change: .ofCluster),
        .init(
            "max.connections.per.ip.overrides", "other bounds for some addresses: `10.0.0.7:100,::1:20`", .string,
            .text(
                allowed: "addresses, each with the number of its connections: 10.0.0.7:100,::1:20",
                get: { ConnectionOverrides.text($0.broker.connectionsOfAddressMax) },
                set: { config, text in
                    guard let limits = ConnectionOverrides.parse(text) else { return false }
                    config.broker.connectionsOfAddressMax = limits
                    return true
                }), change: .ofCluster),
        number(
            "max.connection.creation.rate", "new connections a second; more wait, and who would wait for more than ten seconds is refused",
            1...intMax, \.broker.connectionsPerSecondMax, change: .ofCluster),
        number("connections.max.idle.ms", "a connection on which nothing happens for so long ends", 1...intMax, \.broker.idleMsMax, .long),
        number(
            "connections.max.reauth.ms", "how long a SASL session lasts unless the client authenticates again; 0: for ever", 0...Int64.max,
            \.broker.security.sessionLifetimeMs, .long),
        number("socket.request.max.bytes", "a larger request ends its connection", 1024...intMax, \.broker.frameBytesMax),
        number(
            "queued.max.request.bytes", "bytes of requests that wait for the disk, and of answers that wait for the socket, of one connection",
            65_536...intMax, \.broker.pendingBytesMax, .long),
        number("fetch.max.bytes", "the most that a fetch is answered with; a single batch may be larger", 1024...intMax, \.broker.fetchBytesMax),
        number("quota.window.num", "over how many windows the rates of clients with quotas are taken", 2...1000, \.broker.quotaWindows),
        number("quota.window.size.seconds", "how long such a window is", 1...3600, \.broker.quotaWindowSeconds),
        number(telemetryBytes, "the largest report of a client's metrics, compressed", 1...intMax, \.broker.telemetryBytesMax),
        number("max.incremental.fetch.session.cache.slots", "clients that may read with fetch sessions", 0...1_000_000, \.broker.fetchSessionsMax),
    ]

    private static let ofGroups: [BrokerSetting] = [
        number("group.initial.rebalance.delay.ms", "how long the first rebalance of a group waits for more members", 0...3_600_000, \.broker.groups.initialRebalanceDelayMs),
        number("group.max.size", "members that a group of the classic protocol may have; more are refused", 1...intMax, \.broker.groups.membersMax),
        number("group.min.session.timeout.ms", "the shortest session timeout that a member may ask for", 1...intMax, \.broker.groups.sessionTimeoutMinMs),
        number("group.max.session.timeout.ms", "the longest session timeout that a member may ask for", 1...intMax, \.broker.groups.sessionTimeoutMaxMs),
        number(
            "group.consumer.max.size", "members that a consumer group may have; more are refused", 1...intMax,
            \.broker.groups.consumerMembersMax),
        number(
            "group.consumer.session.timeout.ms", "a member of a consumer group that is silent for so long is out; groups may have their own",
            1...intMax, \.broker.groups.consumerSessionTimeoutMs),
        number(
            "group.consumer.min.session.timeout.ms", "the shortest consumer.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.consumerSessionTimeoutMinMs),
        number(
            "group.consumer.max.session.timeout.ms", "the longest consumer.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.consumerSessionTimeoutMaxMs),
        number(
            "group.consumer.heartbeat.interval.ms", "how often members of consumer groups report; groups may have their own", 1...intMax,
            \.broker.groups.consumerHeartbeatIntervalMs),
        number(
            "group.consumer.min.heartbeat.interval.ms", "the shortest consumer.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.consumerHeartbeatIntervalMinMs),
        number(
            "group.consumer.max.heartbeat.interval.ms", "the longest consumer.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.consumerHeartbeatIntervalMaxMs),
        .init(
            "group.consumer.migration.policy",
            "which groups with members may go over to the other protocol: to KIP-848 when its first member comes (upgrade), back when its last has gone (downgrade)",
            .string,
            .choice(
                GroupMigration.allCases.map(\.rawValue), get: { $0.broker.groups.migration.rawValue },
                set: { $0.broker.groups.migration = GroupMigration(rawValue: $1) ?? .bidirectional })),
        number(
            "group.share.session.timeout.ms", "a member of a share group that is silent for so long is out; groups may have their own", 1...intMax,
            \.broker.groups.sharing.sessionTimeoutMs),
        number(
            "group.share.min.session.timeout.ms", "the shortest share.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.sharing.sessionTimeoutMinMs),
        number(
            "group.share.max.session.timeout.ms", "the longest share.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.sharing.sessionTimeoutMaxMs),
        number(
            "group.share.heartbeat.interval.ms", "how often members of share groups report; groups may have their own", 1...intMax,
            \.broker.groups.sharing.heartbeatIntervalMs),
        number(
            "group.share.min.heartbeat.interval.ms", "the shortest share.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.sharing.heartbeatIntervalMinMs),
        number(
            "group.share.max.heartbeat.interval.ms", "the longest share.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.sharing.heartbeatIntervalMaxMs),
        number("group.share.max.size", "members of a share group; more are refused", 1...1000, \.broker.groups.sharing.membersMax),
        number(
            "group.share.record.lock.duration.ms",
            "a record that is handed to a member of a share group and not acknowledged for so long goes to another; groups may have their own",
            1000...3_600_000, \.broker.groups.sharing.recordLockDurationMs),
        number(
            "group.share.min.record.lock.duration.ms", "the shortest share.record.lock.duration.ms that a group may have", 1000...30_000,
            \.broker.groups.sharing.recordLockDurationMinMs),
        number(
            "group.share.max.record.lock.duration.ms", "the longest share.record.lock.duration.ms that a group may have", 30_000...3_600_000,
            \.broker.groups.sharing.recordLockDurationMaxMs),
        number(
            "group.share.delivery.count.limit", "how often a share group is handed a record before it is given up; groups may have their own", 2...10,
            \.broker.groups.sharing.deliveryCountLimit),
        number(
            "group.share.min.delivery.count.limit", "the lowest share.delivery.count.limit that a group may have", 2...5,
            \.broker.groups.sharing.deliveryCountLimitMin),
        number(
            "group.share.max.delivery.count.limit", "the highest share.delivery.count.limit that a group may have", 5...25,
            \.broker.groups.sharing.deliveryCountLimitMax),
        number(
            "group.share.partition.max.record.locks",
            "how many records of a partition may be handed out to a share group and not yet done with; groups may have their own", 100...10_000,
            \.broker.groups.sharing.partitionRecordLocks),
        number(
            "group.share.min.partition.max.record.locks", "the lowest share.partition.max.record.locks that a group may have", 100...2000,
            \.broker.groups.sharing.partitionRecordLocksMin),
        number(
            "group.share.max.partition.max.record.locks", "the highest share.partition.max.record.locks that a group may have", 2000...10_000,
            \.broker.groups.sharing.partitionRecordLocksMax),
        number("group.share.max.share.sessions", "members of share groups that may read at once", 1...intMax, \.broker.groups.sharing.sessionsMax),
        number("offset.metadata.max.bytes", "the longest note that may be committed with an offset", 0...intMax, \.broker.groups.offsetMetadataBytesMax),
        .init(
            "offsets.retention.minutes", "how long offsets are kept of a group that has no members", .int,
            .number(
                1...intMax, get: { $0.broker.groups.offsetsRetentionMs / 60_000 }, set: { $0.broker.groups.offsetsRetentionMs = $1 * 60_000 })),
    ]

    private static let ofStreamsGroups: [BrokerSetting] = [
        number(
            "group.streams.session.timeout.ms", "a member of a streams group that is silent for so long is out; groups may have their own", 1...intMax,
            \.broker.groups.streams.sessionTimeoutMs),
        number(
            "group.streams.min.session.timeout.ms", "the shortest streams.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.streams.sessionTimeoutMinMs),
        number(
            "group.streams.max.session.timeout.ms", "the longest streams.session.timeout.ms that a group may have", 1...intMax,
            \.broker.groups.streams.sessionTimeoutMaxMs),
        number(
            "group.streams.heartbeat.interval.ms", "how often members of streams groups report; groups may have their own", 1...intMax,
            \.broker.groups.streams.heartbeatIntervalMs),
        number(
            "group.streams.min.heartbeat.interval.ms", "the shortest streams.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.streams.heartbeatIntervalMinMs),
        number(
            "group.streams.max.heartbeat.interval.ms", "the longest streams.heartbeat.interval.ms that a group may have", 1...intMax,
            \.broker.groups.streams.heartbeatIntervalMaxMs),
        number("group.streams.max.size", "members of a streams group; more are refused", 1...intMax, \.broker.groups.streams.membersMax),
        number(
            "group.streams.num.standby.replicas", "how many other processes have a copy of a task's state; groups may have their own", 0...intMax,
            \.broker.groups.streams.standbyReplicas),
        number(
            "group.streams.max.standby.replicas", "the highest streams.num.standby.replicas that a group may have", 0...intMax,
            \.broker.groups.streams.standbyReplicasMax),
        number(
            "group.streams.initial.rebalance.delay.ms",
            "how long the first assignment of a streams group waits for more members; groups may have their own", 0...intMax,
            \.broker.groups.streams.initialRebalanceDelayMs),
        number(
            "group.streams.num.warmup.replicas", "how many tasks of a streams group are warmed up at a time, for clients that report how far they are",
            1...intMax, \.broker.groups.streams.warmupReplicas),
        number(
            "group.streams.acceptable.recovery.lag", "how many records a copy of a task's state may lag and count as caught up", 0...intMax,
            \.broker.groups.streams.acceptableRecoveryLag),
        number(
            "group.streams.task.offset.interval.ms", "how often members of streams groups report how far their copies are", 1...intMax,
            \.broker.groups.streams.taskOffsetIntervalMs),
    ]

    private static let ofTransactions: [BrokerSetting] = [
        number(
            "producer.id.expiration.ms", "how long the sequence of an idempotent producer that is silent is remembered", 1...intMax,
            \.log.producerExpirationMs, change: .ofCluster),
        number(
            "transactional.id.expiration.ms", "a transactional id that is not used for so long is forgotten", 1...intMax,
            \.log.transactionalIDExpirationMs),
        number("transaction.max.timeout.ms", "the longest transaction timeout that a producer may ask for", 1...intMax, \.log.transactionTimeoutMsMax),
    ]

    private static let ofTopics: [BrokerSetting] = [
        ("log.cleanup.policy", "cleanup.policy"), ("log.retention.ms", "retention.ms"), ("log.retention.bytes", "retention.bytes"),
        ("log.segment.bytes", "segment.bytes"), ("log.roll.ms", "segment.ms"), ("log.message.timestamp.type", "message.timestamp.type"),
        ("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms"),
        ("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms"), ("message.max.bytes", "max.message.bytes"),
        ("compression.type", "compression.type"), ("log.cleaner.delete.retention.ms", "delete.retention.ms"),
        ("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio"), ("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms"),
        ("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms"),
    ].map { name, topic in
        BrokerSetting(name, "default of \(topic)", SettingDescription.topics[topic]?.kind ?? .string, .topic(topic), change: .ofCluster)
    }

    private static let fixed: [BrokerSetting] = [
        .init("default.replication.factor", "always 1: there is one broker", .int, .fixed("1")),
        .init("group.consumer.assignors", "who works out what members of consumer groups read", .list, .fixed(ServerAssignor.allCases.map(\.rawValue).joined(separator: ","))),
        .init("group.share.assignors", "who works out what members of share groups read", .list, .fixed(ShareAssignor.name)),
        .init("node.id", "the number of this broker", .int, .fixed("\(RequestRouter.nodeID)")),
        .init("offsets.topic.replication.factor", "always 1: there is one broker", .int, .fixed("1")),
    ]

    private static let withoutEffect: [BrokerSetting] = {
        func row(_ kind: SettingDescription.Kind, _ change: Change = .ofCluster) -> (String) -> BrokerSetting {
            { BrokerSetting($0, "has no effect here", kind, .none, change: change) }
        }
        return [
            "background.threads", "log.cleaner.io.buffer.size", "log.cleaner.threads", "log.index.interval.bytes", "log.index.size.max.bytes",
            "min.insync.replicas", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers",
        ].map(row(.int))
            + [
                "log.cleaner.backoff.ms", "log.cleaner.dedupe.buffer.size", "log.flush.interval.messages", "log.flush.interval.ms",
                "log.roll.jitter.ms", "log.segment.delete.delay.ms",
            ].map(row(.long))
            + ["log.cleaner.io.buffer.load.factor", "log.cleaner.io.max.bytes.per.second"].map(row(.double))
            + ["log.preallocate", "transaction.partition.verification.enable", "unclean.leader.election.enable"].map(row(.boolean))
            + ["sasl.kerberos.min.time.before.relogin"].map(row(.long, .ofBroker))
            + ["sasl.kerberos.kinit.cmd", "sasl.kerberos.principal.to.local.rules", "sasl.kerberos.service.name"].map(row(.string, .ofBroker))
            + ["sasl.kerberos.ticket.renew.jitter", "sasl.kerberos.ticket.renew.window.factor"].map(row(.double, .ofBroker))
    }()

    private init(_ name: String, _ summary: String, _ kind: SettingDescription.Kind, _ effect: Effect, change: Change = .atStart) {
        self.name = name
        self.summary = summary
        self.kind = kind
        self.change = change
        self.effect = effect
    }

    private static func number<N: FixedWidthInteger & Sendable>(
        _ name: String, _ summary: String, _ range: ClosedRange<Int64>, _ path: any WritableKeyPath<NodeConfig, N> & Sendable,
        _ kind: SettingDescription.Kind = .int, change: Change = .atStart
    ) -> BrokerSetting {
        .init(
            name, summary, kind, .number(range, get: { Int64(clamping: $0[keyPath: path]) }, set: { $0[keyPath: path] = N(clamping: $1) }),
            change: change)
    }

    // MARK: values

    /// `summary` with a capital and a full stop.
    var sentence: String { summary.prefix(1).uppercased() + summary.dropFirst() + "." }

    /// Its value there; nil for what has no effect.
    func value(in config: NodeConfig) -> String? {
        switch effect {
        case .number(_, let get, _): "\(get(config))"
        case .flag(let get, _): "\(get(config))"
        case .choice(_, let get, _): get(config)
        case .text(_, let get, _): get(config)
        case .topic(let setting): config.log.topics.described.first { $0.name == setting }?.value
        case .fixed(let value): value
        case .none: nil
        }
    }

    /// Without any setting.
    public var defaultValue: String { value(in: NodeConfig()) ?? "" }

    /// - Throws: `.invalidProperty` that says what is allowed.
    func apply(_ text: String, _ config: inout NodeConfig) throws(MartletError) {
        func refused(_ allowed: String) -> MartletError { MartletError(.invalidProperty, "\(name) is \(allowed), not \"\(text)\"") }
        switch effect {
        case .number(let range, _, let set):
            guard let number = Int64(text), range.contains(number) else {
                throw refused("a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            set(&config, number)
        case .flag(_, let set):
            guard text == "true" || text == "false" else { throw refused("true or false") }
            set(&config, text == "true")
        case .choice(let allowed, _, let set):
            guard allowed.contains(text) else { throw refused(allowed.joined(separator: ", ")) }
            set(&config, text)
        case .text(let allowed, _, let set):
            guard set(&config, text) else { throw refused(allowed) }
        case .topic(let setting):
            do throws(MartletError) {
                config.log.topics = try TopicSettings([setting: text], defaults: config.log.topics)
            } catch {
                throw MartletError(.invalidProperty, "\(name): \(error.message)")
            }
        case .fixed(let value): throw refused(value)
        case .none:
            guard let allowed = kind.refusal(of: text) else { return }
            throw refused(allowed)
        }
    }
}

/// What the settings of a node decide.
public struct NodeConfig: Sendable {
    public var broker = BrokerConfig()
    public var log = LogConfig()

    public init() {}

    /// Puts values of the table's settings in.
    ///
    /// - Throws: `.unknownProperty`, `.invalidProperty` that says what is allowed.
    public mutating func apply(_ values: [(name: String, value: String)]) throws(MartletError) {
        for (name, value) in values {
            guard let setting = BrokerSetting.named(name), setting.isGivenAtStart else { throw MartletError(.unknownProperty, "there is no setting \(name)") }
            try setting.apply(value, &self)
            broker.given.insert(name)
        }
    }
}
