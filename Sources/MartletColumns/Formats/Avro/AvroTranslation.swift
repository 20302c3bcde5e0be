import MartletCore

/// Columns to Avro schemas and back, in the shapes of ksqlDB's sinks.
///
/// Every column is `["null", T]` with default null; names of nested records grow by `_FIELD`; a MAP is Connect's array of `MapEntry` records
/// because its keys are nullable; DECIMAL and the time types carry Connect's names. A single unwrapped column is its type alone.
enum AvroTranslation {
    static let defaultName = "io.confluent.ksql.avro_schemas.KsqlDataSourceSchema"

    // MARK: columns → schema

    static func schema(for fields: [Field], spec: FormatSpec, side: Side) throws(MartletError) -> JSONValue {
        let name = spec.properties["fullSchemaName"] ?? (side == .key ? defaultName + "Key" : defaultName)
        if spec.unwrapSingle, let only = fields.first { return try json(only.type, name: name, isInner: false) }
        return try record(fields, name: name, isInner: false)
    }

    private static func record(_ fields: [Field], name: String, isInner: Bool) throws(MartletError) -> JSONValue {
        var members: [JSONValue] = []
        for field in fields {
            if let problem = AvroSchema.problem(inName: field.name) {
                throw MartletError(.schemaInvalid, "Schema is not compatible with Avro: \(problem)")
            }
            members.append(optionalField(field.name, try json(field.type, name: "\(name)_\(field.name)", isInner: true)))
        }
        var object: JSONObject = ["type": "record"]
        object.members += naming(name, isInner: isInner)
        object["fields"] = .array(members)
        object["connect.name"] = .string(name)
        return .object(object)
    }

    // An inner type inherits the namespace.
    private static func naming(_ full: String, isInner: Bool) -> [JSONObject.Member] {
        guard let dot = full.lastIndex(of: ".") else { return [.init("name", .string(full))] }
        let name = JSONObject.Member("name", .string(String(full[full.index(after: dot)...])))
        return isInner ? [name] : [name, .init("namespace", .string(String(full[..<dot])))]
    }

    private static func optionalField(_ name: String, _ type: JSONValue) -> JSONValue {
        ["name": .string(name), "type": .array(["null", type]), "default": nil]
    }

    private static func json(_ type: SQLType, name: String, isInner: Bool) throws(MartletError) -> JSONValue {
        switch type {
        case .boolean: return "boolean"
        case .integer: return "int"
        case .bigint: return "long"
        case .double: return "double"
        case .string: return "string"
        case .bytes: return "bytes"
        case .decimal(let precision, let scale):
            return [
                "type": "bytes", "scale": .int(scale), "precision": .int(precision), "connect.version": 1,
                "connect.parameters": ["scale": .string("\(scale)"), "connect.decimal.precision": .string("\(precision)")],
                "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal",
            ]
        case .date: return logical("int", "Date", "date")
        case .time: return logical("int", "Time", "time-millis")
        case .timestamp: return logical("long", "Timestamp", "timestamp-millis")
        case .array(let element): return ["type": "array", "items": .array(["null", try json(element, name: name, isInner: isInner)])]
        case .map(let key, let value):
            guard key == .string else { throw MartletError(.notSupported, "Avro only supports MAPs with STRING keys") }
            var entry: JSONObject = ["type": "record"]
            entry.members += naming(name, isInner: isInner)
            entry["fields"] = .array([
                optionalField("key", "string"), optionalField("value", try json(value, name: name + "_MapValue", isInner: true)),
            ])
            entry["connect.internal.type"] = "MapEntry"
            return ["type": "array", "items": .object(entry), "connect.name": .string(name)]
        case .structure(let fields): return try record(fields, name: name, isInner: isInner)
        }
    }

    private static func logical(_ base: String, _ connect: String, _ logical: String) -> JSONValue {
        [
            "type": .string(base), "connect.version": 1, "connect.name": .string("org.apache.kafka.connect.data.\(connect)"),
            "logicalType": .string(logical),
        ]
    }

    // MARK: schema → columns

