#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import MartletCore
import Synchronization

/// A lock with a condition to wait for: what `Mutex` lacks. The state is touched only inside `withLock` and `wait`.
final class Signal<State>: @unchecked Sendable {
    // `state` is guarded by `mutex`; both pointers live as long as the object.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    init(_ state: State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        #if canImport(Glibc)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        #endif
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Changes the state and wakes those who wait.
    func update<R>(_ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return body(&state)
    }

    /// Waits until `body` gives something, or for at most `timeoutMs`.
    func wait<R>(timeoutMs: Int64? = nil, _ body: (inout State) -> R?) -> R? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var deadline = timespec()
        if let timeoutMs {
            #if canImport(Glibc)
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            #else
            clock_gettime(CLOCK_REALTIME, &deadline)
            #endif
            let ns = Int64(deadline.tv_nsec) + timeoutMs % 1000 * 1_000_000
            deadline.tv_sec += Int(timeoutMs / 1000 + ns / 1_000_000_000)
            deadline.tv_nsec = Int(ns % 1_000_000_000)
        }
        while true {
            if let result = body(&state) { return result }
            if timeoutMs == nil {
                pthread_cond_wait(condition, mutex)
            } else if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT {
                return body(&state)
            }
        }
    }
}

/// An operating system thread that runs a closure once. Blocking calls belong here, never on the cooperative pool.
final class WorkerThread: @unchecked Sendable {
    // Written once in `init`, read by `join`.
    private var thread = pthread_t()
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// `name`: for the error if there is no thread to be had.
    init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(MartletError) {
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
            throw MartletError(.io, "cannot start the thread \(name): error \(status)")
        }
        #if canImport(Glibc)
        thread = made
        #else
        if let made { thread = made }
        #endif
    }

    /// Waits for the closure to end; once.
    func join() {
        pthread_join(thread, nil)
    }
}
