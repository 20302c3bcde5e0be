import MartletColumns
import MartletCore
import MartletLog

/// Records of rows that could not be decoded or evaluated, written to the processing log topic in the same transaction as the results: they
/// are there once, like the results (ksqlDB, "Processing log", extended by partition, offset and column).
///
/// Owned by one stream thread.
final class ProcessingLog: @unchecked Sendable {
    // Only the stream thread that was given this object touches it after it has been made.
    private let partition: PartitionLog
    private var builder = RecordBatchBuilder()
    private let time: TimeSource

    init(partition: PartitionLog, time: TimeSource) {
        self.partition = partition
        self.time = time
    }

    static let streamName = "KSQL_PROCESSING_LOG"
    static func topic(serviceID: String) -> String { "\(serviceID)ksql_processing_log" }

    /// The stream over the topic, registered at the first start.
    static func statement(serviceID: String) -> String {
        """
        CREATE STREAM \(streamName) (logger VARCHAR, level VARCHAR, time BIGINT, message STRUCT<type INTEGER, deserializationError \
        STRUCT<target VARCHAR, errorMessage VARCHAR, recordB64 VARCHAR, cause ARRAY<VARCHAR>, `topic` VARCHAR, `partition` INTEGER, \
        `offset` BIGINT, `column` VARCHAR>, recordProcessingError STRUCT<errorMessage VARCHAR, record VARCHAR, cause ARRAY<VARCHAR>, \
        `topic` VARCHAR, `partition` INTEGER, `offset` BIGINT, `column` VARCHAR>>) \
        WITH (kafka_topic='\(topic(serviceID: serviceID))', value_format='JSON');
        """
    }

    func deserializationErrors(_ errors: RowErrors, query: RunningQuery, topic: String, block: RecordBlock) {
        if errors.count == 0 { return }
        query.statistics.update { $0.rowsFailed += Int64(errors.count) }
        for entry in errors.entries {
            write(
                logger: "processing.\(query.id).deserializer", kind: "deserializationError", type: 0,
                fields: [
                    "target": "value", "errorMessage": .string("\(entry.column): \(entry.reason)"), "recordB64": nil, "cause": [],
                    "topic": .string(topic), "partition": .int(block.partition), "offset": .int(block.offsets[entry.row]),
                    "column": .string(entry.column),
                ])
        }
    }

    func processingErrors(_ failed: FailedRows, query: RunningQuery, source: TopicPartition) {
        if failed.count == 0 { return }
        query.statistics.update { $0.rowsFailed += Int64(failed.count) }
        for entry in failed.entries {
            write(
                logger: "processing.\(query.id)", kind: "recordProcessingError", type: 1,
                fields: [
                    "errorMessage": .string("\(entry.column): \(entry.reason)"), "record": nil, "cause": [], "topic": .string(source.topic),
                    "partition": .int(source.partition), "offset": .int(entry.offset), "column": .string(entry.column),
                ])
        }
    }

    func lostRecords(query: RunningQuery, source: TopicPartition, from: Int64, to: Int64) {
        query.statistics.update { $0.rowsFailed += to - from }
        write(
            logger: "processing.\(query.id)", kind: "recordProcessingError", type: 1,
            fields: [
                "errorMessage": .string("offsets \(from) to \(to - 1) were deleted before they were read"), "record": nil, "cause": [],
                "topic": .string(source.topic), "partition": .int(source.partition), "offset": .int(from), "column": "",
            ])
    }

    private func write(logger: String, kind: String, type: Int, fields: JSONObject) {
        let now = time.wallMs
        var message: JSONObject = ["type": .int(type), "deserializationError": nil, "recordProcessingError": nil]
        message[kind] = .object(fields)
        let record: JSONValue = ["logger": .string(logger), "level": "ERROR", "time": .int(now), "message": .object(message)]
        var bytes: [UInt8] = []
        record.write(to: &bytes)
        bytes.withUnsafeBytes { builder.append(timestamp: now, key: nil, value: $0, headers: nil) }
    }

    func flush(in transaction: TransactionalWriter) throws(MartletError) {
        if builder.count > 0 { try transaction.append(partition, &builder) }
    }

    func discard() { builder = RecordBatchBuilder() }
}
