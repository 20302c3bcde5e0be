import MartletLog
import Testing

@testable import MartletServer

@Suite struct ClientFamiliesTests {
    private func sample(_ name: String, _ value: Double, isCounter: Bool = false, unit: String = "1", _ labels: [(String, String)] = []) -> ClientMetricSample {
        ClientMetricSample(name: name, unit: unit, isCounter: isCounter, value: value, labels: labels.map { .init(name: $0.0, value: $0.1) }, timestampMs: 0)
    }

    @Test func namesBecomeWhatPrometheusAllows() {
        let text = ClientFamilies(
            [
                sample("org.apache.kafka.producer.record.send.total", 3, isCounter: true, [("client_id", "c"), ("node.id", "1")]),
                sample("queue.latency", 1.5, unit: "ms", [("client_id", "say \"hi\" \\\n")]), sample("9lives", .nan, [("__a", "1"), ("x__a", "2")]),
                sample("count", 1, isCounter: true),
            ]).text(.prometheus)
        #expect(
            text == """
                # HELP kafka_client__9lives What Kafka clients report of themselves.
                # TYPE kafka_client__9lives gauge
                kafka_client__9lives{x__a="1"} NaN
                # HELP kafka_client_count_total What Kafka clients report of themselves.
                # TYPE kafka_client_count_total counter
                kafka_client_count_total 1.0
                # HELP kafka_client_org_apache_kafka_producer_record_send_total What Kafka clients report of themselves.
                # TYPE kafka_client_org_apache_kafka_producer_record_send_total counter
                kafka_client_org_apache_kafka_producer_record_send_total{client_id="c",node_id="1"} 3.0
                # HELP kafka_client_queue_latency What Kafka clients report of themselves. Unit: ms.
                # TYPE kafka_client_queue_latency gauge
                kafka_client_queue_latency{client_id="say \\"hi\\" \\\\\\n"} 1.5

                """)
    }

    @Test func aCountersFamilyHasNoSuffixInOpenMetrics() {
        let text = ClientFamilies([sample("a.total", 1, isCounter: true, [("k", "v")])]).text(.openMetrics)
        #expect(text.contains("# TYPE kafka_client_a counter\nkafka_client_a_total{k=\"v\"} 1.0\n"))
        let both = ClientFamilies([sample("a.total", 1, isCounter: true), sample("a", 2)]).text(.openMetrics)
        #expect(both.split(separator: "\n").filter { $0.hasPrefix("# TYPE") } == ["# TYPE kafka_client_a gauge", "# TYPE kafka_client_a_total gauge"])
    }

    /// What a reader would refuse: a family twice, a series twice.
    @Test func namesThatBecomeTheSameAreOneFamily() {
        let text = ClientFamilies([sample("a.b", 1, [("k", "v")]), sample("a_b", 2, [("k", "v")]), sample("a-b", 3, [("k", "w")])]).text(.prometheus)
        #expect(text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") } == ["kafka_client_a_b{k=\"v\"} 1.0", "kafka_client_a_b{k=\"w\"} 3.0"])
        #expect(text.split(separator: "\n").count { $0.hasPrefix("# TYPE") } == 1)
    }

    @Test func withoutSamplesThereIsNothing() { #expect(ClientFamilies([]).text(.openMetrics).isEmpty) }

    /// At the end of the page, with what there was no room for among what the page leaves out.
    @Test func aPageHasThemAtItsEnd() {
        var page = MetricsPage(seriesMax: 2)
        page.clients = (0..<5).map { sample("a", Double($0), [("k", "\($0)")]) }
        #expect(
            page.text(.openMetrics).split(separator: "\n").filter { !$0.hasPrefix("# HELP") } == [
                "# TYPE martlet_metrics_left_out_series gauge", "martlet_metrics_left_out_series{metric=\"kafka_client_a\"} 3",
                "# TYPE kafka_client_a gauge", "kafka_client_a{k=\"0\"} 0.0", "kafka_client_a{k=\"1\"} 1.0", "# EOF",
            ])
    }
}
