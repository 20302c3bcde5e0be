import MartletColumns
import MartletCore

/// An expression with its type; the NULL literal has none until its surroundings give it one.
struct Typed {
    var expression: BoundExpression
    var type: SQLType?

    init(_ expression: BoundExpression) {
        self.expression = expression
        self.type = expression.type
    }

    static let null: Typed = {
        var typed = Typed(.literal(.null, .string))
        typed.type = nil
        return typed
    }()

    /// The expression converted to `type`; the caller knows that it converts.
    func cast(to type: SQLType) -> BoundExpression {
        guard let own = self.type else { return .literal(.null, type) }
        return own == type ? expression : .cast(expression, type)
    }

    var typeText: String { type.map(\.description) ?? "NULL" }
}

/// Turns qualified expressions into typed ones over an operator's columns: names and overloads resolved, implicit conversions written out.
///
/// Types follow ksqlDB's rules ("Operators", "Type coercion"): numbers widen INT → BIGINT → DECIMAL → DOUBLE, text and numbers do not mix,
/// comparing with NULL is refused.
struct ExpressionAnalyzer {
    var scope: Scope
    var clause: Clause
    var catalog: Catalog
    var functions: FunctionRegistry
    /// Parameters of the lambdas around the expression, innermost last.
    var variables: [Field] = []
    /// ksqlDB does not compile the expressions of queries that end, which shows in its messages.
    var isInterpreted = false
    /// Expressions that an operator below has computed already, by their text as columns: results of table functions.
    var computed: [Expression: Scope.Column] = [:]

    var text: ExpressionText { ExpressionText(columns: .plain(isJoin: scope.isJoin)) }

    // MARK: errors, in the words of the stage of ksqlDB that finds them

    /// A mistake of types, found before code is made.
    func typeError(_ message: String, _ span: SourceSpan, hint: String? = nil) -> MartletError {
        let prefix =
            switch clause {
            case .whereClause: "Error in WHERE expression: "
            case .having: "Error in HAVING expression: "
            case .select, .partitionBy, .groupBy, .joinOn, .orderBy, .values: ""
            }
        return MartletError(.typeMismatch, prefix + message, at: span, hint: hint)
    }

    /// A mistake found when code is made for the expression.
    func codeError(_ message: String, _ span: SourceSpan, hint: String? = nil) -> MartletError {
        if isInterpreted { return MartletError(.typeMismatch, "Invalid expression: \(message)", at: span, hint: hint) }
        let prefix =
            switch clause {
            case .whereClause, .having: "Invalid Predicate: "
            case .select: "Invalid Select: "
            case .partitionBy, .groupBy, .joinOn, .orderBy, .values: ""
            }
        return MartletError(.typeMismatch, prefix + message, at: span, hint: hint)
    }

    // MARK: binding

