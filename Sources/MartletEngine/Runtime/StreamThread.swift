import Logging
import MartletCore
import MartletLog
import Synchronization

/// One thread of the operating system that runs stream tasks, all inside one transaction at a time.
///
/// It does not react to records, it drains them: every round lets each task process one block; when no task finds anything, or the commit
/// interval is over, outputs and offsets of all tasks are committed together. So an idle system answers at once and a busy one in large
/// batches. A failure aborts the transaction: nothing of it becomes visible, the failed query stops with its error, the other tasks start
/// again from their committed offsets.
final class StreamThread: Sendable {
    enum Command: Sendable {
        case add(TaskFactory)
        case remove(query: String, done: @Sendable () -> Void)
        case stop
    }

    /// Makes a task on the thread that will own it; again after an abort.
    struct TaskFactory: Sendable {
        var query: RunningQuery
        var make: @Sendable () throws(MartletError) -> StreamTask
    }

    private let commands = Mutex<[Command]>([])
    private let signal = Signal()
    private let assigned = Mutex(0)
    private let makeWriter: @Sendable () throws(MartletError) -> TransactionalWriter
    private let processingLog: ProcessingLog
    private let commitIntervalMs: Int64
    private let time: TimeSource
    private let logger: Logger
    private let thread = Mutex<OSThread?>(nil)

    init(
        number: Int, makeWriter: @escaping @Sendable () throws(MartletError) -> TransactionalWriter, processingLog: ProcessingLog,
        commitIntervalMs: Int64, time: TimeSource, logger: Logger
    ) {
        self.makeWriter = makeWriter
        self.processingLog = processingLog
        self.commitIntervalMs = commitIntervalMs
        self.time = time
        self.logger = logger
        thread.withLock { $0 = OSThread.start { [self] in run() } }
    }

    /// Tasks on this thread, for balancing.
    var taskCount: Int { assigned.withLock { $0 } }

    func add(_ factory: TaskFactory) {
        assigned.withLock { $0 += 1 }
        post(.add(factory))
    }

    /// Takes the query's tasks off the thread after a commit; `done` is called on the thread.
    func remove(query: String, done: @escaping @Sendable () -> Void) { post(.remove(query: query, done: done)) }

    /// Something may be there to read.
    func wake() { signal.raise() }

    /// Commits what is done and ends the thread.
    func stop() {
        post(.stop)
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    private func post(_ command: Command) {
        commands.withLock { $0.append(command) }
        signal.raise()
    }

    // MARK: - On the thread

    private struct Slot {
        var factory: TaskFactory
        var task: StreamTask
    }

    private func run() {
        var slots: [Slot] = []
        var writer: TransactionalWriter?
        var isOpen = false
        var openedAt: Int64 = 0
        var retryWriterAt: Int64 = 0

        while true {
            let seen = signal.now
            for command in commands.withLock({ waiting in
                defer { waiting = [] }
                return waiting
            }) {
                switch command {
                case .add(let factory):
                    start(factory, &slots)
                case .remove(let query, let done):
                    if isOpen, let open = writer, !settle(open, &slots) { writer = nil }
                    isOpen = false
                    let before = slots.count
                    slots.removeAll { $0.factory.query.id == query }
                    assigned.withLock { $0 -= before - slots.count }
                    done()
                case .stop:
                    if isOpen, let open = writer { _ = settle(open, &slots) }
                    return
                }
            }
            if writer == nil && !slots.isEmpty {
                do {
                    writer = try makeWriter()
                } catch {
                    logger.error("stream thread cannot open its transaction", metadata: ["error": "\(error)"])
                    retryWriterAt = time.monotonicNs + 1_000_000_000
                    signal.wait(past: seen, timeoutMs: 1000)
                    if time.monotonicNs < retryWriterAt { continue }
                    continue
                }
            }
            guard let current = writer else {
                signal.wait(past: seen)
                continue
            }

            var progressed = false
            var i = 0
            while i < slots.count {
                if slots[i].factory.query.isPaused {
                    i += 1
                    continue
                }
                if !isOpen {
                    current.begin()
                    isOpen = true
                    openedAt = time.monotonicNs
                }
                do {
                    if try slots[i].task.process(in: current, log: processingLog) { progressed = true }
                    i += 1
                } catch {
                    isOpen = false
                    fail(slots[i].factory.query, error, current, &slots)
                    writer = nil
                    progressed = true
                    break
                }
            }
            guard isOpen else {
                if !progressed { signal.wait(past: seen) }
                continue
            }
            let isDue = time.monotonicNs - openedAt >= commitIntervalMs * 1_000_000
            if !progressed || isDue, slots.allSatisfy({ $0.task.canCommit }) {
                if slots.contains(where: { $0.task.hasUncommittedWork }) {
                    if finish(current, &slots) {
                        isOpen = false
                    } else {
                        isOpen = false
                        writer = nil
                    }
                } else if !progressed {
                    signal.wait(past: seen)
                }
            }
        }
    }

    private func start(_ factory: TaskFactory, _ slots: inout [Slot]) {
        do {
            slots.append(Slot(factory: factory, task: try factory.make()))
        } catch {
            assigned.withLock { $0 -= 1 }
            factory.query.fail(error)
            logger.error("query stopped", metadata: ["query": "\(factory.query.id)", "error": "\(error)"])
        }
    }

    /// Ends the open transaction now: commits, or undoes it where a task is in the middle of a block, whose rest is then done again.
    /// - Returns: false if the writer is of no more use.
    private func settle(_ writer: TransactionalWriter, _ slots: inout [Slot]) -> Bool {
        if slots.allSatisfy({ $0.task.canCommit }) { return finish(writer, &slots) }
        restart(nil, writer, &slots)
        return false
    }

    /// Commits outputs and offsets of all tasks.
    /// - Returns: false if it failed; the tasks have then been made anew.
    private func finish(_ writer: TransactionalWriter, _ slots: inout [Slot]) -> Bool {
        do {
            let moved = slots.filter { $0.task.hasUncommittedOffsets }
            for slot in moved { try slot.task.prepareCommit(in: writer) }
            try processingLog.flush(in: writer)
            try writer.commit()
            for slot in moved { slot.task.committed() }
            return true
        } catch {
            logger.error("commit failed", metadata: ["error": "\(error)"])
            restart(nil, writer, &slots)
            return false
        }
    }

    private func fail(_ query: RunningQuery, _ error: MartletError, _ writer: TransactionalWriter, _ slots: inout [Slot]) {
        logger.error("query stopped", metadata: ["query": "\(query.id)", "error": "\(error)"])
        query.fail(error)
        restart(query, writer, &slots)
    }

    /// Undoes the open transaction and starts all tasks but those of `failed` again from their committed offsets.
    private func restart(_ failed: RunningQuery?, _ writer: TransactionalWriter, _ slots: inout [Slot]) {
        do {
            try writer.abort()
        } catch {
            // Recovery or the next writer of this id aborts it; until then its records stay invisible to read_committed readers.
            logger.error("abort failed", metadata: ["error": "\(error)"])
        }
        processingLog.discard()
        let factories = slots.map(\.factory).filter { $0.query.id != failed?.id }
        assigned.withLock { $0 -= slots.count - factories.count }
        slots = []
        for factory in factories { start(factory, &slots) }
    }
}
