import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1

/// Subjects and their versions.
extension RegistryAPI {
    var subjectRoutes: [Route] {
        [
            route(.GET, "/subjects") { request in
                let prefix = request.query["subjectPrefix"] ?? ""
                var subjects = registry.subjects(includingDeleted: request.flag("deleted") || request.flag("deletedOnly"))
                if request.flag("deletedOnly") { subjects = subjects.filter { registry.versions(of: $0).isEmpty } }
                return .array(Self.page(subjects.filter { prefix == ":*:" || $0.hasPrefix(prefix) }, request).map { .string($0) })
            },
            route(.GET, "/subjects/:subject/versions") { request in
                var found = try versions(of: subject(request), includingDeleted: request.flag("deleted") || request.flag("deletedOnly"))
                if request.flag("deletedOnly") { found = found.filter(\.isDeleted) }
                return .array(Self.page(found, request).map { .int($0.version) })
            },
            route(.GET, "/subjects/:subject/versions/:version") { request in
                var found = try version(request)
                found.schema.text = try text(of: found.schema, request)
                return Self.describe(found)
            },
            route(.GET, "/subjects/:subject/versions/:version/schema") { request in
                // The schema itself, not a text that holds it.
                let schema = try version(request).schema
                return (try? JSONValue(parsing: schema.text)) ?? .string(schema.text)
            },
            route(.GET, "/subjects/:subject/versions/:version/referencedby") { request in
                .array(Self.page(registry.users(of: try version(request)), request).map { .int($0.id) })
            },
            route(.POST, "/subjects/:subject/versions") { request in
                let (schema, id) = try schema(in: request)
                let version = try request.jsonObject()["version"]?.intValue.flatMap { $0 > 0 ? $0 : nil }
                return [
                    "id": .int(
                        try registry.register(
                            subject: subject(request), schema: schema, id: id, version: version, normalizes: request.flag("normalize")))
                ]
            },
            route(.POST, "/subjects/:subject") { request in
                let subject = subject(request)
                _ = try versions(of: subject, includingDeleted: request.flag("deleted"))
                guard
                    var found = try registry.lookup(
                        try schema(in: request).schema, subject: subject, includingDeleted: request.flag("deleted"),
                        normalizes: request.flag("normalize"))
                else { throw RegistryFailure(40403, "Schema not found") }
                found.schema.text = try text(of: found.schema, request)
                return Self.describe(found)
            },
            route(.DELETE, "/subjects/:subject") { request in try deleteSubject(request) },
            route(.DELETE, "/subjects/:subject/versions/:version") { request in try deleteVersion(request) },
        ]
    }

    private func subject(_ request: HTTPRequest) -> String { request.parameters["subject"] ?? "" }

    private func version(_ request: HTTPRequest) throws(RegistryFailure) -> SchemaRegistry.Version {
        try version(request.parameters["version"] ?? "", of: subject(request), includingDeleted: request.flag("deleted"))
    }

    /// Deletion is in two steps: first softly (ids still resolve), then for good.
    private func deleteSubject(_ request: HTTPRequest) throws -> JSONValue {
        let subject = subject(request), permanently = request.flag("permanent")
        let all = try versions(of: subject, includingDeleted: true)
        if permanently && all.contains(where: { !$0.isDeleted }) {
            throw RegistryFailure(40405, "Subject '\(subject)' was not deleted first before being permanently deleted")
        }
        if !permanently && all.allSatisfy(\.isDeleted) {
            throw RegistryFailure(40404, "Subject '\(subject)' was soft deleted.Set permanent=true to delete permanently")
        }
        try registry.checkWritable(subject)
        let wanted = all.filter { permanently || !$0.isDeleted }
        for version in wanted { try registry.checkUnreferenced(version) }
        let deleted = registry.deleteSubject(subject, permanently: permanently)
        guard deleted.count == wanted.count else { throw MartletError(.io, "the deletion of subject '\(subject)' could not be made durable") }
        return .array(deleted.map { .int($0) })
    }

    private func deleteVersion(_ request: HTTPRequest) throws -> JSONValue {
        let subject = subject(request), permanently = request.flag("permanent"), text = request.parameters["version"] ?? ""
        let found = try version(text, of: subject, includingDeleted: text != "latest" && text != "-1")
        if permanently && !found.isDeleted {
            throw RegistryFailure(40407, "Subject '\(subject)' Version \(found.version) was not deleted first before being permanently deleted")
        }
        if !permanently && found.isDeleted {
            throw RegistryFailure(40406, "Subject '\(subject)' Version \(found.version) was soft deleted.Set permanent=true to delete permanently")
        }
        try registry.checkWritable(subject)
        try registry.checkUnreferenced(found)
        guard registry.deleteVersion(found, permanently: permanently) else {
            throw MartletError(.io, "the deletion of version \(found.version) of subject '\(subject)' could not be made durable")
        }
        return .int(found.version)
    }
}
