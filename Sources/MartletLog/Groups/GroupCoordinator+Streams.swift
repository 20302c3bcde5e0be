import MartletCore
import Synchronization

// Streams groups (KIP-1071).
//
// Of them the committed offsets are kept, and the internal topics; memberships and the topology are in memory, as memberships of all groups are.
// After a restart a member's heartbeat is answered with UNKNOWN_MEMBER_ID, and it joins again, with its topology: that brings back all there was,
// and a topology on disk could only be older than what the members run. While nobody is there, the group shows as one of which there are offsets.

extension GroupCoordinator {
    /// A member's heartbeat.
    ///
    /// - Throws: what `StreamsGroup.receive` throws; GROUP_ID_NOT_FOUND if the group is of another kind.
    func heartbeat(group id: String, _ heartbeat: StreamsGroup.Heartbeat, _ settings: StreamsGroup.Settings) throws(KafkaError) -> StreamsGroup.Answer {
        let now = nowMs
        return try state.withLock { (state) throws(KafkaError) in
            try beat(id, joins: heartbeat.epoch == 0, sessionTimeoutMs: settings.sessionTimeoutMs, now, &state) {
                (group: inout StreamsGroup, catalog) throws(KafkaError) in
                group.apply(settings)
                return try group.receive(heartbeat, catalog: catalog, now: now)
            }
        }
    }

    /// Of these topics those that nobody is making at this time; whoever asks makes them, and says so with `finishMaking`.
    func beginMaking(_ topics: [StreamsTopology.InternalTopic]) -> [StreamsTopology.InternalTopic] {
        state.withLock { state in topics.filter { state.topicsInMaking.insert($0.name).inserted } }
    }

    /// - `errors`: why topics could not be made, by name; members hear of it as long as these are missing.
    func finishMaking(_ topics: [StreamsTopology.InternalTopic], for id: String, _ errors: [String: String]) {
        state.withLock { state in
            for topic in topics { state.topicsInMaking.remove(topic.name) }
            _ = state.groups.change(id) { (group: inout StreamsGroup) in
                for topic in topics { group.creationErrors[topic.name] = errors[topic.name] }
            }
        }
    }
}
