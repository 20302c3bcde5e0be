import Logging
import MartletCore
import NIOCore

// AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn: the transactions of a client (KIP-98, KIP-447).

struct AddPartitionsToTxnRequest: WireRequest {
    typealias Response = AddPartitionsToTxnResponse
    static let api = APIKey.addPartitionsToTxn

    struct Transaction: WireMessage {
        var transactionalID = ""
        var producerID: Int64 = -1
        var producerEpoch: Int16 = -1
        /// Adds nothing, asks whether they are in it (KIP-890).
        var verifiesOnly = false
        var topics: [PerTopic<Int32>] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&transactionalID)
            try wire.field(&producerID)
            try wire.field(&producerEpoch)
            try wire.field(&verifiesOnly, from: 4)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    /// Up to version 3 exactly one.
    var transactions: [Transaction] = [Transaction()]

    mutating func code(_ wire: inout Wire) throws(WireError) {
        if wire.version <= 3 {
            var only = transactions.first ?? Transaction()
            try only.code(&wire)
            transactions = [only]
        } else {
            try wire.field(&transactions)
            try wire.tags()
        }
    }
}

struct AddPartitionsToTxnResponse: WireMessage {
    struct Transaction: WireMessage {
        var transactionalID = ""
        var topics: [OffsetCommitResponse.Topic] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&transactionalID, from: 4)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    /// Up to version 3 exactly one.
    var transactions: [Transaction] = [Transaction()]

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error, from: 4)
        if wire.version <= 3 {
            var only = transactions.first ?? Transaction()
            try only.code(&wire)
            transactions = [only]
        } else {
            try wire.field(&transactions)
            try wire.tags()
        }
    }
}

struct AddOffsetsToTxnRequest: WireRequest {
    typealias Response = TxnErrorResponse
    static let api = APIKey.addOffsetsToTxn

    var transactionalID = ""
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var groupID = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&producerID)
        try wire.field(&producerEpoch)
        try wire.field(&groupID)
        try wire.tags()
    }
}

struct TxnErrorResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.tags()
    }
}

struct TxnOffsetCommitRequest: WireRequest {
    typealias Response = TxnOffsetCommitResponse
    static let api = APIKey.txnOffsetCommit

    struct Partition: WireMessage {
        var index: Int32 = 0
        var offset: Int64 = 0
        var leaderEpoch: Int32 = -1
        var metadata: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&offset)
            try wire.field(&leaderEpoch, from: 2)
            try wire.field(&metadata)
            try wire.tags()
        }
    }

    typealias Topic = PerTopic<Partition>

    var transactionalID = ""
    var groupID = ""
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var generation: Int32 = -1
    var memberID = ""
    var groupInstanceID: String?
    var topics: [Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&groupID)
        try wire.field(&producerID)
        try wire.field(&producerEpoch)
        try wire.field(&generation, from: 3)
        try wire.field(&memberID, from: 3)
        try wire.field(&groupInstanceID, from: 3)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct TxnOffsetCommitResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var topics: [OffsetCommitResponse.Topic] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

struct EndTxnRequest: WireRequest {
    typealias Response = EndTxnResponse
    static let api = APIKey.endTxn

    var transactionalID = ""
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var isCommit = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&producerID)
        try wire.field(&producerEpoch)
        try wire.field(&isCommit)
        try wire.tags()
    }
}

struct EndTxnResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    /// For the next transaction (KIP-890).
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&producerID, from: 5)
        try wire.field(&producerEpoch, from: 5)
        try wire.tags()
    }
}

extension TxnOffsetCommitResponse {
    /// The same answer with `code` for each partition that had no error of its own.
    fileprivate func failing(with code: KafkaErrorCode) -> TxnOffsetCommitResponse {
        TxnOffsetCommitResponse(throttleTimeMs: throttleTimeMs, topics: OffsetCommitResponse(topics: topics).failing(with: code).topics)
    }
}

extension RequestRouter {
    func addPartitionsToTxn(_ request: AddPartitionsToTxnRequest, _ context: RequestContext) -> Answer<AddPartitionsToTxnResponse> {
        offload(context) { AddPartitionsToTxnResponse(transactions: request.transactions.map { self.addPartitions($0, context) }) }
    }

