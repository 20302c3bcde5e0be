import MartletCore

/// A model as an expression calls it: whole columns in, one column out.
public protocol BatchModel: Sendable {
    func score(_ inputs: [Column], count: Int, errors: inout RowErrors) -> Column
}

/// Expressions compiled once and run over whole batches.
///
/// The tree is walked once a batch, not once a row: each part becomes a loop over columns (`Kernels/`), equal parts are computed once, and
/// parts without columns before the first batch. CASE branches, and the right sides of AND and OR, count only for the rows that reach them.
///
/// Failing rows (ksqlDB, "Processing log"): division of integers by zero, a cast that does not parse, a decimal that does not fit make the
/// whole expression null in that row; a *function* that fails gives null and the expression goes on. Both are reported.
public struct ExpressionProgram: Sendable {
    let nodes: [Node]
    let roots: [Int]
    /// Values of nodes without columns, by node.
    let constants: [Int: Value]
    let environment: KernelEnvironment

    /// Compiles `expressions`; `models` resolves `.model` calls.
    ///
    /// - `registry`: where `.call` finds its kernels. `time`: UNIX_TIMESTAMP() and the like. `seed`: RANDOM and UUID; nil: a new one.
    /// - Throws: `.unknownFunction`, `.unknownModel`, or `.notSupported` for a function without a kernel (an aggregate, say).
    public init(
        _ expressions: [BoundExpression], models: [String: any BatchModel] = [:], registry: FunctionRegistry = .builtin,
        time: TimeSource = .system, seed: UInt64? = nil
    ) throws(MartletError) {
        var system = SystemRandomNumberGenerator()
        environment = KernelEnvironment(time: time, seed: seed ?? system.next())
        var compiler = ExpressionCompiler(models: models, registry: registry)
        var roots: [Int] = []
        for expression in expressions { roots.append(try compiler.compile(expression)) }
        nodes = compiler.nodes
        self.roots = roots

        let evaluator = Evaluator(nodes: nodes, constants: [:], environment: environment)
        let frame = Frame(columns: [], count: 1, nodes: nodes.count)
        var constants: [Int: Value] = [:]
        for (index, node) in nodes.enumerated() where node.isConstant {
            var value = evaluator.evaluate(index, frame)
            value.isConstant = true
            constants[index] = value
        }
        self.constants = constants
    }

    /// One column per expression, `batch.count` rows. A row that fails is null in that column and reported under its label.
    public func evaluate(_ batch: Batch, labels: [String], errors: inout RowErrors) -> [Column] {
        precondition(labels.count == roots.count, "every expression has a label")
        let evaluator = Evaluator(nodes: nodes, constants: constants, environment: environment)
        let frame = Frame(columns: batch.columns, count: batch.count, nodes: nodes.count)
        var out: [Column] = []
        for (root, label) in zip(roots, labels) {
            let value = evaluator.evaluate(root, frame).expanded(batch.count)
            var column = value.column
            if let failures = value.failures {
                for i in failures.rows.indices {
                    let row = Int(failures.rows[i])
                    if failures.fatal[i] { column.validity.setNull(row, count: batch.count) }
                    errors.add(row: row, column: label, failures.reasons[i])
                }
            }
            out.append(column)
        }
        return out
    }

    /// Rows for which the (boolean) first expression is true, rising; a failing row is false and reported.
    public func select(_ batch: Batch, label: String, errors: inout RowErrors) -> [UInt32] {
        let evaluator = Evaluator(nodes: nodes, constants: constants, environment: environment)
        let frame = Frame(columns: batch.columns, count: batch.count, nodes: nodes.count)
        let selection = Selector(evaluator: evaluator, frame: frame).select(roots[0])
        if let failures = selection.failures {
            for i in failures.rows.indices { errors.add(row: Int(failures.rows[i]), column: label, failures.reasons[i]) }
        }
        return selection.rows
    }
}
