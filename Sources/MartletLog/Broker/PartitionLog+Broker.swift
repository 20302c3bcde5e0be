import NIOCore
import Synchronization

extension PartitionLog {
    /// Appends a client's batches straight from the frame they came in, a Produce request of `version`.
    func append(_ records: ByteBuffer, requiredAcks: Int16, version: Int16) throws(KafkaError) -> AppendResult {
        let result: Result<AppendResult, KafkaError> = records.withUnsafeReadableBytes { bytes in
            do throws(KafkaError) { return .success(try append(client: bytes, requiredAcks: requiredAcks, produceVersion: version)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

extension PartitionLog {
    /// The first record with the largest timestamp; nil if there are no records. May wait for the disk.
    func offsetOfMaxTimestamp() throws(KafkaError) -> (offset: Int64, timestamp: Int64)? {
        let latest = state.withLock { $0.segments.map(\.maxTimestamp).max() ?? -1 }
        return latest < 0 ? nil : try offset(forTimestamp: latest)
    }
}

extension EmbeddedLog {
    /// As it is in force.
    var config: LogConfig { services.settings.log }
    var settings: NodeSettings { services.settings }
}
