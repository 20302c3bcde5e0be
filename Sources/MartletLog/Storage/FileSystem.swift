import MartletCore

/// What the log needs of a disk. `PosixFileSystem` is the real one; the tests have one in memory that loses what was not synced.
///
/// Errors are `.diskFull` (ENOSPC, EDQUOT), `.notFound` (ENOENT) or `.io`, with the path in the message.
protocol FileSystem: Sendable {
    /// Opens for reading and writing. With `create` a missing file is made (its directory entry is durable only after `syncDirectory`).
    func open(_ path: String, create: Bool) throws(MartletError) -> any LogFile
    func exists(_ path: String) -> Bool
    /// Names of the entries, without `.` and `..`, sorted.
    func list(_ path: String) throws(MartletError) -> [String]
    func isDirectory(_ path: String) -> Bool
    /// Makes the directory and its parents; fine if it exists.
    func createDirectory(_ path: String) throws(MartletError)
    func rename(_ from: String, to: String) throws(MartletError)
    /// Removes a file; fine if it does not exist.
    func remove(_ path: String) throws(MartletError)
    /// Removes a directory with all below it; fine if it does not exist.
    func removeTree(_ path: String) throws(MartletError)
    /// Makes creations, renames and removals in this directory durable.
    func syncDirectory(_ path: String) throws(MartletError)
    /// Lets only the owner into a directory.
    func makePrivate(_ path: String) throws(MartletError)
    /// Takes the exclusive lock of a file until the result goes away. Throws `.directoryInUse` if another process has it.
    func lock(_ path: String) throws(MartletError) -> any Sendable
    /// Bytes of the file system that holds `path`, and those of them that may still be written; nil if it does not say.
    func space(of path: String) -> (total: Int64, free: Int64)?
}

/// An open file. Reads and writes are by position, so that readers and the writer do not meet. Closed when the last reference goes.
protocol LogFile: AnyObject, Sendable {
    var path: String { get }
    func size() throws(MartletError) -> Int
    /// Fills the buffer from `position`; returns fewer bytes only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(MartletError) -> Int
    /// Writes the pieces one behind the other, or throws having written some.
    func write(_ pieces: [UnsafeRawBufferPointer], at position: Int) throws(MartletError)
    func truncate(to size: Int) throws(MartletError)
    /// Returns when data and size are on disk (fdatasync).
    func sync() throws(MartletError)
}

extension LogFile {
    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(MartletError) { try write([bytes], at: position) }
}

extension FileSystem {
    func space(of path: String) -> (total: Int64, free: Int64)? { nil }

    /// The whole file, or nil if it does not exist. Whatever else keeps it from being read is thrown: a file that cannot be reached is not a missing one.
    func contents(_ path: String) throws(MartletError) -> [UInt8]? {
        let file: any LogFile
        do throws(MartletError) {
            file = try open(path, create: false)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
        let size = try file.size()
        var bytes = [UInt8](repeating: 0, count: size)
        let count = try bytes.withMutableBytes { (buffer) throws(MartletError) in try file.read(into: buffer, at: 0) }
        bytes.removeLast(size - count)
        return bytes
    }

    /// Replaces the file by a new one with these bytes: after a crash it is the old or the new one, whole.
    func replace(_ path: String, with bytes: [UInt8], durably: Bool) throws(MartletError) {
        let temporary = path + ".tmp"
        try remove(temporary)
        do throws(MartletError) {
            let file = try open(temporary, create: true)
            try bytes.withBytes { (buffer) throws(MartletError) in try file.write(buffer, at: 0) }
            if durably { try file.sync() }
            try rename(temporary, to: path)
        } catch {
            try? remove(temporary)
            throw error
        }
        if durably { try syncDirectory(parent(of: path)) }
    }

    /// Makes the directory and its parents; those that were missing are there after a crash too.
    func createDirectoryDurably(_ path: String) throws(MartletError) {
        if isDirectory(path) { return }
        let above = parent(of: path)
        if above != path { try createDirectoryDurably(above) }
        try createDirectory(path)
        try syncDirectory(above)
    }

    func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
