import Logging
import MartletCore

/// Where a setting's value comes from, by the protocol's numbers.
enum ConfigSource: Int8, Sendable {
    case topic = 1
    case staticBroker = 4
    case `default` = 5
}

/// What settings belong to, by the protocol's numbers.
enum ConfigResource: Int8, Sendable {
    case topic = 2
    case broker = 4
}

struct DescribeConfigsRequest: WireRequest {
    typealias Response = DescribeConfigsResponse
    static let api = APIKey.describeConfigs

    struct Resource: WireMessage {
        var type: Int8 = 0
        var name = ""
        /// Nil: all.
        var keys: [String]?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&type)
            try wire.field(&name)
            try wire.field(&keys)
            try wire.tags()
        }
    }

    var resources: [Resource] = []
    var includesSynonyms = false
    var includesDocumentation = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&resources)
        try wire.field(&includesSynonyms, from: 1)
        try wire.field(&includesDocumentation, from: 3)
        try wire.tags()
    }
}

struct DescribeConfigsResponse: WireMessage {
    struct Synonym: WireMessage {
        var name = ""
        var value: String?
        var source: Int8 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&source)
            try wire.tags()
        }
    }

    struct Setting: WireMessage {
        var name = ""
        var value: String?
        var isReadOnly = false
        var isDefault = false
        var source: Int8 = ConfigSource.default.rawValue
        var isSensitive = false
        var synonyms: [Synonym] = []
        /// `SettingDescription.Kind`.
        var type: Int8 = 0
        var documentation: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&isReadOnly)
            try wire.field(&isDefault, to: 0)
            try wire.field(&source, from: 1)
            try wire.field(&isSensitive)
            try wire.field(&synonyms, from: 1)
            try wire.field(&type, from: 3)
            try wire.field(&documentation, from: 3)
            try wire.tags()
        }
    }

    struct Result: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var type: Int8 = 0
        var name = ""
        var settings: [Setting] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&type)
            try wire.field(&name)
            try wire.field(&settings)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var results: [Result] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&results)
        try wire.tags()
    }
}

