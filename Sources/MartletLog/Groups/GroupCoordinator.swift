import Logging
import MartletCore
import NIOCore
import Synchronization

/// What a group with members may become (KIP-848).
public enum GroupMigration: String, Sendable, CaseIterable {
    case disabled
    /// A classic group a consumer group, when the first member of KIP-848 comes.
    case upgrade
    /// A consumer group a classic one, when the last member of KIP-848 has gone.
    case downgrade
    case bidirectional

    var upgrades: Bool { self == .upgrade || self == .bidirectional }
    var downgrades: Bool { self == .downgrade || self == .bidirectional }
}

/// Bounds of what members may ask for.
public struct GroupConfig: Sendable {
    public var sessionTimeoutMinMs: Int64 = 1_000
    public var sessionTimeoutMaxMs: Int64 = 1_800_000
    /// Zero: a single consumer starts at once; members that come together cost one more rebalance.
    public var initialRebalanceDelayMs: Int64 = 0
    public var offsetMetadataBytesMax = 4096
    /// Members of one group (group.max.size, group.consumer.max.size).
    public var membersMax = Int(Int32.max)
    public var consumerMembersMax = 10_000
    /// Which groups may go over to the other protocol while they have members (group.consumer.migration.policy).
    public var migration = GroupMigration.bidirectional
    /// Of consumer groups (KIP-848), where the broker decides: group.consumer.session.timeout.ms, group.consumer.heartbeat.interval.ms.
    public var consumerSessionTimeoutMs: Int64 = 45_000
    public var consumerHeartbeatIntervalMs: Int32 = 5_000
    /// What groups may set for themselves: group.consumer.min.session.timeout.ms and so on.
    public var consumerSessionTimeoutMinMs: Int64 = 45_000
    public var consumerSessionTimeoutMaxMs: Int64 = 60_000
    public var consumerHeartbeatIntervalMinMs: Int32 = 5_000
    public var consumerHeartbeatIntervalMaxMs: Int32 = 15_000
    public var sharing = ShareGroupConfig()
    public var streams = StreamsGroupConfig()
    /// How long offsets of a group without members are kept (offsets.retention.minutes); how often that is looked at.
    public var offsetsRetentionMs: Int64 = 604_800_000
    public var offsetsRetentionCheckMs: Int64 = 600_000

    public init() {}
}

/// All groups of this broker: the shell around the pure state machines (`AnyGroup`), with one lock, timers and the promises of waiting requests.
///
/// Memberships live in memory, as clients rejoin on their own; committed offsets live in the log's `GroupOffsets`.
final class GroupCoordinator: Sendable {
    let log: EmbeddedLog
    private let timers: any EventLoopGroup
    let time: TimeSource
    let logger: Logger
    let config: GroupConfig
    /// What share groups read.
    let sharing: (any ShareGroupStore)?
    let state = Mutex(State())
    let rebalances = RebalanceMeters()
    /// Rises when topics come, go or grow.
    private let catalogVersion = Atomic(0)
    private let listener = Mutex<Int?>(nil)
    /// Forgets old offsets; has ended long before the next one begins.
    private let offsetsThread = Mutex<WorkerThread?>(nil)

    struct State {
        var groups: [String: AnyGroup] = [:]
        var catalog = GroupCatalog(version: -1, topics: [:])
        /// When groups lost their last member, wall milliseconds.
        var emptySince: [String: Int64] = [:]
        var waiting: [Group.Token: Reply] = [:]
        var nextToken = 0
        var timers: [String: (deadline: Int64, task: Scheduled<Void>)] = [:]
        /// Internal topics of streams groups.
        var topicsInMaking: Set<String> = []
        var isClosed = false
    }

    enum Reply {
        case join(EventLoopPromise<Group.JoinAnswer>)
        case sync(EventLoopPromise<Group.SyncAnswer>)
        case heartbeat(EventLoopPromise<KafkaErrorCode>)
        case leave(EventLoopPromise<[KafkaErrorCode]>)
    }

    init(log: EmbeddedLog, timers: any EventLoopGroup, time: TimeSource, logger: Logger, config: GroupConfig = GroupConfig(), sharing: (any ShareGroupStore)? = nil) {
        self.log = log
        self.sharing = sharing
        self.timers = timers
        self.time = time
        self.logger = logger
        self.config = config
        let id = log.addListener { [weak self] event in
            if case .topicsChanged = event { self?.catalogVersion.add(1, ordering: .sequentiallyConsistent) }
        }
        listener.withLock { $0 = id }
        loadShareGroups()
        scheduleOffsetExpiry()
    }

