import MartletColumns
import MartletCore

/// A stream or table of the catalog, as its CREATE statement (or the query that made it) defined it.
public struct Source: Sendable, Hashable, Codable {
    public var name: String
    public var kind: Statement.SourceKind
    /// Key columns, value columns; header columns are in `headers`.
    public var schema: Schema
    public var headers: [HeaderColumn]
    public var topic: String
    public var keyFormat: FormatSpec
    public var valueFormat: FormatSpec
    public var timestamp: TimestampColumn?
    /// The key is windowed: it carries window bounds beside the key columns.
    public var window: SourceWindow?
    /// `CREATE SOURCE …`: read-only.
    public var isSource: Bool
    /// Whether WRAP_SINGLE_VALUE was asked for by statement or property, and what it said: visible as a serde feature.
    public var wrapSingleValue: Bool?
    /// The statement's text, for DESCRIBE EXTENDED and SHOW.
    public var statement: String
    /// The persistent query that fills it; nil for a declared source.
    public var createdBy: String?

    public init(
        name: String, kind: Statement.SourceKind, schema: Schema, headers: [HeaderColumn] = [], topic: String, keyFormat: FormatSpec,
        valueFormat: FormatSpec, timestamp: TimestampColumn? = nil, window: SourceWindow? = nil, isSource: Bool = false,
        wrapSingleValue: Bool? = nil, statement: String, createdBy: String? = nil
    ) {
        self.name = name
        self.kind = kind
        self.schema = schema
        self.headers = headers
        self.topic = topic
        self.keyFormat = keyFormat
        self.valueFormat = valueFormat
        self.timestamp = timestamp
        self.window = window
        self.isSource = isSource
        self.wrapSingleValue = wrapSingleValue
        self.statement = statement
        self.createdBy = createdBy
    }

    /// `name ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS` (key nil) or `name BYTES HEADER('key')`. `position` is its place among all value columns as declared.
    public struct HeaderColumn: Sendable, Hashable, Codable {
        public var name: String
        public var headerKey: String?
        public var position: Int
        public init(name: String, headerKey: String?, position: Int) {
            self.name = name
            self.headerKey = headerKey
            self.position = position
        }

        public var type: SQLType {
            headerKey == nil ? .array(.structure([Field("KEY", .string), Field("VALUE", .bytes)])) : .bytes
        }
    }

    /// TIMESTAMP and TIMESTAMP_FORMAT of the WITH clause.
    public struct TimestampColumn: Sendable, Hashable, Codable {
        public var column: String
        public var format: String?
        public init(column: String, format: String?) {
            self.column = column
            self.format = format
        }
    }

    public struct SourceWindow: Sendable, Hashable, Codable {
        public enum Kind: String, Sendable, Hashable, Codable { case tumbling = "TUMBLING", hopping = "HOPPING", session = "SESSION" }
        public var kind: Kind
        public var sizeMs: Int64?
        public init(kind: Kind, sizeMs: Int64?) {
            self.kind = kind
            self.sizeMs = sizeMs
        }
    }
}
