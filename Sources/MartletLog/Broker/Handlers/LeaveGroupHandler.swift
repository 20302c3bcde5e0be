import NIOCore

struct LeaveGroupRequest: WireRequest {
    typealias Response = LeaveGroupResponse
    static let api = APIKey.leaveGroup

    struct Member: WireMessage {
        var memberID = ""
        var groupInstanceID: String?
        var reason: String?

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&groupInstanceID)
            try wire.field(&reason, from: 5)
            try wire.tags()
        }
    }

    var groupID = ""
    var memberID = ""
    var members: [Member] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&memberID, to: 2)
        try wire.field(&members, from: 3)
        try wire.tags()
    }
}

struct LeaveGroupResponse: WireMessage {
    struct Member: WireMessage {
        var memberID = ""
        var groupInstanceID: String?
        var error = KafkaErrorCode.none

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&groupInstanceID)
            try wire.field(&error)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var members: [Member] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&error)
        try wire.field(&members, from: 3)
        try wire.tags()
    }
}

extension RequestRouter {
    /// Up to version 2 one member leaves and its error is the answer's; from 3 on each member has its own.
    func leaveGroup(_ request: LeaveGroupRequest, _ context: RequestContext) -> Answer<LeaveGroupResponse> {
        let isBatch = context.version >= 3
        let members = isBatch ? request.members : [.init(memberID: request.memberID)]
        let leaving = members.map { Group.Leaving(memberID: $0.memberID, instanceID: $0.groupInstanceID) }
        return .later(
            groups.leave(group: request.groupID, leaving, on: context.loop).map { codes in
                guard isBatch else { return LeaveGroupResponse(error: codes.first ?? .none) }
                return LeaveGroupResponse(
                    members: zip(members, codes).map {
                        .init(memberID: $0.memberID, groupInstanceID: $0.groupInstanceID, error: $1)
                    })
            })
    }
}
