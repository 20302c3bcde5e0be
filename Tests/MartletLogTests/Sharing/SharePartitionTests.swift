import MartletCore
import Testing

@testable import MartletLog

/// The states of records against a model that knows each record alone, and cases by hand.
@Suite struct SharePartitionTests {
    typealias Batch = SharePartition.LogBatch

    private func wish(_ member: String, _ count: Int64 = 500, strict: Bool = false, now: Int64 = 0, _ settings: ShareGroupSettings = .init(own: [:], broker: .init())) -> SharePartition.Wish {
        .init(member: member, recordsMax: count, isStrict: strict, now: now, settings: settings)
    }

    private func acknowledge(
        _ partition: inout SharePartition, _ member: String, _ first: Int64, _ last: Int64, _ types: [Int8], now: Int64 = 0
    ) throws(KafkaError) -> [SharePartition.Change] {
        try partition.acknowledge([.init(first: first, last: last, types: types)], by: member, now: now, .init(own: [:], broker: .init()))
    }

    @Test func aRecordAcceptedMovesTheStart() throws {
        var partition = SharePartition(startOffset: 5)
        let got = partition.acquire([Batch(first: 3, last: 8)], from: 5, wish("a"))
        #expect(got == [.init(first: 5, last: 8, deliveries: 1)])
        #expect(try acknowledge(&partition, "a", 5, 6, [1]) == [.init(first: 5, last: 6, phase: .acknowledged, deliveries: 0)])
        #expect(partition.startOffset == 7 && partition.endOffset == 9)
        #expect(try acknowledge(&partition, "a", 8, 8, [3]).first?.phase == .archived)
        #expect(partition.startOffset == 7 && partition.doneCount == 1)
        #expect(try acknowledge(&partition, "a", 5, 7, [1]) == [.init(first: 7, last: 7, phase: .acknowledged, deliveries: 0)], "5 and 6 are passed over")
        #expect(partition.startOffset == 9 && partition.runs.isEmpty)
    }

    @Test func acknowledgementsOfOthersChangeNothing() {
        var partition = SharePartition(startOffset: 0)
        _ = partition.acquire([Batch(first: 0, last: 9)], from: 0, wish("a", 5, strict: true))
        let before = partition
        for (member, first, last) in [("b", Int64(0), Int64(1)), ("a", 3, 5), ("a", 4, 12), ("b", 9, 9)] {
            #expect(throws: KafkaError.self) { try acknowledge(&partition, member, first, last, [1]) }
            #expect(partition == before, "\(member) \(first) \(last)")
        }
    }

