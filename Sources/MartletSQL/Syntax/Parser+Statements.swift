import MartletCore

extension Parser {
    mutating func statements() throws(MartletError) -> [Statement] {
        var list: [Statement] = []
        while true {
            while at(.semicolon) { advance() }
            if token.kind == .end { return list }
            var statement = try self.statement()
            if token.kind != .end {
                try expect(.semicolon)
                statement.span = span(from: statement.span)
                statement.text = text(statement.span)
            }
            list.append(statement)
        }
    }

    private mutating func statement() throws(MartletError) -> Statement {
        let start = token.span
        let node = try self.node()
        let span = span(from: start)
        return Statement(node, span: span, text: text(span))
    }

    private mutating func node() throws(MartletError) -> Statement.Node {
        switch token.keyword {
        case .select, .with: return .query(try query())
        case .delete: return try delete()
        case .create: return try create()
        case .insert: return try insert()
        case .drop: return try drop()
        case .alter: return try alter()
        case .list, .show: return try list()
        case .describe: return try describe()
        case .explain: return try explain()
        case .terminate: return .terminate(try queryTarget())
        case .pause: return .pause(try queryTarget())
        case .resume: return .resume(try queryTarget())
        case .print: return .printTopic(try printTopic())
        case .set:
            advance()
            let name = try string("a property name as 'text'")
            try expect(.equal)
            return .set(name: name, value: try string("a value as 'text'"))
        case .unset:
            advance()
            return .unset(name: try string("a property name as 'text'"))
        case .define:
            advance()
            let name = try identifier("a variable name")
            try expect(.equal)
            return .define(name: text(name.span), value: try string("a value as 'text'"))
        case .undefine:
            advance()
            return .undefine(name: text(try identifier("a variable name").span))
        case .assert: return try assert()
        case .run where dialect == .testTool:
            advance()
            try expect(.script)
            return .runScript(path: try string("a path as 'text'"))
        default:
            if isBad { throw failure() }
            throw syntaxError("Unknown statement '\(text(token.span))'")
        }
    }

    // MARK: CREATE

    private mutating func create() throws(MartletError) -> Statement.Node {
        advance()
        let orReplace = accept(.or)
        if orReplace { try expect(.replace) }
        if !orReplace, accept(.type) {
            let ifNotExists = try acceptIfNotExists()
            let name = try identifier("a type name")
            try expect(.as_)
            return .createType(name, try typeName(), ifNotExists: ifNotExists)
        }
        if !orReplace, at(.source) || at(.sink), next.keyword == .connector {
            let isSource = at(.source)
            advance()
            advance()
            let ifNotExists = try acceptIfNotExists()
            let name = try connectorName()
            try expect(.with)
            return .createConnector(isSource: isSource, name, ifNotExists: ifNotExists, properties: try properties(keepingCase: true))
        }
        if accept(word: "MODEL") { return .createModel(try model(orReplace: orReplace)) }
        let isSource = accept(.source)
        let kind = try sourceKind()
        let ifNotExists = try acceptIfNotExists()
        let name = try identifier("a name for the \(kind == .stream ? "stream" : "table")")
        let hasColumns = at(.leftParen)
        let columns = hasColumns ? try columnDefinitions(of: kind) : []
        if !hasColumns { tried.append(.symbol(.leftParen)) }
        let properties = accept(.with) ? try properties() : []
        if !hasColumns, !isSource, accept(.as_) {
            let query = try self.query()
            return .createAs(
                CreateAs(kind: kind, name: name, properties: properties, query: query, orReplace: orReplace, ifNotExists: ifNotExists))
        }
        return .createSource(
            CreateSource(
                kind: kind, name: name, columns: columns, properties: properties, orReplace: orReplace, ifNotExists: ifNotExists,
                isSource: isSource))
    }

    private mutating func sourceKind() throws(MartletError) -> Statement.SourceKind {
        if accept(.stream) { return .stream }
        if accept(.table) { return .table }
        throw noViableAlternative()
    }

    private mutating func acceptIfNotExists() throws(MartletError) -> Bool {
        // IF is a name too.
        guard at(.if_), next.keyword == .not else {
            tried.append(.keyword(.if_))
            return false
        }
        advance()
        try expect(.not)
        try expect(.exists)
        return true
    }

