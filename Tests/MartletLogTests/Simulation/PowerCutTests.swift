import MartletCore
import Testing

@testable import MartletLog

/// Power cuts in the middle of clients' transactions, at any operation of the disk, time and again. An honest client is never fenced, and its
/// transaction ends as it decided: `SimulatedTransactions` takes no other answer.
@Suite(.long) struct PowerCutTests {
    static let histories = 2000

    @Test(arguments: [SimulatedFileSystem.Crash.unsynced, .tornTail, .lostSectors, .reordered])
    func transactionsEndAsTheirClientsDecide(kind: SimulatedFileSystem.Crash) throws {
        var survivors = 0, lives = 0
        withSeeds(Self.histories / 4) { seed, random in
            let node = try SimulatedNode()
            try node.log.createTopic("events", partitions: 2, settings: ["segment.bytes": "1500"])
            var clients = [SimulatedTransactions(name: "t0", isModern: false), SimulatedTransactions(name: "t1", isModern: seed % 2 == 0)]
            // Some histories have one client, so that nobody else's sync takes its records along.
            if seed % 3 == 0 { clients.removeLast() }
            node.willCrash(kind, after: Int.random(in: 0..<40, using: &random), seed: random.next())
            for step in 0..<60 {
                try clients[Int.random(in: clients.indices, using: &random)].step(node, &random)
                guard node.hasCrashed else { continue }
                try node.restart(kind, &random)
                for i in clients.indices { clients[i].nodeRestarted(&random) }
                for p in 0..<2 { try node.partition("events", Int32(p)).flush() }
                let values = try (0..<2).map { try node.partition("events", Int32($0)).values(.readCommitted) }
                for client in clients { client.check(node, values, isSettled: false, "seed \(seed), step \(step)") }
                node.willCrash(kind, after: Int.random(in: 0..<40, using: &random), seed: random.next())
            }
            // The node stays up: whoever still has something open ends it, and then all can be seen.
            for _ in 0..<20 { for i in clients.indices { try clients[i].step(node, &random) } }
            for i in clients.indices { try clients[i].beginAnew(node) }
            for p in 0..<2 { try node.partition("events", Int32(p)).flush() }
            let values = try (0..<2).map { try node.partition("events", Int32($0)).values(.readCommitted) }
            for client in clients {
                client.check(node, values, isSettled: true, "seed \(seed), at the end")
                survivors += client.survivors
            }
            lives += node.lives
        }
        #expect(survivors > Self.histories / 10 && lives > Self.histories, "\(survivors) transactions were committed in a later life, \(lives) lives")
    }

    /// The very moments: after each answer that is given before it is on disk, power fails and takes all that is not synced. The client goes on as if
    /// nothing had been.
    @Test(arguments: [0, 1, 2, 3]) func whatWasAnsweredIsTakenForGranted(moment: Int) throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system) { $0.worksInBackground = false }
        _ = try log.made("a")
        _ = try log.made("b")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 60_000)
        let input = TopicPartition("in", 0)
        func add(_ topic: String) throws {
            let codes = try log.transactions.addPartitions(
                transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [TopicPartition(topic, 0)])
            #expect(codes == [TopicPartition(topic, 0): .none])
        }
        func send(_ topic: String, _ value: String) throws {
            try log.found(topic).append(client: clientBatch([value], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
            try log.services.flush([try log.found(topic), log.transactions.log])
        }
        func powerCut() throws {
            var random = SeededRandom(seed: 7)
            // Nothing that is not synced survives.
            let disk = try #require(log.services.fileSystem as? SimulatedFileSystem)
            log = try openLog(disk.crashed(.unsynced, &random)) { $0.worksInBackground = false }
        }
        try add("a")
        if moment == 0 { try powerCut() }
        try send("a", "one")
        try add("b")
        if moment == 1 { try powerCut() }
        try log.transactions.addOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", isDurable: false)
        if moment == 2 { try powerCut() }
        try log.transactions.commitOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", [input: CommittedOffset(offset: 7)])
        if moment == 3 { try powerCut() }
        try send("b", "two")
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        for topic in ["a", "b"] { try log.found(topic).flush() }
        #expect(try log.found("a").values(.readCommitted) == ["one"] && log.found("b").values(.readCommitted) == ["two"])
        #expect(log.groupOffsets.committed(group: "g", input)?.offset == 7)
        // With the transaction the leniency ends: what nobody added is refused again.
        let error = #expect(throws: KafkaError.self) {
            try log.found("a").append(client: clientBatch(["x"], producerID: id, epoch: epoch, sequence: 1, isTransactional: true))
        }
        #expect(error?.code == .invalidTxnState)
    }

    /// A client that had only added partitions or a group ends its transaction after the power cut, either way; so does one whose disk tells
    /// nothing of its having begun.
    @Test(arguments: [true, false], [true, false]) func anEmptyTransactionEnds(commits: Bool, addsPartition: Bool) throws {
        for synced in [true, false] {
            let system = SimulatedFileSystem(), time = ManualTime(wallMs: 1_000_000)
            var log = try openLog(system, time: time) { $0.worksInBackground = false }
            let partition = try log.made("a")
            let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
            if addsPartition {
                _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id])
            } else {
                try log.transactions.addOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", isDurable: false)
            }
            if synced { try log.transactions.log.flush() }
            var random = SeededRandom(seed: 7)
            log = try openLog(system.crashed(.unsynced, &random), time: time) { $0.worksInBackground = false }
            for _ in 0..<2 { try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: commits) }
            // It is over: nothing of it can time out later and fence its client.
            time.advance(byMs: 6000)
            log.maintain()
            _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
            try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        }
    }

    /// Leniency is for one timeout: later nothing of before the start can be open.
    @Test func leniencyEnds() throws {
        let system = SimulatedFileSystem(), time = ManualTime(wallMs: 1_000_000)
        var log = try openLog(system, time: time) { $0.worksInBackground = false }
        _ = try log.made("a")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        var random = SeededRandom(seed: 7)
        log = try openLog(system.crashed(.unsynced, &random), time: time) { $0.worksInBackground = false }
        time.advance(byMs: 5001)
        let early = clientBatch(["x"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true)
        let error = #expect(throws: KafkaError.self) { try log.found("a").append(client: early) }
        #expect(error?.code == .invalidTxnState)
        #expect { try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true) } throws: {
            ($0 as? KafkaError)?.code == .invalidTxnState
        }
    }

    /// Whoever was fenced before the power cut is fenced after it.
    @Test func zombiesGetNothingOfTheLeniency() throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system) { $0.worksInBackground = false }
        _ = try log.made("a")
        let (id, old) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 60_000)
        _ = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 60_000)
        var random = SeededRandom(seed: 7)
        log = try openLog(system.crashed(.unsynced, &random)) { $0.worksInBackground = false }
        let zombie = clientBatch(["x"], producerID: id, epoch: old, sequence: 0, isTransactional: true)
        let error = #expect(throws: KafkaError.self) { try log.found("a").append(client: zombie) }
        #expect(error?.code == .invalidProducerEpoch)
        #expect { try log.transactions.end(transactionalID: "c", producerID: id, epoch: old, commit: false) } throws: {
            ($0 as? KafkaError)?.code == .producerFenced
        }
    }
}
