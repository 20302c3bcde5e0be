import MartletCore
import Synchronization
import Testing

@testable import MartletLog

/// What waits for the disk, and what it is told when that fails.
@Suite struct FlushTests {
    private func append(_ text: String, to partition: PartitionLog) throws -> Int64 {
        var builder = batch([text])
        return try partition.append(&builder, producerID: -1, epoch: -1, sequence: -1, attributes: 0, syncing: false).lastOffset + 1
    }

    /// While one sync runs, whoever else wants one waits, and all of them share the next.
    @Test func threadsThatWaitShareASync() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.worksInBackground = false }
        let partition = try log.made("t")
        _ = try append("first", to: partition)
        let gate = Signal((entered: 0, isOpen: false, appended: 0))
        system.state.withLock { state in
            state.beforeSync = { _ in
                gate.update { $0.entered += 1 }
                _ = gate.wait { $0.isOpen ? true : nil }
            }
        }
        let before = system.state.withLock(\.syncCount)
        let problems = Mutex<[String]>([])
        @Sendable func flush(_ end: Int64) {
            do {
                try partition.flush()
                if partition.highWatermark < end { problems.withLock { $0.append("\(partition.highWatermark) where \(end) is due") } }
            } catch {
                problems.withLock { $0.append("\(error)") }
            }
        }
        var threads = [try WorkerThread("first") { flush(1) }]
        _ = gate.wait { $0.entered == 1 ? true : nil }
        for number in 0..<8 {
            threads.append(
                try WorkerThread("test-\(number)") {
                    do {
                        let end = try self.append("\(number)", to: partition)
                        gate.update { $0.appended += 1 }
                        flush(end)
                    } catch {
                        problems.withLock { $0.append("\(error)") }
                    }
                })
        }
        // All of them wrote while the first sync ran; they wait for the next.
        _ = gate.wait { $0.appended == 8 ? true : nil }
        gate.update { $0.isOpen = true }
        for thread in threads { thread.join() }
        #expect(problems.withLock { $0 } == [])
        #expect(system.state.withLock(\.syncCount) == before + 2)
        #expect(partition.highWatermark == 9)
    }

    /// A sync that fails where a segment is closed, or where the clean point moves, is a failed sync like any other: the system tells it once, so a later
    /// sync that succeeds proves nothing, and those who wait are told.
    @Test(arguments: [true, false]) func aSyncThatFailsElsewhereCountsToo(atRoll: Bool) throws {
        let system = SimulatedFileSystem(), lines = LogLines()
        let log = try openLog(system, lines: lines) { $0.worksInBackground = false }
        let partition = try log.made("t", ["segment.bytes": "300"])
        try partition.append(["a"])
        try partition.flush()
        let end = try append(String(repeating: "b", count: 200), to: partition)
        let answers = Mutex<[KafkaErrorCode]>([])
        partition.whenDurable(upTo: end) { code in answers.withLock { $0.append(code) } }
        system.state.withLock { $0.failingSyncs = true }
        if atRoll {
            #expect(throws: LogFailure.self) { _ = try append(String(repeating: "c", count: 200), to: partition) }
        } else {
            #expect(throws: MartletError.self) { try partition.checkpoint() }
        }
        system.state.withLock { $0.failingSyncs = false }
        #expect(throws: MartletError.self) { try partition.flush() }
        #expect(answers.withLock { $0 } == [.kafkaStorageError])
        #expect(partition.highWatermark == 1)
        #expect(throws: MartletError.self) { try partition.append(["d"]) }
        #expect(lines.containing("sync failed").count == 1)
        var random = SeededRandom(seed: 1)
        #expect(try openLog(system.crashed(.reordered, &random)).found("t").values() == ["a"])
    }

    /// With the sync thread running nobody has to ask: whoever waits is told.
    @Test func theSyncThreadTellsOfAFailedRoll() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t", ["segment.bytes": "300"])
        let end = try append(String(repeating: "b", count: 200), to: partition)
        system.state.withLock { $0.failingSyncs = true }
        let answer = Signal<KafkaErrorCode?>(nil)
        partition.whenDurable(upTo: end + 100) { code in answer.update { $0 = code } }
        #expect(throws: LogFailure.self) { _ = try append(String(repeating: "c", count: 200), to: partition) }
        #expect(answer.wait(timeoutMs: 60_000) { $0 } == .kafkaStorageError)
    }
}
