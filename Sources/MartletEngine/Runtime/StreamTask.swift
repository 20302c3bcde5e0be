import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// One partition of one stage of a persistent query: reads, runs the operators, writes, inside its thread's transaction.
///
/// It is owned by one `StreamThread` and touched by no other thread. What its operators keep is written to changelogs in the same transaction
/// as the results and the offsets, and read back when the task is made.
final class StreamTask {
    let query: RunningQuery
    let partition: Int32
    private var readers: [InputReader]
    private let tree: OperatorTree
    private var sink: SinkWriter
    private var changelogs: [Changelog] = []
    private var tables: [TableCopy] = []
    /// Positions as of the last transaction that was prepared.
    private var preparedPositions: [Int64]
    /// What was handed over to a transaction that has not ended yet.
    private var prepared: Prepared?

    static let readBytes = 1 << 20

    /// What a task reads: a partition, and from where.
    struct Source {
        var log: PartitionLog
        var position: Int64
        /// The stage's leaves that it feeds.
        var leaves: [Int]
    }

    /// - `changelogs`: gives a store its changelog; `copies`: a store that comes from a table's topic its copy, given the reader and its log.
    init(
        query: RunningQuery, stage: PhysicalPlan.Stage, partition: Int32, sources: [Source],
        changelogs: (any StateStore) throws(MartletError) -> Changelog, copies: (any StateStore, _ reader: Int, Source) -> TableCopy, sink: SinkWriter, setup: OperatorSetup, schemas: any SchemaSource
    ) throws(MartletError) {
        self.query = query
        self.partition = partition
        self.sink = sink
        let tree = try OperatorTree(stage.root, setup: setup)
        self.tree = tree
        readers = []
        for source in sources {
            var targets: [InputReader.Target] = []
            for leaf in source.leaves { targets.append(try tree.target(leaf: leaf, stage: 0, schemas: schemas)) }
            readers.append(InputReader(source.log, targets: targets, position: source.position))
        }
        preparedPositions = readers.map(\.position)
        for store in tree.stores {
            let changelog = try changelogs(store)
            try changelog.restore()
            self.changelogs.append(changelog)
        }
        for (i, source) in sources.enumerated() {
            let own = source.leaves.flatMap { tree.topicStores(leaf: $0) }.map { copies($0, i, source) }
            if own.isEmpty { continue }
            // From where the store is that knows least; the others take rows that they have once more.
            var from = Int64.max
            for copy in own { from = min(from, try copy.restore() ?? source.log.startOffset) }
            try readers[i].restore(from: from) { (target, batch) throws(MartletError) in
                try tree.restore(batch, leaf: target.leaf)
            } passed: { (position) throws(MartletError) in
                for copy in own { try copy.restored(to: position) }
            }
            tables += own
        }
    }

    /// Records were read or processed since a commit was prepared.
    private(set) var hasUncommittedWork = false
    /// Its offsets changed since a commit was prepared. Alone, that is no reason to commit: what lies between the committed offset and here are
    /// transaction markers and aborted records, nothing that could be processed twice. Else each commit would cause another one downstream.
    var hasUncommittedOffsets: Bool { zip(readers, preparedPositions).contains { $0.position != $1 } }

    /// A store has outgrown its memory since the last commit.
    var isMemoryShort: Bool { changelogs.contains { $0.isMemoryShort } || tables.contains { $0.isMemoryShort } }

