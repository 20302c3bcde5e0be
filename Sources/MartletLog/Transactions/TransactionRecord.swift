import MartletCore

/// What the transaction log `__transaction_state` says of one transactional id; the latest record counts.
///
/// Key: version u8 = 1, transactional id. Value (little-endian): version u8 = 1, decided u8 (1 = the transaction below is committed,
/// 3 = and the producer's next one has the next epoch), from client u8, producer id i64, epoch i16, timeout i32 ms, timestamp i64, partitions (count u32; topic, partition i32, end offset i64),
/// offsets (count u32; group, topic, partition i32, offset i64, leader epoch i32, metadata, timestamp i64). Strings have a u32 length.
///
/// A producer id and epoch serve many transactions, so a decision says where its data ends in each partition: an open transaction that
/// begins there or later is another one, and not decided.
struct TransactionRecord: Sendable, Equatable {
    struct Part: Sendable, Equatable {
        var partition: TopicPartition
        /// After the transaction's last record.
        var end: Int64
    }

    var transactionalID: String
    var isDecided = false
    /// With the transaction its epoch ends (KIP-890).
    var endsEpoch = false
    var isFromClient = false
    var producerID: Int64
    var epoch: Int16
    var timeoutMs: Int32
    var timestamp: Int64
    var parts: [Part] = []
    var offsets: [DecidedOffset] = []

    /// Of the transaction that comes after this one, once it is decided.
    var nextEpoch: Int16 { isDecided && endsEpoch ? epoch + 1 : epoch }

    var key: [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        out.put(transactionalID)
        return out.bytes
    }

    var value: [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        out.put(UInt8(isDecided ? (endsEpoch ? 3 : 1) : 0))
        out.put(UInt8(isFromClient ? 1 : 0))
        out.put(producerID)
        out.put(epoch)
        out.put(timeoutMs)
        out.put(timestamp)
        out.put(UInt32(parts.count))
        for part in parts {
            out.put(part.partition.topic)
            out.put(part.partition.partition)
            out.put(part.end)
        }
        out.put(UInt32(offsets.count))
        for offset in offsets {
            out.put(offset.group)
            out.put(offset.partition.topic)
            out.put(offset.partition.partition)
            offset.committed.put(into: &out)
        }
        return out.bytes
    }

    init(transactionalID: String, producerID: Int64, epoch: Int16, timeoutMs: Int32, timestamp: Int64) {
        self.transactionalID = transactionalID
        self.producerID = producerID
        self.epoch = epoch
        self.timeoutMs = timeoutMs
        self.timestamp = timestamp
    }

    init?(key: [UInt8], value: [UInt8]) {
        var keyReader = ByteReader(key), reader = ByteReader(value)
        guard keyReader.take() == UInt8(1), let id = keyReader.takeString(), reader.take() == UInt8(1), let decided: UInt8 = reader.take(),
            let client: UInt8 = reader.take(), let producerID: Int64 = reader.take(), let epoch: Int16 = reader.take(),
            let timeout: Int32 = reader.take(), let timestamp: Int64 = reader.take(), let partCount: UInt32 = reader.take()
        else { return nil }
        self.init(transactionalID: id, producerID: producerID, epoch: epoch, timeoutMs: timeout, timestamp: timestamp)
        isDecided = decided & 1 == 1
        endsEpoch = decided & 2 == 2
        isFromClient = client == 1
        for _ in 0..<partCount {
            guard let topic = reader.takeString(), let partition: Int32 = reader.take(), let end: Int64 = reader.take() else { return nil }
            parts.append(Part(partition: TopicPartition(topic, partition), end: end))
        }
        guard let offsetCount: UInt32 = reader.take() else { return nil }
        for _ in 0..<offsetCount {
            guard let group = reader.takeString(), let topic = reader.takeString(), let partition: Int32 = reader.take(),
                let committed = CommittedOffset(from: &reader)
            else { return nil }
            offsets.append(DecidedOffset(group: group, partition: TopicPartition(topic, partition), committed: committed))
        }
    }
}
