import Foundation
import Testing

@testable import MartletServer

/// The reference page of metrics is made from their table. `make golden` rewrites it.
@Suite struct MetricsReferenceTests {
    @Test func metrics() throws {
        var text = """
            # Metrics

            Made from the table of metrics. `GET /metrics` of the SQL port (8088) tells them in Prometheus' text format, or in OpenMetrics to who asks for
            it. Where the port asks for users, Prometheus needs one (`basic_auth`) who is allowed DESCRIBE on the cluster.

            A metric has at most `metrics.series.max` series (`server-settings.md`); how many more there would be is told by
            `martlet_metrics_left_out_series`, which is absent as long as there is room for all. Counters begin at 0 with each start of the node.
            [monitoring.md](monitoring.md) has a configuration of Prometheus, alerts and a dashboard. What Kafka clients report of themselves comes after all
            others, by their names for it: [client-metrics.md](client-metrics.md).

            | metric | kind | labels | what it is |
            |---|---|---|---|

            """
        for metric in Metric.allCases {
            text += "| `\(metric.rawValue)` | \(metric.kind.rawValue) | \(metric.labels.map { "`\($0)`" }.joined(separator: ", ")) | \(metric.help) |\n"
        }
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "docs/reference/metrics.md")
        if ProcessInfo.processInfo.environment["MARTLET_GOLDEN"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        let written = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        #expect(written == text, "docs/reference/metrics.md does not say what the code says: run make golden and read the difference")
    }

    /// What alerts and the dashboard ask for is there.
    @Test func monitoringNamesMetricsThatExist() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "docs/reference")
        for name in ["monitoring.md", "grafana-dashboard.json"] {
            let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            let words = Set(text.split { !($0.isASCII && ($0.isLetter || $0 == "_")) }.filter { $0.hasPrefix("martlet_") || $0.hasPrefix("process_") })
            #expect(words.count > 10)
            for word in words {
                let family = ["_bucket", "_sum", "_count"].first { word.hasSuffix($0) }.map { String(word.dropLast($0.count)) } ?? String(word)
                let metric = Metric(rawValue: family)
                #expect(metric != nil && (family == word || metric?.kind == .histogram), "\(name): \(word)")
            }
        }
    }
}
