import MartletCore
import NIOCore
import Testing

@testable import MartletLog

/// Laws of the codec: what is written is read back; a frame cut anywhere, or with any byte changed, throws or reads, and never traps.
@Suite struct WireTests {
    @Test(arguments: MessageSample.all) func roundTripsInEveryVersion(_ sample: MessageSample) throws {
        for version in sample.api.versions { try sample.checkRoundTrip(version) }
    }

    @Test(arguments: MessageSample.all) func aFrameCutAtAnyByteThrows(_ sample: MessageSample) throws {
        for version in sample.api.versions { try sample.checkTruncation(version) }
    }

    @Test(arguments: MessageSample.all) func aFrameWithAnyByteChangedNeverTraps(_ sample: MessageSample) throws {
        for version in sample.api.versions { try sample.checkMutation(version) }
    }

    /// So that the laws above, and the fuzzer, leave none out.
    @Test func everyAPIHasASampleOfItsRequestAndItsAnswer() throws {
        var requests: Set<APIKey> = [], answers: Set<APIKey> = []
        for sample in MessageSample.all {
            if try sample.requestFrame(sample.api.versions.upperBound) != nil { requests.insert(sample.api) } else { answers.insert(sample.api) }
        }
        #expect(Set(APIKey.allCases).subtracting(requests) == [])
        #expect(Set(APIKey.allCases).subtracting(answers) == [])
    }

    @Test func varintsKeepTheirValue() throws {
        for value: UInt32 in [0, 1, 127, 128, 300, 16383, 16384, 1 << 28 - 1, 1 << 28, .max] {
            var writer = Wire(writingTo: ByteBuffer(), version: 0, isFlexible: true)
            writer.writeVarint(value)
            var reader = Wire(reading: writer.buffer, version: 0, isFlexible: true)
            #expect(try reader.readVarint() == value)
        }
    }

    @Test func aVarintOfMoreThan32BitsThrows() {
        for bytes: [UInt8] in [[0xff, 0xff, 0xff, 0xff, 0x10], [0xff, 0xff, 0xff, 0xff, 0xff, 0x01], [0x80]] {
            var reader = Wire(reading: ByteBuffer(bytes: bytes), version: 0, isFlexible: true)
            #expect(throws: WireError.self) { try reader.readVarint() }
        }
    }

    /// Captured by hand from the protocol guide's grammar: ApiVersions 3 of client "kcat", library "librdkafka" 2.0.2.
    @Test func readsAFlexibleHeader() throws {
        let bytes: [UInt8] =
            [0, 18, 0, 3, 0, 0, 0, 7, 0, 4] + Array("kcat".utf8) + [0] + [11] + Array("librdkafka".utf8) + [6] + Array("2.0.2".utf8) + [0]
        var (header, body, api) = try Frame.openRequest(ByteBuffer(bytes: bytes))
        #expect(header.apiKey == 18 && header.version == 3 && header.correlationID == 7 && header.clientID == "kcat")
        #expect(api == .apiVersions)
        var request = ApiVersionsRequest()
        try request.code(&body)
        try body.finish()
        #expect(request.clientSoftwareName == "librdkafka" && request.clientSoftwareVersion == "2.0.2")
    }

