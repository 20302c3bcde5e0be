import MartletColumns
import MartletCore

/// Prints statements as ksqlDB does in `EXPLAIN`, `SHOW QUERIES` and `queryString`: keywords upper case, names plain where that means the same,
/// operators in parentheses, one clause a line.
///
/// Law: parsing the text gives back an equal statement (spans and `text` apart), short of the parser's limit of nesting. With `maskingLiterals` that holds no more: every value is
/// replaced by a constant of its kind, so the text can be logged.
public enum SQLFormatter {
    /// The statement with its final `;`.
    public static func format(_ statement: Statement, maskingLiterals: Bool = false) -> String {
        var printer = SQLPrinter(isMasking: maskingLiterals)
        printer.statement(statement.node)
        return printer.out + ";"
    }

    public static func format(_ query: Query, maskingLiterals: Bool = false) -> String {
        var printer = SQLPrinter(isMasking: maskingLiterals)
        printer.query(query)
        return printer.out
    }

    public static func format(_ expression: Expression, maskingLiterals: Bool = false) -> String {
        var printer = SQLPrinter(isMasking: maskingLiterals)
        printer.expression(expression)
        return printer.out
    }

    public static func format(_ type: TypeName) -> String {
        var printer = SQLPrinter(isMasking: false)
        printer.type(type)
        return printer.out
    }

    /// The name as it can be typed: plain if unquoted it would be read as the same name, else in back quotes.
    public static func format(_ identifier: Identifier) -> String { name(identifier.name) }

    public static func name(_ name: String) -> String { isPlain(name) ? name : SQLType.quoted(name) }

    /// Whether `name` without quotes is read as itself: upper case, no odd characters, not reserved.
    public static func isPlain(_ name: String) -> Bool {
        var isFirst = true
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): break
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "@"): if isFirst { return false }
            default: return false
            }
            isFirst = false
        }
        return !isFirst && Keyword.named(name)?.isReserved != true
    }

    /// `'it''s'`
    public static func string(_ text: String) -> String {
        var out = "'"
        for scalar in text.unicodeScalars {
            if scalar == "'" { out += "''" } else { out.unicodeScalars.append(scalar) }
        }
        return out + "'"
    }
}

/// The text under construction.
struct SQLPrinter {
    let isMasking: Bool
    var out = ""
    /// Operators around the current one.
    var depth = 0

    init(isMasking: Bool) { self.isMasking = isMasking }

    mutating func name(_ identifier: Identifier) { out += SQLFormatter.name(identifier.name) }

    mutating func string(_ text: String) { out += isMasking ? "'[string]'" : SQLFormatter.string(text) }

    mutating func list<T>(_ items: [T], separator: String = ", ", _ print: (inout SQLPrinter, T) -> Void) {
        for (i, item) in items.enumerated() {
            if i > 0 { out += separator }
            print(&self, item)
        }
    }

    // MARK: types

    mutating func type(_ type: TypeName) {
        switch type.node {
        case .primitive(let primitive): out += primitive.description
        case .array(let element):
            out += "ARRAY<"
            self.type(element)
            out += ">"
        case .map(let key, let value):
            out += "MAP<"
            self.type(key)
            out += ", "
            self.type(value)
            out += ">"
        case .structure(let members):
            out += "STRUCT<"
            list(members) { printer, member in
                printer.name(member.name)
                printer.out += " "
                printer.type(member.type)
            }
            out += ">"
        case .custom(let identifier):
            // A quoted name is a custom type even where a type of the dialect has that name.
            let isTaken = Parser.primitive(identifier.name) != nil || identifier.name == "DECIMAL"
            out += isTaken ? SQLType.quoted(identifier.name) : SQLFormatter.name(identifier.name)
        }
    }

    // MARK: queries

    mutating func query(_ query: Query) {
        selection(query)
        for one in query.unions {
            out += "\nUNION ALL\n"
            selection(one)
        }
        if !query.orderBy.isEmpty {
            out += "\nORDER BY "
            list(query.orderBy, separator: ", ") { printer, item in
                printer.expression(item.expression)
                if item.isDescending { printer.out += " DESC" }
                if let first = item.nullsFirst { printer.out += " NULLS \(first ? "FIRST" : "LAST")" }
            }
        }
        if let emit = query.emit { out += "\nEMIT \(emit.rawValue)" }
        if let limit = query.limit { out += "\nLIMIT \(isMasking ? 0 : limit.count)" }
        if let offset = query.offset { out += "\nOFFSET \(isMasking ? 0 : offset.count)" }
    }

    private mutating func selection(_ query: Query) {
        out += query.isDistinct ? "SELECT DISTINCT" : "SELECT"
        if query.select.count == 1 { out += " " } else { out += "\n  " }
        list(query.select, separator: ",\n  ") { printer, item in printer.selectItem(item) }
        out += "\nFROM "
        relation(query.from)
        if let window = query.window { self.window(window) }
        if let filter = query.whereClause { clause("WHERE ", filter) }
        keys("GROUP BY ", query.groupBy)
        keys("PARTITION BY ", query.partitionBy)
        if let having = query.having { clause("HAVING ", having) }
    }

    private mutating func clause(_ word: String, _ expression: Expression) {
        out += "\n\(word)"
        self.expression(expression)
    }

    private mutating func keys(_ words: String, _ keys: [Expression]) {
        guard !keys.isEmpty else { return }
        out += "\n\(words)"
        list(keys) { printer, key in printer.expression(key) }
    }

    private mutating func selectItem(_ item: SelectItem) {
        switch item {
        case .expression(let expression, let alias):
            self.expression(expression)
            if let alias { self.alias(alias) }
        case .star(let source, _):
            if let source {
                name(source)
                out += "."
            }
            out += "*"
        case .structStar(let expression, _):
            base(expression)
            out += "->*"
        }
    }

    /// Without AS, as ksqlDB prints it; words that would be read as the start of a clause keep it.
    private mutating func alias(_ alias: Identifier) {
        out += ["EMIT", "PARTITION", "UNION", "ORDER", "OFFSET"].contains(alias.name) ? " AS " : " "
        name(alias)
    }

    private mutating func relation(_ relation: Relation) {
        switch relation {
        case .source(let name, let alias):
            self.name(name)
            if let alias { self.alias(alias) }
        case .subquery(let query, let alias):
            out += "("
            self.query(query)
            out += ")"
            if let alias { self.alias(alias) }
        case .join(let join):
            self.relation(join.left)
            out += "\n\(join.kind.rawValue) JOIN "
            self.relation(join.right)
            if let within = join.within {
                let before = TimeUnit.text(within.beforeMs)
                out += within.beforeMs == within.afterMs ? " WITHIN \(before)" : " WITHIN (\(before), \(TimeUnit.text(within.afterMs)))"
                if let grace = within.graceMs { out += " GRACE PERIOD \(TimeUnit.text(grace))" }
            }
            out += " ON "
            expression(join.on)
        }
    }

    private mutating func window(_ window: WindowClause) {
        out += "\nWINDOW "
        switch window.kind {
        case .tumbling(let size): out += "TUMBLING (SIZE \(TimeUnit.text(size))"
        case .hopping(let size, let advance): out += "HOPPING (SIZE \(TimeUnit.text(size)), ADVANCE BY \(TimeUnit.text(advance))"
        case .session(let gap): out += "SESSION (\(TimeUnit.text(gap))"
        }
        if let retention = window.retentionMs { out += ", RETENTION \(TimeUnit.text(retention))" }
        if let grace = window.graceMs { out += ", GRACE PERIOD \(TimeUnit.text(grace))" }
        out += ")"
    }
}
