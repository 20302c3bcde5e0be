/// What an access rule speaks of, by the protocol's numbers (KIP-140, KIP-290).
enum ResourceKind: Int8, Sendable, Hashable, CaseIterable {
    case topic = 2
    case group = 3
    case cluster = 4
    case transactionalID = 5

    static let any: Int8 = 1
    /// The only resource of kind `cluster`.
    static let clusterName = "kafka-cluster"

    var text: String {
        switch self {
        case .topic: "TOPIC"
        case .group: "GROUP"
        case .cluster: "CLUSTER"
        case .transactionalID: "TRANSACTIONAL_ID"
        }
    }

    /// Operations that mean something for it.
    var operations: Set<AccessOperation> {
        switch self {
        case .topic: [.read, .write, .create, .delete, .alter, .describe, .describeConfigs, .alterConfigs]
        case .group: [.read, .delete, .describe, .describeConfigs, .alterConfigs]
        case .cluster: [.create, .clusterAction, .describeConfigs, .alterConfigs, .idempotentWrite, .alter, .describe]
        case .transactionalID: [.describe, .write]
        }
    }
}

enum PatternKind: Int8, Sendable, Hashable {
    case literal = 3
    case prefixed = 4

    /// In filters: any kind, and any kind that would match the name.
    static let any: Int8 = 1
    static let match: Int8 = 2

    var text: String { self == .literal ? "LITERAL" : "PREFIXED" }
}

/// What somebody wants to do, by the protocol's numbers.
enum AccessOperation: Int8, Sendable, Hashable, CaseIterable {
    case all = 2
    case read = 3
    case write = 4
    case create = 5
    case delete = 6
    case alter = 7
    case describe = 8
    case clusterAction = 9
    case describeConfigs = 10
    case alterConfigs = 11
    case idempotentWrite = 12

    static let any: Int8 = 1

    var text: String {
        switch self {
        case .all: "ALL"
        case .read: "READ"
        case .write: "WRITE"
        case .create: "CREATE"
        case .delete: "DELETE"
        case .alter: "ALTER"
        case .describe: "DESCRIBE"
        case .clusterAction: "CLUSTER_ACTION"
        case .describeConfigs: "DESCRIBE_CONFIGS"
        case .alterConfigs: "ALTER_CONFIGS"
        case .idempotentWrite: "IDEMPOTENT_WRITE"
        }
    }

    /// A rule that allows one of these allows this as well (Kafka documentation, "Authorization and ACLs").
    var impliedBy: Set<AccessOperation> {
        switch self {
        case .describe: [.read, .write, .delete, .alter]
        case .describeConfigs: [.alterConfigs]
        default: []
        }
    }
}

/// Who is at the other end of a connection.
public struct Principal: Sendable, Hashable, CustomStringConvertible {
    public var type: String
    public var name: String

    public init(type: String = "User", name: String) {
        self.type = type
        self.name = name
    }

    /// "User:alice"; nil without a colon or with nothing on one of its sides.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex, text.index(after: colon) != text.endIndex else { return nil }
        self.init(type: String(text[..<colon]), name: String(text[text.index(after: colon)...]))
    }

    /// Who has not said who it is.
    public static let anonymous = Principal(name: "ANONYMOUS")

    public var description: String { "\(type):\(name)" }
}

/// "Principal P is allowed or denied operation O from host H on any resource that matches the pattern".
struct AccessRule: Sendable, Hashable {
    var resource: ResourceKind
    /// The name, or its beginning if `pattern` is `.prefixed`; `*` as a literal stands for all.
    var name: String
    var pattern: PatternKind
    /// "User:alice", or "User:*" for everybody.
    var principal: String
    /// An address, or `*`.
    var host: String
    var operation: AccessOperation
    var isAllowing: Bool

    func covers(_ resource: ResourceKind, _ name: String) -> Bool {
        guard self.resource == resource else { return false }
        return switch pattern {
        case .literal: self.name == name || self.name == "*"
        case .prefixed: name.hasPrefix(self.name)
        }
    }

    func names(_ principal: Principal, _ host: String) -> Bool {
        (self.host == "*" || self.host == host) && (self.principal == "\(principal.type):*" || self.principal == principal.description)
    }

    /// The protocol's number of the permission.
    var permission: Int8 { isAllowing ? 3 : 2 }
}

/// Which rules somebody asks for; what is nil is not looked at.
struct AccessRuleFilter: Sendable, Hashable {
    var resource: ResourceKind?
    var name: String?
    /// One of `PatternKind`'s numbers, `.any` or `.match` among them.
    var pattern: Int8 = PatternKind.any
    var principal: String?
    var host: String?
    var operation: AccessOperation?
    var isAllowing: Bool?
    /// It asks for a kind or an operation that no rule here can have.
    var matchesNothing = false

    func matches(_ rule: AccessRule) -> Bool {
        if matchesNothing { return false }
        if let resource, resource != rule.resource { return false }
        if let principal, principal != rule.principal { return false }
        if let host, host != rule.host { return false }
        if let operation, operation != rule.operation { return false }
        if let isAllowing, isAllowing != rule.isAllowing { return false }
        switch pattern {
        case PatternKind.any: return name == nil || name == rule.name
        case PatternKind.match: return name.map { rule.covers(rule.resource, $0) } ?? true
        default: return pattern == rule.pattern.rawValue && (name == nil || name == rule.name)
        }
    }
}
