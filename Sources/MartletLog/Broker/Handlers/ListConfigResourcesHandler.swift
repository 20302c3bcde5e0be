import MartletCore

/// What settings there are of: subscriptions to client metrics in version 0, whatever has settings from version 1 on (KIP-1142).
struct ListConfigResourcesRequest: WireRequest {
    typealias Response = ListConfigResourcesResponse
    static let api = APIKey.listConfigResources

    /// Of `ConfigResource`; none: all.
    var types: [Int8] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&types, from: 1)
        try wire.tags()
    }
}

struct ListConfigResourcesResponse: WireMessage {
    struct Resource: WireMessage {
        var name = ""
        var type = ConfigResource.clientMetrics.rawValue

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&type, from: 1)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var resources: [Resource] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&resources)
        try wire.tags()
    }
}

extension RequestRouter {
    func listConfigResources(_ request: ListConfigResourcesRequest, _ context: RequestContext) -> Answer<ListConfigResourcesResponse> {
        var types: [ConfigResource] = []
        for number in request.types {
            guard let type = ConfigResource(rawValue: number) else { return .now(.init(error: .unsupportedVersion)) }
            if !types.contains(type) { types.append(type) }
        }
        if context.version == 0 { types = [.clientMetrics] } else if types.isEmpty { types = ConfigResource.allCases }
        return .now(.init(resources: types.flatMap { type in names(of: type).map { .init(name: $0, type: type.rawValue) } }))
    }

    /// Topics and brokers all, groups and subscriptions that were given settings.
    private func names(of type: ConfigResource) -> [String] {
        switch type {
        case .topic: log.topics.map(\.name)
        case .broker, .brokerLogger: ["\(Self.nodeID)"]
        case .clientMetrics: log.settings.telemetrySubscriptions.map(\.name).sorted()
        case .group: log.settings.groupsWithSettings
        }
    }
}
