/// What the operator wants to know of which clients: a resource CLIENT_METRICS with its three settings (KIP-714, "Client metrics configuration").
struct TelemetrySubscription: Sendable, Hashable {
    static let metricsName = "metrics", intervalName = "interval.ms", matchName = "match"
    static let settings: [(name: String, kind: SettingDescription.Kind, byDefault: String, text: String)] = [
        (intervalName, .int, "\(intervalMsDefault)", "How often clients are to report, in milliseconds."),
        (matchName, .list, "", "Which clients are asked, as name=pattern, all of which have to match; none: every client."),
        (metricsName, .list, "", "Prefixes of the names of metrics that clients are to report; *: all."),
    ]
    static let intervalMsDefault: Int32 = 300_000
    private static let intervalMsRange: ClosedRange<Int32> = 100...3_600_000

    /// By what a client may be chosen.
    enum Trait: String, CaseIterable, Sendable {
        case instanceID = "client_instance_id"
        case clientID = "client_id"
        case softwareName = "client_software_name"
        case softwareVersion = "client_software_version"
        case sourceAddress = "client_source_address"
        case sourcePort = "client_source_port"
    }

    struct Condition: Sendable, Hashable {
        var trait: Trait
        var pattern: NamePattern
    }

    var name: String
    /// Prefixes of names of metrics; the empty one stands for all (written `*`).
    var metrics: [String] = []
    var intervalMs = TelemetrySubscription.intervalMsDefault
    /// All have to hold; none: every client.
    var conditions: [Condition] = []

    /// - Throws: INVALID_CONFIG or INVALID_REQUEST naming the setting and what is allowed.
    init(name: String, _ values: [String: String]) throws(KafkaError) {
        guard !name.isEmpty else { throw KafkaError(.invalidRequest, "a subscription to client metrics has a name") }
        self.name = name
        for (setting, text) in values.sorted(by: { $0.key < $1.key }) {
            switch setting {
            case Self.metricsName: metrics = Self.items(text).map { $0 == "*" ? "" : $0 }
            case Self.intervalName:
                guard let number = Int32(text), Self.intervalMsRange.contains(number) else {
                    throw KafkaError(
                        .invalidConfig,
                        "\(setting) is a whole number from \(Self.intervalMsRange.lowerBound) to \(Self.intervalMsRange.upperBound), not \"\(text)\"")
                }
                intervalMs = number
            case Self.matchName:
                for item in Self.items(text) {
                    guard let equals = item.firstIndex(of: "="), let trait = Trait(rawValue: String(item[..<equals])) else {
                        throw KafkaError(
                            .invalidConfig, "\(setting) is a list of name=pattern with names of \(Trait.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(item)\"")
                    }
                    do throws(KafkaError) {
                        conditions.append(Condition(trait: trait, pattern: try NamePattern(String(item[item.index(after: equals)...]))))
                    } catch {
                        throw KafkaError(.invalidConfig, "\(setting): \(error.message)")
                    }
                }
            default:
                throw KafkaError(.invalidConfig, "there is no setting \(setting) of client metrics; there are \(Self.settings.map(\.name).joined(separator: ", "))")
            }
        }
    }

    /// Of a list written with commas, what is not empty.
    private static func items(_ text: String) -> [String] {
        text.split(separator: ",").map { item in
            String(item.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }.filter { !$0.isEmpty }
    }

    func matches(_ client: TelemetryClient, _ instance: UUIDBytes) -> Bool {
        conditions.allSatisfy { $0.pattern.matches(client.value(of: $0.trait, instance)) }
    }
}

/// Who reports: one client, by what its connection says of it.
struct TelemetryClient: Sendable, Hashable {
    var clientID = ""
    var softwareName = ""
    var softwareVersion = ""
    var address = ""
    var port = 0

    /// With texts of a length that can be kept of every client.
    var brief: TelemetryClient {
        func cut(_ text: String) -> String { text.utf8.count <= 256 ? text : String(text.prefix(256)) }
        return TelemetryClient(clientID: cut(clientID), softwareName: cut(softwareName), softwareVersion: cut(softwareVersion), address: address, port: port)
    }

    func value(of trait: TelemetrySubscription.Trait, _ instance: UUIDBytes) -> String {
        switch trait {
        case .instanceID: instance.text
        case .clientID: clientID
        case .softwareName: softwareName
        case .softwareVersion: softwareVersion
        case .sourceAddress: address
        case .sourcePort: "\(port)"
        }
    }
}
