import MartletColumns
import MartletCore

/// The SQL of an expression as error messages and EXPLAIN show it: `(V1 > 5)`, `ABS(INPUT.ID)`, `MAP('a':=VAL1)`.
struct ExpressionText {
    /// How a column is written; names carry their source's alias once the statement is qualified.
    enum Columns {
        /// `ALIAS.NAME`, as the statement means it.
        case qualified
        /// `NAME` for one source, `ALIAS_NAME` for a join: the names operators work with.
        case plain(isJoin: Bool)
    }

    var columns: Columns = .plain(isJoin: false)

    func callAsFunction(_ expression: Expression) -> String { text(expression) }

    func text(_ expression: Expression) -> String {
        switch expression.node {
        case .null: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .decimal(let value): return value.description
        case .double(let value): return Self.scientific(value)
        case .string(let value): return SQLFormatter.string(value)
        case .column(let source, let name): return column(source, name)
        case .field(let base, let name): return "\(text(base))->\(name.name)"
        case .subscript_(let base, let index): return "\(text(base))[\(text(index))]"
        case .arithmetic(let op, let a, let b): return "(\(text(a)) \(op.rawValue) \(text(b)))"
        case .negate(let operand):
            let inner = text(operand)
            return inner.hasPrefix("-") ? "- \(inner)" : "-\(inner)"
        case .plus(let operand): return "+\(text(operand))"
        case .concatenate(let a, let b): return "concat(\(text(a)), \(text(b)))"
        case .compare(.isNotDistinctFrom, let a, let b): return "(NOT (\(text(a)) \(ComparisonOperator.isDistinctFrom.rawValue) \(text(b))))"
        case .compare(let op, let a, let b): return "(\(text(a)) \(op.rawValue) \(text(b)))"
        case .and(let a, let b): return "(\(text(a)) AND \(text(b)))"
        case .or(let a, let b): return "(\(text(a)) OR \(text(b)))"
        case .not(let operand): return "(NOT \(text(operand)))"
        case .isNull(let operand): return "(\(text(operand)) IS NULL)"
        case .isNotNull(let operand): return "(\(text(operand)) IS NOT NULL)"
        case .between(let operand, let low, let high, let negated):
            return not(negated, "(\(text(operand)) BETWEEN \(text(low)) AND \(text(high)))")
        case .isIn(let operand, let options, let negated):
            return not(negated, "(\(text(operand)) IN (\(list(options))))")
        case .like(let operand, let pattern, let escape, let negated):
            let suffix = escape.map { " ESCAPE \(SQLFormatter.string($0))" } ?? ""
            return not(negated, "(\(text(operand)) LIKE \(text(pattern))\(suffix))")
        case .searchedCase(let branches, let otherwise): return caseText(nil, branches, otherwise)
        case .simpleCase(let operand, let branches, let otherwise): return caseText(operand, branches, otherwise)
        case .cast(let operand, let type): return "CAST(\(text(operand)) AS \(SQLFormatter.format(type)))"
        case .call(let name, let arguments, let isStar):
            return "\(name.name)(\(isStar || arguments.isEmpty && name.name == "COUNT" ? "*" : list(arguments)))"
        case .array(let elements): return "ARRAY[\(list(elements))]"
        case .map(let entries): return "MAP(\(entries.map { "\(text($0.key)):=\(text($0.value))" }.joined(separator: ", ")))"
        case .structure(let fields): return "STRUCT(\(fields.map { "\($0.name.name):=\(text($0.value))" }.joined(separator: ", ")))"
        case .lambda(let parameters, let body): return "(\(parameters.map(\.name).joined(separator: ", "))) => \(text(body))"
        case .atTimeZone(let operand, let zone): return "(\(text(operand)) AT TIME ZONE \(text(zone)))"
        }
    }

    /// `1.5E0`, with as many digits as it takes.
    static func scientific(_ value: Double) -> String {
        guard value.isFinite else { return value.javaDescription }
        let sign = value.sign == .minus ? "-" : ""
        let parts = "\(value.magnitude)".split(separator: "e"), number = parts[0].split(separator: ".")
        let whole = String(number[0]), fraction = number.count > 1 && number[1] != "0" ? String(number[1]) : ""
        var digits = Substring(whole + fraction), exponent = whole.utf8.count - 1 + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        while digits.first == "0", digits.count > 1 {
            digits = digits.dropFirst()
            exponent -= 1
        }
        while digits.last == "0", digits.count > 1 { digits = digits.dropLast() }
        if digits == "0" { return "\(sign)0E0" }
        let rest = digits.dropFirst()
        return "\(sign)\(digits.prefix(1))\(rest.isEmpty ? "" : "." + rest)E\(exponent)"
    }

    /// `a NOT IN (…)` is `NOT (a IN (…))` to ksqlDB.
    private func not(_ isNegated: Bool, _ text: String) -> String { isNegated ? "(NOT \(text))" : text }

    private func list(_ expressions: [Expression]) -> String { expressions.map(text).joined(separator: ", ") }

    private func column(_ source: Identifier?, _ name: Identifier) -> String {
        guard let source else { return name.name }
        switch columns {
        case .qualified: return "\(source.name).\(name.name)"
        case .plain(let isJoin): return isJoin ? "\(source.name)_\(name.name)" : name.name
        }
    }

    private func caseText(_ operand: Expression?, _ branches: [Expression.When], _ otherwise: Expression?) -> String {
        var out = "(CASE"
        if let operand { out += " \(text(operand))" }
        for branch in branches { out += " WHEN \(text(branch.condition)) THEN \(text(branch.result))" }
        if let otherwise { out += " ELSE \(text(otherwise))" }
        return out + " END)"
    }
}

extension ComparisonOperator {
    /// As ksqlDB's messages name it.
    var messageName: String {
        switch self {
        case .equal: "EQUAL"
        case .notEqual: "NOT_EQUAL"
        case .less: "LESS_THAN"
        case .lessOrEqual: "LESS_THAN_OR_EQUAL"
        case .greater: "GREATER_THAN"
        case .greaterOrEqual: "GREATER_THAN_OR_EQUAL"
        case .isDistinctFrom: "IS_DISTINCT_FROM"
        case .isNotDistinctFrom: "IS_NOT_DISTINCT_FROM"
        }
    }
}
