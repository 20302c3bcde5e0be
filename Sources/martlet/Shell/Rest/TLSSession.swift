import MartletCore
import NIOCore
import NIOEmbedded
import NIOSSL
import NIOTLS

/// Whom the client trusts: made once, used by all connections to a server.
public final class TLSTrust: Sendable {
    fileprivate let context: NIOSSLContext

    /// - `authorities`: a file of certificates in PEM form that may sign the server's; nil: those of the system.
    /// - Throws: `.io` naming the file.
    public init(authorities: String?) throws(MartletError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = ["http/1.1"]
        do {
            if let authorities {
                let certificates = try NIOSSLCertificate.fromPEMFile(authorities)
                configuration.trustRoots = .certificates(certificates)
            }
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw MartletError(
                .io, "no certificates can be read from \(authorities ?? "the system's store")", detail: "\(error)",
                hint: "the file holds certificates in PEM form")
        }
    }
}

/// TLS of one connection without a socket: what one side hands in comes out for the other.
///
/// The handshake's state machine is swift-nio-ssl's, on a channel that lives on the calling thread, so that waiting stays where Ctrl-C can end it.
/// Nothing here waits for the channel: on this thread nobody would fulfil what it waits for.
final class TLSSession {
    private let channel: EmbeddedChannel
    private let watcher = HandshakeWatcher()

    /// - `host`: the name that the certificate must have; for an address in numbers that address.
    /// - Throws: `.io`.
    init(_ trust: TLSTrust, host: String, port: UInt16) throws(MartletError) {
        channel = EmbeddedChannel()
        do {
            let address = try? SocketAddress(ipAddress: host, port: Int(port))
            let handler = try NIOSSLClientHandler(context: trust.context, serverHostname: address == nil ? host : nil)
            try channel.pipeline.syncOperations.addHandlers(handler, watcher)
            // Says hello.
            channel.connect(to: try address ?? SocketAddress(ipAddress: "127.0.0.1", port: Int(port)), promise: nil)
        } catch {
            throw Self.failure(error)
        }
    }

    var isReady: Bool { watcher.isDone }

    /// Takes plain text to send.
    func write(_ bytes: [UInt8]) throws(MartletError) {
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        if let error = watcher.error { throw Self.failure(error) }
    }

    /// What is to go to the server.
    func takeOutbound() -> [UInt8] {
        var out: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { out += buffer.readableBytesView }
        return out
    }

    /// Takes what came from the server; gives the plain text in it.
    func receive(_ bytes: ArraySlice<UInt8>) throws(MartletError) -> [UInt8] {
        var out: [UInt8] = []
        do {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            while let buffer = try channel.readInbound(as: ByteBuffer.self) { out += buffer.readableBytesView }
        } catch {
            throw Self.failure(error)
        }
        if let error = watcher.error { throw Self.failure(error) }
        return out
    }

    private static func failure(_ error: any Error) -> MartletError {
        let text = "\(error)"
        // What BoringSSL calls the two things that go wrong most often.
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return MartletError(
                .io, "the server's certificate is not signed by an authority that is trusted here, or has expired",
                hint: "--ca-file names the certificate of an authority of your own")
        }
        if text.contains("WRONG_VERSION_NUMBER") {
            return MartletError(.io, "the server does not speak TLS", hint: "a server without TLS has an address with http://")
        }
        return MartletError(.io, "no TLS: \(text)", hint: "--ca-file names the certificate of an authority of your own; a server without TLS has an address with http://")
    }
}

/// Notes the end of the handshake, good or bad.
private final class HandshakeWatcher: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    var isDone = false
    var error: (any Error)?

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { isDone = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.error = self.error ?? error }
}
