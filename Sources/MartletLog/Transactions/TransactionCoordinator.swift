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
/// Source of behaviour: KIP-98, KIP-447, KIP-890 (a batch must belong to a transaction that is known to be open).
public final class TransactionCoordinator: Sendable {
    let log: PartitionLog
    let groupOffsets: GroupOffsets
    let services: LogServices
    private let owner = Mutex<Owner>(Owner())
    private let table: Mutex<Table>
    /// Since the start; those that took too long are among the aborted ones.
    let committedCount = Counter(), abortedCount = Counter(), timedOutCount = Counter()

    private struct Owner: Sendable {
        weak var log: EmbeddedLog?
    }

    private struct Table: Sendable {
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
        /// Of a client's open transaction: the end of each partition when it was added.
        var begins: [TopicPartition: Int64] = [:]
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
            check = { [weak self] producerID, epoch, partition in self?.problem(producerID, epoch, partition) }
        }
        groupOffsets.beforeDelete.withLock { hook in
            hook = { [weak self] () throws(LogFailure) in try self?.forgetDecisions() }
        }
    }

    func embeddedLog() throws(MartletError) -> EmbeddedLog {
        guard let log = owner.withLock({ $0.log }) else { throw MartletError(.shuttingDown, "the log is closed") }
        return log
    }

    // MARK: recovery

    /// Completes what has a decision, leaves open what clients have open, aborts the rest, and syncs that.
    func recover() throws(MartletError) {
        let owner = try embeddedLog()
        var touched: [PartitionLog] = []
        var undone: [Transaction] = []
        /// What is open and neither decided nor a client's to go on with.
        var leftovers: [(partition: PartitionLog, producerID: Int64, epoch: Int16)] = []
        var committed = 0
        do throws(LogFailure) {
            for partition in owner.allPartitions {
                for (producerID, producer) in partition.openTransactions {
                    guard let since = producer.openSince else { continue }
                    let transaction = table.withLock { $0.byProducer[producerID] }
                    let record = transaction?.state.withLock { $0.record }
                    let isDecided =
                        record.map { record in
                            record.isDecided && record.epoch == producer.epoch
                                && record.parts.contains { $0.partition == partition.id && since < $0.end }
                        } ?? false
                    if !isDecided, let transaction, let record, record.isOngoing(partition.id, since: since, epoch: producer.epoch) {
                        transaction.state.withLock { $0.partitions[partition.id] = partition }
                        continue
                    }
                    if isDecided {
                        try partition.appendMarker(.commit, producerID: producerID, epoch: producer.epoch, coordinatorEpoch: 0)
                        committed += 1
                        touched.append(partition)
                        continue
                    }
                    leftovers.append((partition, producerID, producer.epoch))
                    if let transaction, let record, record.isFromClient, record.nextEpoch == producer.epoch { undone.append(transaction) }
                }
            }
            for transaction in allTransactions {
                let record = transaction.state.withLock { $0.record }
                guard record.isDecided, !record.offsets.isEmpty else { continue }
                // Several decisions may wait here, in any order, and later commits may be on disk already: the timestamps tell (`commit`).
                let lost = record.offsets.filter { offset in
                    guard let known = groupOffsets.committed(group: offset.group, offset.partition) else { return true }
                    return known != offset.committed && known.timestamp <= offset.committed.timestamp
                }
                groupOffsets.show(lost)
                try groupOffsets.writeShown(lost)
            }
        } catch {
            throw error.error
        }
        for partition in touched + [groupOffsets.partitionLog] { try partition.flush() }
        // Only now, with all markers on disk, may anything else be said about these ids.
        for transaction in allTransactions {
            transaction.state.withLock { state in
                state.decision = state.record.isDecided ? state.record : nil
                state.decision?.ongoing = nil
                state.lastUsedMs = state.record.timestamp
                // A client that did not hear how its commit went asks again.
                if state.record.isDecided, state.lastEnd == nil { state.lastEnd = .commit }
                if let ongoing = state.record.ongoing {
                    state.phase = .open
                    state.startedMs = ongoing.startedMs
                    state.offsets = ongoing.offsets
                    for part in ongoing.parts {
                        guard let log = owner.partition(part.partition) else { continue }
                        state.partitions[part.partition] = log
                        state.begins[part.partition] = part.end
                    }
                }
                state.record.ongoing = nil
                state.record.epoch = state.record.nextEpoch
                state.record.endsEpoch = false
                state.record.isDecided = false
                state.record.parts = []
                state.record.offsets = []
            }
        }
        do throws(LogFailure) {
            // These clients may still think that they have a transaction open: they must not go on with half of it. That is on disk before the first
            // marker is, so that a start that is cut short leaves no transaction from which a part is gone.
            for transaction in undone { try transaction.state.withLock { (state) throws(LogFailure) in try raiseEpoch(&state) } }
            for leftover in leftovers {
                try leftover.partition.appendMarker(.abort, producerID: leftover.producerID, epoch: leftover.epoch, coordinatorEpoch: 0)
            }
            try sync(leftovers.map(\.partition))
            for transaction in undone { try transaction.state.withLock { (state) throws(LogFailure) in try abort(&state) } }
            try forgetDecisions()
        } catch {
            throw error.error
        }
        if committed + leftovers.count > 0 {
            services.logger.info(
                "transactions completed after a crash", metadata: ["committed": "\(committed)", "aborted": "\(leftovers.count)", "unit": "partitions"])
        }
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

    /// Writes the id with the next epoch, durably; with a new producer id when epochs are used up.
    func raiseEpoch(_ state: inout State) throws(LogFailure) {
        var record = state.record
        if record.epoch >= Int16.max - 1 && state.partitions.isEmpty {
            do throws(MartletError) {
                record.producerID = try embeddedLog().makeProducerID().id
            } catch {
                throw LogFailure(error)
            }
            record.epoch = 0
        } else if record.epoch < Int16.max {
            record.epoch += 1
        }
        record.timestamp = services.time.wallMs
        try write(record)
        state.record = record
        state.decision = nil
        state.lastUsedMs = record.timestamp
    }

    private func write(_ record: TransactionRecord) throws(LogFailure) {
        try append(record)
        do throws(MartletError) {
            try log.flush()
        } catch {
            throw LogFailure(error)
        }
    }

    func append(_ record: TransactionRecord) throws(LogFailure) {
        var batch = RecordBatchBuilder()
        record.key.withUnsafeBytes { key in
            record.value.withUnsafeBytes { value in batch.append(timestamp: record.timestamp, key: key, value: value) }
        }
        _ = try log.append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false)
    }

    /// Writes what the last commit could not, and syncs its markers and offsets, so that its decision is no longer needed.
    func settle(_ state: inout State) throws(LogFailure) {
        if case .unknown = state.phase {
            throw LogFailure(
                .kafkaStorageError, .io, "how the last transaction of \(state.record.transactionalID) ended is known after a restart only")
        }
        try complete(&state)
        try sync(state.waitingForSync)
        state.unsettled = []
    }

    /// Writes, durably, that no decision is waiting any more. Else a start would bring back offsets that were deleted since.
    func forgetDecisions() throws(LogFailure) {
        for transaction in allTransactions {
            try transaction.state.withLock { (state) throws(LogFailure) in
                guard state.decision != nil, case .empty = state.phase else { return }
                try settle(&state)
                try append(state.record)
                state.decision = nil
            }
        }
        try sync([log])
    }

    /// Opens the transaction if it is not.
    func open(_ state: inout State) throws(LogFailure) {
        try checkCommittable(state)
        guard case .empty = state.phase else { return }
        try complete(&state)
        state.phase = .open
        state.startedMs = services.time.wallMs
    }

    private func checkCommittable(_ state: State) throws(LogFailure) {
        if state.mustAbort {
            throw LogFailure(
                .invalidTxnState, .io, "the transaction of \(state.record.transactionalID) has failed and must be aborted")
        }
    }

    /// Writes offsets and markers of the last commit: at once, or later if a full disk keeps them back.
    private func complete(_ state: inout State) throws(LogFailure) {
        if !state.missingOffsets.isEmpty {
            try groupOffsets.writeShown(state.missingOffsets)
            state.unsettled.append(Unsettled(groupOffsets.partitionLog))
            state.missingOffsets = []
        }
        while let partition = state.missingMarkers.last {
            try mark(partition, .commit, state.record)
            state.unsettled.append(Unsettled(partition))
            state.missingMarkers.removeLast()
        }
    }

    func commit(_ state: inout State) throws(LogFailure) {
        try checkCommittable(state)
        guard !state.partitions.isEmpty || !state.offsets.isEmpty else {
            state.phase = .empty
            return
        }
        // (1), along with what `settle` is about to sync
        try sync(state.waitingForSync + state.partitions.values)
        try settle(&state)
        var decision = state.record
        decision.isDecided = true
        decision.timestamp = services.time.wallMs
        decision.parts = state.partitions.map { partition, log in
            TransactionRecord.Part(partition: partition, end: log.openEnd(of: state.record.producerID))
        }
        // Only now: whatever was committed before has an earlier timestamp, which tells a start which of two decisions came later.
        for i in state.offsets.indices {
            let known = groupOffsets.committed(group: state.offsets[i].group, state.offsets[i].partition)
            state.offsets[i].committed.timestamp = groupOffsets.timestamp(after: known)
        }
        decision.offsets = state.offsets
        decision.lastEnd = .commit
        try append(decision)  // (2)
        state.phase = .unknown
        do throws(MartletError) {
            try log.flush()
        } catch {
            throw LogFailure(error)
        }
        // (3) From here on nothing may fail the commit: what cannot be written now is written later.
        state.phase = .empty
        committedCount.add()
        state.decision = decision
        state.lastUsedMs = decision.timestamp
        state.lastEnd = .commit
        state.missingMarkers = Array(state.partitions.values)
        state.missingOffsets = state.offsets
        state.partitions = [:]
        state.begins = [:]
        state.offsets = []
        groupOffsets.show(state.missingOffsets)
        do throws(LogFailure) {
            try complete(&state)
        } catch {
            report(error, state)
        }
        for unsettled in state.unsettled { services.requestSyncSoon(unsettled.partition) }
    }

    private func report(_ failure: LogFailure, _ state: State) {
        services.logger.error(
            "committed transaction is not visible yet, tried again later",
            metadata: ["transactional-id": "\(state.record.transactionalID)", "error": "\(failure.error)"])
    }

    /// Aborts with the epoch in the record, which may be newer than that of the batches. On failure the transaction stays open.
    func abort(_ state: inout State) throws(LogFailure) {
        if case .unknown = state.phase { try settle(&state) }
        // Until every marker is written the transaction cannot be gone on with.
        state.mustAbort = true
        for (id, partition) in state.partitions {
            try mark(partition, .abort, state.record)
            services.requestSyncSoon(partition)
            state.partitions[id] = nil
        }
        state.offsets = []
        state.begins = [:]
        if case .open = state.phase {
            state.lastEnd = .abort
            abortedCount.add()
        }
        state.phase = .empty
        state.mustAbort = false
    }

    private func mark(_ partition: PartitionLog, _ type: ControlType, _ record: TransactionRecord) throws(LogFailure) {
        do throws(LogFailure) {
            guard partition.openEnd(of: record.producerID) > 0 else { return }
            try partition.appendMarker(type, producerID: record.producerID, epoch: record.epoch, coordinatorEpoch: 0)
        } catch {
            // A deleted topic needs no marker.
            if error.error.code != .shuttingDown { throw error }
        }
    }

    func sync(_ partitions: [PartitionLog]) throws(LogFailure) {
        do throws(MartletError) {
            try services.flush(partitions)
        } catch {
            throw LogFailure(error)
        }
    }

    // MARK: upkeep and checks

    /// Aborts transactions of clients that took longer than they may, and fences those clients; finishes commits that a full disk kept back.
    func abortExpired() {
        let nowMs = services.time.wallMs
        for transaction in allTransactions {
            let outcome: LogFailure? = transaction.state.withLockIfAvailable { state in
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
    private func problem(_ producerID: Int64, _ epoch: Int16, _ partition: TopicPartition) -> LogFailure? {
        guard let transaction = table.withLock({ $0.byProducer[producerID] }) else {
            return LogFailure(.invalidProducerIDMapping, .badRequest, "producer \(producerID) has no transactional id")
        }
        return transaction.state.withLock { state in
            if epoch != state.record.epoch {
                return LogFailure(.invalidProducerEpoch, .fenced, "producer \(producerID) has epoch \(state.record.epoch), not \(epoch)")
            }
            guard case .open = state.phase, state.partitions[partition] != nil else {
                return LogFailure(.invalidTxnState, .badRequest, "\(partition) is not part of an open transaction of producer \(producerID)")
            }
            return nil
        }
    }
}

extension PartitionLog {
    /// Producers with an open transaction here.
    var openTransactions: [(Int64, ProducerStates.Producer)] {
        state.withLock { state in
            state.producers.open.compactMap { entry in state.producers.producers[entry.producerID].map { (entry.producerID, $0) } }
        }
    }

    /// After the last record of this producer's open transaction; 0 if there is none.
    func openEnd(of producerID: Int64) -> Int64 {
        state.withLock { state in
            guard let producer = state.producers.producers[producerID], producer.openSince != nil else { return 0 }
            return producer.openUntil
        }
    }
}
