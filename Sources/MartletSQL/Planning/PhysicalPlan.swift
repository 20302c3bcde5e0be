import MartletColumns
import MartletCore

/// What the engine executes for a query: a value, Codable, written to the command log and printed by EXPLAIN.
///
/// A plan is a list of stages. Each stage reads topics of equal partitioning, passes batches through a tree of operators and ends in a
/// repartition topic (read by a later stage), in the sink topic, or in the results of a transient query. Between two operators a batch's columns
/// are described by the operator before: indices in expressions count its output columns.
///
/// A node yields a stream or the changes of a table. In changes a row with a null value is a deletion, and `Batch.previous` says what each key's
/// row was before, from `materialize` on.
public struct PhysicalPlan: Sendable, Hashable, Codable {
    public var stages: [Stage]
    /// Names of the sources read.
    public var sources: [String]
    /// Names of the models called.
    public var models: [String]
    /// Rows after which a query ends; nil: none.
    public var limit: Int64?
    /// Of a query that ends: its results are held back until its input has ended; nil: they are given as they come.
    public var ending: Ending?

    /// What happens to all results of a query that ends, in this order, before `limit`.
    public struct Ending: Sendable, Hashable, Codable {
        /// Results are changes of rows that these columns and the rows' windows identify: only the newest of each is left, none that is deleted, in
        /// the order in which they first came. nil: results are rows.
        public var newest: [Int]?
        /// Of rows with equal shown columns only the first is left.
        public var isDistinct = false
        /// How many first columns make rows distinct; nil: all shown ones.
        public var distinctColumns: Int?
        /// Rows are sorted; equal ones stay in their order. Texts are compared as ksqlDB compares them.
        public var order: [Order] = []
        /// So many of the first rows are left out.
        public var offset: Int64 = 0

        public struct Order: Sendable, Hashable, Codable {
            /// Among the results' columns, hidden ones included.
            public var column: Int
            public var isDescending: Bool
            public var nullsFirst: Bool
            public init(column: Int, isDescending: Bool, nullsFirst: Bool) {
                self.column = column
                self.isDescending = isDescending
                self.nullsFirst = nullsFirst
            }
        }

        public init() {}
    }

    /// The end of the name of the internal topic of a step: `Join-left` → `Join-left-repartition`. Those of foreign-key joins end in `-topic`, as in
    /// Kafka Streams: they repartition no source.
    public static func topicSuffix(step: String) -> String { step.hasSuffix("-topic") ? step : step + "-repartition" }

    public init(stages: [Stage], sources: [String], models: [String], limit: Int64? = nil, ending: Ending? = nil) {
        self.ending = ending
        self.stages = stages
        self.sources = sources
        self.models = models
        self.limit = limit
    }

    public struct Stage: Sendable, Hashable, Codable {
        public var root: Node
        public var output: Output
        /// Of a query that ends: the next stage gets the output when all of it is there, so treated. nil: as it comes.
        public var ending: Ending?
        /// The first so many rows of what `ending` leaves go on.
        public var limit: Int64?

        public init(root: Node, output: Output, ending: Ending? = nil, limit: Int64? = nil) {
            self.root = root
            self.output = output
            self.ending = ending
            self.limit = limit
        }

        public init(input: Input, operators: [PhysicalOperator], output: Output) {
            self.init(root: operators.reduce(.input(input)) { .step($1, of: $0) }, output: output)
        }

        /// The topics read, left to right.
        public var inputs: [Input] { root.inputs }
    }

    /// The tree of a stage. One task a partition runs all of it.
    public indirect enum Node: Sendable, Hashable, Codable {
        case input(Input)
        case step(PhysicalOperator, of: Node)
        /// Output: the left columns, the right columns, then the join's key columns (the left's, or the right's where there is no left row).
        case join(Join, left: Node, right: Node)
        /// The rows of several nodes of equal columns, as they come; streams only. Only in plans of transient queries, where one task reads all
        /// partitions: in others each of the nodes has a stage of its own with the same output.
        case union([Node])

        public var inputs: [Input] {
            switch self {
            case .input(let input): [input]
            case .step(_, let node): node.inputs
            case .join(_, let left, let right): left.inputs + right.inputs
            case .union(let nodes): nodes.flatMap(\.inputs)
            }
        }

        /// Whether what the node yields are changes of a table.
        public var yieldsTable: Bool {
            switch self {
            case .input(let input): input.kind == .table
            case .join(let join, _, _): join.method == .tableTable
            case .step(.aggregate, _), .step(.suppress, _), .step(.materialize, _), .step(.resolve, _): true
            case .step(.groupChanges, _), .step(.subscribe, _): false
            case .step(_, let node): node.yieldsTable
            case .union(let nodes): nodes.allSatisfy(\.yieldsTable)
            }
        }

        /// All operators below and in this node, in the order of evaluation, left before right.
        public var operators: [PhysicalOperator] {
            switch self {
            case .input: []
            case .step(let step, let node): node.operators + [step]
            case .join(_, let left, let right): left.operators + right.operators
            case .union(let nodes): nodes.flatMap(\.operators)
            }
        }

        /// All joins below and in this node, in the order of evaluation.
        public var joins: [Join] {
            switch self {
            case .input: []
            case .step(_, let node): node.joins
            case .join(let join, let left, let right): left.joins + right.joins + [join]
            case .union(let nodes): nodes.flatMap(\.joins)
            }
        }
    }

