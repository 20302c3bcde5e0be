import MartletCore

extension FunctionTable {
    static func json(_ t: inout FunctionTable) {
        t.function("EXTRACTJSONFIELD", .json, "The field of a JSON document at a path such as $.name[0]; text without quotes, anything else as JSON (a null is the text null). NULL if there is none.", shown: "EXTRACTJSONFIELD")
        t.columns("(VARCHAR input, VARCHAR path) -> VARCHAR") { JSONKernels.extract(&$0) }
        t.function("IS_JSON_STRING", .json, "Whether a text is a JSON document.")
        t.columns("(VARCHAR input) -> BOOLEAN") { JSONKernels.isDocument(&$0) }
        t.function("JSON_ARRAY_LENGTH", .json, "The number of elements of a JSON array; NULL for any other document.")
        t.columns("(VARCHAR input) -> INT") { JSONKernels.arrayLength(&$0) }
        t.function("JSON_ARRAY_CONTAINS", .json, "Whether a JSON array has an element equal to a value.")
        t.columns("(VARCHAR input, T value) -> BOOLEAN") { JSONKernels.arrayContains(&$0) }
        t.function("JSON_KEYS", .json, "The names of a JSON object's members; NULL for any other document.")
        t.columns("(VARCHAR input) -> ARRAY<VARCHAR>") { JSONKernels.keys(&$0) }
        t.function("JSON_ITEMS", .json, "The elements of a JSON array, each as JSON; NULL for any other document.")
        t.columns("(VARCHAR input) -> ARRAY<VARCHAR>") { JSONKernels.items(&$0) }
        t.function("JSON_RECORDS", .json, "The members of a JSON object as a map; text without quotes, anything else as JSON. NULL for any other document.")
        t.columns("(VARCHAR input) -> MAP<VARCHAR, VARCHAR>") { JSONKernels.records(&$0) }
        t.function("JSON_CONCAT", .json, "Merges JSON objects (of equal names the later counts); joins documents of other kinds into an array.")
        t.columns("(VARCHAR... documents) -> VARCHAR") { JSONKernels.concatenate(&$0) }
        t.function("TO_JSON_STRING", .json, "Any value as JSON.")
        t.columns("(T value) -> VARCHAR") { TextWriter.json(&$0) }
    }

    static func document(_ text: String) throws(KernelFailure) -> JSONValue {
        do { return try JSONValue(parsing: text) } catch { throw KernelFailure(error.message) }
    }

    /// A text's content, any other value as JSON.
    static func content(_ value: JSONValue) -> String {
        if case .string(let text) = value { return text }
        return value.description
    }
}
