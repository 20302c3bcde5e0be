import MartletCore

/// Lines that are for the shell itself. They end with their line; a `;` may stand there.
enum ShellCommand: Equatable {
    case help, version, clear, exit
    /// nil asks which one there is.
    case server(String?)
    case output(OutputFormat?)
    case wrap(Bool?)
    case history(Int)
    /// nil: off
    case spool(String?)
    case runScript(String)

    /// Whether a line is to be read as a command. No statement of the language begins with one of these words.
    static func isCommand(_ line: String) -> Bool {
        let words = words(line)
        guard let first = words.first?.lowercased() else { return false }
        if first == "run" { return words.count > 1 && words[1].lowercased() == "script" }
        return forms[first] != nil
    }

    private static let forms = [
        "help": "help", "version": "version", "clear": "clear", "exit": "exit", "quit": "quit", "server": "server [url]", "output": "output [TABULAR|JSON]",
        "wrap": "wrap [ON|OFF]", "history": "history [n]", "spool": "spool file|OFF", "run": "run script 'file'",
    ]

    /// - Throws: `.badRequest` with the form that the command has.
    init(_ line: String) throws(MartletError) {
        let words = Self.words(line)
        let name = words.first?.lowercased() ?? ""
        func bad() -> MartletError { MartletError(.badRequest, "the form of the command is: \(Self.forms[name] ?? name)") }
        let arguments = Array(words.dropFirst())
        switch (name, arguments.count) {
        case ("help", _): self = .help
        case ("version", 0): self = .version
        case ("clear", 0): self = .clear
        case ("exit", 0), ("quit", 0): self = .exit
        case ("server", 0): self = .server(nil)
        case ("server", 1): self = .server(arguments[0])
        case ("output", 0): self = .output(nil)
        case ("output", 1):
            guard let format = OutputFormat(rawValue: arguments[0].lowercased()) else { throw bad() }
            self = .output(format)
        case ("wrap", 0): self = .wrap(nil)
        case ("wrap", 1):
            switch arguments[0].lowercased() {
            case "on": self = .wrap(true)
            case "off": self = .wrap(false)
            default: throw bad()
            }
        case ("history", 0): self = .history(20)
        case ("history", 1):
            guard let count = Int(arguments[0]), count > 0 else { throw bad() }
            self = .history(count)
        case ("spool", 1): self = .spool(arguments[0].lowercased() == "off" ? nil : arguments[0])
        case ("run", 2): self = .runScript(arguments[1])
        default: throw bad()
        }
    }

    /// Words between blanks; one in single quotes may hold blanks.
    private static func words(_ line: String) -> [String] {
        var text = line.trimmed
        while text.hasSuffix(";") { text = String(text.dropLast()).trimmed }
        var words: [String] = []
        var word = ""
        var isQuoted = false, isInside = false
        for character in text {
            if character == "'" {
                isQuoted.toggle()
                isInside = true
            } else if character.isWhitespace, !isQuoted {
                if isInside { words.append(word) }
                (word, isInside) = ("", false)
            } else {
                word.append(character)
                isInside = true
            }
        }
        if isInside { words.append(word) }
        return words
    }

    static let helpText = """
        Statements end with ; and may go over several lines. Ctrl-C ends a query, or throws away what is typed; Ctrl-D leaves.

          SHOW STREAMS; SHOW TABLES; SHOW TOPICS; SHOW QUERIES; SHOW MODELS; SHOW FUNCTIONS; SHOW TYPES;
          DESCRIBE name [EXTENDED];  DESCRIBE FUNCTION name;  DESCRIBE MODEL name;  EXPLAIN query;
          CREATE STREAM name (column type, ...) WITH (kafka_topic='t', value_format='JSON', partitions=1);
          CREATE STREAM name WITH (...) AS SELECT ... FROM ... WHERE ...;
          CREATE MODEL name WITH ('path'='model.onnx');
          INSERT INTO name (column, ...) VALUES (value, ...);
          SELECT ... FROM name [LIMIT n];                what there is now
          SELECT ... FROM name EMIT CHANGES [LIMIT n];   and what comes
          PRINT topic [FROM BEGINNING] [LIMIT n];        records of a topic as they are
          SET 'auto.offset.reset'='earliest';  UNSET 'auto.offset.reset';  SHOW PROPERTIES;
          DEFINE name = 'value';  UNDEFINE name;  SHOW VARIABLES;   used as ${name}
          TERMINATE query;  PAUSE query;  RESUME query;  DROP STREAM name [DELETE TOPIC];

        Commands of the shell:
          help                    this text
          version                 versions of the shell and of the server
          server [url]            which server this is; another one
          output [TABULAR|JSON]   how results are shown
          wrap [ON|OFF]           whether long cells go over several lines or are cut off
          history [n]             what was typed last
          spool file|OFF          writes everything to a file as well
          run script 'file'       runs the statements of a file
          clear                   clears the screen
          exit                    leaves, as quit and Ctrl-D do

        """
}

/// How results are shown.
public enum OutputFormat: String, Sendable, CaseIterable { case tabular, json }
