import MartletCore
import MartletSQL

#if canImport(Glibc)
import Glibc
#endif

/// A session with a server: reads statements, sends them, shows what comes back.
///
/// Properties and variables live here and go with every request, because the server keeps nothing between requests.
public final class Shell {
    public enum Outcome: Sendable, Equatable {
        case done, failed, interrupted
        /// The user leaves.
        case exit
    }

    private var client: RestClient
    private let interrupts: Interrupts?
    private let out: ShellOutput
    public private(set) var settings: SessionSettings
    private var format: OutputFormat
    private var wraps = true
    private var names: NameCache
    private var scriptDepth = 0
    /// Whether what Ctrl-C would end is a query.
    private var queryRuns = false
    /// The statements of this session, where a person types them.
    private var typed: LineEditor?

    public init(_ client: RestClient, out: ShellOutput, settings: SessionSettings = SessionSettings(), format: OutputFormat = .tabular, interrupts: Interrupts? = nil) {
        self.client = client
        self.interrupts = interrupts
        self.out = out
        self.settings = settings
        self.format = format
        names = NameCache()
    }

    // MARK: - Where statements come from

    /// A person at a terminal, until they leave.
    ///
    /// - Returns: the exit status: 1 if the server cannot be reached at the beginning.
    public func runInteractively(terminal: Terminal = Terminal(), history: History) -> Int32 {
        guard report("", { () throws(RestFailure) in
            let info = try client.info()
            out.write(
                """
                \(out.style.paint(.bold, "Martlet \(MartletVersion.text)")), \(client.address) is \(info["serverStatus"]?.stringValue ?? "there") (API \(info["version"]?.stringValue ?? "of unknown version"))
                Statements end with ;  Ctrl-C ends a query, Ctrl-D the shell, help tells more.


                """)
        }) == .done else { return 1 }
        let editor = LineEditor(terminal: terminal, history: history)
        editor.completions = { [unowned self] before, word in names.completions(before: before, word: word) { self.fetchNames() } }
        typed = editor
        let reader = StatementReader(editor: editor, prompt: Self.prompt, isCommand: ShellCommand.isCommand)
        while true {
            let input = reader.next()
            if case .cancelled = input { continue }
            if case .statement(let text) = input { out.record("\(Self.prompt)\(text)\n") }
            if run(input) == .exit { return 0 }
        }
    }

    private static let prompt = "martlet> "

    /// What comes through a pipe, as it comes. Ends at the first error with status 1.
    public func runPipe(terminal: Terminal = Terminal()) -> Int32 {
        status(run(StatementReader(editor: LineEditor(terminal: terminal), prompt: "", isCommand: ShellCommand.isCommand), name: nil))
    }

    /// A whole text. Ends at the first error with status 1.
    ///
    /// - `name`: of the file, for errors.
    public func run(script text: String, name: String? = nil) -> Int32 {
        status(run(StatementReader(text: text, isCommand: ShellCommand.isCommand), name: name))
    }

    private func status(_ outcome: Outcome) -> Int32 {
        switch outcome {
        case .done, .exit: 0
        case .failed: 1
        case .interrupted: 130
        }
    }

    private func run(_ reader: StatementReader, name: String?) -> Outcome {
        while true {
            let input = reader.next()
            if case .end = input { return .done }
            let outcome = run(input)
            if outcome == .failed, let name { out.writeError("  in \(name), statement at line \(reader.line)\n") }
            if outcome != .done { return outcome }
            if out.isBroken { return .failed }
        }
    }

    private func run(_ input: StatementReader.Input) -> Outcome {
        switch input {
        case .statement(let text): execute(text)
        case .command(let line): command(line)
        case .cancelled: .interrupted
        case .end: .exit
        }
    }

    // MARK: - Statements

