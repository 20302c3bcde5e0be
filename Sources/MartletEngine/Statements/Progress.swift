import MartletCore
import MartletLog

/// How far a persistent query is.
public struct QueryProgress: Sendable {
    public var id: String
    public var state: RunningQuery.State
    public var statistics: QueryStatistics.Values
    /// Committed records of its topics that it has not processed and committed yet; 0 where only markers of transactions are left.
    public var lagRecords: Int64
}

/// How far queries are.
extension Engine {
    /// Of all persistent queries, by id. Reads a little of those topics in which a query is not at the end.
    public var progress: [QueryProgress] {
        runningQueries.map { query in
            var lag: Int64 = 0
            for topic in topics(of: query, readOnly: true) {
                for partition in log.partitions(of: topic) {
                    let position = max(position(of: query, partition), partition.startOffset)
                    if hasRecords(partition, from: position) { lag += max(0, partition.lastStableOffset - position) }
                }
            }
            return QueryProgress(id: query.id, state: query.state, statistics: query.statistics.snapshot, lagRecords: lag)
        }
    }

    /// Memory of the state of queries; nil where there is no bound, as it is nowhere else.
    public nonisolated var stateMemory: StateMemoryValues? { stateDirectory?.memory.values }

    private func position(of query: RunningQuery, _ partition: PartitionLog) -> Int64 {
        log.groupOffsets.committed(group: query.consumerGroup, partition.id)?.offset ?? partition.startOffset
    }

    /// Push and pull queries that were started since this engine was opened.
    public var startedTransientQueries: Int { Int(nextTransientNumber) }

    /// Whether every running persistent query has processed and committed all that is committed in its topics, and readers see all that it wrote.
    public var hasProcessedInput: Bool {
        for query in runningQueries where query.error == nil && !query.isPaused {
            for topic in topics(of: query, readOnly: true) {
                for partition in log.partitions(of: topic) {
                    if hasRecords(partition, from: position(of: query, partition)) { return false }
                }
            }
            // Between the decision on a transaction and its markers offsets are committed, but what was written is not yet to be seen.
            for topic in topics(of: query) {
                if log.partitions(of: topic).contains(where: { $0.lastStableOffset < $0.endOffset }) { return false }
            }
        }
        return true
    }

    /// What lies between a committed offset and the end may be markers and aborted records only.
    private func hasRecords(_ partition: PartitionLog, from offset: Int64) -> Bool {
        var position = offset, reused: RecordBlock?
        while position < partition.lastStableOffset {
            guard let block = try? partition.readBlock(from: position, maxBytes: 1 << 16, isolation: .readCommitted, reusing: &reused) else { return false }
            if block.count > 0 { return true }
            if block.nextOffset == position { return false }
            position = block.nextOffset
            reused = block
        }
        return false
    }
}
