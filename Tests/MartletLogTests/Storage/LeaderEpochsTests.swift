import MartletCore
import Testing

@testable import MartletLog

@Suite struct LeaderEpochsTests {
    @Test func epochsEndWhereTheNextOneBegins() {
        var epochs = LeaderEpochs()
        #expect(epochs.latest == -1 && epochs.end(of: 0, logEnd: 5) == nil && epochs.epoch(at: 0) == -1)
        epochs.begin(0, at: 0)
        epochs.begin(2, at: 10)
        epochs.begin(1, at: 15)  // an earlier one cannot write
        epochs.begin(2, at: 20)  // still the same
        epochs.begin(5, at: 30)
        #expect(epochs.entries.map(\.epoch) == [0, 2, 5] && epochs.entries.map(\.startOffset) == [0, 10, 30])
        func end(_ epoch: Int32) -> String { epochs.end(of: epoch, logEnd: 40).map { "\($0.epoch):\($0.startOffset)" } ?? "-" }
        // An epoch that wrote nothing here ends where the one before it did.
        #expect([0, 1, 2, 3, 4, 5, 6, -1].map(end) == ["0:10", "0:10", "2:30", "2:30", "2:30", "5:40", "-", "-"])
        #expect([0, 9, 10, 29, 30, 99].map { epochs.epoch(at: $0) } == [0, 0, 2, 2, 5, 5])
        // One that wrote nothing is forgotten as soon as the next one begins at the same place.
        epochs.begin(6, at: 40)
        epochs.begin(7, at: 40)
        #expect(epochs.entries.map(\.epoch) == [0, 2, 5, 7])
        epochs.forget(before: 12)
        #expect(epochs.entries.first == .init(epoch: 2, startOffset: 12) && epochs.end(of: 0, logEnd: 40) == .init(epoch: 0, startOffset: 12))
    }

    /// Over starts, lost clean points and lost tails: offsets and epochs of the batches rise together, and the entries say what the batches do.
    @Test func everyStartBeginsAnEpoch() throws {
        withSeeds(30) { seed, random in
            var system = SimulatedFileSystem()
            var epochs: [Int64: Int32] = [:]
            var last: Int32 = -1
            for life in 0..<6 {
                let log = try openLog(system) { $0.checkpointBytes = 300 }
                if life == 0 { try log.createTopic("t", partitions: 1, settings: ["segment.bytes": "300"]) }
                let partition = try log.found("t")
                #expect(partition.leaderEpoch > last, "seed \(seed)")
                if life == 0 { #expect(partition.leaderEpoch == 0) }
                last = partition.leaderEpoch
                epochs = epochs.filter { $0.key < partition.endOffset }
                for (offset, epoch) in epochs { #expect(partition.leaderEpoch(at: offset) == epoch, "seed \(seed), offset \(offset)") }
                #expect(partition.end(ofEpoch: last)?.startOffset == partition.endOffset && partition.end(ofEpoch: last + 1) == nil)
                for _ in 0..<Int.random(in: 0..<6, using: &random) {
                    let made = try partition.append(["v"])
                    epochs[made.baseOffset] = partition.leaderEpoch
                    if Bool.random(using: &random) { log.moveCleanPoints() }
                }
                if Bool.random(using: &random) { try partition.flush() }
                system = system.crashed([.kill, .tornTail, .lostSectors][Int.random(in: 0..<3, using: &random)], &random)
                if Int.random(in: 0..<4, using: &random) == 0 { try? system.remove("/data/topics/t/0/checkpoint") }
            }
        }
    }

    @Test func clientsLearnOfANewEpoch() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let log = try #require(broker.log.partition(TopicPartition("t", 0)))
            try log.append(["a", "b"])
            try log.flush()
            let client = try broker.connect()
            func fetch(_ epoch: Int32, last: Int32 = -1, from offset: Int64 = 0) throws -> FetchResponse {
                try client.send(
                    FetchRequest(
                        waitMsMax: 0,
                        topics: [
                            .init(
                                name: "t", id: broker.topicID("t"),
                                partitions: [.init(index: 0, currentLeaderEpoch: epoch, fetchOffset: offset, lastFetchedEpoch: last, bytesMax: 1 << 20)])
                        ]), 17)
            }
            let now = log.leaderEpoch
            let metadata = try client.send(MetadataRequest(topics: [.init(name: "t")]), 12)
            #expect(metadata.topics[0].partitions[0].leaderEpoch == now)
            #expect(try fetch(-1).topics[0].partitions[0].recordBytes > 0)
            #expect(try fetch(now).topics[0].partitions[0].recordBytes > 0)
            let early = try fetch(now + 1)
            #expect(early.topics[0].partitions[0].error == .unknownLeaderEpoch && early.topics[0].partitions[0].leader?.epoch == now)
            #expect(early.endpoints.map(\.nodeID) == [1] && early.endpoints[0].port == Int32(broker.port))
            // Pretend that the node had started anew twice.
            log.state.withLock { state in
                state.epochs.begin(now + 1, at: 2)
                state.epochs.begin(now + 2, at: 5)
            }
            let lost = try fetch(-1, last: now, from: 2)
            #expect(lost.topics[0].partitions[0].diverging == nil)
            let diverging = try fetch(-1, last: now, from: 2 + 1 - 1)
            #expect(diverging.topics[0].partitions[0].error == .none)
            let asked = OffsetForLeaderEpochRequest(topics: [
                .init(
                    name: "t",
                    partitions: [
                        .init(index: 0, leaderEpoch: now), .init(index: 0, currentLeaderEpoch: now + 1, leaderEpoch: now),
                        .init(index: 0, leaderEpoch: now + 9),
                    ])
            ])
            let ends = try client.send(asked, 4).topics[0].partitions
            #expect(ends.map(\.endOffset) == [2, -1, -1] && ends.map(\.error) == [.none, .unknownLeaderEpoch, .none])
            let latest = try client.send(
                ListOffsetsRequest(topics: [.init(name: "t", partitions: [.init(index: 0, currentLeaderEpoch: now + 1, timestamp: -1)])]), 7)
            #expect(latest.topics[0].partitions[0].error == .unknownLeaderEpoch)
        }
    }

    /// A client whose last epoch ended before its place is told where: what it has read is gone.
    @Test func aReaderOfLostRecordsIsToldWhereTheyEnd() throws {
        try TestBroker.run { broker in
            try broker.log.createTopic("t", partitions: 1, settings: [:])
            let log = try #require(broker.log.partition(TopicPartition("t", 0)))
            try log.append(["a", "b", "c", "d"])
            try log.flush()
            // Epoch 0 ended at 2; what follows was written by epoch 3.
            log.state.withLock { state in
                state.epochs = LeaderEpochs()
                state.epochs.begin(0, at: 0)
                state.epochs.begin(3, at: 2)
            }
            let client = try broker.connect()
            for (last, offset, told) in [(Int32(0), Int64(4), "0:2"), (0, 2, ""), (1, 3, "0:2"), (3, 4, ""), (-1, 4, "")] {
                let answer = try client.send(
                    FetchRequest(
                        waitMsMax: 0, bytesMin: 0,
                        topics: [
                            .init(name: "t", partitions: [.init(index: 0, fetchOffset: offset, lastFetchedEpoch: last, bytesMax: 1 << 20)])
                        ]), 12
                ).topics[0].partitions[0]
                #expect(answer.diverging.map { "\($0.epoch):\($0.offset)" } ?? "" == told, "epoch \(last) at \(offset)")
                if answer.diverging != nil { #expect(answer.recordBytes == 0) }
            }
        }
    }
}
