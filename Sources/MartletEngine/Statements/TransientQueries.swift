import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// SELECT outside a CREATE: push and pull queries.
extension Engine {
    static let maxTransientQueries = 100

    func startTransient(_ statement: Statement, _ session: Session) throws(MartletError) -> TransientQuery {
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: InferenceRecorder())).analyze(statement)
        guard case .transientQuery(let query) = analyzed else {
            throw MartletError(.notSupported, "this query is not supported by this release", at: statement.span)
        }
        guard transients.count < Self.maxTransientQueries else {
            throw MartletError(.tooManyQueries, "Not executing statement(s) '\(statement.text)' as it would cause the number of active, push queries to exceed the configured limit (\(Self.maxTransientQueries))")
        }
        if query.kind == .pullTable {
            throw MartletError(.notSupported, "pull queries on tables are not supported by this release", at: statement.span, hint: "add EMIT CHANGES to watch the table's rows")
        }
        let isPush = query.kind == .push
        let fromLatest = isPush && session.properties["auto.offset.reset"] != "earliest"
        guard let first = query.plan.stages.first, case .source(_, let topic) = first.input.topic else {
            throw MartletError(.internalError, "a transient query begins at a source")
        }
        var sources: [(log: PartitionLog, start: Int64, end: Int64?)] = []
        for partition in try partitionLogs(of: topic) {
            let end = partition.lastStableOffset
            sources.append((partition, fromLatest ? end : partition.startOffset, isPush ? nil : end))
        }
        var topics: Set<String> = [topic]
        var tables: [PartitionLog] = []
        for stage in query.plan.stages {
            for case .streamTableJoin(let join) in stage.operators {
                guard case .source(_, let topic) = join.table.topic else { continue }
                tables += try partitionLogs(of: topic)
                topics.insert(topic)
            }
        }
        nextTransientNumber += 1
        let name = query.plan.sources.first ?? "QUERY"
        let transient = TransientQuery(
            id: "transient_\(name)_\(String(UInt64(bitPattern: time.wallMs), radix: 36))\(nextTransientNumber)", statement: statement.text, isPush: isPush,
            fields: query.fields, keyFlags: query.keyFlags, limit: query.plan.limit)
        transients[transient.id] = transient
        let watch = isPush ? watcher.watch(topics) { [weak transient] in transient?.wake() } : nil
        let work = TransientQuery.Work(
            plan: query.plan, sources: sources, tables: tables, models: try sessions(query.plan.models), schemas: registry, logger: logger)
        transient.start(work) { [self] in
            if let watch { watcher.forget(watch) }
            Task { await forget(transient.id) }
        }
        return transient
    }

    private func forget(_ id: String) { transients[id] = nil }
}
