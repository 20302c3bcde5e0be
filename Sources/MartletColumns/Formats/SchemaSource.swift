import MartletCore

/// A schema as the registry has it.
public struct RegisteredSchema: Sendable, Hashable, Codable {
    /// `AVRO`, `JSON` or `PROTOBUF`.
    public var type: String
    public var text: String
    public var references: [Reference]

    public struct Reference: Sendable, Hashable, Codable {
        public var name: String
        public var subject: String
        public var version: Int
        public init(name: String, subject: String, version: Int) {
            self.name = name
            self.subject = subject
            self.version = version
        }
    }

    public init(type: String, text: String, references: [Reference] = []) {
        self.type = type
        self.text = text
        self.references = references
    }
}

/// Where a decoder finds the schema that a record was written with. Asked once an id, not once a record.
public protocol SchemaSource: Sendable {
    /// - Throws: `.notFound` if no schema has this id.
    func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema
}
