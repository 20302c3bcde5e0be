import Logging
import MartletCore
import MartletLog
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The state on disk of a node: an index of each changelog, `<folder>/<query>/<partition>/<store>`, and the thread that keeps them up.
///
/// Nothing is loaded or started before the first store asks. Where RocksDB is not to be had, or cannot read what is there, stores live in memory
/// and come back from their changelogs: that takes longer, and is said once.
final class StateDirectory: Sendable {
    /// How far an index may be behind its changelog, and how much of it a crash may take back.
    static let followIntervalMs: Int64 = 10_000
    static let flushIntervalMs: Int64 = 60_000

    let folder: String
    let memory: StateMemory
    private let library: @Sendable () -> Result<RocksLibrary, MartletError>
    private let time: TimeSource
    private let logger: Logger

    private struct State {
        var shared: RocksShared?
        var isMissing = false
        var indexes: [String: ChangelogIndex] = [:]
        /// Of stores whose changelog forgets by time: how long it keeps records, and when the index was last rid of older ones.
        var retentions: [String: (ms: Int64, prunedAtNs: Int64)] = [:]
        var thread: WorkerThread?
        var isStopped = false
        var spills = 0
        var holders: [Holder] = []
    }

    private struct Holder { weak var holder: (any MemoryHolder)? }

    private let state = Mutex(State())
    /// Held while an index is opened, removed or brought up to date in the background: nobody else has one in hand then. Before `state`.
    private let work = Mutex(())
    private struct Orders {
        var isStopping = false
        var isHurried = false
    }

    private let orders = Signal(Orders())

    /// - `memoryBytes`: what stores may take together, about.
    init(
        _ folder: String, memoryBytes: Int, library: @escaping @Sendable () -> Result<RocksLibrary, MartletError> = { RocksLibrary.shared },
        time: TimeSource, logger: Logger
    ) {
        self.library = library
        self.folder = folder
        self.time = time
        self.logger = logger
        memory = StateMemory(budget: memoryBytes)
    }

    /// The index of a store's changelog, opened if it is not yet; nil if there is none to be had.
    ///
    /// - `position`: of a table's topic, how far its rows have been processed; nil: the log is a changelog.
    func index(of store: any StateStore, query: String, log: PartitionLog, topicID: [UInt8], position: Int64? = nil) -> ChangelogIndex? {
        let path = "\(folder)/\(Self.escaped(query))/\(log.id.partition)/\(Self.escaped(store.name))"
        return work.withLock { _ in state.withLock { state in open(store, path, log, topicID, position, &state) } }
    }

    private func open(
        _ store: any StateStore, _ path: String, _ log: PartitionLog, _ topicID: [UInt8], _ position: Int64?, _ state: inout State
    ) -> ChangelogIndex? {
        if state.isStopped { return nil }
        if let known = state.indexes[path] {
            // What a table's topic was processed to is less again after an abort.
            if known.log === log, known.failure == nil, known.undo(to: position) { return known }
            state.indexes[path] = nil
        }
        guard let shared = shared(&state) else { return nil }
        func open() throws(MartletError) -> ChangelogIndex {
            try Self.make(path)
            return try ChangelogIndex(
                path, of: log, topicID: topicID, for: store, position: position, readBytes: min(max(memory.budget / 64, 256 << 10), 4 << 20), shared,
                time: time)
        }
        var opened: ChangelogIndex?
        do throws(MartletError) {
            opened = try open()
        } catch {
            logger.warning("state on disk is made anew from its changelog", metadata: ["folder": "\(path)", "reason": "\(error.message)"])
            Self.remove(path)
            do throws(MartletError) {
                opened = try open()
            } catch {
                logger.error("state stays in memory", metadata: ["folder": "\(path)", "error": "\(error)"])
            }
        }
        guard let opened else { return nil }
        state.indexes[path] = opened
        state.retentions[path] = store.retentionMs.map { ($0, time.monotonicNs) }
        startFollowing(&state)
        return opened
    }

    private func shared(_ state: inout State) -> RocksShared? {
        if state.isMissing { return nil }
        if let shared = state.shared { return shared }
        do throws(MartletError) {
            state.shared = try RocksShared(
                try library().get(), cacheBytes: max(16 << 20, memory.budget / 8), writeBufferBytes: min(max(memory.budget / 32, 1 << 20), 8 << 20))
        } catch {
            state.isMissing = true
            logger.warning(
                "state stays in memory, and a restart reads whole changelogs",
                metadata: ["reason": "\(error.message)", "detail": "\(error.detail ?? "")", "hint": "\(error.hint ?? "")"])
        }
        return state.shared
    }

    /// Gives an index up that failed; it goes with the last one who holds it, and is made anew for the next one who asks.
    func discard(_ index: ChangelogIndex, because error: MartletError) {
        logger.error("state on disk failed and is made anew at the next start", metadata: ["folder": "\(index.folder)", "error": "\(error)"])
        index.condemn()
        state.withLock { state in
            if state.indexes[index.folder] === index { state.indexes[index.folder] = nil }
        }
    }

    // MARK: rows of tables that are asked for

    /// A place on disk for rows that nobody needs after this run; nil if there is none to be had.
    func spill(_ name: String) -> SpilledRows? {
        state.withLock { state in
            guard !state.isStopped, let shared = shared(&state) else { return nil }
            state.spills += 1
            let path = "\(folder)/\(Self.spillFolder)/\(Self.escaped(name))-\(state.spills)"
            do throws(MartletError) {
                Self.remove(path)
                try Self.make(path)
                return try SpilledRows(path, shared)
            } catch {
                logger.error("rows of a table stay in memory", metadata: ["folder": "\(path)", "error": "\(error)"])
                return nil
            }
        }
    }

