import MartletColumns
import MartletCore
import MartletEngine
import MartletSQL

/// Compares the sources and topics that are there after a case with a description of them: `post` conditions, or what was recorded.
struct CatalogComparison {
    let one: ConformanceCase
    let sandbox: Sandbox

    /// Every listed item must be there as described; null members are not checked.
    func differences(sources: [JSONValue], topics: [JSONValue]) -> [String] {
        sources.flatMap { difference(source: $0) } + topics.flatMap { difference(topic: $0) }
    }

    /// Topic names that a pattern finds, though it should find none.
    func hits(of pattern: String) throws(MartletError) -> [String] {
        let expression: Regex<AnyRegexOutput>
        do {
            expression = try Regex(pattern)
        } catch {
            throw MartletError(.badRequest, "the case's pattern '\(pattern)' is no regular expression")
        }
        return sandbox.partitions.keys.sorted().filter { $0.firstMatch(of: expression) != nil }
    }

    // MARK: sources

    private func difference(source expected: JSONValue) -> [String] {
        guard let name = expected["name"]?.stringValue else { return [] }
        guard let source = sandbox.catalog.sources[name] else { return ["source \(name) is missing"] }
        var problems: [String] = []
        func check(_ what: String, _ have: String, _ want: String?) {
            if let want, want != have { problems.append("source \(name): \(what) \(have), expected \(want)") }
        }
        check("type", source.kind.rawValue, expected["type"]?.stringValue)
        if let text = expected["schema"]?.stringValue {
            let have = Self.columns(of: source)
            let want = Self.columns(text, types: sandbox.catalog.types)
            if want == nil || want! != have { problems.append("source \(name): schema \(have.joined(separator: ", ")), expected \(text)") }
        }
        if let format = expected["keyFormat"], !format.isNull {
            check("key format", source.keyFormat.kind.rawValue, format["format"]?.stringValue)
            check("window", source.window?.kind.rawValue ?? "none", format["windowType"]?.stringValue ?? "none")
            check("window size", source.window?.sizeMs.map { "\($0)" } ?? "none", format["windowSize"]?.intValue.map { "\($0)" } ?? "none")
        }
        check("value format", source.valueFormat.kind.rawValue, expected["valueFormat"]?.stringValue)
        if let features = expected["keyFeatures"]?.arrayValue {
            check("key features", "\(Self.keyFeatures(source))", "\(features.compactMap(\.stringValue))")
        }
        if let features = expected["valueFeatures"]?.arrayValue {
            check("value features", "\(Self.valueFeatures(source))", "\(features.compactMap(\.stringValue))")
        }
        if let isSource = expected["isSource"]?.boolValue { check("read-only", "\(source.isSource)", "\(isSource)") }
        return problems
    }

    private static func keyFeatures(_ source: Source) -> [String] {
        let canUnwrap = [.json, .jsonSR, .avro].contains(source.keyFormat.kind)
        return source.keyFormat.unwrapSingle && canUnwrap ? ["UNWRAP_SINGLES"] : []
    }

    private static func valueFeatures(_ source: Source) -> [String] { source.wrapSingleValue.map { [$0 ? "WRAP_SINGLES" : "UNWRAP_SINGLES"] } ?? [] }

    /// One text a column: name, type, and what kind of column it is. Header columns stand last.
    private static func columns(of source: Source) -> [String] {
        source.schema.key.map { "\(SQLType.quoted($0.name)) \($0.type) KEY" }
            + source.schema.value.map { "\(SQLType.quoted($0.name)) \($0.type)" }
            + source.headers.map { "\(SQLType.quoted($0.name)) \($0.type) HEADERS" }
    }

    private static func columns(_ text: String, types: [String: SQLType]) -> [String]? {
        // Keys of a stream are KEY, those of a table PRIMARY KEY.
        let kind = text.uppercased().contains(" PRIMARY KEY") ? "TABLE" : "STREAM"
        guard let statement = try? Parser.parse("CREATE \(kind) x (\(text)) WITH (kafka_topic='x');").first,
            case .createSource(let create) = statement.node
        else { return nil }
        var keys: [String] = [], values: [String] = [], headers: [String] = []
        for column in create.columns {
            guard let type = try? column.type.resolved(in: types) else { return nil }
            let line = "\(SQLType.quoted(column.name.name)) \(type)"
            switch column.constraint {
            case .none: values.append(line)
            case .key, .primaryKey: keys.append(line + " KEY")
            case .header, .headers: headers.append(line + " HEADERS")
            }
        }
        return keys + values + headers
    }