    /// The columns that a schema declares; with `unwrapSingle` the whole of it is one column, ROWKEY or ROWVAL.
    ///
    /// Fields that SQL has no type for are left out: maps of other keys than text, integers and booleans. Those keys become text.
    static func fields(from schema: AvroSchema, spec: FormatSpec, side: Side, keepsCase: Bool) throws(MartletError) -> [Field] {
        if spec.unwrapSingle {
            let name = side == .key ? "ROWKEY" : "ROWVAL"
            guard let only = try type(schema.root, schema, keepsCase: keepsCase, path: name, open: []) else {
                throw MartletError(.notSupported, "Unsupported type at root of schema: \(schema.root.name)")
            }
            return [Field(name, only)]
        }
        guard case .record(let record) = schema.resolved(schema.root), !record.isMapEntry else { throw SchemaTranslation.anonymous() }
        return try SchemaTranslation.nonEmpty(try fields(of: record, schema, keepsCase: keepsCase, open: [record.name]))
    }

    /// Connect's name of a union's branch: a named type's without its namespace.
    static func unionField(_ branch: AvroType) -> String { branch.name.split(separator: ".").last.map(String.init) ?? branch.name }

    private static func fields(of record: AvroRecord, _ schema: AvroSchema, keepsCase: Bool, open: Set<String>) throws(MartletError)
        -> [Field]
    {
        var out: [Field] = []
        for field in record.fields {
            let name = keepsCase ? field.name : field.name.uppercased()
            guard let type = try type(field.type, schema, keepsCase: keepsCase, path: field.name, open: open) else { continue }
            out.append(Field(name, type))
        }
        return out
    }

    /// Nil for a type that SQL does not have.
    private static func type(_ type: AvroType, _ schema: AvroSchema, keepsCase: Bool, path: String, open: Set<String>)
        throws(MartletError) -> SQLType?
    {
        func inner(_ other: AvroType, _ step: String = "") throws(MartletError) -> SQLType? {
            try self.type(other, schema, keepsCase: keepsCase, path: path + step, open: open)
        }
        switch schema.resolved(type) {
        case .boolean: return .boolean
        case .int(.date): return .date
        case .int(.timeMillis): return .time
        case .int: return .integer
        case .long(.timestampMillis): return .timestamp
        case .long: return .bigint
        case .float, .double: return .double
        case .string, .enumeration: return .string
        case .bytes(.decimal(let precision, let scale)), .fixed(_, _, .decimal(let precision, let scale)):
            if precision > 38 { throw MartletError(.notSupported, "\(path): a DECIMAL has at most 38 digits, the schema says \(precision)") }
            return .decimal(precision: precision, scale: scale)
        case .bytes, .fixed: return .bytes
        case .record(let record):
            if open.contains(record.name) { throw MartletError(.notSupported, "\(path): record \(record.name) contains itself") }
            return .structure(try fields(of: record, schema, keepsCase: keepsCase, open: open.union([record.name])))
        case .array(let items):
            if case .record(let entry) = schema.resolved(items), entry.isMapEntry, entry.fields.count == 2 {
                guard let key = try inner(entry.fields[0].type, ".key"), SchemaTranslation.canBeText(key) else { return nil }
                return try inner(entry.fields[1].type, ".value").map { .map(key: .string, value: $0) }
            }
            return try inner(items, "[]").map { .array($0) }
        case .map(let values): return try inner(values, "{}").map { .map(key: .string, value: $0) }
        case .union(let branches):
            let rest = branches.filter { $0 != .null }
            if rest.count == 1 { return try inner(rest[0]) }
            // Connect: a struct of which one field is not null.
            var members: [Field] = []
            for branch in rest {
                guard let type = try inner(branch, "|" + branch.name) else { continue }
                members.append(Field(keepsCase ? unionField(branch) : unionField(branch).uppercased(), type))
            }
            return .structure(members)
        case .null: throw MartletError(.notSupported, "\(path): the type null alone has no SQL type")
        case .named(let name): throw MartletError(.schemaInvalid, "\(path): type \(name) is not defined")
        }
    }
}
