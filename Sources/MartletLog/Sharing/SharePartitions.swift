import Logging
import MartletCore
import NIOCore
import Synchronization

/// All partitions of all share groups of this node (KIP-932), with the timers of their locks and those who wait for records.
///
/// What a group has done with a partition is in `__share_group_state`, which is made when the first group comes, and is read as a whole at the start.
/// A topic that is deleted takes what groups have done with it along; that is found out when somebody looks.
final class SharePartitions: Sendable {
    let log: EmbeddedLog
    let time: TimeSource
    let waiters = ShareWaiters()
    let sessions: ShareSessions
    private let timers: any EventLoopGroup
    private let logger: Logger
    private let state = Mutex(State())
    /// One initialisation at a time.
    private let initializing = Mutex(())
    private let listener = Mutex<Int?>(nil)
    /// Topics may have come or gone since somebody looked.
    private let topicsChanged = Atomic(true)

    private struct State {
        var states: ShareStateLog?
        var groups: [String: [TopicPartition: SharedPartition]] = [:]
        /// Read at the start, of topics that exist.
        var timers: [ShareKey: (deadline: Int64, task: Scheduled<Void>)] = [:]
        var isClosed = false
    }

    /// What a group has done with a partition, for administrators.
    struct Summary: Sendable, Equatable {
        var startOffset: Int64
        var leaderEpoch: Int32
        /// Records behind `startOffset` that are done with.
        var deliveryCompleteCount: Int32
        /// Records that are not done with.
        var lag: Int64
        var stateEpoch: Int32
    }

    /// - Throws: `.corruptRecord`, `.io` if what groups have done cannot be read.
    init(log: EmbeddedLog, timers: any EventLoopGroup, time: TimeSource, logger: Logger) throws(MartletError) {
        self.log = log
        self.timers = timers
        self.time = time
        self.logger = logger
        sessions = ShareSessions()
        try load()
        let waiters = waiters
        let id = log.addListener { [weak self] event in
            if case .topicsChanged = event { self?.topicsChanged.store(true, ordering: .sequentiallyConsistent) }
            waiters.receive(event)
        }
        listener.withLock { $0 = id }
    }

