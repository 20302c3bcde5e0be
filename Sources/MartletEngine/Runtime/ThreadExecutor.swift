import MartletCore
import Synchronization

/// Runs an actor's jobs on one thread of its own, so that an actor may wait for the disk without starving the cooperative pool.
final class ThreadExecutor: SerialExecutor {
    private struct Jobs {
        var waiting: [UnownedJob] = []
        var isStopped = false
    }

    private let jobs = Mutex(Jobs())
    private let signal = Signal()

    /// - Throws: `.io` if there is no thread to be had.
    init() throws(MartletError) { try WorkerThread("martlet-statements") { [self] in run() } }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.waiting.append(job) }
        signal.raise()
    }

    /// Ends the thread once the jobs enqueued so far have run.
    func stop() {
        jobs.withLock { $0.isStopped = true }
        signal.raise()
    }

    private func run() {
        while true {
            let seen = signal.now
            let (batch, isStopped) = jobs.withLock { state in
                let batch = state.waiting
                state.waiting = []
                return (batch, state.isStopped)
            }
            for job in batch { job.runSynchronously(on: asUnownedSerialExecutor()) }
            if batch.isEmpty {
                if isStopped { return }
                signal.wait(past: seen)
            }
        }
    }
}
