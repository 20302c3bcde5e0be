import MartletColumns
import MartletCore

/// CREATE STREAM and CREATE TABLE without AS: columns, formats and topic of a source (ksqlDB, "CREATE STREAM", "CREATE TABLE").
struct SourceDefinition {
    var catalog: Catalog
    var context: AnalysisContext
    var create: CreateSource
    var statement: Statement

    private var kindName: String { create.kind == .stream ? "stream" : "table" }
    private var span: SourceSpan { create.name.span }

    func analyze() throws(MartletError) -> AnalyzedStatement {
        if create.isSource, create.orReplace {
            throw MartletError(
                .badStatement, "Cannot add \(kindName) '\(create.name.name)': CREATE OR REPLACE is not supported on source \(kindName)s.", at: span)
        }
        if let existing = catalog.sources[create.name.name], let done = try existingSource(existing) { return done }
        if catalog.models[create.name.name] != nil {
            throw MartletError(.alreadyExists, "Cannot add \(kindName) '\(create.name.name)': a model with the same name already exists", at: span)
        }
        let properties = try SourceProperties(create.properties, place: .declaration, span: span)
        let (columns, warnings) = try applyingLegacyKey(properties)
        let (source, partitions) = try source(columns, properties)
        if create.orReplace, let existing = catalog.sources[create.name.name] {
            try SchemaEvolution.check(from: existing, to: source, at: span)
        }
        return .createSource(
            AnalyzedSource(
                source: source, partitions: partitions, replicas: properties.replicas, retentionMs: properties.retentionMs,
                orReplace: create.orReplace, warnings: warnings))
    }

    private func existingSource(_ existing: Source) throws(MartletError) -> AnalyzedStatement? {
        let existingKind = existing.kind == .stream ? "stream" : "table"
        if create.orReplace {
            guard existing.kind == create.kind else {
                throw MartletError(
                    .alreadyExists,
                    "Cannot add \(kindName) '\(existing.name)': A \(existingKind) with the same name already exists", at: span)
            }
            return nil
        }
        if create.ifNotExists {
            return .nothingToDo(message: "Cannot add \(kindName) `\(existing.name)`: A \(existingKind) with the same name already exists.")
        }
        throw MartletError(
            .alreadyExists, "Cannot add \(kindName) '\(existing.name)': A \(existingKind) with the same name already exists", at: span,
            hint: "CREATE OR REPLACE changes it, IF NOT EXISTS leaves it")
    }

    /// `KEY='column'` of statements written before ksqlDB 0.10: a stream's has no effect, a table's names its primary key.
    private func applyingLegacyKey(_ properties: SourceProperties) throws(MartletError) -> ([ColumnDefinition], [String]) {
        guard let name = properties.text("KEY") else { return (create.columns, []) }
        var columns = create.columns
        if columns.contains(where: { $0.constraint == .key || $0.constraint == .primaryKey }) {
            throw MartletError(
                .unknownProperty, "Invalid config variable(s) in the WITH clause: KEY", at: properties.span("KEY"),
                hint: "the key column is declared already")
        }
        if create.kind == .stream || columns.isEmpty {
            return (columns, ["The property KEY='\(name)' is no longer supported and has no effect: declare the key column with KEY."])
        }
        guard let index = columns.firstIndex(where: { $0.name.name == name || $0.name.name == name.uppercased() }) else {
            throw MartletError(.unknownColumn, "The KEY property names the column '\(name)', which is not declared.", at: properties.span("KEY"))
        }
        columns[index].constraint = .primaryKey
        return (
            columns,
            ["The property KEY='\(name)' is no longer supported: column \(SQLType.quoted(columns[index].name.name)) was made the PRIMARY KEY."]
        )
    }

