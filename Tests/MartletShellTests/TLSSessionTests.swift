import MartletCore
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import MartletShell

/// The client over TLS, against a server that answers every request with the same.
@Suite struct TLSSessionTests {
    private static let fixtures =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/") + "/Fixtures/tls/"

    private func with(_ body: (_ port: Int) throws -> Void) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(Self.fixtures + "server.pem").map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: Self.fixtures + "server.key", format: .pem)))
        let context = try NIOSSLContext(configuration: configuration)
        let listener = try ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers(NIOSSLServerHandler(context: context), CannedAnswer())
            }
        }.bind(host: "127.0.0.1", port: 0).wait()
        try body(listener.localAddress?.port ?? 0)
        try listener.close().wait()
    }

    private func message(_ body: () throws(RestFailure) -> Void) -> String {
        do throws(RestFailure) {
            try body()
            return "no error"
        } catch {
            if case .transport(let error) = error { return error.message }
            return "\(error)"
        }
    }

    /// Several answers, the second larger than any record of TLS, over one connection.
    @Test func answersComeOverTLS() throws {
        try with { port in
            let trust = try TLSTrust(authorities: Self.fixtures + "ca.pem")
            let client = RestClient(try ServerAddress("https://root:pw@localhost:\(port)"), trust: trust)
            for _ in 0..<3 { #expect(try client.info()["version"]?.stringValue == String(repeating: "7", count: CannedAnswer.versionLength)) }
            #expect(try client.info()["connection"]?.intValue == 4, "all requests came by one connection")
        }
    }

    @Test func strangersAreNotTrusted() throws {
        try with { port in
            let address = try ServerAddress("https://localhost:\(port)")
            #expect(message { () throws(RestFailure) in _ = try RestClient(address).info() }.contains("certificate is not signed by an authority"))
            let trust = try TLSTrust(authorities: Self.fixtures + "ca.pem")
            // A connection without TLS is no handshake.
            let plain = ScriptedServer { _, _ in .init("HTTP/1.1 400 Bad Request\r\n\r\n") }
            let other = try #require(plain)
            defer { other.stop() }
            let toPlain = RestClient(try ServerAddress("https://localhost:\(other.port)"), trust: trust)
            #expect(
                message { () throws(RestFailure) in _ = try toPlain.info() } == "cannot reach https://localhost:\(other.port): the server does not speak TLS")
        }
        #expect(throws: MartletError.self) { try TLSTrust(authorities: "/no/such/file") }
    }
}

/// Answers each request of a connection with a long version and how many came before.
private final class CannedAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    static let versionLength = 100_000
    private var received = ByteBuffer()
    private var count = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard String(buffer: received).hasSuffix("\r\n\r\n") else { return }
        received.clear()
        count += 1
        let version = String(repeating: "7", count: Self.versionLength)
        let body = "{\"KsqlServerInfo\":{\"version\":\"\(version)\",\"connection\":\(count)}}"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")), promise: nil)
    }
}
