import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Members of share groups over the wire.
@Suite struct ShareHandlerTests {
    /// One member with its session.
    private final class Member {
        let client: TestClient
        let name: String
        let topic: UUIDBytes
        var epoch: Int32 = 0

        init(_ broker: TestBroker, _ name: String, topic: String = "t") throws {
            client = try broker.connect()
            self.name = name
            self.topic = broker.topicID(topic)
            let joined = try client.send(ShareGroupHeartbeatRequest(groupID: "g", memberID: name, memberEpoch: 0, topicNames: [topic]), 1)
            #expect(joined.error == .none)
        }

        func fetch(
            _ acknowledgements: [(Int64, Int64, [Int8])] = [], partitions: [Int32] = [0], waitMs: Int32 = 0, records: Int32 = 500, strict: Bool = false,
            version: Int16 = 2
        ) throws -> ShareFetchResponse {
            let request = ShareFetchRequest(
                groupID: "g", memberID: name, sessionEpoch: epoch, waitMsMax: waitMs, bytesMin: 1, bytesMax: 1 << 20, recordsMax: records, batchSize: 500,
                acquireMode: strict ? 1 : 0,
                topics: [
                    .init(
                        id: topic,
                        partitions: partitions.map {
                            .init(index: $0, acknowledgements: acknowledgements.map { .init(firstOffset: $0.0, lastOffset: $0.1, types: $0.2) })
                        })
                ])
            if epoch >= 0 { epoch += 1 }
            return try client.send(request, version)
        }

        func acknowledge(_ first: Int64, _ last: Int64, _ types: [Int8], renews: Bool = false, version: Int16 = 2) throws -> ShareAcknowledgeResponse {
            let request = ShareAcknowledgeRequest(
                groupID: "g", memberID: name, sessionEpoch: epoch, renews: renews,
                topics: [.init(id: topic, partitions: [.init(index: 0, acknowledgements: [.init(firstOffset: first, lastOffset: last, types: types)])])])
            if epoch >= 0 { epoch += 1 }
            return try client.send(request, version)
        }
    }

