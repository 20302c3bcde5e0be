import MartletColumns
import MartletCore

/// What each format can hold and which settings it knows (INVENTORY §6; ksqlDB, "Serialization formats").
enum FormatRules {
    /// - Throws: `Unknown format: FOO`.
    static func kind(_ name: String, at span: SourceSpan) throws(MartletError) -> FormatKind {
        if let kind = FormatKind(rawValue: name.uppercased()) { return kind }
        throw MartletError(
            .invalidProperty, "Unknown format: \(name)", at: span,
            hint: "formats are \(FormatKind.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    static func supportedProperties(_ kind: FormatKind) -> Set<String> {
        switch kind {
        case .delimited: ["delimiter"]
        case .avro, .jsonSR: ["fullSchemaName", "schemaId"]
        case .protobuf: ["fullSchemaName", "schemaId", "nullableRepresentation"]
        case .protobufNoSR: ["nullableRepresentation"]
        case .none, .kafka, .json: []
        }
    }

    /// Settings that a sink of the same format takes from the source it reads.
    static func inheritedProperties(_ spec: FormatSpec) -> [String: String] {
        spec.properties.filter { $0.key == "delimiter" || $0.key == "nullableRepresentation" || $0.key == "fullSchemaName" && spec.kind == .protobuf }
    }

    static func spec(
        _ kind: FormatKind, _ given: [(name: String, value: String, span: SourceSpan)], side: Side, inherited: [String: String] = [:]
    ) throws(MartletError) -> FormatSpec {
        var properties = inherited
        let supported = supportedProperties(kind)
        if let wrong = given.first(where: { $0.name == "nullableRepresentation" && !supported.contains($0.name) }) {
            let prefix = side == .key ? "KEY" : "VALUE"
            throw MartletError(
                .invalidProperty, "Property \(prefix)_PROTOBUF_NULLABLE_REPRESENTATION can only be enabled with protobuf format", at: wrong.span)
        }
        let unknown = given.filter { !supported.contains($0.name) }
        if let first = unknown.first {
            throw MartletError(
                .invalidProperty, "\(kind.rawValue) does not support the following configs: [\(unknown.map(\.name).joined(separator: ", "))]",
                at: first.span)
        }
        for property in given { properties[property.name] = property.value }
        if properties["delimiter"] == "," { properties["delimiter"] = nil }
        return FormatSpec(kind, properties: properties)
    }

    /// The name of an Avro key's schema, where neither the statement nor a chosen schema (`nameChosenSchema`, before) gives one: by its source,
    /// so that a join's internal topics can tell keys apart.
    static func nameKeySchema(_ spec: inout FormatSpec, source: String) {
        guard spec.kind == .avro, spec.properties["fullSchemaName"] == nil else { return }
        let words = source.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst().lowercased() }
        spec.properties["fullSchemaName"] = "io.confluent.ksql.avro_schemas.\(words.joined())Key"
    }

    /// A schema that is chosen by its id brings its name along.
    static func nameChosenSchema(_ spec: inout FormatSpec, _ context: AnalysisContext) {
        guard spec.kind == .avro || spec.kind == .protobuf, spec.properties["fullSchemaName"] == nil, let id = spec.properties["schemaId"].flatMap({ Int($0) }) else { return }
        spec.properties["fullSchemaName"] = context.registeredName(id)
    }

    /// Whether the registry can tell the columns.
    static func infersSchema(_ kind: FormatKind) -> Bool { kind.usesSchemaRegistry }

    // MARK: wrapping of single columns

    /// Whether a single value column may be written bare or wrapped: (wrapped allowed, bare allowed) as a request.
    private static func wrapping(_ kind: FormatKind) -> (wrap: Bool, unwrap: Bool) {
        switch kind {
        case .json, .jsonSR, .avro, .protobufNoSR: (true, true)
        case .protobuf: (true, false)
        case .kafka, .delimited: (false, true)
        case .none: (false, false)
        }
    }

    /// The value side's `unwrapSingle` and the feature that was asked for.
    ///
    /// - Parameters: `explicit` is WRAP_SINGLE_VALUE; `fallback` the default from the properties, which counts only where it can.
    static func wrapSingleValue(
        _ kind: FormatKind, columns: Int, explicit: Bool?, fallback: Bool?, at span: SourceSpan
    ) throws(MartletError) -> (unwrap: Bool, feature: Bool?) {
        let can = wrapping(kind)
        if let explicit {
            let supported = explicit ? can.wrap : can.unwrap
            guard supported else {
                throw MartletError(
                    .invalidProperty, "Format '\(kind.rawValue)' does not support 'WRAP_SINGLE_VALUE' set to '\(explicit)'.", at: span)
            }
            guard columns == 1 else {
                throw MartletError(.invalidProperty, "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas", at: span)
            }
            return (!explicit, explicit)
        }
        if let fallback, columns == 1, can.wrap, can.unwrap { return (!fallback, fallback) }
        return (kind == .kafka, nil)
    }

