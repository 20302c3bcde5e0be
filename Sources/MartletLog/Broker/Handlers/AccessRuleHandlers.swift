import Logging
import MartletCore

// DescribeAcls, CreateAcls, DeleteAcls (KIP-140, KIP-290): who may do what.

/// A rule as the wire carries it.
struct WireAccessRule: WireMessage {
    var resource: Int8 = 0
    var name = ""
    var pattern: Int8 = PatternKind.literal.rawValue
    var principal = ""
    var host = ""
    var operation: Int8 = 0
    var permission: Int8 = 0

    init() {}

    init(_ rule: AccessRule) {
        resource = rule.resource.rawValue
        name = rule.name
        pattern = rule.pattern.rawValue
        principal = rule.principal
        host = rule.host
        operation = rule.operation.rawValue
        permission = rule.permission
    }

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&resource)
        try wire.field(&name)
        try wire.field(&pattern, from: 1)
        try wire.field(&principal)
        try wire.field(&host)
        try wire.field(&operation)
        try wire.field(&permission)
        try wire.tags()
    }

    /// - Throws: INVALID_REQUEST if it is no rule that could be made.
    func rule() throws(KafkaError) -> AccessRule {
        guard let resource = ResourceKind(rawValue: resource) else {
            throw KafkaError(.invalidRequest, "rules are made for topics (2), groups (3), the cluster (4) and transactional ids (5)")
        }
        guard let pattern = PatternKind(rawValue: pattern) else {
            throw KafkaError(.invalidRequest, "the pattern of a rule is LITERAL (3) or PREFIXED (4)")
        }
        guard let operation = AccessOperation(rawValue: operation), operation == .all || resource.operations.contains(operation) else {
            throw KafkaError(.invalidRequest, "operation \(self.operation) means nothing for \(resource.text)")
        }
        guard permission == 2 || permission == 3 else { throw KafkaError(.invalidRequest, "a rule denies (2) or allows (3)") }
        guard Principal(principal) != nil else {
            throw KafkaError(.invalidRequest, "the principal of a rule is type:name, e.g. User:alice, not \"\(principal)\"")
        }
        guard !name.isEmpty, !host.isEmpty else { throw KafkaError(.invalidRequest, "a rule names a resource and a host") }
        if resource == .cluster, name != ResourceKind.clusterName || pattern != .literal {
            throw KafkaError(.invalidRequest, "the only cluster is named \(ResourceKind.clusterName)")
        }
        return AccessRule(
            resource: resource, name: name, pattern: pattern, principal: principal, host: host, operation: operation,
            isAllowing: permission == 3)
    }
}

/// A filter as the wire carries it; 1 (ANY) and null are "whatever".
struct WireAccessRuleFilter: WireMessage {
    var resource: Int8 = ResourceKind.any
    var name: String?
    var pattern: Int8 = PatternKind.literal.rawValue
    var principal: String?
    var host: String?
    var operation: Int8 = AccessOperation.any
    var permission: Int8 = 1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&resource)
        try wire.field(&name)
        try wire.field(&pattern, from: 1)
        try wire.field(&principal)
        try wire.field(&host)
        try wire.field(&operation)
        try wire.field(&permission)
        try wire.tags()
    }

    /// - Throws: INVALID_REQUEST if it names something that does not exist.
    func filter() throws(KafkaError) -> AccessRuleFilter {
        var filter = AccessRuleFilter(name: name, pattern: pattern, principal: principal, host: host)
        guard (1...4).contains(pattern) else { throw KafkaError(.invalidRequest, "pattern \(pattern) does not exist") }
        guard (1...3).contains(permission) else { throw KafkaError(.invalidRequest, "permission \(permission) does not exist") }
        // Kinds and operations that we have no rules for (users, tokens) match nothing; they are not a mistake.
        guard (1...7).contains(resource) else { throw KafkaError(.invalidRequest, "resource type \(resource) does not exist") }
        guard (1...15).contains(operation) else { throw KafkaError(.invalidRequest, "operation \(operation) does not exist") }
        if resource != ResourceKind.any { filter.resource = ResourceKind(rawValue: resource) }
        if operation != AccessOperation.any { filter.operation = AccessOperation(rawValue: operation) }
        filter.matchesNothing =
            (resource != ResourceKind.any && filter.resource == nil) || (operation != AccessOperation.any && filter.operation == nil)
        if permission != 1 { filter.isAllowing = permission == 3 }
        return filter
    }
}

struct DescribeAclsRequest: WireRequest {
    typealias Response = DescribeAclsResponse
    static let api = APIKey.describeAcls

    var filter = WireAccessRuleFilter()

    mutating func code(_ wire: inout Wire) throws(WireError) { try wire.field(&filter) }
}

