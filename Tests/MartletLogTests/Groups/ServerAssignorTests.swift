import MartletCore
import Testing

@testable import MartletLog

@Suite struct ServerAssignorTests {
    typealias Partition = ConsumerGroup.Partition

    private func topic(_ number: UInt64, _ partitions: Int32) -> ConsumerGroup.Topic {
        .init(id: UUIDBytes(high: 7, low: number), name: "t\(number)", partitions: partitions)
    }

    private func subscriber(_ id: String, _ topics: [ConsumerGroup.Topic], _ current: Set<Partition> = []) -> ServerAssignor.Subscriber {
        .init(id: id, sortKey: id, topics: topics, current: current)
    }

    private func indexes(_ partitions: Set<Partition>?, _ topic: ConsumerGroup.Topic) -> [Int32] {
        (partitions ?? []).filter { $0.topic == topic.id }.map(\.index).sorted()
    }

    @Test func rangesAreTheSameForEachTopic() {
        let a = topic(1, 5), b = topic(2, 5), c = topic(3, 2)
        let made = ServerAssignor.range.assign([subscriber("y", [a, b]), subscriber("x", [a, b]), subscriber("z", [c])])
        #expect(indexes(made["x"], a) == [0, 1, 2] && indexes(made["x"], b) == [0, 1, 2])
        #expect(indexes(made["y"], a) == [3, 4] && indexes(made["z"], c) == [0, 1])
        let many = ServerAssignor.range.assign([subscriber("x", [c]), subscriber("y", [c]), subscriber("z", [c])])
        #expect(many["z"] == [])
    }

    /// Over histories of members that come, go and change their minds: every partition that is wanted has one reader who wants it, nobody has
    /// two more than another who could have one of them, and where all want the same, no more moves than must.
    @Test func lawsOfAnAssignment() {
        withSeeds(150) { seed, random in
            let topics = (1...4).map { topic($0, Int32.random(in: 1...12, using: &random)) }
            let isAlike = Bool.random(using: &random)
            var current: [String: Set<Partition>] = [:]
            var wishes: [String: [ConsumerGroup.Topic]] = [:]
            for _ in 0..<12 {
                let name = "m\(Int.random(in: 0..<7, using: &random))"
                if wishes[name] != nil, Bool.random(using: &random) {
                    wishes[name] = nil
                } else {
                    wishes[name] = isAlike ? topics : topics.filter { _ in Bool.random(using: &random) }
                }
                let subscribers = wishes.keys.sorted().map { subscriber($0, wishes[$0]!, current[$0] ?? []) }
                for assignor in ServerAssignor.allCases {
                    let made = assignor.assign(subscribers)
                    #expect(Set(made.keys) == Set(wishes.keys), "seed \(seed)")
                    let all = made.values.flatMap(\.self)
                    #expect(all.count == Set(all).count, "seed \(seed): two readers")
                    for topic in topics {
                        let readers = wishes.filter { $0.value.contains(topic) }.map(\.key)
                        let given = all.filter { $0.topic == topic.id }.count
                        #expect(given == (readers.isEmpty ? 0 : Int(topic.partitions)), "seed \(seed)")
                        for (id, partitions) in made where !readers.contains(id) { #expect(indexes(partitions, topic) == [], "seed \(seed)") }
                        guard assignor == .uniform else { continue }
                        for from in readers where !indexes(made[from], topic).isEmpty {
                            for to in readers { #expect(made[from]!.count - made[to]!.count <= 1, "seed \(seed): \(from) \(to)") }
                        }
                    }
                    guard assignor == .uniform else { continue }
                    if isAlike, !wishes.isEmpty {
                        let total = all.count, share = total / wishes.count
                        for (id, before) in current where wishes[id] != nil {
                            // Nobody loses more than what is above its share.
                            #expect(before.subtracting(made[id]!).count <= max(0, before.count - share), "seed \(seed)")
                        }
                    }
                    if assignor == .uniform { current = made }
                }
            }
        }
    }
}
