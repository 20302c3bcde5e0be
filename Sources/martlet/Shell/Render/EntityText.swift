import MartletCore

/// The entities that `/ksql` answers (ksqlDB REST API, "Run SQL statements") as text for people: one function an `@type`, in the table `text`.
///
/// Members that are missing, because the server is another one, leave their cell empty.
struct EntityText {
    /// Of the terminal; nil = nothing is wrapped.
    var width: Int?
    var style: Style

    func text(_ entity: JSONObject) -> String { content(entity) + warnings(entity) }

    private func content(_ entity: JSONObject) -> String {
        switch entity["@type"]?.stringValue {
        case "currentStatus": status(entity)
        case "streams": sources(entity["streams"], "Stream")
        case "tables": sources(entity["tables"], "Table")
        case "kafka_topics": topics(entity, extended: false)
        case "kafka_topics_extended": topics(entity, extended: true)
        case "queries": queries(entity)
        case "function_names": functions(entity)
        case "describe_function": function(entity)
        case "type_list": types(entity)
        case "variables": variables(entity)
        case "properties": properties(entity)
        case "models": models(entity)
        case "modelDescription": (entity["modelDescription"]?.objectValue).map(model) ?? unknown(entity)
        case "sourceDescription": (entity["sourceDescription"]?.objectValue).map(source) ?? unknown(entity)
        case "source_descriptions": each(entity["sourceDescriptions"], source, none: "There are no such streams or tables.")
        case "queryDescription": (entity["queryDescription"]?.objectValue).map(query) ?? unknown(entity)
        case "query_descriptions": each(entity["queryDescriptions"], query, none: "No query is running.")
        case "executionPlan": string(entity["executionPlanText"]) + "\n"
        case "terminate_query": terminated(entity)
        case "assert_topic": "Topic \(string(entity["topicName"])) \(exists(entity)).\n"
        case "assert_schema": assertedSchema(entity)
        case "warning_entity": style.paint(.yellow, "warning:") + " \(string(entity["message"]))\n"
        case "drop_connector": "Dropped connector \(string(entity["connectorName"])).\n"
        default: unknown(entity)
        }
    }

    private func warnings(_ entity: JSONObject) -> String {
        (entity["warnings"]?.arrayValue ?? []).map { style.paint(.yellow, "warning:") + " \(string($0["message"]))\n" }.joined()
    }

    // MARK: - Parts

    func string(_ value: JSONValue?) -> String {
        guard let value, !value.isNull else { return "" }
        return CellText.text(value)
    }

    func list(_ value: JSONValue?) -> String { (value?.arrayValue ?? []).map { string($0) }.joined(separator: ", ") }

    func objects(_ value: JSONValue?) -> [JSONObject] { (value?.arrayValue ?? []).compactMap(\.objectValue) }

    /// `name : value` lines, names aligned; those without a value are left out.
    func facts(_ pairs: [(String, String)]) -> String {
        let shown = pairs.filter { !$0.1.isEmpty }
        let wide = shown.reduce(0) { max($0, $1.0.count) }
        return shown.map { name, value in
            let lines = width.map { CellText.wrapped(value, max($0 - wide - 3, 20)) } ?? value.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            return CellText.padded(name, wide) + " : " + lines.joined(separator: "\n" + String(repeating: " ", count: wide + 3)) + "\n"
        }.joined()
    }

    /// A type of an entity's schema object: `STRUCT<A INTEGER, B ARRAY<STRING>>`.
    func type(_ schema: JSONValue?) -> String {
        guard let schema, let name = schema["type"]?.stringValue else { return string(schema) }
        switch name {
        case "ARRAY": return "ARRAY<\(type(schema["memberSchema"]))>"
        case "MAP": return "MAP<STRING, \(type(schema["memberSchema"]))>"
        case "STRUCT":
            return "STRUCT<" + objects(schema["fields"]).map { "\(string($0["name"])) \(type($0["schema"]))" }.joined(separator: ", ") + ">"
        case "DECIMAL":
            guard let parameters = schema["parameters"], !parameters.isNull else { return name }
            return "DECIMAL(\(string(parameters["precision"])), \(string(parameters["scale"])))"
        default: return name
        }
    }

    private func unknown(_ entity: JSONObject) -> String {
        let shown = JSONObject(entity.members.filter { !["statementText", "warnings"].contains($0.name) })
        return CellText.printable(JSONValue.object(shown).pretty()) + "\n"
    }

    private func each(_ values: JSONValue?, _ text: (JSONObject) -> String, none: String) -> String {
        let all = objects(values)
        return all.isEmpty ? none + "\n" : all.map(text).joined(separator: "\n")
    }

    // MARK: - Answers of one line

    private func status(_ entity: JSONObject) -> String {
        let status = entity["commandStatus"], message = string(status?["message"])
        if status?["status"]?.stringValue == "ERROR" { return style.paint(.red, "error:") + " \(message)\n" }
        let id = string(status?["queryId"])
        return message + (id.isEmpty || message.contains(id) ? "" : "\nQuery: \(id)") + "\n"
    }

    private func exists(_ entity: JSONObject) -> String { entity["exists"]?.boolValue == false ? "does not exist" : "exists" }

    private func assertedSchema(_ entity: JSONObject) -> String {
        let subject = string(entity["subject"]), id = string(entity["id"])
        let what = [subject.isEmpty ? "" : "subject \(subject)", id.isEmpty ? "" : "id \(id)"].filter { !$0.isEmpty }
        return "Schema with \(what.joined(separator: " and ")) \(exists(entity)).\n"
    }

