// Who may use transactions (Kafka documentation, "Operations and Resources on Protocols").

extension InitProducerIDRequest {
    /// Whoever may write to some topic may do so idempotently (KIP-679).
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<InitProducerIDResponse> {
        if let transactionalID {
            return access.allows(.write, .transactionalID, transactionalID) ? .granted : .refused(.init(error: .transactionalIDAuthorizationFailed))
        }
        return access.allowsCluster(.idempotentWrite) || access.allowsSomewhere(.write, .topic)
            ? .granted : .refused(.init(error: .clusterAuthorizationFailed))
    }
}

extension AddPartitionsToTxnRequest {
    /// All partitions are added or none: beside one that is refused the others are not attempted.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AddPartitionsToTxnResponse> {
        func answer(_ code: (String) -> KafkaErrorCode) -> AddPartitionsToTxnResponse {
            .init(
                topics: topics.map { topic in
                    .init(name: topic.name, partitions: topic.partitions.map { .init(index: $0, error: code(topic.name)) })
                })
        }
        guard access.allows(.write, .transactionalID, transactionalID) else {
            return .refused(answer { _ in .transactionalIDAuthorizationFailed })
        }
        if topics.allSatisfy({ access.allows(.write, .topic, $0.name) }) { return .granted }
        return .refused(answer { access.allows(.write, .topic, $0) ? .operationNotAttempted : .topicAuthorizationFailed })
    }
}

extension AddOffsetsToTxnRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<TxnErrorResponse> {
        guard access.allows(.write, .transactionalID, transactionalID) else { return .refused(.init(error: .transactionalIDAuthorizationFailed)) }
        return access.allows(.read, .group, groupID) ? .granted : .refused(.init(error: .groupAuthorizationFailed))
    }
}

extension TxnOffsetCommitRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<TxnOffsetCommitResponse> {
        let mayTransact = access.allows(.write, .transactionalID, transactionalID)
        let isMember = access.allows(.read, .group, groupID)
        let code: KafkaErrorCode =
            mayTransact ? (isMember ? .topicAuthorizationFailed : .groupAuthorizationFailed) : .transactionalIDAuthorizationFailed
        let refused = topics.takeOut { mayTransact && isMember && access.allows(.read, .topic, $0.name) }
        let answers = refused.map { topic in
            OffsetCommitResponse.Topic(name: topic.name, partitions: topic.partitions.map { .init(index: $0.index, error: code) })
        }
        if !mayTransact || !isMember { return .refused(.init(topics: answers)) }
        return refused.isEmpty ? .granted : .limited { $0.topics += answers }
    }
}

extension EndTxnRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<TxnErrorResponse> {
        access.allows(.write, .transactionalID, transactionalID) ? .granted : .refused(.init(error: .transactionalIDAuthorizationFailed))
    }
}
