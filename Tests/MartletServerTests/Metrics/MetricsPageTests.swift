import MartletCore
import MartletLog
import Testing

@testable import MartletServer

@Suite struct MetricsPageTests {
    @Test func namesAreInPrometheusStyle() {
        for metric in Metric.allCases {
            let name = metric.rawValue
            #expect(name.hasPrefix("martlet_") || name.hasPrefix("process_"))
            #expect(name.allSatisfy { $0.isASCII && ($0.isLowercase || $0 == "_" || $0.isNumber) }, "\(name)")
            #expect((metric.kind == .counter) == name.hasSuffix("_total"), "\(name)")
            for suffix in ["_count", "_sum", "_bucket"] { #expect(!name.hasSuffix(suffix), "\(name)") }
            #expect(metric.help.hasSuffix(".") && metric.help.first?.isUppercase == true, "\(name)")
            #expect(Set(metric.labels).count == metric.labels.count && !metric.labels.contains("le"), "\(name)")
        }
    }

    /// In OpenMetrics the name of a counter's family is without `_total`: it must not be that of another metric.
    @Test func familiesHaveNamesOfTheirOwn() {
        let families = Metric.allCases.map { $0.kind == .counter ? String($0.rawValue.dropLast("_total".count)) : $0.rawValue }
        #expect(Dictionary(grouping: families, by: \.self).filter { $1.count > 1 }.isEmpty)
    }

    private func page(seriesMax: Int = 100) -> MetricsPage {
        var page = MetricsPage(seriesMax: seriesMax)
        page.add(.uptime, 1.5)
        page.add(.queryRowsRead, ["a \"b\" \\ \n ü"], 7)
        page.add(.requests, ["Fetch"], .histogram(HistogramValues(bounds: [0.001, 1], counts: [2, 0, 3], sum: 12.25)))
        page.add(.groupLag, ["g", "t", "0"], Int64.max)
        return page
    }

    @Test func textOfPrometheus() {
        #expect(page().text(.prometheus) == #"""
            # HELP martlet_uptime_seconds Time since the HTTP server was made.
            # TYPE martlet_uptime_seconds gauge
            martlet_uptime_seconds 1.5
            # HELP martlet_kafka_request_seconds Requests of Kafka clients, from the moment when they were read until their answers could be sent; Fetch may wait for records.
            # TYPE martlet_kafka_request_seconds histogram
            martlet_kafka_request_seconds_bucket{api="Fetch",le="0.001"} 2
            martlet_kafka_request_seconds_bucket{api="Fetch",le="1.0"} 2
            martlet_kafka_request_seconds_bucket{api="Fetch",le="+Inf"} 5
            martlet_kafka_request_seconds_sum{api="Fetch"} 12.25
            martlet_kafka_request_seconds_count{api="Fetch"} 5
            # HELP martlet_group_lag_records From the committed offset to the high watermark. Markers of transactions count.
            # TYPE martlet_group_lag_records gauge
            martlet_group_lag_records{group="g",topic="t",partition="0"} 9223372036854775807
            # HELP martlet_query_rows_read_total Records that a persistent query has read.
            # TYPE martlet_query_rows_read_total counter
            martlet_query_rows_read_total{query="a \"b\" \\ \n ü"} 7

            """#)
    }

    /// As that of Prometheus, but that counters' families have no suffix and the end is marked.
    @Test func openMetrics() {
        let text = page().text(.openMetrics)
        #expect(text.hasSuffix("\n# EOF\n"))
        #expect(text.contains("\n# TYPE martlet_query_rows_read counter\nmartlet_query_rows_read_total{"))
        #expect(text.contains("\n# TYPE martlet_kafka_request_seconds histogram\n"))
    }

    @Test func theFormatIsTheOneAskedFor() {
        for (accept, format) in [
            ([], "text/plain"), (["*/*"], "text/plain"), (["text/plain"], "text/plain"),
            // Prometheus 2.42.
            (["application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"], "application/openmetrics-text"),
            (["application/openmetrics-text;q=0.3,text/plain;q=0.8"], "text/plain"), (["image/png"], "text/plain"),
        ] as [([String], String)] {
            #expect(MetricsPage.Format(accept: accept).mediaType.hasPrefix("\(format); version="), "\(accept)")
        }
    }

    /// However many series there are, none has more than it may, and those left out are counted.
    @Test func seriesAreBounded() {
        for (count, most) in [(0, 1), (3, 3), (4, 3), (1000, 10)] {
            var page = MetricsPage(seriesMax: most)
            for i in 0..<count { page.add(.topicInBytes, ["t\(i)"], i) }
            page.add(.topics, count)
            let lines = page.text(.prometheus).split(separator: "\n")
            #expect(lines.count { $0.hasPrefix("martlet_topic_in_bytes_total{") } == min(count, most))
            #expect(lines.contains("martlet_topics \(count)"))
            let leftOut = lines.filter { $0.hasPrefix("martlet_metrics_left_out_series") }
            #expect(leftOut == (count > most ? ["martlet_metrics_left_out_series{metric=\"martlet_topic_in_bytes_total\"} \(count - most)"] : []))
        }
    }
}
