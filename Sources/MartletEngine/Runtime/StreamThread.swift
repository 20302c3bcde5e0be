import Logging
import MartletCore
import MartletLog
import Synchronization

/// One thread of the operating system that runs stream tasks, all inside one transaction at a time.
///
/// It does not react to records, it drains them: every round lets each task process one block; when no task finds anything, or the commit
/// interval is over, outputs and offsets of all tasks are committed together. So an idle system answers at once and a busy one in large
/// batches; a busy one fills the next transaction while the last one commits. What happens on the thread is in `StreamLoop`.
final class StreamThread: Sendable {
    enum Command: Sendable {
        case add(TaskFactory)
        case remove(query: String, done: @Sendable () -> Void)
        case stop
    }

    /// Makes a task on the thread that will own it; again after an abort, from what is committed then.
    struct TaskFactory: Sendable {
        var query: RunningQuery
        var make: @Sendable () throws(MartletError) -> StreamTask
    }

    /// Shared with the loop.
    final class Inbox: Sendable {
        private let commands = Mutex<[Command]>([])
        let signal = Signal()
        let taskCount = Mutex(0)

        func post(_ command: Command) {
            commands.withLock { $0.append(command) }
            signal.raise()
        }

        func take() -> [Command] {
            commands.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
        }
    }

    private let inbox = Inbox()
    private let thread = Mutex<WorkerThread?>(nil)

    /// - `makeWriter`: makes the thread's writer 0 or 1: transactions alternate between two.
    /// - Throws: `.io` if there is no thread to be had.
    init(
        number: Int, makeWriter: @escaping @Sendable (_ which: Int) throws(MartletError) -> TransactionalWriter, processingLog: ProcessingLog,
        commitIntervalMs: Int64, time: TimeSource, logger: Logger
    ) throws(MartletError) {
        let inbox = inbox
        let made = try WorkerThread("martlet-stream-\(number)") {
            var loop = StreamLoop(
                inbox: inbox, makeWriter: makeWriter, processingLog: processingLog,
                limits: CommitStateMachine.Limits(intervalNs: commitIntervalMs * 1_000_000), time: time, logger: logger)
            loop.run()
        }
        thread.withLock { $0 = made }
    }

    /// Tasks on this thread, for balancing.
    var taskCount: Int { inbox.taskCount.withLock { $0 } }

    func add(_ factory: TaskFactory) {
        inbox.taskCount.withLock { $0 += 1 }
        inbox.post(.add(factory))
    }

    /// Takes the query's tasks off the thread after a commit; `done` is called on the thread.
    func remove(query: String, done: @escaping @Sendable () -> Void) { inbox.post(.remove(query: query, done: done)) }

    /// Something may be there to read.
    func wake() { inbox.signal.raise() }

    /// Commits what is done and ends the thread.
    func stop() {
        inbox.post(.stop)
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }
}
