import NIOCore
import NIOPosix
import Synchronization

/// Connections of one event loop that have more requests than are worked on in one go. They have their turns one after another, and between two turns
/// the loop looks at its sockets, so that nobody waits for more than one turn of others.
///
/// Tasks of the loop's own would not do: it runs whatever is due, and what that adds, before it looks at a socket again. So there is one task for all of
/// them, which is due a moment after the turn before it has ended.
final class LoopTurns: Sendable {
    private static let ofThread = ThreadSpecificVariable<LoopTurns>()
    /// Longer than the loop takes from one task to the next.
    private static let pause = TimeAmount.microseconds(50)

    private let waiting = Mutex(CircularBuffer<@Sendable () -> Void>())

    /// Calls `turn` on this loop, after those that asked before. Call on the loop.
    static func wait(on loop: any EventLoop, _ turn: @escaping @Sendable () -> Void) {
        loop.preconditionInEventLoop()
        let turns: LoopTurns
        if let known = ofThread.currentValue {
            turns = known
        } else {
            turns = LoopTurns()
            ofThread.currentValue = turns
        }
        let isFirst = turns.waiting.withLock { waiting in
            waiting.append(turn)
            return waiting.count == 1
        }
        if isFirst { turns.schedule(loop) }
    }

    private func schedule(_ loop: any EventLoop) {
        loop.scheduleTask(in: Self.pause) { [self] in
            // Stays first while it is called: whoever asks meanwhile finds that somebody is waiting.
            waiting.withLock(\.first)?()
            let isLast = waiting.withLock { waiting in
                waiting.removeFirst()
                return waiting.isEmpty
            }
            if !isLast { schedule(loop) }
        }
    }
}