    /// Whether a key of these columns is written bare.
    static func unwrapsKey(_ kind: FormatKind, columns: Int) -> Bool {
        columns == 1 && (kind == .json || kind == .jsonSR || kind == .avro || kind == .kafka)
    }

    // MARK: types

    /// Checks that the format can hold the columns.
    ///
    /// - Throws: `Key format does not support schema …` or `Value format …`, with ksqlDB's reason.
    static func check(_ spec: FormatSpec, _ fields: [Field], side: Side, at span: SourceSpan, features: [String] = []) throws(MartletError) {
        guard let reason = reason(spec.kind, fields, side) else { return }
        let columns = columnList(fields, side)
        throw MartletError(
            .badStatement,
            "\(side == .key ? "Key" : "Value") format does not support schema.\nformat: \(spec.kind.rawValue)\nschema: Persistence{columns=\(columns), features=[\(features.joined(separator: ", "))]}\nreason: \(reason)",
            at: span)
    }

    static func columnList(_ fields: [Field], _ side: Side) -> String {
        "[" + fields.map { "\(SQLType.quoted($0.name)) \($0.type)\(side == .key ? " KEY" : "")" }.joined(separator: ", ") + "]"
    }

    /// Why the format cannot hold the columns; nil if it can.
    static func reason(_ kind: FormatKind, _ fields: [Field], _ side: Side) -> String? {
        if fields.isEmpty { return nil }
        switch kind {
        case .none:
            return "The 'NONE' format can only be used when no columns are defined. Got: \(columnList(fields, side))"
        case .kafka:
            if fields.count > 1 { return "The 'KAFKA' format only supports a single field. Got: \(columnList(fields, side))" }
            switch fields[0].type {
            case .integer, .bigint, .double, .string, .bytes: return nil
            default: return "The 'KAFKA' format does not support type '\(fields[0].type.baseName)'"
            }
        case .delimited:
            guard let field = fields.first(where: { $0.type.isNested }) else { return nil }
            return "The 'DELIMITED' format does not support type '\(field.type.baseName)', column: \(SQLType.quoted(field.name))"
        case .json, .jsonSR:
            return fields.contains { $0.type.hasMapWithoutTextKeys } ? "JSON only supports MAP types with STRING keys" : nil
        case .avro:
            if fields.contains(where: { $0.type.hasMapWithoutTextKeys }) { return "Avro only supports MAPs with STRING keys" }
            for field in fields {
                if let problem = avroNameProblem(field.name) ?? field.type.nestedNames.lazy.compactMap(avroNameProblem).first {
                    return "Schema is not compatible with Avro: \(problem)"
                }
            }
            return nil
        case .protobuf, .protobufNoSR:
            if fields.contains(where: { $0.type.hasMapWithoutTextKeys }) { return "PROTOBUF format only supports MAP types with STRING keys" }
            do {
                _ = try SchemaTranslation.schemaText(for: fields, spec: FormatSpec(kind), side: side)
                return nil
            } catch {
                return error.message
            }
        }
    }

    /// Avro names: a letter or `_`, then letters, digits and `_` (Avro specification, "Names").
    private static func avroNameProblem(_ name: String) -> String? {
        for (index, character) in name.unicodeScalars.enumerated() {
            let isLetter = character == "_" || ("a"..."z").contains(character) || ("A"..."Z").contains(character)
            let isDigit = ("0"..."9").contains(character)
            if index == 0, !isLetter { return "Illegal initial character: \(name)" }
            if !isLetter, !isDigit { return "Illegal character in: \(name)" }
        }
        return name.isEmpty ? "Empty name" : nil
    }

    /// - Throws: MAPs may not be in keys.
    static func checkNoMaps(inKey fields: [Field], at span: SourceSpan) throws(MartletError) {
        for field in fields where field.type.containsMap {
            throw MartletError(
                .badStatement,
                "Map keys, including types that contain maps, are not supported as they may lead to unexpected behavior due to inconsistent serialization. Key column name: \(SQLType.quoted(field.name)). Column type: \(field.type). See https://github.com/confluentinc/ksql/issues/6621 for more.",
                at: span)
        }
    }
}

extension SQLType {
    var hasMapWithoutTextKeys: Bool {
        switch self {
        case .map(let key, let value): key != .string || value.hasMapWithoutTextKeys
        case .array(let element): element.hasMapWithoutTextKeys
        case .structure(let fields): fields.contains { $0.type.hasMapWithoutTextKeys }
        default: false
        }
    }

    /// Names of all struct fields inside.
    var nestedNames: [String] {
        switch self {
        case .map(let key, let value): key.nestedNames + value.nestedNames
        case .array(let element): element.nestedNames
        case .structure(let fields): fields.flatMap { [$0.name] + $0.type.nestedNames }
        default: []
        }
    }
}
