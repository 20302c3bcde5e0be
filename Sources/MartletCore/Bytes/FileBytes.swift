#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Small files that are read whole: scripts, settings, tests. What the log keeps goes through its own `FileSystem`.
public enum FileBytes {
    /// - Throws: `.io` with the path and the system's reason, also for a folder.
    public static func read(_ path: String) throws(MartletError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw unreadable(path) }
        defer { close(file) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            #if canImport(Glibc)
            let count = Glibc.read(file, &buffer, buffer.count)
            #else
            let count = Darwin.read(file, &buffer, buffer.count)
            #endif
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw unreadable(path) }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// - Throws: `.io` as `read`; `.badRequest` if it is not UTF-8.
    public static func text(_ path: String) throws(MartletError) -> String {
        guard let text = String(validating: try read(path), as: UTF8.self) else { throw MartletError(.badRequest, "\(path) is no UTF-8 text") }
        return text
    }

    /// That a path cannot be read, by `errno`.
    public static func unreadable(_ path: String) -> MartletError {
        MartletError(.io, "cannot read \(path): \(String(cString: strerror(errno)).lowercased())")
    }
}
