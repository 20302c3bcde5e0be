import MartletCore
import Testing

@testable import MartletColumns

/// The JSON functions against `JSONValue` on documents of all kinds, right and wrong.
@Suite struct JSONSkimTests {
    /// Documents with blanks, escapes, repeated names; every fourth one has a byte changed.
    static func documents(_ random: inout SeededRandom) -> [String] {
        func blank() -> String { ["", "", "", " ", "\n", "\t"].randomElement(using: &random)! }
        func value(_ depth: Int) -> String {
            switch Int.random(in: 0..<(depth > 3 ? 6 : 8), using: &random) {
            case 0: return "null"
            case 1: return ["true", "false"].randomElement(using: &random)!
            case 2: return ["0", "-1", "12.50", "1e3", "-0.1E-2"].randomElement(using: &random)!
            case 3, 4: return "\"\(["", "a", "bé", "x y", "a\\nb", "\\u00e9", "\\/"].randomElement(using: &random)!)\""
            case 5: return "[]"
            case 6: return "[" + (0..<3).map { _ in blank() + value(depth + 1) + blank() }.joined(separator: ",") + "]"
            default:
                return "{" + (0..<3).map { _ in "\(blank())\"\(["a", "b", "a", "c\\t"].randomElement(using: &random)!)\"\(blank()):\(value(depth + 1))" }.joined(separator: ",") + "}"
            }
        }
        return (0..<400).map { i in
            var bytes = Array((blank() + value(0) + blank()).utf8)
            if i % 4 == 3, !bytes.isEmpty { bytes[Int.random(in: bytes.indices, using: &random)] = Array("{}[]\":,\\0 x".utf8).randomElement(using: &random)! }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    @Test(arguments: [92, 93, 94, 95] as [UInt64]) func answersAreThoseOfTheWholeReader(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let texts = Self.documents(&random) + ["", "01", "[1,]", "{\"a\"}", "\"\\x\"", "[\"\\ud800\"]"]
        let column = Column.string(BytesColumn(texts + [nil]))
        let parsed = texts.map { try? JSONValue(parsing: $0) }
        #expect(parsed.contains { $0 == nil })
        func content(_ value: JSONValue?) -> SQLValue { value.flatMap(FunctionTable.content).map { .string($0) } ?? .null }
        func check(_ name: String, _ type: SQLType, _ more: [BoundExpression] = [], null: SQLValue = .null, _ model: (JSONValue) -> SQLValue) throws {
            let (values, errors) = try evaluate(.call(name, [.column(0, .string)] + more, type), [column])
            for i in texts.indices { #expect(values[i] == (parsed[i].map(model) ?? null), "\(name) of \(texts[i])") }
            #expect(values.last == null)
            if null.isNull { #expect(Set(errors.map(\.row)) == Set(texts.indices.filter { parsed[$0] == nil }), "\(name)") }
        }
        try check("IS_JSON_STRING", .boolean, null: false) { _ in true }
        try check("JSON_ARRAY_LENGTH", .integer) { $0.arrayValue.map { .integer(Int32($0.count)) } ?? .null }
        try check("JSON_KEYS", .array(.string)) { $0.objectValue.map { .array($0.members.map { .string($0.name) }) } ?? .null }
        try check("JSON_ITEMS", .array(.string)) { $0.arrayValue.map { .array($0.map { .string($0.description) }) } ?? .null }
        try check("JSON_RECORDS", .map(key: .string, value: .string)) {
            $0.objectValue.map { .map($0.members.map { .init(.string($0.name), content($0.value)) }) } ?? .null
        }
        let contained = try evaluate(.call("JSON_ARRAY_CONTAINS", [.column(0, .string), .literal(.string("a"), .string)], .boolean), [column]).values
        for i in texts.indices { #expect(contained[i] == .boolean(parsed[i]?.arrayValue?.contains(.string("a")) ?? false), "\(texts[i])") }
        // Each document with the next but one.
        let shifted: [String?] = texts.dropFirst(2).map { $0 } + ["{}", "[1]", nil]
        let others = Column.string(BytesColumn(shifted))
        let joined = try evaluate(.call("JSON_CONCAT", [.column(0, .string), .column(1, .string)], .string), [column, others]).values
        for i in texts.indices.dropLast(2) {
            guard let a = parsed[i], let b = parsed[i + 2] else {
                #expect(joined[i] == .null)
                continue
            }
            if a.objectValue != nil, b.objectValue != nil {
                var merged = JSONObject()
                for member in [a, b].flatMap({ $0.objectValue?.members ?? [] }) { merged[member.name] = member.value }
                #expect(joined[i] == .string(JSONValue.object(merged).description), "\(texts[i]) and \(texts[i + 2])")
            } else {
                let elements = [a, b].flatMap { $0.arrayValue ?? [$0] }
                #expect(joined[i] == .string(JSONValue.array(elements).description), "\(texts[i]) and \(texts[i + 2])")
            }
        }
        for path in ["$", "$.a", "$.a.b", "$[0]", "$[1].a", "$.b[2]", "$['c\t']"] {
            try check("EXTRACTJSONFIELD", .string, [.literal(.string(path), .string)]) { content(try? JSONPath(path).find(in: $0)) }
        }
    }
}
