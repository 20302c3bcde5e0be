import Logging
import MartletCore
import MartletEngine
import NIOHTTP1
import NIOPosix

/// ksqlDB's REST API (ksqlDB, "REST API Reference"): one file a group of endpoints.
struct KsqlAPI: Sendable {
    let engine: Engine
    let info: ServerInfo
    /// `host:port` of this API.
    let address: @Sendable () -> String
    let pool: NIOThreadPool
    /// For reading tables the first time they are asked.
    let reading: NIOThreadPool
    let activity: ServerActivity
    let nodeMetrics: NodeMetrics
    let logger: Logger
    let time: TimeSource
    let lookups = LookupAnswers()

    var router: Router {
        Router(routes: statementRoutes + queryRoutes + webSocketRoutes + insertRoutes + statusRoutes + operationRoutes) { [activity, logger] error in
            activity.countFailure()
            let response = ErrorResponse.ksql(error)
            if response.status.code >= 500 { logger.warning("request failed", metadata: ["error": "\(error)"]) }
            return response
        }
    }

    static let jsonTypes = [MediaType.ksql, MediaType.json]
}

/// The parts that `/ksql`, `/query` and `/query-stream` have in common.
struct SQLRequest {
    var sql: String
    var properties: [String: String]
    var variables: [String: String]
    /// The command that has to have been applied before.
    var commandSequenceNumber: Int?

    /// What the members of the body are called at an endpoint, its own names first: each endpoint takes the others' too.
    struct Names: Sendable {
        var text: [String]
        var properties: [String]
    }

    /// - Throws: `.badRequest`, `.unknownProperty`.
    init(_ request: HTTPRequest, _ names: Names) throws(MartletError) { try self.init(try request.jsonObject(), names) }

    init(_ body: JSONObject, _ names: Names) throws(MartletError) {
        guard let text = names.text.lazy.compactMap({ body[$0] }).first(where: { !$0.isNull }) else {
            throw MartletError(.badRequest, "Missing required property '\(names.text[0])' in the request's body")
        }
        guard let sql = text.stringValue else { throw MartletError(.badRequest, "property '\(names.text[0])' of the request's body is a text") }
        self.sql = sql
        properties = [:]
        for name in names.properties {
            for (key, value) in try Self.texts(body[name], of: name) {
                let checked = try Settings.checked(key, value)
                properties[checked.name] = checked.value
            }
        }
        variables = [:]
        for (key, value) in try Self.texts(body["sessionVariables"], of: "sessionVariables") { variables[key] = value }
        if let number = body["commandSequenceNumber"], !number.isNull {
            guard let sequence = number.intValue else {
                throw MartletError(.badRequest, "property 'commandSequenceNumber' of the request's body is a whole number")
            }
            commandSequenceNumber = sequence
        }
    }

    /// The members of an object as text: clients send numbers and booleans bare. Null members count as absent.
    static func texts(_ value: JSONValue?, of name: String) throws(MartletError) -> [(String, String)] {
        guard let value, !value.isNull else { return [] }
        guard let object = value.objectValue else { throw MartletError(.badRequest, "property '\(name)' of the request's body is an object") }
        var out: [(String, String)] = []
        for member in object.members {
            switch member.value {
            case .string(let text), .number(let text): out.append((member.name, text))
            case .bool(let flag): out.append((member.name, flag ? "true" : "false"))
            case .null: break
            case .array, .object: throw MartletError(.badRequest, "'\(member.name)' in '\(name)' is a text, a number or a boolean")
            }
        }
        return out
    }
}
