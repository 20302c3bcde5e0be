import MartletColumns
import MartletCore

/// What column names mean at one point of a query: the columns of an operator's output, each with the source it came from.
struct Scope {
    struct Column: Hashable {
        enum Role: Hashable { case key, value, header, pseudo }

        /// Alias of its source; nil for a column that the query itself made (a table function's result).
        var source: String?
        var name: String
        var type: SQLType
        var role: Role
        /// Index among the operator's output columns.
        var index: Int
    }

    /// Aliases in FROM order.
    var sources: [String]
    /// In the order `*` shows them, pseudo columns included.
    var columns: [Column]
    /// Key columns that a join made up, as no source's column is its key: `*` shows them, `source.*` does not.
    var syntheticKeys: [String] = []

    var isJoin: Bool { sources.count > 1 }

    func column(_ source: String?, _ name: String) -> Column? { columns.first { $0.source == source && $0.name == name } }

    /// What an operator calls the column: its name, in joins behind the alias.
    func internalName(_ column: Column) -> String {
        guard isJoin, let source = column.source else { return column.name }
        return "\(source)_\(column.name)"
    }
}

/// The clause an expression stands in: messages name it.
enum Clause: Sendable {
    case select, whereClause, partitionBy, groupBy, having, joinOn, orderBy, values

    /// `SELECT column 'X' cannot be resolved.`
    var columnPrefix: String {
        switch self {
        case .select, .values: "SELECT"
        case .whereClause: "WHERE"
        case .partitionBy: "PARTITION BY"
        case .groupBy: "GROUP BY"
        case .having: "HAVING"
        case .joinOn: "JOIN ON"
        case .orderBy: "ORDER BY"
        }
    }
}

/// Gives every column reference of an expression the alias of its source; expressions that mean the same are equal afterwards.
struct Qualifier {
    var scope: Scope
    var clause: Clause
    var functions: FunctionRegistry

    /// - Throws: `.unknownColumn` for a name that no source has, or that several have.
    func qualify(_ expression: Expression) throws(MartletError) -> Expression { try qualify(expression, bound: []) }

    private func qualify(_ expression: Expression, bound: Set<String>) throws(MartletError) -> Expression {
        if case .column(let source, let name) = expression.node {
            if source == nil, bound.contains(name.name) { return expression }
            return try resolve(source, name, expression.span)
        }
        if case .lambda(let parameters, let body) = expression.node {
            for parameter in parameters {
                if scope.columns.contains(where: { $0.source != nil && $0.role != .pseudo && $0.name == parameter.name }) {
                    throw MartletError(
                        .badStatement, "Lambda function argument can't be a column name: \(parameter.name)", at: parameter.span)
                }
                if bound.contains(parameter.name) {
                    throw MartletError(.badStatement, "Reusing lambda arguments in nested lambda is not allowed", at: parameter.span)
                }
            }
            let inner = bound.union(parameters.map(\.name))
            return Expression(.lambda(parameters, try qualify(body, bound: inner)), span: expression.span)
        }
        if case .call(let name, let arguments, let isStar) = expression.node {
            var out: [Expression] = []
            for (index, argument) in arguments.enumerated() {
                if case .column(nil, let word) = argument.node, UnitArgument.named(word.name) != nil,
                    UnitArgument.takesUnit(functions, name.name, at: index)
                {
                    out.append(argument)
                } else {
                    out.append(try qualify(argument, bound: bound))
                }
            }
            return Expression(.call(name, out, isStar: isStar), span: expression.span)
        }
        return try expression.mapChildren { (child: Expression) throws(MartletError) in try qualify(child, bound: bound) }
    }

    private func resolve(_ source: Identifier?, _ name: Identifier, _ span: SourceSpan) throws(MartletError) -> Expression {
        if let source {
            guard scope.sources.contains(source.name) else {
                throw MartletError(
                    .unknownSource, "Failed to prepare statement: '\(source.name)' is not a valid stream/table name or alias.", at: source.span,
                    hint: "sources are \(scope.sources.joined(separator: ", "))")
            }
            guard scope.column(source.name, name.name) != nil else { throw unknown("\(source.name).\(name.name)", span) }
            return Expression(.column(source: source, name), span: span)
        }
        let matches = scope.columns.filter { $0.name == name.name }
        guard let match = matches.first else { throw unknown(name.name, span) }
        guard matches.count == 1 else {
            let names = matches.map { "\($0.source.map { $0 + "." } ?? "")\($0.name)" }
            throw MartletError(
                .unknownColumn,
                "Exception while preparing statement: \(span.messagePrefix)Column '\(name.name)' is ambiguous. Could be \(names.joined(separator: " or ")).", at: span)
        }
        return Expression(.column(source: match.source.map { Identifier($0, span: span) }, name), span: span)
    }

    private func unknown(_ name: String, _ span: SourceSpan) -> MartletError {
        var message = "\(span.messagePrefix)\(clause.columnPrefix) column '\(name)' cannot be resolved."
        if clause == .partitionBy || clause == .groupBy {
            message += " '\(name)' must be a column in the source schema since \(clause.columnPrefix) is applied on the input."
        }
        let names = scope.columns.filter { $0.role != .pseudo }.map(\.name)
        return MartletError(.unknownColumn, message, at: span, hint: Suggestion.hint(name, among: names, "columns"))
    }
}

extension SourceSpan {
    /// `Line: 3, Col: 70: `, as ksqlDB begins messages about a place.
    var messagePrefix: String { self == .none ? "" : "Line: \(line), Col: \(column): " }
}

