import MartletColumns
import MartletCore
@testable import MartletLog
import Testing

@testable import MartletEngine

/// An index on disk answers as one in memory does, which is a dictionary.
@Suite(.enabled(if: (try? RocksLibrary.shared.get()) != nil, "RocksDB is not installed: make bootstrap"))
struct StateIndexTests {
    /// A store that has nothing but what an index asks of it.
    private final class Store: StateStore {
        let name = "store"
        let listing: EntryTime?
        init(_ listing: EntryTime?) { self.listing = listing }
        func takeChanges(_ out: inout StateChanges) throws(MartletError) {}
        func restore(_ block: RecordBlock) throws(MartletError) {}
    }

    private func text(_ block: RecordBlock) -> [String] {
        (0..<block.count).map { "\(block.key($0) ?? []) \(block.value($0) ?? []) \(block.timestamps[$0])" }.sorted()
    }

    @Test(arguments: 0..<6) func diskAndMemoryAgree(seed: Int) async throws {
        var random = SeededRandom(seed: UInt64(seed))
        let harness = try await EngineHarness()
        try harness.topic("changes")
        let log = try #require(harness.log.partition(TopicPartition("changes", 0)))
        let store = Store(seed % 2 == 0 ? .windowEnd : nil)
        let folder = "\(harness.directory)/index", memory = MemoryIndex(listing: store.listing)
        let shared = try RocksShared(try RocksLibrary.shared.get(), cacheBytes: 1 << 20)
        let disk = try ChangelogIndex(folder, of: log, topicID: [UInt8](repeating: 7, count: 16), for: store, position: 1_000_000, shared, time: .system)
        func key() -> BytesColumn {
            let start = Int64.random(in: 0..<40, using: &random)
            let text = String(repeating: "k", count: Int.random(in: 0..<4, using: &random)) + "\(Int.random(in: 0..<9, using: &random))"
            return KeyEncoding.encode(
                [.string(BytesColumn([text]))], windows: Batch.Windows(starts: [start], ends: [start + Int64.random(in: 0..<5, using: &random)]))
        }
        for round in 0..<20 {
            var changes = StateChanges()
            for _ in 0..<Int.random(in: 0..<60, using: &random) {
                let isGone = Int.random(in: 0..<3, using: &random) == 0
                changes.append(timestamp: Int64(round), key: key().slice(0), value: isGone ? nil : [UInt8](repeating: UInt8(round), count: round)[...])
            }
            memory.apply(RecordBlock(changes))
            _ = disk.add(changes, upTo: Int64(round + 1))
            try disk.catchUp()

            var wanted = BytesColumn()
            for _ in 0..<50 { wanted.append(key().slice(0)) }
            #expect(text(try disk.find(wanted)) == text(try memory.find(wanted)))
            var bounds = (0..<12).map { _ in Array(key().slice(0)) }.sorted { $0.lexicographicallyPrecedes($1) }
            if round % 3 == 0 { bounds.shuffle(using: &random) }
            var lower = BytesColumn(), upper = BytesColumn()
            for i in stride(from: 0, to: 12, by: 2) where round % 3 > 0 || i == 0 {
                lower.append(bounds[i])
                upper.append(bounds[i + 1])
            }
            #expect(text(try disk.find(from: lower, before: upper)) == text(try memory.find(from: lower, before: upper)))
            let all = try memory.keys(byTimeFrom: [], limit: .max), limit = Int.random(in: 0..<40, using: &random)
            #expect(all.isEmpty == (store.listing == nil || memory.keys.isEmpty))
            for first in [[]] + all.prefix(3) + [all.last ?? [1]] {
                #expect(try disk.keys(byTimeFrom: first, limit: limit) == memory.keys(byTimeFrom: first, limit: limit))
            }
        }
        await harness.close()
    }

    /// Whatever is taken, and whatever comes meanwhile, each entry has been taken when its time has come.
    @Test(arguments: 0..<4) func aCursorTakesEachEntryInTime(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let index = MemoryIndex(listing: .windowEnd)
        var cursor = TimeCursor(), taken: [[UInt8]] = [], known: Set<[UInt8]> = [], limit: Int64 = 0
        for round in 0..<60 {
            var changes = StateChanges()
            for _ in 0..<Int.random(in: 0..<200, using: &random) {
                let end = limit + Int64.random(in: 0..<50, using: &random)
                let key = KeyEncoding.encode([.bigint(FixedColumn([Int64.random(in: 0..<1 << 40, using: &random)]))], windows: Batch.Windows(starts: [0], ends: [end]))
                if known.insert(Array(key.slice(0))).inserted { changes.append(timestamp: 0, key: key.slice(0), value: [1][...]) }
            }
            index.apply(RecordBlock(changes))
            for row in 0..<changes.count { cursor.lower(to: EntryTime.windowEnd.place(of: changes.keys.slice(row) ?? [])) }
            if round == 30 { cursor.toBeginning() }
            limit += Int64.random(in: 0..<20, using: &random)
            while cursor.time < limit {
                let block = try cursor.take(from: index)
                for row in 0..<block.count { taken.append(Array(block.key(row) ?? [])) }
            }
            let due = known.filter { EntryTime.time(ofPlace: $0.suffix(8)) < limit }
            #expect(due.isSubset(of: Set(taken)), "round \(round)")
        }
    }
}
