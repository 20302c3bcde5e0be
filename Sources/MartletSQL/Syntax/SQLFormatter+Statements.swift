import MartletCore

extension SQLPrinter {
    mutating func statement(_ node: Statement.Node) {
        switch node {
        case .query(let query): self.query(query)
        case .createSource(let create): createSource(create)
        case .createAs(let create): createAs(create)
        case .insertInto(let target, let properties, let query):
            out += "INSERT INTO "
            name(target)
            out += " "
            with(properties, trailing: " ")
            self.query(query)
        case .insertValues(let insert):
            out += "INSERT INTO "
            values(insert, introducedBy: "VALUES")
        case .delete(let target, let condition):
            out += "DELETE FROM "
            name(target)
            out += "\nWHERE "
            expression(condition)
        case .alterSource(let kind, let source, let additions):
            out += "ALTER \(kind.rawValue) "
            name(source)
            list(additions, separator: ",") { printer, column in
                printer.out += " ADD COLUMN "
                printer.column(column)
            }
        case .dropSource(let kind, let source, let ifExists, let deleteTopic):
            drop(kind.rawValue, source, ifExists)
            if deleteTopic { out += " DELETE TOPIC" }
        case .createType(let identifier, let type, let ifNotExists):
            out += "CREATE TYPE \(ifNotExists ? "IF NOT EXISTS " : "")"
            name(identifier)
            out += " AS "
            self.type(type)
        case .dropType(let identifier, let ifExists): drop("TYPE", identifier, ifExists)
        case .createConnector(let isSource, let identifier, let ifNotExists, let properties):
            out += "CREATE \(isSource ? "SOURCE" : "SINK") CONNECTOR \(ifNotExists ? "IF NOT EXISTS " : "")"
            name(identifier)
            out += " "
            with(properties, isCaseKept: true)
        case .dropConnector(let identifier, let ifExists): drop("CONNECTOR", identifier, ifExists)
        case .createModel(let create): createModel(create)
        case .dropModel(let identifier, let ifExists): drop("MODEL", identifier, ifExists)
        case .list(let listing): out += "LIST \(Self.words(listing))"
        case .describeSource(let source, let extended): describe("", source, extended)
        case .describeStreams(let kind, let extended): out += "DESCRIBE \(kind.rawValue)S\(extended ? " EXTENDED" : "")"
        case .describeFunction(let identifier): describe("FUNCTION ", identifier)
        case .describeConnector(let identifier): describe("CONNECTOR ", identifier)
        case .describeModel(let identifier): describe("MODEL ", identifier)
        case .explainQuery(let id):
            out += "EXPLAIN "
            name(id)
        case .explainStatement(let statement):
            out += "EXPLAIN "
            self.statement(statement.node)
        case .terminate(let id): control("TERMINATE", id)
        case .pause(let id): control("PAUSE", id)
        case .resume(let id): control("RESUME", id)
        case .printTopic(let print): printTopic(print)
        case .set(let property, let value): setting("SET", property, value)
        case .unset(let property): out += "UNSET \(SQLFormatter.string(property))"
        case .alterSystem(let property, let value): setting("ALTER SYSTEM", property, value)
        case .define(let variable, let value):
            out += "DEFINE \(variable)="
            string(value)
        case .undefine(let variable): out += "UNDEFINE \(variable)"
        case .assertTopic(let topic, let exists, let properties, let timeout):
            out += "ASSERT \(exists ? "" : "NOT EXISTS ")TOPIC \(SQLFormatter.string(topic))"
            with(properties, leading: " ")
            self.timeout(timeout)
        case .assertSchema(let subject, let id, let exists, let timeout):
            out += "ASSERT \(exists ? "" : "NOT EXISTS ")SCHEMA"
            if let subject { out += " SUBJECT \(SQLFormatter.string(subject))" }
            if let id { out += " ID \(id)" }
            self.timeout(timeout)
        case .assertValues(let insert):
            out += "ASSERT VALUES "
            values(insert, introducedBy: "VALUES")
        case .assertTombstone(let insert):
            out += "ASSERT NULL VALUES "
            values(insert, introducedBy: "KEY")
        case .assertSource(_, let create):
            out += "ASSERT \(create.kind.rawValue) "
            name(create.name)
            columns(create.columns, leading: " ")
            with(create.properties, leading: " ")
        case .runScript(let path): out += "RUN SCRIPT \(SQLFormatter.string(path))"
        }
    }

    private static func words(_ listing: Statement.Listing) -> String {
        switch listing {
        case .streams(let extended): "STREAMS" + (extended ? " EXTENDED" : "")
        case .tables(let extended): "TABLES" + (extended ? " EXTENDED" : "")
        case .topics(let all, let extended): (all ? "ALL " : "") + "TOPICS" + (extended ? " EXTENDED" : "")
        case .queries(let extended): "QUERIES" + (extended ? " EXTENDED" : "")
        case .functions: "FUNCTIONS"
        case .types: "TYPES"
        case .variables: "VARIABLES"
        case .properties: "PROPERTIES"
        case .connectorPlugins: "CONNECTOR PLUGINS"
        case .models: "MODELS"
        case .connectors(let isSource): (isSource.map { $0 ? "SOURCE " : "SINK " } ?? "") + "CONNECTORS"
        }
    }

