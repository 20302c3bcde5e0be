import MartletColumns
import MartletCore

/// JOIN clauses: which sources join on what (ksqlDB, "Join collections"). So far streams with tables, on the table's primary key.
struct JoinAnalysis {
    var from: FromAnalysis
    var context: AnalysisContext

    private struct Side {
        var from: FromClause
        /// As messages name it.
        var name: String
    }

    /// - `depth`: how many joins lie above this one; steps inside are named `L_…`.
    func analyze(_ join: Join, depth: Int) throws(MartletError) -> FromClause {
        let left = try side(join.left, depth)
        let right = try side(join.right, depth)
        try checkKinds(join, left, right)
        var scope = left.from.scope
        let width = left.from.plan.width
        scope.sources += right.from.scope.sources
        scope.columns += right.from.scope.columns.map { column in
            var column = column
            column.index += width
            return column
        }
        let (leftKey, rightKey) = try condition(join, scope, left, right)
        if left.from.kind == .stream, right.from.kind == .stream {
            guard join.within != nil else {
                throw MartletError(
                    .badStatement,
                    "Stream-Stream joins must have a WITHIN clause specified. None was provided. To learn about how to specify a WITHIN clause with a stream-stream join, please visit: https://docs.confluent.io/current/ksql/docs/syntax-reference.html#create-stream-as-select",
                    at: join.span)
            }
            throw MartletError(.notSupported, "Stream-stream joins are not supported yet.", at: join.span)
        }
        if left.from.kind == .table { throw MartletError(.notSupported, "Table-table joins are not supported yet.", at: join.span) }
        return try streamTable(join, scope, left, right, leftKey, rightKey, depth)
    }

    private func side(_ relation: Relation, _ depth: Int) throws(MartletError) -> Side {
        switch relation {
        case .source(let name, let alias):
            return Side(from: from.single(try from.source(name), alias: alias?.name ?? name.name), name: name.name)
        case .join(let inner):
            let from = try analyze(inner, depth: depth + 1)
            return Side(from: from, name: from.left.name)
        case .subquery: return Side(from: try from.analyze(relation), name: "")
        }
    }

    private static func text(_ kind: Join.Kind) -> String {
        switch kind {
        case .inner: "[INNER] JOIN"
        case .left: "LEFT [OUTER] JOIN"
        case .right: "RIGHT [OUTER] JOIN"
        case .full: "[FULL] OUTER JOIN"
        }
    }

    private func checkKinds(_ join: Join, _ left: Side, _ right: Side) throws(MartletError) {
        let text = "\(left.from.sources.last?.name ?? left.name) \(Self.text(join.kind)) \(right.name)"
        if left.from.kind == .table, right.from.kind == .stream {
            throw MartletError(
                .badStatement, "Invalid join order: table-stream joins are not supported; only stream-table joins. Got \(text).", at: join.span)
        }
        if left.from.kind == .stream, right.from.kind == .table {
            switch join.kind {
            case .inner, .left: break
            case .right, .full:
                throw MartletError(
                    .badStatement,
                    "Invalid join type: \(join.kind == .full ? "full" : "right")-outer join not supported for stream-table join. Got \(text).",
                    at: join.span)
            }
        }
        if join.within != nil, left.from.kind == .table || right.from.kind == .table {
            throw MartletError(
                .badStatement, "A window definition was provided for a \(left.from.kind == .table ? "Table-Table" : "Stream-Table") join. These joins are not windowed.",
                at: join.span, hint: "remove WITHIN")
        }
        try checkWindows(left, right, join.span)
    }

    private func checkWindows(_ left: Side, _ right: Side, _ span: SourceSpan) throws(MartletError) {
        func text(_ source: Source) -> String { "\(SQLType.quoted(source.name)) is \(source.window.map { "\($0.kind.rawValue) windowed" } ?? "not windowed")" }
        guard let l = left.from.sources.last, let r = right.from.sources.first else { return }
        if (l.window == nil) != (r.window == nil) {
            throw MartletError(
                .badStatement, "Can not join windowed source to non-windowed source.\n\(text(l))\n\(text(r))", at: span)
        }
        if let a = l.window, let b = r.window {
            if (a.kind == .session) != (b.kind == .session) {
                throw MartletError(
                    .badStatement,
                    "Incompatible windowed sources.\nLeft source: \(a.kind.rawValue)\nRight source: \(b.kind.rawValue)\nSession windowed sources can only be joined to other session windowed sources, and may still not result in expected behaviour as session bounds must be an exact match for the join to work\nHopping and tumbling windowed sources can only be joined to other hopping and tumbling windowed sources",
                    at: span)
            }
            throw MartletError(.notSupported, "Joins of windowed sources are not supported yet.", at: span)
        }
    }

    /// The two sides of ON, left side first, qualified.
    private func condition(_ join: Join, _ scope: Scope, _ left: Side, _ right: Side) throws(MartletError) -> (Expression, Expression) {
        let qualified = try Qualifier(scope: scope, clause: .joinOn, functions: context.functions).qualify(join.on)
        let text = ExpressionText(columns: .qualified)
        guard case .compare(.equal, let a, let b) = qualified.node else {
            if case .and = qualified.node {
                throw MartletError(
                    .badStatement, "Invalid join condition: joins on multiple conditions are not yet supported. Got \(text(qualified)).", at: join.on.span)
            }
            throw MartletError(.badStatement, "Unsupported join expression: \(text(qualified))", at: join.on.span, hint: "joins are ON left = right")
        }
        let leftNames = Set(left.from.scope.sources), rightNames = Set(right.from.scope.sources)
        let used = [a.referencedSources, b.referencedSources]
        for (expression, sources) in zip([a, b], used) where sources.count != 1 {
            throw MartletError(
                .badStatement,
                "Invalid comparison expression '\(text(expression))' in join '\(text(qualified))'. Each side of the join comparision must contain references from exactly one source.",
                at: expression.span)
        }
        if used[0].isSubset(of: leftNames), used[1].isSubset(of: rightNames) { return (a, b) }
        if used[1].isSubset(of: leftNames), used[0].isSubset(of: rightNames) { return (b, a) }
        throw MartletError(
            .badStatement,
            "Each side of the join must reference exactly one source and not the same source. Left side references \(SQLType.quoted(used[0].first ?? "")) and right references \(SQLType.quoted(used[1].first ?? ""))",
            at: join.on.span)
    }

