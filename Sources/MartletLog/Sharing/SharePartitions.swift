import Logging
import MartletCore
import NIOCore
import Synchronization

/// All partitions of all share groups of this node (KIP-932), with the timers of their locks and those who wait for records.
///
/// What a group has done with a partition is in `__share_group_state`, which is made when the first group comes, and is read as a whole at the start.
/// A topic that is deleted takes what groups have done with it along; that is found out when somebody looks.
final class SharePartitions: ShareGroupStore {
    let log: EmbeddedLog
    let time: TimeSource
    let waiters = DelayedFetches<ShareFetchPlan>()
    let sessions: ShareSessions
    private let timers: any EventLoopGroup
    private let logger: Logger
    private let updatesMax: Int
    private let state = Mutex(State())
    /// One initialisation at a time.
    private let initializing = Mutex(())
    private let listener = Mutex<Int?>(nil)
    /// Topics may have come or gone since somebody looked.
    private let topicsChanged = Atomic(true)

    private struct State {
        var states: ShareStateLog?
        var groups: [String: [GroupPartition: SharedPartition]] = [:]
        var timers: [ShareKey: (deadline: Int64, task: Scheduled<Void>)] = [:]
        var isClosed = false
    }

    /// - `updatesMax`: of a partition between two snapshots.
    /// - Throws: `.corruptRecord`, `.io` if what groups have done cannot be read.
    init(log: EmbeddedLog, timers: any EventLoopGroup, time: TimeSource, logger: Logger, updatesMax: Int = 500) throws(MartletError) {
        self.log = log
        self.timers = timers
        self.time = time
        self.logger = logger
        self.updatesMax = updatesMax
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
        let states = ShareStateLog(log: partition, updatesMax: updatesMax)
        let names = Dictionary(log.topics.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
        var groups: [String: [GroupPartition: SharedPartition]] = [:]
        var gone: [(key: ShareKey, updatesEver: Int)] = []
        for (key, stored) in try states.load().sorted(by: { ShareKey.precedes($0.key, $1.key) }) {
            guard let name = names[key.partition.topic], let found = log.partition(TopicPartition(name, key.partition.index)) else {
                gone.append((key, stored.updatesEver))
                continue
            }
            var stored = stored
            stored.partition.cut(at: found.endOffset)
            groups[key.group, default: [:]][key.partition] = SharedPartition(
                key: key, id: found.id, log: found, states: states, stored: stored, durableFrom: 0, logger: logger)
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

    /// Nil if the group does not have the partition: `initialize` gives it.
    func partition(group: String, _ id: GroupPartition) -> SharedPartition? {
        dropDeleted()
        return state.withLock { $0.groups[group]?[id] }
    }

    var groups: [String] {
        dropDeleted()
        return state.withLock { $0.groups.keys.sorted() }
    }

    func partitions(group: String) -> [GroupPartition] {
        dropDeleted()
        return state.withLock { Array(($0.groups[group] ?? [:]).values) }.map(\.key).sorted(by: ShareKey.precedes).map(\.partition)
    }

    func summary(group: String, partition id: GroupPartition) -> ShareSummary? {
        guard let shared = partition(group: group, id) else { return nil }
        let now = shared.partition
        return ShareSummary(startOffset: now.startOffset, leaderEpoch: shared.log.leaderEpoch, deliveryCompleteCount: now.doneCount)
    }

    /// Gives the group a place to begin, by its share.auto.offset.reset, in those partitions that it does not have; it is durable before anything is
    /// handed out. May wait for the disk: to make `__share_group_state` once, and to look up times. Partitions that do not exist are passed over.
    func initialize(group: String, partitions: [GroupPartition]) throws(KafkaError) { try initialize(group: group, partitions: partitions, at: [:]) }

    /// - `starts`: where to begin instead.
    private func initialize(group: String, partitions: [GroupPartition], at starts: [GroupPartition: Int64]) throws(KafkaError) {
        dropDeleted()
        try initializing.withLock { (_) throws(KafkaError) in
            let known = state.withLock { $0.groups[group] ?? [:] }
            let wanted = Set(partitions).subtracting(known.keys)
            if wanted.isEmpty { return }
            let names = Dictionary(log.topics.filter { !$0.isInternal }.map { (UUIDBytes($0.topicID), $0.name) }, uniquingKeysWith: { $1 })
            let settings = settings(ofGroup: group)
            var fresh: [(key: ShareKey, log: PartitionLog, start: Int64)] = []
            for id in wanted {
                guard let name = names[id.topic], let found = log.partition(TopicPartition(name, id.index)) else { continue }
                let end = settings.isolation == .readCommitted ? found.lastStableOffset : found.highWatermark
                let start: Int64 =
                    if let given = starts[id] {
                        given
                    } else {
                        switch settings.offsetReset {
                        case .earliest: found.startOffset
                        case .latest: end
                        case .byDuration(let ms): try found.offset(forTimestamp: time.wallMs - ms)?.offset ?? end
                        }
                    }
                fresh.append((ShareKey(group: group, partition: id), found, start))
            }
            if fresh.isEmpty { return }
            fresh.sort { ShareKey.precedes($0.key, $1.key) }
            do throws(LogFailure) {
                let states = try stateLog()
                let end = try states.append(
                    fresh.map { .init(key: $0.key, update: nil, stateEpoch: 0, snapshotEpoch: 0, startOffset: $0.start, changes: []) })
                let made = fresh
                state.withLock { state in
                    for new in made {
                        let stored = ShareStateLog.Stored(stateEpoch: 0, snapshotEpoch: 0, partition: SharePartition(startOffset: new.start))
                        state.groups[group, default: [:]][new.key.partition] = SharedPartition(
                            key: new.key, id: new.log.id, log: new.log, states: states, stored: stored, durableFrom: end, logger: logger)
                    }
                }
            } catch {
                throw error.kafka
            }
        }
    }

    private func stateLog() throws(LogFailure) -> ShareStateLog {
        if let states = state.withLock(\.states) { return states }
        do throws(MartletError) {
            let states = ShareStateLog(log: try log.makeShareStatePartition(), updatesMax: updatesMax)
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

    /// Durable on return. Waits for the disk. Partitions that do not exist are passed over.
    func setStartOffsets(group: String, _ offsets: [GroupPartition: Int64]) throws(KafkaError) {
        try initialize(group: group, partitions: Array(offsets.keys), at: offsets)
        let found = offsets.compactMap { id, offset in partition(group: group, id).map { (shared: $0, offset: offset) } }
        var end: Int64 = 0
        for (shared, offset) in found.sorted(by: { ShareKey.precedes($0.shared.key, $1.shared.key) }) {
            do throws(LogFailure) {
                end = max(end, try shared.setStart(offset))
            } catch {
                throw error.kafka
            }
            changed(shared)
        }
        try sync(end)
    }

    /// Durable on return. Waits for the disk.
    func delete(group: String, topic: UUIDBytes) throws(KafkaError) { try delete { $0.group == group && $0.partition.topic == topic } }

    /// Durable on return. Waits for the disk.
    func delete(group: String) throws(KafkaError) { try delete { $0.group == group } }

    private func delete(_ isMeant: (ShareKey) -> Bool) throws(KafkaError) {
        let gone = state.withLock { state in state.groups.values.flatMap { $0.values.filter { isMeant($0.key) } } }
        let end: Int64
        do throws(LogFailure) {
            end = try forget(gone)
        } catch {
            throw error.kafka
        }
        try sync(end)
    }

    /// Writes that groups do not have these any more, then it is so. Returns where the state's log ends behind it.
    private func forget(_ gone: [SharedPartition]) throws(LogFailure) -> Int64 {
        guard !gone.isEmpty, let states = state.withLock(\.states) else { return 0 }
        let sorted = gone.sorted { ShareKey.precedes($0.key, $1.key) }
        let end: Int64
        do throws(LogFailure) {
            end = try states.delete(sorted.map { ($0.key, $0.close()) })
        } catch {
            for shared in sorted { shared.reopen() }
            throw error
        }
        state.withLock { state in
            for shared in gone where state.groups[shared.key.group]?[shared.key.partition] === shared {
                state.groups[shared.key.group]?[shared.key.partition] = nil
                if state.groups[shared.key.group]?.isEmpty == true { state.groups[shared.key.group] = nil }
                state.timers.removeValue(forKey: shared.key)?.task.cancel()
            }
        }
        for shared in gone { waiters.wake(shared.id) { $0.group == shared.key.group } }
        return end
    }

    /// Forgets what was done with topics that do not exist any more, if there may be such.
    private func dropDeleted() {
        guard topicsChanged.load(ordering: .sequentiallyConsistent), topicsChanged.exchange(false, ordering: .sequentiallyConsistent) else { return }
        let gone = state.withLock { state in state.groups.values.flatMap { $0.values.filter { log.partition($0.id) !== $0.log } } }
        do throws(LogFailure) {
            _ = try forget(gone)
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
        waiters.wake(shared.id) { $0.group == shared.key.group }
    }

    // MARK: locks that end

    func schedule(_ shared: SharedPartition) {
        let deadline = shared.nextDeadline
        state.withLock { state in
            guard !state.isClosed, state.groups[shared.key.group]?[shared.key.partition] === shared else { return }
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
