/// Works out which member of a consumer group reads what (KIP-848: assignors on the server). The first is the default.
enum ServerAssignor: String, Sendable, CaseIterable {
    /// As even as can be over all topics, moving as little as can be.
    case uniform
    /// Each topic in contiguous ranges, in the same order for each: members with equal subscriptions read equal partition numbers.
    case range

    struct Subscriber: Sendable {
        var id: String
        /// Decides the order; a static member's stays over restarts.
        var sortKey: String
        var topics: [ConsumerGroup.Topic]
        /// What it was to have before.
        var current: Set<ConsumerGroup.Partition>
    }

    typealias Assignment = [String: Set<ConsumerGroup.Partition>]

    /// An entry for each subscriber; each partition that somebody wants goes to one of those who want it.
    func assign(_ subscribers: [Subscriber]) -> Assignment {
        switch self {
        case .uniform: Self.uniform(subscribers)
        case .range: Self.ranges(subscribers)
        }
    }

    // MARK: range

    private static func ranges(_ subscribers: [Subscriber]) -> Assignment {
        var assignment = Assignment(uniqueKeysWithValues: subscribers.map { ($0.id, []) })
        let inOrder = subscribers.sorted { ($0.sortKey, $0.id) < ($1.sortKey, $1.id) }
        var readers: [ConsumerGroup.Topic: [String]] = [:]
        for subscriber in inOrder { for topic in subscriber.topics { readers[topic, default: []].append(subscriber.id) } }
        for (topic, ids) in readers {
            let each = topic.partitions / Int32(ids.count), more = Int(topic.partitions % Int32(ids.count))
            var next: Int32 = 0
            for (place, id) in ids.enumerated() {
                let end = next + each + (place < more ? 1 : 0)
                assignment[id]?.formUnion((next..<end).map { .init(topic: topic.id, index: $0) })
                next = end
            }
        }
        return assignment
    }

    // MARK: uniform

    private static func uniform(_ subscribers: [Subscriber]) -> Assignment {
        guard let first = subscribers.first else { return [:] }
        let wanted = Set(first.topics)
        let isAlike = subscribers.allSatisfy { $0.topics.count == wanted.count && wanted.isSuperset(of: $0.topics) }
        return isAlike ? uniformAlike(subscribers) : uniformUnlike(subscribers)
    }

    private static func partitions(of topics: [ConsumerGroup.Topic]) -> [ConsumerGroup.Partition] {
        topics.sorted { $0.name < $1.name }.flatMap { topic in (0..<topic.partitions).map { .init(topic: topic.id, index: $0) } }
    }

    /// All want the same: everybody keeps what fits its share, the rest is dealt out.
    private static func uniformAlike(_ subscribers: [Subscriber]) -> Assignment {
        let all = partitions(of: subscribers[0].topics)
        let share = all.count / subscribers.count
        var larger = all.count % subscribers.count
        var assignment: Assignment = [:]
        var taken: Set<ConsumerGroup.Partition> = []
        var left: [(id: String, room: Int)] = []
        // Whoever has most may have the larger shares, so that least is moved.
        let byHolding = subscribers.sorted { ($1.current.count, $0.sortKey, $0.id) < ($0.current.count, $1.sortKey, $1.id) }
        for subscriber in byHolding {
            let quota = share + (larger > 0 ? 1 : 0)
            let kept = all.lazy.filter { subscriber.current.contains($0) && !taken.contains($0) }.prefix(quota)
            let mine = Set(kept)
            if mine.count > share { larger -= 1 }
            taken.formUnion(mine)
            assignment[subscriber.id] = mine
            left.append((subscriber.id, share - mine.count))
        }
        var rest = all.filter { !taken.contains($0) }[...]
        for (id, room) in left where room > 0 {
            assignment[id]?.formUnion(rest.prefix(room))
            rest = rest.dropFirst(room)
        }
        for (id, _) in left where larger > 0 && assignment[id]?.count == share {
            guard let partition = rest.popFirst() else { break }
            assignment[id]?.insert(partition)
            larger -= 1
        }
        return assignment
    }

    /// They want different things: what is kept stays, the rest goes to whoever has least, then partitions move from the full to the empty for as
    /// long as that makes it more even.
    private static func uniformUnlike(_ subscribers: [Subscriber]) -> Assignment {
        let places = Dictionary(uniqueKeysWithValues: subscribers.enumerated().map { ($1.id, $0) })
        var readers: [ConsumerGroup.Topic: [Int]] = [:]
        for subscriber in subscribers { for topic in subscriber.topics { readers[topic, default: []].append(places[subscriber.id] ?? 0) } }
        var owner: [ConsumerGroup.Partition: Int] = [:]
        var loads = [Int](repeating: 0, count: subscribers.count)
        let topics = readers.keys.sorted { (readers[$0]?.count ?? 0, $0.name) < (readers[$1]?.count ?? 0, $1.name) }
        for topic in topics {
            for place in readers[topic] ?? [] {
                for partition in subscribers[place].current where partition.topic == topic.id && partition.index < topic.partitions {
                    guard owner[partition] == nil else { continue }
                    owner[partition] = place
                    loads[place] += 1
                }
            }
        }
        for topic in topics {
            for partition in partitions(of: [topic]) where owner[partition] == nil {
                guard let place = readers[topic]?.min(by: { (loads[$0], $0) < (loads[$1], $1) }) else { continue }
                owner[partition] = place
                loads[place] += 1
            }
        }
        var isMoved = true
        // Each move makes the sum of squared loads smaller, so this ends.
        while isMoved {
            isMoved = false
            for topic in topics {
                for partition in partitions(of: [topic]) {
                    guard let from = owner[partition], let to = readers[topic]?.min(by: { (loads[$0], $0) < (loads[$1], $1) }),
                        loads[to] + 1 < loads[from]
                    else { continue }
                    owner[partition] = to
                    loads[from] -= 1
                    loads[to] += 1
                    isMoved = true
                }
            }
        }
        var assignment = Assignment(uniqueKeysWithValues: subscribers.map { ($0.id, []) })
        for (partition, place) in owner { assignment[subscribers[place].id]?.insert(partition) }
        return assignment
    }
}
