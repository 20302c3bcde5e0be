import MartletColumns
import MartletCore
import MartletSQL

/// Encodes the rows of a stage into keys and values of its output topic.
///
/// After `encode` the result lies in `keys` and `values`, one entry a row of the batch returned.
struct SinkEncoder {
    struct Description {
        var keyFields: [Field]
        var keyFormat: FormatSpec
        var keySchema: SchemaRegistry.WriterSchema?
        var valueFields: [Field]
        var valueFormat: FormatSpec
        var valueSchema: SchemaRegistry.WriterSchema?
        var timestamp: PhysicalPlan.Input.Timestamp?
        /// Keys carry the bounds of their windows.
        var window: Source.SourceWindow?
    }

    private let keyColumns: Int
    private var keyEncoder: RecordEncoder?
    private var valueEncoder: RecordEncoder
    private let timestamp: TimestampExtractor?
    private let window: Source.SourceWindow?
    private(set) var keys = EncodedColumn()
    private(set) var values = EncodedColumn()

    init(_ sink: Description) throws(MartletError) {
        keyColumns = sink.keyFields.count
        window = sink.window
        keyEncoder =
            sink.keyFields.isEmpty
            ? nil
            : try RecordEncoder(
                spec: sink.keyFormat, fields: sink.keyFields, schemaID: sink.keySchema?.id, schemaText: sink.keySchema?.text,
                imports: sink.keySchema?.imports ?? [])
        valueEncoder = try RecordEncoder(
            spec: sink.valueFormat, fields: sink.valueFields, schemaID: sink.valueSchema?.id, schemaText: sink.valueSchema?.text,
            imports: sink.valueSchema?.imports ?? [])
        timestamp = try sink.timestamp.map { extraction throws(MartletError) in
            try TimestampExtractor(extraction, type: (sink.keyFields + sink.valueFields)[extraction.column].type)
        }
    }

    var hasKeys: Bool { keyEncoder != nil }
    /// Bytes at the end of each key that say nothing about its partition: rows of one key are in one partition, whatever their windows (Kafka
    /// Streams: windowed stream partitioner).
    var keySuffixBytes: Int { window.map(WindowedKeys.suffixBytes) ?? 0 }

    /// Encodes `batch`: its first columns are the key's, then the value's.
    ///
    /// - Returns: the rows as they are to be written, timestamps settled, and which of them could not be encoded; those are reported.
    mutating func encode(_ input: Batch, failed report: inout FailedRows) throws(MartletError) -> (batch: Batch, failed: Set<Int>) {
        var batch = input
        if let timestamp {
            var errors = RowErrors()
            batch = try timestamp.apply(to: input, errors: &errors)
            report.add(errors, of: input)
        }
        values.removeAll()
        var failures = RowErrors()
        if keyEncoder == nil {
            let missing = batch.count - keys.lengths.count
            if missing > 0 {
                keys.starts.append(contentsOf: repeatElement(0, count: missing))
                keys.lengths.append(contentsOf: repeatElement(-1, count: missing))
            }
        } else {
            keys.removeAll()
            let columns = Array(batch.columns[..<keyColumns])
            // A single key column that is null is no key; a key of several columns is there even if they are all null.
            let isNull = columns.count == 1 ? columns[0].validity.flags.map { $0.map { !$0 } } : batch.nullKeys
            keyEncoder!.encode(columns, count: batch.count, isNull: isNull, into: &keys, errors: &failures)
            if let window, let bounds = batch.windows { keys = WindowedKeys.join(keys, bounds, window) }
        }
        valueEncoder.encode(Array(batch.columns[keyColumns...]), count: batch.count, isNull: batch.nullValues, into: &values, errors: &failures)
        if failures.count == 0 { return (batch, []) }
        report.add(failures, of: batch)
        // `failures` names only the first few.
        return (batch, Set(((hasKeys ? keys.failed : []) + values.failed).map { Int($0) }))
    }
}
