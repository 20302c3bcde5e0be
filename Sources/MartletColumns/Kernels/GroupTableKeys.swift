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
        var columns = types.map { Column.empty($0) }
        var windows = Batch.Windows(starts: [], ends: [])
        for row in 0..<keys.count {
            var reader = KeyReader(keys.slice(row))
            for i in columns.indices {
                guard let value = reader.value(types[i]) else { return nil }
                columns[i].append(value)
            }
            if isWindowed {
                guard let start = reader.bigEndian(8), let end = reader.bigEndian(8) else { return nil }
                windows.starts.append(Int64(bitPattern: start ^ 1 << 63))
                windows.ends.append(Int64(bitPattern: end ^ 1 << 63))
            }
            if !reader.isAtEnd { return nil }
        }
        return (columns, isWindowed ? windows : nil)
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
        default:
            let one = encode([column.gathered([UInt32(row)])])
            out += one.buffer
        }
    }
}

/// Reads what `KeyEncoding` wrote; every member is nil for bytes that are no such key.
private struct KeyReader {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    var isAtEnd: Bool { at == bytes.endIndex }

    private mutating func byte() -> UInt8? {
        guard at < bytes.endIndex else { return nil }
        at += 1
        return bytes[at - 1]
    }

    mutating func bigEndian(_ width: Int) -> UInt64? {
        guard bytes.endIndex - at >= width else { return nil }
        var out: UInt64 = 0
        for i in 0..<width { out = out << 8 | UInt64(bytes[at + i]) }
        at += width
        return out
    }

    private mutating func string() -> [UInt8]? {
        var out: [UInt8] = []
        while let next = byte() {
            if next != 0 {
                out.append(next)
                continue
            }
            switch byte() {
            case 0: return out
            case 0xff: out.append(0)
            default: return nil
            }
        }
        return nil
    }

    mutating func value(_ type: SQLType) -> SQLValue? {
        switch byte() {
        case 0: return .null
        case 1: break
        default: return nil
        }
        func int32(_ bits: UInt64) -> Int32 { Int32(bitPattern: UInt32(bits) ^ 1 << 31) }
        func int64(_ bits: UInt64) -> Int64 { Int64(bitPattern: bits ^ 1 << 63) }
        switch type {
        case .boolean: return byte().map { .boolean($0 != 0) }
        case .integer: return bigEndian(4).map { .integer(int32($0)) }
        case .date: return bigEndian(4).map { .date(int32($0)) }
        case .time: return bigEndian(4).map { .time(int32($0)) }
        case .bigint: return bigEndian(8).map { .bigint(int64($0)) }
        case .timestamp: return bigEndian(8).map { .timestamp(int64($0)) }
        case .double: return bigEndian(8).map { .double(KeyEncoding.unordered($0)) }
        case .decimal(_, let scale):
            guard let high = bigEndian(8), let low = bigEndian(8) else { return nil }
            return .decimal(Decimal128(unscaled: Int128(int64(high)) << 64 | Int128(low), scale: scale))
        case .string: return string().map { .string(String(decoding: $0, as: UTF8.self)) }
        case .bytes: return string().map { .bytes($0) }
        case .array(let element):
            var out: [SQLValue] = []
            while let mark = byte() {
                if mark == 0 { return .array(out) }
                guard let next = value(element) else { return nil }
                out.append(next)
            }
            return nil
        case .map(let key, let inner):
            var out: [SQLValue.MapEntry] = []
            while let mark = byte() {
                if mark == 0 { return .map(out) }
                guard let k = value(key), let v = value(inner) else { return nil }
                out.append(.init(k, v))
            }
            return nil
        case .structure(let fields):
            var out: [SQLValue.StructField] = []
            for field in fields {
                guard let next = value(field.type) else { return nil }
                out.append(.init(field.name, next))
            }
            return .structure(out)
        }
    }
}
