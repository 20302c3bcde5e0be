import MartletCore

/// An Avro schema (Avro specification 1.11, "Schema Declaration"): its types, and the named ones by full name.
public struct AvroSchema: Sendable, Hashable {
    public var root: AvroType
    /// Records, enums and fixed types by full name; inside `root` a second mention is `.named`.
    public var named: [String: AvroType]

    public init(root: AvroType, named: [String: AvroType] = [:]) {
        self.root = root
        self.named = named
    }

    /// The type itself where `type` is only a name.
    public func resolved(_ type: AvroType) -> AvroType {
        if case .named(let name) = type { named[name] ?? type } else { type }
    }
}

public indirect enum AvroType: Sendable, Hashable {
    case null, boolean, float, double, string
    case int(AvroLogicalType?)
    case long(AvroLogicalType?)
    case bytes(AvroLogicalType?)
    case fixed(name: String, size: Int, AvroLogicalType?)
    case enumeration(name: String, symbols: [String], defaultSymbol: String?)
    case record(AvroRecord)
    case array(AvroType)
    case map(AvroType)
    case union([AvroType])
    /// A record, enum or fixed that was defined before, by full name.
    case named(String)
}

/// Logical types that have an SQL type; others count as the type below them (specification, "Logical Types").
public enum AvroLogicalType: Sendable, Hashable {
    case decimal(precision: Int, scale: Int)
    case date, timeMillis, timeMicros, timestampMillis, timestampMicros
}

public struct AvroRecord: Sendable, Hashable {
    /// Full name: namespace and name.
    public var name: String
    public var fields: [AvroField]
    /// Kafka Connect writes maps with other than plain string keys as arrays of such records of `key` and `value`.
    public var isMapEntry: Bool

    public init(name: String, fields: [AvroField], isMapEntry: Bool = false) {
        self.name = name
        self.fields = fields
        self.isMapEntry = isMapEntry
    }
}

public struct AvroField: Sendable, Hashable {
    public var name: String
    public var type: AvroType
    public var defaultValue: JSONValue?

    public init(_ name: String, _ type: AvroType, defaultValue: JSONValue? = nil) {
        self.name = name
        self.type = type
        self.defaultValue = defaultValue
    }
}

extension AvroType {
    /// The name a union knows the branch by, and messages show.
    public var name: String {
        switch self {
        case .null: "null"
        case .boolean: "boolean"
        case .float: "float"
        case .double: "double"
        case .string: "string"
        case .int: "int"
        case .long: "long"
        case .bytes: "bytes"
        case .fixed(let name, _, _): name
        case .enumeration(let name, _, _): name
        case .record(let record): record.name
        case .array: "array"
        case .map: "map"
        case .union: "union"
        case .named(let name): name
        }
    }
}

// MARK: reading

extension AvroSchema {
    /// Reads a schema's JSON text.
    ///
    /// - Throws: `.schemaInvalid` that names the place.
    /// - `imports`: schemas of the named types that it uses without defining them, what is needed first coming first.
    public init(parsing text: String, imports: [SchemaImport] = []) throws(MartletError) {
        var reader = AvroSchemaReader()
        for one in imports { _ = try reader.type(try Self.json(one.text), namespace: "", path: one.name) }
        let root = try reader.type(try Self.json(text), namespace: "", path: "schema")
        self.init(root: root, named: reader.named)
    }

    private static func json(_ text: String) throws(MartletError) -> JSONValue {
        do {
            return try JSONValue(parsing: text)
        } catch {
            // A registry may hand out a bare `int` without quotes around it only if a client sent it so; Avro's own parser refuses it too.
            throw MartletError(.schemaInvalid, "an Avro schema is JSON", cause: error)
        }
    }

    public init(json: JSONValue) throws(MartletError) {
        var reader = AvroSchemaReader()
        let root = try reader.type(json, namespace: "", path: "schema")
        self.init(root: root, named: reader.named)
    }
}

private struct AvroSchemaReader {
    var named: [String: AvroType] = [:]
    var depth = 0

    func fail(_ path: String, _ what: String) -> MartletError { MartletError(.schemaInvalid, "Avro schema, \(path): \(what)") }

