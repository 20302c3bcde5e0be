import MartletCore

/// Verdicts by file, and how they add up.
public struct ConformanceReport: Sendable {
    public struct File: Sendable {
        public var name: String
        public var verdicts: [CaseVerdict]
        public var counts: Counts { Counts(verdicts) }
    }

    public struct Counts: Sendable {
        public var passed = 0, failed = 0, notApplicable = 0
        /// Of the cases that must fail with certain words: how many there are, how many said them.
        public var messages = 0, messagesRight = 0
        /// Of the cases with recorded sources and topics: how many there are, how many have them all alike.
        public var recorded = 0, recordedAlike = 0

        public init(_ verdicts: [CaseVerdict]) {
            for verdict in verdicts {
                switch verdict.outcome {
                case .passed: passed += 1
                case .failed: failed += 1
                case .notApplicable: notApplicable += 1
                }
                if let says = verdict.saysExpectedMessage {
                    messages += 1
                    if says { messagesRight += 1 }
                }
                if let differences = verdict.recordedDifferences {
                    recorded += 1
                    if differences.isEmpty { recordedAlike += 1 }
                }
            }
        }

        public var text: String {
            var out = "\(passed) passed, \(failed) failed, \(notApplicable) not applicable"
            if messages > 0 { out += "; \(messagesRight) of \(messages) expected messages" }
            if recorded > 0 { out += "; \(recordedAlike) of \(recorded) as recorded" }
            return out
        }
    }

    public var files: [File] = []
    public init() {}

    public var verdicts: [CaseVerdict] { files.flatMap(\.verdicts) }
    public var total: Counts { Counts(verdicts) }

    /// Lines for a person: one a file, each failed case with its first differences, the total last.
    public func lines(verbose: Bool) -> [String] {
        var out: [String] = []
        let width = files.map(\.name.count).max() ?? 0
        for file in files {
            out.append(file.name + String(repeating: " ", count: width - file.name.count) + "  " + file.counts.text)
            for verdict in file.verdicts { out += Self.lines(verdict, verbose: verbose) }
        }
        return out + ["total: \(total.text)"]
    }

    private static func lines(_ verdict: CaseVerdict, verbose: Bool) -> [String] {
        var out: [String] = []
        if case .failed(let problems) = verdict.outcome {
            out.append("  FAILED \(verdict.name)")
            out += problems.prefix(verbose ? 20 : 1).map { "    \($0)" }
            if verbose { out += verdict.rowFailures.prefix(5).map { "    row: \($0)" } }
        }
        if !verbose { return out }
        if case .notApplicable(let reason) = verdict.outcome { out.append("  not applicable \(verdict.name): \(reason)") }
        if verdict.saysExpectedMessage == false {
            out.append("  MESSAGE \(verdict.name)\n    want \(verdict.expectedMessage ?? "")\n    have \(verdict.message ?? "(nothing failed)")")
        }
        if let differences = verdict.recordedDifferences, !differences.isEmpty {
            out.append("  RECORDED \(verdict.name)")
            out += differences.prefix(5).map { "    \($0)" }
        }
        return out
    }

    /// For programs: counts and one object a case.
    public var json: JSONValue {
        let total = total
        let cases = verdicts.map { verdict -> JSONValue in
            var object: JSONObject = ["name": .string(verdict.name)]
            switch verdict.outcome {
            case .passed: object["outcome"] = "passed"
            case .failed(let problems):
                object["outcome"] = "failed"
                object["problems"] = .array(problems.map { .string($0) })
            case .notApplicable(let reason):
                object["outcome"] = "notApplicable"
                object["reason"] = .string(reason)
            }
            if let says = verdict.saysExpectedMessage {
                object["saysExpectedMessage"] = .bool(says)
                object["expectedMessage"] = verdict.expectedMessage.map { .string($0) } ?? .null
            }
            if let message = verdict.message { object["message"] = .string(message) }
            if let differences = verdict.recordedDifferences { object["recordedDifferences"] = .array(differences.map { .string($0) }) }
            return .object(object)
        }
        return [
            "passed": .int(total.passed), "failed": .int(total.failed), "notApplicable": .int(total.notApplicable),
            "expectedMessages": .int(total.messages), "expectedMessagesRight": .int(total.messagesRight), "recorded": .int(total.recorded),
            "recordedAlike": .int(total.recordedAlike), "cases": .array(cases),
        ]
    }
}
