import MartletCore
import MartletEngine
import NIOHTTP1
import NIOPosix

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
            Route(.GET, "/metrics", onlyDescribes: true) { request in try await metrics(request) },
        ]
    }

    /// What the node says of itself, in the format that the client likes better.
    private func metrics(_ request: HTTPRequest) async throws -> HTTPResponse {
        let format = MetricsPage.Format(accept: request.headers["accept"])
        let progress = await engine.progress
        let page = try await pool.runIfActive { self.nodeMetrics.page(progress) }
        return .text(page.text(format), type: format.mediaType)
    }
}
