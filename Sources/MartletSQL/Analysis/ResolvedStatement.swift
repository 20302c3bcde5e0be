import MartletColumns
import MartletCore

/// A statement as ksqlDB keeps it once names are resolved: each source with its alias, each column behind the alias of its source, each
/// selected expression with its name. Messages about a persistent query end with this text.
public enum ResolvedStatement {
    /// - Returns: nil for statements without a query, and for queries of subqueries, which ksqlDB does not know.
    /// - Throws: names that mean nothing or several things.
    public static func text(_ statement: Statement, catalog: Catalog, functions: FunctionRegistry) throws(MartletError) -> String? {
        var statement = statement
        switch statement.node {
        case .createAs(var create):
            guard let query = try resolved(create.query, catalog, functions) else { return nil }
            create.query = query
            statement.node = .createAs(create)
        case .insertInto(let target, let properties, let query):
            guard let query = try resolved(query, catalog, functions) else { return nil }
            statement.node = .insertInto(target: target, properties: properties, query)
        default: return nil
        }
        return SQLFormatter.format(statement)
    }

    private static func resolved(_ query: Query, _ catalog: Catalog, _ functions: FunctionRegistry) throws(MartletError) -> Query? {
        var scope = Scope(sources: [], columns: [])
        guard query.unions.isEmpty, var from = aliased(query.from, catalog, &scope) else { return nil }
        for name in [PseudoColumns.windowStart, PseudoColumns.windowEnd] where query.window != nil && !scope.isJoin {
            if let source = scope.sources.first, scope.column(source, name) == nil {
                scope.columns.append(Scope.Column(source: source, name: name, type: .bigint, role: .pseudo, index: 0))
            }
        }
        func qualified(_ expression: Expression, _ clause: Clause) throws(MartletError) -> Expression {
            try Qualifier(scope: scope, clause: clause, functions: functions).qualify(expression)
        }
        func qualified(_ list: [Expression], _ clause: Clause) throws(MartletError) -> [Expression] {
            var out: [Expression] = []
            for one in list { out.append(try qualified(one, clause)) }
            return out
        }
        func joined(_ relation: Relation) throws(MartletError) -> Relation {
            guard case .join(var join) = relation else { return relation }
            join.left = try joined(join.left)
            join.on = try qualified(join.on, .joinOn)
            return .join(join)
        }
        from = try joined(from)
        var out = query, aliases = AliasGenerator(scope)
        out.from = from
        out.emit = query.emit ?? .changes
        if let condition = query.whereClause { out.whereClause = try qualified(condition, .whereClause) }
        if let condition = query.having { out.having = try qualified(condition, .having) }
        out.groupBy = try qualified(query.groupBy, .groupBy)
        out.partitionBy = try qualified(query.partitionBy, .partitionBy)
        for (index, item) in query.select.enumerated() {
            switch item {
            case .star: break
            case .structStar(let base, let span): out.select[index] = .structStar(try qualified(base, .select), span)
            case .expression(let expression, let alias):
                let whole = try qualified(expression, .select)
                let name = alias?.name ?? Projection.name(of: whole, scope, &aliases)
                out.select[index] = .expression(whole, alias: Identifier(name, span: alias?.span ?? .none))
            }
        }
        return out
    }

    /// The relation with an alias for each source; their columns go to `scope`. Nil if there is a subquery or an unknown source.
    private static func aliased(_ relation: Relation, _ catalog: Catalog, _ scope: inout Scope) -> Relation? {
        switch relation {
        case .source(let name, let alias):
            guard let source = catalog.sources[name.name] else { return nil }
            let alias = alias ?? name
            scope.sources.append(alias.name)
            scope.columns += FromClause.columns(of: LogicalPlan.Scan(source), alias: alias.name)
            return .source(name: name, alias: alias)
        case .join(var join):
            guard let left = aliased(join.left, catalog, &scope), let right = aliased(join.right, catalog, &scope) else { return nil }
            (join.left, join.right) = (left, right)
            return .join(join)
        case .subquery: return nil
        }
    }
}
