import MartletColumns
import MartletCore

/// The WITH clause of CREATE and INSERT INTO, checked: names, value types, and rules that need no schema (INVENTORY §4; ksqlDB, "CREATE STREAM").
struct SourceProperties {
    /// Where a WITH clause stands; not every property is allowed everywhere.
    enum Place { case declaration, sink, insert }

    private enum Kind { case text, integer, short, long, boolean }

    private struct Definition {
        var name: String
        var kind: Kind
        var places: [Place]
    }

    private static let table: [Definition] = [
        Definition(name: "KAFKA_TOPIC", kind: .text, places: [.declaration, .sink]),
        Definition(name: "PARTITIONS", kind: .integer, places: [.declaration, .sink]),
        Definition(name: "REPLICAS", kind: .short, places: [.declaration, .sink]),
        Definition(name: "RETENTION_MS", kind: .long, places: [.declaration, .sink]),
        Definition(name: "CLEANUP_POLICY", kind: .text, places: [.declaration, .sink]),
        Definition(name: "FORMAT", kind: .text, places: [.declaration, .sink]),
        Definition(name: "KEY_FORMAT", kind: .text, places: [.declaration, .sink]),
        Definition(name: "VALUE_FORMAT", kind: .text, places: [.declaration, .sink]),
        Definition(name: "KEY_DELIMITER", kind: .text, places: [.declaration, .sink]),
        Definition(name: "VALUE_DELIMITER", kind: .text, places: [.declaration, .sink]),
        Definition(name: "WRAP_SINGLE_VALUE", kind: .boolean, places: [.declaration, .sink]),
        Definition(name: "TIMESTAMP", kind: .text, places: [.declaration, .sink]),
        Definition(name: "TIMESTAMP_FORMAT", kind: .text, places: [.declaration, .sink]),
        Definition(name: "KEY_SCHEMA_ID", kind: .integer, places: [.declaration, .sink]),
        Definition(name: "VALUE_SCHEMA_ID", kind: .integer, places: [.declaration, .sink]),
        Definition(name: "KEY_SCHEMA_FULL_NAME", kind: .text, places: [.declaration, .sink]),
        Definition(name: "VALUE_SCHEMA_FULL_NAME", kind: .text, places: [.declaration, .sink]),
        Definition(name: "VALUE_AVRO_SCHEMA_FULL_NAME", kind: .text, places: [.declaration, .sink]),
        Definition(name: "KEY_PROTOBUF_NULLABLE_REPRESENTATION", kind: .text, places: [.declaration, .sink]),
        Definition(name: "VALUE_PROTOBUF_NULLABLE_REPRESENTATION", kind: .text, places: [.declaration, .sink]),
        Definition(name: "WINDOW_TYPE", kind: .text, places: [.declaration]),
        Definition(name: "WINDOW_SIZE", kind: .text, places: [.declaration]),
        Definition(name: "SOURCE_CONNECTOR", kind: .text, places: [.declaration]),
        Definition(name: "SOURCED_BY_CONNECTOR", kind: .text, places: [.declaration]),
        Definition(name: "QUERY_ID", kind: .text, places: [.insert]),
        // Before ksqlDB 0.10 the key was a property: taken where no column says KEY.
        Definition(name: "KEY", kind: .text, places: [.declaration]),
    ]

    private(set) var values: [String: WithProperty] = [:]
    var statementSpan: SourceSpan

    /// - Throws: `.unknownProperty`, `.invalidProperty`, `.badStatement` with the property's place.
    init(_ properties: [WithProperty], place: Place, span: SourceSpan) throws(MartletError) {
        statementSpan = span
        for property in properties {
            let name = property.name.uppercased()
            guard let definition = Self.table.first(where: { $0.name == name }), definition.places.contains(place) else {
                let known = Self.table.filter { $0.places.contains(place) && $0.name != "KEY" && $0.name != "CLEANUP_POLICY" }.map(\.name)
                throw MartletError(
                    .unknownProperty, "Invalid config variable(s) in the WITH clause: \(name)", at: property.span,
                    hint: Suggestion.hint(name, among: known, "properties here"))
            }
            if values[name] != nil { throw MartletError(.invalidProperty, "Duplicate property in the WITH clause: \(name)", at: property.span) }
            values[name] = try Self.checked(property, definition)
        }
        try checkCombinations()
    }