    // MARK: topics

    /// Topics that an engine keeps for itself are not compared: their names and number are its own affair.
    private func difference(topic expected: JSONValue) -> [String] {
        guard let name = expected["name"]?.stringValue, !name.hasPrefix("_confluent-ksql-") else { return [] }
        guard let partitions = sandbox.partitions[name] else { return ["topic \(name) is missing"] }
        var problems: [String] = []
        if let wanted = expected["partitions"]?.intValue, wanted != Int(partitions) {
            problems.append("topic \(name): \(partitions) partitions, expected \(wanted)")
        }
        guard let source = sandbox.sourceOfTopic[name] else { return problems }
        for side in [Side.key, .value] {
            let spec = side == .key ? source.keyFormat : source.valueFormat
            let features = side == .key ? Self.keyFeatures(source) : Self.valueFeatures(source)
            if let format = expected["\(side.rawValue)Format"], !format.isNull {
                if let problem = difference(spec, features, format) { problems.append("topic \(name): \(side.rawValue) \(problem)") }
            }
            // Schemas that the case itself brought along say nothing about the engine.
            let given = one.topics.first { $0.name == name }.flatMap { side == .key ? $0.keySchema : $0.valueSchema }
            if given == nil, let schema = expected["\(side.rawValue)Schema"], !schema.isNull {
                if let problem = difference(schema: schema, side, name) { problems.append("topic \(name): \(side.rawValue) \(problem)") }
            }
            if let id = expected["\(side.rawValue)SchemaId"]?.intValue {
                let own = sandbox.registry.latest(subject: "\(name)-\(side.rawValue)")?.id
                if own != Int32(id) { problems.append("topic \(name): \(side.rawValue) schema id \(own.map { "\($0)" } ?? "none"), expected \(id)") }
            }
        }
        return problems
    }

    private func difference(_ spec: FormatSpec, _ features: [String], _ expected: JSONValue) -> String? {
        if let kind = expected["format"]?.stringValue, kind != spec.kind.rawValue { return "format \(spec.kind.rawValue), expected \(kind)" }
        let wantedFeatures = expected["features"]?.arrayValue?.compactMap(\.stringValue) ?? []
        // How a client unwraps Protobuf's wrapper messages is no property of the format here.
        let wanted = (expected["properties"]?.objectValue?.members ?? []).filter { $0.name != "unwrapPrimitives" }
        for property in wanted where !["delimiter"].contains(property.name) {
            if spec.properties[property.name] != property.value.stringValue {
                return "\(property.name) \(spec.properties[property.name] ?? "none"), expected \(property.value)"
            }
        }
        if wantedFeatures != features { return "features \(features), expected \(wantedFeatures)" }
        return nil
    }

    private func difference(schema expected: JSONValue, _ side: Side, _ topic: String) -> String? {
        guard let own = sandbox.registry.latest(subject: "\(topic)-\(side.rawValue)")?.schema else { return "schema is missing, expected \(expected)" }
        if own.type == "AVRO" {
            let isSame = (try? AvroSchema(json: expected)).flatMap { want in (try? AvroSchema(parsing: own.text)).map { $0 == want } } ?? false
            return isSame ? nil : "schema \(own.text), expected \(expected)"
        }
        if own.type == "PROTOBUF" {
            let isSame = expected.stringValue.flatMap { try? ProtobufSchema.canonicalText(of: $0) } == (try? ProtobufSchema.canonicalText(of: own.text))
            return isSame ? nil : "schema \(own.text), expected \(expected)"
        }
        guard let json = try? JSONValue(parsing: own.text) else { return own.text == expected.stringValue ? nil : "schema \(own.text), expected \(expected)" }
        return Self.isSame(json, expected) ? nil : "schema \(own.text), expected \(expected)"
    }

    /// Equal documents, whatever the order of members.
    private static func isSame(_ a: JSONValue, _ b: JSONValue) -> Bool {
        switch (a, b) {
        case (.object(let a), .object(let b)):
            a.members.count == b.members.count && a.members.allSatisfy { member in b[member.name].map { isSame(member.value, $0) } ?? false }
        case (.array(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy { isSame($0, $1) }
        default: a == b
        }
    }
}
