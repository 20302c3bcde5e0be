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
        let timeout = log.settings.consumerTimes(ofGroup: id).sessionTimeoutMs
        do throws(KafkaError) {
            return try state.withLock { (state) throws(KafkaError) in
                if heartbeat.epoch == 0, !state.isClosed, let classic = state.groups[id]?.classic, !classic.members.isEmpty {
                    dismissed = try upgrade(classic, now, &state)
                }
                return try beat(id, of: heartbeat.memberID, joins: heartbeat.epoch == 0, sessionTimeoutMs: timeout, now, &state) { (group: inout ConsumerGroup, catalog) in
                    group.membersMax = config.consumerMembersMax
                    return group.receive(heartbeat, catalog: catalog, now: now, mayDescribe: mayDescribe)
                }
            }
        } catch {
            return .init(error: error.code, message: error.message)
        }
    }

    /// - Returns: the requests that waited, to be answered outside of the lock.
    private func upgrade(_ classic: Group, _ now: Int64, _ state: inout State) throws(KafkaError) -> [(Reply, Group.Action)] {
        guard config.migration.upgrades,
            let upgraded = ConsumerGroup(upgrading: classic, catalog: catalog(&state), sessionTimeoutMs: 0, now: now)
        else { throw KafkaError(.groupIDNotFound, "group \(classic.id) has members of the classic protocol, which have to leave first") }
        var classic = classic
        let dismissed = classic.dismiss().compactMap { action in state.waiting.removeValue(forKey: action.token).map { ($0, action) } }
        state.groups[classic.id] = .consumer(upgraded)
        logger.info("classic group is a consumer group now", metadata: ["group": "\(classic.id)", "members": "\(upgraded.members.count)"])
        return dismissed
    }

    /// A classic member's request to a consumer group with members.
    /// - Returns: nil if it is no such group.
    func asConsumer<Answer: Sendable>(_ id: String, _ body: (inout ConsumerGroup, GroupCatalog, _ now: Int64) -> Answer) -> Answer? {
        let now = nowMs
        return state.withLock { state in
            guard !state.isClosed, state.groups[id]?.hasMembers == true else { return nil }
            let catalog = catalog(&state)
            let before = state.groups[id]?.consumer?.epoch ?? 0
            guard let answer = state.groups.change(id, { (group: inout ConsumerGroup) in body(&group, catalog, now) }) else { return nil }
            rebalances.note(.consumer, before, state.groups[id]?.consumer?.epoch ?? before)
            downgrade(id, now, &state)
            settle(id, now, &state)
            return answer
        }
    }

    func joinConsumers(_ id: String, _ join: Group.Join) -> Group.JoinAnswer? {
        asConsumer(id) { group, catalog, now in
            // Before there is somebody of the classic protocol in it, the group would have to become a mixed one.
            guard config.migration != .disabled else { return .init(error: .inconsistentGroupProtocol, memberID: join.memberID) }
            group.membersMax = config.consumerMembersMax
            return group.join(join, catalog: catalog, now: now)
        }
    }

    /// Under the lock: a consumer group in which only members of the classic protocol are left becomes a classic group, if that is allowed.
    func downgrade(_ id: String, _ now: Int64, _ state: inout State) {
        guard config.migration.downgrades, let group = state.groups[id]?.consumer, group.isClassicOnly else { return }
        var classic = group.downgraded(catalog: catalog(&state), initialRebalanceDelayMs: config.initialRebalanceDelayMs)
        classic.membersMax = config.membersMax
        // Nobody waits yet, so there is nobody to answer.
        _ = classic.rebalance(now: now)
        state.groups[id] = .classic(classic)
        logger.info("consumer group is a classic group now", metadata: ["group": "\(id)", "members": "\(classic.members.count)"])
    }

    /// Forgets offsets that are older than they are kept, of groups that have had no member for as long (KIP-211). What queries of our own
    /// process commit is left alone: they are no members, and need their offsets for ever. Waits for the disk.
    func expireOffsets() {
        let limit = time.wallMs - config.offsetsRetentionMs
        for id in log.groupOffsets.groups {
            let isInUse = state.withLock { state in
                state.groups[id]?.hasMembers == true || (state.emptySince[id] ?? .min) > limit
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
                    if state.groups[id]?.isUnused == true { state.groups[id] = nil }
                }
            }
        }
    }
}
