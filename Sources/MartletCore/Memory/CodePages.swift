#if canImport(Glibc)
import Glibc
#endif

/// The program's code in memory, its own and that of its libraries.
public enum CodePages {
    /// Takes code out of this process's memory that is mapped to be executed; what is needed comes back from the page cache when it is run.
    ///
    /// Most of it was needed once: to start, to optimise a model's graph. Safe at any time, from any thread: these pages are never written, so
    /// nothing is lost. Cost: about a millisecond, and some hundred minor page faults later.
    public static func release() {
        #if canImport(Glibc)
        guard let maps = ProcFile.contents("/proc/self/maps") else { return }
        for line in maps.split(separator: UInt8(ascii: "\n")) {
            guard let range = executableFile(line), let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) else { continue }
            // A failure leaves the pages where they are.
            _ = madvise(start, Int(range.upperBound - range.lowerBound), MADV_DONTNEED)
        }
        #endif
    }

    /// The addresses of a line of `/proc/self/maps` that maps a file privately to be read and executed, and not to be written; else nil.
    ///
    /// `7f1c6a000000-7f1c6b000000 r-xp 00400000 fe:00 1234    /usr/lib/libx.so` (proc(5))
    static func executableFile(_ line: some Collection<UInt8>) -> Range<UInt>? {
        let words = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
        guard words.count == 6, words[1].elementsEqual("r-xp".utf8), words[5].drop(while: { $0 == UInt8(ascii: " ") }).first == UInt8(ascii: "/") else {
            return nil
        }
        let ends = words[0].split(separator: UInt8(ascii: "-")).map { UInt(String(decoding: $0, as: UTF8.self), radix: 16) }
        guard ends.count == 2, let lower = ends[0], let upper = ends[1], lower < upper else { return nil }
        return lower..<upper
    }
}
