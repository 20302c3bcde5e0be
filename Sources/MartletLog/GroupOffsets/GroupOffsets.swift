import Logging
import MartletCore
import Synchronization

/// Committed offsets of consumer groups: all in memory, and as records of the compacted topic `__consumer_offsets`.
///
/// Key (little-endian): version u8 = 1, group, topic, partition i32. Value: version u8 = 1, offset i64, leader epoch i32, metadata,
/// timestamp i64; null = deleted. Strings have a u32 length. Source of behaviour: Kafka's OffsetCommit and OffsetFetch.
public final class GroupOffsets: Sendable {
    private let log: PartitionLog
    private let services: LogServices
    /// Called before offsets are deleted, without locks; set by `TransactionCoordinator`.
    let beforeDelete = Mutex<(@Sendable () throws(LogFailure) -> Void)?>(nil)
    private let kept = Mutex<[String]>([])
    private let committed: Mutex<[String: [TopicPartition: CommittedOffset]]>

    init(log: PartitionLog, services: LogServices) throws(MartletError) {
        self.log = log
        self.services = services
        var all: [String: [TopicPartition: CommittedOffset]] = [:]
        try log.forEachRecord { key, value in
            guard let (group, partition) = Self.decodeKey(key) else { return }
            all[group, default: [:]][partition] = value.flatMap(Self.decodeValue)
            if all[group]?.isEmpty == true { all[group] = nil }
        }
        committed = Mutex(all)
    }

    public func committed(group: String, _ partition: TopicPartition) -> CommittedOffset? {
        committed.withLock { $0[group]?[partition] }
    }

    public func all(group: String) -> [TopicPartition: CommittedOffset] { committed.withLock { $0[group] ?? [:] } }

    /// Offsets of groups with such names stay for ever, whether or not somebody commits: for readers in this process, which are no members of a group.
    public func keep(groupsBeginningWith prefix: String) { kept.withLock { $0.append(prefix) } }

    func isKept(group: String) -> Bool { kept.withLock { $0.contains { group.hasPrefix($0) } } }

    /// Groups that have an offset, sorted.
    public var groups: [String] { committed.withLock { $0.keys.sorted() } }

    func hasAny(group: String) -> Bool { committed.withLock { $0[group] != nil } }

    /// Commits and returns once that is durable. A timestamp of 0 becomes the present time. Throws KAFKA_STORAGE_ERROR, OFFSET_METADATA_TOO_LARGE.
    public func commit(group: String, _ offsets: [TopicPartition: CommittedOffset]) throws(KafkaError) {
        do throws(LogFailure) {
            _ = try append(group, stamped(group, offsets))
            do throws(MartletError) {
                try log.flush()
            } catch {
                throw LogFailure(error)
            }
        } catch {
            throw error.kafka
        }
    }

    /// Commits without waiting: `completion` is called, on some thread, once that is durable or has failed.
    public func commit(
        group: String, _ offsets: [TopicPartition: CommittedOffset], completion: @escaping @Sendable (KafkaErrorCode) -> Void
    ) {
        do throws(LogFailure) {
            log.whenDurable(upTo: try append(group, stamped(group, offsets)), completion)
        } catch {
            completion(error.code)
        }
    }

    private func stamped(_ group: String, _ offsets: [TopicPartition: CommittedOffset]) -> [TopicPartition: CommittedOffset?] {
        var stamped: [TopicPartition: CommittedOffset?] = [:]
        for (partition, offset) in offsets {
            var offset = offset
            if offset.timestamp == 0 { offset.timestamp = timestamp(after: committed(group: group, partition)) }
            stamped[partition] = offset
        }
        return stamped
    }

    /// The present time, but later than the commit it replaces, whatever the clock does: so the order of commits can be told after a crash.
    func timestamp(after known: CommittedOffset?) -> Int64 { max(services.time.wallMs, (known?.timestamp ?? -1) + 1) }

    /// Forgets all offsets of a group, or those of some partitions.
    public func delete(group: String, partitions: [TopicPartition]? = nil) throws(KafkaError) {
        let known = all(group: group)
        let gone = partitions ?? Array(known.keys)
        do throws(LogFailure) {
            let hook = beforeDelete.withLock { $0 }
            try hook?()
            var changes: [TopicPartition: CommittedOffset?] = [:]
            for partition in gone where known[partition] != nil { changes.updateValue(nil, forKey: partition) }
            _ = try append(group, changes)
            do throws(MartletError) {
                try log.flush()
            } catch {
                throw LogFailure(error)
            }
        } catch {
            throw error.kafka
        }
    }

    /// Forgets the offsets of a topic that was deleted.
    func forget(topic: String) {
        for group in groups {
            let partitions = all(group: group).keys.filter { $0.topic == topic }
            guard !partitions.isEmpty else { continue }
            do throws(KafkaError) {
                try delete(group: group, partitions: partitions)
            } catch {
                services.logger.warning("offsets of a deleted topic stay", metadata: ["group": "\(group)", "topic": "\(topic)", "error": "\(error.message)"])
            }
        }
    }

