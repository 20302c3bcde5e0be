import Logging
import MartletCore
import Synchronization

struct AlterConfigsRequest: WireRequest {
    typealias Response = AlterConfigsResponse
    static let api = APIKey.alterConfigs

    struct Resource: WireMessage {
        var type: Int8 = 0
        var name = ""
        var settings: [CreateTopicsRequest.Setting] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&type)
            try wire.field(&name)
            try wire.field(&settings)
            try wire.tags()
        }
    }

    var resources: [Resource] = []
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&resources)
        try wire.field(&validatesOnly)
        try wire.tags()
    }
}

struct AlterConfigsResponse: WireMessage {
    struct Result: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var type: Int8 = 0
        var name = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&type)
            try wire.field(&name)
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

struct IncrementalAlterConfigsRequest: WireRequest {
    typealias Response = AlterConfigsResponse
    static let api = APIKey.incrementalAlterConfigs

    enum Operation: Int8 {
        case set = 0
        case delete = 1
        case append = 2
        case subtract = 3
    }

    struct Change: WireMessage {
        var name = ""
        var operation: Int8 = 0
        var value: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&operation)
            try wire.field(&value)
            try wire.tags()
        }
    }

    struct Resource: WireMessage {
        var type: Int8 = 0
        var name = ""
        var changes: [Change] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&type)
            try wire.field(&name)
            try wire.field(&changes)
            try wire.tags()
        }
    }

    var resources: [Resource] = []
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&resources)
        try wire.field(&validatesOnly)
        try wire.tags()
    }
}

/// What a setting of a resource was set to, and whether it is a list: then the value in force without that.
private struct SettingKinds {
    var listInForce: (_ name: String) -> String?
}

extension RequestRouter {
    /// Replaces all that was set for each topic, broker, group or subscription.
    func alterConfigs(_ request: AlterConfigsRequest, _ context: RequestContext) -> Answer<AlterConfigsResponse> {
        offload(context) {
            self.alter(request.resources.map { ($0.type, $0.name) }, validatesOnly: request.validatesOnly) { (index, _, _) throws(KafkaError) in
                guard request.resources[index].type != ConfigResource.brokerLogger.rawValue else {
                    throw KafkaError(.invalidRequest, "levels of loggers are changed one by one (IncrementalAlterConfigs)")
                }
                var settings: [String: String] = [:]
                for setting in request.resources[index].settings {
                    guard let value = setting.value else { throw KafkaError(.invalidRequest, "setting \(setting.name) has no value") }
                    guard settings.updateValue(value, forKey: setting.name) == nil else {
                        throw KafkaError(.invalidRequest, "setting \(setting.name) is named more than once")
                    }
                }
                return settings
            }
        }
    }

    /// Changes single settings of topics, brokers, groups and subscriptions, and levels of loggers (KIP-339, KIP-412).
    func incrementalAlterConfigs(_ request: IncrementalAlterConfigsRequest, _ context: RequestContext) -> Answer<AlterConfigsResponse> {
        offload(context) {
            self.alter(request.resources.map { ($0.type, $0.name) }, validatesOnly: request.validatesOnly) { (index, before, kinds) throws(KafkaError) in
                var settings = before, named: Set<String> = []
                for change in request.resources[index].changes {
                    guard named.insert(change.name).inserted else {
                        throw KafkaError(.invalidRequest, "setting \(change.name) is named more than once")
                    }
                    try Self.apply(change, to: &settings, kinds)
                }
                return settings
            }
        }
    }

    private static func apply(
        _ change: IncrementalAlterConfigsRequest.Change, to settings: inout [String: String], _ kinds: SettingKinds
    ) throws(KafkaError) {
        func required() throws(KafkaError) -> String {
            guard let value = change.value else { throw KafkaError(.invalidRequest, "setting \(change.name) has no value") }
            return value
        }
        let operation = IncrementalAlterConfigsRequest.Operation(rawValue: change.operation)
        switch operation {
        case .set: settings[change.name] = try required()
        case .delete: settings[change.name] = nil
        case .append, .subtract:
            guard let inForce = kinds.listInForce(change.name) else {
                throw KafkaError(.invalidConfig, "\(change.name) is not a list; append and subtract are for lists")
            }
            var list = (settings[change.name] ?? inForce).split(separator: ",").map(String.init)
            for item in try required().split(separator: ",").map(String.init) {
                if operation == .subtract { list.removeAll { $0 == item } } else if !list.contains(item) { list.append(item) }
            }
            settings[change.name] = list.joined(separator: ",")
        case nil: throw KafkaError(.invalidRequest, "operation \(change.operation) is not one of 0 to 3")
        }
    }

