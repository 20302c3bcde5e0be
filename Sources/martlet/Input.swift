import MartletCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What commands are told in secret.
enum Input {
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
