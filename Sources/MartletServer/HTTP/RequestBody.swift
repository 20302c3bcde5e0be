import NIOCore
import Synchronization

/// A request's body on its way to a route that reads it piece by piece.
///
/// The connection's handler puts in, one task takes out. Above `bytesMax` the handler stops reading from the socket, so that the client is
/// held back; `roomMade` tells it to go on.
final class RequestBody: Sendable {
    private struct State {
        var pieces: [ByteBuffer] = []
        var bytes = 0
        var isFinished = false
        var isBroken = false
        var isFull = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    static let bytesMax = 1 << 20
    private let state = Mutex(State())
    private let roomMade: @Sendable () -> Void

    init(roomMade: @escaping @Sendable () -> Void) { self.roomMade = roomMade }

    /// False: hold back the client.
    var hasRoom: Bool {
        state.withLock { state in
            state.isFull = state.bytes >= Self.bytesMax
            return !state.isFull
        }
    }

    func append(_ piece: ByteBuffer) {
        wake { state in
            state.pieces.append(piece)
            state.bytes += piece.readableBytes
        }
    }

    func finish() { wake { $0.isFinished = true } }
    /// The client has gone before the end.
    func fail() { wake { $0.isBroken = true } }

    private func wake(_ change: (inout State) -> Void) {
        let reader = state.withLock { state in
            change(&state)
            defer { state.waiting = nil }
            return state.waiting
        }
        reader?.resume()
    }

    /// All that has come, waiting for some; nil at the end.
    /// - Throws: `ClientGone`.
    func next() async throws(ClientGone) -> [UInt8]? {
        while true {
            let (step, wasFull): (Result<[UInt8]?, ClientGone>?, Bool) = state.withLock { state in
                if !state.pieces.isEmpty {
                    var bytes: [UInt8] = []
                    bytes.reserveCapacity(state.bytes)
                    for piece in state.pieces { bytes.append(contentsOf: piece.readableBytesView) }
                    state.pieces = []
                    state.bytes = 0
                    defer { state.isFull = false }
                    return (.success(bytes), state.isFull)
                }
                if state.isBroken { return (.failure(ClientGone()), false) }
                return (state.isFinished ? .success(nil) : nil, false)
            }
            if wasFull { roomMade() }
            if let step { return try step.get() }
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state in
                    if !state.pieces.isEmpty || state.isFinished || state.isBroken { return true }
                    state.waiting = continuation
                    return false
                }
                if resumeNow { continuation.resume() }
            }
        }
    }
}

/// The client closed its connection or reset its stream; there is nobody to answer.
struct ClientGone: Error {}
