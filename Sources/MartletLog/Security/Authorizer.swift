import MartletCore

/// Decides who may do what: super users everything, the others what the access rules say.
///
/// A rule that denies beats one that allows; without any rule for a resource only super users may, unless `allowsWithoutRule`
/// (Kafka documentation, "Authorization and ACLs").
final class Authorizer: Sendable {
    let store: AccessRuleStore
    private let superUsers: Set<String>
    private let allowsWithoutRule: Bool

    init(store: AccessRuleStore, superUsers: Set<String>, allowsWithoutRule: Bool) {
        self.store = store
        self.superUsers = superUsers
        self.allowsWithoutRule = allowsWithoutRule
    }

    func access(_ principal: Principal, host: String) -> Access {
        let rules = superUsers.contains(principal.description) ? nil : store.rules
        return Access(principal: principal, host: host, rules: rules, allowsWithoutRule: allowsWithoutRule)
    }
}

/// What one principal may do, by the rules as they are now: made for one request.
struct Access: Sendable {
    let principal: Principal
    /// The client's address, without a port.
    let host: String
    /// Nil: everything is allowed.
    let rules: [AccessRule]?
    let allowsWithoutRule: Bool

    init(principal: Principal, host: String, rules: [AccessRule]?, allowsWithoutRule: Bool) {
        self.principal = principal
        self.host = host
        self.rules = rules
        self.allowsWithoutRule = allowsWithoutRule
    }

    /// Where nobody asks who you are.
    static let unrestricted = Access(principal: .anonymous, host: "", rules: nil, allowsWithoutRule: true)

    func allows(_ operation: AccessOperation, _ resource: ResourceKind, _ name: String) -> Bool {
        guard let rules else { return true }
        var hasRule = false, isAllowed = false
        let sufficient = operation.impliedBy
        for rule in rules where rule.covers(resource, name) {
            hasRule = true
            guard rule.names(principal, host) else { continue }
            if rule.isAllowing {
                isAllowed = isAllowed || rule.operation == operation || rule.operation == .all || sufficient.contains(rule.operation)
            } else if rule.operation == operation || rule.operation == .all {
                return false
            }
        }
        return isAllowed || (!hasRule && allowsWithoutRule)
    }

    func allowsCluster(_ operation: AccessOperation) -> Bool { allows(operation, .cluster, ResourceKind.clusterName) }

    /// Whether there is any resource of this kind with which the principal may do this: some rule allows it, and no denial covers all that the
    /// rule allows (KIP-679).
    func allowsSomewhere(_ operation: AccessOperation, _ resource: ResourceKind) -> Bool {
        guard let rules else { return true }
        let mine = rules.filter { $0.resource == resource && $0.names(principal, host) && ($0.operation == operation || $0.operation == .all) }
        let denied = mine.filter { !$0.isAllowing }
        if denied.contains(where: { $0.pattern == .literal && $0.name == "*" }) { return false }
        let allowed = mine.filter(\.isAllowing)
        if allowed.isEmpty { return allowsWithoutRule }
        return allowed.contains { rule in
            !denied.contains { denial in
                switch denial.pattern {
                case .prefixed: rule.name != "*" && rule.name.hasPrefix(denial.name)
                case .literal: rule.pattern == .literal && rule.name == denial.name
                }
            }
        }
    }

    /// The operations that are allowed, as bits of their numbers (KIP-430).
    func operations(_ resource: ResourceKind, _ name: String) -> Int32 {
        resource.operations.filter { allows($0, resource, name) }.reduce(0) { $0 | 1 << Int32($1.rawValue) }
    }
}
