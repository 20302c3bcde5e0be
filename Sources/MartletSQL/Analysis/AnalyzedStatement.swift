import MartletColumns
import MartletCore

/// What the analyzer needs to know beside the catalog.
public struct AnalysisContext: Sendable {
    /// Session properties (SET, `streamsProperties`), names as given, e.g. `auto.offset.reset`.
    public var properties: [String: String]
    /// Number the next persistent query gets in its id (`CSAS_NAME_n`).
    public var nextQueryNumber: Int
    /// Partitions of a topic; nil if it does not exist.
    public var partitions: @Sendable (String) -> Int32?
    /// Columns of a registered schema: for CREATE without (all) columns and *_SCHEMA_ID. Throws `.schemaInvalid`/`.notFound` in ksqlDB's words.
    public var registeredFields: @Sendable (_ subject: String, _ schemaID: Int?, FormatSpec, Side) throws(MartletError) -> [Field]
    /// Full name of the record that a schema id stands for; nil if it stands for none.
    public var registeredName: @Sendable (_ schemaID: Int) -> String?
    public var functions: FunctionRegistry
    /// The statement was accepted once and is executed again at start: topics that have changed since do not undo it.
    public var isReplay = false

    public init(
        properties: [String: String] = [:], nextQueryNumber: Int = 0, partitions: @escaping @Sendable (String) -> Int32?,
        registeredFields: @escaping @Sendable (_ subject: String, _ schemaID: Int?, FormatSpec, Side) throws(MartletError) -> [Field],
        registeredName: @escaping @Sendable (_ schemaID: Int) -> String? = { _ in nil }, functions: FunctionRegistry = .builtin
    ) {
        self.properties = properties
        self.nextQueryNumber = nextQueryNumber
        self.partitions = partitions
        self.registeredFields = registeredFields
        self.registeredName = registeredName
        self.functions = functions
    }
}

/// A statement that has been checked against the catalog and can be executed as it stands.
public enum AnalyzedStatement: Sendable {
    case createSource(AnalyzedSource)
    /// CREATE … AS, INSERT INTO … SELECT.
    case persistentQuery(AnalyzedQuery)
    /// SELECT: push (EMIT CHANGES) or pull.
    case transientQuery(AnalyzedTransient)
    case insertValues(AnalyzedInsert)
    case deleteRows(AnalyzedDelete)
    case alterSource(Source)
    case dropSource(name: String, deleteTopic: Bool)
    case createType(name: String, SQLType)
    case dropType(name: String)
    /// IF [NOT] EXISTS found nothing to do; the text is what the client sees.
    case nothingToDo(message: String)
    /// Statements without names to resolve, or that the engine resolves itself (SHOW, DESCRIBE, SET, CREATE MODEL …).
    case other(Statement)
}

public struct AnalyzedSource: Sendable {
    public var source: Source
    /// Partitions to create the topic with; nil: the topic must exist already.
    public var partitions: Int32?
    public var replicas: Int16?
    public var retentionMs: Int64?
    public var orReplace: Bool
    /// Things accepted that have no effect (`KEY='Id'`), for `warnings` in the response.
    public var warnings: [String]
    public init(source: Source, partitions: Int32?, replicas: Int16?, retentionMs: Int64?, orReplace: Bool, warnings: [String]) {
        self.source = source
        self.partitions = partitions
        self.replicas = replicas
        self.retentionMs = retentionMs
        self.orReplace = orReplace
        self.warnings = warnings
    }
}

public struct AnalyzedQuery: Sendable {
    public var queryID: String
    /// The sink as a source of the catalog; for INSERT INTO the existing one.
    public var sink: Source
    public var isInsert: Bool
    /// Partitions to create the sink's topic with.
    public var partitions: Int32?
    public var replicas: Int16?
    public var retentionMs: Int64?
    public var orReplace: Bool
    public var plan: PhysicalPlan
    public var warnings: [String]
    public init(
        queryID: String, sink: Source, isInsert: Bool, partitions: Int32?, replicas: Int16?, retentionMs: Int64?, orReplace: Bool,
        plan: PhysicalPlan, warnings: [String]
    ) {
        self.queryID = queryID
        self.sink = sink
        self.isInsert = isInsert
        self.partitions = partitions
        self.replicas = replicas
        self.retentionMs = retentionMs
        self.orReplace = orReplace
        self.plan = plan
        self.warnings = warnings
    }
}

public struct AnalyzedTransient: Sendable {
    public enum Kind: Sendable {
        /// EMIT CHANGES: runs until it is closed or its LIMIT is reached.
        case push
        /// On a stream: from the beginning to the present end.
        case pullStream
        /// On a table: its present rows. `lookup` says which; the plan's only input is the table, and its operators take the rows that were found
        /// as a batch with the input's columns (ROWTIME, WINDOWSTART and WINDOWEND among them), each row once.
        case pullTable
    }
    public var kind: Kind
    public var plan: PhysicalPlan
    /// Of `pullTable` queries.
    public var lookup: TableLookup?
    /// Result columns with key columns marked, in SELECT order: the `header` of the response.
    public var fields: [Field]
    public var keyFlags: [Bool]
    public init(kind: Kind, plan: PhysicalPlan, lookup: TableLookup? = nil, fields: [Field], keyFlags: [Bool]) {
        self.kind = kind
        self.plan = plan
        self.lookup = lookup
        self.fields = fields
        self.keyFlags = keyFlags
    }
}

/// DELETE FROM … WHERE: keys whose rows end, each a value of its type for every key column.
public struct AnalyzedDelete: Sendable {
    public var source: Source
    public var keys: [[SQLValue]]
    public init(source: Source, keys: [[SQLValue]]) {
        self.source = source
        self.keys = keys
    }
}

/// INSERT INTO … VALUES: one row, evaluated and coerced to the columns' types.
public struct AnalyzedInsert: Sendable {
    public var source: Source
    /// One per key column, then one per value column.
    public var key: [SQLValue]
    public var value: [SQLValue]
    /// ROWTIME, if given.
    public var timestampMs: Int64?
    public init(source: Source, key: [SQLValue], value: [SQLValue], timestampMs: Int64?) {
        self.source = source
        self.key = key
        self.value = value
        self.timestampMs = timestampMs
    }
}
