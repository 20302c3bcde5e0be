import MartletCore
import MartletEngine
import NIOHTTP1

/// What operators and other nodes ask. There is one node: it is alive, and lags behind nobody.
extension KsqlAPI {
    var operationRoutes: [Route] {
        [
            Route(.GET, "/chc/ready", needsNoUser: true) { _ in .text("") },
            Route(.GET, "/chc/live", needsNoUser: true) { _ in .text("") },
            Route(.GET, "/clusterStatus", produces: Self.jsonTypes) { request in
                let host: JSONObject = [
                    "hostAlive": true, "lastStatusUpdateMs": .int(time.wallMs), "activeStandbyPerQuery": [:],
                    "hostStoreLags": ["stateStoreLags": [:], "updateTimeMs": .int(time.wallMs)],
                ]
                return .json(["clusterStatus": .object(JSONObject([.init(address(), .object(host))]))], type: request.accepted)
            },
            Route(.POST, "/heartbeat", produces: Self.jsonTypes) { request in .json(["ok": true], type: request.accepted) },
            Route(.POST, "/lag", produces: Self.jsonTypes) { request in .json(["ok": true], type: request.accepted) },
            Route(.GET, "/metrics") { _ in .text(await metrics(), type: MediaType.prometheus) },
        ]
    }

    /// Prometheus' text format, version 0.0.4.
    private func metrics() async -> String {
        var text = ""
        func metric(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
            for sample in samples { text += "\(name)\(sample.labels) \(sample.value)\n" }
        }
        func escaped(_ label: String) -> String {
            var out = ""
            for character in label.unicodeScalars {
                switch character {
                case "\\": out += "\\\\"
                case "\"": out += "\\\""
                case "\n": out += "\\n"
                default: out.unicodeScalars.append(character)
                }
            }
            return out
        }
        let counts = activity.counts
        let uptimeMs = (time.monotonicNs - activity.startedNs) / 1_000_000
        metric("martlet_uptime_seconds", "gauge", "Time since the HTTP server was made.", [("", "\(Double(uptimeMs) / 1000)")])
        metric("martlet_http_requests_total", "counter", "HTTP requests of both APIs.", [("", "\(counts.requests)")])
        metric("martlet_http_failures_total", "counter", "Requests that were answered with an error.", [("", "\(counts.failures)")])
        metric("martlet_client_queries_total", "counter", "Queries that clients began.", [("", "\(counts.queries)")])
        metric("martlet_client_queries", "gauge", "Queries of clients that run now.", [("", "\(activity.openQueries)")])
        metric("martlet_client_query_rows_total", "counter", "Rows sent to clients.", [("", "\(counts.queryRows)")])
        metric("martlet_inserted_rows_total", "counter", "Rows inserted through /inserts-stream.", [("", "\(counts.insertedRows)")])
        let queries = await engine.runningQueries.map { ("{query=\"\(escaped($0.id))\"}", $0.statistics.snapshot) }
        metric("martlet_query_rows_read_total", "counter", "Records that a persistent query has read.", queries.map { ($0.0, "\($0.1.rowsRead)") })
        metric("martlet_query_rows_written_total", "counter", "Records that a persistent query has written.", queries.map { ($0.0, "\($0.1.rowsWritten)") })
        metric("martlet_query_rows_failed_total", "counter", "Records that a persistent query could not process.", queries.map { ($0.0, "\($0.1.rowsFailed)") })
        return text
    }
}
