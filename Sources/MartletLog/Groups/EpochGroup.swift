// What groups have in common whose members say in heartbeats what they want, and are told what to do (KIP-848, KIP-932, KIP-1071): members with
// epochs and sessions, the group's epoch and that of its assignment, and the topics that both were worked out for.

/// A member of such a group. Times are milliseconds of one monotonic clock.
protocol EpochMember: Sendable {
    var id: String { get }
    var clientID: String { get }
    /// "/" and the address.
    var clientHost: String { get }
    var rackID: String? { get }
    /// That of the assignment that it has.
    var epoch: Int32 { get set }
    /// The one before, of a member whose last answer may have been lost.
    var previousEpoch: Int32 { get set }
    /// Rises with each new member: the order in which they came.
    var order: Int { get }
    /// When it is out if nothing is heard of it.
    var deadline: Int64 { get }
}

extension EpochMember {
    mutating func advance(to epoch: Int32) {
        if self.epoch != epoch { previousEpoch = self.epoch }
        self.epoch = epoch
    }
}

/// A group of such members: a value without clock, lock or I/O.
protocol EpochGroup: GroupKind where Member: EpochMember {
    init(id: String, sessionTimeoutMs: Int64)

    /// Whether it takes the place of a classic group without members, with its offsets.
    static var replacesClassic: Bool { get }
    /// For members that report from now on.
    var sessionTimeoutMs: Int64 { get set }
    /// Rises with each change of what the members want or of the topics.
    var epoch: Int32 { get set }
    /// The epoch for which it was last worked out what each member should have.
    var assignmentEpoch: Int32 { get set }
    var members: [String: Member] { get set }
    /// The topics that members want, as they were when the epoch rose last.
    var topics: [String: GroupTopic] { get set }
    /// That of the catalog in which they were looked up.
    var catalogVersion: Int { get set }
    /// What the members want to read, by name; there need be no such topics.
    var wantedTopics: Set<String> { get }

    /// Takes a member out for good; what it had is free. The epoch rises.
    mutating func remove(_ memberID: String)

    /// Members whose time is up go.
    mutating func expire(now: Int64)

    func isSubscribed(to topic: String) -> Bool
}

extension EpochGroup {
    static var replacesClassic: Bool { true }

    var membersInOrder: [Member] { members.values.sorted { $0.order < $1.order } }

    /// When `expire` should be called; nil if nothing can run out.
    var nextDeadline: Int64? { members.values.lazy.map(\.deadline).min() }

    mutating func expire(now: Int64) {
        for member in membersInOrder where member.deadline <= now { remove(member.id) }
    }

    func isSubscribed(to topic: String) -> Bool { wantedTopics.contains(topic) }

    /// Notes the wanted topics as they are; a change in them raises the epoch.
    ///
    /// - `raisingEpoch`: it rises in any case, as a member wants something else.
    mutating func look(at catalog: GroupCatalog, raisingEpoch: Bool) {
        catalogVersion = catalog.version
        let now = wantedTopics.reduce(into: [String: GroupTopic]()) { topics, name in topics[name] = catalog.topics[name] }
        if raisingEpoch || now != topics {
            topics = now
            epoch += 1
        }
    }

    /// The member that a heartbeat with an epoch above 0 comes from.
    ///
    /// - `holdsNothingElse`: whether the member, as far as it says, has no more than it was given; only then may it come with the epoch before,
    ///   as the answer that raised it may have been lost.
    /// - Throws: UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH.
    func known(_ memberID: String, atEpoch epoch: Int32, holdsNothingElse: (Member) -> Bool) throws(KafkaError) -> Member {
        guard let known = members[memberID] else { throw KafkaError(.unknownMemberID, "the group has no such member") }
        if epoch == known.epoch { return known }
        guard epoch < known.epoch, epoch == known.previousEpoch, holdsNothingElse(known) else {
            throw KafkaError(.fencedMemberEpoch, "the member's epoch is \(known.epoch), not \(epoch)")
        }
        return known
    }

    /// Whether a member may ask for offsets.
    func admitFetch(memberID: String, epoch: Int32) -> KafkaErrorCode {
        guard let member = members[memberID] else { return .unknownMemberID }
        return epoch == member.epoch ? .none : .staleMemberEpoch
    }
}

/// The answer to a heartbeat of a member that is assigned partitions.
struct AssignmentAnswer: Sendable {
    var error = KafkaErrorCode.none
    var message: String?
    var memberID = ""
    var epoch: Int32 = 0
    /// Nil: as it was.
    var assignment: Set<GroupPartition>?
}
