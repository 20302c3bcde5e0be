import MartletCore

/// What a quota is of: a user, a client id, an address; a null name is the default one (KIP-546).
struct QuotaEntity: WireMessage {
    var type = ""
    var name: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&type)
        try wire.field(&name)
        try wire.tags()
    }
}

struct DescribeClientQuotasRequest: WireRequest {
    typealias Response = DescribeClientQuotasResponse
    static let api = APIKey.describeClientQuotas

    struct Component: WireMessage {
        var type = ""
        /// 0 exactly `match`, 1 the default entity, 2 any.
        var matchType: Int8 = 0
        var match: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&type)
            try wire.field(&matchType)
            try wire.field(&match)
            try wire.tags()
        }
    }

    var components: [Component] = []
    var isStrict = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&components)
        try wire.field(&isStrict)
        try wire.tags()
    }
}

struct DescribeClientQuotasResponse: WireMessage {
    struct Value: WireMessage {
        var key = ""
        /// A double, as bits.
        var value: Int64 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&key)
            try wire.field(&value)
            try wire.tags()
        }
    }

    struct Entry: WireMessage {
        var entity: [QuotaEntity] = []
        var values: [Value] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&entity)
            try wire.field(&values)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var entries: [Entry]? = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&entries)
        try wire.tags()
    }
}

struct AlterClientQuotasRequest: WireRequest {
    typealias Response = AlterClientQuotasResponse
    static let api = APIKey.alterClientQuotas

    struct Change: WireMessage {
        var key = ""
        /// A double, as bits.
        var value: Int64 = 0
        var isRemoval = false

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&key)
            try wire.field(&value)
            try wire.field(&isRemoval)
            try wire.tags()
        }
    }

    struct Entry: WireMessage {
        var entity: [QuotaEntity] = []
        var changes: [Change] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&entity)
            try wire.field(&changes)
            try wire.tags()
        }
    }

    var entries: [Entry] = []
    var validatesOnly = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&entries)
        try wire.field(&validatesOnly)
        try wire.tags()
    }
}

struct AlterClientQuotasResponse: WireMessage {
    struct Entry: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var entity: [QuotaEntity] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&entity)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var entries: [Entry] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&entries)
        try wire.tags()
    }
}

extension RequestRouter {
    private static let quotaEntities: Set<String> = ["user", "client-id", "ip"]

    /// Nobody is slowed down here, so there are no quotas to tell of.
    func describeClientQuotas(_ request: DescribeClientQuotasRequest) -> Answer<DescribeClientQuotasResponse> {
        let types = request.components.map(\.type)
        var problem: String?
        if let unknown = types.first(where: { !Self.quotaEntities.contains($0) }) {
            problem = "quotas are of users, client ids and addresses (user, client-id, ip), not of \(unknown)"
        } else if Set(types).count < types.count {
            problem = "a type of entity is asked for twice"
        } else if let wrong = request.components.first(where: { !(0...2).contains($0.matchType) || ($0.matchType == 0) != ($0.match != nil) }) {
            problem = "match type \(wrong.matchType) of \(wrong.type) does not go with its value"
        }
        guard let problem else { return .now(DescribeClientQuotasResponse()) }
        return .now(DescribeClientQuotasResponse(error: .invalidRequest, errorMessage: problem, entries: nil))
    }

    /// Quotas cannot be set, rather than be set and not obeyed; taking away what is not there is fine.
    func alterClientQuotas(_ request: AlterClientQuotasRequest) -> Answer<AlterClientQuotasResponse> {
        .now(
            AlterClientQuotasResponse(
                entries: request.entries.map { entry in
                    var answer = AlterClientQuotasResponse.Entry(entity: entry.entity)
                    if entry.entity.isEmpty || entry.entity.contains(where: { !Self.quotaEntities.contains($0.type) }) {
                        answer.error = .invalidRequest
                        answer.errorMessage = "quotas are of users, client ids and addresses (user, client-id, ip)"
                    } else if entry.changes.contains(where: { !$0.isRemoval }) {
                        answer.error = .policyViolation
                        answer.errorMessage = "this broker has no quotas"
                    }
                    return answer
                }))
    }
}
