/// Reads lines from a person at a terminal, with editing, history and completion, or from a pipe, plainly.
///
/// Keys are those of readline's Emacs mode: arrows, Home, End, Ctrl-A E B F, Ctrl-P N, Ctrl-K U W Y, Alt-B F D, Ctrl-R to search, Ctrl-L to clear the
/// screen, Tab to complete. A pasted text is one line with its line breaks inside, shown as `↵`.
public final class LineEditor {
    public enum Line: Sendable, Equatable {
        case text(String)
        /// Ctrl-C.
        case cancelled
        /// Ctrl-D on an empty line, or the end of the input.
        case end
    }

    public private(set) var history: History
    /// Words that the one before the cursor may become. Arguments: the text before that word, the word.
    public var completions: (_ before: String, _ word: String) -> [String]
    public let terminal: Terminal

    private var decoder = KeyDecoder()
    private var waiting: ArraySlice<Key> = []
    private var piped: [UInt8] = []
    private var isPipeAtEnd = false
    /// Row of the cursor below the prompt's first, as last drawn.
    private var drawnRow = 0

    public init(
        terminal: Terminal = Terminal(), history: History = History(path: nil), completions: @escaping (String, String) -> [String] = { _, _ in [] }
    ) {
        self.terminal = terminal
        self.history = history
        self.completions = completions
    }

    /// Waits for the next line, without its line break. The caller says what to `remember`.
    public func readLine(prompt: String) -> Line {
        terminal.isInteractive ? terminal.raw { edit(prompt) } : pipedLine()
    }

    /// Keeps what a person typed; what comes through a pipe is no history.
    ///
    /// - Returns: false if the history file could not be written.
    @discardableResult
    public func remember(_ entry: String) -> Bool { terminal.isInteractive ? history.append(entry) : true }

    // MARK: terminal

    private func edit(_ prompt: String) -> Line {
        var buffer = LineBuffer(history: history.entries)
        drawnRow = 0
        draw(prompt, buffer)
        while true {
            guard let key = nextKey() else {
                terminal.write("\r\n")
                return .end
            }
            switch buffer.receive(key) {
            case .redraw: draw(prompt, buffer)
            case .beep:
                terminal.write("\u{7}")
                draw(prompt, buffer)
            case .clearScreen:
                terminal.write("\u{1B}[H\u{1B}[2J")
                drawnRow = 0
                draw(prompt, buffer)
            case .complete: complete(&buffer, prompt)
            case .submit(let text):
                leave(prompt, buffer)
                return .text(text)
            case .cancel:
                leave(prompt, buffer, mark: "^C")
                return .cancelled
            case .end:
                leave(prompt, buffer)
                return .end
            }
        }
    }

    private func nextKey() -> Key? {
        while true {
            if let key = waiting.popFirst() { return key }
            // After a lone ESC the rest of a sequence follows at once, or it was the key.
            if decoder.isWaiting, !terminal.isReady(within: 50) {
                waiting = decoder.flush()[...]
                if waiting.isEmpty, !terminal.isReady(within: -1) { return nil }
                continue
            }
            let bytes = terminal.read()
            if bytes.isEmpty { return nil }
            waiting = decoder.feed(bytes)[...]
        }
    }

    private func complete(_ buffer: inout LineBuffer, _ prompt: String) {
        let start = buffer.completionStart
        let before = String(buffer.characters[..<start])
        let candidates = completions(before, String(buffer.characters[start..<buffer.cursor]))
        if buffer.complete(with: candidates) == .beep, candidates.count > 1 {
            leave(prompt, buffer)
            terminal.write(candidates.prefix(60).joined(separator: "  ") + (candidates.count > 60 ? "  …" : "") + "\r\n")
            drawnRow = 0
        }
        draw(prompt, buffer)
    }

    private func shownPrompt(_ prompt: String, _ buffer: LineBuffer) -> String {
        buffer.sought.map { "(search: \($0)) " } ?? prompt
    }

    /// Draws prompt and line over what was drawn before and puts the cursor in its place.
    private func draw(_ prompt: String, _ buffer: LineBuffer) {
        let layout = LineLayout(prompt: shownPrompt(prompt, buffer), line: buffer.characters, cursor: buffer.cursor, width: terminal.width)
        var out = drawnRow > 0 ? "\u{1B}[\(drawnRow)A" : ""
        out += "\r\u{1B}[J" + layout.text
        if layout.endsAtEdge { out += "\r\n" }
        let up = layout.lastRow - layout.cursorRow
        if up > 0 { out += "\u{1B}[\(up)A" }
        out += "\r"
        if layout.cursorColumn > 0 { out += "\u{1B}[\(layout.cursorColumn)C" }
        terminal.write(out)
        drawnRow = layout.cursorRow
    }

    /// Puts the cursor on a fresh row below the line.
    private func leave(_ prompt: String, _ buffer: LineBuffer, mark: String = "") {
        let layout = LineLayout(prompt: prompt, line: buffer.characters, cursor: buffer.characters.count, width: terminal.width)
        var out = drawnRow > 0 ? "\u{1B}[\(drawnRow)A" : ""
        out += "\r\u{1B}[J" + layout.text + mark
        terminal.write(out + "\r\n")
        drawnRow = 0
    }

    // MARK: pipe

    private func pipedLine() -> Line {
        while true {
            if let end = piped.firstIndex(of: UInt8(ascii: "\n")) {
                var line = piped[..<end]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                let text = String(decoding: line, as: UTF8.self)
                piped.removeSubrange(...end)
                return .text(text)
            }
            if isPipeAtEnd {
                guard !piped.isEmpty else { return .end }
                defer { piped = [] }
                return .text(String(decoding: piped, as: UTF8.self))
            }
            let bytes = terminal.read()
            if bytes.isEmpty { isPipeAtEnd = true }
            piped += bytes
        }
    }
}
