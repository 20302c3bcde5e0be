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
    private(set) var commits = SimulatedCommits(group: Self.group)
    private var nextID = 0

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
            members[i].positions[partition] = commits.committed(node, partition)
        }
    }

    /// Reads on in one partition and commits that.
    private mutating func commit(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) throws {
        guard let partition = member.positions.keys.sorted().randomElement(using: &random), let position = member.positions[partition] else { return }
        let taken = try node.partition("events", partition).rows(from: position, .readCommitted).prefix(Int.random(in: 0...3, using: &random))
        let next = taken.last.map { $0.offset + 1 } ?? position
        member.positions[partition] = next
        guard let refusal = commits.commit(node, member: member.id, generation: member.epoch, partition, next) else { return }
        #expect([.unknownMemberID, .staleMemberEpoch, .illegalGeneration].contains(refusal), "\(refusal)")
        member.epoch = 0
    }

    /// Members find out by themselves that nobody knows them.
    mutating func check(_ node: SimulatedNode, _ note: String) { commits.check(node, note) }
}
