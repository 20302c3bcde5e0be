/// n encoded keys or values as slices of one buffer.
public struct EncodedColumn: Sendable {
    public var buffer: [UInt8]
    public var starts: [UInt32]
    /// Bytes; −1 for null.
    public var lengths: [Int32]
    /// Rows (of the last call's columns) that could not be encoded: they have length −1 and must not be written.
    public var failed: [UInt32]

    public init() {
        buffer = []
        starts = []
        lengths = []
        failed = []
    }

    public var count: Int { starts.count }

    /// The bytes of one row; nil for null.
    public func slice(_ row: Int) -> ArraySlice<UInt8>? {
        lengths[row] < 0 ? nil : buffer[Int(starts[row])..<Int(starts[row]) + Int(lengths[row])]
    }

    /// Empties the column and keeps its memory.
    public mutating func removeAll() {
        buffer.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        failed.removeAll(keepingCapacity: true)
    }
}
