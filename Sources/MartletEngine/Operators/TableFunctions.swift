import MartletColumns
import MartletCore
import MartletSQL

/// Evaluates table functions: each input row becomes as many rows as the longest of its lists; shorter ones are padded with null and a row
/// whose lists are all null or empty disappears (ksqlDB, "Table functions").
final class TableFunctions: StatelessOperator {
    private let calls: [PhysicalOperator.TableFunctionCall]
    private let program: ExpressionProgram

    init(_ calls: [PhysicalOperator.TableFunctionCall], models: [String: any BatchModel], registry: FunctionRegistry) throws(MartletError) {
        for call in calls where call.name != "EXPLODE" && call.name != "CUBE_EXPLODE" {
            throw MartletError(.unknownFunction, "table function \(call.name) does not exist", hint: "table functions are EXPLODE and CUBE_EXPLODE")
        }
        self.calls = calls
        program = try ExpressionProgram(calls.flatMap(\.arguments), models: models, registry: registry)
    }

    func process(_ batch: Batch, side: InputSide, _ context: inout OperatorContext) throws(MartletError) -> Batch {
        var errors = RowErrors()
        let out = expand(batch, errors: &errors)
        context.failed.add(errors, of: batch)
        return out
    }

    private func expand(_ batch: Batch, errors: inout RowErrors) -> Batch {
        var failures = RowErrors()
        let arguments = program.evaluate(batch, labels: calls.map(\.name), errors: &failures)
        // A row whose argument fails is dropped.
        let failed = Set(failures.entries.map(\.row))
        for entry in failures.entries { errors.add(row: entry.row, column: entry.column, entry.reason) }

        var sourceRows: [UInt32] = []
        var builders = calls.map { ColumnBuilder($0.type) }
        for row in 0..<batch.count where !failed.contains(row) && batch.nullValues?[row] != true {
            let lists = zip(calls, arguments).map { call, column -> [SQLValue] in
                guard case .array(let values) = column.value(row) else { return [] }
                return call.name == "CUBE_EXPLODE" ? Self.cube(values) : values
            }
            let length = lists.map(\.count).max() ?? 0
            for i in 0..<length {
                sourceRows.append(UInt32(row))
                for (k, list) in lists.enumerated() { builders[k].append(i < list.count ? list[i] : .null) }
            }
        }
        var out = Batch(
            count: sourceRows.count, columns: batch.columns.map { $0.gathered(sourceRows) } + builders.map(\.column),
            timestamps: sourceRows.map { batch.timestamps[Int($0)] }, partition: batch.partition,
            offsets: batch.offsets.isEmpty ? [] : sourceRows.map { batch.offsets[Int($0)] })
        out.headers = batch.headers?.gathered(sourceRows)
        out.nullKeys = batch.nullKeys.map { flags in sourceRows.map { flags[Int($0)] } }
        out.windows = batch.windows?.gathered(sourceRows)
        return out
    }

    /// Every combination of the list's elements and null, nulls first, the last position changing fastest; a null element has only one choice.
    static func cube(_ values: [SQLValue]) -> [SQLValue] {
        var rows: [[SQLValue]] = [[]]
        for value in values {
            rows = rows.flatMap { row in value.isNull ? [row + [.null]] : [row + [.null], row + [value]] }
        }
        return values.isEmpty ? [] : rows.map { .array($0) }
    }
}