    private mutating func acceptIfExists() throws(MartletError) -> Bool {
        guard at(.if_), next.keyword == .exists else {
            tried.append(.keyword(.if_))
            return false
        }
        advance()
        advance()
        return true
    }

    private mutating func connectorName() throws(MartletError) -> Identifier {
        let token = self.token
        if token.kind == .string {
            advance()
            return Identifier(token.value, isQuoted: true, span: token.span)
        }
        return try identifier("a connector name")
    }

    private mutating func model(orReplace: Bool) throws(MartletError) -> CreateModel {
        let ifNotExists = try acceptIfNotExists()
        let name = try identifier("a model name")
        let input = accept(word: "INPUT") ? try columnDefinitions(of: nil) : nil
        let output = accept(word: "OUTPUT") ? try columnDefinitions(of: nil) : nil
        try expect(.with)
        return CreateModel(
            name: name, input: input, output: output, properties: try properties(keepingCase: true), orReplace: orReplace,
            ifNotExists: ifNotExists)
    }

    /// `(name type [constraint], …)`; `kind` nil: no constraints.
    private mutating func columnDefinitions(of kind: Statement.SourceKind?) throws(MartletError) -> [ColumnDefinition] {
        try expect(.leftParen)
        var columns: [ColumnDefinition] = []
        repeat { columns.append(try columnDefinition(of: kind)) } while accept(.comma)
        try expect(.rightParen)
        return columns
    }

    private mutating func columnDefinition(of kind: Statement.SourceKind?) throws(MartletError) -> ColumnDefinition {
        let name = try identifier("a column name")
        let type = try typeName()
        let constraint = kind == nil ? .none : try constraint()
        // The place is worded in ksqlDB's other way here.
        let place = "Line: \(name.span.line), Col: \(name.span.column): Column \(SQLType.quoted(name.name))"
        if kind == .table, constraint == .key {
            throw prepareError("\(place) is a 'KEY' column: please use 'PRIMARY KEY' for tables.", at: span(from: name.span))
        }
        if kind == .stream, constraint == .primaryKey {
            throw prepareError("\(place) is a 'PRIMARY KEY' column: please use 'KEY' for streams.", at: span(from: name.span))
        }
        return ColumnDefinition(name: name, type: type, constraint: constraint, span: span(from: name.span))
    }

    private mutating func constraint() throws(MartletError) -> ColumnDefinition.Constraint {
        if accept(.primary) {
            try expect(.key)
            return .primaryKey
        }
        if accept(.key) { return .key }
        if accept(.headers) { return .headers }
        if accept(.header) {
            try expect(.leftParen)
            let key = try string("a header key as 'text'")
            try expect(.rightParen)
            return .header(key)
        }
        return .none
    }

    /// `(name = literal, …)`. Any word may be a name here. `keepingCase`: for settings of connectors and models, whose names have a case.
    private mutating func properties(keepingCase: Bool = false) throws(MartletError) -> [WithProperty] {
        try expect(.leftParen)
        var properties: [WithProperty] = []
        repeat {
            let start = token
            switch start.kind {
            case .word, .digitWord: break
            case .quotedWord, .string: break
            default:
                tried.append(.what("a property name"))
                throw failure()
            }
            let isPlain = start.kind == .word || start.kind == .digitWord
            advance()
            try expect(.equal)
            let valueStart = token
            let value = try propertyValue()
            let name = keepingCase ? (isPlain ? text(start.span) : start.value) : start.value.uppercased()
            properties.append(WithProperty(name: name, value: value, span: span(from: start.span), valueSpan: span(from: valueStart.span)))
        } while accept(.comma)
        try expect(.rightParen)
        return properties
    }

    private mutating func propertyValue() throws(MartletError) -> WithProperty.Value {
        switch token.kind {
        case .string: return .string(try string())
        case .integer, .decimal, .double, .symbol(.minus):
            let number = try self.number()
            if case .integer(let value) = number.node { return .integer(value) }
            return .decimal(text(number.span))
        default: break
        }
        if accept(.true_) { return .boolean(true) }
        if accept(.false_) { return .boolean(false) }
        if accept(.null) { return .null }
        tried.append(.what("a string or a number"))
        throw failure()
    }

    // MARK: INSERT, DELETE, DROP, ALTER

