import MartletColumns
import MartletCore

/// SELECT by itself: with EMIT CHANGES a push query, without a pull query over what is there now.
struct TransientQueryAnalysis {
    var catalog: Catalog
    var context: AnalysisContext

    static let help = " See https://cnfl.io/queries for more info.\nAdd EMIT CHANGES if you intended to issue a push query."

    func analyze(_ query: Query) throws(MartletError) -> AnalyzedStatement {
        if let limit = query.limit, limit.count < 0 {
            let kind = query.emit == nil ? "Pull" : "Push"
            throw MartletError(
                .badStatement, "\(kind) queries don't support negative integers in the LIMIT clause. See https://cnfl.io/queries for more info.",
                at: limit.span)
        }
        if query.emit == nil { try checkPull(query) }
        let select = try QueryAnalysis(catalog: catalog, context: context, sink: nil, isPull: query.emit == nil).analyze(query)
        if query.emit == nil { try checkPseudoColumns(query) }
        let kind: AnalyzedTransient.Kind
        let tables = select.from.sources.filter { $0.kind == .table }
        switch (query.emit, tables.first) {
        case (.some, _): kind = .push
        case (nil, nil): kind = .pullStream
        case (nil, _) where select.input.hasJoin:
            // Joins read their sources from the beginning to the present end; of a join of tables what is left then is the result.
            kind = .pullStream
        case (nil, let table?):
            kind = .pullTable
            guard select.from.sources.count == 1 else {
                throw MartletError(.badStatement, "A query that ends reads one table, or streams.", at: query.span)
            }
            try checkQueryable(table, query)
            try checkCondition(select, query)
        }
        let flags = select.outputs.map { $0.keyIndex != nil || kind == .pullTable && Self.isWindowBound($0.expression, select.input) }
        let fields = select.outputs.map(\.field)
        let logical = LogicalOptimizer.optimize(select.projected(select.outputs + select.hidden))
        let keyCount = flags.prefix { $0 }.count
        let plan = PhysicalPlan(
            select, logical, .results(fields: fields, keyCount: keyCount), throwsOnInvalidTimestamp: context.throwsOnInvalidTimestamp)
        let lookup = kind == .pullTable ? lookup(select) : nil
        return .transientQuery(AnalyzedTransient(kind: kind, plan: plan, lookup: lookup, fields: fields, keyFlags: flags))
    }

    /// The bounds of a windowed table's keys belong to its key.
    private static func isWindowBound(_ expression: BoundExpression, _ input: LogicalPlan) -> Bool {
        guard case .column(let index, _) = expression else { return false }
        return [PseudoColumns.windowStart, PseudoColumns.windowEnd].contains(input.fields[index].name)
    }

    /// The condition right above the scan of a table, over the scan's columns.
    private static func condition(_ plan: LogicalPlan) -> BoundExpression? {
        switch plan {
        case .filter(.scan, let condition, _): condition
        case .filter(let input, _, _), .project(let input, _, _), .materialize(let input, _, _): condition(input)
        case .aggregate(let node): condition(node.input)
        case .ended(let input, _, _): condition(input)
        case .scan, .flatMap, .selectKey, .join, .union: nil
        }
    }

    private func checkCondition(_ select: AnalyzedSelect, _ query: Query) throws(MartletError) {
        guard case .source = query.from else { return }
        let scope = select.from.scope
        let condition = try query.whereClause.map { (condition) throws(MartletError) in
            try Qualifier(scope: scope, clause: .whereClause, functions: context.functions).qualify(condition)
        }
        try PullConditions(table: select.from.left, context: context).check(condition, at: query.span)
    }

    private func lookup(_ select: AnalyzedSelect) -> TableLookup {
        let table = select.from.left
        let extraction = LookupExtraction(
            columns: LogicalPlan.Scan(table).columns, keyCount: table.schema.key.count, functions: context.functions)
        return extraction.lookup(Self.condition(select.input).map(ConstantFolding.fold), table: table.name)
    }

    private static let groupingProperty = "ksql.query.pull.grouping.enabled"

