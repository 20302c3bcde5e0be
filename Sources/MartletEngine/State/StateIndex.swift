import MartletColumns
import MartletCore

/// The entries of a store as its changelog has them, by key: where a store that is not in memory as a whole finds the rest of it.
protocol StateIndex: AnyObject {
    /// Those of `keys` that are there, as records of the changelog.
    func find(_ keys: BytesColumn) throws(MartletError) -> RecordBlock

    /// Entries whose key is not before `lower[i]` and is before `upper[i]`, for any i; the ranges have nothing in common. Not for windowed keys.
    func find(from lower: BytesColumn, before upper: BytesColumn) throws(MartletError) -> RecordBlock

    /// Keys whose window begins in `starts`, of a store that has windowed keys, by window and then by key; those behind `last`, at most `limit`.
    func keys(ofWindows starts: Range<Int64>, after last: ArraySlice<UInt8>?, limit: Int) throws(MartletError) -> BytesColumn

    /// Places (`EntryTime`) of entries that are listed by time, in their order, not before `first` and at most `limit`.
    func keys(byTimeFrom first: [UInt8], limit: Int) throws(MartletError) -> [[UInt8]]
}

/// An index in memory, for a stage that runs without a log.
final class MemoryIndex: StateIndex {
    private var entries: [ArraySlice<UInt8>: (timestamp: Int64, value: ArraySlice<UInt8>)] = [:]
    private let listing: EntryTime?

    init(listing: EntryTime? = nil) { self.listing = listing }

    var keys: Set<ArraySlice<UInt8>> { Set(entries.keys) }

    func apply(_ block: RecordBlock) {
        for row in 0..<block.count {
            if let key = block.key(row) { entries[key] = block.value(row).map { (block.timestamps[row], $0) } }
        }
    }

    func find(_ keys: BytesColumn) throws(MartletError) -> RecordBlock {
        var found = StateChanges()
        for row in 0..<keys.count {
            if let entry = entries[keys.slice(row)] { found.append(timestamp: entry.timestamp, key: keys.slice(row), value: entry.value) }
        }
        return RecordBlock(found)
    }

    func find(from lower: BytesColumn, before upper: BytesColumn) throws(MartletError) -> RecordBlock {
        var found = StateChanges()
        for (key, entry) in entries {
            let isWanted = (0..<lower.count).contains { !key.lexicographicallyPrecedes(lower.slice($0)) && key.lexicographicallyPrecedes(upper.slice($0)) }
            if isWanted { found.append(timestamp: entry.timestamp, key: key, value: entry.value) }
        }
        return RecordBlock(found)
    }

    func keys(byTimeFrom first: [UInt8], limit: Int) throws(MartletError) -> [[UInt8]] {
        guard let listing else { return [] }
        let places = entries.filter { listing.isEntry($0.key) && listing.isListed($0.value.value) }.map { listing.place(of: $0.key) }
        return Array(places.filter { !$0.lexicographicallyPrecedes(first) }.sorted { $0.lexicographicallyPrecedes($1) }.prefix(limit))
    }

    func keys(ofWindows starts: Range<Int64>, after last: ArraySlice<UInt8>?, limit: Int) throws(MartletError) -> BytesColumn {
        var places = entries.keys.filter { $0.count > 16 && starts.contains(KeyEncoding.windowStart(of: $0)) }.map { KeyEncoding.windowFirst($0) }
        if let last { places.removeAll { !KeyEncoding.windowFirst(last).lexicographicallyPrecedes($0) } }
        var found = BytesColumn()
        for place in places.sorted(by: { $0.lexicographicallyPrecedes($1) }).prefix(limit) { found.append(KeyEncoding.windowLast(place)) }
        return found
    }
}

extension StateIndex {
    /// The entries of keys that are `absent` among `slots`, which are those of the rows (and windows) of `columns`, each once.
    func findMissing(_ slots: [UInt32], _ columns: [Column], windows: Batch.Windows?, rows: [UInt32]?) throws(MartletError) -> RecordBlock? {
        var missing: [UInt32] = []
        for i in slots.indices where slots[i] == GroupTable.absent { missing.append(UInt32(i)) }
        if missing.isEmpty { return nil }
        let sources = rows.map { rows in missing.map { rows[Int($0)] } } ?? missing
        let keys = KeyEncoding.encode(columns, windows: windows?.gathered(missing), rows: sources)
        let distinct = GroupTable(types: [.bytes]).assign([.bytes(keys)])
        let found = try find(distinct.created.count == keys.count ? keys : keys.gathered(distinct.firstRows))
        return found.count == 0 ? nil : found
    }
}

extension GroupTable.Assignment {
    /// For the rows of a table that was empty: the first row of each key.
    fileprivate var firstRows: [UInt32] {
        var isSeen = [Bool](repeating: false, count: created.count), out: [UInt32] = []
        for (row, slot) in slots.enumerated() where !isSeen[Int(slot)] {
            isSeen[Int(slot)] = true
            out.append(UInt32(row))
        }
        return out
    }
}

extension KeyEncoding {
    /// Where the window of a key that ends with one begins.
    static func windowStart(of key: ArraySlice<UInt8>) -> Int64 {
        Int64(bitPattern: key.suffix(16).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } ^ 1 << 63)
    }

    /// The key with its window in front: such keys are in the order of their windows.
    static func windowFirst(_ key: ArraySlice<UInt8>) -> [UInt8] { Array(key.suffix(16)) + key.dropLast(16) }

    /// The reverse of `windowFirst`.
    static func windowLast(_ key: some Collection<UInt8>) -> [UInt8] { Array(key.dropFirst(16)) + key.prefix(16) }
}
