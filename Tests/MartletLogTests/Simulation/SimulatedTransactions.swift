import MartletCore
import Testing

@testable import MartletLog

/// A transactional client: values to both partitions and an offset, all or nothing. Now and then its process dies and another takes over,
/// while the old one still tries to go on. When the node starts anew it goes on with the transaction that it has open, or has died too.
///
/// It is honest: it adds before it sends, sends a batch again until it is answered, and ends as it has decided. So nobody fences it, but for a transaction
/// that takes longer than its timeout.
struct SimulatedTransactions {
    enum Outcome { case open, committed, aborted, unknown }

    struct Transaction {
        var number: Int
        var beganMs: Int64
        var values: [[String]] = [[], []]
        /// Partitions of which the client was told that they are in it.
        var added: Set<Int> = []
        var hasGroup = false
        var offset: Int64?
        var outcome = Outcome.open
        /// The node started anew while it was open.
        var hasSurvived = false
    }

    /// What was not answered yet, to be sent again.
    private enum Request {
        case add(partition: Int)
        case append(partition: Int, values: [String])
        case addGroup
        case offset(Int64)
        case end(transaction: Int, commit: Bool)
    }

    static let timeoutMs: Int32 = 60_000

    let name: String
    /// Speaks the protocol of KIP-890: partitions and groups join by being written to, each transaction has an epoch of its own.
    let isModern: Bool
    private var id: Int64 = -1
    private var epoch: Int16 = -1
    private var isReady = false
    private var sequences: [Int32] = [0, 0]
    private var predecessor: (id: Int64, epoch: Int16)?
    private var unanswered: Request?
    private(set) var transactions: [Transaction] = []
    /// How often it was fenced, for taking too long.
    private(set) var timeouts = 0

    init(name: String, isModern: Bool) {
        self.name = name
        self.isModern = isModern
    }

    private var group: String { "group-\(name)" }
    static let input = TopicPartition("input", 0)
    private var open: Int? { transactions.last?.outcome == .open ? transactions.count - 1 : nil }
    /// Began so long ago that it may be fenced.
    private func isLate(_ node: SimulatedNode) -> Bool {
        guard let last = transactions.last, last.outcome == .open || last.outcome == .unknown else { return false }
        return node.time.source.wallMs - last.beganMs > Int64(Self.timeoutMs)
    }

    /// Transactions that were begun in one life of the node and committed in another.
    var survivors: Int { transactions.count { $0.hasSurvived && $0.outcome == .committed } }

    /// The node started anew. The client goes on where it was, or has died too.
    mutating func nodeRestarted(_ random: inout SeededRandom) {
        if Int.random(in: 0..<3, using: &random) == 0 { isReady = false }
        if let open, transactions[open].outcome == .open { transactions[open].hasSurvived = isReady }
    }

    /// Another process takes the client's place: nothing of it is open afterwards.
    mutating func beginAnew(_ node: SimulatedNode) throws { try begin(node) }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        do {
            if !isReady { return try begin(node) }
            if let unanswered { return try send(unanswered, node, &random) }
            switch Int.random(in: 0..<20, using: &random) {
            case 0: predecessor = (id, epoch); return try begin(node)
            case 1: try goOnAsPredecessor(node)
            case 2...4: try end(node, commit: Bool.random(using: &random) && Bool.random(using: &random) == false, &random)
            case 5...8: try end(node, commit: true, &random)
            case 9...11: try commitOffset(node, &random)
            default: try append(node, Int.random(in: 0...1, using: &random), &random)
            }
        } catch where node.hasCrashed {
            // No answer came.
        } catch where isDiskFailure(error) {
            // It tries again, or aborts by beginning anew.
            if Bool.random(using: &random) { isReady = false }
        } catch where isFencing(error) && isLate(node) {
            timeouts += 1
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
        let made = try node.log.transactions.initProducerID(transactionalID: name, timeoutMs: Self.timeoutMs)
        if node.hasCrashed { return }
        if made.id != id || made.epoch != epoch { sequences = [0, 0] }
        (id, epoch) = made
        isReady = true
        if let open, transactions[open].outcome == .open { transactions[open].outcome = .aborted }
        try resolve(node)
    }

