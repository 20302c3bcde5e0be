import ArgumentParser
import MartletCore
import MartletShell

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct SQLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql",
        abstract: "Runs SQL statements on a server: typed, from a file or from a pipe.",
        discussion: """
            Without -e, -f and a pipe it is a shell: help in it tells more. With them it ends at the first error with status 1; results go to standard \
            output, errors to standard error.
            """)

    @Argument(help: ArgumentHelp("The server's SQL address, http[s]://[user:password@]host[:port].", valueName: "url"))
    var url = ServerAddress.defaultText

    @Option(name: .shortAndLong, help: ArgumentHelp("Runs these statements; may be given several times.", valueName: "statements"))
    var execute: [String] = []

    @Option(name: .shortAndLong, help: ArgumentHelp("Runs the statements of a file, after those of -e; may be given several times.", valueName: "file"))
    var file: [String] = []

    @Option(help: "tabular or json.")
    var output = OutputFormat.tabular

    @Option(name: .customLong("ca-file"), help: ArgumentHelp("With https: certificates that may sign the server's, in PEM form, instead of the system's.", valueName: "file"))
    var authorities: String?

    @Option(name: .customLong("set"), help: ArgumentHelp("A session property, e.g. auto.offset.reset=earliest.", valueName: "name=value"))
    var settings: [String] = []

    @Option(name: .customLong("define"), help: ArgumentHelp("A variable, used in statements as ${name}.", valueName: "name=value"))
    var variables: [String] = []

    func validate() throws {
        _ = try Self.pairs(settings, "--set")
        _ = try Self.pairs(variables, "--define")
    }

    func run() throws {
        let address: ServerAddress
        var trust: TLSTrust?
        do throws(MartletError) {
            address = try ServerAddress(url)
            if address.isSecure { trust = try TLSTrust(authorities: authorities) }
        } catch {
            throw failure(error)
        }
        let isScript = !execute.isEmpty || !file.isEmpty
        let terminal = Terminal()
        let isInteractive = !isScript && terminal.isInteractive
        let interrupts = Interrupts()
        interrupts?.takeSignals(staysWhenIdle: isInteractive)
        let session = SessionSettings(properties: try Self.pairs(settings, "--set"), variables: try Self.pairs(variables, "--define"))
        let shell = Shell(
            RestClient(address, interrupts: interrupts, trust: trust), out: ShellOutput(errors: isInteractive ? STDOUT_FILENO : STDERR_FILENO), settings: session,
            format: output, interrupts: interrupts)
        let status: Int32 =
            if isInteractive {
                shell.runInteractively(terminal: terminal, history: History(path: Self.historyPath))
            } else if isScript {
                try runScripts(shell)
            } else {
                shell.runPipe(terminal: terminal)
            }
        if status != 0 { throw ExitCode(status) }
    }

    private func runScripts(_ shell: Shell) throws -> Int32 {
        var status: Int32 = 0
        for text in execute where status == 0 { status = shell.run(script: text) }
        for path in file where status == 0 {
            do throws(MartletError) {
                status = shell.run(script: try FileBytes.text(path), name: path)
            } catch {
                throw failure(error)
            }
        }
        return status
    }

    private static func pairs(_ texts: [String], _ option: String) throws -> [String: String] {
        var pairs: [String: String] = [:]
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else { throw ValidationError("\(option) takes name=value, not '\(text)'") }
            pairs[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return pairs
    }

    private static var historyPath: String? { getenv("HOME").map { String(cString: $0) + "/.martlet_history" } }
}

extension OutputFormat: ExpressibleByArgument {}
