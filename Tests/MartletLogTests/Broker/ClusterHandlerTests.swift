import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// What a tool asks about the cluster, its transactions and their producers.
@Suite struct ClusterHandlerTests {
    @Test func partitionsAreDescribedInPagesThatAddUp() throws {
        try TestBroker.run { broker in
            for name in ["a", "b", "c"] { try broker.log.createTopic(name, partitions: 3, settings: [:]) }
            let client = try broker.connect()
            for limit: Int32 in [1, 2, 3, 4, 100] {
                var seen: [String] = []
                var cursor: PartitionCursor?
                repeat {
                    let answer = try client.send(
                        DescribeTopicPartitionsRequest(
                            topics: [.init(name: "c"), .init(name: "a"), .init(name: "b")], partitionsMax: limit, cursor: cursor), 0)
                    let page = answer.topics.flatMap { topic in topic.partitions.map { "\(topic.name ?? "?")\($0.index)" } }
                    #expect(page.count <= Int(limit) && answer.topics.allSatisfy { $0.id != .zero && $0.error == .none })
                    seen += page
                    cursor = answer.nextCursor
                } while cursor != nil
                #expect(seen == ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"], "limit \(limit)")
            }
            let missing = try client.send(DescribeTopicPartitionsRequest(topics: [.init(name: "no"), .init(name: "n o")]), 0)
            #expect(missing.topics.map(\.error) == [.invalidTopicException, .unknownTopicOrPartition])
        }
    }

