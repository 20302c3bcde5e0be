import MartletColumns
import MartletCore

@testable import MartletSQL

/// A catalog that statements are applied to one after another, as an engine would, without running anything.
struct AnalysisBench {
    var catalog = Catalog()
    var properties: [String: String] = [:]
    /// Topics and their partitions.
    var topics: [String: Int32] = [:]
    /// Texts of registered schemas by subject, and by id.
    var registered: [String: String] = [:]
    var registeredIDs: [Int: String] = [:]
    var nextQueryNumber = 0

    var context: AnalysisContext {
        let topics = topics, registered = registered, registeredIDs = registeredIDs
        return AnalysisContext(
            properties: properties, nextQueryNumber: nextQueryNumber, partitions: { topics[$0] },
            registeredFields: { (subject, id, spec, side) throws(MartletError) in
                if let text = id.flatMap({ registeredIDs[$0] }) ?? registered[subject] {
                    return try SchemaTranslation.fields(fromSchemaText: text, spec: spec, side: side, keepsCase: id != nil)
                }
                let topic = subject.dropLast(side.rawValue.count + 1)
                throw MartletError(
                    .schemaInvalid, "Schema for message \(side.rawValue)s on topic '\(topic)' does not exist in the Schema Registry.")
            })
    }

    /// Analyses every statement of `sql` and applies it; the last result.
    @discardableResult
    mutating func run(_ sql: String) throws(MartletError) -> AnalyzedStatement {
        var last: AnalyzedStatement?
        for statement in try Parser.parse(sql) {
            do {
                let analyzed = try Analyzer(catalog: catalog, context: context).analyze(statement)
                apply(analyzed)
                last = analyzed
            } catch {
                throw error.inStatement(sql)
            }
        }
        guard let last else { throw MartletError(.badRequest, "no statement") }
        return last
    }

    /// The last statement, which is to be a persistent query.
    mutating func query(_ sql: String) throws(MartletError) -> AnalyzedQuery {
        guard case .persistentQuery(let query) = try run(sql) else { throw MartletError(.badRequest, "no persistent query: \(sql)") }
        return query
    }

    /// The last statement, which is to be a SELECT.
    mutating func select(_ sql: String) throws(MartletError) -> AnalyzedTransient {
        guard case .transientQuery(let query) = try run(sql) else { throw MartletError(.badRequest, "no SELECT: \(sql)") }
        return query
    }

    mutating func apply(_ analyzed: AnalyzedStatement) {
        switch analyzed {
        case .createSource(let create):
            catalog.sources[create.source.name] = create.source
            if let partitions = create.partitions { topics[create.source.topic] = partitions }
        case .persistentQuery(let query):
            if !query.isInsert {
                catalog.sources[query.sink.name] = query.sink
                if topics[query.sink.topic] == nil { topics[query.sink.topic] = query.partitions ?? 1 }
            }
            catalog.queries[query.queryID] = QueryEntry(
                id: query.queryID, sources: query.plan.sources, models: query.plan.models, sink: query.sink.name, statement: query.sink.statement)
            nextQueryNumber += 1
        case .alterSource(let source): catalog.sources[source.name] = source
        case .dropSource(let name, _):
            if let query = catalog.sources[name]?.createdBy { catalog.queries[query] = nil }
            catalog.sources[name] = nil
        case .createType(let name, let type): catalog.types[name] = type
        case .dropType(let name): catalog.types[name] = nil
        case .transientQuery, .insertValues, .deleteRows, .nothingToDo, .other: break
        }
    }

    mutating func physicalPlan(_ sql: String) throws(MartletError) -> PhysicalPlan {
        switch try run(sql) {
        case .persistentQuery(let query): return query.plan
        case .transientQuery(let query): return query.plan
        default: throw MartletError(.badRequest, "no plan: \(sql)")
        }
    }

    /// The plan of the last statement as EXPLAIN prints it.
    mutating func plan(_ sql: String) throws(MartletError) -> String { Explain.text(try physicalPlan(sql)) }

    /// The error of the last statement as a terminal shows it; "no error" if there is none.
    func error(_ sql: String) -> String {
        var copy = self
        do {
            try copy.run(sql)
            return "no error"
        } catch {
            return error.rendered()
        }
    }
}
