import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Ctrl-C as something one can wait for together with a socket: a byte in a pipe.
///
/// SIGINT is blocked in every thread and taken by one that does nothing else. While nobody waits for an answer it ends the process, unless a person sits
/// at the shell.
public final class Interrupts: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32
    private let waiting = Atomic(false)
    private let staysWhenIdle = Atomic(false)

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

    /// Takes SIGINT from now on. Call before other threads are started, so that they inherit the mask.
    ///
    /// - `staysWhenIdle`: whether the process goes on when SIGINT comes while no request runs.
    public func takeSignals(staysWhenIdle: Bool) {
        self.staysWhenIdle.store(staysWhenIdle, ordering: .releasing)
        var set = Self.mask()
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                let interrupts = Unmanaged<Interrupts>.fromOpaque(argument!).takeRetainedValue()
                var set = Interrupts.mask(), number: Int32 = 0
                while true { if sigwait(&set, &number) == 0 { interrupts.arrive() } }
            }, Unmanaged.passRetained(self).toOpaque())
        pthread_detach(thread)
    }

    private func arrive() {
        if waiting.load(ordering: .acquiring) { return signal() }
        if !staysWhenIdle.load(ordering: .acquiring) { _exit(130) }
    }

    /// Makes whoever waits stop.
    func signal() {
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    /// From here until `end` SIGINT is the request's. One that came before is forgotten.
    func begin() {
        waiting.store(true, ordering: .releasing)
        drain()
    }

    func end() { waiting.store(false, ordering: .releasing) }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(readEnd, &bytes, bytes.count) > 0 {}
    }

    private static func mask() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        return set
    }
}
