import MartletCore
import MartletEngine
import MartletSQL
import NIOHTTP1

/// `POST /ksql` and `POST /ksql/terminate`: everything but queries.
extension KsqlAPI {
    var statementRoutes: [Route] {
        [
            Route(.POST, "/ksql", produces: Self.jsonTypes) { request in
                let sql = try SQLRequest(request, Self.oldNames)
                try await waitForCommand(sql.commandSequenceNumber)
                let entities = try await engine.execute(sql.sql, properties: sql.properties, variables: sql.variables)
                return .json(.array(entities.map { .object($0) }), type: request.accepted)
            },
            Route(.POST, "/ksql/terminate", produces: Self.jsonTypes) { request in try await terminateCluster(request) },
        ]
    }

    /// Every command is applied before its number is told, so only one that is still to come is waited for.
    private func waitForCommand(_ number: Int?) async throws {
        guard let number else { return }
        let deadline = time.monotonicNs + Self.commandPatienceNs
        while await engine.lastCommandNumber < Int64(number) {
            if time.monotonicNs >= deadline || activity.isStopping {
                throw MartletError(
                    .timeout, "Timed out while waiting for a previous command to execute. command sequence number: \(number)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// ksqlDB's `ksql.server.command.response.timeout.ms`.
    private static let commandPatienceNs: Int64 = 5_000_000_000

    /// Ends all queries, drops all sources, and deletes their topics if they are on the list.
    private func terminateCluster(_ request: HTTPRequest) async throws -> HTTPResponse {
        var patterns: [(text: String, regex: Regex<AnyRegexOutput>)] = []
        if !request.body.isEmpty, let list = try request.jsonObject()["deleteTopicList"], !list.isNull {
            guard let texts = list.arrayValue?.compactMap(\.stringValue), texts.count == list.arrayValue?.count else {
                throw MartletError(.badRequest, "property 'deleteTopicList' of the request's body is an array of topic names or patterns")
            }
            for text in texts {
                guard let regex = try? Regex(text) else { throw MartletError(.badRequest, "Invalid pattern: \(text)") }
                patterns.append((text, regex))
            }
        }
        _ = try await engine.execute("TERMINATE ALL;")
        // A source that others read can only be dropped after them.
        var remaining = await engine.sources, failure: StatementFailure?
        while !remaining.isEmpty {
            var kept = remaining
            kept.removeAll()
            for source in remaining {
                let deletes = patterns.contains { $0.text == source.topic || source.topic.wholeMatch(of: $0.regex) != nil }
                let suffix = deletes && !source.isSource ? " DELETE TOPIC" : ""
                do throws(StatementFailure) {
                    _ = try await engine.execute("DROP \(source.kind.rawValue) \(SQLType.quoted(source.name))\(suffix);")
                } catch {
                    failure = error
                    kept.append(source)
                }
            }
            if kept.count == remaining.count, let failure { throw failure }
            remaining = kept
        }
        let entity: JSONObject = [
            "@type": "currentStatus", "statementText": "TERMINATE CLUSTER;", "commandId": "cluster/TerminateCluster/terminate",
            "commandStatus": ["status": "SUCCESS", "message": "Cluster terminated.", "queryId": nil], "commandSequenceNumber": -1, "warnings": [],
        ]
        return .json([.object(entity)], type: request.accepted)
    }
}
