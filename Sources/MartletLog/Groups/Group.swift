import NIOCore

/// A group of consumers (or of Connect workers, or of whatever a client calls by one group id) in the classic protocol.
///
/// A value without clock, lock or I/O: `receive(_:now:)` takes what happened and says whom to answer what. Times are milliseconds of one
/// monotonic clock. See `Group+StateMachine.swift` for the states and their rules.
struct Group: Sendable {
    enum State: String, Sendable {
        case empty = "Empty"
        case preparingRebalance = "PreparingRebalance"
        case completingRebalance = "CompletingRebalance"
        case stable = "Stable"
        case dead = "Dead"
    }

    /// Names a request that waits for its answer.
    typealias Token = Int

    struct Member: Sendable {
        var id: String
        /// `group.instance.id`: a static member keeps its assignment over a restart (KIP-345).
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var sessionTimeoutMs: Int64
        var rebalanceTimeoutMs: Int64
        var protocols: [GroupProtocol]
        var assignment: [UInt8] = []
        /// Set while its JoinGroup or SyncGroup waits; such a member is alive whatever the clock says.
        var joinToken: Token?
        var syncToken: Token?
        var sessionDeadline: Int64
        /// Rises with each new member: the order in which they came.
        var order: Int

        var isWaiting: Bool { joinToken != nil || syncToken != nil }
    }

    struct GroupProtocol: Sendable, Hashable {
        var name: String
        var metadata: [UInt8]
    }

    let id: String
    /// How long the first rebalance of an empty group waits for more members.
    let initialRebalanceDelayMs: Int64
    /// More are refused.
    var membersMax = Int.max
    var state = State.empty
    var generation: Int32 = 0
    var protocolType: String?
    var protocolName: String?
    var leaderID: String?
    var members: [String: Member] = [:]
    /// Ids handed out with MEMBER_ID_REQUIRED and not yet used, with the time until which they hold (KIP-394).
    var pendingMembers: [String: Int64] = [:]
    var staticMembers: [String: String] = [:]
    /// While preparing: when members that have not joined are left behind.
    var rebalanceDeadline: Int64 = .max
    /// While preparing: not before this time (`initialRebalanceDelayMs`).
    var rebalanceEarliest: Int64 = .min
    /// While completing: when members that have not synced are left behind.
    var syncDeadline: Int64 = .max
    var memberCount = 0

    init(id: String, initialRebalanceDelayMs: Int64 = 0) {
        self.id = id
        self.initialRebalanceDelayMs = initialRebalanceDelayMs
    }

    /// Whether a consumer among the members reads this topic.
    func isSubscribed(to topic: String) -> Bool {
        guard protocolType == "consumer" else { return !members.isEmpty }
        return members.values.contains { member in member.protocols.contains { Self.topics(inMetadata: $0.metadata).contains(topic) } }
    }

    /// The topics in a consumer's metadata: version i16, then the names. What does not read as that names none.
    private static func topics(inMetadata metadata: [UInt8]) -> [String] {
        var wire = Wire(reading: ByteBuffer(bytes: metadata), version: 0, isFlexible: false)
        var version: Int16 = 0
        var topics: [String] = []
        do throws(WireError) {
            try wire.field(&version)
            try wire.field(&topics)
            return topics
        } catch {
            return []
        }
    }

    // MARK: Events

    struct Join: Sendable {
        var memberID: String
        /// The id to give to a member that came without one.
        var newMemberID: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var sessionTimeoutMs: Int64
        var rebalanceTimeoutMs: Int64
        var protocolType: String
        var protocols: [GroupProtocol]
        /// JoinGroup 4 and later: a new dynamic member learns its id first and comes again with it.
        var requiresKnownMemberID: Bool
        /// JoinGroup 9 and later: a returning static leader is told to keep the assignment.
        var supportsSkippingAssignment: Bool
    }

    struct Sync: Sendable {
        var memberID: String
        var instanceID: String?
        var generation: Int32
        /// Nil before version 5.
        var protocolType: String?
        var protocolName: String?
        var assignments: [String: [UInt8]]
    }

    struct Leaving: Sendable {
        var memberID: String
        var instanceID: String?
    }

    enum Event: Sendable {
        case join(Join, Token)
        case sync(Sync, Token)
        case heartbeat(memberID: String, instanceID: String?, generation: Int32, Token)
        case leave([Leaving], Token)
        /// Time went by; `nextDeadline` says when this is due.
        case timer
    }

    // MARK: Actions

    struct JoinAnswer: Sendable, Hashable {
        struct JoinedMember: Sendable, Hashable {
            var id: String
            var instanceID: String?
            var metadata: [UInt8]
        }

        var error = KafkaErrorCode.none
        var generation: Int32 = -1
        var protocolType: String?
        var protocolName: String?
        var leaderID = ""
        var memberID = ""
        var skipAssignment = false
        /// For the leader, who assigns: every member with its metadata for the chosen protocol.
        var members: [JoinedMember] = []
    }

    struct SyncAnswer: Sendable, Hashable {
        var error = KafkaErrorCode.none
        var protocolType: String?
        var protocolName: String?
        var assignment: [UInt8] = []
    }

    enum Action: Sendable, Hashable {
        case answerJoin(Token, JoinAnswer)
        case answerSync(Token, SyncAnswer)
        case answerHeartbeat(Token, KafkaErrorCode)
        /// One code for each leaving member, in the request's order.
        case answerLeave(Token, [KafkaErrorCode])
    }
}
