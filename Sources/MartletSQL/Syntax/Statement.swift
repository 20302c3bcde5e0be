import MartletCore

/// A statement as parsed, with the exact text it came from (without the final semicolon's successor).
public struct Statement: Sendable, Hashable {
    public var node: Node
    public var span: SourceSpan
    /// The statement's own text, final `;` included if there was one.
    public var text: String

    public init(_ node: Node, span: SourceSpan, text: String) {
        self.node = node
        self.span = span
        self.text = text
    }

    public enum SourceKind: String, Sendable, Hashable, Codable { case stream = "STREAM", table = "TABLE" }

    public indirect enum Node: Sendable, Hashable {
        case query(Query)
        case createSource(CreateSource)
        case createAs(CreateAs)
        case insertInto(target: Identifier, properties: [WithProperty], Query)
        case insertValues(InsertValues)
        /// `DELETE FROM name WHERE condition`
        case delete(from: Identifier, condition: Expression)
        case alterSource(SourceKind, Identifier, additions: [ColumnDefinition])
        case dropSource(SourceKind, Identifier, ifExists: Bool, deleteTopic: Bool)
        case createType(Identifier, TypeName, ifNotExists: Bool)
        case dropType(Identifier, ifExists: Bool)
        case createConnector(isSource: Bool, Identifier, ifNotExists: Bool, properties: [WithProperty])
        case dropConnector(Identifier, ifExists: Bool)
        case createModel(CreateModel)
        case dropModel(Identifier, ifExists: Bool)
        case list(Listing)
        case describeSource(Identifier, extended: Bool)
        case describeStreams(SourceKind, extended: Bool)
        case describeFunction(Identifier)
        case describeConnector(Identifier)
        case describeModel(Identifier)
        case explainQuery(id: Identifier)
        case explainStatement(Statement)
        /// nil: ALL
        case terminate(Identifier?)
        case pause(Identifier?)
        case resume(Identifier?)
        case printTopic(PrintTopic)
        case set(name: String, value: String)
        case unset(name: String)
        case alterSystem(name: String, value: String)
        case define(name: String, value: String)
        case undefine(name: String)
        case assertTopic(name: String, exists: Bool, properties: [WithProperty], timeoutMs: Int64?)
        case assertSchema(subject: String?, id: Int?, exists: Bool, timeoutMs: Int64?)
        /// Test tool only.
        case assertValues(InsertValues)
        case assertTombstone(InsertValues)
        case assertSource(SourceKind, CreateSource)
        case runScript(path: String)
    }

    /// `SHOW|LIST …`
    public enum Listing: Sendable, Hashable {
        case streams(extended: Bool), tables(extended: Bool)
        case topics(all: Bool, extended: Bool)
        case queries(extended: Bool)
        case functions, types, variables, properties, connectorPlugins, models
        /// nil: both kinds
        case connectors(isSource: Bool?)
    }
}

/// `name = value` of a WITH clause. Names are case-insensitive and kept upper-cased, single-quoted ones too.
public struct WithProperty: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
        case string(String), integer(Int64), decimal(String), boolean(Bool), null

        /// The value as text, whatever kind of literal it was.
        public var text: String {
            switch self {
            case .string(let text), .decimal(let text): text
            case .integer(let value): String(value)
            case .boolean(let value): String(value)
            case .null: "null"
            }
        }

        /// What kind of literal it is, as ksqlDB's messages call it.
        var javaClass: String {
            switch self {
            case .string: "java.lang.String"
            case .integer(let value): Int32(exactly: value) == nil ? "java.lang.Long" : "java.lang.Integer"
            case .decimal(let text): text.lowercased().contains("e") ? "java.lang.Double" : "java.math.BigDecimal"
            case .boolean: "java.lang.Boolean"
            case .null: "null"
            }
        }
    }

    public var name: String
    public var value: Value
    public var span: SourceSpan
    /// The value alone.
    public var valueSpan: SourceSpan

    public init(name: String, value: Value, span: SourceSpan, valueSpan: SourceSpan) {
        self.name = name
        self.value = value
        self.span = span
        self.valueSpan = valueSpan
    }
}

