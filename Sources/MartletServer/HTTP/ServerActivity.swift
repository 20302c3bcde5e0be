import MartletCore
import Synchronization

/// What the server is doing now and has done so far: the numbers of `/metrics`, and what a stop has to wait for.
final class ServerActivity: Sendable {
    struct Counts: Sendable {
        var requests = 0
        var failures = 0
        var queries = 0
        var queryRows = 0
        var insertedRows = 0
    }

    private struct State {
        var counts = Counts()
        var open = 0
        var isStopping = false
        var nextQuery = 0
        var queries: [Int: @Sendable () -> Void] = [:]
    }

    /// What requests and queries are told that a stop cuts short.
    static let isShuttingDown = MartletError(.shuttingDown, "The server is shutting down")

    private let state = Mutex(State())
    let startedNs: Int64

    init(startedNs: Int64) { self.startedNs = startedNs }

    var counts: Counts { state.withLock { $0.counts } }
    var isStopping: Bool { state.withLock { $0.isStopping } }
    var openRequests: Int { state.withLock { $0.open } }
    var openQueries: Int { state.withLock { $0.queries.count } }

    /// A request begins. False: the server is stopping.
    func begin() -> Bool {
        state.withLock { state in
            if state.isStopping { return false }
            state.open += 1
            state.counts.requests += 1
            return true
        }
    }

    func end() { state.withLock { $0.open -= 1 } }
    func countFailure() { state.withLock { $0.counts.failures += 1 } }
    func count(rows: Int) { state.withLock { $0.counts.queryRows += rows } }
    /// A query that was answered at once.
    func answered(rows: Int) {
        state.withLock { state in
            state.counts.queries += 1
            state.counts.queryRows += rows
        }
    }
    func count(inserted: Int) { state.withLock { $0.counts.insertedRows += inserted } }

    /// A query runs for a client; `close` ends it when the server stops.
    func queryBegan(_ close: @escaping @Sendable () -> Void) -> Int {
        let (id, isStopping) = state.withLock { state in
            state.nextQuery += 1
            state.counts.queries += 1
            state.queries[state.nextQuery] = close
            return (state.nextQuery, state.isStopping)
        }
        if isStopping { close() }
        return id
    }

    func queryEnded(_ id: Int) { state.withLock { $0.queries[id] = nil } }

    /// No new requests; running queries of clients end.
    func stop() {
        let queries = state.withLock { state in
            state.isStopping = true
            return Array(state.queries.values)
        }
        for close in queries { close() }
    }
}