    /// - `change`: by the resource's place, from what was set to what is to be set.
    private func alter(
        _ resources: [(type: Int8, name: String)], validatesOnly: Bool,
        _ change: (Int, [String: String], SettingKinds) throws(KafkaError) -> [String: String]
    ) -> AlterConfigsResponse {
        var response = AlterConfigsResponse()
        for (index, (type, name)) in resources.enumerated() {
            var result = AlterConfigsResponse.Result(type: type, name: name)
            do throws(KafkaError) {
                guard resources.count(where: { $0 == (type, name) }) == 1 else {
                    throw KafkaError(.invalidRequest, "\(name) is named more than once")
                }
                switch ConfigResource(rawValue: type) {
                case .topic:
                    try alterTopic(name, keeps: !validatesOnly) { (before, kinds) throws(KafkaError) in try change(index, before, kinds) }
                case .broker:
                    let kinds = SettingKinds { name in
                        guard let setting = BrokerSetting.named(name), setting.kind == .list else { return nil }
                        return self.log.settings.values(of: setting).first { $0.source.rawValue > ConfigSource.dynamicDefaultBroker.rawValue }?.text ?? ""
                    }
                    try log.changeSettings(of: try Self.owner(broker: name), keeps: !validatesOnly) { (before) throws(KafkaError) in
                        try change(index, before, kinds)
                    }
                case .group:
                    try log.changeSettings(of: .group(name), keeps: !validatesOnly) { (before) throws(KafkaError) in
                        try change(index, before, SettingKinds { _ in nil })
                    }
                case .brokerLogger:
                    try Self.checkOwner(loggers: name)
                    try loggers.change(keeps: !validatesOnly) { (before) throws(KafkaError) in try change(index, before, SettingKinds { _ in nil }) }
                case .clientMetrics:
                    let kinds = SettingKinds { name in TelemetrySubscription.settings.contains { $0.name == name && $0.kind == .list } ? "" : nil }
                    try log.changeSettings(of: .clientMetrics(name), keeps: !validatesOnly) { (before) throws(KafkaError) in
                        try change(index, before, kinds)
                    }
                case nil:
                    throw KafkaError(
                        .invalidRequest, "settings that can be changed belong to topics (2), brokers (4), loggers (8), client metrics (16) and groups (32)")
                }
                if !validatesOnly { logger.info("settings changed", metadata: ["type": "\(type)", "name": "\(name)"]) }
            } catch {
                result.error = error.code
                result.errorMessage = error.message
            }
            response.results.append(result)
        }
        return response
    }

    /// The only broker by its number, or all brokers by the empty name.
    static func owner(broker name: String) throws(KafkaError) -> NodeSettings.Owner {
        if name.isEmpty { return .cluster }
        guard name == "\(nodeID)" else { throw KafkaError(.invalidRequest, "broker \(name) is not there; the only one is \(nodeID)") }
        return .node
    }

    private func alterTopic(
        _ name: String, keeps: Bool, _ change: ([String: String], SettingKinds) throws(KafkaError) -> [String: String]
    ) throws(KafkaError) {
        guard !name.isEmpty else { throw KafkaError(.invalidRequest, "there are no settings for all topics; those of the broker are it") }
        try alteringTopics.withLock { (_) throws(KafkaError) in
            guard let topic = log.topic(name) else { throw KafkaError(.unknownTopicOrPartition, "topic \(name) does not exist") }
            guard !topic.isReserved else { throw KafkaError(.invalidTopicException, "\(name) is internal and keeps its settings") }
            let kinds = SettingKinds { name in
                guard SettingDescription.topics[name]?.kind == .list || TopicSettings.acceptedLists.contains(name) else { return nil }
                return self.topicRows([:]).first { $0.name == name }?.values.first?.text ?? ""
            }
            let settings = try change(topic.settings, kinds)
            do throws(MartletError) {
                _ = try TopicSettings(settings, defaults: log.config.topics)
                if keeps { try log.setSettings(name, settings) }
            } catch {
                throw KafkaError(error.code == .badRequest ? .invalidConfig : code(error), error.message)
            }
        }
    }
}
