import MartletColumns
import MartletCore
import Testing

@testable import MartletEngine

@Suite struct StateMemoryTests {
    @Test func storesShareWhatThereIs() {
        let memory = StateMemory(budget: 1000)
        let a = memory.account(), b = memory.account(), fixed = memory.account()
        #expect(a.share(using: 600, isEvicting: true) == .max)
        #expect(b.share(using: 400, isEvicting: true) == .max)
        // One that keeps everything takes from the others, in the proportion of what they use.
        #expect(fixed.share(using: 500, isEvicting: false) == .max)
        #expect(a.share(using: 600, isEvicting: true) == 300)
        #expect(b.share(using: 400, isEvicting: true) == 200)
        // However much it takes, an eighth is left.
        #expect(fixed.share(using: 5000, isEvicting: false) == .max)
        #expect(b.share(using: 400, isEvicting: true) == 50)
    }

    @Test func whatAStoreUsedEndsWithIt() {
        let memory = StateMemory(budget: 100), a = memory.account()
        do {
            let b = memory.account()
            _ = b.share(using: 1000, isEvicting: true)
            #expect(a.share(using: 90, isEvicting: true) < 90)
        }
        #expect(a.share(using: 90, isEvicting: true) == .max)
    }

    @Test func whatWasGivenUpIsTold() {
        let memory = StateMemory(budget: 1000), a = memory.account()
        do {
            let b = memory.account()
            _ = a.share(using: 600, isEvicting: true)
            _ = b.share(using: 800, isEvicting: true)
            b.evicted(from: 800, to: 450)
            #expect(memory.values == .init(budgetBytes: 1000, usedBytes: 1050, evictions: 1, evictedBytes: 350))
            // Shares are as if nothing had happened, until the store tells what it uses.
            #expect(a.share(using: 600, isEvicting: true) == 428)
            _ = b.share(using: 460, isEvicting: true)
            #expect(memory.values.usedBytes == 1060)
        }
        #expect(memory.values == .init(budgetBytes: 1000, usedBytes: 600, evictions: 1, evictedBytes: 350))
    }

    private final class Store: StateStore {
        let name = "store"
        var memoryBytes = 0
        var changedBytes = 0
        var isEvicting = true
        func takeChanges(_ out: inout StateChanges) throws(MartletError) {}
        func restore(_ block: RecordBlock) throws(MartletError) {}
    }

    @Test func aStoreOverItsShareAsksForACommitOnceItHasGrown() {
        let memory = StateMemory(budget: 64 << 20), account = memory.account(), store = Store()
        var growth = MemoryGrowth()
        growth.begin(store)
        store.memoryBytes = 63 << 20
        #expect(!growth.isTooMuch(store, account))
        store.memoryBytes = 65 << 20
        #expect(growth.isTooMuch(store, account))
        // After a commit that could take nothing out of memory another one is no use before there is more.
        growth.begin(store)
        store.memoryBytes = 72 << 20
        #expect(!growth.isTooMuch(store, account))
        store.memoryBytes = 74 << 20
        #expect(growth.isTooMuch(store, account))
        store.isEvicting = false
        #expect(!growth.isTooMuch(store, account))
    }

    /// What a commit has to hand over is in memory more than once then.
    @Test func manyChangesAreAReasonForACommit() {
        let account = StateMemory(budget: 64 << 20).account(), store = Store(), growth = MemoryGrowth()
        store.memoryBytes = 20 << 20
        store.changedBytes = 8 << 20
        #expect(!growth.isTooMuch(store, account))
        store.changedBytes += 1
        #expect(growth.isTooMuch(store, account))
    }

    @Test func littleGrowthIsNoReasonForACommit() {
        let memory = StateMemory(budget: 1), account = memory.account(), store = Store(), growth = MemoryGrowth()
        store.memoryBytes = 1 << 20
        #expect(!growth.isTooMuch(store, account))
        store.memoryBytes += 1
        #expect(growth.isTooMuch(store, account))
    }

    /// Slots that weigh something, enough of them, and none twice.
    @Test(arguments: 0..<20) func theClockWeighs(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed)), clock = EvictionClock()
        let weights = (0..<Int.random(in: 1...100, using: &random)).map { _ in Int.random(in: 0...5, using: &random) }
        clock.use((0..<UInt32(weights.count)).filter { _ in Bool.random(using: &random) })
        let all = weights.reduce(0, +), wanted = Int.random(in: 0...all + 5, using: &random)
        let victims = clock.victims(wanted, among: weights.count, weight: { weights[Int($0)] })
        let sum = victims.reduce(0) { $0 + weights[Int($1)] }
        #expect(Set(victims).count == victims.count && victims.allSatisfy { weights[Int($0)] > 0 })
        #expect(sum >= min(wanted, all) && sum < wanted + 5)
    }

    /// Nobody leaves who may not, nobody twice, and those that were used are spared while there are others.
    @Test(arguments: 0..<20) func theClockSparesWhatWasUsed(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed)), clock = EvictionClock()
        let count = Int.random(in: 1...200, using: &random)
        let mayGo = (0..<count).map { _ in Bool.random(using: &random) }, isUsed = (0..<count).map { _ in Bool.random(using: &random) }
        clock.use((0..<UInt32(count)).filter { isUsed[Int($0)] })
        let wanted = Int.random(in: 0...count, using: &random)
        let victims = clock.victims(wanted, among: count) { mayGo[Int($0)] }
        let possible = mayGo.count { $0 }, unused = (0..<count).count { mayGo[$0] && !isUsed[$0] }
        #expect(victims.count == min(wanted, possible))
        #expect(Set(victims).count == victims.count)
        #expect(victims.allSatisfy { mayGo[Int($0)] })
        if wanted <= unused { #expect(victims.allSatisfy { !isUsed[Int($0)] }) }
    }

    @Test func keysTurnTheirWindowsToTheFront() {
        let windows = Batch.Windows(starts: [5, 0, 70_000], ends: [15, 10, 80_000])
        let keys = KeyEncoding.encode([.string(BytesColumn(["b", "a", ""]))], windows: windows)
        for row in 0..<3 {
            let turned = KeyEncoding.windowFirst(keys.slice(row))
            #expect(KeyEncoding.windowLast(turned) == Array(keys.slice(row)))
            #expect(KeyEncoding.windowStart(of: keys.slice(row)) == windows.starts[row])
        }
        let order = (0..<3).sorted { KeyEncoding.windowFirst(keys.slice($0)).lexicographicallyPrecedes(KeyEncoding.windowFirst(keys.slice($1))) }
        #expect(order == [1, 0, 2])
    }
}
