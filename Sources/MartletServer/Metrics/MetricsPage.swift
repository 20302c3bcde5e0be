import MartletLog

/// Samples of metrics, and the page that shows them.
struct MetricsPage: Sendable {
    enum Value: Sendable {
        case whole(Int64)
        case number(Double)
        case histogram(HistogramValues)
    }

    private struct Sample: Sendable {
        var labels: [String]
        var value: Value
    }

    private var samples: [Metric: [Sample]] = [:]
    private var leftOut: [Metric: Int] = [:]
    /// What Kafka clients report of themselves: families without a row in the table of metrics, at the page's end.
    var clients: [ClientMetricSample] = []
    /// Of one metric; a histogram counts as one.
    private let seriesMax: Int

    static let seriesMaxDefault = 10_000

    init(seriesMax: Int = MetricsPage.seriesMaxDefault) { self.seriesMax = seriesMax }

    /// - `labels`: values of the metric's labels, in their order.
    mutating func add(_ metric: Metric, _ labels: [String], _ value: Value) {
        precondition(labels.count == metric.labels.count, "\(metric.rawValue) has the labels \(metric.labels)")
        guard samples[metric, default: []].count < seriesMax else {
            leftOut[metric, default: 0] += 1
            return
        }
        samples[metric, default: []].append(Sample(labels: labels, value: value))
    }

    mutating func add(_ metric: Metric, _ labels: [String], _ value: some BinaryInteger) { add(metric, labels, .whole(Int64(clamping: value))) }

    mutating func add(_ metric: Metric, _ labels: [String], _ value: Double) { add(metric, labels, .number(value)) }

    mutating func add(_ metric: Metric, _ value: Value) { add(metric, [], value) }
    mutating func add(_ metric: Metric, _ value: some BinaryInteger) { add(metric, [], value) }
    mutating func add(_ metric: Metric, _ value: Double) { add(metric, [], value) }

    // MARK: text

    enum Format: Sendable {
        /// Prometheus' text format, version 0.0.4.
        case prometheus
        /// OpenMetrics 1.0.0.
        case openMetrics

        var mediaType: String {
            switch self {
            case .prometheus: MediaType.prometheus
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }

        /// What the client asks for; Prometheus names OpenMetrics with its versions.
        init(accept: [String]) {
            let chosen = MediaType.choose(accept: accept, offered: ["text/plain", "application/openmetrics-text"])
            self = chosen == "application/openmetrics-text" ? .openMetrics : .prometheus
        }
    }

    func text(_ format: Format) -> String {
        var page = self
        let families = ClientFamilies(clients, seriesMax: seriesMax)
        for (metric, count) in leftOut.map({ ($0.rawValue, $1) }).sorted(by: { $0.0 < $1.0 }) + families.leftOut {
            page.samples[.leftOut, default: []].append(Sample(labels: [metric], value: .whole(Int64(count))))
        }
        var text = ""
        for metric in Metric.allCases {
            guard let samples = page.samples[metric], !samples.isEmpty else { continue }
            // In OpenMetrics a counter's family has the name without `_total`.
            let family = format == .openMetrics && metric.kind == .counter ? String(metric.rawValue.dropLast("_total".count)) : metric.rawValue
            text += "# HELP \(family) \(Self.escaped(metric.help, quotes: format == .openMetrics))\n# TYPE \(family) \(metric.kind.rawValue)\n"
            for sample in samples { Self.write(sample, metric, format, &text) }
        }
        text += families.text(format)
        if format == .openMetrics { text += "# EOF\n" }
        return text
    }

    private static func write(_ sample: Sample, _ metric: Metric, _ format: Format, _ text: inout String) {
        let pairs = zip(metric.labels, sample.labels).map { "\($0)=\"\(escaped($1, quotes: true))\"" }
        func line(_ suffix: String, _ pairs: [String], _ value: String) {
            text += metric.rawValue + suffix
            if !pairs.isEmpty { text += "{\(pairs.joined(separator: ","))}" }
            text += " \(value)\n"
        }
        switch sample.value {
        case .whole(let number): line("", pairs, "\(number)")
        case .number(let number): line("", pairs, self.number(number))
        case .histogram(let values):
            var below: Int64 = 0
            for (bound, count) in zip(values.bounds, values.counts) {
                below += count
                line("_bucket", pairs + ["le=\"\(number(bound))\""], "\(below)")
            }
            line("_bucket", pairs + ["le=\"+Inf\""], "\(values.count)")
            line("_sum", pairs, number(values.sum))
            line("_count", pairs, "\(values.count)")
        }
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return "\(value)"
    }

    /// In values of labels quotes are escaped; in help they are by OpenMetrics alone.
    static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": out += "\\\\"
            case "\"" where quotes: out += "\\\""
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}
