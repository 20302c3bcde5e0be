import MartletCore
import NIOCore
import NIOHTTP1
import NIOWebSocket

/// What all connections of one port share.
struct PortContext: Sendable {
    var router: Router
    var activity: ServerActivity
    /// A collected body may have so many bytes; more is answered with 413.
    var bodyBytesMax = 64 << 20
}

/// The server's end of one HTTP/1.1 connection or of one HTTP/2 stream: collects requests, starts their routes and lets them write.
///
/// One request is worked on at a time (the pipeline handler before it sees to that for HTTP/1.1).
final class HTTPExchange: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = Never
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Receiving {
        case nothing
        case collecting(HTTPRequestHead, ByteBuffer)
        case streaming(RequestBody)
        /// The request was answered before its end; the connection closes.
        case discarding
    }

    private let port: PortContext
    private let isHTTP2: Bool
    private var receiving = Receiving.nothing
    private var writer: ResponseWriter?
    /// The body of the request that asked for HTTP/2: it came by HTTP/1.1, its head is stream 1's.
    private var bodyBeforeUpgrade: ByteBuffer?
    /// Nil where there is nothing to upgrade to.
    private let upgrade: CleartextUpgrade?

    init(port: PortContext, isHTTP2: Bool, bodyBeforeUpgrade: ByteBuffer? = nil, upgrade: CleartextUpgrade? = nil) {
        self.port = port
        self.isHTTP2 = isHTTP2
        self.bodyBeforeUpgrade = bodyBeforeUpgrade
        self.upgrade = upgrade
    }

    // MARK: - From the client

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), receiving) {
        case (.head(let head), .nothing): begin(head, context)
        case (.body(let piece), .collecting(let head, var body)):
            receiving = .nothing  // so that `body` is not copied
            if body.readableBytes + piece.readableBytes > port.bodyBytesMax {
                refuse(HTTPFailure(.payloadTooLarge, "a request body has at most \(port.bodyBytesMax) bytes"), head, context)
                return
            }
            body.writeImmutableBuffer(piece)
            receiving = .collecting(head, body)
        case (.body(let piece), .streaming(let body)): body.append(piece)
        case (.end, .collecting(let head, let body)):
            receiving = .nothing
            if let upgrade, upgrade.isWanted(by: head), upgrade.begin(head, body: body, context) { return }
            var request = HTTPRequest(head: head, isHTTP2: isHTTP2)
            request.body = Array((bodyBeforeUpgrade ?? body).readableBytesView)
            bodyBeforeUpgrade = nil
            if answerImmediately(request, head, context) { return }
            start(request, head, context)
        case (.end, .streaming(let body)):
            receiving = .nothing
            body.finish()
        case (.end, .discarding), (.body, .discarding), (.head, _), (.body, .nothing), (.end, .nothing): break
        }
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > port.bodyBytesMax,
            !port.router.streamsBody(head.method, HTTPRequest.target(head.uri).segments)
        {
            refuse(HTTPFailure(.payloadTooLarge, "a request body has at most \(port.bodyBytesMax) bytes"), head, context)
            return
        }
        if head.headers[canonicalForm: "expect"].contains(where: { $0.lowercased() == "100-continue" }) {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
        }
        var request = HTTPRequest(head: head, isHTTP2: isHTTP2)
        let isUpgrade = upgrade?.isWanted(by: head) == true || bodyBeforeUpgrade != nil
        guard !isUpgrade, port.router.streamsBody(head.method, request.segments) else {
            receiving = .collecting(head, ByteBuffer())
            return
        }
        let channel = context.channel
        let body = RequestBody(roomMade: { channel.read() })
        receiving = .streaming(body)
        request.bodyStream = body
        start(request, head, context)
    }

    /// A read that would overfill a streamed body waits until the route has taken some.
    func read(context: ChannelHandlerContext) {
        if case .streaming(let body) = receiving, !body.hasRoom { return }
        context.read()
    }

    // MARK: - The answer

    /// Answers here and now what needs no task; false: it does.
    private func answerImmediately(_ request: HTTPRequest, _ head: HTTPRequestHead, _ context: ChannelHandlerContext) -> Bool {
        guard head.method == .POST else { return false }
        var request = request
        if port.router.authentication != nil { request.client = ResponseWriter(channel: context.channel, omitsBody: false) }
        guard let response = port.router.immediately(request), case .bytes(let bytes) = response.body, port.activity.begin() else { return false }
        defer { port.activity.end() }
        let keepsAlive = keepsAlive(head)
        var headers = response.headers
        headers.replaceOrAdd(name: "content-length", value: "\(bytes.count)")
        if !isHTTP2 { Self.tellConnection(&headers, head.version, keepsAlive: keepsAlive, hasLength: true) }
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: response.status, headers: headers))), promise: nil)
        if !bytes.isEmpty { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil) }
        let end = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if !keepsAlive && !isHTTP2 {
            let channel = context.channel
            end.whenComplete { _ in channel.close(promise: nil) }
        }
        return true
    }

    /// A connection that asked for another protocol than ours cannot be used for a second request: its parser has stopped.
    private func keepsAlive(_ head: HTTPRequestHead) -> Bool { head.isKeepAlive && (isHTTP2 || !head.headers.contains(name: "upgrade")) }

    private static func tellConnection(_ headers: inout HTTPHeaders, _ version: HTTPVersion, keepsAlive: Bool, hasLength: Bool) {
        if version.minor == 0 && version.major == 1 {
            if keepsAlive, hasLength { headers.add(name: "connection", value: "keep-alive") }
        } else if !keepsAlive {
            headers.add(name: "connection", value: "close")
        }
    }

    private func start(_ request: HTTPRequest, _ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let writer = ResponseWriter(channel: context.channel, omitsBody: head.method == .HEAD)
        self.writer = writer
        var request = request
        request.client = writer
        let keepsAlive = keepsAlive(head)
        let port = port, channel = context.channel
        let finished = NIOLoopBound(self, eventLoop: context.eventLoop)
        let asked = request, version = head.version
        Task { @Sendable in
            switch await Self.answer(asked, writer, port, version: version, keepsAlive: keepsAlive) {
            case .sent(let closes): channel.eventLoop.execute { finished.value.finish(asked, writer, channel, closes: closes) }
            case .upgraded(let run):
                do {
                    let socket = try await channel.eventLoop.flatSubmit { finished.value.openWebSocket(asked, channel) }.get()
                    await run(socket)
                    await socket.close(.normalClosure, "done")
                } catch {
                    channel.close(promise: nil)
                }
                port.activity.end()
            }
        }
    }

    private func finish(_ request: HTTPRequest, _ writer: ResponseWriter, _ channel: any Channel, closes: Bool) {
        if self.writer === writer { self.writer = nil }
        if case .streaming(let body) = receiving, body === request.bodyStream {
            // Answered before the client had sent everything.
            body.fail()
            receiving = .discarding
            Self.closeGently(channel, lingers: !isHTTP2)
        } else if closes && !isHTTP2 {
            channel.close(promise: nil)
        }
    }

    /// Takes HTTP out of the pipeline.
    private func openWebSocket(_ request: HTTPRequest, _ channel: any Channel) -> EventLoopFuture<WebSocketConnection> {
        guard let upgrade, channel.isActive else { return channel.eventLoop.makeFailedFuture(ClientGone()) }
        writer = nil
        return upgrade.openWebSocket(request, self, channel)
    }

    private enum Answered {
        /// The response is under way; `closes`: the connection cannot be used for another request.
        case sent(closes: Bool)
        /// The connection is to be a websocket; the request goes on until that ends.
        case upgraded(@Sendable (WebSocketConnection) async -> Void)
    }

    /// Runs the route and sends its response.
    private static func answer(
        _ request: HTTPRequest, _ writer: ResponseWriter, _ port: PortContext, version: HTTPVersion, keepsAlive: Bool
    ) async -> Answered {
        guard port.activity.begin() else {
            let response = port.router.errorResponse(ServerActivity.isShuttingDown)
            _ = await send(response, writer, request, version: version, keepsAlive: false)
            return .sent(closes: true)
        }
        let response = await port.router.respond(to: request)
        if case .webSocket(let run) = response.body { return .upgraded(run) }
        defer { port.activity.end() }
        let isComplete = await send(response, writer, request, version: version, keepsAlive: keepsAlive)
        writer.forgetCallbacks()
        return .sent(closes: !isComplete || !keepsAlive)
    }

    private static func send(
        _ response: HTTPResponse, _ writer: ResponseWriter, _ request: HTTPRequest, version: HTTPVersion, keepsAlive: Bool
    ) async -> Bool {
        let isHTTP2 = request.isHTTP2
        var head = HTTPResponseHead(version: version, status: response.status, headers: response.headers)
        let hasLength = if case .bytes = response.body { true } else { false }
        if !isHTTP2 { tellConnection(&head.headers, version, keepsAlive: keepsAlive, hasLength: hasLength) }
        do throws(ClientGone) {
            switch response.body {
            case .bytes(let bytes):
                if response.status.mayHaveResponseBody { head.headers.replaceOrAdd(name: "content-length", value: "\(bytes.count)") }
                writer.start(head)
                try await writer.write(bytes)
            case .stream(let write):
                writer.start(head)
                try await write(writer)
            case .webSocket: preconditionFailure("a websocket is opened, not sent")
            }
        } catch {
            return false
        }
        // Without chunks the end of a streamed body is the end of the connection.
        let isDelimited = isHTTP2 || version.minor >= 1 || hasLength
        return await writer.end() && isDelimited
    }

    /// Answers a request that will not be read to its end.
    private func refuse(_ failure: HTTPFailure, _ head: HTTPRequestHead?, _ context: ChannelHandlerContext) {
        receiving = .discarding
        let response = port.router.errorResponse(failure)
        var headers = response.headers
        if !isHTTP2 { headers.add(name: "connection", value: "close") }
        guard case .bytes(let bytes) = response.body else { return }
        headers.replaceOrAdd(name: "content-length", value: "\(bytes.count)")
        let version = head?.version ?? .http1_1
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: version, status: response.status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        let channel = context.channel
        let lingers = !isHTTP2
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in Self.closeGently(channel, lingers: lingers) }
    }

    /// Closing on unread bytes would reset the connection before the client has read why: let it finish first.
    private static func closeGently(_ channel: any Channel, lingers: Bool) {
        guard lingers else { return channel.close(promise: nil) }
        channel.close(mode: .output, promise: nil)
        channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
    }

    // MARK: - The end of the connection

    func channelInactive(context: ChannelHandlerContext) {
        clientGone()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { clientGone() }

    private func clientGone() {
        if case .streaming(let body) = receiving { body.fail() }
        receiving = .nothing
        writer?.close()
        writer = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError, writer == nil, !isHTTP2 {
            refuse(HTTPFailure(.badRequest, "malformed HTTP request: \(error)"), nil, context)
        } else {
            clientGone()
            context.close(promise: nil)
        }
    }
}
