import MartletCore
import Synchronization

// The requests of a transactional client: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn (KIP-98). Each blocks
// for at most a few syncs; call them off the event loop.

extension TransactionCoordinator {
    /// InitProducerId with a transactional id: fences earlier producers of it and aborts what they left open. `expecting` is what the client
    /// has now, if it has been told: someone who was fenced must not fence its successor (KIP-360).
    /// Throws INVALID_TRANSACTION_TIMEOUT, INVALID_REQUEST, PRODUCER_FENCED, KAFKA_STORAGE_ERROR.
    public func initProducerID(
        transactionalID: String, timeoutMs: Int32, expecting expected: (id: Int64, epoch: Int16)? = nil
    ) throws(KafkaError) -> (id: Int64, epoch: Int16) {
        guard !transactionalID.isEmpty else { throw KafkaError(.invalidRequest, "the transactional id is empty") }
        guard timeoutMs > 0 && timeoutMs <= services.config.transactionTimeoutMsMax else {
            throw KafkaError(.invalidTransactionTimeout, "the transaction timeout must be 1 to \(services.config.transactionTimeoutMsMax) ms, not \(timeoutMs)")
        }
        do throws(LogFailure) {
            let transaction = try find(transactionalID, timeoutMs: timeoutMs)
            if let expected {
                let now = transaction.state.withLock { ($0.record.producerID, $0.record.epoch) }
                // An id that is new here, or was forgotten, has nobody to protect (epoch −1). The epoch before the present one: the answer to the
                // same request got lost.
                guard now.1 == -1 || now.0 == expected.id && (now.1 == expected.epoch || Int32(now.1) - 1 == Int32(expected.epoch)) else {
                    throw LogFailure(.producerFenced, .fenced, "transactional id \(transactionalID) has a newer producer")
                }
            }
            let result = try takeOver(transaction, timeoutMs: timeoutMs)
            return (result.producerID, result.epoch)
        } catch {
            throw error.kafka
        }
    }

    private func find(_ transactionalID: String, timeoutMs: Int32) throws(LogFailure) -> Transaction {
        while true {
            let found: Transaction
            do throws(MartletError) {
                found = try findOrMake(transactionalID, timeoutMs: timeoutMs, isFromClient: true)
            } catch {
                throw LogFailure(error)
            }
            // Used from now on, unless it was forgotten in between.
            let isForgotten = found.state.withLock { state in
                state.lastUsedMs = services.time.wallMs
                return state.isForgotten
            }
            if !isForgotten { return found }
        }
    }

