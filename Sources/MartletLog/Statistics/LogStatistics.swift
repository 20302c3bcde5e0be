import MartletCore
import Synchronization

/// What there is in a log, and what was done to it since its start; see `EmbeddedLog.statistics`.
public struct LogStatistics: Sendable {
    public struct Partition: Sendable, Equatable {
        public var id: TopicPartition
        public var startOffset: Int64 = 0
        public var endOffset: Int64 = 0
        public var highWatermark: Int64 = 0
        public var lastStableOffset: Int64 = 0
        public var sizeBytes: Int64 = 0
        public var segments = 0
        public var producerIDs = 0
        /// A sync has failed: nothing is written to it any more.
        public var hasFailed = false
        /// Some of it was found damaged at the start.
        public var isDamaged = false
        /// Without markers of transactions.
        public var appendedBytes: Int64 = 0
        public var appendedRecords: Int64 = 0
        /// To Kafka clients.
        public var sentBytes: Int64 = 0
        public var sentRecords: Int64 = 0

        public init(id: TopicPartition) { self.id = id }
    }

    public struct Committed: Sendable, Equatable {
        public var group: String
        public var partition: TopicPartition
        public var offset: Int64

        public init(group: String, partition: TopicPartition, offset: Int64) {
            self.group = group
            self.partition = partition
            self.offset = offset
        }
    }

    public struct Transactions: Sendable, Equatable {
        public var ids = 0
        public var open = 0
        /// How long the one that began first is open; 0 without any.
        public var oldestOpenSeconds: Double = 0
        public var committed: Int64 = 0
        public var aborted: Int64 = 0
        /// Of the aborted ones.
        public var timedOut: Int64 = 0

        public init() {}
    }

    public var topics = 0
    /// Sorted by topic and number.
    public var partitions: [Partition] = []
    /// Offsets of groups, sorted by group, topic and number.
    public var committed: [Committed] = []
    public var transactions = Transactions()
    public var syncSeconds = HistogramValues(bounds: [], counts: [0], sum: 0)
    /// Records that one sync of a partition made durable.
    public var syncRecords = HistogramValues(bounds: [], counts: [0], sum: 0)
    /// Of the file system with the data directory; nil if it does not say.
    public var diskBytes: Int64?
    public var diskFreeBytes: Int64?

    public init() {}
}

extension EmbeddedLog {
    /// May wait for commits that are under way: not for an event loop.
    public var statistics: LogStatistics {
        var statistics = LogStatistics()
        let topics = self.topics
        statistics.topics = topics.count
        statistics.partitions = topics.flatMap { partitions(of: $0.name).map(\.statistics) }
        for group in groupOffsets.groups {
            statistics.committed += groupOffsets.all(group: group).sorted { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }
                .map { .init(group: group, partition: $0.key, offset: $0.value.offset) }
        }
        statistics.transactions = transactions.statistics
        statistics.syncSeconds = services.syncTimes.snapshot(perUnit: 1e9)
        statistics.syncRecords = services.syncSizes.snapshot()
        if let space = services.fileSystem.space(of: directory) { (statistics.diskBytes, statistics.diskFreeBytes) = (space.total, space.free) }
        return statistics
    }
}

extension PartitionLog {
    var statistics: LogStatistics.Partition {
        var statistics = LogStatistics.Partition(id: id)
        state.withLock { state in
            statistics.startOffset = state.startOffset
            statistics.endOffset = state.endOffset
            statistics.highWatermark = state.highWatermark
            statistics.lastStableOffset = state.lastStableOffset
            statistics.sizeBytes = state.segments.reduce(0) { $0 + Int64($1.size) }
            statistics.segments = state.segments.count
            statistics.producerIDs = state.producers.producers.count
            statistics.hasFailed = state.failure != nil
            statistics.isDamaged = !state.fenced.isEmpty
            statistics.appendedBytes = state.appendedBytes
            statistics.appendedRecords = state.appendedRecords
        }
        statistics.sentBytes = sentBytes.load(ordering: .relaxed)
        statistics.sentRecords = sentRecords.load(ordering: .relaxed)
        return statistics
    }
}

extension TransactionCoordinator {
    var statistics: LogStatistics.Transactions {
        var statistics = LogStatistics.Transactions()
        var oldestMs: Int64?
        for transaction in allTransactions {
            statistics.ids += 1
            let startedMs: Int64? = transaction.state.withLock { state in
                switch state.phase {
                case .empty: nil
                case .open, .unknown: state.startedMs
                }
            }
            guard let startedMs else { continue }
            statistics.open += 1
            oldestMs = min(oldestMs ?? startedMs, startedMs)
        }
        if let oldestMs { statistics.oldestOpenSeconds = Double(max(0, services.time.wallMs - oldestMs)) / 1000 }
        statistics.committed = committedCount.count
        statistics.aborted = abortedCount.count
        statistics.timedOut = timedOutCount.count
        return statistics
    }
}