    private func load() throws(MartletError) {
        guard let partition = log.shareStatePartition else { return }
        let states = ShareStateLog(log: partition)
        let names = Dictionary(log.topics.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
        var groups: [String: [TopicPartition: SharedPartition]] = [:]
        var gone: [(key: ShareKey, updatesEver: Int)] = []
        for (key, stored) in try states.load().sorted(by: { ($0.key.group, $0.key.partition) < ($1.key.group, $1.key.partition) }) {
            guard let name = names[key.topicID], let found = log.partition(TopicPartition(name, key.partition)) else {
                gone.append((key, stored.updatesEver))
                continue
            }
            var stored = stored
            stored.partition.cut(at: found.endOffset)
            let id = TopicPartition(name, key.partition)
            groups[key.group, default: [:]][id] = SharedPartition(
                key: key, id: id, log: found, states: states, stored: stored, durableFrom: 0, logger: logger)
        }
        do throws(LogFailure) {
            if !gone.isEmpty { _ = try states.delete(gone) }
        } catch {
            logger.warning("state of share groups in deleted topics stays", metadata: ["error": "\(error.error)"])
        }
        let loaded = groups
        state.withLock { state in
            state.states = states
            state.groups = loaded
        }
    }

    /// No more timers; whoever waits is left alone.
    func close() {
        let listening = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        if let listening { log.removeListener(listening) }
        state.withLock { state in
            state.isClosed = true
            for timer in state.timers.values { timer.task.cancel() }
            state.timers = [:]
        }
    }

    var nowMs: Int64 { time.monotonicNs / 1_000_000 }

    func settings(ofGroup id: String) -> ShareGroupSettings { log.settings.shareSettings(ofGroup: id) }

    // MARK: partitions

    /// Nil if the group has no state there: `initialize` makes it.
    func partition(group: String, _ id: TopicPartition) -> SharedPartition? {
        dropDeleted()
        return state.withLock { $0.groups[group]?[id] }
    }

    /// Groups that have state, sorted.
    var groups: [String] {
        dropDeleted()
        return state.withLock { $0.groups.keys.sorted() }
    }

    func exists(group: String) -> Bool {
        dropDeleted()
        return state.withLock { $0.groups[group] != nil }
    }

    /// Where the group has state.
    func partitions(group: String) -> [TopicPartition] {
        dropDeleted()
        return state.withLock { Array(($0.groups[group] ?? [:]).keys) }.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }

    /// The first record that the group is not done with; nil without state.
    func startOffset(group: String, _ id: TopicPartition) -> Int64? { partition(group: group, id)?.partition.startOffset }

    func summary(group: String, _ id: TopicPartition) -> Summary? {
        guard let shared = partition(group: group, id) else { return nil }
        let now = shared.partition, end = shared.readableEnd(settings(ofGroup: group).isolation)
        return Summary(
            startOffset: now.startOffset, leaderEpoch: shared.log.leaderEpoch, deliveryCompleteCount: Int32(clamping: now.doneCount),
            lag: max(0, end - now.startOffset - now.doneCount), stateEpoch: shared.stateEpoch)
    }

    /// Gives the group a place to begin in partitions where it has none, by its share.auto.offset.reset. May wait for the disk: to make
    /// `__share_group_state` once, and to look up times.
    ///
    /// - Returns: where the state's log ends behind it; see `whenDurable`. Partitions that do not exist are passed over.
    /// - Throws: KAFKA_STORAGE_ERROR.
    @discardableResult
    func initialize(group: String, _ partitions: [TopicPartition]) throws(KafkaError) -> Int64 {
        dropDeleted()
        return try initializing.withLock { (_) throws(KafkaError) in
            let known = state.withLock { $0.groups[group] ?? [:] }
            let start = settings(ofGroup: group).start, isolation = settings(ofGroup: group).isolation
            var fresh: [(id: TopicPartition, log: PartitionLog, key: ShareKey, offset: Int64)] = []
            for id in Set(partitions) where known[id] == nil {
                guard let found = log.partition(id), let topic = log.topic(id.topic), !topic.isInternal else { continue }
                let end = isolation == .readCommitted ? found.lastStableOffset : found.highWatermark
                let offset: Int64 =
                    switch start {
                    case .earliest: found.startOffset
                    case .latest: end
                    case .byDuration(let ms): found.offset(forTimestamp: time.wallMs - ms)?.offset ?? end
                    }
                fresh.append((id, found, ShareKey(group: group, topicID: UUIDBytes(topic.topicID), partition: id.partition), offset))
            }
            guard !fresh.isEmpty else { return 0 }
            fresh.sort { ($0.id.topic, $0.id.partition) < ($1.id.topic, $1.id.partition) }
            do throws(LogFailure) {
                let states = try stateLog()
                let end = try states.append(
                    fresh.map { .init(key: $0.key, update: nil, stateEpoch: 0, snapshotEpoch: 0, startOffset: $0.offset, changes: []) })
                let made = fresh
                state.withLock { state in
                    for new in made {
                        state.groups[group, default: [:]][new.id] = SharedPartition(
                            key: new.key, id: new.id, log: new.log, states: states,
                            stored: .init(stateEpoch: 0, snapshotEpoch: 0, partition: SharePartition(startOffset: new.offset)), durableFrom: end, logger: logger)
                    }
                }
                return end
            } catch {
                throw error.kafka
            }
        }
    }

    private func stateLog() throws(LogFailure) -> ShareStateLog {
        if let states = state.withLock(\.states) { return states }
        do throws(MartletError) {
            let states = ShareStateLog(log: try log.makeShareStatePartition())
            state.withLock { $0.states = states }
            return states
        } catch {
            throw LogFailure(error)
        }
    }

    // MARK: durability

    /// Calls once what was written below `offset` of the state's log is on disk, on some thread; at once if it is.
    func whenDurable(upTo offset: Int64, _ completion: @escaping @Sendable (KafkaErrorCode) -> Void) {
        guard offset > 0, let states = state.withLock(\.states) else { return completion(.none) }
        states.log.whenDurable(upTo: offset, completion)
    }

    private func sync(_ end: Int64) throws(KafkaError) {
        guard end > 0, let states = state.withLock(\.states) else { return }
        do throws(MartletError) {
            try states.log.flush()
        } catch {
            throw LogFailure(error).kafka
        }
    }

    // MARK: administration

    /// Lets the group go on elsewhere, durably on return; it gets state where it has none. Waits for the disk.
    ///
    /// - Throws: KAFKA_STORAGE_ERROR. Partitions that do not exist are passed over.
    func setStartOffset(group: String, _ offsets: [TopicPartition: Int64]) throws(KafkaError) {
        try initialize(group: group, Array(offsets.keys))
        var end: Int64 = 0
        for (id, offset) in offsets.sorted(by: { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }) {
            guard let shared = partition(group: group, id) else { continue }
            do throws(LogFailure) {
                end = max(end, try shared.setStart(offset))
            } catch {
                throw error.kafka
            }
            changed(shared)
        }
        try sync(end)
    }

    /// Forgets what the group has done with a topic, durably on return.
    func delete(group: String, topic: String) throws(KafkaError) { try delete { $0 == group && $1.topic == topic } }

    /// Forgets the group, durably on return.
    func delete(group: String) throws(KafkaError) { try delete { name, _ in name == group } }

    private func delete(_ isMeant: (String, TopicPartition) -> Bool) throws(KafkaError) {
        let (gone, states) = state.withLock { state in
            var gone: [SharedPartition] = []
            for (group, partitions) in state.groups {
                for (id, shared) in partitions where isMeant(group, id) {
                    gone.append(shared)
                    state.groups[group]?[id] = nil
                    state.timers.removeValue(forKey: shared.key)?.task.cancel()
                }
                if state.groups[group]?.isEmpty == true { state.groups[group] = nil }
            }
            return (gone, state.states)
        }
        guard !gone.isEmpty, let states else { return }
        let end: Int64
        do throws(LogFailure) {
            end = try states.delete(gone.sorted { ($0.id.topic, $0.id.partition) < ($1.id.topic, $1.id.partition) }.map { ($0.key, $0.close()) })
        } catch {
            throw error.kafka
        }
        try sync(end)
    }

    /// Forgets what was done with topics that do not exist any more, if there may be such.
    private func dropDeleted() {
        guard topicsChanged.exchange(false, ordering: .sequentiallyConsistent) else { return }
        let gone = state.withLock { state in
            var gone: [SharedPartition] = []
            for (group, partitions) in state.groups {
                for (id, shared) in partitions where log.partition(id) !== shared.log {
                    gone.append(shared)
                    state.groups[group]?[id] = nil
                    state.timers.removeValue(forKey: shared.key)?.task.cancel()
                }
                if state.groups[group]?.isEmpty == true { state.groups[group] = nil }
            }
            return gone
        }
        guard !gone.isEmpty, let states = state.withLock(\.states) else { return }
        do throws(LogFailure) {
            _ = try states.delete(gone.map { ($0.key, $0.close()) })
        } catch {
            // The next start finds them and tries again.
            logger.warning("state of share groups in deleted topics stays", metadata: ["error": "\(error.error)"])
        }
    }

    // MARK: members

    /// The member's session is over: what it has in hand is free again.
    func release(group: String, memberID: String) {
        let partitions = state.withLock { Array(($0.groups[group] ?? [:]).values) }
        for shared in partitions where shared.release(memberID) { changed(shared) }
    }

    /// The connection has ended, and with it the sessions that were begun on it.
    func connectionEnded(_ connection: ObjectIdentifier) {
        for (group, member) in sessions.end(on: connection) { release(group: group, memberID: member) }
    }

    /// Locks or free records of a partition have changed: sees to its timer and wakes who waits.
    func changed(_ shared: SharedPartition) {
        schedule(shared)
        waiters.wake(shared.id, group: shared.key.group)
    }

    // MARK: locks that end

    func schedule(_ shared: SharedPartition) {
        let deadline = shared.nextDeadline
        state.withLock { state in
            guard !state.isClosed, state.groups[shared.key.group]?[shared.id] === shared else { return }
            if let running = state.timers[shared.key] {
                // One that fires early only looks again: most locks end by acknowledgement.
                if let deadline, running.deadline <= deadline { return }
                if deadline == nil { return }
                running.task.cancel()
            }
            guard let deadline else { return }
            let task = timers.next().scheduleTask(in: .milliseconds(max(1, deadline - nowMs))) { [weak self] in
                guard let self else { return }
                self.fire(shared)
            }
            state.timers[shared.key] = (deadline, task)
        }
    }

    private func fire(_ shared: SharedPartition) {
        state.withLock { $0.timers[shared.key] = nil }
        if shared.expire(now: nowMs, settings(ofGroup: shared.key.group)) { changed(shared) } else { schedule(shared) }
    }
}
