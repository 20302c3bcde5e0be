import MartletColumns
import MartletCore

extension SQLPrinter {
    mutating func expression(_ expression: Expression) {
        switch expression.node {
        case .null: out += "null"
        case .boolean(let value): out += value ? "true" : "false"
        case .integer(let value): out += isMasking ? "0" : String(value)
        case .decimal(let value): out += isMasking ? "0.0" : Self.literal(value)
        case .double(let value): out += isMasking ? "0E0" : Self.literal(value)
        case .string(let text): string(text)
        case .column(let source, let column):
            if let source {
                name(source)
                out += "."
                name(column)
            } else {
                unqualified(column)
            }
        case .field(let operand, let field):
            base(operand)
            out += "->"
            name(field)
        case .subscript_(let operand, let place):
            base(operand)
            out += "["
            self.expression(place)
            out += "]"
        case .arithmetic(let sign, let left, let right): infix(left, sign.rawValue, right)
        case .negate(let operand): signed("-", operand)
        case .plus(let operand): signed("+", operand)
        case .concatenate(let left, let right): infix(left, "||", right)
        case .compare(let sign, let left, let right): infix(left, sign.rawValue, right)
        case .and(let left, let right): infix(left, "AND", right)
        case .or(let left, let right): infix(left, "OR", right)
        case .not(let operand):
            out += "(NOT "
            self.expression(operand)
            out += ")"
        case .isNull(let operand): postfix(operand, " IS NULL")
        case .isNotNull(let operand): postfix(operand, " IS NOT NULL")
        case .between(let operand, let low, let high, let negated):
            out += "("
            self.expression(operand)
            out += negated ? " NOT BETWEEN " : " BETWEEN "
            self.expression(low)
            out += " AND "
            self.expression(high)
            out += ")"
        case .isIn(let operand, let options, let negated):
            out += "("
            self.expression(operand)
            out += negated ? " NOT IN (" : " IN ("
            list(options) { printer, option in printer.expression(option) }
            out += "))"
        case .like(let operand, let pattern, let escape, let negated):
            out += "("
            self.expression(operand)
            out += negated ? " NOT LIKE " : " LIKE "
            self.expression(pattern)
            if let escape { out += " ESCAPE \(SQLFormatter.string(escape))" }
            out += ")"
        case .searchedCase(let branches, let otherwise): cases(nil, branches, otherwise)
        case .simpleCase(let operand, let branches, let otherwise): cases(operand, branches, otherwise)
        case .cast(let operand, let type):
            out += "CAST("
            self.expression(operand)
            out += " AS "
            self.type(type)
            out += ")"
        case .call(let function, let arguments, let isStar):
            functionName(function)
            out += "("
            if isStar { out += "*" }
            list(arguments) { printer, argument in printer.argument(argument) }
            out += ")"
        case .array(let elements):
            out += "ARRAY["
            list(elements) { printer, element in printer.expression(element) }
            out += "]"
        case .map(let entries):
            out += "MAP("
            list(entries) { printer, entry in
                printer.expression(entry.key)
                printer.out += ":="
                printer.expression(entry.value)
            }
            out += ")"
        case .structure(let fields):
            out += "STRUCT("
            list(fields) { printer, field in
                printer.name(field.name)
                printer.out += ":="
                printer.expression(field.value)
            }
            out += ")"
        case .lambda(let parameters, let body):
            if parameters.count == 1 {
                name(parameters[0])
            } else {
                out += "("
                list(parameters) { printer, parameter in printer.name(parameter) }
                out += ")"
            }
            out += " => "
            self.expression(body)
        case .atTimeZone(let operand, let zone):
            out += "("
            base(operand)
            out += " AT TIME ZONE "
            self.expression(zone)
            out += ")"
        }
    }

    /// What stands left of `->`, `[` and `AT TIME ZONE`: a sign or a lambda there needs parentheses, operators bring their own.
    mutating func base(_ operand: Expression) {
        switch operand.node {
        case .negate, .plus, .lambda: parenthesised(operand)
        default: expression(operand)
        }
    }

    private mutating func parenthesised(_ operand: Expression) {
        out += "("
        expression(operand)
        out += ")"
    }

    /// `(a + b)`. In a long chain of one operator the inner pairs are left out, so that the text nests no deeper than it was written.
    private mutating func infix(_ left: Expression, _ sign: String, _ right: Expression, isInner: Bool = false) {
        if !isInner { out += "(" }
        depth += 1
        if depth > 50, let (first, inner, second) = Self.chain(left), inner == sign {
            infix(first, inner, second, isInner: true)
        } else {
            expression(left)
        }
        out += " \(sign) "
        expression(right)
        depth -= 1
        if !isInner { out += ")" }
    }

    private static func chain(_ expression: Expression) -> (Expression, String, Expression)? {
        switch expression.node {
        case .and(let left, let right): (left, "AND", right)
        case .or(let left, let right): (left, "OR", right)
        case .concatenate(let left, let right): (left, "||", right)
        case .arithmetic(let sign, let left, let right): (left, sign.rawValue, right)
        default: nil
        }
    }

    private mutating func postfix(_ operand: Expression, _ words: String) {
        out += "("
        expression(operand)
        out += "\(words))"
    }

    /// `-5` is a literal and `--` a comment, so the negation of a number or a sign is `-(5)`.
    private mutating func signed(_ sign: String, _ operand: Expression) {
        out += sign
        if Self.beginsWithSignOrDigit(operand) { parenthesised(operand) } else { expression(operand) }
    }

    private static func beginsWithSignOrDigit(_ operand: Expression) -> Bool {
        switch operand.node {
        case .integer, .decimal, .double, .negate, .plus: true
        case .field(let inner, _), .subscript_(let inner, _): beginsWithSignOrDigit(inner)
        default: false
        }
    }

    private mutating func cases(_ operand: Expression?, _ branches: [Expression.When], _ otherwise: Expression?) {
        out += "(CASE"
        if let operand {
            out += " "
            expression(operand)
        }
        for branch in branches {
            out += " WHEN "
            expression(branch.condition)
            out += " THEN "
            expression(branch.result)
        }
        if let otherwise {
            out += " ELSE "
            expression(otherwise)
        }
        out += " END)"
    }

    /// A column whose name would be read as the start of something else is quoted even if it is plain.
    private mutating func unqualified(_ column: Identifier) {
        switch column.name {
        case "ARRAY", "MAP", "STRUCT": out += SQLType.quoted(column.name)
        default: name(column)
        }
    }

    private mutating func functionName(_ function: Identifier) {
        switch function.name {
        case "MAP", "STRUCT": out += SQLType.quoted(function.name)
        default: name(function)
        }
    }

    private mutating func argument(_ argument: Expression) {
        if case .column(nil, let unit) = argument.node, !unit.isQuoted, TimeUnit.named(unit.name) != nil {
            out += unit.name
        } else {
            expression(argument)
        }
    }

    // MARK: numbers

    /// With its point; a whole DECIMAL has none and needs its type in front.
    private static func literal(_ value: Decimal128) -> String {
        value.scale > 0 ? value.description : "DECIMAL '\(value.description)'"
    }

    /// With an exponent, which tells a DOUBLE from a DECIMAL: `1.5` → `1.5E0`.
    private static func literal(_ value: Double) -> String {
        let text = value.javaDescription
        return text.utf8.contains(UInt8(ascii: "E")) ? text : text + "E0"
    }
}
