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
                    if let refusal = Self.refusal(ofKey: key, type: request.keyType, context.version) {
                        return .init(key: key, error: refusal.code, errorMessage: refusal.message)
                    }
                    return .init(key: key, nodeID: Self.nodeID, host: context.advertisedHost, port: context.advertisedPort)
                }))
    }

    static func refusal(ofKey key: String, type: Int8, _ version: Int16) -> KafkaError? {
        switch type {
        case 0: return key.isEmpty ? KafkaError(.invalidGroupID, "a group id is not empty") : nil
        case 1: return nil
        case 2 where version >= 6: return isSharePartition(key) ? nil : KafkaError(.invalidRequest, "a key is group:topic id:partition, not \"\(key)\"")
        default: return KafkaError(.invalidRequest, "key type is 0 (group), 1 (transaction) or, from version 6 on, 2 (partition of a share group)")
        }
    }

    /// Whether it is group:topic id:partition, with the 22 characters of base64url of an id (KIP-932). A group's name may have colons.
    private static func isSharePartition(_ key: String) -> Bool {
        let parts = key.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, !parts.dropLast(2).joined(separator: ":").isEmpty, let index = Int32(parts[parts.count - 1]) else { return false }
        let id = parts[parts.count - 2].utf8
        let isBase64 = id.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x5f }
        return index >= 0 && id.count == 22 && isBase64
    }
}
