import MartletColumns
import MartletCore

/// Functions, lambdas and models.
extension ExpressionAnalyzer {
    func call(_ name: Identifier, _ arguments: [Expression], _ whole: Expression) throws(MartletError) -> Typed {
        let upper = name.name.uppercased()
        if let model = catalog.models[name.name] ?? catalog.models[upper] { return try score(model, arguments, whole) }
        if functions.isAggregate(upper) {
            for argument in arguments { _ = try bind(argument) }
            throw MartletError(
                .badStatement, "Aggregate functions are not allowed in the \(clause.columnPrefix) clause: \(text(whole))", at: whole.span,
                hint: clause == .whereClause ? "HAVING filters groups" : nil)
        }
        if functions.isTableFunction(upper) {
            throw MartletError(.badStatement, "Table functions are only allowed in the SELECT of a stream: \(text(whole))", at: whole.span)
        }
        if upper == "AS_VALUE", arguments.count == 1 { return try bind(arguments[0]) }
        return try apply(upper, arguments, whole)
    }

    /// A call of a function of the registry.
    private func apply(_ upper: String, _ arguments: [Expression], _ whole: Expression) throws(MartletError) -> Typed {
        var types: [ArgumentType] = []
        var bound: [Typed?] = []
        for (index, argument) in arguments.enumerated() {
            if case .lambda(let parameters, _) = argument.node {
                types.append(.lambda(parameterCount: parameters.count))
                bound.append(nil)
            } else if let unit = unit(argument, at: index, of: upper) {
                types.append(.unit)
                bound.append(Typed(.literal(.string(unit), .string)))
            } else {
                let value = try bind(argument)
                bound.append(value)
                types.append(argumentType(argument, value))
            }
        }
        return try apply(try resolve(upper, types, whole), arguments, bound, whole)
    }

    func argumentType(_ argument: Expression, _ value: Typed) -> ArgumentType {
        guard let type = value.type else { return .null }
        switch argument.node {
        case .boolean, .integer, .decimal, .double, .string: return .literal(type)
        case .negate(let operand):
            if case .literal = argumentType(operand, value) { return .literal(type) }
            return .type(type)
        default: return .type(type)
        }
    }

    private func resolve(_ name: String, _ types: [ArgumentType], _ whole: Expression) throws(MartletError) -> ResolvedFunction {
        do {
            return try functions.resolve(name, arguments: types)
        } catch {
            var error = error
            error.span = whole.span
            if error.code == .unknownFunction {
                error.hint = Suggestion.nearest(name, among: functions.scalars.map(\.name) + catalog.models.keys.sorted())
            }
            if clause == .whereClause, error.code == .typeMismatch { error.message = "Error in WHERE expression: \(error.message)" }
            throw error
        }
    }

    private func apply(
        _ resolved: ResolvedFunction, _ arguments: [Expression], _ bound: [Typed?], _ whole: Expression
    ) throws(MartletError) -> Typed {
        var values: [BoundExpression] = []
        var lambdaResults: [SQLType] = []
        for (index, argument) in arguments.enumerated() {
            if case .lambda(let names, let body) = argument.node {
                let parameters = zip(names, resolved.lambdaParameters[index] ?? []).map { Field($0.name, $1) }
                var inner = self
                inner.variables += parameters
                let value = try inner.bind(body)
                values.append(.lambda(parameters: parameters, body: value.expression))
                lambdaResults.append(value.expression.type)
            } else if let value = bound[index] {
                values.append(value.cast(to: resolved.parameterTypes[index] ?? value.type ?? .string))
            }
        }
        do {
            let type: SQLType
            if let known = resolved.returnType { type = known } else { type = try resolved.returnType(lambdaResults: lambdaResults) }
            return Typed(.call(resolved.name, values, type))
        } catch {
            throw typeError(error.message, whole.span)
        }
    }

    /// The time unit that `argument` names, if the function takes one there.
    private func unit(_ argument: Expression, at index: Int, of function: String) -> String? {
        guard case .column(nil, let name) = argument.node, UnitArgument.takesUnit(functions, function, at: index) else { return nil }
        return UnitArgument.named(name.name)
    }

    private func score(_ model: ModelEntry, _ arguments: [Expression], _ whole: Expression) throws(MartletError) -> Typed {
        let signature = "\(model.name)(\(model.inputs.map { "\($0.name) \($0.type)" }.joined(separator: ", ")))"
        guard arguments.count == model.inputs.count else {
            throw MartletError(
                .typeMismatch, "Model '\(model.name)' takes \(model.inputs.count) arguments, but got \(arguments.count).", at: whole.span,
                detail: "signature: \(signature)")
        }
        var values: [BoundExpression] = []
        for (argument, input) in zip(arguments, model.inputs) {
            let value = try bind(argument)
            if let type = value.type, type != input.type, !(type.isNumeric && input.type.isNumeric),
                !CastRules.canImplicitlyCast(type, to: input.type)
            {
                throw MartletError(
                    .typeMismatch,
                    "Model '\(model.name)' does not accept \(text(argument)) (\(type)) for its input \(SQLType.quoted(input.name)) (\(input.type)).",
                    at: argument.span, detail: "signature: \(signature)")
            }
            values.append(value.cast(to: input.type))
        }
        return Typed(.model(model.name, values, model.output))
    }
}

/// Time units as bare words in arguments: `DATEADD(DAYS, 1, D)`.
enum UnitArgument {
    private static let singular = ["MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR", "MICROSECOND", "NANOSECOND"]

    /// The unit in plural, as functions get it; nil if the word is none.
    static func named(_ word: String) -> String? {
        let upper = word.uppercased()
        if singular.contains(upper) { return upper + "S" }
        return singular.contains { upper == $0 + "S" } ? upper : nil
    }

    static func takesUnit(_ functions: FunctionRegistry, _ function: String, at index: Int) -> Bool {
        functions.scalar(named: function).contains { index < $0.parameters.count && $0.parameters[index].type == .unit }
    }
}

extension ExpressionAnalyzer {
    /// A call of a table function; its type is that of one element.
    func tableFunction(_ name: Identifier, _ arguments: [Expression], _ whole: Expression) throws(MartletError) -> PhysicalOperator.TableFunctionCall {
        let upper = name.name.uppercased()
        for argument in arguments {
            if let call = argument.firstCall(where: { functions.isTableFunction($0.name) }), case .call(let inner, _, _) = call.node {
                throw MartletError(
                    .badStatement, "Table functions cannot be nested: \(SQLType.quoted(name.name))(\(SQLType.quoted(inner.name))())", at: call.span)
            }
        }
        guard case .call(_, let values, let type) = try apply(upper, arguments, whole).expression else {
            preconditionFailure("a function binds to a call")
        }
        // It yields an array a row, of which each element becomes a row.
        guard case .array(let element) = type else { preconditionFailure("a table function returns an array") }
        return PhysicalOperator.TableFunctionCall(name: upper, arguments: values, type: element)
    }
}