    private func terminated(_ entity: JSONObject) -> String {
        entity["wasTerminated"]?.boolValue == false
            ? "Query \(string(entity["queryId"])) had ended already.\n" : "Query \(string(entity["queryId"])) terminated.\n"
    }

    // MARK: - Lists

    /// A table, or a sentence if it has no rows.
    private func table(_ table: TextTable, none: String) -> String { table.rows.isEmpty ? none + "\n" : table.rendered(width: width) }

    private func sources(_ value: JSONValue?, _ kind: String) -> String {
        var out = TextTable("\(kind) Name", "Kafka Topic", "Key Format", "Value Format", "Windowed")
        for source in objects(value) {
            out.add(string(source["name"]), string(source["topic"]), string(source["keyFormat"]), string(source["valueFormat"]), string(source["isWindowed"]))
        }
        return table(out, none: "There are no \(kind.lowercased())s. CREATE \(kind.uppercased()) makes one.")
    }

    private func topics(_ entity: JSONObject, extended: Bool) -> String {
        var columns = [TextTable.Column("Kafka Topic"), .init("Partitions", isNumber: true), .init("Replicas", isNumber: true)]
        if extended { columns += [.init("Consumers", isNumber: true), .init("Consumer Groups", isNumber: true)] }
        var out = TextTable(columns)
        for topic in objects(entity["topics"]) {
            let replicas = (topic["replicaInfo"]?.arrayValue ?? []).map { string($0) }
            let shown = Set(replicas).count == 1 ? replicas[0] : replicas.joined(separator: ", ")
            out.rows.append(
                [string(topic["name"]), String(replicas.count), shown]
                    + (extended ? [string(topic["consumerCount"]), string(topic["consumerGroupCount"])] : []))
        }
        return table(out, none: "There are no topics.")
    }

    private func queries(_ entity: JSONObject) -> String {
        var out = TextTable([
            .init("Query ID", overflow: .whole), .init("Query Type"), .init("Status"), .init("Sink Name"), .init("Sink Kafka Topic", isOptional: true),
            .init("Query String", overflow: .clip),
        ])
        for query in objects(entity["queries"]) { out.rows.append(queryRow(query)) }
        return table(out, none: "No query is running.") + (out.rows.isEmpty ? "" : "EXPLAIN <Query ID>; shows a query's statement, plan and state.\n")
    }

    func queryRow(_ query: JSONObject) -> [String] {
        let counts = (query["statusCount"]?.objectValue?.members ?? []).map { "\($0.name):\(string($0.value))" }.joined(separator: ", ")
        return [
            string(query["id"]), string(query["queryType"]), counts.isEmpty ? string(query["state"]) : counts, list(query["sinks"]),
            list(query["sinkKafkaTopics"]), string(query["queryString"]).split(whereSeparator: \.isWhitespace).joined(separator: " "),
        ]
    }

    private func functions(_ entity: JSONObject) -> String {
        var out = TextTable("Function Name", "Type", "Category")
        for function in objects(entity["functions"]) { out.add(string(function["name"]), string(function["type"]), string(function["category"])) }
        return table(out, none: "There are no functions.") + "DESCRIBE FUNCTION <name>; shows a function's arguments.\n"
    }

    private func types(_ entity: JSONObject) -> String {
        var out = TextTable("Type Name", "Schema")
        for member in entity["types"]?.objectValue?.members ?? [] { out.add(CellText.printable(member.name), type(member.value)) }
        return table(out, none: "There are no types. CREATE TYPE makes one.")
    }

    private func variables(_ entity: JSONObject) -> String {
        var out = TextTable("Variable Name", "Value")
        for variable in objects(entity["variables"]) { out.add(string(variable["name"]), string(variable["value"])) }
        return table(out, none: "There are no variables. DEFINE name = 'value'; makes one.")
    }

    private func properties(_ entity: JSONObject) -> String {
        let session = Set((entity["overwrittenProperties"]?.arrayValue ?? []).map { string($0) })
        var out = TextTable("Property", "Value", "Set By", "Editable")
        for property in objects(entity["properties"]) {
            let name = string(property["name"])
            out.add(name, string(property["value"]), session.contains(name) ? "SESSION" : string(property["level"]), string(property["editable"]))
        }
        return table(out, none: "There are no properties.")
    }

    private func models(_ entity: JSONObject) -> String {
        var out = TextTable("Model Name", "Version", "Input", "Output", "Rows Scored", "Errors", "Source", numbers: ["Version", "Rows Scored", "Errors"])
        for model in objects(entity["models"]) {
            let use = model["statistics"]
            out.add(
                string(model["name"]), string(model["version"]), inputSummary(model), type(model["output"]), string(use?["rows"]), string(use?["errors"]),
                string(model["source"]))
        }
        return table(out, none: "There are no models. CREATE MODEL name WITH ('path'='model.onnx'); makes one.")
    }

    /// `30 × DOUBLE`, or the types one by one.
    func inputSummary(_ model: JSONObject) -> String {
        let types = objects(model["inputs"]).map { type($0["schema"]) }
        return types.count > 3 && Set(types).count == 1 ? "\(types.count) × \(types[0])" : types.joined(separator: ", ")
    }
}
