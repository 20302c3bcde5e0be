import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The few file operations of the model store; every failure is `.io` with the path and the system's words.
enum ModelFiles {
    static func makeDirectory(_ path: String) throws(MartletError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            partial += (partial.isEmpty || partial.hasSuffix("/") ? "" : "/") + part
            if mkdir(partial, 0o755) != 0, errno != EEXIST { throw failure("cannot make directory \(partial)") }
        }
    }

    /// Names in a directory, sorted; empty if it does not exist.
    static func list(_ path: String) throws(MartletError) -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw failure("cannot list \(path)")
        }
        defer { closedir(directory) }
        var out: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name != ".", name != ".." { out.append(name) }
        }
        return out.sorted()
    }

    /// The whole file; nil if there is none.
    static func read(_ path: String) throws(MartletError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure("cannot open \(path)")
        }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw failure("cannot read \(path)") }
        guard information.st_mode & S_IFMT == S_IFREG else { throw MartletError(.io, "\(path) is not a file") }
        var out = [UInt8](repeating: 0, count: Int(information.st_size)), done = 0
        while done < out.count {
            let n = out.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + done, $0.count - done, off_t(done)) }
            if n < 0, errno == EINTR { continue }
            guard n >= 0 else { throw failure("cannot read \(path)") }
            if n == 0 { break }
            done += n
        }
        out.removeLast(out.count - done)
        return out
    }

    /// Writes a file so that after a crash either all of it is there or nothing: a temporary file, fsync, rename, fsync of the directory.
    static func writeAtomically(_ bytes: [UInt8], to path: String, in directory: String) throws(MartletError) {
        let temporary = path + ".tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("cannot write \(temporary)") }
        var done = 0, failed = false
        while done < bytes.count, !failed {
            let n = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if n < 0, errno == EINTR { continue }
            if n <= 0 { failed = true } else { done += n }
        }
        if failed || fsync(descriptor) != 0 {
            let error = failure("cannot write \(temporary)")
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else {
            let error = failure("cannot write \(path)")
            unlink(temporary)
            throw error
        }
        try syncDirectory(directory)
    }

    /// Removes a file; it may be gone already.
    static func remove(_ path: String) throws(MartletError) {
        if unlink(path) != 0, errno != ENOENT { throw failure("cannot remove \(path)") }
    }

    /// Removes an empty directory; it may be gone already.
    static func removeDirectory(_ path: String) throws(MartletError) {
        if rmdir(path) != 0, errno != ENOENT { throw failure("cannot remove \(path)") }
    }

    static func syncDirectory(_ path: String) throws(MartletError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot open \(path)") }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw failure("cannot sync \(path)") }
    }

    private static func failure(_ what: String) -> MartletError {
        let number = errno
        return MartletError(number == ENOSPC ? .diskFull : .io, "\(what): \(String(cString: strerror(number)))")
    }
}
