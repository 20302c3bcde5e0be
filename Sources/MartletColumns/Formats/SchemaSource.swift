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

/// A schema that another one refers to, by the name it is called there: a path of an import, a JSON Schema `$ref`, an Avro type's name.
public struct SchemaImport: Sendable, Hashable, Codable {
    public var name: String
    public var text: String

    public init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

/// Where a decoder finds the schema that a record was written with. Asked once an id, not once a record.
public protocol SchemaSource: Sendable {
    /// - Throws: `.notFound` if no schema has this id.
    func writerSchema(id: Int32) throws(MartletError) -> RegisteredSchema
    /// What a reference names.
    /// - Throws: `.notFound`.
    func referencedSchema(_ reference: RegisteredSchema.Reference) throws(MartletError) -> RegisteredSchema
}

extension SchemaSource {
    public func referencedSchema(_ reference: RegisteredSchema.Reference) throws(MartletError) -> RegisteredSchema {
        throw MartletError(.notFound, "version \(reference.version) of subject '\(reference.subject)' is not known")
    }

    /// Everything a schema refers to, and what that refers to; what is needed first comes first.
    /// - Throws: `.notFound`; `.schemaInvalid` where references form a ring.
    public func imports(of schema: RegisteredSchema) throws(MartletError) -> [SchemaImport] {
        var out: [SchemaImport] = []
        func add(_ schema: RegisteredSchema, _ depth: Int) throws(MartletError) {
            if depth > 100 { throw MartletError(.schemaInvalid, "references of schemas form a ring") }
            for reference in schema.references where !out.contains(where: { $0.name == reference.name }) {
                let found = try referencedSchema(reference)
                try add(found, depth + 1)
                out.append(SchemaImport(name: reference.name, text: found.text))
            }
        }
        try add(schema, 0)
        return out
    }
}
