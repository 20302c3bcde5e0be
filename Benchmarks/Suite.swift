import Logging
import MartletColumns
import MartletConnect
import MartletCore
import MartletEngine
import MartletLog
import MartletModels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `martlet-bench [NAME …]`: one line a benchmark: name, value, unit, reference, ratio.
@main
struct Suite {
    static func main() async {
        let wanted = CommandLine.arguments.dropFirst()
        func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains(name) }
        do {
            if isWanted("formats") {
                for result in FormatBenchmarks.all() {
                    line("formats/\(result.name)", result.seconds / Double(result.rows) * 1e9, "ns/row", nil, nil)
                }
            }
            if isWanted("fraud-preprocess") { try await Preprocess.run(rows: environment("ROWS") ?? 1_000_000) }
            if isWanted("window-count") { try await WindowCount.run(rows: environment("ROWS") ?? 1_000_000) }
            if isWanted("functions") { try FunctionBenchmarks.run() }
            if isWanted("stream-table-join") { try await StreamTableJoin.run(rows: environment("ROWS") ?? 1_000_000) }
            if isWanted("state") {
                let groups = environment("STATE_GROUPS") ?? 1_000_000
                // One process, one peak of memory: STATE_MB=64 for little memory, 0 for all.
                if let megabytes = environment("STATE_MB") {
                    try await StateBenchmarks.memory(groups: groups, bytes: megabytes > 0 ? megabytes << 20 : nil)
                } else {
                    try await StateBenchmarks.restart(groups: groups)
                }
            }
            if isWanted("score") { try Score.run() }
            if isWanted("log") { try LogThroughput.run() }
        } catch {
            line("failed: \(error)", 0, "", nil, nil)
            exit(1)
        }
    }

    static func environment(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    /// - `reference`: what the value is compared with, in the same unit, measured in the same run; `ratio` is value / reference.
    static func line(_ name: String, _ value: Double, _ unit: String, _ reference: (String, Double)?, _ ratio: Double?) {
        func number(_ value: Double) -> String { value >= 1000 ? String(Int64(value)) : String((value * 100).rounded() / 100) }
        var text = "\(name)\t\(number(value)) \(unit)"
        if let reference { text += "\t\(reference.0) \(number(reference.1)) \(unit)" }
        if let ratio { text += "\tratio \((ratio * 100).rounded() / 100)" }
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress!, bytes.count) }
    }

    static func temporaryDirectory() -> String {
        let root = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(root)/martlet-bench-XXXXXX".utf8CString)
        guard template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) }) != nil else { return root }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func remove(_ directory: String) {
        var pid = pid_t()
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("rm"), strdup("-rf"), strdup(directory), nil]
        if posix_spawnp(&pid, "rm", nil, nil, &arguments, environ) == 0 {
            var status: Int32 = 0
            waitpid(pid, &status, 0)
        }
    }

    static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    static func currentRSSMegabytes() -> Double {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return Double(words.count > 1 ? Int(words[1]) ?? 0 : 0) * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576
    }

    static func peakRSSMegabytes() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    }
}
