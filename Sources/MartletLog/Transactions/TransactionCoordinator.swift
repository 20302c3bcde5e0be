import Logging
import MartletCore
import Synchronization

/// Transactions over several partitions and group offsets, for the engine in process (`writer`) and for clients (the protocol's requests).
///
/// A commit is: (1) the data of all partitions synced, at the same time; (2) the decision, with the offsets, in the transaction log, synced: from here on the
/// transaction is committed; (3) a commit marker in each partition and the offsets in theirs, which make it visible. An abort is markers only.
/// After a crash a transaction with a decision gets the markers it lacks, one without is aborted.
///
/// Markers are not synced before `commit` returns, since the decision stands for them. Therefore nothing new is written about a
/// transactional id before the markers and offsets of its last decision are synced (`settle`).
///
/// What is open of a client's transaction, its partitions and pending offsets, is in the transaction log too, before the client hears of it:
/// a restart goes on with it, as a cluster of brokers would. The engine's own are undone by a restart, since their threads begin anew.
///
/// The protocol of decisions and markers is in +Commit, what a start does in +Recovery, what clients ask in +Client and +Listing.
///
/// Source of behaviour: KIP-98, KIP-447, KIP-890 (a batch must belong to a transaction that is known to be open).
public final class TransactionCoordinator: Sendable {
    let log: PartitionLog
    let groupOffsets: GroupOffsets
    let services: LogServices
    private let owner = Mutex<Owner>(Owner())
    let table: Mutex<Table>
    /// Since the start; those that took too long are among the aborted ones.
    let committedCount = Counter(), abortedCount = Counter(), timedOutCount = Counter()

    private struct Owner: Sendable {
        weak var log: EmbeddedLog?
    }

    struct Table: Sendable {
        var byID: [String: Transaction] = [:]
        var byProducer: [Int64: Transaction] = [:]
    }

    /// One transactional id. Its lock is held while something is done for it, syncs included.
    final class Transaction: Sendable {
        let id: String
        let state: Mutex<State>
        init(_ state: consuming State) {
            id = state.record.transactionalID
            self.state = Mutex(state)
        }
    }

    struct Unsettled: Sendable {
        var partition: PartitionLog
        var end: Int64

        /// Up to the partition's end as it is now.
        init(_ partition: PartitionLog) {
            self.partition = partition
            end = partition.endOffset
        }

        /// Another commit, or time, may have done it.
        var isSettled: Bool { partition.highWatermark >= end }
    }

    enum Phase: Sendable {
        case empty, open
        /// The decision was written, but syncing it failed: only a restart can tell.
        case unknown
    }

    struct State: Sendable {
        /// As it would be written now, without partitions and offsets.
        var record: TransactionRecord
        /// The id was not used for long and is forgotten; who still holds this looks it up again.
        var isForgotten = false
        /// Wall milliseconds.
        var lastUsedMs: Int64 = 0
        var phase = Phase.empty
        var startedMs: Int64 = 0
        var partitions: [TopicPartition: PartitionLog] = [:]
        var offsets: [DecidedOffset] = []
        /// An append failed, so what there is of the transaction can only be aborted.
        var mustAbort = false
        /// A client's transaction was aborted, and the log does not say so yet.
        var abortIsUnnoted = false
        /// The transaction has ended and its epoch with it, which could not be written yet.
        var mustRaiseEpoch = false
        /// Wall time of this node's start, if the client has ended no transaction since. A power cut may have taken additions that were answered and
        /// not on disk yet: see `mayLackAdditions`.
        var outlivedStartMs: Int64?
        /// Of the last commit: markers and offsets that could not be written yet.
        var missingMarkers: [PartitionLog] = []
        var missingOffsets: [DecidedOffset] = []
        /// What the log's latest record of this id decides, if it is still needed.
        var decision: TransactionRecord?
        /// Partitions with markers or offsets of the last decision that may not be synced, and where those end.
        var unsettled: [Unsettled] = []
        /// How the last transaction of a client ended, to answer a repeated EndTxn.
        var lastEnd: ControlType? {
            get { record.lastEnd }
            set { record.lastEnd = newValue }
        }

        var waitingForSync: [PartitionLog] { unsettled.filter { !$0.isSettled }.map(\.partition) }

        /// Whether the client may have been told that partitions or a group are in its transaction though the log has forgotten it: AddPartitionsToTxn
        /// and AddOffsetsToTxn are answered before they are on disk. What an honest client only sends after such an answer then counts as it.
        /// After the transaction's timeout nothing of before the start is open any more.
        func mayLackAdditions(nowMs: Int64) -> Bool {
            outlivedStartMs.map { nowMs - $0 <= Int64(record.timeoutMs) } ?? false
        }
    }

    init(log: PartitionLog, groupOffsets: GroupOffsets, services: LogServices) throws(MartletError) {
        self.log = log
        self.groupOffsets = groupOffsets
        self.services = services
        var table = Table()
        try log.forEachRecord { key, value in
            guard let value else {
                if let id = TransactionRecord.transactionalID(key: key), let gone = table.byID.removeValue(forKey: id) {
                    table.byProducer[gone.state.withLock { $0.record.producerID }] = nil
                }
                return
            }
            guard let record = TransactionRecord(key: key, value: value) else { return }
            if let old = table.byID[record.transactionalID] { table.byProducer[old.state.withLock { $0.record.producerID }] = nil }
            let transaction = Transaction(State(record: record))
            table.byID[record.transactionalID] = transaction
            table.byProducer[record.producerID] = transaction
        }
        self.table = Mutex(table)
    }

