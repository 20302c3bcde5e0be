import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What commands read: files, passwords.
enum Input {
    static func text(of path: String) throws(MartletError) -> String {
        guard let file = fopen(path, "r") else {
            throw MartletError(.io, "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = [], piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { break }
            bytes.append(contentsOf: piece[..<count])
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw MartletError(.io, "\(path) is not UTF-8 text") }
        return text
    }

    /// From MARTLET_PASSWORD; else typed unseen, twice, at a terminal; else the first line of standard input.
    static func password(for user: String) throws(MartletError) -> String {
        if let value = getenv("MARTLET_PASSWORD") { return String(cString: value) }
        guard isatty(STDIN_FILENO) == 1 else { return readLine() ?? "" }
        let first = try typed("Password for \(user): ")
        guard try typed("Once more: ") == first else { throw MartletError(.badRequest, "the passwords differ") }
        return first
    }

    private static func typed(_ prompt: String) throws(MartletError) -> String {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else { throw MartletError(.io, "the terminal cannot be asked for a password") }
        let before = settings
        settings.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
        defer {
            var restored = before
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &restored)
            Output.error("\n")
        }
        Output.error(prompt)
        return readLine() ?? ""
    }
}
