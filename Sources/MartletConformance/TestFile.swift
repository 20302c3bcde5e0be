import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file that may hold tests: named by whoever asks, or found in a folder, where scripts and data may stand beside tests.
struct TestFile {
    var path: String
    /// It has to hold tests.
    var isNamed: Bool

    var name: String { String(path.split(separator: "/").last ?? "") }
    var folder: String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }
    var isCases: Bool { path.hasSuffix(".json") }

    /// The file at a path, or all below it that may hold tests (`.json`, `.sql`, `.sqltest`), by name.
    ///
    /// - Throws: `.io` for what is not there or cannot be read.
    static func files(at path: String) throws(MartletError) -> [TestFile] {
        var info = stat()
        guard stat(path, &info) == 0 else { throw FileBytes.unreadable(path) }
        guard info.st_mode & S_IFMT == S_IFDIR else { return [TestFile(path: path, isNamed: true)] }
        return try files(below: path)
    }

    private static func files(below path: String) throws(MartletError) -> [TestFile] {
        guard let directory = opendir(path) else { throw FileBytes.unreadable(path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append("\(path)/\(name)") }
        }
        var out: [TestFile] = [], info = stat()
        for name in names.sorted() {
            guard stat(name, &info) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                out += try files(below: name)
            } else if [".json", ".sql", ".sqltest"].contains(where: { name.hasSuffix($0) }) {
                out.append(TestFile(path: name, isNamed: false))
            }
        }
        return out
    }
}