/// `name TYPE [KEY | PRIMARY KEY | HEADERS | HEADER('k')]`
public struct ColumnDefinition: Sendable, Hashable {
    public enum Constraint: Sendable, Hashable { case none, key, primaryKey, headers, header(String) }

    public var name: Identifier
    public var type: TypeName
    public var constraint: Constraint
    public var span: SourceSpan

    public init(name: Identifier, type: TypeName, constraint: Constraint, span: SourceSpan) {
        self.name = name
        self.type = type
        self.constraint = constraint
        self.span = span
    }
}

/// `CREATE [OR REPLACE] [SOURCE] STREAM|TABLE [IF NOT EXISTS] name [(columns)] [WITH (…)]`
public struct CreateSource: Sendable, Hashable {
    public var kind: Statement.SourceKind
    public var name: Identifier
    public var columns: [ColumnDefinition]
    public var properties: [WithProperty]
    public var orReplace: Bool
    public var ifNotExists: Bool
    /// `CREATE SOURCE …`: read-only.
    public var isSource: Bool

    public init(
        kind: Statement.SourceKind, name: Identifier, columns: [ColumnDefinition], properties: [WithProperty], orReplace: Bool = false,
        ifNotExists: Bool = false, isSource: Bool = false
    ) {
        self.kind = kind
        self.name = name
        self.columns = columns
        self.properties = properties
        self.orReplace = orReplace
        self.ifNotExists = ifNotExists
        self.isSource = isSource
    }
}

/// `CREATE [OR REPLACE] STREAM|TABLE [IF NOT EXISTS] name [WITH (…)] AS query`
public struct CreateAs: Sendable, Hashable {
    public var kind: Statement.SourceKind
    public var name: Identifier
    public var properties: [WithProperty]
    public var query: Query
    public var orReplace: Bool
    public var ifNotExists: Bool

    public init(
        kind: Statement.SourceKind, name: Identifier, properties: [WithProperty], query: Query, orReplace: Bool = false,
        ifNotExists: Bool = false
    ) {
        self.kind = kind
        self.name = name
        self.properties = properties
        self.query = query
        self.orReplace = orReplace
        self.ifNotExists = ifNotExists
    }
}

/// `INSERT INTO name [(columns)] VALUES (…)`
public struct InsertValues: Sendable, Hashable {
    public var target: Identifier
    public var columns: [Identifier]
    public var values: [Expression]

    public init(target: Identifier, columns: [Identifier], values: [Expression]) {
        self.target = target
        self.columns = columns
        self.values = values
    }
}

/// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [INPUT (name type, …)] [OUTPUT (name type, …)] WITH ('path'='…')`
public struct CreateModel: Sendable, Hashable {
    public var name: Identifier
    public var input: [ColumnDefinition]?
    public var output: [ColumnDefinition]?
    /// Names keep their case here: `'path'`.
    public var properties: [WithProperty]
    public var orReplace: Bool
    public var ifNotExists: Bool

    public init(
        name: Identifier, input: [ColumnDefinition]?, output: [ColumnDefinition]?, properties: [WithProperty], orReplace: Bool = false,
        ifNotExists: Bool = false
    ) {
        self.name = name
        self.input = input
        self.output = output
        self.properties = properties
        self.orReplace = orReplace
        self.ifNotExists = ifNotExists
    }
}

/// `PRINT topic [FROM BEGINNING] [INTERVAL n] [LIMIT n]`
public struct PrintTopic: Sendable, Hashable {
    public var topic: String
    public var fromBeginning: Bool
    public var interval: Int64?
    public var limit: Int64?
    public var span: SourceSpan

    public init(topic: String, fromBeginning: Bool, interval: Int64?, limit: Int64?, span: SourceSpan) {
        self.topic = topic
        self.fromBeginning = fromBeginning
        self.interval = interval
        self.limit = limit
        self.span = span
    }
}
