import MartletCore
import Testing

@testable import MartletLog

/// What only tools for administrators ask.
@Suite struct AdministratorsAPITests {
    /// KIP-664: a marker by hand lets readers of committed records go on; too old ones are refused.
    @Test(arguments: APIKey.writeTxnMarkers.versions) func aHangingTransactionIsAborted(_ version: Int16) throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect(), id = TopicPartition("t", 0)
            let producer = try client.send(InitProducerIDRequest(transactionalID: "x"), 5)
            let records = batch("v", producerID: producer.producerID, epoch: producer.producerEpoch, sequence: 0)
            _ = try client.send(
                ProduceRequest(transactionalID: "x", topics: [.init(name: "t", partitions: [.init(index: 0, records: records)])]), 12)
            #expect(broker.log.partition(id)?.lastStableOffset == 0)
            func abort(_ epoch: Int16, coordinator: Int32, partition: Int32 = 0) throws -> KafkaErrorCode {
                try client.send(
                    WriteTxnMarkersRequest(markers: [
                        .init(
                            producerID: producer.producerID, producerEpoch: epoch, topics: [.init(name: "t", partitions: [partition])],
                            coordinatorEpoch: coordinator)
                    ]), version
                ).markers[0].topics[0].partitions[0].error
            }
            #expect(try abort(producer.producerEpoch, coordinator: 3, partition: 9) == .unknownTopicOrPartition)
            #expect(try abort(producer.producerEpoch - 1, coordinator: 3) == .invalidProducerEpoch)
            #expect(broker.log.partition(id)?.lastStableOffset == 0)
            #expect(try abort(producer.producerEpoch, coordinator: 3) == .none)
            #expect(broker.log.partition(id)?.lastStableOffset == 2)
            let slice = try broker.log.partition(id)?.read(from: 0, maxBytes: 1 << 20, isolation: .readCommitted)
            #expect(slice?.aborted.map(\.producerID) == [producer.producerID])
            #expect(try abort(producer.producerEpoch, coordinator: 2) == .transactionCoordinatorFenced)
        }
    }

    @Test(arguments: APIKey.alterReplicaLogDirs.versions) func partitionsAreInTheOnlyDirectory(_ version: Int16) throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            func move(_ path: String) throws -> [KafkaErrorCode] {
                try client.send(AlterReplicaLogDirsRequest(directories: [.init(path: path, topics: [.init(name: "t", partitions: [0, 1])])]), version)
                    .topics[0].partitions.map(\.error)
            }
            #expect(try move(broker.log.directory) == [.none, .replicaNotAvailable])
            #expect(try move("/elsewhere") == [.logDirNotFound, .logDirNotFound])
        }
    }

    @Test func featuresKeepTheirOnlyLevel() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            func update(_ levels: KeyValuePairs<String, Int16>, _ version: Int16) throws -> UpdateFeaturesResponse {
                try client.send(UpdateFeaturesRequest(updates: levels.map { .init(name: $0.key, level: $0.value) }), version)
            }
            for version in APIKey.updateFeatures.versions { #expect(try update(["group.version": 1], version).error == .none) }
            let mixed = try update(["group.version": 1, "transaction.version": 0, "odd": 1], 1)
            #expect(mixed.error == .none && mixed.results.map(\.error) == [.featureUpdateFailed, .invalidUpdateVersion, .invalidUpdateVersion])
            let refused = try update(["group.version": 1, "transaction.version": 7], 2)
            #expect(refused.error == .invalidUpdateVersion)
            #expect(refused.errorMessage == "Invalid update version 7 for feature transaction.version. Its only level is 2.")
        }
    }

    @Test func thereAreNoDelegationTokens() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            for version in APIKey.createDelegationToken.versions {
                #expect(try client.send(CreateDelegationTokenRequest(), version).error == .delegationTokenRequestNotAllowed)
            }
            #expect(try client.send(RenewDelegationTokenRequest(), 2).error == .delegationTokenRequestNotAllowed)
            #expect(try client.send(ExpireDelegationTokenRequest(), 2).error == .delegationTokenRequestNotAllowed)
            #expect(try client.send(DescribeDelegationTokenRequest(), 3).error == .delegationTokenRequestNotAllowed)
        }
    }
}
