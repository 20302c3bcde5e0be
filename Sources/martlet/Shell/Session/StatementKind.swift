import MartletCore
import MartletSQL

/// What the shell has to know of a statement to send it.
enum StatementKind: Equatable {
    case query, print, insertValues
    case set(name: String, value: String)
    case unset(name: String)
    case define(name: String, value: String)
    case undefine(name: String)
    case other

    /// - `text`: one statement. What the parser here does not understand is told by its first word, and the server has the last word.
    init(_ text: String, variables: [String: String]) {
        let text = VariableSubstitution.apply(text, variables: variables)
        if let statement = try? Parser.parse(text).first {
            self =
                switch statement.node {
                case .query: .query
                case .printTopic: .print
                case .insertValues: .insertValues
                case .set(let name, let value): .set(name: name, value: value)
                case .unset(let name): .unset(name: name)
                case .define(let name, let value): .define(name: name, value: value)
                case .undefine(let name): .undefine(name: name)
                default: .other
                }
            return
        }
        switch text.drop(while: \.isWhitespace).prefix(while: \.isLetter).lowercased() {
        case "select": self = .query
        case "print": self = .print
        default: self = .other
        }
    }
}
