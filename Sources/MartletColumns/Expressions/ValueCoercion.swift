import MartletCore

/// Converts values of literals to a column's type, for INSERT VALUES and the like (ksqlDB, "Implicit type coercion"): numbers widen, text
/// becomes TIMESTAMP, DATE, TIME, BYTES (base 64), BOOLEAN or a number where it denotes one; nothing narrows.
public enum ValueCoercion {
    /// - Throws: `.typeMismatch` naming both types.
    public static func coerce(_ value: SQLValue, to type: SQLType) throws(MartletError) -> SQLValue {
        func mismatch() -> MartletError {
            MartletError(.typeMismatch, "Expected type \(type) for field but got \(typeName(of: value))")
        }
        switch (value, type) {
        case (.null, _): return .null
        case (.boolean, .boolean), (.integer, .integer), (.bigint, .bigint), (.double, .double), (.string, .string), (.bytes, .bytes),
            (.date, .date), (.time, .time), (.timestamp, .timestamp):
            return value
        case (.integer(let v), .bigint): return .bigint(Int64(v))
        case (.integer(let v), .double): return .double(Double(v))
        case (.bigint(let v), .double): return .double(Double(v))
        case (.decimal(let v), .double): return .double(v.doubleValue)
        case (.integer(let v), .decimal(let p, let s)): return try exact(Decimal128(unscaled: Int128(v), scale: 0), p, s)
        case (.bigint(let v), .decimal(let p, let s)): return try exact(Decimal128(unscaled: Int128(v), scale: 0), p, s)
        case (.decimal(let v), .decimal(let p, let s)): return try exact(v, p, s)
        case (.double(let v), .decimal(let p, let s)):
            guard let decimal = Decimal128(parsing: v.description) else { throw mismatch() }
            return try exact(decimal, p, s)
        case (.string(let text), .decimal(let p, let s)):
            guard let decimal = Decimal128(parsing: text) else { throw mismatch() }
            return try exact(decimal, p, s)
        case (.string(let text), .integer), (.string(let text), .bigint), (.string(let text), .double):
            guard let converted = try? CastKernels.cast(.string(text), to: type) else {
                throw MartletError(.typeMismatch, "invalid input syntax for type \(type.baseName): \"\(text)\".")
            }
            return converted
        case (.string(let text), .boolean):
            guard let converted = try? CastKernels.cast(.string(text), to: type) else { throw mismatch() }
            return converted
        case (.string(let text), .timestamp): return .timestamp(try TemporalText.parseTimestamp(text))
        case (.string(let text), .date): return .date(try TemporalText.parseDate(text))
        case (.string(let text), .time): return .time(try TemporalText.parseTime(text))
        case (.string(let text), .bytes):
            guard let bytes = Base64.decode(text.utf8) else { throw MartletError(.typeMismatch, "text is not base 64, which BYTES are written in") }
            return .bytes(bytes)
        case (.array(let values), .array(let element)):
            var out: [SQLValue] = []
            for value in values { out.append(try coerce(value, to: element)) }
            return .array(out)
        case (.map(let entries), .map(let key, let value)):
            var out: [SQLValue.MapEntry] = []
            for entry in entries { out.append(.init(try coerce(entry.key, to: key), try coerce(entry.value, to: value))) }
            return .map(out)
        case (.structure(let values), .structure(let fields)):
            // By name: what the type lacks is left out, what the value lacks is null.
            var out: [SQLValue.StructField] = []
            for field in fields {
                out.append(.init(field.name, try coerce(values.first { $0.name == field.name }?.value ?? .null, to: field.type)))
            }
            return .structure(out)
        default: throw mismatch()
        }
    }

    /// A decimal with more fraction digits than the column has would be rounded: refused.
    private static func exact(_ value: Decimal128, _ precision: Int, _ scale: Int) throws(MartletError) -> SQLValue {
        guard let fitted = value.fitted(precision: precision, scale: scale) else {
            throw MartletError(.typeMismatch, "Numeric field overflow: \(value) does not fit DECIMAL(\(precision), \(scale))")
        }
        guard ComparisonKernels.compareDecimals(fitted.unscaled, fitted.scale, value.unscaled, value.scale) == 0 else {
            throw MartletError(.typeMismatch, "Cannot fit \(value) into DECIMAL(\(precision), \(scale)) without rounding")
        }
        return .decimal(fitted)
    }

    static func typeName(of value: SQLValue) -> String {
        switch value {
        case .null: "NULL"
        case .boolean: "BOOLEAN"
        case .integer: "INTEGER"
        case .bigint: "BIGINT"
        case .double: "DOUBLE"
        case .decimal(let v): "DECIMAL(\(max(v.precision, v.scale)), \(v.scale))"
        case .string: "STRING"
        case .bytes: "BYTES"
        case .date: "DATE"
        case .time: "TIME"
        case .timestamp: "TIMESTAMP"
        case .array: "ARRAY"
        case .map: "MAP"
        case .structure: "STRUCT"
        }
    }
}
