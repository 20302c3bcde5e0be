import MartletCore
import MartletLog

/// The durable list of statements that made the catalog: a topic with one partition, read from its beginning at every start.
struct CommandLog {
    private let partition: PartitionLog
    private let time: TimeSource

    static func topic(serviceID: String) -> String { "_confluent-ksql-\(serviceID)_command_topic" }

    init(log: EmbeddedLog, serviceID: String, time: TimeSource) throws(MartletError) {
        let topic = Self.topic(serviceID: serviceID)
        if log.topic(topic) == nil {
            try log.createTopic(topic, partitions: 1, settings: ["retention.ms": "-1", "cleanup.policy": "delete"])
        }
        log.reserve(topic)
        guard let partition = log.partition(TopicPartition(topic, 0)) else {
            throw MartletError(.internalError, "topic \(topic) has no partition 0")
        }
        self.partition = partition
        self.time = time
    }

    /// All commands so far, in order, with their offsets; and the offsets of records that are none, which Kafka clients of an older release
    /// could write.
    ///
    /// - Throws: `.incompatibleFormat` for a command of a newer version, `.io`.
    func replay() throws(MartletError) -> (commands: [(offset: Int64, command: Command)], strangers: [Int64]) {
        var commands: [(Int64, Command)] = [], strangers: [Int64] = []
        var position = partition.startOffset
        var reused: RecordBlock?
        while position < partition.highWatermark {
            let block = try partition.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &reused)
            if block.nextOffset == position { break }
            for row in 0..<block.count where block.valueLengths[row] >= 0 {
                let start = Int(block.valueStarts[row])
                let bytes = Array(block.buffer[start..<start + Int(block.valueLengths[row])])
                guard let json = try? JSONValue(parsing: bytes), json["version"]?.intValue != nil else {
                    strangers.append(block.offsets[row])
                    continue
                }
                commands.append((block.offsets[row], try Command(json)))
            }
            position = block.nextOffset
        }
        return (commands, strangers)
    }

    /// The number of the last command; −1: there is none.
    var lastNumber: Int64 { partition.lastStableOffset - 1 }

    /// Appends a command and waits until it is durable.
    /// - Returns: its offset, the `commandSequenceNumber` that clients see.
    func append(_ command: Command) throws(MartletError) -> Int64 {
        var value: [UInt8] = []
        command.json.write(to: &value)
        var builder = RecordBatchBuilder()
        value.withUnsafeBytes { builder.append(timestamp: time.wallMs, key: nil, value: $0, headers: nil) }
        return try partition.appendDurably(&builder)
    }
}

extension PartitionLog {
    /// Appends a batch outside any transaction and waits until it is on disk. Blocks: for threads that may.
    /// - Returns: the offset of its first record.
    func appendDurably(_ builder: inout RecordBatchBuilder) throws(MartletError) -> Int64 {
        do throws(KafkaError) {
            let bytes = builder.finish(producerID: -1, epoch: -1, baseSequence: -1, isTransactional: false)
            let appended: Result<AppendResult, KafkaError> = bytes.withUnsafeBytes { bytes in
                Result { () throws(KafkaError) in try append(client: bytes) }
            }
            let result = try appended.get()
            let outcome = Outcome()
            whenDurable(upTo: result.lastOffset + 1) { outcome.set($0) }
            let code = outcome.wait()
            if code != .none { throw KafkaError(code, "the record could not be made durable") }
            return result.baseOffset
        } catch {
            throw MartletError(.io, "cannot write to \(id): \(error.message)")
        }
    }

    private final class Outcome: @unchecked Sendable {
        // Written once by the sync thread before it raises the signal, read after.
        private var code = KafkaErrorCode.none
        private let signal = Signal()
        func set(_ code: KafkaErrorCode) {
            self.code = code
            signal.raise()
        }
        func wait() -> KafkaErrorCode {
            signal.wait(past: 0)
            return code
        }
    }
}
