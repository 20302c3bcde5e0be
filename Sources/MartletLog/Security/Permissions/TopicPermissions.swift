// Who may use topics: the operation each API needs, and how a refusal is told (Kafka documentation, "Operations and Resources on Protocols").

extension ProduceRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ProduceResponse> {
        let mayTransact = transactionalID.map { access.allows(.write, .transactionalID, $0) } ?? true
        let refused = topics.takeOut { mayTransact && ($0.isUnknownID || access.allows(.write, .topic, $0.name)) }
        if refused.isEmpty { return .granted }
        let code: KafkaErrorCode = mayTransact ? .topicAuthorizationFailed : .transactionalIDAuthorizationFailed
        return .limited { response in
            response.topics += refused.map { topic in
                topic.answer { .init(index: $0.index, error: code) }
            }
        }
    }
}

extension FetchRequest {
    /// Each partition is looked at when it is read: those of a session are named once and read many times.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<FetchResponse> { .granted }
}

extension ListOffsetsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<ListOffsetsResponse> {
        let refused = topics.takeOut { access.allows(.describe, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in
                topic.answer { .init(index: $0.index, error: .topicAuthorizationFailed) }
            }
        }
    }
}

extension OffsetForLeaderEpochRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<OffsetForLeaderEpochResponse> {
        let refused = topics.takeOut { access.allows(.describe, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in
                topic.answer { .init(error: .topicAuthorizationFailed, index: $0.index) }
            }
        }
    }
}

extension DeleteRecordsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DeleteRecordsResponse> {
        let refused = topics.takeOut { access.allows(.delete, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in
                topic.answer { .init(index: $0.index, error: .topicAuthorizationFailed) }
            }
        }
    }
}

extension MetadataRequest {
    /// Topics that may not be described are refused by name, and are not there where all are asked for. One that would have to be made first
    /// needs CREATE, on it or on the cluster.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<MetadataResponse> {
        let names = Dictionary(log.topics.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
        let mayCreate = allowsTopicCreation
        var refused: [Topic] = []
        let namesTopics = topics?.isEmpty == false
        if var wanted = topics {
            refused = wanted.takeOut { topic in
                guard let name = topic.name else { return names[topic.id].map { access.allows(.describe, .topic, $0) } ?? true }
                if !access.allows(.describe, .topic, name) { return false }
                return log.topic(name) != nil || !mayCreate || access.allowsCluster(.create) || access.allows(.create, .topic, name)
            }
            topics = wanted
        }
        let isNothingLeft = namesTopics && topics?.isEmpty == true
        let describesTopics = includesTopicOperations, describesCluster = includesClusterOperations
        let absent = refused
        return .limited { response in
            if isNothingLeft { response.topics = [] }
            response.topics.removeAll { topic in topic.name.map { !access.allows(.describe, .topic, $0) } ?? false }
            for i in response.topics.indices where describesTopics {
                if let name = response.topics[i].name { response.topics[i].authorizedOperations = access.operations(.topic, name) }
            }
            response.topics += absent.map { .init(error: .topicAuthorizationFailed, name: $0.name, id: $0.name == nil ? $0.id : .zero) }
            if describesCluster { response.clusterOperations = access.operations(.cluster, ResourceKind.clusterName) }
        }
    }
}

extension CreateTopicsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<CreateTopicsResponse> {
        let mayCreateAny = access.allowsCluster(.create)
        let refused = topics.takeOut { mayCreateAny || access.allows(.create, .topic, $0.name) }
        return .limited { response in
            for i in response.topics.indices where !access.allows(.describeConfigs, .topic, response.topics[i].name) {
                response.topics[i].settings = nil
                response.topics[i].partitions = -1
                response.topics[i].replicationFactor = -1
            }
            response.topics += refused.map { .init(name: $0.name, error: .topicAuthorizationFailed, errorMessage: "Authorization failed.") }
        }
    }
}