    func attach(to log: EmbeddedLog) {
        owner.withLock { $0.log = log }
        services.transactionGuard.withLock { check in
            check = { [weak self] producerID, epoch, partition in self?.admit(producerID, epoch, partition) }
        }
        groupOffsets.beforeDelete.withLock { hook in
            hook = { [weak self] () throws(LogFailure) in try self?.forgetDecisions() }
        }
    }

    func embeddedLog() throws(MartletError) -> EmbeddedLog {
        guard let log = owner.withLock({ $0.log }) else { throw MartletError(.shuttingDown, "the log is closed") }
        return log
    }

    // MARK: steps shared by the engine's writer and clients; all under the transaction's lock

    var allTransactions: [Transaction] { table.withLock { Array($0.byID.values) } }

    func transaction(_ id: String) -> Transaction? { table.withLock { $0.byID[id] } }

    /// The transaction of this id, made with a new producer id if there is none yet.
    func findOrMake(_ id: String, timeoutMs: Int32, isFromClient: Bool) throws(MartletError) -> Transaction {
        if let known = transaction(id) { return known }
        let producer = try embeddedLog().makeProducerID()
        return table.withLock { table in
            if let known = table.byID[id] { return known }
            var record = TransactionRecord(
                transactionalID: id, producerID: producer.id, epoch: -1, timeoutMs: timeoutMs, timestamp: services.time.wallMs)
            record.isFromClient = isFromClient
            let made = Transaction(State(record: record))
            table.byID[id] = made
            table.byProducer[producer.id] = made
            return made
        }
    }

    /// Begins a new life of the id: whoever used it before is fenced, what it left open is aborted. Durable on return.
    func takeOver(_ transaction: Transaction, timeoutMs: Int32) throws(LogFailure) -> (producerID: Int64, epoch: Int16) {
        let old = transaction.state.withLock { $0.record.producerID }
        let result = try transaction.state.withLock { (state) throws(LogFailure) in
            state.record.timeoutMs = timeoutMs
            try settle(&state)
            try raiseEpoch(&state)
            try abort(&state)
            return (state.record.producerID, state.record.epoch)
        }
        if result.0 != old { moved(transaction.id, from: old, to: result.0) }
        return result
    }

    /// A transactional id got another producer id.
    func moved(_ transactionalID: String, from old: Int64, to new: Int64) {
        table.withLock { table in
            table.byProducer[new] = table.byProducer.removeValue(forKey: old) ?? table.byID[transactionalID]
        }
    }

    // MARK: upkeep and checks

    /// Aborts transactions of clients that took longer than they may, and fences those clients; finishes commits that a full disk kept back.
    func abortExpired() {
        let nowMs = services.time.wallMs
        for transaction in allTransactions {
            let outcome: LogFailure? = transaction.state.withLockIfAvailable { state in
                // A clock that was set back must not make what is open last for ever.
                state.startedMs = min(state.startedMs, nowMs)
                state.lastUsedMs = min(state.lastUsedMs, nowMs)
                do throws(LogFailure) {
                    try complete(&state)
                    if case .empty = state.phase { try forgetIfUnused(transaction, &state, nowMs) }
                    guard case .open = state.phase, state.record.isFromClient, nowMs - state.startedMs > Int64(state.record.timeoutMs) else { return nil }
                    // The new epoch replaces the last decision in the log.
                    try settle(&state)
                    try raiseEpoch(&state)
                    try abort(&state)
                    timedOutCount.add()
                    services.logger.warning("transaction timed out", metadata: ["transactional-id": "\(transaction.id)"])
                    return nil
                } catch {
                    return error
                }
            } ?? nil
            if let outcome {
                services.logger.warning("transaction upkeep failed", metadata: ["transactional-id": "\(transaction.id)", "error": "\(outcome.error)"])
            }
        }
    }

    /// Forgets a client's id that was not used for transactional.id.expiration.ms. Who comes back to it begins with a new producer id.
    private func forgetIfUnused(_ transaction: Transaction, _ state: inout State, _ nowMs: Int64) throws(LogFailure) {
        guard state.record.isFromClient, nowMs - state.lastUsedMs > services.config.transactionalIDExpirationMs, state.record.epoch >= 0 else { return }
        try settle(&state)
        var batch = RecordBatchBuilder()
        state.record.key.withUnsafeBytes { key in batch.append(timestamp: nowMs, key: key, value: nil) }
        _ = try log.append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false)
        services.requestSyncSoon(log)
        state.isForgotten = true
        let producerID = state.record.producerID
        table.withLock { table in
            table.byID[transaction.id] = nil
            table.byProducer[producerID] = nil
        }
        services.logger.info("transactional id expired", metadata: ["transactional-id": "\(transaction.id)"])
    }

    /// Why a client's transactional batch may not be appended; nil if it may.
    private func admit(_ producerID: Int64, _ epoch: Int16, _ partition: TopicPartition) -> LogFailure? {
        guard let transaction = table.withLock({ $0.byProducer[producerID] }) else {
            return LogFailure(.invalidProducerIDMapping, .badRequest, "producer \(producerID) has no transactional id")
        }
        return transaction.state.withLock { state in
            if epoch != state.record.epoch {
                return LogFailure(.invalidProducerEpoch, .fenced, "producer \(producerID) has epoch \(state.record.epoch), not \(epoch)")
            }
            if case .open = state.phase, state.partitions[partition] != nil { return nil }
            guard state.mayLackAdditions(nowMs: services.time.wallMs) else {
                return LogFailure(.invalidTxnState, .badRequest, "\(partition) is not part of an open transaction of producer \(producerID)")
            }
            do throws(LogFailure) {
                guard let log = try found(partition) else {
                    return LogFailure(.unknownTopicOrPartition, .notFound, "\(partition) does not exist")
                }
                try add([partition: log], to: &state, isDurable: false)
                return nil
            } catch {
                return error
            }
        }
    }
}