    /// How the rows of two nodes meet. Keys are column indices of the left and of the right node, of equal number and types.
    public struct Join: Sendable, Hashable, Codable {
        public enum Kind: String, Sendable, Hashable, Codable { case inner, left, right, full }
        public enum Method: Sendable, Hashable, Codable {
            /// Rows of the stream (left) look up the table (right). Inner or left.
            case streamTable
            /// Rows whose times lie within the bounds, in milliseconds. Without a grace period late rows are joined as long as the store keeps
            /// them and outer results come at once (the syntax before GRACE PERIOD existed).
            case streamStream(beforeMs: Int64, afterMs: Int64, graceMs: Int64?)
            /// Both sides are tables with the same key.
            case tableTable
            /// Left rows are subscriptions as `PhysicalOperator.subscribe` writes them, keyed by the foreign key; the right side is the table. The result is
            /// answers for `PhysicalOperator.resolve`: the left columns with CHANGE replaced by a `SubscriptionAnswer`. Behind the
            /// foreign key stand `keyCount` columns of the left table's key.
            case foreignKey(keyCount: Int)
        }

        /// Names the join's state, unique in the query.
        public var step: String
        public var kind: Kind
        public var method: Method
        public var leftKeys: [Int]
        public var rightKeys: [Int]
        /// What else has to hold of a pair of rows for it to match, over the left and the right columns; with its SQL, for errors.
        public var condition: BoundExpression?
        public var conditionText: String

        public init(
            step: String, kind: Kind, method: Method, leftKeys: [Int], rightKeys: [Int], condition: BoundExpression? = nil,
            conditionText: String = ""
        ) {
            self.step = step
            self.kind = kind
            self.method = method
            self.leftKeys = leftKeys
            self.rightKeys = rightKeys
            self.condition = condition
            self.conditionText = conditionText
        }
    }

    /// How a stage reads its topic. The batch it yields has one column per entry of `columns`, in order.
    public struct Input: Sendable, Hashable, Codable {
        public enum Topic: Sendable, Hashable, Codable {
            /// A source's topic.
            case source(name: String, topic: String)
            /// The repartition topic that an earlier stage writes; the engine names it `_confluent-ksql-<service>query_<id>-` and `topicSuffix(step:)`.
            case repartition(step: String)
        }

        public enum ColumnSource: Sendable, Hashable, Codable {
            /// Index into `keyFields`.
            case key(Int)
            /// Index into `valueFields`.
            case value(Int)
            /// BIGINT milliseconds.
            case rowTime
            /// INTEGER
            case rowPartition
            /// BIGINT
            case rowOffset
            case windowStart, windowEnd
            /// All headers as ARRAY<STRUCT<KEY, VALUE>>.
            case headers
            /// The last header of that name, BYTES.
            case header(String)
        }

        public var topic: Topic
        public var kind: Statement.SourceKind
        /// All columns of the side, in the order of the format; decoders check rows against them all.
        public var keyFields: [Field]
        public var keyFormat: FormatSpec
        public var valueFields: [Field]
        public var valueFormat: FormatSpec
        public var columns: [ColumnSource]
        /// Indices of `valueFields` that must not be null: rows without are dropped before anything else is decoded (pushed down from a filter).
        public var notNullValues: [Int]
        /// Index into `columns` of the record's timestamp, with its pattern if it is text; nil: the record's own.
        public var timestamp: Timestamp?
        public var window: Source.SourceWindow?

