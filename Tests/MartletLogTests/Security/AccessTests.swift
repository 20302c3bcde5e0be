import MartletCore
import Testing

@testable import MartletLog

/// The rules of Kafka's authoriser, as a table: rules, question, answer.
@Suite struct AccessTests {
    private func rule(
        _ principal: String, _ operation: AccessOperation, _ resource: ResourceKind = .topic, _ name: String = "t",
        _ pattern: PatternKind = .literal, host: String = "*", allow: Bool = true
    ) -> AccessRule {
        AccessRule(resource: resource, name: name, pattern: pattern, principal: principal, host: host, operation: operation, isAllowing: allow)
    }

    private func access(_ rules: [AccessRule], _ user: String = "alice", host: String = "10.0.0.1", allowsWithoutRule: Bool = false) -> Access {
        Access(principal: Principal(name: user), host: host, rules: rules, allowsWithoutRule: allowsWithoutRule)
    }

    @Test func onlyWhatARuleAllowsIsAllowed() {
        let rules = [rule("User:alice", .read)]
        #expect(access(rules).allows(.read, .topic, "t"))
        #expect(!access(rules).allows(.write, .topic, "t"))
        #expect(!access(rules).allows(.read, .topic, "t2"))
        #expect(!access(rules).allows(.read, .group, "t"))
        #expect(!access(rules, "bob").allows(.read, .topic, "t"))
        #expect(!access([]).allows(.read, .topic, "t"))
    }

    @Test func allAndEverybodyAndWildcards() {
        #expect(access([rule("User:alice", .all)]).allows(.alterConfigs, .topic, "t"))
        #expect(access([rule("User:*", .read)]).allows(.read, .topic, "t"))
        #expect(access([rule("User:alice", .read, .topic, "*")]).allows(.read, .topic, "anything"))
        #expect(!access([rule("User:alice", .read, .topic, "*", .prefixed)]).allows(.read, .topic, "anything"), "a prefix is no wildcard")
        #expect(access([rule("User:alice", .read, .topic, "app-", .prefixed)]).allows(.read, .topic, "app-1"))
        #expect(!access([rule("User:alice", .read, .topic, "app-", .prefixed)]).allows(.read, .topic, "app"))
    }

    @Test func hostsAreCompared() {
        let rules = [rule("User:alice", .read, host: "10.0.0.1")]
        #expect(access(rules).allows(.read, .topic, "t"))
        #expect(!access(rules, host: "10.0.0.2").allows(.read, .topic, "t"))
    }

    @Test func aDenialWins() {
        let rules = [rule("User:alice", .all), rule("User:alice", .write, allow: false)]
        #expect(access(rules).allows(.read, .topic, "t") && !access(rules).allows(.write, .topic, "t"))
        let prefixed = [rule("User:*", .read), rule("User:alice", .all, .topic, "", .prefixed, allow: false)]
        #expect(!access(prefixed).allows(.read, .topic, "t") && access(prefixed, "bob").allows(.read, .topic, "t"))
        // To be denied WRITE does not take away DESCRIBE.
        #expect(access(rules).allows(.describe, .topic, "t"))
    }

    @Test func someOperationsImplyOthers() {
        for operation in [AccessOperation.read, .write, .delete, .alter] {
            #expect(access([rule("User:alice", operation)]).allows(.describe, .topic, "t"), "\(operation)")
        }
        #expect(!access([rule("User:alice", .create)]).allows(.describe, .topic, "t"))
        #expect(access([rule("User:alice", .alterConfigs)]).allows(.describeConfigs, .topic, "t"))
    }

    @Test func withoutAnyRuleTheSettingDecides() {
        #expect(access([], allowsWithoutRule: true).allows(.read, .topic, "t"))
        #expect(!access([rule("User:bob", .read)], allowsWithoutRule: true).allows(.read, .topic, "t"))
        #expect(access([rule("User:bob", .read)], allowsWithoutRule: true).allows(.read, .topic, "other"))
    }

    @Test func somewhereIsAskedForIdempotentProducers() {
        #expect(!access([]).allowsSomewhere(.write, .topic))
        #expect(access([rule("User:alice", .write)]).allowsSomewhere(.write, .topic))
        #expect(!access([rule("User:alice", .write), rule("User:alice", .write, allow: false)]).allowsSomewhere(.write, .topic))
        let wide = [rule("User:alice", .write, .topic, "app-", .prefixed), rule("User:alice", .write, .topic, "app-1", allow: false)]
        #expect(access(wide).allowsSomewhere(.write, .topic))
        #expect(!access(wide + [rule("User:alice", .all, .topic, "*", allow: false)]).allowsSomewhere(.write, .topic))
        #expect(!access(wide + [rule("User:alice", .all, .topic, "a", .prefixed, allow: false)]).allowsSomewhere(.write, .topic))
    }

    @Test func operationsAreBits() {
        #expect(access([rule("User:alice", .read)]).operations(.topic, "t") == 1 << 3 | 1 << 8)
        #expect(Access.unrestricted.operations(.group, "g") == 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)
    }

    @Test func filtersFindRules() {
        let literal = rule("User:alice", .read, .topic, "app-1"), prefixed = rule("User:bob", .write, .topic, "app-", .prefixed, allow: false)
        let wildcard = rule("User:*", .all, .topic, "*")
        func found(_ filter: AccessRuleFilter) -> [AccessRule] { [literal, prefixed, wildcard].filter(filter.matches) }
        #expect(found(AccessRuleFilter()).count == 3)
        #expect(found(AccessRuleFilter(name: "app-1", pattern: PatternKind.literal.rawValue)) == [literal])
        #expect(found(AccessRuleFilter(name: "app-1", pattern: PatternKind.match)) == [literal, prefixed, wildcard])
        #expect(found(AccessRuleFilter(name: "b", pattern: PatternKind.match)) == [wildcard])
        #expect(found(AccessRuleFilter(pattern: PatternKind.prefixed.rawValue)) == [prefixed])
        #expect(found(AccessRuleFilter(principal: "User:bob")) == [prefixed])
        #expect(found(AccessRuleFilter(operation: .all)) == [wildcard])
        #expect(found(AccessRuleFilter(isAllowing: false)) == [prefixed])
        #expect(found(AccessRuleFilter(resource: .group)).isEmpty)
        #expect(found(AccessRuleFilter(matchesNothing: true)).isEmpty)
    }

    @Test func rulesSurviveAndAreMadeOnce() throws {
        let system = SimulatedFileSystem()
        let store = try AccessRuleStore(directory: "/data", fileSystem: system)
        let rules = [rule("User:alice", .read), rule("User:b\"ob", .all, .cluster, ResourceKind.clusterName, allow: false)]
        try store.add(rules)
        try store.add([rules[0]])
        #expect(try AccessRuleStore(directory: "/data", fileSystem: system).rules == rules)
        #expect(try store.remove(AccessRuleFilter(principal: "User:alice")) == [rules[0]])
        #expect(try AccessRuleStore(directory: "/data", fileSystem: system).rules == [rules[1]])
        // What cannot be written is not in force.
        system.state.withLock { $0.capacity = $0.used }
        #expect(throws: MartletError.self) { try store.add([rules[0]]) }
        #expect(store.rules == [rules[1]])
        system.damage("/data/security/acls.json") { $0[10] = 0xff }
        #expect(throws: MartletError.self) { try AccessRuleStore(directory: "/data", fileSystem: system) }
    }
}
