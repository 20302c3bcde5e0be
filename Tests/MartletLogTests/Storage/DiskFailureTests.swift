import MartletCore
import Synchronization
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

    /// Whether a file is there cannot be found out (EIO, EACCES): the start fails, and takes nothing for missing, else it would remove what it cannot see.
    @Test func aStartThatCannotLookRemovesNothing() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        try log.made("t").append(["a"])
        log.close()
        var random = SeededRandom(seed: 1)
        let disk = system.crashed(.kill, &random)
        disk.state.withLock { $0.failingOpens = true }
        #expect(throws: MartletError.self) { try openLog(disk) }
        disk.state.withLock { $0.failingOpens = false }
        let again = try openLog(disk)
        #expect(again.clusterID == log.clusterID)
        #expect(try again.found("t").values() == ["a"])
    }

    /// Whoever looks for a time and cannot be told gets the error, not "nothing that late", upon which it would pass over what is there.
    @Test func aTimeThatCannotBeLookedUp() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        try partition.append(["a", "b"], timestamp: 5000)
        try partition.flush()
        system.state.withLock { $0.failingReads = true }
        let error = #expect(throws: KafkaError.self) { try partition.offset(forTimestamp: 5001) }
        #expect(error?.code == .kafkaStorageError)
        system.state.withLock { $0.failingReads = false }
        #expect(try partition.offset(forTimestamp: 5001)?.offset == 1)
        system.damage("/data/topics/t/0/00000000000000000000.log") { $0[70] ^= 1 }
        let damaged = #expect(throws: KafkaError.self) { try partition.offset(forTimestamp: 5001) }
        #expect(damaged?.code == .corruptMessage)
    }

    /// File systems differ in which of the two directories carries a rename between them: a deletion that was answered is never undone by a power cut.
    @Test func aDeletionOutlivesAPowerCut() throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            let system = SimulatedFileSystem()
            let log = try openLog(system) { $0.worksInBackground = false }
            try log.made("t").append(["a"])
            try log.found("t").flush()
            try log.made("u").append(["b"])
            try log.found("u").flush()
            try log.deleteTopic("t")
            // What is done to other topics does not help it to the disk.
            try log.found("u").append(["c"])
            try log.found("u").flush()
            var random = SeededRandom(seed: seed)
            let again = try openLog(system.crashed(.unsynced, &random)) { $0.worksInBackground = false }
            #expect(again.topic("t") == nil, "seed \(seed)")
            #expect(try again.found("u").values() == ["b", "c"], "seed \(seed)")
        }
    }

    /// Either directory may fail to sync. The topic goes on; where its return cannot be made durable either, nothing more is acknowledged for it.
    @Test(arguments: ["/data/topics", "/data/trash"], [true, false]) func aDeletionThatFails(directory: String, returns: Bool) throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            let system = SimulatedFileSystem()
            let log = try openLog(system) { $0.worksInBackground = false }
            let partition = try log.made("t")
            try partition.append(["a"])
            try partition.flush()
            let failures = Mutex(returns ? 1 : 2)
            system.state.withLock { state in
                state.beforeSync = { [unowned system] path in
                    let fails = path == directory && failures.withLock { left in
                        left -= 1
                        return left >= 0
                    }
                    system.state.withLock { $0.failingSyncs = fails }
                }
            }
            let error = #expect(throws: MartletError.self) { try log.deleteTopic("t") }
            #expect(error?.code == .io && log.topic("t") != nil)
            var random = SeededRandom(seed: seed)
            if returns {
                try partition.append(["b"])
                try partition.flush()
                let again = try openLog(system.crashed(.unsynced, &random)) { $0.worksInBackground = false }
                #expect(try again.found("t").values() == ["a", "b"], "seed \(seed)")
                try again.deleteTopic("t")
                #expect(again.topic("t") == nil)
            } else {
                let refused = #expect(throws: KafkaError.self) { try partition.append(client: clientBatch(["b"])) }
                #expect(refused?.code == .kafkaStorageError)
                let again = try openLog(system.crashed(.unsynced, &random)) { $0.worksInBackground = false }
                // Nobody was told which.
                if again.topic("t") != nil { #expect(try again.found("t").values() == ["a"], "seed \(seed)") }
            }
        }
    }

    /// A disk that fills up at any byte of a compaction, of the clean points before and behind it and of the indexes: what is there stays as it is, and
    /// the next pass does the work. A start from any of these states finds all as well.
    @Test(arguments: [true, false]) func aDiskThatFillsUpDuringUpkeep(isDenied: Bool) throws {
        var failures = 0
        for room in stride(from: 0, to: isDenied ? 1 : 6000, by: 97) {
            let system = SimulatedFileSystem()
            let log = try openLog(system) { $0.worksInBackground = false }
            let partition = try log.made("k", ["segment.bytes": "600", "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"])
            for i in 0..<40 { try partition.append(["\(i)" + String(repeating: "x", count: 60)], keys: ["k\(i % 3)"]) }
            try partition.flush()
            func latest(_ partition: PartitionLog) throws -> [String?] {
                var all: [String: String] = [:]
                for row in try partition.rows() { if let key = row.key { all[key] = row.value?.prefix { $0 != "x" }.description } }
                return ["k0", "k1", "k2"].map { all[$0] }
            }
            system.state.withLock { state in
                if isDenied { state.failingWrites = true } else { state.capacity = state.used + room }
            }
            do {
                try partition.compact()
            } catch {
                failures += 1
            }
            #expect(try latest(partition) == ["39", "37", "38"], "room \(room)")
            var random = SeededRandom(seed: UInt64(room))
            let crashed = system.crashed(room % 2 == 0 ? .kill : .reordered, &random)
            system.state.withLock { state in
                state.failingWrites = false
                state.capacity = .max
            }
            #expect(try latest(try openLog(crashed) { $0.worksInBackground = false }.found("k")) == ["39", "37", "38"], "room \(room), after a crash")
            try partition.append(["40"], keys: ["k1"])
            try partition.flush()
            try partition.compact()
            #expect(try latest(partition) == ["39", "40", "38"], "room \(room), with space again")
            #expect(try partition.rows().count < 20, "room \(room): the next pass did not compact")
        }
        #expect(failures > 0)
    }
}
