// Who may ask for and change what belongs to no topic or group (Kafka documentation, "Operations and Resources on Protocols").

extension ApiVersionsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ApiVersionsResponse> { .granted }
}

extension SaslHandshakeRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<SaslHandshakeResponse> { .granted }
}

extension SaslAuthenticateRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<SaslAuthenticateResponse> { .granted }
}

extension DescribeClusterRequest {
    /// Where the brokers are is no secret to who got in; what may be done with the cluster depends on who asks.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeClusterResponse> {
        let describesOperations = includesOperations
        return .limited { response in
            if describesOperations { response.clusterOperations = access.operations(.cluster, ResourceKind.clusterName) }
        }
    }
}

extension DescribeLogDirsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeLogDirsResponse> {
        access.allowsCluster(.describe) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension DescribeAclsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeAclsResponse> {
        access.allowsCluster(.describe) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension CreateAclsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<CreateAclsResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(results: rules.map { _ in .init(error: .clusterAuthorizationFailed) }))
    }
}

extension DeleteAclsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DeleteAclsResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(results: filters.map { _ in .init(error: .clusterAuthorizationFailed) }))
    }
}

extension DescribeUserScramCredentialsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeUserScramCredentialsResponse> {
        access.allowsCluster(.describe) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension AlterUserScramCredentialsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterUserScramCredentialsResponse> {
        access.allowsCluster(.alter)
            ? .granted : .refused(.init(results: userNames.map { .init(user: $0, error: .clusterAuthorizationFailed) }))
    }
}

extension ElectLeadersRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ElectLeadersResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension AlterPartitionReassignmentsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterPartitionReassignmentsResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension ListPartitionReassignmentsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ListPartitionReassignmentsResponse> {
        access.allowsCluster(.describe) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension DescribeClientQuotasRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeClientQuotasResponse> {
        access.allowsCluster(.describeConfigs) ? .granted : .refused(.init(error: .clusterAuthorizationFailed, entries: nil))
    }
}

extension AlterClientQuotasRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterClientQuotasResponse> {
        access.allowsCluster(.alterConfigs)
            ? .granted : .refused(.init(entries: entries.map { .init(error: .clusterAuthorizationFailed, entity: $0.entity) }))
    }
}

extension WriteTxnMarkersRequest {
    /// Brokers do this, and administrators (KIP-664).
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<WriteTxnMarkersResponse> {
        if access.allowsCluster(.clusterAction) || access.allowsCluster(.alter) { return .granted }
        return .refused(
            .init(
                markers: markers.map { marker in
                    .init(
                        producerID: marker.producerID,
                        topics: marker.topics.map { $0.answer { .init(index: $0, error: .clusterAuthorizationFailed) } })
                }))
    }
}

extension AlterReplicaLogDirsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterReplicaLogDirsResponse> {
        if access.allowsCluster(.alter) { return .granted }
        return .refused(
            .init(topics: directories.flatMap(\.topics).map { $0.answer { .init(index: $0, error: .clusterAuthorizationFailed) } }))
    }
}

extension UpdateFeaturesRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<UpdateFeaturesResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension DescribeQuorumRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeQuorumResponse> {
        access.allowsCluster(.describe) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension AddRaftVoterRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<RaftVoterResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension RemoveRaftVoterRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<RaftVoterResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension UnregisterBrokerRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<RaftVoterResponse> {
        access.allowsCluster(.alter) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension ListConfigResourcesRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ListConfigResourcesResponse> {
        access.allowsCluster(.describeConfigs) ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

// Every client may report its metrics, if it is asked to.

extension GetTelemetrySubscriptionsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<GetTelemetrySubscriptionsResponse> { .granted }
}

extension PushTelemetryRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<PushTelemetryResponse> { .granted }
}

// Everybody may ask for a token for themselves.

extension CreateDelegationTokenRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<CreateDelegationTokenResponse> { .granted }
}

extension RenewDelegationTokenRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<TokenExpiryResponse> { .granted }
}

extension ExpireDelegationTokenRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<TokenExpiryResponse> { .granted }
}

extension DescribeDelegationTokenRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeDelegationTokenResponse> { .granted }
}
