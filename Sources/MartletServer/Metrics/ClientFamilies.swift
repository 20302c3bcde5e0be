import MartletLog

/// What Kafka clients report of themselves (KIP-714) as families of a page of metrics: theirs are the names, so there is no table of them.
struct ClientFamilies {
    fileprivate struct Family {
        var isCounter: Bool
        var unit: String
        var series: [(labels: String, value: Double)] = []
        var seen: Set<String> = []
        var leftOut = 0
    }

    private var families: [String: Family] = [:]

    /// - `samples`: of any order.
    /// - `seriesMax`: of one family.
    init(_ samples: [ClientMetricSample], seriesMax: Int = MetricsPage.seriesMaxDefault) {
        // Names that differ in what Prometheus does not allow become one family.
        for sample in samples {
            var name = "kafka_client_" + Self.allowed(sample.name)
            if sample.isCounter, !name.hasSuffix("_total") { name += "_total" }
            families[name, default: Family(isCounter: sample.isCounter, unit: sample.unit)].add(sample, seriesMax)
        }
    }

    /// How many series were more than the bound, by family.
    var leftOut: [(name: String, count: Int)] {
        families.filter { $0.value.leftOut > 0 }.map { ($0.key, $0.value.leftOut) }.sorted { $0.0 < $1.0 }
    }

    func text(_ format: MetricsPage.Format) -> String {
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            // In OpenMetrics a counter's family has the name without `_total`, unless that is another's.
            let bare = String(name.dropLast("_total".count))
            let isCounter = family.isCounter && (format == .prometheus || families[bare] == nil)
            let shown = format == .openMetrics && isCounter ? bare : name
            let unit = family.unit.isEmpty || family.unit == "1" ? "" : " Unit: \(MetricsPage.escaped(family.unit, quotes: format == .openMetrics))."
            text += "# HELP \(shown) What Kafka clients report of themselves.\(unit)\n# TYPE \(shown) \(isCounter ? "counter" : "gauge")\n"
            for series in family.series { text += "\(name)\(series.labels) \(MetricsPage.number(series.value))\n" }
        }
        return text
    }

    fileprivate static func labels(_ labels: [ClientMetricSample.Label]) -> String {
        var names: Set<String> = []
        var pairs: [String] = []
        for label in labels {
            var name = allowed(label.name)
            // Names that begin so are Prometheus' own.
            if name.hasPrefix("__") { name = "x" + name }
            if names.insert(name).inserted { pairs.append("\(name)=\"\(MetricsPage.escaped(label.value, quotes: true))\"") }
        }
        return pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
    }

    /// Letters, digits and `_`, with no digit first.
    private static func allowed(_ name: String) -> String {
        var out = ""
        for character in name.unicodeScalars {
            switch character {
            case "a"..."z", "A"..."Z", "_": out.unicodeScalars.append(character)
            case "0"..."9":
                if out.isEmpty { out = "_" }
                out.unicodeScalars.append(character)
            default: out += "_"
            }
        }
        return out.isEmpty ? "_" : out
    }
}

extension ClientFamilies.Family {
    fileprivate mutating func add(_ sample: ClientMetricSample, _ seriesMax: Int) {
        isCounter = isCounter && sample.isCounter
        let labels = ClientFamilies.labels(sample.labels)
        // Of two with the same labels a reader would refuse the page.
        guard seen.insert(labels).inserted else { return }
        if series.count < seriesMax { series.append((labels, sample.value)) } else { leftOut += 1 }
    }
}
