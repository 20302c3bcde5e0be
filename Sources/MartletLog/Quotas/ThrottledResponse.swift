/// An answer that can tell its client for how long nothing will be read from it (KIP-219).
protocol ThrottledResponse: WireMessage {
    var throttleTimeMs: Int32 { get set }
}

/// An answer that carries records, which count against the limit of what a client may fetch.
protocol RecordAnswer {
    var recordBytes: Int { get }
}

extension FetchResponse: RecordAnswer {}
extension ShareFetchResponse: RecordAnswer {}

extension AddPartitionsToTxnResponse: ThrottledResponse {}
extension AlterClientQuotasResponse: ThrottledResponse {}
extension AlterConfigsResponse: ThrottledResponse {}
extension AlterPartitionReassignmentsResponse: ThrottledResponse {}
extension AlterReplicaLogDirsResponse: ThrottledResponse {}
extension AlterShareGroupOffsetsResponse: ThrottledResponse {}
extension AlterUserScramCredentialsResponse: ThrottledResponse {}
extension ApiVersionsResponse: ThrottledResponse {}
extension GroupDescribeResponse: ThrottledResponse {}
extension ConsumerGroupHeartbeatResponse: ThrottledResponse {}
extension CreateAclsResponse: ThrottledResponse {}
extension CreateDelegationTokenResponse: ThrottledResponse {}
extension CreatePartitionsResponse: ThrottledResponse {}
extension CreateTopicsResponse: ThrottledResponse {}
extension DeleteAclsResponse: ThrottledResponse {}
extension DeleteGroupsResponse: ThrottledResponse {}
extension DeleteRecordsResponse: ThrottledResponse {}
extension DeleteShareGroupOffsetsResponse: ThrottledResponse {}
extension DeleteTopicsResponse: ThrottledResponse {}
extension DescribeAclsResponse: ThrottledResponse {}
extension DescribeClientQuotasResponse: ThrottledResponse {}
extension DescribeClusterResponse: ThrottledResponse {}
extension DescribeConfigsResponse: ThrottledResponse {}
extension DescribeDelegationTokenResponse: ThrottledResponse {}
extension DescribeGroupsResponse: ThrottledResponse {}
extension DescribeLogDirsResponse: ThrottledResponse {}
extension DescribeProducersResponse: ThrottledResponse {}
extension DescribeShareGroupOffsetsResponse: ThrottledResponse {}
extension DescribeTopicPartitionsResponse: ThrottledResponse {}
extension DescribeTransactionsResponse: ThrottledResponse {}
extension DescribeUserScramCredentialsResponse: ThrottledResponse {}
extension ElectLeadersResponse: ThrottledResponse {}
extension EndTxnResponse: ThrottledResponse {}
extension FetchResponse: ThrottledResponse {}
extension FindCoordinatorResponse: ThrottledResponse {}
extension GetTelemetrySubscriptionsResponse: ThrottledResponse {}
extension HeartbeatResponse: ThrottledResponse {}
extension InitProducerIDResponse: ThrottledResponse {}
extension JoinGroupResponse: ThrottledResponse {}
extension LeaveGroupResponse: ThrottledResponse {}
extension ListConfigResourcesResponse: ThrottledResponse {}
extension ListGroupsResponse: ThrottledResponse {}
extension ListOffsetsResponse: ThrottledResponse {}
extension ListPartitionReassignmentsResponse: ThrottledResponse {}
extension ListTransactionsResponse: ThrottledResponse {}
extension MetadataResponse: ThrottledResponse {}
extension OffsetCommitResponse: ThrottledResponse {}
extension OffsetDeleteResponse: ThrottledResponse {}
extension OffsetFetchResponse: ThrottledResponse {}
extension OffsetForLeaderEpochResponse: ThrottledResponse {}
extension ProduceResponse: ThrottledResponse {}
extension ShareAcknowledgeResponse: ThrottledResponse {}
extension ShareFetchResponse: ThrottledResponse {}
extension StreamsGroupHeartbeatResponse: ThrottledResponse {}
extension PushTelemetryResponse: ThrottledResponse {}
extension RaftVoterResponse: ThrottledResponse {}
extension SyncGroupResponse: ThrottledResponse {}
extension TokenExpiryResponse: ThrottledResponse {}
extension TxnErrorResponse: ThrottledResponse {}
extension TxnOffsetCommitResponse: ThrottledResponse {}
extension UpdateFeaturesResponse: ThrottledResponse {}
