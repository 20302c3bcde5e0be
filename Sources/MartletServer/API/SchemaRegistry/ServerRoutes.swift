import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1

/// What the registry says of itself.
extension RegistryAPI {
    var serverRoutes: [Route] {
        [
            route(.GET, "/") { _ in [:] },
            route(.GET, "/contexts") { _ in ["."] },
            route(.GET, "/v1/metadata/id") { _ in
                ["id": "", "scope": ["path": [], "clusters": ["kafka-cluster": .string(info.kafkaClusterID), "schema-registry-cluster": "schema-registry"]]]
            },
            route(.GET, "/v1/metadata/version") { _ in ["version": .string(info.version), "commitId": ""] },
            route(.GET, "/mode") { _ in ["mode": .string((registry.mode(of: nil) ?? .readWrite).rawValue)] },
            route(.PUT, "/mode") { request in try setMode(of: nil, request) },
            route(.DELETE, "/mode") { _ in
                let before = registry.mode(of: nil) ?? .readWrite
                try registry.setMode(nil, of: nil)
                return ["mode": .string(before.rawValue)]
            },
            route(.GET, "/mode/:subject") { request in
                let subject = request.parameters["subject"] ?? ""
                if let mode = registry.mode(of: subject) { return ["mode": .string(mode.rawValue)] }
                guard request.flag("defaultToGlobal") else { throw Self.noMode(subject) }
                return ["mode": .string((registry.mode(of: nil) ?? .readWrite).rawValue)]
            },
            route(.PUT, "/mode/:subject") { request in try setMode(of: request.parameters["subject"], request) },
            route(.DELETE, "/mode/:subject") { request in
                let subject = request.parameters["subject"] ?? ""
                guard let before = registry.mode(of: subject) else { throw Self.noMode(subject) }
                try registry.setMode(nil, of: subject)
                return ["mode": .string(before.rawValue)]
            },
        ]
    }

    private static func noMode(_ subject: String) -> RegistryFailure {
        RegistryFailure(40409, "Subject '\(subject)' does not have subject-level mode configured")
    }

    private func setMode(of subject: String?, _ request: HTTPRequest) throws -> JSONValue {
        guard let text = try request.jsonObject()["mode"]?.stringValue, let mode = SchemaRegistry.Mode(rawValue: text.uppercased()) else {
            throw RegistryFailure(42204, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
        }
        try registry.setMode(mode, of: subject, forced: request.flag("force"))
        return ["mode": .string(mode.rawValue)]
    }
}
