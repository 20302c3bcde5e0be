import MartletCore
import Synchronization
import Testing

@testable import MartletLog

@Suite struct EmbeddedLogTests {
    @Test func topicsSurviveARestart() throws {
        let directory = TemporaryDirectory()
        var log = try EmbeddedLog.open(directory: directory.path)
        let events = Mutex<[LogEvent]>([])
        _ = log.addListener { event in events.withLock { $0.append(event) } }
        try log.createTopic("orders", partitions: 3, settings: ["retention.ms": "60000"])
        try log.createTopic("Users_2.x-y", partitions: 1)
        try log.createPartitions("Users_2.x-y", total: 2)
        try log.setSettings("orders", ["cleanup.policy": "compact"])
        #expect(events.withLock { $0.filter { $0 == .topicsChanged }.count } == 4)
        let before = log.topics
        #expect(before.map(\.name) == ["Users_2.x-y", "__consumer_offsets", "__transaction_state", "orders"])
        #expect(before[3].partitions == 3 && before[3].settings == ["cleanup.policy": "compact"] && before[0].partitions == 2)
        #expect(before[1].isInternal && !before[3].isInternal && before[3].topicID.count == 16)
        try log.found("orders", 2).append(["x"])
        let cluster = log.clusterID
        #expect(cluster.count == 22)
        log.close()
        log = try EmbeddedLog.open(directory: directory.path)
        #expect(log.topics == before && log.clusterID == cluster)
        #expect(try log.found("orders", 2).values() == ["x"])
        #expect(log.partition(TopicPartition("orders", 3)) == nil && log.topic("nope") == nil)
        try log.deleteTopic("orders")
        #expect(log.topic("orders") == nil)
        log.close()
        log = try EmbeddedLog.open(directory: directory.path)
        #expect(log.topics.map(\.name) == ["Users_2.x-y", "__consumer_offsets", "__transaction_state"])
        log.close()
    }

    @Test func mistakesAreNamed() throws {
        let log = try openLog(SimulatedFileSystem())
        func error(_ body: () throws(MartletError) -> Void) -> MartletError? {
            do {
                try body()
                return nil
            } catch {
                return error
            }
        }
        try log.createTopic("t", partitions: 1)
        #expect(error { () throws(MartletError) in try log.createTopic("t", partitions: 1) }?.code == .alreadyExists)
        for name in ["", ".", "..", "a b", "a/b", "é", String(repeating: "a", count: 250)] {
            #expect(error { () throws(MartletError) in try log.createTopic(name, partitions: 1) }?.code == .badRequest)
        }
        for count in [Int32(0), -1, 10_001] {
            #expect(error { () throws(MartletError) in try log.createTopic("u", partitions: count) }?.code == .badRequest)
        }
        for (name, value) in [
            ("retention.hours", "1"), ("retention.ms", "soon"), ("retention.ms", "-2"), ("cleanup.policy", "burn"), ("segment.bytes", "3"),
            ("message.timestamp.type", "x"), ("compression.type", "rar"), ("min.cleanable.dirty.ratio", "2"),
        ] {
            let found = error { () throws(MartletError) in try log.createTopic("u", partitions: 1, settings: [name: value]) }
            #expect(found?.code == .badRequest && found?.message.contains(name) == true)
        }
        #expect(log.topic("u") == nil)
        #expect(error { () throws(MartletError) in try log.deleteTopic("u") }?.code == .notFound)
        #expect(error { () throws(MartletError) in try log.deleteTopic("__consumer_offsets") }?.code == .badRequest)
        #expect(error { () throws(MartletError) in try log.createPartitions("t", total: 1) }?.code == .badRequest)
        #expect(error { () throws(MartletError) in try log.createPartitions("u", total: 2) }?.code == .notFound)
    }