    private func source(_ columns: [ColumnDefinition], _ properties: SourceProperties) throws(MartletError) -> (Source, Int32?) {
        guard let topic = properties.text("KAFKA_TOPIC") else {
            throw MartletError(
                .invalidProperty, "Missing required property \"KAFKA_TOPIC\" which has no default value.", at: span,
                hint: "add WITH (KAFKA_TOPIC='…')")
        }
        let declared = try DeclaredColumns(columns, types: catalog.types)
        if !declared.headers.isEmpty, context.isOff("ksql.headers.columns.enabled") {
            throw MartletError(
                .badStatement, "Cannot create \(create.kind == .stream ? "Stream" : "Table") because schema with headers columns is disabled.", at: span,
                hint: "SET 'ksql.headers.columns.enabled'='true'")
        }
        try checkSchemaIDs(declared, properties)
        let formats = try SourceFormats.declared(properties, context)
        var schema = declared.schema
        try infer(&schema, declared, formats, properties, topic)
        if create.kind == .table, schema.key.isEmpty {
            throw MartletError(
                .badStatement,
                "Tables require a PRIMARY KEY. Please define the PRIMARY KEY.\nUse a partial schema to define the primary key and still load the value columns from the Schema Registry, for example:\n\tCREATE TABLE \(create.name.name) (<keyName> <keyType> PRIMARY KEY) WITH (...);",
                at: span)
        }
        let window = try properties.window()
        if window != nil, schema.key.isEmpty { throw MartletError(.badStatement, "Windowed sources require a key column.", at: span) }
        if create.kind == .stream, schema.value.isEmpty, declared.headers.isEmpty, schema.key.isEmpty || columns.isEmpty {
            throw MartletError(
                .badStatement, "No columns supplied.", at: span,
                hint: "columns are read from the registry only for AVRO, JSON_SR and PROTOBUF")
        }
        var (key, value) = (formats.key, formats.value)
        key.unwrapSingle = FormatRules.unwrapsKey(key.kind, columns: schema.key.count)
        FormatRules.nameChosenSchema(&key, context)
        FormatRules.nameKeySchema(&key, source: create.name.name)
        FormatRules.nameChosenSchema(&value, context)
        let wrapping = try FormatRules.wrapSingleValue(
            value.kind, columns: schema.value.count, explicit: properties.boolean("WRAP_SINGLE_VALUE"), fallback: context.wrapSingleValues,
            at: properties.span("WRAP_SINGLE_VALUE"))
        value.unwrapSingle = wrapping.unwrap
        try FormatRules.checkNoMaps(inKey: schema.key, at: declared.keySpan ?? span)
        try FormatRules.check(key, schema.key, side: .key, at: declared.keySpan ?? span, features: key.featureNames)
        try FormatRules.check(value, schema.value, side: .value, at: declared.valueSpan ?? span)
        let source = Source(
            name: create.name.name, kind: create.kind, schema: schema, headers: declared.headers, topic: topic, keyFormat: key,
            valueFormat: value, timestamp: try TimestampRules.column(properties, schema), window: window, isSource: create.isSource,
            wrapSingleValue: wrapping.feature, statement: statement.text)
        return (source, try topicPartitions(topic, properties))
    }

    /// Partitions to create the topic with; nil if it exists.
    private func topicPartitions(_ topic: String, _ properties: SourceProperties) throws(MartletError) -> Int32? {
        if context.isReplay { return nil }
        guard let existing = context.partitions(topic) else {
            if let partitions = properties.partitions { return partitions }
            throw MartletError(
                .badStatement,
                "Topic '\(topic)' does not exist. If you want to create a new topic for the stream/table please re-run the statement providing the required 'PARTITIONS' configuration in the WITH clause (and optionally 'REPLICAS'). For example: CREATE \(create.kind.rawValue) \(create.name.name) ... WITH (KAFKA_TOPIC='\(topic)', PARTITIONS=1, ...);",
                at: properties.span("KAFKA_TOPIC"))
        }
        if let wanted = properties.partitions, wanted != existing {
            throw MartletError(
                .badStatement,
                "A Kafka topic with the name '\(topic)' already exists, with different partition/replica configuration than required. KSQL expects \(wanted) partitions (topic has \(existing)).",
                at: properties.span("PARTITIONS"))
        }
        return nil
    }

    // MARK: columns from the registry

    private func infer(
        _ schema: inout Schema, _ declared: DeclaredColumns, _ formats: SourceFormats, _ properties: SourceProperties, _ topic: String
    ) throws(MartletError) {
        try inferSide(.key, &schema.key, isDeclared: !declared.schema.key.isEmpty, formats.key, properties, topic)
        try inferSide(.value, &schema.value, isDeclared: !declared.schema.value.isEmpty, formats.value, properties, topic)
        var seen = Set(declared.headers.map(\.name))
        for field in schema.key + schema.value {
            if PseudoColumns.reserved.contains(field.name) { throw DeclaredColumns.reserved(field.name, span) }
            guard seen.insert(field.name).inserted else {
                throw MartletError(
                    .badStatement, "Duplicate column names: \(SQLType.quoted(field.name))", at: span,
                    hint: "columns from the registry may not have the names of others; declare the columns to rename them")
            }
        }
    }

