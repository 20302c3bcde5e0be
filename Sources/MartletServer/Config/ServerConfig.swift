import MartletCore
import MartletLog

/// Where one of the HTTP APIs is served.
public struct HTTPListener: Sendable, Hashable, CustomStringConvertible {
    public var hasTLS: Bool
    public var host: String
    /// 0: any free one.
    public var port: Int

    public init(hasTLS: Bool = false, host: String = "127.0.0.1", port: Int) {
        self.hasTLS = hasTLS
        self.host = host
        self.port = port
    }

    public init(parsing text: String, setting: String) throws(MartletError) {
        guard let endpoint = Endpoint(text), endpoint.scheme == "http" || endpoint.scheme == "https" else {
            throw MartletError(.invalidProperty, "\(setting) is http://host:port or https://host:port, not \"\(text)\"")
        }
        self.init(hasTLS: endpoint.scheme == "https", host: endpoint.host, port: endpoint.port)
    }

    public var description: String { "\(hasTLS ? "https" : "http")://\(Endpoint.bracketed(host)):\(port)" }
}

/// The ports of a node and what is asked of whoever comes in by them: read once from the settings.
public struct ServerConfig: Sendable {
    public var kafka: [Listener]
    public var ksql: HTTPListener
    public var registry: HTTPListener
    public var security: SecurityConfig
    /// Whether SQL and schemas ask for user and password; nil: where there is TLS.
    public var asksHTTPUsers: Bool?
    /// Limits of the Kafka listeners; its `security` is the one above.
    public var broker = BrokerConfig()
    /// What the settings say of limits and topic defaults, for `configure`.
    var brokerValues: [(name: String, value: String)] = []
    /// Of the state of queries; nil: a quarter of the machine's memory.
    public var stateMemoryBytes: Int?
    /// Series of one metric at `/metrics`.
    public var metricSeriesMax = MetricsPage.seriesMaxDefault

    public init(host: String = "127.0.0.1", kafkaPort: Int = 9092, ksqlPort: Int = 8088, registryPort: Int = 8081) {
        kafka = [Listener(host: host, port: kafkaPort)]
        ksql = HTTPListener(host: host, port: ksqlPort)
        registry = HTTPListener(host: host, port: registryPort)
        security = SecurityConfig()
    }

