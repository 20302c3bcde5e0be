import MartletColumns
import MartletCore

/// `FROM (SELECT …) alias`: the inner query's rows as something to select from.
///
/// They are not written to a topic of their own. Columns are those of the inner SELECT; its key columns are keys here, and its pseudo columns
/// pseudo columns.
struct SubqueryAnalysis {
    var from: FromAnalysis

    func analyze(_ query: Query, alias: Identifier?) throws(MartletError) -> FromClause {
        try check(query)
        let analysis = QueryAnalysis(
            catalog: from.catalog, context: from.context, sink: nil, isPull: from.isPull, isInner: true, isPersistent: from.isPersistent,
            readsChanges: from.readsChanges)
        let select = try analysis.analyze(query)
        let name = alias?.name ?? ""
        try checkNames(select, query)
        // Keys that are not selected are still the rows' keys.
        let hidden = select.from.keys.indices.filter { key in !select.outputs.contains { $0.keyIndex == key } }
        let keys = hidden.map { AnalyzedSelect.Output(name: select.from.keys[$0].name, expression: select.from.keys[$0].expression, keyIndex: $0) }
        let isEnded = from.isPull && query.needsAllRows
        if isEnded { return try ended(select, query, alias, keys) }
        let pseudos = pseudoColumns(select)
        let outputs = keys + select.keyOutputs + select.valueOutputs + pseudos
        let named = outputs.count - pseudos.count
        let slots = select.from.keys.indices.map { key in
            let index = outputs.firstIndex { $0.keyIndex == key } ?? 0
            let viable = outputs[keys.count..<named].filter { $0.keyIndex == key }.map { reference(name, $0.name) }
            return KeySlot(viable: viable, expression: .column(index, outputs[index].expression.type), name: outputs[index].name)
        }
        var columns: [Scope.Column] = []
        for output in select.outputs {
            let index = outputs.firstIndex { $0.name == output.name && $0.keyIndex == output.keyIndex && $0.expression == output.expression } ?? 0
            columns.append(
                Scope.Column(
                    source: name, name: output.name, type: output.expression.type, role: output.keyIndex == nil ? .value : .key, index: index))
        }
        for (offset, column) in pseudos.enumerated() where !columns.contains(where: { $0.name == column.name }) {
            columns.append(Scope.Column(source: name, name: column.name, type: column.expression.type, role: .pseudo, index: named + offset))
        }
        var out = FromClause(
            plan: select.projected(outputs), scope: Scope(sources: [name], columns: columns), kind: select.from.kind, sources: select.from.sources,
            keys: slots)
        out.keyFormat = select.from.keyFormat
        out.keyFieldNames = select.from.keyFieldNames
        out.partitionsOfTopic = select.from.partitionsOfTopic
        out.window = select.window
        out.isWindowed = select.window != nil
        out.isScattered = select.from.isScattered
        out.isEnded = select.from.isEnded
        out.yieldsChanges = select.from.yieldsChanges
        for (offset, column) in pseudos.enumerated() where PseudoColumns.isWindowBound(column.name) {
            out.windowBounds[column.name] = .column(named + offset, .bigint)
        }
        return out
    }

    /// Rows that are sorted, distinct or cut off: they come when all are there, each once, as those of a stream.
    ///
    /// Distinct rows have no keys and no pseudo columns, as several rows may have made one.
    private func ended(
        _ select: AnalyzedSelect, _ query: Query, _ alias: Identifier?, _ hiddenKeys: [AnalyzedSelect.Output]
    ) throws(MartletError) -> FromClause {
        let name = alias?.name ?? "", isDistinct = query.isDistinct
        let carried = isDistinct ? [] : hiddenKeys + pseudoColumns(select)
        // The columns that order stand where the ending counts them.
        let held = select.outputs + select.hidden + carried
        var ending = select.ending ?? PhysicalPlan.Ending()
        ending.distinctColumns = select.outputs.count
        let shown = Array(0..<select.outputs.count) + Array((held.count - carried.count)..<held.count)
        let plan = LogicalPlan.project(
            .ended(select.projected(held), ending, limit: query.limit?.count), shown.map { .column($0, held[$0].expression.type) },
            names: shown.map { held[$0].name })
        var columns: [Scope.Column] = [], slots: [KeySlot?] = select.from.keys.map { _ in nil }
        for (index, place) in shown.enumerated() {
            let output = held[place], isPseudo = index >= select.outputs.count + hiddenKeys.count
            let isHiddenKey = !isPseudo && index >= select.outputs.count
            let key = isDistinct ? nil : output.keyIndex
            if let key {
                slots[key] = KeySlot(
                    viable: isHiddenKey ? [] : [reference(name, output.name)], expression: .column(index, output.expression.type), name: output.name)
            }
            if isHiddenKey || isPseudo && columns.contains(where: { $0.name == output.name }) { continue }
            columns.append(
                Scope.Column(
                    source: name, name: output.name, type: output.expression.type, role: isPseudo ? .pseudo : key == nil ? .value : .key, index: index))
        }
        var out = FromClause(
            plan: plan, scope: Scope(sources: [name], columns: columns), kind: .stream, sources: select.from.sources,
            keys: isDistinct ? [] : slots.compactMap { $0 })
        out.keyFormat = select.from.keyFormat
        out.keyFieldNames = select.from.keyFieldNames
        out.partitionsOfTopic = select.from.partitionsOfTopic
        out.window = nil
        out.isWindowed = false
        out.isScattered = true
        out.isEnded = true
        out.yieldsChanges = false
        return out
    }

    /// What belongs to the rows without being selected: behind the columns that are. Rows of joins and groups have only their windows' bounds.
    private func pseudoColumns(_ select: AnalyzedSelect) -> [AnalyzedSelect.Output] {
        var out: [AnalyzedSelect.Output] = []
        if !select.isGrouped, !select.from.scope.isJoin {
            for column in select.from.scope.columns where column.role == .pseudo && column.index >= 0 {
                out.append(AnalyzedSelect.Output(name: column.name, expression: .column(column.index, column.type), keyIndex: nil))
            }
        }
        for name in [PseudoColumns.windowStart, PseudoColumns.windowEnd] where !out.contains(where: { $0.name == name }) {
            if let bound = select.from.windowBounds[name] { out.append(AnalyzedSelect.Output(name: name, expression: bound, keyIndex: nil)) }
        }
        return out
    }

    private func reference(_ alias: String, _ name: String) -> Expression {
        Expression(.column(source: Identifier(alias), Identifier(name)), span: .none)
    }

    private func check(_ query: Query) throws(MartletError) {
        func refuse(_ what: String, _ span: SourceSpan) -> MartletError {
            MartletError(.badStatement, "\(what) belongs to the outermost query.", at: span)
        }
        // Final results of windows are something else to select from; whether changes are emitted is said at the end.
        if query.emit == .changes { throw refuse("EMIT CHANGES", query.span) }
        if query.emit == .final, from.isPull {
            throw MartletError(.badStatement, "EMIT FINAL is not for queries that end: their groups are complete.", at: query.span)
        }
        if let limit = query.limit, limit.count < 0 {
            throw MartletError(.badStatement, "LIMIT takes no negative number.", at: limit.span)
        }
    }

    private func checkNames(_ select: AnalyzedSelect, _ query: Query) throws(MartletError) {
        var seen: Set<String> = []
        for output in select.outputs where !seen.insert(output.name).inserted {
            throw MartletError(
                .badStatement, "The subquery has two columns named \(SQLType.quoted(output.name)).", at: query.span, hint: "give each column its own name with AS")
        }
    }
}
