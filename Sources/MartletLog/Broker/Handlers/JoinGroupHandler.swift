import MartletCore
import NIOCore

struct JoinGroupRequest: WireRequest {
    typealias Response = JoinGroupResponse
    static let api = APIKey.joinGroup

    struct GroupProtocol: WireMessage {
        var name = ""
        var metadata: [UInt8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&name)
            try wire.field(&metadata)
            try wire.tags()
        }
    }

    var groupID = ""
    var sessionTimeoutMs: Int32 = 0
    var rebalanceTimeoutMs: Int32 = -1
    var memberID = ""
    var groupInstanceID: String?
    var protocolType = ""
    var protocols: [GroupProtocol] = []
    var reason: String?

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&sessionTimeoutMs)
        try wire.field(&rebalanceTimeoutMs, from: 1)
        try wire.field(&memberID)
        try wire.field(&groupInstanceID, from: 5)
        try wire.field(&protocolType)
        try wire.field(&protocols)
        try wire.field(&reason, from: 8)
        try wire.tags()
    }
}

struct JoinGroupResponse: WireMessage {
    struct Member: WireMessage {
        var memberID = ""
        var groupInstanceID: String?
        var metadata: [UInt8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&groupInstanceID, from: 5)
            try wire.field(&metadata)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var generation: Int32 = -1
    var protocolType: String?
    var protocolName: String?
    var leaderID = ""
    var skipAssignment = false
    var memberID = ""
    var members: [Member] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 2)
        try wire.field(&error)
        try wire.field(&generation)
        try wire.field(&protocolType, from: 7)
        try wire.field(&protocolName, nullableFrom: 7)
        try wire.field(&leaderID)
        try wire.field(&skipAssignment, from: 9)
        try wire.field(&memberID)
        try wire.field(&members)
        try wire.tags()
    }
}

extension RequestRouter {
    func joinGroup(_ request: JoinGroupRequest, _ context: RequestContext) -> Answer<JoinGroupResponse> {
        var random = SystemRandomNumberGenerator()
        let name = request.groupInstanceID ?? context.clientID
        let join = Group.Join(
            memberID: request.memberID,
            newMemberID: "\(name)-\(UInt64.random(in: .min ... .max, using: &random).hex)\(UInt64.random(in: .min ... .max, using: &random).hex)",
            instanceID: request.groupInstanceID, clientID: context.clientID, clientHost: context.clientHost,
            sessionTimeoutMs: Int64(request.sessionTimeoutMs),
            // Version 0 has none.
            rebalanceTimeoutMs: Int64(request.rebalanceTimeoutMs > 0 ? request.rebalanceTimeoutMs : request.sessionTimeoutMs),
            protocolType: request.protocolType,
            protocols: request.protocols.map { Group.GroupProtocol(name: $0.name, metadata: $0.metadata) },
            requiresKnownMemberID: context.version >= 4, supportsSkippingAssignment: context.version >= 9)
        return .later(
            groups.join(group: request.groupID, join, on: context.loop).map { answer in
                JoinGroupResponse(
                    error: answer.error, generation: answer.generation, protocolType: answer.protocolType,
                    protocolName: answer.protocolName, leaderID: answer.leaderID, skipAssignment: answer.skipAssignment,
                    memberID: answer.memberID,
                    members: answer.members.map { .init(memberID: $0.id, groupInstanceID: $0.instanceID, metadata: $0.metadata) })
            })
    }
}

extension UInt64 {
    /// 16 hexadecimal digits.
    fileprivate var hex: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
