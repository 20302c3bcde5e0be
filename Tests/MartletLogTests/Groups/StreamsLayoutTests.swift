import MartletCore
import Testing

@testable import MartletLog

@Suite struct StreamsLayoutTests {
    typealias Subtopology = StreamsTopology.Subtopology
    typealias Internal = StreamsTopology.InternalTopic

    private func topics(_ counts: [String: Int32]) -> [String: GroupTopic] {
        Dictionary(
            uniqueKeysWithValues: counts.sorted { $0.key < $1.key }.enumerated().map { i, topic in
                (topic.key, GroupTopic(id: UUIDBytes(high: 1, low: UInt64(i + 1)), name: topic.key, partitions: topic.value))
            })
    }

    private func layout(_ parts: [Subtopology], _ counts: [String: Int32]) -> StreamsLayout {
        StreamsLayout(StreamsTopology(epoch: 0, subtopologies: parts), topics(counts))
    }

    private let counting = [
        Subtopology(id: "0", sources: ["words"], sinks: ["by-word"]),
        Subtopology(id: "1", repartitions: [.init(name: "by-word")], changelogs: [.init(name: "counts", settings: [.init(name: "cleanup.policy", value: "compact")])]),
    ]

    @Test func internalTopicsHaveAsManyPartitionsAsWhatTheyAreMadeFrom() {
        let bare = layout(counting, ["words": 5])
        #expect(bare.status?.code == .missingInternalTopics && bare.tasks.isEmpty)
        #expect(bare.missing.map(\.name) == ["by-word", "counts"] && bare.missing.map(\.partitions) == [5, 5])
        #expect(bare.missing[1].settings.map(\.value) == ["compact"])
        let half = layout(counting, ["words": 5, "by-word": 5])
        #expect(half.missing.map(\.name) == ["counts"])
        let ready = layout(counting, ["words": 5, "by-word": 5, "counts": 5])
        #expect(ready.isReady && ready.tasks == ["0": 5, "1": 5] && ready.missing.isEmpty)
        #expect(ready.subtopologies[1].changelogs[0].partitions == 5)
        #expect(ready.allTasks.count == 10 && ready.allTasks.count(where: \.isStateful) == 5)
        #expect(ready.partitionsRead(by: [.init(subtopology: "1", partition: 4)]) == ["by-word": [4]])
        let wrong = layout(counting, ["words": 5, "by-word": 4])
        #expect(wrong.status?.code == .incorrectlyPartitionedTopics && wrong.status?.detail.contains("by-word (4 instead of 5)") == true && wrong.missing.isEmpty)
        #expect(layout(counting, [:]).status?.code == .missingSourceTopics)
    }

    @Test func aNumberThatTheApplicationSaysCounts() {
        var parts = counting
        parts[1].repartitions[0].partitions = 3
        let made = layout(parts, ["words": 5])
        #expect(made.missing.map(\.partitions) == [3, 3])
    }

    /// a → r1 → r2, and b → r2: as many as the largest that is read on the way.
    @Test func repartitionTopicsFollowEachOther() {
        let parts = [
            Subtopology(id: "0", sources: ["a"], sinks: ["r1"]), Subtopology(id: "1", sinks: ["r2"], repartitions: [.init(name: "r1")]),
            Subtopology(id: "2", sources: ["b"], sinks: ["r2"]), Subtopology(id: "3", repartitions: [.init(name: "r2")]),
        ]
        #expect(layout(parts, ["a": 2, "b": 7]).missing.map(\.partitions) == [2, 7])
        // A circle, and one that nobody writes: nothing says how many.
        let circle = [
            Subtopology(id: "0", sinks: ["r2"], repartitions: [.init(name: "r1")]), Subtopology(id: "1", sinks: ["r1"], repartitions: [.init(name: "r2")]),
        ]
        #expect(layout(circle, [:]).status?.code == .missingSourceTopics)
        #expect(layout([Subtopology(id: "0", repartitions: [.init(name: "r")])], [:]).status?.detail.contains("r follows from no") == true)
    }

