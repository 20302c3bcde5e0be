#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// An operating system thread that runs a closure once. The data plane and everything that blocks runs on such, never on the cooperative
/// pool, which has only as many threads as the machine has cores.
///
/// The thread goes on if nobody keeps this object; then nobody can wait for it either.
public final class WorkerThread: @unchecked Sendable {
    // Written once in `init`, read by `join` and `deinit`.
    private var thread = pthread_t()
    private let isJoined = Mutex(false)
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// - `name`: for the error if there is no thread to be had.
    /// - Throws: `.io`.
    @discardableResult
    public init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(MartletError) {
        let box = Unmanaged.passRetained(Box(body))
        #if canImport(Glibc)
        var made = pthread_t()
        #else
        var made: pthread_t?
        #endif
        let status = pthread_create(&made, nil, { argument in
            #if canImport(Glibc)
            guard let argument else { return nil }
            let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            #else
            let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            #endif
            box.body()
            return nil
        }, box.toOpaque())
        guard status == 0 else {
            box.release()
            isJoined.withLock { $0 = true }
            throw MartletError(.io, "cannot start the thread \(name): error \(status)")
        }
        #if canImport(Glibc)
        thread = made
        #else
        if let made { thread = made }
        #endif
    }

    deinit {
        if !isJoined.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits for the closure to end.
    public func join() {
        let isFirst = isJoined.withLock { isJoined in
            defer { isJoined = true }
            return !isJoined
        }
        if isFirst { pthread_join(thread, nil) }
    }
}
