#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A lock with a condition to wait for: what `Mutex` lacks. The state is touched only inside `update` and `wait`.
public final class Signal<State>: @unchecked Sendable {
    // `state` is guarded by `mutex`; both pointers live as long as the object.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    public init(_ state: State) {
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
    public func update<R>(_ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return body(&state)
    }

    /// Waits until `body` gives something, or for at most `timeoutMs`.
    public func wait<R>(timeoutMs: Int64? = nil, _ body: (inout State) -> R?) -> R? {
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

/// A counter that threads wait on: whoever has seen count n sleeps until it is past n, so no wake-up is lost between looking and sleeping.
extension Signal where State == UInt64 {
    public convenience init() { self.init(0) }

    public var now: UInt64 {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return state
    }

    public func raise() { update { $0 &+= 1 } }

    /// Returns when the count is past `seen`, or after `timeoutMs` milliseconds.
    public func wait(past seen: UInt64, timeoutMs: Int64? = nil) { _ = wait(timeoutMs: timeoutMs) { $0 != seen ? true : nil } }
}
