/// Writes a `ProtobufFile` in one fixed layout: equal declarations have equal texts, comments and blanks left out. The layout is the registry's.
enum ProtobufText {
    static func text(of file: ProtobufFile) -> String {
        var parts: [String] = []
        var head = file.syntax.map { "syntax = \"\($0.rawValue)\";\n" } ?? ""
        if !file.package.isEmpty { head += "package \(file.package);\n" }
        if !head.isEmpty { parts.append(head) }
        if !file.imports.isEmpty {
            let ordered = file.imports.filter { $0.kind != .publicly } + file.imports.filter { $0.kind == .publicly }
            parts.append(ordered.map { "import \($0.kind == .plain ? "" : $0.kind.rawValue + " ")\(quoted($0.path));\n" }.joined())
        }
        if !file.options.isEmpty { parts.append(file.options.map { "option \(text(of: $0));\n" }.joined()) }
        if !file.messages.isEmpty || !file.enums.isEmpty {
            parts.append(file.messages.map { text(of: $0) + "\n" }.joined() + file.enums.map { text(of: $0) + "\n" }.joined())
        }
        for other in file.others { parts.append(other + "\n") }
        return parts.joined(separator: "\n")
    }

    static func text(of message: ProtobufFile.Message) -> String {
        var groups: [[String]] = []
        groups.append(message.reserved)
        groups.append(message.options.map { "option \(text(of: $0));" })
        groups.append(message.fields.map { text(of: $0) })
        groups.append(message.oneofs.map { text(of: $0) })
        groups.append(message.extensions)
        groups.append(message.messages.map { text(of: $0) } + message.enums.map { text(of: $0) })
        groups.append(message.others)
        let bodies = groups.filter { !$0.isEmpty }.map { $0.map(indented).joined(separator: "\n") + "\n" }
        return "message \(message.name) {\n\(bodies.joined(separator: "\n"))}"
    }

    private static func text(of oneof: ProtobufFile.Oneof) -> String {
        let lines = oneof.options.map { "option \(text(of: $0));" } + oneof.fields.map { text(of: $0) }
        return "oneof \(oneof.name) {\n\(lines.map(indented).joined(separator: "\n"))\n}"
    }

    static func text(of enumeration: ProtobufFile.Enumeration) -> String {
        let lines =
            enumeration.reserved + enumeration.options.map { "option \(text(of: $0));" }
            + enumeration.constants.map { "\($0.name) = \($0.number)\(list($0.options));" }
        return "enum \(enumeration.name) {\n\(lines.map(indented).joined(separator: "\n"))\n}"
    }

    static func text(of field: ProtobufFile.FieldDeclaration) -> String {
        let label = field.label == .none ? "" : field.label.rawValue + " "
        let type = field.mapKey.map { "map<\($0), \(field.type)>" } ?? field.type
        return "\(label)\(type) \(field.name) = \(field.number)\(list(field.options));"
    }

    private static func list(_ options: [ProtobufFile.Option]) -> String {
        if options.isEmpty { return "" }
        if options.count == 1 { return " [\(text(of: options[0]))]" }
        return " [\n\(options.map { indented(text(of: $0)) }.joined(separator: ",\n"))\n]"
    }

    static func text(of option: ProtobufFile.Option) -> String { "\(option.name) = \(text(of: option.value))" }

    private static func text(of value: ProtobufFile.Option.Value) -> String {
        switch value {
        case .text(let text): return quoted(text)
        case .word(let word): return word
        case .message(let members):
            return "{\n\(members.map { indented("\($0.name): \(text(of: $0.value))") }.joined(separator: ",\n"))\n}"
        case .list(let values): return "[\n\(values.map { indented(text(of: $0)) }.joined(separator: ",\n"))\n]"
        }
    }

    static func quoted(_ text: String) -> String {
        var out = "\""
        for character in text.unicodeScalars {
            switch character {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default: out.unicodeScalars.append(character)
            }
        }
        return out + "\""
    }

    static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n")
    }
}
