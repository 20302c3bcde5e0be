import MartletColumns
import MartletConnect
import MartletCore
import MartletEngine
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Watches the pipeline the way a client would, by push queries over its streams, and prints a line a second.
struct Dashboard {
    let pipeline: FraudPipeline
    let time: TimeSource

    /// Alerts and frauds seen so far; latencies of the newest alerts.
    private final class Counts: Sendable {
        struct Values {
            var alerts: Int64 = 0
            var truePositives: Int64 = 0
            var frauds: Int64 = 0
            var latenciesMs: [Int64] = []
        }
        let values = Mutex(Values())
    }

    func run(until stop: Stop, feed: FeedState, backlog: Int64?, seconds: Int?) async throws(MartletError) {
        let counts = Counts()
        let alerts = try await open("SELECT Class, ROWTIME AS produced FROM fraud_alerts EMIT CHANGES;")
        let frauds = try await open("SELECT Class FROM creditcardfraud_scored WHERE Class = '1' EMIT CHANGES;")
        let time = time
        let watching = Task {
            async let a: Void = Self.consume(alerts) { batch in
                let now = time.wallMs
                counts.values.withLock { values in
                    for row in 0..<batch.count {
                        values.alerts += 1
                        if case .string("1") = batch.columns[0].value(row) { values.truePositives += 1 }
                        if case .bigint(let produced) = batch.columns[1].value(row) { values.latenciesMs.append(max(now - produced, 0)) }
                    }
                }
            }
            async let f: Void = Self.consume(frauds) { batch in counts.values.withLock { $0.frauds += Int64(batch.count) } }
            _ = await (a, f)
        }
        defer {
            alerts.close()
            frauds.close()
            watching.cancel()
        }
        let isTerminal = isatty(STDOUT_FILENO) != 0
        let start = time.monotonicNs
        // The backlog: until it is fed and all of it has gone through.
        while !stop.isRequested {
            let fed = feed.progress.rows, seen = pipeline.alert.statistics.snapshot.rowsRead
            let done = feed.backlogDone && pipeline.isDrained(after: fed)
            if isTerminal || done { Output.progress(Self.bar(fed: fed, scored: seen, total: backlog, ns: time.monotonicNs - start), isTerminal: isTerminal) }
            if done || feed.error != nil { break }
            await Self.pause(ms: 100)
        }
        Output.line("")
        let backlogSeconds = Double(time.monotonicNs - start) * 1e-9
        let rows = feed.progress.rows
        Output.line(
            "Backlog: \(NumberText.grouped(rows)) payments produced, preprocessed and scored in \(NumberText.seconds(backlogSeconds)) (\(NumberText.grouped(Int64(Double(rows) / max(backlogSeconds, 1e-9)))) a second)")
        if feed.progress.rejected > 0 { Output.line("\(feed.progress.rejected) lines of the file are no payments; the last: \(feed.progress.lastRejection ?? "")") }
        // The backlog waited for itself: latencies are those of the steady stream.
        counts.values.withLock { $0.latenciesMs = [] }
        Output.line("")
        Output.line(Self.header)
        var lines = 0
        if feed.ended {
            Output.line(line(counts, feed))
            if seconds == nil { Output.line("\nThe file is at its end; the node goes on serving. Ctrl-C ends it.") }
            while seconds == nil, !stop.isRequested { await Self.pause(ms: 100) }
        }
        while !stop.isRequested, !feed.ended, seconds.map({ lines < $0 }) ?? true {
            for _ in 0..<10 where !stop.isRequested { await Self.pause(ms: 100) }
            if stop.isRequested { break }
            Output.line(line(counts, feed))
            lines += 1
        }
    }

    private func open(_ sql: String) async throws(MartletError) -> TransientQuery {
        guard case .rows(let query) = try await pipeline.engine.query(sql, properties: ["auto.offset.reset": "earliest"]) else {
            throw MartletError(.internalError, "a SELECT gives rows")
        }
        return query
    }

    private static func consume(_ query: TransientQuery, _ body: (ResultBatch) -> Void) async {
        do throws(MartletError) {
            while let batch = try await query.rows.next() { body(batch) }
        } catch {
            Output.line("the dashboard's query stopped: \(error.message)")
        }
    }

    private static func pause(ms: UInt64) async {
        // Woken early only by cancellation, when nothing more is to be shown.
        try? await Task.sleep(nanoseconds: ms * 1_000_000)
    }

    private static let header =
        NumberText.right("rows in", 12) + NumberText.right("preprocessed", 14) + NumberText.right("scored", 12) + NumberText.right("alerts", 9) + NumberText.right("precision", 11)
        + NumberText.right("recall", 8) + NumberText.right("p50", 9) + NumberText.right("p99", 9) + "  (produce to alert)"

    private func line(_ counts: Counts, _ feed: FeedState) -> String {
        let values = counts.values.withLock { values in
            // Alerts are rare: percentiles are over the last few hundred, not over those of one second.
            if values.latenciesMs.count > 500 { values.latenciesMs.removeFirst(values.latenciesMs.count - 500) }
            return values
        }
        let sorted = values.latenciesMs.sorted()
        func percentile(_ p: Double) -> String {
            sorted.isEmpty ? "-" : "\(sorted[min(sorted.count - 1, Int(Double(sorted.count) * p))]) ms"
        }
        func share(_ part: Int64, _ whole: Int64) -> String { whole == 0 ? "-" : NumberText.fixed(Double(part) / Double(whole), 3) }
        return NumberText.right(NumberText.grouped(feed.progress.rows), 12)
            + NumberText.right(NumberText.grouped(pipeline.preprocess.statistics.snapshot.rowsWritten), 14)
            + NumberText.right(NumberText.grouped(pipeline.score.statistics.snapshot.rowsWritten), 12) + NumberText.right(NumberText.grouped(values.alerts), 9)
            + NumberText.right(share(values.truePositives, values.alerts), 11) + NumberText.right(share(values.truePositives, values.frauds), 8)
            + NumberText.right(percentile(0.5), 9) + NumberText.right(percentile(0.99), 9)
    }

    private static func bar(fed: Int64, scored: Int64, total: Int64?, ns: Int64) -> String {
        let rate = NumberText.grouped(Int64(Double(scored) / max(Double(ns) * 1e-9, 1e-9)))
        guard let total, total > 0 else { return "\(NumberText.grouped(fed)) payments produced, \(NumberText.grouped(scored)) scored, \(rate) a second" }
        // One payment in twenty has no class and is not scored.
        let width = 40, share = min(1, Double(scored) / (Double(total) * 0.95))
        let filled = Int(share * Double(width))
        return "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled) + "] "
            + NumberText.right(NumberText.fixed(share * 100, 0), 3) + " %  \(NumberText.grouped(fed)) produced, \(NumberText.grouped(scored)) scored, \(rate) a second"
    }
}

extension FraudPipeline {
    /// Whether `rows` payments of the source, and all that came of them, have been through every query.
    func isDrained(after rows: Int64) -> Bool {
        let first = preprocess.statistics.snapshot
        guard first.rowsRead >= rows else { return false }
        let second = score.statistics.snapshot, third = alert.statistics.snapshot
        return second.rowsRead >= first.rowsWritten && third.rowsRead >= second.rowsWritten
    }
}
