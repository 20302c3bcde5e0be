/// The words of the dialect that the grammar knows. All others are plain names.
///
/// `MODEL`, `MODELS`, `INPUT`, `OUTPUT` and the words for units are names that mean something in one place, so nobody loses a column name to them.
enum Keyword: String, CaseIterable, Sendable {
    // Reserved: as a name they need back quotes.
    case advance = "ADVANCE", all = "ALL", and = "AND", as_ = "AS", at = "AT", beginning = "BEGINNING", between = "BETWEEN", by = "BY"
    case case_ = "CASE", cast = "CAST", catalog = "CATALOG", connector = "CONNECTOR", connectors = "CONNECTORS", create = "CREATE"
    case days = "DAYS", delete = "DELETE", describe = "DESCRIBE", distinct = "DISTINCT", drop = "DROP", else_ = "ELSE", end = "END"
    case exists = "EXISTS", export = "EXPORT", extended = "EXTENDED", false_ = "FALSE", from = "FROM", full = "FULL", group = "GROUP"
    case having = "HAVING", hopping = "HOPPING", hours = "HOURS", in_ = "IN", inner = "INNER", insert = "INSERT", into = "INTO", is_ = "IS"
    case join = "JOIN", left = "LEFT", like = "LIKE", limit = "LIMIT", list = "LIST", load = "LOAD", millisecond = "MILLISECOND"
    case milliseconds = "MILLISECONDS", minutes = "MINUTES", months = "MONTHS", not = "NOT", null = "NULL", on = "ON", or = "OR"
    case outer = "OUTER", pause = "PAUSE", print = "PRINT", properties = "PROPERTIES", queries = "QUERIES", query = "QUERY"
    case rename = "RENAME", resume = "RESUME", retention = "RETENTION", right = "RIGHT", run = "RUN", sample = "SAMPLE", script = "SCRIPT"
    case seconds = "SECONDS", select = "SELECT", size = "SIZE", stream = "STREAM", streams = "STREAMS", table = "TABLE"
    case terminate = "TERMINATE", then = "THEN", to = "TO", topic = "TOPIC", topics = "TOPICS", true_ = "TRUE", tumbling = "TUMBLING"
    case unset = "UNSET", values = "VALUES", when = "WHEN", where_ = "WHERE", window = "WINDOW", with = "WITH", within = "WITHIN"
    case years = "YEARS"

    // Usable as names without quotes.
    case add = "ADD", alter = "ALTER", analyze = "ANALYZE", array = "ARRAY", assert = "ASSERT", changes = "CHANGES", column = "COLUMN"
    case columns = "COLUMNS", date = "DATE", day = "DAY", define = "DEFINE", emit = "EMIT", escape = "ESCAPE", explain = "EXPLAIN"
    case final = "FINAL", function = "FUNCTION", functions = "FUNCTIONS", grace = "GRACE", header = "HEADER", headers = "HEADERS"
    case hour = "HOUR", id = "ID", if_ = "IF", integer = "INTEGER", interval = "INTERVAL", key = "KEY", map = "MAP", minute = "MINUTE"
    case month = "MONTH", partition = "PARTITION", partitions = "PARTITIONS", period = "PERIOD", plugins = "PLUGINS", primary = "PRIMARY"
    case replace = "REPLACE", reset = "RESET", schema = "SCHEMA", second = "SECOND", session = "SESSION", set = "SET", show = "SHOW"
    case sink = "SINK", source = "SOURCE", string = "STRING", struct_ = "STRUCT", subject = "SUBJECT", system = "SYSTEM"
    case tables = "TABLES", time = "TIME", timeout = "TIMEOUT", timestamp = "TIMESTAMP", type = "TYPE", types = "TYPES"
    case undefine = "UNDEFINE", variables = "VARIABLES", year = "YEAR", zone = "ZONE"

    private static let firstFree = Keyword.add
    private static let reservedWords: Set<Keyword> = Set(allCases.prefix { $0 != firstFree })
    private static let bySpelling: [String: Keyword] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    /// The keyword that `upperCased` spells, if any.
    static func named(_ upperCased: String) -> Keyword? { bySpelling[upperCased] }

    var isReserved: Bool { Self.reservedWords.contains(self) }

    /// Words that begin a clause or join two expressions: where an expression is missing they are its end, not a name gone wrong.
    var isStructural: Bool {
        switch self {
        case .and, .as_, .between, .by, .create, .else_, .end, .from, .full, .group, .having, .in_, .inner, .insert, .into, .is_, .join,
            .left, .like, .limit, .not, .on, .or, .outer, .right, .select, .then, .values, .when, .where_, .window, .with, .within:
            true
        default: false
        }
    }
}
