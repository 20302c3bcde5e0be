import Foundation
import MartletConformance
import MartletEngine
import Testing

/// The project's own corpus: `Tests/Queries`, written from the dialect's rules. Results may not depend on how rows are batched.
@Suite struct QueriesTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Queries").path

    @Test(arguments: [1, 7, 1000], [StageRunner.Interruptions.none, .restarts, .crashes, .evictions])
    func corpusHolds(batchRows: Int, interruptions: StageRunner.Interruptions) throws {
        try check(ConformanceRun(batchRows: batchRows, interruptions: interruptions))
    }

    /// Rows that are to meet have to be brought to the same task.
    @Test(arguments: [StageRunner.Interruptions.none, .crashes])
    func corpusHoldsOverThreePartitions(interruptions: StageRunner.Interruptions) throws {
        try check(ConformanceRun(batchRows: 1, interruptions: interruptions, tasks: 3))
    }

    private func check(_ run: ConformanceRun) throws {
        let report = try run.run([Self.folder])
        #expect(report.total.passed > 60)
        #expect(report.total.failed == 0, "\(report.lines(verbose: true).filter { $0.hasPrefix("  ") }.joined(separator: "\n"))")
    }
}
