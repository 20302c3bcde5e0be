import MartletCore

/// Columns every source has without declaring them (ksqlDB, "Pseudocolumns"; SEMANTICS of windowed sources).
enum PseudoColumns {
    static let rowTime = "ROWTIME", rowPartition = "ROWPARTITION", rowOffset = "ROWOFFSET"
    static let windowStart = "WINDOWSTART", windowEnd = "WINDOWEND"

    /// Names no user column and no alias may have.
    static let reserved: Set<String> = [rowTime, rowPartition, rowOffset, windowStart, windowEnd]

    static func isWindowBound(_ name: String) -> Bool { name == windowStart || name == windowEnd }

    /// Columns that text literals are compared with as date-times.
    static func isMagicTimestamp(_ name: String) -> Bool { name == rowTime || isWindowBound(name) }
}