extension RequestRouter {
    /// A topic's settings in force over the log's defaults, each with where its value comes from.
    func topicSettings(_ settings: [String: String]) -> [(name: String, value: String, source: ConfigSource)] {
        var inForce = log.config.topics
        do throws(MartletError) {
            inForce = try TopicSettings(settings, defaults: log.config.topics)
        } catch {
            // They were checked when they were given; settings on disk that we no longer know are shown as they are, below.
            logger.warning("topic settings are not understood", metadata: ["error": "\(error.message)"])
        }
        var rows = inForce.described.map { (name: $0.name, value: $0.value, source: settings[$0.name] == nil ? ConfigSource.default : .topic) }
        let shown = Set(rows.map(\.name))
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) where !shown.contains(name) { rows.append((name, value, .topic)) }
        return rows
    }

    private var brokerSettings: [(name: String, value: String)] {
        [
            ("auto.create.topics.enable", "\(config.createTopicsOnUse)"),
            ("connections.max.idle.ms", "\(config.idleMsMax)"),
            ("connections.max.reauth.ms", "\(security.config.sessionLifetimeMs)"),
            ("default.replication.factor", "1"),
            ("fetch.max.bytes", "\(config.fetchBytesMax)"),
            ("group.consumer.assignors", ServerAssignor.allCases.map(\.rawValue).joined(separator: ",")),
            ("group.consumer.heartbeat.interval.ms", "\(groups.config.consumerHeartbeatIntervalMs)"),
            ("group.consumer.session.timeout.ms", "\(groups.config.consumerSessionTimeoutMs)"),
            ("group.initial.rebalance.delay.ms", "\(groups.config.initialRebalanceDelayMs)"),
            ("group.max.session.timeout.ms", "\(groups.config.sessionTimeoutMaxMs)"),
            ("group.min.session.timeout.ms", "\(groups.config.sessionTimeoutMinMs)"),
            ("log.cleanup.policy", log.config.topics.described.first { $0.name == "cleanup.policy" }?.value ?? ""),
            ("log.retention.bytes", "\(log.config.topics.retentionBytes)"),
            ("log.retention.ms", "\(log.config.topics.retentionMs)"),
            ("log.segment.bytes", "\(log.config.topics.segmentBytes)"),
            ("max.connections", "\(config.connectionsMax)"),
            ("max.connections.per.ip", "\(config.connectionsPerAddressMax)"),
            ("max.incremental.fetch.session.cache.slots", "\(config.fetchSessionsMax)"),
            ("message.max.bytes", "\(log.config.topics.maxMessageBytes)"),
            ("node.id", "\(Self.nodeID)"),
            ("num.partitions", "\(config.partitionsDefault)"),
            ("offset.metadata.max.bytes", "\(groups.config.offsetMetadataBytesMax)"),
            ("offsets.retention.minutes", "\(groups.config.offsetsRetentionMs / 60_000)"),
            ("offsets.topic.replication.factor", "1"),
            ("producer.id.expiration.ms", "\(log.config.producerExpirationMs)"),
            ("queued.max.request.bytes", "\(config.pendingBytesMax)"),
            ("socket.request.max.bytes", "\(config.frameBytesMax)"),
            ("transaction.max.timeout.ms", "\(log.config.transactionTimeoutMsMax)"),
            ("transactional.id.expiration.ms", "\(log.config.transactionalIDExpirationMs)"),
        ]
    }

    func describeConfigs(_ request: DescribeConfigsRequest) -> Answer<DescribeConfigsResponse> {
        .now(
            DescribeConfigsResponse(
                results: request.resources.map { resource in
                    var result = DescribeConfigsResponse.Result(type: resource.type, name: resource.name)
                    let rows: [(name: String, value: String, source: ConfigSource)]
                    let isReadOnly: Bool
                    switch ConfigResource(rawValue: resource.type) {
                    case .topic:
                        guard let topic = log.topic(resource.name) else {
                            result.error = .unknownTopicOrPartition
                            result.errorMessage = "topic \(resource.name) does not exist"
                            return result
                        }
                        rows = topicSettings(topic.settings)
                        isReadOnly = false
                    case .broker:
                        guard resource.name == "\(Self.nodeID)" || resource.name.isEmpty else {
                            result.error = .invalidRequest
                            result.errorMessage = "the only broker is \(Self.nodeID)"
                            return result
                        }
                        rows = brokerSettings.map { ($0.name, $0.value, .staticBroker) }
                        isReadOnly = true
                    case nil:
                        result.error = .invalidRequest
                        result.errorMessage = "settings belong to topics (2) and brokers (4)"
                        return result
                    }
                    let wanted = resource.keys.map(Set.init)
                    let defaults = Dictionary(log.config.topics.described.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
                    result.settings = rows.filter { wanted?.contains($0.name) ?? true }.map { row in
                        let description = SettingDescription.named(row.name)
                        var synonyms: [DescribeConfigsResponse.Synonym] = []
                        if request.includesSynonyms {
                            if row.source != .default { synonyms.append(.init(name: row.name, value: row.value, source: row.source.rawValue)) }
                            if let synonym = description?.synonym, let value = defaults[row.name] {
                                synonyms.append(.init(name: synonym, value: value, source: ConfigSource.default.rawValue))
                            }
                        }
                        return DescribeConfigsResponse.Setting(
                            name: row.name, value: row.value, isReadOnly: isReadOnly, isDefault: row.source == .default,
                            source: row.source.rawValue, synonyms: synonyms,
                            type: (description?.kind ?? (Int64(row.value) != nil ? .long : .string)).rawValue,
                            documentation: request.includesDocumentation ? description?.text : nil)
                    }
                    return result
                }))
    }
}
