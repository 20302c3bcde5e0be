import MartletCore
import MartletEngine

/// Runs case files and gathers what came of them.
public struct ConformanceRun: Sendable {
    /// Only cases whose name contains this, in any case; nil: all.
    public var filter: String?

    /// Records that a query gets at once; results may not depend on it.
    public var batchRows: Int

    /// Restarts or crashes between what queries get; results may not depend on them either.
    public var interruptions: StageRunner.Interruptions

    /// How many tasks records are spread over by their keys, as over the partitions of a topic. Only what time or places in a topic decide may depend on it.
    public var tasks: Int

    public init(filter: String? = nil, batchRows: Int = 1000, interruptions: StageRunner.Interruptions = .none, tasks: Int = 1) {
        self.tasks = max(1, tasks)
        self.interruptions = interruptions
        self.filter = filter
        self.batchRows = max(1, batchRows)
    }

    /// - `paths`: case files (`.json`) and SQL tests (`.sqltest`, `.sql`), or folders with such files anywhere below.
    /// - Throws: `.io`, or `.badRequest` for a file named that has no tests, and if there are none at all.
    public func run(_ paths: [String]) throws(MartletError) -> ConformanceReport {
        var report = ConformanceReport()
        for path in paths {
            for file in try TestFile.files(at: path) { report.files.append(try run(file)) }
        }
        return try checked(report, paths)
    }

    /// Runs cases of the REST API, each against a server of its own that `start` makes.
    ///
    /// - `paths`: case files (`.json`), or folders with such files anywhere below.
    public func runRest(
        _ paths: [String], start: () async throws(MartletError) -> RestTestServer
    ) async throws(MartletError) -> ConformanceReport {
        var report = ConformanceReport()
        for path in paths {
            for file in try TestFile.files(at: path) where file.isCases {
                var verdicts: [CaseVerdict] = []
                for json in try Self.cases(of: file, kind: "rest") {
                    let one = try RestCase(json)
                    if let filter, !one.base.name.lowercased().contains(filter.lowercased()) { continue }
                    let server = try await start()
                    var execution = RestExecution(one, on: server)
                    do throws(MartletError) {
                        try await execution.run()
                        verdicts.append(await RestComparison(one: one, execution: execution).verdict())
                    } catch {
                        verdicts.append(CaseVerdict(name: one.base.name, outcome: .failed(["the case cannot be run: \(error.message)"])))
                    }
                    await server.stop()
                }
                report.files.append(ConformanceReport.File(name: file.name, verdicts: verdicts))
            }
        }
        return try checked(report, paths)
    }

    /// Nothing to run is no success: a filter may be mistyped, a folder the wrong one.
    private func checked(_ report: ConformanceReport, _ paths: [String]) throws(MartletError) -> ConformanceReport {
        var report = report
        report.files.removeAll { $0.verdicts.isEmpty }
        if report.files.isEmpty {
            let what = filter.map { "no test whose name contains '\($0)'" } ?? "no test"
            throw MartletError(.badRequest, "there is \(what) in \(paths.joined(separator: ", "))")
        }
        return report
    }

    private func run(_ file: TestFile) throws(MartletError) -> ConformanceReport.File {
        let name = file.name
        if file.isCases { return ConformanceReport.File(name: name, verdicts: try runCases(of: file)) }
        let text = try FileBytes.read(file.path)
        var verdicts: [CaseVerdict] = []
        for one in ScriptCase.cases(of: String(decoding: text, as: UTF8.self)) {
            let full = "\(name) - \(one.name)"
            if let filter, !full.lowercased().contains(filter.lowercased()) { continue }
            let (problems, message) = ScriptExecution.problems(
                one, folder: file.folder, batchRows: batchRows, interruptions: interruptions, tasks: tasks)
            verdicts.append(
                CaseVerdict(
                    name: full, outcome: problems.isEmpty ? .passed : .failed(problems),
                    expectedMessage: one.expectedError.flatMap { $0.isEmpty ? nil : $0 }, message: message))
        }
        if verdicts.isEmpty, filter == nil, file.isNamed {
            throw MartletError(.badRequest, "\(file.path) has no tests: a test begins with a line --@test: name")
        }
        return ConformanceReport.File(name: name, verdicts: verdicts)
    }

    private func runCases(of file: TestFile) throws(MartletError) -> [CaseVerdict] {
        var verdicts: [CaseVerdict] = []
        for one in try Self.cases(of: file, kind: "qtt") {
            let parsed = try ConformanceCase(one)
            if let filter, !parsed.name.lowercased().contains(filter.lowercased()) { continue }
            verdicts.append(CaseVerdict.of(parsed, batchRows: batchRows, interruptions: interruptions, tasks: tasks))
        }
        return verdicts
    }

    private static func cases(of file: TestFile, kind: String) throws(MartletError) -> [JSONValue] {
        let text = try FileBytes.read(file.path), json: JSONValue
        do {
            json = try JSONValue(parsing: text)
        } catch {
            throw MartletError(.badRequest, "\(file.path): \(error.message)")
        }
        guard let cases = json["cases"]?.arrayValue else {
            guard file.isNamed else { return [] }
            throw MartletError(.badRequest, "\(file.path) is no case file: it has no cases")
        }
        return cases.filter { $0["kind"]?.stringValue == kind }
    }
}
