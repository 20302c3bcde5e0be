import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Finds the shared library of ONNX Runtime.
///
/// Looked for in this order; the first that opens is used:
/// 1. `MARTLET_ONNXRUNTIME`: the library itself, or a folder that holds it;
/// 2. `.venv/lib/python3*/site-packages/onnxruntime/capi/` in the working directory, in the folder of the executable and in every folder
///    above these two: what `pip install onnxruntime` in the repository's environment brings;
/// 3. the dynamic linker's own paths, by the name `libonnxruntime.so` (or `.so.1`).
enum ONNXLibrary {
    static let variable = "MARTLET_ONNXRUNTIME"

    /// Paths and bare names to try, best first. Each path exists.
    static func candidates(
        environment: String? = environmentValue(variable), workingDirectory: String? = currentDirectory(), executable: String? = executablePath()
    ) -> [String] {
        if let environment, !environment.isEmpty { return isDirectory(environment) ? libraries(in: environment) : [environment] }
        var found: [String] = []
        for start in [workingDirectory, executable.map(parent)].compactMap(\.self) {
            for folder in environmentFolders(above: start) {
                for path in libraries(in: folder) where !found.contains(path) { found.append(path) }
            }
        }
        return found + systemNames
    }

    /// What a person reads when nothing was found: every place, in order.
    static func places() -> [String] {
        if let value = environmentValue(variable), !value.isEmpty { return ["\(variable)=\(value)"] }
        var out = ["\(variable) (not set)"]
        if let directory = currentDirectory() { out.append("\(directory)/.venv and the folders above") }
        if let path = executablePath() { out.append("\(parent(path))/.venv and the folders above") }
        return out + systemNames.map { "\($0) on the system's library path" }
    }

    /// Nil: nothing to load here, with what each candidate said.
    static func open() -> (handle: UnsafeMutableRawPointer?, path: String, failures: [String]) {
        var failures: [String] = []
        for candidate in candidates() {
            if let handle = dlopen(candidate, RTLD_NOW | RTLD_LOCAL) { return (handle, candidate, failures) }
            failures.append(dlerror().map { String(cString: $0) } ?? candidate)
        }
        return (nil, "", failures)
    }

    private static let systemNames = ["libonnxruntime.so", "libonnxruntime.so.1"]

    /// `…/site-packages/onnxruntime/capi` of each `.venv` in `start` and above.
    private static func environmentFolders(above start: String) -> [String] {
        var out: [String] = [], folder = start
        while true {
            let lib = (folder == "/" ? "" : folder) + "/.venv/lib"
            for python in entries(of: lib) where python.hasPrefix("python3") {
                out.append("\(lib)/\(python)/site-packages/onnxruntime/capi")
            }
            if folder == "/" || folder.isEmpty { return out }
            folder = parent(folder)
        }
    }

    private static func libraries(in folder: String) -> [String] {
        entries(of: folder).filter { $0 == "libonnxruntime.so" || $0.hasPrefix("libonnxruntime.so.") }.sorted(by: >).map { "\(folder)/\($0)" }
    }

    private static func entries(of folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var out: [String] = []
        while let entry = readdir(directory) {
            out.append(withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } })
        }
        return out
    }

    private static func isDirectory(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "/" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func environmentValue(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func currentDirectory() -> String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    private static func executablePath() -> String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }
}
