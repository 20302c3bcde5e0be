import MartletCore
import Synchronization

@testable import MartletLog

/// A file system in memory that knows what was synced, can be full or fail, and can crash: then files and directory entries are as a disk may
/// hold them.
final class SimulatedFileSystem: FileSystem {
    /// What a crash does to what was not synced.
    enum Crash {
        /// The process dies, the operating system lives: everything written is there.
        case kill
        /// Power fails: of each file some prefix of the writes since the last sync is there, the last of them torn.
        case tornTail
        /// Power fails: nothing that was written since the last sync is there.
        case unsynced
        /// Power fails: of the bytes since the last sync each sector is there or zero.
        case lostSectors
        /// Power fails: each sector that was written since the last sync is there as it was after some of the writes, whatever its neighbours are.
        case reordered
    }

    enum Entry: Sendable {
        case directory
        case file(Node)
    }

    struct State: Sendable {
        var entries: [String: Entry] = ["": .directory]
        /// Changes of entries that are not synced, oldest first.
        var unsynced: [Change] = []
        var capacity = Int.max
        var used = 0
        var failingSyncs = false
        /// Writes and reads fail: permission was lost, or a sector cannot be read.
        var failingWrites = false
        var failingReads = false
        /// Whether a file is there cannot be found out.
        var failingOpens = false
        /// Called before each sync, on its thread.
        var beforeSync: (@Sendable (_ path: String) -> Void)?
        var locked: Set<String> = []
        var syncCount = 0
        /// What is done to this disk and to those that come up after its crashes; nil: nobody wants to know.
        var history: History?
        /// Operations until the crash, which is taken as a copy while this disk goes on.
        var operationsLeft: Int?
        var crash = Crash.kill
        var seed: UInt64 = 0
        var afterCrash: SimulatedFileSystem?
    }

    /// A line for each operation that changes something, in order.
    final class History: Sendable {
        let lines = Mutex<[String]>([])
    }

    /// From now on.
    func record(_ history: History) { state.withLock { $0.history = history } }

    /// Crashes after this many more operations; the disk as it is then comes up as `afterCrash`.
    func crash(_ crash: Crash, afterOperations count: Int, seed: UInt64) {
        state.withLock {
            $0.operationsLeft = count
            $0.crash = crash
            $0.seed = seed
        }
    }

    var afterCrash: SimulatedFileSystem? { state.withLock { $0.afterCrash } }

    /// Called before each operation that changes something.
    private func tick(_ operation: @autoclosure () -> String) {
        state.withLock(\.history)?.lines.withLock { $0.append(operation()) }
        let due: (Crash, UInt64)? = state.withLock { state in
            guard let left = state.operationsLeft else { return nil }
            state.operationsLeft = left == 0 ? nil : left - 1
            return left == 0 ? (state.crash, state.seed) : nil
        }
        guard let due else { return }
        var random = SeededRandom(seed: due.1)
        let disk = crashed(due.0, &random)
        state.withLock { $0.afterCrash = disk }
    }

    struct Change: Sendable {
        /// Those that have yet to be synced. A rename from one directory into another is atomic, but which of the two carries it differs between file
        /// systems: it may be undone until both were synced.
        var directories: Set<String>
        /// Entries before the change; a crash may put them back.
        var before: [String: Entry?]
    }

    final class Node: Sendable {
        struct Content: Sendable {
            var bytes: [UInt8] = []
            var synced: [UInt8] = []
            var pending: [(position: Int, bytes: [UInt8])] = []
        }
        let content = Mutex(Content())
    }

    final class File: LogFile {
        let path: String
        let node: Node
        let system: SimulatedFileSystem

        init(_ path: String, _ node: Node, _ system: SimulatedFileSystem) {
            self.path = path
            self.node = node
            self.system = system
        }

        func size() throws(MartletError) -> Int { node.content.withLock { $0.bytes.count } }