    private func run(_ body: (TestBroker) throws -> Void) throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            try broker.log.changeSettings(of: .group("g")) { (_) throws(KafkaError) in ["share.auto.offset.reset": "earliest"] }
            try body(broker)
        }
    }

    private func produce(_ broker: TestBroker, _ count: Int, partition: Int32 = 0) throws {
        let log = try broker.log.found("t", partition)
        for i in 0..<count { try log.append(["v\(i)"]) }
        try log.flush()
    }

    private func acquired(_ response: ShareFetchResponse) -> [[Int64]] {
        response.topics.flatMap { $0.partitions.flatMap { $0.acquired.map { [$0.firstOffset, $0.lastOffset, Int64($0.deliveryCount)] } } }
    }

    @Test(arguments: APIKey.shareFetch.versions) func recordsGoOutAndComeBack(_ version: Int16) throws {
        try run { broker in
            try produce(broker, 10)
            let a = try Member(broker, "a"), b = try Member(broker, "b")
            let first = try a.fetch(records: 4, version: version)
            #expect(first.error == .none && first.lockMs == 30_000 && acquired(first) == [[0, 3, 1]])
            let partition = try #require(first.topics.first?.partitions.first)
            var bytes = try #require(partition.records)
            let header = try #require(bytes.readableBytesView.withUnsafeBytes { BatchHeader($0) })
            #expect(header.baseOffset == 0 && first.topics[0].id == a.topic && bytes.readableBytes == 4 * header.sizeBytes)
            bytes.clear()
            #expect(try acquired(b.fetch(records: 100, version: version)) == [[4, 9, 1]])
            #expect(try acquired(b.fetch(version: version)).isEmpty)
            // Accepted, released, rejected, a gap; piggy-backed.
            let second = try a.fetch([(0, 3, [1, 2, 3, 0])], version: version)
            #expect(second.topics[0].partitions[0].acknowledgeError == .none && acquired(second) == [[1, 1, 2]])
            let done = try a.acknowledge(1, 1, [1], version: version)
            #expect(done.error == .none && done.topics[0].partitions[0].error == .none && done.lockMs == (version == 2 ? 30_000 : 0))
            #expect(try a.acknowledge(1, 1, [1], version: version).topics[0].partitions[0].error == .none, "it is behind the start")
            #expect(try a.acknowledge(4, 4, [1], version: version).topics[0].partitions[0].error == .invalidRecordState, "b has it")
            #expect(try b.acknowledge(4, 9, [1], version: version).topics[0].partitions[0].error == .none)
            #expect(broker.log.topic("__share_group_state")?.isInternal == true)
        }
    }

    @Test func aMemberWaitsForRecordsAndForThoseOfOthers() throws {
        try run { broker in
            let a = try Member(broker, "a"), b = try Member(broker, "b")
            #expect(try acquired(a.fetch()).isEmpty)
            #expect(try acquired(b.fetch()).isEmpty)
            let request = ShareFetchRequest(
                groupID: "g", memberID: "a", sessionEpoch: 1, waitMsMax: 20_000, bytesMin: 1, bytesMax: 1 << 20, recordsMax: 10, batchSize: 10)
            let waiting = try a.client.post(request, 2)
            try produce(broker, 1)
            let answer = try a.client.receive(ShareFetchRequest.self, 2, waiting)
            #expect(acquired(answer) == [[0, 0, 1]])
            // b waits until a gives it back.
            var mine = request
            mine.memberID = "b"
            let other = try b.client.post(mine, 2)
            a.epoch = 2
            #expect(try a.acknowledge(0, 0, [2]).topics[0].partitions[0].error == .none)
            #expect(try acquired(b.client.receive(ShareFetchRequest.self, 2, other)) == [[0, 0, 2]])
            // a waits until b is gone; it was not b's fault.
            mine = request
            mine.sessionEpoch = 3
            let last = try a.client.post(mine, 2)
            b.client.hangUp()
            #expect(try acquired(a.client.receive(ShareFetchRequest.self, 2, last)) == [[0, 0, 2]])
        }
    }

    @Test func aMemberWaitsUntilThereIsEnough() throws {
        try run { broker in
            let a = try Member(broker, "a")
            try produce(broker, 1)
            let size = try broker.log.found("t").sizeBytes
            let request = ShareFetchRequest(
                groupID: "g", memberID: "a", waitMsMax: 20_000, bytesMin: Int32(size * 3), bytesMax: 1 << 20, recordsMax: 10, batchSize: 10,
                topics: [.init(id: a.topic, partitions: [.init(index: 0)])])
            let waiting = try a.client.post(request, 2)
            try produce(broker, 1)
            try produce(broker, 1)
            #expect(try acquired(a.client.receive(ShareFetchRequest.self, 2, waiting)) == [[0, 2, 1]])
            // What is there when the time is up is better than nothing.
            try produce(broker, 1)
            var next = request
            (next.sessionEpoch, next.waitMsMax, next.topics) = (1, 50, [])
            #expect(try acquired(a.client.send(next, 2)) == [[3, 3, 1]])
        }
    }

    @Test func sessionsBeginGoOnAndEnd() throws {
        try run { broker in
            try produce(broker, 3)
            let a = try Member(broker, "a"), b = try Member(broker, "b")
            a.epoch = 5
            #expect(try a.fetch().error == .shareSessionNotFound)
            a.epoch = 1
            #expect(try a.acknowledge(0, 0, [1]).error == .shareSessionNotFound)
            a.epoch = 0
            #expect(try a.fetch([(0, 0, [1])]).error == .invalidRequest, "nothing is acknowledged at the beginning")
            a.epoch = 0
            #expect(try acquired(a.fetch(records: 1)) == [[0, 0, 1]])
            a.epoch = 7
            #expect(try a.fetch().error == .invalidShareSessionEpoch)
            a.epoch = 0
            #expect(try a.acknowledge(0, 0, [1]).error == .invalidShareSessionEpoch)
            a.epoch = 1
            #expect(try acquired(a.fetch(records: 1)) == [[1, 1, 1]])
            // The end takes the acknowledgements and gives the rest back.
            a.epoch = -1
            let end = try a.acknowledge(0, 0, [1])
            #expect(end.error == .none && end.topics[0].partitions[0].error == .none)
            #expect(try a.acknowledge(1, 1, [1]).error == .shareSessionNotFound)
            #expect(try acquired(b.fetch()) == [[1, 2, 1]])
        }
    }

    @Test func badRequestsAreRefused() throws {
        try run { broker in
            try produce(broker, 5)
            let a = try Member(broker, "a")
            let stranger = ShareFetchRequest(
                groupID: "unheard", memberID: "a", bytesMax: 1 << 20, recordsMax: 1, batchSize: 1, topics: [.init(id: a.topic, partitions: [.init()])])
            #expect(try a.client.send(stranger, 2).topics[0].partitions[0].error == .unknownTopicOrPartition, "nobody was told to read it")
            #expect(try acquired(a.fetch()) == [[0, 4, 1]])
            for (first, last, types) in [(Int64(3), Int64(2), [Int8(1)]), (0, 2, [1, 1]), (0, 0, [7]), (0, 0, []), (0, 0, [4])] {
                #expect(try a.acknowledge(first, last, types).topics[0].partitions[0].error == .invalidRequest, "\(first) \(last) \(types)")
            }
            #expect(try a.acknowledge(0, 99, [1]).topics[0].partitions[0].error == .invalidRecordState)
            #expect(try a.acknowledge(0, 0, [4], renews: true).topics[0].partitions[0].error == .none)
            let unknown = ShareFetchRequest(
                groupID: "g", memberID: "a", sessionEpoch: a.epoch, bytesMax: 1 << 20, recordsMax: 1, batchSize: 1,
                topics: [.init(id: UUIDBytes(high: 9, low: 9), partitions: [.init(index: 0)]), .init(id: a.topic, partitions: [.init(index: 9)])])
            let answer = try a.client.send(unknown, 2)
            #expect(answer.error == .none && Set(answer.topics.flatMap { $0.partitions.map(\.error) }) == [.unknownTopicID, .unknownTopicOrPartition])
            var nobody = unknown
            nobody.memberID = ""
            #expect(try a.client.send(nobody, 2).error == .invalidRequest)
            nobody.groupID = nil
            #expect(try a.client.send(nobody, 2).error == .invalidRequest)
            var strange = unknown
            strange.acquireMode = 2
            #expect(try a.client.send(strange, 2).error == .invalidRequest)
            var renewing = unknown
            (renewing.sessionEpoch, renewing.renews) = (a.epoch + 1, true)
            #expect(try a.client.send(renewing, 2).error == .invalidRequest)
        }
    }

    @Test func neverMoreThanAskedForWhereThatIsAsked() throws {
        try run { broker in
            let log = try broker.log.found("t")
            try log.append((0..<50).map { "v\($0)" }, codec: .zstd)
            try log.flush()
            let a = try Member(broker, "a"), b = try Member(broker, "b")
            #expect(try acquired(a.fetch(records: 7, strict: true)) == [[0, 6, 1]])
            let rest = try b.fetch(records: 7)
            #expect(acquired(rest) == [[7, 49, 1]], "a batch comes whole")
            #expect((rest.topics[0].partitions[0].records?.readableBytes ?? 0) == Int(log.sizeBytes), "as it lies in the log")
        }
    }

    /// What is rolled back is for nobody, and markers are for nobody.
    @Test func transactionsAreSeenAsTheGroupWants() throws {
        try run { broker in
            try broker.log.changeSettings(of: .group("g")) { (_) throws(KafkaError) in
                ["share.auto.offset.reset": "earliest", "share.isolation.level": "read_committed"]
            }
            let log = try broker.log.found("t")
            func begin(_ id: String) throws -> (id: Int64, epoch: Int16) {
                let producer = try broker.log.transactions.initProducerID(transactionalID: id, timeoutMs: 60_000)
                _ = try broker.log.transactions.addPartitions(transactionalID: id, producerID: producer.id, epoch: producer.epoch, [log.id])
                return producer
            }
            let one = try begin("one"), two = try begin("two")
            try log.append(client: clientBatch(["a", "b"], producerID: one.id, epoch: one.epoch, sequence: 0, isTransactional: true))
            try log.append(client: clientBatch(["c"], producerID: two.id, epoch: two.epoch, sequence: 0, isTransactional: true))
            try log.append(["d"])
            try log.flush()
            let a = try Member(broker, "a")
            #expect(try acquired(a.fetch()).isEmpty, "nothing is decided")
            try broker.log.transactions.end(transactionalID: "one", producerID: one.id, epoch: one.epoch, commit: false)
            try broker.log.transactions.end(transactionalID: "two", producerID: two.id, epoch: two.epoch, commit: true)
            #expect(try acquired(a.fetch()) == [[2, 3, 1]])
            #expect(try a.acknowledge(2, 3, [1]).topics[0].partitions[0].error == .none)
            #expect(try acquired(a.fetch()).isEmpty)
        }
    }
}
