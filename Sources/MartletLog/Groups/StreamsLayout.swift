/// A topology laid over the topics that there are: how many tasks each subtopology has, which internal topics are missing and how many partitions
/// they need (KIP-1071, "Topology configuration").
struct StreamsLayout: Sendable, Hashable {
    /// Of each subtopology; empty unless it is ready.
    var tasks: [String: Int32] = [:]
    /// The subtopologies with patterns replaced by what they match and the numbers of partitions filled in; empty unless it is ready.
    var subtopologies: [StreamsTopology.Subtopology] = []
    /// Partitions of each source and repartition topic.
    var partitions: [String: Int32] = [:]
    /// Internal topics that have to be made, with their numbers of partitions.
    var missing: [StreamsTopology.InternalTopic] = []
    /// Why nothing can be assigned; nil: it is ready.
    var status: StreamsGroup.Status?

    var isReady: Bool { status == nil }

    /// More are not assigned: it is done while the groups' other members wait.
    static let tasksMax = 50_000

    /// - `topics`: all that the topology names or matches, as far as there are such.
    init(_ topology: StreamsTopology, _ topics: [String: GroupTopic]) {
        var sources: [String: [String]] = [:]
        var absent: Set<String> = []
        let internals = topology.internalTopics
        for part in topology.subtopologies {
            var names = Set(part.sources)
            for pattern in part.patterns {
                let matched = topics.keys.filter { !internals.contains($0) && pattern.matches($0) }
                if matched.isEmpty { absent.insert(pattern.text) }
                names.formUnion(matched)
            }
            for name in names {
                if let topic = topics[name] { partitions[name] = topic.partitions } else { absent.insert(name) }
            }
            sources[part.id] = names.sorted()
        }
        guard absent.isEmpty else {
            status = .init(.missingSourceTopics, "Source topics \(absent.sorted().joined(separator: ", ")) are missing.")
            return
        }
        status = countRepartitions(topology, sources) ?? enforceCopartitioning(topology)
        guard status == nil else { return }
        for part in topology.subtopologies {
            var filled = part
            let read = (sources[part.id] ?? []) + part.repartitions.map(\.name)
            let count = read.compactMap { partitions[$0] }.max() ?? 0
            filled.sources = sources[part.id] ?? []
            filled.patterns = []
            for i in filled.repartitions.indices { filled.repartitions[i].partitions = partitions[filled.repartitions[i].name] ?? 0 }
            for i in filled.changelogs.indices { filled.changelogs[i].partitions = count }
            tasks[part.id] = count
            subtopologies.append(filled)
        }
        let taskCount = tasks.values.reduce(0) { $0 + Int($1) }
        status =
            taskCount > Self.tasksMax
            ? .init(.incorrectlyPartitionedTopics, "The topology has \(taskCount) tasks, more than the \(Self.tasksMax) that a group may have.") : checkInternal(topics)
        if status != nil { (tasks, subtopologies) = ([:], []) }
    }

    /// A repartition topic has as many partitions as it says, or else as many as the largest topic that is read by those who write to it.
    private mutating func countRepartitions(_ topology: StreamsTopology, _ sources: [String: [String]]) -> StreamsGroup.Status? {
        var open: Set<String> = []
        for topic in topology.subtopologies.flatMap(\.repartitions) {
            if topic.partitions > 0 { partitions[topic.name] = max(topic.partitions, partitions[topic.name] ?? 0) } else { open.insert(topic.name) }
        }
        open.subtract(partitions.keys)
        var writers: [String: [[String]]] = [:]
        for part in topology.subtopologies {
            for sink in part.sinks { writers[sink, default: []].append((sources[part.id] ?? []) + part.repartitions.map(\.name)) }
        }
        while !open.isEmpty {
            let decided = open.compactMap { name -> (String, Int32)? in
                guard let read = writers[name]?.joined() else { return nil }
                let counts = read.map { partitions[$0] }
                guard !counts.isEmpty, !counts.contains(where: { $0 == nil }), let most = counts.compactMap(\.self).max() else { return nil }
                return (name, most)
            }
            if decided.isEmpty {
                let names = open.sorted().joined(separator: ", ")
                return .init(.missingSourceTopics, "The number of partitions of repartition topics \(names) follows from no source topic.")
            }
            for (name, count) in decided {
                partitions[name] = count
                open.remove(name)
            }
        }
        return nil
    }

    private mutating func enforceCopartitioning(_ topology: StreamsTopology) -> StreamsGroup.Status? {
        for part in topology.subtopologies {
            let repartitions = Dictionary(part.repartitions.map { ($0.name, $0.partitions) }, uniquingKeysWith: { max($0, $1) })
            for group in part.copartitionGroups {
                var names = group.topics
                for pattern in part.patterns where group.patterns.contains(pattern.text) { names.formUnion(partitions.keys.filter(pattern.matches)) }
                // Topics whose number cannot be chosen: those of others, and those for which the application says one.
                let given = names.filter { repartitions[$0] ?? 1 > 0 }
                let counts = Set(given.compactMap { partitions[$0] })
                if counts.count > 1 {
                    let list = given.sorted().map { "\($0) (\(partitions[$0] ?? 0))" }.joined(separator: ", ")
                    return .init(.incorrectlyPartitionedTopics, "Topics that are joined need equal numbers of partitions: \(list).")
                }
                guard let count = counts.first ?? names.compactMap({ partitions[$0] }).max() else { continue }
                for name in names where repartitions[name] == 0 { partitions[name] = count }
            }
        }
        return nil
    }

    private mutating func checkInternal(_ topics: [String: GroupTopic]) -> StreamsGroup.Status? {
        var wrong: [String] = []
        var seen: Set<String> = []
        for topic in subtopologies.flatMap({ $0.repartitions + $0.changelogs }) where seen.insert(topic.name).inserted {
            guard let found = topics[topic.name] else {
                missing.append(topic)
                continue
            }
            if found.partitions != topic.partitions { wrong.append("\(topic.name) (\(found.partitions) instead of \(topic.partitions))") }
        }
        if !wrong.isEmpty {
            missing = []
            return .init(.incorrectlyPartitionedTopics, "Internal topics have the wrong number of partitions: \(wrong.sorted().joined(separator: ", ")).")
        }
        missing.sort { $0.name < $1.name }
        if missing.isEmpty { return nil }
        return .init(.missingInternalTopics, "Internal topics are missing: \(missing.map(\.name).joined(separator: ", ")).")
    }

    /// Each task, and whether its subtopology has state.
    var allTasks: [(task: StreamsTask, isStateful: Bool)] {
        subtopologies.flatMap { part in
            (0..<(tasks[part.id] ?? 0)).map { (StreamsTask(subtopology: part.id, partition: $0), part.isStateful) }
        }
    }

    /// The partitions that these tasks read, by topic.
    func partitionsRead(by tasks: Set<StreamsTask>) -> [String: Set<Int32>] {
        var read: [String: Set<Int32>] = [:]
        let parts = Dictionary(subtopologies.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for task in tasks {
            guard let part = parts[task.subtopology] else { continue }
            for topic in part.sources + part.repartitions.map(\.name) where task.partition < partitions[topic] ?? 0 {
                read[topic, default: []].insert(task.partition)
            }
        }
        return read
    }
}
