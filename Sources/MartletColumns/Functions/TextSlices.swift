/// Texts under construction that are slices of a buffer, or new bytes behind it.
struct TextSlices {
    private(set) var column: BytesColumn

    init(_ source: BytesColumn) { column = BytesColumn(buffer: source.buffer) }

    /// The bytes of the buffer in a range; null for nil.
    mutating func append(_ range: Range<Int>?) {
        guard let range else { return appendNull() }
        column.validity.append(true, count: column.starts.count)
        column.starts.append(UInt32(range.lowerBound))
        column.lengths.append(UInt32(range.count))
    }

    mutating func append(_ text: String?) { if let text { column.append(Array(text.utf8)) } else { column.appendNull() } }

    mutating func appendNull() {
        column.validity.append(false, count: column.starts.count)
        column.starts.append(0)
        column.lengths.append(0)
    }

    mutating func removeLast(_ count: Int) { column.removeLast(count) }
}
