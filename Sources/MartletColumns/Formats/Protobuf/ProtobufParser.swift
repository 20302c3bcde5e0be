import MartletCore

/// Reads .proto text (proto2 and proto3) into a `ProtobufFile`.
///
/// Groups and editions are refused by name. Numbers, names and labels are checked as protoc does; what names mean is `ProtobufSchema`'s affair.
struct ProtobufParser {
    private var lexer: ProtobufLexer
    private var token: ProtobufLexer.Token = .end
    private var file = ProtobufFile(syntax: nil)

    /// - Throws: `.schemaInvalid` with the line.
    static func parse(_ text: String) throws(MartletError) -> ProtobufFile {
        var parser = ProtobufParser(lexer: ProtobufLexer(text))
        try parser.advance()
        try parser.parseFile()
        return parser.file
    }

    private init(lexer: ProtobufLexer) { self.lexer = lexer }

    // MARK: tokens

    private func fail(_ what: String) -> MartletError { lexer.fail(what) }

    private mutating func advance() throws(MartletError) { token = try lexer.next() }

    private func isAt(_ symbol: Character) -> Bool { token == .symbol(symbol.asciiValue ?? 0) }

    private func isAt(word: String) -> Bool { token == .word(word) }

    private mutating func take(_ symbol: Character) throws(MartletError) -> Bool {
        if !isAt(symbol) { return false }
        try advance()
        return true
    }

    private mutating func expect(_ symbol: Character) throws(MartletError) {
        if !(try take(symbol)) { throw fail("expected '\(symbol)', found \(found)") }
    }

    private var found: String {
        switch token {
        case .word(let text): "'\(text)'"
        case .text: "a text"
        case .symbol(let byte): "'\(Character(UnicodeScalar(byte)))'"
        case .end: "the end"
        }
    }

    private mutating func word() throws(MartletError) -> String {
        guard case .word(let text) = token else { throw fail("expected a word, found \(found)") }
        try advance()
        return text
    }

    private mutating func name() throws(MartletError) -> String {
        let text = try word()
        if let problem = ProtobufSchema.problem(inName: text) { throw fail(problem) }
        return text
    }

    /// `.a.b.c`
    private mutating func dottedName() throws(MartletError) -> String {
        var out = try take(".") ? "." : ""
        out += try name()
        while try take(".") { out += "." + (try name()) }
        return out
    }

    private mutating func text() throws(MartletError) -> String {
        guard case .text(var out) = token else { throw fail("expected a text in quotes, found \(found)") }
        try advance()
        while case .text(let more) = token {
            out += more
            try advance()
        }
        return out
    }

    private mutating func integer() throws(MartletError) -> Int {
        let isNegative = try take("-")
        let text = try word()
        let value: Int?
        if text.hasPrefix("0x") || text.hasPrefix("0X") {
            value = Int(text.dropFirst(2), radix: 16)
        } else if text.hasPrefix("0"), text.count > 1 {
            value = Int(text, radix: 8)
        } else {
            value = Int(text)
        }
        guard let value else { throw fail("expected a whole number, found '\(text)'") }
        return isNegative ? -value : value
    }

    // MARK: file

    private mutating func parseFile() throws(MartletError) {
        while token != .end {
            if try take(";") { continue }
            switch try word() {
            case "syntax":
                try expect("=")
                let text = try text()
                guard let syntax = ProtobufFile.Syntax(rawValue: text) else { throw fail("syntax is \"proto2\" or \"proto3\", not \"\(text)\"") }
                file.syntax = syntax
                try expect(";")
            case "edition": throw MartletError(.notSupported, "Protobuf editions are not supported", hint: "use syntax = \"proto3\"")
            case "package":
                file.package = try dottedName()
                try expect(";")
            case "import":
                var kind = ProtobufFile.Import.Kind.plain
                if case .word(let word) = token {
                    guard let known = ProtobufFile.Import.Kind(rawValue: word), known != .plain else { throw fail("expected a path, found '\(word)'") }
                    kind = known
                    try advance()
                }
                file.imports.append(.init(try text(), kind))
                try expect(";")
            case "option": file.options.append(try option())
            case "message": file.messages.append(try message(depth: 0))
            case "enum": file.enums.append(try enumeration())
            case "extend": file.others.append(try extend(depth: 0))
            case "service": file.others.append(try service())
            case let other: throw fail("'\(other)' is no declaration of a file")
            }
        }
        var names: Set<String> = []
        for name in file.messages.map(\.name) + file.enums.map(\.name) where !names.insert(name).inserted { throw fail("\(name) is declared twice") }
    }

    private var isProto3: Bool { file.syntax == .proto3 }

    // MARK: messages

