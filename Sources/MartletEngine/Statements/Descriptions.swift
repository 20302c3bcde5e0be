import MartletColumns
import MartletCore
import MartletLog
import MartletModels
import MartletSQL

/// DESCRIBE and EXPLAIN.
extension Engine {
    func describe(_ name: Identifier, extended: Bool, _ statement: Statement) throws(MartletError) -> JSONObject {
        guard let source = catalog.sources[name.name] else {
            throw MartletError(
                .unknownSource, "Could not find STREAM/TABLE '\(name.name)' in the Metastore", at: name.span,
                hint: catalog.sources.isEmpty ? "there are no streams or tables yet" : "SHOW STREAMS and SHOW TABLES list what there is")
        }
        return [
            "@type": "sourceDescription", "statementText": .string(statement.text),
            "sourceDescription": .object(description(of: source, extended: extended)), "warnings": [],
        ]
    }

    func describeAll(_ kind: Statement.SourceKind, extended: Bool, _ statement: Statement) -> JSONObject {
        let found = catalog.sources.values.filter { $0.kind == kind }.sorted { $0.name < $1.name }
        return [
            "@type": "source_descriptions", "statementText": .string(statement.text),
            "sourceDescriptions": .array(found.map { .object(description(of: $0, extended: extended)) }), "warnings": [],
        ]
    }

    private func description(of source: Source, extended: Bool) -> JSONObject {
        func brief(_ id: String) -> JSONValue {
            guard let query = queries[id] else { return ["id": .string(id)] }
            return [
                "queryString": .string(query.statement), "sinks": [.string(query.sink.name)], "sinkKafkaTopics": [.string(query.sink.topic)],
                "id": .string(id), "statusCount": .object([query.state.rawValue: 1]), "queryType": "PERSISTENT",
                "state": .string(query.state.rawValue),
            ]
        }
        let topic = log.topic(source.topic)
        var object: JSONObject = [
            "name": .string(source.name), "windowType": source.window.map { .string($0.kind.rawValue) } ?? .null,
            "readQueries": .array(catalog.readers(of: source.name).map(brief)),
            "writeQueries": .array(catalog.writers(of: source.name).map(brief)), "fields": Self.fields(of: source),
            "type": .string(source.kind.rawValue), "timestamp": .string(source.timestamp?.column ?? ""), "statistics": "", "errorStats": "",
            "extended": .bool(extended), "keyFormat": .string(source.keyFormat.kind.rawValue),
            "valueFormat": .string(source.valueFormat.kind.rawValue), "topic": .string(source.topic),
            "partitions": .int(topic?.partitions ?? 0), "replication": 1, "statement": .string(source.statement),
            "queryOffsetSummaries": [], "sourceConstraints": [], "clusterStatistics": [], "clusterErrorStats": [],
        ]
        if extended, let topic {
            var records: Int64 = 0, bytes: Int64 = 0
            for partition in 0..<topic.partitions {
                guard let log = log.partition(TopicPartition(topic.name, partition)) else { continue }
                records += log.endOffset - log.startOffset
                bytes += log.sizeBytes
            }
            let written = catalog.writers(of: source.name).compactMap { queries[$0]?.statistics.snapshot }
            let failed = written.reduce(0) { $0 + $1.rowsFailed }
            object["statistics"] = .string("records: \(records)  bytes: \(bytes)  written by queries: \(written.reduce(0) { $0 + $1.rowsWritten })")
            object["errorStats"] = .string("failed rows: \(failed)")
            object["queryOffsetSummaries"] = .array(
                catalog.writers(of: source.name).compactMap { queries[$0] }.map { query in
                    let offsets = log.groupOffsets.all(group: query.consumerGroup)
                    return [
                        "groupId": .string(query.consumerGroup), "kafkaTopic": .string(source.topic),
                        "offsets": .array(
                            offsets.sorted { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }.map { id, committed in
                                let partition = log.partition(id)
                                return [
                                    "topic": .string(id.topic), "partition": .int(id.partition),
                                    "logStartOffset": .int(partition?.startOffset ?? 0), "logEndOffset": .int(partition?.endOffset ?? 0),
                                    "consumerOffset": .int(committed.offset),
                                ]
                            }),
                    ]
                })
        }
        return object
    }

