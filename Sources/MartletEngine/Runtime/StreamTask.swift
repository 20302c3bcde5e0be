import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// One partition of one stage of a persistent query: reads, runs the operators, writes, inside its thread's transaction.
///
/// It is owned by one `StreamThread` and touched by no other thread.
final class StreamTask {
    let query: RunningQuery
    let partition: Int32
    private let source: PartitionLog
    private let table: PartitionLog?
    private var input: StageInput
    private let chain: OperatorChain
    private var sink: SinkWriter
    /// Next offsets to read; what a commit stages.
    private(set) var position: Int64
    private var tablePosition: Int64 = 0
    /// As of the last transaction that was prepared.
    private var preparedPosition: Int64
    private var preparedTablePosition: Int64 = 0
    /// What was handed over to a transaction that has not ended yet.
    private var prepared: Prepared?
    private var block: RecordBlock?
    private var tableBlock: RecordBlock?
    /// Decoded rows of the stream that wait for older rows of the table.
    private var held: Batch?
    private var heldNext: Int64 = 0

    static let readBytes = 1 << 20

    init(
        query: RunningQuery, stage: PhysicalPlan.Stage, partition: Int32, source: PartitionLog, table: PartitionLog?, position: Int64,
        tablePosition: Int64, sink: SinkWriter, models: [String: any BatchModel], schemas: any SchemaSource
    ) throws(MartletError) {
        self.query = query
        self.partition = partition
        self.source = source
        self.table = table
        self.sink = sink
        self.position = position
        preparedPosition = position
        input = try StageInput(stage.input, schemas: schemas)
        chain = try OperatorChain(stage.operators, models: models, schemas: schemas)
        if let table {
            // The table's topic is its changelog: rows up to the committed offset are read back before anything is processed.
            self.tablePosition = max(table.startOffset, 0)
            preparedTablePosition = tablePosition
            try restoreTable(upTo: tablePosition)
        }
    }

    private func restoreTable(upTo end: Int64) throws(MartletError) {
        guard let table, let join = chain.table else { return }
        var discarded = RowErrors()
        while tablePosition < end {
            let block = try table.readBlock(from: tablePosition, maxBytes: Self.readBytes, isolation: .readCommitted, reusing: &tableBlock)
            if block.nextOffset == tablePosition { break }
            tablePosition = block.nextOffset
            // Rows that could not be decoded were reported when they were first read.
            try join.update(block, errors: &discarded)
            tableBlock = block
        }
    }

    /// Records were read since a commit was prepared.
    private(set) var hasUncommittedWork = false
    /// Its offsets changed since a commit was prepared. Alone, that is no reason to commit: what lies between the committed offset and here are
    /// transaction markers and aborted records, nothing that could be processed twice. Else each commit would cause another one downstream.
    var hasUncommittedOffsets: Bool { position != preparedPosition || tablePosition != preparedTablePosition }

    /// Processes up to one block of records.
    /// - Returns: whether there was anything to do.
    func process(in transaction: TransactionalWriter, log: ProcessingLog) throws(MartletError) -> Bool {
        if position < source.startOffset {
            // Retention was faster than the query: what is gone is reported, the rest is processed.
            log.lostRecords(query: query, source: source.id, from: position, to: source.startOffset)
            position = source.startOffset
        }
        if let table, let join = chain.table { return try processJoin(table: table, join: join, in: transaction, log: log) }
        let block = try source.readBlock(from: position, maxBytes: Self.readBytes, isolation: .readCommitted, reusing: &block)
        defer { self.block = block }
        if block.nextOffset == position { return false }
        var errors = RowErrors()
        let batch = try input.decode(block, errors: &errors)
        log.deserializationErrors(errors, query: query, topic: source.id.topic, block: block)
        try push(batch, in: transaction, log: log)
        advance(to: block.nextOffset, rows: block.count, bytes: block.buffer.count)
        return true
    }

    private func advance(to next: Int64, rows: Int, bytes: Int) {
        position = next
        if rows > 0 { hasUncommittedWork = true }
        query.statistics.update {
            $0.rowsRead += Int64(rows)
            $0.bytesRead += Int64(bytes)
        }
    }

