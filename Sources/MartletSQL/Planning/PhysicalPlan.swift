import MartletColumns
import MartletCore

/// What the engine executes for a query: a value, Codable, written to the command log and printed by EXPLAIN.
///
/// A plan is a chain of stages. Each stage reads the partitions of one topic, passes batches through its operators and ends in a repartition
/// topic (read by the next stage), in the sink topic, or in the results of a transient query. Between two operators a batch's columns are
/// described by the operator before: indices in expressions count its output columns.
public struct PhysicalPlan: Sendable, Hashable, Codable {
    public var stages: [Stage]
    /// Names of the sources read.
    public var sources: [String]
    /// Names of the models called.
    public var models: [String]
    /// Rows after which a query ends; nil: none.
    public var limit: Int64?

    public init(stages: [Stage], sources: [String], models: [String], limit: Int64? = nil) {
        self.stages = stages
        self.sources = sources
        self.models = models
        self.limit = limit
    }

    public struct Stage: Sendable, Hashable, Codable {
        public var input: Input
        public var operators: [PhysicalOperator]
        public var output: Output
        public init(input: Input, operators: [PhysicalOperator], output: Output) {
            self.input = input
            self.operators = operators
            self.output = output
        }
    }

    /// How a stage reads its topic. The batch it yields has one column per entry of `columns`, in order.
    public struct Input: Sendable, Hashable, Codable {
        public enum Topic: Sendable, Hashable, Codable {
            /// A source's topic.
            case source(name: String, topic: String)
            /// The repartition topic that the stage before writes; the engine names it `_confluent-ksql-<service>query_<id>-<step>-repartition`.
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
        /// Rows go to the client: all columns of the last operator, named so. `keyCount` of them, the first, are key columns.
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
        public init(
            step: String, keyFields: [Field], keyFormat: FormatSpec, valueFields: [Field], valueFormat: FormatSpec, partitionsOfTopic: String
        ) {
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
    case filter(BoundExpression, text: String)
    /// One output column per expression. Rows with a null record value keep it (a projection passes null values on).
    case project([BoundExpression], names: [String])
    /// A new key for each row: the first `keyCount` output columns. `PARTITION BY` a value column of a row with a null value gives a null key and a null value.
    case selectKey([BoundExpression], names: [String], keyCount: Int)
    /// Looks each row's key up in a table read from a topic of the same partitioning. Output: the input columns, then the table's `columns`.
    case streamTableJoin(StreamTableJoin)
    /// A table function a row: output the input columns, then one column per function; several are zipped, the shorter padded with null.
    case flatMap([TableFunctionCall])

    public struct StreamTableJoin: Sendable, Hashable, Codable {
        /// false: inner
        public var isLeft: Bool
        /// Index of the input column that holds the key.
        public var keyColumn: Int
        public var table: PhysicalPlan.Input
        public init(isLeft: Bool, keyColumn: Int, table: PhysicalPlan.Input) {
            self.isLeft = isLeft
            self.keyColumn = keyColumn
            self.table = table
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
