import MartletColumns
import MartletCore
import MartletSQL

/// What statements and queries want of the registry: columns of a source that declares none, schemas for a sink's writers.
extension SchemaRegistry {
    /// The schema that a writer uses, by id.
    public struct WriterSchema: Sendable {
        public var id: Int32
        /// Nil: the one that the fields translate to.
        public var text: String?
        /// What `text` refers to.
        public var imports: [SchemaImport] = []
    }

    /// Columns of the newest schema of `subject`, or of the schema with an id; such a one keeps the case of its names.
    ///
    /// - Throws: `.badStatement` in ksqlDB's words if there is none.
    public func fields(subject: String, schemaID: Int?, spec: FormatSpec, side: Side) throws(MartletError) -> [Field] {
        let found = schemaID.map { schema(id: Int32(truncatingIfNeeded: $0)) } ?? latest(subject: subject)?.schema
        guard let found else {
            let topic = subject.dropLast(side.rawValue.utf8.count + 1)
            let id = schemaID.map { ", schema ID: \($0)" } ?? ""
            throw MartletError(
                .badStatement,
                "Schema for message \(side.rawValue)s on topic '\(topic)' does not exist in the Schema Registry.\nSubject: \(subject)\(id)")
        }
        let topic = subject.dropLast(side.rawValue.utf8.count + 1), wanted = RegisteredSchema(kind: spec.kind, text: "").type
        if found.type != wanted {
            throw MartletError(
                .badStatement,
                "\(side == .key ? "Key" : "Value") schema is not in the expected format. You may want to set \(side.rawValue.uppercased())_FORMAT to '\(found.type)'.\ntopic: \(topic)\nexpected format: \(wanted)\nactual format: \(found.type)")
        }
        do {
            return try SchemaTranslation.fields(
                fromSchemaText: found.text, spec: spec, side: side, keepsCase: schemaID != nil, imports: try imports(of: found))
        } catch {
            throw MartletError(
                error.code,
                "Unable to verify if the \(side.rawValue) schema for topic: \(topic) is compatible with ksqlDB.\nReason: \(error.message)\n\nSchema:\(found.text)",
                hint: error.hint, cause: error)
        }
    }

    /// Full name of the Avro record, or of the first Protobuf message, of a schema; nil if it is neither.
    public func recordName(schemaID: Int) -> String? {
        guard let schema = schema(id: Int32(truncatingIfNeeded: schemaID)) else { return nil }
        switch schema.type {
        case "AVRO":
            guard case .record(let record)? = (try? AvroSchema(parsing: schema.text))?.root else { return nil }
            return record.name
        case "PROTOBUF":
            guard let imports = try? imports(of: schema), let parsed = try? ProtobufSchema(parsing: schema.text, imports: imports) else { return nil }
            return parsed.message(at: [0])?.fullName
        default: return nil
        }
    }

    /// Registers the schemas of a source's key and value under `<topic>-key` and `<topic>-value`, where its formats have any.
    /// - `keepsExisting`: a subject that has a schema keeps it; the source reads what others write.
    public func registerSchemas(of source: Source, keepsExisting: Bool = false) throws(MartletError) {
        for (side, fields, spec) in [(Side.key, source.schema.key, source.keyFormat), (.value, source.schema.value, source.valueFormat)] {
            if keepsExisting, latest(subject: "\(source.topic)-\(side.rawValue)") != nil { continue }
            _ = try writerSchema(of: fields, spec: spec, side: side, topic: source.topic)
        }
    }

    /// The schema that a writer of these columns uses; registers it if need be. Nil for formats without schemas.
    /// - `ofInsert`: for INSERT VALUES, which keeps to the schema that the source's columns came from.
    public func writerSchema(
        of fields: [Field], spec: FormatSpec, side: Side, topic: String, ofInsert: Bool = false
    ) throws(MartletError) -> WriterSchema? {
        guard spec.kind.usesSchemaRegistry, !fields.isEmpty else { return nil }
        if let id = spec.properties["schemaId"].flatMap({ Int32($0) }) {
            let chosen = try writerSchema(id: id)
            return WriterSchema(id: id, text: chosen.text, imports: try imports(of: chosen))
        }
        let subject = "\(topic)-\(side.rawValue)"
        if ofInsert, let known = try registered(fields, spec: spec, side: side, subject: subject) { return known }
        let text = try SchemaTranslation.schemaText(for: fields, spec: spec, side: side)
        do throws(MartletError) {
            let id = try register(subject: subject, schema: RegisteredSchema(kind: spec.kind, text: text))
            return WriterSchema(id: id, text: nil)
        } catch {
            // A schema of somebody else, from which the columns came: a record of another name, fields that cannot be null.
            guard ofInsert, error.code == .schemaIncompatible, let known = try newest(holding: fields, spec: spec, side: side, subject: subject) else {
                throw error
            }
            return known
        }
    }

    /// The newest schema of `subject`, if it defines the message that the format names, with just these columns: it may define others beside it.
    private func registered(_ fields: [Field], spec: FormatSpec, side: Side, subject: String) throws(MartletError) -> WriterSchema? {
        guard spec.kind == .protobuf, spec.properties["fullSchemaName"] != nil else { return nil }
        return try newest(holding: fields, spec: spec, side: side, subject: subject)
    }

    /// The newest schema of `subject`, if it is of the format's kind and stands for just these columns.
    private func newest(holding fields: [Field], spec: FormatSpec, side: Side, subject: String) throws(MartletError) -> WriterSchema? {
        guard let known = latest(subject: subject), known.schema.type == RegisteredSchema(kind: spec.kind, text: "").type else { return nil }
        let imports = try imports(of: known.schema)
        guard let own = try? SchemaTranslation.fields(fromSchemaText: known.schema.text, spec: spec, side: side, imports: imports), own == fields else {
            return nil
        }
        return WriterSchema(id: known.id, text: known.schema.text, imports: imports)
    }
}
