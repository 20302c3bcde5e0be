import MartletCore

/// What a partition remembers of the producers that have an id: enough to recognise repeated batches, refuse gaps and old epochs, and to
/// know which transactions are open (Kafka: KIP-98, KIP-360).
struct ProducerStates: Sendable, Equatable {
    /// A batch of an idempotent producer, kept to answer a repetition with the first offsets.
    struct Batch: Sendable, Equatable {
        var firstSequence: Int32
        var lastSequence: Int32
        var baseOffset: Int64
        var lastOffset: Int64
        var timestamp: Int64
    }

    struct Producer: Sendable, Equatable {
        var epoch: Int16
        /// The last five with sequences, oldest first.
        var batches: [Batch] = []
        /// First offset of the open transaction.
        var openSince: Int64?
        /// End of the last batch of the open transaction (exclusive).
        var openUntil: Int64 = 0
        var coordinatorEpoch: Int32 = -1
        /// Wall time of the last append, milliseconds.
        var lastSeenMs: Int64
    }

    static let batchesKept = 5

    private(set) var producers: [Int64: Producer] = [:]
    /// First offsets of open transactions, rising.
    private(set) var open: [(firstOffset: Int64, producerID: Int64)] = []

    static func == (a: ProducerStates, b: ProducerStates) -> Bool {
        a.producers == b.producers && a.open.elementsEqual(b.open) { $0 == $1 }
    }

    var firstOpenOffset: Int64? { open.first?.firstOffset }

    enum Verdict: Equatable {
        case fresh
        case duplicate(Batch)
    }

    /// Judges a batch of a client before it is written.
    func check(_ header: BatchHeader, _ partition: TopicPartition) throws(LogFailure) -> Verdict {
        guard header.hasProducer, let producer = producers[header.producerID] else { return .fresh }
        try refuseOldEpoch(header, producer, partition)
        if !header.isTransactional && producer.openSince != nil && header.producerEpoch == producer.epoch {
            throw LogFailure(
                .invalidTxnState, .badRequest, "producer \(header.producerID) has an open transaction in \(partition)")
        }
        guard header.baseSequence >= 0 else { return .fresh }
        if header.producerEpoch != producer.epoch {
            guard header.baseSequence == 0 else { throw outOfOrder(header, expected: 0, partition) }
            return .fresh
        }
        guard let last = producer.batches.last else { return .fresh }
        for batch in producer.batches where batch.firstSequence == header.baseSequence && batch.lastSequence == header.lastSequence {
            return .duplicate(batch)
        }
        let expected = BatchHeader.sequence(last.lastSequence, plus: 1)
        guard header.baseSequence == expected else { throw outOfOrder(header, expected: expected, partition) }
        return .fresh
    }

    /// Judges a marker of somebody other than our coordinator before it is written.
    func checkMarker(_ header: BatchHeader, coordinatorEpoch: Int32, _ partition: TopicPartition) throws(LogFailure) {
        guard let producer = producers[header.producerID] else { return }
        try refuseOldEpoch(header, producer, partition)
        if coordinatorEpoch < producer.coordinatorEpoch {
            throw LogFailure(
                .transactionCoordinatorFenced, .fenced,
                "a coordinator of epoch \(producer.coordinatorEpoch) has ended a transaction of producer \(header.producerID) in \(partition), later than \(coordinatorEpoch)")
        }
    }

    private func refuseOldEpoch(_ header: BatchHeader, _ producer: Producer, _ partition: TopicPartition) throws(LogFailure) {
        guard header.producerEpoch < producer.epoch else { return }
        throw LogFailure(
            .invalidProducerEpoch, .fenced,
            "producer \(header.producerID) has epoch \(producer.epoch) in \(partition), not \(header.producerEpoch)")
    }

    private func outOfOrder(_ header: BatchHeader, expected: Int32, _ partition: TopicPartition) -> LogFailure {
        LogFailure(
            .outOfOrderSequenceNumber, .badRequest,
            "producer \(header.producerID) sent sequence \(header.baseSequence) to \(partition) where \(expected) is next")
    }

