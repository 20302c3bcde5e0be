import MartletColumns
import MartletCore
import Synchronization

/// Rows of a query on their way to one client.
public struct ResultBatch: Sendable {
    public var columns: [Column]
    public var count: Int
    /// Rows that delete their key (push queries on tables); nil: none.
    public var tombstones: [Bool]?

    public init(columns: [Column], count: Int, tombstones: [Bool]? = nil) {
        self.columns = columns
        self.count = count
        self.tombstones = tombstones
    }
}

private enum SendOutcome { case sent(CheckedContinuation<Void, Never>?), full, cancelled }

/// A bounded queue between a query's thread, which blocks when it is full, and a client's task, which suspends when it is empty: a slow
/// reader holds the query back and memory stays flat.
public final class ResultChannel<Element: Sendable>: Sendable {
    private struct State {
        var queue: [Element] = []
        var waiting: CheckedContinuation<Void, Never>?
        var isFinished = false
        var isCancelled = false
        var error: MartletError?
    }

    private let state = Mutex(State())
    private let room = Signal()
    private let capacity: Int

    /// - `capacity`: batches held at most.
    public init(capacity: Int = 16) { self.capacity = capacity }

    /// Adds a batch, waiting for room. False once the reader has gone: the query should end.
    public func send(_ element: Element) -> Bool {
        while true {
            let seen = room.now
            let outcome: SendOutcome = state.withLock { state in
                if state.isCancelled { return .cancelled }
                if state.queue.count >= capacity { return .full }
                state.queue.append(element)
                defer { state.waiting = nil }
                return .sent(state.waiting)
            }
            switch outcome {
            case .sent(let reader):
                reader?.resume()
                return true
            case .cancelled: return false
            case .full: room.wait(past: seen)
            }
        }
    }

    /// No more batches; `error`, if there is one, is thrown to the reader after the last batch.
    public func finish(_ error: MartletError? = nil) {
        let reader = state.withLock { state in
            state.isFinished = true
            if state.error == nil { state.error = error }
            defer { state.waiting = nil }
            return state.waiting
        }
        reader?.resume()
    }

    /// The reader's side: nothing more is wanted. Wakes a sender that waits for room.
    public func cancel() {
        let reader = state.withLock { state in
            state.isCancelled = true
            state.queue = []
            defer { state.waiting = nil }
            return state.waiting
        }
        reader?.resume()
        room.raise()
    }

    public var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// The next batch; nil at the end or after `cancel`. One reader at a time.
    public func next() async throws(MartletError) -> Element? {
        while true {
            let step: Result<Element?, MartletError>? = state.withLock { state in
                if !state.queue.isEmpty { return .success(state.queue.removeFirst()) }
                if state.isCancelled { return .success(nil) }
                if state.isFinished { return state.error.map { .failure($0) } ?? .success(nil) }
                return nil
            }
            if let step {
                room.raise()
                return try step.get()
            }
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state in
                    if !state.queue.isEmpty || state.isFinished || state.isCancelled { return true }
                    state.waiting = continuation
                    return false
                }
                if resumeNow { continuation.resume() }
            }
        }
    }
}