    /// - Throws: `.typeMismatch`, `.unknownFunction`, `.unknownModel`, `.notSupported`, each with the place of the part at fault.
    func bind(_ expression: Expression) throws(MartletError) -> Typed {
        if let column = computed[expression] { return Typed(.column(column.index, column.type)) }
        switch expression.node {
        case .null: return .null
        case .boolean(let value): return Typed(.literal(.boolean(value), .boolean))
        case .integer(let value):
            if let small = Int32(exactly: value) { return Typed(.literal(.integer(small), .integer)) }
            return Typed(.literal(.bigint(value), .bigint))
        case .decimal(let value):
            let type = SQLType.decimal(precision: max(value.precision, value.scale, 1), scale: max(value.scale, 0))
            return Typed(.literal(.decimal(value), type))
        case .double(let value): return Typed(.literal(.double(value), .double))
        case .string(let value): return Typed(.literal(.string(value), .string))
        case .column(let source, let name): return try column(source, name, expression.span)
        case .field(let base, let name): return try field(base, name, expression)
        case .subscript_(let base, let index): return try subscripted(base, index)
        case .arithmetic(let op, let a, let b): return try arithmetic(op, a, b, expression)
        case .negate(let operand): return try negate(operand, expression)
        case .plus(let operand):
            let value = try bind(operand)
            guard let type = value.type, type.isNumeric else { throw typeError("Unsupported unary operator + on \(value.typeText)", expression.span) }
            return value
        case .concatenate(let a, let b):
            return try call(Identifier("CONCAT", span: expression.span), [a, b], expression)
        case .compare(let op, let a, let b): return Typed(try compare(op, a, b, expression.span))
        case .and(let a, let b): return Typed(.and(try boolean(a, "AND"), try boolean(b, "AND")))
        case .or(let a, let b): return Typed(.or(try boolean(a, "OR"), try boolean(b, "OR")))
        case .not(let operand): return Typed(.not(try boolean(operand, "NOT")))
        case .isNull(let operand): return Typed(.isNull(try bind(operand).expression))
        case .isNotNull(let operand): return Typed(.isNotNull(try bind(operand).expression))
        case .between(let operand, let low, let high, let negated):
            let inside = BoundExpression.and(
                try compare(.greaterOrEqual, operand, low, expression.span, isRange: true),
                try compare(.lessOrEqual, operand, high, expression.span, isRange: true))
            return Typed(negated ? .not(inside) : inside)
        case .isIn(let operand, let options, let negated):
            let found = try isIn(operand, options)
            return Typed(negated ? .not(found) : found)
        case .like(let operand, let pattern, let escape, let negated):
            let matches = try like(operand, pattern, escape, expression)
            return Typed(negated ? .not(matches) : matches)
        case .searchedCase(let branches, let otherwise): return try searchedCase(branches, otherwise, expression)
        case .simpleCase:
            throw MartletError(
                .notSupported, "CASE with an operand is not supported.", at: expression.span,
                hint: "write CASE WHEN <condition> THEN <result> … END")
        case .cast(let operand, let typeName): return try cast(operand, typeName, expression)
        case .call(let name, let arguments, _):
            // COUNT(*) is the aggregation's affair; to a scalar function `*` is no argument at all.
            return try call(name, arguments, expression)
        case .array(let elements): return try array(elements, expression)
        case .map(let entries): return try map(entries, expression)
        case .structure(let fields): return try structure(fields, expression)
        case .lambda: throw typeError("A lambda may only be an argument of a function.", expression.span)
        case .atTimeZone: throw MartletError(.notSupported, "AT TIME ZONE is not supported.", at: expression.span, hint: "use CONVERT_TZ")
        }
    }

    private func column(_ source: Identifier?, _ name: Identifier, _ span: SourceSpan) throws(MartletError) -> Typed {
        if source == nil, let variable = variables.last(where: { $0.name == name.name }) {
            return Typed(.variable(variable.name, variable.type))
        }
        guard let column = scope.column(source?.name, name.name) else {
            throw MartletError(
                .unknownColumn, "\(span.messagePrefix)\(clause.columnPrefix) column '\(name.name)' cannot be resolved.", at: span)
        }
        // Bounds of windows exist above the groups only.
        guard column.index >= 0 else { throw typeError("Unknown column \(name.name).", span) }
        return Typed(.column(column.index, column.type))
    }

    private func field(_ base: Expression, _ name: Identifier, _ whole: Expression) throws(MartletError) -> Typed {
        let value = try bind(base)
        guard case .structure(let fields)? = value.type else {
            throw typeError("Expected STRUCT type, got: \(value.typeText)", base.span, hint: "-> reads a field of a STRUCT")
        }
        guard let field = fields.first(where: { $0.name == name.name }) else {
            throw typeError(
                "Could not find field '\(name.name)' in '\(text(base))'.", name.span,
                hint: "fields are \(fields.map(\.name).joined(separator: ", "))")
        }
        return Typed(.field(value.expression, field.name, field.type))
    }

    private func subscripted(_ base: Expression, _ index: Expression) throws(MartletError) -> Typed {
        let value = try bind(base), position = try bind(index)
        switch value.type {
        case .array(let element)?:
            guard position.type == .integer || position.type == .bigint else {
                throw typeError("The index of an ARRAY must be INTEGER, but \(text(index)) is \(position.typeText).", index.span)
            }
            return Typed(.subscript_(value.expression, position.cast(to: .integer), element))
        case .map(let key, let element)?:
            guard let type = position.type, type == key || CastRules.canImplicitlyCast(type, to: key) else {
                throw typeError("The key of this MAP must be \(key), but \(text(index)) is \(position.typeText).", index.span)
            }
            return Typed(.subscript_(value.expression, position.cast(to: key), element))
        default:
            var structures = ""
            if case .structure = value.type { structures = " Use the dereference operator for STRUCTS: \(text(base))->\(text(index))" }
            throw typeError(
                "Subscript expression (\(text(base))[\(text(index))]) do not apply to \(value.typeText).\(structures)", base.span)
        }
    }

