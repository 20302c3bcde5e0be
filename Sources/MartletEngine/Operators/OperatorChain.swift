import MartletColumns
import MartletCore
import MartletSQL

/// The operators of one stage, compiled: batch in, batch out, all on one thread.
struct OperatorChain {
    private enum Step {
        case filter(ExpressionProgram, text: String)
        case project(ExpressionProgram, names: [String])
        case selectKey(ExpressionProgram, names: [String])
        case join(StreamTableJoin)
        case flatMap(TableFunctions)
    }

    private var steps: [Step] = []

    init(
        _ operators: [PhysicalOperator], models: [String: any BatchModel], schemas: any SchemaSource, functions: FunctionRegistry = .builtin
    ) throws(MartletError) {
        for description in operators {
            switch description {
            case .filter(let condition, let text): steps.append(.filter(try ExpressionProgram([condition], models: models, registry: functions), text: text))
            case .project(let expressions, let names):
                steps.append(.project(try ExpressionProgram(expressions, models: models, registry: functions), names: names))
            case .selectKey(let expressions, let names, _):
                steps.append(.selectKey(try ExpressionProgram(expressions, models: models, registry: functions), names: names))
            case .streamTableJoin(let join): steps.append(.join(try StreamTableJoin(join, schemas: schemas)))
            case .flatMap(let calls): steps.append(.flatMap(try TableFunctions(calls, models: models, registry: functions)))
            }
        }
    }

    /// The table joined with, if the stage has one: the task feeds it.
    var table: StreamTableJoin? {
        for case .join(let join) in steps { return join }
        return nil
    }

    /// Runs `batch` through all steps. A row that fails in a filter is dropped, in a projection null in that column; both are reported.
    func run(_ batch: Batch, failed: inout FailedRows) -> Batch {
        var batch = batch
        for step in steps {
            if batch.count == 0 { break }
            var errors = RowErrors()
            let input = batch
            switch step {
            case .filter(let program, let text):
                var rows = program.select(batch, label: text, errors: &errors)
                // ksqlDB evaluates no condition on a record without a value: it passes no filter.
                if let nullValues = batch.nullValues { rows.removeAll { nullValues[Int($0)] } }
                batch = batch.gathered(rows)
            case .project(let program, let names):
                batch.columns = program.evaluate(batch, labels: names, errors: &errors)
            case .selectKey(let program, let names):
                batch.columns = program.evaluate(batch, labels: names, errors: &errors)
                batch.nullKeys = nil
                batch.windows = nil
            case .join(let join): batch = join.process(batch)
            case .flatMap(let functions): batch = functions.process(batch, errors: &errors)
            }
            failed.add(errors, of: input)
        }
        return batch
    }
}