    /// Runs one statement and shows its result or its error.
    public func execute(_ sql: String) -> Outcome {
        report(sql) { () throws(RestFailure) in
            let kind = StatementKind(sql, variables: settings.variables)
            switch kind {
            case .query, .print: return try query(sql, isPrint: kind == .print)
            case .define(let name, let value):
                undefine(name)
                settings.variables[name] = value
                say("\(name) is '\(CellText.printable(value))' now.")
                return
            case .undefine(let name):
                say(undefine(name) ? "\(name) is undefined now." : "\(name) was not defined.")
                return
            default: break
            }
            let answer: (text: String, entities: [JSONObject])
            do throws(RestFailure) {
                // SET goes to the server too: it knows which properties there are.
                answer = try client.execute(sql, settings)
            } catch .refused(let refusal) where refusal.errorCode == 40002 && kind == .other {
                // The server calls it a query.
                return try query(sql, isPrint: false)
            }
            switch kind {
            case .set(let name, let value):
                let before = settings.properties.updateValue(value, forKey: name)
                say("\(name) is '\(CellText.printable(value))' now" + (before.map { ", was '\(CellText.printable($0))'." } ?? "."))
                return
            case .unset(let name):
                let before = settings.properties.removeValue(forKey: name)
                say(before == nil ? "\(name) was not set." : "\(name) has the server's value again.")
                return
            default: break
            }
            names.forget()
            switch format {
            case .json: out.write((out.isTerminal ? JSONValue.array(answer.entities.map { .object($0) }).pretty() : answer.text.trimmed) + "\n")
            case .tabular:
                let renderer = EntityText(width: out.isTerminal ? out.width : nil, style: out.style)
                for entity in answer.entities { out.write(renderer.text(entity)) }
                if kind == .insertValues, answer.entities.isEmpty { say("1 row inserted.") }
            }
        }
    }

    /// The shell's own words; JSON output holds nothing but what the server says.
    private func say(_ text: String) { if format == .tabular { out.write(text + "\n") } }

    @discardableResult
    private func undefine(_ name: String) -> Bool {
        // Names of variables mean the same in upper and lower case.
        let found = settings.variables.keys.filter { $0.uppercased() == name.uppercased() }
        for name in found { settings.variables[name] = nil }
        return !found.isEmpty
    }

    /// Runs `body` so that Ctrl-C ends it, and shows what went wrong.
    private func report(_ sql: String, _ body: () throws(RestFailure) -> Void) -> Outcome {
        interrupts?.begin()
        queryRuns = false
        defer { interrupts?.end() }
        do throws(RestFailure) {
            try body()
            return .done
        } catch {
            switch error {
            case .refused(let refusal): out.writeError(ErrorText.text(refusal, statement: sql, out.errorStyle))
            case .transport(let error): out.writeError(ErrorText.text(error, out.errorStyle))
            case .interrupted:
                // After the ^C that the terminal shows.
                out.writeError((out.isTerminal ? "\n" : "") + (queryRuns ? "Query terminated.\n" : "Interrupted: the server may still do it.\n"))
                return .interrupted
            }
            return .failed
        }
    }

    // MARK: - Queries

    private func query(_ sql: String, isPrint: Bool) throws(RestFailure) {
        queryRuns = true
        let stream = try client.query(sql, isPrint: isPrint, settings)
        do throws(RestFailure) {
            try show(stream)
        } catch {
            if case .interrupted = error, let id = stream.id { client.closeQuery(id) }
            throw error
        }
    }

    /// Shows messages as they come: what is there is written before more is waited for.
    private func show(_ stream: QueryStream) throws(RestFailure) {
        var pending = ""
        var table: RowTable?
        var columns: [ResultColumn] = []
        /// Rows until the widths of the columns are chosen.
        var sample: [(values: [JSONValue], isTombstone: Bool)] = []
        func begin(isComplete: Bool) {
            guard table == nil, !columns.isEmpty else { return }
            var new = RowTable(
                columns, sample: sample.map(\.values), isComplete: isComplete, width: out.width, overflow: wraps ? .wrap : .clip)
            pending += new.header()
            for row in sample { pending += new.row(row.values, isTombstone: row.isTombstone) }
            table = new
            sample = []
        }
        func flush() {
            out.write(pending)
            pending = ""
        }
        while !out.isBroken {
            var next = try stream.next(withinMs: 0)
            if next == nil, !stream.isAtEnd {
                if !sample.isEmpty { begin(isComplete: false) }
                flush()
                // The head waits a moment for the first rows, whose widths it needs; without them it tells that the query runs.
                if table == nil, !columns.isEmpty {
                    next = try stream.next(withinMs: 300)
                    if next == nil, !stream.isAtEnd {
                        begin(isComplete: false)
                        flush()
                    }
                }
                if next == nil, !stream.isAtEnd { next = try stream.next() }
            }
            guard let (message, raw) = next else { break }
            if case .error(let error) = message {
                begin(isComplete: false)
                flush()
                throw .refused(ServerRefusal(error))
            }
            if format == .json {
                pending += raw + "\n"
            } else {
                switch message {
                case .header(_, let found): columns = found
                case .row(let values, let isTombstone):
                    if table != nil {
                        pending += table?.row(values, isTombstone: isTombstone) ?? ""
                    } else {
                        sample.append((values, isTombstone))
                        if sample.count >= 200 { begin(isComplete: false) }
                    }
                case .final(let text):
                    begin(isComplete: true)
                    pending += (table?.footer() ?? "") + CellText.printable(text) + "\n"
                    table = nil
                    columns = []
                case .text(let text): pending += CellText.printable(text) + "\n"
                case .error: break
                }
            }
            if pending.utf8.count > 32 * 1024 { flush() }
        }
        begin(isComplete: true)
        pending += table?.footer() ?? ""
        flush()
    }

