import MartletCore

/// What the transaction log `__transaction_state` says of one transactional id; the latest record counts.
///
/// Key: version u8 = 1, transactional id. Value (little-endian): version u8 = 2, decided u8 (1 = the transaction below is committed,
/// 3 = and the producer's next one has the next epoch), from client u8, producer id i64, epoch i16, timeout i32 ms, timestamp i64, partitions (count u32; topic, partition i32, end offset i64),
/// offsets (count u32; group, topic, partition i32, offset i64, leader epoch i32, metadata, timestamp i64), how the last transaction ended u8
/// (0 none yet, 1 committed, 2 aborted), ongoing u8 (1: the next transaction is open: begun i64 ms, partitions as above but with their ends when
/// this was written, offsets as above). Strings have a u32 length. Version 1 ends before "how the last transaction ended".
///
/// A producer id and epoch serve many transactions, so a decision says where its data ends in each partition: an open transaction that
/// begins there or later is another one, and not decided.
struct TransactionRecord: Sendable, Equatable {
    struct Part: Sendable, Equatable {
        var partition: TopicPartition
        /// After the transaction's last record.
        var end: Int64
    }

    /// A client's open transaction: what a restart must know to go on with it.
    struct Ongoing: Sendable, Equatable {
        var startedMs: Int64
        /// `end`: the partition's end when this was written, for whoever looks into the log.
        var parts: [Part] = []
        /// Not committed yet.
        var offsets: [DecidedOffset] = []
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
    var lastEnd: ControlType?
    /// Of the epoch `nextEpoch`.
    var ongoing: Ongoing?

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
        out.put(UInt8(2))
        out.put(UInt8(isDecided ? (endsEpoch ? 3 : 1) : 0))
        out.put(UInt8(isFromClient ? 1 : 0))
        out.put(producerID)
        out.put(epoch)
        out.put(timeoutMs)
        out.put(timestamp)
        Self.put(parts, into: &out)
        Self.put(offsets, into: &out)
        out.put(UInt8(lastEnd == nil ? 0 : lastEnd == .commit ? 1 : 2))
        out.put(UInt8(ongoing == nil ? 0 : 1))
        if let ongoing {
            out.put(ongoing.startedMs)
            Self.put(ongoing.parts, into: &out)
            Self.put(ongoing.offsets, into: &out)
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

    static func transactionalID(key: [UInt8]) -> String? {
        var reader = ByteReader(key)
        return reader.take() == UInt8(1) ? reader.takeString() : nil
    }

    init?(key: [UInt8], value: [UInt8]) {
        var keyReader = ByteReader(key), reader = ByteReader(value)
        guard keyReader.take() == UInt8(1), let id = keyReader.takeString(), let version: UInt8 = reader.take(), (1...2).contains(version),
            let decided: UInt8 = reader.take(),
            let client: UInt8 = reader.take(), let producerID: Int64 = reader.take(), let epoch: Int16 = reader.take(),
            let timeout: Int32 = reader.take(), let timestamp: Int64 = reader.take(),
            let parts = Self.parts(from: &reader), let offsets = Self.offsets(from: &reader)
        else { return nil }
        self.init(transactionalID: id, producerID: producerID, epoch: epoch, timeoutMs: timeout, timestamp: timestamp)
        isDecided = decided & 1 == 1
        endsEpoch = decided & 2 == 2
        isFromClient = client == 1
        self.parts = parts
        self.offsets = offsets
        if version == 1 { return }
        guard let ended: UInt8 = reader.take(), let isOngoing: UInt8 = reader.take() else { return nil }
        lastEnd = ended == 1 ? .commit : ended == 2 ? .abort : nil
        guard isOngoing == 1 else { return }
        guard let started: Int64 = reader.take(), let open = Self.parts(from: &reader), let pending = Self.offsets(from: &reader) else { return nil }
        ongoing = Ongoing(startedMs: started, parts: open, offsets: pending)
    }

    private static func put(_ parts: [Part], into out: inout ByteWriter) {
        out.put(UInt32(parts.count))
        for part in parts {
            out.put(part.partition.topic)
            out.put(part.partition.partition)
            out.put(part.end)
        }
    }

    private static func put(_ offsets: [DecidedOffset], into out: inout ByteWriter) {
        out.put(UInt32(offsets.count))
        for offset in offsets {
            out.put(offset.group)
            out.put(offset.partition.topic)
            out.put(offset.partition.partition)
            offset.committed.put(into: &out)
        }
    }

    private static func parts(from reader: inout ByteReader) -> [Part]? {
        guard let count: UInt32 = reader.take() else { return nil }
        var parts: [Part] = []
        for _ in 0..<count {
            guard let topic = reader.takeString(), let partition: Int32 = reader.take(), let end: Int64 = reader.take() else { return nil }
            parts.append(Part(partition: TopicPartition(topic, partition), end: end))
        }
        return parts
    }

    private static func offsets(from reader: inout ByteReader) -> [DecidedOffset]? {
        guard let count: UInt32 = reader.take() else { return nil }
        var offsets: [DecidedOffset] = []
        for _ in 0..<count {
            guard let group = reader.takeString(), let topic = reader.takeString(), let partition: Int32 = reader.take(),
                let committed = CommittedOffset(from: &reader)
            else { return nil }
            offsets.append(DecidedOffset(group: group, partition: TopicPartition(topic, partition), committed: committed))
        }
        return offsets
    }
}
