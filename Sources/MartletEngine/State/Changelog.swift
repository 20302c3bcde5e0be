import MartletColumns
import MartletCore
import MartletLog

/// A store and the partition that its changes are written to.
final class Changelog {
    let store: any StateStore
    let log: PartitionLog
    private var block: RecordBlock?
    private static let batchBytes = 512 * 1024

    private let time: TimeSource

    init(_ store: any StateStore, _ log: PartitionLog, time: TimeSource) {
        self.time = time
        self.store = store
        self.log = log
    }

    /// Reads everything committed back into the store.
    func restore() throws(MartletError) {
        var position = log.startOffset
        let end = log.lastStableOffset
        while position < end {
            let block = try log.readBlock(from: position, maxBytes: 1 << 20, isolation: .readCommitted, reusing: &block)
            defer { self.block = block }
            if block.nextOffset == position { break }
            position = block.nextOffset
            if block.count > 0 { try store.restore(block) }
        }
        block = nil
    }

    /// Writes what changed since the last call.
    func write(in transaction: TransactionalWriter) throws(MartletError) {
        var changes = StateChanges()
        try store.takeChanges(&changes)
        // What may be deleted after a while has to stay that long from now on, also where the rows are of long ago.
        if store.retentionMs != nil { changes.timestamps = [Int64](repeating: time.wallMs, count: changes.count) }
        var builder = RecordBatchBuilder()
        var from = 0
        while from < changes.count {
            var to = from, bytes = 0
            while to < changes.count && bytes < Self.batchBytes {
                bytes += Int(max(changes.keys.lengths[to], 0)) + Int(max(changes.values.lengths[to], 0)) + 16
                to += 1
            }
            builder.append(
                timestamps: changes.timestamps, keyBuffer: changes.keys.buffer, keyStarts: changes.keys.starts, keyLengths: changes.keys.lengths,
                valueBuffer: changes.values.buffer, valueStarts: changes.values.starts, valueLengths: changes.values.lengths, rows: from..<to)
            try transaction.append(log, &builder)
            from = to
        }
    }
}
