import MartletCore

/// What is checked of a client's batches before they are appended. Everything is decoded once here, so that no reader ever meets a batch
/// with a right checksum and malformed records.
enum LogValidator {
    /// The headers of the batches in `bytes`, if all are right.
    static func check(_ bytes: UnsafeRawBufferPointer, _ settings: TopicSettings, _ partition: TopicPartition) throws(LogFailure) -> [BatchHeader] {
        var headers: [BatchHeader] = []
        var at = 0
        while at < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
            // Magic lies at byte 16 in every format.
            if rest.count > 16 && rest[16] < 2 {
                throw LogFailure(
                    .unsupportedForMessageFormat, .notSupported, "message format \(rest[16]) is not supported for \(partition), only record batches (2)")
            }
            guard let header = BatchHeader(rest), header.sizeBytes <= rest.count else {
                throw LogFailure(.corruptMessage, .badRequest, "a record batch for \(partition) is cut off")
            }
            let batch = UnsafeRawBufferPointer(rebasing: rest[..<header.sizeBytes])
            if header.magic == 2 && header.sizeBytes > settings.maxMessageBytes {
                throw LogFailure(
                    .messageTooLarge, .badRequest,
                    "a record batch of \(header.sizeBytes) bytes for \(partition) is larger than max.message.bytes, \(settings.maxMessageBytes)")
            }
            if let problem = header.problem(in: batch) {
                throw LogFailure(.corruptMessage, .badRequest, "a record batch for \(partition) is corrupt: \(problem)")
            }
            if let problem = problem(header, batch, keysRequired: settings.compacts) {
                throw LogFailure(.invalidRecord, .badRequest, "a record batch for \(partition) is not valid: \(problem)")
            }
            headers.append(header)
            at += header.sizeBytes
        }
        if headers.isEmpty { throw LogFailure(.invalidRecord, .badRequest, "no record batch for \(partition)") }
        if headers.count > 1 && headers.contains(where: \.hasProducer) {
            throw LogFailure(.invalidRecord, .badRequest, "a producer with an id sends one record batch at a time to \(partition)")
        }
        return headers
    }

    private static func problem(_ header: BatchHeader, _ batch: UnsafeRawBufferPointer, keysRequired: Bool) -> String? {
        guard let codec = header.codec else { return "unknown compression" }
        if header.isControl { return "control batches are written by the broker alone" }
        if header.isLogAppendTime { return "the timestamp type is for the broker to set" }
        if header.recordCount < 1 || header.lastOffsetDelta != header.recordCount - 1 { return "offsets do not match the record count" }
        if header.isTransactional && !header.hasProducer { return "a transactional batch without a producer id" }
        if header.hasProducer && (header.producerEpoch < 0 || header.baseSequence < 0) { return "a producer id without epoch or sequence" }
        let section = UnsafeRawBufferPointer(rebasing: batch[BatchHeader.size...])
        if codec == .none { return problem(header, records: section, keysRequired) }
        var plain: [UInt8] = []
        guard Compression.decompress(section, codec, onto: &plain) else { return "the \(codec) data is malformed" }
        return plain.withUnsafeBytes { problem(header, records: $0, keysRequired) }
    }

    private static func problem(_ header: BatchHeader, records: UnsafeRawBufferPointer, _ keysRequired: Bool) -> String? {
        var reader = RecordReader(records)
        for expected in 0..<Int64(header.recordCount) {
            guard reader.next() else { return "record \(expected) is malformed" }
            guard reader.offsetDelta == expected else { return "offsets inside the batch are not consecutive" }
            if reader.hasHeaders && !reader.headersAreWhole() { return "headers of record \(expected) are malformed" }
            if !reader.hasHeaders && records[reader.headersStart] != 0 { return "headers of record \(expected) are malformed" }
            if keysRequired && reader.keyLength < 0 { return "a compacted topic needs a key in every record" }
        }
        return reader.position == records.count ? nil : "bytes after the last record"
    }
}
