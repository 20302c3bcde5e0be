import NIOCore

struct SyncGroupRequest: WireRequest {
    typealias Response = SyncGroupResponse
    static let api = APIKey.syncGroup

    struct Assignment: WireMessage {
        var memberID = ""
        var assignment: [UInt8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&assignment)
            try wire.tags()
        }
    }

    var groupID = ""
    var generation: Int32 = -1
    var memberID = ""
    var groupInstanceID: String?
    var protocolType: String?
    var protocolName: String?
    var assignments: [Assignment] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&generation)
        try wire.field(&memberID)
        try wire.field(&groupInstanceID, from: 3)
        try wire.field(&protocolType, from: 5)
        try wire.field(&protocolName, from: 5)
        try wire.field(&assignments)
        try wire.tags()
    }
}

struct SyncGroupResponse: WireMessage {
    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var protocolType: String?
    var protocolName: String?
    var assignment: [UInt8] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&error)
        try wire.field(&protocolType, from: 5)
        try wire.field(&protocolName, from: 5)
        try wire.field(&assignment)
        try wire.tags()
    }
}

extension RequestRouter {
    func syncGroup(_ request: SyncGroupRequest, _ context: RequestContext) -> Answer<SyncGroupResponse> {
        let sync = Group.Sync(
            memberID: request.memberID, instanceID: request.groupInstanceID, generation: request.generation,
            protocolType: request.protocolType, protocolName: request.protocolName,
            assignments: Dictionary(request.assignments.map { ($0.memberID, $0.assignment) }, uniquingKeysWith: { $1 }))
        return .later(
            groups.sync(group: request.groupID, sync, on: context.loop).map { answer in
                SyncGroupResponse(
                    error: answer.error, protocolType: answer.protocolType, protocolName: answer.protocolName,
                    assignment: answer.assignment)
            })
    }
}
