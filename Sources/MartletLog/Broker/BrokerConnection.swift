import Logging
import NIOCore
import NIOSSL

/// One client: cuts the stream into frames, hands requests on in order, writes the answers in the same order.
///
/// Bounds (so that a client can neither crash nor fill us): a frame has a size limit; one request is worked on at a time, except that
/// Produce requests may wait for the disk together (one fsync serves them all); nothing more is read from the socket while requests or
/// unsent answers are pending. A malformed frame closes this connection, with a line in the log, and no other.
final class BrokerConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let router: RequestRouter
    private let advertisedHost: String?
    private let advertisedPort: Int?
    private let logger: Logger
    private let life = ConnectionLife()
    private let session: ConnectionSession
    private var isIdentified = false

    private var received = FrameBuffer()
    private var pending = CircularBuffer<PendingRequest>()
    private var nextID = 0
    /// Bytes of answers handed to the socket and not yet taken by it.
    private var unsentBytes = 0
    private var pendingRequestBytes = 0
    private var wantsRead = false
    private var isClosed = false
    private var isProcessing = false
    /// There is more to work on, when others have had their turn.
    private var awaitsTurn = false
    /// Requests that are worked on in one go.
    private static let turnMax = 64
    /// When bytes last came or went.
    private var lastActive = NIODeadline.now()
    private var idleTimer: Scheduled<Void>?
    /// Until then nothing is read from a client that used more than its limits (KIP-219).
    private var mutedUntil: NIODeadline?
    private var clientHost = ""
    private var clientPort = 0
    private var localHost = ""
    private var localPort = 0

    private struct PendingRequest {
        var id: Int
        var api: APIKey
        var bytes: Int
        var isDone = false
        /// Nil when done: there is no answer (acks=0).
        var response: FrameBytes?
    }

    init(router: RequestRouter, listener: Listener.Security, advertisedHost: String?, advertisedPort: Int?, logger: Logger) {
        self.router = router
        session = ConnectionSession(listener: listener, security: router.security, time: router.time)
        self.advertisedHost = advertisedHost
        self.advertisedPort = advertisedPort
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        clientHost = "/" + (context.remoteAddress?.ipAddress ?? "?")
        clientPort = context.remoteAddress?.port ?? 0
        localHost = context.localAddress?.ipAddress ?? "127.0.0.1"
        localPort = context.localAddress?.port ?? 0
        if session.listener != .plaintext {
            // Who does not say who it is does not stay.
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: .milliseconds(router.security.config.authenticationTimeoutMs)) {
                let (handler, context) = bound.value
                if handler.nextID == 0 || !handler.session.isAuthenticated { handler.refuse(context, .authentication, "not authenticated in time") }
            }
        }
        watchIdleness(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        received.removeAll()
        idleTimer?.cancel()
        idleTimer = nil
        life.close()
        context.fireChannelInactive()
    }

    /// Ends the connection after a long silence. A client that waits for us is not silent, one that takes no answer off the socket is.
    private func watchIdleness(_ context: ChannelHandlerContext) {
        let end = lastActive + .milliseconds(router.config.idleMsMax)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        idleTimer = context.eventLoop.scheduleTask(deadline: max(end, .now() + .milliseconds(1))) {
            let (handler, context) = bound.value
            guard !handler.isClosed else { return }
            if handler.mutedUntil != nil || !handler.pending.isEmpty && handler.unsentBytes == 0 { handler.lastActive = .now() }
            guard .now() - handler.lastActive >= .milliseconds(handler.router.config.idleMsMax) else { return handler.watchIdleness(context) }
            handler.isClosed = true
            handler.router.connectionMeters.ended(.idle)
            handler.logger.info("idle connection closed", metadata: ["client": "\(handler.clientHost)"])
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("connection failed", metadata: ["client": "\(clientHost)", "error": "\(error)"])
        context.close(promise: nil)
    }

    // MARK: Reading

    /// The socket asks whether to read on: not while enough is pending.
    func read(context: ChannelHandlerContext) {
        if isSaturated { wantsRead = true } else { context.read() }
    }

    private var isSaturated: Bool {
        mutedUntil != nil || unsentBytes > router.config.pendingBytesMax || pendingRequestBytes > router.config.pendingBytesMax
            || pending.count >= router.config.producesInFlightMax
            || (pending.first.map { $0.api != .produce } ?? false) || received.holdsWholeFrame
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        lastActive = .now()
        received.append(&bytes)
        process(context)
    }

    /// Takes requests off `received` for as long as they may be worked on; after many of them others have their turn first.
    private func process(_ context: ChannelHandlerContext) {
        guard !isProcessing, !awaitsTurn else { return }  // an answer that is there at once brings us back here
        isProcessing = true
        defer { isProcessing = false }
        var left = Self.turnMax
        while left > 0, !isClosed, let frame = nextFrame(context) {
            left -= 1
            dispatch(frame, context)
        }
        if left == 0, !isClosed, received.frameSize != nil {
            awaitsTurn = true
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            LoopTurns.wait(on: context.eventLoop) {
                let (handler, context) = bound.value
                handler.awaitsTurn = false
                handler.process(context)
            }
            return
        }
        if !isClosed, wantsRead, !isSaturated {
            wantsRead = false
            context.read()
        }
    }

    /// The next whole frame (without its size), if it is there and may be worked on now.
    private func nextFrame(_ context: ChannelHandlerContext) -> ByteBuffer? {
        guard let size = received.frameSize else { return nil }
        let sizes = allowedSizes
        guard sizes.contains(Int(size)) else {
            refuse(context, .malformed, FrameBuffer.otherProtocol(size) ?? "frame size \(size) is not between \(sizes.lowerBound) and \(sizes.upperBound)")
            return nil
        }
        guard received.holdsWholeFrame, mayStart(session.expectsBareToken || size < 2 ? nil : received.leadingInt16) else { return nil }
        return received.takeFrame()
    }

    /// A client that has not said who it is gets by with little.
    private var allowedSizes: ClosedRange<Int> {
        let most = session.isAuthenticated ? router.config.frameBytesMax : min(router.config.frameBytesMax, 512 << 10)
        return (session.expectsBareToken ? 0 : 8)...most
    }

    private func mayStart(_ apiKey: Int16?) -> Bool {
        if mutedUntil != nil || unsentBytes > router.config.pendingBytesMax { return false }
        guard let first = pending.first else { return true }
        return first.api == .produce && apiKey == APIKey.produce.rawValue && pending.count < router.config.producesInFlightMax
            && pendingRequestBytes <= router.config.pendingBytesMax
    }

    private func requestContext(_ context: ChannelHandlerContext, version: Int16, clientID: String) -> RequestContext {
        let principal = session.principal
        let access = router.security.authorizer?.access(principal, host: String(clientHost.dropFirst()))
        return RequestContext(
            version: version, clientID: clientID, clientHost: clientHost, clientPort: clientPort, advertisedHost: advertisedHost ?? localHost,
            advertisedPort: Int32(truncatingIfNeeded: advertisedPort ?? localPort), loop: context.eventLoop, life: life, session: session,
            access: access ?? Access(principal: principal, host: clientHost, rules: nil, allowsWithoutRule: true), charge: router.makeCharge())
    }

    /// On a listener with TLS the client's certificate says who it is, unless SASL does.
    private func identify(_ context: ChannelHandlerContext) throws(WireError) {
        guard !isIdentified else { return }
        isIdentified = true
        guard session.listener == .ssl else { return }
        do {
            guard let certificate = try context.pipeline.syncOperations.nioSSL_peerCertificate() else { return }
            if let subject = CertificateSubject.name(der: try certificate.toDERBytes()) { session.identify(subject: subject) }
        } catch {
            throw WireError(message: "the client's certificate cannot be read: \(error)", position: 0)
        }
    }

    private func dispatchToken(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        let id = nextID
        nextID += 1
        pending.append(PendingRequest(id: id, api: .saslAuthenticate, bytes: frame.readableBytes))
        pendingRequestBytes += frame.readableBytes
        let answer = router.bareToken(Array(frame.readableBytesView), requestContext(context, version: 0, clientID: ""))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        answer.hop(to: context.eventLoop).whenComplete { result in
            let (handler, context) = bound.value
            handler.complete(id, ((try? result.get()) ?? nil).map { FrameBytes($0) }, nil, context)
        }
    }

    private func dispatch(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        if session.expectsBareToken { return dispatchToken(frame, context) }
        let size = frame.readableBytes
        do throws(WireError) {
            let (header, body, api) = try Frame.openRequest(frame)
            guard let api else { throw WireError(message: "api key \(header.apiKey) is not known", position: 0) }
            try identify(context)
            if let reason = session.refusal(of: api) { return refuse(context, .authentication, reason) }
            let request = requestContext(context, version: header.version, clientID: header.clientID ?? "")
            let id = nextID
            nextID += 1
            pending.append(PendingRequest(id: id, api: api, bytes: size))
            pendingRequestBytes += size
            let answer: Answer<FrameBytes>
            do throws(WireError) {
                answer = try router.route(api, header, body, request)
            } catch {
                throw WireError(message: "\(api) version \(header.version): \(error.message)", position: error.position)
            }
            switch answer {
            case .none: complete(id, nil, request.charge, context)
            case .now(let response): complete(id, response, request.charge, context)
            case .later(let future):
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                future.hop(to: context.eventLoop).whenComplete { result in
                    let (handler, context) = bound.value
                    switch result {
                    case .success(let response): handler.complete(id, response, request.charge, context)
                    case .failure(let error): handler.refuse(context, .failed, "\(api) failed: \(error)")
                    }
                }
            }
        } catch {
            refuse(context, .malformed, error.description)
        }
    }

    // MARK: Writing

    private func complete(_ id: Int, _ response: FrameBytes?, _ charge: RequestCharge?, _ context: ChannelHandlerContext) {
        guard !isClosed, let first = pending.first else { return }
        if let ms = charge?.totalWaitMs, ms > 0 { mute(forMs: ms, context) }
        let index = pending.index(pending.startIndex, offsetBy: id - first.id)
        pending[index].isDone = true
        pending[index].response = response
        var wrote = false
        while let done = pending.first, done.isDone {
            pending.removeFirst()
            pendingRequestBytes -= done.bytes
            guard let response = done.response else { continue }
            write(response, context)
            wrote = true
        }
        if wrote { context.flush() }
        if session.hasFailed, pending.isEmpty {
            isClosed = true
            router.connectionMeters.ended(.authentication)
            return context.close(promise: nil)
        }
        process(context)
    }

    /// Works on no further request of this client for a while. The answers to those that it had under way still go out.
    private func mute(forMs ms: Int64, _ context: ChannelHandlerContext) {
        let end = NIODeadline.now() + .milliseconds(ms)
        if let muted = mutedUntil, muted >= end { return }
        mutedUntil = end
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(deadline: end) {
            let (handler, context) = bound.value
            // A later request may have made it longer.
            guard handler.mutedUntil == end else { return }
            handler.mutedUntil = nil
            handler.process(context)
        }
    }

    private func write(_ response: FrameBytes, _ context: ChannelHandlerContext) {
        let size = response.byteCount
        unsentBytes += size
        router.answerBytes.add(size)
        let sent = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        sent.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.unsentBytes -= size
            handler.lastActive = .now()
            handler.router.answerBytes.remove(size)
            handler.process(context)
        }
        for piece in response.pieces.dropLast() { context.write(wrapOutboundOut(piece), promise: nil) }
        if let last = response.pieces.last { context.write(wrapOutboundOut(last), promise: sent) } else { sent.succeed() }
    }

    private func refuse(_ context: ChannelHandlerContext, _ ending: ConnectionMeters.Ending, _ reason: String) {
        guard !isClosed else { return }
        isClosed = true
        router.connectionMeters.ended(ending)
        logger.warning("connection closed", metadata: ["client": "\(clientHost)", "reason": "\(reason)"])
        context.close(promise: nil)
    }
}
