import MartletColumns
import MartletCore
import Synchronization

/// Rows on disk that are of no use to anybody after their owner: byte strings by byte strings, in the order of the keys.
final class SpilledRows: Sendable {
    private let database: RocksDatabase

    /// Begins with nothing in `folder`, which goes with this.
    init(_ folder: String, _ shared: RocksShared) throws(MartletError) {
        database = try RocksDatabase(folder, shared)
        database.removesFolder.withLock { $0 = true }
    }

    func write(_ changes: StateChanges) throws(MartletError) { if changes.count > 0 { try database.write(changes) } }

    /// Those of `keys` that are there.
    func find(_ keys: BytesColumn) throws(MartletError) -> (keys: BytesColumn, values: BytesColumn) {
        var found = BytesColumn(), values = BytesColumn()
        try database.read(keys) { row, value in
            found.append(keys.slice(row))
            values.append(value)
        }
        return (found, values)
    }

    /// Those whose keys begin with one of `prefixes`, and go on with no more than `length` bytes.
    func find(keysWith prefixes: BytesColumn, length: Int) throws(MartletError) -> (keys: BytesColumn, values: BytesColumn) {
        var found = BytesColumn(), values = BytesColumn(), upper = BytesColumn()
        let end = [UInt8](repeating: 0xff, count: length + 1)
        for i in 0..<prefixes.count { upper.append(prefixes.slice(i) + end) }
        try database.scan(from: prefixes, before: upper) { key, value in
            found.append(key)
            values.append(value)
        }
        return (found, values)
    }

    /// All that is there now, from `first` on, whatever is written later.
    func cursor(from first: [UInt8]) throws(MartletError) -> RocksCursor { try RocksCursor(database, from: first) }
}
