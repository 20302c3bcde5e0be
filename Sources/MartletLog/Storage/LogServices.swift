import Logging
import MartletCore
import Synchronization

/// What all partitions of a log share: settings, clock, logger, the thread that syncs, and those who want to hear of changes.
final class LogServices: Sendable {
    /// As the log was opened. What clients may change while it runs is asked of `settings`.
    let config: LogConfig
    let settings: NodeSettings
    let time: TimeSource
    let logger: Logger
    private let listeners = Mutex<(next: Int, byID: [Int: @Sendable (LogEvent) -> Void])>((0, [:]))
    /// Of topics and settings.
    private let changes = Atomic<Int64>(0)
    private let syncQueue = Signal(SyncQueue())
    private let helpers = Signal(Helpers())
    private let syncThreads: Mutex<[WorkerThread]> = Mutex([])
    /// Whether a transactional batch of a client belongs to a transaction that its coordinator knows as open; set by `TransactionCoordinator`.
    let transactionGuard = Mutex<(@Sendable (_ producerID: Int64, _ epoch: Int16, TopicPartition) -> LogFailure?)?>(nil)

    /// What the background pass waits for.
    let upkeep = Signal(Upkeep())

    /// How long syncs of partitions took, nanoseconds, and how many records each made durable.
    let syncTimes = Histogram(bounds: [100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000])
    let syncSizes = Histogram(bounds: [1, 10, 100, 1_000, 10_000, 100_000])

    /// Does a sync and notes how long it took.
    func timed(_ sync: () throws(MartletError) -> Void) throws(MartletError) {
        let beganNs = time.monotonicNs
        defer { syncTimes.record(time.monotonicNs - beganNs) }
        try sync()
    }

    struct Upkeep {
        /// A partition has appended so much that its clean point should move.
        var isDue = false
        var isStopping = false
    }

    private struct SyncQueue {
        var waiting: [PartitionLog] = []
        /// Not urgent: synced a while after the first of them came. In a busy log the next commit has done it by then.
        var later: [PartitionLog] = []
        var laterDueNs: Int64 = 0
        var isStopping = false

        /// What is to be synced now; nil if nothing is.
        mutating func take(nowNs: Int64) -> (batch: [PartitionLog], isStopping: Bool)? {
            let isDue = isStopping || !later.isEmpty && nowNs >= laterDueNs
            if waiting.isEmpty && !isDue { return nil }
            defer {
                waiting = []
                if isDue { later = [] }
            }
            return (isDue ? waiting + later : waiting, isStopping)
        }
    }

    private struct Helpers {
        /// Rounds that want help, once for each helper they could use.
        var rounds: [SyncRound] = []
        var isRunning = false
        var isStopping = false
    }

    init(config: LogConfig, settings: NodeSettings, time: TimeSource, logger: Logger) {
        self.config = config
        self.settings = settings
        self.time = time
        self.logger = logger
    }

    var fileSystem: any FileSystem { config.fileSystem }
    var topicDefaults: TopicSettings { settings.log.topics }
    var isDurable: Bool { config.durability == .fsync }

    deinit {
        syncQueue.update { $0.isStopping = true }
        helpers.update { $0.isStopping = true }
        upkeep.update { $0.isStopping = true }
    }

    // MARK: metadata

    /// Since the start.
    var metadataChanges: Int64 { changes.load(ordering: .relaxed) }

    func countMetadataChange() { changes.add(1, ordering: .relaxed) }

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
        if case .topicsChanged = event { countMetadataChange() }
        let all = listeners.withLock { Array($0.byID.values) }
        for listener in all { listener(event) }
    }

    // MARK: group commit

    /// Starts the thread that makes appended batches durable, and its helpers. One fdatasync covers all that was appended to a partition while
    /// the one before was running: group commit without a timer.
    func startSync() throws(MartletError) {
        let queue = syncQueue, helpers = helpers
        helpers.update { $0.isRunning = true }
        for number in 1...Self.helperCount {
            let thread = try WorkerThread("martlet-sync-\(number)") {
                while let round = helpers.wait({ $0.rounds.popLast().map { .some($0) } ?? ($0.isStopping ? .some(nil) : nil) }) ?? nil { round.help() }
            }
            syncThreads.withLock { $0.append(thread) }
        }
        let thread = try WorkerThread("martlet-sync") {
            // Ends only with the queue: `later` is looked at again when it is due.
            let clock = TimeSource.system
            while true {
                guard let (batch, isStopping) = queue.wait(timeoutMs: Self.laterMs, { $0.take(nowNs: clock.monotonicNs) }) else {
                    _ = queue.wait { $0.waiting.isEmpty && $0.later.isEmpty && !$0.isStopping ? nil : true }
                    continue
                }
                for partition in batch { partition.syncBegins() }
                // A failure is kept in the partition's state and told to those who wait.
                try? Self.flush(batch, helpers)
                if isStopping { return }
            }
        }
        syncThreads.withLock { $0.append(thread) }
    }

    /// Makes what was appended to these partitions durable, at the same time as far as there are threads. Throws the first failure.
    func flush(_ partitions: [PartitionLog]) throws(MartletError) { try Self.flush(partitions, helpers) }

    private static func flush(_ partitions: [PartitionLog], _ helpers: Signal<Helpers>) throws(MartletError) {
        var dirty: [PartitionLog] = []
        for partition in partitions where partition.isUnsynced && !dirty.contains(where: { $0 === partition }) { dirty.append(partition) }
        let round = SyncRound(dirty)
        if dirty.count > 1 {
            helpers.update { helpers in
                guard helpers.isRunning else { return }
                helpers.rounds.append(contentsOf: repeatElement(round, count: min(helperCount, dirty.count - 1)))
            }
        }
        try round.finish()
    }

    /// Threads besides the one that waits.
    private static let helperCount = 6

    /// How long what is not urgent may wait, milliseconds.
    private static let laterMs: Int64 = 50

    /// Asks for a sync of this partition; the partition sees to it that it asks once.
    func requestSync(_ partition: PartitionLog) { syncQueue.update { $0.waiting.append(partition) } }

    /// Begins a sync on a helper thread, if there are any; nobody waits for it.
    func writeBack(_ partition: PartitionLog) {
        let round = SyncRound([partition])
        helpers.update { helpers in if helpers.isRunning { helpers.rounds.append(round) } }
    }

    /// Asks for a sync that nobody waits for.
    func requestSyncSoon(_ partition: PartitionLog) {
        guard isDurable else { return }
        syncQueue.update { queue in
            if queue.later.isEmpty { queue.laterDueNs = TimeSource.system.monotonicNs + Self.laterMs * 1_000_000 }
            if !queue.later.contains(where: { $0 === partition }) { queue.later.append(partition) }
        }
    }

    /// Syncs what was asked for and ends the threads. Later rounds are done by whoever waits for them.
    func stopSync() {
        syncQueue.update { $0.isStopping = true }
        helpers.update { helpers in
            helpers.isRunning = false
            helpers.isStopping = true
        }
        let threads = syncThreads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }
}
