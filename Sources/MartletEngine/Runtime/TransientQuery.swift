import Logging
import MartletColumns
import MartletCore
import MartletLog
import MartletSQL
import Synchronization

/// A query whose rows go to one client: push (until closed or its LIMIT is reached) or pull over a stream (to the end as it was when it began).
///
/// It runs on a thread of its own, outside any transaction, reads committed records only, and is held back by a slow reader.
public final class TransientQuery: Sendable {
    public let id: String
    public let statement: String
    public let isPush: Bool
    /// Result columns in SELECT order, with key columns marked: the header.
    public let fields: [Field]
    public let keyFlags: [Bool]
    public let limit: Int64?
    public let statistics = QueryStatistics()
    public let rows = ResultChannel<ResultBatch>()
    private let signal = Signal()
    private let isClosed = Mutex(false)

    init(id: String, statement: String, isPush: Bool, fields: [Field], keyFlags: [Bool], limit: Int64?) {
        self.id = id
        self.statement = statement
        self.isPush = isPush
        self.fields = fields
        self.keyFlags = keyFlags
        self.limit = limit
    }

    /// Ends the query; safe at any time, from any thread.
    public func close() {
        isClosed.withLock { $0 = true }
        rows.cancel()
        signal.raise()
    }

    func wake() { signal.raise() }

    struct SourcePartition {
        var log: PartitionLog
        var position: Int64
        /// Nil: no end.
        var end: Int64?
        var block: RecordBlock?
    }

    struct Work: Sendable {
        var plan: PhysicalPlan
        var sources: [(log: PartitionLog, start: Int64, end: Int64?)]
        /// The partitions of the source's topic now; more than `sources` once some are added.
        var partitions: @Sendable () -> [PartitionLog]
        var tables: [PartitionLog]
        var models: [String: any BatchModel]
        var schemas: any SchemaSource
        var logger: Logger
    }

    /// Starts the thread; `ended` is called on it when it is done.
    /// - Throws: `.io` if there is no thread to be had.
    func start(_ work: Work, ended: @escaping @Sendable () -> Void) throws(MartletError) {
        try WorkerThread("martlet-\(id)") { [self] in
            do throws(MartletError) {
                try run(work)
                rows.finish()
            } catch {
                work.logger.warning("transient query failed", metadata: ["query": "\(id)", "error": "\(error)"])
                rows.finish(error)
            }
            ended()
        }
    }

    private func run(_ work: Work) throws(MartletError) {
        var input = try StageInput(work.plan.stages[0].input, schemas: work.schemas)
        var chains: [OperatorChain] = []
        for stage in work.plan.stages {
            chains.append(try OperatorChain(stage.operators, models: work.models, schemas: work.schemas))
        }
        let table = chains.compactMap(\.table).first
        var tables = work.tables.map { SourcePartition(log: $0, position: $0.startOffset, end: nil, block: nil) }
        var sources = work.sources.map { SourcePartition(log: $0.log, position: $0.start, end: $0.end, block: nil) }
        var sent: Int64 = 0
        if limit == 0 { return }

        while !isClosed.withLock({ $0 }) {
            let seen = signal.now
            var progressed = false
            if let table {
                for i in tables.indices {
                    while true {
                        let block = try tables[i].log.readBlock(
                            from: tables[i].position, maxBytes: StreamTask.readBytes, isolation: .readCommitted, reusing: &tables[i].block)
                        if block.nextOffset == tables[i].position { break }
                        tables[i].position = block.nextOffset
                        var errors = RowErrors()
                        try table.update(block, errors: &errors)
                        statistics.update { $0.rowsFailed += Int64(errors.count) }
                        tables[i].block = block
                        progressed = true
                    }
                }
            }
            for i in sources.indices {
                if let end = sources[i].end, sources[i].position >= end { continue }
                // A query with a limit need not decode a whole block for its first row.
                let bytes = limit.map { $0 < 1000 } == true ? 64 * 1024 : StreamTask.readBytes
                var block = try sources[i].log.readBlock(
                    from: sources[i].position, maxBytes: bytes, isolation: .readCommitted, reusing: &sources[i].block)
                if block.nextOffset == sources[i].position {
                    if sources[i].end != nil { sources[i].position = sources[i].end! }
                    continue
                }
                progressed = true
                sources[i].position = block.nextOffset
                if let end = sources[i].end, let last = block.offsets.last, last >= end { block.keepFirst(block.offsets.firstIndex { $0 >= end }!) }
                var errors = RowErrors(), failed = FailedRows()
                var batch = try input.decode(block, errors: &errors)
                for (k, chain) in chains.enumerated() {
                    if k > 0 { batch = Self.link(batch, from: work.plan.stages[k - 1], to: work.plan.stages[k]) }
                    batch = chain.run(batch, failed: &failed)
                }
                let (rowsRead, bytesRead, rowsFailed) = (block.count, block.buffer.count, errors.count + failed.count)
                sources[i].block = block
                statistics.update {
                    $0.rowsRead += Int64(rowsRead)
                    $0.bytesRead += Int64(bytesRead)
                    $0.rowsFailed += Int64(rowsFailed)
                }
                if batch.count == 0 { continue }
                if let limit, sent + Int64(batch.count) > limit { batch = batch.gathered((0..<UInt32(limit - sent)).map { $0 }) }
                sent += Int64(batch.count)
                let result = ResultBatch(columns: batch.columns, count: batch.count, tombstones: batch.nullValues)
                let written = batch.count
                statistics.update { $0.rowsWritten += Int64(written) }
                if !rows.send(result) { return }
                if let limit, sent >= limit { return }
            }
            if progressed { continue }
            if !isPush { return }
            if let gone = sources.first(where: { $0.log.isClosed }) {
                throw MartletError(.unknownSource, "topic \(gone.log.id.topic) was deleted")
            }
            let added = work.partitions().dropFirst(sources.count)
            sources += added.map { SourcePartition(log: $0, position: $0.startOffset, end: nil, block: nil) }
            if added.isEmpty { signal.wait(past: seen) }
        }
    }

    /// What the next stage would read from a repartition topic, without one: all partitions are on this thread anyway.
    static func link(_ batch: Batch, from: PhysicalPlan.Stage, to: PhysicalPlan.Stage) -> Batch {
        guard case .repartition(let repartition) = from.output else { return batch }
        var out = batch
        out.columns = to.input.columns.map { source in
            switch source {
            case .key(let i): batch.columns[i]
            case .value(let i): batch.columns[repartition.keyFields.count + i]
            case .rowTime: .bigint(FixedColumn(batch.timestamps))
            case .rowPartition: .integer(FixedColumn([Int32](repeating: batch.partition, count: batch.count)))
            case .rowOffset: .bigint(FixedColumn(batch.offsets))
            case .windowStart, .windowEnd: .nulls(.bigint, count: batch.count)
            case .headers: RecordHeaders.all(nil, count: batch.count)
            case .header: .nulls(.bytes, count: batch.count)
            }
        }
        return out
    }
}

extension RecordBlock {
    /// Drops the records from `count` on.
    mutating func keepFirst(_ count: Int) {
        let drop = self.count - count
        offsets.removeLast(drop)
        timestamps.removeLast(drop)
        keyStarts.removeLast(drop)
        keyLengths.removeLast(drop)
        valueStarts.removeLast(drop)
        valueLengths.removeLast(drop)
        headers?.starts.removeLast(drop)
        headers?.lengths.removeLast(drop)
    }
}
