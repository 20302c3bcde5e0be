import MartletCore
import Testing

@testable import MartletColumns

#if canImport(Glibc)
    import Glibc
#endif

/// Schemas that ksqlDB registered while it ran its own examples, compared with ours for the same columns.
///
/// The recordings are not part of the repository: `MARTLET_SHARED` names their folder, else `../shared` beside the package.
@Suite struct RecordedSchemaTests {
    static let folder = (getenv("MARTLET_SHARED").map { String(cString: $0) } ?? root + "/../shared") + "/conformance/open/qtt"
    static let root: String = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()
    static let files: [String] = {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var out: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name.hasSuffix(".json") { out.append(name) }
        }
        return out.sorted()
    }()

    private static func read(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = [], piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    @Test(.enabled(if: !files.isEmpty, "needs the recordings in MARTLET_SHARED"))
    func sinksRegisterWhatKsqlDBRegistered() throws {
        var compared = 0, different: [String] = []
        for file in Self.files {
            let document = try JSONValue(parsing: Self.read(Self.folder + "/" + file))
            for one in document["cases"]?.arrayValue ?? [] {
                guard let recorded = one["recorded"], let topics = recorded["topics"]?.arrayValue else { continue }
                for topic in topics {
                    guard
                        let source = recorded["sources"]?.arrayValue?.first(where: { $0["name"]?.stringValue == topic["name"]?.stringValue }),
                        let columns = source["schema"]?.stringValue.flatMap({ ColumnsText.parse($0) })
                    else { continue }
                    for side in [Side.key, .value] {
                        let format = topic["\(side.rawValue)Format"]
                        guard let kind = format?["format"]?.stringValue.flatMap({ FormatKind(rawValue: $0) }), kind.usesSchemaRegistry,
                            let schema = topic["\(side.rawValue)Schema"], !schema.isNull, format?["properties"]?["schemaId"] == nil
                        else { continue }
                        var properties: [String: String] = [:]
                        for member in format?["properties"]?.objectValue?.members ?? [] { properties[member.name] = member.value.stringValue }
                        let features = format?["features"]?.arrayValue?.compactMap(\.stringValue) ?? []
                        let fields = columns.filter { $0.isKey == (side == .key) }.map(\.field)
                        let spec = FormatSpec(kind, properties: properties, unwrapSingle: features.contains("UNWRAP_SINGLES"))
                        let text = try SchemaTranslation.schemaText(for: fields, spec: spec, side: side)
                        compared += 1
                        if kind == .protobuf {
                            // What a case registered itself has enums, unsigned numbers and names of its own.
                            if let given = schema.stringValue, given.contains("message Connect"), !given.contains(" enum "), text != given {
                                different.append("\(one["name"]?.stringValue ?? "") \(side): \(text)\n   not \(given)")
                            }
                            continue
                        }
                        let ours = try JSONValue(parsing: text)
                        if Self.sorted(ours) != Self.sorted(schema) {
                            different.append("\(one["name"]?.stringValue ?? "") \(side): \(ours)\n   not \(schema)")
                        }
                    }
                }
            }
        }
        #expect(different.isEmpty, "\(different.count) of \(compared):\n\(different.prefix(5).joined(separator: "\n"))")
        #expect(compared > 250)
    }

    // Order of members says nothing in JSON.
    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let object):
            .object(JSONObject(object.members.map { .init($0.name, sorted($0.value)) }.sorted { $0.name < $1.name }))
        case .array(let values): .array(values.map(sorted))
        default: value
        }
    }
}

/// Reads a schema's text form: `` `ID` BIGINT KEY, `S` STRUCT<`A` ARRAY<STRING>> ``.
struct ColumnsText {
    var rest: Substring

    static func parse(_ text: String) -> [(field: Field, isKey: Bool)]? {
        var reader = ColumnsText(rest: text[...]), out: [(Field, Bool)] = []
        repeat {
            guard let field = reader.field() else { return nil }
            _ = reader.take(" PRIMARY")
            out.append((field, reader.take(" KEY")))
        } while reader.take(", ")
        return reader.rest.isEmpty ? out : nil
    }

    private mutating func take(_ text: String) -> Bool {
        guard rest.hasPrefix(text) else { return false }
        rest.removeFirst(text.count)
        return true
    }

    private mutating func field() -> Field? {
        guard take("`"), let end = rest.firstIndex(of: "`") else { return nil }
        let name = String(rest[..<end])
        rest = rest[rest.index(after: end)...]
        guard take(" "), let type = type() else { return nil }
        return Field(name, type)
    }

    private mutating func number() -> Int? {
        let digits = rest.prefix { $0.isNumber }
        rest.removeFirst(digits.count)
        return Int(digits)
    }

    private mutating func type() -> SQLType? {
        let plain: [(String, SQLType)] = [
            ("BOOLEAN", .boolean), ("INTEGER", .integer), ("BIGINT", .bigint), ("DOUBLE", .double), ("STRING", .string), ("BYTES", .bytes),
            ("TIMESTAMP", .timestamp), ("DATE", .date), ("TIME", .time),
        ]
        for (name, type) in plain where take(name) { return type }
        if take("DECIMAL(") {
            guard let precision = number(), take(", "), let scale = number(), take(")") else { return nil }
            return .decimal(precision: precision, scale: scale)
        }
        if take("ARRAY<") {
            guard let element = type(), take(">") else { return nil }
            return .array(element)
        }
        if take("MAP<") {
            guard let key = type(), take(", "), let value = type(), take(">") else { return nil }
            return .map(key: key, value: value)
        }
        guard take("STRUCT<") else { return nil }
        var fields: [Field] = []
        repeat {
            guard let one = field() else { return nil }
            fields.append(one)
        } while take(", ")
        return take(">") ? .structure(fields) : nil
    }
}
