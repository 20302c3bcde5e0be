import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1

/// Schemas by id.
extension RegistryAPI {
    var schemaRoutes: [Route] {
        [
            route(.GET, "/schemas") { request in
                let prefix = request.query["subjectPrefix"] ?? ""
                let deleted = request.flag("deleted")
                var found: [SchemaRegistry.Version] = []
                for subject in registry.subjects(includingDeleted: deleted) where subject.hasPrefix(prefix) {
                    let versions = registry.versions(of: subject, includingDeleted: deleted)
                    found += request.flag("latestOnly") ? versions.suffix(1) : versions[...]
                }
                return .array(Self.page(found, request).map(Self.describe))
            },
            route(.GET, "/schemas/types") { _ in ["JSON", "PROTOBUF", "AVRO"] },
            route(.GET, "/schemas/ids/:id") { request in
                var object = JSONObject()
                var found = try schema(request).schema
                found.text = try text(of: found, request)
                Self.describe(found, in: &object)
                if request.flag("fetchMaxId") { object["maxId"] = .int(registry.greatestID) }
                return .object(object)
            },
            route(.GET, "/schemas/ids/:id/schema") { request in
                let schema = try schema(request).schema
                return (try? JSONValue(parsing: schema.text)) ?? .string(schema.text)
            },
            route(.GET, "/schemas/ids/:id/subjects") { request in
                .array(
                    Self.page(try uses(request).map(\.subject).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, request).map { .string($0) })
            },
            route(.GET, "/schemas/ids/:id/versions") { request in
                .array(Self.page(try uses(request), request).map { ["subject": .string($0.subject), "version": .int($0.version)] })
            },
        ]
    }

    private func schema(_ request: HTTPRequest) throws -> (schema: RegisteredSchema, id: Int32) {
        let text = request.parameters["id"] ?? ""
        guard let id = Int32(text) else { throw RegistryFailure(404, "HTTP 404 Not Found") }
        guard let schema = registry.schema(id: id) else { throw RegistryFailure(40403, "Schema \(text) not found") }
        return (schema, id)
    }

    private func uses(_ request: HTTPRequest) throws -> [SchemaRegistry.Version] {
        let id = try schema(request).id
        let wanted = request.query["subject"]
        return registry.uses(ofID: id, includingDeleted: request.flag("deleted")).filter { wanted == nil || $0.subject == wanted }
    }
}