    mutating func type(_ json: JSONValue, namespace: String, path: String) throws(MartletError) -> AvroType {
        depth += 1
        defer { depth -= 1 }
        if depth > 200 { throw fail(path, "is nested deeper than 200 levels") }
        switch json {
        case .string(let name): return try byName(name, namespace: namespace, path: path)
        case .array(let branches):
            var types: [AvroType] = [], seen: Set<String> = []
            for (i, branch) in branches.enumerated() {
                let one = try type(branch, namespace: namespace, path: "\(path)[\(i)]")
                if case .union = one { throw fail(path, "a union may not hold a union directly") }
                if !seen.insert(one.name).inserted { throw fail(path, "a union may hold \(one.name) once") }
                types.append(one)
            }
            return .union(types)
        case .object(let object): return try complex(object, namespace: namespace, path: path)
        default: throw fail(path, "expected a name, an object or a list of types")
        }
    }

    private func byName(_ name: String, namespace: String, path: String) throws(MartletError) -> AvroType {
        switch name {
        case "null": return .null
        case "boolean": return .boolean
        case "int": return .int(nil)
        case "long": return .long(nil)
        case "float": return .float
        case "double": return .double
        case "bytes": return .bytes(nil)
        case "string": return .string
        default:
            let full = name.contains(".") || namespace.isEmpty ? name : "\(namespace).\(name)"
            if named[full] != nil { return .named(full) }
            if named[name] != nil { return .named(name) }
            throw fail(path, "type \(name) is not defined")
        }
    }

    private mutating func complex(_ object: JSONObject, namespace: String, path: String) throws(MartletError) -> AvroType {
        guard let kind = object["type"] else { throw fail(path, "\"type\" is missing") }
        guard case .string(let name) = kind else { return try type(kind, namespace: namespace, path: path) }
        switch name {
        case "record", "error":
            let full = try fullName(object, namespace: namespace, path: path)
            guard let list = object["fields"]?.arrayValue else { throw fail(path, "record \(full) has no list of fields") }
            // Known before its fields are read: it may mention itself.
            named[full] = .record(AvroRecord(name: full, fields: []))
            let inner = full.lastIndex(of: ".").map { String(full[..<$0]) } ?? ""
            var fields: [AvroField] = [], names: Set<String> = []
            for one in list {
                guard let fieldName = one["name"]?.stringValue, let fieldType = one["type"] else {
                    throw fail(path, "each field of record \(full) has a name and a type")
                }
                try checkName(fieldName, path: "\(path).\(fieldName)")
                if !names.insert(fieldName).inserted { throw fail(path, "record \(full) has two fields \(fieldName)") }
                fields.append(
                    AvroField(
                        fieldName, try type(fieldType, namespace: inner, path: "\(path).\(fieldName)"), defaultValue: one["default"]))
            }
            let record = AvroType.record(
                AvroRecord(name: full, fields: fields, isMapEntry: object["connect.internal.type"]?.stringValue == "MapEntry"))
            named[full] = record
            return record
        case "enum":
            let full = try fullName(object, namespace: namespace, path: path)
            guard let symbols = object["symbols"]?.arrayValue?.compactMap(\.stringValue) else {
                throw fail(path, "enum \(full) has no list of symbols")
            }
            let made = AvroType.enumeration(name: full, symbols: symbols, defaultSymbol: object["default"]?.stringValue)
            named[full] = made
            return made
        case "fixed":
            let full = try fullName(object, namespace: namespace, path: path)
            guard let size = object["size"]?.intValue, size >= 0 else { throw fail(path, "fixed \(full) has no size") }
            let made = AvroType.fixed(name: full, size: size, logical(object, of: "fixed"))
            named[full] = made
            return made
        case "array":
            guard let items = object["items"] else { throw fail(path, "an array has \"items\"") }
            return .array(try type(items, namespace: namespace, path: path + "[]"))
        case "map":
            guard let values = object["values"] else { throw fail(path, "a map has \"values\"") }
            return .map(try type(values, namespace: namespace, path: path + "{}"))
        case "int": return .int(logical(object, of: "int"))
        case "long": return .long(logical(object, of: "long"))
        case "bytes": return .bytes(logical(object, of: "bytes"))
        default: return try byName(name, namespace: namespace, path: path)
        }
    }