    /// A schema id needs a format of the registry, and leaves no column of its side to declare.
    private func checkSchemaIDs(_ declared: DeclaredColumns, _ properties: SourceProperties) throws(MartletError) {
        for side in [Side.key, .value] {
            let prefix = side == .key ? "KEY" : "VALUE"
            let span = properties.span("\(prefix)_SCHEMA_ID")
            guard properties.integer("\(prefix)_SCHEMA_ID") != nil else { continue }
            let name = SourceFormats.name(side, properties, context)
            if let name, !FormatRules.infersSchema(try FormatRules.kind(name.text, at: name.span)) {
                throw MartletError(
                    .invalidProperty,
                    "\(prefix)_FORMAT should support schema inference when \(prefix)_SCHEMA_ID is provided. Current format is \(name.text.uppercased()).",
                    at: span)
            }
            if !(side == .key ? declared.schema.key : declared.schema.value).isEmpty {
                throw MartletError(
                    .badStatement, "Table elements and \(prefix)_SCHEMA_ID cannot both exist for create statement.", at: span)
            }
        }
    }

    private func inferSide(
        _ side: Side, _ fields: inout [Field], isDeclared: Bool, _ format: FormatSpec, _ properties: SourceProperties, _ topic: String
    ) throws(MartletError) {
        let prefix = side == .key ? "KEY" : "VALUE"
        let id = properties.integer("\(prefix)_SCHEMA_ID")
        // Windowed keys may be inferred as well; a key that nobody declares and no registry knows stays empty.
        guard !isDeclared, FormatRules.infersSchema(format.kind) else { return }
        var format = format
        let unwraps = side == .key || !(properties.boolean("WRAP_SINGLE_VALUE") ?? context.wrapSingleValues ?? true)
        format.unwrapSingle = unwraps && FormatRules.unwrapsKey(format.kind, columns: 1)
        fields = try located(span) { () throws(MartletError) in
            try context.registeredFields("\(topic)-\(side.rawValue)", id.map { Int($0) }, format, side)
        }
    }
}

/// Runs `body`; an error without a place gets `span`.
func located<T>(_ span: SourceSpan, _ body: () throws(MartletError) -> T) throws(MartletError) -> T {
    do {
        return try body()
    } catch {
        var error = error
        if error.span == nil { error.span = span }
        throw error
    }
}

/// The column list of a CREATE statement. That streams say KEY and tables PRIMARY KEY is the parser's to check.
struct DeclaredColumns {
    var schema = Schema(value: [])
    var headers: [Source.HeaderColumn] = []
    /// Where the first key or value column stands.
    var keySpan: SourceSpan?
    var valueSpan: SourceSpan?

    init(_ columns: [ColumnDefinition], types: [String: SQLType]) throws(MartletError) {
        var seen: Set<String> = []
        var position = 0
        for column in columns {
            let name = column.name.name
            if PseudoColumns.reserved.contains(name) { throw Self.reserved(name, column.name.span) }
            guard seen.insert(name).inserted else {
                throw MartletError(.badStatement, "Duplicate column names: \(SQLType.quoted(name))", at: column.name.span)
            }
            let type = try column.type.resolved(in: types)
            switch column.constraint {
            case .none:
                schema.value.append(Field(name, type))
                valueSpan = valueSpan ?? column.name.span
                position += 1
            case .key, .primaryKey:
                schema.key.append(Field(name, type))
                keySpan = keySpan ?? column.name.span
            case .headers, .header:
                try addHeader(column, type, position)
                position += 1
            }
        }
    }

    static func reserved(_ name: String, _ span: SourceSpan) -> MartletError {
        MartletError(.badStatement, "'\(name)' is a reserved column name. You cannot use it as a name for a column.", at: span)
    }

    private mutating func addHeader(_ column: ColumnDefinition, _ type: SQLType, _ position: Int) throws(MartletError) {
        let header: Source.HeaderColumn
        if case .header(let key) = column.constraint {
            header = Source.HeaderColumn(name: column.name.name, headerKey: key, position: position)
            guard type == .bytes else {
                throw MartletError(
                    .badStatement, "\(column.name.span.messagePrefix)Invalid type for HEADER('\(key)') column: expected BYTES, got \(type)",
                    at: column.type.span)
            }
            if headers.contains(where: { $0.headerKey == nil || $0.headerKey == key }) { throw Self.secondHeaders(column.name.span) }
        } else {
            header = Source.HeaderColumn(name: column.name.name, headerKey: nil, position: position)
            guard type == header.type else {
                throw MartletError(
                    .badStatement,
                    "\(column.name.span.messagePrefix)Invalid type for HEADERS column: expected ARRAY<STRUCT<`KEY` STRING, `VALUE` BYTES>>, got \(type)",
                    at: column.type.span)
            }
            if !headers.isEmpty { throw Self.secondHeaders(column.name.span) }
        }
        headers.append(header)
    }

