import MartletCore

/// Columns to JSON Schema texts and back, in the shapes of ksqlDB's JSON_SR sinks: each column is `oneOf` null and its type, with Connect's hints.
enum JSONSchemaTranslation {
    static func schema(for fields: [Field], spec: FormatSpec, side: Side) throws(MartletError) -> JSONValue {
        if spec.unwrapSingle, let only = fields.first { return .object(JSONObject([optional(only.type)])) }
        return .object(object(fields))
    }

    private static func object(_ fields: [Field]) -> JSONObject {
        let properties = fields.enumerated().map { i, field in
            JSONObject.Member(field.name, .object(JSONObject([.init("connect.index", .int(i)), optional(field.type)])))
        }
        return ["type": "object", "properties": .object(JSONObject(properties))]
    }

    private static func optional(_ type: SQLType) -> JSONObject.Member {
        .init("oneOf", .array([["type": "null"], .object(schema(type))]))
    }

    private static func schema(_ type: SQLType) -> JSONObject {
        func connect(_ base: String, _ name: String, _ kind: String) -> JSONObject {
            [
                "type": .string(base), "title": .string("org.apache.kafka.connect.data.\(name)"), "connect.version": 1,
                "connect.type": .string(kind),
            ]
        }
        switch type {
        case .boolean: return ["type": "boolean"]
        case .integer: return ["type": "integer", "connect.type": "int32"]
        case .bigint: return ["type": "integer", "connect.type": "int64"]
        case .double: return ["type": "number", "connect.type": "float64"]
        case .string: return ["type": "string"]
        case .bytes: return ["type": "string", "connect.type": "bytes"]
        case .decimal(let precision, let scale):
            var out = connect("number", "Decimal", "bytes")
            out["connect.parameters"] = ["scale": .string("\(scale)"), "connect.decimal.precision": .string("\(precision)")]
            return out
        case .date: return connect("integer", "Date", "int32")
        case .time: return connect("integer", "Time", "int32")
        case .timestamp: return connect("integer", "Timestamp", "int64")
        case .array(let element): return ["type": "array", "items": .object(JSONObject([optional(element)]))]
        case .map(_, let value):
            return ["type": "object", "connect.type": "map", "additionalProperties": .object(JSONObject([optional(value)]))]
        case .structure(let fields): return object(fields)
        }
    }

    /// The columns that a schema declares: its properties by `connect.index`, else in the order that ksqlDB gives them (`hashed`). Without `connect.type` an integer is BIGINT and
    /// a number DOUBLE. A `$ref` is what it leads to.
    static func fields(from text: String, spec: FormatSpec, side: Side, keepsCase: Bool, imports: [SchemaImport] = []) throws(MartletError) -> [Field] {
        let reader = Reader(document: try JSONSchemaDocument(parsing: text, imports: imports), keepsCase: keepsCase)
        let root = reader.document.resolved(.init(value: reader.document.root))
        if !spec.unwrapSingle, root.value["properties"] != nil { return try reader.properties(root, path: "", depth: 0) }
        let name = side == .key ? "ROWKEY" : "ROWVAL"
        return [Field(name, try reader.type(root, path: name, depth: 0))]
    }
}

/// Reads columns out of a schema.
private struct Reader {
    let document: JSONSchemaDocument
    let keepsCase: Bool

    func properties(_ place: JSONSchemaDocument.Place, path: String, depth: Int) throws(MartletError) -> [Field] {
        guard let members = place.value["properties"]?.objectValue?.members else {
            throw MartletError(.schemaInvalid, "\(path.isEmpty ? "the schema" : path): an object has properties")
        }
        let ordered = Self.hashed(members).enumerated().sorted {
            ($0.element.value["connect.index"]?.intValue ?? $0.offset, $0.offset) < ($1.element.value["connect.index"]?.intValue ?? $1.offset, $1.offset)
        }
        var out: [Field] = []
        for (_, member) in ordered {
            let name = keepsCase ? member.name : member.name.uppercased()
            out.append(Field(name, try type(place.inner(member.value), path: path.isEmpty ? name : "\(path).\(name)", depth: depth + 1)))
        }
        return out
    }

