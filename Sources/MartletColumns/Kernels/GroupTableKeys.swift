import MartletCore

/// Key columns as one byte string a row whose byte order is the order of the keys: what a state store and a changelog keep as key.
///
/// | value | bytes |
/// |---|---|
/// | null | `00`; anything else begins with `01` |
/// | BOOLEAN | `00` or `01` |
/// | INT, DATE, TIME | 4 bytes, most significant first, sign bit flipped |
/// | BIGINT, TIMESTAMP | 8 bytes, as above |
/// | DECIMAL | the unscaled value in 16 bytes, as above |
/// | DOUBLE | the 8 bytes of IEEE 754, sign bit flipped if positive, all bits if negative; one NaN |
/// | STRING, BYTES | the bytes, each `00` as `00 ff`, then `00 00`: strings are in the order of their code points |
/// | ARRAY | `01` before each element, `00` after the last |
/// | MAP | as an array of keys and values, in the order of the keys' bytes, so that equal maps are equal bytes |
/// | STRUCT | its fields one after another |
/// | window | start and end as BIGINT without the `01`, behind the columns |
///
/// Negative and positive zero are different keys, as they are in Java.
public enum KeyEncoding {
    /// Row i of the result is the key of row `rows[i]` (nil: of row i) in window i.
    public static func encode(_ columns: [Column], windows: Batch.Windows? = nil, rows: [UInt32]? = nil) -> BytesColumn {
        let count = rows?.count ?? windows?.starts.count ?? columns.first?.count ?? 0
        // Nested values become bytes first; everything else is written in place, column by column.
        let parts = columns.map { column in column.type.isNested ? Column.bytes(nested(column)) : column }
        let isNested = columns.map { $0.type.isNested }
        var ends = [UInt32](repeating: 0, count: count)
        func row(_ i: Int) -> Int { rows.map { Int($0[i]) } ?? i }
        for (part, isNested) in zip(parts, isNested) {
            switch part {
            case .string(let c), .bytes(let c):
                for i in 0..<count {
                    let r = row(i)
                    ends[i] &+= isNested ? c.lengths[r] : c.validity.isValid(r) ? 3 + c.lengths[r] + zeros(c, r) : 1
                }
            default:
                let width = UInt32(fixedWidth(part))
                if part.validity.flags == nil {
                    for i in 0..<count { ends[i] &+= 1 + width }
                } else {
                    for i in 0..<count { ends[i] &+= part.validity.isValid(row(i)) ? 1 + width : 1 }
                }
            }
        }
        var starts = [UInt32](repeating: 0, count: count), at = [Int](repeating: 0, count: count), total: UInt32 = 0
        for i in 0..<count {
            if windows != nil { ends[i] &+= 16 }
            starts[i] = total
            at[i] = Int(total)
            total += ends[i]
        }
        var buffer = [UInt8](repeating: 0, count: Int(total))
        for (part, isNested) in zip(parts, isNested) { write(part, isNested, rows, count, &at, &buffer) }
        if let windows {
            for i in 0..<count {
                store(UInt64(bitPattern: windows.starts[i]) ^ 1 << 63, 8, &buffer, at[i])
                store(UInt64(bitPattern: windows.ends[i]) ^ 1 << 63, 8, &buffer, at[i] + 8)
            }
        }
        return BytesColumn(buffer: buffer, starts: starts, lengths: ends)
    }

    /// The columns that `encode` made the rows of `keys` from; nil if any is not such a key.
    public static func decode(_ keys: BytesColumn, types: [SQLType], isWindowed: Bool = false) -> (columns: [Column], windows: Batch.Windows?)? {
        var reader = KeyReader(keys), columns: [Column] = []
        for type in types {
            guard let column = reader.column(type) else { return nil }
            columns.append(column)
        }
        var windows: Batch.Windows?
        if isWindowed {
            guard let starts = reader.bounds(), let ends = reader.bounds() else { return nil }
            windows = Batch.Windows(starts: starts, ends: ends)
        }
        return reader.isAtEnd ? (columns, windows) : nil
    }

