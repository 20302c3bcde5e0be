import MartletColumns
import MartletCore
import MartletLog
import MartletSQL

/// Encodes batches and appends them to the partitions of a topic, within the transaction of the thread.
///
/// A record goes to the partition of its key's hash, as Kafka's clients do it; without a key it stays in the partition number of its
/// source, so that a replay after a crash writes the same records to the same places.
struct SinkWriter {
    private var encoder: SinkEncoder
    private let partitions: [PartitionLog]
    private var builders: [RecordBatchBuilder]
    /// A batch is closed when it holds this many bytes; well under the default max.message.bytes.
    private static let batchBytes = 512 * 1024

    init(_ sink: SinkEncoder.Description, partitions: [PartitionLog]) throws(MartletError) {
        precondition(!partitions.isEmpty, "a topic has a partition")
        encoder = try SinkEncoder(sink)
        self.partitions = partitions
        builders = partitions.map { _ in RecordBatchBuilder() }
    }

    /// Writes the rows of `batch`: its first columns are the key's, then the value's.
    /// - Returns: rows written. Rows that cannot be encoded are reported and left out.
    mutating func write(_ batch: Batch, in transaction: TransactionalWriter, failed report: inout FailedRows) throws(MartletError) -> Int {
        let (batch, failed) = try encoder.encode(batch, failed: &report)
        if batch.count == 0 { return 0 }
        let hasKeys = encoder.hasKeys
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

    private func partition(ofRow row: Int, hasKeys: Bool, source: Int32) -> Int {
        guard partitions.count > 1 else { return 0 }
        guard hasKeys, encoder.keys.lengths[row] >= 0 else { return Int(source) % partitions.count }
        let start = Int(encoder.keys.starts[row]), end = start + Int(encoder.keys.lengths[row]) - encoder.keySuffixBytes
        return encoder.keys.buffer.withUnsafeBytes { bytes in
            Int(
                Murmur2.partition(
                    ofKey: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), partitions: partitions.count))
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
                bytes += Int(max(encoder.values.lengths[to], 0)) + (hasKeys ? Int(max(encoder.keys.lengths[to], 0)) : 0) + 16
                to += 1
            }
            builders[p].append(
                timestamps: batch.timestamps, keyBuffer: encoder.keys.buffer, keyStarts: encoder.keys.starts, keyLengths: encoder.keys.lengths,
                valueBuffer: encoder.values.buffer, valueStarts: encoder.values.starts, valueLengths: encoder.values.lengths, rows: from..<to)
            from = to
            try closeIfFull(p, in: transaction)
        }
    }

    private mutating func appendOne(_ row: Int, of batch: Batch, headers: BytesColumn, hasKeys: Bool, to p: Int) {
        func slice(_ column: EncodedColumn) -> [UInt8]? {
            let length = Int(column.lengths[row])
            return length < 0 ? nil : Array(column.buffer[Int(column.starts[row])..<Int(column.starts[row]) + length])
        }
        let key = hasKeys ? slice(encoder.keys) : nil
        let value = slice(encoder.values)
        builders[p].append(timestamp: batch.timestamps[row], key: key, value: value, headers: Array(headers.slice(row)))
    }
}
