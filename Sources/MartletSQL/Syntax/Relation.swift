import MartletCore

/// `SELECT …`: a query as parsed.
public struct Query: Sendable, Hashable {
    public var select: [SelectItem]
    public var from: Relation
    public var window: WindowClause?
    public var whereClause: Expression?
    public var groupBy: [Expression]
    public var partitionBy: [Expression]
    public var having: Expression?
    public var emit: Emit?
    public var limit: LimitClause?
    /// `SELECT DISTINCT`
    public var isDistinct = false
    /// What `UNION ALL` puts behind the rows of this SELECT, in order; ORDER BY, EMIT, LIMIT and OFFSET of the whole are this query's.
    public var unions: [Query] = []
    public var orderBy: [OrderItem] = []
    public var offset: LimitClause?
    public var span: SourceSpan

    public init(
        select: [SelectItem], from: Relation, window: WindowClause? = nil, whereClause: Expression? = nil, groupBy: [Expression] = [],
        partitionBy: [Expression] = [], having: Expression? = nil, emit: Emit? = nil, limit: LimitClause? = nil, span: SourceSpan
    ) {
        self.select = select
        self.from = from
        self.window = window
        self.whereClause = whereClause
        self.groupBy = groupBy
        self.partitionBy = partitionBy
        self.having = having
        self.emit = emit
        self.limit = limit
        self.span = span
    }

    /// `e [ASC|DESC] [NULLS FIRST|LAST]`
    public struct OrderItem: Sendable, Hashable {
        public var expression: Expression
        public var isDescending: Bool
        /// nil: last ascending, first descending.
        public var nullsFirst: Bool?
        public init(expression: Expression, isDescending: Bool, nullsFirst: Bool?) {
            self.expression = expression
            self.isDescending = isDescending
            self.nullsFirst = nullsFirst
        }
    }

    public enum Emit: String, Sendable, Hashable { case changes = "CHANGES", final = "FINAL" }

    public struct LimitClause: Sendable, Hashable {
        public var count: Int64
        public var span: SourceSpan
        public init(count: Int64, span: SourceSpan) {
            self.count = count
            self.span = span
        }
    }
}

public enum SelectItem: Sendable, Hashable {
    /// `e [[AS] alias]`
    case expression(Expression, alias: Identifier?)
    /// `*` or `source.*`
    case star(source: Identifier?, SourceSpan)
    /// `structExpression->*`
    case structStar(Expression, SourceSpan)
}

public indirect enum Relation: Sendable, Hashable {
    case source(name: Identifier, alias: Identifier?)
    case join(Join)
    /// `FROM (SELECT …) [AS] alias`
    case subquery(Query, alias: Identifier?)
}

public struct Join: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable { case inner = "INNER", left = "LEFT OUTER", right = "RIGHT OUTER", full = "FULL OUTER" }

    public var kind: Kind
    public var left: Relation
    public var right: Relation
    public var within: WithinClause?
    public var on: Expression
    public var span: SourceSpan

    public init(kind: Kind, left: Relation, right: Relation, within: WithinClause?, on: Expression, span: SourceSpan) {
        self.kind = kind
        self.left = left
        self.right = right
        self.within = within
        self.on = on
        self.span = span
    }
}

/// `WITHIN (before, after) [GRACE PERIOD …]`, in milliseconds.
public struct WithinClause: Sendable, Hashable {
    public var beforeMs: Int64
    public var afterMs: Int64
    public var graceMs: Int64?
    public var span: SourceSpan

    public init(beforeMs: Int64, afterMs: Int64, graceMs: Int64?, span: SourceSpan) {
        self.beforeMs = beforeMs
        self.afterMs = afterMs
        self.graceMs = graceMs
        self.span = span
    }
}

/// `WINDOW TUMBLING|HOPPING|SESSION (…)`, in milliseconds.
public struct WindowClause: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case tumbling(sizeMs: Int64)
        case hopping(sizeMs: Int64, advanceMs: Int64)
        case session(gapMs: Int64)
    }

    public var kind: Kind
    public var retentionMs: Int64?
    public var graceMs: Int64?
    public var span: SourceSpan

    public init(kind: Kind, retentionMs: Int64?, graceMs: Int64?, span: SourceSpan) {
        self.kind = kind
        self.retentionMs = retentionMs
        self.graceMs = graceMs
        self.span = span
    }
}
