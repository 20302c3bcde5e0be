import MartletCore
import Synchronization

/// Writes transactions of one stream thread, in process, one after the other. Not Sendable: used from one thread at a time.
///
/// ```
/// let writer = try log.transactions.writer(transactionalID: "query-CSAS_X_0-0")
/// writer.begin()
/// try writer.append(partition, &batch)
/// writer.stageOffsets([TopicPartition("in", 0): 42], group: "query-CSAS_X_0")
/// try writer.commit()
/// ```
/// Every method throws `.fenced` once a newer writer of the same id exists.
public final class TransactionalWriter {
    public let transactionalID: String
    public let producerID: Int64
    public let epoch: Int16
    private let coordinator: TransactionCoordinator
    private let transaction: TransactionCoordinator.Transaction
    private var sequences: [TopicPartition: Int32] = [:]
    private var staged: [DecidedOffset] = []
    /// Nothing was done since `begin`.
    private var isFresh = false
    /// Bytes of records appended since `begin`.
    public private(set) var appendedBytes = 0

    init(_ coordinator: TransactionCoordinator, _ transaction: TransactionCoordinator.Transaction, producerID: Int64, epoch: Int16) {
        self.coordinator = coordinator
        self.transaction = transaction
        transactionalID = transaction.id
        self.producerID = producerID
        self.epoch = epoch
    }

    /// Begins a transaction. What an earlier one left uncommitted is aborted before anything of this one is written.
    public func begin() {
        staged = []
        isFresh = true
        appendedBytes = 0
    }

    /// Appends the builder's records to the transaction. They are written at once, and visible to read-committed readers after `commit`.
    /// The builder is empty afterwards, also on failure; after a failure `abort` and begin again.
    public func append(_ partition: PartitionLog, _ batch: inout RecordBatchBuilder) throws(MartletError) {
        guard !batch.isEmpty else { return }
        try abortLeftovers()
        let sequence = sequences[partition.id] ?? 0
        let count = Int32(batch.count)
        appendedBytes += batch.sizeBytes
        try withState { (state) throws(LogFailure) in
            try coordinator.open(&state)
            do throws(LogFailure) {
                _ = try partition.append(
                    &batch, producerID: producerID, epoch: epoch, sequence: sequence, attributes: BatchHeader.transactionalBit, syncing: false)
            } catch {
                state.mustAbort = true
                throw error
            }
            state.partitions[partition.id] = partition
        }
        sequences[partition.id] = BatchHeader.sequence(sequence, plus: count)
    }

    /// Offsets (next to read) that become visible with the outputs. A later call for the same partition replaces the earlier.
    public func stageOffsets(_ offsets: [TopicPartition: Int64], group: String) {
        for (partition, offset) in offsets {
            let fresh = DecidedOffset(group: group, partition: partition, committed: CommittedOffset(offset: offset))
            if let i = staged.firstIndex(where: { $0.group == group && $0.partition == partition }) {
                staged[i] = fresh
            } else {
                staged.append(fresh)
            }
        }
    }

    /// Atomic and durable on return: outputs and staged offsets are visible, or, after an error, none of them ever will be once `abort` or a
    /// restart has cleaned up. Cost: the partitions written to are synced at the same time, then the transaction log.
    public func commit() throws(MartletError) { try prepare().commit() }

    /// Closes the transaction: it is as it is to be committed. Until that has ended nothing may be done with the writer, but another one may
    /// write the next transaction meanwhile.
    public func prepare() throws(MartletError) -> PreparedTransaction {
        try abortLeftovers()
        defer { staged = [] }
        return PreparedTransaction(coordinator: coordinator, transaction: transaction, producerID: producerID, epoch: epoch, offsets: staged)
    }

    /// Rolls back what was appended since the last commit.
    public func abort() throws(MartletError) {
        staged = []
        isFresh = false
        try withState { (state) throws(LogFailure) in try coordinator.abort(&state) }
    }

    private func abortLeftovers() throws(MartletError) {
        guard isFresh else { return }
        try withState { (state) throws(LogFailure) in
            if state.mustAbort || !state.partitions.isEmpty { try coordinator.abort(&state) }
        }
        isFresh = false
    }

    private func withState(_ body: (inout TransactionCoordinator.State) throws(LogFailure) -> Void) throws(MartletError) {
        try transaction.withState(producerID: producerID, epoch: epoch, body)
    }
}

/// A transaction that waits for its commit, which any thread may do, once.
public struct PreparedTransaction: Sendable {
    let coordinator: TransactionCoordinator
    let transaction: TransactionCoordinator.Transaction
    let producerID: Int64
    let epoch: Int16
    let offsets: [DecidedOffset]

    /// As `TransactionalWriter.commit`.
    public func commit() throws(MartletError) {
        try transaction.withState(producerID: producerID, epoch: epoch) { (state) throws(LogFailure) in
            state.offsets = offsets
            try coordinator.commit(&state)
        }
    }
}

extension TransactionCoordinator.Transaction {
    /// Throws `.fenced` unless the id is still in the hands of this producer.
    func withState(
        producerID: Int64, epoch: Int16, _ body: (inout TransactionCoordinator.State) throws(LogFailure) -> Void
    ) throws(MartletError) {
        do throws(LogFailure) {
            try state.withLock { (state) throws(LogFailure) in
                guard state.record.epoch == epoch, state.record.producerID == producerID else {
                    throw LogFailure(.producerFenced, .fenced, "a newer writer of transactional id \(id) exists")
                }
                try body(&state)
            }
        } catch {
            throw error.error
        }
    }
}

extension TransactionCoordinator {
    /// The writer of this id. An older one is fenced from now on, and what it left open is aborted.
    public func writer(transactionalID: String) throws(MartletError) -> TransactionalWriter {
        let transaction = try findOrMake(transactionalID, timeoutMs: .max, isFromClient: false)
        do throws(LogFailure) {
            let (producerID, epoch) = try takeOver(transaction, timeoutMs: .max)
            return TransactionalWriter(self, transaction, producerID: producerID, epoch: epoch)
        } catch {
            throw error.error
        }
    }
}
