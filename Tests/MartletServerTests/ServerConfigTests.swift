import MartletCore
import MartletLog
import Testing

@testable import MartletServer

@Suite struct ServerConfigTests {
    private func config(_ settings: String..., host: String = "127.0.0.1") throws(MartletError) -> ServerConfig {
        let parsed = try ServerSetting.parse(file: settings.joined(separator: "\n"), path: "test")
        return try ServerConfig(settings: parsed, host: host)
    }

    private static let tls = "ssl.certificate.location=c.pem\nssl.key.location=k.pem"

    @Test func theDefaultIsLoopbackWithoutQuestions() throws {
        let config = try config()
        #expect(config.kafka == [Listener(.plaintext, host: "127.0.0.1", port: 9092)])
        #expect("\(config.ksql) \(config.registry)" == "http://127.0.0.1:8088 http://127.0.0.1:8081")
        #expect(!config.asksUsers(config.ksql))
        try config.requireSecurity()
    }

    @Test func aCertificateMakesThePortsSecure() throws {
        let config = try config(Self.tls, "super.users = User:root;User:CN=a,O=b", host: "0.0.0.0")
        #expect(config.kafka == [Listener(.saslSSL, host: "0.0.0.0", port: 9092)])
        #expect(config.ksql.hasTLS && config.registry.hasTLS && config.asksUsers(config.ksql))
        #expect(config.security.superUsers == ["User:root", "User:CN=a,O=b"])
        try config.requireSecurity()
    }

    @Test func listenersAreReadWithWhatClientsAreTold() throws {
        let config = try config(
            "# comment", "listeners=SASL_SSL://:9094, PLAINTEXT://127.0.0.1:9092", "advertised.listeners=SASL_SSL://kafka.example:443",
            "ksql.listeners=https://[::1]:1", Self.tls, "ssl.client.auth=required", "ssl.ca.location=ca.pem",
            "sasl.enabled.mechanisms=SCRAM-SHA-512", "connections.max.reauth.ms=1000", "allow.everyone.if.no.acl.found=true", "state.memory.bytes=1000000")
        #expect(config.stateMemoryBytes == 1_000_000)
        #expect(config.kafka.map(\.description) == ["SASL_SSL://0.0.0.0:9094", "PLAINTEXT://127.0.0.1:9092"])
        #expect(config.kafka[0].advertisedHost == "kafka.example" && config.kafka[0].advertisedPort == 443 && config.kafka[1].advertisedHost == nil)
        #expect(config.ksql == HTTPListener(hasTLS: true, host: "::1", port: 1))
        #expect(config.security.tls == TLSFiles(certificate: "c.pem", key: "k.pem", clientAuthority: "ca.pem", clientAuthentication: .required))
        #expect(config.security.mechanisms == [.scramSHA512] && config.security.sessionLifetimeMs == 1000 && config.security.allowsWithoutRule)
    }

    /// Each way to be open to other machines is refused, and named.
    @Test func otherAddressesNeedTLSAndLogin() throws {
        let open: [[String]] = [
            ["listeners=PLAINTEXT://0.0.0.0:1"], ["listeners=SASL_PLAINTEXT://10.0.0.1:1"], [Self.tls, "listeners=SSL://example.com:1"],
            [Self.tls, "listeners=SSL://[::]:1", "ssl.client.auth=requested"], ["ksql.listeners=http://0.0.0.0:1"],
            ["schema.registry.listeners=http://:1"], [Self.tls, "ksql.listeners=https://0.0.0.0:1", "authentication.method=NONE"],
            ["authentication.method=BASIC", "ksql.listeners=http://0.0.0.0:1"],
        ]
        for settings in open {
            let config = try ServerConfig(settings: ServerSetting.parse(file: settings.joined(separator: "\n"), path: "t"))
            let error = #expect(throws: MartletError.self, "\(settings)") { try config.requireSecurity() }
            #expect(error?.message.contains("can be reached from other machines") == true && error?.message.contains("\n") == false)
        }
        #expect(throws: MartletError.self) { try config(host: "0.0.0.0").requireSecurity() }
        try config(Self.tls, "listeners=SSL://0.0.0.0:1", "ssl.client.auth=required", "ssl.ca.location=ca").requireSecurity()
    }

    @Test func whatCannotBeIsRefused() {
        let wrong = [
            "ssl.certificate.location=x", "ssl.key.location=x", "ssl.client.auth=required", "ssl.client.auth=maybe", "sasl.enabled.mechanisms=GSSAPI",
            "connections.max.reauth.ms=-1", "connections.max.reauth.ms=soon", "super.users=alice", "allow.everyone.if.no.acl.found=yes",
            "authentication.method=DIGEST", "listeners=x", "listeners=,", "advertised.listeners=SSL://a:1", "ksql.listeners=ftp://a:1",
            "state.memory.bytes=0", "state.memory.bytes=1GB", "no.such.setting=1", "words", "=1",
        ]
        for line in wrong {
            let error = #expect(throws: MartletError.self, "\(line)") { try config(line) }
            #expect(error?.code == .invalidProperty || error?.code == .unknownProperty)
        }
    }

    @Test func limitsAndDefaultsHaveKafkasNames() throws {
        let config = try ServerConfig(settings: [
            ("num.partitions", "4"), ("auto.create.topics.enable", "false"), ("max.connections.per.ip", "7"), ("offsets.retention.minutes", "2"),
            ("log.retention.ms", "1234"), ("transactional.id.expiration.ms", "99"), ("message.max.bytes", "5000"),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ])
        #expect(config.broker.partitionsDefault == 4 && !config.broker.createTopicsOnUse && config.broker.connectionsPerAddressMax == 7)
        #expect(config.broker.groups.offsetsRetentionMs == 120_000 && config.security.authorizes == true)
        var log = LogConfig(durability: .os)
        try config.configure(&log)
        #expect(log.topics.retentionMs == 1234 && log.topics.maxMessageBytes == 5000 && log.transactionalIDExpirationMs == 99)
        #expect(log.durability == .os)
        for (name, value) in [
            ("num.partitions", "0"), ("num.partitions", "many"), ("auto.create.topics.enable", "yes"), ("log.cleanup.policy", "burn"),
            ("authorizer.class.name", "com.example.Mine"), ("connections.max.idle.ms", "-1"),
        ] {
            let error = #expect(throws: MartletError.self) { try ServerConfig(settings: [(name, value)]) }
            #expect(error?.code == .invalidProperty && error?.message.contains(name) == true)
        }
        // What the table says is in force is in force.
        for setting in ServerSetting.all where !setting.defaultValue.isEmpty {
            #expect(throws: Never.self, "\(setting.name)") { try ServerConfig(settings: [(setting.name, setting.defaultValue)]) }
        }
    }
}
