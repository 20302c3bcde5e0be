import MartletCore

/// What Tab may complete: words of the language, and names that the server knows, asked for when they are first needed after a change.
struct NameCache {
    private var names: [String]?

    mutating func forget() { names = nil }

    /// - `before`: the text before the word. At a beginning only words that begin statements and commands make sense.
    mutating func completions(before: String, word: String, fetch: () -> [String]) -> [String] {
        guard !word.isEmpty else { return [] }
        let isAtBeginning = before.allSatisfy(\.isWhitespace)
        let isUpper = word.contains(where: \.isUppercase)
        func matches(_ candidates: [String]) -> [String] { candidates.filter { $0.lowercased().hasPrefix(word.lowercased()) } }
        if isAtBeginning {
            return matches(Self.beginnings).map { isUpper ? $0 : $0.lowercased() }
        }
        if names == nil { names = fetch() }
        let words = matches(Self.words).map { isUpper ? $0 : $0.lowercased() }
        var seen = Set<String>()
        return (matches(names ?? []) + words).filter { seen.insert($0.lowercased()).inserted }
    }

    /// Names in the entities of SHOW statements.
    static func names(_ entities: [JSONObject]) -> [String] {
        var found = Set<String>()
        for entity in entities {
            for member in ["streams", "tables", "topics", "queries", "functions", "models"] {
                for object in entity[member]?.arrayValue ?? [] {
                    if let name = (object["name"] ?? object["id"])?.stringValue, !name.contains(where: \.isWhitespace) { found.insert(name) }
                }
            }
        }
        return found.sorted()
    }

    private static let beginnings = [
        "ALTER", "ASSERT", "clear", "CREATE", "DEFINE", "DESCRIBE", "DROP", "exit", "EXPLAIN", "help", "history", "INSERT", "LIST", "output", "PAUSE",
        "PRINT", "quit", "RESUME", "run script", "SELECT", "server", "SET", "SHOW", "spool", "TERMINATE", "UNDEFINE", "UNSET", "version", "wrap",
    ]

    private static let words = [
        "AND", "ARRAY", "AS", "AVRO", "BEGINNING", "BETWEEN", "BIGINT", "BOOLEAN", "BYTES", "CASE", "CAST", "CHANGES", "COLUMN", "DATE", "DECIMAL",
        "DELETE", "DELIMITED", "DOUBLE", "ELSE", "EMIT", "END", "EXISTS", "EXTENDED", "FINAL", "FROM", "FUNCTION", "FUNCTIONS", "GRACE", "GROUP BY",
        "HAVING", "INNER", "INPUT", "INTEGER", "INTERVAL", "INTO", "JOIN", "JSON", "KAFKA_TOPIC", "KEY", "KEY_FORMAT", "LEFT", "LIKE", "LIMIT", "MAP",
        "MODEL", "MODELS", "NOT", "NULL", "OUTER", "OUTPUT", "PARTITION BY", "PARTITIONS", "PERIOD", "PRIMARY KEY", "PROPERTIES", "QUERIES", "REPLACE",
        "SELECT", "STREAM", "STREAMS", "STRING", "STRUCT", "TABLE", "TABLES", "THEN", "TIMESTAMP", "TOPIC", "TOPICS", "TUMBLING", "TYPE", "TYPES",
        "VALUE_FORMAT", "VALUES", "VARCHAR", "VARIABLES", "WHEN", "WHERE", "WINDOW", "WITH", "WITHIN",
    ]
}
