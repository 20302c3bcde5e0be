import MartletCore

/// n rows of one partition as columns. Row order is offset order.
///
/// A batch carries what belongs to the record beside its columns: timestamp, offset, headers, and whether the record's value (or key) is
/// absent as a whole, since a null value is not the same as a value whose columns are null (a tombstone on a table's topic).
public struct Batch: Sendable {
    public var count: Int
    public var columns: [Column]
    /// Milliseconds since the epoch, one a row.
    public var timestamps: [Int64]
    public var partition: Int32
    /// Offsets in the source partition, one a row; empty where rows have none.
    public var offsets: [Int64]
    /// Rows whose record value is null: the value columns of such a row are null. Nil: none.
    public var nullValues: [Bool]?
    /// Rows whose record key is null as a whole, which a key of several columns that are all null is not. Nil: none, or the key is new.
    public var nullKeys: [Bool]?
    /// Windows of windowed keys; nil: keys are not windowed.
    public var windows: Windows?
    /// Raw header sections as on the wire; nil: no row has headers.
    public var headers: BytesColumn?

    /// Changes of a table only: what each key's row was before; nil: unknown, or not a table.
    public var previous: Previous?

    /// The rows before a change: columns laid out like the batch's, null where there was no row.
    public struct Previous: Sendable {
        public var columns: [Column]
        /// Whether there was no row, one a row.
        public var isNull: [Bool]
        public init(columns: [Column], isNull: [Bool]) {
            self.columns = columns
            self.isNull = isNull
        }

        public func gathered(_ rows: [UInt32]) -> Previous {
            Previous(columns: columns.map { $0.gathered(rows) }, isNull: rows.map { isNull[Int($0)] })
        }
    }

    /// Bounds in milliseconds, one a row: a time window's end is exclusive, a session's is its last event.
    public struct Windows: Sendable {
        public var starts: [Int64]
        public var ends: [Int64]
        public init(starts: [Int64], ends: [Int64]) {
            precondition(starts.count == ends.count, "each window has both bounds")
            self.starts = starts
            self.ends = ends
        }

        public func gathered(_ rows: [UInt32]) -> Windows { Windows(starts: rows.map { starts[Int($0)] }, ends: rows.map { ends[Int($0)] }) }
    }

    public init(count: Int, columns: [Column], timestamps: [Int64], partition: Int32 = 0, offsets: [Int64] = []) {
        precondition(columns.allSatisfy { $0.count == count } && timestamps.count == count, "columns of a batch have equal counts")
        self.count = count
        self.columns = columns
        self.timestamps = timestamps
        self.partition = partition
        self.offsets = offsets
    }

    /// The rows of `rows` (rising), everything that belongs to them included.
    public func gathered(_ rows: [UInt32]) -> Batch {
        if rows.count == count { return self }
        var out = Batch(
            count: rows.count, columns: columns.map { $0.gathered(rows) }, timestamps: rows.map { timestamps[Int($0)] },
            partition: partition, offsets: offsets.isEmpty ? [] : rows.map { offsets[Int($0)] })
        out.nullValues = nullValues.map { flags in rows.map { flags[Int($0)] } }
        out.nullKeys = nullKeys.map { flags in rows.map { flags[Int($0)] } }
        out.windows = windows?.gathered(rows)
        out.headers = headers?.gathered(rows)
        out.previous = previous?.gathered(rows)
        return out
    }
}
