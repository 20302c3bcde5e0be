import NIOCore
import NIOHTTP1
import Synchronization

/// Writes one response to one client, held back by a slow one.
///
/// Bytes that were written and have not left for the socket yet are counted; above `pendingBytesMax` a writer waits until half of them have
/// gone. So memory stays flat however slowly the client reads, and a fast one never waits. One task writes at a time.
final class ResponseWriter: Sendable {
    private struct State {
        var pendingBytes = 0
        var pendingBytesMax = 1 << 20
        var isClosed = false
        var waiting: CheckedContinuation<Void, Never>?
        var onClose: [@Sendable () -> Void] = []
    }

    private let channel: any Channel
    private let state = Mutex(State())
    /// HEAD: headers only.
    private let omitsBody: Bool

    init(channel: any Channel, omitsBody: Bool) {
        self.channel = channel
        self.omitsBody = omitsBody
    }

    /// The client's address, without a port.
    var host: String { channel.remoteAddress?.ipAddress ?? channel.parent?.remoteAddress?.ipAddress ?? "" }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// For clients that send everything before they read anything: their acknowledgements have to wait here.
    func setPendingBytesMax(_ bytes: Int) { state.withLock { $0.pendingBytesMax = bytes } }

    /// Calls `body` once the client has gone before the end of the response; at once if it has.
    func onClose(_ body: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose.append(body) }
            return state.isClosed
        }
        if isClosed { body() }
    }

    /// Sends the status line and headers.
    func start(_ head: HTTPResponseHead) { channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil) }

    /// Sends `bytes` at once, as one chunk; returns when there is room for more.
    /// - Throws: `ClientGone`.
    func write(_ bytes: [UInt8]) async throws(ClientGone) {
        if bytes.isEmpty || omitsBody { return }
        let count = bytes.count
        let isClosed = state.withLock { state in
            state.pendingBytes += count
            return state.isClosed
        }
        if isClosed { throw ClientGone() }
        let written = channel.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { [self] result in
            switch result {
            case .success: left(count)
            case .failure: close()
            }
        }
        channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))), promise: written)
        await withCheckedContinuation { continuation in
            let goOn = state.withLock { state in
                if state.isClosed || state.pendingBytes <= state.pendingBytesMax { return true }
                state.waiting = continuation
                return false
            }
            if goOn { continuation.resume() }
        }
        if self.isClosed { throw ClientGone() }
    }

    /// Ends the response; true once its last byte was handed to the socket.
    func end() async -> Bool {
        if isClosed { return false }
        return await withCheckedContinuation { continuation in
            channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { result in
                if case .success = result { continuation.resume(returning: true) } else { continuation.resume(returning: false) }
            }
        }
    }

    private func left(_ count: Int) {
        let waiting: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.pendingBytes -= count
            guard state.pendingBytes <= state.pendingBytesMax / 2 else { return nil }
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    /// The client has gone.
    func close() {
        let (waiting, callbacks) = state.withLock { state in
            state.isClosed = true
            defer {
                state.waiting = nil
                state.onClose = []
            }
            return (state.waiting, state.onClose)
        }
        waiting?.resume()
        for callback in callbacks { callback() }
    }

    /// The response is complete: what follows on the connection concerns others.
    func forgetCallbacks() { state.withLock { $0.onClose = [] } }
}
