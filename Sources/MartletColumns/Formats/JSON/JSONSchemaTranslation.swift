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
            // Keys of SQL's maps may be null, so that Connect takes entries for them.
            return [
                "type": "array", "connect.type": "map", "items": .object(object([Field("key", .string), Field("value", value)])),
            ]
        case .structure(let fields): return object(fields)
        }
    }

    /// The columns that a schema declares: its properties by `connect.index`, else in the order that ksqlDB gives them (`hashed`). Without `connect.type` an integer is BIGINT and
    /// a number DOUBLE. A `$ref` is what it leads to.
    static func fields(from text: String, spec: FormatSpec, side: Side, keepsCase: Bool, imports: [SchemaImport] = []) throws(MartletError) -> [Field] {
        let reader = Reader(document: try JSONSchemaDocument(parsing: text, imports: imports), keepsCase: keepsCase)
        let root = reader.document.resolved(.init(value: reader.document.root))
        if spec.unwrapSingle {
            let name = side == .key ? "ROWKEY" : "ROWVAL"
            return [Field(name, try reader.type(root, path: name, depth: 0))]
        }
        if root.value["allOf"] != nil {
            let merged = try reader.merged(root, path: "", depth: 0)
            if !merged.isEmpty { return try SchemaTranslation.nonEmpty(merged) }
        }
        if root.value["properties"] == nil {
            guard root.value["type"]?.stringValue == "object", root.value["connect.type"] == nil else { throw SchemaTranslation.anonymous() }
            return try SchemaTranslation.nonEmpty([])
        }
        return try SchemaTranslation.nonEmpty(try reader.properties(root, path: "", depth: 0))
    }

    /// Connect's name of the struct fields that stand for the alternatives of a `oneOf` or `anyOf`, by their numbers.
    static let alternative = "io.confluent.connect.json.OneOf.field."

    /// Whether a column of this type holds alternatives: its value is then one of its fields', not an object of them.
    static func isAlternatives(_ type: SQLType) -> Bool {
        guard case .structure(let fields) = type, fields.count > 1 else { return false }
        return fields.enumerated().allSatisfy { $0.element.name.lowercased() == "\(alternative)\($0.offset)".lowercased() }
    }

    /// The shapes in which a chosen schema wants the columns, by the preorder of `ColumnView`.
    static func shapes(_ fields: [Field], schemaText: String, unwrapped: Bool, imports: [SchemaImport]) throws(MartletError) -> [JSONWriter.Shape] {
        let document = try JSONSchemaDocument(parsing: schemaText, imports: imports)
        var out: [JSONWriter.Shape] = []
        func add(_ type: SQLType, _ given: JSONSchemaDocument.Place?) {
            var place = given.map { document.resolved($0) }
            if isAlternatives(type), case .structure(let fields) = type,
                let found = place, let branches = (found.value["oneOf"] ?? found.value["anyOf"])?.arrayValue?.filter({ $0["type"]?.stringValue != "null" }),
                branches.count == fields.count
            {
                out.append(.alternative)
                for (field, branch) in zip(fields, branches) { add(field.type, found.inner(branch)) }
                return
            }
            for key in ["oneOf", "anyOf", "allOf"] {
                // An object that is several at once is looked into below.
                if key == "allOf", case .structure = type { continue }
                guard let found = place, let branches = found.value[key]?.arrayValue else { continue }
                place = branches.first { $0["type"]?.stringValue != "null" }.map { document.resolved(found.inner($0)) }
            }
            func inner(_ steps: String...) -> JSONSchemaDocument.Place? {
                guard let place else { return nil }
                var value: JSONValue? = place.value
                for step in steps { value = value?[step] }
                return value.map { place.inner($0) }
            }
            let isList = place?.value["type"]?.stringValue == "array"
            var isMap = false
            if case .map = type { isMap = true }
            out.append(isMap && isList ? .entries : .plain)
            switch type {
            case .array(let element): add(element, inner("items"))
            case .map(let key, let value):
                add(key, nil)
                add(value, isList ? inner("items", "properties", "value") : inner("additionalProperties"))
            case .structure(let fields): for field in fields { add(field.type, place.flatMap { document.property(field.name, of: $0) }) }
            default: break
            }
        }
        let root = JSONSchemaDocument.Place(value: document.root)
        for field in fields {
            let whole = document.resolved(root)
            add(field.type, unwrapped ? whole : document.property(field.name, of: whole))
        }
        return out
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

    /// The properties of all parts of an `allOf` (and of the object that it stands in), of references and `allOf`s in it too; none if no part has any.
    func merged(_ place: JSONSchemaDocument.Place, path: String, depth: Int) throws(MartletError) -> [Field] {
        var found: [(name: String, place: JSONSchemaDocument.Place)] = []
        for part in document.parts(of: place) {
            for member in Self.hashed(part.value["properties"]?.objectValue?.members ?? []) {
                let inner = part.inner(member.value)
                // Of two with one name the later counts, at the earlier place.
                if let known = found.firstIndex(where: { $0.name == member.name }) { found[known].place = inner } else { found.append((member.name, inner)) }
            }
        }
        var out: [Field] = []
        for (name, place) in found {
            let shown = keepsCase ? name : name.uppercased()
            out.append(Field(shown, try type(place, path: path.isEmpty ? shown : "\(path).\(shown)", depth: depth + 1)))
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

    /// A list of several types is one of alternatives.
    private static func alternatives(_ type: JSONValue?) -> [JSONValue]? {
        guard let names = type?.arrayValue, names.count(where: { $0.stringValue != "null" }) > 1 else { return nil }
        return names.map { ["type": $0] }
    }

    func type(_ given: JSONSchemaDocument.Place, path: String, depth: Int) throws(MartletError) -> SQLType {
        let place = document.resolved(given), json = place.value
        if let reference = json["$ref"]?.stringValue { throw MartletError(.schemaInvalid, "\(path): reference \(reference) leads nowhere") }
        if depth > 100 {
            throw MartletError(.notSupported, "\(path): the schema contains itself or is nested deeper than 100 levels, which no SQL type is")
        }
        func unknown() -> MartletError { MartletError(.notSupported, "\(path): the schema's type has no SQL type") }
        if json["allOf"] != nil || (json["properties"] != nil && (json["oneOf"] ?? json["anyOf"]) != nil) {
            let fields = try merged(place, path: path, depth: depth)
            if !fields.isEmpty { return .structure(fields) }
        }
        if let branches = (json["oneOf"] ?? json["anyOf"])?.arrayValue ?? Self.alternatives(json["type"]) {
            let rest = branches.filter { $0["type"]?.stringValue != "null" }
            if rest.count == 1 { return try type(place.inner(rest[0]), path: path, depth: depth + 1) }
            var alternatives: [Field] = []
            for (i, branch) in rest.enumerated() {
                let name = "\(JSONSchemaTranslation.alternative)\(i)"
                alternatives.append(Field(keepsCase ? name : name.uppercased(), try type(place.inner(branch), path: "\(path)|\(i)", depth: depth + 1)))
            }
            if alternatives.isEmpty { throw unknown() }
            return .structure(alternatives)
        }
        if let parts = json["allOf"]?.arrayValue, !parts.isEmpty {
            // Of parts that are no objects one says what it is, others only what it may be.
            let isTelling = { (part: JSONValue) in ["oneOf", "anyOf", "allOf", "type", "$ref", "enum"].contains { part[$0] != nil } }
            guard let part = parts.first(where: isTelling) else { throw unknown() }
            return try type(place.inner(part), path: path, depth: depth + 1)
        }
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
        case "integer", "number":
            switch connect {
            case "int8", "int16", "int32": return .integer
            case "int64": return .bigint
            case "float32", "float64": return .double
            default: return names[0] == "integer" ? .bigint : .double
            }
        case "string": return connect == "bytes" ? .bytes : .string
        case "array":
            guard let items = json["items"] else { throw unknown() }
            if connect == "map", let entry = document.resolved(place.inner(items)).value["properties"], let value = entry["value"] {
                return .map(key: .string, value: try type(place.inner(value), path: path + "{}", depth: depth + 1))
            }
            return .array(try type(place.inner(items), path: path + "[]", depth: depth + 1))
        case "object":
            if json["properties"] == nil || connect == "map", let values = json["additionalProperties"], values.objectValue != nil {
                return .map(key: .string, value: try type(place.inner(values), path: path + "{}", depth: depth + 1))
            }
            return .structure(try properties(place, path: path, depth: depth + 1))
        default: throw unknown()
        }
    }
}
