import MartletCore
import MartletLog

/// Payments, generated or from the user's file, on their way into a topic: as fast as the log takes them, or at a given rate.
public final class PaymentFeed {
    public enum Source {
        case generated(seed: UInt64)
        case file(String)
    }

    /// Runs on the caller's thread; `progress` is called about ten times a second and at the end, and ends the feed by returning false.
    public struct Progress: Sendable {
        public var rows: Int64
        public var frauds: Int64
        public var bytes: Int64
        /// Lines of the file that are no payments, with the last reason.
        public var rejected: Int64
        public var lastRejection: String?

        public init(rows: Int64 = 0, frauds: Int64 = 0, bytes: Int64 = 0, rejected: Int64 = 0, lastRejection: String? = nil) {
            self.rows = rows
            self.frauds = frauds
            self.bytes = bytes
            self.rejected = rejected
            self.lastRejection = lastRejection
        }
    }

    private var generator: CreditCardGenerator
    /// Nil: rows are generated.
    private let file: CreditCardFile?
    private let producer: KafkaProducer
    private let topic: String
    private let partitions: Int32
    private let time: TimeSource
    public private(set) var total = Progress()
    private var next: Int32 = 0

    /// Creates the topic if it is not there.
    ///
    /// - `partitions`: of a topic that has to be created.
    public init(
        _ source: Source, bootstrap: String, topic: String, partitions: Int32 = 3, acks: Int16 = -1, time: TimeSource = .system
    ) throws(MartletError) {
        switch source {
        case .generated(let seed):
            generator = CreditCardGenerator(seed: seed)
            file = nil
        case .file(let path):
            generator = CreditCardGenerator(seed: 0)
            file = try CreditCardFile(path: path)
        }
        producer = try KafkaProducer(bootstrap: bootstrap, acks: acks)
        try producer.createTopic(topic, partitions: partitions)
        self.partitions = try producer.partitions(of: topic)
        self.topic = topic
        self.time = time
    }

    private func row(_ out: inout [UInt8]) throws(MartletError) -> CreditCardGenerator.Truth? {
        guard let file else { return generator.appendRow(to: &out) }
        while true {
            do {
                return try file.appendRow(to: &out)
            } catch where error.code == .incompatibleFormat {
                total.rejected += 1
                total.lastRejection = error.message
            }
        }
    }

    /// Feeds up to `count` rows (nil: to the end of the file, or for ever).
    ///
    /// - `rowsPerSecond`: nil as fast as possible.
    /// - Returns: false if the source has no more rows.
    /// - Throws: `.io` if the log refuses records or the connection is lost.
    public func run(count: Int64?, rowsPerSecond: Double?, progress: (Progress) -> Bool) throws(MartletError) -> Bool {
        var builder = RecordBatchBuilder()
        var line: [UInt8] = []
        var done: Int64 = 0
        let start = time.monotonicNs
        var reported = start
        var goesOn = true, isAtEnd = false
        while goesOn, !isAtEnd, count.map({ done < $0 }) ?? true {
            // At a rate, what is due by now goes out together; else a batch of about 256 KiB.
            var due = Int64.max
            if let rowsPerSecond {
                due = Int64(Double(time.monotonicNs - start) * 1e-9 * rowsPerSecond) + 1 - done
                if due <= 0 {
                    Pause.milliseconds(1)
                    continue
                }
            }
            if let count { due = min(due, count - done) }
            let stamp = time.wallMs
            while due > 0, builder.sizeBytes < 256 * 1024 {
                line.removeAll(keepingCapacity: true)
                guard let truth = try row(&line) else {
                    isAtEnd = true
                    break
                }
                line.withUnsafeBytes { builder.append(timestamp: stamp, key: nil, value: $0, headers: nil) }
                total.rows += 1
                total.frauds += truth.isFraud ? 1 : 0
                total.bytes += Int64(line.count)
                done += 1
                due -= 1
            }
            if builder.count > 0 {
                try producer.send(&builder, topic: topic, partition: next)
                next = (next + 1) % partitions
            }
            let now = time.monotonicNs
            if now - reported > 100_000_000 {
                reported = now
                goesOn = progress(total)
            }
        }
        try producer.flush()
        _ = progress(total)
        return !isAtEnd
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Lets a feed wait for its next row.
enum Pause {
    static func milliseconds(_ ms: Int) { usleep(UInt32(ms * 1000)) }
}
