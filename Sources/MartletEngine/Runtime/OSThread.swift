#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thread of the operating system: the data plane and everything that blocks runs on such, never on the cooperative pool, which has
/// only as many threads as the machine has cores.
final class OSThread: @unchecked Sendable {
    // Written once in `start`, before the object is shared; read by `join` only.
    private var handle = pthread_t()

    private final class Body {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }

    static func start(_ run: @escaping @Sendable () -> Void) -> OSThread {
        let thread = OSThread()
        let body = Unmanaged.passRetained(Body(run: run))
        let status = pthread_create(
            &thread.handle, nil,
            { argument in
                let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                body.run()
                return nil
            }, body.toOpaque())
        precondition(status == 0, "the operating system has a thread for us")
        return thread
    }

    /// Waits until the thread has ended. Call it once.
    func join() { pthread_join(handle, nil) }
}
