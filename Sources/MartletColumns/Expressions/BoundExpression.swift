import MartletCore

/// A typed expression over the columns of a batch: what the analyzer makes and the expression compiler turns into kernels.
///
/// Names are resolved, types are known, implicit conversions are explicit `cast`s. It is a value, Codable, and part of the physical plan.
public indirect enum BoundExpression: Sendable, Hashable, Codable {
    /// Column `index` of the input batch.
    case column(Int, SQLType)
    case literal(SQLValue, SQLType)
    /// + − × ÷ % on two operands of the same type (decimals: of any scale), with the result type of ksqlDB's rules. `+` also concatenates strings.
    case arithmetic(ArithmeticOperator, BoundExpression, BoundExpression, SQLType)
    case negate(BoundExpression, SQLType)
    /// Two operands of the same type. A null side gives false (true for `isDistinctFrom` of null and non-null).
    case compare(ComparisonOperator, BoundExpression, BoundExpression)
    case and(BoundExpression, BoundExpression)
    case or(BoundExpression, BoundExpression)
    case not(BoundExpression)
    case isNull(BoundExpression)
    case isNotNull(BoundExpression)
    /// Any equal option; options have the operand's type.
    case isIn(BoundExpression, [BoundExpression])
    case like(BoundExpression, pattern: BoundExpression, escape: String?)
    /// First branch whose condition is true; nil `otherwise`: null. Lazy: a branch is evaluated only for its rows.
    case searchedCase([WhenBranch], otherwise: BoundExpression?, SQLType)
    case cast(BoundExpression, SQLType)
    /// A scalar function by its upper-case name, resolved for these argument types; arguments are already cast to the chosen overload's types.
    case call(String, [BoundExpression], SQLType)
    /// A model by its upper-case name, called with whole batches: `INPUT` columns in order; the engine supplies the session.
    case model(String, [BoundExpression], SQLType)
    /// e[i] on ARRAY (1-based, negative from the end) or MAP (by key).
    case subscript_(BoundExpression, BoundExpression, SQLType)
    /// e->field
    case field(BoundExpression, String, SQLType)
    case array([BoundExpression], SQLType)
    case map(keys: [BoundExpression], values: [BoundExpression], SQLType)
    case structure([String], [BoundExpression], SQLType)
    /// A lambda argument of a function: `parameters` are `variable`s in the body.
    case lambda(parameters: [Field], body: BoundExpression)
    case variable(String, SQLType)

    public struct WhenBranch: Sendable, Hashable, Codable {
        public var condition: BoundExpression
        public var result: BoundExpression
        public init(condition: BoundExpression, result: BoundExpression) {
            self.condition = condition
            self.result = result
        }
    }

    public var type: SQLType {
        switch self {
        case .column(_, let type), .literal(_, let type), .arithmetic(_, _, _, let type), .negate(_, let type), .searchedCase(_, _, let type),
            .cast(_, let type), .call(_, _, let type), .model(_, _, let type), .subscript_(_, _, let type), .field(_, _, let type),
            .array(_, let type), .map(_, _, let type), .structure(_, _, let type), .variable(_, let type):
            type
        case .compare, .and, .or, .not, .isNull, .isNotNull, .isIn, .like: .boolean
        case .lambda(_, let body): body.type
        }
    }
}

public enum ArithmeticOperator: String, Sendable, Hashable, Codable { case add = "+", subtract = "-", multiply = "*", divide = "/", modulo = "%" }

public enum ComparisonOperator: String, Sendable, Hashable, Codable {
    case equal = "=", notEqual = "<>", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
    case isDistinctFrom = "IS DISTINCT FROM", isNotDistinctFrom = "IS NOT DISTINCT FROM"
}
