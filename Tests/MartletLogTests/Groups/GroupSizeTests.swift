import MartletCore
import Testing

@testable import MartletLog

/// group.max.size and group.consumer.max.size.
@Suite struct GroupSizeTests {
    private func join(_ id: String = "", new: String = "", instance: String? = nil) -> Group.Join {
        Group.Join(
            memberID: id, newMemberID: new, instanceID: instance, clientID: "c", clientHost: "/h", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 60_000,
            protocolType: "consumer", protocols: [.init(name: "range", metadata: [1])], requiresKnownMemberID: false, supportsSkippingAssignment: false)
    }

    private func errors(_ actions: [Group.Action]) -> [KafkaErrorCode] {
        actions.compactMap { if case .answerJoin(_, let answer) = $0 { answer.error } else { nil } }
    }

    /// However members come and come again, no more than may be are in a group that has joined, or wait to be; who waits already may ask again.
    @Test func neverTooMany() {
        withSeeds(50) { seed, random in
            let most = Int.random(in: 1...4, using: &random)
            var group = Group(id: "g"), token = 0, refused = 0
            group.membersMax = most
            for now in 0..<60 {
                token += 1
                let known = group.members.values.sorted { $0.id < $1.id }.randomElement(using: &random)
                let wasWaiting = known?.joinToken != nil, wasPreparing = group.state == .preparingRebalance
                let isRejoin = known != nil && Bool.random(using: &random)
                let request = isRejoin ? join(known?.id ?? "") : join(new: "m\(now)", instance: Bool.random(using: &random) ? "i\(Int.random(in: 0...5, using: &random))" : nil)
                let told = errors(group.receive(.join(request, token), now: Int64(now)))
                #expect(group.members.values.count { $0.joinToken != nil } <= most, "seed \(seed)")
                if group.state != .preparingRebalance { #expect(group.members.count <= most, "seed \(seed)") }
                if isRejoin, wasWaiting || !wasPreparing { #expect(!told.contains(.groupMaxSizeReached), "seed \(seed)") }
                refused += told.count { $0 == .groupMaxSizeReached }
                if Int.random(in: 0...4, using: &random) == 0 { _ = group.receive(.timer, now: Int64(now) + 100_000) }
            }
            #expect(refused > 0, "seed \(seed)")
        }
    }

    /// The limit became smaller: of those who join again, as many get in as may be.
    @Test func aGroupThatIsTooLargeShrinksWhenItsMembersJoinAgain() {
        var group = Group(id: "g")
        for (token, id) in ["a", "b", "c"].enumerated() { _ = group.receive(.join(join(new: id), token), now: 0) }
        #expect(group.members.count == 3)
        group.membersMax = 2
        var told: [KafkaErrorCode] = []
        _ = group.rebalance(now: 1)
        for (token, id) in ["a", "b", "c"].enumerated() { told += errors(group.receive(.join(join(id), 10 + token), now: 1)) }
        #expect(told.contains(.groupMaxSizeReached))
        told = errors(group.receive(.timer, now: 100_000))
        #expect(group.members.keys.sorted() == ["b", "c"] && told == [.none, .none])
    }

    @Test func consumerGroupsToo() {
        var group = ConsumerGroup(id: "g", sessionTimeoutMs: 10_000)
        group.membersMax = 2
        let catalog = GroupCatalog(version: 1, topics: [:])
        func join(_ id: String) -> KafkaErrorCode {
            group.receive(.init(memberID: id, epoch: 0, rebalanceTimeoutMs: 1000, names: ["t"], owned: []), catalog: catalog, now: 0).error
        }
        #expect([join("a"), join("b"), join("c"), join("a")] == [.none, .none, .groupMaxSizeReached, .none])
    }
}
