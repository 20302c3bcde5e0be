import MartletCore

/// Columns to registered schemas and back: for sinks, and for CREATE statements that leave columns out.
public enum SchemaTranslation {
    /// The schema that ksqlDB registers for a sink with these columns.
    ///
    /// - Throws: `.schemaInvalid` for column names the format does not allow; `.notSupported` for types or formats without a schema.
    public static func schemaText(for fields: [Field], spec: FormatSpec, side: Side) throws(MartletError) -> String {
        switch spec.kind {
        case .avro: return try AvroTranslation.schema(for: fields, spec: spec, side: side).description
        case .jsonSR: return try JSONSchemaTranslation.schema(for: fields, spec: spec, side: side).description
        case .protobuf, .protobufNoSR: return ProtobufText.text(of: try ProtobufTranslation.file(for: fields, spec: spec))
        case .none, .kafka, .delimited, .json: throw noSchema(spec.kind)
        }
    }

    /// The columns that a registered schema declares, in its order.
    ///
    /// - `keepsCase`: names as the schema has them (ksqlDB does so when a schema id is given); else upper-cased.
    /// - `imports`: the schemas that `text` refers to.
    /// - Throws: `.schemaInvalid` for what is no schema, `.notSupported` for what SQL has no type for, `.badStatement` for a schema of a bare
    ///   value where a record is wanted.
    public static func fields(fromSchemaText text: String, spec: FormatSpec, side: Side, keepsCase: Bool = false, imports: [SchemaImport] = [])
        throws(MartletError) -> [Field]
    {
        switch spec.kind {
        case .avro:
            return try AvroTranslation.fields(from: try AvroSchema(parsing: text, imports: imports), spec: spec, side: side, keepsCase: keepsCase)
        case .jsonSR: return try JSONSchemaTranslation.fields(from: text, spec: spec, side: side, keepsCase: keepsCase, imports: imports)
        case .protobuf, .protobufNoSR:
            let schema = try ProtobufSchema(parsing: text, imports: imports)
            let message = try schema.message(named: spec.properties["fullSchemaName"])
            return try nonEmpty(try ProtobufTranslation.fields(of: message, schema, keepsCase: keepsCase))
        case .none, .kafka, .delimited, .json: throw noSchema(spec.kind)
        }
    }

    static func anonymous() -> MartletError {
        MartletError(
            .badStatement,
            "Schema returned from schema registry is anonymous type. To use this schema with ksqlDB, set 'WRAP_SINGLE_VALUE=false' in the WITH clause properties."
        )
    }

    static func nonEmpty(_ fields: [Field]) throws(MartletError) -> [Field] {
        if fields.isEmpty { throw MartletError(.notSupported, "Schema does not include any columns with types that ksqlDB supports.") }
        try checkNames(fields)
        return fields
    }

    /// No two columns, and no two fields of a struct anywhere in them, have one name.
    private static func checkNames(_ fields: [Field]) throws(MartletError) {
        func check(_ type: SQLType) throws(MartletError) {
            switch type {
            case .array(let element): try check(element)
            case .map(_, let value): try check(value)
            case .structure(let fields): try checkNames(fields)
            default: break
            }
        }
        var seen: Set<String> = []
        if let twice = fields.first(where: { !seen.insert($0.name).inserted }) {
            throw MartletError(
                .schemaInvalid, "Cannot create field because of field name duplication \(twice.name)",
                hint: "names that differ in case alone are kept apart with *_SCHEMA_ID, or by declaring the columns")
        }
        for field in fields { try check(field.type) }
    }

    /// Whether keys of this type become the text keys that SQL's maps have (Connect's integers, BOOLEAN, STRING).
    static func canBeText(_ key: SQLType) -> Bool {
        switch key {
        case .string, .integer, .bigint, .boolean, .date, .time, .timestamp: true
        default: false
        }
    }

    private static func noSchema(_ kind: FormatKind) -> MartletError {
        MartletError(.notSupported, "format \(kind.rawValue) has no schemas", hint: "AVRO, JSON_SR and PROTOBUF have")
    }
}
