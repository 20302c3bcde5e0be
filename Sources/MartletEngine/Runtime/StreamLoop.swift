import Logging
import MartletCore
import MartletLog
import Synchronization

/// What a stream thread does, on that thread: rounds of processing, and what `CommitStateMachine` says about the transactions around them.
///
/// A failure aborts: nothing of the open transaction becomes visible, the failed query stops with its error, the other tasks start again
/// from their committed offsets.
struct StreamLoop: ~Copyable {
    private struct Slot {
        var factory: StreamThread.TaskFactory
        var task: StreamTask
    }

    private let inbox: StreamThread.Inbox
    private let makeWriter: (_ which: Int) throws(MartletError) -> TransactionalWriter
    private let processingLog: ProcessingLog
    private let time: TimeSource
    private let logger: Logger
    private let committer: Committer

    private var machine: CommitStateMachine
    private var slots: [Slot] = []
    /// Transactions alternate between the two; none: they have yet to be made, or made anew after a failure.
    private var writers: [TransactionalWriter] = []
    /// Prepared and not yet given to anybody who commits it.
    private var prepared: PreparedTransaction?
    private var trouble = Trouble()
    /// Whose failure the next abort is for.
    private var failedQuery: RunningQuery?

    init(
        inbox: StreamThread.Inbox, makeWriter: @escaping (_ which: Int) throws(MartletError) -> TransactionalWriter, processingLog: ProcessingLog,
        limits: CommitStateMachine.Limits, time: TimeSource, logger: Logger
    ) {
        self.inbox = inbox
        self.makeWriter = makeWriter
        self.processingLog = processingLog
        self.time = time
        self.logger = logger
        machine = CommitStateMachine(limits)
        let signal = inbox.signal
        committer = Committer { signal.raise() }
    }

    /// Until the command to stop.
    mutating func run() {
        while true {
            let seen = inbox.signal.now
            if let outcome = committer.poll() { commitEnded(outcome) }
            for command in inbox.take() where !obey(command) {
                committer.stop()
                return
            }
            let waitMs = (trouble.retryAtNs - time.monotonicNs) / 1_000_000
            if waitMs > 0 {
                inbox.signal.wait(past: seen, timeoutMs: waitMs)
            } else if slots.isEmpty {
                inbox.signal.wait(past: seen)
            } else if openWriters(), !round() {
                inbox.signal.wait(past: seen)
            }
        }
    }

    // MARK: commands

    /// - Returns: false if the thread is to end.
    private mutating func obey(_ command: StreamThread.Command) -> Bool {
        switch command {
        case .add(let factory): start(factory)
        case .remove(let query, let done):
            settle()
            let before = slots.count
            slots.removeAll { $0.factory.query.id == query }
            let gone = before - slots.count
            inbox.taskCount.withLock { $0 -= gone }
            done()
        case .stop:
            settle()
            return false
        }
        return true
    }

    private mutating func start(_ factory: StreamThread.TaskFactory) {
        do {
            slots.append(Slot(factory: factory, task: try factory.make()))
        } catch {
            inbox.taskCount.withLock { $0 -= 1 }
            factory.query.fail(error)
            logger.error("query stopped", metadata: ["query": "\(factory.query.id)", "error": "\(error)"])
        }
    }

    /// Commits what is done.
    private mutating func settle() {
        while true {
            let actions = machine.receive(.mustSettle(hasWork: slots.contains { $0.task.hasUncommittedOffsets }))
            if actions.isEmpty { return }
            _ = perform(actions)
        }
    }

    /// Older writers of these ids are fenced, and what they left open is aborted, before anything is processed.
    private mutating func openWriters() -> Bool {
        do throws(MartletError) {
            while writers.count < 2 { writers.append(try makeWriter(writers.count)) }
            return true
        } catch {
            writers = []
            wait("stream thread cannot open its transactions, tries again", error)
            return false
        }
    }

    private func writer(_ token: CommitToken) -> TransactionalWriter { writers[Int(token.number % 2)] }

    // MARK: rounds

    /// Lets each task process a block.
    /// - Returns: false if there is nothing to do.
    private mutating func round() -> Bool {
        _ = perform(machine.receive(.roundBegins))
        guard let token = machine.open else { return true }
        let writer = writer(token)
        var isBusy = false
        for slot in slots {
            if slot.factory.query.isPaused { continue }
            do {
                if try slot.task.process(in: writer, log: processingLog) { isBusy = true }
            } catch {
                note(error, of: slot.factory.query)
                return perform(machine.receive(.failed))
            }
        }
        let progress = CommitStateMachine.Progress(
            isBusy: isBusy, hasWork: slots.contains { $0.task.hasUncommittedWork }, bytes: writer.appendedBytes,
            isMemoryShort: slots.contains { $0.task.isMemoryShort }, nowNs: time.monotonicNs)
        return perform(machine.receive(.roundEnded(progress)))
    }

