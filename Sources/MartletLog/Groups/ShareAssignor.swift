/// Works out which member of a share group reads from which partitions (KIP-932, "simple"): every partition has a member that wants it, every member
/// has as many partitions as the others up to one, and where there are more members than partitions these are shared, each by as many as the others.
/// Within that, everybody keeps what it had.
///
/// Topics that the same members want are dealt out together.
enum ShareAssignor {
    static let name = "simple"

    /// An entry for each subscriber.
    static func assign(_ subscribers: [ServerAssignor.Subscriber]) -> ServerAssignor.Assignment {
        var assignment = ServerAssignor.Assignment(uniqueKeysWithValues: subscribers.map { ($0.id, []) })
        var readers: [GroupTopic: [Int]] = [:]
        for (place, subscriber) in subscribers.enumerated() { for topic in subscriber.topics { readers[topic, default: []].append(place) } }
        let classes = Dictionary(grouping: readers.keys, by: { readers[$0] ?? [] })
        // What few want first, as what many want can make up for it.
        for (places, topics) in classes.sorted(by: { ($0.key.count, $0.value.min(by: isBefore)?.name ?? "") < ($1.key.count, $1.value.min(by: isBefore)?.name ?? "") }) {
            let partitions = topics.sorted(by: isBefore).flatMap { topic in (0..<topic.partitions).map { GroupPartition(topic: topic.id, index: $0) } }
            deal(partitions, to: places.map { subscribers[$0] }, &assignment)
        }
        return assignment
    }

    private static func isBefore(_ a: GroupTopic, _ b: GroupTopic) -> Bool { a.name < b.name }

    /// Deals out partitions that all of these members want.
    private static func deal(_ partitions: [GroupPartition], to members: [ServerAssignor.Subscriber], _ assignment: inout ServerAssignor.Assignment) {
        if partitions.isEmpty || members.isEmpty { return }
        let sharing = (members.count + partitions.count - 1) / partitions.count
        let share = partitions.count * sharing / members.count
        var larger = partitions.count * sharing % members.count
        let places = Dictionary(uniqueKeysWithValues: partitions.enumerated().map { ($1, $0) })
        var room = [Int](repeating: sharing, count: partitions.count)
        // Whoever has most may have the larger shares, so that least is moved; else whoever has least of other topics.
        let held = members.map { member in
            (member, mine: member.current.compactMap { places[$0] }.sorted(), load: assignment[member.id]?.count ?? 0)
        }.sorted { ($1.mine.count, $0.load, $0.0.sortKey, $0.0.id) < ($0.mine.count, $1.load, $1.0.sortKey, $1.0.id) }
        var dealt: [(id: String, partitions: Set<Int>)] = []
        for (member, mine, _) in held {
            let kept = mine.filter { room[$0] > 0 }.prefix(share + (larger > 0 ? 1 : 0))
            for place in kept { room[place] -= 1 }
            if kept.count > share { larger -= 1 }
            dealt.append((member.id, Set(kept)))
        }
        // Those with most room first, so that none is left without anybody.
        var rest: [Int] = []
        for level in stride(from: room.max() ?? 0, to: 0, by: -1) { rest += partitions.indices.filter { room[$0] >= level } }
        rest.reverse()
        func take(besides mine: Set<Int>) -> Int? {
            guard let last = rest.lastIndex(where: { !mine.contains($0) }) else { return nil }
            return rest.remove(at: last)
        }
        for i in dealt.indices {
            while dealt[i].partitions.count < share, let place = take(besides: dealt[i].partitions) { dealt[i].partitions.insert(place) }
        }
        for i in dealt.indices where larger > 0 && dealt[i].partitions.count == share {
            guard let place = take(besides: dealt[i].partitions) else { continue }
            dealt[i].partitions.insert(place)
            larger -= 1
        }
        for (id, mine) in dealt { assignment[id]?.formUnion(mine.map { partitions[$0] }) }
    }
}
