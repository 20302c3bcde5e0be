import MartletColumns
import MartletCore
import Synchronization

/// What all databases of a node share: the cache of blocks and the background threads.
final class RocksShared: @unchecked Sendable {  // The library's objects are safe to use from any thread, and never change here.
    let library: RocksLibrary
    fileprivate let cache: OpaquePointer
    fileprivate let environment: OpaquePointer
    fileprivate let writeOptions: OpaquePointer
    fileprivate let readOptions: OpaquePointer
    /// For scans: what they read pushes nothing out of the cache.
    fileprivate let scanOptions: OpaquePointer
    fileprivate let flushOptions: OpaquePointer

    fileprivate let writeBufferBytes: Int

    /// - `cacheBytes`: of blocks; `writeBufferBytes`: what a database holds of its newest writes, at most twice.
    init(_ library: RocksLibrary, cacheBytes: Int, writeBufferBytes: Int = 4 << 20) throws(MartletError) {
        self.writeBufferBytes = writeBufferBytes
        guard let cache = library.cacheCreate(cacheBytes), let environment = library.environmentCreate(), let write = library.writeOptionsCreate(),
            let read = library.readOptionsCreate(), let scan = library.readOptionsCreate(), let flush = library.flushOptionsCreate()
        else { throw MartletError(.io, "RocksDB made nothing of its options") }
        self.library = library
        (self.cache, self.environment, writeOptions, readOptions, scanOptions, flushOptions) = (cache, environment, write, read, scan, flush)
        library.setBackgroundThreads(environment, 1)
        // The changelog is the log of what is written.
        library.disableWAL(write, 1)
        library.setFillCache(scan, 0)
    }

    deinit {
        library.flushOptionsDestroy(flushOptions)
        library.readOptionsDestroy(scanOptions)
        library.readOptionsDestroy(readOptions)
        library.writeOptionsDestroy(writeOptions)
        library.environmentDestroy(environment)
        library.cacheDestroy(cache)
    }
}

/// A database of RocksDB in a folder: byte strings to byte strings, in the order of the keys.
///
/// What a `write` holds is there as a whole or not at all; after a crash the database is what it was at some `write` before, since nothing of it
/// goes to a log of its own. Safe to use from several threads.
final class RocksDatabase: @unchecked Sendable {  // As the library says of its databases.
    fileprivate let shared: RocksShared
    fileprivate let database: OpaquePointer
    /// Where keys are when no other place is named.
    private let family: OpaquePointer
    private let folder: String
    fileprivate var library: RocksLibrary { shared.library }
    /// The folder goes when the database is closed.
    let removesFolder = Mutex(false)

    /// Opens the database in `folder`, which is made if it is not there; the one above it has to be.
    ///
    /// - Throws: `.io`: what is there is damaged, or no database, or somebody else's.
    init(_ folder: String, _ shared: RocksShared) throws(MartletError) {
        self.shared = shared
        self.folder = folder
        let library = shared.library
        guard let options = library.optionsCreate(), let table = library.tableOptionsCreate() else {
            throw MartletError(.io, "RocksDB made nothing of its options")
        }
        defer {
            library.tableOptionsDestroy(table)
            library.optionsDestroy(options)
        }
        library.setCreateIfMissing(options, 1)
        library.setEnvironment(options, shared.environment)
        library.setWriteBufferSize(options, shared.writeBufferBytes)
        library.setWriteBufferCount(options, 2)
        library.setArenaBlockSize(options, 64 << 10)
        library.setMaxOpenFiles(options, 64)
        library.setDynamicLevels(options, 1)
        library.setInfoLogLevel(options, 3)  // errors
        library.setLogFileCount(options, 1)
        library.setLogFileSize(options, 64 << 10)
        library.setStatisticsPeriod(options, 0)
        library.setBlockCache(table, shared.cache)
        // Indexes and filters stay with their open files, some two bytes a key. In a small cache of blocks each look-up would read megabytes of them anew.
        library.setCachesIndexAndFilter(table, 0)
        // The table takes the filter over.
        if let filter = library.bloomFilter(10) { library.setFilterPolicy(table, filter) }
        library.setTableFactory(options, table)
        var message: UnsafeMutablePointer<CChar>?
        var family: OpaquePointer?
        let made = folder.withCString { path in
            "default".withCString { name in library.open(options, path, 1, [name], [options], &family, &message) }
        }
        try Self.check(message, library)
        guard let made, let family else { throw MartletError(.io, "RocksDB opened nothing in \(folder)") }
        (database, self.family) = (made, family)
    }

