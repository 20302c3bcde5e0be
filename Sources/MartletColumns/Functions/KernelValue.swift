import MartletCore

/// A Swift type that a kernel takes as an argument, and the SQL type that stands for.
///
/// | Swift | SQL | | Swift | SQL |
/// |---|---|---|---|---|
/// | Bool | BOOLEAN | | Text, String | VARCHAR |
/// | Int32, Int64 | INT, BIGINT | | Bytes | BYTES |
/// | Double | DOUBLE | | SQLDate, SQLTime, SQLTimestamp | DATE, TIME, TIMESTAMP |
///
/// An optional argument sees nulls; for any other the executor answers NULL before the kernel runs.
protocol KernelArgument: Sendable {
    associatedtype Storage
    static var parameterType: ParameterType { get }
    static var acceptsNull: Bool { get }
    static func storage(_ column: Column) -> Storage
    static func load(_ storage: Storage, _ row: Int) -> Self
}

extension KernelArgument {
    static var acceptsNull: Bool { false }
}

extension Optional: KernelArgument where Wrapped: KernelArgument {
    static var parameterType: ParameterType { Wrapped.parameterType }
    static var acceptsNull: Bool { true }
    static func storage(_ column: Column) -> (Wrapped.Storage, Validity) { (Wrapped.storage(column), column.validity) }
    static func load(_ storage: (Wrapped.Storage, Validity), _ row: Int) -> Wrapped? {
        storage.1.isValid(row) ? Wrapped.load(storage.0, row) : nil
    }
}

/// One argument of a call as values of `A`: nil where the kernel must not run.
struct ArgumentColumn<A: KernelArgument> {
    private let storage: A.Storage
    private let validity: Validity
    private let mask: Int

    init(_ value: Value) {
        storage = A.storage(value.column)
        validity = A.acceptsNull ? .allValid : value.column.validity
        mask = value.isConstant ? 0 : ~0
    }

    @inline(__always) subscript(row: Int) -> A? {
        validity.isValid(row & mask) ? A.load(storage, row & mask) : nil
    }
}

/// A Swift type that a kernel returns.
protocol KernelResult: Sendable {
    associatedtype Rows
    static var parameterType: ParameterType { get }
    static func rows(capacity: Int) -> Rows
    /// Appends a row, null for nil.
    static func append(_ value: Self?, to rows: inout Rows)
    static func finish(_ rows: Rows) -> Column
}

// MARK: values of fixed width

/// A kernel value that a `FixedColumn` holds.
protocol FixedKernelValue: KernelArgument, KernelResult where Storage == [Raw], Rows == FixedColumn<Raw> {
    associatedtype Raw: Sendable & Hashable
    static var zero: Raw { get }
    var raw: Raw { get }
    init(raw: Raw)
    static func finish(_ column: FixedColumn<Raw>) -> Column
}

extension FixedKernelValue {
    @inline(__always) static func load(_ storage: [Raw], _ row: Int) -> Self { Self(raw: storage[row]) }

    static func rows(capacity: Int) -> FixedColumn<Raw> {
        var column = FixedColumn<Raw>([])
        column.values.reserveCapacity(capacity)
        return column
    }

    @inline(__always) static func append(_ value: Self?, to rows: inout FixedColumn<Raw>) {
        rows.validity.append(value != nil, count: rows.values.count)
        rows.values.append(value?.raw ?? zero)
    }
}

private func mismatch(_ column: Column, _ wanted: ParameterType) -> Never {
    preconditionFailure("a kernel for \(wanted) was given a column of \(column.type)")
}

