import MartletCore
import MartletEngine

/// What came of one case.
public struct CaseVerdict: Sendable {
    public enum Outcome: Sendable {
        case passed
        case failed([String])
        case notApplicable(String)
    }

    public var name: String
    public var outcome: Outcome
    /// The case has to fail, with this in its words.
    public var expectedMessage: String?
    /// What it said when it failed.
    public var message: String?
    /// Differences from what another engine recorded about sources and topics; nil: nothing was recorded.
    public var recordedDifferences: [String]?
    /// Rows that were left out or nulled, and why: to look into a failure.
    public var rowFailures: [String] = []

    public var isFailed: Bool { if case .failed = outcome { true } else { false } }

    /// Whether the message says what it has to; nil for cases without an expected message.
    public var saysExpectedMessage: Bool? {
        guard let expectedMessage else { return nil }
        if case .notApplicable = outcome { return nil }
        return message?.contains(expectedMessage) ?? false
    }
}

extension CaseVerdict {
    /// Runs a case and judges it; queries get `batchRows` records at once.
    static func of(_ one: ConformanceCase, batchRows: Int, interruptions: StageRunner.Interruptions = .none, tasks: Int = 1) -> CaseVerdict {
        var verdict = CaseVerdict(name: one.name, outcome: .passed)
        if let reason = CaseScope.reasonNotApplicable(one) {
            verdict.outcome = .notApplicable(reason)
            return verdict
        }
        verdict.expectedMessage = one.expectedException?.message
        do throws(MartletError) {
            var execution = try CaseExecution(one, interruptions: interruptions, tasks: tasks)
            do throws(CaseExecution.Failure) {
                try execution.executeStatements()
                try execution.feed(batchRows: batchRows)
                verdict.rowFailures = execution.sandbox.rowFailures
                try verdict.judge(one, execution)
            } catch {
                verdict.judge(one, error)
            }
        } catch {
            verdict.outcome = .failed(["the case cannot be set up: \(error.message)"])
        }
        return verdict
    }

    private mutating func judge(_ one: ConformanceCase, _ execution: CaseExecution) throws(CaseExecution.Failure) {
        if let expected = one.expectedException {
            outcome = .failed(["nothing failed, expected \(expected.type ?? "a failure"): \(expected.message ?? "")"])
            return
        }
        var problems = OutputComparison(one: one, execution: execution).differences()
        if execution.sandbox.queries.isEmpty, !one.statements.contains(where: { $0.uppercased().contains("DROP") }) { problems.append("no persistent query was started") }
        let catalog = CatalogComparison(one: one, sandbox: execution.sandbox)
        problems += catalog.differences(
            sources: one.post["sources"]?.arrayValue ?? [], topics: one.post["topics"]?["topics"]?.arrayValue ?? [])
        if let pattern = one.post["topics"]?["blacklist"]?.stringValue {
            do throws(MartletError) {
                problems += try catalog.hits(of: pattern).map { "there is a topic \($0), against the pattern \(pattern)" }
            } catch {
                throw CaseExecution.Failure(phase: .running, error: error, statement: nil)
            }
        }
        outcome = problems.isEmpty ? .passed : .failed(problems)
        if !one.recorded.isNull {
            recordedDifferences = catalog.differences(
                sources: one.recorded["sources"]?.arrayValue ?? [], topics: one.recorded["topics"]?.arrayValue ?? [])
        }
    }

    private mutating func judge(_ one: ConformanceCase, _ failure: CaseExecution.Failure) {
        let error = failure.error
        if let name = CaseScope.testFunctions.first(where: { error.message.uppercased().contains("'\($0)'") }),
            error.code == .unknownFunction || error.message.contains("does not accept parameters"), one.expectedException == nil
        {
            outcome = .notApplicable("function \(name) exists only in ksqlDB's own tests")
            return
        }
        var texts = [error.message]
        var cause = error.cause
        while let next = cause {
            texts.append(next.message)
            cause = next.cause
        }
        // ksqlDB's fuller text ends with the statement, as it was written or, once its names are resolved, as they were.
        if let index = failure.statement {
            if let resolved = failure.resolved { texts.append("\(error.message)\nStatement: \(resolved)") }
            texts[0] += "\nStatement: \(one.statements[index])"
        }
        message = texts.joined(separator: "\n")
        guard let expected = one.expectedException else {
            outcome = .failed(["failed \(failure.phase == .running ? "while running" : "at \(failure.phase.rawValue)"): \(error.message)"])
            return
        }
        if failure.phase == .statement, let index = failure.statement, index < one.statements.count - 1 {
            outcome = .failed(["statement \(index + 1) failed, expected the last to: \(error.message)"])
        } else if !Self.isKind(expected.type, failure.phase) {
            outcome = .failed(["failed at \(failure.phase.rawValue), expected \(expected.type ?? ""): \(error.message)"])
        } else {
            outcome = .passed
        }
    }

    /// ksqlDB's classes: parsing failures are statement failures, those are its own failures, and all of them are failures of a run.
    /// Whether the parser or the analysis refuses a statement is an engine's own affair.
    private static func isKind(_ type: String?, _ phase: CaseExecution.Phase) -> Bool {
        switch type {
        case "ParseFailedException", "KsqlStatementException": phase != .running
        default: true
        }
    }
}
