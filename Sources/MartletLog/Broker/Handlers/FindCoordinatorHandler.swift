struct FindCoordinatorRequest: WireRequest {
    typealias Response = FindCoordinatorResponse
    static let api = APIKey.findCoordinator

    var key = ""
    /// 0 a group, 1 a transactional id.
    var keyType: Int8 = 0
    var keys: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&key, to: 3)
        try wire.field(&keyType, from: 1)
        try wire.field(&keys, from: 4)
        try wire.tags()
    }
}

struct FindCoordinatorResponse: WireMessage {
    struct Coordinator: WireMessage {
        var key = ""
        var nodeID: Int32 = -1
        var host = ""
        var port: Int32 = -1
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&key)
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    /// Up to version 3 exactly one, without its key.
    var coordinators: [Coordinator] = [Coordinator()]

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        if wire.version <= 3 {
            var only = coordinators.first ?? Coordinator()
            try wire.field(&only.error)
            try wire.field(&only.errorMessage, from: 1)
            try wire.field(&only.nodeID)
            try wire.field(&only.host)
            try wire.field(&only.port)
            coordinators = [only]
        } else {
            try wire.field(&coordinators)
        }
        try wire.tags()
    }
}

extension RequestRouter {
    /// This broker coordinates everything.
    func findCoordinator(_ request: FindCoordinatorRequest, _ context: RequestContext) -> Answer<FindCoordinatorResponse> {
        let keys = context.version <= 3 ? [request.key] : request.keys
        return .now(
            FindCoordinatorResponse(
                coordinators: keys.map { key in
                    guard request.keyType == 0 || request.keyType == 1 else {
                        return .init(key: key, error: .invalidRequest, errorMessage: "key type is 0 (group) or 1 (transaction)")
                    }
                    guard request.keyType == 1 || !key.isEmpty else {
                        return .init(key: key, error: .invalidGroupID, errorMessage: "a group id is not empty")
                    }
                    return .init(key: key, nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)
                }))
    }
}
