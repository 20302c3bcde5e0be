/// One value of any SQL type: for literals, INSERT, results and errors. Never the representation of a column on the hot path.
public indirect enum SQLValue: Sendable, Hashable, Codable {
    case null
    case boolean(Bool)
    case integer(Int32)
    case bigint(Int64)
    case double(Double)
    case decimal(Decimal128)
    case string(String)
    case bytes([UInt8])
    /// Days since 1970-01-01.
    case date(Int32)
    /// Milliseconds of the day.
    case time(Int32)
    /// Milliseconds since 1970-01-01T00:00Z.
    case timestamp(Int64)
    case array([SQLValue])
    /// Entries in the order they were read or built; keys are unique.
    case map([MapEntry])
    case structure([StructField])

    public struct MapEntry: Sendable, Hashable, Codable {
        public var key: SQLValue
        public var value: SQLValue
        public init(_ key: SQLValue, _ value: SQLValue) {
            self.key = key
            self.value = value
        }
    }

    public struct StructField: Sendable, Hashable, Codable {
        public var name: String
        public var value: SQLValue
        public init(_ name: String, _ value: SQLValue) {
            self.name = name
            self.value = value
        }
    }

    public var isNull: Bool { if case .null = self { true } else { false } }
}
