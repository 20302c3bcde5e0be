import Logging
import MartletCore
import NIOCore
import NIOPosix
import Synchronization

/// Where a request came from and where its answer goes.
struct RequestContext: Sendable {
    var version: Int16
    var clientID: String
    /// "/" and the peer's address, as Kafka shows it.
    var clientHost: String
    var clientPort: Int
    /// Under which name and port this client reaches us.
    var advertisedHost: String
    var advertisedPort: Int32
    /// The connection's.
    var loop: any EventLoop
    var life: ConnectionLife
    /// How far the connection is with saying who it is.
    var session: ConnectionSession
    /// What whoever is at the other end may do.
    var access: Access
    /// What the request costs; nil as long as nobody has limits.
    var charge: RequestCharge?
}

/// What a handler gives back: an answer, one that comes later, or none at all (Produce with acks=0).
enum Answer<Value: Sendable>: Sendable {
    case now(Value)
    case later(EventLoopFuture<Value>)
    case none
}

/// Decodes a request, hands it to its handler and encodes the answer. One file in `Handlers` for each API.
///
/// Handlers run on the connection's event loop; whatever may wait for a disk goes to `blocking`.
final class RequestRouter: Sendable {
    let log: EmbeddedLog
    let groups: GroupCoordinator
    let shares: SharePartitions
    let delayedFetches = DelayedFetches<FetchPlan>()
    let fetchSessions: FetchSessions
    let topicIDs: TopicIDs
    let answerBytes: AnswerBytes
    /// What clients say of themselves.
    let telemetry: TelemetryStore
    let loggers: LoggerLevels
    let requestMeters = RequestMeters()
    let connectionMeters = ConnectionMeters()
    let throttles = ThrottleMeters()
    /// One change of topics' settings at a time, as each begins with what is set.
    let alteringTopics = Mutex(())
    /// Threads for work that may wait for a disk.
    let blocking: NIOThreadPool
    let config: BrokerConfig
    let security: ConnectionSecurity
    let quotas: ClientQuotas
    let time: TimeSource
    let logger: Logger

    static let nodeID: Int32 = 1

    init(
        log: EmbeddedLog, groups: GroupCoordinator, shares: SharePartitions, blocking: NIOThreadPool, config: BrokerConfig, security: ConnectionSecurity,
        quotas: ClientQuotas, time: TimeSource, loggers: LoggerLevels
    ) {
        self.log = log
        self.groups = groups
        self.shares = shares
        self.blocking = blocking
        self.config = config
        self.security = security
        self.quotas = quotas
        self.time = time
        self.loggers = loggers
        logger = loggers.logger("martlet.kafka")
        telemetry = TelemetryStore(time: time)
        fetchSessions = FetchSessions(sessionsMax: config.fetchSessionsMax)
        topicIDs = TopicIDs(log: log)
        answerBytes = AnswerBytes(most: config.unsentBytesMax)
    }

