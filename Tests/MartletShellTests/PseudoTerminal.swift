import Glibc

@testable import MartletShell

/// Both ends of a pseudo-terminal: the shell works on `shell`, the test types and looks at `person`.
final class PseudoTerminal: @unchecked Sendable {  // Descriptors are only written, read and closed by the one test that owns it.
    private(set) var person: Int32 = -1
    private(set) var shell: Int32 = -1
    private var seen: [UInt8] = []

    /// What the shell writes once a line, when it begins to read keys: it asks for bracketed paste. A prompt alone may be the one of the line
    /// before, drawn again; what is typed on seeing that meets the terminal's own line editing, which eats Ctrl-R and Ctrl-D.
    static let lineBegins = "\u{1B}[?2004h"

    init?(columns: UInt16 = 40) {
        setenv("TERM", "xterm", 1)  // On TERM=dumb lines are read plainly.
        // What posix_openpt, unlockpt and ptsname do on Linux; the Glibc module does not have them.
        let unlock: UInt = 0x4004_5431, number: UInt = 0x8004_5430  // TIOCSPTLCK, TIOCGPTN
        person = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var zero: Int32 = 0, n: Int32 = 0
        guard person >= 0, ioctl(person, unlock, &zero) == 0, ioctl(person, number, &n) == 0 else { return nil }
        shell = open("/dev/pts/\(n)", O_RDWR | O_NOCTTY)
        guard shell >= 0 else { return nil }
        var size = winsize(ws_row: 10, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(shell, UInt(TIOCSWINSZ), &size)
    }

    deinit {
        close(shell)
        if person >= 0 { close(person) }
    }

    /// The line goes dead: whoever reads at the other end sees the end of the input.
    func hangUp() {
        close(person)
        person = -1
    }

    func type(_ text: String) { _ = Terminal.write(Array(text.utf8), to: person) }

    var rest: String { String(reflecting: String(decoding: seen, as: UTF8.self)) }

    /// Reads what the shell writes until `text` shows up; nil if it does not within ten seconds.
    func look(for text: String) -> String? {
        let wanted = Array(text.utf8)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            if let range = Self.find(wanted, in: seen) {
                defer { seen.removeFirst(range) }
                return String(decoding: seen[..<range], as: UTF8.self)
            }
            var poll = pollfd(fd: person, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, 10_000) > 0 else { return nil }
            let count = read(person, &buffer, buffer.count)
            guard count > 0 else { return nil }
            seen += buffer[..<count]
        }
    }

    private static func find(_ wanted: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= wanted.count else { return nil }
        for start in 0...(bytes.count - wanted.count) where bytes[start..<(start + wanted.count)].elementsEqual(wanted) {
            return start + wanted.count
        }
        return nil
    }
}
