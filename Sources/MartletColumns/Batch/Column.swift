import MartletCore

/// n values of one fixed-width type; `values[i]` is unspecified (but initialised) where `validity` says null.
public struct FixedColumn<Element: Sendable & Hashable>: Sendable, Hashable {
    public var values: [Element]
    public var validity: Validity

    public init(_ values: [Element], validity: Validity = .allValid) {
        self.values = values
        self.validity = validity
    }

    @inline(__always) public var count: Int { values.count }
    @inline(__always) public subscript(row: Int) -> Element? { validity.isValid(row) ? values[row] : nil }

    public func gathered(_ rows: [UInt32]) -> FixedColumn {
        let source = values
        return FixedColumn(
            [Element](unsafeUninitializedCapacity: rows.count) { out, count in
                for i in 0..<rows.count { out.initializeElement(at: i, to: source[Int(rows[i])]) }
                count = rows.count
            }, validity: validity.gathered(rows))
    }
}

/// n byte strings as slices of one shared buffer, in any order and possibly overlapping: a decoder need not copy what it points at.
///
/// STRING columns hold well-formed UTF-8. The buffer has at least `RecordBlock.paddingBytes` readable bytes after the last slice when it
/// comes from a record block; kernels may not count on that.
public struct BytesColumn: Sendable, Hashable {
    public var buffer: [UInt8]
    public var starts: [UInt32]
    /// Bytes; 0 where null.
    public var lengths: [UInt32]
    public var validity: Validity

    public init(buffer: [UInt8] = [], starts: [UInt32] = [], lengths: [UInt32] = [], validity: Validity = .allValid) {
        self.buffer = buffer
        self.starts = starts
        self.lengths = lengths
        self.validity = validity
    }

    public init(_ strings: [String?]) {
        self.init()
        for string in strings {
            if let string { append(Array(string.utf8)) } else { appendNull() }
        }
    }

    public var count: Int { starts.count }

    public func slice(_ row: Int) -> ArraySlice<UInt8> { buffer[Int(starts[row])..<Int(starts[row] + lengths[row])] }
    public func string(_ row: Int) -> String { String(decoding: slice(row), as: UTF8.self) }

    public mutating func append(_ bytes: some Collection<UInt8>) {
        validity.append(true, count: starts.count)
        starts.append(UInt32(buffer.count))
        lengths.append(UInt32(bytes.count))
        buffer.append(contentsOf: bytes)
    }

    public mutating func appendNull() {
        validity.append(false, count: starts.count)
        starts.append(UInt32(buffer.count))
        lengths.append(0)
    }

    /// Ends a row whose bytes were appended to the buffer from `start` on.
    mutating func endRow(_ start: Int) {
        validity.append(true, count: starts.count)
        starts.append(UInt32(start))
        lengths.append(UInt32(buffer.count - start))
    }

    /// Takes the last rows away; their bytes stay.
    mutating func removeLast(_ count: Int) {
        if let flags = validity.flags { validity = Validity(flags: flags.dropLast(count)) }
        starts.removeLast(count)
        lengths.removeLast(count)
    }

    public func gathered(_ rows: [UInt32]) -> BytesColumn {
        var out = BytesColumn(buffer: buffer, validity: validity.gathered(rows))
        out.starts = rows.map { starts[Int($0)] }
        out.lengths = rows.map { lengths[Int($0)] }
        return out
    }

    // Two columns are equal if their rows are, wherever the bytes lie.
    public static func == (a: BytesColumn, b: BytesColumn) -> Bool {
        guard a.count == b.count else { return false }
        for row in 0..<a.count {
            if a.validity.isValid(row) != b.validity.isValid(row) { return false }
            if a.validity.isValid(row), a.slice(row) != b.slice(row) { return false }
        }
        return true
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(count) }
}

/// n lists: row i is `elements[offsets[i] ..< offsets[i + 1]]`; a null row is empty.
public struct ListColumn: Sendable, Hashable {
    /// n + 1, rising, the first 0.
    public var offsets: [Int32]
    public var elements: Column
    public var validity: Validity

    public init(offsets: [Int32], elements: Column, validity: Validity = .allValid) {
        self.offsets = offsets
        self.elements = elements
        self.validity = validity
    }

