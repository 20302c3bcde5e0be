// DescribeGroups, ListGroups, DeleteGroups: what a person or a tool asks about groups.

struct DescribeGroupsRequest: WireRequest {
    typealias Response = DescribeGroupsResponse
    static let api = APIKey.describeGroups

    var groups: [String] = []
    var includesOperations = false

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groups)
        try wire.field(&includesOperations, from: 3)
        try wire.tags()
    }
}

struct DescribeGroupsResponse: WireMessage {
    struct Member: WireMessage {
        var memberID = ""
        var groupInstanceID: String?
        var clientID = ""
        var clientHost = ""
        var metadata: [UInt8] = []
        var assignment: [UInt8] = []

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&groupInstanceID, from: 4)
            try wire.field(&clientID)
            try wire.field(&clientHost)
            try wire.field(&metadata)
            try wire.field(&assignment)
            try wire.tags()
        }
    }

    struct Group: WireMessage {
        var error = KafkaErrorCode.none
        var errorMessage: String?
        var groupID = ""
        var state = ""
        var protocolType = ""
        var protocolName = ""
        var members: [Member] = []
        var authorizedOperations = Int32.min

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage, from: 6)
            try wire.field(&groupID)
            try wire.field(&state)
            try wire.field(&protocolType)
            try wire.field(&protocolName)
            try wire.field(&members)
            try wire.field(&authorizedOperations, from: 3)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&groups)
        try wire.tags()
    }
}

struct ListGroupsRequest: WireRequest {
    typealias Response = ListGroupsResponse
    static let api = APIKey.listGroups

    /// Empty: all.
    var states: [String] = []
    /// As `GroupType`; empty: all.
    var types: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&states, from: 4)
        try wire.field(&types, from: 5)
        try wire.tags()
    }
}

struct ListGroupsResponse: WireMessage {
    struct Group: WireMessage {
        var groupID = ""
        var protocolType = ""
        var state = ""
        var type = ""

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&protocolType)
            try wire.field(&state, from: 4)
            try wire.field(&type, from: 5)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var error = KafkaErrorCode.none
    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs, from: 1)
        try wire.field(&error)
        try wire.field(&groups)
        try wire.tags()
    }
}

struct DeleteGroupsRequest: WireRequest {
    typealias Response = DeleteGroupsResponse
    static let api = APIKey.deleteGroups

    var groups: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&groups)
        try wire.tags()
    }
}

struct DeleteGroupsResponse: WireMessage {
    struct Group: WireMessage {
        var groupID = ""
        var error = KafkaErrorCode.none

        mutating func code(_ wire: inout Wire) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&error)
            try wire.tags()
        }
    }

    var throttleTimeMs: Int32 = 0
    var groups: [Group] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&throttleTimeMs)
        try wire.field(&groups)
        try wire.tags()
    }
}

extension RequestRouter {
    /// A group that does not exist is described as dead; that is an error from version 6 on.
    func describeGroups(_ request: DescribeGroupsRequest, _ context: RequestContext) -> Answer<DescribeGroupsResponse> {
        // read, delete, describe
        let operations: Int32 = request.includesOperations ? 1 << 3 | 1 << 6 | 1 << 8 : .min
        return .now(
            DescribeGroupsResponse(
                groups: request.groups.map { id in
                    let group: Group
                    do throws(KafkaError) {
                        group = try groups.describe(id)
                    } catch {
                        let isError = context.version >= 6
                        return .init(
                            error: isError ? error.code : .none, errorMessage: isError ? error.message : nil,
                            groupID: id, state: Group.State.dead.rawValue, authorizedOperations: operations)
                    }
                    let isStable = group.state == .stable
                    return DescribeGroupsResponse.Group(
                        groupID: id, state: group.state.rawValue, protocolType: group.protocolType ?? "",
                        protocolName: isStable ? group.protocolName ?? "" : "",
                        members: group.membersInOrder.map { member in
                            DescribeGroupsResponse.Member(
                                memberID: member.id, groupInstanceID: member.instanceID, clientID: member.clientID,
                                clientHost: member.clientHost,
                                metadata: isStable ? member.protocols.first { $0.name == group.protocolName }?.metadata ?? [] : [],
                                assignment: isStable ? member.assignment : [])
                        },
                        authorizedOperations: operations)
                }))
    }

    func listGroups(_ request: ListGroupsRequest) -> Answer<ListGroupsResponse> {
        let wanted = Set(request.states.map { $0.lowercased() })
        let types = Set(request.types.map { $0.lowercased() })
        return .now(
            ListGroupsResponse(
                groups: groups.listings
                    .filter { wanted.isEmpty || wanted.contains($0.state.lowercased()) }
                    .filter { types.isEmpty || types.contains($0.type.rawValue) }
                    .map { .init(groupID: $0.id, protocolType: $0.protocolType, state: $0.state, type: $0.type.rawValue) }))
    }

    func deleteGroups(_ request: DeleteGroupsRequest, _ context: RequestContext) -> Answer<DeleteGroupsResponse> {
        offload(context) {
            DeleteGroupsResponse(groups: request.groups.map { .init(groupID: $0, error: self.groups.delete($0)) })
        }
    }
}
