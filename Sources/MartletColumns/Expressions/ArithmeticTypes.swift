import MartletCore

/// Result types of arithmetic (ksqlDB, "Data types", DECIMAL).
///
/// INT counts as DECIMAL(10, 0) and BIGINT as DECIMAL(19, 0) beside a decimal; beside a DOUBLE everything is DOUBLE.
/// Precision ends at 38 digits: where the rule asks for more, fraction digits give way, down to the operands' larger scale (at least 6).
public enum ArithmeticTypes {
    /// The type of `left op right`; nil if these types have no such operator.
    public static func result(_ op: ArithmeticOperator, _ left: SQLType, _ right: SQLType) -> SQLType? {
        if left == .string, right == .string { return op == .add ? .string : nil }
        guard left.isNumeric, right.isNumeric else { return nil }
        if left == .double || right == .double { return .double }
        guard let (p1, s1) = decimalShape(left), let (p2, s2) = decimalShape(right) else { return nil }
        switch (left, right) {
        case (.integer, .integer): return .integer
        case (.integer, .bigint), (.bigint, .integer), (.bigint, .bigint): return .bigint
        default: break
        }
        switch op {
        case .add, .subtract:
            let scale = max(s1, s2)
            return clamped(max(p1 - s1, p2 - s2) + scale + 1, scale, max(s1, s2))
        case .multiply: return clamped(p1 + p2 + 1, s1 + s2, max(s1, s2))
        case .divide:
            let scale = max(6, s1 + p2 + 1)
            return clamped(p1 - s1 + s2 + scale, scale, max(6, s1, s2))
        case .modulo:
            let scale = max(s1, s2)
            return clamped(min(p1 - s1, p2 - s2) + scale, scale, scale)
        }
    }

    /// The type to which both operands of a comparison or all elements of a list are converted; nil if there is none.
    public static func common(_ a: SQLType, _ b: SQLType) -> SQLType? {
        if a == b { return a }
        switch (a, b) {
        case (.array(let x), .array(let y)): return common(x, y).map { .array($0) }
        case (.map(let k1, let v1), .map(let k2, let v2)):
            guard let key = common(k1, k2), let value = common(v1, v2) else { return nil }
            return .map(key: key, value: value)
        case (.structure(let x), .structure(let y)):
            var fields = x
            for field in y {
                if let i = fields.firstIndex(where: { $0.name == field.name }) {
                    guard let type = common(fields[i].type, field.type) else { return nil }
                    fields[i].type = type
                } else {
                    fields.append(field)
                }
            }
            return .structure(fields)
        default: break
        }
        guard a.isNumeric, b.isNumeric else { return nil }
        if a == .double || b == .double { return .double }
        switch (a, b) {
        case (.integer, .bigint), (.bigint, .integer): return .bigint
        default: break
        }
        guard let (p1, s1) = decimalShape(a), let (p2, s2) = decimalShape(b) else { return nil }
        let scale = max(s1, s2)
        return clamped(max(p1 - s1, p2 - s2) + scale, scale, scale)
    }

    /// Precision and scale of an exact number type.
    public static func decimalShape(_ type: SQLType) -> (precision: Int, scale: Int)? {
        switch type {
        case .integer: (10, 0)
        case .bigint: (19, 0)
        case .decimal(let precision, let scale): (precision, scale)
        default: nil
        }
    }

    private static func clamped(_ precision: Int, _ scale: Int, _ smallestScale: Int) -> SQLType {
        if precision <= 38 { return .decimal(precision: max(1, precision), scale: scale) }
        return .decimal(precision: 38, scale: min(38, max(min(scale, smallestScale), scale - (precision - 38))))
    }
}
