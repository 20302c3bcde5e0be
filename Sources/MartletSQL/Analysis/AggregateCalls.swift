import MartletColumns
import MartletCore

/// The aggregate functions that a query computes: each call once, however often it is written, and each argument once.
struct AggregateCalls {
    /// For the arguments, over the rows that are grouped.
    var binder: ExpressionAnalyzer
    var functions: FunctionRegistry
    /// Whether a column is a bound of the query's own windows, which rows do not have.
    var bounds: (Identifier) -> Bool

    private(set) var expressions: [Expression] = []
    /// `arguments` of a call count `self.arguments`.
    private(set) var calls: [AggregateCall] = []
    private(set) var spans: [SourceSpan] = []
    private(set) var arguments: [BoundExpression] = []

    init(binder: ExpressionAnalyzer, functions: FunctionRegistry, bounds: @escaping (Identifier) -> Bool) {
        self.binder = binder
        self.functions = functions
        self.bounds = bounds
    }

    /// Adds the calls in a qualified expression.
    ///
    /// - Throws: what is wrong with a call: nested aggregates, arguments that no overload takes.
    mutating func collect(_ expression: Expression) throws(MartletError) {
        guard case .call(let name, let list, let isStar) = expression.node, functions.isAggregate(name.name) else {
            for child in expression.children { try collect(child) }
            return
        }
        if expressions.contains(expression) { return }
        for argument in list {
            if let inner = argument.firstCall(where: { functions.isAggregate($0.name) }), case .call(let innerName, _, _) = inner.node {
                throw MartletError(
                    .badStatement, "Aggregate functions can not be nested: \(name.name)(\(innerName.name)())", at: inner.span,
                    hint: "group the result of one query by another")
            }
            if let bound = argument.firstColumn(where: bounds), case .column(_, let name) = bound.node {
                throw GroupAnalysis.misplacedBound(name, bound.span)
            }
        }
        calls.append(try call(name.name.uppercased(), isStar ? [] : list, expression))
        expressions.append(expression)
        spans.append(expression.span)
    }

    /// Where the results are: behind `first` key columns.
    func computed(from first: Int) -> [Expression: Scope.Column] {
        var out: [Expression: Scope.Column] = [:]
        for (index, expression) in expressions.enumerated() {
            out[expression] = Scope.Column(
                source: nil, name: calls[index].name, type: calls[index].type, role: .value, index: first + index)
        }
        return out
    }

    /// Functions that are told how many values they keep, and what that number is called.
    private static let limitNames = ["TOPK": "k", "TOPKDISTINCT": "k", "EARLIEST_BY_OFFSET": "earliestN", "LATEST_BY_OFFSET": "latestN"]

    private mutating func call(_ name: String, _ list: [Expression], _ whole: Expression) throws(MartletError) -> AggregateCall {
        var types: [ArgumentType] = [], values: [Typed] = []
        for argument in list {
            let value = try binder.bind(argument)
            values.append(value)
            types.append(binder.argumentType(argument, value))
        }
        let resolved = try resolve(name, types, list, whole)
        var columns: [Int] = [], columnTypes: [SQLType] = [], constants: [SQLValue] = []
        for (index, value) in values.enumerated() {
            let type = resolved.parameterTypes[index] ?? value.type ?? .string
            let bound = ConstantFolding.fold(value.cast(to: type))
            if resolved.signature.parameter(index, of: values.count)?.isInitial == true {
                guard case .literal(let constant, _) = bound else { throw notLiteral(index, name, list[index]) }
                constants.append(constant)
                continue
            }
            let place = arguments.firstIndex(of: bound) ?? arguments.count
            if place == arguments.count { arguments.append(bound) }
            columns.append(place)
            columnTypes.append(type)
        }
        if let limitName = Self.limitNames[name] {
            for constant in constants {
                if case .integer(let limit) = constant, limit < 1 {
                    throw MartletError(.badStatement, "\(limitName) must be 1 or greater", at: whole.span, hint: "it is \(limit)")
                }
            }
        }
        guard let type = resolved.returnType else { throw FunctionRegistry.mismatch(name, whole.span) }
        return AggregateCall(name: name, arguments: columns, argumentTypes: columnTypes, constants: constants, type: type)
    }

    private func resolve(
        _ name: String, _ types: [ArgumentType], _ list: [Expression], _ whole: Expression
    ) throws(MartletError) -> ResolvedFunction {
        do {
            return try functions.resolve(name, arguments: types)
        } catch {
            // Would it fit if its arguments were literals? Then that is what is wrong.
            for index in types.indices.reversed() {
                guard case .type(let type) = types[index] else { continue }
                var tried = types
                tried[index] = .literal(type)
                if let fits = try? functions.resolve(name, arguments: tried), fits.signature.parameter(index, of: types.count)?.isInitial == true {
                    throw notLiteral(index, name, list[index])
                }
            }
            var error = error
            error.span = whole.span
            throw error
        }
    }

    private func notLiteral(_ index: Int, _ name: String, _ argument: Expression) -> MartletError {
        MartletError(
            .typeMismatch,
            "Parameter \(index + 1) passed to function \(name) must be a literal constant, but was expression: '\(binder.text(argument))'",
            at: argument.span)
    }
}

extension FunctionRegistry {
    static func mismatch(_ name: String, _ span: SourceSpan) -> MartletError {
        MartletError(.typeMismatch, "The result type of \(name) does not follow from its arguments.", at: span)
    }
}