    private func checkPull(_ query: Query) throws(MartletError) {
        func refuse(_ what: String, _ span: SourceSpan, _ hint: String? = nil) -> MartletError {
            MartletError(.badStatement, "Pull queries don't support \(what).\(Self.help)", at: span, hint: hint)
        }
        func checkInner(_ relation: Relation) throws(MartletError) {
            switch relation {
            case .source: break
            case .subquery(let inner, _): try checkPull(inner)
            case .join(let join):
                try checkInner(join.left)
                try checkInner(join.right)
            }
        }
        if context.isOff("ksql.pull.queries.enable") {
            throw MartletError(
                .badStatement, "Pull queries are disabled.\(Self.help)\nPlease set ksql.pull.queries.enable=true to enable this feature.\n", at: query.span)
        }
        try checkInner(query.from)
        for one in query.unions { try checkPull(one) }
        var aggregate: SourceSpan?
        for case .expression(let expression, _) in query.select {
            aggregate = aggregate ?? expression.firstCall { context.functions.isAggregate($0.name) }?.span
        }
        let isGrouping = aggregate != nil || query.having?.firstCall { context.functions.isAggregate($0.name) } != nil
        let isAllowed = context.properties[Self.groupingProperty]?.lowercased() != "false"
        if !isAllowed || !isGrouping {
            let hint = isAllowed ? "GROUP BY and WINDOW need an aggregate function in the SELECT or HAVING clause" : "SET '\(Self.groupingProperty)'='true' groups what is there now"
            if let window = query.window { throw refuse("WINDOW clauses", window.span, hint) }
            if let first = query.groupBy.first { throw refuse("GROUP BY clauses", first.span, hint) }
            if let having = query.having { throw refuse("HAVING clauses", having.span, hint) }
            if let aggregate { throw refuse("aggregate functions", aggregate, hint) }
        }
        if let first = query.partitionBy.first { throw refuse("PARTITION BY clauses", first.span) }
        if let limit = query.limit, context.properties["ksql.query.pull.limit.clause.enabled"]?.lowercased() == "false" {
            throw MartletError(
                .badStatement,
                "LIMIT clause in pull queries is currently disabled. You can enable them by setting ksql.query.pull.limit.clause.enabled=true.\(Self.help)",
                at: limit.span)
        }
        if context.properties["ksql.query.pull.stream.enabled"]?.lowercased() == "false", case .source(let name, _) = query.from,
            catalog.sources[name.name]?.kind == .stream
        {
            throw MartletError(
                .badStatement, "Pull queries on streams are disabled. To create a push query on the stream, add EMIT CHANGES to the end. To enable pull queries on streams, set the ksql.query.pull.stream.enabled config to 'true'.",
                at: query.span)
        }
    }

    /// Rows that are looked up have no place in a topic.
    private func checkPseudoColumns(_ query: Query) throws(MartletError) {
        func names(_ expression: Expression) -> Set<String> {
            if case .column(_, let name) = expression.node { return [name.name] }
            return expression.children.reduce(into: []) { $0.formUnion(names($1)) }
        }
        var selected: Set<String> = []
        for case .expression(let expression, _) in query.select { selected.formUnion(names(expression)) }
        let filtered = query.whereClause.map(names) ?? []
        for (clause, used) in [("SELECT", selected), ("WHERE", filtered)] {
            let refused = used.intersection([PseudoColumns.rowPartition, PseudoColumns.rowOffset]).sorted()
            if refused.isEmpty { continue }
            throw MartletError(
                .badStatement,
                "Pull queries don't support the following columns in \(clause) clauses: \(refused.map { SQLType.quoted($0) }.joined(separator: ", "))\n\(Self.help)",
                at: query.span, hint: "add EMIT CHANGES for a push query, which has them")
        }
    }

    /// Only tables that a query or `CREATE SOURCE TABLE` keeps have rows to look up.
    private func checkQueryable(_ table: Source, _ query: Query) throws(MartletError) {
        if table.createdBy != nil || table.isSource { return }
        var span = query.span
        if case .source(let name, _) = query.from { span = name.span }
        throw MartletError(
            .badStatement,
            "The \(SQLType.quoted(table.name)) table isn't queryable. To derive a queryable table, you can do 'CREATE TABLE QUERYABLE_\(table.name) AS SELECT * FROM \(table.name)'.\(Self.help)",
            at: span)
    }
}

extension LogicalPlan {
    /// Whether rows of several sources meet somewhere below.
    fileprivate var hasJoin: Bool {
        switch self {
        case .scan: false
        case .filter(let input, _, _), .flatMap(let input, _), .selectKey(let input, _, _), .project(let input, _, _), .materialize(let input, _, _):
            input.hasJoin
        case .ended(let input, _, _): input.hasJoin
        case .join: true
        case .aggregate(let node): node.input.hasJoin
        case .union(let inputs): inputs.contains(where: \.hasJoin)
        }
    }
}
