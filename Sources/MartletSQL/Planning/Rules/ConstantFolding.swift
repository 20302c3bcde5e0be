import MartletColumns
import MartletCore

/// Conversions of literals and logic with TRUE and FALSE, done once at planning.
///
/// Only what cannot fail and what every value of the operands gives the same for: the expression compiler folds the rest when it compiles.
enum ConstantFolding {
    static func fold(_ expression: BoundExpression) -> BoundExpression { expression.rewritten(step) }

    private static func step(_ expression: BoundExpression) -> BoundExpression {
        switch expression {
        case .cast(.literal(let value, let from), let to):
            return converted(value, from, to).map { .literal($0, to) } ?? expression
        case .negate(.literal(let value, let type), _):
            return negated(value).map { .literal($0, type) } ?? expression
        case .not(.literal(.boolean(let value), _)): return .literal(.boolean(!value), .boolean)
        case .and(.literal(.boolean(true), _), let other), .and(let other, .literal(.boolean(true), _)): return other
        case .and(.literal(.boolean(false), _), _), .and(_, .literal(.boolean(false), _)): return .literal(.boolean(false), .boolean)
        case .or(.literal(.boolean(false), _), let other), .or(let other, .literal(.boolean(false), _)): return other
        case .or(.literal(.boolean(true), _), _), .or(_, .literal(.boolean(true), _)): return .literal(.boolean(true), .boolean)
        case .isNull(.literal(let value, _)): return .literal(.boolean(value.isNull), .boolean)
        case .isNotNull(.literal(let value, _)): return .literal(.boolean(!value.isNull), .boolean)
        default: return expression
        }
    }

    /// Widening of numbers, whole numbers as text; nil where a conversion may fail or has rules of its own.
    private static func converted(_ value: SQLValue, _ from: SQLType, _ to: SQLType) -> SQLValue? {
        if from == to { return value }
        switch (value, to) {
        case (.null, _): return .null
        case (.integer(let number), .string): return .string(String(number))
        case (.bigint(let number), .string): return .string(String(number))
        case (.integer(let number), .bigint): return .bigint(Int64(number))
        case (.integer(let number), .double): return .double(Double(number))
        case (.bigint(let number), .double): return .double(Double(number))
        case (.decimal(let number), .double): return .double(number.doubleValue)
        case (.integer(let number), .decimal(let precision, let scale)):
            return Decimal128(unscaled: Int128(number), scale: 0).fitted(precision: precision, scale: scale).map { .decimal($0) }
        case (.bigint(let number), .decimal(let precision, let scale)):
            return Decimal128(unscaled: Int128(number), scale: 0).fitted(precision: precision, scale: scale).map { .decimal($0) }
        case (.decimal(let number), .decimal(let precision, let scale)) where scale >= number.scale:
            return number.fitted(precision: precision, scale: scale).map { .decimal($0) }
        default: return nil
        }
    }

    private static func negated(_ value: SQLValue) -> SQLValue? {
        switch value {
        case .integer(let number): .integer(0 &- number)
        case .bigint(let number): .bigint(0 &- number)
        case .double(let number): .double(-number)
        case .decimal(let number): .decimal(Decimal128(unscaled: -number.unscaled, scale: number.scale))
        default: nil
        }
    }
}
