import MartletCore
import Synchronization

/// A partition that a client reads, as it named it: by name, or by the topic's id (then `topic` is empty).
struct FetchedPartition: Sendable {
    var topic: String
    var topicID: UUIDBytes
    var request: FetchRequest.Partition

    fileprivate var key: FetchKey { FetchKey(topic: topic, topicID: topicID, index: request.index) }
}

private struct FetchKey: Hashable {
    var topic: String
    var topicID: UUIDBytes
    var index: Int32
}

/// What one Fetch request reads, and where to note what it was told.
struct FetchReading: Sendable {
    var partitions: [FetchedPartition]
    fileprivate var session: FetchSession?
    /// The first request of a session, and one without a session, hear of every partition.
    fileprivate var isFull: Bool

    /// The answer to send: of an incremental fetch only the partitions with news.
    func told(_ response: FetchResponse) -> FetchResponse { session?.told(response, isFull: isFull) ?? response }
}

/// Fetch sessions (KIP-227): a client that reads many partitions names each once, then only those that change, and hears only of those
/// with news.
///
/// A session belongs to whoever knows its id; each request carries the epoch that follows the last. `sessionsMax` are kept: when there is no
/// room, one that was silent for two minutes goes, else the client gets session 0 and names all its partitions each time.
final class FetchSessions: Sendable {
    private let sessionsMax: Int
    private let state = Mutex<[Int32: FetchSession]>([:])

    /// Milliseconds of silence after which a session may be dropped for a new one.
    static let silenceMsMax: Int64 = 120_000

    init(sessionsMax: Int) { self.sessionsMax = sessionsMax }

    var count: Int { state.withLock(\.count) }

    /// Throws FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR; the client then starts a new session.
    func reading(_ request: FetchRequest, usesTopicIDs: Bool, nowMs: Int64) throws(KafkaError) -> FetchReading {
        // Epoch −1 ends a session, 0 begins one.
        if request.sessionEpoch <= 0 {
            guard request.sessionEpoch >= -1 else { throw KafkaError(.invalidFetchSessionEpoch, "a session's epoch is not \(request.sessionEpoch)") }
            if request.sessionID != 0 { state.withLock { _ = $0.removeValue(forKey: request.sessionID) } }
            let partitions = Self.named(request.topics)
            let session = request.sessionEpoch == 0 && !partitions.isEmpty ? make(partitions, usesTopicIDs, nowMs) : nil
            return FetchReading(partitions: partitions, session: session, isFull: true)
        }
        guard let session = state.withLock({ $0[request.sessionID] }) else {
            throw KafkaError(.fetchSessionIDNotFound, "fetch session \(request.sessionID) is not known")
        }
        let partitions = try session.advance(request, changes: Self.named(request.topics), usesTopicIDs: usesTopicIDs, nowMs: nowMs)
        return FetchReading(partitions: partitions, session: session, isFull: false)
    }

    private static func named(_ topics: [FetchRequest.Topic]) -> [FetchedPartition] {
        topics.flatMap { topic in topic.partitions.map { FetchedPartition(topic: topic.name, topicID: topic.id, request: $0) } }
    }

    private func make(_ partitions: [FetchedPartition], _ usesTopicIDs: Bool, _ nowMs: Int64) -> FetchSession? {
        state.withLock { sessions in
            if sessions.count >= sessionsMax {
                guard let oldest = sessions.values.min(by: { $0.lastUsedMs < $1.lastUsedMs }), nowMs - oldest.lastUsedMs > Self.silenceMsMax
                else { return nil }
                sessions[oldest.id] = nil
            }
            var id: Int32
            repeat { id = Int32.random(in: 1 ... .max) } while sessions[id] != nil
            let session = FetchSession(id: id, partitions, usesTopicIDs: usesTopicIDs, nowMs: nowMs)
            sessions[id] = session
            return session
        }
    }
}

private final class FetchSession: Sendable {
    let id: Int32
    private let usesTopicIDs: Bool
    private let state: Mutex<State>

    private struct Entry {
        var partition: FetchedPartition
        var told: Told?
    }

