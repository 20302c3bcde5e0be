import MartletCore

/// Which types convert to which (ksqlDB, "Operators", CAST; "Implicit type coercion").
public enum CastRules {
    /// Whether `CAST(e AS to)` may be written for an `e` of type `from`.
    public static func canCast(_ from: SQLType, to: SQLType) -> Bool {
        if from == to { return true }
        switch (from, to) {
        case (.array(let a), .array(let b)): return canCast(a, to: b)
        case (.map(let k1, let v1), .map(let k2, let v2)): return canCast(k1, to: k2) && canCast(v1, to: v2)
        case (.structure(let a), .structure(let b)):
            return b.allSatisfy { field in a.first { $0.name == field.name }.map { canCast($0.type, to: field.type) } ?? true }
        case (.bytes, .string): return false
        case (_, .string): return true
        case (.string, .boolean), (.string, .timestamp), (.string, .time), (.string, .date), (.string, .bytes): return true
        case (.string, _): return to.isNumeric
        case (.timestamp, .time), (.timestamp, .date), (.date, .timestamp): return true
        default: return from.isNumeric && to.isNumeric
        }
    }

    /// Whether a value of type `from` may stand where `to` is expected: numbers widen INT → BIGINT → DECIMAL → DOUBLE, text becomes
    /// TIMESTAMP, DATE or TIME; arrays, maps and structs follow their parts.
    public static func canImplicitlyCast(_ from: SQLType, to: SQLType) -> Bool {
        if from == to { return true }
        switch (from, to) {
        case (.array(let a), .array(let b)): return canImplicitlyCast(a, to: b)
        case (.map(let k1, let v1), .map(let k2, let v2)): return canImplicitlyCast(k1, to: k2) && canImplicitlyCast(v1, to: v2)
        case (.structure(let a), .structure(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { $0.name == $1.name && canImplicitlyCast($0.type, to: $1.type) }
        case (.string, _): return to.isTime
        case (.integer, .bigint), (.integer, .double), (.bigint, .double), (.decimal, .double): return true
        case (.integer, .decimal(let p, let s)): return p - s >= 10
        case (.bigint, .decimal(let p, let s)): return p - s >= 19
        case (.decimal(let p1, let s1), .decimal(let p2, let s2)): return s1 <= s2 && p1 - s1 <= p2 - s2
        default: return false
        }
    }
}
