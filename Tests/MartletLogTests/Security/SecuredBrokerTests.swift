import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Log-in and access rules over the wire.
@Suite struct SecuredBrokerTests {
    private func run(_ change: (inout SecurityConfig) -> Void = { _ in }, _ body: (TestBroker) throws -> Void) throws {
        var security = SecurityConfig()
        security.superUsers = ["User:root"]
        security.failureDelayMs = 1
        change(&security)
        try TestBroker.run(listener: .saslPlaintext, security: security) { broker in
            for user in ["root", "alice"] { try broker.users.set(password: "\(user)-pw", of: user, iterations: 4096) }
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            try broker.log.createTopic("secret", partitions: 1, settings: [:])
            try body(broker)
        }
    }

    private func login(_ broker: TestBroker, _ user: String) throws -> TestClient {
        let client = try broker.connect()
        #expect(try client.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1).error == .none)
        let answer = try client.send(SaslAuthenticateRequest(token: Array("\0\(user)\0\(user)-pw".utf8)), 2)
        #expect(answer.error == .none)
        return client
    }

    private func rule(_ resource: Int8, _ name: String, _ operation: AccessOperation, pattern: PatternKind = .literal) -> WireAccessRule {
        var rule = WireAccessRule()
        rule.resource = resource
        rule.name = name
        rule.pattern = pattern.rawValue
        rule.principal = "User:alice"
        rule.host = "*"
        rule.operation = operation.rawValue
        rule.permission = 3
        return rule
    }

    @Test func nothingIsAnsweredBeforeLogin() throws {
        try run { broker in
            let client = try broker.connect()
            #expect(try client.send(ApiVersionsRequest(), 0).error == .none)
            _ = try client.post(MetadataRequest(topics: nil), 12)
            #expect(client.isClosedByPeer)
        }
    }

    @Test func membersOfShareGroupsNeedTheGroupAndTheTopics() throws {
        try run { broker in
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            let request = ShareFetchRequest(
                groupID: "g", memberID: "m", bytesMax: 1000, recordsMax: 1, batchSize: 1,
                topics: [.init(id: broker.topicID("t"), partitions: [.init()]), .init(id: broker.topicID("secret"), partitions: [.init()])])
            let acknowledgement = ShareAcknowledgeRequest(
                groupID: "g", memberID: "m", sessionEpoch: 1,
                topics: [.init(id: broker.topicID("secret"), partitions: [.init(acknowledgements: [.init(types: [1])])])])
            #expect(try alice.send(request, 2).error == .groupAuthorizationFailed)
            #expect(try alice.send(acknowledgement, 2).error == .groupAuthorizationFailed)
            _ = try root.send(CreateAclsRequest(rules: [rule(3, "g", .read), rule(2, "t", .read)]), 3)
            let answer = try alice.send(request, 2)
            #expect(answer.error == .none && Set(answer.topics.flatMap { $0.partitions.map(\.error) }) == [.topicAuthorizationFailed, .unknownTopicOrPartition])
            #expect(try alice.send(acknowledgement, 2).topics[0].partitions[0].error == .topicAuthorizationFailed)
        }
    }