    /// - `settings`: names of the table; a later one wins.
    /// - `host`: of the listeners that no setting names. If there is a certificate those have TLS and ask who is there.
    /// - Throws: `.unknownProperty`, `.invalidProperty` that says what is allowed.
    public init(settings: [(name: String, value: String)], host: String = "127.0.0.1", portOffset: Int = 0) throws(MartletError) {
        self.init(host: host, kafkaPort: 9092 + portOffset, ksqlPort: 8088 + portOffset, registryPort: 8081 + portOffset)
        var values: [String: String] = [:]
        for (name, value) in settings {
            guard ServerSetting.isKnown(name) else { throw MartletError(.unknownProperty, "there is no setting \(name)") }
            values[name] = value
        }
        func value(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

        switch (value("ssl.certificate.location"), value("ssl.key.location")) {
        case (nil, nil): break
        case (let certificate?, let key?): security.tls = TLSFiles(certificate: certificate, key: key)
        default: throw MartletError(.invalidProperty, "ssl.certificate.location and ssl.key.location go together")
        }
        security.tls?.clientAuthority = value("ssl.ca.location")
        if let text = value("ssl.client.auth") {
            guard let asked = TLSFiles.ClientAuthentication(rawValue: text) else {
                throw MartletError(.invalidProperty, "ssl.client.auth is none, requested or required, not \"\(text)\"")
            }
            guard security.tls != nil || asked == .none else {
                throw MartletError(.invalidProperty, "ssl.client.auth=\(text) needs ssl.certificate.location and ssl.key.location")
            }
            security.tls?.clientAuthentication = asked
        }
        if let text = value("sasl.enabled.mechanisms") {
            security.mechanisms = []
            for name in Self.list(text, ",") {
                guard let mechanism = SaslMechanism(rawValue: name) else {
                    let allowed = SaslMechanism.allCases.map(\.rawValue).joined(separator: ", ")
                    throw MartletError(.invalidProperty, "sasl.enabled.mechanisms may hold \(allowed), not \"\(name)\"")
                }
                security.mechanisms.insert(mechanism)
            }
        }
        for name in Self.list(value("super.users") ?? "", ";") {
            guard let principal = Principal(name) else {
                throw MartletError(.invalidProperty, "super.users is a list like User:alice;User:bob, not \"\(name)\"")
            }
            security.superUsers.insert(principal.description)
        }
        security.allowsWithoutRule = try Self.flag("allow.everyone.if.no.acl.found", value("allow.everyone.if.no.acl.found")) ?? false
        if let text = value("authorizer.class.name") {
            guard ServerSetting.authorizers.contains(text) else {
                throw MartletError(
                    .invalidProperty, "authorizer.class.name is \(ServerSetting.authorizers[0]), which stands for Martlet's own, or empty, not \"\(text)\"")
            }
            security.authorizes = true
        }
        var node = NodeConfig()
        brokerValues = BrokerSetting.all.filter(\.isGivenAtStart).compactMap { setting in value(setting.name).map { (setting.name, $0) } }
        try node.apply(brokerValues)
        broker = node.broker
        security.sessionLifetimeMs = broker.security.sessionLifetimeMs
        if let text = value("authentication.method") {
            guard text == "BASIC" || text == "NONE" else {
                throw MartletError(.invalidProperty, "authentication.method is BASIC or NONE, not \"\(text)\"")
            }
            asksHTTPUsers = text == "BASIC"
        }
        if let text = value("state.memory.bytes") {
            guard let bytes = Int(text), bytes > 0 else {
                throw MartletError(.invalidProperty, "state.memory.bytes is a positive number of bytes, not \"\(text)\"")
            }
            stateMemoryBytes = bytes
        }
        if let text = value("metrics.series.max") {
            guard let count = Int(text), count > 0 else {
                throw MartletError(.invalidProperty, "metrics.series.max is a positive number, not \"\(text)\"")
            }
            metricSeriesMax = count
        }
        if security.tls != nil {
            kafka[0].security = .saslSSL
            ksql.hasTLS = true
            registry.hasTLS = true
        }
        try readListeners(value)
    }

    private mutating func readListeners(_ value: (String) -> String?) throws(MartletError) {
        if let text = value("listeners") {
            kafka = []
            for one in Self.list(text, ",") { kafka.append(try Listener(parsing: one)) }
            if kafka.isEmpty { throw MartletError(.invalidProperty, "listeners names no listener") }
        }
        for one in Self.list(value("advertised.listeners") ?? "", ",") {
            let told = try Listener(parsing: one)
            guard let index = kafka.firstIndex(where: { $0.security == told.security }) else {
                throw MartletError(.invalidProperty, "advertised.listeners names \(told), but no listener is \(told.security.rawValue)")
            }
            kafka[index].advertisedHost = told.host
            kafka[index].advertisedPort = told.port
        }
        if let text = value("ksql.listeners") { ksql = try HTTPListener(parsing: text, setting: "ksql.listeners") }
        if let text = value("schema.registry.listeners") { registry = try HTTPListener(parsing: text, setting: "schema.registry.listeners") }
    }

    private static func list(_ text: String, _ separator: Character) -> [String] {
        text.split(separator: separator).map { ServerSetting.trimmed($0) }.filter { !$0.isEmpty }
    }

    private static func flag(_ name: String, _ text: String?) throws(MartletError) -> Bool? {
        switch text {
        case nil: nil
        case "true": true
        case "false": false
        case let other?: throw MartletError(.invalidProperty, "\(name) is true or false, not \"\(other)\"")
        }
    }

    /// Whether this API asks for user and password.
    public func asksUsers(_ listener: HTTPListener) -> Bool { asksHTTPUsers ?? listener.hasTLS }

    /// Refuses what would let other machines in without asking who they are, or let passwords be read on the way.
    ///
    /// - Throws: `.invalidProperty`, one sentence that names the listener.
    public func requireSecurity() throws(MartletError) {
        var open: String?
        for listener in kafka where !Endpoint.isLoopback(listener.host) {
            let asks = listener.security.hasSASL || security.tls?.clientAuthentication == .required
            if !listener.security.hasTLS || !asks { open = open ?? "\(listener)" }
        }
        for listener in [ksql, registry] where !Endpoint.isLoopback(listener.host) {
            if !listener.hasTLS || !asksUsers(listener) { open = open ?? "\(listener)" }
        }
        guard let open else { return }
        throw MartletError(
            .invalidProperty,
            "\(open) can be reached from other machines and must have TLS and ask who is there: set ssl.certificate.location and ssl.key.location, or say --insecure")
    }
}

extension ServerConfig {
    /// Puts limits and topic defaults that the settings name into `log`; the broker's own are in `broker` already.
    ///
    /// - Throws: never in practice: the values were checked when they were read.
    public func configure(_ log: inout LogConfig) throws(MartletError) {
        var node = NodeConfig()
        node.log = log
        try node.apply(brokerValues)
        log = node.log
    }
}