    /// Large records are pieces of their own on the way out; together the pieces are the frame, whichever they are.
    @Test(arguments: APIKey.fetch.versions) func theFrameIsTheSameInPieces(_ version: Int16) throws {
        let sizes = [0, 5, 16 << 10, (16 << 10) + 1, 1 << 20, 3, 100_000, 40_000]
        let partitions = sizes.enumerated().map { index, size in
            FetchResponse.Partition(index: Int32(index), records: size == 0 ? nil : ByteBuffer(repeating: UInt8(index), count: size))
        }
        let topics = [FetchResponse.Topic(name: "t", partitions: Array(partitions[..<4])), .init(name: "u", partitions: Array(partitions[4...]))]
        let frame = try Frame.response(FetchResponse(topics: topics), to: .fetch, version: version, correlationID: 7)
        var bytes = frame.joined
        #expect(bytes.readableBytes == frame.byteCount && bytes.readInteger(as: Int32.self) == Int32(frame.byteCount - 4))
        for large in sizes where large > 16 << 10 { #expect(frame.pieces.filter { $0.readableBytes == large }.count == 1) }
        var (correlation, body) = try Frame.openResponse(bytes, to: .fetch, version: version)
        var response = FetchResponse()
        try response.code(&body)
        try body.finish()
        #expect(correlation == 7 && response.topics.flatMap(\.partitions).map(\.records) == partitions.map(\.records))
    }

    @Test func skipsTaggedFieldsItDoesNotKnow() throws {
        // two tags: 0 with 3 bytes, 5 with none; then an int8
        let bytes: [UInt8] = [2, 0, 3, 9, 9, 9, 5, 0, 42]
        var reader = Wire(reading: ByteBuffer(bytes: bytes), version: 9, isFlexible: true)
        try reader.tags()
        var value: Int8 = 0
        try reader.field(&value)
        #expect(value == 42)
        // tags must rise
        var wrong = Wire(reading: ByteBuffer(bytes: [2, 1, 0, 1, 0] as [UInt8]), version: 9, isFlexible: true)
        #expect(throws: WireError.self) { try wrong.tags() }
    }

    @Test func lengthsBeyondTheFrameThrowBeforeAnythingIsAllocated() {
        var strings: [String] = []
        var reader = Wire(reading: ByteBuffer(bytes: [0x7f, 0xff, 0xff, 0xff, 0] as [UInt8]), version: 0, isFlexible: false)
        #expect(throws: WireError.self) { try reader.field(&strings) }
        var bytes: [UInt8] = []
        var negative = Wire(reading: ByteBuffer(bytes: [0xff, 0xff, 0xff, 0xf0] as [UInt8]), version: 0, isFlexible: false)
        #expect(throws: WireError.self) { try negative.field(&bytes) }
    }

    @Test func manyEmptyElementsInOneFrameAreRefused() {
        let count = Wire.elementsMax + 1
        var buffer = ByteBuffer()
        buffer.writeInteger(Int32(count))
        buffer.writeRepeatingByte(0, count: count * 2)
        var strings: [String] = []
        var reader = Wire(reading: buffer, version: 0, isFlexible: false)
        #expect(throws: WireError.self) { try reader.field(&strings) }
    }

    @Test func aNullWhereOneIsNotAllowedThrows() {
        var text = ""
        var reader = Wire(reading: ByteBuffer(bytes: [0xff, 0xff] as [UInt8]), version: 0, isFlexible: false)
        #expect(throws: WireError.self) { try reader.field(&text) }
    }

    @Test func aStringTooLongForItsLengthIsNotWritten() {
        var text = String(repeating: "x", count: 40_000)
        var writer = Wire(writingTo: ByteBuffer(), version: 0, isFlexible: false)
        #expect(throws: WireError.self) { try writer.field(&text) }
    }
}

/// One message with something in every field, and the laws for it.
struct MessageSample: Sendable, CustomTestStringConvertible {
    var api: APIKey
    var testDescription: String
    var checkRoundTrip: @Sendable (Int16) throws -> Void
    var checkTruncation: @Sendable (Int16) throws -> Void
    var checkMutation: @Sendable (Int16) throws -> Void
    /// A whole frame; nil for answers.
    var requestFrame: @Sendable (Int16) throws -> ByteBuffer?

