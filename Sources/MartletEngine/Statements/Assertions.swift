import MartletCore
import MartletLog
import MartletSQL

/// ASSERT TOPIC and ASSERT SCHEMA (ksqlDB, "ASSERT TOPIC"): HTTP 417 when the condition does not hold in time.
///
/// The engine is the only place where topics and schemas are made by statements, but clients make them too, so the condition is looked at
/// until the time is over.
extension Engine {
    func assertStatement(_ statement: Statement) throws(MartletError) -> JSONObject {
        let deadline: Int64
        let check: () throws(MartletError) -> String?
        let answer: JSONObject
        switch statement.node {
        case .assertTopic(let name, let exists, let properties, let timeoutMs):
            deadline = time.monotonicNs + (timeoutMs ?? 1000) * 1_000_000
            check = { [log] () throws(MartletError) in Self.problem(log.topic(name), name: name, exists: exists, properties) }
            answer = ["@type": "assert_topic", "statementText": .string(statement.text), "topicName": .string(name), "exists": .bool(exists), "warnings": []]
        case .assertSchema(let subject, let id, let exists, let timeoutMs):
            deadline = time.monotonicNs + (timeoutMs ?? 1000) * 1_000_000
            check = { [registry] () throws(MartletError) in registry.problem(subject: subject, id: id, exists: exists) }
            answer = [
                "@type": "assert_schema", "statementText": .string(statement.text), "subject": subject.map { .string($0) } ?? .null,
                "id": id.map { .int($0) } ?? .null, "exists": .bool(exists), "warnings": [],
            ]
        default: throw MartletError(.internalError, "not an assertion")
        }
        let pause = Signal()
        while let problem = try check() {
            if time.monotonicNs >= deadline { throw MartletError(.assertionFailed, problem, at: statement.span) }
            pause.wait(past: 0, timeoutMs: 10)
        }
        return answer
    }

    private static func problem(_ topic: TopicDescription?, name: String, exists: Bool, _ properties: [WithProperty]) -> String? {
        guard exists else { return topic == nil ? nil : "Topic \(name) exists" }
        guard let topic else { return "Topic \(name) does not exist" }
        var problems: [String] = []
        for property in properties {
            let actual: String?
            switch property.name {
            case "PARTITIONS": actual = String(topic.partitions)
            case "REPLICAS": actual = "1"
            default: actual = topic.settings[property.name.lowercased()]
            }
            guard let actual else {
                problems.append("Cannot assert unknown topic property: \(property.name)")
                continue
            }
            if actual != property.value.text {
                problems.append("Mismatched configuration for topic \(name): For config \(property.name.lowercased()), expected \(property.value.text) got \(actual)")
            }
        }
        return problems.isEmpty ? nil : problems.joined(separator: "\n")
    }
}

extension SchemaRegistry {
    /// What ASSERT SCHEMA says where the condition does not hold; nil where it does.
    public func problem(subject: String?, id: Int?, exists: Bool) -> String? {
        var found = true
        if let subject { found = latest(subject: subject) != nil }
        if let id, found { found = schema(id: Int32(id)) != nil }
        if found == exists { return nil }
        let what = [subject.map { "subject name \($0)" }, id.map { "id \($0)" }].compactMap { $0 }.joined(separator: " and ")
        return exists ? "Schema with \(what) does not exist" : "Schema with \(what) exists"
    }
}
