import Logging
import MartletCore
import NIOCore
import Synchronization

struct ProduceRequest: WireRequest {
    typealias Response = ProduceResponse
    static let api = APIKey.produce

    struct Partition: WireMessage {
        var index: Int32 = 0
        var records: ByteBuffer?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&records)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var transactionalID: String?
    /// −1: when the records are durable. 1: when they are appended. 0: no answer.
    var acks: Int16 = -1
    var timeoutMs: Int32 = 30_000
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 13
        try wire.field(&transactionalID, from: 3)
        try wire.field(&acks)
        try wire.field(&timeoutMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct ProduceResponse: WireMessage {
    struct RecordError: WireMessage {
        var batchIndex: Int32 = 0
        var message: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&batchIndex)
            try wire.field(&message)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var baseOffset: Int64 = -1
        var logAppendTimeMs: Int64 = -1
        var logStartOffset: Int64 = -1
        var recordErrors: [RecordError] = []
        var errorMessage: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&baseOffset)
            try wire.field(&logAppendTimeMs, from: 2)
            try wire.field(&logStartOffset, from: 5)
            try wire.field(&recordErrors, from: 8)
            try wire.field(&errorMessage, from: 8)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var topics: [Topic] = []
    var throttleTimeMs: Int32 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        wire.topicIDsFrom = 13
        try wire.field(&topics)
        try wire.field(&throttleTimeMs, from: 1)
        try wire.tags()
    }
}

extension ProduceRequest {
    mutating func nameTopics(_ ids: TopicIDs) { topics = ids.named(topics) }
}

extension RequestRouter {
    /// Appends at once, in the order in which requests came; with acks=all the answer waits for the disk, other requests do not.
    func produce(_ request: ProduceRequest, _ context: RequestContext) -> Answer<ProduceResponse> {
        guard (-1...1).contains(request.acks) else {
            return .now(refuse(request, .invalidRequiredAcks, "acks is 0, 1 or all (-1), not \(request.acks)"))
        }
        var response = ProduceResponse()
        var durable: [(topic: Int, partition: Int, log: PartitionLog, end: Int64)] = []
        response.topics.reserveCapacity(request.topics.count)
        for topic in request.topics {
            var answers: [ProduceResponse.Partition] = []
            for partition in topic.partitions {
                var answer = ProduceResponse.Partition(index: partition.index)
                do throws(KafkaError) {
                    let log = try writable(TopicPartition(topic.name, partition.index), orThrow: topic.errorIfMissing)
                    guard let records = partition.records, records.readableBytes > 0 else {
                        throw KafkaError(.invalidRecord, "there are no records for \(log.id)")
                    }
                    if let transactionalID = request.transactionalID, context.version >= 12 { try join(transactionalID, log.id, records) }
                    let result = try log.append(records, requiredAcks: request.acks, version: context.version)
                    answer.baseOffset = result.baseOffset
                    answer.logAppendTimeMs = result.logAppendTime
                    answer.logStartOffset = result.logStartOffset
                    durable.append((response.topics.count, answers.count, log, result.lastOffset + 1))
                } catch {
                    answer.error = error.code
                    answer.errorMessage = error.message
                    answer.recordErrors = error.records.map { .init(batchIndex: $0.index, message: $0.reason) }
                    logger.debug(
                        "produce refused",
                        metadata: [
                            "partition": "\(topic.name)-\(partition.index)", "client": "\(context.clientID)", "error": "\(error.message)",
                        ])
                }
                answers.append(answer)
            }
            response.topics.append(ProduceResponse.Topic(name: topic.name, id: topic.id, partitions: answers))
        }
        if request.acks == 0 { return .none }
        if request.acks == 1 || durable.isEmpty { return .now(response) }
        if request.transactionalID != nil {
            // That these partitions are in the transaction is synced at the same time, not before.
            let transactions = log.transactions.log
            let end = transactions.endOffset
            durable += durable.map { ($0.topic, $0.partition, transactions, end) }
        }
        return whenDurable(durable, response, context)
    }

    /// From version 12 on a partition joins a transaction by being written to (KIP-890).
    private func join(_ transactionalID: String, _ id: TopicPartition, _ records: ByteBuffer) throws(KafkaError) {
        guard let header = records.withUnsafeReadableBytes({ BatchHeader($0) }), header.magic == 2, header.isTransactional else { return }
        do throws(KafkaError) {
            _ = try log.transactions.addPartitions(
                transactionalID: transactionalID, producerID: header.producerID, epoch: header.producerEpoch, isDurable: false, [id])
        } catch {
            throw error.code == .producerFenced ? KafkaError(.invalidProducerEpoch, error.message) : error
        }
    }

    private func writable(_ id: TopicPartition, orThrow missing: KafkaErrorCode) throws(KafkaError) -> PartitionLog {
        guard let log = log.partition(id) else { throw KafkaError(missing, "\(id) does not exist") }
        if let topic = self.log.topic(id.topic), topic.isInternal || topic.isReserved {
            throw KafkaError(.invalidTopicException, "\(id.topic) is internal and written by the broker alone")
        }
        return log
    }

    private func refuse(_ request: ProduceRequest, _ code: KafkaErrorCode, _ message: String) -> ProduceResponse {
        ProduceResponse(
            topics: request.topics.map { topic in
                topic.answer { .init(index: $0.index, error: code, errorMessage: message) }
            })
    }

    /// Answers when the records are durable, and the transaction that they joined.
    private func whenDurable(
        _ waits: [(topic: Int, partition: Int, log: PartitionLog, end: Int64)], _ response: ProduceResponse, _ context: RequestContext
    ) -> Answer<ProduceResponse> {
        let promise = context.loop.makePromise(of: ProduceResponse.self)
        // The completions come on whichever thread synced; the last one answers.
        let progress = DurableProgress(response: response, open: waits.count)
        for wait in waits {
            wait.log.whenDurable(upTo: wait.end) { code in
                if let done = progress.complete(topic: wait.topic, partition: wait.partition, code) { promise.succeed(done) }
            }
        }
        return .later(promise.futureResult)
    }
}

/// Counts the partitions of one Produce request that wait for the disk.
private final class DurableProgress: Sendable {
    private let state: Mutex<(response: ProduceResponse, open: Int)>

    init(response: ProduceResponse, open: Int) { state = Mutex((response, open)) }

    /// The response, once nothing is open any more.
    func complete(topic: Int, partition: Int, _ code: KafkaErrorCode) -> ProduceResponse? {
        state.withLock { state in
            if code != .none {
                state.response.topics[topic].partitions[partition].error = code
                state.response.topics[topic].partitions[partition].errorMessage = "the records could not be made durable"
                state.response.topics[topic].partitions[partition].baseOffset = -1
            }
            state.open -= 1
            return state.open == 0 ? state.response : nil
        }
    }
}
