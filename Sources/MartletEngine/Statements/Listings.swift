import MartletColumns
import MartletCore
import MartletLog
import MartletModels
import MartletSQL

/// SHOW and LIST.
extension Engine {
    func list(_ listing: Statement.Listing, _ statement: Statement, _ session: Session) throws(MartletError) -> JSONObject {
        func answer(_ type: String, _ members: [(String, JSONValue)]) -> JSONObject {
            var object: JSONObject = ["@type": .string(type), "statementText": .string(statement.text)]
            for (name, value) in members { object[name] = value }
            object["warnings"] = []
            return object
        }
        switch listing {
        case .streams(let extended):
            if extended { return describeAll(.stream, extended: true, statement) }
            return answer("streams", [("streams", .array(sources(.stream).map(Self.summary)))])
        case .tables(let extended):
            if extended { return describeAll(.table, extended: true, statement) }
            return answer("tables", [("tables", .array(sources(.table).map(Self.summary)))])
        case .topics(let all, let extended):
            let shown = log.topics.filter { all || !($0.isInternal || $0.name.hasPrefix("_")) }.sorted { $0.name < $1.name }
            return answer(
                extended ? "kafka_topics_extended" : "kafka_topics",
                [
                    (
                        "topics",
                        .array(
                            shown.map { topic in
                                var entry: JSONObject = [
                                    "name": .string(topic.name),
                                    "replicaInfo": .array([JSONValue](repeating: 1, count: Int(topic.partitions))),
                                ]
                                if extended {
                                    let groups = log.groupOffsets.groups.filter { group in
                                        log.groupOffsets.all(group: group).keys.contains { $0.topic == topic.name }
                                    }
                                    entry["consumerCount"] = .int(groups.count)
                                    entry["consumerGroupCount"] = .int(groups.count)
                                }
                                return .object(entry)
                            })
                    )
                ])
        case .queries(let extended):
            if extended {
                return answer(
                    "query_descriptions", [("queryDescriptions", .array(runningQueries.map { .object(queryDescription($0)) }))])
            }
            return answer("queries", [("queries", .array(runningQueries.map(Self.summary) + transients.values.map(Self.summary)))])
        case .functions:
            let registry = FunctionRegistry.builtin
            return answer(
                "function_names",
                [
                    (
                        "functions",
                        .array(
                            (registry.scalars + registry.aggregates + registry.tables).sorted { $0.name < $1.name }.map {
                                ["name": .string($0.name), "type": .string($0.kind.rawValue), "category": .string($0.category)]
                            })
                    )
                ])
        case .types:
            return answer(
                "type_list",
                [("types", .object(JSONObject(catalog.types.sorted { $0.key < $1.key }.map { .init($0.key, Self.schema($0.value)) })))])
        case .variables:
            return answer(
                "variables",
                [
                    (
                        "variables",
                        .array(
                            session.variables.sorted { $0.key < $1.key }.map { ["name": .string($0.key), "value": .string($0.value)] })
                    )
                ])
        case .properties:
            let overwritten = session.properties.filter { config.properties[$0.key] != $0.value }.keys.sorted()
            return answer(
                "properties",
                [
                    (
                        "properties",
                        .array(
                            Settings.all.map { setting in
                                [
                                    "name": .string(setting.name), "scope": .string(setting.scope),
                                    "value": .string(session.properties[setting.name] ?? setting.defaultValue), "editable": .bool(setting.isEditable),
                                    "level": "SERVER",
                                ]
                            })
                    ), ("overwrittenProperties", .array(overwritten.map { .string($0) })),
                    ("defaultProperties", .array(Settings.all.filter { session.properties[$0.name] == nil }.map { .string($0.name) })),
                ])
        case .models:
            return answer("models", [("models", .array(models.list().map { .object(Self.summary($0)) }))])
        case .connectors, .connectorPlugins:
            throw MartletError(.notSupported, "connectors are not supported by this release", at: statement.span)
        }
    }

    private func sources(_ kind: Statement.SourceKind) -> [Source] {
        catalog.sources.values.filter { $0.kind == kind }.sorted { $0.name < $1.name }
    }

    static func summary(_ source: Source) -> JSONValue {
        [
            "type": .string(source.kind.rawValue), "name": .string(source.name), "topic": .string(source.topic),
            "keyFormat": .string(source.keyFormat.kind.rawValue), "valueFormat": .string(source.valueFormat.kind.rawValue),
            "isWindowed": .bool(source.window != nil),
        ]
    }

    private static func summary(_ query: RunningQuery) -> JSONValue {
        [
            "queryString": .string(query.statement), "sinks": [.string(query.sink.name)], "sinkKafkaTopics": [.string(query.sink.topic)],
            "id": .string(query.id), "statusCount": .object([query.state.rawValue: 1]), "queryType": "PERSISTENT",
            "state": .string(query.state.rawValue),
        ]
    }

    private static func summary(_ query: TransientQuery) -> JSONValue {
        [
            "queryString": .string(query.statement), "sinks": [], "sinkKafkaTopics": [], "id": .string(query.id),
            "statusCount": ["RUNNING": 1], "queryType": .string(query.isPush ? "PUSH" : "PULL"), "state": "RUNNING",
        ]
    }
}