    private func push(_ batch: Batch, in transaction: TransactionalWriter, log: ProcessingLog) throws(MartletError) {
        if batch.count == 0 { return }
        var failed = FailedRows()
        let out = chain.run(batch, failed: &failed)
        let written = try sink.write(out, in: transaction, failed: &failed)
        log.processingErrors(failed, query: query, source: source.id)
        query.statistics.update { $0.rowsWritten += Int64(written) }
    }

    /// Two inputs: rows are taken by the smaller timestamp, the table first among equals, as far as both sides are known.
    private func processJoin(
        table: PartitionLog, join: StreamTableJoin, in transaction: TransactionalWriter, log: ProcessingLog
    ) throws(MartletError) -> Bool {
        var progressed = false
        if held == nil {
            let block = try source.readBlock(from: position, maxBytes: Self.readBytes, isolation: .readCommitted, reusing: &block)
            if block.nextOffset != position {
                var errors = RowErrors()
                held = try input.decode(block, errors: &errors)
                heldNext = block.nextOffset
                log.deserializationErrors(errors, query: query, topic: source.id.topic, block: block)
                query.statistics.update { $0.rowsRead += Int64(block.count) }
                if block.count > 0 { hasUncommittedWork = true }
                progressed = true
            }
            self.block = block
        }
        let updates = try table.readBlock(from: tablePosition, maxBytes: Self.readBytes, isolation: .readCommitted, reusing: &tableBlock)
        if updates.nextOffset != tablePosition {
            progressed = true
            if updates.count > 0 { hasUncommittedWork = true }
            var errors = RowErrors()
            let rows = try join.decode(updates, errors: &errors)
            log.deserializationErrors(errors, query: query, topic: table.id.topic, block: updates)
            // Interleave by time: stream rows older than the next table row see the table as it was.
            var done = 0
            while done < rows.count {
                let time = rows.timestamps[done]
                if let batch = held {
                    let older = batch.timestamps.firstIndex { $0 >= time } ?? batch.count
                    if older > 0 {
                        try push(batch.gathered((0..<UInt32(older)).map { $0 }), in: transaction, log: log)
                        held = older == batch.count ? nil : batch.gathered((UInt32(older)..<UInt32(batch.count)).map { $0 })
                        if held == nil { position = heldNext }
                    }
                }
                let limit = held?.timestamps.first ?? Int64.max
                var end = done
                while end < rows.count && rows.timestamps[end] <= limit { end += 1 }
                if end == done { end = done + 1 }
                join.update(rows.gathered((UInt32(done)..<UInt32(end)).map { $0 }))
                done = end
            }
            tablePosition = updates.nextOffset
            tableBlock = updates
            return true
        }
        tableBlock = updates
        // The table is read to its end: what the stream holds may go.
        if let batch = held {
            try push(batch, in: transaction, log: log)
            held = nil
            position = heldNext
        }
        return progressed
    }

    /// False while part of a block has been processed: its offsets cannot be staged yet.
    var canCommit: Bool { held == nil }

    // MARK: commits
    //
    // A commit may run while the task already processes for the next one. So everything that belongs to it is handed over when it is prepared,
    // under its token: output batches, offsets, and from operators that keep state the changes since the last time, as changelog records.
    // What they hand over then, and nothing newer, may go into the local store when `committed` tells that very token. At most one token is
    // under way. There is no undo: after an abort the task is thrown away and made anew from what is committed.

    private struct Prepared {
        var token: CommitToken
        var hadWork: Bool
    }

    /// Hands this task's part of a transaction over.
    func prepareCommit(in transaction: TransactionalWriter, as token: CommitToken) throws(MartletError) {
        precondition(prepared == nil, "a commit is prepared after the one before it has ended")
        try sink.flush(in: transaction)
        var offsets = [source.id: position]
        if let table { offsets[table.id] = tablePosition }
        transaction.stageOffsets(offsets, group: query.consumerGroup)
        prepared = Prepared(token: token, hadWork: hasUncommittedWork)
        preparedPosition = position
        preparedTablePosition = tablePosition
        hasUncommittedWork = false
    }

    /// That transaction has committed; the task may have had no part in it.
    func committed(_ token: CommitToken) {
        guard let done = prepared, done.token == token else { return }
        prepared = nil
        if done.hadWork { query.statistics.update { $0.commits += 1 } }
    }
}
