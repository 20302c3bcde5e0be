/// A consumer group of KIP-848: members say in each heartbeat what they want and have, the group says what they should have.
///
/// A value without clock, lock or I/O, as `Group` is for the classic protocol. Times are milliseconds of one monotonic clock. The rules are in
/// `ConsumerGroup+StateMachine.swift`.
struct ConsumerGroup: Sendable {
    typealias Partition = GroupPartition
    typealias Topic = GroupTopic
    typealias Catalog = GroupCatalog
    typealias Answer = AssignmentAnswer

    enum State: String, Sendable {
        case empty = "Empty"
        /// The members' wishes changed; what each should have is not worked out yet.
        case assigning = "Assigning"
        /// Some member does not have what it should have.
        case reconciling = "Reconciling"
        case stable = "Stable"
    }

    struct Member: EpochMember {
        enum State: Sendable {
            /// It has what it should have as of its epoch.
            case stable
            /// It has to give up `revoking` first.
            case unrevoked
            /// It waits for partitions that others still have.
            case unreleased
        }

        /// What a member of the classic protocol has besides.
        struct Classic: Sendable {
            var sessionTimeoutMs: Int64
            var protocols: [Group.GroupProtocol]
            /// Of what it says and hears as a consumer.
            var version: Int16
        }

        var id: String
        var instanceID: String?
        /// Nil: it speaks KIP-848.
        var classic: Classic?
        var rackID: String?
        var clientID = ""
        var clientHost = ""
        var rebalanceTimeoutMs: Int64 = 0
        /// Topics by name, sorted.
        var names: [String] = []
        var pattern: NamePattern?
        /// Topics that `pattern` matched when the catalog had version `matchedVersion`, sorted.
        var matched: [String] = []
        var matchedVersion = -1
        /// The assignor it would like.
        var assignor: String?
        var epoch: Int32 = 0
        var previousEpoch: Int32 = -1
        var state = State.stable
        var assigned: Set<Partition> = []
        var revoking: Set<Partition> = []
        /// A static member that will be back (epoch −2).
        var isAway = false
        var sessionDeadline: Int64 = .max
        /// When it must have given up what it is to give up; of a classic member also when it must have joined, or synced.
        var revocationDeadline: Int64 = .max
        var order = 0

        var deadline: Int64 { min(sessionDeadline, revocationDeadline) }

        /// What it wants to read, by name.
        var topics: Set<String> { Set(names).union(matched) }
    }

    let id: String
    var sessionTimeoutMs: Int64
    var epoch: Int32 = 0
    /// The epoch for which `target` was worked out.
    var assignmentEpoch: Int32 = 0
    var members: [String: Member] = [:]
    var staticMembers: [String: String] = [:]
    /// What each member should have.
    var target: [String: Set<Partition>] = [:]
    /// Who has each partition, or still has to give it up.
    var owners: [Partition: String] = [:]
    var topics: [String: Topic] = [:]
    var catalogVersion = -1
    var assignor = ServerAssignor.uniform
    var memberCount = 0

    /// More are refused.
    var membersMax = Int.max

    init(id: String, sessionTimeoutMs: Int64) {
        self.id = id
        self.sessionTimeoutMs = sessionTimeoutMs
    }

    var state: State {
        if members.isEmpty { return .empty }
        if epoch > assignmentEpoch { return .assigning }
        let isStable = members.values.allSatisfy { $0.isAway || ($0.epoch == assignmentEpoch && $0.state == .stable) }
        return isStable ? .stable : .reconciling
    }

    var wantedTopics: Set<String> { members.values.reduce(into: []) { $0.formUnion($1.topics) } }

    struct Heartbeat: Sendable {
        var memberID: String
        /// 0 to join, −1 to leave, −2 to leave for a while (static members); else the epoch that the member has.
        var epoch: Int32
        var instanceID: String?
        var rackID: String?
        var clientID = ""
        var clientHost = ""
        /// The following are nil where nothing changed since the last heartbeat.
        var rebalanceTimeoutMs: Int64?
        var names: [String]?
        var pattern: Pattern?
        var assignor: String?
        var owned: Set<Partition>?
        /// It is a JoinGroup really.
        var classic: Member.Classic?

        enum Pattern: Sendable {
            case none
            case some(NamePattern)
        }

        /// It says all that there is to say, so it is told all that it should have.
        var isFull: Bool { epoch == 0 || (rebalanceTimeoutMs != nil && (names != nil || pattern != nil) && owned != nil) }
    }
}
