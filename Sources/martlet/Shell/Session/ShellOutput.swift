import MartletCore

#if canImport(Glibc)
import Glibc
#endif

/// Where results and errors go: two descriptors, and the spool file if there is one.
public final class ShellOutput {
    private let output: Int32
    private let errors: Int32
    private var spoolFile: Int32 = -1
    public private(set) var spoolPath: String?
    /// Nobody reads the results any more.
    public private(set) var isBroken = false
    public let isTerminal: Bool
    public let style: Style
    public let errorStyle: Style

    /// - `errors`: a person at a terminal sees errors among the results, so both may be the same.
    public init(output: Int32 = STDOUT_FILENO, errors: Int32 = STDERR_FILENO) {
        self.output = output
        self.errors = errors
        func hasColours(_ file: Int32) -> Bool {
            func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
            return isatty(file) == 1 && variable("TERM") != "dumb" && (variable("NO_COLOR") ?? "").isEmpty
        }
        isTerminal = isatty(output) == 1
        style = Style(isColoured: hasColours(output))
        errorStyle = Style(isColoured: hasColours(errors))
    }

    deinit { if spoolFile >= 0 { close(spoolFile) } }

    /// Columns of the terminal; elsewhere 72, or what COLUMNS says.
    public var width: Int {
        if isTerminal { return Terminal(input: output, output: output).width }
        return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.map { min(max($0, 20), 10_000) } ?? 72
    }

    public func write(_ text: String) { write(text, to: output) }
    public func writeError(_ text: String) { write(text, to: errors) }

    private func write(_ text: String, to file: Int32) {
        guard !text.isEmpty else { return }
        if !Terminal.write(Array(text.utf8), to: file), file == output { isBroken = true }
        record(text)
    }

    /// What belongs into the spool file only: the statements a person typed.
    func record(_ text: String) {
        if spoolFile >= 0 { _ = Terminal.write(Array(Style.plain(text).utf8), to: spoolFile) }
    }

    /// Writes all that follows to a new file as well, or stops that.
    func spool(to path: String?) throws(MartletError) {
        if spoolFile >= 0 { close(spoolFile) }
        (spoolFile, spoolPath) = (-1, nil)
        guard let path else { return }
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw MartletError(.io, "cannot write \(path): \(String(cString: strerror(errno)).lowercased())") }
        (spoolFile, spoolPath) = (file, path)
    }
}
