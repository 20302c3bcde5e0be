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
    private static let quotaEntities = ["user", "client-id", "ip"]

    /// The quotas that fit all components: with a match of type 0 of that name, 1 the default, 2 any. Strictly: of entities of just these types.
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
        if let problem { return .now(DescribeClientQuotasResponse(error: .invalidRequest, errorMessage: problem, entries: nil)) }
        let entries = quotas.all.filter { target, _ in
            let parts = target.parts
            if request.isStrict, parts.count != request.components.count { return false }
            return request.components.allSatisfy { component in
                guard let name = parts.first(where: { $0.type == component.type })?.name else { return false }
                switch component.matchType {
                case 0: return name == .named(Self.name(of: component))
                case 1: return name == .byDefault
                default: return true
                }
            }
        }
        return .now(
            DescribeClientQuotasResponse(
                entries: entries.map { target, limits in
                    .init(
                        entity: target.parts.map { .init(type: $0.type, name: $0.name.text) },
                        values: limits.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                            .init(key: $0.key.rawValue, value: Int64(bitPattern: $0.value.bitPattern))
                        })
                }))
    }

    func alterClientQuotas(_ request: AlterClientQuotasRequest, _ context: RequestContext) -> Answer<AlterClientQuotasResponse> {
        offload(context) {
            AlterClientQuotasResponse(
                entries: request.entries.map { entry in
                    var answer = AlterClientQuotasResponse.Entry(entity: entry.entity)
                    do throws(KafkaError) {
                        let target = try Self.target(entry.entity)
                        var changes: [QuotaKind: Double?] = [:]
                        for change in entry.changes {
                            guard let kind = target.kinds.first(where: { $0.rawValue == change.key }) else {
                                let known = target.kinds.map(\.rawValue).joined(separator: ", "), whose = target.address == nil ? "users and client ids" : "addresses"
                                throw KafkaError(.invalidRequest, "there is no quota \(change.key) of \(whose), only \(known)")
                            }
                            let limit = Double(bitPattern: UInt64(bitPattern: change.value))
                            if !change.isRemoval, let refusal = kind.refusal(of: limit) { throw KafkaError(.invalidRequest, "\(refusal), not \(limit)") }
                            changes[kind] = .some(change.isRemoval ? nil : limit)
                        }
                        if !request.validatesOnly { try self.quotas.set(changes, of: target) }
                    } catch {
                        answer.error = error.code
                        answer.errorMessage = error.message
                    }
                    return answer
                })
        }
    }

    /// An address may be written in several ways.
    private static func name(of component: DescribeClientQuotasRequest.Component) -> String {
        let match = component.match ?? ""
        return component.type == "ip" ? PeerAddress.canonical(match) ?? match : match
    }

    private static func target(_ entity: [QuotaEntity]) throws(KafkaError) -> QuotaTarget {
        let allowed = "a quota is of a user, a client id or both (user, client-id), or of an address (ip)"
        guard !entity.isEmpty, Set(entity.map(\.type)).count == entity.count, entity.allSatisfy({ quotaEntities.contains($0.type) }) else {
            throw KafkaError(.invalidRequest, allowed)
        }
        var target = QuotaTarget()
        if let part = entity.first(where: { $0.type == "ip" }) {
            guard entity.count == 1 else { throw KafkaError(.invalidRequest, allowed) }
            guard let name = part.name else { return QuotaTarget(address: .byDefault) }
            guard let address = PeerAddress.canonical(name) else { throw KafkaError(.invalidRequest, "\(name) is no IP address") }
            return QuotaTarget(address: .named(address))
        }
        for part in entity {
            guard part.name?.isEmpty != true else { throw KafkaError(.invalidRequest, "the name of a \(part.type) is not empty") }
            let name: QuotaTarget.Name = part.name.map { .named($0) } ?? .byDefault
            if part.type == "user" { target.user = name } else { target.client = name }
        }
        return target
    }
}

extension QuotaTarget {
    /// As the protocol names its parts.
    fileprivate var parts: [(type: String, name: Name)] {
        [user.map { ("user", $0) }, client.map { ("client-id", $0) }, address.map { ("ip", $0) }].compactMap { $0 }
    }
}

extension QuotaTarget.Name {
    /// Nil: the default.
    fileprivate var text: String? { if case .named(let name) = self { name } else { nil } }
}
