import MartletColumns
import MartletCore

/// Compares an answer whose rows are Protobuf messages with what a case expects: the schema's text, and rows in Protobuf's text form as a set
/// with repetitions.
enum ProtobufAnswer {
    static func differences(_ expected: [JSONValue], _ bytes: [UInt8]) -> [String] {
        do throws(MartletError) {
            guard let messages = try JSONValue(parsing: bytes).arrayValue else { return ["the answer is no array"] }
            var out: [String] = []
            let schema = messages.first?["header"]?["protoSchema"]?.stringValue ?? ""
            if let wanted = expected.first?["header"]?["protoSchema"]?.stringValue, wanted != schema { out.append("schema \(schema), expected \(wanted)") }
            if let end = expected.last?["finalMessage"], messages.last?["finalMessage"] != end { out.append("the end is \(messages.last ?? .null), expected \(end)") }
            var left = try texts(of: messages.compactMap { $0["row"]?["protobufBytes"]?.stringValue }, schema: schema).map(normalized)
            let wanted = expected.compactMap { $0["row"]?.stringValue }.map(normalized)
            if wanted.count != left.count { out.append("\(left.count) rows, expected \(wanted.count)") }
            for row in wanted {
                if let found = left.firstIndex(of: row) { left.remove(at: found) } else { out.append("no row \(row); left are \(left.prefix(3))") }
            }
            return out
        } catch {
            return ["the answer cannot be read: \(error.message)"]
        }
    }

    /// Entries of a map come in any order.
    private static func normalized(_ text: String) -> [String] {
        var blocks: [String] = [], depth = 0
        for line in text.split(separator: "\n") {
            if depth == 0 { blocks.append(String(line)) } else { blocks[blocks.count - 1] += "\n\(line)" }
            if line.hasSuffix("{") { depth += 1 } else if line.hasSuffix("}") { depth -= 1 }
        }
        return blocks.sorted()
    }

    private static func texts(of rows: [String], schema: String) throws(MartletError) -> [String] {
        if rows.isEmpty { return [] }
        let spec = FormatSpec(.protobuf)
        let fields = try SchemaTranslation.fields(fromSchemaText: schema, spec: spec, side: .value, keepsCase: true)
        var decoder = try RecordDecoder(spec: FormatSpec(.protobufNoSR), fields: fields, wanted: Array(fields.indices), notNull: [], schemas: nil)
        let records = rows.map { RecordBytes(timestamp: 0, key: nil, value: Base64.decode($0.utf8) ?? [], headers: nil) }
        var errors = RowErrors()
        let decoded = decoder.decode(RecordBlock(records, firstOffset: 0), side: .value, errors: &errors)
        if let first = errors.entries.first { throw MartletError(.badRequest, "\(first.column): \(first.reason)") }
        return rows.indices.map { row in
            zip(fields, decoded.columns).map { text(name: $0.name, $1.value(row), indent: "") }.joined()
        }
    }

    /// Protobuf's text form; a scalar's default is left out.
    private static func text(name: String, _ value: SQLValue, indent: String, isElement: Bool = false) -> String {
        func line(_ text: String, isDefault: Bool) -> String { isDefault && !isElement ? "" : "\(indent)\(name): \(text)\n" }
        func block(_ inner: String) -> String { "\(indent)\(name) {\n\(inner)\(indent)}\n" }
        switch value {
        case .null: return ""
        case .boolean(let flag): return line("\(flag)", isDefault: !flag)
        case .integer(let number), .date(let number), .time(let number): return line("\(number)", isDefault: number == 0)
        case .bigint(let number), .timestamp(let number): return line("\(number)", isDefault: number == 0)
        case .double(let number): return line(number.javaDescription, isDefault: number == 0)
        case .decimal(let number): return line("\(number)", isDefault: false)
        case .string(let text): return line("\"\(text)\"", isDefault: text.isEmpty)
        case .bytes(let bytes): return line("\"\(String(decoding: bytes, as: UTF8.self))\"", isDefault: bytes.isEmpty)
        case .array(let elements): return elements.map { text(name: name, $0, indent: indent, isElement: true) }.joined()
        case .map(let entries):
            return entries.map { entry in
                block(text(name: "key", entry.key, indent: indent + "  ") + text(name: "value", entry.value, indent: indent + "  "))
            }.joined()
        case .structure(let fields): return block(fields.map { text(name: $0.name, $0.value, indent: indent + "  ") }.joined())
        }
    }
}
