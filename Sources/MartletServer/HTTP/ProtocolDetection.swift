import NIOCore
import NIOHTTP1
import NIOHTTP2
import Synchronization

/// Looks at a connection's first bytes and makes it HTTP/1.1 or, if they are HTTP/2's preface, HTTP/2.
final class ProtocolDetection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let port: PortContext
    private var received = ByteBuffer()

    init(port: PortContext) { self.port = port }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        let preface = CleartextUpgrade.preface
        let seen = received.readableBytesView.prefix(preface.count)
        let isPreface = seen.elementsEqual(preface.prefix(seen.count))
        if isPreface && seen.count < preface.count { return }
        let pipeline = context.pipeline.syncOperations
        do {
            if isPreface {
                try Self.configureHTTP2(pipeline, port: port, bodyBeforeUpgrade: nil)
            } else {
                try Self.configureHTTP1(pipeline, port: port)
            }
        } catch {
            context.close(promise: nil)
            return
        }
        let bytes = received
        received = ByteBuffer()
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        pipeline.removeHandler(context: context, promise: nil)
    }

    private static func configureHTTP1(_ pipeline: ChannelPipeline.SynchronousOperations, port: PortContext) throws {
        let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
        let encoder = HTTPResponseEncoder()
        let pipelining = HTTPServerPipelineHandler()
        try pipeline.addHandlers(encoder, decoder, pipelining)
        let upgrade = CleartextUpgrade(handlers: [encoder, pipelining], decoder: decoder) { pipeline, body in
            try configureHTTP2(pipeline, port: port, bodyBeforeUpgrade: body)
        }
        try pipeline.addHandler(HTTPExchange(port: port, isHTTP2: false, upgrade: upgrade))
    }

    private static func configureHTTP2(
        _ pipeline: ChannelPipeline.SynchronousOperations, port: PortContext, bodyBeforeUpgrade: ByteBuffer?
    ) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 1000), HTTP2Setting(parameter: .maxHeaderListSize, value: 16 << 10),
            HTTP2Setting(parameter: .initialWindowSize, value: 1 << 20),
        ]
        connection.targetWindowSize = 4 << 20
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = 1 << 20
        // Closing a push query is a reset; a dashboard may do that often.
        stream.streamResetFrameRateLimit.maximumCount = 10_000
        let firstBody = BodyOnce(bodyBeforeUpgrade)
        _ = try pipeline.configureHTTP2Pipeline(mode: .server, connectionConfiguration: connection, streamConfiguration: stream) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandlers(
                    HTTP2FramePayloadToHTTP1ServerCodec(),
                    HTTPExchange(port: port, isHTTP2: true, bodyBeforeUpgrade: firstBody.take()))
            }
        }
        try pipeline.addHandler(BrokenConnectionEnd())
    }
}

/// Closes an HTTP/2 connection whose bytes are no frames, once the GOAWAY that says so is out. Errors of single streams leave it open.
private final class BrokenConnectionEnd: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is NIOHTTP2Errors.UnableToParseFrame, is NIOHTTP2Errors.BadClientMagic, is NIOHTTP2Errors.ExcessivelyLargeHeaderBlock,
            is NIOHTTP2Errors.ExcessiveContinuationFrames:
            context.close(promise: nil)
        default: context.fireErrorCaught(error)
        }
    }
}

/// The body that came before the upgrade, for the first stream only.
private final class BodyOnce: Sendable {
    private let body: Mutex<ByteBuffer?>
    init(_ body: ByteBuffer?) { self.body = Mutex(body) }
    func take() -> ByteBuffer? {
        body.withLock { body in
            defer { body = nil }
            return body
        }
    }
}
