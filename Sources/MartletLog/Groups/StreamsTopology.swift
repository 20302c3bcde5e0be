/// A part of a Kafka Streams application that one member at a time works on: partition `partition` of all source topics of a subtopology.
struct StreamsTask: Sendable, Hashable, Comparable {
    var subtopology: String
    var partition: Int32

    /// Tasks of all subtopologies in turn, so that whoever takes the next ones gets of each.
    static func < (a: Self, b: Self) -> Bool { (a.partition, a.subtopology) < (b.partition, b.subtopology) }
}

/// What a Kafka Streams application says of itself when it joins (KIP-1071, "Topology metadata"). Two are equal if they mean the same: the order
/// in which things are listed does not count.
struct StreamsTopology: Sendable, Hashable {
    struct Setting: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// A topic that the broker makes for the application.
    struct InternalTopic: Sendable, Hashable {
        var name: String
        /// 0: as many as what is written to it asks for; always so for changelogs.
        var partitions: Int32 = 0
        /// 0 and −1: the broker's default.
        var replicationFactor: Int16 = 0
        var settings: [Setting] = []
    }

    /// Source topics that need equal numbers of partitions: records of one key are in the same partition of each.
    struct CopartitionGroup: Sendable, Hashable {
        /// Source and repartition topics by name.
        var topics: Set<String> = []
        /// Texts of patterns.
        var patterns: Set<String> = []
    }

    struct Subtopology: Sendable, Hashable {
        var id: String
        /// Topics that somebody else makes, sorted.
        var sources: [String] = []
        /// Sorted by text.
        var patterns: [NamePattern] = []
        /// Repartition topics that it writes, sorted.
        var sinks: [String] = []
        /// Repartition topics that it reads, sorted by name.
        var repartitions: [InternalTopic] = []
        /// Changelogs of its state stores, sorted by name.
        var changelogs: [InternalTopic] = []
        var copartitionGroups: Set<CopartitionGroup> = []

        var isStateful: Bool { !changelogs.isEmpty }

        /// Every topic that it names.
        var topics: [String] { sources + sinks + repartitions.map(\.name) + changelogs.map(\.name) }
    }

    /// The application raises it by one with each change of the topology.
    var epoch: Int32
    /// Sorted by id.
    var subtopologies: [Subtopology]

    /// Every topic that it names, sorted.
    var topics: [String] { Set(subtopologies.flatMap(\.topics)).sorted() }

    /// Names of the topics that the broker makes.
    var internalTopics: Set<String> { Set(subtopologies.flatMap { ($0.repartitions + $0.changelogs).map(\.name) }) }

    func means(the other: StreamsTopology) -> Bool { subtopologies == other.subtopologies }

    /// - Throws: STREAMS_INVALID_TOPOLOGY that says what is wrong.
    func check() throws(KafkaError) {
        func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(KafkaError) {
            if !condition { throw KafkaError(.streamsInvalidTopology, message()) }
        }
        try require(epoch >= 0, "a topology's epoch is not negative, as \(epoch) is")
        try require(!subtopologies.isEmpty, "a topology has subtopologies")
        var ids: Set<String> = []
        for part in subtopologies {
            try require(!part.id.isEmpty, "a subtopology has an id")
            try require(ids.insert(part.id).inserted, "two subtopologies have the id \(part.id)")
            try require(
                !part.sources.isEmpty || !part.patterns.isEmpty || !part.repartitions.isEmpty, "subtopology \(part.id) reads no topic")
            for name in part.topics {
                try require(RequestRouter.isTopicName(name), "\"\(name)\" in subtopology \(part.id) is no name of a topic")
                try require(!EmbeddedLog.internalTopics.contains(name), "subtopology \(part.id) names the internal topic \(name)")
            }
            for changelog in part.changelogs {
                try require(changelog.partitions == 0, "changelog \(changelog.name) says \(changelog.partitions) partitions; their number follows from the sources")
            }
            for topic in part.repartitions + part.changelogs {
                try require(topic.partitions >= 0, "repartition topic \(topic.name) cannot have \(topic.partitions) partitions")
                try require(topic.replicationFactor >= -1, "topic \(topic.name) cannot have a replication factor of \(topic.replicationFactor)")
            }
        }
    }
}