    /// - Returns: the whole response frame.
    /// - Throws: if the request is malformed or of a version we do not know; the connection is closed then, as Kafka does.
    func route(_ api: APIKey, _ header: RequestHeader, _ body: Wire, _ context: RequestContext) throws(WireError) -> Answer<FrameBytes> {
        guard api.versions.contains(header.version) else {
            if api == .apiVersions { return .now(try unsupportedApiVersions(header)) }
            throw WireError(message: "not one of versions \(api.versions.lowerBound) to \(api.versions.upperBound)", position: 0)
        }
        func serve<Request: WireRequest>(_ type: Request.Type, _ handler: (Request) -> Answer<Request.Response>) throws(WireError)
            -> Answer<FrameBytes>
        {
            let beganNs = time.monotonicNs
            var request = Request(), wire = body
            // Bytes after the end are let pass, as Kafka does: librdkafka 2.16 pads Metadata 12 for all topics with three.
            try request.code(&wire)
            request.nameTopics(topicIDs)
            var amend: (@Sendable (inout Request.Response) -> Void)?
            if context.access.rules != nil {
                switch request.authorize(context.access, log) {
                case .granted: break
                case .refused(let response):
                    defer { requestMeters.served(api, ns: time.monotonicNs - beganNs) }
                    return .now(try encode(response, api, header))
                case .limited(let change): amend = change
                case .closed: throw WireError(message: "\(context.access.principal) is not authorised", position: 0)
                }
            }
            let answer = handler(request)
            if let charge = context.charge { charge.add(busyNs: time.monotonicNs - beganNs) }
            let bytes = body.buffer.readableBytes
            switch answer {
            case .none:
                settle(api, requestBytes: bytes, recordBytes: 0, context)
                requestMeters.served(api, ns: time.monotonicNs - beganNs)
                return .none
            case .now(var response):
                amend?(&response)
                throttle(&response, api, bytes, context)
                let frame = try encode(response, api, header)
                requestMeters.served(api, ns: time.monotonicNs - beganNs)
                return .now(frame)
            case .later(let future):
                return .later(
                    future.flatMapThrowing { [amend] response in
                        var response = response
                        amend?(&response)
                        self.throttle(&response, api, bytes, context)
                        let frame = try self.encode(response, api, header)
                        self.requestMeters.served(api, ns: self.time.monotonicNs - beganNs)
                        return frame
                    })
            }
        }
        switch api {
        case .apiVersions: return try serve(ApiVersionsRequest.self) { apiVersions($0, context) }
        case .saslHandshake: return try serve(SaslHandshakeRequest.self) { saslHandshake($0, context) }
        case .saslAuthenticate: return try serve(SaslAuthenticateRequest.self) { saslAuthenticate($0, context) }
        case .metadata: return try serve(MetadataRequest.self) { metadata($0, context) }
        case .describeTopicPartitions:
            return try serve(DescribeTopicPartitionsRequest.self) { describeTopicPartitions($0, context) }
        case .describeCluster: return try serve(DescribeClusterRequest.self) { describeCluster($0, context) }
        case .produce: return try serve(ProduceRequest.self) { produce($0, context) }
        case .fetch: return try serve(FetchRequest.self) { fetch($0, context) }
        case .listOffsets: return try serve(ListOffsetsRequest.self) { listOffsets($0, context) }
        case .offsetForLeaderEpoch: return try serve(OffsetForLeaderEpochRequest.self) { offsetForLeaderEpoch($0) }
        case .findCoordinator: return try serve(FindCoordinatorRequest.self) { findCoordinator($0, context) }
        case .joinGroup: return try serve(JoinGroupRequest.self) { joinGroup($0, context) }
        case .syncGroup: return try serve(SyncGroupRequest.self) { syncGroup($0, context) }
        case .heartbeat: return try serve(HeartbeatRequest.self) { heartbeat($0, context) }
        case .leaveGroup: return try serve(LeaveGroupRequest.self) { leaveGroup($0, context) }
        case .offsetCommit: return try serve(OffsetCommitRequest.self) { offsetCommit($0, context) }
        case .offsetFetch: return try serve(OffsetFetchRequest.self) { offsetFetch($0, context) }
        case .offsetDelete: return try serve(OffsetDeleteRequest.self) { offsetDelete($0, context) }
        case .describeGroups: return try serve(DescribeGroupsRequest.self) { describeGroups($0, context) }
        case .listGroups: return try serve(ListGroupsRequest.self) { listGroups($0) }
        case .deleteGroups: return try serve(DeleteGroupsRequest.self) { deleteGroups($0, context) }
        case .consumerGroupHeartbeat:
            return try serve(ConsumerGroupHeartbeatRequest.self) { consumerGroupHeartbeat($0, context) }
        case .consumerGroupDescribe: return try serve(ConsumerGroupDescribeRequest.self) { groupDescribe($0) }
        case .shareFetch: return try serve(ShareFetchRequest.self) { shareFetch($0, context) }
        case .shareAcknowledge: return try serve(ShareAcknowledgeRequest.self) { shareAcknowledge($0, context) }
        case .shareGroupHeartbeat: return try serve(ShareGroupHeartbeatRequest.self) { shareGroupHeartbeat($0, context) }
        case .shareGroupDescribe: return try serve(ShareGroupDescribeRequest.self) { groupDescribe($0) }
        case .describeShareGroupOffsets:
            return try serve(DescribeShareGroupOffsetsRequest.self) { describeShareGroupOffsets($0, context) }
        case .alterShareGroupOffsets: return try serve(AlterShareGroupOffsetsRequest.self) { alterShareGroupOffsets($0, context) }
        case .deleteShareGroupOffsets: return try serve(DeleteShareGroupOffsetsRequest.self) { deleteShareGroupOffsets($0, context) }
        case .streamsGroupHeartbeat: return try serve(StreamsGroupHeartbeatRequest.self) { streamsGroupHeartbeat($0, context) }
        case .streamsGroupDescribe: return try serve(StreamsGroupDescribeRequest.self) { groupDescribe($0) }
        case .createTopics: return try serve(CreateTopicsRequest.self) { createTopics($0, context) }
        case .deleteTopics: return try serve(DeleteTopicsRequest.self) { deleteTopics($0, context) }
        case .createPartitions: return try serve(CreatePartitionsRequest.self) { createPartitions($0, context) }
        case .deleteRecords: return try serve(DeleteRecordsRequest.self) { deleteRecords($0, context) }
        case .describeConfigs: return try serve(DescribeConfigsRequest.self) { describeConfigs($0) }
        case .describeLogDirs: return try serve(DescribeLogDirsRequest.self) { describeLogDirs($0, context) }
        case .alterConfigs: return try serve(AlterConfigsRequest.self) { alterConfigs($0, context) }
        case .incrementalAlterConfigs:
            return try serve(IncrementalAlterConfigsRequest.self) { incrementalAlterConfigs($0, context) }
        case .describeAcls: return try serve(DescribeAclsRequest.self) { describeAcls($0) }
        case .createAcls: return try serve(CreateAclsRequest.self) { createAcls($0, context) }
        case .deleteAcls: return try serve(DeleteAclsRequest.self) { deleteAcls($0, context) }
        case .describeClientQuotas: return try serve(DescribeClientQuotasRequest.self) { describeClientQuotas($0) }
        case .alterClientQuotas: return try serve(AlterClientQuotasRequest.self) { alterClientQuotas($0, context) }
        case .describeUserScramCredentials:
            return try serve(DescribeUserScramCredentialsRequest.self) { describeUserScramCredentials($0, context) }
        case .alterUserScramCredentials:
            return try serve(AlterUserScramCredentialsRequest.self) { alterUserScramCredentials($0, context) }
        case .electLeaders: return try serve(ElectLeadersRequest.self) { electLeaders($0) }
        case .alterPartitionReassignments:
            return try serve(AlterPartitionReassignmentsRequest.self) { alterPartitionReassignments($0) }
        case .listPartitionReassignments:
            return try serve(ListPartitionReassignmentsRequest.self) { listPartitionReassignments($0) }
        case .describeProducers: return try serve(DescribeProducersRequest.self) { describeProducers($0, context) }
        case .listTransactions: return try serve(ListTransactionsRequest.self) { listTransactions($0, context) }
        case .describeTransactions: return try serve(DescribeTransactionsRequest.self) { describeTransactions($0, context) }
        case .addPartitionsToTxn: return try serve(AddPartitionsToTxnRequest.self) { addPartitionsToTxn($0, context) }
        case .addOffsetsToTxn: return try serve(AddOffsetsToTxnRequest.self) { addOffsetsToTxn($0, context) }
        case .txnOffsetCommit: return try serve(TxnOffsetCommitRequest.self) { txnOffsetCommit($0, context) }
        case .endTxn: return try serve(EndTxnRequest.self) { endTxn($0, context) }
        case .writeTxnMarkers: return try serve(WriteTxnMarkersRequest.self) { writeTxnMarkers($0, context) }
        case .alterReplicaLogDirs: return try serve(AlterReplicaLogDirsRequest.self) { alterReplicaLogDirs($0) }
        case .createDelegationToken:
            return try serve(CreateDelegationTokenRequest.self) { createDelegationToken($0, context) }
        case .renewDelegationToken:
            return try serve(RenewDelegationTokenRequest.self) { renewDelegationToken($0, context) }
        case .expireDelegationToken:
            return try serve(ExpireDelegationTokenRequest.self) { expireDelegationToken($0, context) }
        case .describeDelegationToken:
            return try serve(DescribeDelegationTokenRequest.self) { describeDelegationToken($0, context) }
        case .updateFeatures: return try serve(UpdateFeaturesRequest.self) { updateFeatures($0, context) }
        case .describeQuorum: return try serve(DescribeQuorumRequest.self) { describeQuorum($0, context) }
        case .unregisterBroker: return try serve(UnregisterBrokerRequest.self) { unregisterBroker($0) }
        case .addRaftVoter: return try serve(AddRaftVoterRequest.self) { addRaftVoter($0) }
        case .removeRaftVoter: return try serve(RemoveRaftVoterRequest.self) { removeRaftVoter($0) }
        case .listConfigResources: return try serve(ListConfigResourcesRequest.self) { listConfigResources($0, context) }
        case .getTelemetrySubscriptions:
            return try serve(GetTelemetrySubscriptionsRequest.self) { getTelemetrySubscriptions($0, context) }
        case .pushTelemetry: return try serve(PushTelemetryRequest.self) { pushTelemetry($0, context) }
        case .initProducerID: return try serve(InitProducerIDRequest.self) { initProducerID($0, context) }
        }
    }

