import MartletCore

extension FunctionTable {
    static func json(_ t: inout FunctionTable) {
        t.function("EXTRACTJSONFIELD", .json, "The field of a JSON document at a path such as $.name[0]; text without quotes, anything else as JSON. NULL if there is none.", shown: "EXTRACTJSONFIELD")
        t.columns("(VARCHAR input, VARCHAR path) -> VARCHAR") { JSONKernels.extract(&$0) }
        t.function("IS_JSON_STRING", .json, "Whether a text is a JSON document.")
        t.columns("(VARCHAR input) -> BOOLEAN") { JSONKernels.isDocument(&$0) }
        t.function("JSON_ARRAY_LENGTH", .json, "The number of elements of a JSON array; NULL for any other document.")
        t.columns("(VARCHAR input) -> INT") { JSONKernels.arrayLength(&$0) }
        t.function("JSON_ARRAY_CONTAINS", .json, "Whether a JSON array has an element equal to a value.")
        t.boxedWithNulls("(VARCHAR input, T value) -> BOOLEAN") { arguments in
            guard case .string(let input) = arguments[0], let array = try document(input).arrayValue else { return .boolean(false) }
            return .boolean(array.contains { equal($0, arguments[1]) })
        }
        t.function("JSON_KEYS", .json, "The names of a JSON object's members; NULL for any other document.")
        t.columns("(VARCHAR input) -> ARRAY<VARCHAR>") { JSONKernels.keys(&$0) }
        t.function("JSON_ITEMS", .json, "The elements of a JSON array, each as JSON; NULL for any other document.")
        t.columns("(VARCHAR input) -> ARRAY<VARCHAR>") { JSONKernels.items(&$0) }
        t.function("JSON_RECORDS", .json, "The members of a JSON object as a map; text without quotes, anything else as JSON. NULL for any other document.")
        t.columns("(VARCHAR input) -> MAP<VARCHAR, VARCHAR>") { JSONKernels.records(&$0) }
        t.function("JSON_CONCAT", .json, "Merges JSON objects (of equal names the later counts); joins documents of other kinds into an array.")
        t.boxed("(VARCHAR... documents) -> VARCHAR") { arguments in
            if arguments.isEmpty { return .null }
            var documents: [JSONValue] = []
            for case .string(let text) in arguments { documents.append(try document(text)) }
            if documents.allSatisfy({ $0.objectValue != nil }) {
                var merged = JSONObject()
                for member in documents.flatMap({ $0.objectValue?.members ?? [] }) { merged[member.name] = member.value }
                return .string(JSONValue.object(merged).description)
            }
            return .string(JSONValue.array(documents.flatMap { $0.arrayValue ?? [$0] }).description)
        }
        t.function("TO_JSON_STRING", .json, "Any value as JSON.")
        t.boxedWithNulls("(T value) -> VARCHAR") { .string(toJSON($0[0]).description) }
    }

    static func document(_ text: String) throws(KernelFailure) -> JSONValue {
        do { return try JSONValue(parsing: text) } catch { throw KernelFailure(error.message) }
    }

    /// A text's content, any other value as JSON; nil for null.
    static func content(_ value: JSONValue) -> String? {
        switch value {
        case .null: nil
        case .string(let text): text
        default: value.description
        }
    }

    private static func equal(_ json: JSONValue, _ value: SQLValue) -> Bool {
        switch (json, value) {
        case (.null, .null): return true
        case (.bool(let a), .boolean(let b)): return a == b
        case (.string(let a), .string(let b)): return a == b
        case (.number(let a), .integer(let b)): return Int32(a) == b
        case (.number(let a), .bigint(let b)): return Int64(a) == b
        case (.number(let a), .double(let b)): return Int64(a) == nil && Double(a) == b
        case (.number(let a), .decimal(let b)): return Decimal128(parsing: a).map { NestedKernels.equal(.decimal($0), .decimal(b)) } ?? false
        default: return false
        }
    }

    static func toJSON(_ value: SQLValue) -> JSONValue {
        switch value {
        case .null: .null
        case .boolean(let v): .bool(v)
        case .integer(let v): .number(String(v))
        case .bigint(let v): .number(String(v))
        case .double(let v): v.isFinite ? .number(v.javaDescription) : .string(v.javaDescription)
        case .decimal(let v): .number(v.description)
        case .string, .bytes, .date, .time, .timestamp: .string(value.castText)
        case .array(let values): .array(values.map(toJSON))
        case .map(let entries): .object(JSONObject(entries.map { .init($0.key.castText, toJSON($0.value)) }))
        case .structure(let fields): .object(JSONObject(fields.map { .init($0.name, toJSON($0.value)) }))
        }
    }
}