    private mutating func message(depth: Int) throws(MartletError) -> ProtobufFile.Message {
        if depth > 60 { throw fail("messages are nested deeper than 60 levels") }
        var out = ProtobufFile.Message(try name())
        try expect("{")
        while !(try take("}")) {
            if try take(";") { continue }
            switch token {
            case .word("message"):
                try advance()
                // `message` may be a field's type as well only with a dot before it.
                out.messages.append(try message(depth: depth + 1))
            case .word("enum"):
                try advance()
                out.enums.append(try enumeration())
            case .word("option"):
                try advance()
                out.options.append(try option())
            case .word("oneof"):
                try advance()
                out.oneofs.append(try oneof())
            case .word("reserved"):
                try advance()
                out.reserved.append("reserved \(try ranges());")
            case .word("extensions"):
                try advance()
                out.extensions.append("extensions \(try ranges());")
            case .word("extend"):
                try advance()
                out.others.append(try extend(depth: depth + 1))
            case .end: throw fail("message \(out.name) is not closed")
            default: out.fields.append(try field(inOneof: false))
            }
        }
        try check(out)
        return out
    }

    private func check(_ message: ProtobufFile.Message) throws(MartletError) {
        var names: Set<String> = [], numbers: Set<Int> = []
        for field in message.fields + message.oneofs.flatMap(\.fields) {
            if !names.insert(field.name).inserted { throw fail("message \(message.name) has two fields \(field.name)") }
            if !numbers.insert(field.number).inserted { throw fail("message \(message.name) uses field number \(field.number) twice") }
            if field.number < 1 || field.number > 536_870_911 || (19_000...19_999).contains(field.number) {
                throw fail("field number \(field.number) of \(message.name).\(field.name) is not allowed")
            }
        }
        for name in message.oneofs.map(\.name) where !names.insert(name).inserted { throw fail("message \(message.name) has two members \(name)") }
        names = []
        for name in message.messages.map(\.name) + message.enums.map(\.name) where !names.insert(name).inserted {
            throw fail("\(name) is declared twice in \(message.name)")
        }
    }

    private mutating func field(inOneof: Bool) throws(MartletError) -> ProtobufFile.FieldDeclaration {
        var label = ProtobufFile.FieldDeclaration.Label.none
        if case .word(let word) = token, let known = ProtobufFile.FieldDeclaration.Label(rawValue: word), known != .none {
            if inOneof { throw fail("a field of a oneof has no label") }
            if known == .required, isProto3 { throw fail("proto3 has no required fields") }
            label = known
            try advance()
        }
        var mapKey: String?
        var type = try dottedName()
        if type == "map", isAt("<") {
            if label != .none { throw fail("a map has no label") }
            try advance()
            mapKey = try word()
            guard let key = mapKey.flatMap({ ProtobufScalar(rawValue: $0) }), key.mayBeMapKey else { throw fail("\(mapKey ?? "") may not be a map's key") }
            try expect(",")
            type = try dottedName()
            try expect(">")
        } else if label == .none, !isProto3, !inOneof {
            throw fail("expected a label: optional, required or repeated")
        }
        if type == "group" { throw MartletError(.notSupported, "Protobuf groups are not supported", hint: "use a message") }
        let name = try name()
        try expect("=")
        let number = try integer()
        let options = try bracketedOptions()
        try expect(";")
        return ProtobufFile.FieldDeclaration(label, type, mapKey: mapKey, name, number, options: options)
    }

    private mutating func oneof() throws(MartletError) -> ProtobufFile.Oneof {
        var out = ProtobufFile.Oneof(name: try name(), fields: [], options: [])
        try expect("{")
        while !(try take("}")) {
            if try take(";") { continue }
            if isAt(word: "option") {
                try advance()
                out.options.append(try option())
            } else {
                out.fields.append(try field(inOneof: true))
            }
        }
        if out.fields.isEmpty { throw fail("oneof \(out.name) has no fields") }
        return out
    }

    private mutating func enumeration() throws(MartletError) -> ProtobufFile.Enumeration {
        var out = ProtobufFile.Enumeration(name: try name(), constants: [], options: [], reserved: [])
        try expect("{")
        while !(try take("}")) {
            if try take(";") { continue }
            if isAt(word: "option") {
                try advance()
                out.options.append(try option())
            } else if isAt(word: "reserved") {
                try advance()
                out.reserved.append("reserved \(try ranges());")
            } else {
                let name = try name()
                try expect("=")
                let number = try integer()
                out.constants.append(.init(name: name, number: number, options: try bracketedOptions()))
                try expect(";")
            }
        }
        guard let first = out.constants.first else { throw fail("enum \(out.name) has no constants") }
        if isProto3, first.number != 0 { throw fail("the first constant of enum \(out.name) must be 0 in proto3") }
        return out
    }

