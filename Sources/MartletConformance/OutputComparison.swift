import MartletColumns
import MartletCore
import MartletSQL

/// Compares what lies on the topics of a case with what is expected there, record by record.
struct OutputComparison {
    let one: ConformanceCase
    let execution: CaseExecution

    /// What differs; empty: nothing.
    func differences() -> [String] {
        var problems: [String] = []
        var topics: [String] = []
        for record in one.outputs where !topics.contains(record.topic) { topics.append(record.topic) }
        if one.outputs.isEmpty {
            // Nothing is expected anywhere: then nothing may come out.
            for query in execution.sandbox.queries {
                let count = (execution.sandbox.topics[query.sinkTopic] ?? []).count - one.inputs.count { $0.topic == query.sinkTopic }
                if count > 0 { problems.append("topic \(query.sinkTopic): \(count) records, expected none") }
            }
        }
        for topic in topics {
            let expected = one.outputs.filter { $0.topic == topic }
            let actual = execution.sandbox.topics[topic] ?? []
            for (index, pair) in zip(expected, actual).enumerated() {
                if let problem = difference(pair.0, pair.1) {
                    problems.append("topic \(topic) record \(index): \(problem), in \(description(pair.1, topic))")
                }
            }
            if expected.count != actual.count {
                problems.append("topic \(topic): \(actual.count) records, expected \(expected.count)")
                for record in actual.dropFirst(expected.count) { problems.append("topic \(topic): surplus record \(description(record, topic))") }
            }
        }
        return problems
    }

    /// `@5 key → value`, the key's window behind it.
    private func description(_ record: RecordBytes, _ topic: String) -> String {
        var key = record.key, window = ""
        if let kind = execution.sandbox.sourceOfTopic[topic]?.window {
            let (own, bounds) = WindowedKey.decode(key, isSession: kind.kind == .session, sizeMs: kind.sizeMs)
            key = own
            window = bounds.map { " [\($0.start), \($0.end)]" } ?? ""
        }
        func text(_ side: Side, _ bytes: [UInt8]?) -> String { (try? execution.format(of: topic, side).decode(bytes).description) ?? "that cannot be decoded" }
        return "@\(record.timestamp) \(text(.key, key))\(window) → \(text(.value, record.value))"
    }

    private func difference(_ expected: ConformanceCase.Record, _ actual: RecordBytes) -> String? {
        if let timestamp = expected.timestamp, timestamp != actual.timestamp { return "timestamp \(actual.timestamp), expected \(timestamp)" }
        if let headers = expected.headers {
            let own = HeaderSection.decode(actual.headers)
            if own != headers { return "headers \(own), expected \(headers)" }
        }
        var key = actual.key, window: ConformanceCase.Window?
        if let kind = execution.sandbox.sourceOfTopic[expected.topic]?.window {
            (key, window) = WindowedKey.decode(key, isSession: kind.kind == .session, sizeMs: kind.sizeMs)
        }
        if window != expected.window { return "window \(String(describing: window)), expected \(String(describing: expected.window))" }
        return difference(.key, expected.topic, key, expected.key) ?? difference(.value, expected.topic, actual.value, expected.value)
    }

    private func difference(_ side: Side, _ topic: String, _ actual: [UInt8]?, _ expected: JSONValue) -> String? {
        do throws(MartletError) {
            let value = try execution.format(of: topic, side).decode(actual)
            return value.matches(expected) ? nil : "\(side.rawValue) \(value), expected \(expected)"
        } catch {
            return "\(side.rawValue) cannot be decoded: \(error.message)"
        }
    }
}
