import MartletCore
import Testing

@testable import MartletLog

@Suite struct AnyGroupTests {
    @Test func aGroupIsOfOneKind() {
        var groups: [String: AnyGroup] = [
            "c": .classic(Group(id: "c")), "k": .consumer(ConsumerGroup(id: "k", sessionTimeoutMs: 1)), "s": .share(ShareGroup(id: "s", sessionTimeoutMs: 1)),
        ]
        #expect(groups.values.map(\.type.rawValue).sorted() == ["classic", "consumer", "share"])
        #expect(groups["s"]?.share != nil && groups["s"]?.consumer == nil && groups["s"]?.classic == nil && groups["s"]?.protocolType == "share")
        #expect(groups["c"]?.protocolType == "" && groups.values.allSatisfy { $0.stateName == "Empty" && $0.isUnused && !$0.hasMembers })
        #expect(groups.change("s") { (group: inout ConsumerGroup) in group.epoch = 9 } == nil)
        #expect(groups.change("absent") { (group: inout ShareGroup) in group.epoch = 9 } == nil && groups.count == 3)
        #expect(groups.change("s") { (group: inout ShareGroup) in (group.epoch, group.members["m"]) = (9, .init(id: "m", sessionDeadline: 5)) } != nil)
        #expect(groups["s"]?.share?.epoch == 9 && groups["s"]?.memberCount == 1 && groups["s"]?.nextDeadline == 5 && groups["s"]?.isUnused == false)
    }

    /// What a change throws comes out, with what was changed before.
    @Test func aChangeThatThrowsLeavesTheGroup() {
        var groups: [String: AnyGroup] = ["s": .share(ShareGroup(id: "s", sessionTimeoutMs: 1))]
        #expect(throws: KafkaError.self) {
            _ = try groups.change("s") { (group: inout ShareGroup) throws(KafkaError) in
                group.epoch = 4
                throw KafkaError(.fencedMemberEpoch, "no")
            }
        }
        #expect(groups["s"]?.share?.epoch == 4)
    }

    /// A heartbeat must not copy what thousands of members have: the storage of the members stays where it is.
    @Test func aChangeCopiesNothing() {
        var group = ShareGroup(id: "s", sessionTimeoutMs: 1)
        for i in 0..<1000 { group.members["m\(i)"] = .init(id: "m\(i)") }
        var groups: [String: AnyGroup] = ["s": .share(consume group)]
        func storage(_ members: [String: ShareGroup.Member]) -> UnsafeRawPointer { unsafeBitCast(members, to: UnsafeRawPointer.self) }
        let before = groups["s"]?.share.map { storage($0.members) }
        for i in 0..<10 {
            _ = groups.change("s") { (group: inout ShareGroup) in group.members["m\(i)"]?.epoch = 7 }
        }
        #expect(groups["s"]?.share.map { storage($0.members) } == before)
    }
}
