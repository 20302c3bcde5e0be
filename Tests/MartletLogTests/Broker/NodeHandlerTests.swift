import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// What is asked of the node itself: its voters, its loggers, what has settings, what it wants to know of its clients.
@Suite struct NodeHandlerTests {
    private func change(_ client: TestClient, _ type: Int8, _ resource: String, _ changes: [(String, Int8, String?)]) throws -> KafkaErrorCode {
        try client.send(
            IncrementalAlterConfigsRequest(
                resources: [.init(type: type, name: resource, changes: changes.map { .init(name: $0.0, operation: $0.1, value: $0.2) })]), 1
        ).results[0].error
    }

    private func described(_ client: TestClient, _ type: Int8, _ resource: String) throws -> [String: DescribeConfigsResponse.Setting] {
        let request = DescribeConfigsRequest(resources: [.init(type: type, name: resource)], includesSynonyms: true)
        let result = try client.send(request, 4).results[0]
        #expect(result.error == .none)
        return Dictionary(result.settings.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    @Test func thereIsOneVoterAndItLeads() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            func partition(_ version: Int16) throws -> DescribeQuorumResponse.Partition {
                let answer = try client.send(DescribeQuorumRequest(topics: [.init(name: "__cluster_metadata", partitions: [.init(index: 0)])]), version)
                #expect(answer.error == .none && (version < 2 || answer.nodes.map(\.id) == [1]))
                if version >= 2 {
                    #expect(answer.nodes[0].listeners.map { Int($0.port) } == [broker.port] && answer.nodes[0].listeners[0].name == "PLAINTEXT")
                }
                return try #require(answer.topics.first?.partitions.first)
            }
            for version in APIKey.describeQuorum.versions {
                let found = try partition(version)
                #expect(found.error == .none && found.leaderID == 1 && found.leaderEpoch == 1 && found.observers.isEmpty)
                #expect(found.voters.map(\.nodeID) == [1] && found.voters[0].endOffset == found.highWatermark)
                #expect(version == 0 || found.voters[0].caughtUpMs > 1_600_000_000_000)
            }
            let before = try partition(2).highWatermark
            try broker.log.createTopic("t", partitions: 1)
            #expect(try change(client, 2, "t", [("retention.ms", 0, "5")]) == .none)
            #expect(try partition(2).highWatermark == before + 2)
            let other = try client.send(
                DescribeQuorumRequest(topics: [.init(name: "t", partitions: [.init(index: 0)]), .init(name: "__cluster_metadata", partitions: [.init(index: 1)])]), 2)
            #expect(other.topics.flatMap(\.partitions).map(\.error) == [.unknownTopicOrPartition, .unknownTopicOrPartition])
        }
    }

