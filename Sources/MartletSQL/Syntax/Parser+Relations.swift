import MartletCore

extension Parser {
    var atQuery: Bool { at(.select) }

    /// `[WITH …] SELECT … [UNION ALL SELECT …] [ORDER BY …] [EMIT …] [LIMIT n] [OFFSET n]`
    mutating func query() throws(MartletError) -> Query {
        let start = token.span
        let tables = at(.with) ? try namedQueries() : []
        var query = try selection()
        while atWord("UNION"), next.keyword == .all {
            advance()
            advance()
            guard query.unions.count < Self.unionsMax else { throw syntaxError("more than \(Self.unionsMax) UNIONs") }
            query.unions.append(try selection())
        }
        if atWord("ORDER"), next.keyword == .by {
            advance()
            advance()
            repeat { query.orderBy.append(try orderItem()) } while accept(.comma)
        }
        if accept(.emit) {
            if accept(.changes) {
                query.emit = .changes
            } else {
                try expect(.final)
                query.emit = .final
            }
        }
        if at(.limit) {
            query.limit = try limit()
        } else {
            tried.append(.keyword(.limit))
        }
        if atWord("OFFSET") {
            let start = token.span
            advance()
            query.offset = Query.LimitClause(count: try wholeNumber(for: "OFFSET"), span: span(from: start))
        }
        query.span = span(from: start)
        guard !tables.isEmpty else { return query }
        var named = try NamedQueries(tables)
        return try named.expand(query)
    }

    static let unionsMax = 100

    /// `WITH name AS (query), …`
    private mutating func namedQueries() throws(MartletError) -> [(name: Identifier, query: Query)] {
        try expect(.with)
        var tables: [(name: Identifier, query: Query)] = []
        repeat {
            let name = try identifier()
            try expect(.as_)
            try expect(.leftParen)
            let query = try nested { parser throws(MartletError) in try parser.query() }
            try expect(.rightParen)
            if tables.contains(where: { $0.name.name == name.name }) { throw prepareError("WITH defines \(name.name) twice", at: name.span) }
            tables.append((name, query))
        } while accept(.comma)
        return tables
    }

    private mutating func orderItem() throws(MartletError) -> Query.OrderItem {
        var item = Query.OrderItem(expression: try expression(), isDescending: false, nullsFirst: nil)
        if atWord("DESC") {
            item.isDescending = true
            advance()
        } else if atWord("ASC") {
            advance()
        }
        if atWord("NULLS") {
            advance()
            item.nullsFirst = atWord("FIRST")
            if atWord("FIRST") || atWord("LAST") {
                advance()
            } else {
                tried += [.word("FIRST"), .word("LAST")]
                throw failure()
            }
        }
        return item
    }

    /// Whether the words here begin a clause that only follows a whole SELECT.
    private var isQueryTailAhead: Bool {
        atWord("UNION") && next.keyword == .all || atWord("ORDER") && next.keyword == .by || atWord("OFFSET") && next.kind == .integer
    }

    private mutating func selection() throws(MartletError) -> Query {
        let start = token.span
        try expect(.select)
        let isDistinct = at(.distinct)
        if isDistinct { advance() }
        var items: [SelectItem] = []
        repeat { items.append(try selectItem()) } while accept(.comma)
        try expect(.from)
        var query = Query(select: items, from: try relation(), span: start)
        if accept(.window) { query.window = try window() }
        if accept(.where_) { query.whereClause = try expression() }
        if accept(.group) {
            try expect(.by)
            query.groupBy = try keyList()
        }
        if accept(.partition) {
            try expect(.by)
            query.partitionBy = try keyList()
        }
        if accept(.having) { query.having = try expression() }
        query.isDistinct = isDistinct
        query.span = span(from: start)
        return query
    }

    private mutating func selectItem() throws(MartletError) -> SelectItem {
        let start = token.span
        if at(.star) {
            advance()
            return .star(source: nil, start)
        }
        if atName, next.kind == .symbol(.dot), index + 2 < tokens.count, tokens[index + 2].kind == .symbol(.star) {
            let source = try identifier()
            advance()
            advance()
            return .star(source: source, span(from: start))
        }
        let expression = try self.expression()
        if at(.arrow), next.kind == .symbol(.star), Self.mayHaveFields(expression) {
            advance()
            advance()
            return .structStar(expression, span(from: start))
        }
        return .expression(expression, alias: try alias("a column alias"))
    }

    /// Only a primary stands left of `->`.
    private static func mayHaveFields(_ expression: Expression) -> Bool {
        switch expression.node {
        case .column, .field, .subscript_, .call, .structure, .cast, .searchedCase, .simpleCase: true
        default: false
        }
    }

    /// `[AS] name`
    private mutating func alias(_ what: String) throws(MartletError) -> Identifier? {
        if accept(.as_) { return try identifier(what) }
        // EMIT and PARTITION are names too, but not in front of what makes them a clause.
        if at(.emit), next.keyword == .changes || next.keyword == .final { return nil }
        if at(.partition), next.keyword == .by { return nil }
        if isQueryTailAhead { return nil }
        return atName ? try identifier(what) : nil
    }

    // MARK: FROM

    private mutating func relation() throws(MartletError) -> Relation {
        let start = token.span
        var left = try aliasedSource()
        var joins = 0
        while let kind = try joinKind() {
            joins += 1
            guard joins <= Self.nestingMax else { throw syntaxError("more than \(Self.nestingMax) joins") }
            let right = try aliasedSource()
            let within = accept(.within) ? try self.within() : nil
            try expect(.on)
            let on = try expression()
            left = .join(Join(kind: kind, left: left, right: right, within: within, on: on, span: span(from: start)))
        }
        return left
    }

