import MartletCore
import Testing

@testable import MartletLog

@Suite struct ShareAssignorTests {
    private func topic(_ number: UInt64, _ partitions: Int32) -> GroupTopic {
        .init(id: UUIDBytes(high: 7, low: number), name: "t\(number)", partitions: partitions)
    }

    private func subscriber(_ id: String, _ topics: [GroupTopic], _ current: Set<GroupPartition> = []) -> ServerAssignor.Subscriber {
        .init(id: id, sortKey: id, topics: topics, current: current)
    }

    @Test func partitionsAreDealtOutOrShared() {
        let a = topic(1, 4)
        let two = ShareAssignor.assign([subscriber("x", [a]), subscriber("y", [a])])
        #expect(two["x"]?.count == 2 && two["y"]?.count == 2 && two["x"]?.isDisjoint(with: two["y"]!) == true)
        let many = ShareAssignor.assign((0..<8).map { subscriber("m\($0)", [a]) })
        #expect(many.values.allSatisfy { $0.count == 1 } && Dictionary(grouping: many.values.flatMap(\.self), by: \.index).values.allSatisfy { $0.count == 2 })
        let one = topic(2, 1)
        #expect(ShareAssignor.assign((0..<3).map { subscriber("m\($0)", [one]) }).values.allSatisfy { $0.count == 1 })
        #expect(ShareAssignor.assign([subscriber("x", []), subscriber("y", [topic(3, 0)])]).values.allSatisfy { $0.isEmpty })
        #expect(ShareAssignor.assign([]).isEmpty)
    }

    /// Topics with one partition each: each member gets one of them, rather than one member all.
    @Test func topicsThatTheSameMembersWantAreOnePot() {
        let topics = (1...3).map { topic($0, 1) }
        let made = ShareAssignor.assign((0..<3).map { subscriber("m\($0)", topics) })
        #expect(made.values.allSatisfy { $0.count == 1 } && Set(made.values.flatMap(\.self)).count == 3)
    }

    /// Over histories of members that come, go and change their minds: every wanted partition has a member that wants it, nobody has others; of
    /// partitions that the same members want each has as many members as another, up to those that nobody more can take, and each of these members
    /// as many as another up to one; who keeps its wish and whose share does not shrink keeps what it has.
    @Test func lawsOfAnAssignment() {
        withSeeds(200) { seed, random in
            let topics = (1...4).map { topic($0, Int32.random(in: 1...9, using: &random)) }
            let isAlike = Bool.random(using: &random)
            var current: ServerAssignor.Assignment = [:]
            var wishes: [String: [GroupTopic]] = [:]
            for _ in 0..<15 {
                let name = "m\(Int.random(in: 0..<30, using: &random))"
                if wishes[name] != nil, Bool.random(using: &random) {
                    wishes[name] = nil
                } else {
                    wishes[name] = isAlike ? topics : topics.filter { _ in Bool.random(using: &random) }
                }
                let made = ShareAssignor.assign(wishes.keys.sorted().map { subscriber($0, wishes[$0]!, current[$0] ?? []) })
                #expect(Set(made.keys) == Set(wishes.keys), "seed \(seed)")
                let readers = Dictionary(uniqueKeysWithValues: topics.map { topic in (topic, Set(wishes.filter { $0.value.contains(topic) }.keys)) })
                for (id, partitions) in made {
                    let wanted = Set(wishes[id]!.map(\.id))
                    #expect(partitions.allSatisfy { wanted.contains($0.topic) }, "seed \(seed)")
                }
                for (members, same) in Dictionary(grouping: topics, by: { readers[$0]! }) where !members.isEmpty {
                    let partitions = same.flatMap { topic in (0..<topic.partitions).map { GroupPartition(topic: topic.id, index: $0) } }
                    let sharing = (members.count + partitions.count - 1) / partitions.count
                    let ids = Set(same.map(\.id))
                    let counts = members.map { id in made[id]!.count { ids.contains($0.topic) } }
                    #expect(counts.max()! - counts.min()! <= 1, "seed \(seed): \(counts)")
                    for partition in partitions {
                        let count = made.values.count { $0.contains(partition) }
                        #expect(count >= 1 && count <= sharing, "seed \(seed): \(partition.index) has \(count) of \(sharing)")
                    }
                    guard isAlike, members.count <= partitions.count else { continue }
                    let share = partitions.count / members.count
                    for (id, before) in current where made[id] != nil {
                        // Nobody loses more than what is above its share, and what it had to share before.
                        let alone = before.filter { partition in current.values.count { $0.contains(partition) } == 1 }
                        #expect(alone.subtracting(made[id]!).count <= max(0, before.count - share), "seed \(seed): \(id)")
                    }
                }
                current = made
            }
        }
    }
}
