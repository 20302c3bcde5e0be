import MartletCore
import Synchronization

/// Share sessions (KIP-932): what each member reads, named once and then only changed. A session belongs to a member of a group and to the connection on
/// which it was begun; each request carries the epoch that follows the last: 0 begins one, −1 ends it.
final class ShareSessions: Sendable {
    struct Key: Sendable, Hashable {
        var group: String
        var member: String
    }

    private struct Session {
        /// That the next request must carry.
        var epoch: Int32 = 1
        var partitions: [GroupPartition]
        var known: Set<GroupPartition>
        var connection: ObjectIdentifier
        var token: ShareSessionToken

        mutating func add(_ more: [GroupPartition]) {
            for id in more where known.insert(id).inserted { partitions.append(id) }
        }
    }

    private let state = Mutex<[Key: Session]>([:])

    var count: Int { state.withLock(\.count) }

    /// Begins a session in place of the member's last one; what that has in hand stays the member's.
    ///
    /// - Throws: SHARE_SESSION_LIMIT_REACHED.
    func begin(_ key: Key, _ partitions: [GroupPartition], on connection: ObjectIdentifier, sessionsMax: Int) throws(KafkaError) -> ShareSessionToken {
        try state.withLock { (sessions) throws(KafkaError) in
            let old = sessions[key]
            guard old != nil || sessions.count < sessionsMax else {
                throw KafkaError(.shareSessionLimitReached, "there are \(sessions.count) share sessions, and no more can be")
            }
            old?.token.end()
            let token = ShareSessionToken()
            var session = Session(partitions: [], known: [], connection: connection, token: token)
            session.add(partitions)
            sessions[key] = session
            return token
        }
    }

    /// The next request of a session: adds and forgets partitions. Returns all there are now, beginning with another one each time, so that each has
    /// its turn.
    ///
    /// - Throws: SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH.
    func advance(
        _ key: Key, epoch: Int32, adding: [GroupPartition] = [], forgetting: [GroupPartition] = []
    ) throws(KafkaError) -> (partitions: [GroupPartition], token: ShareSessionToken) {
        try state.withLock { (sessions) throws(KafkaError) in
            guard var session = sessions.removeValue(forKey: key) else {
                throw KafkaError(.shareSessionNotFound, "member \(key.member) of group \(key.group) has no share session")
            }
            defer { sessions[key] = session }
            guard session.epoch == epoch else {
                throw KafkaError(.invalidShareSessionEpoch, "the share session is at epoch \(session.epoch), not \(epoch)")
            }
            session.epoch = epoch == .max ? 1 : epoch + 1
            session.add(adding)
            if !forgetting.isEmpty {
                let gone = Set(forgetting)
                session.known.subtract(gone)
                session.partitions.removeAll { gone.contains($0) }
            }
            guard session.partitions.count > 1 else { return (session.partitions, session.token) }
            let turn = Int(epoch) % session.partitions.count
            return (Array(session.partitions[turn...] + session.partitions[..<turn]), session.token)
        }
    }

    /// Throws SHARE_SESSION_NOT_FOUND.
    func end(_ key: Key) throws(KafkaError) {
        guard let session = state.withLock({ $0.removeValue(forKey: key) }) else {
            throw KafkaError(.shareSessionNotFound, "member \(key.member) of group \(key.group) has no share session")
        }
        session.token.end()
    }

    /// Ends what was begun on a connection; returns whose it was.
    func end(on connection: ObjectIdentifier) -> [(group: String, member: String)] {
        state.withLock { sessions in
            let ended = sessions.filter { $0.value.connection == connection }
            for (key, session) in ended {
                session.token.end()
                sessions[key] = nil
            }
            return ended.keys.map { ($0.group, $0.member) }
        }
    }
}

/// Tells a request that waits whether its session is still the member's.
final class ShareSessionToken: Sendable {
    private let ended = Atomic(false)

    var isOver: Bool { ended.load(ordering: .acquiring) }

    func end() { ended.store(true, ordering: .releasing) }
}
