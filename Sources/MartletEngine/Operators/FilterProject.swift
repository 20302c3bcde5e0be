import MartletColumns
import MartletCore
import MartletSQL

/// Keeps rows for which a condition is true; a row that fails is dropped and reported.
///
/// Of a table's changes a row that no longer passes becomes a deletion, if the row before passed; if it did not either, nothing comes (ksqlDB:
/// filters and HAVING).
final class Filter: StatelessOperator {
    private let program: ExpressionProgram
    private let text: String
    private let isTable: Bool

    init(_ condition: BoundExpression, text: String, isTable: Bool, _ setup: OperatorSetup) throws(MartletError) {
        program = try ExpressionProgram([condition], models: setup.models, registry: setup.functions)
        self.text = text
        self.isTable = isTable
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var errors = RowErrors()
        var rows = program.select(batch, label: text, errors: &errors)
        context.failed.add(errors, of: batch)
        // ksqlDB evaluates no condition on a record without a value: it passes no filter.
        if let nullValues = batch.nullValues { rows.removeAll { nullValues[Int($0)] } }
        if !isTable || rows.count == batch.count && batch.previous == nil { return batch.gathered(rows) }

        var passes = [Bool](repeating: false, count: batch.count)
        for row in rows { passes[Int(row)] = true }
        guard let previous = batch.previous else {
            // What was before is unknown: whatever does not pass now is deleted.
            var out = batch
            out.nullValues = passes.map { !$0 }
            return out
        }
        var before = Batch(count: batch.count, columns: previous.columns, timestamps: batch.timestamps)
        before.nullValues = previous.isNull
        var ignored = RowErrors()
        var passed = [Bool](repeating: false, count: batch.count)
        for row in program.select(before, label: text, errors: &ignored) where !previous.isNull[Int(row)] { passed[Int(row)] = true }
        var kept: [UInt32] = []
        for row in 0..<batch.count where passes[row] || passed[row] { kept.append(UInt32(row)) }
        var out = batch.gathered(kept)
        let deleted = kept.map { !passes[Int($0)] }
        out.nullValues = deleted.contains(true) ? deleted : nil
        out.previous?.isNull = kept.map { !passed[Int($0)] }
        return out
    }
}

/// Evaluates one expression an output column; a row that fails is null in that column and reported.
final class Projection: StatelessOperator {
    private let program: ExpressionProgram
    private let names: [String]
    private let isNewKey: Bool

    init(_ expressions: [BoundExpression], names: [String], isNewKey: Bool, _ setup: OperatorSetup) throws(MartletError) {
        program = try ExpressionProgram(expressions, models: setup.models, registry: setup.functions)
        self.names = names
        self.isNewKey = isNewKey
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var errors = RowErrors()
        var out = batch
        out.columns = program.evaluate(batch, labels: names, errors: &errors)
        context.failed.add(errors, of: batch)
        if isNewKey {
            out.nullKeys = nil
            out.windows = nil
        }
        if let previous = batch.previous {
            var before = Batch(count: batch.count, columns: previous.columns, timestamps: batch.timestamps)
            before.nullValues = previous.isNull
            var ignored = RowErrors()
            out.previous = Batch.Previous(columns: program.evaluate(before, labels: names, errors: &ignored), isNull: previous.isNull)
        }
        return out
    }
}