    @Test func oneProcessAtATime() throws {
        let directory = TemporaryDirectory()
        let log = try EmbeddedLog.open(directory: directory.path)
        #expect { try EmbeddedLog.open(directory: directory.path) } throws: {
            guard let error = $0 as? MartletError else { return false }
            return error.code == .directoryInUse && error.message.contains(directory.path)
        }
        log.close()
        try EmbeddedLog.open(directory: directory.path).close()
    }

    @Test func anUnwritableDirectoryIsAnError() {
        #expect { try EmbeddedLog.open(directory: "/proc/martlet") } throws: { ($0 as? MartletError)?.message.contains("/proc/martlet") == true }
    }

    @Test func producerIDsAreNeverGivenTwice() throws {
        let system = SimulatedFileSystem()
        var seen: Set<Int64> = []
        var log = try openLog(system)
        var disk = system
        var random = SeededRandom(seed: 3)
        for _ in 0..<5 {
            for _ in 0..<700 { #expect(seen.insert(try log.makeProducerID().id).inserted) }
            disk = disk.crashed(.tornTail, &random)
            log = try openLog(disk)
        }
    }

    /// After `close` nothing is accepted any more, and a deleted topic's partition refuses too.
    @Test func closedMeansClosed() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t"), other = try log.made("u")
        try log.deleteTopic("u")
        #expect(throws: MartletError.self) { try other.append(["x"]) }
        log.close()
        #expect(throws: KafkaError.self) { try partition.append(client: clientBatch(["x"])) }
        let answer = Mutex<KafkaErrorCode?>(nil)
        partition.whenDurable(upTo: 5) { code in answer.withLock { $0 = code } }
        #expect(answer.withLock { $0 } == .kafkaStorageError)
    }

    // MARK: offsets of groups

    @Test func committedOffsetsSurviveARestart() throws {
        let system = SimulatedFileSystem()
        var random = SeededRandom(seed: 1)
        var log = try openLog(system)
        let a = TopicPartition("t", 0), b = TopicPartition("t", 1)
        try log.groupOffsets.commit(group: "g", [a: CommittedOffset(offset: 5, leaderEpoch: 0, metadata: "m", timestamp: 9), b: CommittedOffset(offset: 1)])
        try log.groupOffsets.commit(group: "g", [a: CommittedOffset(offset: 7, metadata: "é")])
        try log.groupOffsets.commit(group: "h", [a: CommittedOffset(offset: 2)])
        try log.groupOffsets.delete(group: "h")
        let answers = Signal<[KafkaErrorCode]>([])
        log.groupOffsets.commit(group: "i", [b: CommittedOffset(offset: 3)]) { code in answers.update { $0.append(code) } }
        #expect(answers.wait(timeoutMs: 10_000) { $0.isEmpty ? nil : $0 } == [.none])
        log = try openLog(system.crashed(.tornTail, &random))
        #expect(log.groupOffsets.groups == ["g", "i"])
        // Committed without a timestamp, they have the time of the commit.
        #expect(
            log.groupOffsets.all(group: "g") == [
                a: CommittedOffset(offset: 7, metadata: "é", timestamp: 1_000_000), b: CommittedOffset(offset: 1, timestamp: 1_000_000),
            ])
        #expect(log.groupOffsets.committed(group: "h", a) == nil)
        #expect(throws: KafkaError.self) {
            try log.groupOffsets.commit(group: "g", [a: CommittedOffset(offset: 1, metadata: String(repeating: "x", count: 5000))])
        }
    }

    // MARK: compaction

    @Test func compactionKeepsTheLatestOfEachKey() throws {
        let system = SimulatedFileSystem()
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(system, time: time)
        let partition = try log.made("t", ["cleanup.policy": "compact", "segment.bytes": "600", "delete.retention.ms": "5000"])
        var latest: [String: PartitionLog.Row] = [:]
        var random = SeededRandom(seed: 11)
        for i in 0..<300 {
            let key = "k\(Int.random(in: 0..<20, using: &random))", value: String? = i % 7 == 0 ? nil : "v\(i)"
            var builder = RecordBatchBuilder(compression: CompressionCodec.allCases[i % 5])
            builder.append(timestamp: 1_000_000, key: Array(key.utf8), value: value.map { Array($0.utf8) })
            _ = try partition.append(&builder)
            latest[key] = .init(offset: Int64(i), key: key, value: value)
        }
        try partition.flush()
        let before = partition.sizeBytes
        log.maintain()
        #expect(partition.sizeBytes < before / 3)
        func check(_ partition: PartitionLog) throws {
            let rows = try partition.rows()
            #expect(rows.map(\.offset) == rows.map(\.offset).sorted())
            var seen: [String: PartitionLog.Row] = [:]
            for row in rows { seen[row.key ?? ""] = row }
            #expect(seen == latest)
            // In the compacted part each key is there once.
            let cleaned = partition.state.withLock { $0.cleanedUntil }
            #expect(cleaned > 200)
            let keys = rows.filter { $0.offset < cleaned }.map(\.key)
            #expect(Set(keys).count == keys.count)
            for start in stride(from: Int64(0), to: 300, by: 13) {
                #expect(try partition.rows(from: start, maxBytes: 100) == rows.filter { $0.offset >= start })
            }
        }
        try check(partition)
        try check(openLog(system.crashed(.tornTail, &random)).found("t"))
        // Tombstones go when they are old enough.
        time.advance(byMs: 10_000)
        for i in 300..<360 {
            let key = "other\(i)"
            try partition.append(["w"], keys: [key], timestamp: 1_010_000)
            latest[key] = .init(offset: Int64(i), key: key, value: "w")
        }
        try partition.flush()
        partition.change(settings: try TopicSettings(
            ["cleanup.policy": "compact", "segment.bytes": "600", "delete.retention.ms": "5000", "min.cleanable.dirty.ratio": "0"], defaults: .init()))
        log.maintain()
        let cleaned = partition.state.withLock { $0.cleanedUntil }
        #expect(try partition.rows().filter { $0.value == nil && $0.offset < cleaned }.isEmpty)
        #expect(try partition.rows().filter { $0.value != nil }.count == latest.values.filter { $0.value != nil }.count)
    }

    /// A crash at any point of a compaction leaves the same records of each key.
    @Test func aCrashDuringCompactionLosesNothing() throws {
        withSeeds(25) { seed, random in
            let system = SimulatedFileSystem()
            let log = try openLog(system)
            let partition = try log.made("t", ["cleanup.policy": "compact", "segment.bytes": "500"])
            var latest: [String: Int64] = [:]
            for i in 0..<80 {
                let key = "k\(Int.random(in: 0..<10, using: &random))"
                try partition.append(["v\(i)"], keys: [key])
                latest[key] = Int64(i)
            }
            try partition.flush()
            // The disk fills up at some point of the compaction; then the power goes.
            if Bool.random(using: &random) {
                system.state.withLock { $0.capacity = $0.used + Int.random(in: 0...1500, using: &random) }
            }
            log.maintain()
            let disk = system.crashed([.kill, .tornTail, .lostSectors].randomElement(using: &random) ?? .kill, &random)
            let rows = try openLog(disk).found("t").rows()
            var seen: [String: Int64] = [:]
            for row in rows { seen[row.key ?? ""] = row.offset }
            #expect(seen == latest, "seed \(seed)")
        }
    }

    /// Keys of one pass are bounded: with room for a few of them several passes do what one would, in the middle of a segment or not.
    @Test(arguments: [0, 300, 2000, 64 << 20]) func compactionWithLittleMemory(keyBytes: Int) throws {
        let log = try openLog(SimulatedFileSystem()) {
            $0.worksInBackground = false
            $0.cleanerKeyBytes = keyBytes
        }
        let partition = try log.made("k", ["segment.bytes": "1500", "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"])
        var latest: [String: String] = [:]
        var random = SeededRandom(seed: 3)
        for i in 0..<400 {
            let key = "k\(Int.random(in: 0..<50, using: &random))"
            latest[key] = "\(i)"
            try partition.append(["\(i)"], keys: [key])
        }
        try partition.flush()
        var sizes = [partition.sizeBytes], passes = 0
        repeat {
            try partition.compact()
            passes += 1
            sizes.append(partition.sizeBytes)
            var found: [String: String] = [:]
            for row in try partition.rows() { if let key = row.key { found[key] = row.value } }
            #expect(found == latest, "pass \(passes)")
        } while partition.cleanableBytes > 0 && passes < 1000
        #expect(partition.cleanableBytes == 0, "the last pass leaves nothing to do")
        #expect(keyBytes > 1 << 20 ? passes == 1 : passes > 3, "\(passes) passes with \(keyBytes) bytes")
        // Of what is closed nothing is there twice.
        let closed = partition.state.withLock { $0.segments[$0.segments.count - 1].baseOffset }
        let keys = try partition.rows().filter { $0.offset < closed }.compactMap(\.key)
        #expect(Set(keys).count == keys.count)
    }

    /// Who makes a topic waits for the disk; nobody else does.
    @Test func makingATopicHoldsUpNobody() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        let gate = Signal((isWaiting: false, isOpen: false))
        system.state.withLock { state in
            state.beforeSync = { path in
                guard path.contains("/new") else { return }
                gate.update { $0.isWaiting = true }
                _ = gate.wait { $0.isOpen ? true : nil }
            }
        }
        let maker = try WorkerThread("maker") { try? log.createTopic("new", partitions: 1) }
        _ = gate.wait { $0.isWaiting ? true : nil }
        #expect(log.partition(partition.id) === partition && log.topic("new") == nil && log.topics.map(\.name).contains("t"))
        gate.update { $0.isOpen = true }
        maker.join()
        #expect(log.partition(TopicPartition("new", 0)) != nil)
    }
}

extension PartitionLog {
    /// Closed and not compacted yet.
    fileprivate var cleanableBytes: Int {
        state.withLock { state in state.segments.dropLast().filter { $0.nextOffset > state.cleanedUntil }.reduce(0) { $0 + $1.size } }
    }
}
