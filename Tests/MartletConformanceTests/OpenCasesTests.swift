import Foundation
import MartletConformance
import MartletEngine
import Testing

/// Runs ksqlDB's own cases where they are at hand (`MARTLET_SHARED`, or `../shared`), and holds what has been reached.
///
/// `Tests/Conformance/failing.txt` lists the cases that fail, each with its reason. It may only shrink: a case that fails and is not in it,
/// or passes and is still in it, fails this test.
@Suite struct OpenCasesTests {
    static let folder: String? = {
        let root = ProcessInfo.processInfo.environment["MARTLET_SHARED"] ?? "../shared"
        let path = "\(root)/conformance/open/qtt"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }()

    /// Names before the first tab of a line; `#` begins a comment.
    static func names(in file: String) throws -> Set<String> {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Conformance/\(file)")
        let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n")
        return Set(lines.filter { !$0.hasPrefix("#") }.map { String($0.split(separator: "\t")[0]) })
    }

    @Test(.enabled(if: folder != nil, "conformance cases are not here: set MARTLET_SHARED"))
    func failExactlyWhereTheListSays() throws {
        let environment = ProcessInfo.processInfo.environment
        let report = try ConformanceRun(filter: environment["MARTLET_CASES"]).run([Self.folder!])
        print("conformance: \(report.total.text)")
        if let path = environment["MARTLET_CASES_OUT"] {
            try report.lines(verbose: true).joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
            try report.json.description.write(toFile: path + ".json", atomically: true, encoding: .utf8)
        }
        let known = try Self.names(in: "failing.txt")
        let names = Set(report.verdicts.map(\.name))
        let failing = Set(report.verdicts.filter(\.isFailed).map(\.name))
        #expect(failing.subtracting(known).sorted() == [], "cases that fail and did not before")
        #expect(known.intersection(names).subtracting(failing).sorted() == [], "cases that pass now: take them off Tests/Conformance/failing.txt")
        let oneByOne = try ConformanceRun(filter: environment["MARTLET_CASES"], batchRows: 1).run([Self.folder!])
        #expect(oneByOne.verdicts.filter(\.isFailed).map(\.name).sorted() == failing.sorted(), "results may not depend on how rows are batched")
        for interruptions in [StageRunner.Interruptions.restarts, .crashes] {
            let interrupted = try ConformanceRun(filter: environment["MARTLET_CASES"], batchRows: 1, interruptions: interruptions).run([Self.folder!])
            // This one counts the calls of a function: a row that is processed twice is another call.
            let counting: Set = ["group-by - multiple expressions with nulls"]
            #expect(
                interrupted.verdicts.filter(\.isFailed).map(\.name).filter { !counting.contains($0) }.sorted()
                    == failing.subtracting(counting).sorted(), "results may not depend on \(interruptions)")
        }
        // Rows that are to meet are brought to one task; only times and places may differ.
        let spread = try ConformanceRun(filter: environment["MARTLET_CASES"], batchRows: 1, tasks: 3).run([Self.folder!])
        let different = Set(spread.verdicts.filter(\.isFailed).map(\.name)).subtracting(failing)
        #expect(different == (try Self.names(in: "one_partition.txt")).intersection(names), "results may not depend on the number of partitions")
        if environment["MARTLET_CASES"] != nil { return }
        #expect(report.total.messagesRight * 100 >= report.total.messages * 85)
        #expect(report.total.recordedAlike * 100 >= report.total.recorded * 95)
    }
}
