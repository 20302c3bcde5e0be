import MartletCore
import Synchronization

// The requests of a transactional client: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn (KIP-98). Each blocks
// for at most a few syncs; call them off the event loop.

extension TransactionCoordinator {
    /// The most a client may ask for, milliseconds (Kafka: transaction.max.timeout.ms).
    public static let timeoutMsMax: Int32 = 900_000

    /// InitProducerId with a transactional id: fences earlier producers of it and aborts what they left open.
    /// Throws INVALID_TRANSACTION_TIMEOUT, INVALID_REQUEST, KAFKA_STORAGE_ERROR.
    public func initProducerID(transactionalID: String, timeoutMs: Int32) throws(KafkaError) -> (id: Int64, epoch: Int16) {
        guard !transactionalID.isEmpty else { throw KafkaError(.invalidRequest, "the transactional id is empty") }
        guard timeoutMs > 0 && timeoutMs <= Self.timeoutMsMax else {
            throw KafkaError(.invalidTransactionTimeout, "the transaction timeout must be 1 to \(Self.timeoutMsMax) ms, not \(timeoutMs)")
        }
        do throws(LogFailure) {
            let transaction: Transaction
            do throws(MartletError) {
                transaction = try findOrMake(transactionalID, timeoutMs: timeoutMs, isFromClient: true)
            } catch {
                throw LogFailure(error)
            }
            let result = try takeOver(transaction, timeoutMs: timeoutMs)
            return (result.producerID, result.epoch)
        } catch {
            throw error.kafka
        }
    }

    /// AddPartitionsToTxn: opens the transaction if need be. The answer has a code per partition; if one does not exist, none is added.
    public func addPartitions(
        transactionalID: String, producerID: Int64, epoch: Int16, _ partitions: [TopicPartition]
    ) throws(KafkaError) -> [TopicPartition: KafkaErrorCode] {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            var logs: [TopicPartition: PartitionLog] = [:]
            for id in partitions { logs[id] = try log(id) }
            if logs.count < Set(partitions).count {
                return Dictionary(
                    partitions.map { ($0, logs[$0] == nil ? .unknownTopicOrPartition : .operationNotAttempted) }, uniquingKeysWith: { a, _ in a })
            }
            try open(&state)
            state.partitions.merge(logs) { _, new in new }
            return Dictionary(partitions.map { ($0, KafkaErrorCode.none) }, uniquingKeysWith: { a, _ in a })
        }
    }

    private func log(_ id: TopicPartition) throws(LogFailure) -> PartitionLog? {
        do throws(MartletError) {
            return try embeddedLog().partition(id)
        } catch {
            throw LogFailure(error)
        }
    }

    /// AddOffsetsToTxn: the transaction will commit offsets of this group.
    public func addOffsets(transactionalID: String, producerID: Int64, epoch: Int16, group: String) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in try open(&state) }
    }

    /// TxnOffsetCommit: offsets that become visible with the transaction. The caller has checked member and generation.
    public func commitOffsets(
        transactionalID: String, producerID: Int64, epoch: Int16, group: String, _ offsets: [TopicPartition: CommittedOffset]
    ) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            guard case .open = state.phase else {
                throw LogFailure(.invalidTxnState, .badRequest, "transactional id \(transactionalID) has no open transaction")
            }
            for (partition, offset) in offsets {
                state.offsets.removeAll { $0.group == group && $0.partition == partition }
                state.offsets.append(DecidedOffset(group: group, partition: partition, committed: offset))
            }
        }
    }

    /// EndTxn. Repeating the last one is fine. Throws INVALID_TXN_STATE without a transaction, PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING.
    public func end(transactionalID: String, producerID: Int64, epoch: Int16, commit isCommit: Bool) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            guard case .open = state.phase else {
                if state.lastEnd == (isCommit ? .commit : .abort) { return }
                throw LogFailure(.invalidTxnState, .badRequest, "transactional id \(transactionalID) has no open transaction")
            }
            if isCommit { try commit(&state) } else { try abort(&state) }
            state.lastEnd = isCommit ? .commit : .abort
        }
    }

    /// Whether a transaction that is not ended yet will commit an offset of this partition for the group (OffsetFetch with "require stable").
    public func hasPendingOffset(group: String, _ partition: TopicPartition) -> Bool {
        allTransactions.contains { transaction in
            transaction.state.withLock { $0.offsets.contains { $0.group == group && $0.partition == partition } }
        }
    }

    private func change<R>(
        _ transactionalID: String, _ producerID: Int64, _ epoch: Int16, _ body: (inout State) throws(LogFailure) -> R
    ) throws(KafkaError) -> R where R: Sendable {
        do throws(LogFailure) {
            guard let transaction = transaction(transactionalID) else {
                throw LogFailure(.invalidProducerIDMapping, .badRequest, "transactional id \(transactionalID) is not known")
            }
            return try transaction.state.withLock { (state) throws(LogFailure) in
                guard state.record.producerID == producerID else {
                    throw LogFailure(.invalidProducerIDMapping, .badRequest, "transactional id \(transactionalID) has another producer id")
                }
                guard state.record.epoch == epoch else {
                    throw LogFailure(.producerFenced, .fenced, "transactional id \(transactionalID) has a newer producer")
                }
                return try body(&state)
            }
        } catch {
            throw error.kafka
        }
    }
}
