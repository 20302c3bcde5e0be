// The only file that calls the operating system's file functions (open, pread, pwrite, fdatasync, rename, flock).
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import MartletCore

struct PosixFileSystem: FileSystem {
    func open(_ path: String, create: Bool) throws(MartletError) -> any LogFile {
        try PosixFile(path, flags: O_RDWR | (create ? O_CREAT : 0))
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    func list(_ path: String) throws(MartletError) -> [String] {
        guard let directory = opendir(path) else { throw posixError("list", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            // The end and a failure are told apart by this alone.
            errno = 0
            guard let entry = readdir(directory) else {
                if errno != 0 { throw posixError("list", path) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func createDirectory(_ path: String) throws(MartletError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT else { throw posixError("create the directory", path) }
        let above = parent(of: path)
        guard above != path else { throw posixError("create the directory", path) }
        try createDirectory(above)
        if mkdir(path, 0o755) != 0 && errno != EEXIST { throw posixError("create the directory", path) }
    }

    func rename(_ from: String, to: String) throws(MartletError) {
        #if canImport(Glibc)
        let status = Glibc.rename(from, to)
        #else
        let status = Darwin.rename(from, to)
        #endif
        if status != 0 { throw posixError("rename", from) }
    }

    func remove(_ path: String) throws(MartletError) {
        if unlink(path) != 0 && errno != ENOENT { throw posixError("remove", path) }
    }

    func removeTree(_ path: String) throws(MartletError) {
        guard exists(path) else { return }
        if isDirectory(path) {
            for name in try list(path) { try removeTree("\(path)/\(name)") }
            if rmdir(path) != 0 && errno != ENOENT { throw posixError("remove", path) }
        } else {
            try remove(path)
        }
    }

    func syncDirectory(_ path: String) throws(MartletError) {
        let directory = try PosixFile(path, flags: O_RDONLY | O_DIRECTORY)
        if fsync(directory.descriptor) != 0 { throw posixError("sync", path) }
    }

    func makePrivate(_ path: String) throws(MartletError) {
        if chmod(path, 0o700) != 0 { throw posixError("restrict access to", path) }
    }

    func lock(_ path: String) throws(MartletError) -> any Sendable {
        let file = try PosixFile(path, flags: O_RDWR | O_CREAT)
        if flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK else { throw posixError("lock", path) }
            throw MartletError(
                .directoryInUse, "data directory \(parent(of: path)) is in use by another process",
                hint: "stop that process or choose another directory")
        }
        return file
    }

    func space(of path: String) -> (total: Int64, free: Int64)? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let block = Int64(status.f_frsize)
        return (Int64(status.f_blocks) * block, Int64(status.f_bavail) * block)
    }
}

final class PosixFile: LogFile {
    let path: String
    let descriptor: Int32

    init(_ path: String, flags: Int32) throws(MartletError) {
        var descriptor: Int32
        repeat { descriptor = open(path, flags | O_CLOEXEC, 0o644) } while descriptor < 0 && errno == EINTR
        if descriptor < 0 { throw posixError("open", path) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func size() throws(MartletError) -> Int {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw posixError("read the size of", path) }
        return Int(status.st_size)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(MartletError) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(position + done))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw posixError("read", path)
            }
            done += count
        }
        return done
    }

    func write(_ pieces: [UnsafeRawBufferPointer], at position: Int) throws(MartletError) {
        var rest = pieces.map { iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count) }
        var first = 0, at = position
        while first < rest.count {
            let written = rest.withUnsafeBufferPointer { rest in
                rest.baseAddress.map { pwritev(descriptor, $0 + first, Int32(min(rest.count - first, Self.piecesMax)), off_t(at)) } ?? 0
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw posixError("write", path)
            }
            at += written
            var left = written
            let before = first
            while first < rest.count, left >= rest[first].iov_len {
                left -= rest[first].iov_len
                first += 1
            }
            if left > 0 {
                rest[first].iov_base += left
                rest[first].iov_len -= left
            } else if written == 0 && first == before {
                throw MartletError(.io, "cannot write \(path): the system takes no bytes")
            }
        }
    }

    /// IOV_MAX, of all systems that we know.
    private static let piecesMax = 1024

    func truncate(to size: Int) throws(MartletError) {
        while ftruncate(descriptor, off_t(size)) != 0 {
            if errno != EINTR { throw posixError("truncate", path) }
        }
    }

    func sync() throws(MartletError) {
        while true {
            #if canImport(Glibc)
            let status = fdatasync(descriptor)
            #else
            let status = fcntl(descriptor, F_FULLFSYNC)
            #endif
            if status == 0 { return }
            if errno != EINTR { throw posixError("sync", path) }
        }
    }
}

/// The error of the call that just failed on this thread.
private func posixError(_ verb: String, _ path: String) -> MartletError {
    let number = errno
    let code: ErrorCode =
        switch number {
        case ENOSPC, EDQUOT: .diskFull
        case ENOENT: .notFound
        default: .io
        }
    return MartletError(code, "cannot \(verb) \(path): \(String(cString: strerror(number)))")
}
