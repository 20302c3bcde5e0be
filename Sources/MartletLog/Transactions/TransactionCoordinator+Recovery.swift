import Logging
import MartletCore
import Synchronization

// What a start does about transactions: it completes what has a decision, leaves open what clients have open, and aborts the rest.
//
// Which transactions of clients are open is said by the transaction log and by the partitions, and either may know more: a power cut can take the
// record that a partition was added and leave its data, or the other way round. Both count. Data with the epoch that the client has now is of the
// transaction that it has open, because whatever ended before with this epoch ended on disk: a decision says where its data ends, an abort is answered
// when its markers are synced.

extension TransactionCoordinator {
    /// What is open in a partition and is to be aborted.
    private struct Leftover {
        var partition: PartitionLog
        var producerID: Int64
        var epoch: Int16
    }

    /// On return all that was decided is visible, and on disk with its markers.
    func recover() throws(MartletError) {
        let owner = try embeddedLog()
        do throws(LogFailure) {
            let (committed, leftovers) = try judgeOpenTransactions(owner)
            try applyDecidedOffsets()
            try sync(committed + [groupOffsets.partitionLog])
            // Only now, with all markers on disk, may anything else be said about these ids.
            for transaction in allTransactions { transaction.state.withLock { state in resume(&state, owner) } }
            for leftover in leftovers {
                try leftover.partition.appendMarker(.abort, producerID: leftover.producerID, epoch: leftover.epoch, coordinatorEpoch: 0)
            }
            try sync(leftovers.map(\.partition))
            try forgetDecisions()
            if committed.count + leftovers.count > 0 {
                services.logger.info(
                    "transactions completed after a crash",
                    metadata: ["committed": "\(committed.count)", "aborted": "\(leftovers.count)", "unit": "partitions"])
            }
        } catch {
            throw error.error
        }
    }

    /// Appends the commit markers that are missing, gives clients' open transactions their partitions back.
    private func judgeOpenTransactions(_ owner: EmbeddedLog) throws(LogFailure) -> (committed: [PartitionLog], leftovers: [Leftover]) {
        var committed: [PartitionLog] = []
        var leftovers: [Leftover] = []
        for partition in owner.allPartitions {
            for (producerID, producer) in partition.openTransactions {
                guard let since = producer.openSince else { continue }
                let transaction = table.withLock { $0.byProducer[producerID] }
                let record = transaction?.state.withLock { $0.record }
                if let record, record.decides(partition.id, since: since, epoch: producer.epoch) {
                    try partition.appendMarker(.commit, producerID: producerID, epoch: producer.epoch, coordinatorEpoch: 0)
                    committed.append(partition)
                } else if let transaction, let record, record.isFromClient, record.nextEpoch == producer.epoch {
                    transaction.state.withLock { $0.partitions[partition.id] = partition }
                } else {
                    leftovers.append(Leftover(partition: partition, producerID: producerID, epoch: producer.epoch))
                }
            }
        }
        return (committed, leftovers)
    }

    /// Several decisions may wait here, in any order, and later commits may be on disk already: the timestamps tell (`commit`).
    private func applyDecidedOffsets() throws(LogFailure) {
        for transaction in allTransactions {
            let record = transaction.state.withLock { $0.record }
            guard record.isDecided, !record.offsets.isEmpty else { continue }
            let lost = record.offsets.filter { offset in
                guard let known = groupOffsets.committed(group: offset.group, offset.partition) else { return true }
                return known != offset.committed && known.timestamp <= offset.committed.timestamp
            }
            groupOffsets.show(lost)
            try groupOffsets.writeShown(lost)
        }
    }

    /// From the record as it lies in the log to the state that the id goes on from.
    private func resume(_ state: inout State, _ owner: EmbeddedLog) {
        let nowMs = services.time.wallMs
        state.decision = state.record.isDecided ? state.record : nil
        state.decision?.ongoing = nil
        state.lastUsedMs = state.record.timestamp
        // A client that did not hear how its commit went asks again.
        if state.record.isDecided, state.lastEnd == nil { state.lastEnd = .commit }
        state.startedMs = state.record.ongoing?.startedMs ?? nowMs
        state.offsets = state.record.ongoing?.offsets ?? []
        for part in state.record.ongoing?.parts ?? [] {
            if let log = owner.partition(part.partition) { state.partitions[part.partition] = log }
        }
        let isOpen = !state.partitions.isEmpty || !state.offsets.isEmpty
        if isOpen { state.phase = .open }
        // A transaction to which only a group was added looks as if it had never begun. With durability .os more than additions may be lost, and
        // whoever lost records is better told.
        let mayLack = services.isDurable || state.record.ongoing != nil && !isOpen
        state.outlivedStartMs = state.record.isFromClient && mayLack ? nowMs : nil
        state.record.ongoing = nil
        state.record.epoch = state.record.nextEpoch
        state.record.endsEpoch = false
        state.record.isDecided = false
        state.record.parts = []
        state.record.offsets = []
    }
}

extension TransactionRecord {
    /// Whether what this producer epoch has open in the partition since that offset is of the decided transaction.
    fileprivate func decides(_ partition: TopicPartition, since: Int64, epoch: Int16) -> Bool {
        isDecided && self.epoch == epoch && parts.contains { $0.partition == partition && since < $0.end }
    }
}

extension PartitionLog {
    /// Producers with an open transaction here.
    fileprivate var openTransactions: [(Int64, ProducerStates.Producer)] {
        state.withLock { state in
            state.producers.open.compactMap { entry in state.producers.producers[entry.producerID].map { (entry.producerID, $0) } }
        }
    }
}