        public struct Timestamp: Sendable, Hashable, Codable {
            public var column: Int
            public var format: String?
            public var throwOnInvalid: Bool
            public init(column: Int, format: String?, throwOnInvalid: Bool) {
                self.column = column
                self.format = format
                self.throwOnInvalid = throwOnInvalid
            }
        }

        public init(
            topic: Topic, kind: Statement.SourceKind, keyFields: [Field], keyFormat: FormatSpec, valueFields: [Field],
            valueFormat: FormatSpec, columns: [ColumnSource], notNullValues: [Int] = [], timestamp: Timestamp? = nil,
            window: Source.SourceWindow? = nil
        ) {
            self.topic = topic
            self.kind = kind
            self.keyFields = keyFields
            self.keyFormat = keyFormat
            self.valueFields = valueFields
            self.valueFormat = valueFormat
            self.columns = columns
            self.notNullValues = notNullValues
            self.timestamp = timestamp
            self.window = window
        }
    }

    public enum Output: Sendable, Hashable, Codable {
        case sink(Sink)
        case repartition(Repartition)
        /// Rows go to the client: the first columns of the last operator, named so; further ones are for `ending` and not shown. `keyCount` columns, the
        /// first, are key columns.
        case results(fields: [Field], keyCount: Int)
    }

    /// Columns of the last operator: first the key fields, then the value fields.
    public struct Sink: Sendable, Hashable, Codable {
        public var name: String
        public var topic: String
        public var keyFields: [Field]
        public var keyFormat: FormatSpec
        public var valueFields: [Field]
        public var valueFormat: FormatSpec
        /// Index among all columns of the one that gives the record's timestamp.
        public var timestamp: Input.Timestamp?
        /// Keys are windowed: they keep the windows of the source's keys.
        public var window: Source.SourceWindow?
        public init(
            name: String, topic: String, keyFields: [Field], keyFormat: FormatSpec, valueFields: [Field], valueFormat: FormatSpec,
            timestamp: Input.Timestamp? = nil, window: Source.SourceWindow? = nil
        ) {
            self.name = name
            self.topic = topic
            self.keyFields = keyFields
            self.keyFormat = keyFormat
            self.valueFields = valueFields
            self.valueFormat = valueFormat
            self.timestamp = timestamp
            self.window = window
        }
    }

    /// Columns of the last operator: first the key fields, then the value fields. Internal topics use the source's formats (keys fall back to JSON).
    public struct Repartition: Sendable, Hashable, Codable {
        public var step: String
        public var keyFields: [Field]
        public var keyFormat: FormatSpec
        public var valueFields: [Field]
        public var valueFormat: FormatSpec
        /// The topic whose partition count the repartition topic takes (the other side of a join).
        public var partitionsOfTopic: String
        /// Keys are windowed: they keep the windows of the rows.
        public var window: Source.SourceWindow?
        public init(
            step: String, keyFields: [Field], keyFormat: FormatSpec, valueFields: [Field], valueFormat: FormatSpec, partitionsOfTopic: String,
            window: Source.SourceWindow? = nil
        ) {
            self.window = window
            self.step = step
            self.keyFields = keyFields
            self.keyFormat = keyFormat
            self.valueFields = valueFields
            self.valueFormat = valueFormat
            self.partitionsOfTopic = partitionsOfTopic
        }
    }
}

/// A closed set: adding one makes the compiler list every place to touch.
public enum PhysicalOperator: Sendable, Hashable, Codable {
    /// Keeps rows for which the condition is true; rows with a null record value are dropped. `text` is the condition's SQL, for errors.
    /// In changes with `previous` a row that stops passing is a deletion, and one that did not pass before has no previous row; a change of a row
    /// that passes neither before nor after is dropped.
    case filter(BoundExpression, text: String)
    /// One output column per expression. Rows with a null record value keep it (a projection passes null values on).
    case project([BoundExpression], names: [String])
    /// A new key for each row: the first `keyCount` output columns. `PARTITION BY` a value column of a row with a null value gives a null key and a null value.
    case selectKey([BoundExpression], names: [String], keyCount: Int)
    /// A table function a row: output the input columns, then one column per function; several are zipped, the shorter padded with null.
    case flatMap([TableFunctionCall])

