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

    static func peakRSSMegabytes() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    }
}
