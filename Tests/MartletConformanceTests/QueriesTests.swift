import Foundation
import MartletConformance
import Testing

/// The project's own corpus: `Tests/Queries`, written from the dialect's rules. Results may not depend on how rows are batched.
@Suite struct QueriesTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Queries").path

    @Test(arguments: [1, 2, 1000])
    func corpusHolds(batchRows: Int) throws {
        let report = try ConformanceRun(batchRows: batchRows).run([Self.folder])
        #expect(report.total.passed > 60)
        #expect(report.total.failed == 0, "\(report.lines(verbose: true).filter { $0.hasPrefix("  ") }.joined(separator: "\n"))")
    }
}
