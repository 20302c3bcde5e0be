import MartletColumns
import MartletCore
import MartletLog

/// A store and the partition that its changes are written to.
final class Changelog {
    let store: any StateStore
    let log: PartitionLog
    /// What is on disk of it; nil: the store is in memory as a whole.
    private(set) var index: ChangelogIndex?
    private let directory: StateDirectory?
    private let account: StateMemory.Account?
    private var growth = MemoryGrowth()
    /// Where the log ended when the last changes had been written.
    private var writtenEnd: Int64 = 0
    private var block: RecordBlock?
    private static let batchBytes = 512 * 1024

    private let time: TimeSource

    init(_ store: any StateStore, _ log: PartitionLog, directory: StateDirectory? = nil, index: ChangelogIndex? = nil, time: TimeSource) {
        self.time = time
        self.store = store
        self.log = log
        self.index = index
        self.directory = directory
        account = index == nil ? nil : directory?.memory.account()
    }

    /// Gives the store what is committed: what its index has, and what the log has beyond; without an index, all of the log.
    ///
    /// A store that is larger than its share of the memory gets a part of it, and finds the rest when it is asked for.
    func restore() throws(MartletError) {
        guard let index, let account else { return try restore(from: log.startOffset) }
        do throws(MartletError) {
            let applied = index.applied
            let isWhole = try index.fill(store, account)
            try restore(from: applied)
            if isWhole { return }
            try index.catchUp()
            store.complete(from: index)
        } catch {
            guard index.failure != nil else { throw error }
            directory?.discard(index, because: error)
            self.index = nil
            // What the store has got is what was committed at some time; the whole changelog makes of it what is committed now.
            try restore(from: log.startOffset)
        }
    }

    private func restore(from first: Int64) throws(MartletError) {
        var position = first
        let end = log.lastStableOffset
        while position < end {
            let block = try log.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &block)
            defer { self.block = block }
            if block.nextOffset == position { break }
            position = block.nextOffset
            if block.count > 0 { try store.restore(block) }
        }
        block = nil
    }

    /// Writes what changed since the last call.
    func write(in transaction: TransactionalWriter) throws(MartletError) {
        var changes = StateChanges()
        try store.takeChanges(&changes)
        // What may be deleted after a while has to stay that long from now on, also where the rows are of long ago.
        if store.retentionMs != nil { changes.timestamps = [Int64](repeating: time.wallMs, count: changes.count) }
        var builder = RecordBatchBuilder()
        var from = 0
        while from < changes.count {
            var to = from, bytes = 0
            while to < changes.count && bytes < Self.batchBytes {
                bytes += Int(max(changes.keys.lengths[to], 0)) + Int(max(changes.values.lengths[to], 0)) + 16
                to += 1
            }
            builder.append(
                timestamps: changes.timestamps, keyBuffer: changes.keys.buffer, keyStarts: changes.keys.starts, keyLengths: changes.keys.lengths,
                valueBuffer: changes.values.buffer, valueStarts: changes.values.starts, valueLengths: changes.values.lengths, rows: from..<to)
            try transaction.append(log, &builder)
            from = to
        }
        writtenEnd = log.endOffset
    }

    /// What was written has committed: a store that takes more than its share gives entries up.
    func committed() throws(MartletError) {
        defer { growth.begin(store) }
        guard let account, let index else { return }
        let used = store.memoryBytes, share = account.share(using: used, isEvicting: store.isEvicting)
        guard used > share else { return }
        do throws(MartletError) {
            try index.catchUp()
            // A marker may be missing yet, for want of room on the disk.
            guard index.applied >= writtenEnd else { return }
            try store.evict(to: share / 8 * 7, index)
            account.evicted(from: used, to: store.memoryBytes)
            directory?.returnUnused()
        } catch {
            // A store that has all its entries can go on without the disk.
            guard index.failure != nil, !store.isPartial else { throw error }
            directory?.discard(index, because: error)
            self.index = nil
        }
    }

    /// The store has outgrown its share since the last commit: another one lets it give entries up.
    var isMemoryShort: Bool {
        guard let account, index != nil else { return false }
        return growth.isTooMuch(store, account)
    }
}
