import MartletColumns
import MartletCore
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
            route(.GET, "/mode") { _ in ["mode": "READWRITE"] },
            route(.GET, "/mode/:subject") { request in
                guard request.flag("defaultToGlobal") else {
                    throw RegistryFailure(40409, "Subject '\(request.parameters["subject"] ?? "")' does not have subject-level mode configured")
                }
                return ["mode": "READWRITE"]
            },
            route(.PUT, "/mode") { request in try setMode(request) },
            route(.PUT, "/mode/:subject") { request in try setMode(request) },
        ]
    }

    /// There is one mode: schemas can be read, registered, and imported with the id they had elsewhere.
    private func setMode(_ request: HTTPRequest) throws -> JSONValue {
        let mode = try request.jsonObject()["mode"]?.stringValue?.uppercased() ?? ""
        guard ["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"].contains(mode) else {
            throw RegistryFailure(42204, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
        }
        guard mode == "READWRITE" else { throw RegistryFailure(42205, "mode \(mode) is not supported by this release; READWRITE is, and takes schemas with ids too") }
        return ["mode": .string(mode)]
    }
}
