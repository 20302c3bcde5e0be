import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where time comes from, handed to whatever needs it: the system's clocks, or one that a test moves by hand.
public struct TimeSource: Sendable {
    private let readWall: @Sendable () -> Int64
    private let readMonotonic: @Sendable () -> Int64

    public init(wallMs: @escaping @Sendable () -> Int64, monotonicNs: @escaping @Sendable () -> Int64) {
        readWall = wallMs
        readMonotonic = monotonicNs
    }

    /// Milliseconds since the epoch.
    public var wallMs: Int64 { readWall() }
    /// Nanoseconds since some fixed instant; never goes back.
    public var monotonicNs: Int64 { readMonotonic() }

    public static let system = TimeSource(
        wallMs: { read(CLOCK_REALTIME) / 1_000_000 },
        monotonicNs: { read(CLOCK_MONOTONIC) })

    private static func read(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }
}

/// A clock that stands still until it is moved.
public final class ManualTime: Sendable {
    private let now: Mutex<Int64>

    public init(wallMs: Int64 = 0) { now = Mutex(wallMs) }

    public func advance(byMs ms: Int64) { now.withLock { $0 += ms } }

    public var source: TimeSource {
        TimeSource(
            wallMs: { [self] in now.withLock { $0 } },
            monotonicNs: { [self] in now.withLock { $0 * 1_000_000 } })
    }
}
