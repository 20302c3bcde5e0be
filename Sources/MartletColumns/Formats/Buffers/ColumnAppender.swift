import MartletCore

#if canImport(Glibc)
    import Glibc
#endif

/// A column under construction by a decoder: typed raw memory that grows, one appender a column and one more for each nested part.
///
/// Strings are slices of the block's buffer, or of `ExtraBytes` behind it. A flat decoder reserves the rows of a block, takes `slot` and
/// stores by row; others append. Cells of null rows are zero.
final class ColumnAppender {
    let type: SQLType
    /// Fixed width: the elements. Bytes: starts (`UInt32`). Lists and maps: `count` ends (`Int32`).
    private(set) var values: UnsafeMutableRawPointer
    /// Bytes only.
    private(set) var lengths: UnsafeMutablePointer<UInt32>?
    private(set) var valid: UnsafeMutablePointer<Bool>
    private(set) var capacity: Int
    var count = 0
    /// Array: elements; map: keys, values; struct: fields.
    let children: [ColumnAppender]
    private let stride: Int

    init(_ type: SQLType, capacity: Int) {
        self.type = type
        self.capacity = max(capacity, 1)
        switch type {
        case .boolean: stride = 1
        case .integer, .date, .time: stride = 4
        case .bigint, .timestamp, .double: stride = 8
        case .decimal: stride = 16
        case .string, .bytes, .array, .map: stride = 4
        case .structure: stride = 0
        }
        switch type {
        case .array(let element): children = [ColumnAppender(element, capacity: capacity)]
        case .map(let key, let value): children = [ColumnAppender(key, capacity: capacity), ColumnAppender(value, capacity: capacity)]
        case .structure(let fields): children = fields.map { ColumnAppender($0.type, capacity: capacity) }
        default: children = []
        }
        values = .allocate(byteCount: max(self.capacity * stride, 1), alignment: 16)
        valid = .allocate(capacity: self.capacity)
        if type == .string || type == .bytes { lengths = .allocate(capacity: self.capacity) }
    }

    deinit {
        values.deallocate()
        valid.deallocate()
        lengths?.deallocate()
    }

    @inline(__always)
    func reserveOne() {
        if count == capacity { grow() }
    }

    @inline(never)
    private func grow() {
        let larger = capacity * 2
        let moved = UnsafeMutableRawPointer.allocate(byteCount: max(larger * stride, 1), alignment: 16)
        memcpy(moved, values, count * stride)
        values.deallocate()
        values = moved
        let flags = UnsafeMutablePointer<Bool>.allocate(capacity: larger)
        memcpy(flags, valid, count)
        valid.deallocate()
        valid = flags
        if let old = lengths {
            let moved = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
            memcpy(moved, old, count * 4)
            old.deallocate()
            lengths = moved
        }
        capacity = larger
    }

    @inline(__always)
    func append<T: BitwiseCopyable>(_ value: T) {
        reserveOne()
        values.assumingMemoryBound(to: T.self)[count] = value
        valid[count] = true
        count &+= 1
    }

    @inline(__always)
    func appendSlice(start: Int, length: Int) {
        reserveOne()
        values.assumingMemoryBound(to: UInt32.self)[count] = UInt32(truncatingIfNeeded: start)
        lengths.unsafelyUnwrapped[count] = UInt32(truncatingIfNeeded: length)
        valid[count] = true
        count &+= 1
    }

    /// Zero, false or no bytes, which is not null.
    func appendZero() {
        reserveOne()
        memset(values + count * stride, 0, stride)
        lengths?[count] = 0
        valid[count] = true
        count += 1
    }

    /// Closes a list or map whose entries have been appended to the children, or a struct whose fields have.
    func appendNested() {
        reserveOne()
        if let first = children.first, stride == 4 { values.assumingMemoryBound(to: Int32.self)[count] = Int32(first.count) }
        valid[count] = true
        count += 1
    }

    /// Makes row `row`, the next one, null, whatever a decoder had begun to store there.
    func appendNull(at row: Int) {
        truncate(to: row)
        count = row
        appendNull()
    }

    func appendNull() {
        reserveOne()
        memset(values + count * stride, 0, stride)
        lengths?[count] = 0
        valid[count] = false
        switch type {
        case .array, .map: values.assumingMemoryBound(to: Int32.self)[count] = Int32(children[0].count)
        case .structure: for child in children { child.appendNull() }
        default: break
        }
        count += 1
    }

    /// Forgets rows from `rows` on, and what children hold for an element that was begun and not closed.
    func truncate(to rows: Int) {
        count = min(count, rows)
        switch type {
        case .array, .map:
            let end = count == 0 ? 0 : Int(values.assumingMemoryBound(to: Int32.self)[count - 1])
            for child in children { child.truncate(to: end) }
        case .structure:
            for child in children { child.truncate(to: count) }
        default: break
        }
    }

