import MartletLog

/// What Kafka clients report of themselves (KIP-714) as families of a page of metrics: theirs are the names, so there is no table of them.
enum ClientFamilies {
    private struct Series {
        var labels: String
        var value: Double
    }

    /// - `samples`: those of one name together, as `TelemetryStore.samples` has them.
    static func text(_ samples: [ClientMetricSample], isOpenMetrics: Bool) -> String {
        // Names that differ in what Prometheus does not allow become one family.
        var families: [String: (isCounter: Bool, unit: String, series: [Series], seen: Set<String>)] = [:]
        for sample in samples {
            var name = "kafka_client_" + allowed(sample.name)
            if sample.isCounter, !name.hasSuffix("_total") { name += "_total" }
            let labels = self.labels(sample.labels)
            var family = families.removeValue(forKey: name) ?? (isCounter: sample.isCounter, unit: sample.unit, series: [], seen: [])
            // Of two with the same labels a reader would refuse the page.
            if family.seen.insert(labels).inserted { family.series.append(Series(labels: labels, value: sample.value)) }
            family.isCounter = family.isCounter && sample.isCounter
            families[name] = family
        }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            let shown = isOpenMetrics && family.isCounter ? String(name.dropLast("_total".count)) : name
            let unit = family.unit.isEmpty || family.unit == "1" ? "" : " Unit: \(escaped(family.unit, quotes: isOpenMetrics))."
            text += "# HELP \(shown) What Kafka clients report of themselves.\(unit)\n# TYPE \(shown) \(family.isCounter ? "counter" : "gauge")\n"
            for series in family.series { text += "\(name){\(series.labels)} \(number(series.value))\n" }
        }
        return text
    }

    private static func labels(_ labels: [ClientMetricSample.Label]) -> String {
        var names: Set<String> = []
        var pairs: [String] = []
        for label in labels {
            var name = allowed(label.name)
            // Names that begin so are Prometheus' own.
            if name.hasPrefix("__") { name = "x" + name }
            if names.insert(name).inserted { pairs.append("\(name)=\"\(escaped(label.value, quotes: true))\"") }
        }
        return pairs.joined(separator: ",")
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

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
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