    /// AddPartitionsToTxn: opens the transaction if need be; with `verifyingOnly` it changes nothing. Durable on return, unless not `isDurable`:
    /// then when the transaction log (`log`) is durable up to its present end. The answer has a code per partition; if one does not exist, none is added.
    public func addPartitions(
        transactionalID: String, producerID: Int64, epoch: Int16, verifyingOnly: Bool = false, isDurable: Bool = true, _ partitions: [TopicPartition]
    ) throws(KafkaError) -> [TopicPartition: KafkaErrorCode] {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            if verifyingOnly {
                return Dictionary(
                    partitions.map { ($0, state.partitions[$0] == nil ? .transactionAbortable : .none) }, uniquingKeysWith: { a, _ in a })
            }
            var logs: [TopicPartition: PartitionLog] = [:]
            for id in partitions { logs[id] = try found(id) }
            if logs.count < Set(partitions).count {
                return Dictionary(
                    partitions.map { ($0, logs[$0] == nil ? .unknownTopicOrPartition : .operationNotAttempted) }, uniquingKeysWith: { a, _ in a })
            }
            try add(logs, to: &state, isDurable: isDurable)
            return Dictionary(partitions.map { ($0, KafkaErrorCode.none) }, uniquingKeysWith: { a, _ in a })
        }
    }

    /// Opens the transaction if need be; these partitions are in it then.
    func add(_ logs: [TopicPartition: PartitionLog], to state: inout State, isDurable: Bool) throws(LogFailure) {
        try extend(&state, isDurable: isDurable) { (state) throws(LogFailure) in
            try open(&state)
            state.partitions.merge(logs) { known, _ in known }
        }
    }

    /// Nil if there is no such partition.
    func found(_ id: TopicPartition) throws(LogFailure) -> PartitionLog? {
        do throws(MartletError) {
            return try embeddedLog().partition(id)
        } catch {
            throw LogFailure(error)
        }
    }

    /// AddOffsetsToTxn: the transaction will commit offsets of this group. Durable as `addPartitions`.
    public func addOffsets(transactionalID: String, producerID: Int64, epoch: Int16, group: String, isDurable: Bool = true) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            try extend(&state, isDurable: isDurable) { (state) throws(LogFailure) in try open(&state) }
        }
    }

    /// Changes what is open, and writes that down if it did change. On failure it is as before.
    ///
    /// What is not durable on return costs no sync of its own: the next one of this log takes it along, and no record or offset of the transaction is
    /// acknowledged before. If a power cut takes it, a start knows nothing of an addition whose answer the client has: `mayLackAdditions`.
    private func extend(
        _ state: inout State, isDurable: Bool, _ change: (inout State) throws(LogFailure) -> Void
    ) throws(LogFailure) {
        let (phase, partitions, offsets) = (state.phase, state.partitions, state.offsets)
        do throws(LogFailure) {
            try change(&state)
            var isSame = partitions.count == state.partitions.count && offsets == state.offsets
            if case .empty = phase { isSame = false }
            guard !isSame else { return }
            try note(&state)
            if isDurable { try sync([log]) } else { services.requestSyncSoon(log) }
        } catch {
            (state.phase, state.partitions, state.offsets) = (phase, partitions, offsets)
            throw error
        }
    }

    /// TxnOffsetCommit: offsets that become visible with the transaction. The caller has checked member and generation. With `isOpening` it
    /// begins the transaction if need be (KIP-890), without AddOffsetsToTxn. Durable as `addPartitions`; nobody may be told of it before.
    public func commitOffsets(
        transactionalID: String, producerID: Int64, epoch: Int16, group: String, isOpening: Bool = false, isDurable: Bool = true,
        _ offsets: [TopicPartition: CommittedOffset]
    ) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            let isOpening = isOpening || state.mayLackAdditions(nowMs: services.time.wallMs)
            try extend(&state, isDurable: isDurable) { (state) throws(LogFailure) in
                if isOpening { try open(&state) }
                guard case .open = state.phase else {
                    throw LogFailure(.invalidTxnState, .badRequest, "transactional id \(transactionalID) has no open transaction")
                }
                for (partition, offset) in offsets {
                    state.offsets.removeAll { $0.group == group && $0.partition == partition }
                    state.offsets.append(DecidedOffset(group: group, partition: partition, committed: offset))
                }
            }
        }
    }

    /// EndTxn. Repeating the last one is fine. Throws INVALID_TXN_STATE without a transaction, PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING.
    public func end(transactionalID: String, producerID: Int64, epoch: Int16, commit isCommit: Bool) throws(KafkaError) {
        try change(transactionalID, producerID, epoch) { (state) throws(LogFailure) in
            if case .unknown = state.phase { try settle(&state) }
            let ended = isCommit ? ControlType.commit : .abort
            if case .open = state.phase {
                try isCommit ? commit(&state) : abort(&state)
            } else if state.lastEnd != ended, !state.mayLackAdditions(nowMs: services.time.wallMs) {
                throw LogFailure(.invalidTxnState, .badRequest, "transactional id \(transactionalID) has no open transaction")
            }
            state.lastEnd = ended
            // Also if it is the last one that is repeated: its answer may have been a failure of the disk.
            try noteAbort(&state)
            state.outlivedStartMs = nil
        }
    }

    /// EndTxn of KIP-890: the transaction was the only one of its epoch, the next one has the epoch that is returned (or another producer id,
    /// when epochs are used up). Aborting nothing is fine. Repeating the last one with the epoch that it had is, too.
    public func endAndRaiseEpoch(
        transactionalID: String, producerID: Int64, epoch: Int16, commit isCommit: Bool
    ) throws(KafkaError) -> (producerID: Int64, epoch: Int16) {
        let ended = isCommit ? ControlType.commit : .abort
        let result = try change(transactionalID, producerID, epoch, orEndedWith: ended) { (state) throws(LogFailure) in
            if case .unknown = state.phase { try settle(&state) }
            if state.record.epoch != epoch { return (state.record.producerID, state.record.epoch) }
            switch state.phase {
            case .open where isCommit && epoch < Int16.max - 1 && !(state.partitions.isEmpty && state.offsets.isEmpty):
                // The decision says that the epoch is over: no write of its own.
                state.record.endsEpoch = true
                defer { state.record.endsEpoch = false }
                try commit(&state)
                state.record.epoch += 1
            case .empty where isCommit && !state.mustRaiseEpoch:
                throw LogFailure(.invalidTxnState, .badRequest, "transactional id \(transactionalID) has no open transaction")
            default:
                if case .open = state.phase, isCommit { try commit(&state) }
                state.mustRaiseEpoch = true
                try settle(&state)
                if !isCommit { try abort(&state) }
                // Goes to the disk with the epoch: the answer may get lost in a crash, and the same comes again.
                state.lastEnd = ended
                try raiseEpoch(&state)
            }
            state.lastEnd = ended
            return (state.record.producerID, state.record.epoch)
        }
        if result.0 != producerID { moved(transactionalID, from: producerID, to: result.0) }
        return result
    }

    /// Whether a transaction that is not ended yet will commit an offset of this partition for the group (OffsetFetch with "require stable").
    public func hasPendingOffset(group: String, _ partition: TopicPartition) -> Bool {
        allTransactions.contains { transaction in
            transaction.state.withLock { $0.offsets.contains { $0.group == group && $0.partition == partition } }
        }
    }

    private func change<R>(
        _ transactionalID: String, _ producerID: Int64, _ epoch: Int16, orEndedWith repeated: ControlType? = nil,
        _ body: (inout State) throws(LogFailure) -> R
    ) throws(KafkaError) -> R where R: Sendable {
        do throws(LogFailure) {
            guard let transaction = transaction(transactionalID) else {
                throw LogFailure(.invalidProducerIDMapping, .badRequest, "transactional id \(transactionalID) is not known")
            }
            return try transaction.state.withLock { (state) throws(LogFailure) in
                if state.isForgotten { throw LogFailure(.invalidProducerIDMapping, .badRequest, "transactional id \(transactionalID) is not known") }
                if let repeated, state.lastEnd == repeated, case .empty = state.phase, state.record.producerID == producerID,
                    Int32(state.record.epoch) == Int32(epoch) + 1
                {
                    return try body(&state)
                }
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
