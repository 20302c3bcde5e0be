import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The memory that the stores of a node may take together, divided by what they use.
final class StateMemory: Sendable {
    let budget: Int
    private struct Use {
        var bytes: Int
        var isEvicting: Bool
        /// After it gave entries up. What it had before decides on shares.
        var leftBytes: Int?
    }
    private struct Uses {
        var next = 0
        var byStore: [Int: Use] = [:]
        var evictions = 0
        var evictedBytes = 0
    }
    private let uses = Mutex(Uses())

    init(budget: Int) { self.budget = budget }

    static var quarterOfTheMachine: Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES)), page = sysconf(Int32(_SC_PAGESIZE))
        return pages > 0 && page > 0 ? pages / 4 * page : 1 << 30
    }

    /// One store's part. What it was told it uses ends with it.
    final class Account: Sendable {
        private let memory: StateMemory
        private let id: Int

        fileprivate init(_ memory: StateMemory, _ id: Int) {
            self.memory = memory
            self.id = id
        }

        deinit { memory.uses.withLock { _ = $0.byStore.removeValue(forKey: id) } }

        /// Of all stores together.
        var budget: Int { memory.budget }

        /// Tells what the store uses; gives what it may use. Stores that keep everything have what they need, the others share the rest in the
        /// proportion of what they use.
        func share(using bytes: Int, isEvicting: Bool) -> Int { memory.share(id, Use(bytes: bytes, isEvicting: isEvicting)) }

        /// Tells that the store has given entries up.
        func evicted(from before: Int, to after: Int) {
            memory.uses.withLock { uses in
                uses.byStore[id]?.leftBytes = after
                uses.evictions += 1
                uses.evictedBytes += max(0, before - after)
            }
        }
    }

    /// What stores said they use, and what they gave up since the start.
    var values: StateMemoryValues {
        uses.withLock { uses in
            StateMemoryValues(
                budgetBytes: budget, usedBytes: uses.byStore.values.reduce(0) { $0 + ($1.leftBytes ?? $1.bytes) }, evictions: uses.evictions,
                evictedBytes: uses.evictedBytes)
        }
    }

    private let returnedAtNs = Mutex(Int64.min)

    /// Entries have been given up: what the allocator holds of them goes back to the system, once a second. It would keep more than the stores have.
    func returnUnused(nowNs: Int64) {
        let isDue = returnedAtNs.withLock { last in
            guard last == .min || nowNs - last >= 1_000_000_000 else { return false }
            last = nowNs
            return true
        }
        if isDue { _ = Self.trim?(0) }
    }

    /// glibc's `malloc_trim`, which its module does not show; nil: another allocator.
    private static let trim: (@convention(c) (Int) -> CInt)? = {
        guard let symbol = dlsym(nil, "malloc_trim") else { return nil }
        return unsafeBitCast(symbol, to: (@convention(c) (Int) -> CInt).self)
    }()

    func account() -> Account {
        Account(
            self,
            uses.withLock {
                $0.next += 1
                return $0.next
            })
    }

    private func share(_ id: Int, _ use: Use) -> Int {
        uses.withLock { uses in
            uses.byStore[id] = use
            var fixed = 0, shared = 0
            for use in uses.byStore.values { if use.isEvicting { shared += use.bytes } else { fixed += use.bytes } }
            if !use.isEvicting || fixed + shared <= budget { return .max }
            // However much the others keep, an eighth is left: else each row would be read from disk.
            let left = Double(max(budget - fixed, budget / 8))
            return Int(left * Double(use.bytes) / Double(max(shared, 1)))
        }
    }
}

/// Memory of the state of queries.
public struct StateMemoryValues: Sendable, Equatable {
    public var budgetBytes: Int
    /// As of the last commit of each store.
    public var usedBytes: Int
    /// How often a store gave entries up for want of room, and how many bytes they had.
    public var evictions: Int
    public var evictedBytes: Int
}

/// Somebody who has memory of the budget and gives it up when asked.
protocol MemoryHolder: AnyObject, Sendable {
    func trim()
}

/// What a store has grown by since a commit, after which it could give entries up.
struct MemoryGrowth {
    /// A commit for less costs more than it gives.
    private static let bytesMin = 1 << 20
    private var begins = 0

    mutating func begin(_ store: any StateStore) { begins = store.memoryBytes }

    /// Whether the store is over its share, and an eighth of that came since the last commit; or has changed by an eighth of what there is.
    func isTooMuch(_ store: any StateStore, _ account: StateMemory.Account) -> Bool {
        guard store.isEvicting else { return false }
        if store.changedBytes > max(account.budget / 8, Self.bytesMin) { return true }
        let used = store.memoryBytes
        guard used - begins > Self.bytesMin else { return false }
        let share = account.share(using: used, isEvicting: true)
        return used > share && used - begins > share / 8
    }
}
