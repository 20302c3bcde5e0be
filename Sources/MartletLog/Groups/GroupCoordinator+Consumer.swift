import Logging
import MartletCore
import NIOCore
import Synchronization

// Consumer groups of KIP-848, and how long the offsets of any group are kept.

extension GroupCoordinator {
    /// A member's heartbeat; answered at once. A classic group of consumers becomes a consumer group when somebody joins who speaks this protocol.
    func heartbeat(
        group id: String, _ heartbeat: ConsumerGroup.Heartbeat, mayDescribe: (String) -> Bool
    ) -> ConsumerGroup.Answer {
        let now = nowMs
        var dismissed: [(Reply, Group.Action)] = []
        defer { for (reply, action) in dismissed { complete(reply, action) } }
        return state.withLock { state in
            guard !state.isClosed else { return .init(error: .coordinatorNotAvailable) }
            let catalog = catalog(&state)
            if var classic = state.groups[id] {
                guard heartbeat.epoch == 0 else { return .init(error: .unknownMemberID, message: "group \(id) has no such member") }
                if !classic.members.isEmpty {
                    guard config.migration.upgrades, let upgraded = ConsumerGroup(upgrading: classic, catalog: catalog, sessionTimeoutMs: 0, now: now)
                    else {
                        return .init(error: .groupIDNotFound, message: "group \(id) has members of the classic protocol, which have to leave first")
                    }
                    dismissed = classic.dismiss().compactMap { action in state.waiting.removeValue(forKey: action.token).map { ($0, action) } }
                    state.consumers[id] = upgraded
                    logger.info("classic group is a consumer group now", metadata: ["group": "\(id)", "members": "\(upgraded.members.count)"])
                }
                state.groups[id] = nil
            }
            if state.consumers[id] == nil {
                guard heartbeat.epoch == 0 else { return .init(error: .unknownMemberID, message: "group \(id) has no such member") }
                state.consumers[id] = ConsumerGroup(id: id, sessionTimeoutMs: 0)
            }
            state.consumers[id]?.sessionTimeoutMs = log.settings.consumerTimes(ofGroup: id).sessionTimeoutMs
            let answer = state.consumers[id]?.receive(heartbeat, catalog: catalog, now: now, mayDescribe: mayDescribe)
            settle(id, now, &state)
            return answer ?? .init(error: .coordinatorNotAvailable)
        }
    }

    /// A classic member's request to a consumer group with members.
    /// - Returns: nil if it is no such group.
    func asConsumer<Answer>(_ id: String, _ body: (inout ConsumerGroup, ConsumerGroup.Catalog, _ now: Int64) -> Answer) -> Answer? {
        let now = nowMs
        return state.withLock { state in
            guard !state.isClosed, state.consumers[id]?.members.isEmpty == false else { return nil }
            let catalog = catalog(&state)
            // In place: a copy of a large group for each heartbeat would be dear.
            guard var group = state.consumers.removeValue(forKey: id) else { return nil }
            let answer = body(&group, catalog, now)
            state.consumers[id] = group
            settle(id, now, &state)
            return answer
        }
    }

    func joinConsumers(_ id: String, _ join: Group.Join) -> Group.JoinAnswer? {
        asConsumer(id) { group, catalog, now in
            // Before there is somebody of the classic protocol in it, the group would have to become a mixed one.
            guard config.migration != .disabled else { return .init(error: .inconsistentGroupProtocol, memberID: join.memberID) }
            return group.join(join, catalog: catalog, now: now)
        }
    }

    /// Under the lock, from the timer.
    func expireMembers(_ id: String, _ now: Int64, _ state: inout State) {
        state.consumers[id]?.expire(now: now)
        settle(id, now, &state)
    }

    private func settle(_ id: String, _ now: Int64, _ state: inout State) {
        if config.migration.downgrades, let group = state.consumers[id], group.isClassicOnly {
            var classic = group.downgraded(catalog: catalog(&state), initialRebalanceDelayMs: config.initialRebalanceDelayMs)
            // Nobody waits yet, so there is nobody to answer.
            _ = classic.rebalance(now: now)
            state.consumers[id] = nil
            state.groups[id] = classic
            logger.info("consumer group is a classic group now", metadata: ["group": "\(id)", "members": "\(classic.members.count)"])
        }
        schedule(id, now, &state)
        let isEmpty = (state.consumers[id]?.members.isEmpty ?? true) && (state.groups[id]?.members.isEmpty ?? true)
        noteMembers(id, hasAny: !isEmpty, &state)
        // Ids that are used once would pile up.
        if isEmpty, !log.groupOffsets.groups.contains(id) { state.consumers[id] = nil }
    }

    /// A copy of a consumer group; nil if there is none by that id.
    func describeConsumers(_ id: String) -> ConsumerGroup? { state.withLock { $0.consumers[id] } }

    /// Forgets offsets that are older than they are kept, of groups that have had no member for as long (KIP-211). What queries of our own
    /// process commit is left alone: they are no members, and need their offsets for ever. Waits for the disk.
    func expireOffsets() {
        let limit = time.wallMs - config.offsetsRetentionMs
        for id in log.groupOffsets.groups {
            let isInUse = state.withLock { state in
                !(state.groups[id]?.members.isEmpty ?? true) || !(state.consumers[id]?.members.isEmpty ?? true)
                    || (state.emptySince[id] ?? .min) > limit
            }
            if isInUse || log.groupOffsets.isKept(group: id) { continue }
            let old = log.groupOffsets.all(group: id).filter { $0.value.timestamp <= limit }.map(\.key)
            if old.isEmpty { continue }
            do throws(KafkaError) {
                try log.groupOffsets.delete(group: id, partitions: old)
                logger.info("old offsets forgotten", metadata: ["group": "\(id)", "partitions": "\(old.count)"])
            } catch {
                logger.warning("old offsets stay", metadata: ["group": "\(id)", "error": "\(error.message)"])
            }
            let isGone = log.groupOffsets.all(group: id).isEmpty
            if isGone {
                state.withLock { state in
                    state.emptySince[id] = nil
                    if state.consumers[id]?.members.isEmpty == true { state.consumers[id] = nil }
                    if state.groups[id]?.members.isEmpty == true, state.groups[id]?.pendingMembers.isEmpty == true { state.groups[id] = nil }
                }
            }
        }
    }
}