extension Int32: FixedKernelValue {
    static var zero: Int32 { 0 }
    static var parameterType: ParameterType { .integer }
    var raw: Int32 { self }
    init(raw: Int32) { self = raw }
    static func finish(_ column: FixedColumn<Int32>) -> Column { .integer(column) }
    static func storage(_ column: Column) -> [Int32] {
        if case .integer(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

extension Int64: FixedKernelValue {
    static var zero: Int64 { 0 }
    static var parameterType: ParameterType { .bigint }
    var raw: Int64 { self }
    init(raw: Int64) { self = raw }
    static func finish(_ column: FixedColumn<Int64>) -> Column { .bigint(column) }
    static func storage(_ column: Column) -> [Int64] {
        if case .bigint(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

extension Double: FixedKernelValue {
    static var zero: Double { 0 }
    static var parameterType: ParameterType { .double }
    var raw: Double { self }
    init(raw: Double) { self = raw }
    static func finish(_ column: FixedColumn<Double>) -> Column { .double(column) }
    static func storage(_ column: Column) -> [Double] {
        if case .double(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

extension Bool: FixedKernelValue {
    static var parameterType: ParameterType { .boolean }
    static var zero: Bool { false }
    var raw: Bool { self }
    init(raw: Bool) { self = raw }
    static func finish(_ column: FixedColumn<Bool>) -> Column { .boolean(column) }
    static func storage(_ column: Column) -> [Bool] {
        if case .boolean(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

/// Days since 1970-01-01.
struct SQLDate: FixedKernelValue {
    var raw: Int32
    static var zero: Int32 { 0 }
    static var parameterType: ParameterType { .date }
    static func finish(_ column: FixedColumn<Int32>) -> Column { .date(column) }
    static func storage(_ column: Column) -> [Int32] {
        if case .date(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

/// Milliseconds of the day.
struct SQLTime: FixedKernelValue {
    var raw: Int32
    static var zero: Int32 { 0 }
    static var parameterType: ParameterType { .time }
    static func finish(_ column: FixedColumn<Int32>) -> Column { .time(column) }
    static func storage(_ column: Column) -> [Int32] {
        if case .time(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

/// Milliseconds since 1970-01-01T00:00Z.
struct SQLTimestamp: FixedKernelValue {
    var raw: Int64
    static var zero: Int64 { 0 }
    static var parameterType: ParameterType { .timestamp }
    static func finish(_ column: FixedColumn<Int64>) -> Column { .timestamp(column) }
    static func storage(_ column: Column) -> [Int64] {
        if case .timestamp(let c) = column { c.values } else { mismatch(column, parameterType) }
    }
}

// MARK: strings and bytes

private func byteStorage(_ column: Column, _ wanted: ParameterType) -> BytesColumn {
    switch column {
    case .string(let c), .bytes(let c): c
    default: mismatch(column, wanted)
    }
}

/// A kernel value that a `BytesColumn` holds.
protocol ByteStringResult: KernelResult where Rows == BytesColumn {
    static var isText: Bool { get }
    func append(to column: inout BytesColumn)
}

extension ByteStringResult {
    static func rows(capacity: Int) -> BytesColumn {
        var column = BytesColumn()
        column.starts.reserveCapacity(capacity)
        column.lengths.reserveCapacity(capacity)
        return column
    }

    static func append(_ value: Self?, to rows: inout BytesColumn) {
        if let value { value.append(to: &rows) } else { rows.appendNull() }
    }

    static func finish(_ column: BytesColumn) -> Column { isText ? .string(column) : .bytes(column) }
}

/// The UTF-8 of a string without making one: what byte-wise kernels take and give.
struct Text: KernelArgument, ByteStringResult {
    var bytes: ArraySlice<UInt8>
    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var string: String { String(decoding: bytes, as: UTF8.self) }
    var isASCII: Bool {
        bytes.withUnsafeBufferPointer { bytes in
            var all: UInt8 = 0
            for byte in bytes { all |= byte }
            return all < 0x80
        }
    }

    static var isText: Bool { true }
    static var parameterType: ParameterType { .string }
    static func storage(_ column: Column) -> BytesColumn { byteStorage(column, parameterType) }
    static func load(_ storage: BytesColumn, _ row: Int) -> Text { Text(storage.slice(row)) }
    func append(to column: inout BytesColumn) { column.append(bytes) }
}

extension String: KernelArgument, ByteStringResult {
    static var isText: Bool { true }
    static var parameterType: ParameterType { .string }
    static func storage(_ column: Column) -> BytesColumn { byteStorage(column, parameterType) }
    static func load(_ storage: BytesColumn, _ row: Int) -> String { storage.string(row) }
    func append(to column: inout BytesColumn) { column.append(utf8) }
}

/// A value of type BYTES.
struct Bytes: KernelArgument, ByteStringResult {
    var bytes: ArraySlice<UInt8>
    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    static var isText: Bool { false }
    static var parameterType: ParameterType { .bytes }
    static func storage(_ column: Column) -> BytesColumn { byteStorage(column, parameterType) }
    static func load(_ storage: BytesColumn, _ row: Int) -> Bytes { Bytes(storage.slice(row)) }
    func append(to column: inout BytesColumn) { column.append(bytes) }
}
