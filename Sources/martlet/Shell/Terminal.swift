#if canImport(Glibc)
import Glibc
#endif

/// Two file descriptors, perhaps a terminal's.
public struct Terminal: Sendable {
    public let input: Int32
    public let output: Int32

    public init(input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO) {
        self.input = input
        self.output = output
    }

    /// Whether a person sits there; else lines are read as they come and nothing is drawn.
    public var isInteractive: Bool { isatty(input) == 1 && isatty(output) == 1 && !isDumb }

    private var isDumb: Bool { getenv("TERM").map { String(cString: $0) == "dumb" } ?? false }

    /// Columns, 80 if the terminal does not say.
    public var width: Int {
        var size = winsize()
        guard ioctl(output, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Runs `body` with keys coming one by one and unechoed, Ctrl-C as a byte, then puts everything back.
    func raw<T>(_ body: () throws -> T) rethrows -> T {
        var before = termios()
        guard tcgetattr(input, &before) == 0 else { return try body() }
        var settings = before
        settings.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INPCK | ISTRIP | IXON)
        settings.c_cflag |= tcflag_t(CS8)
        settings.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN | ISIG)
        settings.c_cc.5 = 0  // VTIME: no timer
        settings.c_cc.6 = 1  // VMIN: from one byte on
        tcsetattr(input, TCSANOW, &settings)
        write("\u{1B}[?2004h")  // bracketed paste
        defer {
            write("\u{1B}[?2004l")
            tcsetattr(input, TCSANOW, &before)
        }
        return try body()
    }

    func write(_ text: String) { _ = Self.write(Array(text.utf8), to: output) }

    static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return false
            }
            done += count
        }
        return true
    }

    /// Some bytes; none at the end of the input or if it is gone.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            return count > 0 ? Array(buffer[..<count]) : []
        }
    }

    /// Whether bytes come within `milliseconds`.
    func isReady(within milliseconds: Int32) -> Bool {
        var wanted = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, milliseconds) > 0
    }
}
