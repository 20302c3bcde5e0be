import MartletColumns
import MartletCore

/// `FROM (SELECT …) alias`: the inner query's rows as something to select from.
///
/// They are not written to a topic of their own. Columns are those of the inner SELECT; its key columns are keys here.
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
        let bounds = bounds(select)
        let outputs = keys + select.keyOutputs + select.valueOutputs + bounds
        let slots = select.from.keys.indices.map { key in
            let index = outputs.firstIndex { $0.keyIndex == key } ?? 0
            let viable = outputs[keys.count..<outputs.count - bounds.count].filter { $0.keyIndex == key }.map { reference(name, $0.name) }
            return KeySlot(viable: viable, expression: .column(index, outputs[index].expression.type), name: outputs[index].name)
        }
        var columns: [Scope.Column] = []
        for output in select.outputs {
            let index = outputs.firstIndex { $0.name == output.name && $0.keyIndex == output.keyIndex && $0.expression == output.expression } ?? 0
            columns.append(
                Scope.Column(
                    source: name, name: output.name, type: output.expression.type, role: output.keyIndex == nil ? .value : .key, index: index))
        }
        var out = FromClause(
            plan: select.projected(outputs), scope: Scope(sources: [name], columns: columns), kind: select.from.kind, sources: select.from.sources,
            keys: slots)
        out.keyFormat = select.from.keyFormat
        out.partitionsOfTopic = select.from.partitionsOfTopic
        out.window = select.window
        out.isWindowed = select.window != nil
        out.isScattered = select.from.isScattered
        out.yieldsChanges = select.from.yieldsChanges
        for (offset, bound) in bounds.enumerated() { out.windowBounds[bound.name] = .column(outputs.count - bounds.count + offset, .bigint) }
        return out
    }

    /// The bounds of the rows' windows, behind the columns that names mean.
    private func bounds(_ select: AnalyzedSelect) -> [AnalyzedSelect.Output] {
        guard select.window != nil else { return [] }
        return [PseudoColumns.windowStart, PseudoColumns.windowEnd].compactMap { name in
            let found = select.from.windowBounds[name] ?? select.from.scope.columns.first { $0.name == name && $0.role == .pseudo }.map { .column($0.index, $0.type) }
            return found.map { AnalyzedSelect.Output(name: name, expression: $0, keyIndex: nil) }
        }
    }

    private func reference(_ alias: String, _ name: String) -> Expression {
        Expression(.column(source: Identifier(alias), Identifier(name)), span: .none)
    }

    private func check(_ query: Query) throws(MartletError) {
        func refuse(_ what: String, _ span: SourceSpan) -> MartletError {
            MartletError(.badStatement, "\(what) belongs to the outermost query.", at: span)
        }
        if query.emit != nil { throw refuse("EMIT", query.span) }
        if query.isDistinct { throw refuse("SELECT DISTINCT", query.span) }
        if let first = query.orderBy.first { throw refuse("ORDER BY", first.expression.span) }
        if let limit = query.limit ?? query.offset { throw refuse(query.limit == nil ? "OFFSET" : "LIMIT", limit.span) }
    }

    private func checkNames(_ select: AnalyzedSelect, _ query: Query) throws(MartletError) {
        var seen: Set<String> = []
        for output in select.outputs where !seen.insert(output.name).inserted {
            throw MartletError(
                .badStatement, "The subquery has two columns named \(SQLType.quoted(output.name)).", at: query.span, hint: "give each column its own name with AS")
        }
    }
}