    /// The property with its value as the kind it must have: numbers and booleans may come as text.
    private static func checked(_ property: WithProperty, _ definition: Definition) throws(MartletError) -> WithProperty {
        var property = property
        func bad(_ problem: String) -> MartletError {
            MartletError(
                .invalidProperty, "Invalid value \(property.value.text) for property \(definition.name): \(problem)", at: property.span)
        }
        let text = property.value.text
        switch definition.kind {
        case .text:
            guard case .string = property.value else { throw bad("Expected value to be a string, but it was a \(property.value.javaClass)") }
        case .integer, .short, .long:
            let (name, range, words): (String, ClosedRange<Int64>, String) =
                switch definition.kind {
                case .short: ("SHORT", Int64(Int16.min)...Int64(Int16.max), "a 16-bit integer (short)")
                case .long: ("LONG", Int64.min...Int64.max, "a 64-bit integer (long)")
                case .integer, .text, .boolean: ("INT", Int64(Int32.min)...Int64(Int32.max), "a 32-bit integer")
                }
            switch property.value {
            case .string, .integer: break
            default: throw bad("Expected value to be \(words), but it was a \(property.value.javaClass)")
            }
            guard let value = Int64(text), range.contains(value) else { throw bad("Not a number of type \(name)") }
            property.value = .integer(value)
        case .boolean:
            switch text.lowercased() {
            case "true": property.value = .boolean(true)
            case "false": property.value = .boolean(false)
            default: throw bad("Expected value to be either true or false")
            }
        }
        return property
    }

    private func checkCombinations() throws(MartletError) {
        if values["FORMAT"] != nil {
            for side in ["KEY_FORMAT", "VALUE_FORMAT"] where values[side] != nil {
                throw MartletError(
                    .invalidProperty,
                    "Cannot supply both '\(side)' and 'FORMAT' properties, as 'FORMAT' sets both key and value formats. Either use just 'FORMAT', or use 'KEY_FORMAT' and 'VALUE_FORMAT'.",
                    at: span("FORMAT"))
            }
        }
        if values["CLEANUP_POLICY"] != nil {
            throw MartletError(
                .invalidProperty,
                "Invalid config variable in the WITH clause: CLEANUP_POLICY. The CLEANUP_POLICY config is automatically inferred based on the type of source (STREAM or TABLE).\nUsers can't set the CLEANUP_POLICY config manually.",
                at: span("CLEANUP_POLICY"))
        }
        for side in ["KEY_DELIMITER", "VALUE_DELIMITER"] { _ = try delimiter(side) }
        if values["VALUE_AVRO_SCHEMA_FULL_NAME"] != nil, values["VALUE_SCHEMA_FULL_NAME"] != nil {
            throw MartletError(
                .invalidProperty,
                "Cannot supply both 'VALUE_AVRO_SCHEMA_FULL_NAME' and 'VALUE_SCHEMA_FULL_NAME' properties. Please only set 'VALUE_SCHEMA_FULL_NAME'.",
                at: span("VALUE_AVRO_SCHEMA_FULL_NAME"))
        }
        for name in ["PARTITIONS", "REPLICAS"] {
            if let value = integer(name), value < 1 {
                throw MartletError(.invalidProperty, "Invalid value \(value) for property \(name): Value must be at least 1", at: span(name))
            }
        }
        if let retention = integer("RETENTION_MS"), retention < -1 {
            throw MartletError(
                .invalidProperty, "Invalid value \(retention) for property RETENTION_MS: Value must be at least -1", at: span("RETENTION_MS"))
        }
        if let pattern = text("TIMESTAMP_FORMAT"), let problem = PatternCheck.problem(pattern) {
            throw MartletError(
                .invalidProperty, "Invalid datetime format for config:TIMESTAMP_FORMAT, reason:\(problem)", at: span("TIMESTAMP_FORMAT"))
        }
    }

    func span(_ name: String) -> SourceSpan { values[name]?.span ?? statementSpan }
    func text(_ name: String) -> String? { values[name]?.value.text }
    func integer(_ name: String) -> Int64? { if case .integer(let value)? = values[name]?.value { value } else { nil } }
    func boolean(_ name: String) -> Bool? { if case .boolean(let value)? = values[name]?.value { value } else { nil } }

    var partitions: Int32? { integer("PARTITIONS").map { Int32($0) } }
    var replicas: Int16? { integer("REPLICAS").map { Int16($0) } }
    var retentionMs: Int64? { integer("RETENTION_MS") }

    /// Name of the format property that counts for a side: its own or FORMAT; nil if the statement says nothing.
    func formatName(_ side: Side) -> (text: String, span: SourceSpan)? {
        for name in [side == .key ? "KEY_FORMAT" : "VALUE_FORMAT", "FORMAT"] {
            if let text = text(name) { return (text, span(name)) }
        }
        return nil
    }

