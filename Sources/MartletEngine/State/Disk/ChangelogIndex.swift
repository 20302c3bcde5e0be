import MartletColumns
import MartletCore
import MartletLog
import Synchronization

/// The newest record of each key of one partition of a changelog, in a RocksDB of its own: what a restart goes on from instead of reading the
/// whole changelog, and where a store finds what it does not hold in memory.
///
/// It follows what is committed in the changelog, some seconds behind; where the changelog is a table's own topic the store's changes are handed
/// to it instead, as they commit. Each batch that it writes holds records and the offset after them, and a
/// crash takes whole batches back: so what is on disk is always the changelog up to `applied`. (The changelog is the log of this database.)
///
/// | key | value |
/// |---|---|
/// | `fe` | format (1 byte), topic id (16), partition (4), whether windows come first (1), applied offset (8), when that was in ms (8) |
/// | a key of the changelog; the window in front where keys end with one | the record's timestamp (8), then its value |
/// | `fd`, the place of an entry that is listed by time (`EntryTime`) | the record's timestamp (8) |
///
/// Numbers begin with the most significant byte. No key of a store begins with `fe` and is a byte long, and none that has no window in front begins
/// with `fd`.
final class ChangelogIndex: StateIndex, Sendable {
    private static let metadataKey: [UInt8] = [0xfe]
    private static let listed: UInt8 = 0xfd
    private static let format: UInt8 = 2

    let folder: String
    let log: PartitionLog
    private let database: RocksDatabase
    private let identity: [UInt8]
    private let isWindowFirst: Bool
    private let listing: EntryTime?
    private let expiry: EntryExpiry?
    /// Reads the changelog itself.
    private let isFollowing: Bool
    private let readBytes: Int
    private let time: TimeSource

    private struct Progress {
        var applied: Int64
        var flushed: Int64
        var flushedAtNs: Int64
        var records: Int64 = 0
        var failure: MartletError?
    }

    /// Changes that were handed over and are not written yet, and the offset after them.
    private struct Added {
        var changes = StateChanges()
        var upTo: Int64
        var bytes: Int { changes.keys.buffer.count + changes.values.buffer.count }
    }

    private let progress: Mutex<Progress>
    /// Nobody waits for the disk with it; after `progress`.
    private let added: Mutex<Added>

