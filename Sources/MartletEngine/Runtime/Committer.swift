import MartletCore
import MartletLog

/// Commits transactions in the background, one at a time, on a thread that is started for the first of them.
final class Committer: Sendable {
    typealias Outcome = Result<Void, MartletError>

    private struct State {
        var isRunning = false
        var isStopping = false
        var job: PreparedTransaction?
        var outcome: Outcome?
    }

    private let state = Signal(State())
    private let ended: @Sendable () -> Void

    /// - `ended`: called on the thread of the committer after each commit.
    init(ended: @escaping @Sendable () -> Void) { self.ended = ended }

    deinit { stop() }

    /// Begins a commit; the one before has ended and its outcome was taken.
    func start(_ transaction: PreparedTransaction) {
        let needsThread = state.update { state in
            precondition(state.job == nil && state.outcome == nil, "one commit at a time")
            state.job = transaction
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard needsThread else { return }
        let state = state, ended = ended
        do throws(MartletError) {
            try WorkerThread("martlet-commit") {
                while let job = state.wait({ state in state.isStopping ? .some(nil) : state.job.map { .some($0) } }) ?? nil {
                    Self.run(job, state)
                    ended()
                }
            }
        } catch {
            // No thread to be had: the caller does it, and the next commit asks again.
            Self.run(transaction, state)
            state.update { $0.isRunning = false }
        }
    }

    private static func run(_ job: PreparedTransaction, _ state: Signal<State>) {
        let outcome: Outcome
        do throws(MartletError) {
            outcome = .success(try job.commit())
        } catch {
            outcome = .failure(error)
        }
        state.update { state in
            state.job = nil
            state.outcome = outcome
        }
    }

    /// Takes the outcome of a commit that has ended; nil if there is none.
    func poll() -> Outcome? {
        state.update { state in
            defer { state.outcome = nil }
            return state.outcome
        }
    }

    /// Waits for the commit that was started, and takes its outcome.
    func wait() -> Outcome? {
        state.wait { state in
            guard let outcome = state.outcome else { return nil }
            state.outcome = nil
            return outcome
        }
    }

    /// Ends the thread after the commit under way.
    func stop() { state.update { $0.isStopping = true } }
}
