import Logging
import MartletCore
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import MartletLog

/// One life after the other of a node on a simulated disk and clock: the log with its transaction coordinator, and the group coordinator.
///
/// Everything runs on the test's thread, so a seed says all that happens.
final class SimulatedNode {
    private(set) var disk = SimulatedFileSystem()
    private(set) var log: EmbeddedLog
    private(set) var shares: SharePartitions
    private(set) var groups: GroupCoordinator
    let time = ManualTime(wallMs: 1_000_000)
    let loop = EmbeddedEventLoop()
    let lines = LogLines()
    private let topicIDs = TopicIDSequence()
    /// How often the node has started.
    private(set) var lives = 1

    init(history: SimulatedFileSystem.History? = nil) throws {
        if let history { disk.record(history) }
        log = try Self.open(disk, time, lines, topicIDs)
        shares = try SharePartitions(log: log, timers: loop, time: time.source, logger: lines.logger, updatesMax: 6)
        groups = GroupCoordinator(log: log, timers: loop, time: time.source, logger: lines.logger, sharing: shares)
    }

    private static func open(_ disk: SimulatedFileSystem, _ time: ManualTime, _ lines: LogLines, _ ids: TopicIDSequence) throws(MartletError) -> EmbeddedLog {
        try openLog(disk, time: time, lines: lines) {
            $0.makeTopicID = { ids.next() }
            $0.worksInBackground = false
            $0.checkpointBytes = 2000
            $0.topics.retentionMs = -1
        }
    }

    func partition(_ topic: String, _ number: Int32) throws -> PartitionLog { try log.found(topic, number) }

    /// Lets time go by for timers and clocks alike.
    func advance(byMs ms: Int64) {
        time.advance(byMs: ms)
        loop.advanceTime(by: .milliseconds(ms))
    }

    /// The node has died in the middle of the present step; what it said since does not count.
    var hasCrashed: Bool { disk.afterCrash != nil }

    /// Dies at a disk operation to come.
    func willCrash(_ kind: SimulatedFileSystem.Crash, after operations: Int, seed: UInt64) {
        disk.crash(kind, afterOperations: operations, seed: seed)
    }

    /// Starts on what is left of the disk: that of the crash under way, or of one right now. The start may be cut short by another one.
    func restart(_ kind: SimulatedFileSystem.Crash, _ random: inout SeededRandom) throws {
        var left = disk.afterCrash ?? disk.crashed(kind, &random)
        groups.close()
        shares.close()
        loop.run()
        if Int.random(in: 0..<3, using: &random) == 0 {
            left.crash(kind, afterOperations: Int.random(in: 0..<30, using: &random), seed: random.next())
            _ = try Self.open(left, time, lines, topicIDs)
            if let again = left.afterCrash {
                left = again
            } else {
                left = left.crashed(kind, &random)
            }
        }
        disk = left
        log = try Self.open(disk, time, lines, topicIDs)
        shares = try SharePartitions(log: log, timers: loop, time: time.source, logger: lines.logger, updatesMax: 6)
        groups = GroupCoordinator(log: log, timers: loop, time: time.source, logger: lines.logger, sharing: shares)
        lives += 1
    }

    /// From now on the disk has so many bytes left; nil: enough.
    func limitDisk(_ bytes: Int?) { disk.state.withLock { state in state.capacity = bytes.map { state.used + $0 } ?? .max } }

    /// From now on syncs fail, and what was to be written is forgotten by the system.
    func failSyncs(_ fail: Bool) { disk.state.withLock { $0.failingSyncs = fail } }
}

/// A failure that a client may meet when the disk is full, broken or gone.
func isDiskFailure(_ error: any Error) -> Bool {
    switch error {
    case let error as KafkaError: error.code == .kafkaStorageError
    case let error as MartletError: error.code == .diskFull || error.code == .io
    default: false
    }
}

/// Topic ids that are the same in each run.
private final class TopicIDSequence: Sendable {
    private let last = Mutex<UInt64>(0)

    func next() -> UUIDBytes {
        UUIDBytes(
            high: 0x4000,
            low: last.withLock { last in
                last += 1
                return last
            })
    }
}