    /// The log's topics, looked up anew when they changed.
    func catalog(_ state: inout State) -> GroupCatalog {
        let version = catalogVersion.load(ordering: .sequentiallyConsistent)
        if state.catalog.version != version {
            let topics = log.topics.filter { !$0.isInternal }.map { topic in
                (topic.name, GroupTopic(id: UUIDBytes(topic.topicID), name: topic.name, partitions: topic.partitions))
            }
            state.catalog = GroupCatalog(version: version, topics: Dictionary(topics, uniquingKeysWith: { $1 }))
        }
        return state.catalog
    }

    private func scheduleOffsetExpiry() {
        timers.next().scheduleTask(in: .milliseconds(config.offsetsRetentionCheckMs)) { [weak self] in
            guard let self, !self.state.withLock(\.isClosed) else { return }
            // Waits for the disk, so not here.
            do throws(MartletError) {
                let thread = try WorkerThread("martlet-offsets") {
                    self.expireOffsets()
                    self.scheduleOffsetExpiry()
                }
                let old = self.offsetsThread.withLock { current in
                    defer { current = thread }
                    return current
                }
                old?.join()
            } catch {
                self.logger.warning("old offsets stay", metadata: ["error": "\(error)"])
                self.scheduleOffsetExpiry()
            }
        }
    }

    // MARK: Membership

    func join(group: String, _ join: Group.Join, on loop: any EventLoop) -> EventLoopFuture<Group.JoinAnswer> {
        let promise = loop.makePromise(of: Group.JoinAnswer.self)
        func refuse(_ error: KafkaErrorCode) { promise.succeed(Group.JoinAnswer(error: error, memberID: join.memberID)) }
        if group.isEmpty {
            refuse(.invalidGroupID)
        } else if join.sessionTimeoutMs < config.sessionTimeoutMinMs || join.sessionTimeoutMs > config.sessionTimeoutMaxMs {
            refuse(.invalidSessionTimeout)
        } else if refusesClassicMembers(group) {
            refuse(.inconsistentGroupProtocol)
        } else if let answer = joinConsumers(group, join) {
            promise.succeed(answer)
        } else {
            send(to: group, createIfMissing: true, .join(promise)) { .join(join, $0) } ifMissing: { refuse(.coordinatorNotAvailable) }
        }
        return promise.futureResult
    }

    func sync(group: String, _ sync: Group.Sync, on loop: any EventLoop) -> EventLoopFuture<Group.SyncAnswer> {
        let promise = loop.makePromise(of: Group.SyncAnswer.self)
        if let answer = asConsumer(group, { $0.sync(sync, catalog: $1, now: $2) }) { promise.succeed(answer); return promise.futureResult }
        send(to: group, .sync(promise)) { .sync(sync, $0) } ifMissing: {
            promise.succeed(Group.SyncAnswer(error: group.isEmpty ? .invalidGroupID : .unknownMemberID))
        }
        return promise.futureResult
    }

    func heartbeat(group: String, memberID: String, instanceID: String?, generation: Int32, on loop: any EventLoop)
        -> EventLoopFuture<KafkaErrorCode>
    {
        let promise = loop.makePromise(of: KafkaErrorCode.self)
        let answer = asConsumer(group) {
            $0.heartbeat(memberID: memberID, instanceID: instanceID, generation: generation, catalog: $1, now: $2)
        }
        if let answer { promise.succeed(answer); return promise.futureResult }
        send(to: group, .heartbeat(promise)) {
            .heartbeat(memberID: memberID, instanceID: instanceID, generation: generation, $0)
        } ifMissing: {
            promise.succeed(group.isEmpty ? .invalidGroupID : .unknownMemberID)
        }
        return promise.futureResult
    }

    /// One code for each member, in order.
    func leave(group: String, _ members: [Group.Leaving], on loop: any EventLoop) -> EventLoopFuture<[KafkaErrorCode]> {
        let promise = loop.makePromise(of: [KafkaErrorCode].self)
        if let codes = asConsumer(group, { consumers, _, _ in members.map { consumers.leave($0) } }) {
            promise.succeed(codes)
            return promise.futureResult
        }
        send(to: group, .leave(promise)) { .leave(members, $0) } ifMissing: {
            promise.succeed(members.map { _ in group.isEmpty ? .invalidGroupID : .unknownMemberID })
        }
        return promise.futureResult
    }

