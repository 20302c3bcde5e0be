struct FindCoordinatorRequest: WireRequest {
    typealias Response = FindCoordinatorResponse
    static let api = APIKey.findCoordinator

    var key = ""
    /// 0 a group, 1 a transactional id, 2 a partition of a share group: `group:topic id:partition` (KIP-932).
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
                    guard request.keyType == 0 || request.keyType == 1 || request.keyType == 2 && context.version >= 6 else {
                        return .init(key: key, error: .invalidRequest, errorMessage: "key type is 0 (group), 1 (transaction) or from version 6 on 2 (share)")
                    }
                    if request.keyType == 2, !Self.isSharePartition(key) {
                        return .init(key: key, error: .invalidRequest, errorMessage: "the key of a share is group:topic id:partition")
                    }
                    guard request.keyType == 1 || !key.isEmpty else {
                        return .init(key: key, error: .invalidGroupID, errorMessage: "a group id is not empty")
                    }
                    return .init(key: key, nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)
                }))
    }

    /// A group's id may have colons in it.
    private static func isSharePartition(_ key: String) -> Bool {
        let parts = key.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, let partition = Int32(parts[parts.count - 1]), partition >= 0 else { return false }
        return parts[parts.count - 2].count == 22 && key.utf8.count > parts[parts.count - 1].utf8.count + 24
    }
}
