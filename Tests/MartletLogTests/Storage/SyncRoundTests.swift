import MartletCore
import Synchronization
import Testing

@testable import MartletLog

@Suite struct SyncRoundTests {
    private func partitions(_ log: EmbeddedLog, _ count: Int32) throws -> [PartitionLog] {
        _ = try log.made("t", partitions: count)
        return try (0..<count).map { try log.found("t", $0) }
    }

    private func append(_ text: String, to partition: PartitionLog) throws {
        var builder = batch([text])
        _ = try partition.append(&builder, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false)
    }

    /// What is not dirty costs no sync; the same partition named twice costs one.
    @Test func oneSyncAPartitionThatNeedsIt() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let all = try partitions(log, 8)
        for partition in all[..<5] { try append("a", to: partition) }
        let before = system.state.withLock { $0.syncCount }
        try log.services.flush(all + all)
        #expect(system.state.withLock { $0.syncCount } == before + 5)
        for partition in all { #expect(partition.highWatermark == partition.endOffset) }
    }

    /// Several threads that sync overlapping sets at once: each finds its own records durable on return.
    @Test func roundsOfSeveralThreads() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let all = try partitions(log, 6)
        let problems = Mutex<[String]>([])
        let threads = try (0..<4).map { number in
            try WorkerThread("test-\(number)") {
                for round in 0..<200 {
                    do {
                        let mine = (0..<3).map { all[(number + round + $0) % all.count] }
                        for partition in mine { try self.append("\(number) \(round)", to: partition) }
                        let ends = mine.map(\.endOffset)
                        try log.services.flush(mine)
                        for (partition, end) in zip(mine, ends) where partition.highWatermark < end {
                            problems.withLock { $0.append("\(partition.id): \(partition.highWatermark) where \(end) is due") }
                        }
                    } catch {
                        problems.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(problems.withLock { $0 } == [])
        #expect(all.reduce(0) { $0 + $1.highWatermark } == 4 * 200 * 3)
    }

    /// A failure comes to the caller, and the other partitions have been tried.
    @Test func aFailureIsThrown() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let all = try partitions(log, 4)
        for partition in all { try append("a", to: partition) }
        system.state.withLock { $0.failingSyncs = true }
        #expect { try log.services.flush(all) } throws: { ($0 as? MartletError)?.code == .io }
        system.state.withLock { $0.failingSyncs = false }
        // A partition whose sync failed stays closed; that is told again, not passed over.
        for partition in all { #expect { try log.services.flush([partition]) } throws: { ($0 as? MartletError)?.code == .io } }
    }

    /// Without helpers, as in a simulation that must repeat exactly, the caller does it all.
    @Test func theCallerAloneIsEnough() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.worksInBackground = false }
        let all = try partitions(log, 5)
        for partition in all { try append("a", to: partition) }
        try log.services.flush(all)
        for partition in all { #expect(partition.highWatermark == 1) }
    }
}
