import Synchronization

/// Tells the one request that waits on a connection that its client is gone.
final class ConnectionLife: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isClosed = false
        var onClose: (@Sendable () -> Void)?
    }

    /// Replaces what was to be called before; nil when nothing waits any more. Calls at once if the connection is closed already.
    func onClose(_ action: (@Sendable () -> Void)?) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose = action }
            return state.isClosed
        }
        if isClosed { action?() }
    }

    func close() {
        let action = state.withLock { state in
            defer { state.onClose = nil }
            state.isClosed = true
            return state.onClose
        }
        action?()
    }
}
