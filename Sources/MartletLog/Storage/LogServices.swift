import Logging
import MartletCore
import Synchronization

/// What all partitions of a log share: settings, clock, logger, the thread that syncs, and those who want to hear of changes.
final class LogServices: Sendable {
    let config: LogConfig
    let time: TimeSource
    let logger: Logger
    private let listeners = Mutex<(next: Int, byID: [Int: @Sendable (LogEvent) -> Void])>((0, [:]))
    private let syncQueue = Signal(SyncQueue())
    private let syncThread: Mutex<WorkerThread?> = Mutex(nil)
    /// Whether a transactional batch of a client belongs to a transaction that its coordinator knows as open; set by `TransactionCoordinator`.
    let transactionGuard = Mutex<(@Sendable (_ producerID: Int64, _ epoch: Int16, TopicPartition) -> LogFailure?)?>(nil)

    /// What the background pass waits for.
    let upkeep = Signal(Upkeep())

    struct Upkeep {
        /// A partition has appended so much that its clean point should move.
        var isDue = false
        var isStopping = false
    }

    private struct SyncQueue {
        var waiting: [PartitionLog] = []
        /// Not urgent: synced with the next that are, or after a while.
        var later: [PartitionLog] = []
        var isStopping = false
        var isUrgent: Bool { !waiting.isEmpty || isStopping }

        mutating func takeAll() -> ([PartitionLog], Bool) {
            defer {
                waiting = []
                later = []
            }
            return (waiting + later, isStopping)
        }
    }

    init(config: LogConfig, time: TimeSource, logger: Logger) {
        self.config = config
        self.time = time
        self.logger = logger
    }

    var fileSystem: any FileSystem { config.fileSystem }
    var isDurable: Bool { config.durability == .fsync }

    deinit {
        syncQueue.update { $0.isStopping = true }
        upkeep.update { $0.isStopping = true }
    }

    // MARK: listeners

    func addListener(_ listener: @escaping @Sendable (LogEvent) -> Void) -> Int {
        listeners.withLock {
            $0.next += 1
            $0.byID[$0.next] = listener
            return $0.next
        }
    }

    func removeListener(_ id: Int) { listeners.withLock { _ = $0.byID.removeValue(forKey: id) } }

    func notify(_ event: LogEvent) {
        let all = listeners.withLock { Array($0.byID.values) }
        for listener in all { listener(event) }
    }

    // MARK: group commit

    /// Starts the thread that makes appended batches durable. One fdatasync covers all that was appended to a partition while the one
    /// before was running: group commit without a timer.
    func startSync() throws(MartletError) {
        let queue = syncQueue
        let thread = try WorkerThread("martlet-sync") {
            while true {
                _ = queue.wait { $0.isUrgent || !$0.later.isEmpty ? true : nil }
                _ = queue.wait(timeoutMs: Self.laterMs) { $0.isUrgent ? true : nil }
                let (batch, isStopping) = queue.update { $0.takeAll() }
                for partition in batch { partition.flushRequested() }
                if isStopping { return }
            }
        }
        syncThread.withLock { $0 = thread }
    }

    /// How long what is not urgent may wait, milliseconds.
    private static let laterMs: Int64 = 50

    /// Asks for a sync of this partition; the partition sees to it that it asks once.
    func requestSync(_ partition: PartitionLog) { syncQueue.update { $0.waiting.append(partition) } }

    /// Asks for a sync that nobody waits for.
    func requestSyncSoon(_ partition: PartitionLog) {
        guard isDurable else { return }
        syncQueue.update { queue in
            if !queue.later.contains(where: { $0 === partition }) { queue.later.append(partition) }
        }
    }

    /// Syncs what was asked for and ends the thread.
    func stopSync() {
        syncQueue.update { $0.isStopping = true }
        let thread = syncThread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }
}