    // MARK: stream-table

    private func streamTable(
        _ join: Join, _ scope: Scope, _ left: Side, _ right: Side, _ leftKey: Expression, _ rightKey: Expression, _ depth: Int
    ) throws(MartletError) -> FromClause {
        let table = right.from.left
        let text = ExpressionText(columns: .qualified)
        guard right.from.keys.count == 1, right.from.keys[0].viable.contains(rightKey) else {
            throw MartletError(
                .badStatement,
                "Invalid join condition: stream-table joins require to join on the table's primary key. Got \(text(leftKey)) = \(text(rightKey)).",
                at: join.on.span,
                hint: "the primary key of \(table.name) is \(table.schema.key.map(\.name).joined(separator: ", "))")
        }
        let binder = ExpressionAnalyzer(scope: scope, clause: .joinOn, catalog: from.catalog, functions: context.functions)
        let keyType = table.schema.key[0].type
        let bound = try binder.bind(leftKey)
        guard bound.type == keyType else {
            throw MartletError(
                .badStatement,
                "Invalid join condition: types don't match. Got \(text(leftKey)){\(bound.typeText)} = \(text(rightKey)){\(keyType)}.",
                at: join.on.span, hint: "CAST the stream's side")
        }
        guard case .scan(let scan) = right.from.plan else {
            throw MartletError(.notSupported, "The right side of a join must be a stream or table.", at: join.span)
        }
        let isKeyed = left.from.keys.count == 1 && left.from.keys[0].viable.contains(leftKey)
        let key = isKeyed ? left.from.keys[0].expression : bound.expression
        let isSamePartitioning = isKeyed && left.from.keyFormat.canCopartition(with: table.keyFormat)
        if isSamePartitioning {
            try checkPartitions(left.from.left, table, join.span)
        } else if left.from.isWindowed {
            throw MartletError(.badStatement, "Implicit repartitioning of windowed sources is not supported. See https://github.com/confluentinc/ksql/issues/4385.", at: join.on.span)
        }
        try FormatRules.checkNoMaps(inKey: [Field(Self.keyName(leftKey), keyType)], at: join.on.span)
        let logical = LogicalPlan.Join(
            left: left.from.plan, right: scan, isLeft: join.kind == .left, key: key,
            repartition: isSamePartitioning ? nil : repartition(left, table, depth), keyName: Self.keyName(leftKey))
        let plan = LogicalPlan.join(logical)
        // Columns of the table may stand for the key, even in a left join whose table has no row.
        var viable = isKeyed ? left.from.keys[0].viable : []
        if case .column = leftKey.node, !viable.contains(leftKey) { viable.append(leftKey) }
        viable.append(rightKey)
        let slot = KeySlot(viable: viable, expression: .column(plan.width - 1, keyType), name: logical.keyName)
        var out = FromClause(plan: plan, scope: scope, kind: .stream, sources: left.from.sources + right.from.sources, keys: [slot])
        out.keyDescription = ("join expression", "join expressions")
        return out
    }

    /// What the key of a join is called inside: the column's name behind its alias, or ROWKEY for an expression.
    private static func keyName(_ expression: Expression) -> String {
        if case .column(let source?, let name) = expression.node { return "\(source.name)_\(name.name)" }
        return "ROWKEY"
    }

    private func repartition(_ left: Side, _ table: Source, _ depth: Int) -> LogicalPlan.Join.Repartition {
        // Rows must meet the table's: same key bytes, so the table's key format. Ids and names of registered schemas are the source's own.
        var key = FormatSpec(table.keyFormat.kind, properties: FormatRules.inheritedProperties(table.keyFormat))
        key.unwrapSingle = FormatRules.unwrapsKey(key.kind, columns: 1)
        let value = left.from.left.valueFormat
        return LogicalPlan.Join.Repartition(
            step: String(repeating: "L_", count: depth) + "Join", keyFormat: key,
            valueFormat: FormatSpec(value.kind, properties: FormatRules.inheritedProperties(value)))
    }

    private func checkPartitions(_ left: Source, _ right: Source, _ span: SourceSpan) throws(MartletError) {
        guard !context.isReplay, let l = context.partitions(left.topic), let r = context.partitions(right.topic), l != r else { return }
        throw MartletError(
            .badStatement,
            "Can't join \(SQLType.quoted(left.name)) with \(SQLType.quoted(right.name)) since the number of partitions don't match. \(SQLType.quoted(left.name)) partitions = \(l); \(SQLType.quoted(right.name)) partitions = \(r). Please repartition either one so that the number of partitions match.",
            at: span)
    }
}

extension FromClause {
    /// Key format of the rows as they are on the topic.
    var keyFormat: FormatSpec { left.keyFormat }
}

extension FormatSpec {
    /// Whether equal keys have equal bytes in both formats. Registry formats carry schema ids, which may differ.
    func canCopartition(with other: FormatSpec) -> Bool {
        kind == other.kind && !kind.usesSchemaRegistry && properties["delimiter"] == other.properties["delimiter"]
    }
}
