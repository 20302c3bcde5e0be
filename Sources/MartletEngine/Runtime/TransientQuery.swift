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
    /// A pull query on a table: its end is not told to clients of the older row format.
    public let endsSilently: Bool
    public let statistics = QueryStatistics()
    public let rows = ResultChannel<ResultBatch>()
    private let signal = Signal()
    private let isClosed = Mutex(false)

    init(id: String, statement: String, isPush: Bool, fields: [Field], keyFlags: [Bool], limit: Int64?, endsSilently: Bool = false) {
        self.id = id
        self.statement = statement
        self.isPush = isPush
        self.fields = fields
        self.keyFlags = keyFlags
        self.limit = limit
        self.endsSilently = endsSilently
    }

    /// Ends the query; safe at any time, from any thread.
    public func close() {
        isClosed.withLock { $0 = true }
        rows.cancel()
        signal.raise()
    }

    func wake() { signal.raise() }

    /// A topic that the query reads and the leaves that it feeds.
    struct Source: Sendable {
        var leaves: [(stage: Int, leaf: Int)]
        var partitions: [(log: PartitionLog, start: Int64, end: Int64?)]
        /// The topic's partitions now; more than `partitions` once some are added.
        var current: @Sendable () -> [PartitionLog]
    }

    struct Work: Sendable {
        var plan: PhysicalPlan
        var sources: [Source]
        var models: [String: any BatchModel]
        var schemas: any SchemaSource
        var logger: Logger
        /// Rows of streams with key columns that have no key are left out, as in ksqlDB's scalable push queries.
        var dropsNullKeys = false
        /// The table of a pull query: its rows are looked up, no topic is read.
        var table: (rows: ResultTable, lookup: TableLookup)?
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

    /// The stages of the query, all partitions of them, on this thread.
    private final class Stages {
        let plan: PhysicalPlan
        let trees: [OperatorTree]
        /// Rows for the client, not yet sent.
        var results: [Batch] = []
        /// Of a query whose results come at its end only.
        var ending: ResultEnding?
        /// Rows of stages that hold them until all are there.
        var held: [Int: ResultEnding] = [:]
        var failed = 0
        /// Rows handed from stage to stage.
        private var passed: Int64 = 0

        init(_ plan: PhysicalPlan, setup: OperatorSetup) throws(MartletError) {
            self.plan = plan
            var trees: [OperatorTree] = []
            for stage in plan.stages { trees.append(try OperatorTree(stage.root, setup: setup)) }
            self.trees = trees
            if let ending = plan.ending, case .results(let fields, _)? = plan.stages.last?.output {
                self.ending = ResultEnding(ending, shown: fields.count)
            }
            for (index, stage) in plan.stages.enumerated() {
                if let ending = stage.ending { held[index] = ResultEnding(ending, shown: stage.root.outputTypes.count, limit: stage.limit) }
            }
        }

        /// The input has ended.
        func finish() throws(MartletError) {
            try flush()
            for stage in held.keys.sorted() {
                guard let rows = held.removeValue(forKey: stage)?.finish() else { continue }
                try pass(rows, from: stage)
                try flush()
            }
            guard let last = ending?.finish() else { return }
            ending = nil
            results.append(last)
        }

        func push(_ batch: Batch, stage: Int, leaf: Int) throws(MartletError) {
            var context = OperatorContext()
            let out = try trees[stage].push(batch, leaf: leaf, &context)
            failed += context.failed.count
            if out.count > 0 { try pass(out, from: stage) }
        }

        func flush() throws(MartletError) {
            for (stage, tree) in trees.enumerated() {
                var context = OperatorContext()
                for batch in try tree.flush(&context) { try pass(batch, from: stage) }
                failed += context.failed.count
            }
        }

        /// Whether the results are changes of a table.
        var yieldsTable: Bool { plan.stages.last?.root.yieldsTable ?? false }

        private func pass(_ batch: Batch, from stage: Int) throws(MartletError) {
            if held[stage] != nil {
                held[stage]?.add(batch)
                return
            }
            guard case .repartition(let repartition) = plan.stages[stage].output else {
                if ending != nil { ending?.add(batch) } else { results.append(batch) }
                return
            }
            // As the topic would number them.
            var batch = batch
            batch.offsets = (0..<Int64(batch.count)).map { passed + $0 }
            passed += Int64(batch.count)
            for next in plan.stages.indices.dropFirst(stage + 1) {
                for (leaf, input) in plan.stages[next].inputs.enumerated() where input.topic == .repartition(step: repartition.step) {
                    try push(TransientQuery.link(batch, repartition, to: input), stage: next, leaf: leaf)
                }
            }
        }
    }

    private func run(_ work: Work) throws(MartletError) {
        // What a pull query groups comes out once, at the end.
        let stages = try Stages(work.plan, setup: OperatorSetup(models: work.models, emitsEveryUpdate: isPush))
        var readers: [InputReader] = []
        func reader(_ log: PartitionLog, _ source: Source, start: Int64, end: Int64?) throws(MartletError) -> InputReader {
            var targets: [InputReader.Target] = []
            for (stage, leaf) in source.leaves { targets.append(try stages.trees[stage].target(leaf: leaf, stage: stage, schemas: work.schemas)) }
            return InputReader(log, targets: targets, position: start, end: end)
        }
        for source in work.sources {
            for partition in source.partitions {
                var made = try reader(partition.log, source, start: partition.start, end: partition.end)
                // A table's rows are known before its changes are watched.
                try made.restore { (target, batch) throws(MartletError) in try stages.trees[target.stage].restore(batch, leaf: target.leaf) }
                readers.append(made)
            }
        }
        var known = work.sources.map(\.partitions.count)
        var sent: Int64 = 0
        if limit == 0 { return }
        if let (table, lookup) = work.table, let input = work.plan.stages.first?.inputs.first {
            try table.read(lookup, as: input) { (found) throws(MartletError) in
                statistics.update { $0.rowsRead += Int64(found.count) }
                try stages.push(found, stage: 0, leaf: 0)
                return try send(stages, &sent)
            }
            try stages.finish()
            _ = try send(stages, &sent)
            return
        }
        // A query with a limit need not decode a whole block for its first row.
        let bytes = limit.map { $0 < 1000 } == true ? 64 * 1024 : StreamTask.readBytes

        while !isClosed.withLock({ $0 }) {
            let seen = signal.now
            var progressed = false
            for i in readers.indices {
                var failed = 0
                let read = try readers[i].fill(maxBytes: bytes) { errors, _ in failed += errors.count }
                if !read.progressed { continue }
                progressed = true
                statistics.update {
                    $0.rowsRead += Int64(read.rows)
                    $0.bytesRead += Int64(read.bytes)
                    $0.rowsFailed += Int64(failed)
                }
            }
            while let (i, limit) = readers.first {
                var (target, batch) = readers[i].take(before: limit)
                if work.dropsNullKeys, let keyless = batch.nullKeys {
                    batch = batch.gathered((0..<UInt32(batch.count)).filter { !keyless[Int($0)] })
                }
                try stages.push(batch, stage: target.stage, leaf: target.leaf)
                progressed = true
                if readers[i].isEmpty || stages.results.count >= 16 { break }
            }
            if !progressed, !isPush { try stages.finish() }
            if try !send(stages, &sent) { return }
            if progressed { continue }
            if !isPush { return }
            if let gone = readers.first(where: { $0.log.isClosed }) {
                throw MartletError(.unknownSource, "topic \(gone.log.id.topic) was deleted")
            }
            var isGrown = false
            for (i, source) in work.sources.enumerated() {
                let added = source.current().dropFirst(known[i])
                for log in added { readers.append(try reader(log, source, start: log.startOffset, end: nil)) }
                known[i] += added.count
                if !added.isEmpty { isGrown = true }
            }
            if !isGrown { signal.wait(past: seen) }
        }
    }

    /// Sends what the stages have given. False: the query is to end.
    private func send(_ stages: Stages, _ sent: inout Int64) throws(MartletError) -> Bool {
        let failed = stages.failed
        stages.failed = 0
        if failed > 0 { statistics.update { $0.rowsFailed += Int64(failed) } }
        let results = stages.results
        stages.results = []
        for var batch in results {
            // A row of a stream that has no value is none for a client (ksqlDB: push queries on streams).
            if !stages.yieldsTable, let absent = batch.nullValues {
                batch = batch.gathered((0..<UInt32(batch.count)).filter { !absent[Int($0)] })
                batch.nullValues = nil
            }
            if batch.count == 0 { continue }
            if let limit, sent + Int64(batch.count) > limit { batch = batch.gathered((0..<UInt32(limit - sent)).map { $0 }) }
            sent += Int64(batch.count)
            let written = batch.count
            statistics.update { $0.rowsWritten += Int64(written) }
            let result = ResultBatch(columns: batch.columns, count: batch.count, tombstones: batch.nullValues)
            if !rows.send(result, bytes: result.heldBytes) { return false }
            if let limit, sent >= limit { return false }
        }
        return true
    }

    /// What the next stage would read from a repartition topic, without one: all partitions are on this thread anyway.
    static func link(_ batch: Batch, _ repartition: PhysicalPlan.Repartition, to input: PhysicalPlan.Input) -> Batch {
        var out = batch
        out.previous = nil
        out.columns = input.columns.map { source in
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