    /// Writes and applies changes (nil = delete), in one batch. Returns the log's end behind it.
    private func append(_ group: String, _ changes: [TopicPartition: CommittedOffset?]) throws(LogFailure) -> Int64 {
        for (partition, change) in changes where (change?.metadata.utf8.count ?? 0) > 4096 {
            throw LogFailure(.offsetMetadataTooLarge, .badRequest, "offset metadata of group \(group) for \(partition) is longer than 4096 bytes")
        }
        guard !changes.isEmpty else { return log.endOffset }
        // Under the lock, so that memory and log agree on which commit was later.
        return try committed.withLock { (all) throws(LogFailure) in
            let end = try write(group, changes)
            Self.apply(group, changes, &all)
            return end
        }
    }

    private func write(_ group: String, _ changes: [TopicPartition: CommittedOffset?]) throws(LogFailure) -> Int64 {
        var batch = RecordBatchBuilder()
        let nowMs = services.time.wallMs
        for (partition, change) in changes.sorted(by: { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }) {
            Self.encodeKey(group, partition).withUnsafeBytes { key in
                if let change {
                    Self.encodeValue(change).withUnsafeBytes { value in batch.append(timestamp: nowMs, key: key, value: value) }
                } else {
                    batch.append(timestamp: nowMs, key: key, value: nil)
                }
            }
        }
        return try log.append(&batch, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false).lastOffset + 1
    }

    private static func apply(
        _ group: String, _ changes: [TopicPartition: CommittedOffset?], _ all: inout [String: [TopicPartition: CommittedOffset]]
    ) {
        var offsets = all[group] ?? [:]
        for (partition, change) in changes { offsets[partition] = change }
        all[group] = offsets.isEmpty ? nil : offsets
    }

    // MARK: offsets of transactions

    /// Makes offsets that were decided in a transaction the committed ones, in memory. The decision in the transaction log holds them until
    /// `writeShown` has succeeded.
    func show(_ decided: [DecidedOffset]) {
        committed.withLock { all in for offset in decided { all[offset.group, default: [:]][offset.partition] = offset.committed } }
    }

    /// Writes those of `decided` that are still the committed ones.
    func writeShown(_ decided: [DecidedOffset]) throws(LogFailure) {
        for (group, offsets) in Dictionary(grouping: decided, by: \.group) {
            try committed.withLock { (all) throws(LogFailure) in
                var changes: [TopicPartition: CommittedOffset?] = [:]
                for offset in offsets where all[group]?[offset.partition] == offset.committed { changes[offset.partition] = offset.committed }
                if !changes.isEmpty { _ = try write(group, changes) }
            }
        }
    }

    var partitionLog: PartitionLog { log }

    // MARK: layout

    private static func encodeKey(_ group: String, _ partition: TopicPartition) -> [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        out.put(group)
        out.put(partition.topic)
        out.put(partition.partition)
        return out.bytes
    }

    private static func decodeKey(_ bytes: [UInt8]) -> (String, TopicPartition)? {
        var reader = ByteReader(bytes)
        guard reader.take() == UInt8(1), let group = reader.takeString(), let topic = reader.takeString(), let partition: Int32 = reader.take()
        else { return nil }
        return (group, TopicPartition(topic, partition))
    }

    private static func encodeValue(_ offset: CommittedOffset) -> [UInt8] {
        var out = ByteWriter()
        out.put(UInt8(1))
        offset.put(into: &out)
        return out.bytes
    }

    private static func decodeValue(_ bytes: [UInt8]) -> CommittedOffset? {
        var reader = ByteReader(bytes)
        guard reader.take() == UInt8(1) else { return nil }
        return CommittedOffset(from: &reader)
    }
}

/// An offset that a transaction commits for a group.
struct DecidedOffset: Sendable, Equatable {
    var group: String
    var partition: TopicPartition
    var committed: CommittedOffset
}

extension CommittedOffset {
    func put(into out: inout ByteWriter) {
        out.put(offset)
        out.put(leaderEpoch)
        out.put(metadata)
        out.put(timestamp)
    }

    init?(from reader: inout ByteReader) {
        guard let offset: Int64 = reader.take(), let epoch: Int32 = reader.take(), let metadata = reader.takeString(),
            let timestamp: Int64 = reader.take()
        else { return nil }
        self.init(offset: offset, leaderEpoch: epoch, metadata: metadata, timestamp: timestamp)
    }
}

extension PartitionLog {
    /// Reads an internal topic from its start to its end: keys and values of records that have a key. A damaged stretch that recovery had
    /// fenced is skipped and told in the log; other damage throws.
    func forEachRecord(_ body: (_ key: [UInt8], _ value: [UInt8]?) -> Void) throws(MartletError) {
        var offset = startOffset
        let end = highWatermark
        var reused: RecordBlock?
        while offset < end {
            let block: RecordBlock
            do throws(MartletError) {
                block = try readBlock(from: offset, maxBytes: 1 << 20, isolation: .readUncommitted, reusing: &reused)
            } catch {
                guard error.code == .corruptRecord, let fence = state.withLock({ $0.fenced.first { $0.contains(offset) } }) else { throw error }
                offset = fence.upperBound
                continue
            }
            for row in 0..<block.count where block.keyLengths[row] >= 0 {
                let key = Int(block.keyStarts[row])..<Int(block.keyStarts[row]) + Int(block.keyLengths[row])
                let value = Int(block.valueStarts[row])..<Int(block.valueStarts[row]) + Int(max(0, block.valueLengths[row]))
                body(Array(block.buffer[key]), block.valueLengths[row] < 0 ? nil : Array(block.buffer[value]))
            }
            guard block.nextOffset > offset else { return }
            offset = block.nextOffset
            reused = block
        }
    }
}
