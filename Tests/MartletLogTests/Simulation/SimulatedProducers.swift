import MartletCore
import Testing

@testable import MartletLog

/// An idempotent producer of one partition: numbers its values, sends a batch again until it is acknowledged.
struct SimulatedProducer {
    let name: String
    let partition: Int32
    private var id: Int64 = -1
    private var sequence: Int32 = 0
    /// Values that were acknowledged, and those that were sent.
    private(set) var acknowledged = 0
    private(set) var sent = 0

    init(name: String, partition: Int32) {
        self.name = name
        self.partition = partition
    }

    private func value(_ number: Int) -> String { "\(name).\(number)" }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        do {
            if id < 0 {
                let made = try node.log.makeProducerID().id
                if node.hasCrashed { return }
                id = made
            }
            if sent == acknowledged { sent += Int.random(in: 1...3, using: &random) }
            let log = try node.partition("events", partition)
            let codec: CompressionCodec = Int.random(in: 0..<10, using: &random) == 0 ? .lz4 : .none
            try log.append(
                client: clientBatch((acknowledged..<sent).map(value), producerID: id, epoch: 0, sequence: sequence, codec: codec))
            try log.flush()
            if node.hasCrashed { return }
            sequence += Int32(sent - acknowledged)
            acknowledged = sent
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    /// Its values are there from the first on without a gap, in order, once each, and none is missing that was acknowledged.
    func check(_ values: [String], _ note: String) {
        let mine = values.filter { $0.hasPrefix("\(name).") }
        #expect(mine == (0..<mine.count).map(value), "\(note): values of \(name) are lost, doubled or out of order")
        #expect(mine.count >= acknowledged && mine.count <= sent, "\(note): \(mine.count) values of \(name), \(acknowledged) acknowledged of \(sent)")
    }
}

/// A transactional client: values to both partitions and an offset, all or nothing. Now and then its process dies and another takes over,
/// while the old one still tries to go on. When the node starts anew it may go on with the transaction that it has open.
struct SimulatedTransactions {
    enum Outcome { case open, committed, aborted, unknown }

    struct Transaction {
        var number: Int
        var values: [[String]] = [[], []]
        var offset: Int64?
        var outcome = Outcome.open
        /// The node started anew while it was open.
        var hasSurvived = false
    }

    /// What was not answered yet, to be sent again.
    private enum Request {
        case append(partition: Int, values: [String], offset: Int64?)
        case end(transaction: Int, commit: Bool)
    }

    let name: String
    private var id: Int64 = -1
    private var epoch: Int16 = -1
    private var isReady = false
    /// The node started anew since the client began: it may have been fenced.
    private var hasLostNode = false
    private var sequences: [Int32] = [0, 0]
    private var predecessor: (id: Int64, epoch: Int16)?
    private var unanswered: Request?
    private(set) var transactions: [Transaction] = []

    init(name: String) { self.name = name }

    private var group: String { "group-\(name)" }
    static let input = TopicPartition("input", 0)
    private var open: Int? { transactions.last?.outcome == .open ? transactions.count - 1 : nil }

    /// Transactions that were begun in one life of the node and committed in another.
    var survivors: Int { transactions.count { $0.hasSurvived && $0.outcome == .committed } }

    /// The node started anew. The client goes on where it was, or has died too.
    mutating func nodeRestarted(_ random: inout SeededRandom) {
        hasLostNode = true
        if Int.random(in: 0..<3, using: &random) == 0 { isReady = false }
        if let open, transactions[open].outcome == .open { transactions[open].hasSurvived = isReady }
    }