    /// Takes in a batch that is in the log, with its final offsets; not for control batches.
    mutating func note(_ header: BatchHeader, nowMs: Int64) {
        guard header.hasProducer else { return }
        var producer = producers[header.producerID] ?? Producer(epoch: header.producerEpoch, lastSeenMs: nowMs)
        if header.producerEpoch != producer.epoch {
            producer.epoch = header.producerEpoch
            producer.batches = []
        }
        producer.lastSeenMs = nowMs
        if header.baseSequence >= 0 {
            if producer.batches.count == Self.batchesKept { producer.batches.removeFirst() }
            producer.batches.append(
                Batch(
                    firstSequence: header.baseSequence, lastSequence: header.lastSequence, baseOffset: header.baseOffset,
                    lastOffset: header.lastOffset, timestamp: header.maxTimestamp))
        }
        if header.isTransactional {
            if producer.openSince == nil {
                producer.openSince = header.baseOffset
                open.append((header.baseOffset, header.producerID))
            }
            producer.openUntil = header.nextOffset
        }
        producers[header.producerID] = producer
    }

    /// Takes in a marker that is in the log. Returns the transaction if it was open and is now aborted.
    mutating func noteMarker(_ header: BatchHeader, _ type: ControlType, coordinatorEpoch: Int32, nowMs: Int64) -> AbortedTransaction? {
        var producer = producers[header.producerID] ?? Producer(epoch: header.producerEpoch, lastSeenMs: nowMs)
        if header.producerEpoch != producer.epoch {
            producer.epoch = header.producerEpoch
            producer.batches = []
        }
        producer.coordinatorEpoch = coordinatorEpoch
        producer.lastSeenMs = nowMs
        let first = producer.openSince
        producer.openSince = nil
        producers[header.producerID] = producer
        open.removeAll { $0.producerID == header.producerID }
        guard let first, type == .abort else { return nil }
        return AbortedTransaction(producerID: header.producerID, firstOffset: first, lastOffset: header.lastOffset)
    }

    /// Forgets producers silent since before `limitMs`, unless they have a transaction open.
    mutating func expire(before limitMs: Int64) {
        producers = producers.filter { $0.value.lastSeenMs >= limitMs || $0.value.openSince != nil }
    }

    // MARK: in the clean point file

    func put(into out: inout ByteWriter) {
        out.put(UInt32(producers.count))
        for (id, producer) in producers.sorted(by: { $0.key < $1.key }) {
            out.put(id)
            out.put(producer.epoch)
            out.put(producer.openSince ?? -1)
            out.put(producer.openUntil)
            out.put(producer.coordinatorEpoch)
            out.put(producer.lastSeenMs)
            out.put(UInt8(producer.batches.count))
            for batch in producer.batches {
                out.put(batch.firstSequence)
                out.put(batch.lastSequence)
                out.put(batch.baseOffset)
                out.put(batch.lastOffset)
                out.put(batch.timestamp)
            }
        }
    }

    init() {}

    init?(from reader: inout ByteReader) {
        guard let count: UInt32 = reader.take() else { return nil }
        for _ in 0..<count {
            guard let id: Int64 = reader.take(), let epoch: Int16 = reader.take(), let openSince: Int64 = reader.take(),
                let openUntil: Int64 = reader.take(), let coordinatorEpoch: Int32 = reader.take(), let seen: Int64 = reader.take(),
                let batches: UInt8 = reader.take()
            else { return nil }
            var producer = Producer(epoch: epoch, lastSeenMs: seen)
            producer.openSince = openSince < 0 ? nil : openSince
            producer.openUntil = openUntil
            producer.coordinatorEpoch = coordinatorEpoch
            for _ in 0..<batches {
                guard let first: Int32 = reader.take(), let last: Int32 = reader.take(), let base: Int64 = reader.take(),
                    let lastOffset: Int64 = reader.take(), let timestamp: Int64 = reader.take()
                else { return nil }
                producer.batches.append(
                    Batch(firstSequence: first, lastSequence: last, baseOffset: base, lastOffset: lastOffset, timestamp: timestamp))
            }
            producers[id] = producer
            if openSince >= 0 { open.append((openSince, id)) }
        }
        open.sort { $0.firstOffset < $1.firstOffset }
    }
}
