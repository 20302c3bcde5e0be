import MartletCore
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A node with its clients on a simulated disk and clock, through crashes, torn and reordered writes, lost syncs and full disks.
///
/// Invariants: (1) no acknowledged record is lost, (2) none is there twice, (3) order is kept, (4) committed transactions are whole, aborted
/// ones unseen, (5) what a reader has seen stays, (6) committed offsets never run backwards, (7) zombies get nothing through.
///
/// A seed says everything that happens: `make sim SEED=92` plays it again, `make sim SECONDS=600` plays other ones for ten minutes.
@Suite(.long) struct SimulationTests {
    /// Histories in a test run; more, or one, by the environment.
    static let historiesDefault = 1000
    static let parts = 4

    /// In parts that run side by side.
    @Test(arguments: 0..<parts) func everyHistoryKeepsItsPromises(part: Int) throws {
        func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
        let seconds = number("SIM_SECONDS"), only = number("SEED")
        if only != nil && part > 0 || seconds != nil && part > 1 { return }
        let clock = ContinuousClock(), began = clock.now
        let first = only ?? (seconds == nil ? UInt64(part * Self.historiesDefault / Self.parts + 1) : UInt64.random(in: 0 ..< 1 << 40))
        let end = first + UInt64(Self.historiesDefault / Self.parts)
        var seed = first, lives = 0, survivors = 0, commits = 0, ofStreams = 0, changes = 0, shared = 0, crew = 0
        while true {
            if only != nil ? seed > first : seconds.map({ clock.now - began >= .seconds(Int64($0)) }) ?? (seed >= end) { break }
            do {
                let history = try Self.play(seed)
                lives += history.lives
                survivors += history.survivors
                commits += history.commits
                ofStreams += history.ofStreams
                changes += history.changes
                shared += history.shared
                crew += history.crew
            } catch {
                Issue.record("seed \(seed): \(error)")
            }
            seed += 1
        }
        // Else nothing of this was tried.
        if only == nil {
            #expect(
                survivors > 0 && commits > 0 && ofStreams > 0 && changes > 0 && shared > 0 && crew > 0,
                """
                \(survivors) transactions outlived a start, consumer groups committed \(commits) times, streams groups \(ofStreams) times, groups changed \
                their protocol \(changes) times, share groups were done with \(shared) records, members and administrators of one were answered \(crew) times
                """)
        }
        if seconds != nil { print("simulation: seeds \(first) to \(seed - 1), \(lives) lives of a node, \(survivors) transactions that outlived a start, \(clock.now - began)") }
    }

    /// A seed says all that happens: the same operations of the disk with the same bytes, and so the same crashes and answers. Else a find could not be
    /// played again. Sets and dictionaries have their own order in each process unless Swift is told otherwise, as `Scripts/sim.sh` does.
    @Test(.enabled(if: getenv("SWIFT_DETERMINISTIC_HASHING") != nil, "needs SWIFT_DETERMINISTIC_HASHING=1"))
    func aSeedSaysEverything() throws {
        for seed in UInt64(1)...40 {
            let histories = try (0..<2).map { _ in
                let history = SimulatedFileSystem.History()
                let outcome = try Self.play(seed, history: history)
                return history.lines.withLock { $0 } + ["\(outcome)"]
            }
            #expect(histories[0].count > 100)
            if histories[0] != histories[1] {
                let place = zip(histories[0], histories[1]).enumerated().first { $0.element.0 != $0.element.1 }
                Issue.record("seed \(seed): \(histories[0].count) and \(histories[1].count) operations; the first to differ: \(place.map { "\($0)" } ?? "the end")")
            }
        }
    }

    /// - Returns: how often the node started, how many transactions of clients were open then and committed later, how often consumer groups committed
    ///   and a group with members went over to the other protocol, with how many records a share group was done, how often members and administrators of one were answered.
    static func play(_ seed: UInt64, history: SimulatedFileSystem.History? = nil) throws
        -> (lives: Int, survivors: Int, commits: Int, ofStreams: Int, changes: Int, shared: Int, crew: Int)
    {
        var random = SeededRandom(seed: seed)
        let node = try SimulatedNode(history: history)
        try node.log.createTopic("events", partitions: 2, settings: ["segment.bytes": "1500"])
        try node.log.createTopic("input", partitions: 1, settings: [:])
        try node.log.createTopic("table", partitions: 1, settings: ["segment.bytes": "700", "cleanup.policy": "compact"])
        try node.log.createTopic("results", partitions: 2, settings: ["segment.bytes": "1500"])
        var producers = [SimulatedProducer(name: "p0", partition: 0), SimulatedProducer(name: "p1", partition: 1), SimulatedProducer(name: "p2", partition: 0)]
        var transactions = [SimulatedTransactions(name: "t0", isModern: false), SimulatedTransactions(name: "t1", isModern: seed % 3 > 0)]
        var consumers = SimulatedConsumers()
        var readers = SimulatedReaders()
        var mixed = SimulatedMixedGroup()
        var sharers = try SimulatedSharers(node, isolation: seed % 8 < 4 ? .readCommitted : .readUncommitted)
        var crew = try SimulatedShareMembers(node)
        var application = SimulatedStreams()
        var table = SimulatedTable()
        var pipeline = try SimulatedPipeline(node)
        var seen: [[String]] = [[], []]
        /// Steps until the disk is well again; a disk whose syncs failed only after a restart.
        var illness = 0, mustRestart = false

        let crashes: [SimulatedFileSystem.Crash] = [.kill, .tornTail, .lostSectors, .reordered]
        let kind = crashes[Int(seed % 4)]
        // Not every history has every trouble.
        let hasFullDisks = Bool.random(using: &random), hasLostSyncs = kind != .kill && Int.random(in: 0..<3, using: &random) == 0
        node.willCrash(kind, after: Int.random(in: 0..<250, using: &random), seed: random.next())
        for step in 0..<150 {
            switch Int.random(in: 0..<94, using: &random) {
            case 86...93: try crew.step(node, &random)
            case 78...85: try application.step(node, &random)
            case 64...77: try sharers.step(node, &random)
            case 54...63: try mixed.step(node, &random)
            case 46...53: try readers.step(node, &random)
            case 0...9: try producers[Int.random(in: 0..<3, using: &random)].step(node, &random)
            case 10...21: try transactions[Int.random(in: 0..<2, using: &random)].step(node, &random)
            case 22...32: try consumers.step(node, &random)
            case 33...35: try table.step(node, &random)
            case 36: if Bool.random(using: &random) { node.log.maintain() } else { node.log.moveCleanPoints() }
            case 37 where hasFullDisks && illness == 0:
                node.limitDisk(Int.random(in: 0..<600, using: &random))
                illness = Int.random(in: 1..<15, using: &random)
            case 40...45: try pipeline.step(node, &random)
            case 38 where hasLostSyncs && illness == 0:
                node.failSyncs(true)
                illness = Int.random(in: 1..<6, using: &random)
                mustRestart = true
            default: node.advance(byMs: Int64.random(in: 1...200, using: &random))
            }
            if illness > 0 {
                illness -= 1
                if illness == 0 {
                    node.limitDisk(nil)
                    node.failSyncs(false)
                }
            }
            let note = "seed \(seed), step \(step), life \(node.lives)"
            if node.hasCrashed || (mustRestart && illness == 0) {
                try node.restart(kind, &random)
                (illness, mustRestart) = (0, false)
                for i in transactions.indices { transactions[i].nodeRestarted(&random) }
                consumers.nodeRestarted()
                mixed.nodeRestarted()
                sharers.nodeRestarted()
                try pipeline.nodeRestarted(node)
                // Now and then every client begins anew, so that nothing is open and all can be seen.
                let isSettled = Bool.random(using: &random)
                if isSettled { for i in transactions.indices { try transactions[i].beginAnew(node) } }
                for p in 0..<2 { try node.partition("events", Int32(p)).flush() }
                let values = try (0..<2).map { try node.partition("events", Int32($0)).values(.readCommitted) }
                for producer in producers { producer.check(try node.partition("events", producer.partition).values(.readUncommitted), note) }
                for client in transactions { client.check(node, values, isSettled: isSettled, note) }
                consumers.check(node, note)
                readers.check(node, note)
                mixed.check(node, note)
                try sharers.check(node, note)
                try crew.check(node, note)
                application.check(node, note)
                try pipeline.check(node, note)
                try table.check(node, note)
                for p in 0..<2 {
                    #expect(Set(values[p]).count == values[p].count, "\(note): a value twice")
                    #expect(!values[p].contains("zombie"), "\(note): a zombie got through")
                    #expect(Array(values[p].prefix(seen[p].count)) == seen[p], "\(note): a reader would see something else")
                    seen[p] = values[p]
                    let log = try node.partition("events", Int32(p))
                    if isSettled { #expect(log.lastStableOffset == log.endOffset, "\(note): a transaction is open though every client began anew") }
                }
                #expect(node.lines.containing("fenced").isEmpty, "\(note): a crash is no corruption")
                node.willCrash(kind, after: Int.random(in: 0..<250, using: &random), seed: random.next())
            } else if !mustRestart, step % 7 == 0 {
                for p in 0..<2 {
                    let values = try node.partition("events", Int32(p)).values(.readCommitted)
                    #expect(Array(values.prefix(seen[p].count)) == seen[p], "\(note): a reader sees something else")
                    seen[p] = values
                }
            }
        }
        return (
            node.lives, transactions.reduce(0) { $0 + $1.survivors }, readers.commits.count + mixed.commits.count, application.commits.count, mixed.changes,
            sharers.acceptedCount, crew.answers)
    }
}