    private struct Told: Equatable {
        var highWatermark: Int64
        var lastStableOffset: Int64
        var logStartOffset: Int64
    }

    private struct State {
        /// In the order in which they are read.
        var entries: [Entry] = []
        var places: [FetchKey: Int] = [:]
        /// That the next request must carry.
        var epoch: Int32 = 1
        var lastUsedMs: Int64

        mutating func set(_ partition: FetchedPartition) {
            if let place = places[partition.key] {
                entries[place].partition = partition
            } else {
                places[partition.key] = entries.count
                entries.append(Entry(partition: partition))
            }
        }

        mutating func reorder(_ entries: [Entry]) {
            self.entries = entries
            places = Dictionary(entries.enumerated().map { ($1.partition.key, $0) }, uniquingKeysWith: { $1 })
        }
    }

    init(id: Int32, _ partitions: [FetchedPartition], usesTopicIDs: Bool, nowMs: Int64) {
        self.id = id
        self.usesTopicIDs = usesTopicIDs
        var made = State(lastUsedMs: nowMs)
        for partition in partitions { made.set(partition) }
        state = Mutex(made)
    }

    var lastUsedMs: Int64 { state.withLock(\.lastUsedMs) }

    /// Takes in what a request changes; returns all partitions to read.
    func advance(_ request: FetchRequest, changes: [FetchedPartition], usesTopicIDs: Bool, nowMs: Int64) throws(KafkaError) -> [FetchedPartition] {
        try state.withLock { (state) throws(KafkaError) in
            guard request.sessionEpoch == state.epoch else {
                throw KafkaError(.invalidFetchSessionEpoch, "fetch session \(id) is at epoch \(state.epoch), not \(request.sessionEpoch)")
            }
            guard usesTopicIDs == self.usesTopicIDs else {
                throw KafkaError(.fetchSessionTopicIDError, "fetch session \(id) began \(self.usesTopicIDs ? "with" : "without") topic ids")
            }
            state.epoch = state.epoch == .max ? 1 : state.epoch + 1
            state.lastUsedMs = nowMs
            for partition in changes { state.set(partition) }
            if !request.forgottenTopics.isEmpty {
                let forgotten = Set(
                    request.forgottenTopics.flatMap { topic in
                        topic.partitions.map { FetchKey(topic: topic.name, topicID: topic.id, index: $0) }
                    })
                state.reorder(state.entries.filter { !forgotten.contains($0.partition.key) })
            }
            return state.entries.map(\.partition)
        }
    }

    /// Notes what is answered, and leaves out what the client knows already. Partitions that gave records are read last the next time, so that
    /// a full answer does not starve the others.
    func told(_ response: FetchResponse, isFull: Bool) -> FetchResponse {
        state.withLock { state in
            var answer = response
            answer.sessionID = id
            answer.topics = []
            var gave: Set<Int> = []
            for topic in response.topics {
                var kept = topic
                kept.partitions = topic.partitions.filter { partition in
                    let key = FetchKey(topic: usesTopicIDs ? "" : topic.name, topicID: topic.id, index: partition.index)
                    // It may have been dropped by a later request of a client that did not wait.
                    guard let place = state.places[key] else { return isFull }
                    let now = Told(
                        highWatermark: partition.highWatermark, lastStableOffset: partition.lastStableOffset,
                        logStartOffset: partition.logStartOffset)
                    let hasRecords = partition.recordBytes > 0
                    let isNews = isFull || partition.error != .none || partition.diverging != nil || hasRecords || state.entries[place].told != now
                    if hasRecords { gave.insert(place) }
                    state.entries[place].told = partition.error == .none ? now : nil
                    return isNews
                }
                if !kept.partitions.isEmpty { answer.topics.append(kept) }
            }
            if !gave.isEmpty, gave.count < state.entries.count {
                let places = state.entries.indices
                state.reorder(places.filter { !gave.contains($0) }.map { state.entries[$0] } + places.filter(gave.contains).map { state.entries[$0] })
            }
            return answer
        }
    }
}