extension DeleteTopicsRequest {
    /// A topic that may not even be described is told apart only by its id's being unknown.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DeleteTopicsResponse> {
        let known = Dictionary(log.topics.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
        let refusedNames = names.takeOut { access.allows(.delete, .topic, $0) }
        let refused = topics.takeOut { topic in (topic.name ?? known[topic.id]).map { access.allows(.delete, .topic, $0) } ?? true }
        if refused.isEmpty, refusedNames.isEmpty { return .granted }
        return .limited { response in
            response.topics += refusedNames.map { .init(name: $0, error: .topicAuthorizationFailed) }
            response.topics += refused.map { topic in
                guard topic.name == nil, let name = known[topic.id] else { return .init(name: topic.name, error: .topicAuthorizationFailed) }
                let isDescribable = access.allows(.describe, .topic, name)
                return .init(
                    name: isDescribable ? name : nil, id: topic.id, error: isDescribable ? .topicAuthorizationFailed : .unknownTopicID)
            }
        }
    }
}

extension CreatePartitionsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<CreatePartitionsResponse> {
        let refused = topics.takeOut { access.allows(.alter, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in response.topics += refused.map { .init(name: $0.name, error: .topicAuthorizationFailed) } }
    }
}

/// Settings of a topic or a group need rights on it, all others rights on the cluster.
private func mayUse(_ access: Access, _ operation: AccessOperation, _ type: Int8, _ name: String) -> Bool {
    switch ConfigResource(rawValue: type) {
    case .topic: access.allows(operation, .topic, name)
    case .group: access.allows(operation, .group, name)
    case .broker, .brokerLogger, .clientMetrics, nil: access.allowsCluster(operation)
    }
}

private func refusal(_ type: Int8) -> KafkaErrorCode {
    switch ConfigResource(rawValue: type) {
    case .topic: .topicAuthorizationFailed
    case .group: .groupAuthorizationFailed
    case .broker, .brokerLogger, .clientMetrics, nil: .clusterAuthorizationFailed
    }
}

private func withoutAltering(_ refused: [(type: Int8, name: String)]) -> Permission<AlterConfigsResponse> {
    if refused.isEmpty { return .granted }
    return .limited { response in
        response.results += refused.map { .init(error: refusal($0.type), errorMessage: "Authorization failed.", type: $0.type, name: $0.name) }
    }
}

extension DescribeConfigsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeConfigsResponse> {
        let refused = resources.takeOut { mayUse(access, .describeConfigs, $0.type, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.results += refused.map { .init(error: refusal($0.type), errorMessage: "Authorization failed.", type: $0.type, name: $0.name) }
        }
    }
}

extension AlterConfigsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterConfigsResponse> {
        let refused = resources.takeOut { mayUse(access, .alterConfigs, $0.type, $0.name) }
        return withoutAltering(refused.map { ($0.type, $0.name) })
    }
}

extension IncrementalAlterConfigsRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<AlterConfigsResponse> {
        let refused = resources.takeOut { mayUse(access, .alterConfigs, $0.type, $0.name) }
        return withoutAltering(refused.map { ($0.type, $0.name) })
    }
}

extension DescribeTopicPartitionsRequest {
    /// Topics that may not be described are refused by name, and are not there where all are asked for.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeTopicPartitionsResponse> {
        let named = Set(topics.map(\.name))
        return .limited { response in
            for i in response.topics.indices {
                guard let name = response.topics[i].name else { continue }
                if access.allows(.describe, .topic, name) {
                    response.topics[i].authorizedOperations = access.operations(.topic, name)
                } else if named.contains(name) {
                    response.topics[i] = .init(error: .topicAuthorizationFailed, name: name)
                }
            }
            response.topics.removeAll { topic in topic.name.map { !named.contains($0) && !access.allows(.describe, .topic, $0) } ?? false }
        }
    }
}

extension DescribeProducersRequest {
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<DescribeProducersResponse> {
        let refused = topics.takeOut { access.allows(.read, .topic, $0.name) }
        if refused.isEmpty { return .granted }
        return .limited { response in
            response.topics += refused.map { topic in topic.answer { .init(index: $0, error: .topicAuthorizationFailed) } }
        }
    }
}
