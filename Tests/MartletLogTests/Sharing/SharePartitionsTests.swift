import MartletCore
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import MartletLog

/// The shell around the states of records: locks that end, starts of the node, groups and topics that go.
@Suite struct SharePartitionsTests {
    private final class Node {
        private(set) var disk: SimulatedFileSystem
        let time = ManualTime(wallMs: 1_000_000)
        let loop = EmbeddedEventLoop()
        let lines = LogLines()
        private(set) var log: EmbeddedLog
        private(set) var shares: SharePartitions

        init(_ disk: SimulatedFileSystem = SimulatedFileSystem()) throws {
            self.disk = disk
            log = try openLog(disk, time: time, lines: lines) { $0.worksInBackground = false }
            shares = try SharePartitions(log: log, timers: loop, time: time.source, logger: lines.logger)
        }

        func restart(_ kind: SimulatedFileSystem.Crash = .lostSectors) throws {
            var random = SeededRandom(seed: 1)
            shares.close()
            disk = disk.crashed(kind, &random)
            log = try openLog(disk, time: time, lines: lines) { $0.worksInBackground = false }
            shares = try SharePartitions(log: log, timers: loop, time: time.source, logger: lines.logger)
        }

        func id(_ topic: String = "t", _ index: Int32 = 0) throws -> GroupPartition {
            GroupPartition(topic: UUIDBytes(try #require(log.topic(topic)).topicID), index: index)
        }

        func shared(_ group: String = "g", _ topic: String = "t") throws -> SharedPartition {
            try shares.initialize(group: group, partitions: [id(topic)])
            return try #require(shares.partition(group: group, id(topic)))
        }

        func set(_ values: [String: String], _ group: String = "g") throws {
            try log.changeSettings(of: .group(group)) { (_) throws(KafkaError) in values }
        }

        func produce(_ count: Int, _ topic: String = "t", timestamp: Int64 = 1000) throws {
            let partition = try log.found(topic)
            for i in 0..<count { try partition.append(["v\(i)"], timestamp: timestamp) }
            try partition.flush()
        }

        func take(_ shared: SharedPartition, _ member: String = "a", _ count: Int64 = 500) throws -> [[Int64]] {
            let settings = shares.settings(ofGroup: shared.key.group)
            let handout = try shared.handOut(.init(member: member, recordsMax: count, now: shares.nowMs, settings: settings), bytesMax: 1 << 20)
            shares.schedule(shared)
            return handout.pieces.map { [$0.first, $0.last, Int64($0.deliveries)] }
        }

        func give(_ shared: SharedPartition, _ first: Int64, _ last: Int64, _ type: Int8, _ member: String = "a") throws {
            let settings = shares.settings(ofGroup: shared.key.group)
            _ = try shared.acknowledge([.init(first: first, last: last, types: [type])], by: member, now: shares.nowMs, settings)
            try log.shareStatePartition?.flush()
            shares.changed(shared)
        }

        func advance(_ ms: Int64) {
            time.advance(byMs: ms)
            loop.advanceTime(by: .milliseconds(ms))
        }
    }

    private func node() throws -> Node {
        let node = try Node()
        try node.log.createTopic("t", partitions: 1, settings: ["retention.ms": "-1"])
        try node.set(["share.auto.offset.reset": "earliest"])
        return node
    }

    @Test func locksEndUnlessTheyAreRenewed() throws {
        let node = try node(), shared = try node.shared()
        try node.produce(4)
        #expect(try node.take(shared) == [[0, 3, 1]])
        node.advance(20_000)
        try node.give(shared, 2, 3, 4)
        node.advance(9_999)
        #expect(try node.take(shared, "b").isEmpty)
        node.advance(1)
        #expect(try node.take(shared, "b") == [[0, 1, 2]])
        node.advance(19_999)
        #expect(try node.take(shared, "b").isEmpty)
        node.advance(1)
        #expect(try node.take(shared, "b") == [[2, 3, 2]])
        #expect(throws: KafkaError.self) { try node.give(shared, 2, 2, 1) }
        try node.set(["share.renew.acknowledge.enable": "false"])
        #expect(throws: KafkaError.self) { try node.give(shared, 2, 2, 4, "b") }
    }

    @Test func whatWasAcknowledgedOutlivesThePower() throws {
        let node = try node()
        try node.produce(10)
        #expect(try node.take(node.shared()) == [[0, 9, 1]])
        try node.give(node.shared(), 0, 2, 1)
        try node.give(node.shared(), 5, 5, 3)
        try node.give(node.shared(), 6, 7, 2)
        try node.restart()
        #expect(try node.shares.groups == ["g"] && node.shares.partitions(group: "g") == [node.id()])
        #expect(try node.shares.summary(group: "g", partition: node.id()) == ShareSummary(startOffset: 3, leaderEpoch: 1, deliveryCompleteCount: 1))
        #expect(try node.take(node.shared()) == [[3, 4, 1], [6, 7, 2], [8, 9, 1]])
    }

    /// Snapshots, updates in between, and compaction that throws away what later ones replace.
    @Test func aLongHistoryIsKnownAfterCompaction() throws {
        let node = try node()
        try node.log.makeShareStatePartition().change(settings: TopicSettings(["cleanup.policy": "compact", "segment.bytes": "4000", "min.cleanable.dirty.ratio": "0.01"], defaults: .init()))
        try node.produce(1300)
        let shared = try node.shared()
        var left: Set<Int64> = []
        for round in 0..<1300 {
            let offset = Int64(round)
            let taken = try node.take(shared, "a", 1)
            #expect(taken == [[offset, offset, 1]])
            if round >= 1290 && round % 3 == 0 { left.insert(offset) } else { try node.give(shared, offset, offset, 1) }
            if round % 100 == 99 { node.log.maintain() }
        }
        try node.restart()
        #expect(try node.log.found("__share_group_state").startOffset == 0 && node.log.found("__share_group_state").rows().count < 1100, "it was compacted")
        var seen: Set<Int64> = []
        while case let pieces = try node.take(node.shared()), !pieces.isEmpty { for piece in pieces { seen.formUnion(piece[0]...piece[1]) } }
        #expect(seen == left)
    }

    @Test func aGroupBeginsWhereItIsTold() throws {
        let node = try node()
        try node.produce(3, timestamp: 1000)
        try node.produce(2, timestamp: 900_000)
        for (group, reset, start) in [("latest", "latest", Int64(5)), ("earliest", "earliest", 0), ("some", "by_duration:PT2M", 3), ("none", "by_duration:PT1S", 5)] {
            try node.set(["share.auto.offset.reset": reset], group)
            #expect(try node.shared(group).partition.startOffset == start, "\(group)")
        }
        #expect(try node.shared("unset").partition.startOffset == 5)
        // Before anybody reads, and it is known after a crash all the same once it is durable.
        try node.log.found("__share_group_state").flush()
        try node.produce(4, timestamp: 950_000)
        try node.restart()
        #expect(try node.shared("latest").partition.startOffset == 5)
    }

    @Test func anAdministratorMovesTheStart() throws {
        let node = try node()
        try node.produce(10)
        let shared = try node.shared()
        #expect(try node.take(shared) == [[0, 9, 1]])
        try node.shares.setStartOffsets(group: "g", [node.id(): 4, GroupPartition(topic: UUIDBytes(high: 1, low: 1), index: 0): 4])
        #expect(throws: KafkaError.self) { try node.give(shared, 5, 5, 1) }
        try node.restart()
        #expect(try node.take(node.shared()) == [[4, 9, 1]])
        try node.shares.setStartOffsets(group: "new", [node.id(): 8])
        try node.restart()
        #expect(try node.take(node.shared("new")) == [[8, 9, 1]])
    }

    @Test func recordsThatAreDeletedAreNotWaitedFor() throws {
        let node = try node()
        try node.produce(10)
        let shared = try node.shared()
        #expect(try node.take(shared, "a", 1) == [[0, 0, 1]])
        _ = try node.log.found("t").deleteRecords(before: 6)
        try node.give(shared, 0, 0, 1)
        #expect(try node.take(shared) == [[6, 9, 1]])
        _ = try node.log.found("t").deleteRecords(before: 10)
        #expect(shared.partition == SharePartition(startOffset: 10))
    }

    @Test func compactionLeavesGapsThatNobodyWaitsFor() throws {
        let node = try node()
        try node.log.createTopic("c", partitions: 1, settings: ["cleanup.policy": "compact", "segment.bytes": "300", "min.cleanable.dirty.ratio": "0.01"])
        let log = try node.log.found("c")
        for i in 0..<30 { try log.append(["v\(i)"], keys: ["k\(i % 3)"]) }
        try log.flush()
        let shared = try node.shared("g", "c")
        for piece in try node.take(shared) { try node.give(shared, piece[0], piece[1], 2) }
        #expect(shared.partition.endOffset > 0)
        node.log.maintain()
        let left = try log.rows().map(\.offset)
        #expect(left.count < 30)
        var got: [Int64] = []
        while case let pieces = try node.take(shared), !pieces.isEmpty { for piece in pieces { got += Array(piece[0]...piece[1]) } }
        #expect(got == left)
        for offset in left { try node.give(shared, offset, offset, 1) }
        #expect(shared.partition == SharePartition(startOffset: 30))
    }

    @Test func groupsAndTopicsGoWithTheirState() throws {
        let node = try node()
        try node.log.createTopic("u", partitions: 1, settings: ["retention.ms": "-1"])
        try node.produce(3)
        for group in ["g", "h"] {
            try node.set(["share.auto.offset.reset": "earliest"], group)
            #expect(try node.take(node.shared(group)) == [[0, 2, 1]])
            try node.give(node.shared(group), 0, 2, 1)
            _ = try node.shared(group, "u")
        }
        try node.shares.delete(group: "g", topic: node.id("t").topic)
        #expect(try node.shares.partitions(group: "g") == [node.id("u")])
        try node.shares.delete(group: "h")
        #expect(node.shares.groups == ["g"])
        try node.restart()
        #expect(try node.shares.groups == ["g"] && node.shares.partitions(group: "g") == [node.id("u")])
        #expect(try node.take(node.shared("h")) == [[0, 2, 1]], "a new group by the same name")
        let old = try node.shared("g", "u")
        try node.log.deleteTopic("u")
        #expect(node.shares.groups == ["h"])
        try node.log.createTopic("u", partitions: 1, settings: ["retention.ms": "-1"])
        #expect(try node.shared("g", "u") !== old)
        try node.log.deleteTopic("u")
        try node.restart(.kill)
        #expect(node.shares.groups == ["h"])
    }

    /// With durability `os` the power may take records whose acknowledgement is known: what comes in their place is not done with.
    @Test func recordsThatTheLogLostAreForgotten() throws {
        let node = try node()
        try node.produce(5)
        let shared = try node.shared()
        #expect(try node.take(shared) == [[0, 4, 1]])
        try node.give(shared, 1, 4, 1)
        var partition = shared.partition
        partition.cut(at: 3)
        #expect(partition.endOffset == 3 && partition.startOffset == 0)
        partition.cut(at: 0)
        #expect(partition == SharePartition(startOffset: 0))
    }

    @Test func nothingChangesWhereTheDiskIsFull() throws {
        let node = try node()
        try node.produce(3)
        let shared = try node.shared()
        #expect(try node.take(shared) == [[0, 2, 1]])
        node.disk.state.withLock { $0.capacity = $0.used }
        #expect(throws: KafkaError.self) { try node.give(shared, 0, 1, 1) }
        #expect(throws: KafkaError.self) { try node.shares.delete(group: "g") }
        node.disk.state.withLock { $0.capacity = .max }
        #expect(node.shares.groups == ["g"])
        try node.give(shared, 0, 1, 1)
        #expect(shared.partition.startOffset == 2)
    }

    /// Threads that take and give back at the same time, while records come.
    @Test func eachRecordIsAcceptedOnceHoweverManyWork() throws {
        let node = try node(), shared = try node.shared(), shares = node.shares, log = try node.log.found("t")
        let settings = shares.settings(ofGroup: "g"), count = 3000
        let accepted = Mutex<[Int64: Int]>([:]), given = Mutex(0), end = ContinuousClock.now + .seconds(60)
        let threads = try (0..<4).map { number in
            try WorkerThread("share-\(number)") {
                var random = SeededRandom(seed: UInt64(number))
                let member = "member-\(number)"
                // A test that would hang fails instead.
                while accepted.withLock(\.count) < count, ContinuousClock.now < end {
                    let wish = SharePartition.Wish(
                        member: member, recordsMax: Int64.random(in: 1...40, using: &random), isStrict: Bool.random(using: &random), now: 0, settings: settings)
                    guard let handout = try? shared.handOut(wish, bytesMax: 1 << 20) else { return }
                    for piece in handout.pieces {
                        let takes = Int.random(in: 0..<8, using: &random) > 0
                        guard takes else {
                            _ = shared.release(member, only: [piece])
                            continue
                        }
                        guard (try? shared.acknowledge([.init(first: piece.first, last: piece.last, types: [1])], by: member, now: 0, settings)) != nil else { return }
                        accepted.withLock { accepted in for offset in piece.first...piece.last { accepted[offset, default: 0] += 1 } }
                        given.withLock { $0 += Int(piece.count) }
                    }
                }
            }
        }
        for i in 0..<count / 10 {
            try log.append((0..<10).map { "v\(i).\($0)" })
            if i % 7 == 0 { try log.flush() }
        }
        try log.flush()
        for thread in threads { thread.join() }
        #expect(given.withLock { $0 } == count && accepted.withLock { $0.count } == count)
        #expect(shared.partition == SharePartition(startOffset: Int64(count)))
    }
}
