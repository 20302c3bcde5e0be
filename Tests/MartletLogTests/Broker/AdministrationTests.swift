import MartletCore
import Testing

@testable import MartletLog

/// Topics, settings, offsets and groups as an administrator's client sees them.
@Suite struct AdministrationTests {
    @Test func topicsAreCreatedWithinTheRules() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            func create(_ topic: CreateTopicsRequest.Topic, validatesOnly: Bool = false, _ version: Int16 = 7) throws
                -> CreateTopicsResponse.Topic
            {
                try client.send(CreateTopicsRequest(topics: [topic], validatesOnly: validatesOnly), version).topics[0]
            }
            for version in APIKey.createTopics.versions {
                #expect(try create(.init(name: "v\(version)", partitions: 2, replicationFactor: 1), version).error == .none)
            }
            let made = try create(.init(name: "a", partitions: 3, settings: [.init(name: "retention.ms", value: "5")]))
            #expect(made.error == .none && made.partitions == 3 && made.replicationFactor == 1 && made.id != .zero)
            #expect(made.settings?.first { $0.name == "retention.ms" }?.value == "5")
            #expect(try create(.init(name: "a", partitions: 1)).error == .topicAlreadyExists)
            #expect(try create(.init(name: "b", partitions: 0)).error == .invalidPartitions)
            #expect(try create(.init(name: "b", partitions: 10_001)).error == .invalidPartitions)
            #expect(try create(.init(name: "b", partitions: 1, replicationFactor: 3)).error == .invalidReplicationFactor)
            #expect(try create(.init(name: "b", settings: [.init(name: "no.such", value: "1")])).error == .invalidConfig)
            #expect(try create(.init(name: "b", settings: [.init(name: "retention.ms", value: "soon")])).error == .invalidConfig)
            #expect(try create(.init(name: "..")).error == .invalidTopicException)
            #expect(try create(.init(name: String(repeating: "x", count: 250))).error == .invalidTopicException)
            #expect(try create(.init(name: "b", assignments: [.init(partition: 0, brokers: [2])])).error == .invalidReplicaAssignment)
            #expect(try create(.init(name: "b"), validatesOnly: true).error == .none)
            #expect(broker.log.topic("b") == nil)
            #expect(try create(.init(name: "b", assignments: [.init(partition: 1, brokers: [1]), .init(partition: 0, brokers: [1])])).partitions == 2)
            let twice = try client.send(CreateTopicsRequest(topics: [.init(name: "c"), .init(name: "c")]), 7)
            #expect(twice.topics.map(\.error) == [.invalidRequest, .invalidRequest] && broker.log.topic("c") == nil)
        }
    }

    @Test func topicsGrowAndGo() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 2, settings: [:])
            let client = try broker.connect()
            func grow(_ name: String, _ total: Int32) throws -> KafkaErrorCode {
                try client.send(CreatePartitionsRequest(topics: [.init(name: name, total: total)]), 3).topics[0].error
            }
            #expect(try grow("t", 4) == .none && broker.log.topic("t")?.partitions == 4)
            #expect(try grow("t", 4) == .invalidPartitions)
            #expect(try grow("u", 4) == .unknownTopicOrPartition)
            #expect(try grow("__consumer_offsets", 4) == .invalidTopicException)
            let id = UUIDBytes(broker.log.topic("t")?.topicID ?? [])
            let gone = try client.send(DeleteTopicsRequest(topics: [.init(id: id), .init(name: "u"), .init(name: "__consumer_offsets")]), 6)
            #expect(gone.topics.map(\.error) == [.none, .unknownTopicOrPartition, .invalidRequest] && gone.topics[0].name == "t")
            #expect(try client.send(DeleteTopicsRequest(names: ["t"]), 3).topics.map(\.error) == [.unknownTopicOrPartition])
        }
    }

    /// A topic with the state of the program: clients may read it, and nothing else.
    @Test func whatIsReservedIsReadOnly() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("commands", partitions: 1, settings: [:])
            broker.log.reserve("commands")
            let partition = try broker.log.found("commands")
            try partition.append(["mine"])
            try partition.flush()
            let client = try broker.connect()
            let sent = try client.send(
                ProduceRequest(topics: [.init(name: "commands", partitions: [.init(index: 0, records: batch("theirs", timestamp: 0))])]), 9)
            #expect(sent.topics[0].partitions[0].error == .invalidTopicException)
            let grown = try client.send(CreatePartitionsRequest(topics: [.init(name: "commands", total: 4)]), 3)
            #expect(grown.topics[0].error == .invalidTopicException)
            let cut = try client.send(DeleteRecordsRequest(topics: [.init(name: "commands", partitions: [.init(index: 0, before: -1)])]), 2)
            #expect(cut.topics[0].partitions[0].error == .invalidTopicException)
            let changed = try client.send(
                AlterConfigsRequest(resources: [.init(type: 2, name: "commands", settings: [.init(name: "retention.ms", value: "1")])]), 2)
            #expect(changed.results[0].error == .invalidTopicException)
            #expect(try client.send(DeleteTopicsRequest(names: ["commands"]), 3).topics[0].error == .invalidRequest)
            #expect(try partition.values() == ["mine"])
            try broker.log.deleteTopic("commands")
        }
    }

    @Test func settingsAreDescribedAndChanged() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: ["retention.ms": "77"])
            let client = try broker.connect()
            func setting(_ name: String) throws -> (String?, Int8)? {
                let result = try client.send(DescribeConfigsRequest(resources: [.init(type: 2, name: "t", keys: [name])]), 4).results[0]
                return result.settings.first.map { ($0.value, $0.source) }
            }
            #expect(try setting("retention.ms")! == ("77", ConfigSource.topic.rawValue))
            #expect(try setting("cleanup.policy")! == ("delete", ConfigSource.default.rawValue))
            #expect(try setting("no.such") == nil)
            func change(_ name: String, _ operation: Int8, _ value: String?) throws -> KafkaErrorCode {
                try client.send(
                    IncrementalAlterConfigsRequest(
                        resources: [.init(type: 2, name: "t", changes: [.init(name: name, operation: operation, value: value)])]), 1
                ).results[0].error
            }
            #expect(try change("cleanup.policy", 2, "compact") == .none)
            #expect(try setting("cleanup.policy")?.0 == "delete,compact")
            #expect(try change("cleanup.policy", 3, "delete") == .none)
            #expect(try setting("cleanup.policy")?.0 == "compact")
            #expect(try change("retention.ms", 1, nil) == .none)
            #expect(try setting("retention.ms")?.1 == ConfigSource.staticBroker.rawValue)
            #expect(try change("retention.ms", 0, "later") == .invalidConfig)
            #expect(try change("retention.ms", 2, "1") == .invalidConfig)
            #expect(try change("retention.ms", 9, "1") == .invalidRequest)
            let replaced = try client.send(
                AlterConfigsRequest(resources: [.init(type: 2, name: "t", settings: [.init(name: "segment.ms", value: "9")])]), 2)
            #expect(replaced.results.map(\.error) == [KafkaErrorCode.none] && broker.log.topic("t")?.settings == ["segment.ms": "9"])
            let broken = try client.send(AlterConfigsRequest(resources: [.init(type: 4, name: "2"), .init(type: 2, name: "u")]), 2)
            #expect(broken.results.map(\.error) == [.invalidRequest, .unknownTopicOrPartition])
            let described = try client.send(DescribeConfigsRequest(resources: [.init(type: 4, name: "1")]), 4).results[0]
            #expect(described.settings.first { $0.name == "node.id" }?.value == "1")
        }
    }

    @Test func everySettingSaysWhatItIs() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: ["retention.ms": "77"])
            let client = try broker.connect()
            for resource in [DescribeConfigsRequest.Resource(type: 2, name: "t"), .init(type: 4, name: "1")] {
                let request = DescribeConfigsRequest(resources: [resource], includesSynonyms: true, includesDocumentation: true)
                let settings = try client.send(request, 4).results[0].settings
                #expect(settings.count > 10)
                for setting in settings { #expect(setting.type != 0 && setting.documentation?.isEmpty == false, "\(setting.name)") }
                if resource.type == 2 {
                    let retention = settings.first { $0.name == "retention.ms" }
                    #expect(retention?.synonyms.map(\.name) == ["retention.ms", "log.retention.ms", "log.retention.ms"])
                    #expect(retention?.synonyms.map(\.value) == ["77", "-1", "604800000"] && retention?.synonyms.map(\.source) == [1, 4, 5])
                    #expect(settings.first { $0.name == "segment.ms" }?.synonyms.map(\.name) == ["log.roll.ms"])
                }
            }
            let brief = try client.send(DescribeConfigsRequest(resources: [.init(type: 2, name: "t")]), 4).results[0].settings
            #expect(brief.allSatisfy { $0.synonyms.isEmpty && $0.documentation == nil })
        }
    }

    @Test func offsetsAreListedByPlaceAndTimeAndRecordsDeleted() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            for time: Int64 in [100, 300, 200] {
                let sent = try client.send(
                    ProduceRequest(topics: [.init(name: "t", partitions: [.init(index: 0, records: batch("v", timestamp: time))])]), 9)
                #expect(sent.topics[0].partitions[0].error == .none)
            }
            func offset(_ timestamp: Int64, _ version: Int16 = 7) throws -> (Int64, Int64) {
                let found = try client.send(
                    ListOffsetsRequest(topics: [.init(name: "t", partitions: [.init(index: 0, timestamp: timestamp)])]), version
                ).topics[0].partitions[0]
                #expect(found.error == .none)
                return (found.offset, found.timestamp)
            }
            for version in APIKey.listOffsets.versions {
                #expect(try offset(-1, version) == (3, -1))
                #expect(try offset(-2, version) == (0, -1))
                #expect(try offset(150, version) == (1, 300))
            }
            #expect(try offset(0) == (0, 100))
            #expect(try offset(301) == (-1, -1))
            #expect(try offset(-3) == (1, 300))
            func delete(_ before: Int64) throws -> (Int64, KafkaErrorCode) {
                let answer = try client.send(
                    DeleteRecordsRequest(topics: [.init(name: "t", partitions: [.init(index: 0, before: before)])]), 2
                ).topics[0].partitions[0]
                return (answer.lowWatermark, answer.error)
            }
            #expect(try delete(2) == (2, .none))
            #expect(try offset(-2) == (2, -1))
            #expect(try delete(4) == (-1, .offsetOutOfRange))
            #expect(try delete(-1) == (3, .none))
            let epoch = try client.send(
                OffsetForLeaderEpochRequest(topics: [
                    .init(name: "t", partitions: [.init(index: 0, leaderEpoch: 0), .init(index: 0, leaderEpoch: 1), .init(index: 5)])
                ]), 4
            ).topics[0].partitions
            #expect(epoch.map(\.endOffset) == [3, -1, -1] && epoch[2].error == .unknownTopicOrPartition)
        }
    }

    @Test func groupsAreListedDescribedAndDeleted() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let commit = OffsetCommitRequest(groupID: "g", topics: [.init(name: "t", partitions: [.init(index: 0, offset: 1)])])
            #expect(try client.send(commit, 8).topics[0].partitions[0].error == .none)
            let joined = try client.send(
                JoinGroupRequest(
                    groupID: "h", sessionTimeoutMs: 10_000, protocolType: "consumer", protocols: [.init(name: "range", metadata: [1])]), 3)
            #expect(joined.error == .none)
            let listed = try client.send(ListGroupsRequest(), 4).groups
            #expect(listed.map(\.groupID) == ["g", "h"] && listed.map(\.state) == ["Empty", "CompletingRebalance"])
            #expect(try client.send(ListGroupsRequest(states: ["empty"]), 4).groups.map(\.groupID) == ["g"])
            let described = try client.send(DescribeGroupsRequest(groups: ["g", "h", "i"]), 5).groups
            #expect(described.map(\.state) == ["Empty", "CompletingRebalance", "Dead"] && described[1].members.count == 1)
            let kept = try client.send(OffsetDeleteRequest(groupID: "g", topics: [.init(name: "t", partitions: [0])]), 0)
            #expect(kept.topics[0].partitions[0].error == .none)
            #expect(try client.send(commit, 8).topics[0].partitions[0].error == .none)
            let deleted = try client.send(DeleteGroupsRequest(groups: ["g", "h", "i"]), 2).groups
            #expect(deleted.map(\.error) == [.none, .nonEmptyGroup, .groupIDNotFound])
            // A group without members and offsets leaves nothing behind.
            _ = try client.send(LeaveGroupRequest(groupID: "h", memberID: joined.memberID), 2)
            #expect(try client.send(ListGroupsRequest(), 4).groups.isEmpty)
            #expect(try client.send(DescribeGroupsRequest(groups: ["h"]), 5).groups.map(\.state) == ["Dead"])
        }
    }

    @Test func transactionsOfAClientAreAllOrNothing() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let client = try broker.connect()
            let producer = try client.send(InitProducerIDRequest(transactionalID: "x"), 4)
            #expect(producer.error == .none)
            func add(_ name: String) throws -> KafkaErrorCode {
                try client.send(
                    AddPartitionsToTxnRequest(transactions: [
                        .init(
                            transactionalID: "x", producerID: producer.producerID, producerEpoch: producer.producerEpoch,
                            topics: [.init(name: name, partitions: [0])])
                    ]), 3
                ).transactions[0].topics[0].partitions[0].error
            }
            func end(_ isCommit: Bool, epoch: Int16) throws -> KafkaErrorCode {
                try client.send(
                    EndTxnRequest(transactionalID: "x", producerID: producer.producerID, producerEpoch: epoch, isCommit: isCommit), 3
                ).error
            }
            func readable() throws -> Int64 {
                try client.send(
                    FetchRequest(waitMsMax: 0, isolationLevel: 1, topics: [.init(name: "t", partitions: [.init(index: 0, bytesMax: 1 << 20)])]), 12
                ).topics[0].partitions[0].lastStableOffset
            }
            #expect(try add("u") == .unknownTopicOrPartition)
            #expect(try end(true, epoch: producer.producerEpoch) == .invalidTxnState)
            #expect(try add("t") == KafkaErrorCode.none)
            let records = batch("v", producerID: producer.producerID, epoch: producer.producerEpoch, sequence: 0)
            let sent = try client.send(
                ProduceRequest(transactionalID: "x", topics: [.init(name: "t", partitions: [.init(index: 0, records: records)])]), 9)
            #expect(sent.topics[0].partitions[0].error == .none)
            #expect(try readable() == 0)
            let offsets = TxnOffsetCommitRequest(
                transactionalID: "x", groupID: "g", producerID: producer.producerID, producerEpoch: producer.producerEpoch,
                topics: [.init(name: "t", partitions: [.init(index: 0, offset: 1)])])
            let addOffsets = AddOffsetsToTxnRequest(
                transactionalID: "x", producerID: producer.producerID, producerEpoch: producer.producerEpoch, groupID: "g")
            #expect(try client.send(addOffsets, 3).error == .none)
            #expect(try client.send(offsets, 3).topics[0].partitions[0].error == .none)
            func committed(stable: Bool) throws -> OffsetFetchResponse.Partition {
                try client.send(
                    OffsetFetchRequest(groups: [.init(groupID: "g", topics: [.init(name: "t", partitions: [0])])], requiresStable: stable), 8
                ).groups[0].topics[0].partitions[0]
            }
            #expect(try committed(stable: true).error == .unstableOffsetCommit)
            #expect(try committed(stable: false).offset == -1)
            #expect(try end(true, epoch: producer.producerEpoch) == KafkaErrorCode.none)
            // The marker behind the record may not be synced yet.
            #expect(try readable() >= 1 && committed(stable: true).offset == 1)
            let next = try client.send(InitProducerIDRequest(transactionalID: "x"), 4)
            #expect(next.producerEpoch > producer.producerEpoch)
            #expect(try add("t") == .producerFenced)
        }
    }
}
