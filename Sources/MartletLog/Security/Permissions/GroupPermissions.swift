// Who may use consumer groups (Kafka documentation, "Operations and Resources on Protocols").

extension FindCoordinatorRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<FindCoordinatorResponse> {
        let kind: ResourceKind? =
            switch keyType {
            case 0: .group
            case 1: .transactionalID
            default: nil
            }
        guard let kind else {
            // Shares are coordinated among brokers.
            if access.allowsCluster(.clusterAction) { return .granted }
            return .refused(.init(coordinators: (keys.isEmpty ? [key] : keys).map { .init(key: $0, error: .clusterAuthorizationFailed) }))
        }
        let code: KafkaErrorCode = kind == .group ? .groupAuthorizationFailed : .transactionalIDAuthorizationFailed
        // Up to version 3 there is one key, and `keys` is empty.
        if keys.isEmpty {
            return access.allows(.describe, kind, key) ? .granted : .refused(.init(coordinators: [.init(key: key, error: code)]))
        }
        let refused = keys.takeOut { access.allows(.describe, kind, $0) }
        if refused.isEmpty { return .granted }
        return .limited { response in response.coordinators += refused.map { .init(key: $0, error: code) } }
    }
}

extension JoinGroupRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<JoinGroupResponse> {
        access.allows(.read, .group, groupID) ? .granted : .refused(.init(error: .groupAuthorizationFailed, memberID: memberID))
    }
}

extension SyncGroupRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<SyncGroupResponse> {
        access.allows(.read, .group, groupID) ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension HeartbeatRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<HeartbeatResponse> {
        access.allows(.read, .group, groupID) ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension LeaveGroupRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<LeaveGroupResponse> {
        access.allows(.read, .group, groupID) ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension OffsetCommitRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<OffsetCommitResponse> {
        let isMember = access.allows(.read, .group, groupID)
        let refused = topics.takeOut { isMember && ($0.isUnknownID || access.allows(.read, .topic, $0.name)) }
        let code: KafkaErrorCode = isMember ? .topicAuthorizationFailed : .groupAuthorizationFailed
        let answers = refused.map { topic in
            topic.answer { PartitionError(index: $0.index, error: code) }
        }
        if !isMember { return .refused(.init(topics: answers)) }
        return refused.isEmpty ? .granted : .limited { $0.topics += answers }
    }
}

extension OffsetFetchRequest {
    /// Named topics that may not be described are refused; where all are asked for they are not there.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<OffsetFetchResponse> {
        let refusedGroups = groups.takeOut { access.allows(.describe, .group, $0.groupID) }
        var refusedTopics: [String: [Topic]] = [:]
        for i in groups.indices {
            let refused = groups[i].topics?.takeOut { $0.isUnknownID || access.allows(.describe, .topic, $0.name) } ?? []
            if !refused.isEmpty { refusedTopics[groups[i].groupID] = refused }
        }
        let absent = refusedTopics
        return .limited { response in
            for i in response.groups.indices {
                response.groups[i].topics.removeAll { !$0.isUnknownID && !access.allows(.describe, .topic, $0.name) }
                response.groups[i].topics += (absent[response.groups[i].groupID] ?? []).map { topic in
                    topic.answer { .init(index: $0, error: .topicAuthorizationFailed) }
                }
            }
            response.groups += refusedGroups.map { .init(groupID: $0.groupID, error: .groupAuthorizationFailed) }
        }
    }
}

extension OffsetDeleteRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<OffsetDeleteResponse> {
        guard access.allows(.delete, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let refused = topics.takeOut { access.allows(.read, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in
                topic.answer { .init(index: $0, error: .topicAuthorizationFailed) }
            }
        }
    }
}

extension DescribeGroupsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeGroupsResponse> {
        let refused = groups.takeOut { access.allows(.describe, .group, $0) }
        let describesOperations = includesOperations
        return .limited { response in
            for i in response.groups.indices where describesOperations {
                response.groups[i].authorizedOperations = access.operations(.group, response.groups[i].groupID)
            }
            response.groups += refused.map { .init(error: .groupAuthorizationFailed, groupID: $0) }
        }
    }
}

