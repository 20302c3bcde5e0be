import MartletCore
import MartletLog

/// A setting of a node: its ports, and what it may take of the machine. Names are Kafka's, librdkafka's (files) and Confluent's, where they have one.
public struct ServerSetting: Sendable {
    public var name: String
    public var defaultValue: String
    public var summary: String
    /// Kafka clients may change it (AlterConfigs).
    public var changesWhileRunning = false

    /// The one table; `docs/reference/server-settings.md` is made from it.
    public static let all: [ServerSetting] = [
        .init(
            name: "listeners", defaultValue: "PLAINTEXT://127.0.0.1:9092",
            summary: "where Kafka clients come in: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, `://host:port`, several with commas; "
                + "without a host, all addresses"),
        .init(
            name: "advertised.listeners", defaultValue: "",
            summary: "what Kafka clients are told to connect to, one for each protocol of `listeners`; by default the address by which they came"),
        .init(name: "ksql.listeners", defaultValue: "http://127.0.0.1:8088", summary: "where SQL is served, by http or https"),
        .init(name: "schema.registry.listeners", defaultValue: "http://127.0.0.1:8081", summary: "where schemas are served, by http or https"),
        .init(name: "ssl.certificate.location", defaultValue: "", summary: "PEM file: the server's certificate, then those above it"),
        .init(name: "ssl.key.location", defaultValue: "", summary: "PEM file: its private key, without a passphrase"),
        .init(name: "ssl.ca.location", defaultValue: "", summary: "PEM file: who may issue certificates of Kafka clients"),
        .init(
            name: "ssl.client.auth", defaultValue: "none",
            summary: "none, requested or required: certificates of Kafka clients; on SSL listeners the subject is the user, e.g. `User:CN=app,O=Acme`"),
        .init(
            name: "sasl.enabled.mechanisms", defaultValue: "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            summary: "how Kafka clients may say who they are on SASL listeners"),
        .init(
            name: "authorizer.class.name", defaultValue: "",
            summary: "`org.apache.kafka.metadata.authorizer.StandardAuthorizer`: access rules are in force on listeners that ask nobody, too; everybody there is `User:ANONYMOUS`"),
        .init(name: "super.users", defaultValue: "", summary: "who may do everything: `User:alice;User:bob`"),
        .init(
            name: "allow.everyone.if.no.acl.found", defaultValue: "false",
            summary: "whether everybody may use what no access rule speaks of"),
        .init(
            name: "authentication.method", defaultValue: "",
            summary: "BASIC or NONE: whether SQL and schemas ask for user and password; by default BASIC with https, NONE with http"),
        .init(
            name: "state.memory.bytes", defaultValue: "",
            summary: "memory that the state of queries may take, about; what is more is read from disk when it is needed; by default a quarter of the machine's"),
        .init(
            name: "metrics.series.max", defaultValue: "\(MetricsPage.seriesMaxDefault)",
            summary: "series that one metric of `/metrics` may have; those left out are counted in `martlet_metrics_left_out_series`"),
    ] + BrokerSetting.all.filter(\.isGivenAtStart).map { setting in
        .init(
            name: setting.name, defaultValue: setting.defaultValue, summary: setting.summary, changesWhileRunning: setting.change != .atStart)
    }

    /// Kafka's names for what decides on access rules; here all mean the same.
    static let authorizers = ["org.apache.kafka.metadata.authorizer.StandardAuthorizer", "kafka.security.authorizer.AclAuthorizer"]

    public static func isKnown(_ name: String) -> Bool { all.contains { $0.name == name } }

    /// `name=value` lines of a file; `#` and `!` begin comments.
    ///
    /// - Throws: `.invalidProperty` with the number of the line that is neither.
    public static func parse(file text: String, path: String) throws(MartletError) -> [(name: String, value: String)] {
        var settings: [(name: String, value: String)] = []
        for (number, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix("!") { continue }
            guard let equals = line.firstIndex(of: "="), equals != line.startIndex else {
                throw MartletError(.invalidProperty, "\(path), line \(number + 1): a setting is name=value")
            }
            settings.append((trimmed(line[..<equals]), trimmed(line[line.index(after: equals)...])))
        }
        return settings
    }

    static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first.isWhitespace { text = text.dropFirst() }
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        return String(text)
    }
}
