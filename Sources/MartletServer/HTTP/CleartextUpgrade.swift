import NIOCore
import NIOHTTP1
import NIOWebSocket

/// From HTTP/1.1 to another protocol on the same connection: to a websocket, or
/// to HTTP/2 by `Upgrade: h2c` (RFC 7540 §3.2), as Java's own HTTP client asks for it.
///
/// The request that asks comes by HTTP/1.1 and is answered on stream 1. The client may send HTTP/2 only after the 101, and begins with its
/// preface and SETTINGS; behind those we put the HEADERS frame that the request would have been, so that the HTTP/2 handler sees an ordinary
/// stream 1. The frame uses no dynamic table entry, so the client's compression state is not touched. The body is not put in, since it would
/// disturb the flow control windows: stream 1's exchange gets it by hand.
struct CleartextUpgrade {
    /// The HTTP/1.1 handlers to take out, the decoder apart.
    var handlers: [any RemovableChannelHandler]
    var decoder: any RemovableChannelHandler
    /// Adds the HTTP/2 handlers; the buffer is the body for stream 1.
    var configureHTTP2: (ChannelPipeline.SynchronousOperations, ByteBuffer) throws -> Void

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    /// What every receiver takes in one frame.
    private static let frameBytesMax = 16_384

    func isWanted(by head: HTTPRequestHead) -> Bool {
        head.version == .http1_1 && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "h2c" }
            && head.headers[canonicalForm: "http2-settings"].count == 1
    }

    /// Switches the connection; false if the request cannot be carried over and is to be answered by HTTP/1.1.
    func begin(_ head: HTTPRequestHead, body: ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        guard let frame = Self.headersFrame(head) else { return false }
        let response = HTTPResponseHead(
            version: .http1_1, status: .switchingProtocols, headers: ["connection": "Upgrade", "upgrade": "h2c"])
        context.writeAndFlush(NIOAny(HTTPServerResponsePart.head(response)), promise: nil)
        let pipeline = context.pipeline.syncOperations, channel = context.channel
        // First: the HTTP/2 handler writes its own preface the moment it is added.
        for handler in handlers { pipeline.removeHandler(handler, promise: nil) }
        pipeline.removeHandler(context: context, promise: nil)
        do {
            try pipeline.addHandler(StreamOneInsertion(frame: frame))
            try configureHTTP2(pipeline, body)
        } catch {
            channel.close(promise: nil)
            return true
        }
        // Last: it hands on the bytes that it has not read.
        pipeline.removeHandler(decoder, promise: nil)
        return true
    }

    /// Answers the request with 101 and makes its connection a websocket.
    func openWebSocket(
        _ request: HTTPRequest, _ exchange: any RemovableChannelHandler, _ channel: any Channel
    ) -> EventLoopFuture<WebSocketConnection> {
        let upgrader = NIOWebSocketServerUpgrader(
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })
        let asked = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: request.headers)
        let old = NIOLoopBound((handlers: handlers + [exchange], decoder: decoder), eventLoop: channel.eventLoop)
        return upgrader.buildUpgradeResponse(channel: channel, upgradeRequest: asked, initialResponseHeaders: [:]).flatMapThrowing { headers in
            var response = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers)
            response.headers.replaceOrAdd(name: "connection", value: "Upgrade")
            response.headers.replaceOrAdd(name: "upgrade", value: "websocket")
            channel.writeAndFlush(HTTPServerResponsePart.head(response), promise: nil)
            let pipeline = channel.pipeline.syncOperations
            for handler in old.value.handlers { pipeline.removeHandler(handler, promise: nil) }
            let socket = WebSocketConnection(channel)
            try pipeline.addHandlers(
                WebSocketFrameEncoder(), ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 16)), WebSocketHandler(socket))
            // Last: it hands on the bytes that it has not read.
            pipeline.removeHandler(old.value.decoder, promise: nil)
            return socket
        }
    }

    /// The request's head as a HEADERS frame that opens and half-closes stream 1; nil if it does not fit into one frame.
    private static func headersFrame(_ head: HTTPRequestHead) -> [UInt8]? {
        var block: [UInt8] = []
        add(":method", head.method.rawValue, to: &block)
        add(":scheme", "http", to: &block)
        add(":path", head.uri, to: &block)
        if let host = head.headers.first(name: "host") { add(":authority", host, to: &block) }
        let dropped: Set = [
            "connection", "upgrade", "http2-settings", "host", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "expect", "te",
        ]
        for (name, value) in head.headers {
            let name = name.lowercased()
            if !dropped.contains(name) { add(name, value, to: &block) }
        }
        guard block.count <= frameBytesMax else { return nil }
        let (endStream, endHeaders): (UInt8, UInt8) = (0x1, 0x4)
        let length = [UInt8(block.count >> 16 & 0xff), UInt8(block.count >> 8 & 0xff), UInt8(block.count & 0xff)]
        return length + [0x1, endStream | endHeaders, 0, 0, 0, 1] + block
    }

    /// "Literal header field without indexing, new name" (RFC 7541 §6.2.2), without Huffman coding.
    private static func add(_ name: String, _ value: String, to block: inout [UInt8]) {
        block.append(0)
        for text in [name, value] {
            let bytes = Array(text.utf8)
            var rest = bytes.count
            if rest < 127 {
                block.append(UInt8(rest))
            } else {
                block.append(127)
                rest -= 127
                while rest >= 128 {
                    block.append(UInt8(rest & 127) | 128)
                    rest >>= 7
                }
                block.append(UInt8(rest))
            }
            block += bytes
        }
    }
}

/// Passes on the client's preface and its first frame, then our HEADERS frame, then everything else.
private final class StreamOneInsertion: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var frame: [UInt8]?
    private var received = ByteBuffer()

    init(frame: [UInt8]) { self.frame = frame }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let frame else { return context.fireChannelRead(data) }
        received.writeImmutableBuffer(unwrapInboundIn(data))
        let preface = CleartextUpgrade.preface.count
        guard let head = received.getBytes(at: received.readerIndex, length: preface + 9) else { return }
        let length = Int(head[preface]) << 16 | Int(head[preface + 1]) << 8 | Int(head[preface + 2])
        guard Array(head.prefix(preface)) == CleartextUpgrade.preface, length <= 16_384 else {
            context.close(promise: nil)
            return
        }
        guard let opening = received.readSlice(length: preface + 9 + length) else { return }
        self.frame = nil
        context.fireChannelRead(wrapInboundOut(opening))
        context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: frame)))
        if received.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(received)) }
        received = ByteBuffer()
    }
}
