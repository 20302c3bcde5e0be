import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Ctrl-C as something one can wait for together with a socket: a byte in a pipe.
///
/// While nobody waits for an answer it ends the process, unless a person sits at the shell.
public final class Interrupts: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32
    /// nil if the system has no pipe for us.
    public init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Takes SIGINT from now on, for the rest of the process' life.
    ///
    /// A handler and not `sigwait`, because threads that run already would have to block the signal.
    /// - `staysWhenIdle`: whether the process goes on when SIGINT comes while no request runs.
    public func takeSignals(staysWhenIdle: Bool) {
        SignalState.staysWhenIdle.store(staysWhenIdle, ordering: .relaxed)
        SignalState.isWaiting.store(false, ordering: .relaxed)
        SignalState.pipe.store(writeEnd, ordering: .releasing)
        _ = Unmanaged.passRetained(self)  // The handler writes into its pipe for ever.
        _ = Glibc.signal(SIGINT) { _ in SignalState.arrive() }
    }

    /// Makes whoever waits stop.
    func signal() {
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    /// From here until `end` SIGINT is the request's. One that came before is forgotten.
    func begin() {
        drain()
        SignalState.isWaiting.store(true, ordering: .releasing)
    }

    func end() { SignalState.isWaiting.store(false, ordering: .releasing) }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(readEnd, &bytes, bytes.count) > 0 {}
    }
}

/// What the handler of SIGINT reads: nothing in it allocates or locks, and `takeSignals` has touched everything before.
private enum SignalState {
    static let pipe = Atomic<Int32>(-1)
    static let isWaiting = Atomic(false)
    static let staysWhenIdle = Atomic(false)

    static func arrive() {
        if isWaiting.load(ordering: .acquiring) {
            let before = errno
            var byte: UInt8 = 1
            _ = write(pipe.load(ordering: .acquiring), &byte, 1)
            errno = before
        } else if !staysWhenIdle.load(ordering: .acquiring) {
            _exit(130)
        }
    }
}