    func describeFunction(_ name: Identifier, _ statement: Statement) throws(MartletError) -> JSONObject {
        let found = FunctionRegistry.builtin.function(named: name.name)
        guard let found else {
            throw MartletError(.unknownFunction, "Can't find any functions with the name '\(name.name)'", at: name.span, hint: "SHOW FUNCTIONS lists them")
        }
        return [
            "@type": "describe_function", "statementText": .string(statement.text), "name": .string(found.name),
            "description": .string(found.description), "author": "Martlet", "version": "", "path": "internal",
            "functions": .array(
                found.signatures.map { signature in
                    [
                        "arguments": .array(
                            signature.parameters.map {
                                [
                                    "name": .string($0.name), "type": .string("\($0.type)"), "description": "",
                                    "isVariadic": .bool($0.isVariadic),
                                ]
                            }), "returnType": .string("\(signature.returns)"), "description": .string(signature.summary),
                    ]
                }), "type": .string(found.kind.rawValue), "warnings": [],
        ]
    }

    // MARK: - EXPLAIN

    func explain(_ id: Identifier, _ statement: Statement) throws(MartletError) -> JSONObject {
        guard let query = queries[id.name] ?? queries[id.name.uppercased()] else {
            var error = unknownQuery(id)
            error.message = "Query with id:\(id.name) does not exist, use SHOW QUERIES to view the full set of queries."
            throw error
        }
        return [
            "@type": "queryDescription", "statementText": .string(statement.text), "queryDescription": .object(queryDescription(query)),
            "warnings": [],
        ]
    }

    func explain(_ inner: Statement, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        let analyzed = try Analyzer(catalog: catalog, context: analysisContext(session, inferred: InferenceRecorder())).analyze(inner)
        let plan: PhysicalPlan, fields: [Field], sinks: [String], type: String
        switch analyzed {
        case .persistentQuery(let query): (plan, fields, sinks, type) = (query.plan, query.sink.schema.all, [query.sink.name], "PERSISTENT")
        case .transientQuery(let query): (plan, fields, sinks, type) = (query.plan, query.fields, [], query.kind == .push ? "PUSH" : "PULL")
        default:
            throw MartletError(.badStatement, "The provided statement does not run a ksql query", at: inner.span, hint: "EXPLAIN takes a query id or a SELECT, CREATE … AS or INSERT INTO statement")
        }
        let description: JSONObject = [
            "id": "", "statementText": .string(inner.text), "windowType": nil,
            "fields": .array(fields.map { ["name": .string($0.name), "schema": Self.schema($0.type)] }),
            "sources": .array(plan.sources.map { .string($0) }), "sinks": .array(sinks.map { .string($0) }), "topology": .string(""),
            "executionPlan": .string(Explain.text(plan)), "overriddenProperties": [:], "ksqlHostQueryStatus": [:], "queryType": .string(type),
            "queryErrors": [], "tasksMetadata": [], "consumerGroupId": "", "state": nil,
        ]
        return ["@type": "queryDescription", "statementText": .string(statement.text), "queryDescription": .object(description), "warnings": []]
    }

    func queryDescription(_ query: RunningQuery) -> JSONObject {
        let statistics = query.statistics.snapshot
        return [
            "id": .string(query.id), "statementText": .string(query.statement), "windowType": nil, "fields": Self.fields(of: query.sink),
            "sources": .array(query.plan.sources.map { .string($0) }), "sinks": [.string(query.sink.name)],
            "topology": .string(""), "executionPlan": .string(Explain.text(query.plan)), "overriddenProperties": [:],
            "ksqlHostQueryStatus": .object([query.id: .string(query.state.rawValue)]), "queryType": "PERSISTENT",
            "queryErrors": query.error.map { error in
                [["timestamp": .int(time.wallMs), "errorMessage": .string(error.message), "type": .string(error.code.actor == .user ? "USER" : "SYSTEM")]]
            } ?? [],
            "tasksMetadata": [], "consumerGroupId": .string(query.consumerGroup), "state": .string(query.state.rawValue),
            "statistics": [
                "rowsRead": .int(statistics.rowsRead), "rowsWritten": .int(statistics.rowsWritten), "rowsFailed": .int(statistics.rowsFailed),
                "commits": .int(statistics.commits),
            ],
        ]
    }

    func unknownQuery(_ id: Identifier) -> MartletError {
        MartletError(
            .badStatement, "Unknown queryId: \(id.name)", at: id.span,
            hint: queries.isEmpty ? "no query is running" : "queries are \(queries.keys.sorted().joined(separator: ", "))")
    }
}
