import MartletCore

/// Cuts a text into tokens; blanks and comments go, positions stay.
///
/// Names are `[A-Za-z_][A-Za-z0-9_@]*`; numbers `1`, `1.5`, `.5`, `1e3`; `1abc` is a name with a leading digit. Comments are `-- …` to the end of
/// the line and `/* … */`. What cannot be a token becomes a `.bad` one, so that a shell can ask about half a statement. O(length).
struct Lexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    /// Byte offset where the current line begins, and the number of continuation bytes seen since: columns count Unicode scalars.
    private var lineStart = 0
    private var continuations = 0
    private var tokens: [Token] = []

    /// Tokens of `sql`, the last of kind `.end`.
    static func tokens(of sql: String) -> [Token] {
        var lexer = Lexer(sql)
        lexer.run()
        return lexer.tokens
    }

    private init(_ sql: String) {
        bytes = Array(sql.utf8)
        tokens.reserveCapacity(bytes.count / 4 + 2)
    }

    private mutating func run() {
        while true {
            skipBlanks()
            let mark = here
            guard position < bytes.count else {
                tokens.append(Token(kind: .end, keyword: nil, value: "<EOF>", span: span(from: mark)))
                return
            }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "'"): quoted(byte, .string, "string", mark)
            case UInt8(ascii: "`"), UInt8(ascii: "\""): quoted(byte, .quotedWord, "quoted name", mark)
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"): bad("comment without a closing */", isUnterminated: true, to: bytes.count, mark)
            default:
                if Self.isLetter(byte) {
                    word(mark)
                } else if Self.isDigit(byte) || (byte == UInt8(ascii: ".") && Self.isDigit(peek(1)) && !followsName) {
                    number(mark)
                } else {
                    symbol(byte, mark)
                }
            }
        }
    }

    // MARK: positions

    private struct Mark {
        var offset: Int
        var line: Int
        var column: Int
    }

    private var here: Mark { Mark(offset: position, line: line, column: position - lineStart - continuations + 1) }

    private func span(from mark: Mark) -> SourceSpan {
        SourceSpan(start: mark.offset, end: position, line: mark.line, column: mark.column)
    }

    /// 0 behind the end: no token begins with it.
    private func peek(_ ahead: Int) -> UInt8 { position + ahead < bytes.count ? bytes[position + ahead] : 0 }

    /// Steps over text that may hold line breaks or more than ASCII.
    private mutating func advance(to end: Int) {
        while position < end {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\n") {
                line += 1
                lineStart = position
                continuations = 0
            } else if byte & 0xC0 == 0x80 {
                continuations += 1
            }
        }
    }

    private mutating func skipBlanks() {
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"), 0x0B, 0x0C:
                advance(to: position + 1)
            case 0xC2 where peek(1) == 0xA0:  // A no-break space comes with text pasted from web pages.
                advance(to: position + 2)
            case 0xEF where position == 0 && peek(1) == 0xBB && peek(2) == 0xBF:  // byte order mark
                position = 3
                lineStart = 3
            case UInt8(ascii: "-") where peek(1) == UInt8(ascii: "-"):
                var end = position
                while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
                advance(to: end)
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
                var end = position + 2
                while end + 1 < bytes.count, !(bytes[end] == UInt8(ascii: "*") && bytes[end + 1] == UInt8(ascii: "/")) { end += 1 }
                if end + 1 >= bytes.count { return }
                advance(to: end + 2)
            default: return
            }
        }
    }

    // MARK: tokens

    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
    }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isWordByte(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "@") }

    /// `a.1b` is a name, a dot and a name, not `a` and `.1`.
    private var followsName: Bool {
        guard let last = tokens.last, last.span.end == position else { return false }
        return last.kind == .word || last.kind == .quotedWord || last.kind == .digitWord
    }

    private mutating func append(_ kind: Token.Kind, _ value: String, keyword: Keyword? = nil, _ mark: Mark) {
        tokens.append(Token(kind: kind, keyword: keyword, value: value, span: span(from: mark)))
    }

    private mutating func bad(_ message: String, isUnterminated: Bool, to end: Int, _ mark: Mark) {
        advance(to: end)
        append(.bad(isUnterminated: isUnterminated), message, mark)
    }

    private func upperCased(_ range: Range<Int>) -> String {
        let upper = bytes[range].lazy.map { byte in
            byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte & 0xDF : byte
        }
        return String(decoding: upper, as: UTF8.self)
    }

    private mutating func word(_ mark: Mark) {
        while position < bytes.count, Self.isWordByte(bytes[position]) { position += 1 }
        let text = upperCased(mark.offset..<position)
        append(.word, text, keyword: Keyword.named(text), mark)
    }

    private mutating func number(_ mark: Mark) {
        var end = position
        func digits() { while end < bytes.count, Self.isDigit(bytes[end]) { end += 1 } }
        digits()
        var kind = Token.Kind.integer
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") {
            kind = .decimal
            end += 1
            digits()
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            let back = end
            end += 1
            if end < bytes.count, bytes[end] == UInt8(ascii: "+") || bytes[end] == UInt8(ascii: "-") { end += 1 }
            let exponent = end
            digits()
            if end > exponent { kind = .double } else { end = back }
        }
        // The longest token wins: `1e5x` and `1abc` are names.
        var wordEnd = position
        while wordEnd < bytes.count, Self.isWordByte(bytes[wordEnd]) { wordEnd += 1 }
        if wordEnd > end {
            position = wordEnd
            append(.digitWord, upperCased(mark.offset..<position), mark)
        } else {
            position = end
            append(kind, String(decoding: bytes[mark.offset..<end], as: UTF8.self), mark)
        }
    }

    /// `'it''s'`: a doubled quote stands for one.
    private mutating func quoted(_ quote: UInt8, _ kind: Token.Kind, _ what: String, _ mark: Mark) {
        var end = position + 1
        var content: [UInt8] = []
        while end < bytes.count {
            if bytes[end] == quote {
                guard end + 1 < bytes.count, bytes[end + 1] == quote else {
                    advance(to: end + 1)
                    append(kind, String(decoding: content, as: UTF8.self), mark)
                    return
                }
                end += 1
            }
            content.append(bytes[end])
            end += 1
        }
        bad("\(what) without a closing \(Character(Unicode.Scalar(quote)))", isUnterminated: true, to: end, mark)
    }

    private mutating func symbol(_ byte: UInt8, _ mark: Mark) {
        let next = peek(1)
        let two: Token.Symbol?
        switch (byte, next) {
        case (UInt8(ascii: "<"), UInt8(ascii: ">")), (UInt8(ascii: "!"), UInt8(ascii: "=")): two = .notEqual
        case (UInt8(ascii: "<"), UInt8(ascii: "=")): two = .lessOrEqual
        case (UInt8(ascii: ">"), UInt8(ascii: "=")): two = .greaterOrEqual
        case (UInt8(ascii: "|"), UInt8(ascii: "|")): two = .concatenate
        case (UInt8(ascii: ":"), UInt8(ascii: "=")): two = .assign
        case (UInt8(ascii: "="), UInt8(ascii: ">")): two = .lambda
        case (UInt8(ascii: "-"), UInt8(ascii: ">")): two = .arrow
        default: two = nil
        }
        if let two {
            position += 2
            append(.symbol(two), two.rawValue, mark)
            return
        }
        if byte < 0x80, let one = Token.Symbol(rawValue: String(Character(Unicode.Scalar(byte)))) {
            position += 1
            append(.symbol(one), one.rawValue, mark)
            return
        }
        var end = position + 1
        if byte == UInt8(ascii: "$"), next == UInt8(ascii: "{") {
            end += 1
            while end < bytes.count, Self.isWordByte(bytes[end]) { end += 1 }
            if end > position + 2, end < bytes.count, bytes[end] == UInt8(ascii: "}") {
                let name = String(decoding: bytes[(position + 2)..<end], as: UTF8.self)
                bad("variable '\(name)' is not defined", isUnterminated: false, to: end + 1, mark)
                return
            }
            end = position + 1
        }
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        bad("token recognition error at: '\(String(decoding: bytes[position..<end], as: UTF8.self))'", isUnterminated: false, to: end, mark)
    }
}