    @Test func joinedTopicsAreCopartitioned() {
        func join(_ repartition: Int32, group: [String], sources: [String] = ["a"]) -> [Subtopology] {
            [
                Subtopology(id: "0", sources: ["c"], sinks: ["r"]),
                Subtopology(
                    id: "1", sources: sources, repartitions: [.init(name: "r", partitions: repartition)],
                    copartitionGroups: [.init(topics: Set(group))]),
            ]
        }
        // The repartition topic takes the other's number.
        #expect(layout(join(0, group: ["a", "r"]), ["a": 6, "c": 2]).missing.map(\.partitions) == [6])
        #expect(layout(join(6, group: ["a", "r"]), ["a": 6, "c": 2]).missing.map(\.partitions) == [6])
        #expect(layout(join(3, group: ["a", "r"]), ["a": 6, "c": 2]).status?.code == .incorrectlyPartitionedTopics)
        let unequal = layout(join(0, group: ["a", "b"], sources: ["a", "b"]), ["a": 6, "b": 4, "c": 2])
        #expect(unequal.status?.code == .incorrectlyPartitionedTopics && unequal.status?.detail.contains("a (6), b (4)") == true)
        // Read together, but not joined: the larger decides.
        let loose = layout([Subtopology(id: "0", sources: ["a", "b"])], ["a": 6, "b": 4])
        #expect(loose.tasks == ["0": 6] && loose.partitionsRead(by: [.init(subtopology: "0", partition: 5)]) == ["a": [5]])
    }

    @Test func tasksAreBounded() {
        let parts = (0..<6).map { Subtopology(id: "\($0)", sources: ["in"], changelogs: [.init(name: "log-\($0)")]) }
        let made = layout(parts, ["in": 10_000])
        #expect(made.status?.code == .incorrectlyPartitionedTopics && made.missing.isEmpty && made.tasks.isEmpty)
        #expect(layout(Array(parts.prefix(5)), ["in": 10_000]).missing.count == 5)
    }

    @Test func patternsStandForWhatTheyMatch() throws {
        let parts = [Subtopology(id: "0", patterns: [try NamePattern("in-.*")])]
        #expect(layout(parts, [:]).status?.code == .missingSourceTopics)
        let two = layout(parts, ["in-a": 2, "in-b": 3])
        #expect(two.tasks == ["0": 3] && two.subtopologies[0].sources == ["in-a", "in-b"] && two.subtopologies[0].patterns.isEmpty)
    }

    @Test func topologiesThatMakeNoSense() throws {
        func code(_ epoch: Int32 = 0, _ change: (inout [Subtopology]) -> Void) -> KafkaErrorCode {
            var parts = counting
            change(&parts)
            do throws(KafkaError) {
                try StreamsTopology(epoch: epoch, subtopologies: parts).check()
                return .none
            } catch {
                return error.code
            }
        }
        #expect(code { _ in } == .none)
        #expect(code(-1) { _ in } == .streamsInvalidTopology)
        #expect(code { $0 = [] } == .streamsInvalidTopology)
        #expect(code { $0[1].id = "0" } == .streamsInvalidTopology)
        #expect(code { $0[0].id = "" } == .streamsInvalidTopology)
        #expect(code { $0[0].sources = [] } == .streamsInvalidTopology)
        #expect(code { $0[0].sources = ["a b"] } == .streamsInvalidTopology)
        #expect(code { $0[0].sinks = ["__consumer_offsets"] } == .streamsInvalidTopology)
        #expect(code { $0[1].changelogs[0].partitions = 2 } == .streamsInvalidTopology)
        #expect(code { $0[1].repartitions[0].partitions = -1 } == .streamsInvalidTopology)
        #expect(code { $0[1].repartitions[0].replicationFactor = -2 } == .streamsInvalidTopology)
    }
}
