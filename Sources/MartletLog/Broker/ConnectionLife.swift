import Synchronization

/// Tells the one request that waits on a connection that its client is gone, and whoever keeps something for as long as the connection lasts.
final class ConnectionLife: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isClosed = false
        var onClose: (@Sendable () -> Void)?
        var onEnd: (@Sendable () -> Void)?
    }

    /// Replaces what was to be called before; nil when nothing waits any more. Calls at once if the connection is closed already.
    func onClose(_ action: (@Sendable () -> Void)?) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose = action }
            return state.isClosed
        }
        if isClosed { action?() }
    }

    /// Called once the connection has ended, behind what waits; replaces what was to be called before. Calls at once if it is closed already.
    func onEnd(_ action: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onEnd = action }
            return state.isClosed
        }
        if isClosed { action() }
    }

    func close() {
        let (waiting, kept) = state.withLock { state in
            defer { (state.onClose, state.onEnd) = (nil, nil) }
            state.isClosed = true
            return (state.onClose, state.onEnd)
        }
        waiting?()
        kept?()
    }
}