    // MARK: Offsets

    /// Commits offsets for a member, or for a consumer that assigns itself. In a consumer group `generation` is the member's epoch, which
    /// requests that do not know epochs cannot say. Waits for the disk: not for an event loop.
    func commit(
        group: String, memberID: String, instanceID: String?, generation: Int32, knowsEpochs: Bool = true,
        _ offsets: [TopicPartition: CommittedOffset]
    ) -> KafkaErrorCode {
        if group.isEmpty { return .invalidGroupID }
        let now = nowMs
        let verdict: KafkaErrorCode = state.withLock { state in
            switch state.groups[group] {
            case .consumer(let consumers): consumers.admitCommit(memberID: memberID, epoch: generation, knowsEpochs: knowsEpochs)
            case .streams(let streams): streams.admitCommit(memberID: memberID, epoch: generation, knowsEpochs: knowsEpochs)
            case .share: .groupIDNotFound
            case .classic:
                state.groups.change(group) { (group: inout Group) in
                    group.admitCommit(memberID: memberID, instanceID: instanceID, generation: generation, now: now)
                } ?? .none
            // A member of before a restart. Clients that know epochs take only UNKNOWN_MEMBER_ID as "join again"; the Java client of 4.2 ends at
            // ILLEGAL_GENERATION.
            case nil: generation < 0 ? .none : knowsEpochs ? .unknownMemberID : .illegalGeneration
            }
        }
        guard verdict == .none else { return verdict }
        do throws(KafkaError) {
            try log.groupOffsets.commit(group: group, offsets)
            return .none
        } catch {
            logger.error("offset commit failed", metadata: ["group": "\(group)", "error": "\(error.message)"])
            return error.code
        }
    }

    /// Whether offsets may be committed in a transaction for this member (KIP-447); a group we do not know has no members to check.
    func admitTransactionalCommit(group: String, memberID: String, instanceID: String?, generation: Int32) -> KafkaErrorCode {
        if group.isEmpty { return .invalidGroupID }
        let now = nowMs
        return state.withLock { state in
            let isNobody = generation < 0 && memberID.isEmpty
            switch state.groups[group] {
            case .share: return .groupIDNotFound
            case .consumer where isNobody, .classic where isNobody, .streams where isNobody: return .none
            case .consumer(let consumers):
                let verdict = consumers.admitCommit(memberID: memberID, epoch: generation, knowsEpochs: true)
                // These requests know of generations only.
                return verdict == .staleMemberEpoch ? .illegalGeneration : verdict
            case .streams(let streams):
                let verdict = streams.admitCommit(memberID: memberID, epoch: generation, knowsEpochs: true)
                return verdict == .staleMemberEpoch ? .illegalGeneration : verdict
            case .classic:
                return state.groups.change(group) { (group: inout Group) in
                    group.admitCommit(memberID: memberID, instanceID: instanceID, generation: generation, now: now)
                } ?? .none
            case nil: return generation < 0 ? .none : .illegalGeneration
            }
        }
    }

    /// Whether a member may ask for offsets: one that says who it is must be who it says (KIP-848).
    func admitOffsetFetch(group: String, memberID: String?, epoch: Int32) -> KafkaErrorCode {
        guard let memberID, epoch >= 0 else { return .none }
        return state.withLock { state in
            switch state.groups[group] {
            case .consumer(let consumers): consumers.admitFetch(memberID: memberID, epoch: epoch)
            case .streams(let streams): streams.admitFetch(memberID: memberID, epoch: epoch)
            // Of a group that has no offsets each is answered with "none".
            case .share: .none
            case .classic, nil: .unknownMemberID
            }
        }
    }

    // MARK: Administration

    struct Listing: Sendable {
        var id: String
        var protocolType: String
        var state: String
        var type = GroupType.classic
    }

    /// Groups with members and groups of which only offsets are left.
    var listings: [Listing] {
        var byID: [String: Listing] = [:]
        for id in log.groupOffsets.groups { byID[id] = Listing(id: id, protocolType: "", state: Group.State.empty.rawValue) }
        state.withLock { state in
            for (id, group) in state.groups where group.type != .classic || group.hasMembers || byID[id] != nil {
                byID[id] = Listing(id: id, protocolType: group.protocolType, state: group.stateName, type: group.type)
            }
        }
        return byID.values.sorted { $0.id < $1.id }
    }

