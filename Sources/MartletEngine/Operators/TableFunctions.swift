import MartletColumns
import MartletCore
import MartletSQL

/// Evaluates table functions: each input row becomes as many rows as the longest of its lists; shorter ones are padded with null and a row
/// whose lists are all null or empty disappears (ksqlDB, "Table functions").
///
/// Nothing is boxed but for functions that are given row by row: a list's elements are gathered from where they lie.
final class TableFunctions: StatelessOperator {
    private enum Kind {
        case explode, cube
        case row(TableRowFunction)
    }

    private let calls: [PhysicalOperator.TableFunctionCall]
    private let kinds: [Kind]
    private let program: ExpressionProgram

    init(_ calls: [PhysicalOperator.TableFunctionCall], models: [String: any BatchModel], registry: FunctionRegistry) throws(MartletError) {
        var kinds: [Kind] = []
        for call in calls {
            switch call.name {
            case "EXPLODE": kinds.append(.explode)
            case "CUBE_EXPLODE": kinds.append(.cube)
            default:
                guard let function = try registry.tableRowFunction(call.name, argumentTypes: call.arguments.map(\.type)) else {
                    throw MartletError(
                        .unknownFunction, "table function \(call.name) does not exist", hint: "table functions are EXPLODE and CUBE_EXPLODE")
                }
                kinds.append(.row(function))
            }
        }
        self.calls = calls
        self.kinds = kinds
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
        let labels = calls.flatMap { call in call.arguments.map { _ in call.name } }
        var arguments = program.evaluate(batch, labels: labels, errors: &failures)[...]
        // A row whose argument fails is dropped, as is one without a value.
        var isKept = batch.nullValues.map { flags in flags.map { !$0 } } ?? [Bool](repeating: true, count: batch.count)
        for entry in failures.entries { isKept[entry.row] = false }
        var lists: [ListColumn] = []
        for (call, kind) in zip(calls, kinds) {
            let own = Array(arguments.prefix(call.arguments.count))
            arguments = arguments.dropFirst(call.arguments.count)
            switch (kind, own.first) {
            case (.explode, .array(let list)?): lists.append(list)
            case (.cube, .array(let list)?): lists.append(Self.cube(list, &isKept, &failures))
            case (.row(let function), _): lists.append(Self.evaluate(function, own, call.type, &isKept, &failures))
            default: preconditionFailure("EXPLODE and CUBE_EXPLODE take an array")
            }
        }
        for entry in failures.entries { errors.add(row: entry.row, column: entry.column, entry.reason) }

        var sourceRows: [UInt32] = []
        var elements = [[UInt32]](repeating: [], count: lists.count)
        for row in 0..<batch.count where isKept[row] {
            var length: Int32 = 0
            for list in lists { length = max(length, list.offsets[row + 1] - list.offsets[row]) }
            for _ in 0..<length { sourceRows.append(UInt32(row)) }
            for (k, list) in lists.enumerated() {
                let (start, end) = (list.offsets[row], list.offsets[row + 1])
                for i in start..<end { elements[k].append(UInt32(i)) }
                for _ in (end - start)..<length { elements[k].append(Column.noRow) }
            }
        }
        let columns = zip(lists, elements).map { $0.elements.gatheredOrNull($1) }
        var out = Batch(
            count: sourceRows.count, columns: batch.columns.map { $0.gathered(sourceRows) } + columns,
            timestamps: sourceRows.map { batch.timestamps[Int($0)] }, partition: batch.partition,
            offsets: batch.offsets.isEmpty ? [] : sourceRows.map { batch.offsets[Int($0)] })
        out.headers = batch.headers?.gathered(sourceRows)
        out.nullKeys = batch.nullKeys.map { flags in sourceRows.map { flags[Int($0)] } }
        out.windows = batch.windows?.gathered(sourceRows)
        return out
    }

    /// A row of this many elements that are not null becomes a million rows; one of more fails.
    static let cubeElementsMax = 20

    /// Every combination of each list's elements and null, nulls first, the last position changing fastest; a null element has only one choice.
    static func cube(_ lists: ListColumn, _ isKept: inout [Bool], _ failures: inout RowErrors) -> ListColumn {
        var offsets: [Int32] = [0], innerOffsets: [Int32] = [0], elements: [UInt32] = []
        for row in 0..<lists.count {
            let range = lists.range(row)
            let choices = range.filter { lists.elements.validity.isValid($0) }
            if isKept[row], choices.count > cubeElementsMax {
                isKept[row] = false
                failures.add(row: row, column: "CUBE_EXPLODE", "an array has at most \(cubeElementsMax) elements that are not null, not \(choices.count)")
            }
            if isKept[row], !range.isEmpty {
                for combination in 0..<(1 << choices.count) {
                    var bit = choices.count
                    for i in range {
                        guard lists.elements.validity.isValid(i) else {
                            elements.append(Column.noRow)
                            continue
                        }
                        bit -= 1
                        elements.append(combination >> bit & 1 == 1 ? UInt32(i) : Column.noRow)
                    }
                    innerOffsets.append(Int32(elements.count))
                }
            }
            offsets.append(Int32(innerOffsets.count - 1))
        }
        let inner = ListColumn(offsets: innerOffsets, elements: lists.elements.gatheredOrNull(elements))
        return ListColumn(offsets: offsets, elements: .array(inner))
    }

    private static func evaluate(
        _ function: TableRowFunction, _ arguments: [Column], _ type: SQLType, _ isKept: inout [Bool], _ failures: inout RowErrors
    ) -> ListColumn {
        var offsets: [Int32] = [0], builder = ColumnBuilder(type)
        for row in isKept.indices {
            if isKept[row] {
                do {
                    for value in try function.evaluate(arguments.map { $0.value(row) }) { builder.append(value) }
                } catch {
                    isKept[row] = false
                    failures.add(row: row, column: function.name, error.message)
                }
            }
            offsets.append(Int32(builder.column.count))
        }
        return ListColumn(offsets: offsets, elements: builder.column)
    }
}
