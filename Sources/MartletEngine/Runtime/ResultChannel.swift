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

    /// Bytes of memory that it keeps alive.
    public var heldBytes: Int {
        var counted: Set<UInt> = []
        return columns.reduce(0) { $0 + $1.heldBytes(&counted) }
    }
}

private enum SendOutcome { case sent(CheckedContinuation<Void, Never>?), full, cancelled }

/// A bounded queue between a query's thread, which blocks when it is full, and a client's task, which suspends when it is empty: a slow
/// reader holds the query back and memory stays flat.
public final class ResultChannel<Element: Sendable>: Sendable {
    private struct State {
        var queue: [(element: Element, bytes: Int)] = []
        var bytes = 0
        var waiting: CheckedContinuation<Void, Never>?
        var isFinished = false
        var isCancelled = false
        var error: MartletError?
    }

    private let state = Mutex(State())
    private let room = Signal()
    private let capacity: Int
    private let bytesMax: Int

    /// - `capacity`: batches held at most; `bytesMax`: bytes of them, though one batch may always wait, however large it is.
    public init(capacity: Int = 16, bytesMax: Int = 4 << 20) {
        self.capacity = capacity
        self.bytesMax = bytesMax
    }

    /// Adds a batch of about `bytes`, waiting for room. False once the reader has gone: the query should end.
    public func send(_ element: Element, bytes: Int) -> Bool {
        while true {
            let seen = room.now
            let outcome: SendOutcome = state.withLock { state in
                if state.isCancelled { return .cancelled }
                if state.queue.count >= capacity || !state.queue.isEmpty && state.bytes + bytes > bytesMax { return .full }
                state.queue.append((element, bytes))
                state.bytes += bytes
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
            state.bytes = 0
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
                if !state.queue.isEmpty {
                    let (element, bytes) = state.queue.removeFirst()
                    state.bytes -= bytes
                    return .success(element)
                }
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
