import Foundation
import MartletCore
import Testing

@testable import MartletConformance

/// Which files hold tests, and what is said where there are none.
@Suite struct TestFileTests {
    private static let test = "--@test: it holds\nCREATE STREAM s (id INT) WITH (kafka_topic='s', value_format='JSON');\nASSERT TOPIC s;\n"

    /// A folder with these files, by their paths in it.
    private func with(_ files: [String: String], _ body: (_ folder: String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-tests-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (path, text) in files {
            let file = folder.appending(path: path)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        try body(folder.path)
    }

    private func refusal(_ run: ConformanceRun = ConformanceRun(), _ paths: String...) -> String? {
        do throws(MartletError) {
            _ = try run.run(paths)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func scriptsAndDataMayStandBesideTests() throws {
        let files = ["a.sqltest": Self.test, "deeper/b.sql": Self.test, "pipeline.sql": "DROP STREAM x;", "package.json": "{\"name\": 1}", "notes.txt": "x"]
        try with(files) { folder in
            let report = try ConformanceRun().run([folder])
            #expect(report.files.map(\.name) == ["a.sqltest", "b.sql"] && report.total.passed == 2 && report.total.failed == 0)
            #expect(refusal(ConformanceRun(), "\(folder)/pipeline.sql")?.contains("has no tests: a test begins with a line --@test: name") == true)
            #expect(refusal(ConformanceRun(), "\(folder)/package.json")?.hasSuffix("is no case file: it has no cases") == true)
        }
    }

    @Test func nothingToRunIsNoSuccess() throws {
        try with(["a.sqltest": Self.test, "empty/pipeline.sql": "DROP STREAM x;", "broken/x.json": "{"]) { folder in
            #expect(refusal(ConformanceRun(filter: "no such"), folder) == "there is no test whose name contains 'no such' in \(folder)")
            #expect(refusal(ConformanceRun(filter: "IT HOLDS"), "\(folder)/a.sqltest") == nil)
            #expect(refusal(ConformanceRun(), "\(folder)/empty") == "there is no test in \(folder)/empty")
            #expect(refusal(ConformanceRun(), "\(folder)/none") == "cannot read \(folder)/none: no such file or directory")
            #expect(refusal(ConformanceRun(), "\(folder)/broken")?.contains("broken/x.json: malformed JSON") == true)
        }
    }
}
