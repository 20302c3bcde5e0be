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
    /// - Throws: `.schemaInvalid` for what is no schema, `.notSupported` for what SQL has no type for.
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
            return try ProtobufTranslation.fields(of: message, schema, keepsCase: keepsCase)
        case .none, .kafka, .delimited, .json: throw noSchema(spec.kind)
        }
    }

    private static func noSchema(_ kind: FormatKind) -> MartletError {
        MartletError(.notSupported, "format \(kind.rawValue) has no schemas", hint: "AVRO, JSON_SR and PROTOBUF have")
    }
}