    // MARK: - Commands

    private func command(_ line: String) -> Outcome {
        let command: ShellCommand
        do throws(MartletError) {
            command = try ShellCommand(line)
        } catch {
            out.writeError(ErrorText.text(error, out.errorStyle))
            return .failed
        }
        switch command {
        case .exit: return .exit
        case .help: out.write(ShellCommand.helpText)
        case .clear: if out.isTerminal { out.write("\u{1B}[H\u{1B}[2J") }
        case .version:
            return report("") { () throws(RestFailure) in
                let info = try client.info()
                out.write("Shell: \(MartletVersion.text)\nServer: \(info["version"]?.stringValue ?? "unknown")\n")
            }
        case .server(nil): out.write("\(client.address)\n")
        case .server(let url?): return changeServer(url)
        case .output(let wanted):
            if let wanted { format = wanted }
            out.write("Output is \(format.rawValue.uppercased()).\n")
        case .wrap(let wanted):
            if let wanted { wraps = wanted }
            out.write("Wrapping is \(wraps ? "ON" : "OFF").\n")
        case .history(let count):
            let entries = typed?.history.entries ?? []
            for (i, entry) in entries.enumerated().suffix(count) { out.write("\(i + 1): \(CellText.printable(entry))\n") }
        case .spool(let path): return spool(path)
        case .runScript(let path): return runScript(path)
        }
        return .done
    }

    private func changeServer(_ url: String) -> Outcome {
        let address: ServerAddress
        do throws(MartletError) {
            address = try ServerAddress(url)
        } catch {
            out.writeError(ErrorText.text(error, out.errorStyle))
            return .failed
        }
        let other = RestClient(address, interrupts: interrupts)
        return report("") { () throws(RestFailure) in
            let info = try other.info()
            client = other
            names.forget()
            out.write("\(address) is \(info["serverStatus"]?.stringValue ?? "there") (API \(info["version"]?.stringValue ?? "of unknown version")).\n")
        }
    }

    private func spool(_ path: String?) -> Outcome {
        do throws(MartletError) {
            let before = out.spoolPath
            try out.spool(to: path)
            out.write(path.map { "Everything goes to \($0) as well.\n" } ?? before.map { "\($0) is written.\n" } ?? "Nothing was spooled.\n")
            return .done
        } catch {
            out.writeError(ErrorText.text(error, out.errorStyle))
            return .failed
        }
    }

    private func runScript(_ path: String) -> Outcome {
        do throws(MartletError) {
            guard scriptDepth < 16 else { throw MartletError(.badRequest, "scripts call each other more than 16 deep") }
            let text = try FileBytes.text(path)
            scriptDepth += 1
            defer { scriptDepth -= 1 }
            return run(StatementReader(text: text, isCommand: ShellCommand.isCommand), name: path)
        } catch {
            out.writeError(ErrorText.text(error, out.errorStyle))
            return .failed
        }
    }

    // MARK: - Completion

    /// Names of the server; none if it does not answer.
    private func fetchNames() -> [String] {
        // A server without models refuses to list them.
        for sql in ["SHOW STREAMS; SHOW TABLES; SHOW TOPICS; SHOW QUERIES; SHOW FUNCTIONS; SHOW MODELS;", "SHOW STREAMS; SHOW TABLES; SHOW TOPICS;"] {
            if let answer = try? client.execute(sql, SessionSettings()) { return NameCache.names(answer.entities) }
        }
        return []
    }
}
