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

    func startTransient(_ statement: Statement, _ session: Session) throws(MartletError) -> TransientQuery {
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: InferenceRecorder())).analyze(statement)
        guard case .transientQuery(let query) = analyzed else {
            throw MartletError(.notSupported, "this query is not supported by this release", at: statement.span)
        }
        try checkRoom(isPush: query.kind == .push, for: statement)
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
        let models = try sessions(query.plan.models)
        transients[transient.id] = transient
        let watch = isPush ? watcher.watch(topics) { [weak transient] in transient?.wake() } : nil
        let work = TransientQuery.Work(
            plan: query.plan, sources: sources, partitions: { [log] in log.partitions(of: topic) }, tables: tables, models: models, schemas: registry, logger: logger)
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

    private func forget(_ id: String) { transients[id] = nil }
}
