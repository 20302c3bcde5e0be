import Logging
import MartletCore
import Synchronization

// The protocol of a transaction: what is written when, and what waits for the disk. All under the transaction's lock; shared by the engine's writer
// and by clients.

extension TransactionCoordinator {
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
        try append(record)
        try sync([log])
        state.record = record
        state.decision = nil
        state.abortIsUnnoted = false
        state.mustRaiseEpoch = false
        state.outlivedStartMs = nil
        state.lastUsedMs = record.timestamp
    }

    func append(_ record: TransactionRecord) throws(LogFailure) {
        var batch = RecordBatchBuilder()
        record.key.withUnsafeBytes { key in
            record.value.withUnsafeBytes { value in batch.append(timestamp: record.timestamp, key: key, value: value) }
        }
        _ = try log.append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false)
    }

    /// Writes what is open now. The last decision stays in the record for as long as it may be needed.
    func note(_ state: inout State) throws(LogFailure) {
        var record = state.decision ?? state.record
        record.timestamp = services.time.wallMs
        record.lastEnd = state.lastEnd
        if case .open = state.phase {
            record.ongoing = TransactionRecord.Ongoing(
                startedMs: state.startedMs, parts: state.partitions.values.map { .init(partition: $0.id, end: $0.endOffset) }, offsets: state.offsets)
        }
        try append(record)
        state.lastUsedMs = record.timestamp
    }

    /// Writes, durably, that the last transaction of a client was aborted. The next one has the same epoch: a start must know what is of which.
    func noteAbort(_ state: inout State) throws(LogFailure) {
        guard state.abortIsUnnoted else { return }
        try settle(&state)
        try note(&state)
        try sync([log])
        state.abortIsUnnoted = false
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
        try noteAbort(&state)
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
    func complete(_ state: inout State) throws(LogFailure) {
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
            state.outlivedStartMs = nil
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
        try sync([log])
        // (3) From here on nothing may fail the commit: what cannot be written now is written later.
        state.phase = .empty
        committedCount.add()
        state.decision = decision
        state.lastUsedMs = decision.timestamp
        state.lastEnd = .commit
        state.missingMarkers = Array(state.partitions.values)
        state.missingOffsets = state.offsets
        state.partitions = [:]
        state.offsets = []
        state.outlivedStartMs = nil
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
            if state.record.isFromClient { state.unsettled.append(Unsettled(partition)) }
            services.requestSyncSoon(partition)
            state.partitions[id] = nil
        }
        state.offsets = []
        if case .open = state.phase {
            state.lastEnd = .abort
            state.abortIsUnnoted = state.record.isFromClient
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
}

extension PartitionLog {
    /// After the last record of this producer's open transaction; 0 if there is none.
    func openEnd(of producerID: Int64) -> Int64 {
        state.withLock { state in
            guard let producer = state.producers.producers[producerID], producer.openSince != nil else { return 0 }
            return producer.openUntil
        }
    }
}