    init<Message: WireMessage>(_ message: Message, _ api: APIKey) {
        self.api = api
        testDescription = "\(Message.self)"
        @Sendable func encode(_ value: Message, _ version: Int16) throws -> ByteBuffer {
            var wire = Wire(writingTo: ByteBuffer(), version: version, isFlexible: api.isFlexible(version)), copy = value
            try copy.code(&wire)
            return wire.buffer
        }
        @Sendable func decode(_ bytes: ByteBuffer, _ version: Int16) throws -> Message {
            var wire = Wire(reading: bytes, version: version, isFlexible: api.isFlexible(version)), read = Message()
            try read.code(&wire)
            try wire.finish()
            return read
        }
        requestFrame = { version in
            func frame<Request: WireRequest>(_ request: Request) throws -> ByteBuffer {
                try Frame.request(request, version: version, correlationID: 1, clientID: "fuzz").joined
            }
            return try (message as? any WireRequest).map { try frame($0) }
        }
        // Fields outside a version are lost on the way, so the law is about bytes: written, read, written again they are the same.
        checkRoundTrip = { version in
            let bytes = try encode(message, version)
            #expect(try encode(decode(bytes, version), version) == bytes, "version \(version)")
        }
        checkTruncation = { version in
            let bytes = try encode(message, version)
            for end in 0..<bytes.readableBytes {
                let cut = bytes.getSlice(at: 0, length: end)!
                #expect(throws: WireError.self, "version \(version) cut at \(end)") { try decode(cut, version) }
            }
        }
        checkMutation = { version in
            let bytes = try encode(message, version)
            var random = SeededRandom(seed: UInt64(version) &+ 92)
            for _ in 0..<300 where bytes.readableBytes > 0 {
                var changed = bytes
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let at = Int.random(in: 0..<bytes.readableBytes, using: &random)
                    changed.setInteger(UInt8.random(in: 0...255, using: &random), at: at)
                }
                do { _ = try decode(changed, version) } catch is WireError {}
            }
        }
    }

    private static let sampleRule = WireAccessRule(
        AccessRule(resource: .group, name: "g", pattern: .literal, principal: "User:a", host: "*", operation: .read, isAllowing: true))

