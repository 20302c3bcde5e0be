import Logging
import MartletCore

/// Where a setting's value comes from, by the protocol's numbers.
enum ConfigSource: Int8, Sendable {
    case topic = 1
    case dynamicBroker = 2
    case dynamicDefaultBroker = 3
    case staticBroker = 4
    case `default` = 5
    case brokerLogger = 6
    case clientMetrics = 7
    case group = 8
}

/// What settings belong to, by the protocol's numbers.
enum ConfigResource: Int8, Sendable, CaseIterable {
    case topic = 2
    case broker = 4
    /// Levels of loggers (KIP-412).
    case brokerLogger = 8
    /// Subscriptions to what clients report of themselves (KIP-714).
    case clientMetrics = 16
    case group = 32
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

/// A setting as it is described: its values by precedence, the first in force.
struct SettingRow: Sendable {
    var name: String
    var kind: SettingDescription.Kind
    var isReadOnly = false
    var documentation: String
    var values: [NodeSettings.Value]
}

extension RequestRouter {
    func describeConfigs(_ request: DescribeConfigsRequest) -> Answer<DescribeConfigsResponse> {
        .now(
            DescribeConfigsResponse(
                results: request.resources.map { resource in
                    var result = DescribeConfigsResponse.Result(type: resource.type, name: resource.name)
                    do throws(KafkaError) {
                        let wanted = resource.keys.map(Set.init)
                        result.settings = try rows(ConfigResource(rawValue: resource.type), resource.name).filter { wanted?.contains($0.name) ?? true }
                            .compactMap { Self.setting($0, request) }
                    } catch {
                        result.error = error.code
                        result.errorMessage = error.message
                    }
                    return result
                }))
    }

    private static func setting(_ row: SettingRow, _ request: DescribeConfigsRequest) -> DescribeConfigsResponse.Setting? {
        guard let inForce = row.values.first else { return nil }
        return DescribeConfigsResponse.Setting(
            name: row.name, value: inForce.text, isReadOnly: row.isReadOnly, isDefault: inForce.source == .default,
            source: inForce.source.rawValue,
            synonyms: request.includesSynonyms ? row.values.map { .init(name: $0.name, value: $0.text, source: $0.source.rawValue) } : [],
            type: row.kind.rawValue, documentation: request.includesDocumentation ? row.documentation : nil)
    }

    private func rows(_ type: ConfigResource?, _ name: String) throws(KafkaError) -> [SettingRow] {
        switch type {
        case .topic:
            guard let topic = log.topic(name) else { throw KafkaError(.unknownTopicOrPartition, "topic \(name) does not exist") }
            return topicRows(topic.settings)
        case .broker: return brokerRows(of: try Self.owner(broker: name))
        case .group:
            guard !name.isEmpty else { throw KafkaError(.invalidRequest, "there are no settings for all groups; those of the broker are it") }
            return groupRows(name)
        case .brokerLogger:
            try Self.checkOwner(loggers: name)
            return loggerRows()
        case .clientMetrics:
            guard !name.isEmpty else { throw KafkaError(.invalidRequest, "a subscription to client metrics has a name") }
            return clientMetricsRows(name)
        case nil: throw KafkaError(.invalidRequest, "settings belong to topics (2), brokers (4), loggers (8), client metrics (16) and groups (32)")
        }
    }

    /// A topic's settings over the broker's, by name; settings that have no meaning here at the end, if the topic has them.
    func topicRows(_ settings: [String: String]) -> [SettingRow] {
        var inForce = log.config.topics
        do throws(MartletError) {
            inForce = try TopicSettings(settings, defaults: inForce)
        } catch {
            // They were checked when they were given; settings on disk that we no longer know are shown as they are, below.
            logger.warning("topic settings are not understood", metadata: ["error": "\(error.message)"])
        }
        var rows = inForce.described.map { name, value in
            let description = SettingDescription.topics[name]
            var row = SettingRow(name: name, kind: description?.kind ?? .string, documentation: description?.text ?? "", values: [])
            if settings[name] != nil { row.values.append(.init(name: name, text: value, source: .topic)) }
            if let above = description?.synonym {
                row.values += BrokerSetting.named(above).map(log.settings.values(of:)) ?? []
                if row.values.last?.source != .default { row.values.append(.init(name: above, text: value, source: .default)) }
            }
            return row
        }
        let shown = Set(rows.map(\.name))
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) where !shown.contains(name) {
            let kind: SettingDescription.Kind = TopicSettings.acceptedLists.contains(name) ? .list : Int64(value) != nil ? .long : .string
            rows.append(SettingRow(name: name, kind: kind, documentation: "Has no effect here.", values: [.init(name: name, text: value, source: .topic)]))
        }
        return rows
    }

    /// Of broker 1 all there are; of all brokers what was set for all.
    private func brokerRows(of owner: NodeSettings.Owner) -> [SettingRow] {
        let settings = BrokerSetting.all + BrokerSetting.accepted.values
        return settings.sorted { $0.name < $1.name }.compactMap { setting in
            var values = log.settings.values(of: setting)
            if owner == .cluster {
                values.removeAll { $0.source == .dynamicBroker }
                guard values.first?.source == .dynamicDefaultBroker else { return nil }
            }
            return SettingRow(
                name: setting.name, kind: setting.kind, isReadOnly: setting.change == .atStart, documentation: setting.sentence, values: values)
        }
    }

    private func groupRows(_ id: String) -> [SettingRow] {
        let own = log.settings.values(of: .group(id))
        return GroupSetting.all.map { setting in
            var values: [NodeSettings.Value] =
                switch setting.byDefault {
                case .brokerSetting(let name): BrokerSetting.named(name).map(log.settings.values(of:)) ?? []
                case .value(let text): [.init(name: setting.name, text: text, source: .default)]
                }
            if let value = own[setting.name] { values.insert(.init(name: setting.name, text: value, source: .group), at: 0) }
            return SettingRow(name: setting.name, kind: setting.kind, documentation: setting.text, values: values)
        }
    }

    private func loggerRows() -> [SettingRow] {
        loggers.inForce.map { name, level in
            SettingRow(
                name: name, kind: .string, documentation: "From which level on this logger says something.",
                values: [.init(name: name, text: LoggerLevels.text(level), source: .brokerLogger)])
        }
    }

    private func clientMetricsRows(_ name: String) -> [SettingRow] {
        let own = log.settings.values(of: .clientMetrics(name))
        return TelemetrySubscription.settings.map { setting in
            var values = [NodeSettings.Value(name: setting.name, text: setting.byDefault, source: .default)]
            if let value = own[setting.name] { values.insert(.init(name: setting.name, text: value, source: .clientMetrics), at: 0) }
            return SettingRow(name: setting.name, kind: setting.kind, documentation: setting.text, values: values)
        }
    }

    static func checkOwner(loggers name: String) throws(KafkaError) {
        guard name == "\(nodeID)" else { throw KafkaError(.invalidRequest, "loggers belong to broker \(nodeID), not to \"\(name)\"") }
    }
}
