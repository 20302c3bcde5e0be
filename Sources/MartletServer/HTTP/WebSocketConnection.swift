import MartletCore
import NIOCore
import NIOWebSocket
import Synchronization

/// The server's end of a websocket (RFC 6455) that only sends: text frames, held back by a slow client, and a close frame with a reason.
final class WebSocketConnection: Sendable {
    private struct State {
        var isClosed = false
        var saidGoodbye = false
        var onClose: [@Sendable () -> Void] = []
    }

    private let channel: any Channel
    private let state = Mutex(State())

    init(_ channel: any Channel) { self.channel = channel }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Calls `body` once the client has gone or said goodbye; at once if it has.
    func onClose(_ body: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.onClose.append(body) }
            return state.isClosed
        }
        if isClosed { body() }
    }

    /// Sends one frame a text; returns when they have left for the socket.
    /// - Throws: `ClientGone`.
    func send(_ texts: [[UInt8]]) async throws(ClientGone) {
        if isClosed { throw ClientGone() }
        guard let last = texts.indices.last else { return }
        for text in texts[..<last] { channel.write(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: text)), promise: nil) }
        do {
            try await channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(bytes: texts[last])))
        } catch {
            throw ClientGone()
        }
    }

    /// Says goodbye, gives the client two seconds to answer, and closes the connection.
    func close(_ code: WebSocketErrorCode, _ reason: String) async {
        let isFirst = state.withLock { state in
            defer { state.saidGoodbye = true }
            return !state.isClosed && !state.saidGoodbye
        }
        guard isFirst else { return }
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        // A control frame holds 125 bytes; cut between characters.
        var bytes = Array(reason.utf8.prefix(123))
        if bytes.count < reason.utf8.count { while let last = bytes.last, last & 0xc0 == 0x80 || last >= 0xc0 { bytes.removeLast() } }
        data.writeBytes(bytes)
        let channel = channel, goodbye = WebSocketFrame(fin: true, opcode: .connectionClose, data: data)
        channel.eventLoop.execute {
            channel.writeAndFlush(goodbye, promise: nil)
            channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
        }
        try? await channel.closeFuture.get()
    }

    /// The client says goodbye: whether that answers ours.
    fileprivate func heardGoodbye() -> Bool {
        defer { gone() }
        return state.withLock { $0.saidGoodbye }
    }

    fileprivate func gone() {
        let callbacks = state.withLock { state in
            state.isClosed = true
            defer { state.onClose = [] }
            return state.onClose
        }
        for callback in callbacks { callback() }
    }
}

/// Answers pings and goodbyes; what else a client sends says nothing here.
final class WebSocketHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let socket: WebSocketConnection

    init(_ socket: WebSocketConnection) { self.socket = socket }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .ping:
            context.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)), promise: nil)
        case .connectionClose:
            let channel = context.channel
            // Of two goodbyes the second answers the first.
            if socket.heardGoodbye() { return channel.close(promise: nil) }
            context.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: frame.unmaskedData)))
                .whenComplete { _ in channel.close(promise: nil) }
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        socket.gone()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socket.gone()
        context.close(promise: nil)
    }
}
