import MartletCore
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

    private let readLine: (_ isFirst: Bool) -> LineEditor.Line
    private let remember: (String) -> Void
    private let isCommand: (String) -> Bool
    private var ready: ArraySlice<(input: Input, line: Int)> = []
    private var linesRead = 0
    /// Where the input that came last begins, from 1.
    public private(set) var line = 0

    public init(editor: LineEditor, prompt: String, isCommand: @escaping (String) -> Bool = { _ in false }) {
        readLine = { editor.readLine(prompt: $0 ? prompt : Self.continuation(prompt)) }
        remember = { editor.remember($0) }
        self.isCommand = isCommand
    }

    /// Reads a text that is there as a whole.
    public init(text: String, isCommand: @escaping (String) -> Bool = { _ in false }) {
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)[...]
        readLine = { _ in lines.popFirst().map { .text(String($0)) } ?? .end }
        remember = { _ in }
        self.isCommand = isCommand
    }

    private func take() -> Input? {
        guard let (input, line) = ready.popFirst() else { return nil }
        self.line = line
        return input
    }

    public func next() -> Input {
        if let input = take() { return input }
        var text = ""
        var isFirst = true
        var firstLine = 0
        func statements(_ pieces: [StatementText]) {
            ready = pieces.map { (.statement($0.text), firstLine + $0.span.line - 1) }[...]
        }
        while true {
            switch readLine(isFirst) {
            case .cancelled: return .cancelled
            case .end:
                statements(Parser.split(text))
                return take() ?? .end
            case .text(var line):
                linesRead += 1
                if isFirst { firstLine = linesRead }
                if isFirst, isCommand(line) {
                    remember(line)
                    self.line = linesRead
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
                    remember(text)
                    statements(pieces)
                    return take() ?? .end
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
