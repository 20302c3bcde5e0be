import MartletCore
import Testing

@testable import MartletLog

/// Offsets of "events" that a simulated consumer group has committed: what was acknowledged, and what may or may not have happened.
struct SimulatedCommits {
    let group: String
    private var acknowledged: [Int32: Int64] = [:]
    /// Offsets later than the acknowledged one whose fate is not known.
    private var inDoubt: [Int32: Set<Int64>] = [:]
    /// How many were accepted.
    private(set) var count = 0

    init(group: String) { self.group = group }

    /// Commits in the name of a member. An offset that is accepted must not lie before one that was.
    ///
    /// - Returns: the refusal; nil if it was accepted or the node failed meanwhile.
    mutating func commit(_ node: SimulatedNode, member: String, generation: Int32, _ partition: Int32, _ next: Int64) -> KafkaErrorCode? {
        let code = node.groups.commit(
            group: group, memberID: member, instanceID: nil, generation: generation,
            [TopicPartition("events", partition): CommittedOffset(offset: next)])
        if node.hasCrashed || code == .kafkaStorageError {
            inDoubt[partition, default: []].insert(next)
            return nil
        }
        guard code == .none else { return code }
        let before = acknowledged[partition] ?? 0
        #expect(next >= before, "offset \(next) of events-\(partition) was accepted after \(before) in group \(group)")
        acknowledged[partition] = next
        inDoubt[partition] = nil
        count += 1
        return nil
    }

    func committed(_ node: SimulatedNode, _ partition: Int32) -> Int64 {
        node.log.groupOffsets.committed(group: group, TopicPartition("events", partition))?.offset ?? 0
    }

    /// After a start, offsets are what was acknowledged, or what was under way.
    mutating func check(_ node: SimulatedNode, _ note: String) {
        for partition in Int32(0)..<2 {
            let committed = committed(node, partition), promised = acknowledged[partition] ?? 0
            #expect(
                committed == promised || inDoubt[partition]?.contains(committed) == true,
                "\(note): offset \(committed) of events-\(partition) in group \(group), not \(promised)")
            acknowledged[partition] = max(committed, promised)
            inDoubt[partition] = nil
        }
    }
}
