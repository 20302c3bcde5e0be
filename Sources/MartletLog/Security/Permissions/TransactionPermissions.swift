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
    /// All partitions of a transaction are added or none: beside one that is refused the others are not attempted.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AddPartitionsToTxnResponse> {
        let refused = transactions.takeOut { transaction in
            access.allows(.write, .transactionalID, transaction.transactionalID)
                && transaction.topics.allSatisfy { access.allows(.write, .topic, $0.name) }
        }
        if refused.isEmpty { return .granted }
        let answers = refused.map { transaction in
            let mayTransact = access.allows(.write, .transactionalID, transaction.transactionalID)
            return AddPartitionsToTxnResponse.Transaction(
                transactionalID: transaction.transactionalID,
                topics: transaction.topics.map { topic in
                    let code: KafkaErrorCode =
                        !mayTransact
                        ? .transactionalIDAuthorizationFailed
                        : access.allows(.write, .topic, topic.name) ? .operationNotAttempted : .topicAuthorizationFailed
                    return topic.answer { .init(index: $0, error: code) }
                })
        }
        return transactions.isEmpty ? .refused(.init(transactions: answers)) : .limited { $0.transactions += answers }
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
            topic.answer { PartitionError(index: $0.index, error: code) }
        }
        if !mayTransact || !isMember { return .refused(.init(topics: answers)) }
        return refused.isEmpty ? .granted : .limited { $0.topics += answers }
    }
}

extension EndTxnRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<EndTxnResponse> {
        access.allows(.write, .transactionalID, transactionalID) ? .granted : .refused(.init(error: .transactionalIDAuthorizationFailed))
    }
}

extension ListTransactionsRequest {
    /// Ids that may not be described are not there.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ListTransactionsResponse> {
        .limited { response in response.transactions.removeAll { !access.allows(.describe, .transactionalID, $0.transactionalID) } }
    }
}

extension DescribeTransactionsRequest {
    /// Of a transaction only the topics are shown that may be described.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeTransactionsResponse> {
        let refused = transactionalIDs.takeOut { access.allows(.describe, .transactionalID, $0) }
        return .limited { response in
            for i in response.transactions.indices {
                response.transactions[i].topics.removeAll { !access.allows(.describe, .topic, $0.name) }
            }
            response.transactions += refused.map { .init(error: .transactionalIDAuthorizationFailed, transactionalID: $0) }
        }
    }
}
