/// A share group (KIP-932): its members share partitions, and each of them is handed other records of them. The group says who reads where from.
///
/// A value without clock, lock or I/O. As nobody owns a partition alone, nobody has to give anything up before another gets it: a member has what
/// it should have with its next heartbeat. Who has which record is the matter of `Sharing/`.
struct ShareGroup: Sendable {
    enum State: String, Sendable {
        case empty = "Empty"
        case stable = "Stable"
    }

    struct Member: EpochMember {
        var id: String
        var rackID: String?
        var clientID = ""
        var clientHost = ""
        /// Topics by name, sorted.
        var names: [String] = []
        var epoch: Int32 = 0
        var previousEpoch: Int32 = -1
        var assigned: Set<GroupPartition> = []
        var sessionDeadline: Int64 = .max
        var order = 0

        var deadline: Int64 { sessionDeadline }
    }

    let id: String
    var sessionTimeoutMs: Int64
    var epoch: Int32 = 0
    var assignmentEpoch: Int32 = 0
    var members: [String: Member] = [:]
    /// What each member should have, as of `assignmentEpoch`.
    var target: [String: Set<GroupPartition>] = [:]
    var topics: [String: GroupTopic] = [:]
    var catalogVersion = -1
    var memberCount = 0
    /// It goes on existing without members.
    var hasHadPartitions = false

    init(id: String, sessionTimeoutMs: Int64) {
        self.id = id
        self.sessionTimeoutMs = sessionTimeoutMs
    }

    var state: State { members.isEmpty ? .empty : .stable }

    var wantedTopics: Set<String> { members.values.reduce(into: []) { $0.formUnion($1.names) } }

    struct Heartbeat: Sendable {
        var memberID: String
        /// 0 to join, −1 to leave; else the epoch that the member has.
        var epoch: Int32
        /// The following are nil where nothing changed since the last heartbeat.
        var rackID: String?
        var names: [String]?
        var clientID = ""
        var clientHost = ""
    }

    /// - `membersMax`: how many may be in the group (group.share.max.size).
    /// - `now`: milliseconds; never less than in the call before.
    /// - Throws: UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, GROUP_MAX_SIZE_REACHED; then nothing has changed.
    mutating func receive(_ heartbeat: Heartbeat, catalog: GroupCatalog, membersMax: Int, now: Int64) throws(KafkaError) -> AssignmentAnswer {
        if heartbeat.epoch < 0 {
            guard members[heartbeat.memberID] != nil else { throw KafkaError(.unknownMemberID, "the group has no such member") }
            remove(heartbeat.memberID)
            return AssignmentAnswer(memberID: heartbeat.memberID, epoch: heartbeat.epoch)
        }
        var member = try member(heartbeat, membersMax)
        let isNew = members[member.id] == nil
        let names = heartbeat.names.map { Set($0).sorted() }
        let wantsOther = isNew || (names != nil && names != member.names)
        member.names = names ?? member.names
        member.rackID = heartbeat.rackID ?? member.rackID
        member.clientID = heartbeat.clientID
        member.clientHost = heartbeat.clientHost
        member.sessionDeadline = now + sessionTimeoutMs
        members[member.id] = member
        if wantsOther || catalogVersion != catalog.version { look(at: catalog, raisingEpoch: wantsOther) }
        if epoch > assignmentEpoch { assign() }

        let before = member.assigned
        member.assigned = target[member.id] ?? []
        member.advance(to: assignmentEpoch)
        members[member.id] = member
        // A member that comes with an older epoch may have missed what it was told last.
        let isTold = heartbeat.epoch != member.epoch || heartbeat.names != nil || member.assigned != before
        return AssignmentAnswer(memberID: member.id, epoch: member.epoch, assignment: isTold ? member.assigned : nil)
    }

    private mutating func member(_ heartbeat: Heartbeat, _ membersMax: Int) throws(KafkaError) -> Member {
        // What it holds it need not say: no other member waits for that.
        guard heartbeat.epoch == 0 else { return try known(heartbeat.memberID, atEpoch: heartbeat.epoch) { _ in true } }
        if let known = members[heartbeat.memberID] { return known }
        guard members.count < membersMax else { throw KafkaError(.groupMaxSizeReached, "the group has \(members.count) members, and no more can be") }
        memberCount += 1
        return Member(id: heartbeat.memberID, order: memberCount)
    }

    mutating func remove(_ memberID: String) {
        guard members.removeValue(forKey: memberID) != nil else { return }
        target[memberID] = nil
        epoch += 1
    }

    private mutating func assign() {
        target = ShareAssignor.assign(
            membersInOrder.map { member in
                ServerAssignor.Subscriber(
                    id: member.id, sortKey: member.id, topics: member.names.compactMap { topics[$0] }, current: target[member.id] ?? member.assigned)
            })
        assignmentEpoch = epoch
    }
}
