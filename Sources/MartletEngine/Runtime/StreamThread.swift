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
        var trouble = Trouble()

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
                    if isOpen, let open = writer, !finish(open, &slots, &trouble) { writer = nil }
                    isOpen = false
                    let before = slots.count
                    slots.removeAll { $0.factory.query.id == query }
                    assigned.withLock { $0 -= before - slots.count }
                    done()
                case .stop:
                    if isOpen, let open = writer { _ = finish(open, &slots, &trouble) }
                    return
                }
            }
            let waitMs = (trouble.retryAtNs - time.monotonicNs) / 1_000_000
            if waitMs > 0 {
                signal.wait(past: seen, timeoutMs: waitMs)
                continue
            }
            if writer == nil && !slots.isEmpty {
                do {
                    writer = try makeWriter()
                } catch {
                    wait(&trouble, "stream thread cannot open its transaction, tries again", error)
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
                    fail(slots[i].factory.query, error, current, &slots, &trouble)
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
            if !progressed || isDue {
                if slots.contains(where: { $0.task.hasUncommittedWork }) {
                    if finish(current, &slots, &trouble) {
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

    /// Commits outputs and offsets of all tasks.
    /// - Returns: false if it failed; the tasks have then been made anew.
    private func finish(_ writer: TransactionalWriter, _ slots: inout [Slot], _ trouble: inout Trouble) -> Bool {
        let moved = slots.filter { $0.task.hasUncommittedOffsets }
        for slot in moved {
            do {
                try slot.task.prepareCommit(in: writer, log: processingLog)
            } catch {
                fail(slot.factory.query, error, writer, &slots, &trouble)
                return false
            }
        }
        do {
            try processingLog.flush(in: writer)
            try writer.commit()
        } catch {
            wait(&trouble, "commit failed, tries again", error)
            restart(nil, writer, &slots)
            return false
        }
        for slot in moved { slot.task.markCommitted() }
        if trouble.message != nil {
            logger.warning("stream thread goes on")
            trouble = Trouble()
        }
        return true
    }

    /// A query that failed stops; a full disk is no fault of the query, which waits for room.
    private func fail(
        _ query: RunningQuery, _ error: MartletError, _ writer: TransactionalWriter, _ slots: inout [Slot], _ trouble: inout Trouble
    ) {
        if error.code == .diskFull {
            wait(&trouble, "stream thread waits for room on the disk", error)
            return restart(nil, writer, &slots)
        }
        logger.error("query stopped", metadata: ["query": "\(query.id)", "error": "\(error)"])
        query.fail(error)
        restart(query, writer, &slots)
    }

    /// What keeps the whole thread from committing; it tries again, at most every second, and says so once.
    private struct Trouble {
        var message: String?
        var retryAtNs: Int64 = 0
    }

    private func wait(_ trouble: inout Trouble, _ what: String, _ error: MartletError) {
        let message = "\(what): \(error)"
        if trouble.message != message { logger.error("\(what)", metadata: ["error": "\(error)"]) }
        let isFirst = trouble.message == nil
        trouble.message = message
        trouble.retryAtNs = time.monotonicNs + (isFirst ? 50_000_000 : 1_000_000_000)
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