    private func arithmetic(_ op: ArithmeticOperator, _ a: Expression, _ b: Expression, _ whole: Expression) throws(MartletError) -> Typed {
        let left = try bind(a), right = try bind(b)
        guard let l = left.type, let r = right.type else {
            let names = [left, right].map { $0.type?.description ?? "null" }
            throw typeError(
                "Error processing expression: \(text(whole)). Arithmetic on types \(names[0]) and \(names[1]) are not supported.", whole.span)
        }
        guard let result = ArithmeticTypes.result(op, l, r) else {
            throw typeError(
                "Error processing expression: \(text(whole)). Unsupported arithmetic types. \(l.baseName) \(r.baseName)", whole.span)
        }
        return Typed(.arithmetic(op, operand(left, l, of: result), operand(right, r, of: result), result))
    }

    /// Operands of decimal arithmetic are decimals of their own scale, others have the type of the result.
    private func operand(_ value: Typed, _ type: SQLType, of result: SQLType) -> BoundExpression {
        guard case .decimal = result else { return value.cast(to: result) }
        if case .decimal = type { return value.expression }
        guard let (precision, scale) = ArithmeticTypes.decimalShape(type) else { return value.cast(to: result) }
        return value.cast(to: .decimal(precision: precision, scale: scale))
    }

    private func negate(_ operand: Expression, _ whole: Expression) throws(MartletError) -> Typed {
        let value = try bind(operand)
        guard let type = value.type, type.isNumeric else { throw typeError("Unsupported unary operator - on \(value.typeText)", whole.span) }
        return Typed(.negate(value.expression, type))
    }

    func boolean(_ operand: Expression, _ what: String) throws(MartletError) -> BoundExpression {
        let value = try bind(operand)
        guard value.type == .boolean || value.type == nil else {
            throw typeError("\(what) needs BOOLEAN operands, but \(text(operand)) is \(value.typeText).", operand.span)
        }
        return value.cast(to: .boolean)
    }

    private func like(_ operand: Expression, _ pattern: Expression, _ escape: String?, _ whole: Expression) throws(MartletError) -> BoundExpression {
        let value = try bind(operand), wanted = try bind(pattern)
        guard value.type == .string, wanted.type == .string else {
            let other = value.type == .string ? wanted : value
            throw typeError("The column type for Like condition must be VARCHAR. The column type is \(other.typeText)", whole.span)
        }
        return .like(value.expression, pattern: wanted.expression, escape: escape)
    }

    private func searchedCase(_ branches: [Expression.When], _ otherwise: Expression?, _ whole: Expression) throws(MartletError) -> Typed {
        var conditions: [BoundExpression] = []
        var results: [Typed] = []
        var type: SQLType?
        for branch in branches {
            let condition = try bind(branch.condition)
            guard condition.type == .boolean else {
                throw typeError(
                    "WHEN operand type should be boolean.\nType for '\(text(branch.condition))' is \(condition.typeText)", branch.condition.span)
            }
            conditions.append(condition.expression)
            let result = try bind(branch.result)
            results.append(result)
            guard let own = result.type else { continue }
            if let type, type != own {
                throw typeError(
                    "Invalid Case expression. Type for all 'THEN' clauses should be the same.\nTHEN expression 'WHEN \(text(branch.condition)) THEN \(text(branch.result))' has type: \(own).\nPrevious THEN expression(s) type: \(type).",
                    branch.result.span, hint: "CAST one to the type of the other")
            }
            type = own
        }
        var last: Typed?
        if let otherwise {
            let value = try bind(otherwise)
            last = value
            if let own = value.type {
                if let type, type != own {
                    throw typeError(
                        "Invalid Case expression. Type for the default clause should be the same as for 'THEN' clauses.\nTHEN type: \(type).\nDEFAULT type: \(own).",
                        otherwise.span, hint: "CAST one to the type of the other")
                }
                type = own
            }
        }
        guard let type else { throw typeError("Invalid Case expression. All case branches have NULL type", whole.span) }
        let bound = zip(conditions, results).map { BoundExpression.WhenBranch(condition: $0, result: $1.cast(to: type)) }
        return Typed(.searchedCase(bound, otherwise: last?.cast(to: type), type))
    }

    private func cast(_ operand: Expression, _ typeName: TypeName, _ whole: Expression) throws(MartletError) -> Typed {
        let type = try typeName.resolved(in: catalog.types)
        let value = try bind(operand)
        if let from = value.type, !CastRules.canCast(from, to: type) {
            throw codeError("Cast of \(from) to \(type) is not supported", whole.span)
        }
        return Typed(value.cast(to: type))
    }
}
