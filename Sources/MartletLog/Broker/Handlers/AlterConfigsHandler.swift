import MartletCore

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

extension RequestRouter {
    /// Replaces all settings of each topic.
    func alterConfigs(_ request: AlterConfigsRequest, _ context: RequestContext) -> Answer<AlterConfigsResponse> {
        offload(context) {
            AlterConfigsResponse(
                results: request.resources.map { resource in
                    self.alter(resource.type, resource.name, validatesOnly: request.validatesOnly) { (_) throws(KafkaError) in
                        Dictionary(resource.settings.compactMap { setting in setting.value.map { (setting.name, $0) } }) { $1 }
                    }
                })
        }
    }

    /// Changes single settings of each topic (KIP-339).
    func incrementalAlterConfigs(_ request: IncrementalAlterConfigsRequest, _ context: RequestContext) -> Answer<AlterConfigsResponse> {
        offload(context) {
            AlterConfigsResponse(
                results: request.resources.map { resource in
                    self.alter(resource.type, resource.name, validatesOnly: request.validatesOnly) { (before) throws(KafkaError) in
                        var settings = before
                        for change in resource.changes { try self.apply(change, to: &settings) }
                        return settings
                    }
                })
        }
    }

    private func apply(_ change: IncrementalAlterConfigsRequest.Change, to settings: inout [String: String]) throws(KafkaError) {
        func required() throws(KafkaError) -> String {
            guard let value = change.value else { throw KafkaError(.invalidConfig, "setting \(change.name) has no value") }
            return value
        }
        let inForce = topicSettings(settings).first { $0.name == change.name }?.value ?? ""
        var list = inForce.split(separator: ",").map(String.init)
        switch IncrementalAlterConfigsRequest.Operation(rawValue: change.operation) {
        case .set: settings[change.name] = try required()
        case .delete: settings[change.name] = nil
        case .append, .subtract:
            guard change.name == "cleanup.policy" else {
                throw KafkaError(.invalidConfig, "\(change.name) is not a list; append and subtract are for lists")
            }
            let items = try required().split(separator: ",").map(String.init)
            if change.operation == IncrementalAlterConfigsRequest.Operation.append.rawValue {
                list += items.filter { !list.contains($0) }
            } else {
                list.removeAll { items.contains($0) }
            }
            settings[change.name] = list.joined(separator: ",")
        case nil: throw KafkaError(.invalidRequest, "operation \(change.operation) is not one of 0 to 3")
        }
    }

    private func alter(
        _ type: Int8, _ name: String, validatesOnly: Bool, _ change: ([String: String]) throws(KafkaError) -> [String: String]
    ) -> AlterConfigsResponse.Result {
        var result = AlterConfigsResponse.Result(type: type, name: name)
        do throws(KafkaError) {
            guard ConfigResource(rawValue: type) == .topic else {
                throw KafkaError(.invalidRequest, "only the settings of topics (2) can be changed while the broker runs")
            }
            guard let topic = log.topic(name) else { throw KafkaError(.unknownTopicOrPartition, "topic \(name) does not exist") }
            guard !topic.isReserved else { throw KafkaError(.invalidTopicException, "\(name) is internal and keeps its settings") }
            let settings = try change(topic.settings)
            do throws(MartletError) {
                _ = try TopicSettings(settings, defaults: log.config.topics)
                if !validatesOnly { try log.setSettings(name, settings) }
            } catch {
                throw KafkaError(error.code == .badRequest ? .invalidConfig : code(error), error.message)
            }
        } catch {
            result.error = error.code
            result.errorMessage = error.message
        }
        return result
    }
}
