/// A streams group of KIP-1071: the members of a Kafka Streams application. They say what the application looks like and which tasks they have,
/// the group says which they should have.
///
/// A value without clock, lock or I/O, as `ConsumerGroup` is. Times are milliseconds of one monotonic clock. The rules are in
/// `StreamsGroup+StateMachine.swift` and `StreamsGroup+Reconciliation.swift`.
struct StreamsGroup: Sendable {
    enum State: String, Sendable {
        case empty = "Empty"
        /// Source or internal topics are missing or wrong: nobody has tasks.
        case notReady = "NotReady"
        /// What each should have is not worked out yet.
        case assigning = "Assigning"
        /// Some member does not have what it should have.
        case reconciling = "Reconciling"
        case stable = "Stable"
    }

    /// Why members do not have what they might expect (StreamsGroupHeartbeatResponse, "Status").
    struct Status: Sendable, Hashable {
        enum Code: Int8, Sendable {
            case staleTopology = 0
            case missingSourceTopics = 1
            case incorrectlyPartitionedTopics = 2
            case missingInternalTopics = 3
            case shutdownApplication = 4
            case assignmentDelayed = 5
        }

        var code: Code
        var detail: String

        init(_ code: Code, _ detail: String) {
            self.code = code
            self.detail = detail
        }
    }

    /// What a member does with tasks: works on them, keeps a copy of their state, makes itself one to take them over.
    struct Tasks: Sendable, Hashable {
        var active: Set<StreamsTask> = []
        var standby: Set<StreamsTask> = []
        var warmup: Set<StreamsTask> = []

        var copies: Set<StreamsTask> { standby.union(warmup) }
        var isEmpty: Bool { active.isEmpty && standby.isEmpty && warmup.isEmpty }

        /// Whether nothing is worked on, or copied, in both.
        func isDisjoint(with other: Tasks) -> Bool { active.isDisjoint(with: other.active) && copies.isDisjoint(with: other.copies) }

        func isSubset(of other: Tasks) -> Bool { active.isSubset(of: other.active) && copies.isSubset(of: other.copies) }
    }

    /// Where an application answers queries about its state.
    struct Endpoint: Sendable, Hashable, Comparable {
        var host: String
        var port: UInt16

        static func < (a: Self, b: Self) -> Bool { (a.host, a.port) < (b.host, b.port) }
    }

    /// Which partitions are worked on, and of which there are copies, at an endpoint.
    struct EndpointPartitions: Sendable, Hashable {
        var endpoint: Endpoint
        var active: [String: Set<Int32>] = [:]
        var standby: [String: Set<Int32>] = [:]
    }

    /// What the broker and the group's own settings decide.
    struct Settings: Sendable, Hashable {
        var sessionTimeoutMs: Int64 = 45_000
        var heartbeatIntervalMs: Int32 = 5_000
        var standbyReplicas = 0
        /// How long the first assignment waits for more members.
        var initialRebalanceDelayMs: Int64 = 0
        /// How many tasks are warmed up at a time.
        var warmupReplicas = 2
        /// How far behind a copy may be and count as caught up, in records.
        var acceptableRecoveryLag: Int32 = 10_000
        /// How often members say how far their copies are.
        var taskOffsetIntervalMs: Int32 = 60_000
        var membersMax = 10_000
    }

    struct Member: EpochMember {
        enum State: Sendable {
            /// It has what it should have as of its epoch.
            case stable
            /// It has to give up `revoking` first.
            case unrevoked
            /// It waits for tasks that others still have.
            case unreleased
        }

        var id: String
        var instanceID: String?
        var rackID: String?
        var clientID = ""
        var clientHost = ""
        var rebalanceTimeoutMs: Int64 = 0
        /// Of the topology that it runs.
        var topologyEpoch: Int32 = 0
        /// Members of one process share its disk. Who does not say is a process of its own.
        var processID: String
        var endpoint: Endpoint?
        var clientTags: [String: String] = [:]
        /// How far it is in the changelogs of tasks, and how long these are; nil for clients that do not say.
        var offsets: [StreamsTask: Int64]?
        var endOffsets: [StreamsTask: Int64] = [:]
        var epoch: Int32 = 0
        var previousEpoch: Int32 = -1
        var state = State.stable
        var assigned = Tasks()
        var revoking = Tasks()
        /// A static member that will be back (epoch −2).
        var isAway = false
        var sessionDeadline: Int64 = .max
        /// When it must have given up what it is to give up.
        var revocationDeadline: Int64 = .max
        var order = 0

