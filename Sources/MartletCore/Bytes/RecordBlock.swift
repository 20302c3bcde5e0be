/// A run of records of one partition as columns of bytes: no object per record.
///
/// Keys, values and headers are slices of `buffer`, which holds at least `paddingBytes` readable bytes after the last slice, so that a
/// decoder may load whole words. All arrays have `count` elements; offsets rise strictly. Control records and records of aborted
/// transactions are not in a block, so offsets may have gaps.
public struct RecordBlock: Sendable {
    public static let paddingBytes = 64

    public var partition: Int32
    public var buffer: [UInt8]
    public var offsets: [Int64]
    /// Milliseconds since the epoch.
    public var timestamps: [Int64]
    public var keyStarts: [UInt32]
    /// Bytes; −1 for a null key.
    public var keyLengths: [Int32]
    public var valueStarts: [UInt32]
    /// Bytes; −1 for a null value (a tombstone in a table's topic).
    public var valueLengths: [Int32]
    /// The records' header sections as on the wire (varint count, then per header varint-length key and value); nil if no record has headers.
    public var headers: Headers?
    /// Offset to read from next: after the last record read, including those not shown.
    public var nextOffset: Int64

    public struct Headers: Sendable {
        public var starts: [UInt32]
        public var lengths: [Int32]
        public init(starts: [UInt32] = [], lengths: [Int32] = []) {
            self.starts = starts
            self.lengths = lengths
        }
    }

    public init(partition: Int32, nextOffset: Int64) {
        self.partition = partition
        self.nextOffset = nextOffset
        buffer = []
        offsets = []
        timestamps = []
        keyStarts = []
        keyLengths = []
        valueStarts = []
        valueLengths = []
    }

    public var count: Int { offsets.count }
}