extension ListGroupsRequest {
    /// Groups that may not be described are not there.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ListGroupsResponse> {
        if access.allowsCluster(.describe) { return .granted }
        return .limited { response in response.groups.removeAll { !access.allows(.describe, .group, $0.groupID) } }
    }
}

extension DeleteGroupsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DeleteGroupsResponse> {
        let refused = groups.takeOut { access.allows(.delete, .group, $0) }
        if refused.isEmpty { return .granted }
        return .limited { response in response.groups += refused.map { .init(groupID: $0, error: .groupAuthorizationFailed) } }
    }
}

extension ConsumerGroupHeartbeatRequest {
    /// What a pattern matches is limited to what may be described where it is looked up.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ConsumerGroupHeartbeatResponse> {
        guard access.allows(.read, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let isAllowed = topicNames?.allSatisfy { access.allows(.describe, .topic, $0) } ?? true
        return isAllowed ? .granted : .refused(.init(error: .topicAuthorizationFailed))
    }
}

extension GroupDescribeRequest {
    /// A group with topics that may not be described is refused as a whole, as in Kafka.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<GroupDescribeResponse<Kind>> {
        let refused = groups.takeOut { access.allows(.describe, .group, $0) }
        let describesOperations = includesOperations
        return .limited { response in
            for i in response.groups.indices {
                let group = response.groups[i]
                if describesOperations { response.groups[i].authorizedOperations = access.operations(.group, group.groupID) }
                if !Kind.topics(of: group).allSatisfy({ access.allows(.describe, .topic, $0) }) {
                    response.groups[i] = .init(error: .topicAuthorizationFailed, groupID: group.groupID)
                }
            }
            response.groups += refused.map { .init(error: .groupAuthorizationFailed, groupID: $0) }
        }
    }
}

extension ShareFetchRequest {
    /// Each partition is looked at when it is read: those of a session are named once and read many times.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ShareFetchResponse> {
        access.allows(.read, .group, groupID ?? "") ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension ShareAcknowledgeRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ShareAcknowledgeResponse> {
        access.allows(.read, .group, groupID ?? "") ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension ShareGroupHeartbeatRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ShareGroupHeartbeatResponse> {
        guard access.allows(.read, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let isAllowed = topicNames?.allSatisfy { access.allows(.describe, .topic, $0) } ?? true
        return isAllowed ? .granted : .refused(.init(error: .topicAuthorizationFailed))
    }
}

extension DescribeShareGroupOffsetsRequest {
    /// Named topics that may not be described are refused; where all are asked for they are not there.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeShareGroupOffsetsResponse> {
        let refusedGroups = groups.takeOut { access.allows(.describe, .group, $0.groupID) }
        var refusedTopics: [String: [PerTopic<Int32>]] = [:]
        for i in groups.indices {
            let refused = groups[i].topics?.takeOut { access.allows(.describe, .topic, $0.name) } ?? []
            if !refused.isEmpty { refusedTopics[groups[i].groupID] = refused }
        }
        let absent = refusedTopics
        return .limited { response in
            for i in response.groups.indices {
                response.groups[i].topics.removeAll { !access.allows(.describe, .topic, $0.name) }
                response.groups[i].topics += (absent[response.groups[i].groupID] ?? []).map { topic in
                    .init(name: topic.name, partitions: topic.partitions.map { .init(index: $0, error: .topicAuthorizationFailed) })
                }
            }
            response.groups += refusedGroups.map { .init(groupID: $0.groupID, error: .groupAuthorizationFailed) }
        }
    }
}

extension AlterShareGroupOffsetsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterShareGroupOffsetsResponse> {
        guard access.allows(.read, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let refused = topics.takeOut { access.allows(.read, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in
                .init(name: topic.name, partitions: topic.partitions.map { .init(index: $0.index, error: .topicAuthorizationFailed) })
            }
        }
    }
}

extension DeleteShareGroupOffsetsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DeleteShareGroupOffsetsResponse> {
        guard access.allows(.delete, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let refused = topics.takeOut { access.allows(.read, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in response.topics += refused.map { .init(name: $0.name, error: .topicAuthorizationFailed) } }
    }
}
