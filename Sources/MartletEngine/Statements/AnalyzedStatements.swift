import Logging
import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// Statements that the analyzer checks against the catalog: CREATE, CREATE … AS, INSERT, ALTER, DROP, types.
extension Engine {
    func executeAnalyzed(_ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject? {
        let inferred = InferenceRecorder()
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: inferred)).analyze(statement)
        switch analyzed {
        case .insertValues(let insert):
            try insertRow(insert)
            return nil
        case .deleteRows(let delete):
            try deleteRows(delete)
            return nil
        case .nothingToDo(let message):
            return entity(statement, commandID: commandID(statement), message: message, sequence: -1)
        case .transientQuery, .other:
            throw MartletError(.notSupported, "\(statement.kindName) is not supported by this release", at: statement.span)
        default: break
        }
        try prepare(analyzed)
        let command = Command(
            statement: statement.text, properties: session.properties, number: nextQueryNumber, inferences: inferred.inferences)
        let sequence = try commandLog.append(command)
        let (message, queryID) = try apply(analyzed, statement, session)
        var warnings: [String] = []
        switch analyzed {
        case .createSource(let source): warnings = source.warnings
        case .persistentQuery(let query): warnings = query.warnings
        default: break
        }
        return entity(
            statement, commandID: commandID(statement), message: message, queryID: queryID, sequence: sequence, warnings: warnings)
    }

    /// Applies a command of the log at start: the world outside is as it was left.
    func replay(_ command: Command, offset: Int64) throws(MartletError) {
        nextQueryNumber = command.number
        let session = Session(properties: command.properties, variables: [:])
        let statement = try Parser.parse(command.statement)[0]
        switch statement.node {
        case .terminate(let id):
            for query in try persistent(id, at: statement.span) { stopQuery(query) }
            return
        case .pause(let id):
            for query in try persistent(id, at: statement.span) { query.pause() }
            return
        case .resume(let id):
            for query in try persistent(id, at: statement.span) { query.resume() }
            return
        default: break
        }
        let inferred = InferenceRecorder(replaying: command.inferences)
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: inferred)).analyze(statement)
        let (message, queryID) = try apply(analyzed, statement, session)
        _ = entity(statement, commandID: commandID(statement), message: message, queryID: queryID, sequence: offset)
    }

    /// What has to exist before the command is logged: topics, registered schemas, committed start offsets. All of it is harmless if the
    /// command never comes to be.
    private func prepare(_ analyzed: AnalyzedStatement) throws(MartletError) {
        switch analyzed {
        case .createSource(let source):
            try createTopicIfMissing(
                source.source.topic, partitions: source.partitions, retentionMs: source.retentionMs, isTable: source.source.kind == .table)
            if source.source.createdBy == nil, source.partitions != nil { try registry.registerSchemas(of: source.source, keepsExisting: true) }
        case .persistentQuery(let query):
            try checkWritable(query.sink.topic)
            if !query.isInsert {
                let partitions: Int32
                if let given = query.partitions {
                    partitions = given
                } else {
                    partitions = query.plan.sources.first.flatMap { catalog.sources[$0] }.flatMap { log.topic($0.topic)?.partitions } ?? 1
                }
                try createTopicIfMissing(
                    query.sink.topic, partitions: partitions, retentionMs: query.retentionMs, isTable: query.sink.kind == .table)
                try registry.registerSchemas(of: query.sink)
            }
        default: break
        }
    }

    /// A statement may read the topics that hold the system's own state, but not write them.
    func checkWritable(_ topic: String) throws(MartletError) {
        guard log.topic(topic)?.isInternal == true || topic == CommandLog.topic(serviceID: config.serviceID) else { return }
        throw MartletError(.badStatement, "Cannot insert into the reserved internal topic: \(topic)")
    }

    func createTopicIfMissing(_ topic: String, partitions: Int32?, retentionMs: Int64?, isTable: Bool) throws(MartletError) {
        if log.topic(topic) != nil { return }
        guard let partitions else {
            throw MartletError(
                .badStatement,
                "Topic '\(topic)' does not exist. If you want to create a new topic for the stream/table please re-run the statement providing the required 'PARTITIONS' configuration in the WITH clause (and optionally 'REPLICAS')."
            )
        }
        var settings: [String: String] = [:]
        if isTable { settings["cleanup.policy"] = "compact" }
        if let retentionMs { settings["retention.ms"] = String(retentionMs) }
        try log.createTopic(topic, partitions: partitions, settings: settings)
    }

    /// Makes the change visible and starts or stops what it concerns.
    private func apply(
        _ analyzed: AnalyzedStatement, _ statement: Statement, _ session: Session
    ) throws(MartletError) -> (message: String, queryID: String?) {
        let before = catalog
        if case .persistentQuery(let query) = analyzed, query.orReplace,
            let old = queries[query.queryID] ?? catalog.writers(of: query.sink.name).first.flatMap({ queries[$0] })
        {
            stopQuery(old, successor: old.id == query.queryID ? query.plan : nil)
        }
        catalog.apply(analyzed, of: statement)
        switch analyzed {
        case .createSource(let source):
            nextQueryNumber += 1
            return (source.source.kind == .stream ? "Stream created" : "Table created", nil)
        case .persistentQuery(let query):
            nextQueryNumber += 1
            startQuery(query, statement, properties: session.properties, fromLatest: session.properties["auto.offset.reset"] != "earliest")
            return ("Created query with ID \(query.queryID)", query.queryID)
        case .alterSource(let source):
            return ("\(source.kind == .stream ? "Stream" : "Table") \(source.name) altered.", nil)
        case .dropSource(let name, let deleteTopic):
            guard let source = before.sources[name] else { return ("", nil) }
            for id in before.queries.filter({ $0.value.sink == name && !$0.key.hasPrefix("INSERTQUERY") }).keys {
                if let query = queries[id] { stopQuery(query) }
            }
            if deleteTopic, !isReplaying, log.topic(source.topic) != nil {
                try log.deleteTopic(source.topic)
                registry.deleteSubject("\(source.topic)-key", permanently: false)
                registry.deleteSubject("\(source.topic)-value", permanently: false)
            }
            return ("Source `\(name)` (topic: \(source.topic)) was dropped.", nil)
        case .createType(let name, let type):
            return ("Registered custom type with name '\(name)' and SQL type \(type)", nil)
        case .dropType(let name):
            return ("Dropped type '\(name)'", nil)
        case .nothingToDo(let message): return (message, nil)
        case .transientQuery, .insertValues, .deleteRows, .other:
            throw MartletError(.internalError, "\(statement.kindName) is not a change of the catalog")
        }
    }

    // MARK: - Queries

    private func startQuery(_ analyzed: AnalyzedQuery, _ statement: Statement, properties: [String: String], fromLatest: Bool) {
        let query = RunningQuery(
            id: analyzed.queryID, statement: statement.text, sink: analyzed.sink, plan: analyzed.plan, properties: properties, serviceID: config.serviceID)
        queries[query.id] = query
        // At start a later command may pause or end it.
        if !isReplaying { begin(query, fromLatest: fromLatest) }
    }

    /// Puts a query's tasks on threads; one that cannot start is there in state ERROR with its reason.
    func begin(_ query: RunningQuery, fromLatest: Bool) {
        let found = shapes(of: query)
        // What the launch made itself is no change.
        defer { topicsOfQueries[query.id] = shapes(of: query).merging(found) { $1 } }
        do {
            try launch(query, fromLatest: fromLatest)
        } catch {
            query.fail(error)
            logger.error("query cannot start", metadata: ["query": "\(query.id)", "error": "\(error)"])
        }
    }

    private func launch(_ query: RunningQuery, fromLatest: Bool) throws(MartletError) {
        var topics: Set<String> = []
        var factories: [StreamThread.TaskFactory] = []
        for stage in query.plan.stages {
            // The leaves that each topic feeds; a topic at several is read once.
            var leaves: [(topic: String, isInternal: Bool, leaves: [Int])] = []
            for (leaf, input) in stage.inputs.enumerated() {
                let topic: String, isInternal: Bool
                switch input.topic {
                case .source(_, let name): (topic, isInternal) = (name, false)
                case .repartition(let step): (topic, isInternal) = (query.repartitionTopic(step: step), true)
                }
                if let known = leaves.firstIndex(where: { $0.topic == topic }) {
                    leaves[known].leaves.append(leaf)
                } else {
                    leaves.append((topic, isInternal, [leaf]))
                }
                topics.insert(topic)
            }
            let partitions = try partitionCount(of: leaves.map(\.topic))
            let sink = try sinkDescription(stage.output, query)
            let sinkPartitions = try partitionLogs(of: sink.topic)
            let setup = OperatorSetup(
                models: try sessions(query.plan.models), emitsEveryUpdate: query.emitsEveryUpdate, isPersistent: true,
                copiesTables: stateDirectory != nil, properties: query.properties)
            let changelogs = try changelogTopics(stage, query, setup, partitions: partitions)
            var topicIDs: [String: [UInt8]] = [:]
            for topic in changelogs.values + leaves.map(\.topic) { topicIDs[topic] = log.topic(topic)?.topicID }
            for partition in 0..<partitions {
                var sources: [(log: PartitionLog, leaves: [Int])] = []
                for (topic, isInternal, leaves) in leaves {
                    guard let source = log.partition(TopicPartition(topic, partition)) else {
                        throw MartletError(.unknownSource, "topic \(topic) has no partition \(partition)")
                    }
                    // A table that is looked up is there from its beginning.
                    let isTable = leaves.contains { stage.inputs[$0].kind == .table }
                    try settleStart(source, of: query, latest: fromLatest && !isInternal && !isTable)
                    sources.append((source, leaves))
                }
                let offsets = log.groupOffsets, schemas = registry
                let stores = changelogs.compactMapValues { log.partition(TopicPartition($0, partition)) }
                factories.append(
                    StreamThread.TaskFactory(query: query) { [sources, topicIDs, time, stateDirectory] () throws(MartletError) in
                        try StreamTask(
                            query: query, stage: stage, partition: partition,
                            sources: sources.map { source, leaves in
                                let committed = offsets.committed(group: query.consumerGroup, source.id)?.offset ?? source.startOffset
                                return StreamTask.Source(log: source, position: max(committed, source.startOffset), leaves: leaves)
                            },
                            changelogs: { store throws(MartletError) in
                                guard let log = stores[store.name] else {
                                    throw MartletError(.internalError, "the state \(store.name) has no changelog")
                                }
                                let index = topicIDs[log.id.topic].flatMap { stateDirectory?.index(of: store, query: query.id, log: log, topicID: $0) }
                                return Changelog(store, log, directory: stateDirectory, index: index, time: time)
                            },
                            copies: { store, reader, source in
                                let index = topicIDs[source.log.id.topic].flatMap {
                                    stateDirectory?.index(of: store, query: query.id, log: source.log, topicID: $0, position: source.position)
                                }
                                return TableCopy(store, reader: reader, directory: stateDirectory, index: index)
                            }, sink: SinkWriter(sink.description, partitions: sinkPartitions), setup: setup, schemas: schemas)
                    })
            }
        }
        var used: Set<Int> = []
        for factory in factories {
            let i = threads.indices.min { threads[$0].taskCount < threads[$1].taskCount }!
            threads[i].add(factory)
            used.insert(i)
        }
        watches[query.id] = used.map { i in
            let thread = threads[i]
            return watcher.watch(topics) { thread.wake() }
        }
        for i in used { threads[i].wake() }
    }

    /// Where a query starts is settled once, at its creation: from then on its committed offsets tell.
    private func settleStart(_ source: PartitionLog, of query: RunningQuery, latest: Bool) throws(MartletError) {
        if log.groupOffsets.committed(group: query.consumerGroup, source.id) != nil { return }
        let offset = latest ? source.lastStableOffset : source.startOffset
        do throws(KafkaError) {
            try log.groupOffsets.commit(group: query.consumerGroup, [source.id: CommittedOffset(offset: offset)])
        } catch {
            throw MartletError(.io, "cannot commit the start offset of \(query.id): \(error.message)")
        }
    }

    /// Topics that are read together have equal numbers of partitions.
    private func partitionCount(of topics: [String]) throws(MartletError) -> Int32 {
        var first: (topic: String, partitions: Int32)?
        for topic in topics {
            guard let partitions = log.topic(topic)?.partitions else { throw MartletError(.unknownSource, "topic \(topic) does not exist") }
            if let first, first.partitions != partitions {
                throw MartletError(
                    .badStatement,
                    "Can't join \(first.topic) with \(topic) since the number of partitions don't match. \(first.topic) partitions = \(first.partitions); \(topic) partitions = \(partitions). Please repartition either one so that the number of partitions match."
                )
            }
            if first == nil { first = (topic, partitions) }
        }
        return first?.partitions ?? 0
    }

    /// The changelog topic of each store of a stage, by the store's name; made if it is not there.
    private func changelogTopics(
        _ stage: PhysicalPlan.Stage, _ query: RunningQuery, _ setup: OperatorSetup, partitions: Int32
    ) throws(MartletError) -> [String: String] {
        var topics: [String: String] = [:]
        for store in try OperatorTree(stage.root, setup: setup).stores {
            let topic = query.changelogTopic(store: store.name)
            topics[store.name] = topic
            if log.topic(topic) != nil { continue }
            var settings = ["cleanup.policy": "compact"]
            // A day more, as in Kafka Streams: rows wait while the program does not run.
            if let retention = store.retentionMs {
                settings = ["cleanup.policy": "compact,delete", "retention.ms": String(retention.addingReportingOverflow(86_400_000).partialValue)]
            }
            try log.createTopic(topic, partitions: partitions, settings: settings)
        }
        return topics
    }

    private func sinkDescription(
        _ output: PhysicalPlan.Output, _ query: RunningQuery
    ) throws(MartletError) -> (topic: String, description: SinkEncoder.Description) {
        switch output {
        case .sink(let sink):
            return (
                sink.topic,
                try SinkEncoder.Description(sink, registry: registry)
            )
        case .repartition(let repartition):
            let topic = query.repartitionTopic(step: repartition.step)
            if log.topic(topic) == nil {
                guard let partitions = log.topic(repartition.partitionsOfTopic)?.partitions else {
                    throw MartletError(.unknownSource, "topic \(repartition.partitionsOfTopic) does not exist")
                }
                try log.createTopic(topic, partitions: partitions, settings: ["cleanup.policy": "delete"])
            }
            return (topic, try SinkEncoder.Description(repartition, topic: topic, registry: registry))
        case .results:
            throw MartletError(.internalError, "a persistent query ends in a topic")
        }
    }

    func partitionLogs(of topic: String) throws(MartletError) -> [PartitionLog] {
        guard let description = log.topic(topic) else { throw MartletError(.unknownSource, "topic \(topic) does not exist") }
        return (0..<description.partitions).compactMap { log.partition(TopicPartition(topic, $0)) }
    }

    /// Deletes the changelogs of a query, but not those that a successor goes on with: where it keeps the same under the same name.
    private func forgetState(_ query: RunningQuery, successor: PhysicalPlan?) {
        let kept = successor?.states ?? [:], own = query.plan.states
        // A copy of a table also depends on what is done with the topic's rows before they are kept: it is made anew.
        let logged = own.keys.filter { kept[$0] == own[$0] && log.topic(query.changelogTopic(store: $0)) != nil }
        stateDirectory?.remove(query: query.id, keeping: Set(logged))
        let prefix = query.changelogTopic(store: "").dropLast("-changelog".count)
        for topic in log.topics where topic.name.hasPrefix(prefix) && topic.name.hasSuffix("-changelog") {
            let store = String(topic.name.dropFirst(prefix.count).dropLast("-changelog".count))
            if let shape = own[store], kept[store] == shape { continue }
            do {
                try log.deleteTopic(topic.name)
            } catch {
                logger.warning("state not deleted", metadata: ["topic": "\(topic.name)", "error": "\(error)"])
            }
        }
    }

    /// Takes a query off its threads, after a last commit, and forgets it; but a `successor` of the same id goes on where it was: from its
    /// offsets, and with what lies in its internal topics where those hold the same.
    func stopQuery(_ query: RunningQuery, successor: PhysicalPlan? = nil) {
        query.terminate()
        halt(query)
        topicsOfQueries[query.id] = nil
        queries[query.id] = nil
        catalog.queries[query.id] = nil
        // At start the internal topics are already those of the last definition.
        if isReplaying { return }
        for stage in query.plan.stages {
            guard case .repartition(let repartition) = stage.output else { continue }
            let topic = query.repartitionTopic(step: repartition.step)
            if successor?.stages.contains(where: { $0.output == stage.output }) == true { continue }
            guard log.topic(topic) != nil else { continue }
            do {
                try log.deleteTopic(topic)
            } catch {
                logger.warning("internal topic not deleted", metadata: ["topic": "\(topic)", "error": "\(error)"])
            }
        }
        forgetState(query, successor: successor)
        if successor != nil { return }
        do {
            try log.groupOffsets.delete(group: query.consumerGroup)
        } catch {
            logger.warning("offsets not deleted", metadata: ["group": "\(query.consumerGroup)", "error": "\(error)"])
        }
    }
}
