import MartletCore
import Testing

@testable import MartletLog

/// DescribeConfigs, AlterConfigs and IncrementalAlterConfigs of brokers and groups, by the wire.
@Suite struct SettingsHandlerTests {
    private func change(
        _ client: TestClient, _ type: Int8, _ resource: String, _ changes: [(String, Int8, String?)], validatesOnly: Bool = false
    ) throws -> AlterConfigsResponse.Result {
        try client.send(
            IncrementalAlterConfigsRequest(
                resources: [.init(type: type, name: resource, changes: changes.map { .init(name: $0.0, operation: $0.1, value: $0.2) })],
                validatesOnly: validatesOnly), 1
        ).results[0]
    }

    private func described(_ client: TestClient, _ type: Int8, _ resource: String) throws -> [String: DescribeConfigsResponse.Setting] {
        let request = DescribeConfigsRequest(resources: [.init(type: type, name: resource)], includesSynonyms: true, includesDocumentation: true)
        let result = try client.send(request, 4).results[0]
        #expect(result.error == .none)
        return Dictionary(result.settings.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    @Test func settingsOfABrokerAreInForceAtOnce() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            try broker.log.createTopic("t", partitions: 1)
            let before = try described(client, 4, "1")
            #expect(before["max.connections"]?.isReadOnly == false && before["num.partitions"]?.isReadOnly == true)
            #expect(before["max.connections"]?.source == ConfigSource.default.rawValue && before["background.threads"] == nil)
            #expect(before["log.retention.ms"]?.source == ConfigSource.staticBroker.rawValue)

            #expect(try change(client, 4, "", [("message.max.bytes", 0, "100")]).error == .none)
            #expect(try change(client, 4, "1", [("log.cleanup.policy", 2, "compact"), ("background.threads", 0, "9")]).error == .none)
            let settings = broker.log.partition(TopicPartition("t", 0))?.settings
            #expect(settings?.maxMessageBytes == 100 && settings?.compacts == true && settings?.deletes == true)
            let all = try described(client, 4, "")
            #expect(all.keys.sorted() == ["message.max.bytes"] && all["message.max.bytes"]?.source == 3)
            let one = try described(client, 4, "1")
            #expect(one["log.cleanup.policy"]?.value == "delete,compact" && one["log.cleanup.policy"]?.source == 2 && one["log.cleanup.policy"]?.type == 7)
            #expect(one["log.cleanup.policy"]?.synonyms.map(\.source) == [2, 5] && one["background.threads"]?.value == "9")
            #expect(one["message.max.bytes"]?.source == 3 && one["message.max.bytes"]?.synonyms.map(\.value) == ["100", "1048588"])
            let topic = try described(client, 2, "t")
            #expect(topic["max.message.bytes"]?.value == "100" && topic["max.message.bytes"]?.source == 3)
            #expect(topic["cleanup.policy"]?.synonyms.map(\.name) == ["log.cleanup.policy", "log.cleanup.policy"])

            #expect(try change(client, 4, "1", [("log.cleanup.policy", 3, "compact"), ("background.threads", 1, "")]).error == .none)
            #expect(broker.log.settings.values(of: .node) == ["log.cleanup.policy": "delete"])
            let replaced = try client.send(
                AlterConfigsRequest(resources: [.init(type: 4, name: "1", settings: [.init(name: "log.roll.ms", value: "5")])]), 2)
            #expect(replaced.results.map(\.error) == [KafkaErrorCode.none] && broker.log.settings.values(of: .node) == ["log.roll.ms": "5"])
        }
    }

    @Test func wrongChangesAreRefusedByName() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            let wrong: [(Int8, String, [(String, Int8, String?)], KafkaErrorCode)] = [
                (4, "1", [("num.partitions", 0, "5")], .invalidRequest), (4, "2", [("max.connections", 0, "5")], .invalidRequest),
                (4, "1", [("max.connections", 0, nil)], .invalidRequest), (4, "1", [("max.connections", 2, "5")], .invalidConfig),
                (4, "1", [("max.connections", 0, "5"), ("max.connections", 1, nil)], .invalidRequest),
                (8, "2", [("root", 0, "DEBUG")], .invalidRequest), (32, "", [("consumer.session.timeout.ms", 0, "50000")], .invalidRequest),
                (32, "g", [("consumer.session.timeout.ms", 0, "1")], .invalidConfig), (2, "", [("retention.ms", 0, "1")], .invalidRequest),
            ]
            for (type, resource, changes, code) in wrong {
                let result = try change(client, type, resource, changes)
                #expect(result.error == code && result.errorMessage?.isEmpty == false, "\(changes)")
            }
            #expect(try change(client, 4, "1", [("max.connections", 0, "5")], validatesOnly: true).error == .none)
            #expect(try change(client, 4, "1", [("max.connections", 0, "0")], validatesOnly: true).error == .invalidRequest)
            #expect(broker.log.settings.values(of: .node).isEmpty)
            let twice = try client.send(
                AlterConfigsRequest(resources: [.init(type: 4, name: "1"), .init(type: 4, name: ""), .init(type: 4, name: "1")]), 2)
            #expect(twice.results.map(\.error) == [.invalidRequest, .none, .invalidRequest])
        }
    }

    /// A connection more than max.connections is refused from the moment the setting is there.
    @Test func connectionsAreBoundedWhileTheBrokerRuns() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            #expect(try change(client, 4, "1", [("max.connections", 0, "1")]).error == .none)
            let other = try broker.connect()
            #expect(other.isClosedByPeer)
            #expect(try change(client, 4, "1", [("max.connections", 1, nil)]).error == .none)
            _ = try broker.connect().send(MetadataRequest(), 9)
        }
    }

    @Test func aGroupsMembersLearnItsTimes() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            try broker.log.createTopic("t", partitions: 1)
            #expect(try described(client, 32, "g")["consumer.session.timeout.ms"]?.synonyms.map(\.name) == ["group.consumer.session.timeout.ms"])
            func beat(_ epoch: Int32) throws -> ConsumerGroupHeartbeatResponse {
                try client.send(
                    ConsumerGroupHeartbeatRequest(
                        groupID: "g", memberID: "m", memberEpoch: epoch, rebalanceTimeoutMs: 1000, topicNames: epoch == 0 ? ["t"] : nil,
                        owned: epoch == 0 ? [] : nil), 1)
            }
            let joined = try beat(0)
            #expect(joined.heartbeatIntervalMs == 5_000)
            let changes: [(String, Int8, String?)] = [("consumer.session.timeout.ms", 0, "50000"), ("consumer.heartbeat.interval.ms", 0, "6000")]
            #expect(try change(client, 32, "g", changes).error == .none)
            #expect(try beat(joined.memberEpoch).heartbeatIntervalMs == 6_000)
            let settings = try described(client, 32, "g")
            #expect(settings["consumer.session.timeout.ms"]?.value == "50000" && settings["consumer.session.timeout.ms"]?.source == 8)
            #expect(settings["consumer.session.timeout.ms"]?.synonyms.map(\.value) == ["50000", "45000"])
        }
    }
}
