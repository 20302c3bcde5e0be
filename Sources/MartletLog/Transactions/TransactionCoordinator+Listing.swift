import MartletCore
import Synchronization

/// What an administrator sees of a transactional id (KIP-664).
public struct TransactionListing: Sendable, Hashable {
    public enum State: String, Sendable, CaseIterable {
        case empty = "Empty"
        case ongoing = "Ongoing"
        case prepareCommit = "PrepareCommit"
        case prepareAbort = "PrepareAbort"
        case completeCommit = "CompleteCommit"
        case completeAbort = "CompleteAbort"
        case dead = "Dead"
        case prepareEpochFence = "PrepareEpochFence"
    }

    public var transactionalID: String
    public var state: State
    public var producerID: Int64
    public var epoch: Int16
    public var timeoutMs: Int32
    /// Wall time when it began, milliseconds; −1 outside of a transaction.
    public var startedMs: Int64
    /// Of the transaction that is open.
    public var partitions: [TopicPartition]
}

extension TransactionCoordinator {
    /// All transactional ids, sorted. May wait for commits that are under way.
    public var listings: [TransactionListing] {
        allTransactions.map { $0.state.withLock { Self.listing($0) } }.sorted { $0.transactionalID < $1.transactionalID }
    }

    /// Nil if the id is not known.
    public func listing(_ transactionalID: String) -> TransactionListing? {
        transaction(transactionalID)?.state.withLock { Self.listing($0) }
    }

    private static func listing(_ state: State) -> TransactionListing {
        let shown: TransactionListing.State
        switch state.phase {
        case .open: shown = .ongoing
        case .unknown: shown = .prepareCommit
        case .empty:
            switch state.lastEnd {
            case .commit: shown = .completeCommit
            case .abort: shown = .completeAbort
            case nil: shown = .empty
            }
        }
        return TransactionListing(
            transactionalID: state.record.transactionalID, state: shown, producerID: state.record.producerID, epoch: state.record.epoch,
            timeoutMs: state.record.timeoutMs, startedMs: shown == .ongoing ? state.startedMs : -1,
            partitions: state.partitions.keys.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) })
    }
}
