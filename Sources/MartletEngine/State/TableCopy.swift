import MartletColumns
import MartletCore
import MartletLog

/// A store that a table's own topic is the changelog of, and its copy on disk: what a restart goes on from instead of reading the whole topic,
/// and where the store finds what it does not hold in memory.
///
/// The copy has what the store gave as changes, up to an offset of the topic that is committed; the rows from there on are read again.
final class TableCopy {
    /// What may wait in memory to be written, before the task does it itself.
    private let waitingBytesMax: Int

    let store: any StateStore
    /// Which of the task's readers brings the rows.
    let reader: Int
    private var index: ChangelogIndex?
    private let directory: StateDirectory?
    private let account: StateMemory.Account?
    private var growth = MemoryGrowth()
    /// Handed over to a transaction that has not ended yet.
    private var prepared: (changes: StateChanges, position: Int64)?

    init(_ store: any StateStore, reader: Int, directory: StateDirectory?, index: ChangelogIndex?) {
        self.store = store
        self.reader = reader
        self.directory = directory
        self.index = index
        account = index == nil ? nil : directory?.memory.account()
        waitingBytesMax = min(max((directory?.memory.budget ?? 0) / 8, 1 << 20), 64 << 20)
    }

    /// Gives the store what its copy has.
    ///
    /// - Returns: the offset from which on the topic's rows have to be read again; nil: all of them.
    func restore() throws(MartletError) -> Int64? {
        guard let index, let account else { return nil }
        do throws(MartletError) {
            try index.catchUp()
            if try !index.fill(store, account) { store.complete(from: index) }
            return index.applied
        } catch {
            guard index.failure != nil else { throw error }
            // What the store has got is part of what the topic gives it again.
            discard(index, error)
            return nil
        }
    }

    /// The store has been given the rows up to `position` again, all of them processed and committed before.
    func restored(to position: Int64) throws(MartletError) {
        try prepare(position)
        try committed()
    }

    /// Takes what changed since the last call.
    func prepare(_ position: Int64) throws(MartletError) {
        var changes = StateChanges()
        try store.takeChanges(&changes)
        prepared = (changes, position)
    }

    /// What was taken has committed.
    func committed() throws(MartletError) {
        defer { growth.begin(store) }
        guard let done = prepared else { return }
        prepared = nil
        guard let index, let account else { return }
        let waiting = index.add(done.changes, upTo: done.position)
        let used = store.memoryBytes, share = account.share(using: used, isEvicting: store.isEvicting)
        if used <= share, waiting < waitingBytesMax {
            if waiting > waitingBytesMax / 8 { directory?.hurry() }
            return
        }
        do throws(MartletError) {
            try index.catchUp()
            if used > share {
                try store.evict(to: share / 8 * 7, index)
                account.evicted(from: used, to: store.memoryBytes)
                directory?.returnUnused()
            }
        } catch {
            // A store that has all its entries can go on without the disk.
            guard index.failure != nil, !store.isPartial else { throw error }
            discard(index, error)
        }
    }

    /// The store has outgrown its share since the last commit: another one lets it give entries up.
    var isMemoryShort: Bool {
        guard let account, index != nil else { return false }
        return growth.isTooMuch(store, account)
    }

    private func discard(_ index: ChangelogIndex, _ error: MartletError) {
        directory?.discard(index, because: error)
        self.index = nil
    }
}
