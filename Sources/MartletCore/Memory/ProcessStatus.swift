#if canImport(Glibc)
import Glibc
#endif

/// What this process takes of the machine, as `/proc` tells it (proc(5)); a number is nil where the system does not say.
public struct ProcessStatus: Sendable, Equatable {
    /// User and system time of all threads.
    public var cpuSeconds: Double?
    public var residentBytes: Int?
    public var virtualBytes: Int?
    public var openFiles: Int?
    /// How many files the process may have open.
    public var openFilesMax: Int?
    public var threads: Int?
    /// Since 1970.
    public var startSeconds: Double?

    public init() {}

    public static var current: ProcessStatus {
        #if canImport(Glibc)
        var status = ProcessStatus()
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK))), page = sysconf(Int32(_SC_PAGESIZE))
        if let stat = ProcFile.contents("/proc/self/stat") {
            status.read(stat: stat, ticksPerSecond: ticks, pageBytes: page, bootSeconds: ProcFile.contents("/proc/stat").flatMap(bootSeconds))
        }
        status.openFiles = countOfEntries("/proc/self/fd").map { $0 - 1 }  // one is the directory itself
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur <= UInt64(Int.max) {
            status.openFilesMax = Int(limit.rlim_cur)
        }
        return status
        #else
        return ProcessStatus()
        #endif
    }

    /// `4242 (name) S 1 …`: the name may hold blanks and brackets, so the fields are counted from the last bracket.
    mutating func read(stat: [UInt8], ticksPerSecond: Double, pageBytes: Int, bootSeconds: Double?) {
        guard let bracket = stat.lastIndex(of: UInt8(ascii: ")")) else { return }
        let words = stat[(bracket + 1)...].split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") })
        // `number` as in proc(5), where the state behind the name is the third.
        func field(_ number: Int) -> Int? {
            let place = number - 3
            return words.indices.contains(place) ? Int(String(decoding: words[place], as: UTF8.self)) : nil
        }
        if let user = field(14), let system = field(15), ticksPerSecond > 0 { cpuSeconds = Double(user + system) / ticksPerSecond }
        threads = field(20)
        if let ticks = field(22), let bootSeconds, ticksPerSecond > 0 { startSeconds = bootSeconds + Double(ticks) / ticksPerSecond }
        virtualBytes = field(23)
        residentBytes = field(24).map { $0 * pageBytes }
    }

    /// The line `btime 1700000000` of `/proc/stat`.
    static func bootSeconds(_ stat: [UInt8]) -> Double? {
        for line in stat.split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            if words.count == 2, words[0].elementsEqual("btime".utf8) { return Double(String(decoding: words[1], as: UTF8.self)) }
        }
        return nil
    }

    #if canImport(Glibc)
    private static func countOfEntries(_ path: String) -> Int? {
        guard let directory = opendir(path) else { return nil }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
        }
        return count
    }
    #endif
}
