import MartletCore
import Testing

@testable import MartletLog

/// Members of a consumer group of KIP-848 that read "events" and commit how far they came. The group says who reads what; members come, go, fall
/// silent, give up partitions late and commit with epochs of the past.
struct SimulatedReaders {
    private struct Member {
        var id: String
        /// 0: it has to join.
        var epoch: Int32 = 0
        /// Next offsets of its partitions.
        var positions: [Int32: Int64] = [:]
    }

    private static let group = "modern"
    private var members: [Member] = []
    /// Fell silent, with what they believe.
    private var silent: [Member] = []
    private var acknowledged: [Int32: Int64] = [:]
    private var inDoubt: [Int32: Set<Int64>] = [:]
    private var nextID = 0
    /// Commits that were accepted.
    private(set) var commits = 0

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<30, using: &random) {
        case 0 where members.count < 3: arrive()
        case 1 where !members.isEmpty: silent.append(members.remove(at: Int.random(in: members.indices, using: &random)))
        case 2 where !members.isEmpty:
            let gone = members.remove(at: Int.random(in: members.indices, using: &random))
            _ = node.groups.heartbeat(group: Self.group, .init(memberID: gone.id, epoch: -1), mayDescribe: { _ in true })
        case 3 where !silent.isEmpty:
            var late = silent.remove(at: Int.random(in: silent.indices, using: &random))
            try commit(node, &late, &random)
        case 4: node.advance(byMs: Int64.random(in: 1...30_000, using: &random))
        default:
            if members.isEmpty { arrive() }
            let i = Int.random(in: members.indices, using: &random)
            if members[i].epoch == 0 || Bool.random(using: &random) {
                try heartbeat(node, i)
            } else {
                var member = members[i]
                try commit(node, &member, &random)
                members[i] = member
            }
        }
    }

    private mutating func arrive() {
        nextID += 1
        members.append(Member(id: "reader-\(nextID)"))
    }

    private mutating func heartbeat(_ node: SimulatedNode, _ i: Int) throws {
        let topic = UUIDBytes(try #require(node.log.topic("events")).topicID)
        var heartbeat = ConsumerGroup.Heartbeat(memberID: members[i].id, epoch: members[i].epoch)
        if members[i].epoch == 0 {
            members[i].positions = [:]
            (heartbeat.rebalanceTimeoutMs, heartbeat.names) = (20_000, ["events"])
        }
        heartbeat.owned = Set(members[i].positions.keys.map { .init(topic: topic, index: $0) })
        let answer = node.groups.heartbeat(group: Self.group, heartbeat, mayDescribe: { _ in true })
        guard answer.error == .none else {
            #expect([.unknownMemberID, .fencedMemberEpoch].contains(answer.error), "\(answer.error)")
            members[i].epoch = 0
            return
        }
        #expect(answer.epoch >= members[i].epoch, "an epoch went back")
        members[i].epoch = answer.epoch
        guard let assignment = answer.assignment else { return }
        let wanted = Set(assignment.map(\.index))
        members[i].positions = members[i].positions.filter { wanted.contains($0.key) }
        for partition in wanted where members[i].positions[partition] == nil {
            members[i].positions[partition] = node.log.groupOffsets.committed(group: Self.group, TopicPartition("events", partition))?.offset ?? 0
        }
    }

    /// Reads on in one partition and commits that. An offset that is accepted must not lie before one that was.
    private mutating func commit(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) throws {
        guard let partition = member.positions.keys.sorted().randomElement(using: &random), let position = member.positions[partition] else { return }
        let taken = try node.partition("events", partition).rows(from: position, .readCommitted).prefix(Int.random(in: 0...3, using: &random))
        let next = taken.last.map { $0.offset + 1 } ?? position
        let code = node.groups.commit(
            group: Self.group, memberID: member.id, instanceID: nil, generation: member.epoch,
            [TopicPartition("events", partition): CommittedOffset(offset: next)])
        member.positions[partition] = next
        if node.hasCrashed || code == .kafkaStorageError {
            inDoubt[partition, default: []].insert(next)
        } else if code == .none {
            #expect(next >= acknowledged[partition] ?? 0, "offset \(next) of events-\(partition) was accepted after \(acknowledged[partition] ?? 0)")
            acknowledged[partition] = next
            inDoubt[partition] = nil
            commits += 1
        } else {
            #expect([.unknownMemberID, .staleMemberEpoch, .illegalGeneration].contains(code), "\(code)")
            member.epoch = 0
        }
    }

    /// Offsets are what was acknowledged, or what was under way. Members find out by themselves that nobody knows them.
    mutating func check(_ node: SimulatedNode, _ note: String) {
        for partition in Int32(0)..<2 {
            let committed = node.log.groupOffsets.committed(group: Self.group, TopicPartition("events", partition))?.offset ?? 0
            let promised = acknowledged[partition] ?? 0
            #expect(
                committed == promised || inDoubt[partition]?.contains(committed) == true,
                "\(note): offset \(committed) of events-\(partition) in the consumer group, not \(promised)")
            acknowledged[partition] = max(committed, promised)
            inDoubt[partition] = nil
        }
    }
}