    /// A copy of the classic group.
    ///
    /// - Throws: GROUP_ID_NOT_FOUND if there is none by that id, or one of another kind.
    func describe(_ id: String) throws(KafkaError) -> Group {
        do throws(KafkaError) {
            return try describe(id, as: Group.self)
        } catch {
            guard state.withLock({ $0.groups[id] == nil }), log.groupOffsets.hasAny(group: id) else { throw error }
            return Group(id: id)
        }
    }

    /// A copy of a group of one kind.
    ///
    /// - Throws: GROUP_ID_NOT_FOUND if there is none by that id, or one of another kind.
    func describe<Kind: GroupKind>(_ id: String, as kind: Kind.Type) throws(KafkaError) -> Kind {
        guard let group = state.withLock({ $0.groups[id] }) else {
            let isClassic = log.groupOffsets.hasAny(group: id)
            throw KafkaError(.groupIDNotFound, isClassic ? "group \(id) is not a \(kind.type.name)" : "group \(id) does not exist")
        }
        guard let group = Kind(group) else { throw KafkaError(.groupIDNotFound, "group \(id) is not a \(kind.type.name)") }
        return group
    }

    /// Deletes a group without members, with its offsets. Waits for the disk.
    func delete(_ id: String) -> KafkaErrorCode {
        if id.isEmpty { return .invalidGroupID }
        let hasOffsets = log.groupOffsets.hasAny(group: id)
        let verdict: KafkaErrorCode = state.withLock { state in
            guard let group = state.groups[id] else { return hasOffsets ? .none : .groupIDNotFound }
            guard !group.hasMembers else { return .nonEmptyGroup }
            state.groups[id] = nil
            state.emptySince[id] = nil
            state.timers.removeValue(forKey: id)?.task.cancel()
            return .none
        }
        guard verdict == .none else { return verdict }
        do throws(KafkaError) {
            try sharing?.delete(group: id)
            if hasOffsets { try log.groupOffsets.delete(group: id) }
            return .none
        } catch {
            return error.code
        }
    }

    /// Nil if there is no such group.
    func type(of id: String) -> GroupType? {
        state.withLock { $0.groups[id]?.type } ?? (log.groupOffsets.hasAny(group: id) ? .classic : nil)
    }

    /// Whether members of the group read this topic: then its offsets may not be deleted (KIP-496).
    func isSubscribed(_ id: String, to topic: String) -> Bool { state.withLock { $0.groups[id]?.isSubscribed(to: topic) ?? false } }

    /// Answers nobody any more and stops all timers.
    func close() {
        let listening = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        if let listening { log.removeListener(listening) }
        let waiting = state.withLock { state in
            state.isClosed = true
            for timer in state.timers.values { timer.task.cancel() }
            state.timers = [:]
            let waiting = state.waiting
            state.waiting = [:]
            return waiting
        }
        let thread = offsetsThread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
        for reply in waiting.values {
            switch reply {
            case .join(let promise): promise.succeed(Group.JoinAnswer(error: .coordinatorNotAvailable))
            case .sync(let promise): promise.succeed(Group.SyncAnswer(error: .coordinatorNotAvailable))
            case .heartbeat(let promise): promise.succeed(.coordinatorNotAvailable)
            case .leave(let promise): promise.succeed([.coordinatorNotAvailable])
            }
        }
    }

    // MARK: The shell

    var nowMs: Int64 { time.monotonicNs / 1_000_000 }

    private func send(
        to id: String, createIfMissing: Bool = false, _ reply: Reply, _ event: (Group.Token) -> Group.Event, ifMissing: () -> Void
    ) {
        let now = nowMs
        let answers: [(Reply, Group.Action)]? = state.withLock { state in
            guard !state.isClosed else { return nil }
            if state.groups[id]?.type != .classic {
                // A consumer group has no members here, else the request had been answered; a share group stays one.
                guard createIfMissing, state.groups[id]?.refusesClassicMembers != true else { return nil }
                var made = Group(id: id, initialRebalanceDelayMs: config.initialRebalanceDelayMs)
                made.membersMax = config.membersMax
                state.groups[id] = .classic(made)
            }
            let token = state.nextToken
            state.nextToken += 1
            state.waiting[token] = reply
            return step(id, event(token), now, &state)
        }
        guard let answers else { return ifMissing() }
        for (reply, action) in answers { complete(reply, action) }
    }

