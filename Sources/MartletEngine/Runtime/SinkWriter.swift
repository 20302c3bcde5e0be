import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// Encodes batches and appends them to the partitions of a topic, within the transaction of the thread.
///
/// A record goes to the partition of its key's hash, as Kafka's clients do it; without a key it stays in the partition number of its
/// source, so that a replay after a crash writes the same records to the same places.
struct SinkWriter {
    private let fieldsOfKey: Int
    private var keyEncoder: RecordEncoder?
    private var valueEncoder: RecordEncoder
    private let timestamp: TimestampExtractor?
    private let partitions: [PartitionLog]
    private var builders: [RecordBatchBuilder]
    private var keys = EncodedColumn()
    private var values = EncodedColumn()
    /// A batch is closed when it holds this many bytes; well under the default max.message.bytes.
    private static let batchBytes = 512 * 1024

    struct WriterSchema {
        var id: Int32
        /// Nil: the one that the fields translate to.
        var text: String?
    }

    struct Description {
        var keyFields: [Field]
        var keyFormat: FormatSpec
        var keySchema: WriterSchema?
        var valueFields: [Field]
        var valueFormat: FormatSpec
        var valueSchema: WriterSchema?
        var timestamp: PhysicalPlan.Input.Timestamp?
    }

    init(_ sink: Description, partitions: [PartitionLog]) throws(MartletError) {
        precondition(!partitions.isEmpty, "a topic has a partition")
        fieldsOfKey = sink.keyFields.count
        keyEncoder = sink.keyFields.isEmpty ? nil : try RecordEncoder(spec: sink.keyFormat, fields: sink.keyFields, schemaID: sink.keySchema?.id, schemaText: sink.keySchema?.text)
        valueEncoder = try RecordEncoder(spec: sink.valueFormat, fields: sink.valueFields, schemaID: sink.valueSchema?.id, schemaText: sink.valueSchema?.text)
        timestamp = try sink.timestamp.map { extraction throws(MartletError) in
            try TimestampExtractor(extraction, type: (sink.keyFields + sink.valueFields)[extraction.column].type)
        }
        self.partitions = partitions
        builders = partitions.map { _ in RecordBatchBuilder() }
    }