    @Test func everyVersionOfLoginWorks() throws {
        try run { broker in
            for version in APIKey.saslAuthenticate.versions {
                let client = try broker.connect()
                let offered = try client.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1)
                #expect(offered.mechanisms == ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
                #expect(try client.send(SaslAuthenticateRequest(token: Array("\0root\0root-pw".utf8)), version).error == .none)
                #expect(try client.send(MetadataRequest(topics: nil), 12).topics.contains { $0.name == "t" })
            }
            // After a handshake of version 0 tokens come without a header.
            let old = try broker.connect()
            #expect(try old.send(SaslHandshakeRequest(mechanism: "PLAIN"), 0).error == .none)
            let token = Array("\0root\0root-pw".utf8)
            var frame = ByteBuffer(integer: Int32(token.count))
            frame.writeBytes(token)
            try old.write(frame)
            #expect(try old.bytes(4) == [0, 0, 0, 0])
            #expect(try old.send(MetadataRequest(topics: nil), 12).topics.contains { $0.name == "t" })
            let wrong = try broker.connect()
            #expect(try wrong.send(SaslHandshakeRequest(mechanism: "PLAIN"), 0).error == .none)
            try wrong.write(ByteBuffer(bytes: [0, 0, 0, 3, 0, 0x61, 0]))
            #expect(wrong.isClosedByPeer)
        }
    }

    @Test func scramTakesTwoMessages() throws {
        try run { broker in
            for digest in [Digest.sha256, .sha512] {
                let client = try broker.connect()
                let name = digest == .sha256 ? "SCRAM-SHA-256" : "SCRAM-SHA-512"
                #expect(try client.send(SaslHandshakeRequest(mechanism: name), 1).error == .none)
                let scram = ScramTests.Client(digest: digest, user: "alice", password: "alice-pw")
                let challenge = try client.send(SaslAuthenticateRequest(token: scram.first), 2)
                // Nothing else may come in between.
                let (message, signature) = try scram.final(challenge.token)
                let done = try client.send(SaslAuthenticateRequest(token: message), 2)
                #expect(done.error == .none && done.token == Array(signature.utf8))
                #expect(try client.send(MetadataRequest(topics: nil), 12).topics.isEmpty)
            }
        }
    }

    @Test func whoCannotLogInIsToldAndDisconnected() throws {
        try run { broker in
            let client = try broker.connect()
            _ = try client.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1)
            let answer = try client.send(SaslAuthenticateRequest(token: Array("\0alice\0wrong".utf8)), 2)
            #expect(answer.error == .saslAuthenticationFailed && answer.errorMessage == "Authentication failed: Invalid username or password")
            #expect(client.isClosedByPeer)

            let other = try broker.connect()
            let refused = try other.send(SaslHandshakeRequest(mechanism: "GSSAPI"), 1)
            #expect(refused.error == .unsupportedSASLMechanism && refused.mechanisms.count == 3)
            #expect(other.isClosedByPeer)

            let early = try broker.connect()
            #expect(try early.send(SaslAuthenticateRequest(token: [1]), 2).error == .saslAuthenticationFailed)
            #expect(early.isClosedByPeer)
        }
    }

    @Test func aClientThatSaysNothingIsDisconnected() throws {
        try run({ $0.authenticationTimeoutMs = 20 }) { broker in
            let client = try broker.connect()
            #expect(client.isClosedByPeer)
        }
    }

    @Test func aFrameBeforeLoginIsSmall() throws {
        try run { broker in
            let client = try broker.connect()
            try client.write(ByteBuffer(bytes: [0, 9, 0, 0, 0, 17, 0, 1]))
            #expect(client.isClosedByPeer)
        }
    }

    @Test func aSessionEndsUnlessItIsRenewed() throws {
        try run({ $0.sessionLifetimeMs = 300 }) { broker in
            let client = try broker.connect()
            _ = try client.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1)
            #expect(try client.send(SaslAuthenticateRequest(token: Array("\0root\0root-pw".utf8)), 1).lifetimeMs == 300)
            // Renewing under the same name is fine, under another it is not.
            _ = try client.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1)
            #expect(try client.send(SaslAuthenticateRequest(token: Array("\0root\0root-pw".utf8)), 1).error == .none)
            #expect(try client.send(MetadataRequest(topics: nil), 12).topics.count >= 2)
            let deadline = ContinuousClock.now + .milliseconds(320)
            while ContinuousClock.now < deadline {}
            _ = try client.post(MetadataRequest(topics: nil), 12)
            #expect(client.isClosedByPeer)

            let other = try login(broker, "root")
            _ = try other.send(SaslHandshakeRequest(mechanism: "PLAIN"), 1)
            let answer = try other.send(SaslAuthenticateRequest(token: Array("\0alice\0alice-pw".utf8)), 1)
            #expect(answer.error == .saslAuthenticationFailed && answer.errorMessage?.contains("Cannot change principals") == true)
            let third = try login(broker, "root")
            #expect(try third.send(SaslHandshakeRequest(mechanism: "SCRAM-SHA-256"), 1).error == .illegalSASLState)
        }
    }

    @Test func saslOnAnOpenListenerIsAnError() throws {
        try TestBroker.run { broker in
            #expect(try broker.connect().send(SaslHandshakeRequest(mechanism: "PLAIN"), 1).error == .illegalSASLState)
            let client = try broker.connect()
            #expect(try client.send(DescribeAclsRequest(), 3).error == .securityDisabled)
            #expect(try client.send(CreateAclsRequest(rules: [rule(2, "t", .read)]), 3).results.map(\.error) == [.securityDisabled])
        }
    }

    /// Each API without any rule, and then with the one that it needs: Kafka's codes.
    @Test func topicsNeedRules() throws {
        try run { broker in
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            func allow(_ rules: WireAccessRule...) throws {
                #expect(try root.send(CreateAclsRequest(rules: rules), 3).results.allSatisfy { $0.error == .none })
            }
            func metadata() throws -> MetadataResponse { try alice.send(MetadataRequest(topics: [.init(name: "t"), .init(name: "secret")]), 12) }
            func produce() throws -> [String: KafkaErrorCode] {
                let answer = try alice.send(
                    ProduceRequest(topics: ["t", "secret"].map { .init(name: $0, partitions: [.init(index: 0, records: batch("x"))]) }), 9)
                return Dictionary(uniqueKeysWithValues: answer.topics.map { ($0.name, $0.partitions[0].error) })
            }
            func fetch() throws -> [String: KafkaErrorCode] {
                let answer = try alice.send(
                    FetchRequest(
                        waitMsMax: 30_000, bytesMin: 100_000,
                        topics: ["t", "secret"].map { .init(name: $0, partitions: [.init(index: 0, bytesMax: 1000)]) }), 12)
                return Dictionary(uniqueKeysWithValues: answer.topics.map { ($0.name, $0.partitions[0].error) })
            }
            func offsets() throws -> [KafkaErrorCode] {
                try alice.send(ListOffsetsRequest(topics: [.init(name: "t", partitions: [.init(index: 0)])]), 7).topics.map { $0.partitions[0].error }
            }
            #expect(try metadata().topics.allSatisfy { $0.error == .topicAuthorizationFailed && $0.partitions.isEmpty })
            #expect(try alice.send(MetadataRequest(topics: nil), 12).topics.isEmpty, "topics that may not be described are not there")
            #expect(try alice.send(MetadataRequest(topics: [.init(name: "t")]), 0).topics.map(\.error) == [.topicAuthorizationFailed])
            #expect(try produce() == ["t": .topicAuthorizationFailed, "secret": .topicAuthorizationFailed])
            #expect(try fetch() == ["t": .topicAuthorizationFailed, "secret": .topicAuthorizationFailed])
            #expect(try offsets() == [.topicAuthorizationFailed])
            #expect(try alice.send(DeleteTopicsRequest(names: ["t"]), 5).topics.map(\.error) == [.topicAuthorizationFailed])
            #expect(try alice.send(CreateTopicsRequest(topics: [.init(name: "n", partitions: 1)]), 7).topics.map(\.error) == [.topicAuthorizationFailed])
            #expect(
                try alice.send(DescribeConfigsRequest(resources: [.init(type: 2, name: "t"), .init(type: 4, name: "1")]), 4).results.map(\.error)
                    == [.topicAuthorizationFailed, .clusterAuthorizationFailed])

            try allow(rule(2, "t", .write))
            #expect(try produce() == ["t": .none, "secret": .topicAuthorizationFailed])
            #expect(try fetch() == ["t": .topicAuthorizationFailed, "secret": .topicAuthorizationFailed])
            #expect(try offsets() == [.none], "WRITE implies DESCRIBE")
            let seen = try metadata().topics
            #expect(seen.first { $0.name == "t" }?.error == KafkaErrorCode.none && seen.first { $0.name == "secret" }?.error == .topicAuthorizationFailed)
            #expect(try alice.send(MetadataRequest(topics: nil, includesTopicOperations: true), 12).topics.map(\.authorizedOperations) == [1 << 4 | 1 << 8])

            try allow(rule(2, "t", .read))
            #expect(try fetch() == ["t": .none, "secret": .topicAuthorizationFailed], "answered at once, though there is too little to read")

            // A topic of a name that is not there is made only by those who may.
            #expect(try alice.send(MetadataRequest(topics: [.init(name: "app-1")]), 12).topics.map(\.error) == [.topicAuthorizationFailed])
            #expect(broker.log.topic("app-1") == nil)
            try allow(rule(2, "app-", .create, pattern: .prefixed), rule(2, "app-", .describe, pattern: .prefixed))
            #expect(try alice.send(MetadataRequest(topics: [.init(name: "app-1")]), 12).topics.map(\.error) == [.none])
            #expect(try alice.send(CreateTopicsRequest(topics: [.init(name: "app-2", partitions: 1)]), 7).topics.map(\.settings?.count) == [nil])
        }
    }

    @Test func groupsAndTransactionsNeedRules() throws {
        try run { broker in
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            func find(_ type: Int8) throws -> [KafkaErrorCode] {
                try alice.send(FindCoordinatorRequest(keyType: type, keys: ["x"]), 4).coordinators.map(\.error)
            }
            let join = JoinGroupRequest(groupID: "x", sessionTimeoutMs: 6000, protocolType: "consumer", protocols: [.init(name: "range")])
            let commit = OffsetCommitRequest(groupID: "x", topics: [.init(name: "t", partitions: [.init(index: 0, offset: 5)])])
            let fetch = OffsetFetchRequest(groups: [.init(groupID: "x", topics: [.init(name: "t", partitions: [0])])])
            #expect(try find(0) == [.groupAuthorizationFailed] && find(1) == [.transactionalIDAuthorizationFailed])
            #expect(try alice.send(FindCoordinatorRequest(key: "x"), 3).coordinators.map(\.error) == [.groupAuthorizationFailed])
            #expect(try alice.send(join, 5).error == .groupAuthorizationFailed)
            #expect(try alice.send(HeartbeatRequest(groupID: "x"), 4).error == .groupAuthorizationFailed)
            #expect(try alice.send(commit, 8).topics.map { $0.partitions[0].error } == [.groupAuthorizationFailed])
            #expect(try alice.send(fetch, 8).groups.map(\.error) == [.groupAuthorizationFailed])
            #expect(try alice.send(DescribeGroupsRequest(groups: ["x"]), 5).groups.map(\.error) == [.groupAuthorizationFailed])
            #expect(try alice.send(DeleteGroupsRequest(groups: ["x"]), 2).groups.map(\.error) == [.groupAuthorizationFailed])
            #expect(try alice.send(InitProducerIDRequest(transactionalID: "x"), 4).error == .transactionalIDAuthorizationFailed)
            #expect(try alice.send(InitProducerIDRequest(), 4).error == .clusterAuthorizationFailed)

            let rules = [rule(3, "x", .read), rule(5, "x", .write), rule(2, "t", .read), rule(2, "t", .write)]
            #expect(try root.send(CreateAclsRequest(rules: rules), 1).results.count == 4)
            #expect(try find(0) == [.none] && find(1) == [.none])
            #expect(try alice.send(join, 5).error == .memberIDRequired)
            #expect(try alice.send(commit, 8).topics.map { $0.partitions[0].error } == [.none])
            let fetched = try alice.send(fetch, 8).groups[0]
            #expect(fetched.error == .none && fetched.topics[0].partitions[0].offset == 5)
            #expect(try alice.send(ListGroupsRequest(), 4).groups.map(\.groupID) == ["x"])
            #expect(try alice.send(InitProducerIDRequest(), 4).error == .none, "whoever may write somewhere may do so idempotently")
            let producer = try alice.send(InitProducerIDRequest(transactionalID: "x"), 4)
            #expect(producer.error == .none)
            let added = try alice.send(
                AddPartitionsToTxnRequest(transactions: [
                    .init(
                        transactionalID: "x", producerID: producer.producerID, producerEpoch: producer.producerEpoch,
                        topics: [.init(name: "t", partitions: [0]), .init(name: "secret", partitions: [0])])
                ]), 3)
            #expect(added.transactions[0].topics.map { $0.partitions[0].error } == [.operationNotAttempted, .topicAuthorizationFailed])
        }
    }

    /// READ on the group, DESCRIBE on every topic of the topology, CREATE to have its internal topics made.
    @Test func streamsGroupsNeedRules() throws {
        try run { broker in
            try broker.log.createTopic("words", partitions: 1)
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            func allow(_ rules: WireAccessRule...) throws {
                #expect(try root.send(CreateAclsRequest(rules: rules), 3).results.allSatisfy { $0.error == .none })
            }
            let join = StreamsGroupHandlerTests.join("g", "m")
            func describe() throws -> KafkaErrorCode { try alice.send(StreamsGroupDescribeRequest(groups: ["g"]), 0).groups[0].error }
            #expect(try alice.send(join, 0).error == .groupAuthorizationFailed && describe() == .groupAuthorizationFailed)
            try allow(rule(3, "g", .read), rule(2, "words", .read))
            #expect(try alice.send(join, 0).error == .topicAuthorizationFailed)
            try allow(rule(2, "by-word", .describe), rule(2, "counts", .describe))
            let waiting = try alice.send(join, 0)
            #expect(waiting.error == .none && waiting.statuses?.contains { $0.detail.contains("User:alice may not make topics by-word, counts") } == true)
            var hidden = join
            hidden.topology?.subtopologies[0].patterns = ["sec.*"]
            #expect(try alice.send(hidden, 0).error == .topicAuthorizationFailed)
            try allow(rule(2, "by-word", .create), rule(2, "counts", .create))
            let deadline = ContinuousClock.now + .seconds(20)
            while broker.log.topic("counts") == nil, ContinuousClock.now < deadline {
                _ = try alice.send(StreamsGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: waiting.memberEpoch), 0)
            }
            #expect(broker.log.topic("counts") != nil && broker.log.topic("by-word") != nil)
            _ = try alice.send(join, 0)
            #expect(try describe() == .none)
            #expect(try root.send(DeleteAclsRequest(filters: [filter("by-word")]), 3).results[0].matches.count == 2)
            #expect(try describe() == .topicAuthorizationFailed)
        }
    }

    private func filter(_ topic: String) -> WireAccessRuleFilter {
        var filter = WireAccessRuleFilter()
        filter.pattern = PatternKind.any
        filter.resource = 2
        filter.name = topic
        return filter
    }

    @Test func rulesAndUsersAreManagedBySuperUsers() throws {
        try run { broker in
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            let rules = [rule(2, "t", .read), rule(2, "t-", .all, pattern: .prefixed), rule(4, ResourceKind.clusterName, .describe)]
            #expect(try alice.send(DescribeAclsRequest(), 3).error == .clusterAuthorizationFailed)
            #expect(try alice.send(CreateAclsRequest(rules: rules), 3).results.map(\.error) == [.clusterAuthorizationFailed, .clusterAuthorizationFailed, .clusterAuthorizationFailed])
            for version in APIKey.createAcls.versions where version > 0 {
                #expect(try root.send(CreateAclsRequest(rules: rules), version).results.map(\.error) == [.none, .none, .none])
                var filter = WireAccessRuleFilter()
                filter.pattern = PatternKind.match
                filter.resource = 2
                filter.name = "t-5"
                #expect(try alice.send(DescribeAclsRequest(filter: filter), version).resources.map(\.name) == ["t-"], "DESCRIBE on the cluster lets see rules")
                filter.pattern = PatternKind.any
                filter.name = nil
                let removed = try root.send(DeleteAclsRequest(filters: [filter]), version).results[0]
                #expect(removed.matches.map(\.rule.name).sorted() == ["t", "t-"])
            }
            var wrong = rules[0]
            wrong.operation = AccessOperation.idempotentWrite.rawValue
            var user = rules[0]
            user.principal = "alice"
            #expect(try root.send(CreateAclsRequest(rules: [wrong, user]), 3).results.map(\.error) == [.invalidRequest, .invalidRequest])

            func alter(_ iterations: Int32, _ count: Int) throws -> [KafkaErrorCode] {
                let salted = Digest.sha256.stretch(password: Array("pw".utf8), salt: [1, 2, 3], iterations: Int(iterations))
                return try root.send(
                    AlterUserScramCredentialsRequest(
                        upsertions: [.init(name: "carol", mechanism: 1, iterations: iterations, salt: [1, 2, 3], saltedPassword: Array(salted.prefix(count)))]), 0
                ).results.map(\.error)
            }
            #expect(try alter(100, 32) == [.unacceptableCredential] && alter(4096, 31) == [.unacceptableCredential])
            #expect(try alter(4096, 32) == [.none])
            #expect(broker.users.check(user: "carol", password: Array("pw".utf8)))
            let described = try root.send(DescribeUserScramCredentialsRequest(users: [.init(name: "carol"), .init(name: "dora")]), 0)
            #expect(described.results.map(\.error) == [.none, .resourceNotFound] && described.results[0].credentials.map(\.iterations) == [4096])
            let gone = try root.send(
                AlterUserScramCredentialsRequest(deletions: [.init(name: "carol", mechanism: 1), .init(name: "carol", mechanism: 2)]), 0)
            #expect(gone.results.map(\.error) == [.resourceNotFound], "all or nothing")
            #expect(broker.users.check(user: "carol", password: Array("pw".utf8)))
            #expect(try root.send(AlterUserScramCredentialsRequest(deletions: [.init(name: "carol", mechanism: 1)]), 0).results.map(\.error) == [.none])
            #expect(!broker.users.check(user: "carol", password: Array("pw".utf8)))
        }
    }

    /// Of the node itself: its voters, its loggers, what it wants to know of its clients. To report needs no right.
    @Test func theNodeIsForThoseWhoMayDescribeAndAlterTheCluster() throws {
        try run { broker in
            let root = try login(broker, "root"), alice = try login(broker, "alice")
            let id = UUIDBytes(high: 1, low: 2)
            func errors(_ client: TestClient) throws -> [KafkaErrorCode] {
                [
                    try client.send(DescribeQuorumRequest(), 2).error, try client.send(UnregisterBrokerRequest(brokerID: 9), 0).error,
                    try client.send(AddRaftVoterRequest(voterID: 2, directoryID: id, listeners: [.init(name: "l")]), 1).error,
                    try client.send(RemoveRaftVoterRequest(voterID: 2, directoryID: id), 0).error, try client.send(ListConfigResourcesRequest(), 1).error,
                    try client.send(DescribeConfigsRequest(resources: [.init(type: 8, name: "1")]), 4).results[0].error,
                    try client.send(DescribeConfigsRequest(resources: [.init(type: 16, name: "s")]), 4).results[0].error,
                    try client.send(
                        IncrementalAlterConfigsRequest(resources: [.init(type: 16, name: "s", changes: [.init(name: "metrics", operation: 0, value: "a")])]), 1
                    ).results[0].error,
                    try client.send(FindCoordinatorRequest(keyType: 2, keys: ["g:\(id.text):0"]), 6).coordinators[0].error,
                    try client.send(GetTelemetrySubscriptionsRequest(), 0).error,
                ]
            }
            #expect(try errors(alice) == [KafkaErrorCode](repeating: .clusterAuthorizationFailed, count: 9) + [.none])
            #expect(try errors(root) == [.none, .brokerIDNotRegistered, .unsupportedVersion, .unsupportedVersion, .none, .none, .none, .none, .none, .none])
        }
    }
}
