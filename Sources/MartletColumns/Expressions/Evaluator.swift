import MartletCore

/// Runs nodes over a frame: one `switch` a node and batch, then a kernel's loop.
struct Evaluator {
    let nodes: [Node]
    let constants: [Int: Value]
    let environment: KernelEnvironment

    func evaluate(_ index: Int, _ frame: Frame) -> Value {
        if let constant = constants[index] { return constant }
        if let known = frame.known(index) { return known }
        let value = compute(nodes[index], frame)
        frame.remember(index, value)
        return value
    }

    private func compute(_ node: Node, _ frame: Frame) -> Value {
        switch node.operation {
        case .column(let index): return Value(frame.column(index))
        case .variable(let slot): return frame.variable(slot)
        case .literal(let value): return Value(ColumnBuilder.column(of: node.type, [value]), isConstant: true)
        case .and: return logic(node, frame, decides: false)
        case .or: return logic(node, frame, decides: true)
        case .searchedCase: return searchedCase(node, frame)
        case .lambda: return Value(.boolean(FixedColumn([false])), isConstant: true)
        default: break
        }
        let inputs = node.children.map { evaluate($0, frame) }
        let isConstant = inputs.allSatisfy(\.isConstant) && !node.isChanging
        let count = isConstant && !isLambdaCall(node) ? 1 : frame.count
        var failures = RowFailures()
        for input in inputs { failures.add(input, count: count) }
        let column: Column
        switch node.operation {
        case .arithmetic(let op):
            column = ArithmeticKernels.apply(op, inputs[0], inputs[1], count: count, type: node.type, &failures)
            // Inside a lambda a null operand fails (conformance cases, transform-array); elsewhere it just gives null.
            if node.usesVariables, let flags = column.validity.flags {
                let known = Set(failures.rows)
                for row in flags.indices where !flags[row] && !known.contains(UInt32(row)) {
                    failures.add(row, "an operand of \(op.rawValue) is null", isFatal: true)
                }
            }
        case .negate: column = ArithmeticKernels.negate(inputs[0].column)
        case .compare(let op): column = .boolean(FixedColumn(ComparisonKernels.compare(op, inputs[0], inputs[1], count: count)))
        case .not: column = LogicKernels.not(inputs[0].column)
        case .isNull: column = .boolean(FixedColumn(LogicKernels.isNull(inputs[0].column)))
        case .isNotNull: column = .boolean(FixedColumn(LogicKernels.isNotNull(inputs[0].column)))
        case .isIn: column = .boolean(FixedColumn(ComparisonKernels.isIn(inputs, count: count)))
        case .like(let pattern, let escape):
            column = LikePattern.match(inputs[0], pattern, inputs[1], escape: escape, count: count, &failures)
        case .cast: column = CastKernels.cast(inputs[0].column, to: node.type, &failures)
        case .call(let kernel):
            let scope = LambdaScope(evaluator: self, frame: frame, lambdas: node.children.map { nodes[$0] })
            var call = KernelCall(
                arguments: inputs, count: count, type: node.type, environment: environment, lambdas: isLambdaCall(node) ? scope : nil)
            column = kernel(&call)
            failures.add(call.failures)
        case .model(let model):
            var errors = RowErrors()
            column = model.score(inputs.map { $0.expanded(frame.count).column }, count: frame.count, errors: &errors)
            for entry in errors.entries { failures.add(entry.row, entry.reason, isFatal: false) }
            return Value(column, failures: failures)
        case .index: column = NestedKernels.index(inputs[0], inputs[1], count: count, type: node.type)
        case .field(let name): column = NestedKernels.field(inputs[0].column, name, type: node.type)
        case .array: column = NestedKernels.array(inputs, count: count, type: node.type)
        case .map: column = NestedKernels.map(inputs, count: count, type: node.type)
        case .structure: column = NestedKernels.structure(inputs, count: count, type: node.type)
        case .column, .literal, .variable, .lambda, .and, .or, .searchedCase: preconditionFailure("evaluated above")
        }
        precondition(column.count == count, "a kernel returns a row for each row")
        return Value(column, isConstant: count == 1 && isConstant, failures: failures)
    }

    private func isLambdaCall(_ node: Node) -> Bool {
        node.children.contains { if case .lambda = nodes[$0].operation { true } else { false } }
    }

