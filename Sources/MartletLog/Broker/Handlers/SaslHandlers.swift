import Logging
import MartletCore
import NIOCore
import NIOPosix

// SaslHandshake, SaslAuthenticate (KIP-43, KIP-152, KIP-368): how a connection says who it is.

struct SaslHandshakeRequest: WireRequest {
    typealias Response = SaslHandshakeResponse
    static let api = APIKey.saslHandshake

    var mechanism = ""

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&mechanism)
        try wire.tags()
    }
}

struct SaslHandshakeResponse: WireMessage {
    var error = KafkaErrorCode.none
    var mechanisms: [String] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&mechanisms)
        try wire.tags()
    }
}

struct SaslAuthenticateRequest: WireRequest {
    typealias Response = SaslAuthenticateResponse
    static let api = APIKey.saslAuthenticate

    var token: [UInt8] = []

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&token)
        try wire.tags()
    }
}

struct SaslAuthenticateResponse: WireMessage {
    var error = KafkaErrorCode.none
    var errorMessage: String?
    var token: [UInt8] = []
    var lifetimeMs: Int64 = 0

    mutating func code(_ wire: inout Wire) throws(WireError) {
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&token)
        try wire.field(&lifetimeMs, from: 1)
        try wire.tags()
    }
}

extension RequestRouter {
    func saslHandshake(_ request: SaslHandshakeRequest, _ context: RequestContext) -> Answer<SaslHandshakeResponse> {
        let code = context.session.handshake(request.mechanism, version: context.version)
        if code != .none {
            logger.info(
                "SASL handshake refused",
                metadata: ["client": "\(context.clientHost)", "mechanism": "\(request.mechanism)", "error": "\(code)"])
        }
        return .now(SaslHandshakeResponse(error: code, mechanisms: security.config.mechanisms.map(\.rawValue).sorted()))
    }

    func saslAuthenticate(_ request: SaslAuthenticateRequest, _ context: RequestContext) -> Answer<SaslAuthenticateResponse> {
        .later(
            authenticate(request.token, context).map { result in
                switch result {
                case .success(let answer): SaslAuthenticateResponse(token: answer.bytes, lifetimeMs: answer.lifetimeMs)
                case .failure(let failure): SaslAuthenticateResponse(error: .saslAuthenticationFailed, errorMessage: failure.message)
                }
            })
    }

    /// A token in a frame of its own: the answer is one too; a failure has none, the connection just ends.
    func bareToken(_ token: [UInt8], _ context: RequestContext) -> EventLoopFuture<ByteBuffer?> {
        authenticate(token, context).map { result in
            guard case .success(let answer) = result else { return nil }
            var frame = ByteBuffer()
            frame.writeInteger(Int32(answer.bytes.count))
            frame.writeBytes(answer.bytes)
            return frame
        }
    }

    /// On a thread that may hash; a failure is told to the log at once and to the client a little later.
    private func authenticate(_ token: [UInt8], _ context: RequestContext)
        -> EventLoopFuture<Result<(bytes: [UInt8], lifetimeMs: Int64), SaslFailure>>
    {
        let session = context.session
        let answer = blocking.runIfActive(eventLoop: context.loop) { () -> Result<(bytes: [UInt8], lifetimeMs: Int64), SaslFailure> in
            do throws(SaslFailure) {
                return .success(try session.authenticate(token))
            } catch {
                return .failure(error)
            }
        }
        let delay = TimeAmount.milliseconds(security.config.failureDelayMs)
        return answer.flatMap { result in
            guard case .failure(let failure) = result else { return context.loop.makeSucceededFuture(result) }
            self.logger.warning(
                "authentication failed", metadata: ["client": "\(context.clientHost)", "reason": "\(failure.reason)"])
            return context.loop.scheduleTask(in: delay) { result }.futureResult
        }
    }
}
