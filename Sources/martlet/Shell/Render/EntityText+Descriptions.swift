import MartletCore

/// DESCRIBE and EXPLAIN: facts, then tables.
extension EntityText {
    func source(_ source: JSONObject) -> String {
        let isTable = source["type"]?.stringValue == "TABLE"
        let name = string(source["name"])
        guard source["extended"]?.boolValue == true else {
            return facts([("Name", name)]) + fields(source["fields"], isTable: isTable)
                + "DESCRIBE \(name) EXTENDED; shows formats, topic, queries and statistics.\n"
        }
        var out = facts([
            ("Name", name), ("Type", string(source["type"])), ("Window Type", string(source["windowType"])),
            ("Timestamp Field", string(source["timestamp"])), ("Key Format", string(source["keyFormat"])),
            ("Value Format", string(source["valueFormat"])),
            ("Kafka Topic", "\(string(source["topic"])) (partitions: \(string(source["partitions"])), replication: \(string(source["replication"])))"),
            ("Statement", string(source["statement"])), ("Constraints", list(source["sourceConstraints"])),
        ])
        out += "\n" + fields(source["fields"], isTable: isTable)
        out += queries(source["readQueries"], "Queries that read from this \(isTable ? "table" : "stream")")
        out += queries(source["writeQueries"], "Queries that write to this \(isTable ? "table" : "stream")")
        let statistics = facts([("Statistics", string(source["statistics"])), ("Errors", string(source["errorStats"]))])
        if !statistics.isEmpty { out += "\n" + statistics }
        for group in objects(source["queryOffsetSummaries"]) { out += offsets(group) }
        return out
    }

    func fields(_ value: JSONValue?, isTable: Bool) -> String {
        var table = TextTable("Field", "Type")
        for field in objects(value) {
            let role =
                switch field["type"]?.stringValue {
                case "KEY": isTable ? "  (primary key)" : "  (key)"
                case "HEADER": field["headerKey"].map { "  (header('\(string($0))'))" } ?? "  (headers)"
                case "SYSTEM": "  (system)"
                default: ""
                }
            table.add(string(field["name"]), type(field["schema"]) + role)
        }
        return table.rows.isEmpty ? "" : table.rendered(width: width)
    }

    private func queries(_ value: JSONValue?, _ title: String) -> String {
        let all = objects(value)
        if all.isEmpty { return "" }
        return "\n\(title):\n"
            + all.map { query in
                let row = queryRow(query)
                return "  " + [row[0], row[2].isEmpty ? "" : "(\(row[2]))", row[5]].filter { !$0.isEmpty }.joined(separator: " ") + "\n"
            }.joined()
    }

    private func offsets(_ group: JSONObject) -> String {
        var table = TextTable(
            "Topic", "Partition", "Start Offset", "End Offset", "Offset", "Lag", numbers: ["Partition", "Start Offset", "End Offset", "Offset", "Lag"])
        for partition in objects(group["offsets"]) {
            let end = partition["logEndOffset"]?.intValue, at = partition["consumerOffset"]?.intValue
            var lag = ""
            if let end, let at { lag = String(end - at) }
            table.add(
                string(partition["topic"] ?? group["kafkaTopic"]), string(partition["partition"]), string(partition["logStartOffset"]),
                string(partition["logEndOffset"]), string(partition["consumerOffset"]), lag)
        }
        return "\nConsumer group \(string(group["groupId"])):\n" + (table.rows.isEmpty ? "  nothing committed yet\n" : table.rendered(width: width))
    }

    func query(_ query: JSONObject) -> String {
        var rows = ""
        if let counts = query["statistics"]?.objectValue {
            rows = "\(string(counts["rowsRead"])) read, \(string(counts["rowsWritten"])) written, \(string(counts["rowsFailed"])) failed; \(string(counts["commits"])) commits"
        }
        var out = facts([
            ("ID", string(query["id"])), ("Type", string(query["queryType"])), ("State", string(query["state"])),
            ("Statement", string(query["statementText"])), ("Window Type", string(query["windowType"])), ("Sources", list(query["sources"])),
            ("Sinks", list(query["sinks"])), ("Consumer Group", string(query["consumerGroupId"])), ("Rows", rows),
        ])
        let fields = fields(query["fields"], isTable: false)
        if !fields.isEmpty { out += "\n" + fields }
        let plan = string(query["executionPlan"])
        if !plan.isEmpty { out += "\nExecution plan\n" + Self.plan(query["executionPlan"]?.stringValue ?? plan) }
        let topology = string(query["topology"])
        if !topology.isEmpty { out += "\nProcessing topology\n\(topology)\n" }
        let overridden = query["overriddenProperties"]?.objectValue?.members ?? []
        if !overridden.isEmpty { out += "\nOverridden properties\n" + overridden.map { "  \($0.name) = \(string($0.value))\n" }.joined() }
        for error in objects(query["queryErrors"]) {
            out += "\n" + style.paint(.red, "error:") + " \(string(error["errorMessage"])) (\(string(error["type"])))\n"
        }
        return out
    }

    /// The plan's own lines, a tab a level, with two blanks instead.
    private static func plan(_ text: String) -> String {
        text.split(separator: "\n").map { line in
            let depth = line.prefix { $0 == "\t" }.count
            return String(repeating: "  ", count: depth) + CellText.printable(String(line.dropFirst(depth))) + "\n"
        }.joined()
    }

    func function(_ function: JSONObject) -> String {
        var out = facts([
            ("Name", string(function["name"])), ("Type", string(function["type"])), ("Author", string(function["author"])),
            ("Version", string(function["version"])), ("Overview", string(function["description"])),
        ])
        for variation in objects(function["functions"]) {
            let arguments = objects(variation["arguments"])
            let list = arguments.map { [string($0["name"]), string($0["type"]) + ($0["isVariadic"]?.boolValue == true ? "..." : "")].filter { !$0.isEmpty }.joined(separator: " ") }
            out += "\n  \(string(function["name"]))(\(list.joined(separator: ", "))) -> \(string(variation["returnType"]))\n"
            let summary = string(variation["description"])
            if !summary.isEmpty, summary != string(function["description"]) { out += "    \(summary)\n" }
            for argument in arguments where !string(argument["description"]).isEmpty {
                out += "    \(string(argument["name"])): \(string(argument["description"]))\n"
            }
        }
        return out
    }

    func model(_ model: JSONObject) -> String {
        let use = model["statistics"]
        func milliseconds(_ value: JSONValue?) -> String? {
            value?.intValue.map { "\(Double($0 / 1000) / 1000) ms" }
        }
        var calls = "\(string(use?["rows"])) rows in \(string(use?["calls"])) calls, \(string(use?["errors"])) errors"
        if let p50 = milliseconds(use?["batchP50Ns"]), let p99 = milliseconds(use?["batchP99Ns"]) { calls += "; a batch takes \(p50) (p50), \(p99) (p99)" }
        var out = facts([
            ("Name", string(model["name"])), ("Version", string(model["version"])), ("Source", string(model["source"])),
            ("Size", string(model["bytes"]).isEmpty ? "" : "\(string(model["bytes"])) bytes"), ("SHA-256", string(model["sha256"])),
            ("Input", inputSummary(model)), ("Output", type(model["output"])), ("Use", calls), ("Queries", list(model["readQueries"])),
        ])
        out += "\n" + fields(model["inputs"], isTable: false)
        let metadata = model["metadata"]?.objectValue?.members ?? []
        if !metadata.isEmpty { out += "\nMetadata\n" + metadata.map { "  \(CellText.printable($0.name)) = \(string($0.value))\n" }.joined() }
        return out
    }
}