    private mutating func delete() throws(MartletError) -> Statement.Node {
        advance()
        try expect(.from)
        let target = try identifier("a table")
        try expect(.where_)
        return .delete(from: target, condition: try expression())
    }

    private mutating func insert() throws(MartletError) -> Statement.Node {
        advance()
        try expect(.into)
        let target = try identifier("a stream or table")
        if accept(.with) {
            let properties = try properties()
            return .insertInto(target: target, properties: properties, try query())
        }
        if atQuery { return .insertInto(target: target, properties: [], try query()) }
        tried.append(.keyword(.select))
        return .insertValues(try values(into: target, introducedBy: .values))
    }

    /// `[(columns)] VALUES (…)`, or KEY for a tombstone.
    private mutating func values(into target: Identifier, introducedBy word: Keyword) throws(MartletError) -> InsertValues {
        let columnsStart = token.span
        var columns: [Identifier] = []
        if accept(.leftParen) {
            repeat { columns.append(try identifier("a column name")) } while accept(.comma)
            try expect(.rightParen)
        }
        let hasColumns = !columns.isEmpty
        let columnsSpan = span(from: columnsStart)
        try expect(word)
        try expect(.leftParen)
        var values: [Expression] = []
        if !accept(.rightParen) {
            repeat { values.append(try valueExpression()) } while accept(.comma)
            try expect(.rightParen)
        }
        if hasColumns, columns.count != values.count {
            throw prepareError("Expected number columns and values to match: \(columns.count), \(values.count)", at: columnsSpan)
        }
        return InsertValues(target: target, columns: columns, values: values)
    }

    private mutating func drop() throws(MartletError) -> Statement.Node {
        advance()
        if at(.stream) || at(.table) {
            let kind = try sourceKind()
            let ifExists = try acceptIfExists()
            let name = try identifier("a stream or table")
            let deleteTopic = accept(.delete)
            if deleteTopic { try expect(.topic) }
            return .dropSource(kind, name, ifExists: ifExists, deleteTopic: deleteTopic)
        }
        tried += [.keyword(.stream), .keyword(.table)]
        if accept(.type) {
            let ifExists = try acceptIfExists()
            return .dropType(try identifier("a type name"), ifExists: ifExists)
        }
        if accept(.connector) {
            let ifExists = try acceptIfExists()
            return .dropConnector(try connectorName(), ifExists: ifExists)
        }
        if accept(word: "MODEL") {
            let ifExists = try acceptIfExists()
            return .dropModel(try identifier("a model name"), ifExists: ifExists)
        }
        throw noViableAlternative()
    }

    private mutating func alter() throws(MartletError) -> Statement.Node {
        advance()
        if accept(.system) {
            let name = try string("a property name as 'text'")
            try expect(.equal)
            return .alterSystem(name: name, value: try string("a value as 'text'"))
        }
        let kind = try sourceKind()
        let name = try identifier("a stream or table")
        var additions: [ColumnDefinition] = []
        repeat {
            try expect(.add)
            // COLUMN is a name too: `ADD column INT`.
            if at(.column), isNameAhead { advance() }
            additions.append(try columnDefinition(of: nil))
        } while accept(.comma) || at(.add)
        return .alterSource(kind, name, additions: additions)
    }

    /// Whether two names follow one another behind the current token, as in `COLUMN name type`.
    private var isNameAhead: Bool {
        var copy = self
        copy.advance()
        guard copy.atName else { return false }
        copy.advance()
        return copy.atName && !copy.at(.add)
    }

    // MARK: LIST, DESCRIBE, EXPLAIN

    private mutating func list() throws(MartletError) -> Statement.Node {
        advance()
        if accept(.streams) { return .list(.streams(extended: accept(.extended))) }
        if accept(.tables) { return .list(.tables(extended: accept(.extended))) }
        if accept(.topics) { return .list(.topics(all: false, extended: accept(.extended))) }
        if accept(.all) {
            try expect(.topics)
            return .list(.topics(all: true, extended: accept(.extended)))
        }
        if accept(.queries) { return .list(.queries(extended: accept(.extended))) }
        if accept(.functions) { return .list(.functions) }
        if accept(.types) { return .list(.types) }
        if accept(.variables) { return .list(.variables) }
        if accept(.properties) { return .list(.properties) }
        if accept(.connectors) { return .list(.connectors(isSource: nil)) }
        if accept(.source) {
            try expect(.connectors)
            return .list(.connectors(isSource: true))
        }
        if accept(.sink) {
            try expect(.connectors)
            return .list(.connectors(isSource: false))
        }
        if accept(.connector) {
            try expect(.plugins)
            return .list(.connectorPlugins)
        }
        if accept(word: "MODELS") { return .list(.models) }
        throw noViableAlternative()
    }