    /// Another process takes the client's place: nothing of it is open afterwards.
    mutating func beginAnew(_ node: SimulatedNode) throws { try begin(node) }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        do {
            if !isReady { return try begin(node) }
            if let unanswered { return try send(unanswered, node) }
            switch Int.random(in: 0..<20, using: &random) {
            case 0: predecessor = (id, epoch); return try begin(node)
            case 1: try goOnAsPredecessor(node)
            case 2...4: try end(node, commit: Bool.random(using: &random) && Bool.random(using: &random) == false)
            case 5...9: try end(node, commit: true)
            default: try append(node, Int.random(in: 0...1, using: &random), &random)
            }
        } catch where node.hasCrashed {
            // No answer came.
        } catch where isDiskFailure(error) || (hasLostNode && isFencing(error)) {
            // A client that meets an error aborts by beginning anew.
            isReady = false
        }
    }

    private func isFencing(_ error: any Error) -> Bool {
        let code = (error as? KafkaError)?.code
        return code == .producerFenced || code == .invalidProducerEpoch
    }

    private mutating func begin(_ node: SimulatedNode) throws {
        isReady = false
        unanswered = nil
        let made = try node.log.transactions.initProducerID(transactionalID: name, timeoutMs: 60_000)
        if node.hasCrashed { return }
        if made.id != id || made.epoch != epoch { sequences = [0, 0] }
        (id, epoch) = made
        (isReady, hasLostNode) = (true, false)
        if let open, transactions[open].outcome == .open { transactions[open].outcome = .aborted }
        try resolve(node)
    }

    private mutating func append(_ node: SimulatedNode, _ partition: Int, _ random: inout SeededRandom) throws {
        if open == nil { transactions.append(Transaction(number: transactions.count)) }
        guard let open else { return }
        let values = (0..<Int.random(in: 1...2, using: &random)).map { i in
            "\(name).\(transactions[open].number).\(partition).\(transactions[open].values[partition].count + i)"
        }
        // Also when the answer is lost they belong to it.
        transactions[open].values[partition] += values
        let offset = Bool.random(using: &random) ? Int64(transactions[open].number + 1) : nil
        if let offset { transactions[open].offset = offset }
        try send(.append(partition: partition, values: values, offset: offset), node)
    }

    private mutating func end(_ node: SimulatedNode, commit: Bool) throws {
        guard let open else { return }
        try send(.end(transaction: open, commit: commit), node)
    }

    /// Sends a request, perhaps once more, and keeps it until it is answered.
    private mutating func send(_ request: Request, _ node: SimulatedNode) throws {
        unanswered = request
        let coordinator = node.log.transactions
        switch request {
        case .append(let partition, let values, let offset):
            let target = TopicPartition("events", Int32(partition))
            // By requests of their own, or as Produce does it (KIP-890): either way synced with the data.
            let codes = try coordinator.addPartitions(transactionalID: name, producerID: id, epoch: epoch, isDurable: false, [target])
            #expect(codes == [target: .none])
            let bytes = clientBatch(values, producerID: id, epoch: epoch, sequence: sequences[partition], isTransactional: true)
            try node.partition("events", Int32(partition)).append(client: bytes)
            // A batch counts as taken when it is durable, and that it is in the transaction; in any order.
            var logs = [try node.partition("events", Int32(partition)), coordinator.log]
            if values.count == 2 { logs.reverse() }
            for log in logs { try log.flush() }
            if let offset {
                try coordinator.addOffsets(transactionalID: name, producerID: id, epoch: epoch, group: group, isDurable: false)
                try coordinator.commitOffsets(
                    transactionalID: name, producerID: id, epoch: epoch, group: group, [Self.input: CommittedOffset(offset: offset)])
            }
            if node.hasCrashed { return }
            sequences[partition] += Int32(values.count)
        case .end(let transaction, let commit):
            if commit { transactions[transaction].outcome = .unknown }
            try coordinator.end(transactionalID: name, producerID: id, epoch: epoch, commit: commit)
            if node.hasCrashed { return }
            transactions[transaction].outcome = commit ? .committed : .aborted
        }
        unanswered = nil
    }

