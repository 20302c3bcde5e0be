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
    }
    private struct Uses {
        var next = 0
        var byStore: [Int: Use] = [:]
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
    }

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
