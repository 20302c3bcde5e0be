import MartletCore

/// A partition in a share group. By the topic's id: a topic that is made anew by the same name has nothing of the old one.
struct ShareKey: Sendable, Hashable {
    var group: String
    var partition: GroupPartition

    /// The order in which things are done, the same each time.
    static func precedes(_ one: ShareKey, _ other: ShareKey) -> Bool {
        let (a, b) = (one.partition, other.partition)
        return (one.group, a.topic.high, a.topic.low, a.index) < (other.group, b.topic.high, b.topic.low, b.index)
    }
}

/// What share groups have done with their partitions, as records of the compacted topic `__share_group_state` (KIP-932, "Managing durable
/// share-partition state"): now and then a snapshot of a partition, and in between updates of what changed.
///
/// Key (little-endian): version u8 = 1, kind u8 (0 snapshot, 1 update), group, topic id 2 × u64, partition i32, of an update also its number since the
/// snapshot u16, so that compaction keeps all of them until those after the next snapshot take their places. Value: version u8 = 1, state epoch i32,
/// snapshot epoch i32, start offset i64, count u32, then for each run first i64, last i64, phase u8, deliveries i16; null = the group has no state there.
/// An update counts only behind the snapshot whose epoch it carries.
struct ShareStateLog: Sendable {
    let log: PartitionLog
    /// Updates between two snapshots of a partition (Kafka: share.coordinator.snapshot.update.records.per.snapshot).
    var updatesMax = 500

    /// What is known of one partition after reading everything.
    struct Stored: Sendable {
        var stateEpoch: Int32
        var snapshotEpoch: Int32
        var partition: SharePartition
        /// Updates since the snapshot, and the most there ever were.
        var updates = 0
        var updatesEver = 0
    }

    /// What is written of one partition.
    struct Entry: Sendable {
        var key: ShareKey
        /// nil: a snapshot.
        var update: Int?
        var stateEpoch: Int32
        var snapshotEpoch: Int32
        var startOffset: Int64
        var changes: [SharePartition.Change]
    }

    /// - Throws: what reading throws; a record that we do not understand is `.corruptRecord`.
    func load() throws(MartletError) -> [ShareKey: Stored] {
        var all: [ShareKey: Stored] = [:]
        var slots: [ShareKey: Int] = [:]
        var damaged = 0
        try log.forEachRecord { key, value in
            guard let (key, update) = Self.decodeKey(key) else {
                damaged += 1
                return
            }
            if let update { slots[key] = max(slots[key] ?? 0, update + 1) }
            guard let value else {
                if update == nil { all[key] = nil }
                return
            }
            guard let entry = Self.decodeValue(value, key, update) else {
                damaged += 1
                return
            }
            if update == nil {
                var partition = SharePartition(startOffset: entry.startOffset)
                partition.restore(startOffset: entry.startOffset, entry.changes)
                all[key] = Stored(stateEpoch: entry.stateEpoch, snapshotEpoch: entry.snapshotEpoch, partition: partition)
            } else if let update, all[key]?.snapshotEpoch == entry.snapshotEpoch {
                all[key]?.partition.restore(startOffset: entry.startOffset, entry.changes)
                all[key]?.updates = update + 1
            }
        }
        if damaged > 0 { throw MartletError(.corruptRecord, "\(damaged) records of \(log.id.topic) are not what this Martlet writes") }
        for (key, used) in slots { all[key]?.updatesEver = used }
        return all
    }

    /// Appends, all in one batch. Returns the log's end behind it; what is there is durable once `whenDurable` says so.
    func append(_ entries: [Entry]) throws(LogFailure) -> Int64 {
        try append(entries.map { (Self.encodeKey($0.key, $0.update), Self.encodeValue($0)) })
    }

    /// Forgets partitions, with as many updates as there ever were of each.
    func delete(_ keys: [(key: ShareKey, updatesEver: Int)]) throws(LogFailure) -> Int64 {
        var records: [([UInt8], [UInt8]?)] = []
        for (key, updates) in keys {
            records.append((Self.encodeKey(key, nil), nil))
            for update in 0..<updates { records.append((Self.encodeKey(key, update), nil)) }
        }
        return try append(records)
    }

    private func append(_ records: [([UInt8], [UInt8]?)]) throws(LogFailure) -> Int64 {
        guard !records.isEmpty else { return log.endOffset }
        var batch = RecordBatchBuilder()
        let nowMs = log.services.time.wallMs
        for (key, value) in records { batch.append(timestamp: nowMs, key: key, value: value) }
        return try log.append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false).lastOffset + 1
    }

    // MARK: layout

    private static func encodeKey(_ key: ShareKey, _ update: Int?) -> [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        out.put(UInt8(update == nil ? 0 : 1))
        out.put(key.group)
        out.put(key.partition.topic.high)
        out.put(key.partition.topic.low)
        out.put(key.partition.index)
        if let update { out.put(UInt16(clamping: update)) }
        return out.bytes
    }

    private static func decodeKey(_ bytes: [UInt8]) -> (ShareKey, update: Int?)? {
        var reader = ByteReader(bytes)
        guard reader.take() == UInt8(1), let kind: UInt8 = reader.take(), kind <= 1, let group = reader.takeString(), let high: UInt64 = reader.take(),
            let low: UInt64 = reader.take(), let index: Int32 = reader.take()
        else { return nil }
        let key = ShareKey(group: group, partition: GroupPartition(topic: UUIDBytes(high: high, low: low), index: index))
        if kind == 0 { return (key, nil) }
        guard let update: UInt16 = reader.take() else { return nil }
        return (key, Int(update))
    }

    private static func encodeValue(_ entry: Entry) -> [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        out.put(entry.stateEpoch)
        out.put(entry.snapshotEpoch)
        out.put(entry.startOffset)
        out.put(UInt32(entry.changes.count))
        for change in entry.changes {
            out.put(change.first)
            out.put(change.last)
            out.put(change.phase.rawValue)
            out.put(change.deliveries)
        }
        return out.bytes
    }

    private static func decodeValue(_ bytes: [UInt8], _ key: ShareKey, _ update: Int?) -> Entry? {
        var reader = ByteReader(bytes)
        guard reader.take() == UInt8(1), let stateEpoch: Int32 = reader.take(), let snapshotEpoch: Int32 = reader.take(),
            let start: Int64 = reader.take(), let count: UInt32 = reader.take(), Int(count) * 19 == reader.remaining
        else { return nil }
        var changes: [SharePartition.Change] = []
        changes.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let first: Int64 = reader.take(), let last: Int64 = reader.take(), let raw: UInt8 = reader.take(),
                let phase = SharePartition.Phase(rawValue: raw), let deliveries: Int16 = reader.take()
            else { return nil }
            changes.append(.init(first: first, last: last, phase: phase, deliveries: deliveries))
        }
        return Entry(
            key: key, update: update, stateEpoch: stateEpoch, snapshotEpoch: snapshotEpoch, startOffset: start, changes: changes)
    }
}