    // MARK: DDL

    private mutating func createSource(_ create: CreateSource) {
        out += "CREATE \(create.orReplace ? "OR REPLACE " : "")\(create.isSource ? "SOURCE " : "")\(create.kind.rawValue) "
        if create.ifNotExists { out += "IF NOT EXISTS " }
        name(create.name)
        columns(create.columns, leading: " ")
        with(create.properties, leading: " ")
    }

    private mutating func createAs(_ create: CreateAs) {
        out += "CREATE \(create.orReplace ? "OR REPLACE " : "")\(create.kind.rawValue) "
        if create.ifNotExists { out += "IF NOT EXISTS " }
        name(create.name)
        with(create.properties, leading: " ")
        out += " AS "
        query(create.query)
    }

    private mutating func createModel(_ create: CreateModel) {
        out += "CREATE \(create.orReplace ? "OR REPLACE " : "")MODEL "
        if create.ifNotExists { out += "IF NOT EXISTS " }
        name(create.name)
        if let input = create.input { columns(input, leading: " INPUT ") }
        if let output = create.output { columns(output, leading: " OUTPUT ") }
        with(create.properties, isCaseKept: true, leading: " ")
    }

    private mutating func columns(_ columns: [ColumnDefinition], leading: String) {
        guard !columns.isEmpty else { return }
        out += "\(leading)("
        list(columns) { printer, column in printer.column(column) }
        out += ")"
    }

    private mutating func column(_ column: ColumnDefinition) {
        name(column.name)
        out += " "
        type(column.type)
        switch column.constraint {
        case .none: break
        case .key: out += " KEY"
        case .primaryKey: out += " PRIMARY KEY"
        case .headers: out += " HEADERS"
        case .header(let key): out += " HEADER(\(SQLFormatter.string(key)))"
        }
    }

    /// Names that a word can spell are printed bare, unless their case counts.
    private mutating func with(_ properties: [WithProperty], isCaseKept: Bool = false, leading: String = "", trailing: String = "") {
        guard !properties.isEmpty else { return }
        out += "\(leading)WITH ("
        list(properties) { printer, property in
            let isWord = !isCaseKept && (SQLFormatter.isPlain(property.name) || Keyword.named(property.name) != nil)
            printer.out += isWord ? property.name : SQLFormatter.string(property.name)
            printer.out += "="
            printer.value(property.value)
        }
        out += ")\(trailing)"
    }

    private mutating func value(_ value: WithProperty.Value) {
        switch value {
        case .string(let text): string(text)
        case .integer(let number): out += isMasking ? "0" : String(number)
        case .decimal(let text): out += isMasking ? "0.0" : text
        case .boolean(let value): out += value ? "true" : "false"
        case .null: out += "null"
        }
    }

    private mutating func drop(_ kind: String, _ identifier: Identifier, _ ifExists: Bool) {
        out += "DROP \(kind) \(ifExists ? "IF EXISTS " : "")"
        name(identifier)
    }

    // MARK: the rest

    private mutating func values(_ insert: InsertValues, introducedBy word: String) {
        name(insert.target)
        if !insert.columns.isEmpty {
            out += " ("
            list(insert.columns) { printer, column in printer.name(column) }
            out += ")"
        }
        out += " \(word) ("
        list(insert.values) { printer, value in
            if printer.isMasking { printer.out += "'[value]'" } else { printer.expression(value) }
        }
        out += ")"
    }

    private mutating func describe(_ kind: String, _ identifier: Identifier, _ extended: Bool = false) {
        out += "DESCRIBE \(kind)"
        // Alone, these words are listings.
        if kind.isEmpty, identifier.name == "TABLES" { out += SQLType.quoted(identifier.name) } else { name(identifier) }
        if extended { out += " EXTENDED" }
    }

    private mutating func control(_ word: String, _ id: Identifier?) {
        out += "\(word) "
        if let id { name(id) } else { out += "ALL" }
    }

    private mutating func printTopic(_ print: PrintTopic) {
        out += "PRINT \(SQLFormatter.string(print.topic))"
        if print.fromBeginning { out += " FROM BEGINNING" }
        if let interval = print.interval { out += " INTERVAL \(interval)" }
        if let limit = print.limit { out += " LIMIT \(limit)" }
    }

    private mutating func setting(_ word: String, _ property: String, _ value: String) {
        out += "\(word) \(SQLFormatter.string(property))="
        string(value)
    }

    private mutating func timeout(_ ms: Int64?) {
        if let ms { out += " TIMEOUT \(TimeUnit.text(ms))" }
    }
}
