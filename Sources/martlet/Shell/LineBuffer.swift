/// The line being edited: text, cursor, cut text, and where in the history one is. Keys go in, what the terminal should do comes out.
///
/// ```
///            ┌── Ctrl-R ──► searching ── Enter ──► submit
///   editing ─┤                  └── any other key ──► editing the found line
///            └── Enter / Ctrl-C / Ctrl-D ──► submit / cancel / end
/// ```
public struct LineBuffer: Sendable {
    public enum Action: Sendable, Equatable {
        /// Show the line again.
        case redraw
        case submit(String)
        /// Ctrl-C: the line is thrown away.
        case cancel
        /// Ctrl-D on an empty line.
        case end
        case clearScreen
        /// Tab: ask for completions of what stands before the cursor.
        case complete
        case beep
    }

    public private(set) var characters: [Character] = []
    /// Between `characters`: 0 … count.
    public private(set) var cursor = 0
    /// The text sought after Ctrl-R; nil while editing.
    public private(set) var sought: String?
    private var history: [String]
    /// Index into `history`; its count stands for the line being written.
    private var place: Int
    private var draft: [Character] = []
    private var cut: [Character] = []

    /// - `history`: oldest first.
    public init(history: [String] = []) {
        self.history = history
        place = history.count
    }

    public var text: String { String(characters) }

    public mutating func receive(_ key: Key) -> Action {
        if sought != nil { return search(key) }
        switch key {
        case .text(let text): return insert(text)
        case .paste(let text):
            var pasted = text[...]
            // The line break that ends a copied line is not a wish to have an empty one.
            while let last = pasted.last, last.isNewline { pasted.removeLast() }
            return insert(String(pasted.map { $0.isNewline ? "\n" : $0 == "\t" ? " " : $0 }))
        case .enter: return .submit(text)
        case .tab: return .complete
        case .backspace, .control("H"): return remove(from: cursor - 1, to: cursor)
        case .delete: return remove(from: cursor, to: cursor + 1)
        case .left, .control("B"): return move(to: cursor - 1)
        case .right, .control("F"): return move(to: cursor + 1)
        case .home, .control("A"): return move(to: 0)
        case .end, .control("E"): return move(to: characters.count)
        case .wordLeft: return move(to: wordStart)
        case .wordRight: return move(to: wordEnd)
        case .up, .control("P"): return recall(place - 1)
        case .down, .control("N"): return recall(place + 1)
        case .killWordLeft, .control("W"): return kill(from: wordStart, to: cursor)
        case .killWordRight: return kill(from: cursor, to: wordEnd)
        case .control("K"): return kill(from: cursor, to: characters.count)
        case .control("U"): return kill(from: 0, to: cursor)
        case .control("Y"): return insert(String(cut))
        case .control("C"): return .cancel
        case .control("D"): return characters.isEmpty ? .end : remove(from: cursor, to: cursor + 1)
        case .control("L"): return .clearScreen
        case .control("R"):
            sought = ""
            return .redraw
        case .escape, .unknown, .control: return .beep
        }
    }

    /// Puts `completion` in place of the word before the cursor, or only beeps if there is no single continuation.
    ///
    /// - `candidates`: whole words that the one before the cursor may become.
    public mutating func complete(with candidates: [String]) -> Action {
        let word = String(characters[completionStart..<cursor])
        guard var common = candidates.first else { return .beep }
        for candidate in candidates.dropFirst() {
            while !candidate.lowercased().hasPrefix(common.lowercased()) { common.removeLast() }
        }
        guard common.count > word.count || (candidates.count == 1 && common != word) else { return .beep }
        let start = completionStart
        characters.replaceSubrange(start..<cursor, with: common)
        cursor = start + common.count
        if candidates.count == 1, cursor == characters.count { _ = insert(" ") }
        return .redraw
    }

    /// Where the word that Tab completes begins.
    public var completionStart: Int {
        var start = cursor
        while start > 0, Self.isWord(characters[start - 1]) { start -= 1 }
        return start
    }

    // MARK: editing

    private mutating func insert(_ text: String) -> Action {
        // Through a string, so that a combining mark typed now joins the character before it.
        let before = String(characters[..<cursor]) + text
        let tail = characters[cursor...]
        let head = Array(before)
        characters = head + tail
        cursor = head.count
        return .redraw
    }

    private mutating func remove(from start: Int, to end: Int) -> Action {
        guard start >= 0, end <= characters.count else { return .beep }
        characters.removeSubrange(start..<end)
        cursor = start
        return .redraw
    }

    private mutating func kill(from start: Int, to end: Int) -> Action {
        if start < end { cut = Array(characters[start..<end]) }
        return remove(from: start, to: end)
    }

    private mutating func move(to target: Int) -> Action {
        guard target >= 0, target <= characters.count else { return .beep }
        cursor = target
        return .redraw
    }

    private static func isWord(_ character: Character) -> Bool { character.isLetter || character.isNumber || character == "_" }

    private var wordStart: Int {
        var start = cursor
        while start > 0, !Self.isWord(characters[start - 1]) { start -= 1 }
        while start > 0, Self.isWord(characters[start - 1]) { start -= 1 }
        return start
    }

    private var wordEnd: Int {
        var end = cursor
        while end < characters.count, !Self.isWord(characters[end]) { end += 1 }
        while end < characters.count, Self.isWord(characters[end]) { end += 1 }
        return end
    }

    // MARK: history

    private mutating func recall(_ target: Int) -> Action {
        guard target >= 0, target <= history.count else { return .beep }
        if place == history.count { draft = characters }
        place = target
        characters = target == history.count ? draft : Array(history[target])
        cursor = characters.count
        return .redraw
    }

    private mutating func search(_ key: Key) -> Action {
        let wanted = sought ?? ""
        switch key {
        case .text(let text): return find(wanted + text, before: place + 1)
        case .backspace: return find(String(wanted.dropLast()), before: history.count)
        case .control("R"): return find(wanted, before: place)
        case .control("G"), .control("C"):
            sought = nil
            place = history.count
            characters = []
            cursor = 0
            return .redraw
        case .escape:
            sought = nil
            return .redraw
        default:
            sought = nil
            return receive(key)
        }
    }

    /// The newest line with `wanted` in it that is older than `limit`.
    private mutating func find(_ wanted: String, before limit: Int) -> Action {
        let folded = wanted.lowercased()
        sought = wanted
        guard let found = history[..<min(max(limit, 0), history.count)].lastIndex(where: { $0.lowercased().contains(folded) }) else {
            return .beep
        }
        place = found
        characters = Array(history[found])
        cursor = characters.count
        return .redraw
    }
}
