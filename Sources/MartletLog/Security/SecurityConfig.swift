import MartletCore

/// Where a Kafka client may come in, and what is asked of it there (Kafka documentation, "Listener configuration").
public struct Listener: Sendable, Hashable, CustomStringConvertible {
    public enum Security: String, Sendable, Hashable, CaseIterable {
        case plaintext = "PLAINTEXT"
        case ssl = "SSL"
        case saslPlaintext = "SASL_PLAINTEXT"
        case saslSSL = "SASL_SSL"

        public var hasTLS: Bool { self == .ssl || self == .saslSSL }
        public var hasSASL: Bool { self == .saslPlaintext || self == .saslSSL }
    }

    public var security: Security
    public var host: String
    /// 0: any free one.
    public var port: Int
    /// What clients are told to connect to; nil: the address by which each of them came.
    public var advertisedHost: String?
    public var advertisedPort: Int?

    public init(_ security: Security = .plaintext, host: String = "127.0.0.1", port: Int = 9092) {
        self.security = security
        self.host = host
        self.port = port
    }

    /// `SASL_SSL://host:port`; an IPv6 address stands in brackets, no host means all addresses.
    public init(parsing text: String) throws(MartletError) {
        let allowed = Security.allCases.map(\.rawValue).joined(separator: ", ")
        guard let scheme = Endpoint(text), let security = Security(rawValue: scheme.scheme.uppercased()) else {
            throw MartletError(
                .invalidProperty, "a listener is PROTOCOL://host:port, not \"\(text)\"", hint: "the protocol is one of \(allowed)")
        }
        self.init(security, host: scheme.host, port: scheme.port)
    }

    public var description: String { "\(security.rawValue)://\(Endpoint.bracketed(host)):\(port)" }
}

/// `scheme://host:port`.
public struct Endpoint: Sendable, Hashable {
    public var scheme: String
    public var host: String
    public var port: Int

    public init?(_ text: String) {
        guard let separator = text.firstRange(of: "://"), let colon = text.lastIndex(of: ":"), colon >= separator.upperBound,
            let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port)
        else { return nil }
        scheme = String(text[..<separator.lowerBound])
        var host = text[separator.upperBound..<colon]
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        if host.contains("/") || host.contains("[") || scheme.isEmpty { return nil }
        self.host = host.isEmpty ? "0.0.0.0" : String(host)
        self.port = port
    }

    public static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }

    /// Whether only this machine can reach it.
    public static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "0:0:0:0:0:0:0:1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

/// What the Kafka listeners ask of clients. Everything open is the default, which is meant for loopback alone.
public struct SecurityConfig: Sendable {
    /// Certificates of all listeners with TLS.
    public var tls: TLSFiles?
    public var mechanisms: Set<SaslMechanism> = Set(SaslMechanism.allCases)
    /// "User:alice": may do everything.
    public var superUsers: Set<String> = []
    /// Whether access rules are obeyed; by default where a listener asks clients who they are.
    public var authorizes: Bool?
    /// What no rule speaks of is allowed (Kafka: allow.everyone.if.no.acl.found).
    public var allowsWithoutRule = false
    /// A SASL session ends after so long unless the client authenticates again (Kafka: connections.max.reauth.ms); 0: never.
    public var sessionLifetimeMs: Int64 = 0
    /// Who has not authenticated by then is disconnected.
    public var authenticationTimeoutMs: Int64 = 30_000
    /// A failed authentication is answered only after this, so that guessing takes time.
    public var failureDelayMs: Int64 = 100

    public init() {}

    func authorizes(on listeners: [Listener]) -> Bool {
        authorizes ?? listeners.contains { $0.security.hasSASL || ($0.security.hasTLS && tls?.clientAuthentication ?? .none != .none) }
    }
}
