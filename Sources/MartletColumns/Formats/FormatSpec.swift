import MartletCore

/// The serialization formats of keys and values (ksqlDB, "Serialization formats"). A closed set: the compiler lists each place a new one must go.
public enum FormatKind: String, Sendable, Hashable, Codable, CaseIterable {
    case none = "NONE", kafka = "KAFKA", delimited = "DELIMITED", json = "JSON", jsonSR = "JSON_SR", avro = "AVRO", protobuf = "PROTOBUF"
    case protobufNoSR = "PROTOBUF_NOSR"

    /// Whether records carry the id of a schema in the registry.
    public var usesSchemaRegistry: Bool { self == .avro || self == .jsonSR || self == .protobuf }
}

/// One side's format as a plan has it.
public struct FormatSpec: Sendable, Hashable, Codable {
    public var kind: FormatKind
    /// `delimiter` (one character), `fullSchemaName`, `schemaId`, `nullableRepresentation`; absent = the format's default.
    public var properties: [String: String]
    /// A single column is written bare, not as a record with one field. Always true for a single key column in JSON, JSON_SR and AVRO.
    public var unwrapSingle: Bool

    public init(_ kind: FormatKind, properties: [String: String] = [:], unwrapSingle: Bool = false) {
        self.kind = kind
        self.properties = properties
        self.unwrapSingle = unwrapSingle
    }
}

/// Which part of a record a decoder or encoder is for.
public enum Side: String, Sendable, Hashable, Codable { case key, value }
