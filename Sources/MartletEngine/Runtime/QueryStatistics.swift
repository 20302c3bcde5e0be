import Synchronization

/// What a query has done so far; updated once a batch.
public final class QueryStatistics: Sendable {
    public struct Values: Sendable {
        public var rowsRead: Int64 = 0
        public var bytesRead: Int64 = 0
        public var rowsWritten: Int64 = 0
        public var rowsFailed: Int64 = 0
        public var commits: Int64 = 0
    }

    private let values = Mutex(Values())

    public init() {}
    public var snapshot: Values { values.withLock { $0 } }
    func update(_ change: (inout Values) -> Void) { values.withLock { change(&$0) } }
}