    /// The first `count` rows as a column; `buffer` is what slices point into.
    func finish(_ buffer: [UInt8]) -> Column {
        func fixed<T: BitwiseCopyable & Sendable & Hashable>(_: T.Type) -> FixedColumn<T> { FixedColumn(array(T.self), validity: validity) }
        switch type {
        case .boolean: return .boolean(fixed(Bool.self))
        case .integer: return .integer(fixed(Int32.self))
        case .bigint: return .bigint(fixed(Int64.self))
        case .double: return .double(fixed(Double.self))
        case .decimal(let precision, let scale): return .decimal(fixed(Int128.self), precision: precision, scale: scale)
        case .date: return .date(fixed(Int32.self))
        case .time: return .time(fixed(Int32.self))
        case .timestamp: return .timestamp(fixed(Int64.self))
        case .string: return .string(slices(buffer))
        case .bytes: return .bytes(slices(buffer))
        case .array: return .array(ListColumn(offsets: offsets, elements: children[0].finish(buffer), validity: validity))
        case .map:
            return .map(
                MapColumn(offsets: offsets, keys: children[0].finish(buffer), values: children[1].finish(buffer), validity: validity))
        case .structure(let fields):
            return .structure(
                StructColumn(names: fields.map(\.name), fields: children.map { $0.finish(buffer) }, count: count, validity: validity))
        }
    }

    private func slices(_ buffer: [UInt8]) -> BytesColumn {
        let count = count, from = lengths.unsafelyUnwrapped
        let sizes = [UInt32](unsafeUninitializedCapacity: count) { out, n in
            if count > 0 { memcpy(out.baseAddress!, from, count * 4) }
            n = count
        }
        return BytesColumn(buffer: buffer, starts: array(UInt32.self), lengths: sizes, validity: validity)
    }

    private var offsets: [Int32] { [0] + array(Int32.self) }

    private var validity: Validity {
        if count == 0 || memchr(valid, 0, count) == nil { return .allValid }
        return Validity(flags: Array(UnsafeBufferPointer(start: valid, count: count)))
    }

    private func array<T: BitwiseCopyable>(_: T.Type) -> [T] {
        let count = count, from = values
        return [T](unsafeUninitializedCapacity: count) { out, n in
            if count > 0 { memcpy(out.baseAddress!, from, count * MemoryLayout<T>.stride) }
            n = count
        }
    }

    /// Plain pointers for a loop that stores by row; good until the appender grows.
    struct Slot {
        var values: UnsafeMutableRawPointer
        var lengths: UnsafeMutablePointer<UInt32>?
        var valid: UnsafeMutablePointer<Bool>

        @inline(__always)
        func store<T: BitwiseCopyable>(_ value: T, _ row: Int) { values.assumingMemoryBound(to: T.self)[row] = value }

        @inline(__always)
        func store(start: Int, length: Int, _ row: Int) {
            values.assumingMemoryBound(to: UInt32.self)[row] = UInt32(truncatingIfNeeded: start)
            lengths.unsafelyUnwrapped[row] = UInt32(truncatingIfNeeded: length)
        }
    }

    /// The slot as it is.
    var plainSlot: Slot { Slot(values: values, lengths: lengths, valid: valid) }

    /// The slot, all its rows marked valid.
    var slot: Slot {
        memset(valid, 1, capacity)
        return Slot(values: values, lengths: lengths, valid: valid)
    }

    /// Marks a row of a flat column null, by row.
    func storeNull(_ row: Int) {
        memset(values + row * stride, 0, stride)
        lengths?[row] = 0
        valid[row] = false
    }

    /// Zero, false or no bytes in a row of a flat column.
    func storeZero(_ row: Int) {
        memset(values + row * stride, 0, stride)
        lengths?[row] = 0
        valid[row] = true
    }

    /// Makes all cells that there is room for zero and valid.
    func storeZeros() {
        memset(values, 0, capacity * stride)
        if let lengths { memset(lengths, 0, capacity * 4) }
        memset(valid, 1, capacity)
    }
}

/// Bytes that are not in the record as such: unescaped, decoded or repaired text. They follow the block's buffer in the columns' buffer.
final class ExtraBytes {
    private let base: Int
    private(set) var bytes: [UInt8] = []

    init(after count: Int) { base = count }

    /// Keeps `text` and returns where it starts in the columns' buffer.
    func keep(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        defer { bytes.append(contentsOf: text) }
        return base + bytes.count
    }

    func keep(_ text: [UInt8]) -> Int {
        defer { bytes.append(contentsOf: text) }
        return base + bytes.count
    }

    /// The buffer that the columns share.
    func joined(_ buffer: [UInt8]) -> [UInt8] {
        if bytes.isEmpty { return buffer }
        return buffer + bytes + [UInt8](repeating: 0, count: RecordBlock.paddingBytes)
    }
}