    // MARK: commits

    /// - Returns: false if the thread is to sleep.
    private mutating func perform(_ actions: [CommitStateMachine.Action]) -> Bool {
        var hasFailed = false
        for action in actions {
            switch action {
            case .begin(let token): writer(token).begin()
            case .prepare(let token):
                if !prepare(token) { return perform(machine.receive(.commitEnded(token, succeeded: false))) }
            case .commit(let token):
                guard let transaction = prepared else { preconditionFailure("only what is prepared is committed") }
                prepared = nil
                do {
                    try transaction.commit()
                    _ = perform(machine.receive(.commitEnded(token, succeeded: true)))
                } catch {
                    wait("commit failed, tries again", error)
                    _ = perform(machine.receive(.commitEnded(token, succeeded: false)))
                }
            case .commitInBackground:
                guard let transaction = prepared else { preconditionFailure("only what is prepared is committed") }
                prepared = nil
                committer.start(transaction)
            case .awaitCommit:
                if let outcome = committer.wait() { commitEnded(outcome) }
            case .tellCommitted(let token):
                for slot in slots {
                    do {
                        try slot.task.committed(token)
                    } catch {
                        note(error, of: slot.factory.query)
                        hasFailed = true
                    }
                }
                if trouble.message != nil && trouble.retryAtNs <= time.monotonicNs {
                    logger.warning("stream thread goes on")
                    trouble = Trouble()
                }
            case .abort(let tokens): abort(tokens)
            case .sleep: return false
            }
        }
        return hasFailed ? perform(machine.receive(.failed)) : true
    }

    /// Of the transaction that commits in the background.
    private mutating func commitEnded(_ outcome: Committer.Outcome) {
        guard let token = machine.committing else { preconditionFailure("an outcome belongs to a commit") }
        if case .failure(let error) = outcome { wait("commit failed, tries again", error) }
        _ = perform(machine.receive(.commitEnded(token, succeeded: (try? outcome.get()) != nil)))
    }

    /// Lets tasks that did something hand over their part of the transaction.
    private mutating func prepare(_ token: CommitToken) -> Bool {
        let writer = writer(token)
        for slot in slots where slot.task.hasUncommittedOffsets {
            do {
                try slot.task.prepareCommit(in: writer, as: token, log: processingLog)
            } catch {
                note(error, of: slot.factory.query)
                return false
            }
        }
        do {
            try processingLog.flush(in: writer)
            prepared = try writer.prepare()
            return true
        } catch {
            wait("commit failed, tries again", error)
            return false
        }
    }

    // MARK: failures

    /// A query that failed stops; a full disk is no fault of the query, which waits for room.
    private mutating func note(_ error: MartletError, of query: RunningQuery) {
        if error.code == .diskFull {
            wait("stream thread waits for room on the disk", error)
        } else {
            logger.error("query stopped", metadata: ["query": "\(query.id)", "error": "\(error)"])
            query.fail(error)
            failedQuery = query
        }
    }

    /// What keeps the whole thread from committing; it tries again, at most every second, and says so once.
    private struct Trouble {
        var message: String?
        var retryAtNs: Int64 = 0
    }

    private mutating func wait(_ what: String, _ error: MartletError) {
        let message = "\(what): \(error)"
        if trouble.message != message { logger.error("\(what)", metadata: ["error": "\(error)"]) }
        let isFirst = trouble.message == nil
        trouble.message = message
        trouble.retryAtNs = time.monotonicNs + (isFirst ? 50_000_000 : 1_000_000_000)
    }

    /// Undoes these transactions and starts all tasks but those of the failed query again from what is committed.
    private mutating func abort(_ tokens: [CommitToken]) {
        prepared = nil
        for token in tokens {
            do {
                try writer(token).abort()
            } catch {
                // Recovery or the next writer of this id aborts it; until then its records stay invisible to read_committed readers.
                logger.error("abort failed", metadata: ["error": "\(error)"])
            }
        }
        writers = []
        processingLog.discard()
        let factories = slots.map(\.factory).filter { $0.query.id != failedQuery?.id }
        let gone = slots.count - factories.count
        failedQuery = nil
        inbox.taskCount.withLock { $0 -= gone }
        slots = []
        for factory in factories { start(factory) }
    }
}
