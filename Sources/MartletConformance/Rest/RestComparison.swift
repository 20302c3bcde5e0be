import MartletColumns
import MartletCore
import MartletSQL

/// Judges what a server answered in one case.
struct RestComparison {
    let one: RestCase
    let execution: RestExecution

    func verdict() async -> CaseVerdict {
        var verdict = CaseVerdict(name: one.base.name, outcome: .passed)
        if let expected = one.expectedError {
            verdict.expectedMessage = expected.message
            guard let refusal = execution.refusal else {
                verdict.outcome = execution.askedQuery || execution.responses.isEmpty ? .failed(["nothing failed, expected: \(expected.message ?? "an error")"]) : .passed
                return verdict
            }
            verdict.message = refusal.body["message"]?.stringValue ?? refusal.body.description
            verdict.outcome = Self.outcome(Self.differences(refusal, expected, one.base.statements.last ?? ""))
            return verdict
        }
        if let refusal = execution.refusal {
            verdict.message = refusal.body["message"]?.stringValue
            verdict.outcome = .failed(["HTTP \(refusal.status): \(refusal.body["message"]?.stringValue ?? refusal.body.description)"])
            return verdict
        }
        var problems: [String] = []
        if execution.responses.count < one.responses.count {
            problems.append("\(execution.responses.count) responses, expected \(one.responses.count)")
        }
        for (index, pair) in zip(one.responses, execution.responses).enumerated() {
            problems += Self.differences(pair.0, pair.1).map { "response \(index): \($0)" }
        }
        do throws(MartletError) {
            problems += try await outputDifferences()
        } catch {
            problems.append("outputs cannot be read: \(error.message)")
        }
        verdict.outcome = Self.outcome(problems)
        return verdict
    }

    private static func outcome(_ problems: [String]) -> CaseVerdict.Outcome { problems.isEmpty ? .passed : .failed(problems) }

    // MARK: - Errors

    private static func differences(_ refusal: RestExecution.Refusal, _ expected: RestCase.ExpectedError, _ lastStatement: String) -> [String] {
        var out: [String] = []
        if let status = expected.status, status != refusal.status, !refusal.isLate { out.append("HTTP \(refusal.status), expected \(status)") }
        let message = refusal.body["message"]?.stringValue ?? ""
        if let wanted = expected.message, !message.contains(wanted) { out.append("message '\(message)', expected '\(wanted)'") }
        if expected.type == "KsqlStatementErrorMessage" {
            let text = refusal.body["statementText"]?.stringValue ?? ""
            if text.isEmpty || !text.contains(lastStatement) && !lastStatement.contains(text) { out.append("statementText '\(text)', expected '\(lastStatement)'") }
        }
        return out
    }

    // MARK: - Responses

    private static func differences(_ expected: JSONObject, _ actual: RestExecution.Response) -> [String] {
        guard let member = expected.members.first else { return [] }
        switch (member.name, actual) {
        case ("admin", .admin(let entity)): return subsetDifference(member.value, entity).map { [$0] } ?? []
        case ("query", .query(let messages)): return differences(member.value.arrayValue ?? [], messages)
        case ("queryProto", .protobuf(let bytes)): return ProtobufAnswer.differences(member.value.arrayValue ?? [], bytes)
        default: return ["an answer of another kind, expected \(member.name)"]
        }
    }

    /// Everything but the rows is compared at its place, rows as a set with repetitions.
    private static func differences(_ expected: [JSONValue], _ actual: [JSONValue]) -> [String] {
        var out: [String] = []
        let wantedRows = expected.compactMap { $0["row"] }, rows = actual.compactMap { $0["row"] }
        if wantedRows.count != rows.count { out.append("\(rows.count) rows, expected \(wantedRows.count)") }
        for (index, want) in expected.enumerated() {
            guard index < actual.count else {
                if want["row"] == nil { out.append("message \(index) is missing, expected \(want)") }
                continue
            }
            guard let difference = subsetDifference(withoutColumns(want), actual[index]) else { continue }
            out.append("message \(index): \(difference)")
        }
        var left = rows.map { $0["columns"] ?? .null }
        for row in wantedRows {
            let columns = row["columns"] ?? .null
            if let found = left.firstIndex(where: { isEqual(columns, $0) }) {
                left.remove(at: found)
            } else {
                out.append("no row \(columns); left are \(left.prefix(3).map(\.description).joined(separator: ", "))")
            }
        }
        return out
    }

    private static func withoutColumns(_ message: JSONValue) -> JSONValue {
        guard let row = message["row"]?.objectValue else { return message }
        return ["row": .object(JSONObject(row.members.filter { $0.name != "columns" }))]
    }

    /// Every expected key has to be there and match; `key|starts_with` compares a beginning.
    private static func subsetDifference(_ expected: JSONValue, _ actual: JSONValue) -> String? {
        guard let wanted = expected.objectValue else {
            return isEqual(expected, actual) ? nil : "\(actual), expected \(expected)"
        }
        for member in wanted.members {
            if member.name.hasSuffix("|starts_with") {
                let name = String(member.name.dropLast("|starts_with".count))
                let text = actual[name]?.stringValue ?? ""
                if !text.hasPrefix(member.value.stringValue ?? "") { return "\(name) is '\(text)', expected to begin with \(member.value)" }
                continue
            }
            guard let value = actual[member.name] else { return "\(member.name) is missing in \(actual)" }
            if let difference = subsetDifference(member.value, value) { return "\(member.name): \(difference)" }
        }
        return nil
    }

    /// Numbers as exact decimals whose scale counts.
    private static func isEqual(_ a: JSONValue, _ b: JSONValue) -> Bool {
        switch (a, b) {
        case (.number(let x), .number(let y)):
            guard let x = BigNumber(x), let y = BigNumber(y) else { return false }
            return x.isSameValue(as: y) && x.scale == y.scale
        case (.array(let x), .array(let y)): return x.count == y.count && zip(x, y).allSatisfy { isEqual($0, $1) }
        case (.object(let x), .object(let y)):
            return x.members.count == y.members.count && x.members.allSatisfy { member in y[member.name].map { isEqual(member.value, $0) } ?? false }
        default: return a == b
        }
    }

    // MARK: - Outputs

    private func outputDifferences() async throws(MartletError) -> [String] {
        var out: [String] = []
        var topics: [String] = []
        for record in one.base.outputs where !topics.contains(record.topic) { topics.append(record.topic) }
        for topic in topics {
            let expected = one.base.outputs.filter { $0.topic == topic }
            let keyFormat = await execution.format(of: topic, .key), valueFormat = await execution.format(of: topic, .value)
            // Partitions have no order among each other.
            var left = try execution.records(of: topic)
            for (index, record) in expected.enumerated() {
                let found = left.firstIndex { actual in
                    if let timestamp = record.timestamp, timestamp != actual.timestamp { return false }
                    guard let key = try? keyFormat.decode(actual.key), let value = try? valueFormat.decode(actual.value) else { return false }
                    return (key.matches(record.key) || record.window != nil) && value.matches(record.value)
                }
                if let found {
                    left.remove(at: found)
                } else {
                    let have = left.prefix(3).map { record in
                        "\(record.timestamp) \((try? keyFormat.decode(record.key).description) ?? "?"): \((try? valueFormat.decode(record.value).description) ?? "?")"
                    }
                    out.append("topic \(topic) record \(index): nothing like \(record.key): \(record.value) at \(record.timestamp ?? -1); left are \(have.joined(separator: ", "))")
                }
            }
        }
        return out
    }
}