extension Expression {
    /// The same expression with each operand replaced; lambdas' bodies too.
    func mapChildren(_ f: (Expression) throws(MartletError) -> Expression) throws(MartletError) -> Expression {
        func all(_ expressions: [Expression]) throws(MartletError) -> [Expression] {
            var out: [Expression] = []
            for expression in expressions { out.append(try f(expression)) }
            return out
        }
        func branches(_ list: [When]) throws(MartletError) -> [When] {
            var out: [When] = []
            for branch in list { out.append(When(condition: try f(branch.condition), result: try f(branch.result))) }
            return out
        }
        func optional(_ expression: Expression?) throws(MartletError) -> Expression? {
            guard let expression else { return nil }
            return try f(expression)
        }
        let node: Node
        switch self.node {
        case .null, .boolean, .integer, .decimal, .double, .string, .column: return self
        case .field(let base, let name): node = .field(try f(base), name)
        case .subscript_(let base, let index): node = .subscript_(try f(base), try f(index))
        case .arithmetic(let op, let a, let b): node = .arithmetic(op, try f(a), try f(b))
        case .negate(let operand): node = .negate(try f(operand))
        case .plus(let operand): node = .plus(try f(operand))
        case .concatenate(let a, let b): node = .concatenate(try f(a), try f(b))
        case .compare(let op, let a, let b): node = .compare(op, try f(a), try f(b))
        case .and(let a, let b): node = .and(try f(a), try f(b))
        case .or(let a, let b): node = .or(try f(a), try f(b))
        case .not(let operand): node = .not(try f(operand))
        case .isNull(let operand): node = .isNull(try f(operand))
        case .isNotNull(let operand): node = .isNotNull(try f(operand))
        case .between(let operand, let low, let high, let negated):
            node = .between(try f(operand), low: try f(low), high: try f(high), negated: negated)
        case .isIn(let operand, let options, let negated): node = .isIn(try f(operand), try all(options), negated: negated)
        case .like(let operand, let pattern, let escape, let negated):
            node = .like(try f(operand), pattern: try f(pattern), escape: escape, negated: negated)
        case .searchedCase(let list, let otherwise): node = .searchedCase(try branches(list), otherwise: try optional(otherwise))
        case .simpleCase(let operand, let list, let otherwise):
            node = .simpleCase(try f(operand), try branches(list), otherwise: try optional(otherwise))
        case .cast(let operand, let type): node = .cast(try f(operand), type)
        case .call(let name, let arguments, let isStar): node = .call(name, try all(arguments), isStar: isStar)
        case .array(let elements): node = .array(try all(elements))
        case .map(let entries):
            var out: [MapEntry] = []
            for entry in entries { out.append(MapEntry(key: try f(entry.key), value: try f(entry.value))) }
            node = .map(out)
        case .structure(let fields):
            var out: [StructField] = []
            for field in fields { out.append(StructField(name: field.name, value: try f(field.value))) }
            node = .structure(out)
        case .lambda(let parameters, let body): node = .lambda(parameters, try f(body))
        case .atTimeZone(let operand, let zone): node = .atTimeZone(try f(operand), try f(zone))
        }
        return Expression(node, span: span)
    }

    /// The operands, in the order they are written.
    var children: [Expression] {
        switch node {
        case .null, .boolean, .integer, .decimal, .double, .string, .column: []
        case .field(let e, _), .negate(let e), .plus(let e), .not(let e), .isNull(let e), .isNotNull(let e), .cast(let e, _), .lambda(_, let e): [e]
        case .subscript_(let a, let b), .arithmetic(_, let a, let b), .concatenate(let a, let b), .compare(_, let a, let b), .and(let a, let b),
            .or(let a, let b), .atTimeZone(let a, let b):
            [a, b]
        case .between(let e, let low, let high, _): [e, low, high]
        case .isIn(let e, let options, _): [e] + options
        case .like(let e, let pattern, _, _): [e, pattern]
        case .searchedCase(let branches, let otherwise): branches.flatMap { [$0.condition, $0.result] } + (otherwise.map { [$0] } ?? [])
        case .simpleCase(let e, let branches, let otherwise):
            [e] + branches.flatMap { [$0.condition, $0.result] } + (otherwise.map { [$0] } ?? [])
        case .call(_, let arguments, _): arguments
        case .array(let elements): elements
        case .map(let entries): entries.flatMap { [$0.key, $0.value] }
        case .structure(let fields): fields.map(\.value)
        }
    }

    /// The first call in this expression for which `test` holds, outermost first.
    func firstCall(where test: (Identifier) -> Bool) -> Expression? {
        if case .call(let name, _, _) = node, test(name) { return self }
        for child in children { if let found = child.firstCall(where: test) { return found } }
        return nil
    }

    /// The first lambda in this expression.
    var firstLambda: Expression? {
        if case .lambda = node { return self }
        for child in children { if let found = child.firstLambda { return found } }
        return nil
    }

    /// Sources named by its column references.
    var referencedSources: Set<String> {
        var out: Set<String> = []
        collectSources(into: &out)
        return out
    }

    private func collectSources(into out: inout Set<String>) {
        if case .column(let source?, _) = node { out.insert(source.name) }
        for child in children { child.collectSources(into: &out) }
    }

    /// The operands of a chain of ANDs.
    public var conjuncts: [Expression] {
        if case .and(let a, let b) = node { return a.conjuncts + b.conjuncts }
        return [self]
    }
}
