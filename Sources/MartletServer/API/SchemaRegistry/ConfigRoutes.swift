import MartletColumns
import MartletCore
import MartletEngine
import NIOHTTP1

/// Compatibility: levels, and the question whether a schema would be let in.
extension RegistryAPI {
    var configRoutes: [Route] {
        [
            route(.GET, "/config") { _ in ["compatibilityLevel": .string((registry.level(of: nil) ?? .backward).rawValue)] },
            route(.PUT, "/config") { request in try setLevel(of: nil, request) },
            route(.DELETE, "/config") { _ in
                let before = registry.level(of: nil) ?? .backward
                try registry.setLevel(nil, of: nil)
                return ["compatibilityLevel": .string(before.rawValue)]
            },
            route(.GET, "/config/:subject") { request in
                let subject = request.parameters["subject"] ?? ""
                if let level = registry.level(of: subject) { return ["compatibilityLevel": .string(level.rawValue)] }
                guard request.flag("defaultToGlobal") else { throw Self.noLevel(subject) }
                return ["compatibilityLevel": .string((registry.level(of: nil) ?? .backward).rawValue)]
            },
            route(.PUT, "/config/:subject") { request in try setLevel(of: request.parameters["subject"], request) },
            route(.DELETE, "/config/:subject") { request in
                let subject = request.parameters["subject"] ?? ""
                guard let before = registry.level(of: subject) else { throw Self.noLevel(subject) }
                try registry.setLevel(nil, of: subject)
                return ["compatibilityLevel": .string(before.rawValue)]
            },
            route(.POST, "/compatibility/subjects/:subject/versions/:version") { request in
                try check(request, against: request.parameters["version"] ?? "")
            },
            route(.POST, "/compatibility/subjects/:subject/versions") { request in try check(request, against: nil) },
        ]
    }

    private static func noLevel(_ subject: String) -> RegistryFailure {
        RegistryFailure(40408, "Subject '\(subject)' does not have subject-level compatibility configured")
    }

    private func setLevel(of subject: String?, _ request: HTTPRequest) throws -> JSONValue {
        guard let text = try request.jsonObject()["compatibility"]?.stringValue,
            let level = SchemaRegistry.Compatibility(rawValue: text.uppercased())
        else {
            throw RegistryFailure(42203, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
        }
        try registry.setLevel(level, of: subject)
        return ["compatibility": .string(level.rawValue)]
    }

    /// - `text`: a version, or nil for those that the subject's level says.
    private func check(_ request: HTTPRequest, against text: String?) throws -> JSONValue {
        let subject = request.parameters["subject"] ?? ""
        var version: SchemaRegistry.Version?
        if let text { version = try self.version(text, of: subject) }
        let problems = try registry.problems(try schema(in: request).schema, subject: subject, against: version)
        var object: JSONObject = ["is_compatible": .bool(problems.isEmpty)]
        if request.flag("verbose") { object["messages"] = .array(problems.map { .string($0) }) }
        return .object(object)
    }
}
