import MartletCore

/// Where in a table the rows are that a pull query needs: what its store is asked for.
///
/// It may say too much, never too little: the plan's filter, over the columns of the plan's input, decides.
public struct TableLookup: Sendable, Hashable, Codable {
    public enum Keys: Sendable, Hashable, Codable {
        /// Every key.
        case all
        /// These keys, each once, in this order; a value of its column's type for each key column.
        case some([[SQLValue]])
        /// Keys of the one key column between two values of its type; nil: no bound.
        case range(lower: Bound?, upper: Bound?)
    }

    public struct Bound: Sendable, Hashable, Codable {
        public var value: SQLValue
        public var isInclusive: Bool
        public init(value: SQLValue, isInclusive: Bool) {
            self.value = value
            self.isInclusive = isInclusive
        }
    }

    /// Milliseconds, both inclusive; nil: no bound.
    public struct Times: Sendable, Hashable, Codable {
        public var lower: Int64?
        public var upper: Int64?
        public init(lower: Int64? = nil, upper: Int64? = nil) {
            self.lower = lower
            self.upper = upper
        }
    }

    /// Name of the table.
    public var table: String
    public var keys: Keys
    /// Of windowed tables.
    public var windowStart: Times
    public var windowEnd: Times

    public init(table: String, keys: Keys = .all, windowStart: Times = Times(), windowEnd: Times = Times()) {
        self.table = table
        self.keys = keys
        self.windowStart = windowStart
        self.windowEnd = windowEnd
    }
}
