import Logging
import MartletCore
import NIOCore
import Synchronization

/// Bounds of what members may ask for.
struct GroupConfig: Sendable {
    var sessionTimeoutMinMs: Int64 = 1_000
    var sessionTimeoutMaxMs: Int64 = 1_800_000
    /// Zero: a single consumer starts at once; members that come together cost one more rebalance.
    var initialRebalanceDelayMs: Int64 = 0
    var offsetMetadataBytesMax = 4096
}

/// All groups of this broker: the shell around the pure `Group`, with one lock, timers and the promises of waiting requests.
///
/// Memberships live in memory, as clients rejoin on their own; committed offsets live in the log's `GroupOffsets`.
final class GroupCoordinator: Sendable {
    private let log: EmbeddedLog
    private let timers: any EventLoopGroup
    private let time: TimeSource
    private let logger: Logger
    let config: GroupConfig
    private let state = Mutex(State())

    private struct State {
        var groups: [String: Group] = [:]
        var waiting: [Group.Token: Reply] = [:]
        var nextToken = 0
        var timers: [String: (deadline: Int64, task: Scheduled<Void>)] = [:]
        var isClosed = false
    }

    private enum Reply {
        case join(EventLoopPromise<Group.JoinAnswer>)
        case sync(EventLoopPromise<Group.SyncAnswer>)
        case heartbeat(EventLoopPromise<KafkaErrorCode>)
        case leave(EventLoopPromise<[KafkaErrorCode]>)
    }

    init(log: EmbeddedLog, timers: any EventLoopGroup, time: TimeSource, logger: Logger, config: GroupConfig = GroupConfig()) {
        self.log = log
        self.timers = timers
        self.time = time
        self.logger = logger
        self.config = config
    }

    // MARK: Membership

    func join(group: String, _ join: Group.Join, on loop: any EventLoop) -> EventLoopFuture<Group.JoinAnswer> {
        let promise = loop.makePromise(of: Group.JoinAnswer.self)
        func refuse(_ error: KafkaErrorCode) { promise.succeed(Group.JoinAnswer(error: error, memberID: join.memberID)) }
        if group.isEmpty {
            refuse(.invalidGroupID)
        } else if join.sessionTimeoutMs < config.sessionTimeoutMinMs || join.sessionTimeoutMs > config.sessionTimeoutMaxMs {
            refuse(.invalidSessionTimeout)
        } else {
            send(to: group, createIfMissing: true, .join(promise)) { .join(join, $0) } ifMissing: { refuse(.coordinatorNotAvailable) }
        }
        return promise.futureResult
    }

    func sync(group: String, _ sync: Group.Sync, on loop: any EventLoop) -> EventLoopFuture<Group.SyncAnswer> {
        let promise = loop.makePromise(of: Group.SyncAnswer.self)
        send(to: group, .sync(promise)) { .sync(sync, $0) } ifMissing: {
            promise.succeed(Group.SyncAnswer(error: group.isEmpty ? .invalidGroupID : .unknownMemberID))
        }
        return promise.futureResult
    }

    func heartbeat(group: String, memberID: String, instanceID: String?, generation: Int32, on loop: any EventLoop)
        -> EventLoopFuture<KafkaErrorCode>
    {
        let promise = loop.makePromise(of: KafkaErrorCode.self)
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
        send(to: group, .leave(promise)) { .leave(members, $0) } ifMissing: {
            promise.succeed(members.map { _ in group.isEmpty ? .invalidGroupID : .unknownMemberID })
        }
        return promise.futureResult
    }

    // MARK: Offsets

    /// Commits offsets for a member, or for a consumer that assigns itself. Waits for the disk: not for an event loop.
    func commit(
        group: String, memberID: String, instanceID: String?, generation: Int32, _ offsets: [TopicPartition: CommittedOffset]
    ) -> KafkaErrorCode {
        if group.isEmpty { return .invalidGroupID }
        let now = nowMs
        let verdict: KafkaErrorCode = state.withLock { state in
            guard state.groups[group] != nil else { return generation < 0 ? .none : .illegalGeneration }
            return state.groups[group]?.admitCommit(memberID: memberID, instanceID: instanceID, generation: generation, now: now) ?? .none
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
            guard state.groups[group] != nil else { return generation < 0 ? .none : .illegalGeneration }
            if generation < 0, memberID.isEmpty { return .none }
            return state.groups[group]?.admitCommit(memberID: memberID, instanceID: instanceID, generation: generation, now: now) ?? .none
        }
    }

