import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Incremental fetch sessions and topic ids, over the wire and as a law: what a session's answers add up to is what full fetches say.
@Suite struct FetchSessionTests {
    private static func fetch(
        _ client: TestClient, session: Int32, epoch: Int32, _ topics: [FetchRequest.Topic] = [], forgotten: [FetchRequest.ForgottenTopic] = [],
        version: Int16 = 12, bytesMax: Int32 = 1 << 20
    ) throws -> FetchResponse {
        try client.send(
            FetchRequest(
                waitMsMax: 0, bytesMax: bytesMax, sessionID: session, sessionEpoch: epoch, topics: topics, forgottenTopics: forgotten), version)
    }

    private static func partitions(_ indexes: ClosedRange<Int32>, from offset: Int64 = 0) -> [FetchRequest.Partition] {
        indexes.map { .init(index: $0, fetchOffset: offset, bytesMax: 1 << 20) }
    }

    private static func produce(_ client: TestClient, _ topic: String, _ index: Int32) throws {
        let answer = try client.send(
            ProduceRequest(topics: [.init(name: topic, partitions: [.init(index: index, records: batch("v"))])]), 9)
        #expect(answer.topics[0].partitions[0].error == .none)
    }

    @Test func onlyPartitionsWithNewsAreAnswered() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 3, settings: [:])
            let client = try broker.connect()
            let first = try Self.fetch(client, session: 0, epoch: 0, [.init(name: "t", partitions: Self.partitions(0...2))])
            #expect(first.error == .none && first.sessionID != 0 && first.topics[0].partitions.count == 3)
            let id = first.sessionID
            let quiet = try Self.fetch(client, session: id, epoch: 1)
            #expect(quiet.sessionID == id && quiet.topics.isEmpty)
            try Self.produce(client, "t", 1)
            let news = try Self.fetch(client, session: id, epoch: 2)
            #expect(news.topics.flatMap(\.partitions).map(\.index) == [1] && news.topics[0].partitions[0].recordBytes > 0)
            // The position moves on, partition 2 is forgotten.
            let moved = try Self.fetch(
                client, session: id, epoch: 3, [.init(name: "t", partitions: [.init(index: 1, fetchOffset: 1, bytesMax: 1 << 20)])],
                forgotten: [.init(name: "t", partitions: [2])])
            #expect(moved.topics.isEmpty)
            try Self.produce(client, "t", 2)
            #expect(try Self.fetch(client, session: id, epoch: 4).topics.isEmpty)
            // An error is told each time.
            let outside = FetchRequest.Partition(index: 0, fetchOffset: 99, bytesMax: 1)
            let wrong = try Self.fetch(client, session: id, epoch: 5, [.init(name: "t", partitions: [outside])])
            #expect(wrong.topics[0].partitions[0].error == .offsetOutOfRange)
            #expect(try Self.fetch(client, session: id, epoch: 6).topics[0].partitions[0].error == .offsetOutOfRange)
            // Epoch −1 ends it with a full answer.
            let last = try Self.fetch(client, session: id, epoch: -1, [.init(name: "t", partitions: Self.partitions(0...0))])
            #expect(last.sessionID == 0 && last.topics[0].partitions.count == 1)
            #expect(try Self.fetch(client, session: id, epoch: 7).error == .fetchSessionIDNotFound)
        }
    }

    /// Clients refuse an answer that is larger than what they allowed: only the first batch may be (KIP-74).
    @Test func onlyTheFirstBatchMayBeTooLarge() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let client = try broker.connect()
            for index in 0...1 { try Self.produce(client, "t", Int32(index)) }
            func sizes(_ order: [Int32], most: Int32) throws -> [Int] {
                let partitions = order.map { FetchRequest.Partition(index: $0, fetchOffset: 0, bytesMax: 1 << 20) }
                let answer = try Self.fetch(client, session: 0, epoch: -1, [.init(name: "t", partitions: partitions)], bytesMax: most)
                return answer.topics[0].partitions.map { $0.recordBytes }
            }
            let whole = try sizes([0, 1], most: 1 << 20), one = Int32(whole[0])
            #expect(whole == [Int(one), Int(one)] && one > 0)
            #expect(try sizes([0, 1], most: 2 * one) == whole)
            for most in [1, one, one + 1, 2 * one - 1] {
                #expect(try sizes([0, 1], most: most) == [Int(one), 0], "\(most)")
                #expect(try sizes([1, 0], most: most) == [Int(one), 0], "\(most)")
            }
        }
    }

    @Test func wrongSessionsAndEpochsAreRefused() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            #expect(try Self.fetch(client, session: 77, epoch: 1).error == .fetchSessionIDNotFound)
            #expect(try Self.fetch(client, session: 0, epoch: -2).error == .invalidFetchSessionEpoch)
            let id = try Self.fetch(client, session: 0, epoch: 0, [.init(name: "t", partitions: Self.partitions(0...0))]).sessionID
            #expect(try Self.fetch(client, session: id, epoch: 2).error == .invalidFetchSessionEpoch)
            #expect(try Self.fetch(client, session: id, epoch: 1, version: 13).error == .fetchSessionTopicIDError)
            #expect(try Self.fetch(client, session: id, epoch: 1).error == .none)
        }
    }

    @Test func topicsAreReadByIDAndADeletedOneIsUnknown() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect(), id = broker.topicID("t")
            try Self.produce(client, "t", 0)
            let first = try Self.fetch(client, session: 0, epoch: 0, [.init(id: id, partitions: Self.partitions(0...0))], version: 17)
            #expect(first.topics[0].id == id && first.topics[0].partitions[0].recordBytes > 0)
            let session = first.sessionID
            try broker.log.deleteTopic("t")
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            #expect(try Self.fetch(client, session: session, epoch: 1, version: 17).topics[0].partitions[0].error == .unknownTopicID)
            let sent = try client.send(ProduceRequest(topics: [.init(id: id, partitions: [.init(index: 0, records: batch("v"))])]), 13)
            #expect(sent.topics[0].id == id && sent.topics[0].partitions[0].error == .unknownTopicID)
            let metadata = try client.send(MetadataRequest(topics: [.init(id: id), .init(id: broker.topicID("t"))]), 13)
            #expect(metadata.topics.map(\.error) == [.unknownTopicID, .none] && metadata.topics[1].name == "t")
            let commit = try client.send(
                OffsetCommitRequest(
                    groupID: "g",
                    topics: [
                        .init(id: id, partitions: [.init(index: 0, offset: 1)]),
                        .init(id: broker.topicID("t"), partitions: [.init(index: 0, offset: 5)]),
                    ]), 10)
            #expect(commit.topics.map { $0.partitions[0].error } == [.unknownTopicID, .none])
            for topics in [nil, [OffsetFetchRequest.Topic(id: broker.topicID("t"), partitions: [0])]] {
                let fetched = try client.send(OffsetFetchRequest(groups: [.init(groupID: "g", topics: topics)]), 10).groups[0]
                #expect(fetched.topics.map(\.id) == [broker.topicID("t")] && fetched.topics[0].partitions[0].offset == 5)
            }
        }
    }

    /// Two partitions with much to read and room for one: each gets its turn.
    @Test func aFullAnswerDoesNotStarveTheOthers() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 3, settings: [:])
            let client = try broker.connect()
            for index: Int32 in 0...2 { for _ in 0..<3 { try Self.produce(client, "t", index) } }
            var served: [Int32] = []
            var answer = try Self.fetch(client, session: 0, epoch: 0, [.init(name: "t", partitions: Self.partitions(0...2))], bytesMax: 1)
            for epoch: Int32 in 1...6 {
                served += answer.topics.flatMap(\.partitions).filter { $0.recordBytes > 0 }.map(\.index)
                answer = try Self.fetch(client, session: answer.sessionID, epoch: epoch, bytesMax: 1)
            }
            #expect(served == [0, 1, 2, 0, 1, 2])
        }
    }

    /// However little fits into an answer, and whatever else the client changes: as long as it reads on, a partition with records is not passed over
    /// for longer than it takes to serve every other one once.
    @Test func nobodyStarves() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            withSeeds(12) { seed, random in
                let name = "t\(seed)", count = Int32.random(in: 2...9, using: &random)
                try broker.log.createTopic(name, partitions: count)
                for index in 0..<count {
                    let log = try #require(broker.log.partition(TopicPartition(name, index)))
                    for i in 0..<40 {
                        let value = "\(i)" + String(repeating: "x", count: Int.random(in: 0...200, using: &random))
                        _ = try log.append(batch(value), requiredAcks: 1, version: 9)
                    }
                    try log.flush()
                }
                var offsets = [Int64](repeating: 0, count: Int(count)), waited = [Int](repeating: 0, count: Int(count))
                let most = Int32.random(in: 1...700, using: &random)
                var session: Int32 = 0, changed = Set(0..<count)
                for epoch: Int32 in 0..<60 {
                    let partitions = changed.sorted().map { FetchRequest.Partition(index: $0, fetchOffset: offsets[Int($0)], bytesMax: 1 << 20) }
                    let answer = try Self.fetch(
                        client, session: session, epoch: epoch, partitions.isEmpty ? [] : [.init(name: name, partitions: partitions)], bytesMax: most)
                    #expect(answer.error == .none)
                    session = answer.sessionID
                    changed = []
                    for index in waited.indices where offsets[index] < 40 { waited[index] += 1 }
                    for partition in answer.topics.flatMap(\.partitions) where partition.records.map({ $0.readableBytes > 0 }) == true {
                        // How far it goes: last offset delta of the first batch is 0 here, so each batch is one record.
                        var rest = Array(partition.records?.readableBytesView ?? ByteBufferView())[...], records: Int64 = 0
                        while !rest.isEmpty {
                            rest = rest.dropFirst(rest.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 8, as: Int32.self).bigEndian) } + 12)
                            records += 1
                        }
                        let index = Int(partition.index)
                        waited[index] = 0
                        // Now and then a client is slow and asks again for what it got.
                        if Int.random(in: 0..<5, using: &random) > 0 { offsets[index] += records }
                        changed.insert(partition.index)
                    }
                    #expect(waited.allSatisfy { $0 < count }, "seed \(seed), epoch \(epoch): \(waited)")
                }
            }
        }
    }

    @Test func sessionsAreBounded() throws {
        let sessions = FetchSessions(sessionsMax: 2)
        func open(_ nowMs: Int64) throws -> Int32 {
            let request = FetchRequest(sessionEpoch: 0, topics: [.init(name: "t", partitions: Self.partitions(0...0))])
            return try sessions.reading(request, usesTopicIDs: false, nowMs: nowMs).told(FetchResponse()).sessionID
        }
        let first = try open(0), second = try open(1000)
        #expect(first != 0 && second != 0 && first != second)
        #expect(try open(FetchSessions.silenceMsMax) == 0)
        #expect(try open(FetchSessions.silenceMsMax + 1) != 0)
        #expect(sessions.count == 2)
        #expect(throws: KafkaError.self) { try sessions.reading(FetchRequest(sessionID: first, sessionEpoch: 1), usesTopicIDs: false, nowMs: 1) }
    }

    @Test func slowReadersTogetherGetSmallAnswers() {
        let bytes = AnswerBytes(most: 100 << 20)
        #expect(bytes.allowance(1 << 20) == 1 << 20)
        bytes.add(98 << 20)
        #expect(bytes.allowance(1 << 20) == 1 << 19)
        bytes.add(50 << 20)
        #expect(bytes.allowance(1 << 20) == 1 << 16)
        bytes.remove(148 << 20)
        #expect(bytes.count == 0)
    }
}
