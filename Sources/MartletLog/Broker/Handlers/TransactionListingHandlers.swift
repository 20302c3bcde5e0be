import MartletCore
import Synchronization

// ListTransactions, DescribeTransactions, DescribeProducers: what one looks at when a transaction hangs (KIP-664).

struct ListTransactionsRequest: WireRequest {
    typealias Response = ListTransactionsResponse
    static let api = APIKey.listTransactions

    /// Empty: all.
    var states: [String] = []
    var producerIDs: [Int64] = []
    /// Only transactions that have been open for longer, milliseconds; −1: all.
    var durationMs: Int64 = -1
    /// A regular expression that the whole id matches; nil or empty: all.
    var pattern: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&states)
        try wire.field(&producerIDs)
        try wire.field(&durationMs, from: 1)
        try wire.field(&pattern, from: 2)
        try wire.tags()
    }
}

struct ListTransactionsResponse: WireMessage {
    struct Transaction: WireMessage {
        var transactionalID = ""
        var producerID: Int64 = -1
        var state = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&transactionalID)
            try wire.field(&producerID)
            try wire.field(&state)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var unknownStates: [String] = []
    var transactions: [Transaction] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&error)
        try wire.field(&unknownStates)
        try wire.field(&transactions)
        try wire.tags()
    }
}

struct DescribeTransactionsRequest: WireRequest {
    typealias Response = DescribeTransactionsResponse
    static let api = APIKey.describeTransactions

    var transactionalIDs: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&transactionalIDs)
        try wire.tags()
    }
}

struct DescribeTransactionsResponse: WireMessage {
    struct Transaction: WireMessage {
        var error = KafkaErrorCode.none
        var transactionalID = ""
        var state = ""
        var timeoutMs: Int32 = 0
        var startedMs: Int64 = -1
        var producerID: Int64 = -1
        var producerEpoch: Int16 = -1
        var topics: [PerTopic<Int32>] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&transactionalID)
            try wire.field(&state)
            try wire.field(&timeoutMs)
            try wire.field(&startedMs)
            try wire.field(&producerID)
            try wire.field(&producerEpoch)
            try wire.field(&topics)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var transactions: [Transaction] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&transactions)
        try wire.tags()
    }
}

struct DescribeProducersRequest: WireRequest {
    typealias Response = DescribeProducersResponse
    static let api = APIKey.describeProducers

    var topics: [PerTopic<Int32>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topics)
        try wire.tags()
    }
}

struct DescribeProducersResponse: WireMessage {
    struct Producer: WireMessage {
        var id: Int64 = -1
        var epoch: Int32 = -1
        var lastSequence: Int32 = -1
        var lastTimestamp: Int64 = -1
        var coordinatorEpoch: Int32 = -1
        var transactionStart: Int64 = -1

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&id)
            try wire.field(&epoch)
            try wire.field(&lastSequence)
            try wire.field(&lastTimestamp)
            try wire.field(&coordinatorEpoch)
            try wire.field(&transactionStart)
            try wire.tags()
        }
    }

    struct Partition: WireMessage {
        var index: Int32 = 0
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var producers: [Producer] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&producers)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var topics: [PerTopic<Partition>] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&topics)
        try wire.tags()
    }
}

extension RequestRouter {
    func listTransactions(_ request: ListTransactionsRequest, _ context: RequestContext) -> Answer<ListTransactionsResponse> {
        let pattern: NamePattern?
        do throws(KafkaError) {
            pattern = try request.pattern.flatMap { (text) throws(KafkaError) in text.isEmpty ? nil : try NamePattern(text) }
        } catch {
            return .now(ListTransactionsResponse(error: error.code))
        }
        let states = Set(request.states.compactMap(TransactionListing.State.init(rawValue:)))
        let unknown = request.states.filter { TransactionListing.State(rawValue: $0) == nil }
        let producers = Set(request.producerIDs)
        return offload(context) {
            let now = self.time.wallMs
            let listed = self.log.transactions.listings.filter { transaction in
                (request.states.isEmpty || states.contains(transaction.state))
                    && (producers.isEmpty || producers.contains(transaction.producerID))
                    && (request.durationMs < 0 || (transaction.startedMs >= 0 && now - transaction.startedMs > request.durationMs))
                    && (pattern?.matches(transaction.transactionalID) ?? true)
            }
            return ListTransactionsResponse(
                unknownStates: unknown,
                transactions: listed.map { .init(transactionalID: $0.transactionalID, producerID: $0.producerID, state: $0.state.rawValue) })
        }
    }

    func describeTransactions(_ request: DescribeTransactionsRequest, _ context: RequestContext) -> Answer<DescribeTransactionsResponse> {
        offload(context) {
            DescribeTransactionsResponse(
                transactions: request.transactionalIDs.map { id in
                    guard let found = self.log.transactions.listing(id) else {
                        return .init(error: id.isEmpty ? .invalidRequest : .transactionalIDNotFound, transactionalID: id)
                    }
                    let topics = Dictionary(grouping: found.partitions, by: \.topic)
                    return .init(
                        transactionalID: id, state: found.state.rawValue, timeoutMs: found.timeoutMs, startedMs: found.startedMs,
                        producerID: found.producerID, producerEpoch: found.epoch,
                        topics: topics.keys.sorted().map { .init(name: $0, partitions: (topics[$0] ?? []).map(\.partition)) })
                })
        }
    }

    func describeProducers(_ request: DescribeProducersRequest, _ context: RequestContext) -> Answer<DescribeProducersResponse> {
        .now(
            DescribeProducersResponse(
                topics: request.topics.map { topic in
                    topic.answer { index in
                        guard let log = log.partition(TopicPartition(topic.name, index)) else {
                            return .init(
                                index: index, error: .unknownTopicOrPartition, errorMessage: "partition \(topic.name)-\(index) does not exist")
                        }
                        return .init(index: index, producers: log.activeProducers.map { DescribeProducersResponse.Producer($0.id, $0.producer) })
                    }
                }))
    }
}

extension DescribeProducersResponse.Producer {
    init(_ id: Int64, _ producer: ProducerStates.Producer) {
        self.init(
            id: id, epoch: Int32(producer.epoch), lastSequence: producer.batches.last?.lastSequence ?? -1,
            lastTimestamp: producer.batches.last?.timestamp ?? producer.lastSeenMs, coordinatorEpoch: producer.coordinatorEpoch,
            transactionStart: producer.openSince ?? -1)
    }
}

extension PartitionLog {
    /// What is remembered of producers with an id, by id.
    fileprivate var activeProducers: [(id: Int64, producer: ProducerStates.Producer)] {
        state.withLock { state in
            state.producers.producers.sorted { $0.key < $1.key }.map { (id: $0.key, producer: $0.value) }
        }
    }
}
