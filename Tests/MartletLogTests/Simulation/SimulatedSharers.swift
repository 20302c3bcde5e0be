import MartletCore
import Testing

@testable import MartletLog

/// Members of a share group that work on "events": they take records, accept, release and reject them, renew their locks, let them expire, and fall out.
///
/// What was accepted or rejected and acknowledged to be so never comes again, whatever crashes; everything else comes until it was handed out as often as
/// it may be; nothing is handed out that a reader would not see.
struct SimulatedSharers {
    private struct Held {
        var partition: Int32
        var first: Int64
        var last: Int64
    }

    private static let group = "sharers"
    private static let deliveriesMax = 3
    private let isolation: Isolation
    private var members: [String: [Held]] = [:]
    /// Done with for certain, and perhaps.
    private var done: [Set<Int64>] = [[], []]
    private var inDoubt: [Set<Int64>] = [[], []]
    /// How often each record was handed out.
    private var deliveries: [[Int64: Int]] = [[:], [:]]
    /// Handed out and acknowledged, to know that something was tried.
    private(set) var acceptedCount = 0

    init(_ node: SimulatedNode, isolation: Isolation) throws {
        self.isolation = isolation
        _ = try node.log.makeShareStatePartition()
        try node.log.setSettings("__share_group_state", ["cleanup.policy": "compact", "segment.bytes": "1500"])
        try node.log.changeSettings(of: .group(Self.group)) { (_) throws(KafkaError) in
            [
                "share.auto.offset.reset": "earliest", "share.isolation.level": isolation == .readCommitted ? "read_committed" : "read_uncommitted",
                "share.delivery.count.limit": "\(Self.deliveriesMax)",
            ]
        }
    }

    private func shared(_ node: SimulatedNode, _ partition: Int32) throws -> SharedPartition? {
        let topic = UUIDBytes(try #require(node.log.topic("events")).topicID)
        let id = GroupPartition(topic: topic, index: partition)
        if node.shares.partition(group: Self.group, id) == nil {
            try node.shares.initialize(group: Self.group, partitions: [id])
            try stateLog(node)?.flush()
        }
        return node.hasCrashed ? nil : node.shares.partition(group: Self.group, id)
    }

    private func stateLog(_ node: SimulatedNode) -> PartitionLog? { node.log.shareStatePartition }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        let member = "member-\(Int.random(in: 0..<3, using: &random))"
        do {
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                node.shares.release(group: Self.group, memberID: member)
                members[member] = nil
            case 1: node.advance(byMs: Int64.random(in: 1...20_000, using: &random))
            case 2...5: try take(node, member, &random)
            default: try giveBack(node, member, &random)
            }
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    private mutating func take(_ node: SimulatedNode, _ member: String, _ random: inout SeededRandom) throws {
        let partition = Int32.random(in: 0...1, using: &random), p = Int(partition)
        guard let shared = try shared(node, partition) else { return }
        let wish = SharePartition.Wish(
            member: member, recordsMax: Int64.random(in: 1...6, using: &random), isStrict: Bool.random(using: &random), now: node.shares.nowMs,
            settings: node.shares.settings(ofGroup: Self.group))
        let handout = try shared.handOut(wish, bytesMax: 1 << 20)
        node.shares.schedule(shared)
        if node.hasCrashed { return }
        guard !handout.pieces.isEmpty else { return }
        let visible = Set(try node.partition("events", partition).rows(isolation).map(\.offset))
        for piece in handout.pieces {
            #expect(Int(piece.deliveries) <= Self.deliveriesMax, "handed out \(piece.deliveries) times")
            for offset in piece.first...piece.last {
                #expect(visible.contains(offset), "offset \(offset) of events-\(partition), which no reader sees, was handed out")
                #expect(!done[p].contains(offset), "offset \(offset) of events-\(partition) was done with and was handed out again")
                deliveries[p][offset, default: 0] += 1
            }
            members[member, default: []].append(Held(partition: partition, first: piece.first, last: piece.last))
        }
    }

    private mutating func giveBack(_ node: SimulatedNode, _ member: String, _ random: inout SeededRandom) throws {
        guard var held = members[member], !held.isEmpty else { return }
        let at = Int.random(in: held.indices, using: &random)
        let piece = held.remove(at: at), p = Int(piece.partition)
        members[member] = held
        guard let shared = try shared(node, piece.partition) else { return }
        let choices: [Int8] = [1, 1, 1, 2, 3, 4]
        let types: [Int8] = (piece.first...piece.last).map { _ in choices[Int.random(in: 0..<choices.count, using: &random)] }
        var over: Set<Int64> = []
        for (offset, type) in zip(piece.first...piece.last, types) where type == 1 || type == 3 { over.insert(offset) }
        do {
            let acknowledgement = SharePartition.Acknowledgement(first: piece.first, last: piece.last, types: types)
            _ = try shared.acknowledge([acknowledgement], by: member, now: node.shares.nowMs, node.shares.settings(ofGroup: Self.group))
            inDoubt[p].formUnion(over)
            try stateLog(node)?.flush()
            node.shares.changed(shared)
            if node.hasCrashed { return }
            inDoubt[p].subtract(over)
            done[p].formUnion(over)
            acceptedCount += over.count
        } catch let error as KafkaError where error.code == .invalidRecordState {
            // It took too long, or its session was over.
        } catch {
            inDoubt[p].formUnion(over)
            throw error
        }
    }

    /// Nobody has anything any more after a start.
    mutating func nodeRestarted() { members = [:] }

    mutating func check(_ node: SimulatedNode, _ note: String) throws {
        let topic = UUIDBytes(try #require(node.log.topic("events")).topicID)
        for partition in Int32(0)..<2 {
            let p = Int(partition)
            guard let shared = node.shares.partition(group: Self.group, GroupPartition(topic: topic, index: partition)) else {
                #expect(done[p].isEmpty, "\(note): the group has lost events-\(partition)")
                continue
            }
            let now = shared.partition
            func isOver(_ offset: Int64) -> Bool {
                if offset < now.startOffset { return true }
                return offset < now.endOffset && now.runs[now.index(of: offset)].phase.isOver
            }
            for offset in done[p] { #expect(isOver(offset), "\(note): offset \(offset) of events-\(partition) was done with and would come again") }
            for row in try node.partition("events", partition).rows(isolation) where isOver(row.offset) && !done[p].contains(row.offset) {
                let isGivenUp = (deliveries[p][row.offset] ?? 0) >= Self.deliveriesMax
                #expect(
                    inDoubt[p].contains(row.offset) || isGivenUp,
                    "\(note): offset \(row.offset) of events-\(partition) was handed out \(deliveries[p][row.offset] ?? 0) times and would not come again")
                // Whatever it was, it is decided now.
                if !isGivenUp { done[p].insert(row.offset) }
            }
            inDoubt[p] = []
        }
    }
}
