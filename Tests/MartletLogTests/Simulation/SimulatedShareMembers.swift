import MartletCore
import Testing

@testable import MartletLog

/// Members of a share group that come, report, fall silent and go, and an administrator who moves the group, deletes its offsets, or all of it, when
/// nobody is there.
///
/// Who is told what to read is told what the group has. What the administrator was told is done is done after a crash too, and a group that has
/// partitions is there after it, as a share group without members.
struct SimulatedShareMembers {
    private static let group = "crew"
    private static let topics = ["events", "results"]
    /// Of each member what it was told last.
    private var members: [String: (epoch: Int32, assigned: Set<GroupPartition>)] = [:]
    /// Where the group may be in each partition after a crash; nil: it may not have it.
    private var possible: [GroupPartition: Set<Int64?>] = [:]
    /// Heartbeats and changes that were answered, to know that something was tried.
    private(set) var answers = 0

    init(_ node: SimulatedNode) throws {
        try node.log.changeSettings(of: .group(Self.group)) { (_) throws(KafkaError) in ["share.auto.offset.reset": "earliest"] }
    }

    mutating func step(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        let id = "crew-\(Int.random(in: 0..<4, using: &random))"
        do {
            switch Int.random(in: 0..<14, using: &random) {
            case 0...2: try report(node, id, joining: true)
            case 3: node.advance(byMs: Int64.random(in: 1...50_000, using: &random))
            case 4, 5: try leave(node, id)
            case 6: for id in members.keys.sorted() { try leave(node, id) }
            case 7, 8: try move(node, &random)
            case 9: try delete(node, Self.topics[Int.random(in: 0..<2, using: &random)])
            case 10: try deleteAll(node)
            default: try report(node, id, joining: false)
            }
        } catch where isDiskFailure(error) || node.hasCrashed {
        }
    }

    private mutating func report(_ node: SimulatedNode, _ id: String, joining: Bool) throws {
        guard joining || members[id] != nil else { return }
        let heartbeat = ShareGroup.Heartbeat(memberID: id, epoch: joining ? 0 : members[id]?.epoch ?? 0, names: joining ? Self.topics : nil)
        let answer: AssignmentAnswer
        do throws(KafkaError) {
            answer = try node.groups.heartbeat(group: Self.group, heartbeat)
        } catch {
            // Its session was over, or the node has started since: it joins again.
            #expect(error.code == .unknownMemberID && !joining, "\(error)")
            members[id] = nil
            return
        }
        if let assignment = answer.assignment, node.groups.hasNewPartitions(group: Self.group, assignment) {
            for partition in assignment where may(partition).contains(nil) { possible[partition, default: [nil]].insert(0) }
            // If this fails the member has not heard of its new epoch.
            try node.groups.initialize(group: Self.group, assignment)
            if node.hasCrashed { return }
            #expect(!node.groups.hasNewPartitions(group: Self.group, assignment))
        }
        let known = node.groups.shareMember(group: Self.group, memberID: id)
        let assigned = answer.assignment ?? members[id]?.assigned
        #expect(known?.epoch == answer.epoch && known?.assigned == assigned, "\(id) has what it was told")
        members[id] = (answer.epoch, assigned ?? [])
        answers += 1
    }

    private mutating func leave(_ node: SimulatedNode, _ id: String) throws {
        guard members.removeValue(forKey: id) != nil else { return }
        do throws(KafkaError) {
            _ = try node.groups.heartbeat(group: Self.group, .init(memberID: id, epoch: -1))
        } catch {
            #expect(error.code == .unknownMemberID)
        }
    }

    private func may(_ partition: GroupPartition) -> Set<Int64?> { possible[partition] ?? [nil] }

    /// What the administrator does goes through if nobody is in the group, whole; what failed may be done or not, also in part.
    private mutating func change(_ node: SimulatedNode, _ outcome: [GroupPartition: Int64?], _ body: () throws -> Void) throws {
        let isEmpty = node.groups.state.withLock { $0.groups[Self.group]?.hasMembers != true }
        do {
            try body()
            if !node.hasCrashed { #expect(isEmpty, "somebody is there") }
            for (partition, start) in outcome { possible[partition] = node.hasCrashed ? may(partition).union([start]) : [start] }
            answers += 1
        } catch let error as KafkaError where error.code == .nonEmptyGroup {
            #expect(!isEmpty)
        } catch let error as KafkaError where error.code == .groupIDNotFound {
            #expect(node.groups.type(of: Self.group) == nil)
        } catch {
            for (partition, start) in outcome { possible[partition] = may(partition).union([start]) }
            throw error
        }
    }

    private func partitions(_ node: SimulatedNode, _ topic: String) throws -> [(GroupPartition, PartitionLog)] {
        let id = UUIDBytes(try #require(node.log.topic(topic)).topicID)
        return try (0..<2).map { (GroupPartition(topic: id, index: $0), try node.partition(topic, $0)) }
    }

    private mutating func move(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        var offsets: [GroupPartition: Int64] = [:]
        for (partition, log) in try partitions(node, Self.topics[Int.random(in: 0..<2, using: &random)]) {
            offsets[partition] = Int64.random(in: 0...max(0, log.highWatermark), using: &random)
        }
        try change(node, offsets.mapValues { $0 }) { try node.groups.setStartOffsets(group: Self.group, offsets) }
    }

    private mutating func delete(_ node: SimulatedNode, _ topic: String) throws {
        let partitions = try partitions(node, topic)
        try change(node, Dictionary(uniqueKeysWithValues: partitions.map { ($0.0, nil) })) {
            let outcome = try node.groups.deleteOffsets(group: Self.group, topics: [partitions[0].0.topic])[0]
            if let outcome, outcome.code != .unknownTopicOrPartition { throw outcome }
        }
    }

    private mutating func deleteAll(_ node: SimulatedNode) throws {
        let all = try Self.topics.flatMap { try partitions(node, $0) }
        try change(node, Dictionary(uniqueKeysWithValues: all.map { ($0.0, nil) })) {
            let code = node.groups.delete(Self.group)
            if code != .none { throw KafkaError(code, "not deleted") }
        }
    }

    mutating func check(_ node: SimulatedNode, _ note: String) throws {
        var hasAny = false
        for (partition, _) in try Self.topics.flatMap({ try partitions(node, $0) }) {
            let start = node.shares.summary(group: Self.group, partition: partition)?.startOffset
            #expect(may(partition).contains(start), "\(note): the group begins at \(start ?? -1), and not at one of \(may(partition))")
            possible[partition] = [start]
            hasAny = hasAny || start != nil
        }
        let listed = node.groups.listings.filter { $0.id == Self.group }.map { "\($0.type) \($0.state)" }
        #expect(listed == (hasAny ? ["share Empty"] : []), "\(note)")
    }
}