        var deadline: Int64 { min(sessionDeadline, revocationDeadline) }
    }

    let id: String
    var settings: Settings
    /// Rises with each change of members, topology or topics.
    var epoch: Int32 = 0
    /// The epoch for which `target` was worked out.
    var assignmentEpoch: Int32 = 0
    /// When the first assignment may be worked out.
    var assignableAt: Int64 = .min
    var topology: StreamsTopology?
    /// Topics that the topology's patterns matched when the catalog had version `catalogVersion`.
    var matched: Set<String> = []
    var topics: [String: GroupTopic] = [:]
    var layout: StreamsLayout?
    /// Subtopologies that are as they were for members that run an older topology.
    var unchanged: Set<String> = []
    /// What became of making internal topics, by topic.
    var creationErrors: [String: String] = [:]
    var members: [String: Member] = [:]
    var staticMembers: [String: String] = [:]
    /// Where tasks should be in the end, without warm-ups; kept while topics are missing.
    var goal: [String: Tasks] = [:]
    /// What each member should have now.
    var target: [String: Tasks] = [:]
    /// Who works on a task, or still has to give it up.
    var owners: [StreamsTask: String] = [:]
    /// Who has a copy of a task's state, or still has to give it up.
    var copies: [StreamsTask: Set<String>] = [:]
    var catalogVersion = -1
    /// Rises with each change of what is where.
    var endpointEpoch: Int32 = 0
    /// The member that asked for all members to shut down.
    var shutdownRequestedBy: String?
    var memberCount = 0

    init(id: String, settings: Settings) {
        self.id = id
        self.settings = settings
    }

    init(id: String, sessionTimeoutMs: Int64) {
        self.init(id: id, settings: Settings())
        self.sessionTimeoutMs = sessionTimeoutMs
    }

    var sessionTimeoutMs: Int64 {
        get { settings.sessionTimeoutMs }
        set { settings.sessionTimeoutMs = newValue }
    }

    var wantedTopics: Set<String> { Set(topology?.topics ?? []).union(matched) }

    var state: State {
        if members.isEmpty { return .empty }
        guard layout?.isReady == true else { return .notReady }
        if epoch > assignmentEpoch { return .assigning }
        let isStable = members.values.allSatisfy { $0.isAway || ($0.epoch == assignmentEpoch && $0.state == .stable) }
        return isStable ? .stable : .reconciling
    }

    func isStale(_ member: Member) -> Bool { member.topologyEpoch < topology?.epoch ?? 0 }

    struct Heartbeat: Sendable {
        var memberID: String
        /// 0 to join, −1 to leave, −2 to leave for a while (static members); else the epoch that the member has.
        var epoch: Int32
        var instanceID: String?
        var clientID = ""
        var clientHost = ""
        /// The following are nil where nothing changed since the last heartbeat.
        var rackID: String?
        var rebalanceTimeoutMs: Int64?
        /// Given by who joins.
        var topology: StreamsTopology?
        var owned: Tasks?
        var processID: String?
        var endpoint: Endpoint?
        var clientTags: [String: String]?
        var offsets: [StreamsTask: Int64]?
        var endOffsets: [StreamsTask: Int64]?
        /// All members are to shut down.
        var requestsShutdown = false
        /// Of what it was told last about endpoints.
        var endpointEpoch: Int32 = -1

        /// It says all that there is to say, so it is told all that it should have.
        var isFull: Bool { epoch == 0 || (rebalanceTimeoutMs != nil && owned != nil) }
    }

    struct Answer: Sendable {
        var memberID = ""
        var epoch: Int32 = 0
        /// Nil: as they were.
        var tasks: Tasks?
        var statuses: [Status] = []
        var endpointEpoch: Int32 = 0
        /// Nil: as they were.
        var endpoints: [EndpointPartitions]?
        /// How long the first assignment, if that is all that is waited for, will take.
        var delayMs: Int64?
        /// Internal topics that should be made.
        var missing: [StreamsTopology.InternalTopic] = []
    }
}