    private static func secondHeaders(_ span: SourceSpan) -> MartletError {
        MartletError(.badStatement, "Schema already contains a HEADERS column, or a HEADER column with the same key.", at: span)
    }
}

/// The formats of both sides, from a WITH clause and the defaults.
struct SourceFormats {
    var key: FormatSpec
    var value: FormatSpec

    /// The format a declaration names for a side, or the default; nil if there is none.
    static func name(_ side: Side, _ properties: SourceProperties, _ context: AnalysisContext) -> (text: String, span: SourceSpan)? {
        if let given = properties.formatName(side) { return given }
        let fallback = context.properties["ksql.persistence.default.format.\(side.rawValue)"] ?? (side == .key ? "KAFKA" : nil)
        return fallback.map { ($0, properties.statementSpan) }
    }

    static func declared(_ properties: SourceProperties, _ context: AnalysisContext) throws(MartletError) -> SourceFormats {
        guard let key = name(.key, properties, context), let value = name(.value, properties, context) else {
            throw MartletError(
                .invalidProperty,
                "Statement is missing the 'VALUE_FORMAT' property from the WITH clause. Either provide one or set a default via the 'ksql.persistence.default.format.value' config.",
                at: properties.statementSpan)
        }
        return SourceFormats(
            key: try FormatRules.spec(try FormatRules.kind(key.text, at: key.span), try properties.formatProperties(.key), side: .key),
            value: try FormatRules.spec(try FormatRules.kind(value.text, at: value.span), try properties.formatProperties(.value), side: .value))
    }
}

extension FormatSpec {
    /// Serde features as ksqlDB shows those of keys.
    var featureNames: [String] { unwrapSingle && kind != .kafka && kind != .delimited ? ["UNWRAP_SINGLES"] : [] }
}

extension AnalysisContext {
    /// Whether a switch that is on by default is off.
    func isOff(_ property: String) -> Bool { properties[property]?.lowercased() == "false" }

    /// `ksql.persistence.wrap.single.values`
    var wrapSingleValues: Bool? { properties["ksql.persistence.wrap.single.values"].flatMap { Bool($0.lowercased()) } }
    var throwsOnInvalidTimestamp: Bool { properties["ksql.timestamp.throw.on.invalid"]?.lowercased() == "true" }
}

/// The TIMESTAMP property: a BIGINT or TIMESTAMP column, or a text column with a pattern.
enum TimestampRules {
    static func column(_ properties: SourceProperties, _ schema: Schema) throws(MartletError) -> Source.TimestampColumn? {
        guard let name = properties.text("TIMESTAMP") else { return nil }
        let span = properties.span("TIMESTAMP")
        let format = properties.text("TIMESTAMP_FORMAT")
        let isQuoted = name.hasPrefix("`") && name.hasSuffix("`") && name.count > 1
        let unquoted = isQuoted ? String(name.dropFirst().dropLast()) : name
        guard let field = schema.all.first(where: { $0.name == unquoted }) ?? schema.all.first(where: { $0.name == unquoted.uppercased() }) else {
            throw MartletError(
                .unknownColumn,
                "The TIMESTAMP column set in the WITH clause does not exist in the schema: '\(isQuoted ? unquoted : unquoted.uppercased())'", at: span,
                hint: "columns are \(schema.all.prefix(40).map(\.name).joined(separator: ", "))")
        }
        switch field.type {
        case .string:
            if format == nil {
                throw MartletError(
                    .invalidProperty,
                    "A String timestamp field has been specified without also specifying the timestamp_format", at: span)
            }
        case .bigint, .timestamp:
            if format != nil {
                throw MartletError(
                    .invalidProperty, "'TIMESTAMP_FORMAT' set in the WITH clause can only be used when the timestamp column is of type STRING.",
                    at: properties.span("TIMESTAMP_FORMAT"))
            }
        default:
            throw MartletError(
                .typeMismatch,
                "Timestamp column, \(SQLType.quoted(field.name)), should be LONG(INT64), TIMESTAMP, or a String with a timestamp_format specified", at: span)
        }
        return Source.TimestampColumn(column: field.name, format: format)
    }
}