    /// Writes the rows of `batch`: its first columns are the key's, then the value's.
    /// - Returns: rows written. Rows that cannot be encoded are reported and left out.
    mutating func write(_ batch: Batch, in transaction: TransactionalWriter, failed report: inout FailedRows) throws(MartletError) -> Int {
        var batch = batch
        if let timestamp {
            var errors = RowErrors()
            let input = batch
            batch = try timestamp.apply(to: input, errors: &errors)
            report.add(errors, of: input)
        }
        if batch.count == 0 { return 0 }
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
            let columns = Array(batch.columns[..<fieldsOfKey])
            let isNull: [Bool]? = columns.count == 1 ? columns[0].validity.flags.map { $0.map { !$0 } } : Self.allNull(columns, count: batch.count)
            keyEncoder!.encode(columns, count: batch.count, isNull: isNull, into: &keys, errors: &failures)
        }
        valueEncoder.encode(
            Array(batch.columns[fieldsOfKey...]), count: batch.count, isNull: batch.nullValues, into: &values, errors: &failures)
        var failed: Set<Int> = []
        if failures.count > 0 {
            for entry in failures.entries { failed.insert(entry.row) }
            report.add(failures, of: batch)
        }
        let hasKeys = keyEncoder != nil
        if let headers = batch.headers {
            for row in 0..<batch.count where !failed.contains(row) {
                let p = partition(ofRow: row, hasKeys: hasKeys, source: batch.partition)
                appendOne(row, of: batch, headers: headers, hasKeys: hasKeys, to: p)
                try closeIfFull(p, in: transaction)
            }
            return batch.count - failed.count
        }
        if partitions.count == 1 || !hasKeys {
            let p = hasKeys ? 0 : Int(batch.partition) % partitions.count
            if failed.isEmpty {
                try append(0..<batch.count, of: batch, hasKeys: hasKeys, to: p, in: transaction)
            } else {
                for row in 0..<batch.count where !failed.contains(row) {
                    try append(row..<row + 1, of: batch, hasKeys: hasKeys, to: p, in: transaction)
                }
            }
            return batch.count - failed.count
        }
        // Runs of rows that go to the same partition are appended together.
        var start = 0
        var current = -1
        for row in 0...batch.count {
            let p = row == batch.count || failed.contains(row) ? -1 : partition(ofRow: row, hasKeys: hasKeys, source: batch.partition)
            if p != current {
                if current >= 0 { try append(start..<row, of: batch, hasKeys: hasKeys, to: current, in: transaction) }
                start = row
                current = p
            }
        }
        return batch.count - failed.count
    }

    /// Closes the batches under construction: before a commit.
    mutating func flush(in transaction: TransactionalWriter) throws(MartletError) {
        for p in builders.indices where builders[p].count > 0 { try transaction.append(partitions[p], &builders[p]) }
    }

    /// Forgets what has not been appended: after an abort.
    mutating func discard() { builders = partitions.map { _ in RecordBatchBuilder() } }

    /// A key of several columns is absent only if all of them are.
    private static func allNull(_ columns: [Column], count: Int) -> [Bool]? {
        let flags = columns.map(\.validity)
        if flags.contains(where: { $0.flags == nil }) { return nil }
        let out = (0..<count).map { row in flags.allSatisfy { !$0.isValid(row) } }
        return out.contains(true) ? out : nil
    }

    private func partition(ofRow row: Int, hasKeys: Bool, source: Int32) -> Int {
        guard partitions.count > 1 else { return 0 }
        guard hasKeys, keys.lengths[row] >= 0 else { return Int(source) % partitions.count }
        let start = Int(keys.starts[row])
        return keys.buffer.withUnsafeBytes { bytes in
            Int(
                Murmur2.partition(
                    ofKey: UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(keys.lengths[row])]), partitions: partitions.count))
        }
    }

    private mutating func closeIfFull(_ p: Int, in transaction: TransactionalWriter) throws(MartletError) {
        if builders[p].sizeBytes >= Self.batchBytes { try transaction.append(partitions[p], &builders[p]) }
    }

    private mutating func append(
        _ rows: Range<Int>, of batch: Batch, hasKeys: Bool, to p: Int, in transaction: TransactionalWriter
    ) throws(MartletError) {
        // Cut where the batch is full, looking at sizes only every 256 rows.
        var from = rows.lowerBound
        while from < rows.upperBound {
            var to = from, bytes = builders[p].sizeBytes
            while to < rows.upperBound && bytes < Self.batchBytes {
                bytes += Int(max(values.lengths[to], 0)) + (hasKeys ? Int(max(keys.lengths[to], 0)) : 0) + 16
                to += 1
            }
            builders[p].append(
                timestamps: batch.timestamps, keyBuffer: keys.buffer, keyStarts: keys.starts, keyLengths: keys.lengths,
                valueBuffer: values.buffer, valueStarts: values.starts, valueLengths: values.lengths, rows: from..<to)
            from = to
            try closeIfFull(p, in: transaction)
        }
    }

    private mutating func appendOne(_ row: Int, of batch: Batch, headers: BytesColumn, hasKeys: Bool, to p: Int) {
        func slice(_ column: EncodedColumn) -> [UInt8]? {
            let length = Int(column.lengths[row])
            return length < 0 ? nil : Array(column.buffer[Int(column.starts[row])..<Int(column.starts[row]) + length])
        }
        let key = hasKeys ? slice(keys) : nil
        let value = slice(values)
        let section = Array(headers.slice(row))
        func with<R>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
            if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
        }
        with(key) { key in
            with(value) { value in
                section.withUnsafeBytes { section in
                    builders[p].append(timestamp: batch.timestamps[row], key: key, value: value, headers: section.isEmpty ? nil : section)
                }
            }
        }
    }
}
