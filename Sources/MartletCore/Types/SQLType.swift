/// The types of the SQL dialect (ksqlDB, "Data types").
///
/// | type | in memory |
/// |---|---|
/// | DATE | days since 1970-01-01 |
/// | TIME | milliseconds of the day |
/// | TIMESTAMP | milliseconds since 1970-01-01T00:00Z |
/// | DECIMAL(p,s) | the unscaled 128-bit integer; 1 ≤ p ≤ 38, 0 ≤ s ≤ p |
public indirect enum SQLType: Sendable, Hashable, Codable {
    case boolean, integer, bigint, double
    case decimal(precision: Int, scale: Int)
    case string, bytes, date, time, timestamp
    case array(SQLType)
    case map(key: SQLType, value: SQLType)
    case structure([Field])

    /// INT, BIGINT, DECIMAL or DOUBLE.
    public var isNumeric: Bool {
        switch self {
        case .integer, .bigint, .double, .decimal: true
        default: false
        }
    }

    public var isTime: Bool { self == .date || self == .time || self == .timestamp }

    public var isNested: Bool {
        switch self {
        case .array, .map, .structure: true
        default: false
        }
    }

    /// Whether a MAP occurs anywhere inside.
    public var containsMap: Bool {
        switch self {
        case .map: true
        case .array(let element): element.containsMap
        case .structure(let fields): fields.contains { $0.type.containsMap }
        default: false
        }
    }
}

/// A named column, struct field or parameter.
public struct Field: Sendable, Hashable, Codable {
    public var name: String
    public var type: SQLType

    public init(_ name: String, _ type: SQLType) {
        self.name = name
        self.type = type
    }
}

extension SQLType: CustomStringConvertible {
    /// The type as `DESCRIBE` and error messages print it: `ARRAY<STRUCT<A INTEGER, `b` STRING>>`.
    public var description: String {
        switch self {
        case .boolean: "BOOLEAN"
        case .integer: "INTEGER"
        case .bigint: "BIGINT"
        case .double: "DOUBLE"
        case .decimal(let precision, let scale): "DECIMAL(\(precision), \(scale))"
        case .string: "STRING"
        case .bytes: "BYTES"
        case .date: "DATE"
        case .time: "TIME"
        case .timestamp: "TIMESTAMP"
        case .array(let element): "ARRAY<\(element)>"
        case .map(let key, let value): "MAP<\(key), \(value)>"
        case .structure(let fields):
            "STRUCT<" + fields.map { "\(Self.quoted($0.name)) \($0.type)" }.joined(separator: ", ") + ">"
        }
    }

    /// The base name, as ksqlDB's REST API has it in `schema.type`.
    public var baseName: String {
        switch self {
        case .decimal: "DECIMAL"
        case .array: "ARRAY"
        case .map: "MAP"
        case .structure: "STRUCT"
        default: description
        }
    }

    /// A name in back quotes, inner ones doubled.
    public static func quoted(_ name: String) -> String {
        var out = "`"
        for character in name.unicodeScalars {
            if character == "`" { out += "``" } else { out.unicodeScalars.append(character) }
        }
        return out + "`"
    }
}
