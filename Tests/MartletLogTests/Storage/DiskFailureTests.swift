import MartletCore
import Testing

@testable import MartletLog

/// A disk that fills up, may no longer be written or cannot be read: clients get Kafka's code, the log says once what happened, nothing
/// acknowledged is lost, and all goes on when the disk is well again.
@Suite struct DiskFailureTests {
    /// The three ways in which a write can fail that end by themselves.
    enum Trouble: CaseIterable { case full, denied }

    private func set(_ trouble: Trouble, _ isThere: Bool, _ system: SimulatedFileSystem) {
        system.state.withLock { state in
            switch trouble {
            case .full: state.capacity = isThere ? state.used + 10 : .max
            case .denied: state.failingWrites = isThere
            }
        }
    }

    @Test(arguments: Trouble.allCases) func writesThatFailAreToldOnceAndWaitedFor(trouble: Trouble) throws {
        let system = SimulatedFileSystem(), lines = LogLines()
        let log = try openLog(system, lines: lines)
        let partition = try log.made("t")
        try partition.append(client: clientBatch(["a"], producerID: 7, epoch: 0, sequence: 0))
        try partition.flush()

        set(trouble, true, system)
        let before = lines.lines.withLock(\.count)
        for _ in 0..<20 {
            let error = #expect(throws: KafkaError.self) {
                try partition.append(client: clientBatch(["b"], producerID: 7, epoch: 0, sequence: 1))
            }
            #expect(error?.code == .kafkaStorageError)
        }
        // What is there can be read meanwhile.
        #expect(try partition.values() == ["a"])
        let commit = #expect(throws: KafkaError.self) {
            try log.groupOffsets.commit(group: "g", [partition.id: CommittedOffset(offset: 1)])
        }
        #expect(commit?.code == .kafkaStorageError)
        #expect(log.groupOffsets.committed(group: "g", partition.id) == nil)
        #expect(throws: KafkaError.self) { try log.transactions.initProducerID(transactionalID: "x", timeoutMs: 1000) }
        // One line a log that cannot be written, not one an attempt.
        let said = lines.lines.withLock { Array($0[before...]) }.filter { $0.hasPrefix("error") || $0.hasPrefix("warning") }
        #expect(said.count { $0.contains("partition=t-0") || $0.contains("topic=t ") } <= 1 && (1...3).contains(said.count), "\(said)")

        set(trouble, false, system)
        try partition.append(client: clientBatch(["b"], producerID: 7, epoch: 0, sequence: 1))
        try partition.flush()
        try log.groupOffsets.commit(group: "g", [partition.id: CommittedOffset(offset: 2)])
        _ = try log.transactions.initProducerID(transactionalID: "x", timeoutMs: 1000)
        #expect(try partition.values() == ["a", "b"])
        #expect(!lines.containing("writes succeed again").isEmpty)
        // And all of that is on disk.
        var random = SeededRandom(seed: 1)
        let again = try openLog(system.crashed(.tornTail, &random))
        #expect(try again.found("t").values() == ["a", "b"])
        #expect(again.groupOffsets.committed(group: "g", partition.id)?.offset == 2)
    }

    /// A sync that fails leaves unknown what the disk holds: nothing more is acknowledged until the next start, which has all that was.
    @Test func aFailedSyncStopsAcknowledging() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        try partition.append(["a"])
        try partition.flush()
        system.state.withLock { $0.failingSyncs = true }
        try partition.append(["b"])
        #expect(throws: MartletError.self) { try partition.flush() }
        system.state.withLock { $0.failingSyncs = false }
        // The sync would succeed now, and prove nothing.
        #expect(throws: MartletError.self) { try partition.flush() }
        let error = #expect(throws: KafkaError.self) { try partition.append(client: clientBatch(["c"])) }
        #expect(error?.code == .kafkaStorageError)
        #expect(try partition.values() == ["a"])
        var random = SeededRandom(seed: 1)
        let again = try openLog(system.crashed(.reordered, &random))
        #expect(try again.found("t").values() == ["a"])
    }

    @Test func readsThatFailAreToldAndTriedAgain() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        try partition.append(["a"])
        try partition.flush()
        system.state.withLock { $0.failingReads = true }
        let error = #expect(throws: KafkaError.self) { try partition.read(from: 0, maxBytes: 1000, isolation: .readCommitted) }
        #expect(error?.code == .kafkaStorageError)
        #expect(throws: MartletError.self) { try partition.rows() }
        try partition.append(["b"])
        try partition.flush()
        system.state.withLock { $0.failingReads = false }
        #expect(try partition.values() == ["a", "b"])
    }
}
