// What StreamsGroupHeartbeat and StreamsGroupDescribe have in common (KIP-1071).

/// Tasks of one subtopology.
struct StreamsTaskIDs: WireMessage, Hashable {
    var subtopology = ""
    var partitions: [Int32] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&subtopology)
        try wire.field(&partitions)
        try wire.tags()
    }

    static func list(_ tasks: Set<StreamsTask>) -> [Self] {
        Dictionary(grouping: tasks, by: \.subtopology).map { .init(subtopology: $0.key, partitions: $0.value.map(\.partition).sorted()) }
            .sorted { $0.subtopology < $1.subtopology }
    }

    static func tasks(_ list: [Self]) -> Set<StreamsTask> {
        Set(list.flatMap { ids in ids.partitions.map { StreamsTask(subtopology: ids.subtopology, partition: $0) } })
    }
}

/// How far a member is in the changelogs of a task, as the sum over them.
struct StreamsTaskOffset: WireMessage, Hashable {
    var subtopology = ""
    var partition: Int32 = 0
    var offset: Int64 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&subtopology)
        try wire.field(&partition)
        try wire.field(&offset)
        try wire.tags()
    }

    static func list(_ offsets: [StreamsTask: Int64]) -> [Self] {
        offsets.sorted { $0.key < $1.key }.map { .init(subtopology: $0.key.subtopology, partition: $0.key.partition, offset: $0.value) }
    }

    static func offsets(_ list: [Self]) -> [StreamsTask: Int64] {
        Dictionary(list.map { (StreamsTask(subtopology: $0.subtopology, partition: $0.partition), $0.offset) }, uniquingKeysWith: { $1 })
    }
}

struct StreamsKeyValue: WireMessage, Hashable {
    var key = ""
    var value = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&key)
        try wire.field(&value)
        try wire.tags()
    }
}

struct StreamsEndpoint: WireMessage, Hashable {
    var host = ""
    var port: UInt16 = 0

    init() {}

    init(_ endpoint: StreamsGroup.Endpoint) {
        host = endpoint.host
        port = endpoint.port
    }

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&host)
        var bits = Int16(bitPattern: port)
        try wire.field(&bits)
        port = UInt16(bitPattern: bits)
        try wire.tags()
    }
}

/// An internal topic.
struct StreamsTopicInfo: WireMessage, Hashable {
    var name = ""
    var partitions: Int32 = 0
    var replicationFactor: Int16 = 0
    var settings: [StreamsKeyValue] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&name)
        try wire.field(&partitions)
        try wire.field(&replicationFactor)
        try wire.field(&settings)
        try wire.tags()
    }

    static func list(_ topics: [StreamsTopology.InternalTopic]) -> [Self] {
        topics.map { topic in
            .init(
                name: topic.name, partitions: topic.partitions, replicationFactor: topic.replicationFactor,
                settings: topic.settings.map { .init(key: $0.name, value: $0.value) })
        }
    }

    /// Sorted by name.
    static func topics(_ list: [Self]) -> [StreamsTopology.InternalTopic] {
        list.map { info in
            .init(
                name: info.name, partitions: info.partitions, replicationFactor: info.replicationFactor,
                settings: info.settings.map { .init(name: $0.key, value: $0.value) }.sorted { ($0.name, $0.value) < ($1.name, $1.value) })
        }.sorted { $0.name < $1.name }
    }
}

/// Partitions of a topic by its name.
struct StreamsTopicPartitions: WireMessage, Hashable {
    var topic = ""
    var partitions: [Int32] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&topic)
        try wire.field(&partitions)
        try wire.tags()
    }

    static func list(_ partitions: [String: Set<Int32>]) -> [Self] {
        partitions.sorted { $0.key < $1.key }.map { .init(topic: $0.key, partitions: $0.value.sorted()) }
    }
}