    static let all: [MessageSample] = [
        .init(SaslHandshakeRequest(mechanism: "PLAIN"), .saslHandshake),
        .init(SaslHandshakeResponse(error: .unsupportedSASLMechanism, mechanisms: ["PLAIN", "SCRAM-SHA-256"]), .saslHandshake),
        .init(SaslAuthenticateRequest(token: [0, 1, 2]), .saslAuthenticate),
        .init(SaslAuthenticateResponse(error: .saslAuthenticationFailed, errorMessage: "no", token: [3], lifetimeMs: 5), .saslAuthenticate),
        .init(
            WriteTxnMarkersRequest(markers: [.init(producerID: 7, producerEpoch: 1, topics: [.init(name: "t", partitions: [0, 2])])]), .writeTxnMarkers),
        .init(
            WriteTxnMarkersResponse(markers: [.init(producerID: 7, topics: [.init(name: "t", partitions: [.init(index: 2)])])]), .writeTxnMarkers),
        .init(AlterReplicaLogDirsRequest(directories: [.init(path: "/d", topics: [.init(name: "t", partitions: [1])])]), .alterReplicaLogDirs),
        .init(AlterReplicaLogDirsResponse(topics: [.init(name: "t", partitions: [.init(error: .logDirNotFound)])]), .alterReplicaLogDirs),
        .init(CreateDelegationTokenRequest(ownerType: "User", renewers: [.init(type: "User", name: "a")]), .createDelegationToken),
        .init(CreateDelegationTokenResponse(error: .delegationTokenAuthDisabled, tokenID: "t", hmac: [1, 2]), .createDelegationToken),
        .init(RenewDelegationTokenRequest(hmac: [3], periodMs: 1), .renewDelegationToken),
        .init(TokenExpiryResponse(error: .delegationTokenAuthDisabled), .renewDelegationToken),
        .init(ExpireDelegationTokenRequest(hmac: [3]), .expireDelegationToken),
        .init(TokenExpiryResponse(expiresMs: 5), .expireDelegationToken),
        .init(DescribeDelegationTokenRequest(owners: [.init(type: "User", name: "a")]), .describeDelegationToken),
        .init(DescribeDelegationTokenResponse(tokens: [.init(principalName: "a", hmac: [1], renewers: [.init()])]), .describeDelegationToken),
        .init(UpdateFeaturesRequest(updates: [.init(name: "group.version", level: 1)]), .updateFeatures),
        .init(UpdateFeaturesResponse(results: [.init(name: "f", error: .invalidUpdateVersion, errorMessage: "m")]), .updateFeatures),
        .init(DescribeAclsRequest(), .describeAcls),
        .init(
            DescribeAclsResponse(
                resources: [.init(resource: 2, name: "t", entries: [.init(principal: "User:a", host: "*", operation: 3, permission: 3)])]),
            .describeAcls),
        .init(CreateAclsRequest(rules: [sampleRule]), .createAcls),
        .init(CreateAclsResponse(results: [.init(error: .invalidRequest, errorMessage: "m")]), .createAcls),
        .init(DeleteAclsRequest(filters: [WireAccessRuleFilter()]), .deleteAcls),
        .init(DeleteAclsResponse(results: [.init(matches: [.init(rule: sampleRule)])]), .deleteAcls),
        .init(DescribeClientQuotasRequest(components: [.init(type: "user", match: "a")], isStrict: true), .describeClientQuotas),
        .init(
            DescribeClientQuotasResponse(entries: [.init(entity: [.init(type: "user", name: "a")], values: [.init(key: "k", value: 1)])]),
            .describeClientQuotas),
        .init(
            AlterClientQuotasRequest(entries: [.init(entity: [.init(type: "user")], changes: [.init(key: "k", value: 1, isRemoval: true)])]),
            .alterClientQuotas),
        .init(AlterClientQuotasResponse(entries: [.init(errorMessage: "m", entity: [.init(type: "user")])]), .alterClientQuotas),
        .init(DescribeUserScramCredentialsRequest(users: [.init(name: "a")]), .describeUserScramCredentials),
        .init(
            DescribeUserScramCredentialsResponse(results: [.init(user: "a", credentials: [.init(mechanism: 1, iterations: 4096)])]),
            .describeUserScramCredentials),
        .init(
            AlterUserScramCredentialsRequest(
                deletions: [.init(name: "b", mechanism: 2)],
                upsertions: [.init(name: "a", mechanism: 1, iterations: 4096, salt: [1], saltedPassword: [2])]),
            .alterUserScramCredentials),
        .init(AlterUserScramCredentialsResponse(results: [.init(user: "a", error: .resourceNotFound)]), .alterUserScramCredentials),
        .init(
            ShareFetchRequest(
                groupID: "g", memberID: "m", sessionEpoch: 3, waitMsMax: 1, bytesMin: 1, bytesMax: 2, recordsMax: 3, batchSize: 4, acquireMode: 1, renews: true,
                topics: [
                    .init(
                        id: UUIDBytes(high: 1, low: 2),
                        partitions: [.init(index: 1, acknowledgements: [.init(firstOffset: 3, lastOffset: 5, types: [1, 2, 3])])])
                ], forgottenTopics: [.init(id: UUIDBytes(high: 3, low: 4), partitions: [0, 7])]), .shareFetch),
        .init(
            ShareFetchResponse(
                error: .shareSessionNotFound, errorMessage: "m", lockMs: 5,
                topics: [
                    .init(
                        id: UUIDBytes(high: 1, low: 2),
                        partitions: [
                            .init(
                                index: 2, error: .corruptMessage, errorMessage: "e", acknowledgeError: .invalidRecordState, acknowledgeMessage: "a",
                                records: ByteBuffer(string: "r"), acquired: [.init(firstOffset: 1, lastOffset: 2, deliveryCount: 3)])
                        ])
                ], endpoints: [.init(nodeID: 1, host: "h", port: 2, rack: "r")]), .shareFetch),
        .init(
            ShareAcknowledgeRequest(
                groupID: "g", memberID: "m", sessionEpoch: 3, renews: true,
                topics: [
                    .init(
                        id: UUIDBytes(high: 1, low: 2), partitions: [.init(index: 1, acknowledgements: [.init(firstOffset: 3, lastOffset: 5, types: [4])])])
                ]), .shareAcknowledge),
        .init(
            ShareAcknowledgeResponse(
                error: .invalidRequest, errorMessage: "m", lockMs: 5,
                topics: [.init(id: UUIDBytes(high: 1, low: 2), partitions: [.init(index: 2, error: .invalidRecordState, errorMessage: "e")])],
                endpoints: [.init(nodeID: 1, host: "h", port: 2)]), .shareAcknowledge),
        .init(ApiVersionsRequest(clientSoftwareName: "a", clientSoftwareVersion: "1"), .apiVersions),
        .init(ApiVersionsResponse(error: .unsupportedVersion, apis: [.init(apiKey: 3, min: 0, max: 9)], throttleTimeMs: 4), .apiVersions),
        .init(MetadataRequest(topics: [.init(id: UUIDBytes(high: 1, low: 2), name: "t")]), .metadata),
        .init(MetadataRequest(topics: []), .metadata),
        .init(
            MetadataResponse(
                brokers: [.init(nodeID: 1, host: "h", port: 9092, rack: "r")], clusterID: "c",
                topics: [.init(name: "t", id: UUIDBytes(high: 3, low: 4), partitions: [.init(index: 2)])]), .metadata),
        .init(
            ProduceRequest(
                transactionalID: nil, topics: [.init(name: "t", partitions: [.init(index: 1, records: ByteBuffer(string: "records"))])]),
            .produce),
        .init(
            ProduceResponse(topics: [
                .init(name: "t", partitions: [.init(index: 1, recordErrors: [.init(batchIndex: 3, message: "m")], errorMessage: "e")])
            ]), .produce),
        .init(
            FetchRequest(topics: [.init(name: "t", partitions: [.init(index: 4)])], forgottenTopics: [.init(name: "u", partitions: [1, 2])]),
            .fetch),
        .init(
            FetchResponse(topics: [
                .init(name: "t", partitions: [.init(index: 1, aborted: [.init(producerID: 7, firstOffset: 9)], records: ByteBuffer(bytes: [1, 2, 3]))])
            ]), .fetch),
        .init(ListOffsetsRequest(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .listOffsets),
        .init(ListOffsetsResponse(topics: [.init(name: "t", partitions: [.init(index: 1, offset: 5)])]), .listOffsets),
        .init(OffsetForLeaderEpochRequest(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .offsetForLeaderEpoch),
        .init(OffsetForLeaderEpochResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .offsetForLeaderEpoch),
        .init(FindCoordinatorRequest(key: "g", keys: ["g", "h"]), .findCoordinator),
        .init(FindCoordinatorResponse(coordinators: [.init(key: "g", nodeID: 1, host: "h", port: 2)]), .findCoordinator),
        .init(
            JoinGroupRequest(
                groupID: "g", memberID: "m", groupInstanceID: "i", protocolType: "consumer",
                protocols: [.init(name: "range", metadata: [1, 2])], reason: "r"), .joinGroup),
        .init(
            JoinGroupResponse(
                protocolType: "consumer", protocolName: "range", leaderID: "m", memberID: "m",
                members: [.init(memberID: "m", groupInstanceID: "i", metadata: [1])]), .joinGroup),
        .init(
            SyncGroupRequest(
                groupID: "g", memberID: "m", protocolType: "t", protocolName: "n", assignments: [.init(memberID: "m", assignment: [5])]),
            .syncGroup),
        .init(SyncGroupResponse(protocolType: "t", protocolName: "n", assignment: [1, 2]), .syncGroup),
        .init(HeartbeatRequest(groupID: "g", memberID: "m", groupInstanceID: "i"), .heartbeat),
        .init(HeartbeatResponse(error: .rebalanceInProgress), .heartbeat),
        .init(
            LeaveGroupRequest(groupID: "g", memberID: "m", members: [.init(memberID: "m", groupInstanceID: "i", reason: "r")]), .leaveGroup),
        .init(LeaveGroupResponse(members: [.init(memberID: "m", groupInstanceID: nil)]), .leaveGroup),
        .init(
            OffsetCommitRequest(groupID: "g", topics: [.init(name: "t", partitions: [.init(index: 1, metadata: "x")])]), .offsetCommit),
        .init(OffsetCommitResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .offsetCommit),
        .init(OffsetFetchRequest(groups: [.init(groupID: "g", topics: [.init(name: "t", partitions: [1])])]), .offsetFetch),
        .init(
            OffsetFetchResponse(groups: [.init(groupID: "g", topics: [.init(name: "t", partitions: [.init(index: 1)])])]), .offsetFetch),
        .init(OffsetDeleteRequest(groupID: "g", topics: [.init(name: "t", partitions: [1])]), .offsetDelete),
        .init(OffsetDeleteResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .offsetDelete),
        .init(DescribeGroupsRequest(groups: ["g"]), .describeGroups),
        .init(DescribeGroupsResponse(groups: [.init(groupID: "g", members: [.init(memberID: "m")])]), .describeGroups),
        .init(ListGroupsRequest(states: ["Stable"]), .listGroups),
        .init(ListGroupsResponse(groups: [.init(groupID: "g", protocolType: "consumer", state: "Stable")]), .listGroups),
        .init(DeleteGroupsRequest(groups: ["g"]), .deleteGroups),
        .init(DeleteGroupsResponse(groups: [.init(groupID: "g")]), .deleteGroups),
        .init(
            CreateTopicsRequest(topics: [
                .init(name: "t", assignments: [.init(partition: 0, brokers: [1])], settings: [.init(name: "n", value: "v")])
            ]), .createTopics),
        .init(CreateTopicsResponse(topics: [.init(name: "t", settings: [.init(name: "n", value: nil)])]), .createTopics),
        .init(DeleteTopicsRequest(topics: [.init(name: "t")], names: ["t"]), .deleteTopics),
        .init(DeleteTopicsResponse(topics: [.init(name: "t", errorMessage: "m")]), .deleteTopics),
        .init(CreatePartitionsRequest(topics: [.init(name: "t", total: 3, assignments: [.init(brokers: [1])])]), .createPartitions),
        .init(CreatePartitionsResponse(topics: [.init(name: "t")]), .createPartitions),
        .init(DeleteRecordsRequest(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .deleteRecords),
        .init(DeleteRecordsResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .deleteRecords),
        .init(InitProducerIDRequest(transactionalID: "x"), .initProducerID),
        .init(InitProducerIDResponse(producerID: 5, producerEpoch: 1), .initProducerID),
        .init(
            AddPartitionsToTxnRequest(transactions: [.init(transactionalID: "x", topics: [.init(name: "t", partitions: [1])])]), .addPartitionsToTxn),
        .init(
            AddPartitionsToTxnResponse(transactions: [.init(transactionalID: "x", topics: [.init(name: "t", partitions: [.init(index: 1)])])]),
            .addPartitionsToTxn),
        .init(AddOffsetsToTxnRequest(transactionalID: "x", groupID: "g"), .addOffsetsToTxn),
        .init(TxnErrorResponse(error: .producerFenced), .addOffsetsToTxn),
        .init(
            TxnOffsetCommitRequest(
                transactionalID: "x", groupID: "g", memberID: "m", topics: [.init(name: "t", partitions: [.init(index: 1, metadata: "n")])]),
            .txnOffsetCommit),
        .init(TxnOffsetCommitResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .txnOffsetCommit),
        .init(EndTxnRequest(transactionalID: "x", isCommit: true), .endTxn),
        .init(EndTxnResponse(producerID: 7, producerEpoch: 3), .endTxn),
        .init(ElectLeadersRequest(topics: [.init(name: "t", partitions: [1])]), .electLeaders),
        .init(ElectLeadersResponse(topics: [.init(name: "t", partitions: [.init(index: 1, errorMessage: "m")])]), .electLeaders),
        .init(
            AlterPartitionReassignmentsRequest(topics: [.init(name: "t", partitions: [.init(index: 1, replicas: [1])])]),
            .alterPartitionReassignments),
        .init(
            AlterPartitionReassignmentsResponse(topics: [.init(name: "t", partitions: [.init(index: 1, error: .none)])]),
            .alterPartitionReassignments),
        .init(ListPartitionReassignmentsRequest(topics: [.init(name: "t", partitions: [1])]), .listPartitionReassignments),
        .init(
            ListPartitionReassignmentsResponse(topics: [.init(name: "t", partitions: [.init(index: 1, replicas: [1], adding: [2])])]),
            .listPartitionReassignments),
        .init(ListTransactionsRequest(states: ["Ongoing"], producerIDs: [4], pattern: "x.*"), .listTransactions),
        .init(
            ListTransactionsResponse(unknownStates: ["s"], transactions: [.init(transactionalID: "x", producerID: 4, state: "Ongoing")]),
            .listTransactions),
        .init(DescribeTransactionsRequest(transactionalIDs: ["x"]), .describeTransactions),
        .init(
            DescribeTransactionsResponse(transactions: [.init(transactionalID: "x", topics: [.init(name: "t", partitions: [1])])]),
            .describeTransactions),
        .init(DescribeProducersRequest(topics: [.init(name: "t", partitions: [1])]), .describeProducers),
        .init(
            DescribeProducersResponse(topics: [.init(name: "t", partitions: [.init(index: 1, producers: [.init(id: 1)])])]), .describeProducers),
        .init(
            ConsumerGroupHeartbeatRequest(
                groupID: "g", memberID: "m", instanceID: "i", topicNames: ["t"], topicPattern: "p", assignor: "range",
                owned: [.init(id: .init(high: 1, low: 2), partitions: [3])]), .consumerGroupHeartbeat),
        .init(
            ConsumerGroupHeartbeatResponse(memberID: "m", assignment: .init(topics: [.init(id: .init(high: 1, low: 2), partitions: [3])])),
            .consumerGroupHeartbeat),
        .init(ConsumerGroupDescribeRequest(groups: ["g"]), .consumerGroupDescribe),
        .init(
            ConsumerGroupDescribeResponse(groups: [
                .init(groupID: "g", members: [.init(memberID: "m", topicNames: ["t"], assignment: .init(topics: [.init(name: "t", partitions: [1])]))])
            ]), .consumerGroupDescribe),
        .init(ShareGroupHeartbeatRequest(groupID: "g", memberID: "m", memberEpoch: 3, rackID: "r", topicNames: ["t"]), .shareGroupHeartbeat),
        .init(
            ShareGroupHeartbeatResponse(memberID: "m", assignment: .init(topics: [.init(id: .init(high: 1, low: 2), partitions: [3])])),
            .shareGroupHeartbeat),
        .init(ShareGroupDescribeRequest(groups: ["g"], includesOperations: true), .shareGroupDescribe),
        .init(
            ShareGroupDescribeResponse(groups: [
                .init(
                    groupID: "g", plan: "simple",
                    members: [.init(memberID: "m", rackID: "r", topicNames: ["t"], assignment: .init(topics: [.init(name: "t", partitions: [1])]))])
            ]), .shareGroupDescribe),
        .init(
            DescribeShareGroupOffsetsRequest(groups: [.init(groupID: "g", topics: [.init(name: "t", partitions: [1])]), .init(groupID: "h", topics: nil)]),
            .describeShareGroupOffsets),
        .init(
            DescribeShareGroupOffsetsResponse(groups: [
                .init(groupID: "g", topics: [.init(name: "t", partitions: [.init(index: 1, startOffset: 5, lag: 2, errorMessage: "m")])])
            ]), .describeShareGroupOffsets),
        .init(
            AlterShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t", partitions: [.init(index: 1, startOffset: 5)])]),
            .alterShareGroupOffsets),
        .init(AlterShareGroupOffsetsResponse(topics: [.init(name: "t", partitions: [.init(index: 1)])]), .alterShareGroupOffsets),
        .init(DeleteShareGroupOffsetsRequest(groupID: "g", topics: [.init(name: "t")]), .deleteShareGroupOffsets),
        .init(DeleteShareGroupOffsetsResponse(topics: [.init(name: "t", errorMessage: "m")]), .deleteShareGroupOffsets),
        .init(
            StreamsGroupHeartbeatRequest(
                groupID: "g", memberID: "m", instanceID: "i", rackID: "r",
                topology: .init(
                    epoch: 1,
                    subtopologies: [
                        .init(
                            id: "0", sources: ["t"], patterns: ["p"], changelogs: [.init(name: "c", settings: [.init(key: "k", value: "v")])], sinks: ["s"],
                            repartitions: [.init(name: "r", partitions: 2, replicationFactor: 1)],
                            copartitionGroups: [.init(sources: [0], patterns: [0], repartitions: [0])])
                    ]),
                active: [.init(subtopology: "0", partitions: [1])], standby: [], warmup: [], processID: "p",
                endpoint: StreamsEndpoint(.init(host: "h", port: 65_535)), clientTags: [.init(key: "k", value: "v")],
                offsets: [.init(subtopology: "0", partition: 1, offset: 5)], endOffsets: [.init(subtopology: "0", partition: 1, offset: 6)],
                requestsShutdown: true), .streamsGroupHeartbeat),
        .init(
            StreamsGroupHeartbeatResponse(
                memberID: "m", statuses: [.init(code: 3, detail: "d")], active: [.init(subtopology: "0", partitions: [1])], standby: [], warmup: [],
                endpoints: [
                    .init(
                        endpoint: StreamsEndpoint(.init(host: "h", port: 40_000)), active: [.init(topic: "t", partitions: [1])],
                        standby: [.init(topic: "t", partitions: [2])])
                ]), .streamsGroupHeartbeat),
        .init(StreamsGroupDescribeRequest(groups: ["g"], includesOperations: true), .streamsGroupDescribe),
        .init(
            StreamsGroupDescribeResponse(groups: [
                .init(
                    groupID: "g", state: "Stable",
                    plan: .init(epoch: 1, subtopologies: [.init(id: "0", sources: ["t"], changelogs: [.init(name: "c")], repartitions: [.init(name: "r")])]),
                    members: [
                        .init(
                            memberID: "m", processID: "p", endpoint: StreamsEndpoint(.init(host: "h", port: 1)), clientTags: [.init(key: "k", value: "v")],
                            offsets: [.init(subtopology: "0", partition: 1, offset: 5)],
                            assignment: .init(.init(active: [.init(subtopology: "0", partition: 1)])))
                    ])
            ]), .streamsGroupDescribe),
        .init(
            DescribeTopicPartitionsRequest(topics: [.init(name: "t")], cursor: .init(topic: "t", partition: 3)), .describeTopicPartitions),
        .init(
            DescribeTopicPartitionsResponse(
                topics: [.init(name: "t", partitions: [.init(index: 1, eligibleLeaders: [1])])], nextCursor: .init(topic: "u", partition: 1)),
            .describeTopicPartitions),
        .init(DescribeLogDirsRequest(topics: [.init(name: "t", partitions: [1])]), .describeLogDirs),
        .init(
            DescribeLogDirsResponse(directories: [.init(path: "/d", topics: [.init(name: "t", partitions: [.init(index: 1)])])]),
            .describeLogDirs),
        .init(DescribeConfigsRequest(resources: [.init(type: 2, name: "t", keys: ["k"])]), .describeConfigs),
        .init(
            DescribeConfigsResponse(results: [
                .init(name: "t", settings: [.init(name: "k", value: "v", synonyms: [.init(name: "k", value: "v")])])
            ]), .describeConfigs),
        .init(AlterConfigsRequest(resources: [.init(type: 2, name: "t", settings: [.init(name: "k", value: "v")])]), .alterConfigs),
        .init(AlterConfigsResponse(results: [.init(name: "t")]), .alterConfigs),
        .init(
            IncrementalAlterConfigsRequest(resources: [.init(type: 2, name: "t", changes: [.init(name: "k", operation: 1)])]),
            .incrementalAlterConfigs),
        .init(AlterConfigsResponse(results: [.init(error: .invalidConfig, errorMessage: "m", type: 8, name: "1")]), .incrementalAlterConfigs),
        .init(DescribeClusterRequest(), .describeCluster),
        .init(DescribeClusterResponse(clusterID: "c", brokers: [.init(nodeID: 1, host: "h", port: 1)]), .describeCluster),
    ] + ofNodes
}