    /// The transaction that is open, or a new one.
    private mutating func beginIfNeeded(_ node: SimulatedNode) -> Int {
        if let open { return open }
        transactions.append(Transaction(number: transactions.count, beganMs: node.time.source.wallMs))
        return transactions.count - 1
    }

    /// Values to a partition; a classic client adds that first, and a while may go by in between.
    private mutating func append(_ node: SimulatedNode, _ partition: Int, _ random: inout SeededRandom) throws {
        let open = beginIfNeeded(node)
        if !isModern, !transactions[open].added.contains(partition) { return try send(.add(partition: partition), node, &random) }
        let values = (0..<Int.random(in: 1...2, using: &random)).map { i in
            "\(name).\(transactions[open].number).\(partition).\(transactions[open].values[partition].count + i)"
        }
        // Also when the answer is lost they belong to it.
        transactions[open].values[partition] += values
        try send(.append(partition: partition, values: values), node, &random)
    }

    private mutating func commitOffset(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        let open = beginIfNeeded(node)
        if !isModern, !transactions[open].hasGroup { return try send(.addGroup, node, &random) }
        transactions[open].offset = Int64(transactions[open].number + 1)
        try send(.offset(Int64(transactions[open].number + 1)), node, &random)
    }

    /// A modern client has nothing to end before something was written.
    private mutating func end(_ node: SimulatedNode, commit: Bool, _ random: inout SeededRandom) throws {
        guard let open else { return }
        if isModern, commit, transactions[open].offset == nil, transactions[open].values == [[], []] { return }
        try send(.end(transaction: open, commit: commit), node, &random)
    }

    /// Sends a request and keeps it until it is answered.
    private mutating func send(_ request: Request, _ node: SimulatedNode, _ random: inout SeededRandom) throws {
        unanswered = request
        let coordinator = node.log.transactions
        switch request {
        case .add(let partition):
            try add(partition, coordinator)
            if node.hasCrashed { return }
            if let open { transactions[open].added.insert(partition) }
        case .append(let partition, let values):
            if isModern { try add(partition, coordinator) }
            let log = try node.partition("events", Int32(partition))
            try log.append(client: clientBatch(values, producerID: id, epoch: epoch, sequence: sequences[partition], isTransactional: true))
            // A batch counts as taken when it is durable, and that it is in the transaction; in any order.
            var logs = [log, coordinator.log]
            if Bool.random(using: &random) { logs.reverse() }
            for log in logs { try log.flush() }
            if node.hasCrashed { return }
            sequences[partition] += Int32(values.count)
        case .addGroup:
            try coordinator.addOffsets(transactionalID: name, producerID: id, epoch: epoch, group: group, isDurable: false)
            if node.hasCrashed { return }
            if let open { transactions[open].hasGroup = true }
        case .offset(let offset):
            try coordinator.commitOffsets(
                transactionalID: name, producerID: id, epoch: epoch, group: group, isOpening: isModern, isDurable: false,
                [Self.input: CommittedOffset(offset: offset)])
            try coordinator.log.flush()
            if node.hasCrashed { return }
        case .end(let transaction, let commit):
            if commit { transactions[transaction].outcome = .unknown }
            var next = (producerID: id, epoch: epoch)
            if isModern {
                next = try coordinator.endAndRaiseEpoch(transactionalID: name, producerID: id, epoch: epoch, commit: commit)
            } else {
                try coordinator.end(transactionalID: name, producerID: id, epoch: epoch, commit: commit)
            }
            if node.hasCrashed { return }
            if next != (id, epoch) { sequences = [0, 0] }
            (id, epoch) = next
            transactions[transaction].outcome = commit ? .committed : .aborted
        }
        unanswered = nil
    }

    private func add(_ partition: Int, _ coordinator: TransactionCoordinator) throws {
        let target = TopicPartition("events", Int32(partition))
        let codes = try coordinator.addPartitions(transactionalID: name, producerID: id, epoch: epoch, isDurable: false, [target])
        #expect(codes == [target: .none])
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

