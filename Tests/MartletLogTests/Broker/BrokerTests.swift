import Logging
import MartletCore
import NIOCore
import NIOPosix
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The broker over a real socket on a free loopback port, with a data directory of its own.
@Suite struct BrokerTests {
    @Test func producesAndFetchesTheSameBytesInEveryVersion() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            var next: Int64 = 0
            let id = broker.topicID("t")
            for version in APIKey.produce.versions {
                for acks: Int16 in [1, -1] {
                    let answer = try client.send(
                        ProduceRequest(acks: acks, topics: [.init(name: "t", id: id, partitions: [.init(index: 0, records: batch("v\(version)"))])]),
                        version)
                    #expect(answer.topics[0].partitions[0].error == .none)
                    #expect(answer.topics[0].partitions[0].baseOffset == next)
                    next += 1
                }
            }
            for version in APIKey.fetch.versions {
                let answer = try client.send(
                    FetchRequest(topics: [.init(name: "t", id: id, partitions: [.init(index: 0, fetchOffset: 0, bytesMax: 1 << 20)])]), version)
                let partition = answer.topics[0].partitions[0]
                #expect(partition.error == .none && partition.highWatermark == next)
                let slice = try broker.log.partition(TopicPartition("t", 0))?.read(from: 0, maxBytes: 1 << 20, isolation: .readUncommitted)
                #expect(partition.records == slice?.bytes && partition.recordBytes > 0)
            }
        }
    }

    @Test func aLongPollEndsWithTheFirstRecordAndNotBefore() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let consumer = try broker.connect(), producer = try broker.connect()
            let correlation = try consumer.post(
                FetchRequest(
                    waitMsMax: 60_000,
                    topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1 << 20), .init(index: 1, bytesMax: 1 << 20)])]), 12)
            while broker.waitingFetches == 0 { sched_yield() }
            _ = try producer.send(
                ProduceRequest(acks: 1, topics: [.init(name: "t", partitions: [.init(index: 1, records: batch("x"))])]), 9)
            let answer = try consumer.receive(FetchRequest.self, 12, correlation)
            #expect(answer.topics[0].partitions[0].recordBytes == 0)
            #expect(answer.topics[0].partitions[1].recordBytes > 0)
            #expect(broker.waitingFetches == 0)
        }
    }

    @Test func aLongPollWithNothingToTellEndsWithItsTime() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let answer = try client.send(
                FetchRequest(waitMsMax: 30, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
            #expect(answer.topics[0].partitions[0].error == .none && answer.topics[0].partitions[0].recordBytes == 0)
        }
    }

    @Test func aLongPollOnADeletedTopicEnds() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let correlation = try client.post(
                FetchRequest(waitMsMax: 60_000, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
            while broker.waitingFetches == 0 { sched_yield() }
            try broker.log.deleteTopic("t")
            #expect(try client.receive(FetchRequest.self, 12, correlation).topics[0].partitions[0].error == .unknownTopicOrPartition)
        }
    }

    @Test func aLongPollOfAClientThatIsGoneIsForgotten() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            do {
                let client = try broker.connect()
                _ = try client.post(
                    FetchRequest(waitMsMax: 60_000, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
                while broker.waitingFetches == 0 { sched_yield() }
                client.hangUp()
            }
            while broker.waitingFetches > 0 { sched_yield() }
        }
    }

    @Test func fetchKeepsToItsByteLimitsButSendsOneBatch() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let client = try broker.connect()
            for partition: Int32 in [0, 1] {
                for _ in 0..<5 {
                    _ = try client.send(
                        ProduceRequest(
                            topics: [.init(name: "t", partitions: [.init(index: partition, records: batch(String(repeating: "x", count: 1000)))])]),
                        9)
                }
            }
            func sizes(total: Int32, each: Int32) throws -> [Int] {
                try client.send(
                    FetchRequest(
                        bytesMax: total,
                        topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: each), .init(index: 1, bytesMax: each)])]), 12
                ).topics[0].partitions.map { ($0.recordBytes) / 1000 }
            }
            #expect(try sizes(total: 1, each: 1 << 20) == [1, 0])
            #expect(try sizes(total: 1 << 20, each: 1) == [1, 1])
            #expect(try sizes(total: 1 << 20, each: 1 << 20) == [5, 5])
        }
    }

    @Test func anOffsetOutOfRangeIsToldAtOnce() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for offset: Int64 in [-5, 1, 99] {
                let answer = try client.send(
                    FetchRequest(
                        waitMsMax: 60_000, topics: [.init(name: "t", partitions: [.init(index: 0, fetchOffset: offset, bytesMax: 1)])]), 12)
                #expect(answer.topics[0].partitions[0].error == .offsetOutOfRange)
            }
            let unknown = try client.send(
                FetchRequest(waitMsMax: 60_000, topics: [.init(name: "u", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
            #expect(unknown.topics[0].partitions[0].error == .unknownTopicOrPartition)
        }
    }

    @Test func metadataTellsWhereWeAreAndCreatesTopicsOnUse() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            for version in APIKey.metadata.versions {
                let name = "made-by-\(version)"
                let answer = try client.send(MetadataRequest(topics: [.init(name: name)]), version)
                #expect(answer.brokers.map(\.port) == [Int32(broker.port)] && answer.brokers.map(\.host) == ["127.0.0.1"])
                #expect(answer.topics.map(\.error) == [KafkaErrorCode.none] && answer.topics[0].partitions.count == 1)
                let refused = try client.send(MetadataRequest(topics: [.init(name: "no spaces")]), version)
                #expect(refused.topics.map(\.error) == [.invalidTopicException])
                if version >= 4 {
                    let unknown = try client.send(MetadataRequest(topics: [.init(name: "other")], allowsTopicCreation: false), version)
                    #expect(unknown.topics.map(\.error) == [.unknownTopicOrPartition])
                }
                if version >= 10 {
                    #expect(answer.topics[0].id != .zero)
                    let byID = try client.send(MetadataRequest(topics: [.init(id: answer.topics[0].id)]), 12)
                    #expect(byID.topics.map(\.name) == [name])
                }
            }
            #expect(try client.send(MetadataRequest(topics: nil), 9).topics.count >= 13)
        }
    }

    @Test func aVersionOfTheFutureIsAnsweredInVersion0() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            var frame = try Frame.request(ApiVersionsRequest(), version: 4, correlationID: 9, clientID: "future").joined
            frame.setInteger(Int16(99), at: 6)
            try client.write(frame)
            let answer = try client.receive(ApiVersionsRequest.self, 0, 9)
            #expect(answer.error == .unsupportedVersion && answer.apis.count == APIKey.allCases.count)
        }
    }

    @Test func aMalformedFrameClosesItsConnectionAndNoOther() throws {
        try TestBroker.run { broker in
            let good = try broker.connect()
            let frames: [[UInt8]] = [
                [0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 2, 1, 2],
                [0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],  // unknown API
                [0, 0, 0, 10, 0, 3, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff],  // unknown version
                [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],  // an array larger than the frame
            ]
            for frame in frames {
                let bad = try broker.connect()
                try bad.write(ByteBuffer(bytes: frame))
                #expect(bad.isClosedByPeer)
                #expect(try good.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3).error == .none)
            }
        }
    }

    /// Requests that wait (fetch) and such that don't, all written before anything is read.
    @Test func answersComeInTheOrderOfRequests() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for round in 0..<20 {
                let fetch = try client.post(
                    FetchRequest(waitMsMax: 5, topics: [.init(name: "t", partitions: [.init(index: 0, fetchOffset: Int64(round), bytesMax: 1)])]),
                    12)
                let produce = try client.post(
                    ProduceRequest(topics: [.init(name: "t", partitions: [.init(index: 0, records: batch("\(round)"))])]), 9)
                let versions = try client.post(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3)
                #expect(try client.receive(FetchRequest.self, 12, fetch).topics.count == 1)
                #expect(try client.receive(ProduceRequest.self, 9, produce).topics[0].partitions[0].baseOffset == Int64(round))
                #expect(try client.receive(ApiVersionsRequest.self, 3, versions).error == .none)
            }
        }
    }

    @Test func acksZeroIsNotAnsweredAndKeepsTheOrder() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for round in 0..<10 {
                _ = try client.post(
                    ProduceRequest(acks: 0, topics: [.init(name: "t", partitions: [.init(index: 0, records: batch("\(round)"))])]), 9)
            }
            let last = try client.send(ProduceRequest(topics: [.init(name: "t", partitions: [.init(index: 0, records: batch("last"))])]), 9)
            #expect(last.topics[0].partitions[0].baseOffset == 10)
        }
    }

    @Test func produceIsRefusedWithAReason() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            func error(_ records: ByteBuffer?, topic: String = "t", partition: Int32 = 0, acks: Int16 = -1) throws -> KafkaErrorCode {
                try client.send(
                    ProduceRequest(acks: acks, topics: [.init(name: topic, partitions: [.init(index: partition, records: records)])]), 9
                ).topics[0].partitions[0].error
            }
            var damaged = batch("x")
            damaged.setInteger(UInt8(0xff), at: damaged.writerIndex - 1)
            #expect(try error(damaged) == .corruptMessage)
            #expect(try error(batch("x"), topic: "u") == .unknownTopicOrPartition)
            #expect(try error(batch("x"), partition: 7) == .unknownTopicOrPartition)
            #expect(try error(batch("x"), acks: 2) == .invalidRequiredAcks)
            #expect(try error(nil) == .invalidRecord)
            #expect(try error(batch("x")) == KafkaErrorCode.none)
        }
    }

    @Test func twoMembersShareAGroupOverTheWire() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let one = try broker.connect(), two = try broker.connect()
            func join(_ memberID: String) -> JoinGroupRequest {
                JoinGroupRequest(
                    groupID: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberID: memberID, protocolType: "consumer",
                    protocols: [.init(name: "range", metadata: [1])])
            }
            let first = try one.send(join(""), 9)
            #expect(first.error == .memberIDRequired && !first.memberID.isEmpty)
            let joined = try one.send(join(first.memberID), 9)
            #expect(joined.error == .none && joined.leaderID == first.memberID)
            let synced = try one.send(
                SyncGroupRequest(
                    groupID: "g", generation: 1, memberID: first.memberID, protocolType: "consumer", protocolName: "range",
                    assignments: [.init(memberID: first.memberID, assignment: [9])]), 5)
            #expect(synced.assignment == [9])

            let second = try two.send(join(""), 9).memberID
            let waiting = try two.post(join(second), 9)
            var heartbeat = KafkaErrorCode.none
            while heartbeat == .none {
                heartbeat = try one.send(HeartbeatRequest(groupID: "g", generation: 1, memberID: first.memberID), 4).error
            }
            #expect(heartbeat == .rebalanceInProgress)
            let again = try one.send(join(first.memberID), 9)
            #expect(again.generation == 2 && again.members.count == 2)
            #expect(try two.receive(JoinGroupRequest.self, 9, waiting).generation == 2)

            func commit(_ generation: Int32) throws -> KafkaErrorCode {
                try one.send(
                    OffsetCommitRequest(
                        groupID: "g", generation: generation, memberID: first.memberID,
                        topics: [.init(name: "t", partitions: [.init(index: 0, offset: 5, metadata: "m")])]), 8
                ).topics[0].partitions[0].error
            }
            #expect(try commit(1) == .illegalGeneration)
            #expect(try commit(2) == .rebalanceInProgress, "not before the leader has assigned")
            _ = try one.send(SyncGroupRequest(groupID: "g", generation: 2, memberID: first.memberID), 5)
            #expect(try commit(2) == KafkaErrorCode.none)
            for version in APIKey.offsetFetch.versions {
                let fetched = try one.send(
                    OffsetFetchRequest(groups: [
                        .init(groupID: "g", topics: [.init(name: "t", id: broker.topicID("t"), partitions: [0, 3])])
                    ]), version)
                #expect(fetched.groups[0].topics[0].partitions.map(\.offset) == [5, -1])
            }
            let left = try one.send(LeaveGroupRequest(groupID: "g", members: [.init(memberID: first.memberID), .init(memberID: "x")]), 5)
            #expect(left.members.map(\.error) == [.none, .unknownMemberID])
        }
    }

    @Test func silentConnectionsEndAndTooManyAreRefused() throws {
        var limits = BrokerConfig()
        limits.idleMsMax = 300
        limits.connectionsMax = 3
        try TestBroker.run(limits) { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let waiting = try broker.connect(), silent = try broker.connect(), busy = try broker.connect()
            let correlation = try waiting.post(
                FetchRequest(waitMsMax: 1500, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
            #expect(try busy.send(ApiVersionsRequest(), 0).error == .none)
            #expect(try broker.connect().isClosedByPeer)
            #expect(silent.isClosedByPeer)
            // Who waits for an answer is not silent.
            #expect(try waiting.receive(FetchRequest.self, 12, correlation).error == .none)
        }
    }

    @Test func aPortInUseIsNamed() throws {
        try TestBroker.run { broker in
            let second = try KafkaBroker(log: broker.log, port: broker.port, group: broker.group, logger: Logger(label: "test"))
            let error = #expect(throws: MartletError.self) { _ = try second.start() }
            #expect(error?.code == .addressInUse && error?.message.contains("\(broker.port)") == true)
            second.stop()
        }
    }

    @Test func stoppingClosesConnectionsThatWait() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            _ = try client.post(
                FetchRequest(waitMsMax: 60_000, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1)])]), 12)
            while broker.waitingFetches == 0 { sched_yield() }
            broker.stop()
            #expect(client.isClosedByPeer)
        }
    }
}
