// All groups are in one dictionary, `GroupCoordinator.State.groups`: an id names one group, of one kind.
//
//   classic    Group           the protocol with generations; its clients assign
//   consumer   ConsumerGroup   KIP-848  ┐
//   share      ShareGroup      KIP-932  ├ EpochGroup: members with epochs, the broker assigns
//   streams    StreamsGroup    KIP-1071 ┘
//
// To look: `groups[id]`, and `groups[id]?.consumer`. To change: `groups.change(id) { (group: inout ConsumerGroup) in … }`, in place.
// To add a kind: a case here, its lines in the switches, and `GroupKind` for the type.

/// The kinds of groups, by the names in ListGroups.
enum GroupType: String, Sendable, CaseIterable {
    case classic
    case consumer
    case share
    case streams

    /// How a group of this kind is called in sentences.
    var name: String { self == .classic ? "classic group" : "\(rawValue) group" }
}

enum AnyGroup: Sendable {
    case classic(Group)
    case consumer(ConsumerGroup)
    case share(ShareGroup)
    case streams(StreamsGroup)

    var type: GroupType {
        switch self {
        case .classic: .classic
        case .consumer: .consumer
        case .share: .share
        case .streams: .streams
        }
    }

    var classic: Group? { if case .classic(let group) = self { group } else { nil } }
    var consumer: ConsumerGroup? { if case .consumer(let group) = self { group } else { nil } }
    var share: ShareGroup? { if case .share(let group) = self { group } else { nil } }
    var streams: StreamsGroup? { if case .streams(let group) = self { group } else { nil } }

    /// What is asked of every kind alike.
    private var common: any GroupKind {
        switch self {
        case .classic(let group): group
        case .consumer(let group): group
        case .share(let group): group
        case .streams(let group): group
        }
    }

    var stateName: String { common.stateName }
    var protocolType: String { common.protocolTypeName }
    var memberCount: Int { common.size }
    var hasMembers: Bool { common.size > 0 }
    /// Nobody is in it, nor about to be.
    var isUnused: Bool { common.isUnused }
    var nextDeadline: Int64? { common.nextDeadline }

    /// Whether members of the classic protocol cannot be in it, nor take it over.
    var refusesClassicMembers: Bool { type == .share || (type == .streams && hasMembers) }

    /// Whether members read this topic: then offsets for it may not be deleted (KIP-496). Of what others than consumers read we know nothing.
    func isSubscribed(to topic: String) -> Bool { common.isSubscribed(to: topic) }
}

/// One kind of group.
protocol GroupKind: Sendable {
    associatedtype Member
    static var type: GroupType { get }

    /// Nil if it is of another kind.
    init?(_ any: AnyGroup)
    var any: AnyGroup { get }

    var id: String { get }
    var members: [String: Member] { get }
    /// As ListGroups and the descriptions say it.
    var stateName: String { get }
    /// As ListGroups says it; empty if that is not known.
    var protocolTypeName: String { get }
    var isUnused: Bool { get }
    /// When something runs out; nil if nothing can.
    var nextDeadline: Int64? { get }
    func isSubscribed(to topic: String) -> Bool
}

extension GroupKind {
    /// How many members it has. `members` of an `any GroupKind` would be a copy of all of them.
    var size: Int { members.count }
    var protocolTypeName: String { Self.type.rawValue }
    var isUnused: Bool { members.isEmpty }
}

extension Group: GroupKind {
    static let type = GroupType.classic

    init?(_ any: AnyGroup) {
        guard let group = any.classic else { return nil }
        self = group
    }

    var any: AnyGroup { .classic(self) }
    var stateName: String { state.rawValue }
    var protocolTypeName: String { protocolType ?? "" }
    var isUnused: Bool { state == .empty && pendingMembers.isEmpty }
}

extension ConsumerGroup: EpochGroup {
    static let type = GroupType.consumer

    init?(_ any: AnyGroup) {
        guard let group = any.consumer else { return nil }
        self = group
    }

    var any: AnyGroup { .consumer(self) }
    var stateName: String { state.rawValue }
}

extension ShareGroup: EpochGroup {
    static let type = GroupType.share
    /// It has no use for committed offsets.
    static let replacesClassic = false
    var isUnused: Bool { members.isEmpty && !hasHadPartitions }

    init?(_ any: AnyGroup) {
        guard let group = any.share else { return nil }
        self = group
    }

    var any: AnyGroup { .share(self) }
    var stateName: String { state.rawValue }
}

extension StreamsGroup: EpochGroup {
    static let type = GroupType.streams

    init?(_ any: AnyGroup) {
        guard let group = any.streams else { return nil }
        self = group
    }

    var any: AnyGroup { .streams(self) }
    var stateName: String { state.rawValue }
}

extension [String: AnyGroup] {
    /// Changes the group in place: a copy of a large group for each heartbeat would be dear.
    ///
    /// - Returns: nil if there is no group with this id, or one of another kind.
    mutating func change<Kind: GroupKind, Result, Failure: Error>(
        _ id: String, _ body: (inout Kind) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard var group: Kind = take(id) else { return nil }
        defer { self[id] = group.any }
        return try body(&group)
    }

    /// Takes the group out, so that whoever has it holds the only reference to what is in it.
    private mutating func take<Kind: GroupKind>(_ id: String) -> Kind? {
        guard self[id]?.type == Kind.type, let any = removeValue(forKey: id) else { return nil }
        return Kind(any)
    }
}
