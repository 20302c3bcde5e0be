import MartletCore
import MartletEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

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
    /// - Throws: `.io`, or `.badRequest` for what is no case file, naming it.
    public func run(_ paths: [String]) throws(MartletError) -> ConformanceReport {
        var report = ConformanceReport()
        for path in paths {
            for file in try Self.files(below: path) { report.files.append(try run(file: file)) }
        }
        report.files.removeAll { $0.verdicts.isEmpty }
        return report
    }

    /// Runs cases of the REST API, each against a server of its own that `start` makes.
    ///
    /// - `paths`: case files (`.json`), or folders with such files anywhere below.
    public func runRest(
        _ paths: [String], start: () async throws(MartletError) -> RestTestServer
    ) async throws(MartletError) -> ConformanceReport {
        var report = ConformanceReport()
        for path in paths {
            for file in try Self.files(below: path) where file.hasSuffix(".json") {
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
                if verdicts.isEmpty { continue }
                report.files.append(ConformanceReport.File(name: String(file.split(separator: "/").last ?? ""), verdicts: verdicts))
            }
        }
        return report
    }

    private func run(file: String) throws(MartletError) -> ConformanceReport.File {
        let name = String(file.split(separator: "/").last ?? "")
        if file.hasSuffix(".json") { return ConformanceReport.File(name: name, verdicts: try runCases(of: file)) }
        let text = try Self.contents(of: file)
        var verdicts: [CaseVerdict] = []
        for one in ScriptCase.cases(of: String(decoding: text, as: UTF8.self)) {
            let full = "\(name) - \(one.name)"
            if let filter, !full.lowercased().contains(filter.lowercased()) { continue }
            let (problems, message) = ScriptExecution.problems(
                one, folder: Self.folder(of: file), batchRows: batchRows, interruptions: interruptions, tasks: tasks)
            verdicts.append(
                CaseVerdict(
                    name: full, outcome: problems.isEmpty ? .passed : .failed(problems),
                    expectedMessage: one.expectedError.flatMap { $0.isEmpty ? nil : $0 }, message: message))
        }
        if verdicts.isEmpty, filter == nil { throw MartletError(.badRequest, "\(file) has no tests: a test begins with a line --@test: name") }
        return ConformanceReport.File(name: name, verdicts: verdicts)
    }

    private func runCases(of file: String) throws(MartletError) -> [CaseVerdict] {
        var verdicts: [CaseVerdict] = []
        for one in try Self.cases(of: file, kind: "qtt") {
            let parsed = try ConformanceCase(one)
            if let filter, !parsed.name.lowercased().contains(filter.lowercased()) { continue }
            verdicts.append(CaseVerdict.of(parsed, batchRows: batchRows, interruptions: interruptions, tasks: tasks))
        }
        return verdicts
    }

    private static func cases(of file: String, kind: String) throws(MartletError) -> [JSONValue] {
        let json: JSONValue
        do {
            json = try JSONValue(parsing: try contents(of: file))
        } catch {
            throw MartletError(error.code == .io ? .io : .badRequest, "\(file): \(error.message)")
        }
        guard let cases = json["cases"]?.arrayValue else { throw MartletError(.badRequest, "\(file) is no case file: it has no cases") }
        return cases.filter { $0["kind"]?.stringValue == kind }
    }

    /// Case files below a path, by name.
    private static func files(below path: String) throws(MartletError) -> [String] {
        var info = stat()
        guard stat(path, &info) == 0 else { throw MartletError(.io, "cannot read \(path): \(String(cString: strerror(errno)))") }
        guard info.st_mode & S_IFMT == S_IFDIR else { return [path] }
        guard let directory = opendir(path) else { throw MartletError(.io, "cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append("\(path)/\(name)") }
        }
        var out: [String] = []
        for name in names.sorted() {
            guard stat(name, &info) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR { out += try files(below: name) } else if [".json", ".sql", ".sqltest"].contains(where: { name.hasSuffix($0) }) { out.append(name) }
        }
        return out
    }

    private static func folder(of file: String) -> String {
        file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
    }

    static func contents(of path: String) throws(MartletError) -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw MartletError(.io, String(cString: strerror(errno))) }
        defer { fclose(file) }
        var out: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            out += buffer[..<count]
        }
        if ferror(file) != 0 { throw MartletError(.io, "cannot be read") }
        return out
    }
}
