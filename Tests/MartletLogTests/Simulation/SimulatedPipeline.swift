import MartletCore
import Testing

@testable import MartletLog

/// A query's thread as the log sees it: inputs are the numbers 0, 1, 2 …; each transaction writes the next few to both partitions of "results"
/// and stages how far it came. Two writers take turns: the second may fill its transaction before the first has committed.
struct SimulatedPipeline {
    private static let group = "query"
    private static let input = TopicPartition("input", 0)

    private var writers: [TransactionalWriter] = []
    private var turn = 0
    private var next: Int64 = 0
    private var isFilling = false
    private var prepared: [PreparedTransaction] = []
    private var acknowledged: Int64 = 0
    private var inDoubt: Int64 = 0

    init(_ node: SimulatedNode) throws {
        try open(node)
    }

    private mutating func open(_ node: SimulatedNode) throws {
        writers = try (0..<2).map { try node.log.transactions.writer(transactionalID: "query-\($0)") }
        (turn, isFilling, prepared) = (0, false, [])
        next = node.log.groupOffsets.committed(group: Self.group, Self.input)?.offset ?? 0
    }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        do {
            if writers.isEmpty { try open(node) }
            switch Int.random(in: 0..<6, using: &random) {
            case 0...2: try fill(node, &random)
            case 3 where isFilling && prepared.isEmpty:
                prepared.append(try writers[turn].prepare())
                (turn, isFilling) = (1 - turn, false)
            default: try commit(node)
            }
        } catch where isDiskFailure(error) || node.hasCrashed {
            // The thread begins anew, with what is committed.
            writers = []
        }
    }

    private mutating func fill(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        if !isFilling { writers[turn].begin() }
        isFilling = true
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            var one = batch(["\(next)"])
            try writers[turn].append(node.partition("results", Int32(next % 2)), &one)
            next += 1
        }
        writers[turn].stageOffsets([Self.input: next], group: Self.group)
        inDoubt = max(inDoubt, next)
    }

    private mutating func commit(_ node: SimulatedNode) throws {
        if let first = prepared.first {
            prepared.removeFirst()
            try first.commit()
        } else if isFilling {
            try writers[turn].commit()
            (turn, isFilling) = (1 - turn, false)
        }
        guard !node.hasCrashed else { return }
        acknowledged = max(acknowledged, node.log.groupOffsets.committed(group: Self.group, Self.input)?.offset ?? 0)
    }

    mutating func nodeRestarted(_ node: SimulatedNode) throws { try open(node) }

    /// The results are exactly the inputs before the committed offset, once each and in order, and it never went back.
    func check(_ node: SimulatedNode, _ note: String) throws {
        let committed = node.log.groupOffsets.committed(group: Self.group, Self.input)?.offset ?? 0
        #expect(committed >= acknowledged && committed <= inDoubt, "\(note): offset \(committed) of the query, \(acknowledged) acknowledged")
        for p in Int64(0)..<2 {
            let log = try node.partition("results", Int32(p))
            try log.flush()
            let wanted = stride(from: p, to: committed, by: 2).map { "\($0)" }
            #expect(try log.values(.readCommitted) == wanted, "\(note): results of the query in partition \(p)")
        }
    }
}
