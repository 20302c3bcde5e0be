import MartletColumns
import MartletCore

/// An expression as parsed: names not yet resolved, types not yet known.
public struct Expression: Sendable, Hashable {
    public var node: Node
    public var span: SourceSpan

    public init(_ node: Node, span: SourceSpan) {
        self.node = node
        self.span = span
    }

    public indirect enum Node: Sendable, Hashable {
        case null
        case boolean(Bool)
        /// INT if it fits, else BIGINT.
        case integer(Int64)
        /// `5.0` is DECIMAL(2,1): the text keeps the digits.
        case decimal(Decimal128)
        /// `5e0`
        case double(Double)
        case string(String)
        /// `name` or `source.name`
        case column(source: Identifier?, Identifier)
        /// `e->field`
        case field(Expression, Identifier)
        /// `e[i]`
        case subscript_(Expression, Expression)
        case arithmetic(ArithmeticOperator, Expression, Expression)
        case negate(Expression)
        /// Unary plus.
        case plus(Expression)
        /// `||`
        case concatenate(Expression, Expression)
        case compare(ComparisonOperator, Expression, Expression)
        case and(Expression, Expression)
        case or(Expression, Expression)
        case not(Expression)
        case isNull(Expression)
        case isNotNull(Expression)
        case between(Expression, low: Expression, high: Expression, negated: Bool)
        case isIn(Expression, [Expression], negated: Bool)
        case like(Expression, pattern: Expression, escape: String?, negated: Bool)
        case searchedCase([When], otherwise: Expression?)
        /// Parses, and is rejected by the analyzer as ksqlDB does.
        case simpleCase(Expression, [When], otherwise: Expression?)
        case cast(Expression, TypeName)
        /// `f(a, b)`; `f(*)` has `isStar`.
        case call(Identifier, [Expression], isStar: Bool)
        case array([Expression])
        case map([MapEntry])
        case structure([StructField])
        /// `(x, y) => e`
        case lambda([Identifier], Expression)
        case atTimeZone(Expression, Expression)
    }

    public struct When: Sendable, Hashable {
        public var condition: Expression
        public var result: Expression
        public init(condition: Expression, result: Expression) {
            self.condition = condition
            self.result = result
        }
    }

    public struct MapEntry: Sendable, Hashable {
        public var key: Expression
        public var value: Expression
        public init(key: Expression, value: Expression) {
            self.key = key
            self.value = value
        }
    }

    public struct StructField: Sendable, Hashable {
        public var name: Identifier
        public var value: Expression
        public init(name: Identifier, value: Expression) {
            self.name = name
            self.value = value
        }
    }

    // Expressions are equal if they say the same, wherever they stand (GROUP BY matches SELECT items so).
    public static func == (a: Expression, b: Expression) -> Bool { a.node == b.node }
    public func hash(into hasher: inout Hasher) { hasher.combine(node) }
}

/// A type as written; custom types are resolved against the catalog.
public struct TypeName: Sendable, Hashable {
    public var node: Node
    public var span: SourceSpan

    public init(_ node: Node, span: SourceSpan) {
        self.node = node
        self.span = span
    }

    public indirect enum Node: Sendable, Hashable {
        case primitive(SQLType)
        case array(TypeName)
        case map(TypeName, TypeName)
        case structure([StructMember])
        case custom(Identifier)
    }

    public struct StructMember: Sendable, Hashable {
        public var name: Identifier
        public var type: TypeName
        public init(name: Identifier, type: TypeName) {
            self.name = name
            self.type = type
        }
    }

    public static func == (a: TypeName, b: TypeName) -> Bool { a.node == b.node }
    public func hash(into hasher: inout Hasher) { hasher.combine(node) }
}
