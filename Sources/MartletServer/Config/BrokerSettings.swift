import MartletCore
import MartletLog

/// Limits of the Kafka side and defaults of its topics, by Kafka's names: rows of `ServerSetting.all`.
struct BrokerSetting: Sendable {
    enum Effect: Sendable {
        /// A whole number within a range; the default is the number that is in force.
        case number(ClosedRange<Int64>, get: @Sendable (BrokerConfig, LogConfig) -> Int64, set: @Sendable (inout BrokerConfig, inout LogConfig, Int64) -> Void)
        case flag(get: @Sendable (BrokerConfig) -> Bool, set: @Sendable (inout BrokerConfig, Bool) -> Void)
        /// The default of this setting of a topic.
        case topic(String)
    }

    var name: String
    var summary: String
    var effect: Effect

    static let all: [BrokerSetting] = [
        broker("num.partitions", "how many partitions a topic gets whose maker does not say", 1...10_000, \.partitionsDefault),
        .init(
            name: "auto.create.topics.enable", summary: "whether a topic is made when a client first asks for it",
            effect: .flag(get: { $0.createTopicsOnUse }, set: { $0.createTopicsOnUse = $1 })),
        broker("max.connections", "connections of Kafka clients; more are refused", 1...1_000_000, \.connectionsMax),
        broker("max.connections.per.ip", "connections from one address; more are refused", 0...2_147_483_647, \.connectionsPerAddressMax),
        broker("connections.max.idle.ms", "a connection on which nothing happens for so long ends", 1...Int64(Int32.max), \.idleMsMax),
        broker("socket.request.max.bytes", "a larger request ends its connection", 1024...2_147_483_647, \.frameBytesMax),
        broker(
            "queued.max.request.bytes", "bytes of requests that wait for the disk, and of answers that wait for the socket, of one connection", 65_536...2_147_483_647,
            \.pendingBytesMax),
        broker("fetch.max.bytes", "the most that a fetch is answered with; a single batch may be larger", 1024...2_147_483_647, \.fetchBytesMax),
        broker("max.incremental.fetch.session.cache.slots", "clients that may read with fetch sessions", 0...1_000_000, \.fetchSessionsMax),
        broker("group.initial.rebalance.delay.ms", "how long the first rebalance of a group waits for more members", 0...3_600_000, \.groups.initialRebalanceDelayMs),
        broker("group.min.session.timeout.ms", "the shortest session timeout that a member may ask for", 1...Int64(Int32.max), \.groups.sessionTimeoutMinMs),
        broker("group.max.session.timeout.ms", "the longest session timeout that a member may ask for", 1...Int64(Int32.max), \.groups.sessionTimeoutMaxMs),
        broker(
            "group.consumer.session.timeout.ms", "a member of a consumer group that is silent for so long is out", 1...Int64(Int32.max),
            \.groups.consumerSessionTimeoutMs),
        broker(
            "group.consumer.heartbeat.interval.ms", "how often members of consumer groups report", 1...Int64(Int32.max),
            \.groups.consumerHeartbeatIntervalMs),
        .init(
            name: "offsets.retention.minutes", summary: "how long offsets are kept of a group that has no members",
            effect: .number(1...Int64(Int32.max), get: { b, _ in b.groups.offsetsRetentionMs / 60_000 }, set: { b, _, n in b.groups.offsetsRetentionMs = n * 60_000 })),
        log("producer.id.expiration.ms", "how long the sequence of an idempotent producer that is silent is remembered", 1...Int64(Int32.max), \.producerExpirationMs),
        log(
            "transactional.id.expiration.ms", "a transactional id that is not used for so long is forgotten", 1...Int64(Int32.max),
            \.transactionalIDExpirationMs),
        log("transaction.max.timeout.ms", "the longest transaction timeout that a producer may ask for", 1...Int64(Int32.max), \.transactionTimeoutMsMax),
        .init(name: "log.cleanup.policy", summary: "default of cleanup.policy", effect: .topic("cleanup.policy")),
        .init(name: "log.retention.ms", summary: "default of retention.ms", effect: .topic("retention.ms")),
        .init(name: "log.retention.bytes", summary: "default of retention.bytes", effect: .topic("retention.bytes")),
        .init(name: "log.segment.bytes", summary: "default of segment.bytes", effect: .topic("segment.bytes")),
        .init(name: "log.roll.ms", summary: "default of segment.ms", effect: .topic("segment.ms")),
        .init(name: "log.message.timestamp.type", summary: "default of message.timestamp.type", effect: .topic("message.timestamp.type")),
        .init(name: "message.max.bytes", summary: "default of max.message.bytes", effect: .topic("max.message.bytes")),
        .init(name: "compression.type", summary: "default of compression.type", effect: .topic("compression.type")),
    ]

    private static func broker<N: FixedWidthInteger & Sendable>(
        _ name: String, _ summary: String, _ range: ClosedRange<Int64>, _ path: any WritableKeyPath<BrokerConfig, N> & Sendable
    ) -> BrokerSetting {
        .init(
            name: name, summary: summary,
            effect: .number(range, get: { b, _ in Int64(clamping: b[keyPath: path]) }, set: { b, _, n in b[keyPath: path] = N(clamping: n) }))
    }

    private static func log<N: FixedWidthInteger & Sendable>(
        _ name: String, _ summary: String, _ range: ClosedRange<Int64>, _ path: any WritableKeyPath<LogConfig, N> & Sendable
    ) -> BrokerSetting {
        .init(
            name: name, summary: summary,
            effect: .number(range, get: { _, l in Int64(clamping: l[keyPath: path]) }, set: { _, l, n in l[keyPath: path] = N(clamping: n) }))
    }

    /// The row of the table of server settings.
    var row: ServerSetting {
        let (broker, log) = (BrokerConfig(), LogConfig())
        let value: String =
            switch effect {
            case .number(_, let get, _): "\(get(broker, log))"
            case .flag(let get, _): "\(get(broker))"
            case .topic(let setting): log.topics.described.first { $0.name == setting }?.value ?? ""
            }
        return ServerSetting(name: name, defaultValue: value, summary: summary)
    }

    /// - Throws: `.invalidProperty` that says what is allowed.
    func apply(_ text: String, _ broker: inout BrokerConfig, _ log: inout LogConfig) throws(MartletError) {
        switch effect {
        case .number(let range, _, let set):
            guard let number = Int64(text), range.contains(number) else {
                throw MartletError(.invalidProperty, "\(name) is a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
            }
            set(&broker, &log, number)
        case .flag(_, let set):
            guard text == "true" || text == "false" else { throw MartletError(.invalidProperty, "\(name) is true or false, not \"\(text)\"") }
            set(&broker, text == "true")
        case .topic(let setting):
            do throws(MartletError) {
                log.topics = try TopicSettings([setting: text], defaults: log.topics)
            } catch {
                throw MartletError(.invalidProperty, "\(name): \(error.message)")
            }
        }
    }
}

extension ServerConfig {
    /// Puts limits and topic defaults that the settings name into `log`; the broker's own are in `broker` already.
    ///
    /// - Throws: never in practice: the values were checked when they were read.
    public func configure(_ log: inout LogConfig) throws(MartletError) {
        var ignored = broker
        for (setting, value) in brokerValues { try setting.apply(value, &ignored, &log) }
    }
}
