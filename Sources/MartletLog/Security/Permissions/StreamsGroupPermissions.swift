// Who may use streams groups (Kafka documentation, "Operations and Resources on Protocols").

extension StreamsGroupHeartbeatRequest {
    /// Whether missing internal topics may be made is asked where they are made; a refusal is a status, not an error.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<StreamsGroupHeartbeatResponse> {
        guard access.allows(.read, .group, groupID) else { return .refused(.init(error: .groupAuthorizationFailed)) }
        let names = (topology?.subtopologies ?? []).flatMap { part in
            part.sources + part.sinks + part.repartitions.map(\.name) + part.changelogs.map(\.name)
        }
        let isAllowed = Set(names).allSatisfy { access.allows(.describe, .topic, $0) }
        return isAllowed ? .granted : .refused(.init(error: .topicAuthorizationFailed))
    }
}

extension StreamsGroupDescribeRequest {
    /// A group with topics that may not be described is refused as a whole, as in Kafka.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<StreamsGroupDescribeResponse> {
        let refused = groups.takeOut { access.allows(.describe, .group, $0) }
        let describesOperations = includesOperations
        return .limited { response in
            for i in response.groups.indices {
                let group = response.groups[i]
                if describesOperations { response.groups[i].authorizedOperations = access.operations(.group, group.groupID) }
                let topics = (group.topology?.subtopologies ?? []).flatMap { part in
                    part.sources + part.sinks + (part.repartitions + part.changelogs).map(\.name)
                }
                if !Set(topics).allSatisfy({ access.allows(.describe, .topic, $0) }) {
                    response.groups[i] = .init(error: .topicAuthorizationFailed, groupID: group.groupID)
                }
            }
            response.groups += refused.map { .init(error: .groupAuthorizationFailed, groupID: $0) }
        }
    }
}
