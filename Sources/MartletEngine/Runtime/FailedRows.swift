import MartletColumns

/// Rows that an operator or the sink could not evaluate, by offset in the source partition: row numbers of a batch mean nothing after a filter.
struct FailedRows {
    struct Entry {
        /// −1 if the row has none.
        var offset: Int64
        var column: String
        var reason: String
    }

    private(set) var entries: [Entry] = []
    private(set) var count = 0

    /// Takes over `errors` of a step whose input was `batch`.
    mutating func add(_ errors: RowErrors, of batch: Batch) {
        if errors.count == 0 { return }
        count += errors.count
        for entry in errors.entries where entries.count < RowErrors.limit {
            entries.append(
                Entry(offset: entry.row < batch.offsets.count ? batch.offsets[entry.row] : -1, column: entry.column, reason: entry.reason))
        }
    }
}
