import MartletCore
import MartletLog
import Synchronization

/// Wakes the threads that wait for records of certain topics.
final class LogWatcher: Sendable {
    private let wakers = Mutex<[String: [Int: @Sendable () -> Void]]>([:])
    private let nextID = Mutex(0)
    private let log: EmbeddedLog
    private let listener = Mutex<Int?>(nil)
    private let topicsChanged = Mutex<(@Sendable () -> Void)?>(nil)

    init(log: EmbeddedLog) {
        self.log = log
        let id = log.addListener { [weak self] event in
            guard let self else { return }
            switch event {
            case .advanced(let partition):
                let woken = wakers.withLock { $0[partition.topic].map { Array($0.values) } }
                for wake in woken ?? [] { wake() }
            case .topicsChanged:
                // Readers look whether theirs are still there.
                for wake in wakers.withLock({ $0.values.flatMap(\.values) }) { wake() }
                topicsChanged.withLock { $0 }?()
            }
        }
        listener.withLock { $0 = id }
    }

    /// Calls `body` (which must be quick) whenever topics or partitions appear or disappear.
    func onTopicsChanged(_ body: @escaping @Sendable () -> Void) { topicsChanged.withLock { $0 = body } }

    func stop() {
        if let id = listener.withLock({ $0 }) { log.removeListener(id) }
    }

    /// Calls `wake` (which must be quick) whenever records of one of `topics` become readable, until `forget`.
    func watch(_ topics: some Sequence<String>, _ wake: @escaping @Sendable () -> Void) -> Int {
        let id = nextID.withLock { id in
            id += 1
            return id
        }
        wakers.withLock { wakers in for topic in topics { wakers[topic, default: [:]][id] = wake } }
        return id
    }

    func forget(_ id: Int) {
        wakers.withLock { wakers in
            for topic in wakers.keys {
                wakers[topic]?[id] = nil
                if wakers[topic]?.isEmpty == true { wakers[topic] = nil }
            }
        }
    }
}
