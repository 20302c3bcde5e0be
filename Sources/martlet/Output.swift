#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the program itself says, unbuffered: lines on standard output, mistakes and progress on standard error.
enum Output {
    static func line(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }
    static func error(_ text: String) { write(text, to: STDERR_FILENO) }

    /// A line that the next one replaces on a terminal.
    static func progress(_ text: String, isTerminal: Bool) {
        write(isTerminal ? "\r\(text)\u{1b}[K" : "\(text)\n", to: STDOUT_FILENO)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            // Nobody reads any more: there is nothing left to say it to.
            if n <= 0 && errno != EINTR { return }
            done += max(n, 0)
        }
    }
}
