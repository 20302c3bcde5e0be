/// Rows that could not be decoded or evaluated: data, not exceptions (a throw costs 30 times what a row does).
///
/// Kernels add to it and go on; the engine counts them and reports them in the processing log.
public struct RowErrors: Sendable {
    public struct Entry: Sendable, Hashable {
        /// Row in the batch or block at hand.
        public var row: Int
        /// Name of the column or text of the expression.
        public var column: String
        public var reason: String
        public init(row: Int, column: String, reason: String) {
            self.row = row
            self.column = column
            self.reason = reason
        }
    }

    /// At most `limit` entries are kept; `count` counts all.
    public static let limit = 1000
    public private(set) var entries: [Entry] = []
    public private(set) var count = 0

    public init() {}

    public mutating func add(row: Int, column: String, _ reason: @autoclosure () -> String) {
        count += 1
        if entries.count < Self.limit { entries.append(Entry(row: row, column: column, reason: reason())) }
    }
}