    /// Whether a member may ask for offsets: one that says who it is must be who it says (KIP-848).
    func admitOffsetFetch(group: String, memberID: String?, epoch: Int32) -> KafkaErrorCode {
        memberID == nil || epoch < 0 ? .none : .unknownMemberID
    }

    // MARK: Administration

    struct Listing: Sendable {
        var id: String
        var protocolType: String
        var state: Group.State
    }

    /// Groups with members and groups of which only offsets are left.
    var listings: [Listing] {
        var byID: [String: Listing] = [:]
        for id in log.groupOffsets.groups { byID[id] = Listing(id: id, protocolType: "", state: .empty) }
        state.withLock { state in
            for group in state.groups.values where !group.members.isEmpty || byID[group.id] != nil {
                byID[group.id] = Listing(id: group.id, protocolType: group.protocolType ?? "", state: group.state)
            }
        }
        return byID.values.sorted { $0.id < $1.id }
    }

    /// A copy of the group; nil if there is none by that id.
    func describe(_ id: String) -> Group? {
        if let group = state.withLock({ $0.groups[id] }) { return group }
        return log.groupOffsets.groups.contains(id) ? Group(id: id) : nil
    }

    /// Deletes a group without members, with its offsets. Waits for the disk.
    func delete(_ id: String) -> KafkaErrorCode {
        if id.isEmpty { return .invalidGroupID }
        let hasOffsets = log.groupOffsets.groups.contains(id)
        let verdict: KafkaErrorCode = state.withLock { state in
            guard let group = state.groups[id] else { return hasOffsets ? .none : .groupIDNotFound }
            guard group.state == .empty else { return .nonEmptyGroup }
            state.groups[id] = nil
            state.timers.removeValue(forKey: id)?.task.cancel()
            return .none
        }
        guard verdict == .none, hasOffsets else { return verdict }
        do throws(KafkaError) {
            try log.groupOffsets.delete(group: id)
            return .none
        } catch {
            return error.code
        }
    }

    /// Whether offsets of these topics may be deleted: not while members of the group read them (KIP-496).
    func isSubscribed(_ id: String) -> Bool { state.withLock { !($0.groups[id]?.members.isEmpty ?? true) } }

    /// Answers nobody any more and stops all timers.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            for timer in state.timers.values { timer.task.cancel() }
            state.timers = [:]
            let waiting = state.waiting
            state.waiting = [:]
            return waiting
        }
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

    private var nowMs: Int64 { time.monotonicNs / 1_000_000 }

    private func send(
        to id: String, createIfMissing: Bool = false, _ reply: Reply, _ event: (Group.Token) -> Group.Event, ifMissing: () -> Void
    ) {
        let now = nowMs
        let answers: [(Reply, Group.Action)]? = state.withLock { state in
            guard !state.isClosed else { return nil }
            if state.groups[id] == nil {
                guard createIfMissing else { return nil }
                state.groups[id] = Group(id: id, initialRebalanceDelayMs: config.initialRebalanceDelayMs)
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
        let before = state.groups[id]?.state, generation = state.groups[id]?.generation
        let actions = state.groups[id]?.receive(event, now: now) ?? []
        if let group = state.groups[id], group.state != before || group.generation != generation {
            logger.debug(
                "group changed",
                metadata: [
                    "group": "\(id)", "state": "\(group.state.rawValue)", "generation": "\(group.generation)",
                    "members": "\(group.members.count)",
                ])
        }
        schedule(id, now, &state)
        if let group = state.groups[id], group.state == .empty, group.pendingMembers.isEmpty, before != nil,
            !log.groupOffsets.groups.contains(id)
        {
            // Nothing is left of it; else ids that are used once would pile up.
            state.groups[id] = nil
        }
        return actions.compactMap { action in
            state.waiting.removeValue(forKey: action.token).map { ($0, action) }
        }
    }

    private func schedule(_ id: String, _ now: Int64, _ state: inout State) {
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
            guard !state.isClosed, state.groups[id] != nil else { return [] }
            return step(id, .timer, now, &state)
        }
        for (reply, action) in answers { complete(reply, action) }
    }

    private func complete(_ reply: Reply, _ action: Group.Action) {
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
