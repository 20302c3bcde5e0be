import MartletCore
import Testing

@testable import MartletServer

/// `/metrics` of a server with a query.
@Suite struct NodeMetricsTests {
    private func lines(_ fixture: ServerFixture) async throws -> Set<String> { Set(try await fixture.ask("GET", "/metrics").lines) }

    @Test func bothFormatsAreWellFormed() async throws {
        try await ServerFixture.with { fixture in
            let text = try await fixture.ask("GET", "/metrics")
            #expect(text.status == 200 && text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            for name in ["martlet_http_requests_total", "process_resident_memory_bytes", "process_cpu_seconds_total", "martlet_disk_free_bytes", "martlet_log_sync_seconds_count"] {
                #expect(text.lines.contains { $0.hasPrefix("\(name) ") }, "\(name)")
            }
            #expect(text.lines.contains("martlet_build_info{version=\"\(MartletVersion.text)\"} 1"))
            for line in text.lines where !line.hasPrefix("#") { #expect(Double(line.split(separator: " ").last ?? "") != nil, "\(line)") }
            let open = try await fixture.ask("GET", "/metrics", headers: ["accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"])
            #expect(open.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8" && open.text.hasSuffix("# EOF\n"))
        }
    }

    /// A query that has read everything lags behind nobody; one that is paused falls behind by what comes.
    @Test func queriesTopicsAndGroups() async throws {
        try await ServerFixture.with { fixture in
            _ = try await fixture.ksql(KsqlAPITests.createStream)
            let made = try await fixture.ksql("CREATE STREAM c AS SELECT id, x + 1 AS y FROM s;")
            let query = try #require(made.arrayValue?.first?["commandStatus"]?["queryId"]?.stringValue)
            for x in 0..<3 { _ = try await fixture.ksql("INSERT INTO s (id, x) VALUES (1, \(x));") }
            try await fixture.eventually("the query has read everything") { await fixture.engine.hasProcessedInput }
            var seen = try await lines(fixture)
            let group = "_confluent-ksql-default_query_\(query)"
            for line in [
                "martlet_queries{state=\"RUNNING\"} 1", "martlet_queries{state=\"ERROR\"} 0", "martlet_query_lag_records{query=\"\(query)\"} 0",
                "martlet_query_rows_read_total{query=\"\(query)\"} 3", "martlet_query_rows_written_total{query=\"\(query)\"} 3",
                "martlet_query_rows_failed_total{query=\"\(query)\"} 0",
                "martlet_topic_in_records_total{topic=\"s\"} 3", "martlet_topic_in_records_total{topic=\"C\"} 3", "martlet_topic_out_records_total{topic=\"C\"} 0",
                "martlet_group_committed_offset{group=\"\(group)\",topic=\"s\",partition=\"0\"} 3", "martlet_group_lag_records{group=\"\(group)\",topic=\"s\",partition=\"0\"} 0",
                "martlet_partition_high_watermark{topic=\"s\",partition=\"0\"} 3", "martlet_partition_segments{topic=\"s\",partition=\"0\"} 1",
                "martlet_partitions_failed 0",
            ] {
                #expect(seen.contains(line), "\(line)")
            }
            _ = try await fixture.ksql("PAUSE \(query);")
            for x in 0..<2 { _ = try await fixture.ksql("INSERT INTO s (id, x) VALUES (1, \(x));") }
            seen = try await lines(fixture)
            for line in [
                "martlet_queries{state=\"PAUSED\"} 1", "martlet_query_lag_records{query=\"\(query)\"} 2",
                "martlet_group_lag_records{group=\"\(group)\",topic=\"s\",partition=\"0\"} 2",
                "martlet_group_stable_lag_records{group=\"\(group)\",topic=\"s\",partition=\"0\"} 2",
            ] {
                #expect(seen.contains(line), "\(line)")
            }
        }
    }
}