    private func addPartitions(_ wanted: AddPartitionsToTxnRequest.Transaction, _ context: RequestContext) -> AddPartitionsToTxnResponse.Transaction {
        var codes: [TopicPartition: KafkaErrorCode] = [:]
        var failure = KafkaErrorCode.none
        let partitions = wanted.topics.flatMap { topic in topic.partitions.map { TopicPartition(topic.name, $0) } }
        do throws(KafkaError) {
            codes = try log.transactions.addPartitions(
                transactionalID: wanted.transactionalID, producerID: wanted.producerID, epoch: wanted.producerEpoch,
                verifyingOnly: wanted.verifiesOnly, isDurable: false, partitions)
        } catch {
            failure = told(error, context)
        }
        return .init(
            transactionalID: wanted.transactionalID,
            topics: wanted.topics.map { topic in
                topic.answer { index in .init(index: index, error: codes[TopicPartition(topic.name, index)] ?? failure) }
            })
    }

    func addOffsetsToTxn(_ request: AddOffsetsToTxnRequest, _ context: RequestContext) -> Answer<TxnErrorResponse> {
        offload(context) {
            do throws(KafkaError) {
                guard !request.groupID.isEmpty else { throw KafkaError(.invalidGroupID, "a group id is not empty") }
                try self.log.transactions.addOffsets(
                    transactionalID: request.transactionalID, producerID: request.producerID, epoch: request.producerEpoch,
                    group: request.groupID, isDurable: false)
                return TxnErrorResponse()
            } catch {
                return TxnErrorResponse(error: self.told(error, context))
            }
        }
    }

    /// Answered when the offsets are on disk: the sync is that of everybody who waits for the transaction log then.
    func txnOffsetCommit(_ request: TxnOffsetCommitRequest, _ context: RequestContext) -> Answer<TxnOffsetCommitResponse> {
        let promise = context.loop.makePromise(of: TxnOffsetCommitResponse.self)
        let written: Answer<Void> = offload(context) {
            let response = self.writeOffsets(request, context)
            let transactions = self.log.transactions.log
            transactions.whenDurable(upTo: transactions.endOffset) { code in promise.succeed(response.failing(with: code)) }
        }
        if case .later(let future) = written { future.whenFailure { promise.fail($0) } }
        return .later(promise.futureResult)
    }

    private func writeOffsets(_ request: TxnOffsetCommitRequest, _ context: RequestContext) -> TxnOffsetCommitResponse {
        let (offsets, response) = committable(
            request.topics.map { topic in
                .init(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        .init(index: $0.index, offset: $0.offset, leaderEpoch: $0.leaderEpoch, metadata: $0.metadata)
                    })
            })
        var code = groups.admitTransactionalCommit(
            group: request.groupID, memberID: request.memberID, instanceID: request.groupInstanceID, generation: request.generation)
        if code == .none {
            do throws(KafkaError) {
                try log.transactions.commitOffsets(
                    transactionalID: request.transactionalID, producerID: request.producerID, epoch: request.producerEpoch,
                    group: request.groupID, isOpening: context.version >= 5, isDurable: false, offsets)
            } catch {
                code = told(error, context)
            }
        }
        return TxnOffsetCommitResponse(topics: response.topics).failing(with: code)
    }

    func endTxn(_ request: EndTxnRequest, _ context: RequestContext) -> Answer<EndTxnResponse> {
        offload(context) {
            do throws(KafkaError) {
                if context.version >= 5 {
                    let next = try self.log.transactions.endAndRaiseEpoch(
                        transactionalID: request.transactionalID, producerID: request.producerID, epoch: request.producerEpoch,
                        commit: request.isCommit)
                    return EndTxnResponse(producerID: next.producerID, producerEpoch: next.epoch)
                }
                try self.log.transactions.end(
                    transactionalID: request.transactionalID, producerID: request.producerID, epoch: request.producerEpoch,
                    commit: request.isCommit)
                return EndTxnResponse()
            } catch {
                return EndTxnResponse(error: self.told(error, context))
            }
        }
    }

    /// The code for the client; the sentence goes to the log, as these answers have no room for it.
    func told(_ error: KafkaError, _ context: RequestContext) -> KafkaErrorCode {
        logger.debug("request refused", metadata: ["client": "\(context.clientID)", "error": "\(error.message)"])
        return error.code
    }
}
