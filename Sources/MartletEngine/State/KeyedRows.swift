import MartletColumns
import MartletCore

/// A key as bytes: equal for equal values of equal types.
struct KeyBytes: Hashable {
    let bytes: [UInt8]

    /// One key a row; nil where a part is null.
    static func of(_ columns: [Column], count: Int) -> [KeyBytes?] {
        if columns.count == 1 { return of(columns[0]) }
        let parts = columns.map { of($0) }
        return (0..<count).map { row in
            var bytes: [UInt8] = []
            for part in parts {
                guard let key = part[row] else { return nil }
                // The length keeps ('a', 'bc') and ('ab', 'c') apart.
                withUnsafeBytes(of: UInt32(key.bytes.count).bigEndian) { bytes.append(contentsOf: $0) }
                bytes += key.bytes
            }
            return KeyBytes(bytes: bytes)
        }
    }

    private static func of(_ column: Column) -> [KeyBytes?] {
        func fixed<T: FixedWidthInteger>(_ column: FixedColumn<T>) -> [KeyBytes?] {
            (0..<column.count).map { row in
                column[row].map { value in KeyBytes(bytes: withUnsafeBytes(of: Int64(truncatingIfNeeded: value).bigEndian) { Array($0) }) }
            }
        }
        switch column {
        case .string(let c), .bytes(let c):
            return (0..<c.count).map { c.validity.isValid($0) ? KeyBytes(bytes: Array(c.slice($0))) : nil }
        case .integer(let c), .date(let c), .time(let c): return fixed(c)
        case .bigint(let c), .timestamp(let c): return fixed(c)
        default:
            return (0..<column.count).map { row in
                let value = column.value(row)
                return value.isNull ? nil : KeyBytes(bytes: Array("\(value)".utf8))
            }
        }
    }
}

/// The newest row of each key, as columns.
///
/// Rows live in growing columns; an index maps a key's bytes to its newest row. Rows that were replaced or deleted stay behind as garbage
/// until they outnumber the live ones, then the columns are packed.
struct KeyedRows {
    /// The row that stands for no row: all null.
    static let none: UInt32 = 0

    private let types: [SQLType]
    private var columns: [Column]
    private var timestamps: [Int64] = [0]
    private var index: [KeyBytes: UInt32] = [:]

    init(types: [SQLType]) {
        self.types = types
        columns = types.map { Column.nulls($0, count: 1) }
    }

    /// Live rows.
    var count: Int { index.count }

    func row(of key: KeyBytes) -> UInt32? { index[key] }
    func timestamp(_ row: UInt32) -> Int64 { timestamps[Int(row)] }

    /// The columns of `rows`, as `row(of:)` and `update` gave them; null where a row is `none`.
    func gathered(_ rows: [UInt32]) -> [Column] { columns.map { $0.gathered(rows) } }

    /// Live keys and their rows, in no order.
    var all: [(key: KeyBytes, row: UInt32)] { index.map { ($0.key, $0.value) } }

    /// Applies the rows of `batch` in order: newer rows replace older ones, a null value deletes, a null key is no row.
    ///
    /// - Returns: for each row where the key's row was before, `none` if there was none; good until the next update.
    mutating func update(_ batch: Batch, keys: [KeyBytes?]) -> [UInt32] {
        if timestamps.count > 2 * index.count + 65_536 { pack() }
        let first = timestamps.count
        var before = [UInt32](repeating: Self.none, count: batch.count)
        for row in 0..<batch.count {
            guard let key = keys[row] else { continue }
            if batch.nullValues?[row] == true {
                before[row] = index.removeValue(forKey: key) ?? Self.none
            } else {
                before[row] = index.updateValue(UInt32(first + row), forKey: key) ?? Self.none
            }
        }
        for i in columns.indices { columns[i].append(contentsOf: batch.columns[i]) }
        timestamps += batch.timestamps
        return before
    }

    private mutating func pack() {
        let live = index.sorted { $0.value < $1.value }
        let rows = [Self.none] + live.map(\.value)
        columns = columns.map { $0.gathered(rows).compacted() }
        timestamps = rows.map { timestamps[Int($0)] }
        for (i, entry) in live.enumerated() { index[entry.key] = UInt32(i + 1) }
    }
}
