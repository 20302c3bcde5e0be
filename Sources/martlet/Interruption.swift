import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// SIGINT, SIGTERM and SIGHUP (the terminal is gone) as a byte in a pipe.
///
/// A handler and not `sigwait`: an async main runs on a thread of the pool, so it cannot block the signals in the main thread, which then takes them.
enum Interruption {
    /// Takes the signals from now on.
    static func block() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }  // Without a pipe the signals end the process at once, as they do by default.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        readEnd.store(ends[0], ordering: .releasing)
        writeEnd.store(ends[1], ordering: .releasing)
        for number in [SIGINT, SIGTERM] { signal(number) { _ in Interruption.arrive() } }
        // `nohup` ignores it for its command, and then so do we.
        if signal(SIGHUP, SIG_IGN) == nil { signal(SIGHUP) { _ in Interruption.arrive() } }
        signal(SIGPIPE, SIG_IGN)
    }

    /// Suspends until the first of the signals; a second one, while the process shuts down, ends it at once.
    static func wait() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            var thread = pthread_t()
            let box = Unmanaged.passRetained(Box(continuation))
            pthread_create(
                &thread, nil,
                { argument in
                    let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
                    Interruption.next()
                    box.continuation.resume()
                    Interruption.next()
                    _exit(130)
                }, box.toOpaque())
            pthread_detach(thread)
        }
    }

    // The handler reads these: `block` has touched both before, so nothing in it allocates or locks.
    private static let readEnd = Atomic<Int32>(-1)
    private static let writeEnd = Atomic<Int32>(-1)

    private static func arrive() {
        let before = errno
        var byte: UInt8 = 1
        _ = write(writeEnd.load(ordering: .acquiring), &byte, 1)
        errno = before
    }

    private static func next() {
        var byte: UInt8 = 0
        while writeEnd.load(ordering: .acquiring) < 0 { pause() }
        while read(readEnd.load(ordering: .acquiring), &byte, 1) < 0, errno == EINTR {}
    }

    private final class Box {
        let continuation: CheckedContinuation<Void, Never>
        init(_ continuation: CheckedContinuation<Void, Never>) { self.continuation = continuation }
    }
}

/// Whether the user has asked to end.
final class Stop: Sendable {
    private let requested = Atomic(false)
    func request() { requested.store(true, ordering: .releasing) }
    var isRequested: Bool { requested.load(ordering: .acquiring) }
}