    private mutating func aliasedSource() throws(MartletError) -> Relation {
        if at(.leftParen), next.keyword == .select || next.keyword == .with {
            advance()
            let query = try nested { parser throws(MartletError) in try parser.query() }
            try expect(.rightParen)
            return .subquery(query, alias: try alias("an alias"))
        }
        let name = try identifier("a stream or table")
        return .source(name: name, alias: try alias("an alias"))
    }

    private mutating func joinKind() throws(MartletError) -> Join.Kind? {
        let kind: Join.Kind
        switch token.keyword {
        case .join: kind = .inner
        case .inner:
            advance()
            kind = .inner
        case .left: kind = .left
        case .right: kind = .right
        case .full: kind = .full
        default:
            tried.append(.keyword(.join))
            return nil
        }
        if at(.left) || at(.right) || at(.full) {
            advance()
            _ = accept(.outer)
        }
        try expect(.join)
        return kind
    }

    private mutating func within() throws(MartletError) -> WithinClause {
        let start = tokens[index - 1].span
        let before: Int64
        let after: Int64
        if accept(.leftParen) {
            before = try duration()
            try expect(.comma)
            after = try duration()
            try expect(.rightParen)
        } else {
            before = try duration()
            after = before
        }
        var grace: Int64?
        if accept(.grace) {
            try expect(.period)
            grace = try duration()
        }
        return WithinClause(beforeMs: before, afterMs: after, graceMs: grace, span: span(from: start))
    }

    // MARK: WINDOW

    private mutating func window() throws(MartletError) -> WindowClause {
        let start = tokens[index - 1].span
        // A name in front is allowed and means nothing.
        if token.kind == .word, token.keyword == nil, next.keyword == .tumbling || next.keyword == .hopping || next.keyword == .session { advance() }
        let kind: WindowClause.Kind
        if accept(.tumbling) {
            try expect(.leftParen)
            try expect(.size)
            kind = .tumbling(sizeMs: try duration())
        } else if accept(.hopping) {
            try expect(.leftParen)
            try expect(.size)
            let size = try duration()
            try expect(.comma)
            try expect(.advance)
            try expect(.by)
            kind = .hopping(sizeMs: size, advanceMs: try duration())
        } else {
            try expect(.session)
            try expect(.leftParen)
            kind = .session(gapMs: try duration())
        }
        var clause = WindowClause(kind: kind, retentionMs: nil, graceMs: nil, span: start)
        if at(.comma), next.keyword == .retention {
            advance()
            advance()
            clause.retentionMs = try duration()
        }
        if accept(.comma) {
            if clause.retentionMs == nil { tried.append(.keyword(.retention)) }
            try expect(.grace)
            try expect(.period)
            clause.graceMs = try duration()
        }
        try expect(.rightParen)
        clause.span = span(from: start)
        return clause
    }

    /// `n unit` in milliseconds.
    mutating func duration() throws(MartletError) -> Int64 {
        let start = token.span
        let count = try wholeNumber(for: "a duration")
        guard token.kind == .word, let unit = TimeUnit.named(token.value) else {
            tried.append(.what("a unit: DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS"))
            throw failure()
        }
        advance()
        let (ms, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
        if overflow { throw prepareError("duration of more than 2^63 milliseconds", at: span(from: start)) }
        return ms
    }

    // MARK: GROUP BY, LIMIT

    /// `a, b` or `(a, b)`.
    private mutating func keyList() throws(MartletError) -> [Expression] {
        guard at(.leftParen), isWholeClauseInParentheses else { return try expressionList() }
        advance()
        if accept(.rightParen) { return [] }
        let list = try nested { parser throws(MartletError) in try parser.expressionList() }
        try expect(.rightParen)
        return list
    }

    /// Whether the `)` to the `(` here ends the clause, as in `GROUP BY (a, b) HAVING`, unlike `GROUP BY (a + b) * 2`.
    private var isWholeClauseInParentheses: Bool {
        var open = 0
        for ahead in index..<tokens.count {
            switch tokens[ahead].kind {
            case .symbol(.leftParen): open += 1
            case .symbol(.rightParen):
                open -= 1
                guard open == 0 else { continue }
                let follower = tokens[ahead + 1]
                switch follower.kind {
                case .end, .symbol(.semicolon), .symbol(.rightParen): return true
                default: break
                }
                if follower.kind == .word, ["ORDER", "UNION", "OFFSET"].contains(follower.value) { return true }
                switch follower.keyword {
                case .partition, .having, .emit, .limit: return true
                default: return false
                }
            default: break
            }
        }
        return false
    }

    /// A negative count is left to the analysis, which knows what kind of query it is.
    private mutating func limit() throws(MartletError) -> Query.LimitClause {
        let start = token.span
        try expect(.limit)
        let count = try integer(for: "LIMIT")
        return Query.LimitClause(count: count, span: span(from: start))
    }

    private mutating func integer(for command: String) throws(MartletError) -> Int64 {
        let number = try self.number()
        guard case .integer(let value) = number.node else {
            throw prepareError("Value must be integer for command: \(command)", at: number.span)
        }
        return value
    }

    /// An integer ≥ 0 for `command`.
    mutating func wholeNumber(for command: String) throws(MartletError) -> Int64 {
        let start = token.span
        let value = try integer(for: command)
        guard value >= 0 else { throw prepareError("Value must not be negative for command: \(command)", at: span(from: start)) }
        return value
    }
}
