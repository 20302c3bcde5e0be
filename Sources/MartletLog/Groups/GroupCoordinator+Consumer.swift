import Logging
import MartletCore
import NIOCore
import Synchronization

// Consumer groups of KIP-848, and how long the offsets of any group are kept.

extension GroupCoordinator {
    /// A member's heartbeat; answered at once. A group with members of the classic protocol cannot be joined: they have to leave first.
    func heartbeat(
        group id: String, _ heartbeat: ConsumerGroup.Heartbeat, mayDescribe: (String) -> Bool
    ) -> ConsumerGroup.Answer {
        let now = nowMs
        return state.withLock { state in
            guard !state.isClosed else { return .init(error: .coordinatorNotAvailable) }
            if let classic = state.groups[id] {
                guard classic.members.isEmpty, classic.pendingMembers.isEmpty else {
                    return .init(error: .groupIDNotFound, message: "group \(id) has members of the classic protocol; they have to leave first")
                }
            }
            if state.consumers[id] == nil {
                guard heartbeat.epoch == 0 else { return .init(error: .unknownMemberID, message: "group \(id) has no such member") }
                state.groups[id] = nil
                state.consumers[id] = ConsumerGroup(id: id, sessionTimeoutMs: 0)
            }
            state.consumers[id]?.sessionTimeoutMs = log.settings.consumerTimes(ofGroup: id).sessionTimeoutMs
            let catalog = catalog(&state)
            let answer = state.consumers[id]?.receive(heartbeat, catalog: catalog, now: now, mayDescribe: mayDescribe)
            settle(id, now, &state)
            return answer ?? .init(error: .coordinatorNotAvailable)
        }
    }

    /// Under the lock, from the timer.
    func expireMembers(_ id: String, _ now: Int64, _ state: inout State) {
        state.consumers[id]?.expire(now: now)
        settle(id, now, &state)
    }

    private func settle(_ id: String, _ now: Int64, _ state: inout State) {
        schedule(id, now, &state)
        let isEmpty = state.consumers[id]?.members.isEmpty ?? true
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