    private mutating func describe() throws(MartletError) -> Statement.Node {
        advance()
        if accept(.streams) { return .describeStreams(.stream, extended: accept(.extended)) }
        // TABLES and FUNCTION are names too; alone they are the listing, as in ksqlDB.
        if at(.tables), next.kind != .symbol(.dot) {
            advance()
            return .describeStreams(.table, extended: accept(.extended))
        }
        if at(.function), isNameNext {
            advance()
            return .describeFunction(try identifier("a function name"))
        }
        if accept(.connector) { return .describeConnector(try connectorName()) }
        if atWord("MODEL"), isNameNext {
            advance()
            return .describeModel(try identifier("a model name"))
        }
        // Older ksqlDB had EXTENDED in front.
        let extendedFirst = accept(.extended)
        let name = try identifier("a stream or table")
        return .describeSource(name, extended: accept(.extended) || extendedFirst)
    }

    private var isNameNext: Bool {
        var copy = self
        copy.advance()
        return copy.atName
    }

    private mutating func explain() throws(MartletError) -> Statement.Node {
        advance()
        if atName, next.kind == .end || next.kind == .symbol(.semicolon) { return .explainQuery(id: try identifier()) }
        return .explainStatement(try nested { parser throws(MartletError) in try parser.statement() })
    }

    private mutating func queryTarget() throws(MartletError) -> Identifier? {
        advance()
        if accept(.all) { return nil }
        return try identifier("a query id")
    }

    private mutating func printTopic() throws(MartletError) -> PrintTopic {
        let start = token.span
        advance()
        var print = PrintTopic(topic: try stringOrName("a topic"), fromBeginning: false, interval: nil, limit: nil, span: start)
        if accept(.from) {
            try expect(.beginning)
            print.fromBeginning = true
        }
        if at(.interval) || at(.sample) {
            advance()
            print.interval = try wholeNumber(for: "INTERVAL")
        } else {
            tried += [.keyword(.interval), .keyword(.sample)]
        }
        if accept(.limit) { print.limit = try wholeNumber(for: "LIMIT") }
        print.span = span(from: start)
        return print
    }

    // MARK: ASSERT

    private mutating func assert() throws(MartletError) -> Statement.Node {
        advance()
        let exists = !accept(.not)
        if !exists { try expect(.exists) }
        if accept(.topic) {
            let name = try stringOrName("a topic")
            let properties = accept(.with) ? try properties() : []
            return .assertTopic(name: name, exists: exists, properties: properties, timeoutMs: accept(.timeout) ? try duration() : nil)
        }
        if accept(.schema) {
            let start = token.span
            let subject = accept(.subject) ? try stringOrName("a subject") : nil
            var id: Int?
            if accept(.id) { id = Int(try wholeNumber(for: "ID")) }
            if subject == nil, id == nil { throw failure() }
            guard id.map({ $0 <= Int(Int32.max) }) ?? true else { throw prepareError("schema id of more than 32 bits", at: span(from: start)) }
            return .assertSchema(subject: subject, id: id, exists: exists, timeoutMs: accept(.timeout) ? try duration() : nil)
        }
        guard dialect == .testTool, exists else { throw noViableAlternative() }
        if accept(.null) {
            try expect(.values)
            return .assertTombstone(try values(into: try identifier("a stream or table"), introducedBy: .key))
        }
        if accept(.values) { return .assertValues(try values(into: try identifier("a stream or table"), introducedBy: .values)) }
        let kind = try sourceKind()
        let name = try identifier("a name")
        let columns = at(.leftParen) ? try columnDefinitions(of: kind) : []
        let properties = accept(.with) ? try properties() : []
        return .assertSource(kind, CreateSource(kind: kind, name: name, columns: columns, properties: properties))
    }
}
