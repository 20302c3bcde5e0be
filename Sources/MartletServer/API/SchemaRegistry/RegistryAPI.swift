import Logging
import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1
import NIOPosix

/// Confluent's Schema Registry API (Confluent, "Schema Registry API Reference"): one file a group of endpoints.
///
/// Schemas are Avro, JSON Schema or Protobuf, the last also as file descriptors in base64.
struct RegistryAPI: Sendable {
    let registry: SchemaRegistry
    let info: ServerInfo
    /// Changes wait for the disk.
    let pool: NIOThreadPool
    let activity: ServerActivity
    let logger: Logger

    var router: Router {
        Router(routes: subjectRoutes + schemaRoutes + configRoutes + serverRoutes) { [activity, logger] error in
            activity.countFailure()
            let response = ErrorResponse.registry(error)
            if response.status.code >= 500 { logger.warning("registry request failed", metadata: ["error": "\(error)"]) }
            return response
        }
    }

    /// A route that answers JSON; its body runs on a thread that may block.
    func route(
        _ method: HTTPMethod, _ pattern: String, _ body: @escaping @Sendable (HTTPRequest) throws -> JSONValue
    ) -> Route {
        Route(
            method, pattern, produces: [MediaType.registry, MediaType.registryUnversioned, MediaType.json, "application/octet-stream"]
        ) { request in
            let value = try await pool.runIfActive { try body(request) }
            return .json(value, type: request.accepted == "application/octet-stream" ? MediaType.registry : request.accepted)
        }
    }

    // MARK: - What several routes need

    /// The versions of a subject.
    /// - Throws: 40401 if there are none.
    func versions(of subject: String, includingDeleted: Bool = false) throws(RegistryFailure) -> [SchemaRegistry.Version] {
        let versions = registry.versions(of: subject, includingDeleted: includingDeleted)
        if versions.isEmpty { throw Self.noSubject(subject) }
        return versions
    }

    /// The version that a path names: a number, `latest` or -1.
    /// - Throws: 40401, 40402, 42202.
    func version(_ text: String, of subject: String, includingDeleted: Bool = false) throws(RegistryFailure) -> SchemaRegistry.Version {
        let isLatest = text == "latest" || text == "-1"
        guard isLatest || Int(text).map({ $0 > 0 && $0 <= Int(Int32.max) }) == true else {
            throw RegistryFailure(42202, "The specified version '\(text)' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"")
        }
        let versions = try versions(of: subject, includingDeleted: includingDeleted)
        guard let found = isLatest ? versions.last : versions.first(where: { $0.version == Int(text) }) else {
            throw RegistryFailure(40402, "Version \(text) not found.")
        }
        return found
    }

    /// The schema in a request's body; `schemaType` defaults to AVRO.
    /// - Throws: 42201, 422 for a body without a schema.
    func schema(in request: HTTPRequest) throws -> (schema: RegisteredSchema, id: Int32?) {
        let body = try request.jsonObject()
        guard let text = body["schema"]?.stringValue else { throw RegistryFailure(42201, "Empty schema") }
        let type = body["schemaType"]?.stringValue ?? "AVRO"
        guard ["AVRO", "JSON", "PROTOBUF"].contains(type) else { throw RegistryFailure(42201, "Invalid schema type \(type); supported are AVRO, JSON, PROTOBUF") }
        var references: [RegisteredSchema.Reference] = []
        for reference in body["references"]?.arrayValue ?? [] {
            guard let name = reference["name"]?.stringValue, let subject = reference["subject"]?.stringValue,
                let version = reference["version"]?.intValue
            else { throw RegistryFailure(42201, "a reference has a name, a subject and a version") }
            guard registry.versions(of: subject).contains(where: { $0.version == version }) else {
                throw RegistryFailure(42201, "reference '\(name)' names version \(version) of subject '\(subject)', which does not exist")
            }
            references.append(.init(name: name, subject: subject, version: version))
        }
        let id = body["id"]?.intValue.flatMap { Int32(exactly: $0) }
        return (RegisteredSchema(type: type, text: text, references: references), id.map { $0 > 0 ? $0 : nil } ?? nil)
    }

    /// A schema's text as a request wants it: `format=serialized` is a Protobuf file's descriptor in base64, `format=resolved` an Avro schema
    /// with its references in it.
    func text(of schema: RegisteredSchema, _ request: HTTPRequest) throws(MartletError) -> String {
        switch (request.query["format"], schema.type) {
        case ("serialized", "PROTOBUF"):
            return try ProtobufSchema(parsing: schema.text, imports: try registry.imports(of: schema)).descriptorText(name: "default")
        case ("resolved", "AVRO"): return try AvroSchema(parsing: schema.text, imports: try registry.imports(of: schema)).canonicalForm
        default: return schema.text
        }
    }

    /// The part of a list that `offset` and `limit` ask for; a negative limit is none.
    static func page<T>(_ values: [T], _ request: HTTPRequest) -> [T] {
        let offset = max(0, request.query["offset"].flatMap { Int($0) } ?? 0), limit = request.query["limit"].flatMap { Int($0) } ?? -1
        let rest = values.dropFirst(offset)
        return Array(limit < 0 ? rest : rest.prefix(limit))
    }

    static func noSubject(_ subject: String) -> RegistryFailure { RegistryFailure(40401, "Subject '\(subject)' not found.") }

    /// `schemaType` is left out for Avro, as old clients expect.
    static func describe(_ schema: RegisteredSchema, in object: inout JSONObject) {
        if schema.type != "AVRO" { object["schemaType"] = .string(schema.type) }
        if !schema.references.isEmpty {
            object["references"] = .array(
                schema.references.map { ["name": .string($0.name), "subject": .string($0.subject), "version": .int($0.version)] })
        }
        object["schema"] = .string(schema.text)
    }

    static func describe(_ version: SchemaRegistry.Version) -> JSONValue {
        var object: JSONObject = ["subject": .string(version.subject), "version": .int(version.version), "id": .int(version.id)]
        describe(version.schema, in: &object)
        if version.isDeleted { object["deleted"] = true }
        return .object(object)
    }
}