    /// Members in the order of a Java `HashMap` of their names, in which ksqlDB meets the properties of a schema: it decides the order of columns
    /// where the schema does not (`connect.index`). A table of 16 places, doubled while it is more than three quarters full.
    private static func hashed(_ members: [JSONObject.Member]) -> [JSONObject.Member] {
        var places: UInt32 = 16
        while members.count * 4 > Int(places) * 3 { places *= 2 }
        func place(_ name: String) -> UInt32 {
            let hash = name.utf16.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
            return (hash ^ hash >> 16) & (places - 1)
        }
        return members.enumerated().sorted { (place($0.element.name), $0.offset) < (place($1.element.name), $1.offset) }.map(\.element)
    }

    func type(_ given: JSONSchemaDocument.Place, path: String, depth: Int) throws(MartletError) -> SQLType {
        let place = document.resolved(given), json = place.value
        if let reference = json["$ref"]?.stringValue { throw MartletError(.schemaInvalid, "\(path): reference \(reference) leads nowhere") }
        if depth > 100 {
            throw MartletError(.notSupported, "\(path): the schema contains itself or is nested deeper than 100 levels, which no SQL type is")
        }
        func unknown() -> MartletError { MartletError(.notSupported, "\(path): the schema's type has no SQL type") }
        if let branches = (json["oneOf"] ?? json["anyOf"])?.arrayValue {
            let rest = branches.filter { $0["type"]?.stringValue != "null" }
            guard rest.count == 1 else { throw unknown() }
            return try type(place.inner(rest[0]), path: path, depth: depth + 1)
        }
        if let parts = json["allOf"]?.arrayValue, parts.count == 1 { return try type(place.inner(parts[0]), path: path, depth: depth + 1) }
        let connect = json["connect.type"]?.stringValue
        switch json["title"]?.stringValue {
        case "org.apache.kafka.connect.data.Decimal":
            let parameters = json["connect.parameters"]
            guard let scale = parameters?["scale"]?.stringValue.flatMap({ Int($0) }) else { throw unknown() }
            let precision = parameters?["connect.decimal.precision"]?.stringValue.flatMap { Int($0) } ?? 38
            guard (1...38).contains(precision), (0...precision).contains(scale) else { throw unknown() }
            return .decimal(precision: precision, scale: scale)
        case "org.apache.kafka.connect.data.Date": return .date
        case "org.apache.kafka.connect.data.Time": return .time
        case "org.apache.kafka.connect.data.Timestamp": return .timestamp
        default: break
        }
        // A list of types with null is another way to say optional.
        if json["type"] == nil, let values = json["enum"]?.arrayValue, values.allSatisfy({ $0.stringValue != nil }) { return .string }
        let names = json["type"]?.arrayValue?.compactMap(\.stringValue).filter { $0 != "null" } ?? json["type"]?.stringValue.map { [$0] } ?? []
        guard names.count == 1 else { throw unknown() }
        switch names[0] {
        case "boolean": return .boolean
        case "integer": return connect == "int32" || connect == "int16" || connect == "int8" ? .integer : .bigint
        case "number": return .double
        case "string": return connect == "bytes" ? .bytes : .string
        case "array":
            guard let items = json["items"] else { throw unknown() }
            return .array(try type(place.inner(items), path: path + "[]", depth: depth + 1))
        case "object":
            if json["properties"] == nil, let values = json["additionalProperties"], values.objectValue != nil {
                return .map(key: .string, value: try type(place.inner(values), path: path + "{}", depth: depth + 1))
            }
            return .structure(try properties(place, path: path, depth: depth + 1))
        default: throw unknown()
        }
    }
}
