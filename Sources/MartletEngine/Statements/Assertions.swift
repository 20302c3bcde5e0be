import MartletCore
import MartletLog
import MartletSQL

/// ASSERT TOPIC and ASSERT SCHEMA (ksqlDB, "ASSERT TOPIC"): HTTP 417 when the condition does not hold in time.
///
/// Clients make topics and schemas too, and so do other statements meanwhile: the condition is looked at until the time is over, and the engine
/// works on between two looks.
extension Engine {
    func assertStatement(_ statement: Statement, _ session: Session) async throws(MartletError) -> JSONObject {
        let timeoutMs: Int64
        let check: () throws(MartletError) -> String?
        let answer: JSONObject
        switch statement.node {
        case .assertTopic(let name, let exists, let properties, let given):
            timeoutMs = given ?? Self.patienceMs("topic", session)
            check = { [log] () throws(MartletError) in
                TopicAssertion.problem(topic: name, partitions: log.topic(name)?.partitions, exists: exists, properties)
            }
            answer = ["@type": "assert_topic", "statementText": .string(statement.text), "topicName": .string(name), "exists": .bool(exists), "warnings": []]
        case .assertSchema(let subject, let id, let exists, let given):
            timeoutMs = given ?? Self.patienceMs("schema", session)
            check = { [registry] () throws(MartletError) in registry.problem(subject: subject, id: id, exists: exists) }
            answer = [
                "@type": "assert_schema", "statementText": .string(statement.text), "subject": subject.map { .string($0) } ?? .null,
                "id": id.map { .int($0) } ?? .null, "exists": .bool(exists), "warnings": [],
            ]
        default: throw MartletError(.internalError, "not an assertion")
        }
        let beganNs = time.monotonicNs
        while let problem = try check() {
            if (time.monotonicNs - beganNs) / 1_000_000 >= timeoutMs || isStopped || Task.isCancelled {
                throw MartletError(.assertionFailed, problem, at: statement.span)
            }
            // A cancelled sleep ends at once, and then so does the loop.
            try? await Task.sleep(for: .milliseconds(10))
        }
        return answer
    }

    /// `ksql.assert.topic.default.timeout.ms` and its like for schemas.
    private static func patienceMs(_ kind: String, _ session: Session) -> Int64 {
        session.properties["ksql.assert.\(kind).default.timeout.ms"].flatMap { Int64($0) } ?? 1000
    }
}

/// The condition of ASSERT TOPIC.
public enum TopicAssertion {
    /// What ASSERT TOPIC says where the condition does not hold; nil where it does. PARTITIONS and REPLICAS can be asserted, and every partition
    /// has one replica here; any other property fails the assertion. For NOT EXISTS properties do not count.
    ///
    /// - `partitions`: nil if there is no such topic.
    public static func problem(topic name: String, partitions: Int32?, exists: Bool, _ properties: [WithProperty]) -> String? {
        guard exists else { return partitions == nil ? nil : "Topic \(name) exists" }
        guard let partitions else { return "Topic \(name) does not exist" }
        var problems: [String] = []
        for property in properties {
            let actual: String
            switch property.name {
            case "PARTITIONS": actual = String(partitions)
            case "REPLICAS": actual = "1"
            default:
                problems.append("Cannot assert unknown topic property: \(property.name)")
                continue
            }
            if actual == property.value.text { continue }
            problems.append("Mismatched configuration for topic \(name): For config \(property.name.lowercased()), expected \(property.value.text) got \(actual)")
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
