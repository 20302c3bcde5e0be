import MartletSQL

/// Gathers lines to whole statements: up to a `;` outside quotes and comments, over as many lines as that takes.
///
/// A `\` at the end of a line joins the next to it. `isCommand` tells which first lines are commands of the shell itself (`help`, `exit`), which end with
/// their line.
public final class StatementReader {
    public enum Input: Sendable, Equatable {
        /// One statement with its `;`. At the end of a pipe the last one may lack it.
        case statement(String)
        case command(String)
        /// Ctrl-C: what was typed is gone.
        case cancelled
        case end
    }

    private let editor: LineEditor
    private let prompt: String
    private let isCommand: (String) -> Bool
    private var ready: ArraySlice<Input> = []

    public init(editor: LineEditor, prompt: String, isCommand: @escaping (String) -> Bool = { _ in false }) {
        self.editor = editor
        self.prompt = prompt
        self.isCommand = isCommand
    }

    public func next() -> Input {
        if let input = ready.popFirst() { return input }
        var text = ""
        var isFirst = true
        while true {
            switch editor.readLine(prompt: isFirst ? prompt : Self.continuation(prompt)) {
            case .cancelled: return .cancelled
            case .end:
                ready = Parser.split(text).map { .statement($0.text) }[...]
                return ready.popFirst() ?? .end
            case .text(var line):
                if isFirst, isCommand(line) {
                    editor.remember(line)
                    return .command(line)
                }
                let isContinued = line.hasSuffix("\\")
                if isContinued { line.removeLast() }
                text += line
                if isContinued {
                    isFirst = false
                    continue
                }
                let pieces = Parser.split(text)
                if pieces.isEmpty {
                    // Blank or a comment: it stays only if it is unfinished.
                    text = ""
                    isFirst = true
                    continue
                }
                if pieces.allSatisfy(\.isComplete) {
                    editor.remember(text)
                    ready = pieces.map { .statement($0.text) }[...]
                    return ready.popFirst() ?? .end
                }
                text += "\n"
                isFirst = false
            }
        }
    }

    /// As wide as the prompt: `martlet> ` → `       > `.
    private static func continuation(_ prompt: String) -> String {
        String(repeating: " ", count: max(prompt.count - 2, 0)) + "> "
    }
}
