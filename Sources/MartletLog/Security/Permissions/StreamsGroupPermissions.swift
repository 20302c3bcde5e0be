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
