import MartletCore
import NIOCore

/// What a reader may see.
public enum Isolation: Sendable, Hashable {
    /// Everything below the high watermark.
    case readUncommitted
    /// Everything below the last stable offset except records of aborted transactions.
    case readCommitted
}

public struct AppendResult: Sendable, Hashable {
    public var baseOffset: Int64
    public var lastOffset: Int64
    /// Milliseconds, if the topic stamps records with the time of appending; else −1.
    public var logAppendTime: Int64
    public var logStartOffset: Int64
    /// The batch had been appended before (idempotent producer): the offsets are those of the first time.
    public var duplicate: Bool

    public init(baseOffset: Int64, lastOffset: Int64, logAppendTime: Int64 = -1, logStartOffset: Int64 = 0, duplicate: Bool = false) {
        self.baseOffset = baseOffset
        self.lastOffset = lastOffset
        self.logAppendTime = logAppendTime
        self.logStartOffset = logStartOffset
        self.duplicate = duplicate
    }
}

/// A transaction that was rolled back: its records lie between `firstOffset` and `lastOffset`, the offset of its abort marker.
public struct AbortedTransaction: Sendable, Hashable {
    public var producerID: Int64
    public var firstOffset: Int64
    public var lastOffset: Int64

    public init(producerID: Int64, firstOffset: Int64, lastOffset: Int64) {
        self.producerID = producerID
        self.firstOffset = firstOffset
        self.lastOffset = lastOffset
    }
}

/// The answer to a read: whole batches as on disk.
public struct FetchSlice: Sendable {
    public var bytes: ByteBuffer
    /// Transactions that overlap the batches in `bytes`, by first offset; empty unless read committed.
    public var aborted: [AbortedTransaction]
    public var highWatermark: Int64
    public var lastStableOffset: Int64
    public var startOffset: Int64
    public var recordCount = 0
}

public enum LogEvent: Sendable, Hashable {
    /// The readable end (high watermark or last stable offset) of this partition moved.
    case advanced(TopicPartition)
    /// A topic or partition appeared or disappeared.
    case topicsChanged
}

public struct TopicDescription: Sendable, Hashable {
    public var name: String
    /// A random UUID, 16 bytes.
    public var topicID: [UInt8]
    public var partitions: Int32
    /// As given when the topic was made, plus later changes; names are Kafka's.
    public var settings: [String: String]
    public var isInternal: Bool
    /// Only its owner in this process writes, changes or deletes it; Kafka clients may read it (`EmbeddedLog.reserve`).
    public var isReserved = false
    /// The node's epoch when the topic was made.
    var firstEpoch: Int32 = 0
}

/// An offset committed by a consumer group.
public struct CommittedOffset: Sendable, Hashable {
    /// The next offset to read.
    public var offset: Int64
    /// −1 = unknown.
    public var leaderEpoch: Int32
    public var metadata: String
    /// Milliseconds when it was committed.
    public var timestamp: Int64

    public init(offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "", timestamp: Int64 = 0) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.timestamp = timestamp
    }
}

/// A failure inside the log with both its faces: for Kafka clients and for the rest of Martlet.
struct LogFailure: Error {
    var code: KafkaErrorCode
    var error: MartletError
    /// Of a batch that is refused, the records because of which.
    var records: [KafkaError.Record] = []

    init(_ code: KafkaErrorCode, _ error: ErrorCode, _ message: String, records: [KafkaError.Record] = []) {
        self.code = code
        self.records = records
        self.error = MartletError(error, message)
    }

    /// A failure of the disk or of what lies on it.
    init(_ error: MartletError) {
        self.error = error
        code =
            switch error.code {
            case .corruptRecord: .corruptMessage
            case .outOfRange: .offsetOutOfRange
            case .notFound: .unknownTopicOrPartition
            case .fenced: .producerFenced
            default: .kafkaStorageError
            }
    }

    var kafka: KafkaError {
        var told = KafkaError(code, error.message)
        told.records = records
        return told
    }
}