        func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(MartletError) -> Int {
            if system.state.withLock(\.failingReads) { throw MartletError(.io, "cannot read \(path): Input/output error") }
            return present(into: buffer, at: position)
        }

        private func present(into buffer: UnsafeMutableRawBufferPointer, at position: Int) -> Int {
            node.content.withLock { content in
                let count = max(0, min(buffer.count, content.bytes.count - position))
                guard count > 0 else { return 0 }
                content.bytes.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: $0[position..<position + count]))
                }
                return count
            }
        }

        func write(_ pieces: [UnsafeRawBufferPointer], at position: Int) throws(MartletError) {
            let bytes = pieces.flatMap(Array.init)
            // Ids of the cluster and of topics are drawn by the system.
            let hasRandomID = path.contains("topic.json") || path.contains("format")
            system.tick("write \(path) \(position) \(bytes.count) \(hasRandomID ? 0 : CRC32C.checksum(bytes))")
            if system.state.withLock(\.failingWrites) { throw MartletError(.io, "cannot write \(path): Permission denied") }
            var written = bytes
            let room = system.state.withLock { state in
                let room = min(written.count, state.capacity == .max ? .max : max(0, state.capacity - state.used))
                state.used += room
                return room
            }
            let isFull = room < written.count
            written.removeLast(written.count - room)
            node.content.withLock { content in
                SimulatedFileSystem.apply(written[...], at: position, to: &content.bytes)
                content.pending.append((position, written))
            }
            if isFull { throw MartletError(.diskFull, "no space left for \(path)") }
        }

        func truncate(to size: Int) throws(MartletError) {
            system.tick("truncate \(path) \(size)")
            node.content.withLock { content in
                let cut = max(0, content.bytes.count - size)
                system.state.withLock { $0.used -= cut }
                content.bytes = Array(content.bytes.prefix(size))
                content.bytes += [UInt8](repeating: 0, count: size - content.bytes.count)
                // The journal orders a truncation before later writes.
                content.synced = Array(content.synced.prefix(size))
                content.pending = content.pending.compactMap { write in
                    write.position >= size ? nil : (write.position, Array(write.bytes.prefix(size - write.position)))
                }
            }
        }

        func sync() throws(MartletError) {
            system.tick("sync \(path)")
            system.state.withLock(\.beforeSync)?(path)
            let fails = system.state.withLock { state in
                state.syncCount += 1
                return state.failingSyncs
            }
            if fails {
                // The system forgets what it could not write, and calls the pages clean: a later sync will not write them either.
                node.content.withLock { $0.pending = [] }
                throw MartletError(.io, "sync of \(path) failed")
            }
            node.content.withLock { content in
                for write in content.pending { SimulatedFileSystem.apply(write.bytes[...], at: write.position, to: &content.synced) }
                content.pending = []
                if content.synced.count < content.bytes.count {
                    content.synced += [UInt8](repeating: 0, count: content.bytes.count - content.synced.count)
                }
            }
        }
    }

    final class Lock: Sendable {
        let path: String
        let system: SimulatedFileSystem
        init(_ path: String, _ system: SimulatedFileSystem) {
            self.path = path
            self.system = system
        }
        deinit { _ = system.state.withLock { $0.locked.remove(path) } }
    }

    let state = Mutex(State())

    /// The disk as it may be found after a crash now. The old one can go on without touching the new.
    func crashed(_ crash: Crash, _ random: inout SeededRandom) -> SimulatedFileSystem {
        let fresh = SimulatedFileSystem()
        var old = state.withLock { $0 }
        if let history = old.history { fresh.record(history) }
        if crash != .kill {
            // Each directory keeps a prefix of its changes; what one of two directories loses, the other loses too, with all that came later.
            var left: [String: Int] = [:]
            for directory in Set(old.unsynced.flatMap(\.directories)).sorted() {
                left[directory] = Int.random(in: 0...old.unsynced.count { $0.directories.contains(directory) }, using: &random)
            }
            var lost: [Change] = []
            for change in old.unsynced {
                let isKept = change.directories.allSatisfy { left[$0, default: 0] > 0 }
                for directory in change.directories { left[directory] = isKept ? left[directory, default: 0] - 1 : 0 }
                if !isKept { lost.append(change) }
            }
            for change in lost.reversed() {
                for (path, before) in change.before { old.entries[path] = before }
            }
        }
        // What lay in a directory that is not there is not there either.
        for path in old.entries.keys.sorted() where !path.isEmpty {
            if old.entries[fresh.parent(of: path)] == nil, !["/", "."].contains(fresh.parent(of: path)) { old.entries[path] = nil }
        }
        var copies: [ObjectIdentifier: Node] = [:]
        for (path, entry) in old.entries.sorted(by: { $0.key < $1.key }) {
            guard case .file(let node) = entry else {
                fresh.state.withLock { $0.entries[path] = .directory }
                continue
            }
            let copy = copies[ObjectIdentifier(node)] ?? Node()
            copies[ObjectIdentifier(node)] = copy
            let bytes = Self.survivors(node.content.withLock { $0 }, crash, &random)
            copy.content.withLock {
                $0.bytes = bytes
                $0.synced = bytes
            }
            fresh.state.withLock { $0.entries[path] = .file(copy) }
        }
        return fresh
    }

    private static func survivors(_ content: Node.Content, _ crash: Crash, _ random: inout SeededRandom) -> [UInt8] {
        switch crash {
        case .kill: return content.bytes
        case .unsynced: return content.synced
        case .tornTail:
            var bytes = content.synced
            let kept = Int.random(in: 0...content.pending.count, using: &random)
            for (i, write) in content.pending.prefix(kept).enumerated() {
                let count = i == kept - 1 ? Int.random(in: 0...write.bytes.count, using: &random) : write.bytes.count
                apply(write.bytes.prefix(count), at: write.position, to: &bytes)
            }
            return bytes
        case .reordered:
            // The states of the file after each write; a sector reaches the disk in one of them.
            var states = [content.synced]
            for write in content.pending {
                var next = states[states.count - 1]
                apply(write.bytes[...], at: write.position, to: &next)
                states.append(next)
            }
            guard var bytes = states.last, states.count > 1 else { return content.synced }
            let start = content.pending.map(\.position).min() ?? bytes.count
            for sector in (start / 512)..<((bytes.count + 511) / 512) {
                let state = states[Int.random(in: 0..<states.count, using: &random)]
                for at in sector * 512..<min(bytes.count, (sector + 1) * 512) { bytes[at] = at < state.count ? state[at] : 0 }
            }
            return bytes
        case .lostSectors:
            var bytes = content.synced
            for write in content.pending { apply(write.bytes[...], at: write.position, to: &bytes) }
            let start = content.pending.map(\.position).min() ?? bytes.count
            var sector = start / 512
            while sector * 512 < bytes.count {
                if Bool.random(using: &random) {
                    for at in max(start, sector * 512)..<max(start, min(bytes.count, (sector + 1) * 512)) {
                        bytes[at] = at < content.synced.count ? content.synced[at] : 0
                    }
                }
                sector += 1
            }
            return bytes
        }
    }

    private static func apply(_ written: ArraySlice<UInt8>, at position: Int, to bytes: inout [UInt8]) {
        if written.isEmpty { return }
        if bytes.count < position { bytes += [UInt8](repeating: 0, count: position - bytes.count) }
        let inside = min(written.count, bytes.count - position)
        bytes.withUnsafeMutableBytes { target in
            written.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: target[position..<position + inside]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[..<inside]))
            }
        }
        bytes += written.dropFirst(inside)
    }

    // MARK: FileSystem

    private func change(_ path: String, _ body: (inout State) -> Void) {
        tick("entry \(path)")
        let directory = parent(of: path)
        state.withLock { state in
            let before = state.entries[path]
            body(&state)
            state.unsynced.append(Change(directories: [directory], before: [path: before]))
        }
    }

    func open(_ path: String, create: Bool) throws(MartletError) -> any LogFile {
        if state.withLock(\.failingOpens) { throw MartletError(.io, "cannot open \(path): Input/output error") }
        if case .file(let node) = state.withLock({ $0.entries[path] }) { return File(path, node, self) }
        guard create, isDirectory(parent(of: path)) else { throw MartletError(.notFound, "\(path) does not exist") }
        let node = Node()
        change(path) { $0.entries[path] = .file(node) }
        return File(path, node, self)
    }

    func exists(_ path: String) -> Bool { state.withLock { $0.entries[path] != nil } }

    func isDirectory(_ path: String) -> Bool {
        state.withLock { if case .directory = $0.entries[path] { true } else { false } }
    }

    func list(_ path: String) throws(MartletError) -> [String] {
        guard isDirectory(path) else { throw MartletError(.notFound, "\(path) does not exist") }
        return state.withLock { state in
            state.entries.keys.filter { $0.hasPrefix(path + "/") && !$0.dropFirst(path.count + 1).contains("/") }
                .map { String($0.dropFirst(path.count + 1)) }.sorted()
        }
    }

    func createDirectory(_ path: String) throws(MartletError) {
        if path.isEmpty || path == "/" || isDirectory(path) { return }
        try createDirectory(parent(of: path))
        change(path) { $0.entries[path] = .directory }
    }

    func rename(_ from: String, to: String) throws(MartletError) {
        tick("rename \(from) \(to)")
        let directories: Set = [parent(of: from), parent(of: to)]
        let found = state.withLock { state in
            guard state.entries[from] != nil else { return false }
            var before: [String: Entry?] = [:]
            for path in state.entries.keys where path == from || path.hasPrefix(from + "/") {
                let target = to + path.dropFirst(from.count)
                before.updateValue(state.entries[path], forKey: path)
                before.updateValue(state.entries[target], forKey: target)
                state.entries[target] = state.entries.removeValue(forKey: path)
            }
            state.unsynced.append(Change(directories: directories, before: before))
            return true
        }
        if !found { throw MartletError(.notFound, "\(from) does not exist") }
    }

    func remove(_ path: String) throws(MartletError) {
        guard exists(path) else { return }
        change(path) { $0.entries[path] = nil }
    }

    func removeTree(_ path: String) throws(MartletError) {
        for name in state.withLock({ $0.entries.keys.filter { $0 == path || $0.hasPrefix(path + "/") } }).sorted().reversed() {
            change(name) { $0.entries[name] = nil }
        }
    }

    func syncDirectory(_ path: String) throws(MartletError) {
        tick("sync directory \(path)")
        state.withLock(\.beforeSync)?(path)
        if state.withLock(\.failingSyncs) { throw MartletError(.io, "sync of \(path) failed") }
        state.withLock { state in
            for i in state.unsynced.indices { state.unsynced[i].directories.remove(path) }
            state.unsynced.removeAll { $0.directories.isEmpty }
        }
    }

    func makePrivate(_ path: String) throws(MartletError) {
        guard isDirectory(path) else { throw MartletError(.notFound, "\(path) does not exist") }
    }

    func lock(_ path: String) throws(MartletError) -> any Sendable {
        guard state.withLock({ $0.locked.insert(path).inserted }) else {
            throw MartletError(.directoryInUse, "data directory \(parent(of: path)) is in use by another process")
        }
        return Lock(path, self)
    }

    /// Changes bytes of a file behind everybody's back.
    func damage(_ path: String, _ body: (inout [UInt8]) -> Void) {
        guard case .file(let node) = state.withLock({ $0.entries[path] }) else { return }
        node.content.withLock {
            body(&$0.bytes)
            $0.synced = $0.bytes
            $0.pending = []
        }
    }

    func size(_ path: String) -> Int? {
        guard case .file(let node) = state.withLock({ $0.entries[path] }) else { return nil }
        return node.content.withLock { $0.bytes.count }
    }
}