    // MARK: parts evaluated for some rows only

    /// AND (decides: false) and OR (decides: true): the right side's failures count only where the left side leaves the answer open.
    private func logic(_ node: Node, _ frame: Frame, decides: Bool) -> Value {
        let left = evaluate(node.children[0], frame)
        let a = LogicKernels.truth(left.column)
        if left.isConstant {
            if a[0] == decides { return Value(.boolean(FixedColumn([decides])), isConstant: true, failures: left.failures) }
            var right = evaluate(node.children[1], frame)
            var failures = RowFailures()
            let count = right.isConstant ? 1 : frame.count
            failures.add(left, count: count)
            failures.add(right, count: count)
            right.column = .boolean(FixedColumn(LogicKernels.truth(right.column)))
            right.failures = failures.isEmpty ? nil : failures
            return right
        }
        let right = evaluate(node.children[1], frame)
        let b = LogicKernels.truth(right.column)
        var failures = RowFailures()
        failures.add(left, count: frame.count)
        if right.failures != nil {
            failures.add(right.expanded(frame.count).failures?.filtered { a[$0] != decides })
        }
        let column = LogicKernels.combine(a, b, rightIsConstant: right.isConstant, or: decides)
        return Value(.boolean(FixedColumn(column)), failures: failures)
    }

    /// Each branch is evaluated for the rows that reach it: its condition for those that no earlier one took, its result for those it takes.
    private func searchedCase(_ node: Node, _ frame: Frame) -> Value {
        var open = [UInt32](0..<UInt32(frame.count))
        var parts: [Column] = []
        /// For each row which part, and which row of it.
        var source = [UInt32](repeating: 0, count: frame.count)
        var base: UInt32 = 0
        var failures = RowFailures()
        func take(_ child: Int, _ rows: [UInt32]) {
            if rows.isEmpty { return }
            let part = rows.count == frame.count ? frame : Frame(frame, rows: rows)
            let value = evaluate(child, part)
            failures.add(value.expanded(rows.count).failures?.filtered({ _ in true }, rename: { Int(rows[$0]) }))
            for (i, row) in rows.enumerated() { source[Int(row)] = base + (value.isConstant ? 0 : UInt32(i)) }
            parts.append(value.column)
            base += UInt32(value.column.count)
        }
        let pairs = node.children.count / 2
        for i in 0..<pairs where !open.isEmpty {
            let part = open.count == frame.count ? frame : Frame(frame, rows: open)
            let condition = evaluate(node.children[2 * i], part)
            let truth = LogicKernels.truth(condition.column)
            let failed = condition.expanded(open.count).failures
            failures.add(failed?.filtered({ _ in true }, rename: { Int(open[$0]) }))
            var taken: [UInt32] = [], rest: [UInt32] = []
            for (j, row) in open.enumerated() {
                if truth[condition.isConstant ? 0 : j] { taken.append(row) } else { rest.append(row) }
            }
            take(node.children[2 * i + 1], taken)
            open = rest
        }
        if node.children.count % 2 == 1 {
            take(node.children[node.children.count - 1], open)
        } else if !open.isEmpty {
            for row in open { source[Int(row)] = base }
            parts.append(.nulls(node.type, count: 1))
        }
        if parts.isEmpty { return Value(.empty(node.type), failures: failures) }
        return Value(Column.concatenated(parts, type: node.type).gathered(source), failures: failures)
    }
}

/// How a function evaluates its lambda arguments.
struct LambdaScope {
    let evaluator: Evaluator
    let frame: Frame
    let lambdas: [Node]

    /// The body of lambda argument `argument` over rows of its own: `parameters` are columns of equal count, `rows` says for each of their
    /// rows which row of the call it belongs to (columns of the batch used inside the body are taken from there).
    func apply(_ argument: Int, _ parameters: [Column], rows: [UInt32]) -> Value {
        let lambda = lambdas[argument]
        guard case .lambda(let slots) = lambda.operation else { preconditionFailure("argument \(argument) is a lambda") }
        var variables: [Int: Value] = [:]
        for (slot, column) in zip(slots, parameters) { variables[slot] = Value(column) }
        return evaluator.evaluate(lambda.children[0], Frame(frame, rows: rows, variables: variables)).expanded(rows.count)
    }
}
