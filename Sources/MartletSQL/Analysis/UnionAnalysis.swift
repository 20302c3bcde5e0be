import MartletColumns
import MartletCore

/// `SELECT … UNION ALL SELECT …`: the rows of several queries over streams, as they come.
///
/// Columns meet by position and are called as in the first query; numbers widen. A column is a key if it is one in each query.
struct UnionAnalysis {
    var query: QueryAnalysis

    func analyze(_ whole: Query) throws(MartletError) -> AnalyzedSelect {
        var inner = query
        inner.isInner = true
        inner.sink = nil
        var branches: [AnalyzedSelect] = []
        var head = whole
        (head.unions, head.orderBy, head.offset, head.limit) = ([], [], nil, nil)
        for one in [head] + whole.unions {
            branches.append(try inner.single(try standalone(one)))
        }
        for (branch, one) in zip(branches, [head] + whole.unions) { try check(branch, one) }
        let first = branches[0]
        var types = first.outputs.map(\.expression.type)
        for (branch, one) in zip(branches, [head] + whole.unions).dropFirst() {
            guard branch.outputs.count == types.count else {
                throw MartletError(
                    .badStatement, "Each part of a UNION needs the same columns: the first has \(types.count), this one \(branch.outputs.count).", at: one.span)
            }
            for index in types.indices {
                let own = branch.outputs[index].expression.type
                guard let common = types[index] == own ? own : ArithmeticTypes.common(types[index], own) else {
                    throw MartletError(
                        .typeMismatch,
                        "Column \(SQLType.quoted(first.outputs[index].name)) of the UNION is \(types[index]) in one part and \(own) in another.", at: one.span)
                }
                types[index] = common
            }
        }
        return try unite(branches, types, whole)
    }

    /// A part that is DISTINCT by itself is a query of its own.
    private func standalone(_ one: Query) throws(MartletError) -> Query {
        guard one.isDistinct else { return one }
        guard query.isPull else { throw MartletError(.badStatement, "SELECT DISTINCT cannot be part of a UNION that does not end.", at: one.span) }
        var own = one
        own.limit = nil
        var out = Query(select: [.star(source: nil, one.span)], from: .subquery(own, alias: nil), span: one.span)
        out.limit = one.limit
        return out
    }

    private func check(_ branch: AnalyzedSelect, _ one: Query) throws(MartletError) {
        guard branch.from.kind == .stream || query.isPull, branch.window == nil else {
            throw MartletError(.badStatement, "UNION ALL is for streams, and this part is a \(branch.window == nil ? "table" : "windowed stream").", at: one.span)
        }
        if query.isPull, branch.from.kind == .table {
            throw MartletError(.badStatement, "UNION ALL is for streams, and this part is a table.", at: one.span)
        }
    }

    private func unite(_ branches: [AnalyzedSelect], _ types: [SQLType], _ whole: Query) throws(MartletError) -> AnalyzedSelect {
        let first = branches[0]
        let inputs = branches.map { branch in
            LogicalPlan.project(
                branch.input, zip(branch.outputs, types).map { $0.expression.type == $1 ? $0.expression : .cast($0.expression, $1) },
                names: first.outputs.map(\.name))
        }
        // Keys that all parts have, and in the same places.
        let areKeyed = branches.allSatisfy { branch in
            branch.from.keys.count == first.from.keys.count && branch.outputs.map(\.keyIndex) == first.outputs.map(\.keyIndex)
        }
        var from = first.from
        from.sources = branches.reduce(into: []) { out, branch in
            for source in branch.from.sources where !out.contains(where: { $0.name == source.name }) { out.append(source) }
        }
        from.scope = Scope(sources: [""], columns: [])
        from.isScattered = true
        from.isEnded = branches.contains { $0.from.isEnded }
        from.keyDescription = ("key column", "key columns")
        var outputs = first.outputs
        for index in outputs.indices {
            outputs[index].expression = .column(index, types[index])
            if !areKeyed { outputs[index].keyIndex = nil }
            from.scope.columns.append(
                Scope.Column(source: "", name: outputs[index].name, type: types[index], role: outputs[index].keyIndex == nil ? .value : .key, index: index))
        }
        from.keys = areKeyed ? first.from.keys : []
        for (key, slot) in from.keys.enumerated() {
            guard let index = outputs.firstIndex(where: { $0.keyIndex == key }) else {
                from.keys = []
                for index in outputs.indices { outputs[index].keyIndex = nil }
                break
            }
            from.keys[key] = KeySlot(viable: slot.viable, expression: .column(index, types[index]), name: outputs[index].name)
        }
        let plan = LogicalPlan.union(inputs)
        from.plan = plan
        var select = AnalyzedSelect(
            from: from, input: plan, outputs: outputs, window: nil, isUnkeyed: from.keys.isEmpty && query.sink != nil, limit: whole.limit?.count, span: whole.span)
        if let sink = query.sink { try query.checkUnion(select, sink) }
        if query.isPull, !query.isInner || whole.needsAllRows {
            let binder = ExpressionAnalyzer(scope: from.scope, clause: .select, catalog: query.catalog, functions: query.context.functions)
            let ending = EndingAnalysis(items: [], outputs: outputs, binder: binder, scope: from.scope)
            // DISTINCT is that of the first part.
            var rest = whole
            rest.isDistinct = false
            (select.ending, select.hidden) = try ending.analyze(rest, groups: nil)
        }
        return select
    }
}
