import MartletCore
import NIOCore
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@testable import MartletLog

/// What a broker and its log say of themselves is what was done.
@Suite struct StatisticsTests {
    @Test func requestsAndWhatTheyMoved() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2)
            let client = try broker.connect()
            let records = batch("hello")
            for _ in 0..<3 {
                _ = try client.send(ProduceRequest(acks: -1, topics: [.init(name: "t", partitions: [.init(index: 1, records: records)])]), 9)
            }
            _ = try client.send(ProduceRequest(acks: 1, topics: [.init(name: "missing", partitions: [.init(index: 0, records: records)])]), 9)
            let size = records.readableBytes
            // The first answer has room for one batch, the second for the others; a look at nothing sends nothing.
            for (offset, most) in [(0, size), (1, size * 5), (3, 100)] {
                _ = try client.send(
                    FetchRequest(waitMsMax: 0, topics: [.init(name: "t", partitions: [.init(index: 1, fetchOffset: Int64(offset), bytesMax: Int32(most))])]), 12)
            }
            let statistics = broker.statistics, log = broker.log.statistics
            let requests = Dictionary(uniqueKeysWithValues: statistics.requests.map { ($0.api, $0) })
            #expect(Set(requests.keys) == ["Produce", "Fetch"])
            #expect(requests["Produce"]?.seconds.count == 4 && requests["Produce"]?.errors == [.init(name: "UNKNOWN_TOPIC_OR_PARTITION", count: 1)])
            #expect(requests["Fetch"]?.seconds.count == 3 && requests["Fetch"]?.errors == [])
            #expect((requests["Produce"]?.seconds.sum ?? 0) > 0)
            let partition = log.partitions.first { $0.id == TopicPartition("t", 1) }
            #expect(partition?.appendedRecords == 3 && partition?.appendedBytes == Int64(3 * size))
            #expect(partition?.sentRecords == 3 && partition?.sentBytes == Int64(3 * size))
            #expect(partition?.endOffset == 3 && partition?.highWatermark == 3 && partition?.sizeBytes == Int64(3 * size) && partition?.segments == 1)
            #expect(log.partitions.map(\.id).filter { $0.topic == "t" }.map(\.partition) == [0, 1])
            #expect(log.topics == broker.log.topics.count)
            #expect((log.diskFreeBytes ?? 0) > 0 && (log.diskBytes ?? 0) >= (log.diskFreeBytes ?? .max))
        }
    }

    /// A fetch waits until there is something, or its client is gone; nothing is left over.
    @Test func whatWaits() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 3)
            let request = FetchRequest(
                waitMsMax: 20_000, topics: [.init(name: "t", partitions: (0..<3).map { .init(index: $0, bytesMax: 1000) })])
            func wait(for count: Int) { while broker.statistics.delayedFetches != count { sched_yield() } }
            let reader = try broker.connect(), other = try broker.connect(), writer = try broker.connect()
            let correlation = try reader.post(request, 12)
            _ = try other.post(request, 12)
            wait(for: 2)
            other.hangUp()
            wait(for: 1)
            _ = try writer.send(ProduceRequest(acks: 1, topics: [.init(name: "t", partitions: [.init(index: 2, records: batch("x"))])]), 9)
            #expect(try reader.receive(FetchRequest.self, 12, correlation).topics.count == 1)
            wait(for: 0)
            #expect(broker.waitingFetches == 0)
            // The socket has taken the answers, sooner or later.
            while broker.statistics.unsentBytes != 0 { sched_yield() }
        }
    }

    /// One sync for what was appended while the one before ran: the records add up.
    @Test func syncsAndWhatTheyMadeDurable() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t")
        let before = log.statistics
        for count in [1, 5, 20] {
            for i in 0..<count { try partition.append(["\(i)"]) }
            try partition.flush()
            try partition.flush()
        }
        let after = log.statistics
        let syncs = after.syncSeconds.count - before.syncSeconds.count
        #expect((3...26).contains(syncs) && (3...syncs).contains(after.syncRecords.count - before.syncRecords.count))
        #expect(after.syncRecords.sum - before.syncRecords.sum == 26)
    }

    @Test func transactionsAndOffsets() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        _ = try log.made("t")
        let id = TopicPartition("t", 0)
        #expect(log.statistics.transactions == .init())
        let producer = try log.transactions.initProducerID(transactionalID: "x", timeoutMs: 10_000)
        func begin() throws { _ = try log.transactions.addPartitions(transactionalID: "x", producerID: producer.id, epoch: producer.epoch, [id]) }
        try begin()
        time.advance(byMs: 2500)
        var seen = log.statistics.transactions
        #expect(seen.open == 1 && seen.ids == 1 && seen.oldestOpenSeconds == 2.5)
        try log.transactions.end(transactionalID: "x", producerID: producer.id, epoch: producer.epoch, commit: true)
        try begin()
        try log.transactions.end(transactionalID: "x", producerID: producer.id, epoch: producer.epoch, commit: false)
        try begin()
        time.advance(byMs: 60_000)
        log.transactions.abortExpired()
        seen = log.statistics.transactions
        #expect(seen.open == 0 && seen.oldestOpenSeconds == 0)
        #expect(seen.committed == 1 && seen.aborted == 2 && seen.timedOut == 1)
        try log.groupOffsets.commit(group: "g", [id: CommittedOffset(offset: 7)])
        #expect(log.statistics.committed == [.init(group: "g", partition: id, offset: 7)])
    }
}