    static func fixedWidth(_ column: Column) -> Int {
        switch column {
        case .boolean: 1
        case .integer, .date, .time: 4
        case .bigint, .timestamp, .double: 8
        case .decimal: 16
        default: preconditionFailure("a column of fixed width")
        }
    }

    /// The bits of a double in an order in which unsigned integers are in the order of the numbers.
    static func ordered(_ value: Double) -> UInt64 {
        let bits = value.isNaN ? Double.nan.bitPattern : value.bitPattern
        return bits & 1 << 63 == 0 ? bits | 1 << 63 : ~bits
    }

    static func unordered(_ bits: UInt64) -> Double { Double(bitPattern: bits & 1 << 63 != 0 ? bits ^ 1 << 63 : ~bits) }

    private static func zeros(_ column: BytesColumn, _ row: Int) -> UInt32 {
        var count: UInt32 = 0
        for at in Int(column.starts[row])..<Int(column.starts[row] + column.lengths[row]) where column.buffer[at] == 0 { count += 1 }
        return count
    }

    @inline(__always)
    private static func store(_ value: UInt64, _ width: Int, _ buffer: inout [UInt8], _ at: Int) {
        for i in 0..<width { buffer[at + i] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (width - 1 - i))) }
    }

    private static func write(_ part: Column, _ isNested: Bool, _ rows: [UInt32]?, _ count: Int, _ at: inout [Int], _ buffer: inout [UInt8]) {
        @inline(__always) func row(_ i: Int) -> Int { if let rows { Int(rows[i]) } else { i } }
        func fixed<T>(_ column: FixedColumn<T>, _ width: Int, _ bits: (T) -> UInt64) {
            for i in 0..<count {
                let r = row(i)
                guard column.validity.isValid(r) else {
                    at[i] += 1
                    continue
                }
                buffer[at[i]] = 1
                store(bits(column.values[r]), width, &buffer, at[i] + 1)
                at[i] += 1 + width
            }
        }
        switch part {
        case .boolean(let c): fixed(c, 1) { $0 ? 1 : 0 }
        case .integer(let c), .date(let c), .time(let c): fixed(c, 4) { UInt64(UInt32(bitPattern: $0) ^ 1 << 31) }
        case .bigint(let c), .timestamp(let c): fixed(c, 8) { UInt64(bitPattern: $0) ^ 1 << 63 }
        case .double(let c): fixed(c, 8) { ordered($0) }
        case .decimal(let c, _, _):
            for i in 0..<count {
                let r = row(i)
                guard c.validity.isValid(r) else {
                    at[i] += 1
                    continue
                }
                buffer[at[i]] = 1
                store(UInt64(truncatingIfNeeded: c.values[r] >> 64) ^ 1 << 63, 8, &buffer, at[i] + 1)
                store(UInt64(truncatingIfNeeded: c.values[r]), 8, &buffer, at[i] + 9)
                at[i] += 17
            }
        case .string(let c), .bytes(let c):
            for i in 0..<count {
                let r = row(i), from = Int(c.starts[r]), length = Int(c.lengths[r])
                if isNested {
                    for k in 0..<length { buffer[at[i] + k] = c.buffer[from + k] }
                    at[i] += length
                    continue
                }
                guard c.validity.isValid(r) else {
                    at[i] += 1
                    continue
                }
                buffer[at[i]] = 1
                var to = at[i] + 1
                for k in from..<(from + length) {
                    buffer[to] = c.buffer[k]
                    to += 1
                    if c.buffer[k] == 0 {
                        buffer[to] = 0xff
                        to += 1
                    }
                }
                at[i] = to + 2
            }
        default: preconditionFailure("nested values are bytes by now")
        }
    }

    // MARK: nested values

    private static func nested(_ column: Column) -> BytesColumn {
        var out = BytesColumn()
        var bytes: [UInt8] = []
        for row in 0..<column.count {
            bytes.removeAll(keepingCapacity: true)
            append(column, row, to: &bytes)
            out.append(bytes)
        }
        return out
    }

    private static func append(_ column: Column, _ row: Int, to out: inout [UInt8]) {
        guard column.validity.isValid(row) else { return out.append(0) }
        switch column {
        case .array(let c):
            out.append(1)
            for i in c.range(row) {
                out.append(1)
                append(c.elements, i, to: &out)
            }
            out.append(0)
        case .map(let c):
            let entries = c.range(row).map { i in
                var key: [UInt8] = [], value: [UInt8] = []
                append(c.keys, i, to: &key)
                append(c.values, i, to: &value)
                return (key, value)
            }
            out.append(1)
            for (key, value) in entries.sorted(by: { $0.0.lexicographicallyPrecedes($1.0) }) { out += [1] + key + value }
            out.append(0)
        case .structure(let c):
            out.append(1)
            for field in c.fields { append(field, row, to: &out) }
        case .boolean(let c): out += [1, c.values[row] ? 1 : 0]
        case .integer(let c), .date(let c), .time(let c):
            out.append(1)
            bigEndian(UInt64(UInt32(bitPattern: c.values[row]) ^ 1 << 31), 4, to: &out)
        case .bigint(let c), .timestamp(let c):
            out.append(1)
            bigEndian(UInt64(bitPattern: c.values[row]) ^ 1 << 63, 8, to: &out)
        case .double(let c):
            out.append(1)
            bigEndian(ordered(c.values[row]), 8, to: &out)
        case .decimal(let c, _, _):
            out.append(1)
            bigEndian(UInt64(truncatingIfNeeded: c.values[row] >> 64) ^ 1 << 63, 8, to: &out)
            bigEndian(UInt64(truncatingIfNeeded: c.values[row]), 8, to: &out)
        case .string(let c), .bytes(let c):
            out.append(1)
            for at in Int(c.starts[row])..<Int(c.starts[row] + c.lengths[row]) {
                out.append(c.buffer[at])
                if c.buffer[at] == 0 { out.append(0xff) }
            }
            out += [0, 0]
        }
    }

    private static func bigEndian(_ value: UInt64, _ width: Int, to out: inout [UInt8]) {
        for shift in stride(from: 8 * (width - 1), through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }
}