    public var count: Int { offsets.count - 1 }
    public func range(_ row: Int) -> Range<Int> { Int(offsets[row])..<Int(offsets[row + 1]) }
}

/// n maps: row i has the entries `offsets[i] ..< offsets[i + 1]` of `keys` and `values`, in the order they were read.
public struct MapColumn: Sendable, Hashable {
    public var offsets: [Int32]
    public var keys: Column
    public var values: Column
    public var validity: Validity

    public init(offsets: [Int32], keys: Column, values: Column, validity: Validity = .allValid) {
        self.offsets = offsets
        self.keys = keys
        self.values = values
        self.validity = validity
    }

    public var count: Int { offsets.count - 1 }
    public func range(_ row: Int) -> Range<Int> { Int(offsets[row])..<Int(offsets[row + 1]) }
}

/// n structs as one column a field; a null struct has null fields.
public struct StructColumn: Sendable, Hashable {
    public var names: [String]
    public var fields: [Column]
    public var count: Int
    public var validity: Validity

    public init(names: [String], fields: [Column], count: Int, validity: Validity = .allValid) {
        precondition(names.count == fields.count, "a struct has a name for each field")
        self.names = names
        self.fields = fields
        self.count = count
        self.validity = validity
    }
}

/// One column of a batch. A closed set: a `switch` picks the specialised loop once a batch.
public indirect enum Column: Sendable, Hashable {
    case boolean(FixedColumn<Bool>)
    case integer(FixedColumn<Int32>)
    case bigint(FixedColumn<Int64>)
    case double(FixedColumn<Double>)
    /// Unscaled values; precision and scale hold for the whole column.
    case decimal(FixedColumn<Int128>, precision: Int, scale: Int)
    case string(BytesColumn)
    case bytes(BytesColumn)
    /// Days since 1970-01-01.
    case date(FixedColumn<Int32>)
    /// Milliseconds of the day.
    case time(FixedColumn<Int32>)
    /// Milliseconds since 1970-01-01T00:00Z.
    case timestamp(FixedColumn<Int64>)
    case array(ListColumn)
    case map(MapColumn)
    case structure(StructColumn)

    public var count: Int {
        switch self {
        case .boolean(let c): c.count
        case .integer(let c), .date(let c), .time(let c): c.count
        case .bigint(let c), .timestamp(let c): c.count
        case .double(let c): c.count
        case .decimal(let c, _, _): c.count
        case .string(let c), .bytes(let c): c.count
        case .array(let c): c.count
        case .map(let c): c.count
        case .structure(let c): c.count
        }
    }

    public var type: SQLType {
        switch self {
        case .boolean: .boolean
        case .integer: .integer
        case .bigint: .bigint
        case .double: .double
        case .decimal(_, let precision, let scale): .decimal(precision: precision, scale: scale)
        case .string: .string
        case .bytes: .bytes
        case .date: .date
        case .time: .time
        case .timestamp: .timestamp
        case .array(let c): .array(c.elements.type)
        case .map(let c): .map(key: c.keys.type, value: c.values.type)
        case .structure(let c): .structure(zip(c.names, c.fields).map { Field($0, $1.type) })
        }
    }

    public var validity: Validity {
        get {
            switch self {
            case .boolean(let c): c.validity
            case .integer(let c), .date(let c), .time(let c): c.validity
            case .bigint(let c), .timestamp(let c): c.validity
            case .double(let c): c.validity
            case .decimal(let c, _, _): c.validity
            case .string(let c), .bytes(let c): c.validity
            case .array(let c): c.validity
            case .map(let c): c.validity
            case .structure(let c): c.validity
            }
        }
        set {
            switch self {
            case .boolean(var c): c.validity = newValue; self = .boolean(c)
            case .integer(var c): c.validity = newValue; self = .integer(c)
            case .date(var c): c.validity = newValue; self = .date(c)
            case .time(var c): c.validity = newValue; self = .time(c)
            case .bigint(var c): c.validity = newValue; self = .bigint(c)
            case .timestamp(var c): c.validity = newValue; self = .timestamp(c)
            case .double(var c): c.validity = newValue; self = .double(c)
            case .decimal(var c, let p, let s): c.validity = newValue; self = .decimal(c, precision: p, scale: s)
            case .string(var c): c.validity = newValue; self = .string(c)
            case .bytes(var c): c.validity = newValue; self = .bytes(c)
            case .array(var c): c.validity = newValue; self = .array(c)
            case .map(var c): c.validity = newValue; self = .map(c)
            case .structure(var c): c.validity = newValue; self = .structure(c)
            }
        }
    }

    /// Bytes of memory that the column keeps alive, but for buffers in `counted`, which several columns may share.
    public func heldBytes(_ counted: inout Set<UInt>) -> Int {
        func fixed<T>(_ column: FixedColumn<T>) -> Int { column.count * MemoryLayout<T>.stride }
        switch self {
        case .boolean(let c): return fixed(c)
        case .integer(let c), .date(let c), .time(let c): return fixed(c)
        case .bigint(let c), .timestamp(let c): return fixed(c)
        case .double(let c): return fixed(c)
        case .decimal(let c, _, _): return fixed(c)
        case .string(let c), .bytes(let c):
            let address = c.buffer.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
            return c.count * 8 + (counted.insert(address).inserted ? c.buffer.count : 0)
        case .array(let c): return c.count * 4 + c.elements.heldBytes(&counted)
        case .map(let c): return c.count * 4 + c.keys.heldBytes(&counted) + c.values.heldBytes(&counted)
        case .structure(let c): return c.fields.reduce(0) { $0 + $1.heldBytes(&counted) }
        }
    }

    /// The value of one row, boxed: for results, errors and tests.
    public func value(_ row: Int) -> SQLValue {
        guard validity.isValid(row) else { return .null }
        switch self {
        case .boolean(let c): return .boolean(c.values[row])
        case .integer(let c): return .integer(c.values[row])
        case .bigint(let c): return .bigint(c.values[row])
        case .double(let c): return .double(c.values[row])
        case .decimal(let c, _, let scale): return .decimal(Decimal128(unscaled: c.values[row], scale: scale))
        case .string(let c): return .string(c.string(row))
        case .bytes(let c): return .bytes(Array(c.slice(row)))
        case .date(let c): return .date(c.values[row])
        case .time(let c): return .time(c.values[row])
        case .timestamp(let c): return .timestamp(c.values[row])
        case .array(let c): return .array(c.range(row).map { c.elements.value($0) })
        case .map(let c): return .map(c.range(row).map { .init(c.keys.value($0), c.values.value($0)) })
        case .structure(let c): return .structure(zip(c.names, c.fields).map { .init($0, $1.value(row)) })
        }
    }

    /// The rows of `rows`, in that order; a row may occur more than once.
    public func gathered(_ rows: [UInt32]) -> Column {
        func spans(_ offsets: [Int32]) -> (offsets: [Int32], rows: [UInt32]) {
            var out: [Int32] = [0], inner: [UInt32] = []
            out.reserveCapacity(rows.count + 1)
            for row in rows {
                for i in offsets[Int(row)]..<offsets[Int(row) + 1] { inner.append(UInt32(i)) }
                out.append(Int32(inner.count))
            }
            return (out, inner)
        }
        switch self {
        case .boolean(let c): return .boolean(c.gathered(rows))
        case .integer(let c): return .integer(c.gathered(rows))
        case .bigint(let c): return .bigint(c.gathered(rows))
        case .double(let c): return .double(c.gathered(rows))
        case .decimal(let c, let p, let s): return .decimal(c.gathered(rows), precision: p, scale: s)
        case .string(let c): return .string(c.gathered(rows))
        case .bytes(let c): return .bytes(c.gathered(rows))
        case .date(let c): return .date(c.gathered(rows))
        case .time(let c): return .time(c.gathered(rows))
        case .timestamp(let c): return .timestamp(c.gathered(rows))
        case .array(let c):
            let (offsets, inner) = spans(c.offsets)
            return .array(ListColumn(offsets: offsets, elements: c.elements.gathered(inner), validity: c.validity.gathered(rows)))
        case .map(let c):
            let (offsets, inner) = spans(c.offsets)
            return .map(
                MapColumn(
                    offsets: offsets, keys: c.keys.gathered(inner), values: c.values.gathered(inner), validity: c.validity.gathered(rows)))
        case .structure(let c):
            return .structure(
                StructColumn(
                    names: c.names, fields: c.fields.map { $0.gathered(rows) }, count: rows.count, validity: c.validity.gathered(rows)))
        }
    }
}