    deinit {
        library.familyDestroy(family)
        library.close(database)
        if removesFolder.withLock({ $0 }) { StateDirectory.remove(folder) }
    }

    fileprivate static func check(_ message: UnsafeMutablePointer<CChar>?, _ library: RocksLibrary) throws(MartletError) {
        guard let message else { return }
        let text = String(cString: message)
        library.free(message)
        throw MartletError(.io, "RocksDB: \(text)")
    }

    /// Writes changes in order, all or none of them; a null value deletes.
    func write(_ changes: StateChanges) throws(MartletError) {
        guard let batch = library.batchCreate() else { throw MartletError(.io, "RocksDB made no batch") }
        defer { library.batchDestroy(batch) }
        changes.keys.buffer.withUnsafeBytes { keys in
            changes.values.buffer.withUnsafeBytes { values in
                for row in 0..<changes.count {
                    let key = Self.part(keys, changes.keys, row)
                    if changes.values.lengths[row] < 0 {
                        library.batchDelete(batch, Self.text(key), key.count)
                    } else {
                        let value = Self.part(values, changes.values, row)
                        library.batchPut(batch, Self.text(key), key.count, Self.text(value), value.count)
                    }
                }
            }
        }
        var message: UnsafeMutablePointer<CChar>?
        library.write(database, shared.writeOptions, batch, &message)
        try Self.check(message, library)
    }

    private static func part(_ buffer: UnsafeRawBufferPointer, _ column: EncodedColumn, _ row: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[Int(column.starts[row])..<Int(column.starts[row]) + Int(column.lengths[row])])
    }

    /// Calls `found` with the row of each of `keys` that is there and its value, valid during the call, in no order.
    func read(_ keys: BytesColumn, _ found: (Int, UnsafeRawBufferPointer) -> Void) throws(MartletError) {
        let count = keys.count
        if count == 0 { return }
        // In their order keys that lie together are read together.
        let order = (0..<count).sorted { keys.slice($0).lexicographicallyPrecedes(keys.slice($1)) }
        var starts = [RocksLibrary.Bytes?](repeating: nil, count: count)
        let lengths = order.map { Int(keys.lengths[$0]) }
        var messages = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
        var failure: MartletError?
        func take(_ i: Int, _ value: UnsafeRawBufferPointer?) {
            do throws(MartletError) { try Self.check(messages[i], library) } catch { failure = error }
            if failure == nil, let value { found(order[i], value) }
        }
        keys.buffer.withUnsafeBytes { buffer in
            for (i, row) in order.enumerated() {
                starts[i] = Self.text(UnsafeRawBufferPointer(rebasing: buffer[Int(keys.starts[row])..<Int(keys.starts[row] + keys.lengths[row])]))
            }
            if let batchedGet = library.batchedGet {
                var values = [OpaquePointer?](repeating: nil, count: count)
                batchedGet(database, shared.readOptions, family, count, starts, lengths, &values, &messages, true)
                for i in 0..<count {
                    var size = 0
                    take(i, values[i].map { UnsafeRawBufferPointer(start: library.pinnedValue($0, &size), count: size) })
                    if let value = values[i] { library.pinnedDestroy(value) }
                }
            } else {
                var values = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count), sizes = [Int](repeating: 0, count: count)
                library.multiGet(database, shared.readOptions, count, starts, lengths, &values, &sizes, &messages)
                for i in 0..<count {
                    take(i, values[i].map { UnsafeRawBufferPointer(start: $0, count: sizes[i]) })
                    library.free(values[i])
                }
            }
        }
        if let failure { throw failure }
    }

    /// Calls `visit` with the keys and values in ranges that have nothing in common, not before `lower[i]` and before `upper[i]`.
    func scan(from lower: BytesColumn, before upper: BytesColumn, _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void) throws(MartletError) {
        if lower.count == 0 { return }
        guard let iterator = library.iteratorCreate(database, shared.readOptions) else { throw MartletError(.io, "RocksDB made no iterator") }
        defer { library.iteratorDestroy(iterator) }
        // In their order, what one range has read serves the next.
        let order = (0..<lower.count).sorted { lower.slice($0).lexicographicallyPrecedes(lower.slice($1)) }
        for i in order {
            upper.slice(i).withUnsafeBytes { end in
                lower.slice(i).withUnsafeBytes { library.seek(iterator, Self.text($0), $0.count) }
                while library.isValid(iterator) != 0 {
                    var keyLength = 0, valueLength = 0
                    let key = UnsafeRawBufferPointer(start: library.key(iterator, &keyLength), count: keyLength)
                    if !key.lexicographicallyPrecedes(end) { break }
                    let value = library.value(iterator, &valueLength)
                    visit(key, UnsafeRawBufferPointer(start: value, count: valueLength))
                    library.next(iterator)
                }
            }
        }
        var message: UnsafeMutablePointer<CChar>?
        library.iteratorError(iterator, &message)
        try Self.check(message, library)
    }

    func value(of key: [UInt8]) throws(MartletError) -> [UInt8]? {
        var out: [UInt8]?
        var one = BytesColumn()
        one.append(key)
        try read(one) { out = Array($1) }
        return out
    }

    enum Order { case rising, falling }

    /// Calls `visit` with the keys and values from `first` on (nil: from the end where the order begins), until it answers false.
    func scan(from first: [UInt8]? = nil, _ order: Order = .rising, _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool) throws(MartletError) {
        guard let iterator = library.iteratorCreate(database, shared.scanOptions) else { throw MartletError(.io, "RocksDB made no iterator") }
        defer { library.iteratorDestroy(iterator) }
        if let first {
            first.withUnsafeBytes { library.seek(iterator, Self.text($0), $0.count) }
        } else if order == .rising {
            library.seekToFirst(iterator)
        } else {
            library.seekToLast(iterator)
        }
        while library.isValid(iterator) != 0 {
            var keyLength = 0, valueLength = 0
            let key = library.key(iterator, &keyLength), value = library.value(iterator, &valueLength)
            if !visit(UnsafeRawBufferPointer(start: key, count: keyLength), UnsafeRawBufferPointer(start: value, count: valueLength)) { break }
            if order == .rising { library.next(iterator) } else { library.previous(iterator) }
        }
        var message: UnsafeMutablePointer<CChar>?
        library.iteratorError(iterator, &message)
        try Self.check(message, library)
    }

    /// Brings everything written so far to disk.
    func flush() throws(MartletError) {
        var message: UnsafeMutablePointer<CChar>?
        library.flush(database, shared.flushOptions, &message)
        try Self.check(message, library)
    }

    /// Keys, about.
    var keyCount: Int {
        var out: UInt64 = 0
        return library.number(database, "rocksdb.estimate-num-keys", &out) == 0 ? Int(clamping: out) : 0
    }

    /// An empty key has no address of its own; the library wants one.
    fileprivate static func text(_ bytes: UnsafeRawBufferPointer) -> RocksLibrary.Bytes {
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? nowhere
    }

    // One byte that nobody reads or writes.
    nonisolated(unsafe) private static let nowhere: RocksLibrary.Bytes = UnsafePointer(UnsafeMutablePointer<CChar>.allocate(capacity: 1))
}