    /// Runs one event under the lock; the answers are given outside of it.
    private func step(_ id: String, _ event: Group.Event, _ now: Int64, _ state: inout State) -> [(Reply, Group.Action)] {
        var moved: Int64?
        let changed = state.groups.change(id) { (group: inout Group) in
            let before = (group.state, group.generation)
            let actions = group.receive(event, now: now)
            rebalances.note(.classic, before.1, group.generation)
            if before != (group.state, group.generation) {
                logger.debug(
                    "group changed",
                    metadata: [
                        "group": "\(id)", "state": "\(group.state.rawValue)", "generation": "\(group.generation)",
                        "members": "\(group.members.count)",
                    ])
            }
            if case .heartbeat(let memberID, _, _, _) = event { moved = group.members[memberID]?.sessionDeadline ?? .max }
            return actions
        }
        guard let actions = changed else { return [] }
        settle(id, now, &state, moved: moved)
        return actions.compactMap { action in
            state.waiting.removeValue(forKey: action.token).map { ($0, action) }
        }
    }

    /// Offsets of a group are kept for a while after its last member has gone.
    private func noteMembers(_ id: String, hasAny: Bool, _ state: inout State) {
        if hasAny {
            state.emptySince[id] = nil
        } else if state.emptySince[id] == nil {
            state.emptySince[id] = time.wallMs
        }
    }

    /// After any change of a group: its timer, since when it has no members, and whether anything is left of it.
    ///
    /// - `moved`: the only deadline in the group that may have come nearer; nil: any may have.
    func settle(_ id: String, _ now: Int64, _ state: inout State, moved: Int64? = nil) {
        schedule(id, now, &state, moved: moved)
        noteMembers(id, hasAny: state.groups[id]?.hasMembers ?? false, &state)
        // Ids that are used once would pile up.
        if state.groups[id]?.isUnused == true, !log.groupOffsets.hasAny(group: id) {
            state.groups[id] = nil
            state.emptySince[id] = nil
        }
    }

    private func schedule(_ id: String, _ now: Int64, _ state: inout State, moved: Int64?) {
        // Most heartbeats put off one deadline of thousands, for which not all should be looked at.
        if let moved, let running = state.timers[id], running.deadline <= moved { return }
        let deadline = state.groups[id]?.nextDeadline
        if let running = state.timers[id] {
            // A timer that fires early only looks again; heartbeats move deadlines all the time and should not cost a timer each.
            if let deadline, running.deadline <= deadline { return }
            running.task.cancel()
            state.timers[id] = nil
        }
        guard let deadline else { return }
        let task = timers.next().scheduleTask(in: .milliseconds(max(1, deadline - now))) { [weak self] in
            guard let self else { return }
            self.fire(id)
        }
        state.timers[id] = (deadline, task)
    }

    private func fire(_ id: String) {
        let now = nowMs
        let answers: [(Reply, Group.Action)] = state.withLock { state in
            state.timers[id] = nil
            guard !state.isClosed else { return [] }
            switch state.groups[id]?.type {
            case .classic: return step(id, .timer, now, &state)
            case .consumer: expireMembers(of: ConsumerGroup.self, id, now, &state)
            case .share: expireMembers(of: ShareGroup.self, id, now, &state)
            case .streams: expireMembers(of: StreamsGroup.self, id, now, &state)
            case nil: break
            }
            return []
        }
        for (reply, action) in answers { complete(reply, action) }
    }

    func complete(_ reply: Reply, _ action: Group.Action) {
        switch (reply, action) {
        case (.join(let promise), .answerJoin(_, let answer)): promise.succeed(answer)
        case (.sync(let promise), .answerSync(_, let answer)): promise.succeed(answer)
        case (.heartbeat(let promise), .answerHeartbeat(_, let code)): promise.succeed(code)
        case (.leave(let promise), .answerLeave(_, let codes)): promise.succeed(codes)
        default: preconditionFailure("a group answered a request of another kind")
        }
    }
}

extension Group.Action {
    var token: Group.Token {
        switch self {
        case .answerJoin(let token, _), .answerSync(let token, _), .answerHeartbeat(let token, _), .answerLeave(let token, _): token
        }
    }
}
