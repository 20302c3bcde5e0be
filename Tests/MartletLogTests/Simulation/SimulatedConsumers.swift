import MartletCore
import NIOCore
import Synchronization
import Testing

@testable import MartletLog

/// Members of one consumer group that read "events" and commit how far they came; they come, go, fall silent and come back too late.
struct SimulatedConsumers {
    private struct Member {
        enum State {
            case out
            case joining(Box<Group.JoinAnswer>)
            case syncing(Box<Group.SyncAnswer>)
            case stable
        }
        var memberID = ""
        var state = State.out
        var generation: Int32 = -1
        /// Next offsets of its partitions.
        var positions: [Int32: Int64] = [:]
    }

    private static let group = "readers"
    private var members: [Member] = []
    /// Fell silent, with what they believe.
    private var silent: [Member] = []
    private var commits = SimulatedCommits(group: Self.group)
    private var nextID = 0

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<30, using: &random) {
        case 0 where members.count < 3: members.append(Member())
        case 1 where !members.isEmpty: silent.append(members.remove(at: Int.random(in: members.indices, using: &random)))
        case 2 where !members.isEmpty: leave(node, Int.random(in: members.indices, using: &random))
        case 3 where !silent.isEmpty:
            var late = silent.remove(at: Int.random(in: silent.indices, using: &random))
            if case .stable = late.state { try commit(node, &late, &random) }
        case 4: node.advance(byMs: Int64.random(in: 1...4000, using: &random))
        default:
            if members.isEmpty { members.append(Member()) }
            try go(node, Int.random(in: members.indices, using: &random), &random)
        }
    }

    private mutating func go(_ node: SimulatedNode, _ i: Int, _ random: inout SeededRandom) throws {
        switch members[i].state {
        case .out: join(node, i)
        case .joining(let box):
            node.loop.run()
            guard let answer = box.value else { return }
            switch answer.error {
            case .none:
                members[i].memberID = answer.memberID
                members[i].generation = answer.generation
                sync(node, i, answer)
            case .memberIDRequired:
                members[i].memberID = answer.memberID
                join(node, i)
            default: forget(i)
            }
        case .syncing(let box):
            node.loop.run()
            guard let answer = box.value else { return }
            guard answer.error == .none else { return forget(i) }
            members[i].state = .stable
            members[i].positions = [:]
            for partition in answer.assignment.map(Int32.init) {
                members[i].positions[partition] = commits.committed(node, partition)
            }
        case .stable:
            if Int.random(in: 0..<3, using: &random) == 0 {
                heartbeat(node, i)
            } else {
                var member = members[i]
                try commit(node, &member, &random)
                members[i] = member
            }
        }
    }

    private mutating func forget(_ i: Int) { members[i] = Member() }

    private mutating func join(_ node: SimulatedNode, _ i: Int) {
        nextID += 1
        let join = Group.Join(
            memberID: members[i].memberID, newMemberID: "member-\(nextID)", instanceID: nil, clientID: "c", clientHost: "/h",
            sessionTimeoutMs: 6000, rebalanceTimeoutMs: 6000, protocolType: "consumer", protocols: [.init(name: "range", metadata: [])],
            requiresKnownMemberID: true, supportsSkippingAssignment: false)
        members[i].state = .joining(Box(node.groups.join(group: Self.group, join, on: node.loop)))
    }

    /// The leader gives each partition to one member.
    private mutating func sync(_ node: SimulatedNode, _ i: Int, _ answer: Group.JoinAnswer) {
        var assignments: [String: [UInt8]] = [:]
        let ids = answer.members.map(\.id).sorted()
        for partition in 0..<2 where !ids.isEmpty { assignments[ids[partition % ids.count], default: []].append(UInt8(partition)) }
        let sync = Group.Sync(
            memberID: members[i].memberID, instanceID: nil, generation: answer.generation, protocolType: nil, protocolName: nil,
            assignments: assignments)
        members[i].state = .syncing(Box(node.groups.sync(group: Self.group, sync, on: node.loop)))
    }

    private mutating func heartbeat(_ node: SimulatedNode, _ i: Int) {
        let box = Box(
            node.groups.heartbeat(
                group: Self.group, memberID: members[i].memberID, instanceID: nil, generation: members[i].generation, on: node.loop))
        node.loop.run()
        switch box.value {
        case .rebalanceInProgress: join(node, i)
        case .some(KafkaErrorCode.none), nil: break
        default: forget(i)
        }
    }

    private mutating func leave(_ node: SimulatedNode, _ i: Int) {
        let gone = members.remove(at: i)
        _ = node.groups.leave(group: Self.group, [.init(memberID: gone.memberID, instanceID: nil)], on: node.loop)
        node.loop.run()
    }

    /// Reads on in one partition and commits that.
    private mutating func commit(_ node: SimulatedNode, _ member: inout Member, _ random: inout SeededRandom) throws {
        guard let partition = member.positions.keys.sorted().randomElement(using: &random), let position = member.positions[partition] else { return }
        let rows = try node.partition("events", partition).rows(from: position, .readCommitted)
        let taken = rows.prefix(Int.random(in: 0...3, using: &random))
        let next = taken.last.map { $0.offset + 1 } ?? position
        member.positions[partition] = next
        guard let refusal = commits.commit(node, member: member.memberID, generation: member.generation, partition, next) else { return }
        #expect([.illegalGeneration, .unknownMemberID, .rebalanceInProgress].contains(refusal), "\(refusal)")
        if refusal != .rebalanceInProgress { member = Member() }
    }

    /// Nobody is a member any more after a start.
    mutating func nodeRestarted() {
        members = members.map { _ in Member() }
    }

    mutating func check(_ node: SimulatedNode, _ note: String) { commits.check(node, note) }
}

/// The answer of a request, once it is there.
final class Box<Value: Sendable>: Sendable {
    private let answer = Mutex<Value?>(nil)

    init(_ future: EventLoopFuture<Value>) {
        future.whenSuccess { value in self.answer.withLock { $0 = value } }
    }

    var value: Value? { answer.withLock { $0 } }
}
