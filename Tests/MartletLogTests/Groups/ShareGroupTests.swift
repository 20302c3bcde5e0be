import MartletCore
import Testing

@testable import MartletLog

@Suite struct ShareGroupTests {
    static func catalog(_ partitions: Int32 = 4, version: Int = 1, names: [String] = ["t"]) -> GroupCatalog {
        let topics = names.enumerated().map { i, name in
            (name, GroupTopic(id: UUIDBytes(high: 1, low: UInt64(i + 1)), name: name, partitions: partitions))
        }
        return GroupCatalog(version: version, topics: Dictionary(uniqueKeysWithValues: topics))
    }

    private func beat(
        _ group: inout ShareGroup, _ id: String, _ epoch: Int32, names: [String]? = nil, _ catalog: GroupCatalog = catalog(), max: Int = 100, now: Int64 = 0
    ) throws(KafkaError) -> AssignmentAnswer {
        try group.receive(.init(memberID: id, epoch: epoch, names: names), catalog: catalog, membersMax: max, now: now)
    }

    private func code(_ body: () throws(KafkaError) -> AssignmentAnswer) -> KafkaErrorCode {
        do throws(KafkaError) {
            _ = try body()
            return .none
        } catch {
            return error.code
        }
    }

    @Test func membersShareWithoutWaitingForEachOther() throws {
        var group = ShareGroup(id: "g", sessionTimeoutMs: 100)
        #expect(group.state == .empty)
        let first = try beat(&group, "a", 0, names: ["t", "t", "absent"])
        #expect(first.epoch == 1 && first.assignment?.count == 4 && group.members["a"]?.names == ["absent", "t"])
        #expect(group.state == .stable && group.isSubscribed(to: "absent") && !group.isSubscribed(to: "u"))
        #expect(try beat(&group, "a", 1).assignment == nil)
        let second = try beat(&group, "b", 0, names: ["t"])
        #expect(second.epoch == 2 && second.assignment?.count == 2)
        let told = try beat(&group, "a", 1)
        #expect(told.epoch == 2 && told.assignment?.count == 2 && told.assignment?.isDisjoint(with: second.assignment!) == true)
        // The answer was lost: it comes with the epoch before, and is told again.
        #expect(try beat(&group, "a", 1).assignment == told.assignment)
        #expect(try beat(&group, "a", 2).assignment == nil)
        // Who joins again, or says all it wants, is told all it has.
        #expect(try beat(&group, "a", 0, names: ["t", "absent"]).assignment == told.assignment && group.epoch == 2)
        #expect(try beat(&group, "a", 2, names: ["absent", "t"]).assignment == told.assignment && group.epoch == 2)
        #expect(try beat(&group, "b", -1).epoch == -1)
        #expect(group.epoch == 3 && group.members.count == 1)
        #expect(try beat(&group, "a", 2).assignment?.count == 4)
    }

    @Test func topicsThatComeGrowAndGoAreNoticed() throws {
        var group = ShareGroup(id: "g", sessionTimeoutMs: 100)
        #expect(try beat(&group, "a", 0, names: ["t", "u"]).assignment?.count == 4)
        let grown = try beat(&group, "a", 1, Self.catalog(6, version: 2))
        #expect(grown.epoch == 2 && grown.assignment?.count == 6)
        #expect(try beat(&group, "a", 2, Self.catalog(6, version: 3, names: ["t", "u"])).assignment?.count == 12)
        #expect(try beat(&group, "a", 3, Self.catalog(6, version: 4, names: ["t", "u", "other"])).epoch == 3)
        let gone = try beat(&group, "a", 3, Self.catalog(6, version: 5, names: []))
        #expect(gone.epoch == 4 && gone.assignment == [])
    }