    @Test func votersAndBrokersAreAsTheyAre() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            let id = UUIDBytes(high: 1, low: 2), listener = VoterListener(name: "CONTROLLER", host: "h", port: 9093)
            for version in APIKey.addRaftVoter.versions {
                for (request, code) in [
                    (AddRaftVoterRequest(clusterID: "x", voterID: 2, directoryID: id, listeners: [listener]), .inconsistentClusterID),
                    (.init(voterID: -1, directoryID: id, listeners: [listener]), .invalidRequest), (.init(voterID: 2, listeners: [listener]), .invalidRequest),
                    (.init(voterID: 2, directoryID: id), .invalidRequest),
                    (.init(clusterID: broker.log.clusterID, voterID: 2, directoryID: id, listeners: [listener]), .unsupportedVersion),
                ] as [(AddRaftVoterRequest, KafkaErrorCode)] {
                    #expect(try client.send(request, version).error == code)
                }
            }
            #expect(try client.send(RemoveRaftVoterRequest(clusterID: "x", voterID: 1, directoryID: id), 0).error == .inconsistentClusterID)
            #expect(try client.send(RemoveRaftVoterRequest(voterID: 1, directoryID: id), 0).error == .unsupportedVersion)
            #expect(try client.send(UnregisterBrokerRequest(brokerID: 1), 0).error == .invalidRequest)
            #expect(try client.send(UnregisterBrokerRequest(brokerID: 2), 0).error == .brokerIDNotRegistered)
        }
    }

    @Test func whatHasSettingsIsListed() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            try broker.log.createTopic("t", partitions: 1)
            #expect(try change(client, 16, "s", [("metrics", 0, "a")]) == .none)
            #expect(try change(client, 32, "g", [("consumer.session.timeout.ms", 0, "50000")]) == .none)
            func listed(_ types: [Int8], _ version: Int16 = 1) throws -> [String] {
                try client.send(ListConfigResourcesRequest(types: types), version).resources.map { "\($0.type) \($0.name)" }
            }
            #expect(try listed([], 0) == ["16 s"])
            #expect(try listed([16, 32, 16]) == ["16 s", "32 g"])
            #expect(try listed([2]).contains("2 t") && listed([4, 8]) == ["4 1", "8 1"])
            #expect(try listed([]).count == 5 + 2)
            #expect(try client.send(ListConfigResourcesRequest(types: [3]), 1).error == .unsupportedVersion)
        }
    }

    @Test func levelsOfLoggersAreSettings() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            #expect(try change(client, 8, "1", [("martlet.kafka", 0, "DEBUG"), ("root", 0, "FATAL")]) == .none)
            var levels = try described(client, 8, "1")
            #expect(levels["martlet.kafka"]?.value == "DEBUG" && levels["martlet.groups"]?.value == "FATAL" && levels["root"]?.value == "FATAL")
            #expect(levels["root"]?.source == 6 && levels["root"]?.isReadOnly == false)
            #expect(try change(client, 8, "1", [("martlet.kafka", 1, nil)]) == .none)
            levels = try described(client, 8, "1")
            #expect(levels["martlet.kafka"]?.value == "FATAL")
            for (resource, changes, code) in [
                ("", [("root", 0, "INFO")], .invalidRequest), ("2", [("root", 0, "INFO")], .invalidRequest), ("1", [("root", 1, nil)], .invalidRequest),
                ("1", [("root", 0, "LOUD")], .invalidConfig), ("1", [("no.such", 0, "INFO")], .invalidConfig), ("1", [("root", 2, "INFO")], .invalidConfig),
            ] as [(String, [(String, Int8, String?)], KafkaErrorCode)] {
                #expect(try change(client, 8, resource, changes) == code, "\(changes)")
            }
            let whole = try client.send(AlterConfigsRequest(resources: [.init(type: 8, name: "1", settings: [.init(name: "root", value: "INFO")])]), 2)
            #expect(whole.results.map(\.error) == [.invalidRequest])
            #expect(try described(client, 8, "1")["root"]?.value == "FATAL")
        }
    }

    @Test func clientsAreAskedForMetricsAndReport() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            _ = try client.send(ApiVersionsRequest(clientSoftwareName: "swift-test", clientSoftwareVersion: "9.1"), 4)
            let nothing = try client.send(GetTelemetrySubscriptionsRequest(), 0)
            #expect(nothing.error == .none && nothing.instanceID != .zero && nothing.metrics.isEmpty && nothing.intervalMs == 300_000)
            #expect(nothing.compressions == [4, 3, 1, 2] && nothing.bytesMax == 1 << 20)
            #expect(try client.send(GetTelemetrySubscriptionsRequest(instanceID: nothing.instanceID), 0).error == .throttlingQuotaExceeded)
            let changes: [(String, Int8, String?)] = [
                ("metrics", 0, "a."), ("metrics", 0, "a."), ("interval.ms", 0, "200"), ("match", 0, "client_software_name=swift-.*,client_id=test"),
            ]
            #expect(try change(client, 16, "s", changes) == .invalidRequest, "named twice")
            #expect(try change(client, 16, "s", Array(changes.dropFirst())) == .none)
            #expect(try change(client, 16, "s", [("metrics", 2, "b.")]) == .none)
            #expect(try change(client, 16, "s", [("interval.ms", 0, "5")]) == .invalidConfig)
            #expect(try change(client, 16, "", [("interval.ms", 0, "500")]) == .invalidRequest)
            let settings = try described(client, 16, "s")
            #expect(settings["metrics"]?.value == "a.,b." && settings["metrics"]?.source == 7 && settings["metrics"]?.type == 7)
            #expect(settings["interval.ms"]?.synonyms.map(\.value) == ["200", "300000"])
            #expect(try described(client, 16, "none")["interval.ms"]?.source == 5)

            let wanted = try client.send(GetTelemetrySubscriptionsRequest(instanceID: nothing.instanceID), 0)
            #expect(wanted.error == .none && wanted.instanceID == nothing.instanceID && wanted.metrics == ["a.", "b."] && wanted.intervalMs == 200)
            let bytes = MetricsWriter.gauge("a.x", 3) + MetricsWriter.gauge("c.x", 4)
            var push = PushTelemetryRequest(instanceID: wanted.instanceID, subscriptionID: wanted.subscriptionID, metrics: ByteBuffer(bytes: bytes))
            #expect(try client.send(push, 0).error == .none)
            #expect(broker.telemetry.samples.map(\.name) == ["a.x"])
            #expect(broker.telemetry.samples[0].labels.map(\.value) == ["test", wanted.instanceID.text, "swift-test", "9.1"])
            #expect(try client.send(push, 0).error == .throttlingQuotaExceeded)
            #expect(try change(client, 16, "s", [("metrics", 1, nil), ("interval.ms", 1, nil), ("match", 1, nil)]) == .none)
            push.isTerminating = true
            #expect(try client.send(push, 0).error == .unknownSubscriptionID)
            #expect(try client.send(ListConfigResourcesRequest(), 0).resources.isEmpty)
        }
    }

    @Test func aClientSaysWhatItIsInPlainLetters() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            for text in ["librdkafka", "2.16.1-rdkafka-2.16.0", "7", "a--b..c"] {
                for version in APIKey.apiVersions.versions {
                    #expect(try client.send(ApiVersionsRequest(clientSoftwareName: text, clientSoftwareVersion: text), version).error == .none, "\(text)")
                }
            }
            for text in ["", "-a", "a-", ".", "a b", "a_b", "\u{e4}", "a\"b"] {
                for (name, software) in [(text, "1"), ("a", text)] {
                    let answer = try client.send(ApiVersionsRequest(clientSoftwareName: name, clientSoftwareVersion: software), 3)
                    #expect(answer.error == .invalidRequest && answer.apis.isEmpty, "\(text)")
                }
            }
            // It may go on, as with Kafka.
            #expect(try client.send(ApiVersionsRequest(clientSoftwareName: "a", clientSoftwareVersion: "1"), 4).error == .none)
        }
    }

    /// A time that stands for a place is known from some version on.
    @Test func placesInTieredStorageAreNowhere() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            try broker.log.createTopic("t", partitions: 1)
            for version in APIKey.listOffsets.versions {
                for (timestamp, first) in [(-1, 0), (-2, 0), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] as [(Int64, Int16)] {
                    let request = ListOffsetsRequest(topics: [.init(name: "t", partitions: [.init(index: 0, timestamp: timestamp)])])
                    let found = try client.send(request, version).topics[0].partitions[0]
                    #expect(found.error == (version < first ? .unsupportedVersion : .none), "\(timestamp) in version \(version)")
                    #expect(found.offset == (version < first || timestamp < -4 || timestamp == -3 ? -1 : 0))
                }
            }
        }
    }

    @Test func sharesAreCoordinatedHere() throws {
        try TestBroker.run { broker in
            let client = try broker.connect()
            let id = UUIDBytes(high: 1, low: 2).text
            let keys = ["g:\(id):0", "g:with:colons:\(id):7", "g:\(id)", ":\(id):0", "g:short:0", "g:\(id):-1", "g:\(id):x"]
            let found = try client.send(FindCoordinatorRequest(keyType: 2, keys: keys), 6).coordinators
            #expect(found.map(\.error) == [.none, .none] + [KafkaErrorCode](repeating: .invalidRequest, count: 5))
            #expect(found[0].nodeID == 1 && found[0].port == Int32(broker.port))
            #expect(try client.send(FindCoordinatorRequest(keyType: 2, keys: keys), 5).coordinators.allSatisfy { $0.error == .invalidRequest })
        }
    }
}
