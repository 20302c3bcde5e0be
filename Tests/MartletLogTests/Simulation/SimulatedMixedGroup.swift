import MartletCore
import Testing

@testable import MartletLog

/// One group whose members speak the classic protocol or KIP-848, so that it goes over and back time and again: offsets that were accepted never run
/// backwards, whoever commits, and nobody else's word counts than that of whoever reads the partition.
struct SimulatedMixedGroup {
    private struct Member {
        enum State {
            case out
            case joining(Box<Group.JoinAnswer>)
            case syncing(Box<Group.SyncAnswer>)
            case stable
        }

        var id: String
        let isClassic: Bool
        /// Of classic members.
        var state = State.out
        /// Or the generation.
        var epoch: Int32 = 0
        var positions: [Int32: Int64] = [:]

        mutating func forget() {
            if isClassic { id = "" }
            (state, epoch, positions) = (.out, 0, [:])
        }
    }

    private static let group = "mixed"
    private var members: [Member] = []
    /// Fell silent, with what they believe.
    private var silent: [Member] = []
    private var nextID = 0
    private var kind: Bool?
    /// How often the group went over to the other protocol, as a member saw it.
    private(set) var changes = 0
    private(set) var commits = SimulatedCommits(group: SimulatedMixedGroup.group)

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<24, using: &random) {
        case 0 where members.count < 3: arrive(&random)
        case 1 where !members.isEmpty: silent.append(members.remove(at: Int.random(in: members.indices, using: &random)))
        case 2 where !members.isEmpty: leave(node, members.remove(at: Int.random(in: members.indices, using: &random)))
        case 3 where !silent.isEmpty:
            var late = silent.remove(at: Int.random(in: silent.indices, using: &random))
            try commit(node, &late, &random)
        case 4: node.advance(byMs: Int64.random(in: 1...8_000, using: &random))
        default:
            if members.isEmpty { arrive(&random) }
            let i = Int.random(in: members.indices, using: &random)
            var member = members[i]
            let isReady: Bool = if member.isClassic, case .stable = member.state { true } else { !member.isClassic && member.epoch > 0 }
            if isReady, Bool.random(using: &random) {
                try commit(node, &member, &random)
            } else if member.isClassic {
                try go(node, &member)
            } else {
                try heartbeat(node, &member)
            }
            members[i] = member
        }
        let group = node.groups.state.withLock { $0.groups[Self.group] }
        let now = group?.consumer.map { !$0.members.isEmpty }
        if let now, let kind, now != kind { changes += 1 }
        kind = now ?? (group?.hasMembers == true ? false : kind)
    }

    private mutating func arrive(_ random: inout SeededRandom) {
        nextID += 1
        let isClassic = Bool.random(using: &random)
        members.append(Member(id: isClassic ? "" : "mixed-\(nextID)", isClassic: isClassic))
    }

    private func leave(_ node: SimulatedNode, _ member: Member) {
        if member.isClassic {
            _ = node.groups.leave(group: Self.group, [.init(memberID: member.id, instanceID: nil)], on: node.loop)
            node.loop.run()
        } else {
            _ = node.groups.heartbeat(group: Self.group, .init(memberID: member.id, epoch: -1), mayDescribe: { _ in true })
        }
    }

    // MARK: classic

    private mutating func go(_ node: SimulatedNode, _ member: inout Member) throws {
        switch member.state {
        case .out: join(node, &member)
        case .joining(let box):
            node.loop.run()
            guard let answer = box.value else { return }
            switch answer.error {
            case .none:
                (member.id, member.epoch) = (answer.memberID, answer.generation)
                sync(node, &member, answer)
            case .memberIDRequired:
                member.id = answer.memberID
                join(node, &member)
            case .rebalanceInProgress: join(node, &member)
            default:
                #expect([.unknownMemberID, .coordinatorNotAvailable, .inconsistentGroupProtocol].contains(answer.error), "\(answer.error)")
                member.forget()
            }
        case .syncing(let box):
            node.loop.run()
            guard let answer = box.value else { return }
            switch answer.error {
            case .none:
                member.state = .stable
                member.positions = [:]
                guard !answer.assignment.isEmpty else { return }
                let assignment = try ConsumerMetadata.read(ConsumerAssignment.self, answer.assignment).message
                for partition in assignment.partitions.flatMap(\.partitions) { member.positions[partition] = commits.committed(node, partition) }
            case .rebalanceInProgress: join(node, &member)
            default: member.forget()
            }
        case .stable:
            let box = Box(
                node.groups.heartbeat(group: Self.group, memberID: member.id, instanceID: nil, generation: member.epoch, on: node.loop))
            node.loop.run()
            switch box.value {
            case .some(KafkaErrorCode.none), nil: break
            case .rebalanceInProgress: join(node, &member)
            default: member.forget()
            }
        }
    }

    /// Gives up everything first.
    private mutating func join(_ node: SimulatedNode, _ member: inout Member) {
        nextID += 1
        member.positions = [:]
        let metadata = ConsumerMetadata.write(ConsumerSubscription(topics: ["events"]), version: 1)
        let join = Group.Join(
            memberID: member.id, newMemberID: "classic-\(nextID)", instanceID: nil, clientID: "c", clientHost: "/h", sessionTimeoutMs: 6000,
            rebalanceTimeoutMs: 6000, protocolType: "consumer", protocols: [.init(name: "range", metadata: metadata)],
            requiresKnownMemberID: true, supportsSkippingAssignment: false)
        member.state = .joining(Box(node.groups.join(group: Self.group, join, on: node.loop)))
    }

    /// A leader gives each partition to one member.
    private func sync(_ node: SimulatedNode, _ member: inout Member, _ answer: Group.JoinAnswer) {
        var shares: [String: [Int32]] = [:]
        let ids = answer.members.map(\.id).sorted()
        for partition in Int32(0)..<2 where !ids.isEmpty { shares[ids[Int(partition) % ids.count], default: []].append(partition) }
        let sync = Group.Sync(
            memberID: member.id, instanceID: nil, generation: answer.generation, protocolType: nil, protocolName: nil,
            assignments: shares.mapValues { ConsumerMetadata.write(ConsumerAssignment(partitions: [.init(topic: "events", partitions: $0)]), version: 1) })
        member.state = .syncing(Box(node.groups.sync(group: Self.group, sync, on: node.loop)))
    }

    // MARK: KIP-848

    private func heartbeat(_ node: SimulatedNode, _ member: inout Member) throws {
        let topic = UUIDBytes(try #require(node.log.topic("events")).topicID)
        var heartbeat = ConsumerGroup.Heartbeat(memberID: member.id, epoch: member.epoch)
        if member.epoch == 0 {
            member.positions = [:]
            (heartbeat.rebalanceTimeoutMs, heartbeat.names) = (20_000, ["events"])
        }
        heartbeat.owned = Set(member.positions.keys.map { .init(topic: topic, index: $0) })
        let answer = node.groups.heartbeat(group: Self.group, heartbeat, mayDescribe: { _ in true })
        guard answer.error == .none else {
            #expect([.unknownMemberID, .fencedMemberEpoch].contains(answer.error), "\(answer.error)")
            member.epoch = 0
            return
        }
        member.epoch = answer.epoch
        guard let assignment = answer.assignment else { return }
        let wanted = Set(assignment.map(\.index))
        member.positions = member.positions.filter { wanted.contains($0.key) }
        for partition in wanted.sorted() where member.positions[partition] == nil { member.positions[partition] = commits.committed(node, partition) }
    }

    // MARK: offsets

    private mutating func commit(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) throws {
        guard let partition = member.positions.keys.sorted().randomElement(using: &random), let position = member.positions[partition] else { return }
        let taken = try node.partition("events", partition).rows(from: position, .readCommitted).prefix(Int.random(in: 0...3, using: &random))
        let next = taken.last.map { $0.offset + 1 } ?? position
        member.positions[partition] = next
        guard let code = commits.commit(node, member: member.id, generation: member.epoch, partition, next) else { return }
        if code == .rebalanceInProgress {
            #expect(member.isClassic)
        } else {
            #expect([.unknownMemberID, .staleMemberEpoch, .illegalGeneration].contains(code), "\(code)")
            member.forget()
        }
    }

    /// Nobody waits for an answer any more; members find out by themselves that nobody knows them.
    mutating func nodeRestarted() {
        for i in members.indices where members[i].isClassic { members[i].forget() }
        kind = nil
    }

    mutating func check(_ node: SimulatedNode, _ note: String) { commits.check(node, note) }
}
