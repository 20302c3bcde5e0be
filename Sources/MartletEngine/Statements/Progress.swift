import MartletCore
import MartletLog

/// How far queries are.
extension Engine {
    /// Push and pull queries that were started since this engine was opened.
    public var startedTransientQueries: Int { Int(nextTransientNumber) }

    /// Whether every running persistent query has processed and committed all that is committed in its topics, and readers see all that it wrote.
    public var hasProcessedInput: Bool {
        for query in runningQueries where query.error == nil && !query.isPaused {
            for topic in topics(of: query, readOnly: true) {
                for partition in log.partitions(of: topic) {
                    let position = log.groupOffsets.committed(group: query.consumerGroup, partition.id)?.offset ?? partition.startOffset
                    if hasRecords(partition, from: position) { return false }
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
