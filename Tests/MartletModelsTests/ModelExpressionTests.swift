import MartletColumns
import MartletCore
import Testing

@testable import MartletModels

/// Models as compiled expressions call them.
@Suite(.temporaryDirectories, .enabled(if: Fixtures.hasRuntime, Fixtures.needsRuntime)) struct ModelExpressionTests {
    private func batch(_ columns: [Column]) -> Batch {
        Batch(count: columns[0].count, columns: columns, timestamps: [Int64](repeating: 0, count: columns[0].count))
    }

    @Test func aModelIsAFunctionOfColumnsWithCastsAroundAndOperatorsOver() throws {
        let registry = try ModelRegistry(directory: Fixtures.temporaryDirectory() + "/models")
        let model = try registry.create(name: "LINEAR", path: Fixtures.path("linear"))
        let call = BoundExpression.model(
            "LINEAR", [.column(0, .double), .cast(.column(1, .integer), .double), .literal(.double(1), .double)], .double)
        let alert = BoundExpression.compare(.greater, call, .literal(.double(10), .double))
        let program = try ExpressionProgram([call, alert], models: ["LINEAR": model])
        var errors = RowErrors()
        let out = program.evaluate(
            batch([Fixtures.doubles([1, nil, 3]), Fixtures.integers([2, 2, 5])]), labels: ["SCORE", "ALERT"], errors: &errors)
        #expect(out[0].rows == [.double(8.5), .null, .double(16.5)])
        #expect(out[1].rows[0] == .boolean(false) && out[1].rows[2] == .boolean(true))
        #expect(errors.count == 0)
        // The call is compiled once, so the model ran once.
        #expect(model.statistics.calls == 1 && model.statistics.rows == 3)
    }

    @Test func aRowThatFailsInsideTheModelIsReportedWithItsRow() throws {
        let registry = try ModelRegistry(directory: Fixtures.temporaryDirectory() + "/models")
        let model = try registry.create(name: "PICKY", path: Fixtures.path("picky"))
        let program = try ExpressionProgram([.model("PICKY", [.column(0, .bigint)], .double)], models: ["PICKY": model])
        var errors = RowErrors()
        let out = program.evaluate(batch([Fixtures.bigints([2, 50, 0])]), labels: ["P"], errors: &errors)
        #expect(out[0].rows == [.double(30), .null, .double(10)])
        #expect(errors.count == 1 && errors.entries[0].row == 1)
        #expect(model.statistics.errors == 1)
    }
}
