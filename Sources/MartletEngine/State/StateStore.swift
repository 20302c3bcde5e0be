import MartletColumns
import MartletCore

/// What changed in a store: records for its changelog, keys and values as bytes, a null value for what is gone.
struct StateChanges: Sendable {
    var timestamps: [Int64] = []
    var keys = EncodedColumn()
    var values = EncodedColumn()
    var count: Int { timestamps.count }

    mutating func append(timestamp: Int64, key: some Collection<UInt8>, value: (some Collection<UInt8>)?) {
        timestamps.append(timestamp)
        keys.starts.append(UInt32(keys.buffer.count))
        keys.lengths.append(Int32(key.count))
        keys.buffer.append(contentsOf: key)
        values.starts.append(UInt32(values.buffer.count))
        values.lengths.append(value.map { Int32($0.count) } ?? -1)
        if let value { values.buffer.append(contentsOf: value) }
    }
}

/// State of an operator that survives: what changes of it is written to a changelog topic in the transaction that commits the results, and
/// read back at start. Owned by one thread.
protocol StateStore: AnyObject {
    /// Names the changelog: `<query>-<name>-changelog`. Unique in the query.
    var name: String { get }
    /// Milliseconds after which a record of the changelog may be deleted, by its timestamp; nil: it is kept until it is replaced or deleted.
    ///
    /// Beware of records with timestamps of long ago: a store that tells of what has gone, by a null value, needs no retention.
    var retentionMs: Int64? { get }

    /// Moves what changed since the last call to `out`.
    func takeChanges(_ out: inout StateChanges) throws(MartletError)

    /// Applies records of the changelog, oldest first.
    func restore(_ block: RecordBlock) throws(MartletError)

    /// Whether its keys end with a window (`KeyEncoding`) and are asked of an index by it. Then they are not asked by ranges of keys.
    var hasWindowedKeys: Bool { get }
    /// What an index has to list by time; nil: nothing.
    var listing: EntryTime? { get }
    /// Which entries an index need not have any more; nil: the store tells itself, by null values.
    var expiry: EntryExpiry? { get }
    /// Bytes of memory that its entries take, about.
    var memoryBytes: Int { get }
    /// What of that `takeChanges` would give: with the results made of it, it is in memory more than once at a commit.
    var changedBytes: Int { get }
    /// Whether it can be without some of its entries, and ask an index for them when their keys come.
    var isEvicting: Bool { get }
    /// Some of its entries are not in memory.
    var isPartial: Bool { get }

    /// From now on what is not in memory is asked of `index`, which has everything that was committed.
    func complete(from index: any StateIndex)

    /// Gives up entries that have not changed since `takeChanges`, those first that have not been used for longest, until the store takes no
    /// more than `bytes`, as far as that is possible. `index` has everything that `takeChanges` gave.
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError)
}

/// Entries of a store that nobody asks for any more, once its clock has gone on.
struct EntryExpiry: Sendable {
    /// Milliseconds, of the store's clock.
    var keptMs: Int64
    /// Whether an entry is of no use, given the value of `StreamTime.key`.
    var isOver: @Sendable (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>, _ times: ArraySlice<UInt8>) -> Bool
}

extension StateStore {
    var retentionMs: Int64? { nil }
    var listing: EntryTime? { nil }
    var expiry: EntryExpiry? { nil }
    var hasWindowedKeys: Bool { false }
    var memoryBytes: Int { 0 }
    var changedBytes: Int { 0 }
    var isEvicting: Bool { false }
    var isPartial: Bool { false }
    func complete(from index: any StateIndex) {}
    func evict(to bytes: Int, _ index: any StateIndex) throws(MartletError) {}
}

extension RecordBlock {
    /// Changes as they come back from a changelog.
    init(_ changes: StateChanges) {
        self.init(partition: 0, nextOffset: Int64(changes.count))
        timestamps = changes.timestamps
        offsets = (0..<Int64(changes.count)).map { $0 }
        let distance = UInt32(changes.keys.buffer.count)
        buffer = changes.keys.buffer + changes.values.buffer + [UInt8](repeating: 0, count: Self.paddingBytes)
        (keyStarts, keyLengths) = (changes.keys.starts, changes.keys.lengths)
        (valueStarts, valueLengths) = (changes.values.starts.map { $0 + distance }, changes.values.lengths)
    }
}
