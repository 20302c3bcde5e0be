import MartletCore

/// Turns SQL text into statements.
///
/// A hand-written descent over tokens, one function a rule of the grammar (docs/reference/sql.md), precedence climbing for operators. Every node has
/// its span in the *whole* text handed in, so an error of a later stage reads right with that text as its `statement`.
/// Cost: O(length), a few microseconds a line. Nesting and tree height are bounded, so no input overflows the stack here or in what walks the tree.
public struct Parser {
    /// Which statements exist: a server has no `ASSERT VALUES`, `ASSERT STREAM` or `RUN SCRIPT`; test scripts do.
    public enum Dialect: Sendable { case server, testTool }

    /// Parentheses, lambdas, types and subqueries inside one another.
    static let nestingMax = 200
    /// Levels of an expression tree, a long `a OR b OR …` included.
    static let heightMax = 1000

    /// Parses a whole text, statements separated by `;` (the last one's may be missing).
    ///
    /// - Throws: `.syntax` with span and `statement` = `sql` for the first mistake anywhere. Messages begin `line n:m: Syntax Error` for what the
    ///   grammar does not allow and `Failed to prepare statement: …` for values it allows and we do not (as ksqlDB words them).
    public static func parse(_ sql: String, dialect: Dialect = .server) throws(MartletError) -> [Statement] {
        var parser = Parser(sql, dialect)
        do throws(MartletError) {
            return try parser.statements()
        } catch {
            throw error.inStatement(sql)
        }
    }

    /// Parses one expression, e.g. a filter handed over by an API.
    public static func parseExpression(_ text: String) throws(MartletError) -> Expression {
        var parser = Parser(text, .server)
        do throws(MartletError) {
            let expression = try parser.expression()
            guard parser.token.kind == .end else { throw parser.failure() }
            return expression
        } catch {
            throw error.inStatement(text)
        }
    }

    /// Parses one type, e.g. `ARRAY<STRUCT<A INT, B STRING>>`.
    public static func parseType(_ text: String) throws(MartletError) -> TypeName {
        var parser = Parser(text, .server)
        do throws(MartletError) {
            let type = try parser.typeName()
            guard parser.token.kind == .end else { throw parser.failure() }
            return type
        } catch {
            throw error.inStatement(text)
        }
    }

    /// Cuts a text at the `;` that stand outside quotes and comments; blanks and comments alone are no statement.
    public static func split(_ sql: String) -> [StatementText] {
        let bytes = Array(sql.utf8)
        var pieces: [StatementText] = []
        var first: SourceSpan?
        var end = 0
        for token in Lexer.tokens(of: sql) {
            let isSemicolon = token.kind == .symbol(.semicolon)
            if let start = first, isSemicolon || token.kind == .end {
                if isSemicolon { end = token.span.end }
                let span = SourceSpan(start: start.start, end: end, line: start.line, column: start.column)
                let text = String(decoding: bytes[span.start..<span.end], as: UTF8.self)
                pieces.append(StatementText(text: text, span: span, isComplete: isSemicolon))
                first = nil
            } else if !isSemicolon, token.kind != .end {
                if first == nil { first = token.span }
                end = token.span.end
            }
        }
        return pieces
    }

    // MARK: state

    let bytes: [UInt8]
    let tokens: [Token]
    let dialect: Dialect
    var index = 0
    /// What was looked for at the current token, for the message should nothing of it be there.
    var tried: [Expectation] = []
    private var nesting = 0
    /// Levels of the expression parsed last.
    var height = 0

    enum Expectation: Equatable {
        case keyword(Keyword), symbol(Token.Symbol)
        /// A name with a meaning in this place only, e.g. MODEL.
        case word(String)
        /// A class of tokens, e.g. `INTEGER_VALUE`.
        case what(String)

        var text: String {
            switch self {
            case .keyword(let keyword): "'\(keyword.rawValue)'"
            case .symbol(let symbol): "'\(symbol.rawValue)'"
            case .word(let word): "'\(word)'"
            case .what(let what): what
            }
        }
    }

    private init(_ sql: String, _ dialect: Dialect) {
        bytes = Array(sql.utf8)
        tokens = Lexer.tokens(of: sql)
        self.dialect = dialect
    }

    // MARK: tokens

    var token: Token { tokens[index] }
    var next: Token { tokens[min(index + 1, tokens.count - 1)] }
    var previousEnd: Int { index == 0 ? 0 : tokens[index - 1].span.end }

    /// The text as written, e.g. a topic name whose case matters.
    func text(_ span: SourceSpan) -> String { String(decoding: bytes[span.start..<span.end], as: UTF8.self) }

    /// From `start` to the end of the last token taken.
    func span(from start: SourceSpan) -> SourceSpan {
        SourceSpan(start: start.start, end: max(start.end, previousEnd), line: start.line, column: start.column)
    }

    mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
        tried.removeAll(keepingCapacity: true)
    }

    func at(_ keyword: Keyword) -> Bool { tokens[index].keyword == keyword }
    func at(_ symbol: Token.Symbol) -> Bool { tokens[index].kind == .symbol(symbol) }
    func atWord(_ word: String) -> Bool { tokens[index].kind == .word && tokens[index].value == word }

    mutating func accept(_ keyword: Keyword) -> Bool {
        if at(keyword) {
            advance()
            return true
        }
        tried.append(.keyword(keyword))
        return false
    }

    mutating func accept(_ symbol: Token.Symbol) -> Bool {
        if at(symbol) {
            advance()
            return true
        }
        tried.append(.symbol(symbol))
        return false
    }

    /// A word that means something only here, so it is no keyword.
    mutating func accept(word: String) -> Bool {
        if atWord(word) {
            advance()
            return true
        }
        tried.append(.word(word))
        return false
    }

    mutating func expect(_ keyword: Keyword) throws(MartletError) {
        if !accept(keyword) { throw failure() }
    }

    mutating func expect(_ symbol: Token.Symbol) throws(MartletError) {
        if accept(symbol) { return }
        let isClosing = symbol == .rightParen || symbol == .rightBracket
        if isClosing, token.kind != .end, !isBad {
            if next.kind == .symbol(symbol) {
                throw syntaxError("extraneous input '\(text(token.span))' expecting \(expectations)")
            }
            throw syntaxError("missing '\(symbol.rawValue)' at '\(text(token.span))'")
        }
        throw failure()
    }

    /// Runs `body` one level deeper.
    mutating func nested<T>(_ body: (inout Parser) throws(MartletError) -> T) throws(MartletError) -> T {
        guard nesting < Self.nestingMax else { throw syntaxError("nesting deeper than \(Self.nestingMax) levels") }
        nesting += 1
        let result = try body(&self)
        nesting -= 1
        return result
    }

    /// The name that `isUnquotedSafe` says needs no quotes, or a quoted one.
    mutating func identifier(_ what: String = "a name") throws(MartletError) -> Identifier {
        let token = self.token
        if atName {
            advance()
            return Identifier(token.value, isQuoted: token.kind == .quotedWord, span: token.span)
        }
        tried.append(.what(what))
        if token.keyword?.isReserved == true, !isClauseAhead { throw reservedWord() }
        throw failure()
    }

    /// Whether a name stands here.
    var atName: Bool {
        switch tokens[index].kind {
        case .quotedWord, .digitWord: true
        case .word: tokens[index].keyword.map { !$0.isReserved } ?? true
        default: false
        }
    }

    /// Whether the reserved word here rather opens the next clause than stands for a name.
    var isClauseAhead: Bool { token.keyword?.isStructural ?? false }

    mutating func string(_ what: String = "STRING") throws(MartletError) -> String {
        let token = self.token
        guard token.kind == .string else {
            tried.append(.what(what))
            throw failure()
        }
        advance()
        return token.value
    }

    /// `'text'` or a name, its case as written (topics, subjects).
    mutating func stringOrName(_ what: String) throws(MartletError) -> String {
        let token = self.token
        if token.kind == .string || token.kind == .quotedWord {
            advance()
            return token.value
        }
        let name = try identifier(what)
        return text(name.span)
    }

    // MARK: errors

    var isBad: Bool {
        if case .bad = token.kind { return true }
        return false
    }

    private var expectations: String {
        var texts: [String] = []
        for expectation in tried where !texts.contains(expectation.text) { texts.append(expectation.text) }
        return texts.count == 1 ? texts[0] : "{\(texts.joined(separator: ", "))}"
    }

    func syntaxError(_ detail: String, at span: SourceSpan? = nil, hint: String? = nil) -> MartletError {
        let span = span ?? token.span
        return MartletError(.syntax, "line \(span.line):\(span.column): Syntax Error\n\(detail)", at: span, hint: hint)
    }

    /// Well-formed, but with a value that cannot be.
    func prepareError(_ message: String, at span: SourceSpan) -> MartletError {
        MartletError(.syntax, "Failed to prepare statement: \(message)", at: span)
    }

    /// A number that no type holds. ksqlDB counts the column from 2 in this message; the span is right.
    func numberError(_ message: String, at span: SourceSpan) -> MartletError {
        prepareError("line \(span.line):\(span.column + 1): \(message)", at: span)
    }

    /// The current token is none of those tried.
    func failure() -> MartletError {
        if isBad { return syntaxError(token.value) }
        let found = token.kind == .end ? "the text ends here" : "found '\(text(token.span))'"
        return syntaxError("Expecting \(expectations)", hint: suggestion.map { "\(found), did you mean \($0)?" } ?? found)
    }

    /// Several forms of a statement begin so, none goes on like this.
    func noViableAlternative() -> MartletError {
        if isBad { return syntaxError(token.value) }
        let found = token.kind == .end ? "<EOF>" : text(token.span)
        return syntaxError(
            "Syntax error at or near '\(found)' at line \(token.span.line):\(token.span.column)",
            hint: suggestion.map { "did you mean \($0)?" } ?? "expecting one of \(expectations)")
    }

    func reservedWord() -> MartletError {
        let word = text(token.span)
        return syntaxError("\"\(word)\" is a reserved keyword and it can't be used as an identifier", hint: "write it as `\(word)`")
    }

    /// The keyword tried that the word here was perhaps meant to be.
    private var suggestion: String? {
        guard token.kind == .word, token.value.utf8.count > 2 else { return nil }
        let word = Array(token.value.utf8)
        for expectation in tried {
            let candidate: String
            switch expectation {
            case .keyword(let keyword): candidate = keyword.rawValue
            case .word(let text): candidate = text
            case .symbol, .what: continue
            }
            if word.count < 40, Self.distance(word, Array(candidate.utf8)) <= (candidate.utf8.count > 4 ? 2 : 1) { return candidate }
        }
        return nil
    }

    /// Edits (insert, delete, replace, swap neighbours) that turn one word into the other.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var rows = [Array(0...b.count)]
        for i in 1...a.count {
            var row = [i]
            for j in 1...b.count {
                var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}

/// A piece of a text between two `;`.
public struct StatementText: Sendable, Hashable {
    /// From its first token on, the final `;` included if there is one.
    public var text: String
    /// In the text that was cut.
    public var span: SourceSpan
    /// Whether it ends with `;`. A shell reads on until it does.
    public var isComplete: Bool
}
