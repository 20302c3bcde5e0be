/// What a statement leaves in the catalog.
extension Catalog {
    /// Makes the change of an analysed statement visible. Statements that change no name leave the catalog as it is.
    public mutating func apply(_ analyzed: AnalyzedStatement, of statement: Statement) {
        switch analyzed {
        case .createSource(let create): sources[create.source.name] = create.source
        case .persistentQuery(let query):
            if !query.isInsert { sources[query.sink.name] = query.sink }
            queries[query.queryID] = QueryEntry(
                id: query.queryID, sources: query.plan.sources, models: query.plan.models, sink: query.sink.name, statement: statement.text)
        case .alterSource(let source): sources[source.name] = source
        case .dropSource(let name, _):
            if let query = sources[name]?.createdBy { queries[query] = nil }
            sources[name] = nil
        case .createType(let name, let type): types[name] = type
        case .dropType(let name): types[name] = nil
        case .transientQuery, .insertValues, .deleteRows, .nothingToDo, .other: break
        }
    }
}