    @Test func whoIsNotWhoItSaysIsRefused() throws {
        var group = ShareGroup(id: "g", sessionTimeoutMs: 100)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", 1) } == .unknownMemberID)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", -1) } == .unknownMemberID)
        _ = try beat(&group, "a", 0, names: ["t"])
        _ = try beat(&group, "b", 0, names: ["t"])
        _ = try beat(&group, "a", 1)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", 3) } == .fencedMemberEpoch)
        _ = try beat(&group, "c", 0, names: ["t"])
        _ = try beat(&group, "a", 2)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", 1) } == .fencedMemberEpoch)
        #expect(code { () throws(KafkaError) in try beat(&group, "d", 0, names: ["t"], max: 3) } == .groupMaxSizeReached)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", 3, max: 3) } == KafkaErrorCode.none)
        #expect(code { () throws(KafkaError) in try beat(&group, "a", 0, names: ["t"], max: 3) } == KafkaErrorCode.none)
        #expect(group.members.count == 3)
    }

    @Test func silentMembersGo() throws {
        var group = ShareGroup(id: "g", sessionTimeoutMs: 100)
        _ = try beat(&group, "a", 0, names: ["t"], now: 0)
        _ = try beat(&group, "b", 0, names: ["t"], now: 50)
        #expect(group.nextDeadline == 100)
        group.expire(now: 99)
        #expect(group.members.count == 2)
        group.expire(now: 100)
        #expect(group.members.keys.sorted() == ["b"] && group.epoch == 3 && group.nextDeadline == 150)
        #expect(try beat(&group, "b", 2, now: 101).assignment?.count == 4)
        #expect(AnyGroup.share(group).isUnused == false)
        group.expire(now: 1000)
        #expect(group.state == .empty && AnyGroup.share(group).isUnused && group.nextDeadline == nil)
        group.hasHadPartitions = true
        #expect(!AnyGroup.share(group).isUnused)
    }

    /// Members that come, go, fall silent and lose answers, topics that grow: epochs never run backwards, and once all have reported each partition
    /// of what they want is read by somebody and they have what the group says.
    @Test func lawsOverHistories() {
        withSeeds(150) { seed, random in
            var group = ShareGroup(id: "g", sessionTimeoutMs: 1000)
            var members: [String: (epoch: Int32, assigned: Set<GroupPartition>)] = [:]
            var partitions: Int32 = 3, version = 1, now: Int64 = 0, highest: Int32 = 0
            func report(_ id: String, losing: Bool) throws {
                guard let member = members[id] else { return }
                do throws(KafkaError) {
                    let answer = try beat(&group, id, member.epoch, Self.catalog(partitions, version: version), now: now)
                    #expect(answer.epoch >= member.epoch, "seed \(seed)")
                    if losing { return }
                    members[id] = (answer.epoch, answer.assignment ?? member.assigned)
                } catch {
                    #expect(error.code == .unknownMemberID || error.code == .fencedMemberEpoch, "seed \(seed): \(error)")
                    members[id] = nil
                }
            }
            do {
                for _ in 0..<60 {
                    now += Int64.random(in: 0...120, using: &random)
                    group.expire(now: now)
                    let id = "m\(Int.random(in: 0..<6, using: &random))"
                    switch Int.random(in: 0..<10, using: &random) {
                    case 0, 1:
                        let answer = try beat(&group, id, 0, names: ["t"], Self.catalog(partitions, version: version), now: now)
                        members[id] = (answer.epoch, try #require(answer.assignment))
                    case 2 where members[id] != nil:
                        _ = code { () throws(KafkaError) in try beat(&group, id, -1) }
                        members[id] = nil
                    case 3: (partitions, version) = (partitions + 1, version + 1)
                    default: try report(id, losing: Int.random(in: 0..<4, using: &random) == 0)
                    }
                    #expect(group.epoch >= highest && group.assignmentEpoch <= group.epoch, "seed \(seed)")
                    highest = group.epoch
                }
                // Each may be one epoch behind, and then the group moves on only if somebody is out.
                for _ in 0..<3 { for id in members.keys.sorted() { try report(id, losing: false) } }
                for (id, member) in members {
                    #expect(group.members[id]?.assigned == member.assigned && group.members[id]?.epoch == member.epoch, "seed \(seed)")
                    #expect(member.assigned == group.target[id], "seed \(seed)")
                }
                // Members of which the group has not heard the end are among the readers still.
                let read = group.members.keys.reduce(into: Set<GroupPartition>()) { $0.formUnion(group.target[$1] ?? []) }
                if !members.isEmpty { #expect(read.count == Int(partitions), "seed \(seed)") }
            } catch {
                Issue.record("seed \(seed): \(error)")
            }
        }
    }
}
