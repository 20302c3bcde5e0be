import MartletCore
import Synchronization
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct TransactionTests {
    func crash(_ system: SimulatedFileSystem) -> SimulatedFileSystem {
        var random = SeededRandom(seed: 1)
        return system.crashed(.kill, &random)
    }

    @Test func committedIsVisibleAbortedIsNot() throws {
        let log = try openLog(SimulatedFileSystem())
        let a = try log.made("a"), b = try log.made("b")
        let events = Mutex<Set<TopicPartition>>([])
        _ = log.addListener { event in if case .advanced(let id) = event { _ = events.withLock { $0.insert(id) } } }
        let writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        var one = batch(["a1", "a2"]), two = batch(["b1"])
        try writer.append(a, &one)
        try writer.append(b, &two)
        writer.stageOffsets([TopicPartition("in", 0): 42], group: "g")
        #expect(try a.values(.readCommitted).isEmpty && a.lastStableOffset == 0)
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0)) == nil)
        try writer.commit()
        #expect(try a.values(.readCommitted) == ["a1", "a2"] && b.values(.readCommitted) == ["b1"])
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 42)
        #expect(events.withLock { $0 }.isSuperset(of: [a.id, b.id]))

        writer.begin()
        var three = batch(["gone"])
        try writer.append(a, &three)
        writer.stageOffsets([TopicPartition("in", 0): 50], group: "g")
        try writer.abort()
        writer.begin()
        var four = batch(["a3"])
        try writer.append(a, &four)
        try writer.commit()
        #expect(try a.values(.readCommitted) == ["a1", "a2", "a3"])
        #expect(try a.values(.readUncommitted) == ["a1", "a2", "gone", "a3"])
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 42)
        // A client filters by this list: one aborted transaction, at offset 3 (0, 1, marker, gone).
        let slice = try a.read(from: 0, maxBytes: 1 << 20, isolation: .readCommitted)
        #expect(slice.aborted == [AbortedTransaction(producerID: writer.producerID, firstOffset: 3, lastOffset: 4)])
        // A transaction with offsets only, and an empty one.
        writer.begin()
        writer.stageOffsets([TopicPartition("in", 0): 60], group: "g")
        try writer.commit()
        writer.begin()
        try writer.commit()
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 60)
    }

    /// (6) The last stable offset is where the oldest open transaction begins, whoever finishes first.
    @Test func severalWritersShareAPartition() throws {
        let log = try openLog(SimulatedFileSystem(), durability: .os)
        let partition = try log.made("t")
        let writers = try (0..<3).map { try log.transactions.writer(transactionalID: "w\($0)") }
        for (i, writer) in writers.enumerated() {
            writer.begin()
            var records = batch(["w\(i)"])
            try writer.append(partition, &records)
        }
        try partition.append(["plain"])
        #expect(partition.lastStableOffset == 0)
        try writers[1].commit()
        #expect(partition.lastStableOffset == 0)
        try writers[0].abort()
        #expect(partition.lastStableOffset == 2)
        #expect(try partition.values(.readCommitted) == ["w1"])
        try writers[2].commit()
        #expect(try partition.values(.readCommitted) == ["w1", "w2", "plain"])
        #expect(partition.lastStableOffset == partition.highWatermark)
    }

    @Test func aNewerWriterFencesTheOlder() throws {
        let log = try openLog(SimulatedFileSystem())
        let partition = try log.made("t")
        let old = try log.transactions.writer(transactionalID: "w")
        old.begin()
        var records = batch(["old"])
        try old.append(partition, &records)
        let new = try log.transactions.writer(transactionalID: "w")
        #expect(new.producerID == old.producerID && new.epoch == old.epoch + 1)
        for body in [{ try old.commit() }, { try old.abort() }, { records = batch(["x"]); try old.append(partition, &records) }] {
            #expect { try body() } throws: { ($0 as? MartletError)?.code == .fenced }
        }
        new.begin()
        records = batch(["new"])
        try new.append(partition, &records)
        try new.commit()
        #expect(try partition.values(.readCommitted) == ["new"])
    }

    /// Epochs end; then the id gets a new producer id.
    @Test func epochsMayRunOut() throws {
        let log = try openLog(SimulatedFileSystem(), durability: .os)
        let first = try log.transactions.writer(transactionalID: "w")
        let transaction = try #require(log.transactions.transaction("w"))
        transaction.state.withLock { $0.record.epoch = Int16.max - 1 }
        let next = try log.transactions.writer(transactionalID: "w")
        #expect(next.producerID != first.producerID && next.epoch == 0)
        let partition = try log.made("t")
        next.begin()
        var records = batch(["x"])
        try next.append(partition, &records)
        try next.commit()
        #expect(try partition.values(.readCommitted) == ["x"])
    }

    /// With a decision the crash is invisible; without one the transaction never was.
    @Test(arguments: [true, false]) func aCrashBeforeTheMarkers(decided: Bool) throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system)
        let a = try log.made("a"), b = try log.made("b")
        var writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        var records = batch(["a1"])
        try writer.append(a, &records)
        try writer.commit()
        writer.begin()
        records = batch(["a2"])
        try writer.append(a, &records)
        records = batch(["b1"])
        try writer.append(b, &records)
        writer.stageOffsets([TopicPartition("in", 0): 7], group: "g")
        var disk = crash(system)
        if decided {
            // Everything of the commit is on disk, then the markers and offsets are taken away again.
            let sizes = [a.id.topic: Int(a.sizeBytes), b.id.topic: Int(b.sizeBytes)]
            let offsetsSize = Int(try log.found("__consumer_offsets").sizeBytes)
            try writer.commit()
            disk = crash(system)
            for (topic, size) in sizes { disk.damage("/data/topics/\(topic)/0/00000000000000000000.log") { $0.removeLast($0.count - size) } }
            disk.damage("/data/topics/__consumer_offsets/0/00000000000000000000.log") { $0.removeLast($0.count - offsetsSize) }
        }
        for _ in 0..<2 {
            log = try openLog(disk)
            #expect(try log.found("a").values(.readCommitted) == (decided ? ["a1", "a2"] : ["a1"]))
            #expect(try log.found("b").values(.readCommitted) == (decided ? ["b1"] : []))
            #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == (decided ? 7 : nil))
            #expect(try log.found("a").lastStableOffset == log.found("a").highWatermark)
            disk = crash(disk)
        }
        writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        records = batch(["a3"])
        try writer.append(try log.found("a"), &records)
        try writer.commit()
        #expect(try log.found("a").values(.readCommitted).last == "a3")
    }

    /// Offsets that a transaction committed and that were deleted afterwards stay deleted, though the decision names them.
    @Test func deletedOffsetsDoNotComeBack() throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system)
        let writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        writer.stageOffsets([TopicPartition("in", 0): 7], group: "g")
        try writer.commit()
        try log.groupOffsets.delete(group: "g")
        log = try openLog(crash(system))
        #expect(log.groupOffsets.groups.isEmpty)
        // And offsets that a consumer committed after the transaction are not taken back by it.
        let disk = crash(system)
        log = try openLog(disk)
        let next = try log.transactions.writer(transactionalID: "w")
        next.begin()
        next.stageOffsets([TopicPartition("in", 0): 8], group: "g")
        try next.commit()
        try log.groupOffsets.commit(group: "g", [TopicPartition("in", 0): CommittedOffset(offset: 3, timestamp: 2_000_000)])
        log = try openLog(crash(disk))
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 3)
    }

    /// A disk that is full at any byte of a commit: either the commit throws and nothing is ever visible, or all is once there is room.
    @Test func aFullDiskDuringACommit() throws {
        for room in 0..<700 where room % 9 == 0 || room < 80 {
            let system = SimulatedFileSystem()
            let log = try openLog(system)
            let a = try log.made("a"), b = try log.made("b")
            let writer = try log.transactions.writer(transactionalID: "w")
            writer.begin()
            var records = batch(["a1"])
            try writer.append(a, &records)
            records = batch(["b1"])
            try writer.append(b, &records)
            writer.stageOffsets([TopicPartition("in", 0): 7], group: "g")
            system.state.withLock { $0.capacity = $0.used + room }
            var committed = true
            do {
                try writer.commit()
            } catch {
                committed = false
                #expect(error.code == .diskFull)
            }
            system.state.withLock { $0.capacity = .max }
            if !committed { try writer.abort() }
            log.maintain()
            for log in [log, try openLog(crash(system))] {
                #expect(try log.found("a").values(.readCommitted) == (committed ? ["a1"] : []), "room \(room)")
                #expect(try log.found("b").values(.readCommitted) == (committed ? ["b1"] : []))
                #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == (committed ? 7 : nil))
            }
        }
    }

    /// A transaction of which a part could not be written is never committed: `begin` rolls it back first.
    @Test func aFailedAppendSpoilsTheTransaction() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system)
        let partition = try log.made("t")
        let writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        var records = batch(["first half"])
        try writer.append(partition, &records)
        system.state.withLock { $0.capacity = $0.used }
        records = batch(["second half"])
        #expect { try writer.append(partition, &records) } throws: { ($0 as? MartletError)?.code == .diskFull }
        #expect(records.isEmpty)
        #expect(throws: MartletError.self) { try writer.commit() }
        #expect(throws: MartletError.self) { try writer.abort() }  // its marker does not fit either
        writer.begin()
        records = batch(["new"])
        #expect { try writer.append(partition, &records) } throws: { ($0 as? MartletError)?.code == .diskFull }
        system.state.withLock { $0.capacity = .max }
        writer.begin()
        records = batch(["new"])
        try writer.append(partition, &records)
        try writer.commit()
        #expect(try partition.values(.readCommitted) == ["new"])
        // The same without an error: begin after begin forgets what was not committed.
        writer.begin()
        records = batch(["forgotten"])
        try writer.append(partition, &records)
        writer.begin()
        records = batch(["newer"])
        try writer.append(partition, &records)
        try writer.commit()
        #expect(try partition.values(.readCommitted) == ["new", "newer"])
    }

    @Test func aDeletedTopicDoesNotBlockACommit() throws {
        let log = try openLog(SimulatedFileSystem())
        let a = try log.made("a"), b = try log.made("b")
        let writer = try log.transactions.writer(transactionalID: "w")
        writer.begin()
        var records = batch(["a1"])
        try writer.append(a, &records)
        records = batch(["b1"])
        try writer.append(b, &records)
        try log.deleteTopic("b")
        try writer.commit()
        #expect(try a.values(.readCommitted) == ["a1"])
    }

    // MARK: clients

    @Test func aClientsTransaction() throws {
        let time = ManualTime(wallMs: 1_000_000)
        let log = try openLog(SimulatedFileSystem(), time: time)
        let partition = try log.made("t")
        let coordinator = log.transactions
        let (id, epoch) = try coordinator.initProducerID(transactionalID: "c", timeoutMs: 5000)
        func code(_ body: () throws(KafkaError) -> Void) -> KafkaErrorCode? {
            do {
                try body()
                return nil
            } catch {
                return error.code
            }
        }
        func send(_ value: String, _ sequence: Int32, epoch: Int16) -> KafkaErrorCode? {
            code { () throws(KafkaError) in
                try partition.append(client: clientBatch([value], producerID: id, epoch: epoch, sequence: sequence, isTransactional: true))
            }
        }
        #expect(send("early", 0, epoch: epoch) == .invalidTxnState)
        #expect(
            try coordinator.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id, TopicPartition("no", 0)])
                == [partition.id: .operationNotAttempted, TopicPartition("no", 0): .unknownTopicOrPartition])
        #expect(try coordinator.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id]) == [partition.id: .none])
        #expect(send("one", 0, epoch: epoch) == nil)
        try coordinator.addOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g")
        try coordinator.commitOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", [TopicPartition("in", 0): CommittedOffset(offset: 3)])
        #expect(coordinator.hasPendingOffset(group: "g", TopicPartition("in", 0)))
        #expect(log.groupOffsets.all(group: "g").isEmpty)
        try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)  // repeated
        #expect(code { () throws(KafkaError) in try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: false) } == .invalidTxnState)
        #expect(!coordinator.hasPendingOffset(group: "g", TopicPartition("in", 0)))
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 3)
        #expect(try partition.values(.readCommitted) == ["one"])
        // Too slow: aborted and fenced.
        _ = try coordinator.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        #expect(send("slow", 1, epoch: epoch) == nil)
        time.advance(byMs: 6000)
        log.maintain()
        #expect(send("later", 2, epoch: epoch) == .invalidProducerEpoch)
        #expect(code { () throws(KafkaError) in try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true) } == .producerFenced)
        try partition.flush()
        #expect(try partition.values(.readCommitted) == ["one"] && partition.lastStableOffset == partition.endOffset)
        #expect(code { () throws(KafkaError) in _ = try coordinator.initProducerID(transactionalID: "c", timeoutMs: 0) } == .invalidTransactionTimeout)
        #expect(code { () throws(KafkaError) in try coordinator.end(transactionalID: "d", producerID: 1, epoch: 0, commit: true) } == .invalidProducerIDMapping)
        let (_, next) = try coordinator.initProducerID(transactionalID: "c", timeoutMs: 5000)
        #expect(next > epoch + 1)
    }

    /// A restart leaves a client's transaction open, with the offsets that it will commit, and its client goes on with it.
    @Test(arguments: [true, false]) func aClientsTransactionOutlivesARestart(commits: Bool) throws {
        var system = SimulatedFileSystem()
        let time = ManualTime(wallMs: 1_000_000)
        var log = try openLog(system, time: time)
        let partition = try log.made("t", partitions: 2)
        let input = TopicPartition("in", 0)
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        func send(_ value: String, _ number: Int32, _ sequence: Int32) throws {
            _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [TopicPartition("t", number)])
            try log.found("t", number).append(client: clientBatch([value], producerID: id, epoch: epoch, sequence: sequence, isTransactional: true))
        }
        // One that is decided is not mixed up with the next, whatever of its markers is lost.
        try send("before", 0, 0)
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        try send("one", 0, 1)
        try log.transactions.addOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g")
        try log.transactions.commitOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", [input: CommittedOffset(offset: 7)])
        try partition.flush()
        for _ in 0..<2 {
            system = crash(system)
            log = try openLog(system, time: time)
            #expect(try log.found("t").values(.readCommitted) == ["before"])
            #expect(log.transactions.hasPendingOffset(group: "g", input) && log.groupOffsets.all(group: "g").isEmpty)
            #expect(log.transactions.listing("c")?.state == .ongoing)
        }
        // Sent again, since the answer may have been lost, and something new.
        try send("one", 0, 1)
        try send("two", 1, 0)
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: commits)
        log = try openLog(crash(system), time: time)
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: commits)  // repeated
        #expect(try log.found("t").values(.readCommitted) == (commits ? ["before", "one"] : ["before"]))
        #expect(try log.found("t", 1).values(.readCommitted) == (commits ? ["two"] : []))
        #expect(log.groupOffsets.committed(group: "g", input)?.offset == (commits ? 7 : nil))
        #expect(try log.found("t").lastStableOffset == log.found("t").endOffset)
    }

    /// Its time goes on over a restart; then it is aborted and its client fenced.
    @Test func aTransactionThatOutlivedARestartTimesOut() throws {
        let system = SimulatedFileSystem()
        let time = ManualTime(wallMs: 1_000_000)
        var log = try openLog(system, time: time)
        let partition = try log.made("t")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        try partition.append(client: clientBatch(["half"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        time.advance(byMs: 3000)
        log = try openLog(crash(system), time: time)
        log.maintain()
        #expect(log.transactions.listing("c")?.state == .ongoing)
        time.advance(byMs: 3000)
        log.maintain()
        #expect { try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true) } throws: {
            ($0 as? KafkaError)?.code == .producerFenced
        }
        #expect(try log.found("t").values(.readCommitted).isEmpty)
        try log.found("t").flush()
        #expect(try log.found("t").lastStableOffset == log.found("t").endOffset)
    }

    /// Data of a transaction of which the transaction log has lost that it is open: it is the client's, who goes on with it, or ends it.
    @Test(arguments: [true, false]) func dataThatTheTransactionLogDoesNotKnow(commits: Bool) throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system)
        let partition = try log.made("t")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        let size = Int(try log.found("__transaction_state").sizeBytes)
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id])
        let half = clientBatch(["half"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true)
        try partition.append(client: half)
        let disk = crash(system)
        disk.damage("/data/topics/__transaction_state/0/00000000000000000000.log") { $0.removeLast($0.count - size) }
        for _ in 0..<2 {
            log = try openLog(crash(disk))
            #expect(log.transactions.listing("c")?.partitions == [partition.id])
            #expect(try log.found("t").values(.readCommitted).isEmpty)
        }
        // Not answered, so sent again.
        #expect(try log.found("t").append(client: half).duplicate)
        try log.found("t").append(client: clientBatch(["whole"], producerID: id, epoch: epoch, sequence: 1, isTransactional: true))
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: commits)
        log = try openLog(crash(try #require(log.services.fileSystem as? SimulatedFileSystem)))
        #expect(try log.found("t").values(.readCommitted) == (commits ? ["half", "whole"] : []))
        #expect(try log.found("t").lastStableOffset == log.found("t").endOffset)
    }

    /// An abort that could not be synced is no abort yet: what comes again is not answered before the markers are on disk, else a start would count the
    /// aborted records to the next transaction.
    @Test func anAbortIsAnsweredWhenItIsOnDisk() throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system) { $0.worksInBackground = false }
        let partition = try log.made("t")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        try partition.append(client: clientBatch(["no"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        try partition.flush()
        system.state.withLock { $0.failingSyncs = true }
        func end() throws(KafkaError) { try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: false) }
        for _ in 0..<2 { #expect { try end() } throws: { ($0 as? KafkaError)?.code == .kafkaStorageError } }
        system.state.withLock { $0.failingSyncs = false }
        #expect { try end() } throws: { ($0 as? KafkaError)?.code == .kafkaStorageError }
        #expect(throws: KafkaError.self) {
            try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id])
        }
        var random = SeededRandom(seed: 1)
        log = try openLog(system.crashed(.unsynced, &random)) { $0.worksInBackground = false }
        try end()
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        try log.found("t").append(client: clientBatch(["yes"], producerID: id, epoch: epoch, sequence: 1, isTransactional: true))
        try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        #expect(try log.found("t").values(.readCommitted) == ["yes"])
    }

    /// A commit whose decision could not be synced may or may not be one: whoever asks again is not told that the transaction before it has committed.
    @Test(arguments: [true, false]) func aCommitInDoubtIsNotAnswered(isModern: Bool) throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.worksInBackground = false }
        let partition = try log.made("t")
        var (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        func send(_ sequence: Int32) throws {
            _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id])
            try partition.append(client: clientBatch(["x"], producerID: id, epoch: epoch, sequence: sequence, isTransactional: true))
            try log.services.flush([partition, log.transactions.log])
        }
        func end() throws(KafkaError) {
            if isModern {
                (id, epoch) = try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
            } else {
                try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
            }
        }
        try send(0)
        try end()
        try send(isModern ? 0 : 1)
        system.state.withLock { $0.failingSyncs = true }
        #expect { try end() } throws: { ($0 as? KafkaError)?.code == .kafkaStorageError }
        system.state.withLock { $0.failingSyncs = false }
        for _ in 0..<2 { #expect { try end() } throws: { ($0 as? KafkaError)?.code == .kafkaStorageError } }
    }

    /// KIP-890: the abort of nothing raises the epoch, and is answered in the same way when it is repeated after a crash.
    @Test func aRepeatedAbortOfNothingIsNotFenced() throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system)
        let partition = try log.made("t")
        var (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        try partition.append(client: clientBatch(["x"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        (id, epoch) = try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        let next = try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: false)
        #expect(next.epoch == epoch + 1)
        log = try openLog(crash(system))
        #expect(try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: false) == next)
    }

    /// A clock that was set back by a day does not keep a transaction open for a day.
    @Test func aClockThatWasSetBack() throws {
        let system = SimulatedFileSystem(), time = ManualTime(wallMs: 100_000_000)
        let log = try openLog(system, time: time)
        let partition = try log.made("t")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
        try partition.append(client: clientBatch(["x"], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        time.advance(byMs: -86_400_000)
        log.maintain()
        #expect(log.transactions.listing("c")?.state == .ongoing)
        time.advance(byMs: 5001)
        log.maintain()
        #expect(log.transactions.listing("c")?.state == .completeAbort)
    }

    /// transactional.id.expiration.ms: an id that nobody uses is forgotten, also by the next start; one with an open transaction is not.
    @Test func idsThatAreNotUsedAreForgotten() throws {
        let system = SimulatedFileSystem()
        let time = ManualTime(wallMs: 1_000_000)
        let change: (inout LogConfig) -> Void = { $0.transactionalIDExpirationMs = 10_000 }
        var log = try openLog(system, time: time, change)
        let partition = try log.made("t")
        let (idle, _) = try log.transactions.initProducerID(transactionalID: "idle", timeoutMs: 900_000)
        let (busy, epoch) = try log.transactions.initProducerID(transactionalID: "busy", timeoutMs: 900_000)
        _ = try log.transactions.writer(transactionalID: "ours")
        _ = try log.transactions.addPartitions(transactionalID: "busy", producerID: busy, epoch: epoch, [partition.id])
        time.advance(byMs: 10_001)
        log.maintain()
        #expect(log.transactions.listings.map(\.transactionalID) == ["busy", "ours"])
        log = try openLog(crash(system), time: time, change)
        #expect(log.transactions.listings.map(\.transactionalID) == ["busy", "ours"])
        #expect { _ = try log.transactions.addPartitions(transactionalID: "idle", producerID: idle, epoch: 0, [partition.id]) } throws: {
            ($0 as? KafkaError)?.code == .invalidProducerIDMapping
        }
        // Its client, and one that comes with any id of its own, begins anew.
        #expect(try log.transactions.initProducerID(transactionalID: "idle", timeoutMs: 5000, expecting: (idle, 0)).id != idle)
        #expect(try log.transactions.initProducerID(transactionalID: "unheard of", timeoutMs: 5000, expecting: (0, 0)).epoch == 0)
    }

    /// KIP-890: the next transaction's epoch is known after a crash, and what was begun in it goes on.
    @Test func anEpochThatEndedStaysEnded() throws {
        var system = SimulatedFileSystem()
        var log = try openLog(system)
        var partition = try log.made("t")
        let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        func send(_ value: String, _ epoch: Int16) throws(KafkaError) {
            _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
            try partition.append(client: clientBatch([value], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
        }
        func end(_ epoch: Int16, commit: Bool = true) throws(KafkaError) -> Int16 {
            try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: commit).epoch
        }
        func reopen() throws {
            system = crash(system)
            log = try openLog(system)
            partition = try log.found("t")
        }
        try send("one", epoch)
        #expect(try end(epoch) == epoch + 1)
        try reopen()
        // Its answer may have been lost: the same again.
        #expect(try end(epoch) == epoch + 1)
        try send("two", epoch + 1)
        #expect(try end(epoch + 1) == epoch + 2)
        try send("half", epoch + 2)
        try partition.flush()
        try reopen()
        #expect(try partition.values(.readCommitted) == ["one", "two"])
        #expect(try end(epoch + 2) == epoch + 3)
        #expect(try partition.values(.readCommitted) == ["one", "two", "half"])
        // With the epoch of a transaction that has ended nothing more comes in.
        #expect { try send("late", epoch + 2) } throws: { ($0 as? KafkaError)?.code == .producerFenced }
    }

    /// When epochs are used up the producer gets another id, and goes on with it.
    @Test func epochsRunOutAndBeginAnew() throws {
        let system = SimulatedFileSystem()
        var log = try openLog(system)
        let partition = try log.made("t")
        let (first, _) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        log.transactions.transaction("c")?.state.withLock { $0.record.epoch = Int16.max - 2 }
        var (id, epoch) = (first, Int16.max - 2)
        for value in ["a", "b", "c"] {
            _ = try log.transactions.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, [partition.id])
            try partition.append(client: clientBatch([value], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
            (id, epoch) = try log.transactions.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
        }
        #expect(id != first && epoch >= 0 && epoch < 5)
        try partition.flush()
        #expect(try partition.values(.readCommitted) == ["a", "b", "c"])
        log = try openLog(crash(system))
        #expect(try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000, expecting: (id, epoch)).id == id)
    }

    /// Clients that begin at once wait together: one sync for the first, one for all that came while it ran.
    @Test func clientsThatBeginAtOnceShareASync() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.worksInBackground = false }
        // Ids of producers are given out in blocks, the first of which is written here.
        _ = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 5000)
        let end = log.transactions.log.endOffset
        let gate = Signal((entered: 0, isOpen: false))
        system.state.withLock { state in
            state.beforeSync = { _ in
                gate.update { $0.entered += 1 }
                _ = gate.wait { $0.isOpen ? true : nil }
            }
        }
        let before = system.state.withLock(\.syncCount)
        func client(_ number: Int) throws -> WorkerThread {
            try WorkerThread("client-\(number)") { _ = try? log.transactions.initProducerID(transactionalID: "c\(number)", timeoutMs: 5000) }
        }
        var threads = [try client(0)]
        _ = gate.wait { $0.entered == 1 ? true : nil }
        for number in 1...8 { threads.append(try client(number)) }
        while log.transactions.log.endOffset < end + 9 { sched_yield() }
        gate.update { $0.isOpen = true }
        for thread in threads { thread.join() }
        #expect(system.state.withLock(\.syncCount) == before + 2)
        #expect(log.transactions.listings.count == 10 && log.transactions.listings.allSatisfy { $0.epoch == 0 })
    }

    /// Of the requests of a consume-process-produce transaction only three wait for the disk: records, offsets, decision.
    @Test func whatCanShareASyncDoesNotCostOne() throws {
        let system = SimulatedFileSystem()
        let log = try openLog(system) { $0.worksInBackground = false }
        let partition = try log.made("t"), coordinator = log.transactions
        let (id, epoch) = try coordinator.initProducerID(transactionalID: "c", timeoutMs: 5000)
        func syncs(_ body: () throws -> Void) throws -> Int {
            let before = system.state.withLock(\.syncCount)
            try body()
            return system.state.withLock(\.syncCount) - before
        }
        for number in 0..<3 {
            let adding = try syncs { _ = try coordinator.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id]) }
            let records = try syncs {
                try partition.append(client: clientBatch(["\(number)"], producerID: id, epoch: epoch, sequence: Int32(number), isTransactional: true))
                try log.services.flush([partition, coordinator.log])
            }
            let group = try syncs { try coordinator.addOffsets(transactionalID: "c", producerID: id, epoch: epoch, group: "g", isDurable: false) }
            let offsets = try syncs {
                try coordinator.commitOffsets(
                    transactionalID: "c", producerID: id, epoch: epoch, group: "g", [TopicPartition("in", 0): CommittedOffset(offset: Int64(number))])
            }
            // The markers and offsets of the transaction before are on disk by then, or go along here.
            let decision = try syncs { try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true) }
            #expect(adding == 0 && records == 2 && group == 0 && offsets == 1 && (1...2).contains(decision), "\([adding, records, group, offsets, decision])")
        }
        #expect(log.groupOffsets.committed(group: "g", TopicPartition("in", 0))?.offset == 2)
        // An abort: the markers (and what the commit before has left, at the same time), then that it was aborted; or, as KIP-890 has it, the next epoch, of
        // which aborted records cannot be.
        try log.groupOffsets.partitionLog.flush()
        for isModern in [false, true] {
            _ = try coordinator.addPartitions(transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [partition.id])
            try partition.append(client: clientBatch(["x"], producerID: id, epoch: epoch, sequence: isModern ? 4 : 3, isTransactional: true))
            try log.services.flush([partition, coordinator.log])
            let abort = try syncs {
                if isModern {
                    _ = try coordinator.endAndRaiseEpoch(transactionalID: "c", producerID: id, epoch: epoch, commit: false)
                } else {
                    try coordinator.end(transactionalID: "c", producerID: id, epoch: epoch, commit: false)
                }
            }
            #expect(abort == (isModern ? 1 : 2), "\(abort)")
        }
    }

    /// Power fails after the records of a second partition are on disk and before it is that they are of the transaction; the start after that is cut short
    /// as well, anywhere. The client goes on with all of it.
    @Test func aStartThatIsCutShortLeavesNoHalfOfATransaction() throws {
        var whole = 0
        for seed in UInt64(0)..<12 {
            let system = SimulatedFileSystem()
            let log = try openLog(system) { $0.worksInBackground = false }
            let names = ["a", "b"], partitions = [try log.made("a"), try log.made("b")]
            let (id, epoch) = try log.transactions.initProducerID(transactionalID: "c", timeoutMs: 60_000)
            func send(_ i: Int, _ log: EmbeddedLog) throws {
                _ = try log.transactions.addPartitions(
                    transactionalID: "c", producerID: id, epoch: epoch, isDurable: false, [TopicPartition(names[i], 0)])
                try log.found(names[i]).append(
                    client: clientBatch([names[i]], producerID: id, epoch: epoch, sequence: 0, isTransactional: true))
            }
            try send(0, log)
            try log.services.flush([partitions[0], log.transactions.log])
            try send(1, log)
            try partitions[1].flush()
            var random = SeededRandom(seed: seed)
            let disk = system.crashed(seed % 3 == 0 ? .kill : .tornTail, &random)
            for operations in 0..<40 {
                var random = SeededRandom(seed: seed)
                let first = disk.crashed(.kill, &random)
                first.crash(.tornTail, afterOperations: operations, seed: seed)
                try openLog(first) { $0.worksInBackground = false }.close()
                guard let second = first.afterCrash else { break }
                let log = try openLog(second) { $0.worksInBackground = false }
                try send(1, log)
                try log.services.flush([try log.found("b"), log.transactions.log])
                try log.transactions.end(transactionalID: "c", producerID: id, epoch: epoch, commit: true)
                for name in names { try log.found(name).flush() }
                #expect(try names.map { try log.found($0).values(.readCommitted) } == [["a"], ["b"]], "seed \(seed), operation \(operations)")
                whole += 1
                log.close()
            }
        }
        #expect(whole > 100)
    }
}
