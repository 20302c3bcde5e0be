import MartletCore

/// Reads the notation in which the function tables write signatures:
/// `(VARCHAR str, INT... more) -> ARRAY<T>`, `(ARRAY<T> array, λ(T) => R f) -> ARRAY<R>`, `(T value, [INT k]) -> ARRAY<T>`.
///
/// Type variables are single capital letters; brackets mark literal initial arguments of an aggregate. The texts are part of the program,
/// so a mistake in one is a mistake of ours and stops it.
struct SignatureParser {
    private let tokens: [String]
    private var at = 0

    static func parse(_ text: String, function: String, description: String = "") -> FunctionSignature {
        var parser = SignatureParser(text)
        parser.expect("(")
        var parameters: [FunctionSignature.Parameter] = []
        while parser.peek != ")" {
            let initial = parser.accept("[")
            let type = parser.type()
            let variadic = parser.accept("...")
            var name = ""
            if let token = parser.peek, token != ",", token != ")", token != "]" {
                name = token
                parser.at += 1
            }
            if initial { parser.expect("]") }
            parameters.append(.init(name: name, type: type, isVariadic: variadic, isInitial: initial))
            if !parser.accept(",") { break }
        }
        parser.expect(")")
        parser.expect("->")
        let returns = parser.type()
        precondition(parser.peek == nil, "signature \(text) of \(function) ends after its result")
        return FunctionSignature(function: function, parameters: parameters, returns: returns, summary: description)
    }

    private init(_ text: String) {
        var tokens: [String] = [], word = ""
        let scalars = Array(text.unicodeScalars)
        var i = 0
        func flush(_ tokens: inout [String], _ word: inout String) {
            if !word.isEmpty { tokens.append(word) }
            word = ""
        }
        while i < scalars.count {
            let c = scalars[i]
            if c == " " {
                flush(&tokens, &word)
            } else if c == "-" || c == "=" {  // -> and =>
                flush(&tokens, &word)
                tokens.append(String(String.UnicodeScalarView(scalars[i...(i + 1)])))
                i += 1
            } else if c == "." {
                flush(&tokens, &word)
                tokens.append("...")
                i += 2
            } else if "(),<>[]".unicodeScalars.contains(c) {
                flush(&tokens, &word)
                tokens.append(String(c))
            } else {
                word.unicodeScalars.append(c)
            }
            i += 1
        }
        flush(&tokens, &word)
        self.tokens = tokens
    }

    private var peek: String? { at < tokens.count ? tokens[at] : nil }

    private mutating func accept(_ token: String) -> Bool {
        guard peek == token else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ token: String) {
        precondition(accept(token), "expected \(token) in signature \(tokens.joined(separator: " "))")
    }

    private mutating func type() -> ParameterType {
        let name = peek ?? ""
        at += 1
        switch name {
        case "BOOLEAN": return .boolean
        case "INT": return .integer
        case "BIGINT": return .bigint
        case "DOUBLE": return .double
        case "DECIMAL": return .decimal
        case "VARCHAR": return .string
        case "BYTES": return .bytes
        case "DATE": return .date
        case "TIME": return .time
        case "TIMESTAMP": return .timestamp
        case "ANY": return .any
        case "UNIT": return .unit
        case "ARRAY":
            expect("<")
            let element = type()
            expect(">")
            return .array(element)
        case "MAP":
            expect("<")
            let key = type()
            expect(",")
            let value = type()
            expect(">")
            return .map(key, value)
        case "STRUCT":
            expect("<")
            var fields: [ParameterType.StructField] = []
            repeat {
                let field = peek ?? ""
                at += 1
                fields.append(.init(field, type()))
            } while accept(",")
            expect(">")
            return .structure(fields)
        case "λ":
            expect("(")
            var parameters: [ParameterType] = []
            repeat { parameters.append(type()) } while accept(",")
            expect(")")
            expect("=>")
            return .lambda(parameters, type())
        default:
            precondition(name.unicodeScalars.count == 1, "unknown type \(name) in signature \(tokens.joined(separator: " "))")
            return .variable(name)
        }
    }
}
