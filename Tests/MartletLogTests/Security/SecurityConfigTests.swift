import MartletCore
import NIOSSL
import Testing

@testable import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Certificates in Tests/Fixtures/tls.
func tlsFixture(_ name: String) -> String {
    let path = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return path.dropLast(3).joined(separator: "/") + "/Fixtures/tls/\(name)"
}

@Suite struct SecurityConfigTests {
    @Test func listenersAreParsed() throws {
        #expect(try Listener(parsing: "SASL_SSL://0.0.0.0:9092") == Listener(.saslSSL, host: "0.0.0.0", port: 9092))
        #expect(try Listener(parsing: "plaintext://:0") == Listener(.plaintext, host: "0.0.0.0", port: 0))
        #expect(try Listener(parsing: "SSL://[::1]:9093") == Listener(.ssl, host: "::1", port: 9093))
        for wrong in ["", "SSL", "SSL://x", "SSL://x:y", "SSL://x:70000", "TLS://x:1", "://x:1", "SSL://x/y:1", "SSL:/x:1"] {
            let error = #expect(throws: MartletError.self, "\(wrong)") { try Listener(parsing: wrong) }
            #expect(error?.code == .invalidProperty)
        }
    }

    @Test func loopbackIsToldFromTheRest() {
        for host in ["127.0.0.1", "127.8.9.1", "::1", "localhost"] { #expect(Endpoint.isLoopback(host), "\(host)") }
        for host in ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "127.1", "example.com", "", "1270.0.0.1"] {
            #expect(!Endpoint.isLoopback(host), "\(host)")
        }
    }

    @Test func accessRulesAreInForceWhereClientsSayWhoTheyAre() {
        var config = SecurityConfig()
        #expect(!config.authorizes(on: [Listener(.plaintext), Listener(.ssl)]))
        #expect(config.authorizes(on: [Listener(.plaintext), Listener(.saslPlaintext)]))
        config.tls = TLSFiles(certificate: "c", key: "k", clientAuthority: "a", clientAuthentication: .required)
        #expect(config.authorizes(on: [Listener(.ssl)]))
        config.authorizes = false
        #expect(!config.authorizes(on: [Listener(.saslSSL)]))
    }

    @Test func subjectsAreWrittenAsRFC2253() throws {
        let certificate = try #require(try NIOSSLCertificate.fromPEMFile(tlsFixture("client.pem")).first)
        #expect(CertificateSubject.name(der: try certificate.toDERBytes()) == "CN=client,O=Acme\\, Inc,C=CH")
        #expect(CertificateSubject.name(der: [1, 2, 3]) == nil)
    }

    @Test func filesThatCannotBeUsedAreNamed() throws {
        _ = try TLSFiles(certificate: tlsFixture("server.pem"), key: tlsFixture("server.key")).context()
        func message(_ files: TLSFiles) -> String { #expect(throws: MartletError.self) { try files.context() }?.message ?? "" }
        #expect(message(TLSFiles(certificate: "/nowhere.pem", key: tlsFixture("server.key"))).contains("/nowhere.pem"))
        #expect(message(TLSFiles(certificate: tlsFixture("server.pem"), key: tlsFixture("README.md"))).contains("README.md"))
        #expect(message(TLSFiles(certificate: tlsFixture("server.pem"), key: tlsFixture("client.key"))).contains("server.pem"))
        #expect(
            message(TLSFiles(certificate: tlsFixture("server.pem"), key: tlsFixture("server.key"), clientAuthentication: .required))
                .contains("nothing says who may issue them"))
    }
}