/// Reads what `KeyEncoding` wrote, column by column; every member is nil for bytes that are no such key.
private struct KeyReader {
    private let buffer: [UInt8]
    /// What of each key has not been read yet.
    private var at: [Int], ends: [Int]

    init(_ keys: BytesColumn) {
        buffer = keys.buffer
        at = keys.starts.map { Int($0) }
        ends = zip(keys.starts, keys.lengths).map { Int($0) + Int($1) }
    }

    var isAtEnd: Bool { at == ends }

    private mutating func byte(_ row: Int) -> UInt8? {
        guard at[row] < ends[row] else { return nil }
        at[row] += 1
        return buffer[at[row] - 1]
    }

    @inline(__always)
    private mutating func bigEndian(_ row: Int, _ width: Int) -> UInt64? {
        guard ends[row] - at[row] >= width else { return nil }
        var out: UInt64 = 0
        for i in 0..<width { out = out << 8 | UInt64(buffer[at[row] + i]) }
        at[row] += width
        return out
    }

    /// Whether the row's value is not null.
    @inline(__always)
    private mutating func mark(_ row: Int) -> Bool? {
        switch byte(row) {
        case 0: false
        case 1: true
        default: nil
        }
    }

    mutating func bounds() -> [Int64]? {
        var out: [Int64] = []
        out.reserveCapacity(at.count)
        for row in at.indices {
            guard let bits = bigEndian(row, 8) else { return nil }
            out.append(Int64(bitPattern: bits ^ 1 << 63))
        }
        return out
    }

    private mutating func fixed<T>(_ width: Int, _ filler: T, _ read: (UInt64) -> T) -> FixedColumn<T>? {
        var out = FixedColumn<T>([])
        out.values.reserveCapacity(at.count)
        for row in at.indices {
            guard let isValid = mark(row) else { return nil }
            out.validity.append(isValid, count: row)
            if isValid {
                guard let bits = bigEndian(row, width) else { return nil }
                out.values.append(read(bits))
            } else {
                out.values.append(filler)
            }
        }
        return out
    }