    /// A logical type that does not suit the type below it is ignored (specification).
    private func logical(_ object: JSONObject, of base: String) -> AvroLogicalType? {
        switch (object["logicalType"]?.stringValue, base) {
        case ("decimal", "bytes"), ("decimal", "fixed"):
            guard let precision = object["precision"]?.intValue, precision > 0 else { return nil }
            let scale = object["scale"]?.intValue ?? 0
            return scale < 0 || scale > precision ? nil : .decimal(precision: precision, scale: scale)
        case ("date", "int"): return .date
        case ("time-millis", "int"): return .timeMillis
        case ("time-micros", "long"): return .timeMicros
        case ("timestamp-millis", "long"): return .timestampMillis
        case ("timestamp-micros", "long"): return .timestampMicros
        default: return nil
        }
    }

    private func fullName(_ object: JSONObject, namespace: String, path: String) throws(MartletError) -> String {
        guard let name = object["name"]?.stringValue else { throw fail(path, "a named type has a name") }
        for part in name.split(separator: ".", omittingEmptySubsequences: false) { try checkName(String(part), path: path) }
        let space = name.contains(".") ? "" : (object["namespace"]?.stringValue ?? namespace)
        let full = space.isEmpty ? name : "\(space).\(name)"
        if named[full] != nil { throw fail(path, "type \(full) is defined twice") }
        return full
    }

    private func checkName(_ name: String, path: String) throws(MartletError) {
        if let problem = AvroSchema.problem(inName: name) { throw fail(path, problem) }
    }
}

extension AvroSchema {
    /// What is wrong with a name; nil for `[A-Za-z_][A-Za-z0-9_]*`. In the words of Avro's own parser.
    static func problem(inName name: String) -> String? {
        guard let first = name.utf8.first else { return "Empty name" }
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == 0x5f }
        if !isLetter(first) { return "Illegal initial character: \(name)" }
        if !name.utf8.allSatisfy({ isLetter($0) || $0 &- 0x30 < 10 }) { return "Illegal character in: \(name)" }
        return nil
    }
}

// MARK: canonical form

extension AvroSchema {
    /// The specification's "Parsing Canonical Form": what matters for reading data, in one fixed layout.
    public var canonicalForm: String {
        var written: Set<String> = []
        return canonical(root, &written)
    }

    private func canonical(_ type: AvroType, _ written: inout Set<String>) -> String {
        func quoted(_ text: String) -> String { JSONValue.string(text).description }
        switch type {
        case .null, .boolean, .float, .double, .string, .int, .long, .bytes: return quoted(type.name)
        case .named(let name): return written.contains(name) ? quoted(name) : canonical(named[name] ?? .null, &written)
        case .fixed(let name, let size, _):
            if !written.insert(name).inserted { return quoted(name) }
            return "{\"name\":\(quoted(name)),\"type\":\"fixed\",\"size\":\(size)}"
        case .enumeration(let name, let symbols, _):
            if !written.insert(name).inserted { return quoted(name) }
            return "{\"name\":\(quoted(name)),\"type\":\"enum\",\"symbols\":[\(symbols.map(quoted).joined(separator: ","))]}"
        case .record(let record):
            if !written.insert(record.name).inserted { return quoted(record.name) }
            var fields: [String] = []
            for field in record.fields { fields.append("{\"name\":\(quoted(field.name)),\"type\":\(canonical(field.type, &written))}") }
            return "{\"name\":\(quoted(record.name)),\"type\":\"record\",\"fields\":[\(fields.joined(separator: ","))]}"
        case .array(let items): return "{\"type\":\"array\",\"items\":\(canonical(items, &written))}"
        case .map(let values): return "{\"type\":\"map\",\"values\":\(canonical(values, &written))}"
        case .union(let branches):
            var parts: [String] = []
            for branch in branches { parts.append(canonical(branch, &written)) }
            return "[\(parts.joined(separator: ","))]"
        }
    }

    /// CRC-64-AVRO of the canonical form (specification, "Schema Fingerprints").
    public var fingerprint: UInt64 {
        let empty: UInt64 = 0xc15d_213a_a4d7_a795
        var print = empty
        for byte in canonicalForm.utf8 {
            var step = (print ^ UInt64(byte)) & 0xff
            for _ in 0..<8 { step = (step >> 1) ^ (empty & (0 &- (step & 1))) }
            print = (print >> 8) ^ step
        }
        return print
    }
}
