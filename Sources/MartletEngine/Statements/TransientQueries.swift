import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// SELECT outside a CREATE: push and pull queries.
extension Engine {
    /// Of push queries (PRINT counts as one), and of pull queries: each has a thread.
    static let maxTransientQueries = 100

    /// - Throws: `.tooManyQueries` if one more of the kind would be too many.
    func checkRoom(isPush: Bool, for statement: Statement) throws(MartletError) {
        let running = transients.values.count { $0.isPush == isPush } + (isPush ? prints.count : 0)
        guard running >= Self.maxTransientQueries else { return }
        throw MartletError(
            .tooManyQueries,
            "Not executing statement(s) '\(statement.text)' as it would cause the number of active, \(isPush ? "push" : "pull") queries to exceed the configured limit (\(Self.maxTransientQueries))")
    }

    func analyzedTransient(_ statement: Statement, _ session: Session) throws(MartletError) -> AnalyzedTransient {
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: InferenceRecorder())).analyze(statement)
        guard case .transientQuery(let query) = analyzed else {
            throw MartletError(.notSupported, "this query is not supported by this release", at: statement.span)
        }
        return query
    }

    /// Nil: the query does not ask a table for rows by their keys.
    func prepareLookup(_ query: AnalyzedTransient, _ statement: Statement) throws(MartletError) -> PreparedLookup? {
        guard query.kind == .pullTable, let lookup = query.lookup, case .some = lookup.keys else { return nil }
        return try PreparedLookup(
            query, statement, table: try resultTable(lookup.table, query.plan), log: log, versions: catalogVersion)
    }

    func startTransient(_ query: AnalyzedTransient, _ statement: Statement, _ session: Session) throws(MartletError) -> TransientQuery {
        try checkRoom(isPush: query.kind == .push, for: statement)
        let isPush = query.kind == .push
        let fromLatest = isPush && session.properties["auto.offset.reset"] != "earliest"
        var sources: [TransientQuery.Source] = []
        var topics: [String] = []
        for (stage, description) in query.plan.stages.enumerated() {
            for (leaf, input) in description.inputs.enumerated() {
                guard case .source(_, let topic) = input.topic, query.kind != .pullTable else { continue }
                if let known = topics.firstIndex(of: topic) {
                    sources[known].leaves.append((stage, leaf))
                    continue
                }
                topics.append(topic)
                let partitions = try partitionLogs(of: topic).map { partition -> (log: PartitionLog, start: Int64, end: Int64?) in
                    let end = partition.lastStableOffset
                    // Tables that are joined are there from their beginning.
                    return (partition, fromLatest && (input.kind == .stream || description.root.joins.isEmpty) ? end : partition.startOffset, isPush ? nil : end)
                }
                sources.append(TransientQuery.Source(leaves: [(stage, leaf)], partitions: partitions, current: { [log] in log.partitions(of: topic) }))
            }
        }
        var table: (rows: ResultTable, lookup: TableLookup)?
        if query.kind == .pullTable, let lookup = query.lookup { table = (try resultTable(lookup.table, query.plan), lookup) }
        let isScalable = fromLatest && session.properties["ksql.query.push.v2.enabled"]?.lowercased() == "true" && isScalablePush(query)
        nextTransientNumber += 1
        let name = query.plan.sources.first ?? "QUERY"
        let transient = TransientQuery(
            id: "\(isScalable ? "SCALABLE_PUSH_QUERY" : "transient")_\(name)_\(String(UInt64(bitPattern: time.wallMs), radix: 36))\(nextTransientNumber)", statement: statement.text, isPush: isPush,
            fields: query.fields, keyFlags: query.keyFlags, limit: query.plan.limit,
            endsSilently: query.kind == .pullTable)
        let models = try sessions(query.plan.models)
        transients[transient.id] = transient
        let watch = isPush ? watcher.watch(topics) { [weak transient] in transient?.wake() } : nil
        var work = TransientQuery.Work(
            plan: query.plan, sources: sources, models: models, schemas: registry, logger: logger, dropsNullKeys: isScalable)
        if let table {
            work.plan.stages[0].root = work.plan.stages[0].root.overRows
            work.table = table
        }
        do throws(MartletError) {
            try transient.start(work) { [self] in
                if let watch { watcher.forget(watch) }
                Task { await forget(transient.id) }
            }
        } catch {
            if let watch { watcher.forget(watch) }
            forget(transient.id)
            throw error
        }
        return transient
    }

    /// The rows of a table, kept from the first question on.
    private func resultTable(_ name: String, _ plan: PhysicalPlan) throws(MartletError) -> ResultTable {
        guard let source = catalog.sources[name], let input = plan.stages.first?.inputs.first, let topic = log.topic(source.topic) else {
            throw MartletError(.unknownSource, "\(name) does not exist.")
        }
        if let known = resultTables[name], known.isOf(source, topicID: topic.topicID, partitions: Int(topic.partitions)) { return known }
        resultTables = resultTables.filter { catalog.sources[$0.key] != nil }
        var retention: Int64?
        if let creator = source.createdBy.flatMap({ queries[$0] }) {
            for stage in creator.plan.stages {
                for case .aggregate(let aggregate) in stage.root.operators { retention = aggregate.window?.retentionMs ?? retention }
            }
        }
        let made = try ResultTable(
            source, template: input, partitions: try partitionLogs(of: source.topic), topicID: topic.topicID, retentionMs: retention, schemas: registry,
            directory: stateDirectory)
        resultTables[name] = made
        return made
    }

    private func forget(_ id: String) { transients[id] = nil }

    /// With `ksql.query.push.v2.enabled` ksqlDB serves a push query from the end, over what one persistent query makes, from that query's own
    /// output. Clients tell it by its id, and that rows without a key do not come (ksqlDB, "Scalable push queries").
    private func isScalablePush(_ query: AnalyzedTransient) -> Bool {
        guard query.plan.sources.count == 1, let source = catalog.sources[query.plan.sources[0]], source.createdBy != nil,
            query.plan.stages.count == 1, query.plan.stages[0].inputs.count == 1
        else { return false }
        return query.plan.stages[0].root.operators.allSatisfy { step in
            switch step {
            case .filter, .project, .materialize: true
            default: false
            }
        }
    }
}