    /// Keeps the newest row of each key of a table and adds to each change what the row was before. `keyCount` columns, the first, are the key.
    ///
    /// Every persistent query whose result is a table has a `materialize`, an `aggregate` or a `resolve` in its last stage with only `filter`, `project` and
    /// `suppress` above it: from its rows and those operators lookups in the result are answered.
    case materialize(step: String, keyCount: Int)
    /// Turns changes of a table into rows for an aggregation by other keys. Output: the group keys, ADDED and REMOVED (BOOLEAN: whether the row
    /// is added to the group, removed from it, or both), the arguments of the new row, the arguments of the old row. A change that leaves the
    /// group is two rows, the removal first; a group key with a null part is none.
    case groupChanges(keys: [BoundExpression], arguments: [BoundExpression], names: [String])
    case aggregate(Aggregate)
    /// Holds back the newest result of each window until the window and its grace period are over (EMIT FINAL).
    case suppress(step: String, graceMs: Int64)
    /// The left side of a foreign-key join (docs/internals/joins.md). Input: changes of the left table with `previous`, first its `keyCount` key columns, then
    /// `foreignKeyCount` columns of the foreign key, then others. Output: a stream of subscriptions, first the foreign key, then the key, then the
    /// others, VERSION (BIGINT, rises with each change of a row) and CHANGE (INTEGER, `SubscriptionChange`).
    case subscribe(keyCount: Int, foreignKeyCount: Int, isLeft: Bool)
    /// Takes the answers of a foreign-key join and drops those that a newer change of the left row has overtaken. Input: first the `keyCount` columns
    /// of the left table's key, last VERSION and FOUND. Output: without those two, the changes of the joined table with `previous`.
    case resolve(step: String, keyCount: Int)

    /// GROUP BY: one result a group (and window).
    ///
    /// Input: the first `keyCount` columns are the group's key; a row with a null part in it is dropped. Output: the key columns, one column a call, then
    /// WINDOWSTART and WINDOWEND (BIGINT) if there is a window. The output is a table's changes with `previous`; its timestamp is the largest that went into the group.
    /// Rows with a null record value are dropped. Without key columns all rows are one group. If the input's keys are windowed and `window` is nil,
    /// each of the key's windows is a group of its own and the result's keys keep them.
    public struct Aggregate: Sendable, Hashable, Codable {
        public var step: String
        public var keyCount: Int
        public var calls: [AggregateCall]
        public var window: Window?
        /// The input is what `groupChanges` yields: column `keyCount` is ADDED, the next REMOVED; calls name the new row's arguments, the old row's
        /// are as many columns further as there are arguments in all.
        public var undoes: Bool

        public init(step: String, keyCount: Int, calls: [AggregateCall], window: Window? = nil, undoes: Bool = false) {
            self.step = step
            self.keyCount = keyCount
            self.calls = calls
            self.window = window
            self.undoes = undoes
        }
    }

    /// Bounds in milliseconds. Results of windows that ended more than `graceMs` before the newest row are not changed any more; state is kept for `retentionMs`.
    public struct Window: Sendable, Hashable, Codable {
        public enum Kind: Sendable, Hashable, Codable {
            case tumbling(sizeMs: Int64)
            case hopping(sizeMs: Int64, advanceMs: Int64)
            case session(gapMs: Int64)
        }

        public var kind: Kind
        public var graceMs: Int64
        public var retentionMs: Int64
        public init(kind: Kind, graceMs: Int64, retentionMs: Int64) {
            self.kind = kind
            self.graceMs = graceMs
            self.retentionMs = retentionMs
        }
    }

    public struct TableFunctionCall: Sendable, Hashable, Codable {
        public var name: String
        public var arguments: [BoundExpression]
        public var type: SQLType
        public init(name: String, arguments: [BoundExpression], type: SQLType) {
            self.name = name
            self.arguments = arguments
            self.type = type
        }
    }
}

/// What a change of a row means for its subscription in a foreign-key join: the CHANGE column of subscriptions.
public enum SubscriptionChange: Int32, Sendable, Hashable, Codable {
    /// The row is new: keep its foreign key, and answer if there is something to say.
    case begin = 0
    /// The row has changed: keep its foreign key, and answer in any case, as the answer takes back what was said before.
    case change = 1
    /// The row has another foreign key now, where it subscribes: forget it, the answer comes from there.
    case move = 2
    /// There is nothing to join any more: forget it and answer that there is no row.
    case end = 3
}

/// What the answer to a subscription, or to a change of the right row, says: the FOUND column of answers.
public enum SubscriptionAnswer: Int32, Sendable, Hashable, Codable {
    /// There is no row, which is worth saying only if there was one.
    case none = 0
    /// A row of the result.
    case row = 1
    /// There is no row. This is said in any case (Kafka Streams: foreign-key joins do not know what they said before).
    case deletion = 2
}
