import MartletCore
import Synchronization

/// The access rules, in memory and in `<data>/security/acls.json`, an array of
/// `{"resource":"TOPIC","name":"orders","pattern":"LITERAL","principal":"User:alice","host":"*","operation":"READ","permission":"ALLOW"}`.
///
/// A change is on disk before it is in force.
final class AccessRuleStore: Sendable {
    private let file: SecurityFile
    private let state: Mutex<[AccessRule]>
    /// One change at a time.
    private let writing = Mutex(())

    init(directory: String, fileSystem: any FileSystem) throws(MartletError) {
        file = SecurityFile(directory: directory, name: "acls.json", fileSystem: fileSystem)
        var rules: [AccessRule] = []
        if let bytes = try file.read() { rules = try Self.parse(bytes, path: file.path) }
        state = Mutex(rules)
    }

    /// In the order in which they were made.
    var rules: [AccessRule] { state.withLock { $0 } }

    /// Adds what is not there yet.
    func add(_ added: [AccessRule]) throws(MartletError) {
        try change { rules in
            for rule in added where !rules.contains(rule) { rules.append(rule) }
        }
    }

    /// - Returns: what was removed.
    func remove(_ filter: AccessRuleFilter) throws(MartletError) -> [AccessRule] {
        var removed: [AccessRule] = []
        try change { rules in
            removed = rules.filter(filter.matches)
            rules.removeAll(where: filter.matches)
        }
        return removed
    }

    private func change(_ body: (inout [AccessRule]) -> Void) throws(MartletError) {
        try writing.withLock { (_) throws(MartletError) in
            var next = rules
            body(&next)
            guard next != rules else { return }
            try file.locked { () throws(MartletError) in try file.write(Self.text(next)) }
            state.withLock { $0 = next }
        }
    }

    private static func text(_ rules: [AccessRule]) -> [UInt8] {
        let rows = rules.map { rule -> JSONValue in
            [
                "resource": .string(rule.resource.text), "name": .string(rule.name), "pattern": .string(rule.pattern.text),
                "principal": .string(rule.principal), "host": .string(rule.host), "operation": .string(rule.operation.text),
                "permission": rule.isAllowing ? "ALLOW" : "DENY",
            ]
        }
        let json: JSONValue = ["version": 1, "rules": .array(rows)]
        return Array("\(json)\n".utf8)
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(MartletError) -> [AccessRule] {
        var rules: [AccessRule] = []
        for row in try VersionedJSON.parse(bytes, path: path)["rules"]?.arrayValue ?? [] {
            guard let resource = ResourceKind.allCases.first(where: { $0.text == row["resource"]?.stringValue }),
                let pattern = [PatternKind.literal, .prefixed].first(where: { $0.text == row["pattern"]?.stringValue }),
                let operation = AccessOperation.allCases.first(where: { $0.text == row["operation"]?.stringValue }),
                let name = row["name"]?.stringValue, let principal = row["principal"]?.stringValue, let host = row["host"]?.stringValue,
                let permission = row["permission"]?.stringValue, permission == "ALLOW" || permission == "DENY"
            else { throw MartletError(.corruptRecord, "\(path) is damaged: \(row)") }
            rules.append(
                AccessRule(
                    resource: resource, name: name, pattern: pattern, principal: principal, host: host, operation: operation,
                    isAllowing: permission == "ALLOW"))
        }
        return rules
    }
}