    @Test func typesForEachRecord() throws {
        var partition = SharePartition(startOffset: 0)
        _ = partition.acquire([Batch(first: 0, last: 5)], from: 0, wish("a"))
        let changes = try acknowledge(&partition, "a", 0, 5, [2, 1, 1, 0, 3, 4], now: 7)
        #expect(
            changes == [
                .init(first: 0, last: 0, phase: .available, deliveries: 1), .init(first: 1, last: 2, phase: .acknowledged, deliveries: 0),
                .init(first: 3, last: 4, phase: .archived, deliveries: 0),
            ])
        #expect(partition.nextDeadline == 30_007, "renewed")
        #expect(partition.acquire([Batch(first: 0, last: 5)], from: 0, wish("b")) == [.init(first: 0, last: 0, deliveries: 2)])
    }

    @Test func whatCannotBeMeantIsSaidSo() {
        func problem(_ first: Int64, _ last: Int64, _ types: [Int8], renews: Bool = false) -> String? {
            SharePartition.problem(in: [.init(first: first, last: last, types: types)], allowsRenewal: renews)
        }
        #expect(problem(0, 2, [1]) == nil && problem(0, 2, [1, 2, 3]) == nil && problem(0, 0, [4], renews: true) == nil)
        for (first, last, types) in [(Int64(3), Int64(2), [Int8(1)]), (0, 2, []), (0, 2, [1, 1]), (0, 0, [1, 1]), (0, 1, [9]), (0, .max, [1, 1]), (-2, -1, [1]), (0, 0, [4]), (0, 0, [-1])] {
            #expect(problem(first, last, types) != nil, "\(first) \(last) \(types)")
        }
        let overlapping = [SharePartition.Acknowledgement(first: 0, last: 3, types: [1]), .init(first: 3, last: 4, types: [1])]
        #expect(SharePartition.problem(in: overlapping, allowsRenewal: false) != nil)
    }

    @Test func aSessionThatEndsDoesNotCountAsADelivery() throws {
        var partition = SharePartition(startOffset: 0)
        for _ in 0..<20 {
            #expect(partition.acquire([Batch(first: 0, last: 3)], from: 0, wish("a")) == [.init(first: 0, last: 3, deliveries: 1)])
            #expect(partition.release("a") && !partition.release("a"))
        }
    }

    /// Half of them, a quarter, then each alone (KAFKA-17541).
    @Test func recordsThatComeBackOftenAreHandedOutInSmallPieces() throws {
        var partition = SharePartition(startOffset: 0)
        let log = [Batch(first: 0, last: 99)]
        var counts: [Int64] = []
        for _ in 0..<5 {
            var count: Int64 = 0
            let first = partition.acquire(log, from: 0, wish("a")).reduce(0) { $0 + $1.count }
            count = first
            // The rest in further pieces.
            while let next = partition.nextOffset(below: 100, recordLocksMax: 2000) {
                count += partition.acquire(log, from: next, wish("a")).reduce(0) { $0 + $1.count }
            }
            #expect(count == 100)
            counts.append(first)
            _ = partition.expire(now: 1_000_000, deliveriesMax: 5)
        }
        #expect(counts == [100, 100, 100, 50, 1])
        #expect(partition.startOffset == 100 && partition.runs.isEmpty, "after the last time they are archived")
    }

    @Test func piecesAreAboutAsLargeAsAsked() {
        var partition = SharePartition(startOffset: 0)
        let log = (0..<10).map { Batch(first: $0 * 10, last: $0 * 10 + 9) }
        var wanted = wish("a", 65)
        wanted.batchSize = 25
        #expect(
            partition.acquire(log, from: 0, wanted) == [
                .init(first: 0, last: 29, deliveries: 1), .init(first: 30, last: 59, deliveries: 1), .init(first: 60, last: 69, deliveries: 1),
            ])
        wanted.isStrict = true
        #expect(partition.acquire(Array(log[7...]), from: 70, wanted).reduce(0) { $0 + $1.count } == 30)
    }

    @Test func onlySoManyRecordsAreUnderWay() throws {
        var settings = ShareGroupSettings(own: [:], broker: .init())
        settings.partitionRecordLocksMax = 15
        var partition = SharePartition(startOffset: 0)
        let log = (0..<10).map { Batch(first: $0 * 10, last: $0 * 10 + 9) }
        #expect(partition.acquire(log, from: 0, wish("a", settings)) == [.init(first: 0, last: 19, deliveries: 1)], "a batch comes whole")
        #expect(partition.nextOffset(below: 100, recordLocksMax: 15) == nil)
        _ = try acknowledge(&partition, "a", 0, 9, [1])
        #expect(partition.nextOffset(below: 100, recordLocksMax: 15) == 20)
        #expect(partition.acquire(Array(log[2...]), from: 20, wish("a", 50, strict: true, settings)) == [.init(first: 20, last: 24, deliveries: 1)])
    }

    private func wish(_ member: String, _ settings: ShareGroupSettings) -> SharePartition.Wish { wish(member, 500, settings) }

    // MARK: the model

    private struct Model {
        struct Record {
            var phase = SharePartition.Phase.available
            var deliveries: Int16 = 0
            var owner = ""
            var until: Int64 = 0
            var isReadable = true
        }
        var log: [Batch] = []
        var records: [Int64: Record] = [:]
        var accepted: Set<Int64> = []
        /// Handed out at least once, and the last of those.
        var seen: Set<Int64> = []
        var newest: Int64 = -1
        var end: Int64 = 0

        mutating func append(_ random: inout SeededRandom) {
            // Compaction leaves gaps.
            if Int.random(in: 0..<5, using: &random) == 0 { end += Int64.random(in: 1...4, using: &random) }
            let batch = Batch(first: end, last: end + Int64.random(in: 0..<8, using: &random), isReadable: Int.random(in: 0..<6, using: &random) > 0)
            log.append(batch)
            for offset in batch.first...batch.last { records[offset] = Record(isReadable: batch.isReadable) }
            end = batch.last + 1
        }

        func batches(from offset: Int64, _ count: Int) -> [Batch] { Array(log.filter { $0.last >= offset }.prefix(count)) }
    }

    @Test func neverHandsOutWhatIsDoneWithAndLosesNothing() {
        withSeeds(600) { seed, random in
            var model = Model(), now: Int64 = 0
            var settings = ShareGroupSettings(own: [:], broker: .init())
            settings.recordLockDurationMs = Int64.random(in: 5...40, using: &random)
            settings.deliveryCountLimit = Int64.random(in: 2...6, using: &random)
            settings.partitionRecordLocksMax = Int64.random(in: 5...60, using: &random)
            var partition = SharePartition(startOffset: 0)
            var written: [(Int64, [SharePartition.Change])] = []
            let members = ["a", "b", "c"]

            func check(_ what: String) {
                var at = partition.startOffset
                for (i, run) in partition.runs.enumerated() {
                    #expect(run.first == at && run.last >= run.first, "seed \(seed): \(what): a hole")
                    if i > 0 { #expect(!run.continues(partition.runs[i - 1]), "seed \(seed): \(what): neighbours alike") }
                    at = run.last + 1
                }
                #expect(partition.runs.first?.phase.isOver != true, "seed \(seed): \(what): the first is done with")
                for (offset, record) in model.records where record.isReadable && offset >= partition.startOffset && offset < partition.endOffset {
                    let run = partition.runs[partition.index(of: offset)]
                    #expect(run.phase == record.phase && run.owner == record.owner, "seed \(seed): \(what): offset \(offset) is \(run), not \(record)")
                    if record.phase == .acquired || record.phase == .available { #expect(run.deliveries == record.deliveries, "seed \(seed): \(what): \(offset)") }
                }
                for (offset, record) in model.records where offset < partition.startOffset {
                    #expect(!record.isReadable || record.phase.isOver, "seed \(seed): \(what): offset \(offset) was passed over")
                }
            }
            func read(_ member: String, strict: Bool, _ count: Int64) {
                guard let next = partition.nextOffset(below: model.end, recordLocksMax: settings.partitionRecordLocksMax) else { return }
                let batches = model.batches(from: next, Int.random(in: 1...5, using: &random))
                let wanted = wish(member, count, strict: strict, now: now, settings)
                let pieces = partition.acquire(batches, from: next, wanted)
                if batches.isEmpty { partition.skip(next, model.end - 1); partition.settle() }
                if let piece = pieces.first {
                    let free = model.records.filter { $0.value.isReadable && $0.value.phase == .available && $0.key >= partition.startOffset }.keys.min()
                    #expect(piece.first == free, "seed \(seed): the first that is free comes first")
                }
                var total: Int64 = 0, previous: Int64 = -1
                for piece in pieces {
                    #expect(piece.first > previous, "seed \(seed): pieces in order")
                    previous = piece.last
                    total += piece.count
                    for offset in piece.first...piece.last {
                        let record = model.records[offset]
                        #expect(record?.phase == .available && record?.isReadable == true, "seed \(seed): offset \(offset) was handed out")
                        #expect(piece.deliveries == (record?.deliveries ?? 0) + 1)
                        if model.seen.insert(offset).inserted {
                            #expect(offset > model.newest, "seed \(seed): \(offset) for the first time after \(model.newest)")
                            model.newest = offset
                        }
                        model.records[offset]?.phase = .acquired
                        model.records[offset]?.deliveries += 1
                        model.records[offset]?.owner = member
                        model.records[offset]?.until = now + settings.recordLockDurationMs
                    }
                }
                if strict { #expect(total <= count) }
                check("acquire")
            }
            func giveBack(_ offset: Int64, counts: Bool) {
                guard var record = model.records[offset] else { return }
                record.owner = ""
                if counts, Int64(record.deliveries) >= settings.deliveryCountLimit {
                    record.phase = .archived
                } else {
                    record.phase = .available
                    if !counts { record.deliveries -= 1 }
                }
                model.records[offset] = record
            }
            for _ in 0..<120 {
                let member = members[Int.random(in: 0..<3, using: &random)]
                let held = model.records.filter { $0.value.phase == .acquired && $0.value.owner == member && $0.key >= partition.startOffset }.keys.sorted()
                switch Int.random(in: 0..<12, using: &random) {
                case 0...1: model.append(&random)
                case 2...5: read(member, strict: Bool.random(using: &random), Int64.random(in: 1...20, using: &random))
                case 6...8 where !held.isEmpty:
                    let chosen = held.filter { _ in Int.random(in: 0..<3, using: &random) > 0 }
                    let acknowledgements = chosen.map { SharePartition.Acknowledgement(first: $0, last: $0, types: [Int8.random(in: 0...4, using: &random)]) }
                    do throws(KafkaError) {
                        let changes = try partition.acknowledge(acknowledgements, by: member, now: now, settings)
                        if !changes.isEmpty { written.append((partition.startOffset, changes)) }
                    } catch {
                        Issue.record("seed \(seed): \(error)")
                    }
                    for acknowledgement in acknowledgements {
                        let offset = acknowledgement.first
                        switch acknowledgement.types[0] {
                        case 1:
                            model.accepted.insert(offset)
                            model.records[offset] = .init(phase: .acknowledged)
                        case 2: giveBack(offset, counts: true)
                        case 4: model.records[offset]?.until = now + settings.recordLockDurationMs
                        default: model.records[offset] = .init(phase: .archived)
                        }
                    }
                    check("acknowledge")
                case 9:
                    now += Int64.random(in: 1...15, using: &random)
                    let changes = partition.expire(now: now, deliveriesMax: settings.deliveryCountLimit)
                    if !changes.isEmpty { written.append((partition.startOffset, changes)) }
                    for (offset, record) in model.records where record.phase == .acquired && record.until <= now { giveBack(offset, counts: true) }
                    check("expire")
                case 10:
                    _ = partition.release(member)
                    for offset in held { giveBack(offset, counts: false) }
                    check("release")
                case 11:
                    if Bool.random(using: &random) {
                        // A snapshot in place of all that was written.
                        written = [(partition.startOffset, partition.changes)]
                        var again = SharePartition(startOffset: partition.startOffset)
                        again.restore(startOffset: partition.startOffset, partition.changes)
                        for member in members { _ = partition.release(member) }
                        while let last = partition.runs.last, last.phase == .available, last.deliveries == 0 { partition.cut(at: last.first) }
                        #expect(again == partition, "seed \(seed): a snapshot says all")
                    } else {
                        // A restart: nobody has anything, and what was done is known.
                        var again = SharePartition(startOffset: 0)
                        for (start, changes) in written { again.restore(startOffset: start, changes) }
                        partition = again
                    }
                    for (offset, record) in model.records where record.phase == .acquired { _ = record; giveBack(offset, counts: false) }
                    check("restart")
                default: break
                }
                #expect(partition.windowCount <= settings.partitionRecordLocksMax + 12, "seed \(seed): the window is bounded")
            }
            // Members that accept everything get to the end.
            model.append(&random)
            for _ in 0..<2000 where partition.startOffset < model.end {
                now += 1
                read("a", strict: false, 20)
                let held = model.records.filter { $0.value.phase == .acquired }.sorted { $0.key < $1.key }
                for (offset, record) in held where offset >= partition.startOffset {
                    _ = try partition.acknowledge([.init(first: offset, last: offset, types: [1])], by: record.owner, now: now, settings)
                    model.accepted.insert(offset)
                    model.records[offset] = .init(phase: .acknowledged)
                }
            }
            #expect(partition.startOffset >= (model.log.last { $0.isReadable }?.last ?? -1) + 1, "seed \(seed): stuck at \(partition)")
            #expect(model.records.values.allSatisfy { !$0.isReadable || $0.phase.isOver }, "seed \(seed): a record was lost")
        }
    }
}