    private mutating func strings() -> BytesColumn? {
        var out = BytesColumn(), text: [UInt8] = []
        for row in at.indices {
            guard let isValid = mark(row) else { return nil }
            guard isValid else {
                out.appendNull()
                continue
            }
            text.removeAll(keepingCapacity: true)
            guard string(row, &text) else { return nil }
            out.append(text)
        }
        return out
    }

    private mutating func string(_ row: Int, _ out: inout [UInt8]) -> Bool {
        while let next = byte(row) {
            if next != 0 {
                out.append(next)
                continue
            }
            switch byte(row) {
            case 0: return true
            case 0xff: out.append(0)
            default: return false
            }
        }
        return false
    }

    private static func int32(_ bits: UInt64) -> Int32 { Int32(bitPattern: UInt32(bits) ^ 1 << 31) }
    private static func int64(_ bits: UInt64) -> Int64 { Int64(bitPattern: bits ^ 1 << 63) }

    mutating func column(_ type: SQLType) -> Column? {
        switch type {
        case .boolean: return fixed(1, false) { $0 != 0 }.map { .boolean($0) }
        case .integer: return fixed(4, 0, Self.int32).map { .integer($0) }
        case .date: return fixed(4, 0, Self.int32).map { .date($0) }
        case .time: return fixed(4, 0, Self.int32).map { .time($0) }
        case .bigint: return fixed(8, 0, Self.int64).map { .bigint($0) }
        case .timestamp: return fixed(8, 0, Self.int64).map { .timestamp($0) }
        case .double: return fixed(8, 0, KeyEncoding.unordered).map { .double($0) }
        case .string: return strings().map { .string($0) }
        case .bytes: return strings().map { .bytes($0) }
        case .decimal, .array, .map, .structure:
            var builder = ColumnBuilder(type)
            for row in at.indices {
                guard let value = value(row, type) else { return nil }
                builder.append(value)
            }
            return builder.column
        }
    }

    /// One value, boxed.
    private mutating func value(_ row: Int, _ type: SQLType) -> SQLValue? {
        guard let isValid = mark(row) else { return nil }
        if !isValid { return .null }
        switch type {
        case .boolean: return byte(row).map { .boolean($0 != 0) }
        case .integer: return bigEndian(row, 4).map { .integer(Self.int32($0)) }
        case .date: return bigEndian(row, 4).map { .date(Self.int32($0)) }
        case .time: return bigEndian(row, 4).map { .time(Self.int32($0)) }
        case .bigint: return bigEndian(row, 8).map { .bigint(Self.int64($0)) }
        case .timestamp: return bigEndian(row, 8).map { .timestamp(Self.int64($0)) }
        case .double: return bigEndian(row, 8).map { .double(KeyEncoding.unordered($0)) }
        case .decimal(_, let scale):
            guard let high = bigEndian(row, 8), let low = bigEndian(row, 8) else { return nil }
            return .decimal(Decimal128(unscaled: Int128(Self.int64(high)) << 64 | Int128(low), scale: scale))
        case .string:
            var text: [UInt8] = []
            return string(row, &text) ? .string(String(decoding: text, as: UTF8.self)) : nil
        case .bytes:
            var bytes: [UInt8] = []
            return string(row, &bytes) ? .bytes(bytes) : nil
        case .array(let element):
            var out: [SQLValue] = []
            while let more = mark(row) {
                if !more { return .array(out) }
                guard let next = value(row, element) else { return nil }
                out.append(next)
            }
            return nil
        case .map(let key, let inner):
            var out: [SQLValue.MapEntry] = []
            while let more = mark(row) {
                if !more { return .map(out) }
                guard let k = value(row, key), let v = value(row, inner) else { return nil }
                out.append(.init(k, v))
            }
            return nil
        case .structure(let fields):
            var out: [SQLValue.StructField] = []
            for field in fields {
                guard let next = value(row, field.type) else { return nil }
                out.append(.init(field.name, next))
            }
            return .structure(out)
        }
    }
}