    @Test func theOnlyBrokerLeadsEverything() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for version in APIKey.electLeaders.versions {
                let elected = try client.send(ElectLeadersRequest(topics: [.init(name: "t", partitions: [0, 1])]), version)
                #expect(elected.error == .none && elected.topics[0].partitions.map(\.error) == [.electionNotNeeded, .unknownTopicOrPartition])
            }
            #expect(try client.send(ElectLeadersRequest(topics: nil), 2).topics.isEmpty)
            #expect(try client.send(ElectLeadersRequest(electionType: 4, topics: nil), 2).error == .invalidRequest)
            let moved = try client.send(
                AlterPartitionReassignmentsRequest(topics: [
                    .init(name: "t", partitions: [.init(index: 0, replicas: [1]), .init(index: 0, replicas: [2]), .init(index: 0), .init(index: 9)])
                ]), 1)
            #expect(
                moved.topics[0].partitions.map(\.error)
                    == [.none, .invalidReplicaAssignment, .noReassignmentInProgress, .unknownTopicOrPartition])
            #expect(try client.send(ListPartitionReassignmentsRequest(), 0).topics.isEmpty)
            let cluster = try client.send(DescribeClusterRequest(), 2)
            #expect(cluster.brokers.map(\.nodeID) == [1] && !cluster.brokers[0].isFenced)
        }
    }

    @Test func featuresAreToldToClientsThatCanReadThem() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            let four = try client.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 4)
            #expect(four.supportedFeatures.map(\.name) == ["group.version", "share.version", "streams.version", "transaction.version"])
            #expect(four.finalizedFeatures.map(\.max) == [1, 1, 1, 2] && four.finalizedFeaturesEpoch == 0)
            #expect(try client.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3).supportedFeatures.isEmpty)
            #expect(try client.send(ApiVersionsRequest(), 0).apis.count == APIKey.allCases.count)
        }
    }

    @Test func openTransactionsAndTheirProducersAreFound() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            func begin(_ id: String) throws -> InitProducerIDResponse {
                try client.send(InitProducerIDRequest(transactionalID: id, transactionTimeoutMs: 5000), 5)
            }
            let x = try begin("x"), y = try begin("y")
            let partitions = [PerTopic<Int32>(name: "t", partitions: [0])]
            func add(_ verifiesOnly: Bool) throws -> KafkaErrorCode {
                try client.send(
                    AddPartitionsToTxnRequest(transactions: [
                        .init(
                            transactionalID: "x", producerID: x.producerID, producerEpoch: x.producerEpoch, verifiesOnly: verifiesOnly,
                            topics: partitions)
                    ]), 5
                ).transactions[0].topics[0].partitions[0].error
            }
            #expect(try add(true) == .transactionAbortable)
            #expect(try add(false) == KafkaErrorCode.none)
            #expect(try add(true) == KafkaErrorCode.none)
            let sent = try client.send(
                ProduceRequest(
                    transactionalID: "x",
                    topics: [
                        .init(
                            name: "t",
                            partitions: [.init(index: 0, records: batch("v", producerID: x.producerID, epoch: x.producerEpoch, sequence: 0))])
                    ]), 11)
            #expect(sent.topics[0].partitions[0].error == .none)

            func list(_ request: ListTransactionsRequest) throws -> [String] {
                try client.send(request, 2).transactions.filter { $0.transactionalID.count == 1 }.map { "\($0.transactionalID) \($0.state)" }
            }
            #expect(try list(.init()) == ["x Ongoing", "y Empty"])
            #expect(try list(.init(states: ["Ongoing"])) == ["x Ongoing"])
            #expect(try list(.init(producerIDs: [y.producerID])) == ["y Empty"])
            #expect(try list(.init(pattern: "[x]")) == ["x Ongoing"])
            #expect(try list(.init(durationMs: 3_600_000)) == [])
            #expect(try client.send(ListTransactionsRequest(states: ["Odd"]), 0).unknownStates == ["Odd"])
            #expect(try client.send(ListTransactionsRequest(pattern: "("), 2).error == .invalidRegularExpression)

            let described = try client.send(DescribeTransactionsRequest(transactionalIDs: ["x", "no"]), 0).transactions
            #expect(described.map(\.error) == [.none, .transactionalIDNotFound])
            #expect(described[0].timeoutMs == 5000 && described[0].startedMs > 0 && described[0].topics[0].partitions == [0])
            let producers = try client.send(DescribeProducersRequest(topics: [.init(name: "t", partitions: [0, 7])]), 0).topics[0].partitions
            #expect(producers[0].producers.map(\.id) == [x.producerID] && producers[0].producers[0].transactionStart == 0)
            #expect(producers[1].error == .unknownTopicOrPartition)
        }
    }

    /// KIP-890: no AddPartitionsToTxn, no AddOffsetsToTxn, and a new epoch with each end.
    @Test func aTransactionOfVersion2OpensByWritingAndEndsItsEpoch() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let started = try client.send(InitProducerIDRequest(transactionalID: "x"), 5)
            let id = started.producerID
            func produce(_ epoch: Int16) throws -> KafkaErrorCode {
                let records = batch("v", producerID: id, epoch: epoch, sequence: 0)
                return try client.send(
                    ProduceRequest(transactionalID: "x", topics: [.init(name: "t", partitions: [.init(index: 0, records: records)])]), 12
                ).topics[0].partitions[0].error
            }
            func end(_ isCommit: Bool, _ epoch: Int16) throws -> EndTxnResponse {
                try client.send(EndTxnRequest(transactionalID: "x", producerID: id, producerEpoch: epoch, isCommit: isCommit), 5)
            }
            func commitOffset(_ epoch: Int16, _ offset: Int64) throws -> KafkaErrorCode {
                try client.send(
                    TxnOffsetCommitRequest(
                        transactionalID: "x", groupID: "g", producerID: id, producerEpoch: epoch,
                        topics: [.init(name: "t", partitions: [.init(index: 0, offset: offset)])]), 5
                ).topics[0].partitions[0].error
            }
            func offset() -> Int64? { broker.log.groupOffsets.committed(group: "g", TopicPartition("t", 0))?.offset }
            let first = started.producerEpoch
            #expect(try produce(first) == .none)
            #expect(try commitOffset(first, 10) == .none)
            let committed = try end(true, first)
            #expect(committed.error == .none && committed.producerID == id && committed.producerEpoch == first + 1 && offset() == 10)
            // The same request again: its answer may have been lost.
            #expect(try end(true, first).producerEpoch == first + 1)
            #expect(try end(false, first).error == .producerFenced)
            // A late record of the epoch that is over.
            #expect(try produce(first) == .invalidProducerEpoch)
            #expect(try commitOffset(first + 1, 20) == .none)
            #expect(try produce(first + 1) == .none)
            let aborted = try end(false, first + 1)
            #expect(aborted.error == .none && aborted.producerEpoch == first + 2 && offset() == 10)
            #expect(try end(false, first + 2).producerEpoch == first + 3)
            #expect(try end(true, first + 3).error == .invalidTxnState)
            let slice = try broker.log.partition(TopicPartition("t", 0))?.read(from: 0, maxBytes: 1 << 20, isolation: .readCommitted)
            #expect(slice?.aborted.map(\.firstOffset) == [2])
        }
    }

    /// KIP-360: a producer asks for its next epoch; one that was fenced must not fence its successor.
    @Test func onlyTheLatestProducerMayRaiseItsEpoch() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            func start(_ has: (Int64, Int16)?) throws -> InitProducerIDResponse {
                try client.send(InitProducerIDRequest(transactionalID: "x", producerID: has?.0 ?? -1, producerEpoch: has?.1 ?? -1), 4)
            }
            let old = try start(nil), new = try start(nil)
            #expect(try start((new.producerID, new.producerEpoch)).producerEpoch == new.producerEpoch + 1)
            #expect(try start((old.producerID, old.producerEpoch)).error == .producerFenced)
            #expect(try start((new.producerID + 5, new.producerEpoch)).error == .producerFenced)
        }
    }

    /// The Java client 4 asks by id with an empty name beside it.
    @Test func topicsAreFoundByIDWhateverNameIsBesideIt() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for name in [nil, ""] {
                let answer = try client.send(MetadataRequest(topics: [.init(id: broker.topicID("t"), name: name)], allowsTopicCreation: false), 13)
                #expect(answer.topics.map(\.name) == ["t"] && answer.topics[0].id == broker.topicID("t") && answer.topics[0].error == .none)
            }
        }
    }

    /// KIP-467: the client learns which records of its batch are to blame.
    @Test func recordsThatAreRefusedAreNamed() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("c", partitions: 1, settings: ["cleanup.policy": "compact"])
            try broker.log.createTopic("d", partitions: 1, settings: ["message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "1000"])
            let client = try broker.connect()
            var mixed = MartletLogTests.batch(["a", "b", "c"], keys: ["k", nil, nil])
            let bytes = mixed.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
            func send(_ topic: String, _ version: Int16) throws -> ProduceResponse.Partition {
                try client.send(
                    ProduceRequest(topics: [.init(name: topic, partitions: [.init(index: 0, records: ByteBuffer(bytes: bytes))])]), version
                ).topics[0].partitions[0]
            }
            let refused = try send("c", 9)
            #expect(refused.error == .invalidRecord && refused.recordErrors.map(\.batchIndex) == [1, 2] && refused.baseOffset == -1)
            #expect(try send("c", 7).recordErrors.isEmpty)
            let late = try send("d", 9)
            #expect(late.error == .invalidTimestamp && late.recordErrors.map(\.batchIndex) == [0, 1, 2])
            #expect(broker.log.partition(TopicPartition("c", 0))?.endOffset == 0)
        }
    }

    /// max.connections and max.connections.per.ip; a connection that ends makes room.
    @Test(arguments: [true, false]) func connectionsAreBounded(byAddress: Bool) throws {
        var limits = BrokerConfig()
        if byAddress { limits.connectionsPerAddressMax = 2 } else { limits.connectionsMax = 2 }
        try TestBroker.run(limits) { broker in
            let first = try broker.connect(), second = try broker.connect()
            for client in [first, second] { #expect(try client.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3).error == .none) }
            let third = try broker.connect()
            #expect(third.isClosedByPeer)
            #expect(try first.send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3).error == .none)
            second.hangUp()
            // The broker hears of it in its own time.
            var answered = false
            for _ in 0..<1000 where !answered { answered = (try? broker.connect().send(ApiVersionsRequest(clientSoftwareName: "n", clientSoftwareVersion: "1"), 3))?.error == KafkaErrorCode.none }
            #expect(answered)
        }
    }
}
