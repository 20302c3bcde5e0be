import Foundation
import Logging
import MartletCore
import MartletLog
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import MartletServer

/// User and password, and TLS, on the HTTP ports.
@Suite struct SecuredServerTests {
    @Test func basicIsParsed() {
        #expect(BasicAuthentication.parse("Basic YWxpY2U6YTpi").map { "\($0.user)|\(String(decoding: $0.password, as: UTF8.self))" } == "alice|a:b")
        for wrong in ["", "Basic", "Bearer YWxpY2U6YTpi", "Basic !", "Basic YWxpY2U=", "Basic OnB3"] { #expect(BasicAuthentication.parse(wrong) == nil, "\(wrong)") }
    }

    /// A second pair of ports over the same engine, which ask who is there.
    private func with(
        tls: TLSFiles? = nil, _ body: @Sendable (ServerFixture, (ksqlPort: Int, registryPort: Int)) async throws -> Void
    ) async throws {
        try await ServerFixture.with { fixture in
            var config = BrokerConfig()
            config.security.superUsers = ["User:root"]
            config.security.authorizes = true
            let rule = #"{"resource":"CLUSTER","name":"kafka-cluster","pattern":"LITERAL","principal":"User:watcher","host":"*","operation":"DESCRIBE","permission":"ALLOW"}"#
            _ = mkdir("\(fixture.log.directory)/security", 0o700)
            try Data(#"{"version":1,"rules":[\#(rule)]}"#.utf8).write(to: URL(filePath: "\(fixture.log.directory)/security/acls.json"))
            let broker = try KafkaBroker(
                log: fixture.log, listeners: [Listener(port: 0)], group: fixture.group, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
                config: config)
            try broker.users.set(password: "pw", of: "root", iterations: 4096)
            try broker.users.set(password: "pw", of: "alice", iterations: 4096)
            try broker.users.set(password: "pw", of: "watcher", iterations: 4096)
            let secured = MartletHTTPServer(
                engine: fixture.engine, registry: fixture.registry, ksql: HTTPListener(hasTLS: tls != nil, port: 0),
                schemas: HTTPListener(hasTLS: tls != nil, port: 0),
                security: HTTPSecurity(tls: tls, asksKsqlUsers: true, asksRegistryUsers: true, broker: broker), group: fixture.group,
                info: ServerInfo(kafkaClusterID: "c", serviceID: "s"), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), time: .system)
            let ports = try await secured.start()
            do {
                try await body(fixture, ports)
            } catch {
                await secured.stop()
                throw error
            }
            await secured.stop()
        }
    }

    @Test func passwordsAndRightsAreAskedFor() async throws {
        try await with { fixture, ports in
            func status(_ port: Int, _ method: String, _ path: String, _ credentials: String?) async throws -> (Int, String) {
                let headers = credentials.map { ["authorization: Basic \($0)"] } ?? []
                let response = try await fixture.client {
                    let connection = try RawConnection(port: port)
                    try connection.send(method, path, method == "PUT" ? "{\"compatibility\":\"NONE\"}" : nil, headers: headers)
                    return try connection.response()
                }
                return (response.status, response.text)
            }
            let root = "cm9vdDpwdw==", alice = "YWxpY2U6cHc=", wrong = "cm9vdDp4"
            #expect(try await status(ports.ksqlPort, "GET", "/info", nil).0 == 401)
            #expect(try await status(ports.ksqlPort, "GET", "/chc/live", nil).0 == 200)
            #expect(try await status(ports.ksqlPort, "POST", "/chc/live", nil).0 == 401)
            let refused = try await status(ports.ksqlPort, "GET", "/info", wrong)
            #expect(refused.0 == 401 && refused.1.contains("40100"))
            #expect(try await status(ports.ksqlPort, "GET", "/info", root).0 == 200)
            #expect(try await status(ports.ksqlPort, "GET", "/info", root).0 == 200, "remembered")
            #expect(try await status(ports.ksqlPort, "GET", "/info", alice).0 == 403)
            #expect(try await status(ports.ksqlPort, "GET", "/metrics", nil).0 == 401)
            #expect(try await status(ports.ksqlPort, "GET", "/metrics", alice).0 == 403)
            let watcher = "d2F0Y2hlcjpwdw=="
            #expect(try await status(ports.ksqlPort, "GET", "/info", watcher).0 == 403)
            let metrics = try await status(ports.ksqlPort, "GET", "/metrics", watcher)
            #expect(metrics.0 == 200 && metrics.1.contains("\nmartlet_kafka_connections{listener="))
            #expect(try await status(ports.registryPort, "GET", "/subjects", nil).0 == 401)
            #expect(try await status(ports.registryPort, "GET", "/subjects", alice).0 == 200)
            #expect(try await status(ports.registryPort, "PUT", "/config", alice).0 == 403)
            #expect(try await status(ports.registryPort, "PUT", "/config", root).0 == 200)
        }
    }

    /// Who comes with plain HTTP is told so, twice at a time or in pieces; what is neither is let go.
    @Test func plainHTTPOnAnHTTPSPortIsExplained() async throws {
        let path = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/") + "/Fixtures/tls/"
        try await with(tls: TLSFiles(certificate: path + "server.pem", key: path + "server.key")) { fixture, ports in
            let (response, isClosed, strangerIsGone) = try await fixture.client {
                let connection = try RawConnection(port: ports.ksqlPort)
                for piece in ["G", "ET /info HTTP/1.1\r\nhost: x\r\n\r\n", "GET /info HTTP/1.1\r\n\r\n"] { try connection.send(piece) }
                let response = try connection.response()
                let stranger = try RawConnection(port: ports.registryPort)
                try stranger.send([1, 2, 3])
                return (response, try connection.isClosedByServer(), try stranger.isClosedByServer())
            }
            #expect(response.status == 400 && response.text.contains("this port speaks https") && isClosed && strangerIsGone)
        }
    }

    @Test func httpsIsServed() async throws {
        let path = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/") + "/Fixtures/tls/"
        try await with(tls: TLSFiles(certificate: path + "server.pem", key: path + "server.key")) { fixture, ports in
            var settings = TLSConfiguration.makeClientConfiguration()
            settings.trustRoots = .file(path + "ca.pem")
            let context = try NIOSSLContext(configuration: settings)
            let received = fixture.group.next().makePromise(of: String.self)
            let channel = try await ClientBootstrap(group: fixture.group).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLClientHandler(context: context, serverHostname: "localhost"), FirstBytes(promise: received))
                }
            }.connect(host: "127.0.0.1", port: ports.ksqlPort).get()
            try await channel.writeAndFlush(
                ByteBuffer(string: "GET /info HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic cm9vdDpwdw==\r\n\r\n")).get()
            #expect(try await received.futureResult.get().hasPrefix("HTTP/1.1 200 OK"))
            try? await channel.close()
        }
    }

    @Test func httpsWithoutACertificateIsRefused() async throws {
        try await ServerFixture.with { fixture in
            let server = MartletHTTPServer(
                engine: fixture.engine, registry: fixture.registry, ksql: HTTPListener(hasTLS: true, port: 0),
                schemas: HTTPListener(port: 0), security: nil, group: fixture.group, info: ServerInfo(kafkaClusterID: "c", serviceID: "s"),
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), time: .system)
            let error = await #expect(throws: MartletError.self) { _ = try await server.start() }
            #expect(error?.code == .invalidProperty)
        }
    }
}

/// Gives the first bytes that arrive.
private final class FirstBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let promise: EventLoopPromise<String>
    init(promise: EventLoopPromise<String>) { self.promise = promise }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { promise.succeed(String(buffer: unwrapInboundIn(data))) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
}
