import MartletCore

/// A piece of a statement: what it is, what it says and where it stands.
struct Token: Sendable {
    enum Kind: Sendable, Equatable {
        /// A keyword or a plain name; `value` is upper-cased.
        case word
        /// Back-quoted or double-quoted; `value` has the quotes taken off.
        case quotedWord
        /// `1abc`: a name only because nothing else may stand there; `value` is upper-cased.
        case digitWord
        /// `'…'`; `value` has the quotes taken off.
        case string
        case integer, decimal, double
        case symbol(Symbol)
        /// What no token begins with, or a quote or comment without an end; `value` is the message.
        case bad(isUnterminated: Bool)
        case end
    }

    enum Symbol: String, Sendable {
        case leftParen = "(", rightParen = ")", leftBracket = "[", rightBracket = "]", comma = ",", dot = ".", semicolon = ";"
        case equal = "=", notEqual = "<>", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
        case plus = "+", minus = "-", star = "*", slash = "/", percent = "%", concatenate = "||"
        case assign = ":=", lambda = "=>", arrow = "->"
    }

    var kind: Kind
    var keyword: Keyword?
    var value: String
    var span: SourceSpan
}
