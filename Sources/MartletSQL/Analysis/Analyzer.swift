import MartletColumns
import MartletCore

/// Checks statements against a catalog and turns them into something that can be executed as it stands.
///
/// A value without state: the same statement, catalog and context give the same result, so a replay of the command log does too.
public struct Analyzer {
    private let catalog: Catalog
    private let context: AnalysisContext

    public init(catalog: Catalog, context: AnalysisContext) {
        self.catalog = catalog
        self.context = context
    }

    /// - Throws: a `MartletError` of the user's kind, with the place of the mistake in the text the statement was parsed from.
    public func analyze(_ statement: Statement) throws(MartletError) -> AnalyzedStatement {
        do {
            return try dispatch(statement)
        } catch {
            var error = error
            if error.span == nil || error.span == SourceSpan.none { error.span = statement.span }
            throw error
        }
    }

    private func dispatch(_ statement: Statement) throws(MartletError) -> AnalyzedStatement {
        let changes = SourceChanges(catalog: catalog, context: context)
        switch statement.node {
        case .query(let query):
            return try TransientQueryAnalysis(catalog: catalog, context: context).analyze(query)
        case .createSource(let create):
            return try SourceDefinition(catalog: catalog, context: context, create: create, statement: statement).analyze()
        case .createAs(let create):
            return try PersistentQueryAnalysis(catalog: catalog, context: context, statement: statement).createAs(create)
        case .insertInto(let target, let properties, let query):
            return try PersistentQueryAnalysis(catalog: catalog, context: context, statement: statement).insertInto(target, properties, query)
        case .insertValues(let insert):
            return try InsertValuesAnalysis(catalog: catalog, context: context, insert: insert, statement: statement).analyze()
        case .delete(let target, let condition):
            return try DeleteAnalysis(catalog: catalog, context: context).analyze(target, condition)
        case .alterSource(let kind, let name, let additions): return try changes.alter(kind, name, additions)
        case .dropSource(let kind, let name, let ifExists, let deleteTopic):
            return try changes.drop(kind, name, ifExists: ifExists, deleteTopic: deleteTopic)
        case .createType(let name, let type, let ifNotExists): return try changes.createType(name, type, ifNotExists: ifNotExists)
        case .dropType(let name, let ifExists): return try changes.dropType(name, ifExists: ifExists)
        case .createConnector, .dropConnector, .createModel, .dropModel, .list, .describeSource, .describeStreams, .describeFunction,
            .describeConnector, .describeModel, .explainQuery, .explainStatement, .terminate, .pause, .resume, .printTopic, .set, .unset,
            .alterSystem, .define, .undefine, .assertTopic, .assertSchema, .assertValues, .assertTombstone, .assertSource, .runScript:
            return .other(statement)
        }
    }
}