    /// Processes up to one block of records: by the smaller timestamp where there are several inputs, as far as all of them are known.
    /// - Returns: whether there was anything to do.
    func process(in transaction: TransactionalWriter, log: ProcessingLog) throws(MartletError) -> Bool {
        var progressed = false
        for i in readers.indices {
            let source = readers[i].log
            if readers[i].isEmpty, readers[i].readPosition < source.startOffset {
                // Retention was faster than the query: what is gone is reported, the rest is processed.
                log.lostRecords(query: query, source: source.id, from: readers[i].readPosition, to: source.startOffset)
                readers[i].skip(to: source.startOffset)
            }
            let read = try readers[i].fill(maxBytes: Self.readBytes) { (errors, block) throws(MartletError) in
                log.deserializationErrors(errors, query: query, topic: source.id.topic, block: block)
            }
            guard read.progressed else { continue }
            progressed = true
            if read.rows > 0 { hasUncommittedWork = true }
            query.statistics.update {
                $0.rowsRead += Int64(read.rows)
                $0.bytesRead += Int64(read.bytes)
            }
        }
        // Once a reader has handed out everything it has to be filled first: its next rows may be older than the others'.
        while let (i, limit) = readers.first {
            let (target, batch) = readers[i].take(before: limit)
            // Also rows that were read before the last commit was prepared: their results are none of its.
            hasUncommittedWork = true
            var context = OperatorContext()
            let made: Batch
            do throws(MartletError) {
                made = try tree.push(batch, leaf: target.leaf, &context)
            } catch {
                throw error.processing(readers[i].log.id.topic, batch)
            }
            try write(made, &context, source: readers[i].log.id, in: transaction, log: log)
            progressed = true
            if readers[i].isEmpty { break }
        }
        return progressed
    }

    private func write(
        _ batch: Batch, _ context: inout OperatorContext, source: TopicPartition, in transaction: TransactionalWriter, log: ProcessingLog
    ) throws(MartletError) {
        var written = 0
        if batch.count > 0 { written = try sink.write(batch, in: transaction, failed: &context.failed) }
        log.processingErrors(context.failed, query: query, source: source)
        if written > 0 { query.statistics.update { $0.rowsWritten += Int64(written) } }
    }

    // MARK: commits
    //
    // A commit may run while the task already processes for the next one. So everything that belongs to it is handed over when it is prepared,
    // under its token. When `committed` tells that very token, what a store gave as changes then, and nothing newer, is in the changelog, and may
    // leave memory. At most one token is under way. There is no undo: after an abort the task is thrown away and made anew from what is committed.

    private struct Prepared {
        var token: CommitToken
        var hadWork: Bool
    }

    /// Brings out what operators held back, closes output batches, writes what changed of the state and stages this task's offsets: all in the transaction.
    func prepareCommit(in transaction: TransactionalWriter, as token: CommitToken, log: ProcessingLog) throws(MartletError) {
        precondition(prepared == nil, "a commit is prepared after the one before it has ended")
        var context = OperatorContext()
        for batch in try tree.flush(&context) {
            try write(batch, &context, source: readers[0].log.id, in: transaction, log: log)
            context = OperatorContext()
        }
        try sink.flush(in: transaction)
        for changelog in changelogs { try changelog.write(in: transaction) }
        for table in tables { try table.prepare(readers[table.reader].position) }
        var offsets: [TopicPartition: Int64] = [:]
        for reader in readers { offsets[reader.log.id] = reader.position }
        transaction.stageOffsets(offsets, group: query.consumerGroup)
        prepared = Prepared(token: token, hadWork: hasUncommittedWork)
        preparedPositions = readers.map(\.position)
        hasUncommittedWork = false
    }

    /// That transaction has committed; the task may have had no part in it.
    ///
    /// - Throws: what ends the query.
    func committed(_ token: CommitToken) throws(MartletError) {
        guard let done = prepared, done.token == token else { return }
        prepared = nil
        for changelog in changelogs { try changelog.committed() }
        for table in tables { try table.committed() }
        if done.hadWork { query.statistics.update { $0.commits += 1 } }
    }
}

extension OperatorTree {
    func target(leaf: Int, stage: Int, schemas: any SchemaSource) throws(MartletError) -> InputReader.Target {
        let one = leaves[leaf]
        // A table's rows are there for a stream's rows of the same time, whatever stage these come from.
        let rank = one.isLookedUp ? one.rank : (stage + 1) * 1_000_000 + one.rank
        return InputReader.Target(
            stage: stage, leaf: leaf, rank: rank, input: try StageInput(one.input, schemas: schemas), isSourceTable: one.isSourceTable)
    }
}