/// Goes through a database as it is when this is made. Owned by one thread.
final class RocksCursor {
    private let database: RocksDatabase
    private let iterator: OpaquePointer

    init(_ database: RocksDatabase, from first: [UInt8]) throws(MartletError) {
        self.database = database
        iterator = try database.makeIterator(from: first)
    }

    deinit { database.destroy(iterator) }

    /// Calls `visit` with the next keys and values, until it answers false; the one that it then had is the last.
    ///
    /// - Returns: whether there may be more.
    func next(_ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool) throws(MartletError) -> Bool { try database.advance(iterator, visit) }
}

extension RocksDatabase {
    fileprivate func makeIterator(from first: [UInt8]) throws(MartletError) -> OpaquePointer {
        guard let iterator = library.iteratorCreate(database, shared.scanOptions) else { throw MartletError(.io, "RocksDB made no iterator") }
        first.withUnsafeBytes { library.seek(iterator, Self.text($0), $0.count) }
        return iterator
    }

    fileprivate func destroy(_ iterator: OpaquePointer) { library.iteratorDestroy(iterator) }

    fileprivate func advance(
        _ iterator: OpaquePointer, _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) throws(MartletError) -> Bool {
        while library.isValid(iterator) != 0 {
            var keyLength = 0, valueLength = 0
            let key = library.key(iterator, &keyLength), value = library.value(iterator, &valueLength)
            let goesOn = visit(UnsafeRawBufferPointer(start: key, count: keyLength), UnsafeRawBufferPointer(start: value, count: valueLength))
            library.next(iterator)
            if !goesOn { return true }
        }
        var message: UnsafeMutablePointer<CChar>?
        library.iteratorError(iterator, &message)
        try Self.check(message, library)
        return false
    }
}