    /// One character; TAB and SPACE are spelled out.
    func delimiter(_ name: String) throws(MartletError) -> String? {
        guard let text = text(name) else { return nil }
        let problem: String
        switch text.uppercased() {
        case "TAB": return "\t"
        case "SPACE": return " "
        default:
            if text.allSatisfy(\.isWhitespace) {
                problem = "Delimiter cannot be empty, if you meant to have a tab or space for delimiter, please use the special values 'TAB' or 'SPACE'"
            } else if text.unicodeScalars.count > 1 {
                problem = "Invalid delimiter value: '\(text)'. Delimiter must be a single character or TAB,SPACE"
            } else {
                return text
            }
        }
        throw MartletError(
            .invalidProperty, "Failed to prepare statement: Configuration \(name) is invalid: \(problem)\nExample valid value: ';'", at: span(name))
    }

    /// The format's own properties that the clause gives for one side, as `FormatSpec` names them, each with where it stands.
    func formatProperties(_ side: Side) throws(MartletError) -> [(name: String, value: String, span: SourceSpan)] {
        let prefix = side == .key ? "KEY" : "VALUE"
        var out: [(name: String, value: String, span: SourceSpan)] = []
        if let delimiter = try delimiter("\(prefix)_DELIMITER") { out.append(("delimiter", delimiter, span("\(prefix)_DELIMITER"))) }
        let fullNames = ["\(prefix)_SCHEMA_FULL_NAME"] + (side == .value ? ["VALUE_AVRO_SCHEMA_FULL_NAME"] : [])
        for name in fullNames {
            guard let text = text(name) else { continue }
            if text.allSatisfy(\.isWhitespace) {
                throw MartletError(.invalidProperty, "fullSchemaName cannot be empty. Format configuration: {fullSchemaName=\(text)}", at: span(name))
            }
            out.append(("fullSchemaName", text, span(name)))
        }
        if let id = integer("\(prefix)_SCHEMA_ID") { out.append(("schemaId", String(id), span("\(prefix)_SCHEMA_ID"))) }
        let representation = "\(prefix)_PROTOBUF_NULLABLE_REPRESENTATION"
        if let text = text(representation)?.uppercased() {
            guard text == "OPTIONAL" || text == "WRAPPER" else {
                throw MartletError(
                    .invalidProperty, "Invalid value \(text) for property \(representation): String must be one of: OPTIONAL, WRAPPER, null",
                    at: span(representation))
            }
            out.append(("nullableRepresentation", text.lowercased(), span(representation)))
        }
        return out
    }

    // MARK: windows

    /// WINDOW_TYPE and WINDOW_SIZE.
    func window() throws(MartletError) -> Source.SourceWindow? {
        let size = try text("WINDOW_SIZE").map { (text: String) throws(MartletError) in try duration(text) }
        let kind = try text("WINDOW_TYPE").map { (name: String) throws(MartletError) in
            guard let kind = Source.SourceWindow.Kind(rawValue: name.uppercased()) else {
                throw MartletError(
                    .invalidProperty, "Invalid value \(name) for property WINDOW_TYPE: String must be one of: SESSION, HOPPING, TUMBLING, null",
                    at: span("WINDOW_TYPE"))
            }
            return kind
        }
        if size != nil, kind == nil || kind == .session {
            throw MartletError(
                .invalidProperty, "'WINDOW_SIZE' should not be set for SESSION windows.", at: span("WINDOW_SIZE"),
                hint: kind == nil ? "WINDOW_SIZE goes with WINDOW_TYPE='TUMBLING' or 'HOPPING'" : nil)
        }
        guard let kind else { return nil }
        if size == nil, kind != .session {
            throw MartletError(
                .invalidProperty,
                "\(kind.rawValue) windows require 'WINDOW_SIZE' to be provided in the WITH clause. For example: 'WINDOW_SIZE'='10 SECONDS'",
                at: span("WINDOW_TYPE"))
        }
        return Source.SourceWindow(kind: kind, sizeMs: size)
    }

    /// `'30 SECONDS'` in milliseconds.
    private func duration(_ text: String) throws(MartletError) -> Int64 {
        func bad(_ problem: String) -> MartletError {
            MartletError(
                .invalidProperty, "Configuration WINDOW_SIZE is invalid: Invalid duration: '\(text)'. \(problem)", at: span("WINDOW_SIZE"))
        }
        let parts = text.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2 else { throw bad("Expected exactly two parts: a number and a time unit, e.g. '10 SECONDS'") }
        guard let size = Int64(parts[0]) else { throw bad("Not numeric: '\(parts[0])'") }
        let unit = parts[1].uppercased()
        guard let factor = Self.unitMs[unit] ?? Self.unitMs[unit + "S"] else { throw bad("Unknown time unit: '\(unit)'") }
        let (product, overflow) = size.multipliedReportingOverflow(by: factor)
        guard !overflow, size > 0 else { throw bad("The size must be positive and fit 64 bits of milliseconds.") }
        return product
    }

    private static let unitMs: [String: Int64] = [
        "MILLISECONDS": 1, "SECONDS": 1000, "MINUTES": 60_000, "HOURS": 3_600_000, "DAYS": 86_400_000,
    ]
}