    /// No query has a name like it: what is there is removed with what queries have left.
    private static let spillFolder = "%tables"

    /// Asks `holder` now and then to give up what it may no longer have.
    func watch(_ holder: any MemoryHolder) {
        state.withLock { state in
            state.holders.removeAll { $0.holder == nil }
            state.holders.append(Holder(holder: holder))
            if !state.isStopped { startFollowing(&state) }
        }
    }

    // MARK: following

    private func startFollowing(_ state: inout State) {
        if state.thread != nil { return }
        do throws(MartletError) {
            state.thread = try WorkerThread("martlet-state") { [weak self, orders] in
                Self.yieldToOthers()
                while true {
                    _ = orders.wait(timeoutMs: Self.followIntervalMs) { $0.isStopping || $0.isHurried ? true : nil }
                    let isStopping = orders.update { orders in
                        orders.isHurried = false
                        return orders.isStopping
                    }
                    guard let self, !isStopping else { return }
                    follow()
                }
            }
        } catch {
            // Stores catch their index up themselves when they need it, and the others at the next start.
            logger.warning("state on disk is not kept up in the background", metadata: ["reason": "\(error.message)"])
        }
    }

    private static func yieldToOthers() {
        #if canImport(Glibc)
        // Of this thread alone, on Linux.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        #endif
    }

    /// Does not wait for the time to come.
    func hurry() { orders.update { $0.isHurried = true } }

    /// Brings all indexes up to date.
    private func follow(isLast: Bool = false) {
        // A stop does not wait for what the next start does as well.
        let deadlineNs = isLast ? time.monotonicNs + 1_000_000_000 : .max
        if !isLast { for holder in state.withLock({ $0.holders.compactMap(\.holder) }) { holder.trim() } }
        for path in state.withLock({ $0.indexes.keys.sorted() }) {
            if !isLast, orders.wait(timeoutMs: 0, { $0.isStopping ? true : nil }) != nil { return }
            work.withLock { _ in
                guard let index = state.withLock({ $0.indexes[path] }), !index.log.isClosed else { return }
                do throws(MartletError) {
                    try index.catchUp(deadlineNs: deadlineNs)
                    try index.flush(intervalNs: isLast ? 0 : Self.flushIntervalMs * 1_000_000)
                    if !isLast { try prune(index) }
                } catch {
                    if !index.log.isClosed { discard(index, because: error) }
                }
            }
        }
    }

    /// Every hour, or as often as the store says: takes out what the changelog may have forgotten (a day more, as the changelog has it), and what
    /// the store asks for no more.
    private func prune(_ index: ChangelogIndex) throws(MartletError) {
        let now = time.monotonicNs
        let retention: Int64? = state.withLock { state in
            guard let known = state.retentions[index.folder], now - known.prunedAtNs > index.expiryIntervalNs ?? 3_600_000_000_000 else { return nil }
            state.retentions[index.folder]?.prunedAtNs = now
            return known.ms
        }
        guard let retention else { return }
        try index.removeRecords(before: time.wallMs - retention.addingReportingOverflow(86_400_000).partialValue)
    }

    /// Brings everything to disk and closes it.
    func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            return state.thread
        }
        orders.update { $0.isStopping = true }
        thread?.join()
        follow(isLast: true)
        state.withLock { state in
            state.indexes = [:]
            state.shared = nil
            state.thread = nil
        }
    }

    // MARK: what is not needed any more

    /// Removes what a query has on disk, but that of the stores in `keeping`. Its tasks are gone.
    func remove(query: String, keeping: Set<String> = []) {
        let own = "\(folder)/\(Self.escaped(query))", kept = Set(keeping.map { Self.escaped($0) })
        work.withLock { _ in
            state.withLock { state in
                for path in state.indexes.keys where path.hasPrefix(own + "/") && !kept.contains(Self.lastPart(path)) { state.indexes[path] = nil }
            }
            for partition in Self.entries(of: own) {
                for store in Self.entries(of: "\(own)/\(partition)") where !kept.contains(store) { Self.remove("\(own)/\(partition)/\(store)") }
            }
            if kept.isEmpty { Self.remove(own) }
        }
    }

    /// Removes what queries that are no more have left.
    func removeAll(but queries: [String]) {
        let known = Set(queries.map { Self.escaped($0) })
        for query in Self.entries(of: folder) where !known.contains(query) { Self.remove("\(folder)/\(query)") }
    }

    /// Those that are open, by their folders.
    var indexes: [String: ChangelogIndex] { state.withLock { $0.indexes } }

    // MARK: folders

    /// A name that is safe as that of a file: what is not a letter, digit, `-` or `_` is `%` and two hexadecimal digits.
    static func escaped(_ name: String) -> String {
        var out = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                out += byte < 16 ? "%0" : "%"
                out += String(byte, radix: 16)
            }
        }
        return out
    }

    private static func lastPart(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path }

    /// Makes the folder and those above it.
    private static func make(_ path: String) throws(MartletError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw MartletError(.io, "cannot make the folder \(path): \(String(cString: strerror(errno)))")
        }
        try make(String(path[..<slash]))
        if mkdir(path, 0o755) != 0, errno != EEXIST { throw MartletError(.io, "cannot make the folder \(path): \(String(cString: strerror(errno)))") }
    }

    static func entries(of path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var out: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name != ".", name != ".." { out.append(name) }
        }
        return out
    }

    /// Removes a file, or a folder with all that is in it; what is not there is no matter.
    static func remove(_ path: String) {
        if unlink(path) == 0 || errno == ENOENT { return }
        for entry in entries(of: path) { remove("\(path)/\(entry)") }
        rmdir(path)
    }
}