    /// Opens the index in `folder`, or begins a new one.
    ///
    /// - `position`: of a table's topic, how far its rows have been processed; nil: the log is a changelog, to be followed.
    /// - `readBytes`: about what is read of the changelog at once: the more, the more often a key is there only with its last value. In memory it is
    ///   several times as much.
    /// - Throws: `.corruptRecord` with the reason if what is there is not the beginning of this changelog: it has to be made anew; `.io`.
    init(
        _ folder: String, of log: PartitionLog, topicID: [UInt8], for store: any StateStore, position: Int64? = nil, readBytes: Int = 4 << 20,
        _ shared: RocksShared, time: TimeSource
    ) throws(MartletError) {
        self.folder = folder
        self.log = log
        isWindowFirst = store.hasWindowedKeys
        listing = store.listing
        expiry = store.expiry
        precondition(listing == nil || !isWindowFirst, "what has its window in front is in the order of time anyway")
        self.time = time
        isFollowing = position == nil
        self.readBytes = readBytes
        identity =
            [Self.format] + topicID + withUnsafeBytes(of: log.id.partition.bigEndian) { Array($0) } + [isWindowFirst ? 1 : 0]
        database = try RocksDatabase(folder, shared)
        var applied = log.startOffset
        if let known = try database.value(of: Self.metadataKey) {
            guard known.count == identity.count + 16, known.prefix(identity.count).elementsEqual(identity) else {
                throw MartletError(.corruptRecord, "it belongs to another changelog, or has another format")
            }
            applied = Self.number(known[identity.count...])
            let writtenMs = Self.number(known[(identity.count + 8)...])
            if applied > position ?? log.lastStableOffset { throw MartletError(.corruptRecord, "it is ahead of its changelog") }
            if applied < log.startOffset { throw MartletError(.corruptRecord, "the changelog begins after what it has seen") }
            // Deletions may have gone from a changelog that was compacted since.
            if applied < position ?? log.lastStableOffset, time.wallMs - writtenMs >= log.settings.deleteRetentionMs / 2 {
                throw MartletError(.corruptRecord, "it is too old to be brought up to date")
            }
        }
        progress = Mutex(Progress(applied: applied, flushed: applied, flushedAtNs: time.monotonicNs))
        added = Mutex(Added(upTo: applied))
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int64 {
        Int64(bitPattern: bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    /// The offset up to which the changelog is in the index.
    var applied: Int64 { progress.withLock { $0.applied } }
    /// Records of the changelog read since it was opened.
    var recordsRead: Int64 { progress.withLock { $0.records } }
    /// The folder goes with the index.
    func condemn() { database.removesFolder.withLock { $0 = true } }

    /// The first failure of the database: what is on disk may be damaged.
    var failure: MartletError? { progress.withLock { $0.failure } }

    private func noting<R>(_ body: () throws(MartletError) -> R) throws(MartletError) -> R {
        do throws(MartletError) {
            return try body()
        } catch {
            progress.withLock { if $0.failure == nil { $0.failure = error } }
            throw error
        }
    }

    // MARK: following the changelog

    /// Hands over changes that have committed: with them the index is at `offset`. They are written later.
    ///
    /// - Returns: bytes that wait to be written.
    func add(_ changes: StateChanges, upTo offset: Int64) -> Int {
        added.withLock { added in
            for row in 0..<changes.count {
                added.changes.append(timestamp: changes.timestamps[row], key: changes.keys.slice(row) ?? [], value: changes.values.slice(row))
            }
            added.upTo = offset
            return added.bytes
        }
    }

    /// The owner begins again at `position`; false if the index is ahead of that.
    func undo(to position: Int64?) -> Bool { position.map { position in added.withLock { $0.upTo <= position } } ?? true }

    /// Applies everything that is committed.
    ///
    /// - `deadlineNs`: when to stop, whether it is done or not, on the monotonic clock.
    func catchUp(deadlineNs: Int64 = .max) throws(MartletError) {
        try progress.withLock { (progress) throws(MartletError) in
            if !isFollowing { return try writeAdded(&progress) }
            let end = log.lastStableOffset
            var reused: RecordBlock?
            while progress.applied < end, deadlineNs == .max || time.monotonicNs < deadlineNs {
                let block = try log.readBlock(from: progress.applied, maxBytes: readBytes, isolation: .readCommitted, reusing: &reused)
                if block.nextOffset == progress.applied { break }
                do throws(MartletError) {
                    try database.write(changes(block))
                } catch {
                    if progress.failure == nil { progress.failure = error }
                    throw error
                }
                progress.applied = block.nextOffset
                progress.records += Int64(block.count)
                reused = block
            }
        }
    }

    private func writeAdded(_ progress: inout Progress) throws(MartletError) {
        let taken = added.withLock { added in
            defer { added.changes = StateChanges() }
            return added
        }
        if taken.upTo == progress.applied, taken.changes.count == 0 { return }
        var block = RecordBlock(taken.changes)
        block.nextOffset = taken.upTo
        do throws(MartletError) {
            try database.write(changes(block))
        } catch {
            if progress.failure == nil { progress.failure = error }
            throw error
        }
        progress.applied = taken.upTo
    }

    /// The last record of each key, and how far they reach.
    private func changes(_ block: RecordBlock) -> StateChanges {
        var out = StateChanges()
        for row in block.lastRows {
            guard let key = block.key(row) else { continue }
            out.appendStored(timestamp: block.timestamps[row], key: key, value: block.value(row), isWindowFirst: isWindowFirst)
            guard let listing, listing.isEntry(key) else { continue }
            let isListed = block.value(row).map { listing.isListed($0) } ?? false
            out.appendStored(timestamp: block.timestamps[row], key: ([Self.listed] + listing.place(of: key))[...], value: isListed ? [] : nil, isWindowFirst: false)
        }
        var metadata = identity
        for number in [block.nextOffset, time.wallMs] { withUnsafeBytes(of: number.bigEndian) { metadata.append(contentsOf: $0) } }
        out.append(timestamp: 0, key: Self.metadataKey, value: metadata)
        return out
    }

    private func stored(_ key: ArraySlice<UInt8>) -> [UInt8] { isWindowFirst && key.count > 16 ? KeyEncoding.windowFirst(key) : Array(key) }

    /// Brings what was applied to disk, so that a crash does not take it back, if the last time is `intervalNs` ago.
    func flush(intervalNs: Int64) throws(MartletError) {
        let isDue = progress.withLock { $0.applied != $0.flushed && time.monotonicNs - $0.flushedAtNs >= intervalNs }
        if !isDue { return }
        let applied = applied
        try noting { () throws(MartletError) in try database.flush() }
        progress.withLock {
            $0.flushed = applied
            $0.flushedAtNs = time.monotonicNs
        }
    }

    /// Takes out what the changelog may have deleted by now, records with a timestamp before `limit`, and what the store asks for no more.
    func removeRecords(before limit: Int64) throws(MartletError) {
        var times = BytesColumn()
        times.append(StreamTime.key)
        let seen = try find(times), expiry = seen.count > 0 ? expiry : nil, now = seen.count > 0 ? seen.value(0) ?? [] : []
        var old = StateChanges(), failure: MartletError?
        func remove() -> Bool {
            defer { old = StateChanges() }
            do throws(MartletError) {
                if old.count > 0 { try database.write(old) }
                return true
            } catch {
                failure = error
                return false
            }
        }
        try noting { () throws(MartletError) in
            try database.scan { key, value in
                if value.count < 8 || key.count < 2 { return true }
                let isOld = Int64(bigEndian: value.loadUnaligned(as: Int64.self)) < limit
                if isOld || key[0] != Self.listed && expiry?.isOver(Array(key)[...], Array(value.dropFirst(8))[...], now) == true {
                    old.append(timestamp: 0, key: key, value: nil as [UInt8]?)
                }
                return old.count < 16_384 || remove()
            }
            if failure == nil { _ = remove() }
            if let failure { throw failure }
        }
    }

    /// How often it is worth to look for what the store asks for no more; nil: never.
    var expiryIntervalNs: Int64? {
        expiry.map { min(max($0.keptMs / 2, 60_000), 3_600_000) * 1_000_000 }
    }

    // MARK: reading

    func find(_ keys: BytesColumn) throws(MartletError) -> RecordBlock {
        var wanted = keys
        if isWindowFirst {
            wanted = BytesColumn()
            for row in 0..<keys.count { wanted.append(stored(keys.slice(row))) }
        }
        var found = StateChanges()
        try noting { () throws(MartletError) in
            try database.read(wanted) { row, value in
                guard value.count >= 8 else { return }
                found.append(
                    timestamp: Int64(bigEndian: value.loadUnaligned(as: Int64.self)), key: keys.slice(row), value: UnsafeRawBufferPointer(rebasing: value[8...]))
            }
        }
        return RecordBlock(found)
    }

    func find(from lower: BytesColumn, before upper: BytesColumn) throws(MartletError) -> RecordBlock {
        precondition(!isWindowFirst, "keys are stored as they are")
        var found = StateChanges()
        try noting { () throws(MartletError) in
            try database.scan(from: lower, before: upper) { key, value in
                guard value.count >= 8 else { return }
                found.appendOriginal(key, value, isWindowFirst: false)
            }
        }
        return RecordBlock(found)
    }

    func keys(byTimeFrom first: [UInt8], limit: Int) throws(MartletError) -> [[UInt8]] {
        var out: [[UInt8]] = []
        guard listing != nil, limit > 0 else { return out }
        try noting { () throws(MartletError) in
            try database.scan(from: [Self.listed] + first) { key, _ in
                guard key.count > 1, key[0] == Self.listed else { return false }
                out.append(Array(key.dropFirst()))
                return out.count < limit
            }
        }
        return out
    }

    func keys(ofWindows starts: Range<Int64>, after last: ArraySlice<UInt8>?, limit: Int) throws(MartletError) -> BytesColumn {
        var out = BytesColumn()
        func bound(_ start: Int64) -> [UInt8] { withUnsafeBytes(of: (UInt64(bitPattern: start) ^ 1 << 63).bigEndian) { Array($0) } }
        let first = last.map { KeyEncoding.windowFirst($0) + [0] } ?? bound(starts.lowerBound), end = bound(starts.upperBound)
        try noting { () throws(MartletError) in
            try database.scan(from: first) { key, _ in
                guard key.count > 16 else { return true }
                if !key.prefix(8).lexicographicallyPrecedes(end) { return false }
                out.append(KeyEncoding.windowLast(key))
                return out.count < limit
            }
        }
        return out
    }

    /// Gives a store its entries, those of the newest windows first; one that can be without some of them gets no more than fit into half its
    /// share of the memory.
    ///
    /// - Returns: whether the store got all of them.
    func fill(_ store: any StateStore, _ account: StateMemory.Account) throws(MartletError) -> Bool {
        func isFull() -> Bool {
            guard store.isEvicting else { return false }
            let used = store.memoryBytes, share = account.share(using: used, isEvicting: true)
            return share != .max && used > share / 2
        }
        // Time comes first: what a store makes of old entries depends on it.
        var times = BytesColumn()
        times.append(StreamTime.key)
        let seen = try find(times)
        if seen.count > 0 { try store.restore(seen) }
        var held = StateChanges(), isWhole = true, failure: MartletError?
        func giveOver() -> Bool {
            defer { held = StateChanges() }
            do throws(MartletError) {
                if held.count > 0 { try store.restore(RecordBlock(held)) }
                return true
            } catch {
                failure = error
                return false
            }
        }
        try noting { () throws(MartletError) in
            try database.scan(isWindowFirst ? .falling : .rising) { key, value in
                if key.count == 1, key[0] == Self.metadataKey[0] || key[0] == StreamTime.key[0] { return true }
                if listing != nil, key[0] == Self.listed { return false }
                guard value.count >= 8 else { return true }
                if held.count == 16_384 {
                    if !giveOver() { return false }
                    if isFull() {
                        isWhole = false
                        return false
                    }
                }
                held.appendOriginal(key, value, isWindowFirst: isWindowFirst)
                return true
            }
        }
        if failure == nil { _ = giveOver() }
        if let failure { throw failure }
        return isWhole
    }

    /// Entries, about.
    var count: Int { database.keyCount }
}

extension StateChanges {
    /// Appends a record of the changelog as the index has it.
    fileprivate mutating func appendStored(timestamp: Int64, key: ArraySlice<UInt8>, value: ArraySlice<UInt8>?, isWindowFirst: Bool) {
        timestamps.append(timestamp)
        keys.starts.append(UInt32(keys.buffer.count))
        keys.lengths.append(Int32(key.count))
        if isWindowFirst, key.count > 16 {
            keys.buffer.append(contentsOf: key.suffix(16))
            keys.buffer.append(contentsOf: key.dropLast(16))
        } else {
            keys.buffer.append(contentsOf: key)
        }
        values.starts.append(UInt32(values.buffer.count))
        values.lengths.append(value.map { Int32($0.count + 8) } ?? -1)
        guard let value else { return }
        withUnsafeBytes(of: timestamp.bigEndian) { values.buffer.append(contentsOf: $0) }
        values.buffer.append(contentsOf: value)
    }
    /// Appends an entry of the index as the record of the changelog.
    fileprivate mutating func appendOriginal(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, isWindowFirst: Bool) {
        timestamps.append(Int64(bigEndian: value.loadUnaligned(as: Int64.self)))
        keys.starts.append(UInt32(keys.buffer.count))
        keys.lengths.append(Int32(key.count))
        if isWindowFirst, key.count > 16 {
            keys.buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: key[16...]))
            keys.buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: key[..<16]))
        } else {
            keys.buffer.append(contentsOf: key)
        }
        values.starts.append(UInt32(values.buffer.count))
        values.lengths.append(Int32(value.count - 8))
        values.buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: value[8...]))
    }
}