    private func encode<Response: WireMessage>(_ response: Response, _ api: APIKey, _ header: RequestHeader) throws(WireError)
        -> FrameBytes
    {
        try Frame.response(response, to: api, version: header.version, correlationID: header.correlationID) { requestMeters.told($0, api) }
    }

    /// Counts the request and tells the client to wait if it used too much.
    private func throttle<Response: WireMessage>(_ response: inout Response, _ api: APIKey, _ requestBytes: Int, _ context: RequestContext) {
        guard let charge = context.charge else { return }
        settle(api, requestBytes: requestBytes, recordBytes: (response as? any RecordAnswer)?.recordBytes ?? 0, context)
        guard charge.totalWaitMs > 0, var told = response as? any ThrottledResponse else { return }
        told.throttleTimeMs = Int32(clamping: charge.totalWaitMs)
        if let told = told as? Response { response = told }
    }

    /// Runs `work` on a thread that may wait for the disk.
    func offload<Value: Sendable>(_ context: RequestContext, _ work: @escaping @Sendable () -> Value) -> Answer<Value> {
        guard let charge = context.charge else { return .later(blocking.runIfActive(eventLoop: context.loop, work)) }
        let time = time
        return .later(
            blocking.runIfActive(eventLoop: context.loop) {
                let beganNs = time.monotonicNs
                defer { charge.add(busyNs: time.monotonicNs - beganNs) }
                return work()
            })
    }

    /// How an error of the log is told to a Kafka client.
    func code(_ error: MartletError) -> KafkaErrorCode {
        switch error.code {
        case .alreadyExists: .topicAlreadyExists
        case .notFound, .unknownSource: .unknownTopicOrPartition
        case .badRequest, .invalidProperty, .unknownProperty: .invalidRequest
        case .outOfRange: .offsetOutOfRange
        case .corruptRecord: .corruptMessage
        case .io, .diskFull: .kafkaStorageError
        case .fenced: .producerFenced
        default: .unknownServerError
        }
    }
}