    /// `2, 15, 9 to 11, "foo"` up to the semicolon.
    private mutating func ranges() throws(MartletError) -> String {
        var parts: [String] = []
        repeat {
            if case .text(let name) = token {
                try advance()
                parts.append(ProtobufText.quoted(name))
            } else if case .word(let word) = token, !word.utf8.allSatisfy({ $0 &- 0x30 < 10 }), !word.hasPrefix("0x") {
                try advance()
                parts.append(word)
            } else {
                let low = try integer()
                var part = "\(low)"
                if isAt(word: "to") {
                    try advance()
                    if isAt(word: "max") {
                        try advance()
                        part += " to max"
                    } else {
                        part += " to \(try integer())"
                    }
                }
                parts.append(part)
            }
        } while try take(",")
        _ = try bracketedOptions()
        try expect(";")
        return parts.joined(separator: ", ")
    }

    // MARK: options

    /// `name = value;` after the word `option`.
    private mutating func option() throws(MartletError) -> ProtobufFile.Option {
        let out = try assignment()
        try expect(";")
        return out
    }

    private mutating func bracketedOptions() throws(MartletError) -> [ProtobufFile.Option] {
        var out: [ProtobufFile.Option] = []
        guard try take("[") else { return out }
        repeat { out.append(try assignment()) } while try take(",")
        try expect("]")
        return out
    }

    private mutating func assignment() throws(MartletError) -> ProtobufFile.Option {
        var name = ""
        repeat {
            if !name.isEmpty { name += "." }
            if try take("(") {
                name += "(\(try dottedName()))"
                try expect(")")
            } else {
                name += try self.name()
            }
        } while try take(".")
        try expect("=")
        return ProtobufFile.Option(name, try value(depth: 0))
    }

    private mutating func value(depth: Int) throws(MartletError) -> ProtobufFile.Option.Value {
        if depth > 60 { throw fail("an option is nested deeper than 60 levels") }
        if case .text = token { return .text(try text()) }
        if try take("{") { return .message(try members(closing: "}", depth: depth)) }
        if try take("<") { return .message(try members(closing: ">", depth: depth)) }
        if try take("[") {
            var values: [ProtobufFile.Option.Value] = []
            while !(try take("]")) {
                values.append(try value(depth: depth + 1))
                _ = try take(",")
            }
            return .list(values)
        }
        let sign = try take("-") ? "-" : try take("+") ? "" : ""
        var out = sign + (try word())
        while try take(".") { out += "." + (try word()) }
        return .word(out)
    }

    private mutating func members(closing: Character, depth: Int) throws(MartletError) -> [ProtobufFile.Option] {
        var out: [ProtobufFile.Option] = []
        while !(try take(closing)) {
            var name: String
            if try take("[") {
                name = "[\(try dottedName())]"
                try expect("]")
            } else {
                name = try word()
            }
            _ = try take(":")
            out.append(.init(name, try value(depth: depth + 1)))
            if !(try take(",")) { _ = try take(";") }
        }
        return out
    }

    // MARK: what is kept as text

    private mutating func extend(depth: Int) throws(MartletError) -> String {
        let extended = try dottedName()
        var lines = ["extend \(extended) {"]
        try expect("{")
        while !(try take("}")) {
            if try take(";") { continue }
            lines.append(ProtobufText.indented(ProtobufText.text(of: try field(inOneof: false))))
        }
        return lines.joined(separator: "\n") + "\n}"
    }

    private mutating func service() throws(MartletError) -> String {
        var lines = ["service \(try name()) {"]
        try expect("{")
        while !(try take("}")) {
            if try take(";") { continue }
            if isAt(word: "option") {
                try advance()
                lines.append(ProtobufText.indented("option \(ProtobufText.text(of: try option()));"))
                continue
            }
            guard try word() == "rpc" else { throw fail("a service has rpcs") }
            var line = "rpc \(try name()) (\(try streamed()))"
            guard try word() == "returns" else { throw fail("an rpc returns a message") }
            line += " returns (\(try streamed()))"
            if try take("{") {
                var options: [String] = []
                while !(try take("}")) {
                    if try take(";") { continue }
                    guard try word() == "option" else { throw fail("an rpc has options only") }
                    options.append(ProtobufText.indented("option \(ProtobufText.text(of: try option()));"))
                }
                line += options.isEmpty ? ";" : " {\n\(options.joined(separator: "\n"))\n};"
            } else {
                try expect(";")
                line += ";"
            }
            lines.append(ProtobufText.indented(line))
        }
        return lines.joined(separator: "\n") + "\n}"
    }

    private mutating func streamed() throws(MartletError) -> String {
        try expect("(")
        var out = try dottedName()
        if out == "stream", !isAt(")") { out = "stream " + (try dottedName()) }
        try expect(")")
        return out
    }
}
