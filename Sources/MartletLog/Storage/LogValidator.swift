import MartletCore

/// What is checked of a client's batches before they are appended. Everything is decoded once here, so that no reader ever meets a batch
/// with a right checksum and malformed records.
enum LogValidator {
    /// The headers of the batches in `bytes`, if all are right.
    static func check(
        _ bytes: UnsafeRawBufferPointer, _ settings: TopicSettings, _ partition: TopicPartition, nowMs: Int64
    ) throws(LogFailure) -> [BatchHeader] {
        let headers = try headers(bytes, settings, partition)
        var at = 0
        for header in headers {
            let batch = UnsafeRawBufferPointer(rebasing: bytes[at..<at + header.sizeBytes])
            at += header.sizeBytes
            if let problem = header.problem(in: batch) {
                throw LogFailure(.corruptMessage, .badRequest, "a record batch for \(partition) is corrupt: \(problem)")
            }
            var refused = RefusedRecords(settings, nowMs: nowMs)
            if let problem = problem(header, batch, &refused) {
                throw LogFailure(.invalidRecord, .badRequest, "a record batch for \(partition) is not valid: \(problem)")
            }
            if let first = refused.records.first {
                throw LogFailure(
                    refused.code, .badRequest,
                    "\(refused.count) records for \(partition) are refused; record \(first.index): \(first.reason)", records: refused.records)
            }
        }
        if headers.isEmpty { throw LogFailure(.invalidRecord, .badRequest, "no record batch for \(partition)") }
        if headers.count > 1 && headers.contains(where: \.hasProducer) {
            throw LogFailure(.invalidRecord, .badRequest, "a producer with an id sends one record batch at a time to \(partition)")
        }
        return headers
    }

    /// The headers alone, with the sizes checked.
    static func headers(_ bytes: UnsafeRawBufferPointer, _ settings: TopicSettings, _ partition: TopicPartition) throws(LogFailure) -> [BatchHeader] {
        var headers: [BatchHeader] = []
        var at = 0
        while at < bytes.count {
            guard let header = BatchHeader(UnsafeRawBufferPointer(rebasing: bytes[at...])), header.sizeBytes <= bytes.count - at else {
                throw LogFailure(.corruptMessage, .badRequest, "a record batch for \(partition) is cut off")
            }
            if header.magic == 2 && header.sizeBytes > settings.maxMessageBytes {
                throw LogFailure(
                    .messageTooLarge, .badRequest,
                    "a record batch of \(header.sizeBytes) bytes for \(partition) is larger than max.message.bytes, \(settings.maxMessageBytes)")
            }
            headers.append(header)
            at += header.sizeBytes
        }
        return headers
    }

    /// Records that cannot be taken though their batch is well-formed: without a key in a compacted topic, or with a timestamp too far from
    /// the present (KIP-937). A client is told which they are (KIP-467).
    private struct RefusedRecords {
        private let low: Int64, high: Int64
        private let keysRequired: Bool
        private(set) var count = 0
        /// The first ones: the answer is bounded, whatever the batch holds.
        private(set) var records: [KafkaError.Record] = []
        private(set) var code = KafkaErrorCode.invalidRecord

        private static let toldMax = 10_000

        init(_ settings: TopicSettings, nowMs: Int64) {
            let isBound = !settings.stampsOnAppend
            low = isBound ? nowMs.subtractingReportingOverflow(settings.timestampBeforeMaxMs).partialValue : .min
            let (late, isOver) = nowMs.addingReportingOverflow(settings.timestampAfterMaxMs)
            high = isBound && !isOver ? late : .max
            keysRequired = settings.compacts
        }

        /// Records without a timestamp (−1) are let pass.
        mutating func look(_ index: Int64, timestamp: Int64, hasKey: Bool) {
            if keysRequired && !hasKey {
                note(index, "a compacted topic needs a key in every record")
            } else if timestamp != -1, timestamp < low || timestamp > high {
                code = .invalidTimestamp
                note(index, "timestamp \(timestamp) is outside of message.timestamp.before.max.ms and message.timestamp.after.max.ms")
            }
        }

        private mutating func note(_ index: Int64, _ reason: String) {
            count += 1
            if records.count < Self.toldMax { records.append(.init(index: Int32(truncatingIfNeeded: index), reason: reason)) }
        }
    }

    private static func problem(_ header: BatchHeader, _ batch: UnsafeRawBufferPointer, _ refused: inout RefusedRecords) -> String? {
        guard let codec = header.codec else { return "unknown compression" }
        if header.isControl { return "control batches are written by the broker alone" }
        if header.isLogAppendTime { return "the timestamp type is for the broker to set" }
        if header.recordCount < 1 || header.lastOffsetDelta != header.recordCount - 1 { return "offsets do not match the record count" }
        if header.isTransactional && !header.hasProducer { return "a transactional batch without a producer id" }
        if header.hasProducer && (header.producerEpoch < 0 || header.baseSequence < 0) { return "a producer id without epoch or sequence" }
        let section = UnsafeRawBufferPointer(rebasing: batch[BatchHeader.size...])
        if codec == .none { return problem(header, records: section, &refused) }
        var plain: [UInt8] = []
        guard Compression.decompress(section, codec, onto: &plain) else { return "the \(codec) data is malformed" }
        return plain.withUnsafeBytes { problem(header, records: $0, &refused) }
    }

    private static func problem(_ header: BatchHeader, records: UnsafeRawBufferPointer, _ refused: inout RefusedRecords) -> String? {
        var reader = RecordReader(records)
        for expected in 0..<Int64(header.recordCount) {
            guard reader.next() else { return "record \(expected) is malformed" }
            refused.look(expected, timestamp: header.baseTimestamp &+ reader.timestampDelta, hasKey: reader.keyLength >= 0)
            guard reader.offsetDelta == expected else { return "offsets inside the batch are not consecutive" }
            if reader.hasHeaders && !reader.headersAreWhole() { return "headers of record \(expected) are malformed" }
            if !reader.hasHeaders && records[reader.headersStart] != 0 { return "headers of record \(expected) are malformed" }
        }
        return reader.position == records.count ? nil : "bytes after the last record"
    }
}
