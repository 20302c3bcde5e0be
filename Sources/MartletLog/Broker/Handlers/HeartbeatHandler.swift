import NIOCore

struct HeartbeatRequest: WireRequest {
    typealias Response = HeartbeatResponse
    static let api = APIKey.heartbeat

    var groupID = ""
    var generation: Int32 = -1
    var memberID = ""
    var groupInstanceID: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&generation)
        try wire.field(&memberID)
        try wire.field(&groupInstanceID, from: 3)
        try wire.tags()
    }
}

struct HeartbeatResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&error)
        try wire.tags()
    }
}

extension RequestRouter {
    func heartbeat(_ request: HeartbeatRequest, _ context: RequestContext) -> Answer<HeartbeatResponse> {
        .later(
            groups.heartbeat(
                group: request.groupID, memberID: request.memberID, instanceID: request.groupInstanceID,
                generation: request.generation, on: context.loop
            ).map { HeartbeatResponse(error: $0) })
    }
}