    /// Whoever was taken over must not get anything through.
    private func goOnAsPredecessor(_ node: SimulatedNode) throws {
        guard let predecessor, predecessor.id == id, predecessor.epoch < epoch else { return }
        let bytes = clientBatch(["zombie"], producerID: predecessor.id, epoch: predecessor.epoch, sequence: 0, isTransactional: true)
        #expect(throws: KafkaError.self) { try node.partition("events", 0).append(client: bytes) }
        let error = #expect(throws: KafkaError.self) {
            try node.log.transactions.end(transactionalID: name, producerID: predecessor.id, epoch: predecessor.epoch, commit: true)
        }
        #expect(error?.code == .producerFenced || error?.code == .kafkaStorageError || node.hasCrashed)
    }

    /// What became of a transaction whose end nobody heard of shows in the log, once the coordinator has answered again.
    private mutating func resolve(_ node: SimulatedNode) throws {
        for i in transactions.indices where transactions[i].outcome == .unknown {
            let first = transactions[i].values.firstIndex { !$0.isEmpty }
            guard let first else {
                let committed = node.log.groupOffsets.committed(group: group, Self.input)?.offset ?? 0
                transactions[i].outcome = (transactions[i].offset ?? .max) <= committed ? .committed : .aborted
                continue
            }
            let log = try node.partition("events", Int32(first))
            if try log.values(.readCommitted).contains(transactions[i].values[first][0]) {
                transactions[i].outcome = .committed
            } else if log.lastStableOffset == log.endOffset {
                transactions[i].outcome = .aborted
            }
        }
    }

    /// Committed transactions are there whole and in order, the others not at all; offsets go with them. While some are open (`isSettled` false)
    /// what lies behind them cannot be seen.
    func check(_ node: SimulatedNode, _ values: [[String]], isSettled: Bool, _ note: String) {
        var latest: Int64 = 0, possible: Set<Int64> = []
        for transaction in transactions {
            let wanted = Set(transaction.values.joined())
            let found = (0..<2).map { p in values[p].filter { wanted.contains($0) } }
            let isThere = !found[0].isEmpty || !found[1].isEmpty
            #expect(!isThere || !isSettled || found == transaction.values, "\(note): half of transaction \(name).\(transaction.number)")
            switch transaction.outcome {
            case .committed: #expect(isThere || wanted.isEmpty || !isSettled, "\(note): committed transaction \(name).\(transaction.number) is lost")
            case .aborted, .open: #expect(!isThere, "\(note): \(transaction.outcome) transaction \(name).\(transaction.number) is visible")
            case .unknown: break
            }
            guard let offset = transaction.offset else { continue }
            if transaction.outcome == .committed || (transaction.outcome == .unknown && isThere) {
                latest = offset
                possible = []
            } else if transaction.outcome == .unknown, wanted.isEmpty || !isSettled {
                possible.insert(offset)
            }
        }
        let committed = node.log.groupOffsets.committed(group: group, Self.input)?.offset ?? 0
        #expect(committed == latest || possible.contains(committed), "\(note): offset \(committed) of \(name), not \(latest)")
    }
}

/// Writes the latest value of each of a few keys to a compacted topic.
struct SimulatedTable {
    private var acknowledged: [String: Int] = [:]
    private var sent: [String: Int] = [:]

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        let key = "k\(Int.random(in: 0..<5, using: &random))"
        let number = (sent[key] ?? 0) + 1
        sent[key] = number
        do {
            let log = try node.partition("table", 0)
            try log.append(["\(number)" + String(repeating: "x", count: Int.random(in: 0..<100, using: &random))], keys: [key])
            try log.flush()
            if !node.hasCrashed { acknowledged[key] = number }
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    func check(_ node: SimulatedNode, _ note: String) throws {
        var latest: [String: Int] = [:]
        for row in try node.partition("table", 0).rows() {
            let number = Int(row.value?.prefix { $0 != "x" } ?? "") ?? -1
            guard let key = row.key else { continue }
            #expect(number > latest[key] ?? 0, "\(note): \(key) goes back to \(number)")
            latest[key] = number
        }
        for (key, number) in acknowledged { #expect(latest[key] ?? 0 >= number, "\(note): the latest value of \(key) is lost") }
    }
}
