import MartletCore
import MartletEngine
import NIOHTTP1

/// What the server and its commands are doing, for clients.
extension KsqlAPI {
    var statusRoutes: [Route] {
        [
            Route(.GET, "/") { _ in HTTPResponse(status: .temporaryRedirect, headers: ["location": "/info"]) },
            Route(.GET, "/info", produces: Self.jsonTypes) { request in
                let info: JSONObject = [
                    "version": .string(info.version), "kafkaClusterId": .string(info.kafkaClusterID), "ksqlServiceId": .string(info.serviceID),
                    "serverStatus": "RUNNING",
                ]
                return .json(["KsqlServerInfo": .object(info)], type: request.accepted)
            },
            Route(.GET, "/healthcheck", produces: Self.jsonTypes) { request in
                // All parts are in this process: an answer from the engine shows that they run.
                _ = await engine.sources.count
                let healthy: JSONValue = ["isHealthy": true]
                return .json(
                    [
                        "isHealthy": true, "details": ["metastore": healthy, "kafka": healthy, "commandRunner": healthy], "serverState": "READY",
                    ], type: request.accepted)
            },
            Route(.GET, "/status", produces: Self.jsonTypes) { request in
                var statuses = JSONObject()
                for (id, status) in await engine.allCommandStatuses { statuses.members.append(.init(id, status["status"] ?? .null)) }
                return .json(["commandStatuses": .object(statuses)], type: request.accepted)
            },
            Route(.GET, "/status/:type/:entity/:action", produces: Self.jsonTypes) { request in
                let (type, entity, action) = (request.parameters["type"] ?? "", request.parameters["entity"] ?? "", request.parameters["action"] ?? "")
                // Names are in back quotes inside command ids; clients leave them out of the path or not.
                for id in ["\(type)/\(entity)/\(action)", "\(type)/\(SQLType.quoted(entity))/\(action)"] {
                    if let status = await engine.commandStatus(id) { return .json(.object(status), type: request.accepted) }
                }
                throw MartletError(.notFound, "Command not found")
            },
            Route(.GET, "/is_valid_property/:name", produces: Self.jsonTypes) { request in
                let name = request.parameters["name"] ?? ""
                do throws(MartletError) {
                    _ = try Settings.checked(name, "")
                } catch {
                    // Any value may be wrong; the name is what is asked for.
                    if !Settings.isKnown(name) { throw error }
                }
                return .json(true, type: request.accepted)
            },
            Route(.GET, "/v1/metadata", produces: Self.jsonTypes) { request in
                .json(["version": .string(info.version), "clusterId": clusterID], type: request.accepted)
            },
            Route(.GET, "/v1/metadata/id", produces: Self.jsonTypes) { request in .json(clusterID, type: request.accepted) },
        ]
    }

    private var clusterID: JSONValue {
        ["id": "", "scope": ["path": [], "clusters": ["kafka-cluster": .string(info.kafkaClusterID), "ksql-cluster": .string(info.serviceID)]]]
    }
}