struct DescribeAclsResponse: WireMessage {
    struct Entry: WireMessage {
        var principal = ""
        var host = ""
        var operation: Int8 = 0
        var permission: Int8 = 0

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&principal)
            try wire.field(&host)
            try wire.field(&operation)
            try wire.field(&permission)
            try wire.tags()
        }
    }

    struct Resource: WireMessage {
        var resource: Int8 = 0
        var name = ""
        var pattern: Int8 = PatternKind.literal.rawValue
        var entries: [Entry] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&resource)
            try wire.field(&name)
            try wire.field(&pattern, from: 1)
            try wire.field(&entries)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var resources: [Resource] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&resources)
        try wire.tags()
    }
}

struct CreateAclsRequest: WireRequest {
    typealias Response = CreateAclsResponse
    static let api = APIKey.createAcls

    var rules: [WireAccessRule] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&rules)
        try wire.tags()
    }
}

struct CreateAclsResponse: WireMessage {
    struct Result: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
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

struct DeleteAclsRequest: WireRequest {
    typealias Response = DeleteAclsResponse
    static let api = APIKey.deleteAcls

    var filters: [WireAccessRuleFilter] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&filters)
        try wire.tags()
    }
}

struct DeleteAclsResponse: WireMessage {
    struct Match: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var rule = WireAccessRule()

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&rule)
        }
    }

    struct Result: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var matches: [Match] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&matches)
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

extension RequestRouter {
    private static let withoutRules = "access rules are not in force on this broker: no listener asks clients who they are"

    func describeAcls(_ request: DescribeAclsRequest) -> Answer<DescribeAclsResponse> {
        guard let store = security.authorizer?.store else {
            return .now(DescribeAclsResponse(error: .securityDisabled, errorMessage: Self.withoutRules))
        }
        do throws(KafkaError) {
            let filter = try request.filter.filter()
            var resources: [DescribeAclsResponse.Resource] = []
            for rule in store.rules.filter(filter.matches) {
                let entry = DescribeAclsResponse.Entry(
                    principal: rule.principal, host: rule.host, operation: rule.operation.rawValue, permission: rule.permission)
                let known = resources.firstIndex {
                    $0.resource == rule.resource.rawValue && $0.name == rule.name && $0.pattern == rule.pattern.rawValue
                }
                if let known {
                    resources[known].entries.append(entry)
                } else {
                    resources.append(
                        .init(resource: rule.resource.rawValue, name: rule.name, pattern: rule.pattern.rawValue, entries: [entry]))
                }
            }
            return .now(DescribeAclsResponse(resources: resources))
        } catch {
            return .now(DescribeAclsResponse(error: error.code, errorMessage: error.message))
        }
    }

    func createAcls(_ request: CreateAclsRequest, _ context: RequestContext) -> Answer<CreateAclsResponse> {
        guard let store = security.authorizer?.store else {
            return .now(
                CreateAclsResponse(results: request.rules.map { _ in .init(error: .securityDisabled, errorMessage: Self.withoutRules) }))
        }
        return offload(context) {
            var rules: [AccessRule] = []
            var results = request.rules.map { wanted -> CreateAclsResponse.Result in
                do throws(KafkaError) {
                    rules.append(try wanted.rule())
                    return .init()
                } catch {
                    return .init(error: error.code, errorMessage: error.message)
                }
            }
            do throws(MartletError) {
                try store.add(rules)
                self.logger.info("access rules added", metadata: ["count": "\(rules.count)", "by": "\(context.access.principal)"])
            } catch {
                for i in results.indices where results[i].error == .none {
                    results[i] = .init(error: self.code(error), errorMessage: error.message)
                }
            }
            return CreateAclsResponse(results: results)
        }
    }

    func deleteAcls(_ request: DeleteAclsRequest, _ context: RequestContext) -> Answer<DeleteAclsResponse> {
        guard let store = security.authorizer?.store else {
            return .now(
                DeleteAclsResponse(results: request.filters.map { _ in .init(error: .securityDisabled, errorMessage: Self.withoutRules) }))
        }
        return offload(context) {
            DeleteAclsResponse(
                results: request.filters.map { wanted in
                    do throws(KafkaError) {
                        let filter = try wanted.filter()
                        do throws(MartletError) {
                            let removed = try store.remove(filter)
                            self.logger.info("access rules removed", metadata: ["count": "\(removed.count)", "by": "\(context.access.principal)"])
                            return .init(matches: removed.map { .init(rule: WireAccessRule($0)) })
                        } catch {
                            throw KafkaError(self.code(error), error.message)
                        }
                    } catch {
                        return .init(error: error.code, errorMessage: error.message)
                    }
                })
        }
    }
}
