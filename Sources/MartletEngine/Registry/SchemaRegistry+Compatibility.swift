import MartletColumns
import MartletCore

/// Texts that stand for schemas, and which schemas may follow which.
extension SchemaRegistry {
    /// The schema in the one text that equal schemas share: for Avro and JSON Schema, JSON without blanks; for Protobuf, one layout.
    ///
    /// - `normalizes`: what may stand in any order is brought into one.
    /// - Throws: `.schemaInvalid` for what is no schema, or refers to what is not there.
    func canonical(_ schema: RegisteredSchema, normalizes: Bool = false) throws(MartletError) -> RegisteredSchema {
        var out = schema
        let imports = try imports(of: schema)
        switch schema.type {
        case "PROTOBUF":
            out.text = try ProtobufSchema.text(ofRegistered: schema.text)
            _ = try ProtobufSchema(parsing: out.text, imports: imports)
            if normalizes { out.text = try ProtobufSchema.normalizedText(of: out.text) }
        default:
            let json: JSONValue
            do {
                json = try JSONValue(parsing: schema.text)
            } catch {
                throw MartletError(.schemaInvalid, "Input schema is an invalid \(schema.type) schema", detail: error.message)
            }
            out.text = (normalizes ? (schema.type == "AVRO" ? Self.orderedAvro(json, isField: false) : Self.ordered(json)) : json).description
            if schema.type == "AVRO" { _ = try AvroSchema(parsing: out.text, imports: imports) }
            if schema.type == "JSON" { try JSONSchemaCompatibility.checkValid(out.text, imports: imports) }
        }
        return out
    }

    /// Members of objects by name; lists keep their order, which may matter.
    private static func ordered(_ json: JSONValue) -> JSONValue {
        switch json {
        case .object(let object): .object(JSONObject(object.members.map { .init($0.name, ordered($0.value)) }.sorted { $0.name < $1.name }))
        case .array(let values): .array(values.map { ordered($0) })
        default: json
        }
    }

    /// Attributes in the order of Avro's own printer, others after them by name. Defaults are data and stay.
    private static func orderedAvro(_ json: JSONValue, isField: Bool) -> JSONValue {
        switch json {
        case .array(let values): return .array(values.map { orderedAvro($0, isField: isField) })
        case .object(let object):
            let order = isField ? ["name", "type", "doc", "default"] : ["type", "name", "namespace", "doc", "fields", "symbols", "items", "values", "size"]
            func rank(_ name: String) -> Int { order.firstIndex(of: name) ?? order.count }
            let members = object.members.map { member -> JSONObject.Member in
                switch member.name {
                case "fields": .init(member.name, orderedAvro(member.value, isField: true))
                case "type", "items", "values": .init(member.name, orderedAvro(member.value, isField: false))
                default: member
                }
            }
            return .object(JSONObject(members.sorted { (rank($0.name), $0.name) < (rank($1.name), $1.name) }))
        default: return json
        }
    }

    /// What keeps `schema` from being the next version of `subject`; empty: nothing.
    ///
    /// - `version`: the one to compare with; nil: the newest, or all where the subject's level is transitive.
    /// - Throws: `.schemaInvalid` for what is no schema.
    public func problems(_ schema: RegisteredSchema, subject: String, against version: Version? = nil) throws(MartletError) -> [String] {
        let wanted = try canonical(schema)
        let level = level(of: subject) ?? level(of: nil) ?? .backward
        if level == .none { return [] }
        var others = version.map { [$0] } ?? versions(of: subject)
        if version == nil && !level.isTransitive { others = others.suffix(1) }
        var problems: [String] = []
        for other in others.reversed() {
            if other.schema.type != wanted.type {
                problems.append("schema type \(wanted.type) differs from \(other.schema.type) of version \(other.version)")
                continue
            }
            if level.checksBackward { problems += try Self.problems(reader: wanted, writer: other.schema, in: self) }
            if level.checksForward { problems += try Self.problems(reader: other.schema, writer: wanted, in: self) }
        }
        return problems
    }

    private static func problems(reader: RegisteredSchema, writer: RegisteredSchema, in registry: SchemaRegistry) throws(MartletError) -> [String] {
        let readerImports = try registry.imports(of: reader), writerImports = try registry.imports(of: writer)
        switch reader.type {
        case "PROTOBUF":
            return ProtobufCompatibility.check(
                reader: try ProtobufSchema(parsing: reader.text, imports: readerImports),
                writer: try ProtobufSchema(parsing: writer.text, imports: writerImports))
        case "JSON":
            return try JSONSchemaCompatibility.check(
                reader: reader.text, writer: writer.text, readerImports: readerImports, writerImports: writerImports)
        default:
            return AvroCompatibility.check(reader: reader.text, writer: writer.text, readerImports: readerImports, writerImports: writerImports)
        }
    }
}
